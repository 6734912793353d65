"""A block of samples: what the integers on the wire stand for, and that unknown stays unknown."""

from __future__ import annotations

import math

import pytest

from protocol.wire.block import (
    SD_UNKNOWN,
    UNKNOWN,
    Block,
    byte_from_sd,
    make_block,
    parse_block,
    raw_from_value,
    sd_from_byte,
    value_from_raw,
)
from protocol.wire.registry import AROUSAL, BY_NAME, DIMENSIONS, HEART_RATE, METHODS, VALENCE


def test_the_registry_is_that_of_the_document() -> None:
    listed = [(d.id, d.name, d.low, d.high, d.unit, d.emotionml) for d in DIMENSIONS.values()]
    assert listed == [
        (0, "arousal", -1.0, 1.0, "", "arousal"),
        (1, "valence", -1.0, 1.0, "", "pleasure"),
        (2, "dominance", -1.0, 1.0, "", "dominance"),
        (3, "heart_rate", 20.0, 240.0, "bpm", None),
        (4, "respiration_rate", 2.0, 60.0, "1/min", None),
        (5, "respiration_phase", 0.0, 2 * math.pi, "rad", None),
        (6, "skin_conductance", 0.0, 100.0, "uS", None),
    ]
    assert all(BY_NAME[d.name] is d and DIMENSIONS[d.id] is d for d in DIMENSIONS.values())
    assert METHODS[0] == "unstated"


@pytest.mark.parametrize("dim", DIMENSIONS)
def test_the_ends_and_the_middle_of_a_range_are_exact(dim: int) -> None:
    dimension = DIMENSIONS[dim]
    middle = (dimension.low + dimension.high) / 2
    assert raw_from_value(dimension, dimension.low) == -32_767
    assert raw_from_value(dimension, dimension.high) == 32_767
    assert raw_from_value(dimension, middle) == 0
    assert value_from_raw(dimension, -32_767) == dimension.low
    assert value_from_raw(dimension, 32_767) == pytest.approx(dimension.high, abs=1e-12)
    assert value_from_raw(dimension, 0) == pytest.approx(middle, abs=1e-12)


@pytest.mark.parametrize("dim", DIMENSIONS)
def test_every_integer_comes_back_from_the_value_it_stands_for(dim: int) -> None:
    dimension = DIMENSIONS[dim]
    for raw in range(-32_767, 32_768, 97):
        assert raw_from_value(dimension, value_from_raw(dimension, raw)) == raw


@pytest.mark.parametrize("excess", [0.0001, 1.0, 1e308])
def test_a_value_outside_the_range_is_clamped_and_never_becomes_unknown(excess: float) -> None:
    arousal = DIMENSIONS[AROUSAL]
    assert raw_from_value(arousal, -1.0 - excess) == -32_767
    assert raw_from_value(arousal, 1.0 + excess) == 32_767


@pytest.mark.parametrize("value", [0.0, -0.0, 5e-324, -5e-324])
def test_numbers_next_to_nothing_are_nothing(value: float) -> None:
    assert raw_from_value(DIMENSIONS[AROUSAL], value) == 0


def test_unknown_stays_unknown_in_both_directions() -> None:
    arousal = DIMENSIONS[AROUSAL]
    assert raw_from_value(arousal, None) == UNKNOWN
    assert value_from_raw(arousal, UNKNOWN) is None
    assert byte_from_sd(arousal, None) == SD_UNKNOWN


@pytest.mark.parametrize(
    ("sd", "byte"),
    [(0.0, 1), (1e-300, 1), (2 / 254, 1), (2.0001 / 254, 2), (1.0, 127), (1.999, 254), (2.0, 254), (5.0, 254)],
)
def test_a_standard_deviation_is_rounded_up_and_never_zero(sd: float, byte: int) -> None:
    assert byte_from_sd(DIMENSIONS[AROUSAL], sd) == byte


def test_a_standard_deviation_byte_is_a_share_of_254() -> None:
    assert sd_from_byte(DIMENSIONS[AROUSAL], 254) == 2.0
    assert sd_from_byte(DIMENSIONS[HEART_RATE], 127) == 110.0
    for byte in range(1, 255):
        assert byte_from_sd(DIMENSIONS[HEART_RATE], sd_from_byte(DIMENSIONS[HEART_RATE], byte)) in {byte, byte + 1}


def block() -> Block:
    """Two dimensions, three rows, with gaps."""
    rows: list[tuple[float | None, ...]] = [(-1.0, 20.0), (None, 130.0), (1.0, None)]
    return make_block((AROUSAL, HEART_RATE), rows, (None, 22.0), dt_ms=250, quality=0.5, method=1)


def test_a_block_lies_as_rows_of_little_endian_integers_and_then_deviations() -> None:
    assert block().blob.hex() == "01800180" + "00800000" + "ff7f0080" + "ff" + "1a"
    assert block().k == 3
    assert block().quality == 128
    assert block().raw() == (-32_767, -32_767, -32_768, 0, 32_767, -32_768)


def test_a_series_is_read_oldest_first_and_the_newest_is_its_last() -> None:
    made = block()
    assert made.series(AROUSAL) == [-1.0, None, 1.0]
    assert made.series(HEART_RATE) == [20.0, 130.0, None]
    assert (made.newest(AROUSAL), made.newest(HEART_RATE)) == (1.0, None)
    assert made.sd(AROUSAL) is None
    assert made.sd(HEART_RATE) == pytest.approx(22.0, abs=220 / 254)


def test_a_dimension_that_is_not_carried_is_unknown() -> None:
    made = block()
    assert (made.newest(VALENCE), made.sd(VALENCE), made.series(VALENCE)) == (None, None, [])


def test_a_block_is_parsed_from_what_it_says_of_itself() -> None:
    assert parse_block(block().to_value()) == block()


@pytest.mark.parametrize(("quality", "byte"), [(-1.0, 0), (0.0, 0), (1.0, 255), (7.0, 255), (1 / 255, 1)])
def test_quality_is_clamped_into_a_byte(quality: float, byte: int) -> None:
    assert make_block((0,), [(0.0,)], (0.1,), dt_ms=250, quality=quality, method=0).quality == byte
