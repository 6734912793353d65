"""Eager and lazy: who is pushed to, who is told, and how duplicates, grafts and lost neighbors change that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.clock import MS, SECOND
from protocol.effects import SetTimer
from protocol.errors import LocalProtocolError, Reason
from protocol.gossip.trees import TIMER, Deliver, Push, Refused, Trees, TreesConfig, TreesEffect
from protocol.ids import AuthorId
from protocol.rng import Rng
from protocol.wire.messages import Gossip, IHave, TreeGraft, TreeMessage, TreePrune

ANN, BEN, CAT, DAN = (AuthorId(name.encode() * 32) for name in "abcd")
ME = AuthorId(b"m" * 32)
AT_ONCE = TreesConfig(ihave_us=0, ihave_ids_max=1, recent_max=0, own_max=0)
"""Announcements leave as they are made, so that one effect list says everything."""


def hub(config: TreesConfig = AT_ONCE, *peers: AuthorId) -> Trees:
    """A machine with neighbors (Ann, Ben and Cat)."""
    trees = Trees(config, Rng(1))
    for peer in peers or (ANN, BEN, CAT):
        trees.neighbor_up(peer, 0)
    return trees


def name(number: int) -> bytes:
    """The id of a message."""
    return number.to_bytes(16, "big")


def told(number: int, author: AuthorId = DAN, hops: int = 3, tree: int = 0) -> Gossip:
    """A message on its way."""
    return Gossip(name(number), author, hops, tree, b"payload")


def word(number: int, hops: int = 3) -> IHave:
    """Word of a message."""
    return IHave(name(number)[-4:] + bytes((hops,)))


def pushes(effects: list[TreesEffect]) -> list[tuple[AuthorId, TreeMessage]]:
    """What is sent to whom."""
    return [(effect.peer, effect.message) for effect in effects if isinstance(effect, Push)]


def delivered(effects: list[TreesEffect]) -> list[bytes]:
    """The ids that were delivered."""
    return [effect.id for effect in effects if isinstance(effect, Deliver)]


def wake(effects: list[TreesEffect]) -> int:
    """When the machine wants to be woken."""
    return next(effect.at for effect in reversed(effects) if isinstance(effect, SetTimer))


def lazy(trees: Trees, *peers: AuthorId) -> None:
    """These have pruned the shared tree."""
    for peer in peers:
        trees.receive(peer, TreePrune(None), 0)


# --- eager ------------------------------------------------------------------------------------------------------


def test_our_own_message_is_pushed_to_everybody_and_not_delivered_here() -> None:
    trees = hub()
    effects = trees.broadcast(name(1), ME, b"payload", 0)
    onward = Gossip(name(1), ME, 1, 0, b"payload")
    assert pushes(effects) == [(ANN, onward), (BEN, onward), (CAT, onward)]
    assert delivered(effects) == []


def test_a_new_message_is_delivered_and_pushed_to_all_others_with_a_hop_more() -> None:
    effects = hub().receive(ANN, told(1, hops=3), 5)
    assert effects[0] == Deliver(name(1), DAN, b"payload", 3, ANN)
    assert pushes(effects) == [(BEN, told(1, hops=4)), (CAT, told(1, hops=4))]


def test_hops_stop_counting_at_255_and_the_message_goes_on() -> None:
    assert pushes(hub().receive(ANN, told(1, hops=255), 0))[0] == (BEN, told(1, hops=255))


def test_a_duplicate_prunes_the_link_both_ways() -> None:
    trees = hub()
    trees.receive(ANN, told(1), 0)
    effects = trees.receive(BEN, told(1), 0)
    assert effects == [Refused(BEN, Reason.DUPLICATE), Push(BEN, TreePrune(None))]
    effects = trees.receive(ANN, told(2), 0)
    assert pushes(effects) == [(CAT, told(2, hops=4)), (BEN, word(2, hops=4))]


def test_a_second_copy_over_the_same_link_prunes_nobody() -> None:
    trees = hub()
    trees.receive(ANN, told(1), 0)
    assert trees.receive(ANN, told(1), 0) == [Refused(ANN, Reason.DUPLICATE)]


def test_whoever_still_pushes_is_told_again_but_not_for_every_message() -> None:
    trees = hub()
    for number in (1, 2):
        trees.receive(ANN, told(number), 0)
    assert pushes(trees.receive(BEN, told(1), 0)) == [(BEN, TreePrune(None))]
    assert pushes(trees.receive(BEN, told(2), SECOND - 1)) == []
    assert pushes(trees.receive(BEN, told(2), SECOND)) == [(BEN, TreePrune(None))]


def test_whoever_prunes_is_told_and_not_pushed_to() -> None:
    trees = hub()
    lazy(trees, BEN)
    assert pushes(trees.receive(ANN, told(1), 0)) == [(CAT, told(1, hops=4)), (BEN, word(1, hops=4))]


def test_a_message_from_a_lazy_neighbor_makes_it_eager() -> None:
    trees = hub()
    lazy(trees, BEN)
    trees.receive(BEN, told(1), 0)
    assert (BEN, told(2, hops=4)) in pushes(trees.receive(ANN, told(2), 0))


# --- lazy -------------------------------------------------------------------------------------------------------


def test_word_of_a_known_message_changes_nothing() -> None:
    trees = hub()
    trees.receive(ANN, told(1), 0)
    assert trees.receive(BEN, word(1), 0) == []


def test_a_message_that_does_not_come_is_asked_for_and_the_link_grafted() -> None:
    trees = hub()
    assert wake(trees.receive(BEN, word(1), 0)) == 300 * MS
    assert pushes(trees.timer(TIMER, 300 * MS)) == [(BEN, TreeGraft(None, name(1)[-4:]))]


def test_a_message_that_comes_in_time_is_not_asked_for() -> None:
    trees = hub()
    trees.receive(BEN, word(1), 0)
    effects = trees.receive(ANN, told(1), 200 * MS)
    assert pushes(effects) == [(CAT, told(1, hops=4))]  # Ben holds it
    assert pushes(trees.timer(TIMER, 300 * MS)) == []


def test_the_next_who_announced_it_is_asked_when_the_first_does_not_answer() -> None:
    trees = hub()
    trees.receive(BEN, word(1), 0)
    trees.receive(CAT, word(1), 1)
    trees.timer(TIMER, 300 * MS)
    assert pushes(trees.timer(TIMER, 450 * MS)) == [(CAT, TreeGraft(None, name(1)[-4:]))]
    assert pushes(trees.timer(TIMER, 600 * MS)) == []
    assert trees.statistics().missing == 0


def test_whoever_promised_in_vain_is_asked_last_from_then_on() -> None:
    trees = hub()
    trees.receive(BEN, word(1), 0)
    trees.timer(TIMER, 300 * MS)
    trees.timer(TIMER, 450 * MS)
    trees.receive(BEN, word(2), SECOND)
    trees.receive(CAT, word(2), SECOND)
    assert pushes(trees.timer(TIMER, SECOND + 300 * MS)) == [(CAT, TreeGraft(None, name(2)[-4:]))]


def test_all_that_one_neighbor_is_asked_for_goes_in_messages_of_64() -> None:
    trees = hub(TreesConfig())
    for number in range(100):
        trees.receive(BEN, word(number), 0)
    grafts = pushes(trees.timer(TIMER, 300 * MS))
    assert [len(graft.ids) // 4 for _, graft in grafts if isinstance(graft, TreeGraft)] == [64, 36]


def test_a_graft_of_a_message_is_answered_with_it_and_makes_the_link_eager() -> None:
    trees = hub()
    lazy(trees, BEN)
    trees.receive(ANN, told(1), 0)
    effects = trees.receive(BEN, TreeGraft(None, name(1)[-4:]), 0)
    assert pushes(effects) == [(BEN, told(1, hops=4))]
    assert (BEN, told(2, hops=4)) in pushes(trees.receive(ANN, told(2), 0))


def test_a_message_is_given_only_once_on_request() -> None:
    trees = hub()
    trees.receive(ANN, told(1), 0)
    graft = TreeGraft(None, name(1)[-4:] * 3)
    assert len(pushes(trees.receive(BEN, graft, 0))) == 1
    assert pushes(trees.receive(BEN, graft, 0)) == []


def test_a_graft_of_the_tree_makes_the_link_eager_and_sends_nothing() -> None:
    trees = hub()
    lazy(trees, BEN)
    assert trees.receive(BEN, TreeGraft(None, b""), 0) == []
    assert trees.statistics().lazy == 0


# --- batches ----------------------------------------------------------------------------------------------------


def test_announcements_wait_and_leave_together() -> None:
    trees = hub(TreesConfig())
    lazy(trees, BEN)
    at = wake(trees.receive(ANN, told(1), 0))
    assert 125 * MS <= at <= 501 * MS
    trees.receive(ANN, told(2), 1)
    assert (BEN, IHave(word(1, hops=4).entries + word(2, hops=4).entries)) in pushes(trees.timer(TIMER, at))


def test_nothing_is_announced_to_whoever_has_announced_it() -> None:
    trees = hub(TreesConfig())
    lazy(trees, BEN)
    at = wake(trees.receive(ANN, told(1), 0))
    trees.receive(BEN, word(1), 1)
    assert pushes(trees.timer(TIMER, at)) == []


def test_a_full_batch_leaves_at_once() -> None:
    trees = hub(TreesConfig(ihave_ids_max=2))
    lazy(trees, BEN)
    assert pushes(trees.receive(ANN, told(1), 0)) == [(CAT, told(1, hops=4))]
    assert (BEN, IHave(word(1, hops=4).entries + word(2, hops=4).entries)) in pushes(trees.receive(ANN, told(2), 1))


# --- neighbors --------------------------------------------------------------------------------------------------


def test_a_new_neighbor_is_told_what_was_said_lately() -> None:
    trees = hub(replace(TreesConfig(), recent_max=2))
    for number in (1, 2, 3):
        trees.receive(ANN, told(number), 0)
    at = wake(trees.neighbor_up(DAN, 10))
    entries = word(2, hops=4).entries + word(3, hops=4).entries
    assert (DAN, IHave(entries)) in pushes(trees.timer(TIMER, at))


def test_when_the_parent_goes_a_lazy_neighbor_is_grafted_at_once() -> None:
    trees = hub()
    lazy(trees, BEN)
    trees.receive(ANN, told(1), 0)
    assert trees.neighbor_down(ANN, 1) == [Push(BEN, TreeGraft(None, b""))]
    assert trees.neighbor_down(ANN, 1) == []


def test_when_another_than_the_parent_goes_nobody_is_grafted() -> None:
    trees = hub()
    lazy(trees, BEN)
    trees.receive(ANN, told(1), 0)
    assert trees.neighbor_down(CAT, 1) == []


def test_nobody_is_asked_who_has_gone() -> None:
    trees = hub()
    trees.receive(BEN, word(1), 0)
    trees.receive(CAT, word(1), 0)
    trees.neighbor_down(BEN, 1)
    assert pushes(trees.timer(TIMER, 300 * MS)) == [(CAT, TreeGraft(None, name(1)[-4:]))]


def test_when_whoever_was_asked_goes_the_next_is_asked_at_once() -> None:
    trees = hub()
    trees.receive(BEN, word(1), 0)
    trees.receive(CAT, word(1), 0)
    trees.timer(TIMER, 300 * MS)
    assert wake(trees.neighbor_down(BEN, 310 * MS)) == 310 * MS + 1
    assert pushes(trees.timer(TIMER, 310 * MS + 1)) == [(CAT, TreeGraft(None, name(1)[-4:]))]


def test_a_neighbor_that_comes_back_is_eager_again() -> None:
    trees = hub()
    lazy(trees, BEN)
    trees.neighbor_down(BEN, 0)
    trees.neighbor_up(BEN, 0)
    assert (BEN, told(1, hops=4)) in pushes(trees.receive(ANN, told(1), 0))


@pytest.mark.parametrize("message", [told(1), word(1), TreeGraft(None, b""), TreePrune(None)])
def test_what_comes_from_nobody_we_know_has_no_effect(message: TreeMessage) -> None:
    assert hub().receive(DAN, message, 0) == [Refused(DAN, Reason.UNKNOWN_LINK)]


# --- our own mistakes -------------------------------------------------------------------------------------------


def test_a_message_of_our_own_must_be_one_that_may_travel() -> None:
    trees = hub()
    for wrong, payload in ((b"i" * 20, b"p"), (name(1), b""), (name(1), bytes(4_097)), (b"i" * 33, b"p")):
        with pytest.raises(LocalProtocolError):
            trees.broadcast(wrong, ME, payload, 0)
    trees.broadcast(name(1), ME, b"p", 0)
    with pytest.raises(LocalProtocolError):
        trees.broadcast(name(1), ME, b"p", 0)
