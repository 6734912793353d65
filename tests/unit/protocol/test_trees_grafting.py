"""Who takes the place of a parent that is gone, about to go, or pushes no more (docs/protocol.md, section 10)."""

from __future__ import annotations

from dataclasses import replace

from protocol.clock import MS, SECOND
from protocol.gossip.trees import TIMER, Trees, TreesConfig
from protocol.wire.messages import Gossip, TreeGraft, TreePrune
from tests.unit.protocol.test_trees_links import ANN, AT_ONCE, BEN, CAT, DAN, hub, lazy, pushes, told, word

OWN = replace(AT_ONCE, own_max=2)
RENEWED = 2
GRAFT, PRUNE = TreeGraft(DAN, b""), TreePrune(DAN)


def flooded(config: TreesConfig = OWN) -> Trees:
    """A machine with a tree for Dan: Ann was the first to bring its message, then Cat, then Ben."""
    trees = hub(config)
    trees.receive(ANN, told(1), 0)
    trees.receive(ANN, told(2, tree=RENEWED), SECOND)
    trees.receive(CAT, told(2, tree=RENEWED), SECOND + 20)
    trees.receive(BEN, told(2, tree=RENEWED), SECOND + 30)
    return trees


def heard(trees: Trees, number: int, *, ben: int, cat: int) -> None:
    """Ann brings a message with three hops, and Ben and Cat say with how many they would."""
    trees.receive(ANN, told(number, tree=1), number * SECOND)
    trees.receive(BEN, word(number, hops=ben), number * SECOND + 1)
    trees.receive(CAT, word(number, hops=cat), number * SECOND + 1)


# --- gone -------------------------------------------------------------------------------------------------------


def test_all_who_surely_have_it_from_somebody_else_are_asked_the_quickest_first() -> None:
    trees = flooded()
    heard(trees, 3, ben=4, cat=5)
    assert pushes(trees.neighbor_down(ANN, 4 * SECOND)) == [(CAT, GRAFT), (BEN, GRAFT)]


def test_whoever_may_have_it_from_us_is_not_asked_while_there_is_somebody_else() -> None:
    trees = flooded()
    heard(trees, 3, ben=5, cat=6)
    assert pushes(trees.neighbor_down(ANN, 4 * SECOND)) == [(BEN, GRAFT)]


def test_if_nothing_is_known_of_anybody_the_quickest_is_asked() -> None:
    assert pushes(flooded().neighbor_down(ANN, 4 * SECOND)) == [(CAT, GRAFT)]


def test_the_first_copy_of_those_who_were_asked_makes_its_bringer_the_parent() -> None:
    trees = flooded()
    heard(trees, 3, ben=4, cat=4)
    trees.neighbor_down(ANN, 4 * SECOND)
    trees.receive(BEN, told(4, tree=1), 5 * SECOND)
    assert (CAT, PRUNE) in pushes(trees.receive(CAT, told(4, tree=1), 5 * SECOND + 9))


def test_a_copy_of_the_lost_parents_last_message_does_not_prune_whoever_was_asked() -> None:
    trees = flooded()
    heard(trees, 3, ben=6, cat=4)
    trees.neighbor_down(ANN, 4 * SECOND)
    assert pushes(trees.receive(CAT, told(3, tree=1), 4 * SECOND + 9)) == []


def test_who_has_only_children_tells_them_to_look_for_another_and_to_push() -> None:
    trees = hub(OWN)
    trees.receive(ANN, told(1), 0)
    trees.receive(ANN, told(2, tree=RENEWED), SECOND)
    asked = [(BEN, PRUNE), (BEN, GRAFT), (CAT, PRUNE), (CAT, GRAFT)]
    assert pushes(trees.neighbor_down(ANN, 2 * SECOND)) == asked
    assert [peer for peer, _ in pushes(trees.receive(BEN, told(3, tree=1), 3 * SECOND))] == [CAT]


def test_whoever_is_pruned_by_its_parent_asks_those_who_cannot_have_it_from_there() -> None:
    trees = flooded()
    heard(trees, 3, ben=3, cat=4)
    assert pushes(trees.receive(ANN, PRUNE, 4 * SECOND)) == [(BEN, GRAFT)]
    trees.receive(ANN, GRAFT, 4 * SECOND)
    sent = [peer for peer, _ in pushes(trees.receive(BEN, told(4, tree=1), 5 * SECOND))]
    assert sent == [ANN, CAT], "the message, and word of it"


def test_what_neighbors_have_said_is_looked_through_ten_times_a_second_at_most() -> None:
    trees = flooded()
    heard(trees, 3, ben=4, cat=4)
    for _ in range(3):
        trees.receive(ANN, PRUNE, 4 * SECOND)
        trees.receive(ANN, GRAFT, 4 * SECOND)
    trees.receive(CAT, word(3, hops=3), 4 * SECOND + 1)
    trees.receive(ANN, PRUNE, 4 * SECOND + 2)
    assert pushes(trees.receive(ANN, PRUNE, 4 * SECOND + 2)) == []
    trees.receive(ANN, GRAFT, 4 * SECOND + 3)
    assert pushes(trees.receive(ANN, PRUNE, 4 * SECOND + 100 * MS)) == [(CAT, GRAFT)]


