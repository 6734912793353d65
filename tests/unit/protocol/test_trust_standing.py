"""How somebody stands with a hub, by what was said and by whom."""

from __future__ import annotations

import inspect

import pytest

from protocol.ids import AuthorId
from protocol.trust.trust import Trust
from protocol.trust.values import (
    DAY_MS,
    Attention,
    KeepTrust,
    Path,
    Refused,
    Source,
    StandingChanged,
    TrustConfig,
    TrustState,
)
from tests.unit.protocol.trust_rig import NOW, SMALL, Told, hub, word

BEN, CYD, DAN, EVE = range(1, 5)
CROWD = range(100, 1_100)


def test_of_whom_nothing_is_known_stands_at_zero_and_is_shown_as_usual() -> None:
    told = Told(word(0, BEN))
    assert told.value(EVE) == 0
    assert told.trust.standing(hub(EVE), NOW).lines == ()
    assert told.trust.attention(hub(EVE), NOW) is Attention.NEUTRAL


def test_a_word_counts_half_after_a_half_life() -> None:
    told = Told(word(0, BEN))
    assert told.value(BEN) == pytest.approx(4 / 4.5)
    assert told.value(BEN, NOW + 30 * DAY_MS) == pytest.approx(2 / 2.5)
    assert 0 < told.value(BEN, NOW + 3_000 * DAY_MS) < 1e-9


def test_a_word_from_the_future_or_without_a_date_is_of_now() -> None:
    usual = Told(word(0, BEN), word(BEN, CYD)).value(CYD)
    assert Told(word(0, BEN), word(BEN, CYD, utc_ms=NOW * 3)).value(CYD) == usual
    assert Told(word(0, BEN), word(BEN, CYD, utc_ms=0)).value(CYD) == usual


def test_the_later_word_counts_whichever_comes_first() -> None:
    for_ben, against = word(0, BEN, 100, 1), word(0, BEN, -100, 2)
    assert Told(for_ben, against).value(BEN) == Told(against, for_ben).value(BEN) < 0
    assert Told(against).learn(for_ben) == []


def test_of_two_words_at_one_place_of_a_forked_chain_the_less_kind_one_counts() -> None:
    kind, unkind = word(0, BEN, 80), word(0, BEN, 20)
    assert Told(kind, unkind).value(BEN) == Told(unkind, kind).value(BEN) == Told(unkind).value(BEN)


def test_what_is_taken_back_counts_for_nothing() -> None:
    told = Told(word(0, BEN), word(0, BEN, 0, turn=2))
    assert told.value(BEN) == 0
    assert not told.trust.explain(hub(BEN), NOW).contact
    assert told.weights(BEN) == {}


def test_whom_this_hub_distrusts_is_heard_neither_for_nor_against() -> None:
    for strength in (100, -100):
        assert Told(word(0, BEN, -50), word(BEN, CYD, strength)).value(CYD) == 0


def test_a_thousand_strangers_move_nobody_of_whom_this_hub_has_spoken() -> None:
    against = [word(name, BEN, -100) for name in CROWD]
    assert Told(word(0, BEN), *against).value(BEN) == Told(word(0, BEN)).value(BEN)


def test_a_thousand_strangers_are_less_than_a_third_of_a_contact() -> None:
    told = Told(word(0, BEN), word(BEN, CYD), *(word(name, CYD, -100) for name in CROWD))
    assert told.value(CYD) == pytest.approx((1 - 0.3) / (1.3 + 0.5))
    assert Told(*(word(name, EVE) for name in CROWD)).value(EVE) == pytest.approx(0.3 / 0.8)


def test_through_one_contact_speaks_one_voice_however_many_it_vouches_for() -> None:
    told = Told(word(0, BEN), *(word(BEN, name) for name in CROWD), *(word(name, EVE) for name in CROWD))
    [line] = told.trust.standing(hub(EVE), NOW).lines
    assert (line.source, line.through, line.voices, line.weight) == (Source.FURTHER, hub(BEN), 1_000, 0.3)


