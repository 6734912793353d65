"""What a hostile neighbor can make the trees remember, send and wait for: nothing without a bound."""

from __future__ import annotations

from dataclasses import replace

from protocol import limits
from protocol.clock import MS, SECOND
from protocol.effects import SetTimer
from protocol.errors import Reason
from protocol.flow import Flow
from protocol.gossip.branches import Branches, BranchesConfig
from protocol.gossip.recent import Recent
from protocol.gossip.trees import TIMER, Refused, Trees, TreesConfig
from protocol.ids import AuthorId
from protocol.rng import Rng
from protocol.wire.messages import Gossip, IHave, TreeGraft, TreePrune
from tests.unit.protocol.test_trees_links import ANN, AT_ONCE, BEN, CAT, DAN, delivered, hub, lazy, name, pushes, told

GENERATION = 15 * SECOND


def entries(first: int, count: int) -> IHave:
    """Word of many messages that nobody has."""
    return IHave(b"".join(number.to_bytes(4, "big") + b"\x01" for number in range(first, first + count)))


def drive(trees: Trees, now: int, until: int) -> int:
    """Fire the timer whenever it is due, from ``now`` to ``until``; how often."""
    fired = 0
    effects = trees.timer(TIMER, now)
    while (at := next((e.at for e in effects if isinstance(e, SetTimer)), None)) is not None and at <= until:
        effects = trees.timer(TIMER, at)
        fired += 1
    return fired


# --- announcements ----------------------------------------------------------------------------------------------


def test_one_neighbor_can_make_us_wait_for_so_many_messages_and_no_more() -> None:
    trees = hub(replace(TreesConfig(), per_peer_max=300))
    assert Refused(ANN, Reason.PENDING_LIMIT) not in trees.receive(ANN, entries(0, 256), 0)
    assert Refused(ANN, Reason.PENDING_LIMIT) in trees.receive(ANN, entries(256, 256), 0)
    assert trees.statistics().missing == 300
    trees.receive(BEN, entries(1_000, 256), 0)
    assert trees.statistics().missing == 556


def test_what_is_announced_and_never_comes_is_forgotten() -> None:
    trees = hub(TreesConfig())
    for peer in (ANN, BEN, CAT):
        trees.receive(peer, entries(0, 256), 0)
    drive(trees, 0, 5 * SECOND)
    assert trees.statistics().missing == 0


def test_the_place_of_an_announcement_is_free_again_after_its_end() -> None:
    trees = hub(replace(TreesConfig(), per_peer_max=256))
    trees.receive(ANN, entries(0, 256), 0)
    drive(trees, 0, SECOND)
    assert Refused(ANN, Reason.PENDING_LIMIT) not in trees.receive(ANN, entries(300, 256), SECOND)


def test_announcements_of_whoever_leaves_are_forgotten_in_time() -> None:
    trees = hub(TreesConfig())
    trees.receive(ANN, entries(0, 256), 0)
    trees.neighbor_down(ANN, 1)
    trees.neighbor_up(ANN, 2)
    assert pushes(trees.timer(TIMER, 300 * MS)) == []
    assert trees.statistics().missing == 0


def test_more_announcements_than_one_message_may_name_leave_in_two() -> None:
    trees = hub(replace(TreesConfig(), recent_max=256, ihave_ids_max=256))
    for number in range(300):
        trees.receive(ANN, told(number), 0)
    trees.neighbor_up(DAN, 0)
    lazy(trees, DAN)
    said = [message for peer, message in pushes(trees.receive(ANN, told(300), 0)) if peer == DAN]
    assert [len(message.entries) for message in said if isinstance(message, IHave)] == [256 * 5, 5]


# --- questions --------------------------------------------------------------------------------------------------


def test_what_is_not_held_is_not_answered() -> None:
    assert hub().receive(ANN, TreeGraft(None, b"xxxx" * 64), 0) == []


def test_one_neighbor_can_ask_for_so_many_messages_in_a_generation_and_no_more() -> None:
    trees = hub(replace(AT_ONCE, per_peer_max=2))
    for number in (1, 2, 3):
        trees.receive(ANN, told(number), 0)
    asked = TreeGraft(None, b"".join(name(number)[-4:] for number in (1, 2, 3)))
    effects = trees.receive(BEN, asked, 0)
    assert len(pushes(effects)) == 2
    assert Refused(BEN, Reason.PENDING_LIMIT) in effects
    trees.timer(TIMER, GENERATION)
    assert len(pushes(trees.receive(BEN, asked, GENERATION))) == 2


# --- the cache --------------------------------------------------------------------------------------------------


