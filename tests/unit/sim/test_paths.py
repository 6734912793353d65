"""What passes and what does not."""

from __future__ import annotations

from protocol.rng import Rng
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


def test_whoever_is_on_both_sides_of_a_cut_reaches_both() -> None:
    paths = Paths(Quality())
    paths.cut([[0, 1, 2], [2, 3]])
    assert [paths.passes(*pair) for pair in ((0, 1), (0, 2), (2, 3), (0, 3), (3, 1))] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert not paths.passes(2, 4)


def test_cuts_of_several_names_are_on_together_and_end_one_by_one() -> None:
    paths = Paths(Quality())
    paths.cut([[0], [1]], "first")
    paths.cut([[0, 1], [2]], "second")
    paths.cut_one_way(1, 2, "third")
    assert paths.cuts() == 3
    paths.heal("second")
    assert (paths.passes(0, 1), paths.passes(0, 2), paths.passes(1, 2), paths.passes(2, 1)) == (
        False,
        False,
        False,
        False,
    )
    paths.heal("first")
    assert (paths.passes(0, 1), paths.passes(0, 2), paths.passes(1, 2), paths.passes(2, 1)) == (True, True, False, True)
    paths.heal("third")
    assert (paths.cuts(), paths.passes(1, 2)) == (0, True)


def test_a_clogged_way_passes_and_does_not_flow() -> None:
    paths = Paths(Quality())
    paths.clogs[0, 1] = None
    assert (paths.passes(0, 1), paths.flows(0, 1), paths.flows(1, 0)) == (True, False, True)


def test_each_pair_has_a_distance_of_its_own_both_ways_alike_whoever_asks_first() -> None:
    base = Quality(latency_us=1_000, loss=0.1)
    one, other = Paths(base, 50_000, Rng(7)), Paths(base, 50_000, Rng(7))
    pairs = [(a, b) for a in range(6) for b in range(6) if a != b]
    seen = {pair: one.between(*pair) for pair in pairs}
    assert {pair: other.between(*pair) for pair in reversed(pairs)} == seen
    assert all(seen[a, b] == seen[b, a] for a, b in pairs)
    assert len({quality.latency_us for quality in seen.values()}) > 10
    assert all(1_000 <= quality.latency_us <= 51_000 and quality.loss == 0.1 for quality in seen.values())
    one.set_all(Quality(latency_us=9_000))
    assert one.between(0, 1).latency_us == seen[0, 1].latency_us + 8_000
