"""Trees of their own for busy authors, and the shorter way that takes the place of a longer one (section 10)."""

from __future__ import annotations

from dataclasses import replace

from protocol.clock import SECOND
from protocol.gossip.trees import TIMER, Push, Trees, TreesConfig
from protocol.ids import AuthorId
from protocol.rng import Rng
from protocol.wire.messages import Gossip, TreeGraft, TreePrune
from tests.unit.protocol.test_trees_links import ANN, AT_ONCE, BEN, CAT, DAN, ME, hub, lazy, name, pushes, told, word

OWN = replace(AT_ONCE, own_max=2)
RENEWED = 2


def busy(config: TreesConfig = OWN) -> Trees:
    """A machine that has a tree for Dan: Ben and Cat have pruned the shared one, and all links are in Dan's."""
    trees = hub(config)
    lazy(trees, BEN, CAT)
    trees.receive(ANN, told(1), 0)
    trees.receive(ANN, told(2, tree=RENEWED), SECOND)
    return trees


def trees_said(trees: Trees, gap: int, count: int = 4) -> list[int]:
    """On which tree each of our own messages, so far apart, says that it travels."""
    said = []
    for number in range(count):
        _, message = pushes(trees.broadcast(name(number), ME, b"p", number * gap))[0]
        assert isinstance(message, Gossip)
        said.append(message.tree)
    return said


# --- who has one ------------------------------------------------------------------------------------------------


def test_the_third_message_above_the_rate_makes_a_tree_and_the_next_ones_use_it() -> None:
    assert trees_said(hub(OWN), 10 * SECOND) == [0, 0, 2, 1]


def test_whoever_speaks_seldom_uses_the_shared_tree() -> None:
    assert trees_said(hub(OWN), 10 * SECOND + 1) == [0, 0, 0, 0]


def test_without_room_for_exceptions_everybody_uses_the_shared_tree() -> None:
    assert trees_said(hub(AT_ONCE), SECOND) == [0, 0, 0, 0]


def test_a_tree_is_made_anew_after_so_many_messages() -> None:
    trees = hub(replace(OWN, renew_count=3, renew_gap_us=0))
    assert trees_said(trees, SECOND, 9) == [0, 0, 2, 1, 1, 1, 2, 1, 1]


def test_a_renewed_message_goes_everywhere_whatever_the_bits_say() -> None:
    trees = hub(OWN)
    lazy(trees, BEN, CAT)
    trees.receive(ANN, told(1), 0)
    renewed = told(2, hops=4, tree=RENEWED)
    assert pushes(trees.receive(ANN, told(2, tree=RENEWED), 1)) == [(BEN, renewed), (CAT, renewed)]
    assert trees.statistics().own_trees == 1


def test_a_tree_is_not_made_anew_twice_within_the_gap() -> None:
    trees = busy()
    trees.receive(BEN, told(2, tree=RENEWED), SECOND)
    effects = trees.receive(ANN, told(3, tree=RENEWED), 2 * SECOND)
    assert pushes(effects) == [(CAT, told(3, hops=4, tree=1)), (BEN, word(3, hops=4))]


def test_an_author_not_heard_before_gets_no_tree_but_its_message_still_says_that_it_belongs_to_one() -> None:
    trees = hub(OWN)
    lazy(trees, BEN)
    effects = trees.receive(ANN, told(1, tree=RENEWED), 0)
    assert pushes(effects) == [(CAT, told(1, hops=4, tree=1)), (BEN, word(1, hops=4))]
    assert trees.statistics().own_trees == 0


