"""The generator of choices: its stream is pinned, because a recorded seed must give the same run for ever."""

from __future__ import annotations

import pytest

from protocol.rng import Rng

# The published outputs of SplitMix64 for the seed 1234567.
PUBLISHED = (
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
)


def test_the_stream_of_the_published_seed_is_the_published_one() -> None:
    rng = Rng(1234567)
    assert tuple(rng.u64() for _ in PUBLISHED) == PUBLISHED


def test_the_first_outputs_of_seed_zero_are_those_of_other_implementations() -> None:
    rng = Rng(0)
    assert [rng.u64() for _ in range(3)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_a_seed_counts_modulo_two_to_the_64() -> None:
    assert Rng(5 + (1 << 64)).u64() == Rng(5).u64()
    assert Rng(-1).u64() == Rng((1 << 64) - 1).u64()


def test_the_derived_draws_of_one_seed_are_pinned() -> None:
    rng = Rng(1234567)
    assert rng.below(1000) == PUBLISHED[0] % 1000
    assert rng.between(-5, 5) == -5 + PUBLISHED[1] % 11
    assert rng.fraction() == (PUBLISHED[2] >> 11) / 2**53
    assert rng.chance(0.24) is ((PUBLISHED[3] >> 11) / 2**53 < 0.24)
    assert rng.choice("abcdefg") == "abcdefg"[PUBLISHED[4] % 7]


def test_draws_below_three_cover_all_three_about_equally() -> None:
    rng = Rng(7)
    counts = [0, 0, 0]
    for _ in range(3_000):
        counts[rng.below(3)] += 1
    assert min(counts) > 900


def test_a_draw_that_would_favour_small_numbers_is_thrown_away() -> None:
    bound = (1 << 63) + 1  # only draws below the bound itself are fair, so about half must be drawn again
    rng, plain = Rng(3), Rng(3)
    fair = [draw for draw in (plain.u64() for _ in range(60)) if draw < bound]
    assert [rng.below(bound) for _ in range(20)] == fair[:20]


def test_the_bound_of_one_leaves_no_choice() -> None:
    assert {Rng(seed).below(1) for seed in range(20)} == {0}


def test_a_range_includes_both_of_its_ends() -> None:
    rng = Rng(11)
    assert {rng.between(3, 5) for _ in range(100)} == {3, 4, 5}


def test_what_is_certain_happens_and_what_is_impossible_does_not() -> None:
    rng = Rng(13)
    assert all(rng.chance(1.0) for _ in range(100))
    assert not any(rng.chance(0.0) for _ in range(100))


def test_jitter_stays_within_its_share_on_both_sides() -> None:
    rng = Rng(17)
    moved = [rng.jitter(1_000, 20) for _ in range(2_000)]
    assert min(moved) == 800
    assert max(moved) == 1_200


@pytest.mark.parametrize("duration", [0, 1, 2, 4])
def test_jitter_never_gives_a_time_that_has_passed(duration: int) -> None:
    rng = Rng(19)
    assert all(rng.jitter(duration, 100) >= 1 for _ in range(100))


def test_a_shuffle_keeps_every_element_and_reaches_every_order() -> None:
    rng = Rng(23)
    orders = set()
    for _ in range(200):
        items = ["a", "b", "c"]
        rng.shuffle(items)
        orders.add("".join(items))
    assert orders == {"abc", "acb", "bac", "bca", "cab", "cba"}


def test_a_sample_is_distinct_and_leaves_its_source_alone() -> None:
    items = list(range(10))
    drawn = Rng(29).sample(items, 4)
    assert len(drawn) == len(set(drawn)) == 4
    assert items == list(range(10))
    assert sorted(Rng(29).sample(items, 99)) == items


def test_extra_draws_of_a_parent_do_not_shift_its_children() -> None:
    quiet, busy = Rng(31), Rng(31)
    for _ in range(10):
        busy.u64()
    assert quiet.child("views").u64() == busy.child("views").u64()


def test_children_of_different_names_have_different_streams() -> None:
    rng = Rng(37)
    streams = {rng.child(name).u64() for name in ("a", "b", "node", "views", "book")}
    assert len(streams) == 5
    assert Rng(38).child("a").u64() not in streams
