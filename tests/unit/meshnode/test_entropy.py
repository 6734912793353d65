"""Randomness and its health test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from meshnode.entropy import Entropy, EntropyError, entropy, fresh_seed


def counting() -> Callable[[int], bytes]:
    """A source whose blocks differ from each other and within."""
    calls = iter(range(1, 1_000))
    return lambda count: bytes((next(calls) * 31 + index) % 256 for index in range(count))


@pytest.mark.parametrize("count", [1, 7, 8, 32, 4096])
def test_the_systems_source_gives_as_many_bytes_as_asked_for(count: int) -> None:
    assert len(entropy(count)) == count


def test_two_draws_of_the_systems_source_differ() -> None:
    assert entropy(32) != entropy(32)


def test_seeds_are_64_bits_and_differ() -> None:
    seeds = {fresh_seed() for _ in range(64)}
    assert len(seeds) == 64
    assert all(0 <= seed < 1 << 64 for seed in seeds)
    assert max(seeds) >= 1 << 56  # the high byte is used; fails honestly once in 2**512


def test_a_healthy_source_passes_through_unchanged() -> None:
    mirror = counting()
    mirror(32), mirror(32)  # what the self-test draws first
    assert Entropy(counting())(16) == mirror(16)


@pytest.mark.parametrize("value", [0x00, 0x41, 0xFF])
def test_constant_output_is_refused(value: int) -> None:
    with pytest.raises(EntropyError, match="constant"):
        Entropy(lambda count: bytes([value]) * count)(16)


def test_a_source_that_repeats_its_block_is_refused() -> None:
    with pytest.raises(EntropyError, match="twice"):
        Entropy(lambda count: bytes(index % 256 for index in range(count)))(16)


def test_a_short_read_is_refused() -> None:
    source = counting()
    with pytest.raises(EntropyError, match="instead of"):
        Entropy(lambda count: source(count)[:-1])(16)


def test_a_source_that_gets_stuck_later_is_refused_then() -> None:
    source = counting()
    stuck = False
    draw = Entropy(lambda count: bytes(count) if stuck else source(count))
    assert len(draw(32)) == 32
    stuck = True
    with pytest.raises(EntropyError, match="constant"):
        draw(32)


def test_asking_for_nothing_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        entropy(0)
