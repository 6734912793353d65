"""The overlay's answers, one input at a time: who becomes a neighbor, who is refused, who is let go."""

from __future__ import annotations

from itertools import pairwise

import pytest

from protocol.clock import MINUTE, MS, SECOND
from protocol.effects import SetTimer
from protocol.ids import AuthorId
from protocol.membership.overlay import PLAN, PROBE, SHUFFLE, Overlay
from protocol.membership.overlay_values import (
    Dial,
    ForwardJoin,
    NeighborDown,
    NeighborParting,
    NeighborUp,
    OverlayConfig,
    OverlayEffect,
    Priority,
    Release,
    Shuffle,
    ShuffleAnswer,
    Tell,
    hyparview_paper,
)
from protocol.rng import Rng
from protocol.wire.joining import Join, Neighbor, NeighborAnswer
from tests.unit.protocol.overlay_net import Net, name

ME, CONTACT, OTHER = name(0), name(1), name(2)
LARGE = OverlayConfig(small_mesh=0, probe_us=0, shuffle_us=0, outbound=0, oldest=0)
NOW = 1_000_000


def overlay(config: OverlayConfig = LARGE, seed: int = 3) -> Overlay:
    return Overlay(ME, config, Rng(seed))


def said(effects: list[OverlayEffect]) -> list[OverlayEffect]:
    """All but timers."""
    return [effect for effect in effects if not isinstance(effect, SetTimer)]


def welcome(view: Overlay, *peers: AuthorId, now: int = NOW, initiator: bool = False) -> None:
    """Make these neighbors: they dial and ask."""
    for peer in peers:
        if initiator:
            view.link_up(peer, True, now)
            effects = view.receive(peer, NeighborAnswer(True), now)
        else:
            view.link_up(peer, False, now)
            effects = view.receive(peer, Neighbor(False), now)
        assert NeighborUp(peer) in effects


def full(config: OverlayConfig = LARGE, *, now: int = NOW) -> Overlay:
    """An overlay whose active view has no room."""
    view = overlay(config)
    welcome(view, *(name(10 + number) for number in range(config.active_max)), now=now)
    return view


# --- entering -------------------------------------------------------------------------------------------------------


def test_a_newcomer_dials_its_contact_and_asks_to_join() -> None:
    view = overlay()
    assert said(view.join(CONTACT, NOW)) == [Dial(CONTACT, Priority.URGENT)]
    assert said(view.link_up(CONTACT, True, NOW + 1)) == [Tell(CONTACT, Join())]
    assert view.active == {}, "nobody is a neighbor before both sides have agreed"
    assert said(view.receive(CONTACT, NeighborAnswer(True), NOW + 2)) == [NeighborUp(CONTACT)]


def test_a_contact_that_cannot_be_reached_is_tried_again_after_seconds_and_not_at_once() -> None:
    view = overlay()
    view.join(CONTACT, NOW)
    (wake,) = view.dial_failed(CONTACT, NOW + 1)
    assert isinstance(wake, SetTimer)
    assert wake.key == PLAN
    assert 4 * SECOND <= wake.at - NOW <= 6 * SECOND
    assert said(view.timer(PLAN, wake.at)) == [Dial(CONTACT, Priority.URGENT)]


