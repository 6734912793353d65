"""What the overlay remembers: exiles and their pace, bridges, protected slots, shuffles, islands."""

from __future__ import annotations

from itertools import pairwise

from protocol.clock import MINUTE, MS, SECOND
from protocol.ids import AuthorId
from protocol.membership.exiles import Exiles
from protocol.membership.members import Member, Slots, evictable
from protocol.membership.overlay import PLAN, PROBE, Overlay
from protocol.membership.overlay_values import (
    Dial,
    ForwardJoin,
    NeighborParting,
    NeighborUp,
    OverlayConfig,
    Priority,
    Release,
    Shuffle,
    ShuffleAnswer,
    Tell,
)
from protocol.membership.pool import Pool
from protocol.membership.shuffles import Shuffles
from protocol.rng import Rng
from protocol.wire.joining import Neighbor, NeighborAnswer
from tests.unit.protocol.overlay_net import name
from tests.unit.protocol.test_overlay_neighbors import LARGE, ME, NOW, full, overlay, said, welcome

ANN, BEN, CAT = name(1), name(2), name(3)


# --- exiles ---------------------------------------------------------------------------------------------------------


def exiles(config: OverlayConfig = LARGE) -> Exiles:
    return Exiles(config, Rng(5))


def test_a_lost_neighbor_is_dialled_each_second_for_a_minute_and_then_in_turn_for_ever() -> None:
    table = exiles()
    table.add(ANN, NOW, NOW, was_neighbor=True)
    now, tried = NOW, []
    while now < NOW + 10 * MINUTE:
        now += 50 * MS
        due, _ = table.due(8, 20, now, alone=False)
        for peer in due:
            tried.append(now - NOW)
            table.dialled(peer)
            table.failed(peer, 20, now)
    first_minute = [at for at in tried if at <= MINUTE]
    assert first_minute[0] <= 250 * MS
    assert 48 <= len(first_minute) <= 75
    gaps = [after - before for before, after in pairwise(tried) if before > 65 * SECOND]
    assert len(gaps) > 10, "nobody is ever given up"
    assert min(gaps) >= 5 * SECOND
    assert max(gaps) <= 2 * 30 * SECOND


def test_the_pace_is_five_seconds_among_few_peers_and_thirty_among_many() -> None:
    table = exiles()
    assert [table.pace(known) for known in (1, 10, 32, 64, 1_000)] == [
        5 * SECOND,
        5 * SECOND,
        15 * SECOND,
        30 * SECOND,
        30 * SECOND,
    ]


def test_exiles_are_bounded_and_those_who_never_were_neighbors_give_way_first() -> None:
    table = exiles(OverlayConfig(exiles=3))
    table.add(ANN, NOW, NOW, was_neighbor=False)
    table.add(BEN, NOW, NOW, was_neighbor=True)
    table.add(CAT, NOW, NOW + 1, was_neighbor=True)
    table.add(name(4), NOW, NOW + 2, was_neighbor=True)
    assert list(table) == [BEN, CAT, name(4)]
    table.add(name(5), NOW, NOW + 3, was_neighbor=False)
    assert list(table) == [BEN, CAT, name(4)], "a neighbor does not give way to a stranger"
    table.add(name(6), NOW, NOW + 4, was_neighbor=True)
    assert list(table) == [CAT, name(4), name(6)], "the one lost longest ago does"


def forty() -> Exiles:
    """Forty who did not answer, and the first turn drawn."""
    table = exiles()
    for number in range(40):
        table.add(name(number), NOW, NOW, was_neighbor=False)
    table.due(8, 60, NOW, alone=False)
    return table


def test_exiles_who_never_were_neighbors_take_turns() -> None:
    assert len(forty().due(8, 60, NOW + MINUTE, alone=False)[0]) == 2