def test_an_exception_that_is_used_does_not_give_way_and_one_long_unused_does() -> None:
    trees = hub(replace(OWN, own_idle_us=30 * SECOND))
    for number, author in enumerate((ANN, BEN, CAT)):
        trees.receive(ANN, told(10 * number, author), 0)
        trees.receive(ANN, told(10 * number + 1, author, tree=1), SECOND)
    assert trees.statistics().own_trees == 2
    lazy(trees, BEN)
    trees.receive(ANN, told(30, BEN, tree=1), 29 * SECOND)  # Ben's stays young, Ann's does not
    trees.receive(ANN, told(31, CAT), 30 * SECOND)
    trees.receive(ANN, told(32, CAT, tree=RENEWED), 31 * SECOND)
    assert trees.statistics().own_trees == 2
    assert (BEN, told(33, CAT, hops=4, tree=1)) not in pushes(trees.receive(ANN, told(33, ANN, tree=1), 32 * SECOND))


# --- which tree a prune and a graft mean --------------------------------------------------------------------------


def test_a_duplicate_on_an_own_tree_prunes_that_tree_alone() -> None:
    trees = busy()
    trees.receive(BEN, TreeGraft(None, b""), 0)
    assert Push(BEN, TreePrune(DAN)) in trees.receive(BEN, told(2, tree=RENEWED), SECOND)
    assert (BEN, told(3, CAT, hops=4)) in pushes(trees.receive(ANN, told(3, CAT), SECOND))
    assert (BEN, word(4, hops=4)) in pushes(trees.receive(ANN, told(4, tree=1), SECOND))


def test_a_duplicate_on_the_shared_tree_prunes_the_shared_tree_alone() -> None:
    trees = busy()
    trees.receive(CAT, TreeGraft(None, b""), 0)
    trees.receive(ANN, told(3, BEN), SECOND)
    assert Push(CAT, TreePrune(None)) in trees.receive(CAT, told(3, BEN), SECOND)
    assert (CAT, told(4, hops=4, tree=1)) in pushes(trees.receive(ANN, told(4, tree=1), SECOND))


def test_a_duplicate_of_a_tree_that_we_have_not_got_leaves_the_shared_tree_as_it_is() -> None:
    trees = hub(AT_ONCE)
    trees.receive(ANN, told(1, tree=1), 0)
    assert Push(BEN, TreePrune(DAN)) in trees.receive(BEN, told(1, tree=1), 0)
    assert trees.statistics().lazy == 0


def test_a_prune_of_an_own_tree_makes_one_like_the_shared_one_if_the_author_is_known() -> None:
    trees = hub(OWN)
    lazy(trees, CAT)
    trees.receive(ANN, TreePrune(DAN), 0)
    assert trees.statistics().own_trees == 0
    trees.receive(ANN, told(1), 0)
    trees.receive(BEN, TreePrune(DAN), 0)
    assert trees.statistics().own_trees == 1
    effects = trees.receive(ANN, told(2, tree=1), 0)
    assert pushes(effects) == [(BEN, word(2, hops=4)), (CAT, word(2, hops=4))]


def test_a_graft_of_a_tree_that_we_have_not_got_is_taken_for_the_shared_one() -> None:
    trees = hub(AT_ONCE)
    lazy(trees, BEN)
    trees.receive(BEN, TreeGraft(DAN, b""), 0)
    assert trees.statistics().lazy == 0


def test_when_the_parent_goes_every_tree_is_grafted_for_itself() -> None:
    trees = busy()
    trees.receive(BEN, told(2, tree=RENEWED), SECOND)
    shared, own = pushes(trees.neighbor_down(ANN, SECOND))
    assert shared[0] in (BEN, CAT)
    assert shared[1] == TreeGraft(None, b"")
    assert own == (BEN, TreeGraft(DAN, b""))


def test_when_the_parent_of_an_own_tree_goes_the_next_quickest_takes_its_place() -> None:
    trees = busy()
    trees.receive(CAT, told(2, tree=RENEWED), SECOND + 20)
    trees.receive(BEN, told(2, tree=RENEWED), SECOND + 30)
    assert (CAT, TreeGraft(DAN, b"")) in pushes(trees.neighbor_down(ANN, 2 * SECOND))


# --- circles ----------------------------------------------------------------------------------------------------