def test_whoever_is_pruned_by_its_parent_and_knows_nobody_else_stays() -> None:
    trees = flooded()
    heard(trees, 3, ben=4, cat=4)
    assert pushes(trees.receive(ANN, PRUNE, 4 * SECOND)) == []


# --- about to go ------------------------------------------------------------------------------------------------


def test_before_a_parent_goes_others_are_asked_and_its_copies_still_count() -> None:
    trees = flooded()
    heard(trees, 3, ben=4, cat=6)
    assert pushes(trees.neighbor_parting(ANN, 4 * SECOND)) == [(BEN, GRAFT)]
    assert pushes(trees.neighbor_parting(ANN, 4 * SECOND)) == [], "once"
    assert [peer for peer, _ in pushes(trees.receive(ANN, told(4, tree=1), 5 * SECOND))] == [BEN, CAT], "word of it"


def test_the_first_copy_that_comes_another_way_frees_a_parting_parent() -> None:
    trees = flooded()
    heard(trees, 3, ben=4, cat=6)
    trees.neighbor_parting(ANN, 4 * SECOND)
    trees.receive(ANN, told(4, tree=1), 5 * SECOND)
    assert pushes(trees.receive(BEN, told(4, tree=1, hops=4), 5 * SECOND + 9)) == [(ANN, PRUNE)]
    assert pushes(trees.neighbor_down(ANN, 6 * SECOND)) == []


def test_a_new_parent_that_is_first_frees_the_parting_one_as_well() -> None:
    trees = flooded()
    heard(trees, 3, ben=4, cat=6)
    trees.neighbor_parting(ANN, 4 * SECOND)
    sent = pushes(trees.receive(BEN, told(4, tree=1, hops=4), 5 * SECOND))
    assert (ANN, PRUNE) in sent
    assert ANN not in [peer for peer, message in sent if isinstance(message, Gossip)]


def test_a_copy_that_has_come_round_through_us_frees_nobody() -> None:
    trees = flooded()
    trees.neighbor_parting(ANN, 4 * SECOND)
    trees.receive(ANN, told(4, tree=1), 5 * SECOND)
    assert pushes(trees.receive(CAT, told(4, tree=1, hops=6), 5 * SECOND + 9)) == [(CAT, PRUNE)]


def test_copies_that_have_crossed_end_with_a_graft_because_both_sides_prune() -> None:
    trees = hub(OWN)
    trees.receive(ANN, told(1), 0)
    trees.receive(ANN, told(2, tree=RENEWED), SECOND)
    trees.neighbor_parting(ANN, 4 * SECOND)
    trees.receive(ANN, told(3, tree=1), 3 * SECOND)
    assert pushes(trees.receive(BEN, told(3, tree=1), 3 * SECOND + 9)) == [(BEN, GRAFT)]


def test_nobody_is_asked_who_is_about_to_go_as_well() -> None:
    trees = flooded()
    heard(trees, 3, ben=4, cat=4)
    trees.neighbor_parting(CAT, 4 * SECOND)
    assert pushes(trees.neighbor_parting(ANN, 4 * SECOND)) == [(BEN, GRAFT)]
    assert trees.neighbor_parting(DAN, 4 * SECOND) == [], "nobody we know"


# --- what a graft brings, and what comes sooner -----------------------------------------------------------------


def test_a_graft_brings_at_once_what_was_to_be_announced_in_that_tree() -> None:
    trees = hub(replace(TreesConfig(), own_max=0))
    lazy(trees, BEN)
    trees.receive(ANN, told(1), 0)
    assert pushes(trees.receive(BEN, TreeGraft(None, b""), 1)) == [(BEN, told(1, hops=4))]
    assert pushes(trees.timer(TIMER, 500 * MS)) == []


def test_word_that_comes_before_the_message_names_a_parent_that_is_quicker() -> None:
    trees = flooded()
    trees.receive(BEN, word(3, hops=9), 3 * SECOND)
    sent = pushes(trees.receive(ANN, told(3, tree=1), 3 * SECOND + 50 * MS))
    assert (BEN, GRAFT) in sent
    assert (ANN, PRUNE) in sent


def test_a_detour_of_three_hops_is_cut_short_however_near_the_author_is() -> None:
    for hops, wanted in ((2, []), (1, [(CAT, GRAFT), (ANN, PRUNE)])):
        trees = flooded(replace(OWN, swap_gap_us=0))
        trees.receive(ANN, told(3, tree=1, hops=4), 3 * SECOND)
        assert pushes(trees.receive(CAT, word(3, hops=hops), 3 * SECOND + 1)) == wanted