def dialled_alone(table: Exiles, began: int, lasts: int) -> list[tuple[int, AuthorId]]:
    """Whom a hub without neighbors dials, in which second; nobody answers."""
    tried: list[tuple[int, AuthorId]] = []
    under_way: list[AuthorId] = []
    for now in range(began, began + lasts, 500 * MS):
        for peer in under_way:
            table.failed(peer, 60, now)
        under_way, _ = table.due(8, 60, now, alone=True)
        for peer in under_way:
            table.dialled(peer)
            tried.append(((now - began) // SECOND, peer))
    return tried


def test_whoever_is_left_alone_dials_everybody_at_once_and_then_eight_in_a_turn_of_half_a_minute() -> None:
    tried = dialled_alone(forty(), NOW + MINUTE, 31 * MINUTE)
    assert len({peer for second, peer in tried if second < 4}) == 40, "a burst, eight at a time"
    by_minute = [sum(minute == second // 60 for second, _ in tried) for minute in range(1, 31)]
    assert max(by_minute) <= 32
    assert sum(by_minute) <= 30 * 20
    assert len({peer for second, peer in tried if second >= 28 * MINUTE // SECOND}) == 40, "nobody is given up"


def test_whoever_is_left_alone_again_and_again_does_not_dial_everybody_each_time() -> None:
    table = forty()
    tried = 0
    for now in range(NOW + MINUTE, NOW + 2 * MINUTE, 500 * MS):
        due, _ = table.due(8, 60, now, alone=now // SECOND % 2 == 0)
        tried += len(due)
        for peer in due:
            table.dialled(peer)
            table.failed(peer, 60, now)
    assert tried <= 2 * 40 + 2 * 8


def test_a_changed_network_makes_every_exile_due_within_two_seconds() -> None:
    view = overlay()
    welcome(view, *(name(10 + number) for number in range(LARGE.active)))
    for number in range(50, 54):
        view.exiles.add(name(number), NOW, NOW, was_neighbor=False)
    view.network_changed(NOW)
    dials = said(view.timer(PLAN, NOW + 2 * SECOND + 1))
    assert {dial.peer for dial in dials if isinstance(dial, Dial)} == {name(number) for number in range(50, 54)}
    assert all(isinstance(dial, Dial) and dial.priority is Priority.LAZY for dial in dials)


def test_a_restored_exile_is_looked_for_at_once() -> None:
    view = overlay()
    view.exiles.restore(ANN, NOW)
    assert Dial(ANN, Priority.URGENT) in view.timer(PLAN, NOW + SECOND)


def test_discovery_makes_an_exile_due_and_does_not_make_it_passive() -> None:
    view = overlay()
    view.exiles.add(ANN, NOW, NOW - MINUTE, was_neighbor=False)
    view.met(ANN, NOW)
    assert ANN not in view.passive
    assert Dial(ANN, Priority.URGENT) in view.timer(PLAN, NOW + 200 * MS)


# --- bridges --------------------------------------------------------------------------------------------------------


def back_after(lost_us: int) -> tuple[Overlay, list[object]]:
    """ANN was a neighbor, was lost, and is back."""
    view = overlay()
    welcome(view, ANN, *(name(10 + number) for number in range(5)))
    view.link_down(ANN, False, NOW)
    view.link_up(ANN, False, NOW + lost_us)
    return view, list(view.receive(ANN, Neighbor(False), NOW + lost_us))


def test_a_link_to_a_long_lost_peer_is_a_bridge_that_is_kept_and_announced() -> None:
    view, effects = back_after(30 * SECOND)
    assert NeighborUp(ANN, bridge=True) in effects
    walks = [e for e in effects if isinstance(e, Tell) and e.message == ForwardJoin(ANN, LARGE.arwl)]
    assert len(walks) == 4
    looks = [e for e in effects if isinstance(e, Tell) and e.peer == ANN and isinstance(e.message, Shuffle)]
    assert len(looks) == 1, "each side learns whom the other knows"
    assert ANN not in evictable(view.active, view.config, NOW + 31 * SECOND)
    assert ANN in evictable(view.active, view.config, NOW + 30 * SECOND + view.config.bridge_us)


def test_a_link_that_was_lost_for_a_moment_is_no_bridge() -> None:
    _, effects = back_after(2 * SECOND)
    assert NeighborUp(ANN, bridge=False) in effects


def test_a_bridge_makes_the_other_exiles_due_because_the_path_may_be_back() -> None:
    view = overlay()
    welcome(view, ANN, BEN, *(name(10 + number) for number in range(5)))
    view.link_down(ANN, False, NOW)
    view.link_down(BEN, False, NOW)
    view.dial_failed(ANN, NOW)
    later = NOW + 5 * MINUTE
    for peer in (ANN, BEN):
        view.exiles.dialled(peer)
        view.exiles.failed(peer, 300, later)
    view.link_up(ANN, False, later + 1)
    view.receive(ANN, Neighbor(False), later + 1)
    assert Dial(BEN, Priority.LAZY) in view.timer(PLAN, later + 2 * SECOND + 2)


def test_an_exile_that_answers_a_full_hub_shares_what_it_knows_and_goes() -> None:
    view = full()
    view.exiles.add(ANN, NOW, NOW, was_neighbor=True)
    view.exiles.hurry(ANN, NOW, 1)
    assert said(view.timer(PLAN, NOW + 2)) == [Dial(ANN, Priority.LAZY)]
    (look,) = said(view.link_up(ANN, True, NOW + SECOND))
    assert isinstance(look, Tell)
    assert isinstance(look.message, Shuffle)
    assert look.message.ttl == 1
    effects = said(view.receive(ANN, ShuffleAnswer(ME, (name(90),)), NOW + SECOND))
    assert effects == [Release(ANN)]
    assert ANN in view.passive
    assert name(90) in view.passive


# --- slots ----------------------------------------------------------------------------------------------------------


def test_requests_cannot_take_the_slots_that_are_kept_for_our_own_choice() -> None:
    view = overlay(OverlayConfig(small_mesh=0, probe_us=0, shuffle_us=0, outbound=2))
    taken = 0
    for number in range(10, 30):
        view.link_up(name(number), False, NOW)
        taken += NeighborUp(name(number)) in view.receive(name(number), Neighbor(False), NOW)
    assert taken == 6
    welcome(view, ANN, BEN, initiator=True)
    assert len(view.active) == 8


def test_nobody_can_push_out_whom_we_chose_who_is_known_longest_or_who_is_nearest() -> None:
    config = OverlayConfig(outbound=2, oldest=1, bridges=1)
    active = {name(number): Member(initiator=number in (1, 2, 3), since=NOW, known_at=NOW) for number in range(1, 9)}
    active[name(5)].known_at = NOW - MINUTE
    active[name(6)].near = True
    active[name(7)].bridge_until = NOW + 1
    assert evictable(active, config, NOW) == [name(3), name(4), name(8)]


def test_evictions_are_two_seconds_apart() -> None:
    slots = Slots(LARGE, Rng(1))
    active = {ANN: Member(initiator=False, since=NOW, known_at=NOW)}
    assert slots.victim(active, NOW) == ANN
    slots.evicted_at = NOW
    assert slots.victim(active, NOW + LARGE.evict_us - 1) is None
    assert slots.victim(active, NOW + LARGE.evict_us) == ANN


def near_and_far() -> Overlay:
    """Six neighbors 40 ms away or more, and a probe of ANN under way."""
    view = overlay(OverlayConfig(small_mesh=0, shuffle_us=0, outbound=0, oldest=0, mix=0))
    peers = [name(10 + number) for number in range(6)]
    welcome(view, *peers)
    for number, peer in enumerate(peers):
        view.measured(peer, (40 + number) * MS, NOW)
    view.met(ANN, NOW)
    assert Dial(ANN, Priority.LAZY) in view.timer(PROBE, NOW + MINUTE)
    view.link_up(ANN, True, NOW + MINUTE)
    return view


def test_a_clearly_nearer_peer_takes_the_place_of_the_farthest_neighbor() -> None:
    view = near_and_far()
    later = NOW + MINUTE
    assert said(view.measured(ANN, 19 * MS, later)) == [Tell(ANN, Neighbor(False))]
    effects = said(view.receive(ANN, NeighborAnswer(True), later))
    assert effects == [NeighborParting(name(15)), Tell(name(15), NeighborAnswer(False)), NeighborUp(ANN)]
    assert view.active[ANN].near


def test_a_peer_that_is_hardly_nearer_takes_nobodys_place() -> None:
    view = near_and_far()
    later = NOW + MINUTE
    assert said(view.measured(ANN, 21 * MS, later)) == []
    assert Release(ANN) in view.timer(PLAN, later + view.config.probe_for_us)


# --- shuffles -------------------------------------------------------------------------------------------------------


def test_a_shuffle_goes_on_while_its_way_is_not_at_an_end_and_the_answer_comes_back_the_same_way() -> None:
    view = overlay()
    welcome(view, ANN, BEN)
    origin = name(40)
    shuffle = Shuffle(origin, 3, (name(41),))
    assert said(view.receive(ANN, shuffle, NOW)) == [Tell(BEN, Shuffle(origin, 2, (name(41),)))]
    answer = ShuffleAnswer(origin, (name(42),))
    assert said(view.receive(BEN, answer, NOW)) == [Tell(ANN, answer)]
    assert said(view.receive(BEN, answer, NOW)) == [], "one answer for one shuffle"
    assert name(42) not in view.passive


def test_where_a_shuffle_ends_both_sides_learn() -> None:
    view = full()
    for number in range(60, 65):
        view.pool.add(name(number))
    origin = name(40)
    (answer,) = said(view.receive(name(10), Shuffle(origin, 1, (name(41), name(42))), NOW))
    assert isinstance(answer, Tell)
    assert isinstance(answer.message, ShuffleAnswer)
    assert answer.peer == name(10)
    assert answer.message.origin == origin
    assert len(answer.message.peers) == 3
    assert {origin, name(41), name(42)} <= set(view.passive)


def test_a_shuffle_makes_nobody_dial_its_origin() -> None:
    view = full()
    effects = view.receive(name(10), Shuffle(name(40), 1, ()), NOW)
    assert not [effect for effect in effects if isinstance(effect, Dial)]


def test_a_shuffle_that_names_too_many_is_taken_for_as_many_as_an_honest_one() -> None:
    view = full()
    view.receive(name(10), Shuffle(name(40), 1, tuple(name(100 + number) for number in range(50))), NOW)
    assert len(view.passive) == 1 + LARGE.shuffle_active + LARGE.shuffle_passive


def test_ways_back_are_bounded() -> None:
    pool = Pool(ME, LARGE, Rng(1))
    machine = Shuffles(ME, LARGE, pool, Rng(2))
    for number in range(500):
        machine.received(ANN, Shuffle(name(1_000 + number), 4, ()), {ANN: None, BEN: None}, ())
    assert len(machine._walks) == 64


def test_what_a_shuffle_brings_takes_the_place_of_what_it_gave() -> None:
    config = OverlayConfig(passive=2, reserve=1)
    pool = Pool(ME, config, Rng(1))
    pool.add(ANN)
    pool.add(BEN)
    pool.add(CAT, (BEN,))
    assert list(pool.passive) == [ANN, CAT]
    assert list(pool.reserve) == [BEN]
    pool.add(ME)
    assert ME not in pool.passive
    pool.add(name(4), (ANN,))
    assert len(pool.passive) == 2
    assert list(pool.reserve) == [ANN]


def test_a_peer_that_nobody_can_dial_is_not_known() -> None:
    view = overlay()
    view.exiles.add(ANN, NOW, NOW, was_neighbor=True)
    view.pool.add(BEN)
    view.forget(ANN)
    view.forget(BEN)
    assert view.known() == 0


# --- islands --------------------------------------------------------------------------------------------------------


def test_whoever_sees_only_an_island_tries_to_stay_with_somebody_outside() -> None:
    view = overlay(OverlayConfig(shuffle_us=0, outbound=0, oldest=0))
    island: tuple[AuthorId, ...] = tuple(name(10 + number) for number in range(8))
    for peer in island:
        view.link_up(peer, False, NOW)
    for number in range(100, 140):
        view.pool.add(name(number))
    for peer in island:
        view.announced(peer, (ME, *island), NOW)
    assert view.is_island()
    later = NOW + MINUTE
    (dial,) = said(view.timer(PROBE, later))
    assert isinstance(dial, Dial)
    (ask,) = said(view.link_up(dial.peer, True, later))
    assert ask == Tell(dial.peer, Neighbor(True))
    effects = said(view.receive(dial.peer, NeighborAnswer(True), later))
    assert NeighborUp(dial.peer, bridge=True) in effects
    assert len([effect for effect in effects if isinstance(effect, NeighborParting)]) == 1
    assert len(view.active) == 8
