"""Bad weather on a link as a stream shows it: what is late, and what is on its way. Pure: chance and time are given.

Source: retransmission time-outs after RFC 6298 (200 ms at least, as Linux has it, doubled each time). A link is an
ordered and authenticated stream, so nothing on it is lost, reordered or damaged: loss is lateness, and whatever follows
waits too.
Invariant: pieces arrive in the order in which they left.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from protocol.clock import MS, SECOND, Duration, Instant
from protocol.rng import Rng

SEGMENT_BYTES: Final = 1_448
"""What an Ethernet frame carries of a TCP stream: the unit that is lost."""
RTO_US_MIN: Final[Duration] = 200 * MS
RTO_US_MAX: Final[Duration] = 120 * SECOND
HELD_BYTES_MAX: Final = 262_144
"""Held back of what a link has to say to us: twice the receive buffer; more waits in the sender's."""


class Weather:
    """``delay_us`` and up to ``jitter_us`` more in each direction; ``loss`` in [0, 1) is the share of segments lost."""

    def __init__(self, rng: Rng, *, delay_us: Duration = 0, jitter_us: Duration = 0, loss: float = 0.0) -> None:
        self._rng = rng
        self._delay_us = delay_us
        self._jitter_us = jitter_us
        self._loss = loss
        self._rto_us = max(RTO_US_MIN, 4 * (delay_us + jitter_us))
        self.lost = 0

    def late_us(self, size: int) -> Duration:
        """How much later ``size`` bytes arrive, drawn anew for each piece; counts what was lost on the way."""
        worst = 0
        for _ in range(max(1, -(-size // SEGMENT_BYTES))):
            wait, step = 0, self._rto_us
            while self._loss and wait < RTO_US_MAX and self._rng.chance(self._loss):
                wait += step
                step *= 2
                self.lost += 1
            worst = max(worst, wait)
        return self._delay_us + (self._rng.below(self._jitter_us + 1) if self._jitter_us else 0) + worst


class Flights:
    """How many bytes of a stream are on their way, and when they arrive."""

    __slots__ = ("_ahead", "size")

    def __init__(self) -> None:
        self._ahead: deque[tuple[Instant, int]] = deque()
        self.size = 0

    def add(self, size: int, at: Instant) -> None:
        """``size`` more bytes arrive at ``at``, or with those before them if that is later."""
        if size:
            self._ahead.append((max(at, self._ahead[-1][0]) if self._ahead else at, size))
            self.size += size

    def due(self, now: Instant) -> int:
        """How many bytes have arrived."""
        count = 0
        for at, size in self._ahead:
            if at > now:
                break
            count += size
        return count

    def take(self, count: int) -> None:
        """The first ``count`` bytes are done with; more than there are empties it."""
        self.size = max(0, self.size - count)
        while self._ahead and count:
            at, size = self._ahead.popleft()
            if size > count:
                self._ahead.appendleft((at, size - count))
            count -= min(size, count)

    def next_at(self) -> Instant | None:
        """When the first of them arrive; None if there are none."""
        return self._ahead[0][0] if self._ahead else None
