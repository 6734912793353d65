"""What passes and what does not."""

from __future__ import annotations

from sim.paths import Paths, Quality


def test_a_cut_blocks_between_groups_only_and_both_ways() -> None:
    paths = Paths(Quality())
    paths.cut([[0, 1], [2, 3]])
    assert [paths.passes(*pair) for pair in ((0, 1), (2, 3), (0, 2), (3, 1))] == [True, True, False, False]


def test_whoever_is_in_no_group_is_with_the_others_who_are_in_none() -> None:
    paths = Paths(Quality())
    paths.cut([[0]])
    assert (paths.passes(1, 2), paths.passes(0, 1), paths.passes(2, 0)) == (True, False, False)


def test_a_one_way_cut_leaves_the_way_back() -> None:
    paths = Paths(Quality())
    paths.cut_one_way(0, 1)
    assert (paths.passes(0, 1), paths.passes(1, 0), paths.passes(0, 2)) == (False, True, True)


def test_a_heal_ends_all_cuts_but_gives_no_power() -> None:
    paths = Paths(Quality())
    paths.cut([[0], [1]])
    paths.cut_one_way(0, 2)
    paths.power(3, on=False)
    paths.heal()
    assert (paths.passes(0, 1), paths.passes(0, 2), paths.passes(0, 3), paths.passes(3, 0)) == (
        True,
        True,
        False,
        False,
    )
    paths.power(3, on=True)
    assert paths.passes(0, 3)


def test_one_path_may_differ_from_all_others_and_keeps_its_quality() -> None:
    good, bad, worse = Quality(), Quality(loss=0.5), Quality(loss=0.9)
    paths = Paths(good)
    paths.set_one(0, 1, bad)
    assert (paths.between(0, 1), paths.between(1, 0)) == (bad, good)
    paths.set_all(worse)
    assert (paths.between(0, 1), paths.between(1, 0)) == (bad, worse)
