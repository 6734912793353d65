"""The weather of a field: how long a message takes from one member to another, drawn ahead so that it costs nothing.

Every pair has a latency of its own, the same in both directions and for as long as the run lasts; each message adds
jitter and, where something was lost, the wait for its retransmission (time-outs after RFC 6298, see
:mod:`sim.stream`). Deviation: additions come from a long table that is walked round and round instead of being drawn
one by one, which would cost as much as the rest of the event. The table's length is prime, so that no period of the
traffic meets its own draws again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.clock import MS, Duration
from protocol.rng import Rng
from sim.stream import RTO_MIN_US, SEGMENT_BYTES, loss_delay

TABLE: Final = 65_521
_MASK: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WeatherConfig:
    """One-way latencies lie between ``latency_us_min`` and ``latency_us_max`` (the published set-ups: 10..50 ms), and
    0..``jitter_us`` is added to each message; ``loss`` in [0, 1) is the share of segments lost."""

    latency_us_min: Duration = 10 * MS
    latency_us_max: Duration = 50 * MS
    jitter_us: Duration = 2 * MS
    loss: float = 0.0


class Weather:
    """``latency_us(one, other)`` is a pure function of the seed; ``extra_us()`` is the next addition."""

    __slots__ = ("_at", "_key", "_low", "_span", "_table", "config")

    def __init__(self, config: WeatherConfig, rng: Rng) -> None:
        self.config = config
        self._low = config.latency_us_min
        self._span = config.latency_us_max - config.latency_us_min + 1
        self._key = rng.child("pairs").u64()
        self._at = 0
        self._table: list[Duration] = []
        self.lose(config.loss, rng)

    def lose(self, loss: float, rng: Rng) -> None:
        """From now on this share of segments is lost."""
        draw = rng.child(f"additions {loss}")
        jitter_us = self.config.jitter_us
        rto_us = max(RTO_MIN_US, 2 * 2 * self.config.latency_us_max)
        self._table = [
            (draw.below(jitter_us + 1) if jitter_us else 0) + loss_delay(draw, loss, SEGMENT_BYTES, rto_us)
            for _ in range(TABLE)
        ]

    def latency_us(self, one: int, other: int) -> Duration:
        """The one-way latency between two members, without jitter."""
        if one > other:
            one, other = other, one
        z = (self._key + one * 0x9E3779B97F4A7C15 + other * 0xD1B54A32D192ED03) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return self._low + (z ^ (z >> 31)) % self._span

    def extra_us(self) -> Duration:
        """Jitter and retransmissions of one message."""
        at = self._at + 1
        if at == TABLE:
            at = 0
        self._at = at
        return self._table[at]
