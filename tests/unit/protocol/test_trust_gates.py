"""Who weighs what, who has a seat, who gets how much bandwidth."""

from __future__ import annotations

import pytest

from protocol.trust.values import Attestation
from tests.unit.protocol.trust_rig import NOW, Told, hub, word

BEN, CYD, DAN, EVE = range(1, 5)
CROWD = range(100, 400)


def attack(host: int) -> list[Attestation]:
    """``host`` vouches for one of a crowd, in which all vouch for ten more."""
    return [word(host, 100, turn=50), *(word(n, 100 + (n + s) % 300, turn=s) for n in CROWD for s in range(1, 11))]


def test_contacts_who_are_here_count_one_each_and_strangers_nothing() -> None:
    told = Told(word(0, BEN, 10), word(0, CYD, 100), word(BEN, DAN))
    assert told.weights(BEN, CYD, DAN, EVE) == {BEN: 1.0, CYD: 1.0}
    assert told.seats(BEN, CYD, DAN, EVE) == [BEN, CYD]


def test_a_contact_who_is_not_here_lends_its_whole_to_whom_it_vouches_for() -> None:
    told = Told(word(0, BEN), word(BEN, DAN), word(BEN, EVE))
    weights = told.weights(DAN, EVE)
    assert set(weights) == {DAN, EVE}
    assert 0.9 < sum(weights.values()) <= 1
    assert len(told.seats(DAN, EVE)) == 1


def test_no_more_than_one_whole_comes_through_one_edge() -> None:
    contacts = range(10, 20)
    told = Told(
        *(word(0, name) for name in contacts),
        *(word(name, DAN) for name in contacts),
        word(DAN, EVE),
        *(word(EVE, name) for name in CROWD),
    )
    assert told.weights(DAN, EVE) == {DAN: 1.0}
    assert told.weights(EVE) == {EVE: pytest.approx(1.0, abs=0.05)}
    assert 0.9 < sum(told.weights(*CROWD).values()) <= 1
    assert len(told.seats(*CROWD)) == 1


def test_a_crowd_behind_a_contact_of_ours_weighs_that_contact_and_no_more() -> None:
    told = Told(word(0, BEN))
    for one in attack(0):
        told.learn(one)
    everybody = told.weights(BEN, *CROWD)
    assert everybody == {BEN: 1.0, 100: 1.0}
    hidden = told.weights(BEN, *CROWD[1:])
    assert 0 < sum(weight for name, weight in hidden.items() if name != BEN) <= 1
    assert len(told.seats(BEN, *CROWD[1:])) == 2


def test_walks_stop_at_whom_this_hub_or_its_contacts_speak_against() -> None:
    told = Told(word(0, BEN), word(BEN, DAN), word(DAN, EVE))
    assert told.weights(EVE)
    told.learn(word(0, DAN, -100))
    assert told.weights(EVE) == told.weights(DAN) == {}
    other = Told(word(0, BEN), word(0, CYD), word(BEN, DAN, 50), word(DAN, EVE), word(CYD, DAN, -100))
    assert other.weights(EVE) == {}


def test_strangers_who_speak_against_somebody_stop_no_walk() -> None:
    told = Told(word(0, BEN), word(BEN, DAN), *(word(name, DAN, -100) for name in CROWD))
    assert told.weights(DAN)


def test_nobody_talks_a_contact_of_ours_out_of_its_weight() -> None:
    others = range(10, 30)
    told = Told(word(0, BEN, 20), *(word(0, name) for name in others), *(word(name, BEN, -100) for name in others))
    assert told.weights(BEN) == {BEN: 1.0}


def test_bandwidth_is_all_given_and_a_crowd_of_strangers_shares_a_tenth() -> None:
    told = Told(word(0, BEN), word(0, CYD), word(BEN, DAN))
    shares = told.trust.bandwidth([hub(name) for name in (0, BEN, CYD, DAN, *CROWD)], NOW)
    assert sum(shares.values()) == pytest.approx(1)
    assert sum(shares[hub(name)] for name in CROWD) == pytest.approx(0.1)
    assert shares[hub(CYD)] > shares[hub(DAN)] > shares[hub(100)] == shares[hub(399)]
    assert hub(0) not in shares


def test_where_nobody_is_trusted_all_have_the_same_bandwidth() -> None:
    assert Told().trust.bandwidth([hub(BEN), hub(CYD)], NOW) == {hub(BEN): 0.5, hub(CYD): 0.5}
    assert Told().trust.bandwidth([], NOW) == {}


def test_a_crowd_behind_one_contact_takes_no_more_bandwidth_than_that_contact_might() -> None:
    alone = Told(word(0, BEN), word(0, CYD))
    before = alone.trust.bandwidth([hub(BEN), hub(CYD)], NOW)[hub(CYD)]
    told = Told(word(0, BEN), word(0, CYD))
    for one in attack(0):
        told.learn(one)
    shares = told.trust.bandwidth([hub(name) for name in (BEN, CYD, *CROWD)], NOW)
    strangers = 0.1  # what the unmet of the crowd share with all who are not met
    assert sum(shares[hub(name)] for name in CROWD) - strangers < 0.4
    assert shares[hub(CYD)] > 0.25 > before / 2 - 0.1
