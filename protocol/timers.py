"""The table of named, absolute, replaceable timers that daemon and simulator share.

A binary heap of (at, insertion, key) with lazy deletion: a replaced or cancelled entry stays in the heap until it
surfaces. Invariant: the heap never holds more than twice the live timers plus a constant.
"""

from __future__ import annotations

import heapq

from protocol.clock import Instant
from protocol.inputs import TimerKey


class TimerTable:
    """Deterministic: equal deadlines fire in the order in which they were set."""

    def __init__(self) -> None:
        self._live: dict[TimerKey, tuple[Instant, int]] = {}
        self._heap: list[tuple[Instant, int, TimerKey]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._live)

    def set(self, key: TimerKey, at: Instant) -> None:
        """Fire ``key`` at ``at``, instead of whenever it was due before."""
        self._count += 1
        self._live[key] = (at, self._count)
        heapq.heappush(self._heap, (at, self._count, key))
        if len(self._heap) > 2 * len(self._live) + 64:
            self._tidy()

    def cancel(self, key: TimerKey) -> None:
        """Forget ``key``; always safe."""
        self._live.pop(key, None)
        if len(self._heap) > 2 * len(self._live) + 64:
            self._tidy()

    def _tidy(self) -> None:
        self._heap = [(at, count, key) for key, (at, count) in self._live.items()]
        heapq.heapify(self._heap)

    def next_at(self) -> Instant | None:
        """The earliest deadline, or None."""
        while self._heap:
            at, count, key = self._heap[0]
            if self._live.get(key) == (at, count):
                return at
            heapq.heappop(self._heap)
        return None

    def pop_due(self, now: Instant) -> TimerKey | None:
        """The key of the earliest timer that is due at ``now``, removed; or None."""
        at = self.next_at()
        if at is None or at > now:
            return None
        _, _, key = heapq.heappop(self._heap)
        del self._live[key]
        return key
