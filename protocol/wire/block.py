"""A block of samples as it lies inside a vector: ``[dt_ms, dims, k, quality, method, blob]``.

The blob is k x d little-endian int16 (sample-major; -32768 = unknown, -32767..32767 = low..high of the
dimension), then d bytes of standard deviation (1..254 = that share of 254 of the dimension's width, 255 =
unknown). The last sample lies at the record's age 0, the one before it dt_ms earlier, and so on. Numbers on the
wire are integers, so NaN and infinity cannot be said.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from protocol.errors import DecodeError, Reason
from protocol.limits import BLOCK_SAMPLES_MAX, DIMENSIONS_MAX, DT_MS_MAX, DT_MS_MIN
from protocol.wire import fields
from protocol.wire.codec import Value
from protocol.wire.registry import DIMENSIONS, Dimension

UNKNOWN: Final = -32_768
SD_UNKNOWN: Final = 255
_FULL: Final = 32_767


@dataclass(slots=True)  # not frozen: made once per received vector
class Block:
    """``samples`` holds k rows of d raw int16; ``sds`` d raw bytes; ``quality`` is 0..255."""

    dt_ms: int
    dims: tuple[int, ...]
    k: int
    quality: int
    method: int
    blob: bytes

    def raw(self) -> tuple[int, ...]:
        """All k x d int16, sample-major."""
        return struct.unpack_from(f"<{self.k * len(self.dims)}h", self.blob)

    def sd(self, dim: int) -> float | None:
        """Standard deviation of a dimension in its unit; None if unknown or not carried."""
        if dim not in self.dims:
            return None
        byte = self.blob[2 * self.k * len(self.dims) + self.dims.index(dim)]
        return None if byte == SD_UNKNOWN else sd_from_byte(DIMENSIONS[dim], byte)

    def newest(self, dim: int) -> float | None:
        """The last sample of a dimension in its unit; None if unknown or not carried."""
        if dim not in self.dims:
            return None
        (raw,) = struct.unpack_from("<h", self.blob, 2 * ((self.k - 1) * len(self.dims) + self.dims.index(dim)))
        return value_from_raw(DIMENSIONS[dim], raw)

    def series(self, dim: int) -> list[float | None]:
        """All k samples of a dimension, oldest first; empty if not carried."""
        if dim not in self.dims:
            return []
        dimension = DIMENSIONS[dim]
        return [value_from_raw(dimension, r) for r in self.raw()[self.dims.index(dim) :: len(self.dims)]]

    def to_value(self) -> Value:
        """The array on the wire."""
        return (self.dt_ms, self.dims, self.k, self.quality, self.method, self.blob)


def value_from_raw(dimension: Dimension, raw: int) -> float | None:
    """What an int16 stands for; None for unknown."""
    if raw == UNKNOWN:
        return None
    return dimension.low + (raw + _FULL) / (2 * _FULL) * dimension.width


def raw_from_value(dimension: Dimension, value: float | None) -> int:
    """The int16 for a finite value, clamped to the range; None gives the unknown mark."""
    if value is None:
        return UNKNOWN
    share = (value - dimension.low) / dimension.width
    return round(min(1.0, max(0.0, share)) * 2 * _FULL) - _FULL


def sd_from_byte(dimension: Dimension, byte: int) -> float:
    """What a standard deviation byte in 1..254 stands for."""
    return byte / 254 * dimension.width


def byte_from_sd(dimension: Dimension, sd: float | None) -> int:
    """The byte for a standard deviation: rounded up, never 0, because nothing is certain."""
    if sd is None:
        return SD_UNKNOWN
    return min(254, max(1, -int(-sd / dimension.width * 254 // 1)))


def make_block(
    dims: tuple[int, ...],
    rows: list[tuple[float | None, ...]],
    sds: tuple[float | None, ...],
    *,
    dt_ms: int,
    quality: float,
    method: int,
) -> Block:
    """A block from values in units; ``rows`` are oldest first."""
    dimensions = [DIMENSIONS[dim] for dim in dims]
    raw = [raw_from_value(d, value) for row in rows for d, value in zip(dimensions, row, strict=True)]
    blob = struct.pack(f"<{len(raw)}h", *raw)
    blob += bytes(byte_from_sd(d, sd) for d, sd in zip(dimensions, sds, strict=True))
    return Block(dt_ms, dims, len(rows), round(min(1.0, max(0.0, quality)) * 255), method, blob)


def parse_block(value: Value) -> Block:
    """Check a decoded block.

    Raises:
        DecodeError: ``UNKNOWN_DIMENSION`` if a dimension is not registered, otherwise the field at fault.
    """
    dt_ms, dims, k, quality, method, blob = fields.array(value, "block", 6, 6)
    if (
        type(dims) is tuple
        and dims in _COMMON_DIMS
        and type(dims[0]) is type(dt_ms) is type(k) is type(quality) is type(method) is int
        and type(blob) is bytes
        and DT_MS_MIN <= dt_ms <= DT_MS_MAX
        and 1 <= k <= BLOCK_SAMPLES_MAX
        and 0 <= quality <= 255
        and 0 <= method <= 65_535
        and len(blob) == 2 * k + 1
        and blob[-1] != 0
    ):
        return Block(dt_ms, _COMMON_DIMS[dims], k, quality, method, blob)
    return _parse_slowly(dt_ms, dims, k, quality, method, blob)


_COMMON_DIMS: Final = {(dim,): (dim,) for dim in DIMENSIONS}
"""Blocks of one dimension are what most people share; they take the short way."""


def _parse_slowly(dt_ms: Value, dims_value: Value, k: Value, quality: Value, method: Value, blob: Value) -> Block:
    dims = fields.array(dims_value, "dims", 1, DIMENSIONS_MAX)
    last = -1
    for dim in dims:
        last = fields.integer(dim, "dimension (ascending)", last + 1, 255)
    count = fields.integer(k, "k", 1, BLOCK_SAMPLES_MAX)
    size = count * len(dims) * 2 + len(dims)
    data = fields.binary(blob, "blob", size, size)
    if 0 in data[-len(dims) :]:
        raise DecodeError(Reason.OUT_OF_RANGE, "a standard deviation of 0")
    for dim in dims:
        if dim not in DIMENSIONS:
            raise DecodeError(Reason.UNKNOWN_DIMENSION, f"dimension {dim!r}")
    return Block(
        fields.integer(dt_ms, "dt_ms", DT_MS_MIN, DT_MS_MAX),
        tuple([fields.integer(dim, "dimension", 0, 255) for dim in dims]),
        count,
        fields.integer(quality, "quality", 0, 255),
        fields.integer(method, "method", 0, 65_535),
        data,
    )