def test_contacts_who_lie_are_outvoted_by_contacts_who_do_not() -> None:
    contacts = [word(0, name) for name in range(10, 20)]
    said = [word(name, EVE, -100 if name < 13 else 100) for name in range(10, 20)]
    assert Told(*contacts, *said).value(EVE) > 0.3


def test_a_grudge_weighs_more_than_thanks() -> None:
    assert Told(word(EVE, 0, -100)).value(EVE) == pytest.approx(-0.8)
    assert Told(word(EVE, 0, 100)).value(EVE) == pytest.approx(0.375)


def test_sessions_shared_count_one_a_day_slowly_and_up_to_a_ceiling() -> None:
    told = Told()
    assert told.trust.session_shared(hub(EVE), NOW) == [
        KeepTrust(TrustState(sessions=((hub(EVE), (NOW,)),))),
        StandingChanged(hub(EVE)),
    ]
    assert told.trust.session_shared(hub(EVE), NOW + 1) == []
    assert told.value(EVE) == pytest.approx(0.1 / 0.6)
    for day in range(1, 40):
        told.trust.session_shared(hub(EVE), NOW + day * DAY_MS)
    assert told.value(EVE, NOW + 39 * DAY_MS) == pytest.approx(0.5)
    assert len(told.trust.state().sessions[0][1]) == SMALL.sessions_max


def test_a_proof_is_minus_one_until_it_is_settled() -> None:
    told = Told(word(0, BEN), word(0, CYD), word(CYD, BEN))
    before = told.value(BEN)
    told.trust.prove(hub(BEN))
    assert told.value(BEN) == -1
    assert told.weights(BEN, CYD) == {CYD: 1.0}
    assert told.trust.attention(hub(BEN), NOW) is Attention.LOW
    told.trust.settle(hub(BEN))
    assert told.value(BEN) == before
    assert told.weights(BEN, CYD) == {BEN: 1.0, CYD: 1.0}


def test_an_amnesty_voids_what_others_said_in_its_time_for_and_against_and_nothing_else() -> None:
    told = Told(word(0, BEN), word(BEN, CYD, -100, utc_ms=NOW - 50), word(BEN, DAN, 100, utc_ms=NOW - 50))
    for name in (CYD, DAN):
        told.trust.pardon(hub(name), NOW - 100, NOW - 10)
    assert (told.value(CYD), told.value(DAN)) == (0, 0)
    assert told.weights(DAN) == {}
    told.learn(word(BEN, DAN, 100, turn=2, utc_ms=NOW - 20))
    assert told.value(DAN) == 0
    told.learn(word(0, DAN, -100, utc_ms=NOW - 20))
    assert told.value(DAN) < 0
    told.trust.prove(hub(CYD))
    assert told.value(CYD) == -1


def test_an_amnesty_that_proves_shorter_gives_back_what_it_took() -> None:
    told = Told(word(0, BEN), word(BEN, CYD, 100, utc_ms=NOW - 50))
    before = told.value(CYD)
    told.trust.pardon(hub(CYD), NOW - 100, NOW * 2)
    assert told.trust.session_shared(hub(CYD), NOW) == []
    told.trust.pardon(hub(CYD), NOW - 100, NOW - 60)
    assert told.value(CYD) == before
    assert told.trust.session_shared(hub(CYD), NOW) != []


def test_muted_is_not_shown_and_counts_as_before() -> None:
    told = Told(word(0, BEN), word(BEN, CYD))
    before = (told.value(BEN), told.value(CYD), told.weights(BEN))
    told.trust.mute(hub(BEN), on=True)
    assert told.trust.attention(hub(BEN), NOW) is Attention.HIDDEN
    assert (told.value(BEN), told.value(CYD), told.weights(BEN)) == before
    told.trust.mute(hub(BEN), on=False)
    assert told.trust.attention(hub(BEN), NOW) is Attention.KNOWN


def test_blocked_is_not_shown_not_heard_and_does_not_count() -> None:
    told = Told(word(0, BEN), word(BEN, CYD))
    told.trust.block(hub(BEN), on=True)
    assert told.trust.attention(hub(BEN), NOW) is Attention.HIDDEN
    assert told.value(CYD) == 0
    assert told.weights(BEN, CYD) == {}
    assert told.trust.block(hub(BEN), on=True) == []