def test_a_contact_is_dialled_until_it_was_met_although_others_are_neighbors_by_then() -> None:
    view = overlay()
    view.join(CONTACT, NOW)
    welcome(view, *(name(10 + number) for number in range(LARGE.active)))
    view.dial_failed(CONTACT, NOW)
    tried = []
    for now in range(NOW, NOW + 5 * MINUTE, SECOND // 2):
        if any(isinstance(effect, Dial) and effect.peer == CONTACT for effect in view.timer(PLAN, now)):
            tried.append(now - NOW)
            view.dial_failed(CONTACT, now)
    assert 4 * SECOND <= tried[0] <= 7 * SECOND
    gaps = [later - before for before, later in pairwise(tried)]
    assert gaps[-1] >= 24 * SECOND
    assert max(gaps) <= 37 * SECOND
    view.link_up(CONTACT, False, NOW + 6 * MINUTE)
    later = [said(view.timer(PLAN, now)) for now in range(NOW + 6 * MINUTE, NOW + 8 * MINUTE, SECOND)]
    assert Dial(CONTACT, Priority.NORMAL) not in [effect for effects in later for effect in effects]


@pytest.mark.parametrize("config", [LARGE, OverlayConfig()])
def test_two_that_join_through_each_other_are_no_island_if_one_of_them_knows_somebody_else(
    config: OverlayConfig,
) -> None:
    net = Net(5)
    net.crowd(30, config)
    for index in (40, 41):
        net.add(index, config)
    net.join(name(40), name(41))
    net.join(name(41), name(40))
    net.run(5 * SECOND)
    assert net.components() == [30, 2]
    net.join(name(40), name(3))
    net.run(5 * SECOND)
    assert net.components() == [32]


def test_contacts_are_bounded_and_the_one_named_longest_ago_gives_way() -> None:
    view = overlay()
    for number in range(20):
        view.join(name(50 + number), NOW)
    assert len(view._seeking.contacts) == view.config.contacts


def test_a_join_is_answered_welcomed_and_walks_on_from_every_other_neighbor() -> None:
    view = overlay()
    welcome(view, CONTACT, OTHER)
    newcomer = name(5)
    view.link_up(newcomer, False, NOW)
    effects = said(view.receive(newcomer, Join(), NOW))
    walk = ForwardJoin(newcomer, LARGE.arwl)
    answer, up, greeting, *walks = effects
    assert answer == Tell(newcomer, NeighborAnswer(True))
    assert up == NeighborUp(newcomer)
    assert isinstance(greeting, Tell)
    assert isinstance(greeting.message, ShuffleAnswer)
    assert set(greeting.message.peers) == {CONTACT, OTHER}
    assert walks == [Tell(CONTACT, walk), Tell(OTHER, walk)]


def test_joins_in_quick_succession_walk_on_at_a_bounded_rate() -> None:
    view = overlay()
    welcome(view, CONTACT)
    walks = 0
    for number in range(5, 8):
        view.link_up(name(number), False, NOW)
        effects = view.receive(name(number), Join(), NOW)
        walks += sum(isinstance(e, Tell) and isinstance(e.message, ForwardJoin) for e in effects)
    assert walks == 1


def test_a_walk_goes_on_is_remembered_on_its_way_and_ends_in_a_dial() -> None:
    view = overlay()
    welcome(view, CONTACT, OTHER)
    joiner = name(7)
    assert said(view.receive(CONTACT, ForwardJoin(joiner, 6), NOW)) == [Tell(OTHER, ForwardJoin(joiner, 5))]
    assert joiner not in view.passive
    assert Tell(OTHER, ForwardJoin(joiner, 0)) in view.receive(CONTACT, ForwardJoin(joiner, 1), NOW)
    assert joiner not in view.passive
    assert said(view.receive(CONTACT, ForwardJoin(joiner, 0), NOW)) == [Dial(joiner, Priority.NORMAL)]


def test_a_walk_is_remembered_where_three_hops_are_left() -> None:
    view = full()
    view.receive(name(10), ForwardJoin(name(7), LARGE.prwl + 1), NOW)
    assert name(7) not in view.passive
    view.receive(name(10), ForwardJoin(name(7), LARGE.prwl), NOW)
    assert name(7) in view.passive


def test_a_walk_that_claims_a_longer_way_is_cut_to_our_own() -> None:
    view = overlay()
    welcome(view, CONTACT, OTHER)
    assert said(view.receive(CONTACT, ForwardJoin(name(7), 16), NOW)) == [Tell(OTHER, ForwardJoin(name(7), 5))]


def test_a_walk_about_oneself_or_about_a_neighbor_makes_no_dial() -> None:
    view = overlay()
    welcome(view, CONTACT)
    assert said(view.receive(CONTACT, ForwardJoin(ME, 0), NOW)) == []
    assert said(view.receive(CONTACT, ForwardJoin(CONTACT, 0), NOW)) == []


# --- asking ---------------------------------------------------------------------------------------------------------


def test_a_request_finds_room_up_to_the_bound_and_no_further() -> None:
    view = full()
    view.link_up(OTHER, False, NOW)
    assert said(view.receive(OTHER, Neighbor(False), NOW)) == [Tell(OTHER, NeighborAnswer(False))]
    assert len(view.active) == LARGE.active_max


def pushed_out(view: Overlay) -> AuthorId:
    """Who has to go because OTHER asks with high priority."""
    view.link_up(OTHER, False, NOW)
    effects = said(view.receive(OTHER, Neighbor(True), NOW))
    (leave,) = [effect for effect in effects if isinstance(effect, NeighborParting)]
    assert effects == [
        leave,
        Tell(leave.peer, NeighborAnswer(False)),
        Tell(OTHER, NeighborAnswer(True)),
        NeighborUp(OTHER),
    ]
    return leave.peer


def test_a_high_request_pushes_one_neighbor_out_whose_link_carries_on_for_a_while() -> None:
    view = full()
    gone = pushed_out(view)
    assert gone not in view.active
    assert gone in view.carriers
    assert view.parting() == (gone,)
    assert said(view.timer(PLAN, NOW + LARGE.part_us - 1)) == []
    assert said(view.timer(PLAN, NOW + LARGE.part_us)) == [NeighborDown(gone), Release(gone)]
    assert gone not in view.carriers
    assert gone in view.passive, "who had to go stays known"


def test_a_neighbor_that_takes_its_leave_carries_on_until_it_closes_the_link() -> None:
    view = full()
    assert said(view.receive(name(10), NeighborAnswer(False), NOW)) == [NeighborParting(name(10))]
    assert name(10) in view.carriers
    assert said(view.receive(name(10), NeighborAnswer(False), NOW + 1)) == [], "twice is not sooner"
    assert NeighborDown(name(10)) in view.link_down(name(10), True, NOW + LARGE.part_us)
    assert name(10) in view.passive


def test_whoever_takes_its_leave_and_stays_is_let_go() -> None:
    view = full()
    view.receive(name(10), NeighborAnswer(False), NOW)
    assert Release(name(10)) in view.timer(PLAN, NOW + 2 * LARGE.part_us)


def test_whoever_parts_and_asks_again_is_a_neighbor_again() -> None:
    view = full()
    view.receive(name(10), NeighborAnswer(False), NOW)
    effects = said(view.receive(name(10), Neighbor(False), NOW + 1))
    assert effects == [Tell(name(10), NeighborAnswer(True)), NeighborUp(name(10))]
    assert view.parting() == ()
    assert said(view.timer(PLAN, NOW + 2 * LARGE.part_us)) == []


def test_a_parting_neighbor_that_dies_is_gone_at_once() -> None:
    view = full()
    view.receive(name(10), NeighborAnswer(False), NOW)
    assert NeighborDown(name(10)) in view.link_down(name(10), False, NOW + 1)
    assert name(10) not in view.carriers


def test_high_requests_in_a_row_push_out_one_neighbor_in_two_seconds() -> None:
    view = full()
    pushed = 0
    for number in range(100, 140):
        view.link_up(name(number), False, NOW + number * 100 * MS)
        effects = view.receive(name(number), Neighbor(True), NOW + number * 100 * MS)
        pushed += sum(isinstance(effect, NeighborParting) for effect in effects)
        if Tell(name(number), NeighborAnswer(False)) in effects:
            view.link_down(name(number), True, NOW + number * 100 * MS)
    assert pushed == 2, "forty requests in four seconds"


def test_a_refusal_ends_the_link_and_whoever_refused_is_not_asked_at_once() -> None:
    view = overlay()
    view.link_up(OTHER, True, NOW)
    effects = said(view.receive(OTHER, NeighborAnswer(False), NOW))
    assert effects == [Release(OTHER)]
    assert OTHER in view.passive
    assert said(view.timer(PLAN, NOW + LARGE.refused_us - 1)) == []
    assert said(view.timer(PLAN, NOW + LARGE.refused_us)) == [Dial(OTHER, Priority.URGENT)]


def test_an_answer_that_nobody_asked_for_means_nothing() -> None:
    view = overlay()
    view.link_up(OTHER, False, NOW)
    assert said(view.receive(OTHER, NeighborAnswer(True), NOW)) == []
    assert said(view.receive(name(99), NeighborAnswer(True), NOW)) == []


def test_a_request_without_an_answer_is_given_up_after_two_seconds() -> None:
    view = overlay()
    view.link_up(OTHER, True, NOW)
    assert said(view.timer(PLAN, NOW + LARGE.ask_us - 1)) == []
    assert said(view.timer(PLAN, NOW + LARGE.ask_us)) == [Release(OTHER)]


def test_a_dialler_that_never_says_why_it_came_is_taken_in_if_there_is_room() -> None:
    view = overlay()
    view.link_up(OTHER, False, NOW)
    assert said(view.timer(PLAN, NOW + LARGE.unasked_us)) == [NeighborUp(OTHER)]
    crowded = full()
    crowded.link_up(OTHER, False, NOW)
    assert said(crowded.timer(PLAN, NOW + LARGE.unasked_us)) == [Release(OTHER)]


def test_a_visitor_that_came_to_shuffle_is_never_taken_for_a_neighbor() -> None:
    view = overlay()
    view.link_up(OTHER, False, NOW)
    view.receive(OTHER, Shuffle(OTHER, 1, (name(30),)), NOW)
    assert name(30) in view.passive
    assert said(view.timer(PLAN, NOW + LARGE.unasked_us)) == []
    assert Release(OTHER) in view.timer(PLAN, NOW + 2 * LARGE.probe_for_us)
    assert OTHER not in view.active


# --- losing and filling ---------------------------------------------------------------------------------------------


def test_a_lost_neighbor_is_replaced_from_the_passive_view_at_once() -> None:
    view = overlay()
    welcome(view, *(name(10 + number) for number in range(LARGE.active)))
    for number in range(50, 55):
        view.met(name(number), NOW)
    effects = said(view.link_down(name(10), False, NOW))
    down, dial = effects
    assert down == NeighborDown(name(10))
    assert isinstance(dial, Dial)
    assert dial.peer in view.passive
    assert dial.priority is Priority.NORMAL


def test_a_dial_that_fails_leads_to_the_next_candidate_and_makes_an_exile() -> None:
    view = overlay()
    welcome(view, *(name(10 + number) for number in range(LARGE.active - 1)))
    first = view.met(name(50), NOW)
    assert said(first) == [Dial(name(50), Priority.NORMAL)]
    view.met(name(51), NOW)
    assert said(view.dial_failed(name(50), NOW)) == [Dial(name(51), Priority.NORMAL)]
    assert name(50) in view.exiles
    assert name(50) not in view.passive


def test_somebody_who_was_there_but_full_is_no_exile() -> None:
    view = overlay()
    view.met(name(50), NOW)
    view.dial_failed(name(50), NOW, there=True)
    assert name(50) not in view.exiles
    assert name(50) in view.passive


def test_whoever_is_nearly_alone_dials_eight_at_a_time() -> None:
    view = overlay()
    dials: list[OverlayEffect] = []
    for number in range(50, 70):
        dials += said(view.met(name(number), NOW))
    assert len(dials) == LARGE.dials_alone
    assert all(isinstance(dial, Dial) and dial.priority is Priority.URGENT for dial in dials)


def test_when_the_passive_view_is_used_up_the_reserve_is_asked() -> None:
    view = overlay(OverlayConfig(small_mesh=0, probe_us=0, shuffle_us=0, passive=2, active=1, active_max=2, outbound=0))
    welcome(view, CONTACT)
    for number in range(50, 60):
        view.met(name(number), NOW)
    assert len(view.pool.reserve) == 8
    down = view.link_down(CONTACT, False, NOW)
    tried = [effect.peer for effect in down if isinstance(effect, Dial)]
    for peer in tried:
        tried += [effect.peer for effect in view.dial_failed(peer, NOW) if isinstance(effect, Dial)]
    assert set(tried) >= {name(number) for number in range(50, 60)}


def test_a_link_that_ends_in_good_order_makes_no_exile() -> None:
    view = overlay()
    welcome(view, OTHER)
    assert said(view.link_down(OTHER, True, NOW)) == [NeighborDown(OTHER)]
    assert OTHER in view.passive
    assert OTHER not in view.exiles


def test_a_second_link_to_a_neighbor_and_a_link_down_without_a_link_change_nothing() -> None:
    view = overlay()
    welcome(view, OTHER)
    assert said(view.link_up(OTHER, False, NOW)) == []
    assert view.link_down(name(77), False, NOW) == []
    assert list(view.active) == [OTHER]


# --- small meshes ---------------------------------------------------------------------------------------------------


def test_a_small_mesh_is_fully_linked_without_asking() -> None:
    view = overlay(OverlayConfig())
    for number in range(1, 16):
        effects = said(view.link_up(name(number), number % 2 == 0, NOW))
        assert effects == [NeighborUp(name(number))]
    assert view.is_small()
    assert len(view.active) == 15


def test_a_mesh_that_outgrows_sixteen_lets_go_of_two_neighbors_a_second() -> None:
    config = OverlayConfig(outbound=0, oldest=0)
    view = overlay(config)
    for number in range(1, 16):
        view.link_up(name(number), False, NOW)
    released = [effect for effect in view.met(name(30), NOW) if isinstance(effect, Release)]
    assert not view.is_small()
    assert len(released) == 1
    now = NOW
    for _ in range(10):
        now += config.evict_us // 4
        released += [effect for effect in view.timer(PLAN, now) if isinstance(effect, Release)]
    assert len(released) == 15 - config.active_max
    assert len(view.active) == config.active_max


def test_whoever_finds_out_that_the_mesh_is_large_joins_it() -> None:
    view = overlay(OverlayConfig())
    view.link_up(CONTACT, True, NOW)
    effects: list[OverlayEffect] = []
    for number in range(20, 36):
        effects += view.met(name(number), NOW)
    assert effects.count(Tell(CONTACT, Join())) == 1
    assert not view.is_small()


# --- the paper's own setting ----------------------------------------------------------------------------------------


def test_the_papers_setting_remembers_nobody_who_is_lost() -> None:
    view = overlay(hyparview_paper())
    welcome(view, CONTACT, OTHER)
    view.link_down(CONTACT, False, NOW)
    assert len(view.exiles) == 0
    assert CONTACT not in view.passive


def test_the_papers_setting_always_makes_room_for_a_join() -> None:
    view = full(hyparview_paper())
    for number in range(100, 110):
        view.link_up(name(number), False, NOW)
        assert NeighborUp(name(number)) in view.receive(name(number), Join(), NOW)
        assert len(view.active) == 5


@pytest.mark.parametrize("key", [SHUFFLE, PROBE])
def test_timers_run_only_while_there_is_a_neighbor(key: tuple[str, ...]) -> None:
    config = OverlayConfig(small_mesh=0)
    view = overlay(config)
    assert key not in [effect.key for effect in view.met(OTHER, NOW) if isinstance(effect, SetTimer)]
    view.link_up(OTHER, False, NOW)
    wakes = {
        effect.key: effect.at for effect in view.receive(OTHER, Neighbor(False), NOW) if isinstance(effect, SetTimer)
    }
    assert wakes[key] > NOW
    view.link_down(OTHER, False, NOW + 1)
    again = view.timer(key, wakes[key])
    assert key not in [effect.key for effect in again if isinstance(effect, SetTimer)]


def test_a_walk_may_not_be_dialled_while_it_is_refused() -> None:
    view = overlay()
    welcome(view, CONTACT)
    view.link_up(OTHER, True, NOW)
    view.receive(OTHER, NeighborAnswer(False), NOW)
    assert Dial(OTHER, Priority.URGENT) not in view.receive(CONTACT, ForwardJoin(OTHER, 0), NOW + MINUTE // 60)
