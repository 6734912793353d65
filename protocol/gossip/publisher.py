"""From readings to blocks at a fixed cadence.

Readings arrive whenever the sensors speak; every cadence the last four seconds of them, on a fixed grid of 4 Hz,
become one block, coarsened to as many levels as the wearer allows. The cadence is fixed and there is no dead band:
change-driven sending would tell a mood by its timing (design decision 14). Invariant: what is unknown stays
unknown; nothing outside the grant enters a block.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from math import hypot, isfinite, sqrt
from typing import Final

from protocol.clock import MS, SECOND, Instant
from protocol.errors import Reason
from protocol.inputs import CommonsGrant, Estimate, Reading
from protocol.wire.block import UNKNOWN, Block, byte_from_sd, raw_from_value
from protocol.wire.registry import DIMENSIONS, Dimension

GRID_MS: Final = 250
WINDOW_MS: Final = 4_000
METHOD_MAX: Final = 65_535
STALE_US: Final = 2 * SECOND
"""A grid point takes the newest reading at or before it that is younger than this, else it is unknown."""


_UNKNOWN_ROW: Final = struct.pack("<h", UNKNOWN)


@dataclass(frozen=True, slots=True)
class Grid:
    """``dt_ms`` between samples and ``k`` samples in a block."""

    dt_ms: int
    k: int


def grid_for(cadence_ms: int) -> Grid:
    """4 Hz over 4 s; a slower author sends one sample per quarter cadence, a faster one still 4 Hz."""
    dt_ms = max(GRID_MS, cadence_ms // 4)
    return Grid(dt_ms, max(1, min(16, WINDOW_MS // dt_ms)) if dt_ms <= WINDOW_MS else 4)


_Entry = tuple[Instant, Reading | None, bytes]
"""When a reading was made, the reading, and it as one row of a block under the terms of the day."""
_FAR: Final = 1 << 62
_NOTHING: Final[_Entry] = (-_FAR, None, b"")


class Publisher:
    """Keeps the readings of the last window and makes blocks of them."""

    def __init__(self) -> None:
        self._entries: deque[_Entry] = deque(maxlen=256)
        self._terms: tuple[tuple[int, ...], int] = ((), 0)
        self._block: Block | None = None
        self._block_for: CommonsGrant | None = None
        self._block_until: Instant = 0
        self.refused = 0

    def add(self, reading: Reading) -> Reason | None:
        """Take a reading; a value that is not finite, or no reading at all, is refused and counted."""
        for estimate in reading.estimates:
            for number in (estimate.value, estimate.sd):
                if number is not None and not isfinite(number):
                    self.refused += 1
                    return Reason.NOT_FINITE
        if not isfinite(reading.quality):
            self.refused += 1
            return Reason.NOT_FINITE
        negative = any(estimate.sd is not None and estimate.sd < 0 for estimate in reading.estimates)
        if negative or not 0 <= reading.method <= METHOD_MAX:
            self.refused += 1
            return Reason.OUT_OF_RANGE
        if any(estimate.dim not in DIMENSIONS for estimate in reading.estimates):
            self.refused += 1
            return Reason.UNKNOWN_DIMENSION
        self._entries.append((reading.at, reading, _packed(reading, *self._terms)))
        self._block = None
        return None

    def newest(self, now: Instant) -> Reading | None:
        """The newest reading, if it is not stale."""
        if self._entries and now - self._entries[-1][0] <= STALE_US:
            return self._entries[-1][1]
        return None

    def _repack(self, dims: tuple[int, ...], levels: int) -> None:
        """The terms have changed, and with them what every reading looks like."""
        self._terms = (dims, levels)
        entries = [(at, reading, _packed(reading, dims, levels)) for at, reading, _ in self._entries]
        self._entries = deque(entries, maxlen=self._entries.maxlen)

    def block(self, grant: CommonsGrant, now: Instant) -> Block:
        """The block that the grant allows, ending now; the same object as before while the grid falls alike."""
        if self._block is None or now >= self._block_until or self._block_for is not grant:
            self._block_for = grant
            self._block = self._make(grant, now)
        return self._block

    def _make(self, grant: CommonsGrant, now: Instant) -> Block:
        grid = grid_for(grant.cadence_ms)
        dims, levels = grant.dimensions, grant.levels
        if self._terms != (dims, levels):
            self._repack(dims, levels)
        unknown = _UNKNOWN_ROW * len(dims)
        entries = reversed(self._entries)
        at, reading, row = next(entries, _NOTHING)
        newest: Reading | None = None
        rows: list[bytes] = []
        later, until = _FAR, _FAR  # when the next younger reading was made, and until when all rows stay as they are
        instant, step = now, grid.dt_ms * MS
        for back in range(grid.k):
            while at > instant:
                later = at
                at, reading, row = next(entries, _NOTHING)
            fresh = instant - at <= STALE_US
            if back == 0 and fresh:
                newest = reading
            rows.append(row if fresh else unknown)
            until = min(until, now + later - instant, now + STALE_US + 1 - instant + at if fresh else _FAR)
            instant -= step
        self._block_until = until
        rows.reverse()
        sds = bytes(byte_from_sd(DIMENSIONS[dim], _sd(newest, dim, levels)) for dim in dims)
        quality = 0 if newest is None else round(min(1.0, max(0.0, newest.quality)) * 255)
        method = 0 if newest is None else newest.method
        return Block(grid.dt_ms, dims, grid.k, quality, method, b"".join(rows) + sds)


def _packed(reading: Reading | None, dims: tuple[int, ...], levels: int) -> bytes:
    """A reading as one row of a block."""
    raw = [raw_from_value(DIMENSIONS[dim], _coarse(reading, dim, levels)) for dim in dims]
    return struct.pack(f"<{len(raw)}h", *raw)


def _estimate(reading: Reading | None, dim: int) -> Estimate | None:
    if reading is None:
        return None
    return next((e for e in reading.estimates if e.dim == dim and e.value is not None), None)


def _coarse(reading: Reading | None, dim: int, levels: int) -> float | None:
    estimate = _estimate(reading, dim)
    if estimate is None or estimate.value is None:
        return None
    return coarsen(DIMENSIONS[dim], estimate.value, levels)


def _sd(reading: Reading | None, dim: int, levels: int) -> float | None:
    """The reading's own sd widened by what coarsening adds: a uniform step has a variance of step^2 / 12."""
    estimate = _estimate(reading, dim)
    if estimate is None or estimate.sd is None:
        return None
    step = 0.0 if levels == 0 else DIMENSIONS[dim].width / (levels - 1)
    return hypot(min(estimate.sd, DIMENSIONS[dim].width), step / sqrt(12))


def coarsen(dimension: Dimension, value: float, levels: int) -> float:
    """``value`` moved to the nearest of ``levels`` steps over the dimension's range; 0 leaves it as it is."""
    if levels == 0:
        return value
    share = min(1.0, max(0.0, (value - dimension.low) / dimension.width))
    return dimension.low + round(share * (levels - 1)) / (levels - 1) * dimension.width