def test_messages_are_kept_for_two_generations_and_ids_for_four() -> None:
    recent = Recent(GENERATION, 512)
    recent.keep(told(1), ANN, 0)
    for turn in (1, 2, 3, 4):
        assert recent.knows(name(1))
        assert (recent.get(name(1)[-4:]) is not None) == (turn <= 2)
        assert not recent.expire(turn * GENERATION - 1)
        assert recent.expire(turn * GENERATION)
    assert not recent.knows(name(1))
    assert recent.turn_at() is None


def test_the_cache_is_bounded_by_count_whatever_arrives() -> None:
    trees = hub(replace(AT_ONCE, generation_count_max=10))
    for number in range(1_000):
        trees.receive(ANN, told(number), 0)
        assert trees.statistics().seen <= 40
    assert delivered(trees.receive(BEN, told(990), 0)) == []


def test_after_two_quiet_generations_no_payload_is_left_and_after_four_no_timer_runs() -> None:
    trees = hub()
    trees.receive(ANN, told(1), 0)
    assert drive(trees, 1, 3_600 * SECOND) == 4
    assert trees.statistics().seen == 0


# --- trees ------------------------------------------------------------------------------------------------------


def test_prunes_for_authors_that_nobody_heard_make_no_trees() -> None:
    trees = hub(TreesConfig())
    for number in range(1_000):
        trees.receive(ANN, TreePrune(AuthorId(number.to_bytes(32, "big"))), 0)
    assert trees.statistics().own_trees == 0


def test_trees_and_rates_are_bounded_whoever_speaks() -> None:
    config = BranchesConfig(
        gap_us=20 * SECOND, own_max=8, idle_us=SECOND, renew_count=9, renew_gap_us=SECOND, rates_max=16
    )
    branches = Branches(config)
    for number in range(2_000):
        author = AuthorId((number % 500).to_bytes(32, "big"))
        branches.use(author, 1, number * MS)
        branches.use(author, 2, number * MS)
        branches.adopt(author, number * MS)
        assert len(branches) <= 8
    assert sum(branches.adopt(AuthorId(n.to_bytes(32, "big")), 3 * SECOND) is not None for n in range(500)) <= 24


def test_a_relay_that_says_that_every_message_renews_makes_us_flood_only_now_and_then() -> None:
    trees = hub(TreesConfig())
    flooded = 0
    for number in range(100):
        trees.receive(ANN, told(number, tree=2), number * SECOND)
        trees.receive(BEN, told(number, tree=2), number * SECOND)
        effects = trees.receive(CAT, told(1_000 + number, DAN, tree=1), number * SECOND)
        flooded += any(isinstance(message, Gossip) and peer == BEN for peer, message in pushes(effects))
    assert flooded <= 11


# --- the queue --------------------------------------------------------------------------------------------------


def test_what_waits_for_a_link_leaves_in_order_within_room_and_count() -> None:
    flow = Flow()
    for number in range(5):
        assert flow.push(ANN, told(number))
    assert flow.collect(ANN, 1_000, 2) == [told(0), told(1)]
    assert flow.collect(ANN, 150, 10) == [told(2)]
    assert flow.waits(ANN)
    assert flow.collect(ANN, 10_000, 10) == [told(3), told(4)]
    assert not flow.waits(ANN)
    assert flow.collect(ANN, 10_000, 10) == []


def test_a_link_that_takes_nothing_is_found_too_slow_before_it_costs_more_than_its_queue() -> None:
    flow = Flow()
    large = Gossip(name(1), DAN, 1, 0, bytes(limits.GOSSIP_BYTES_MAX))
    pushed = 0
    while flow.push(ANN, large):
        pushed += 1
    assert 20 <= pushed * limits.GOSSIP_BYTES_MAX // 4_096 <= limits.FLOW_BYTES_MAX // 4_096
    assert flow.push(BEN, large)
    flow.forget(ANN)
    assert flow.push(ANN, large)


def test_the_largest_message_of_the_trees_finds_room_in_one_send() -> None:
    flow = Flow()
    flow.push(ANN, Gossip(bytes(32), DAN, 255, 2, bytes(limits.GOSSIP_BYTES_MAX)))
    flow.push(ANN, IHave(bytes(limits.IHAVE_ENTRY_BYTES * limits.IHAVE_IDS_MAX)))
    flow.push(ANN, TreeGraft(None, bytes(4 * limits.TREE_GRAFT_IDS_MAX)))
    assert len(flow.collect(ANN, limits.SEND_BYTES_MAX, 9)) == 3


def test_a_machine_without_neighbors_says_nothing_and_forgets_nothing_it_was_told() -> None:
    trees = Trees(TreesConfig(), Rng(1))
    assert pushes(trees.broadcast(name(1), DAN, b"p", 0)) == []
    at = next(effect.at for effect in trees.neighbor_up(ANN, 5) if isinstance(effect, SetTimer))
    assert pushes(trees.timer(TIMER, at)) == [(ANN, IHave(name(1)[-4:] + b"\x01"))]
    lazy(trees, ANN)
    assert trees.statistics().eager == 0
