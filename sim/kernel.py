"""The clock of a simulated world: buckets of 1 ms, run in the order (tick, insertion).

Source: a calendar queue with one-millisecond days (Brown 1988), days found through a binary heap because they are
sparse. Deviation: an instant is rounded up to the next tick, so nothing happens before it is due.
Invariants: ``now`` never goes back; within a tick actions run in the order in which they were added, also those that
are added to a tick while it runs; an action that has run is forgotten.
"""

from __future__ import annotations

import gc
import heapq
from collections.abc import Callable
from typing import Final

from protocol.clock import MS, Instant

TICK_US: Final = MS

Action = Callable[..., None]


def collect_seldom() -> None:
    """For processes that do nothing but simulate: look for cycles after 200,000 objects more and not after 700.

    Nearly everything a simulation makes is freed by its reference count; what is left are links that have ended.
    """
    gc.set_threshold(200_000, 20, 20)


class Kernel:
    """Runs actions at their instants; ``events`` counts those that have run."""

    __slots__ = ("_buckets", "_ticks", "events", "now")

    def __init__(self) -> None:
        self.now: Instant = 0
        self.events = 0
        self._buckets: dict[int, list[tuple[Action, tuple[object, ...]]]] = {}
        self._ticks: list[int] = []

    def at(self, instant: Instant, action: Action, *arguments: object) -> None:
        """Run ``action(*arguments)`` at ``instant``, or in the tick of now if that has passed."""
        self.post(instant, action, arguments)

    def post(self, instant: Instant, action: Action, arguments: tuple[object, ...]) -> None:
        """The same with the arguments as they will be passed: for whoever does this a million times."""
        tick = -(-(instant if instant > self.now else self.now) // TICK_US)
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = [(action, arguments)]
            heapq.heappush(self._ticks, tick)
        else:
            bucket.append((action, arguments))

    def run(self, until: Instant) -> None:
        """Run everything that is due up to and including ``until``, which is then now."""
        ticks = self._ticks
        while ticks and ticks[0] * TICK_US <= until:
            tick = ticks[0]
            self.now = tick * TICK_US
            bucket = self._buckets[tick]
            for action, arguments in bucket:  # grows while it runs
                action(*arguments)
            self.events += len(bucket)
            heapq.heappop(ticks)
            del self._buckets[tick]
        self.now = max(self.now, until)

    def waiting(self) -> int:
        """How many actions have not run yet."""
        return sum(map(len, self._buckets.values()))
