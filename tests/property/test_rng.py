"""The generator of choices: every draw is within its bounds, and one seed is one stream."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.rng import Rng

SETTINGS = settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
seeds = st.integers(-(2**70), 2**70)


@given(seeds)
@SETTINGS
def test_one_seed_is_one_stream_of_64_bits(seed: int) -> None:
    first, second = Rng(seed), Rng(seed)
    drawn = [first.u64() for _ in range(10)]
    assert drawn == [second.u64() for _ in range(10)]
    assert all(0 <= draw < 2**64 for draw in drawn)


@given(seeds, st.integers(1, 2**64))
@SETTINGS
def test_a_draw_lies_below_its_bound(seed: int, bound: int) -> None:
    rng = Rng(seed)
    assert all(0 <= rng.below(bound) < bound for _ in range(10))


@given(seeds, st.integers(-(2**40), 2**40), st.integers(0, 2**40))
@SETTINGS
def test_a_draw_between_two_ends_lies_between_them(seed: int, low: int, width: int) -> None:
    assert low <= Rng(seed).between(low, low + width) <= low + width


@given(seeds)
@SETTINGS
def test_a_fraction_lies_in_the_half_open_unit_interval(seed: int) -> None:
    rng = Rng(seed)
    assert all(0.0 <= rng.fraction() < 1.0 for _ in range(20))


@given(seeds, st.integers(0, 10**12), st.integers(0, 100))
@SETTINGS
def test_jitter_moves_by_no_more_than_its_share(seed: int, duration: int, percent: int) -> None:
    spread = duration * percent // 100
    assert max(1, duration - spread) <= Rng(seed).jitter(duration, percent) <= max(1, duration + spread)


@given(seeds, st.lists(st.integers(), max_size=30))
@SETTINGS
def test_a_shuffle_is_a_permutation(seed: int, items: list[int]) -> None:
    shuffled = list(items)
    Rng(seed).shuffle(shuffled)
    assert Counter(shuffled) == Counter(items)


@given(seeds, st.lists(st.integers(), max_size=30, unique=True), st.integers(0, 40))
@SETTINGS
def test_a_sample_is_distinct_and_of_its_size(seed: int, items: list[int], count: int) -> None:
    drawn = Rng(seed).sample(items, count)
    assert len(drawn) == len(set(drawn)) == min(count, len(items))
    assert set(drawn) <= set(items)


@given(seeds, st.text(max_size=20), st.text(max_size=20), st.integers(0, 20))
@SETTINGS
def test_a_child_depends_on_seed_and_name_and_on_nothing_drawn(seed: int, name: str, other: str, draws: int) -> None:
    parent = Rng(seed)
    before = parent.child(name).u64()
    for _ in range(draws):
        parent.u64()
    assert parent.child(name).u64() == before
    assert name == other or parent.child(other).u64() != before
