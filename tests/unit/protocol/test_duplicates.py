"""Two links between the same two hubs, and more links than a hub can keep (R19, and the local limits)."""

from __future__ import annotations

import itertools

import pytest

from protocol.effects import Disconnect, Drop
from protocol.errors import CloseCode, Reason
from protocol.identity import LocalIdentity
from protocol.ids import LinkId
from protocol.inputs import LinkDown
from protocol.membership.views import ViewsConfig
from protocol.node import NodeConfig
from tests.unit.protocol.hub import Hub, closed, drops, news, sent, shown, vectors_sent
from tests.unit.protocol.people import ANN, BEN, CAT, DAN, keys, person, vector

SMALL, LARGE = sorted((ANN, BEN), key=lambda who: who.author)
FEW = NodeConfig(views=ViewsConfig(links_target=2, links_max=4))


def kept(
    first_by_small: bool, second_by_small: bool, gap_us: int, *, swapped: bool = False
) -> tuple[set[int], set[int]]:
    """The links that the hub with the smaller author id and the one with the larger keep of links 1 and 2.

    ``swapped``: the second hub hears of the two links in the other order.
    """
    remaining = []
    initiators = {1: first_by_small, 2: second_by_small}
    for me, other, order in ((SMALL, LARGE, (1, 2)), (LARGE, SMALL, (2, 1) if swapped else (1, 2))):
        hub = Hub(me)
        hub.up(order[0], other, initiator=initiators[order[0]] is (me is SMALL))
        hub.now += gap_us
        hub.up(order[1], other, initiator=initiators[order[1]] is (me is SMALL))
        remaining.append({int(line.link) for line in hub.statistics().links})
    return remaining[0], remaining[1]


@pytest.mark.parametrize("gap_us", [0, 1, 2_999_999])
@pytest.mark.parametrize("first_by_small", [False, True])
@pytest.mark.parametrize("swapped", [False, True])
def test_of_two_links_that_cross_both_sides_keep_that_of_the_smaller_author(
    gap_us: int, first_by_small: bool, swapped: bool
) -> None:
    of_small = 1 if first_by_small else 2
    assert kept(first_by_small, not first_by_small, gap_us, swapped=swapped) == ({of_small}, {of_small})


@pytest.mark.parametrize("gap_us", [0, 2_999_999, 3_000_000, 10**9])
@pytest.mark.parametrize("by_small", [False, True])
def test_of_two_links_by_the_same_initiator_both_sides_keep_the_newer(gap_us: int, by_small: bool) -> None:
    assert kept(by_small, by_small, gap_us) == ({2}, {2})


@pytest.mark.parametrize("gap_us", [3_000_000, 10**9])
@pytest.mark.parametrize("first_by_small", [False, True])
def test_a_link_that_comes_later_than_a_crossing_takes_the_place_of_the_older(
    gap_us: int, first_by_small: bool
) -> None:
    assert kept(first_by_small, not first_by_small, gap_us) == ({2}, {2})


def test_the_link_that_falls_is_closed_with_bye_1_and_counted() -> None:
    hub = Hub()
    hub.join(1, ANN)
    hub.now += 5_000_000
    effects = hub.up(2, ANN)
    assert effects[:2] == [
        Drop(LinkId(1), Reason.LINK_DUPLICATE),
        Disconnect(LinkId(1), CloseCode.DUPLICATE_LINK, Reason.LINK_DUPLICATE),
    ]
    assert sorted(news(effects)) == [(1, False), (2, True)]
    assert hub.act(LinkDown(LinkId(1), 1)) == []


def test_a_new_link_that_falls_at_once_disturbs_the_old_one_in_nothing() -> None:
    me, peer = (SMALL, LARGE)
    hub = Hub(me)
    hub.join(1, peer, initiator=True)
    hub.say(1, keys(CAT), vector(CAT, 1))
    effects = hub.up(2, peer, initiator=False)
    assert closed(effects) == [(2, CloseCode.DUPLICATE_LINK)]
    assert (news(effects), sent(effects)) == ([], [])
    assert shown(hub.say(1, vector(CAT, 2))) == [(CAT.author, 2)]


def test_the_new_link_of_a_pair_gets_everything_once_it_is_open() -> None:
    hub = Hub()
    hub.join(1, ANN)
    hub.join(3, BEN)
    hub.say(3, keys(CAT), vector(CAT, 1))
    hub.drain()
    hub.now += 4_000_000
    assert [message.age_ms for message in vectors_sent(hub.join(2, ANN), 2)] == [4_000]


# --- more links than can be kept --------------------------------------------------------------------------------


def full(count: int = 4) -> Hub:
    """A hub that has as many links as it can keep, all of them new."""
    hub = Hub(config=FEW)
    for number in range(count):
        hub.join(10 + number, person(100 + number))
    return hub


def test_a_link_too_many_is_refused_while_all_others_are_young() -> None:
    hub = full()
    hub.advance(10_000_000)
    effects = hub.up(2, ANN)
    assert drops(effects) == [Reason.LINK_LIMIT]
    assert closed(effects) == [(2, CloseCode.TOO_MANY_LINKS)]
    assert news(effects) == []
    assert len(hub.statistics().links) == 4


def test_a_settled_link_makes_way_for_a_new_one_at_most_every_two_seconds() -> None:
    hub = full()
    hub.advance(11_000_000)
    first = hub.up(2, ANN)
    ((evicted, code),) = closed(first)
    assert 10 <= evicted <= 13
    assert code is CloseCode.TOO_MANY_LINKS
    assert drops(first) == [Reason.LINK_LIMIT]
    hub.hello(2)
    hub.now += 1_999_999
    assert closed(hub.up(3, BEN)) == [(3, CloseCode.TOO_MANY_LINKS)]
    hub.now += 1
    assert closed(hub.up(4, BEN)) != [(4, CloseCode.TOO_MANY_LINKS)]
    assert len(hub.statistics().links) == 4


def test_a_new_link_of_a_linked_hub_evicts_nobody_else() -> None:
    hub = full()
    hub.advance(11_000_000)
    assert closed(hub.up(2, person(100))) == [(10, CloseCode.DUPLICATE_LINK)]


def test_whoever_was_evicted_is_not_sought_as_if_it_had_been_lost() -> None:
    hub = full()
    hub.advance(11_000_000)
    hub.up(2, ANN)
    hub.hello(2)
    assert hub.statistics().exiles == ()


def test_the_choice_of_whom_to_evict_is_one_of_chance_and_of_the_seed() -> None:
    chosen = []
    for seed in (1, 1, 2, 3, 4, 5, 6):
        hub = Hub(config=FEW, seed=seed)
        for number in range(4):
            hub.join(10 + number, person(100 + number))
        hub.advance(11_000_000)
        chosen.append(closed(hub.up(2, ANN))[0][0])
    assert chosen[0] == chosen[1]
    assert len(set(chosen)) > 1


@pytest.mark.parametrize("order", list(itertools.permutations((ANN, BEN, CAT, DAN)))[::5])
def test_there_are_never_more_links_than_the_limit(order: tuple[LocalIdentity, ...]) -> None:
    hub = full()
    for number, who in enumerate(order * 3):
        hub.advance(3_000_000)
        hub.join(200 + number, who)
        assert len(hub.statistics().links) <= 4