def test_what_is_on_the_disk_makes_the_same_trust_again() -> None:
    said = [word(0, BEN), word(BEN, CYD), word(0, DAN)]
    told = Told(*said)
    told.trust.session_shared(hub(EVE), NOW)
    told.trust.block(hub(DAN), on=True)
    told.trust.mute(hub(BEN), on=True)
    told.trust.prove(hub(9))
    told.trust.pardon(hub(CYD), NOW - 5, NOW + 5)
    again = Told()
    again.trust.start(told.trust.state(), said, NOW)
    assert again.trust.state() == told.trust.state()
    assert [again.trust.explain(name, NOW) for name in again.trust.known()] == [
        told.trust.explain(name, NOW) for name in told.trust.known()
    ]


def test_an_explanation_names_the_ways_and_everything_that_counts() -> None:
    told = Told(word(0, BEN), word(BEN, CYD))
    why = told.trust.explain(hub(CYD), NOW)
    assert why.paths == (Path((hub(0), hub(BEN), hub(CYD)), why.met),)
    assert 100 < why.met < 156  # of 200 walks, 0.8 squared
    assert [(line.source, line.through) for line in why.standing.lines] == [(Source.CONTACT, hub(BEN))]
    assert why.attention is Attention.KNOWN
    assert not why.contact


def test_an_issuer_who_says_too_much_displaces_only_its_own_oldest_words() -> None:
    told = Told(word(0, BEN), config=TrustConfig(walks=50, issuer_max=3))
    for turn in range(1, 10):
        told.learn(word(BEN, 10 + turn, turn=turn))
    assert [number for number in range(10, 20) if told.value(number)] == [17, 18, 19]
    assert told.trust.statistics().words == 4
    assert told.value(BEN) > 0


def test_strangers_who_fill_the_room_are_forgotten_before_anybody_whom_walks_meet() -> None:
    told = Told(word(0, BEN), word(BEN, CYD), word(CYD, DAN), config=TrustConfig(walks=50, words_max=64))
    for number in range(500):
        told.learn(word(1_000 + number, EVE))
    assert told.trust.statistics().words <= 64
    assert told.value(CYD) > 0
    full = [word(CYD, 2_000 + number, turn=2 + number) for number in range(100)]
    answers = [told.learn(one) for one in full]
    assert isinstance(answers[-1][0], Refused)
    assert told.trust.statistics().words == 64
    told.learn(word(0, EVE))
    assert told.trust.explain(hub(EVE), NOW).contact


def test_the_doors_of_trust_are_these_and_take_no_measurement() -> None:
    doors = {
        name: [one.annotation for one in list(inspect.signature(method).parameters.values())[1:]]
        for name, method in inspect.getmembers(Trust, inspect.isfunction)
        if not name.startswith("_")
    }
    subject_and_switch = ["AuthorId", "bool"]
    assert doors == {
        "start": ["TrustState", "Iterable[Attestation]", "int"],
        "learn": ["Attestation", "int"],
        "session_shared": ["AuthorId", "int"],
        "prove": ["AuthorId"],
        "settle": ["AuthorId"],
        "block": subject_and_switch,
        "mute": subject_and_switch,
        "share": subject_and_switch,
        "circle": [],
        "pardon": ["AuthorId", "int", "int"],
        "standing": ["AuthorId", "int"],
        "attention": ["AuthorId", "int"],
        "weights": ["Iterable[AuthorId]", "int"],
        "seats": ["Iterable[AuthorId]", "int"],
        "bandwidth": ["Iterable[AuthorId]", "int"],
        "explain": ["AuthorId", "int"],
        "forget": ["AuthorId", "tuple[int, int]"],
        "contacts": [],
        "is_proven": ["AuthorId"],
        "is_known": ["AuthorId", "int"],
        "known": [],
        "state": [],
        "statistics": [],
    }


def test_nobody_speaks_of_itself() -> None:
    told = Told(word(EVE, EVE))
    assert told.value(EVE) == 0
    assert told.trust.known() == list[AuthorId]()