HELD = replace(AT_ONCE, hold_us=400_000, settled_us=2 * SECOND)


def copies(trees: Trees, number: int, now: int) -> list[AuthorId]:
    """Whom a message that Ann and then Ben bring makes us prune."""
    trees.receive(ANN, told(number), now)
    return [peer for peer, message in pushes(trees.receive(BEN, told(number), now)) if message == TreePrune(None)]


def settled(seed: int = 1, config: TreesConfig = HELD) -> Trees:
    """A machine whose shared tree was made at 0 and leaves out Ben, who has grafted it since."""
    trees = Trees(config, Rng(seed))
    for peer in (ANN, BEN):
        trees.neighbor_up(peer, 0)
    assert copies(trees, 999, 0) == [BEN]
    trees.receive(BEN, TreeGraft(None, b""), 0)
    return trees


def test_the_first_flood_prunes_at_once_however_old_the_links_are() -> None:
    trees = hub(HELD)
    assert copies(trees, 1, 60 * SECOND) == [BEN]
    trees.receive(CAT, told(1), 60 * SECOND)
    assert trees.statistics().lazy == 2


def test_a_link_that_has_just_come_is_pruned_by_its_first_duplicate() -> None:
    trees = settled()
    trees.neighbor_down(BEN, 60 * SECOND)
    trees.neighbor_up(BEN, 60 * SECOND)
    assert copies(trees, 1, 62 * SECOND - 1) == [BEN]


def test_a_settled_link_is_pruned_once_duplicates_have_come_for_a_while() -> None:
    trees = settled()
    assert copies(trees, 1, 2 * SECOND) == []
    assert copies(trees, 2, 2 * SECOND + 49_999) == []
    assert copies(trees, 3, 2 * SECOND + 450_000) == [BEN]


def test_hubs_do_not_all_wait_for_the_same_while() -> None:
    waits = []
    for seed in range(20):
        trees = settled(seed)
        steps = (at for at in range(2 * SECOND, 3 * SECOND, 25_000) if copies(trees, at // 1_000, at))
        waits.append(next(steps) - 2 * SECOND)
    assert 50_000 <= min(waits) < 150_000 < 350_000 < max(waits) <= 450_000


def test_an_own_tree_and_a_tree_of_the_paper_prune_at_once() -> None:
    trees = busy(replace(OWN, hold_us=400_000))
    assert Push(BEN, TreePrune(DAN)) in trees.receive(BEN, told(2, tree=RENEWED), 9 * SECOND)
    assert copies(settled(config=TreesConfig.plumtree_paper()), 1, 9 * SECOND) == [BEN]


# --- shorter ways -----------------------------------------------------------------------------------------------

PAPER = replace(AT_ONCE, swap_shared_hops=3, far_shared_hops=0, swap_gap_us=0)


def test_a_way_that_is_shorter_by_the_threshold_takes_the_place_of_the_longer_one() -> None:
    trees = hub(replace(PAPER, swap_late=False))
    lazy(trees, BEN)
    trees.receive(BEN, word(1, hops=2), 0)
    effects = trees.receive(ANN, told(1, hops=5), 1)
    assert [push for push in pushes(effects) if push[0] != CAT] == [(BEN, TreeGraft(None, b"")), (ANN, TreePrune(None))]
    assert pushes(trees.receive(BEN, told(2), 2)) == [(CAT, told(2, hops=4)), (ANN, word(2, hops=4))]


def test_a_way_that_is_not_shorter_by_the_threshold_changes_nothing() -> None:
    trees = hub(PAPER)
    lazy(trees, BEN)
    trees.receive(BEN, word(1, hops=3), 0)
    assert pushes(trees.receive(ANN, told(1, hops=5), 1)) == [(CAT, told(1, hops=6))]


def test_word_that_comes_after_the_message_counts_as_well_unless_the_paper_is_followed() -> None:
    for late, wanted in ((True, [(BEN, TreeGraft(None, b"")), (ANN, TreePrune(None))]), (False, [])):
        trees = hub(replace(PAPER, swap_late=late))
        lazy(trees, BEN)
        trees.receive(ANN, told(1, hops=5), 0)
        assert pushes(trees.receive(BEN, word(1, hops=2), 1)) == wanted


def test_ways_that_are_short_enough_are_left_alone() -> None:
    trees = hub(replace(PAPER, far_shared_hops=5))
    lazy(trees, BEN)
    trees.receive(ANN, told(1, hops=5), 0)
    assert pushes(trees.receive(BEN, word(1, hops=1), 1)) == []
    trees.receive(ANN, told(2, hops=6), 2)
    assert len(pushes(trees.receive(BEN, word(2, hops=1), 3))) == 2


def test_one_message_changes_the_parent_once() -> None:
    trees = hub(PAPER)
    lazy(trees, BEN, CAT)
    trees.receive(ANN, told(1, hops=9), 0)
    trees.receive(BEN, word(1, hops=4), 1)
    assert pushes(trees.receive(CAT, word(1, hops=1), 2)) == []


def test_between_two_changes_of_one_tree_lies_the_gap() -> None:
    trees = hub(replace(PAPER, swap_gap_us=SECOND))
    lazy(trees, BEN, CAT)
    trees.receive(ANN, told(1, hops=9), 0)
    trees.receive(BEN, word(1, hops=4), 1)
    trees.receive(BEN, told(2, hops=8), 2)
    assert pushes(trees.receive(CAT, word(2, hops=1), 3)) == []
    trees.receive(BEN, told(3, hops=8), SECOND + 1)
    assert len(pushes(trees.receive(CAT, word(3, hops=1), SECOND + 2))) == 2


def test_an_own_tree_has_a_threshold_of_its_own() -> None:
    trees = busy(replace(OWN, swap_own_hops=1, far_own_hops=2, swap_shared_hops=None))
    trees.receive(BEN, told(2, tree=RENEWED), SECOND)
    trees.receive(ANN, told(3, tree=1), SECOND)
    assert pushes(trees.receive(BEN, word(3, hops=2), SECOND)) == [(BEN, TreeGraft(DAN, b"")), (ANN, TreePrune(DAN))]


def test_in_an_own_tree_a_shorter_way_must_not_have_been_much_slower_when_the_tree_was_made() -> None:
    config = replace(OWN, swap_own_hops=1, far_own_hops=2, swap_slower_us=5)
    swapped = [(BEN, TreeGraft(DAN, b"")), (ANN, TreePrune(DAN))]
    for after_us, wanted in ((5, swapped), (6, [])):
        trees = busy(config)
        trees.receive(BEN, told(2, tree=RENEWED), SECOND + after_us)
        trees.receive(ANN, told(3, tree=1), 2 * SECOND)
        assert pushes(trees.receive(BEN, word(3, hops=2), 2 * SECOND)) == wanted


def test_in_an_own_tree_a_way_of_which_no_delay_is_known_is_not_taken_for_its_hops() -> None:
    trees = busy(replace(OWN, swap_own_hops=1, far_own_hops=2))
    trees.receive(BEN, TreePrune(DAN), SECOND)  # it brought no copy
    trees.receive(ANN, told(3, tree=1), 2 * SECOND)
    assert pushes(trees.receive(BEN, word(3, hops=2), 2 * SECOND)) == []


def test_the_paper_and_iroh_have_presets() -> None:
    paper, iroh = TreesConfig.plumtree_paper(3), TreesConfig.iroh()
    assert (paper.swap_shared_hops, paper.ihave_us, paper.own_max) == (3, 0, 0)
    assert (iroh.graft_us, iroh.graft_next_us, iroh.ihave_us, iroh.swap_shared_hops) == (80_000, 40_000, 5_000, 7)
    trees = Trees(iroh, Rng(1))
    trees.neighbor_up(ANN, 0)
    assert trees.timer(TIMER, 1) == []
