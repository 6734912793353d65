"""Records, for a rehearsal's report, what this hub shows every 100 ms and what it publishes itself.

Only with ``--lab``; bounded; gives the figures that ``meshnode demo --json`` judges. Nothing is written to disk.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from protocol.clock import SECOND, Instant
from protocol.node import Node

ROWS_MAX = 400_000
PERIOD_US = 100_000


class Recorder:
    """Rows are lists, compact in JSON; see ``dump``."""

    def __init__(self, node: Node, clock: Callable[[], Instant]) -> None:
        self._node = node
        self._clock = clock
        self._authors: dict[bytes, int] = {}
        self._rows: list[list[float | int | None]] = []
        self._own: dict[tuple[int, int], list[float | int | None]] = {}
        self._crowd: list[list[float | int | None]] = []
        self._reach: list[tuple[Instant, list[int]]] = []

    def _index(self, author: bytes) -> int:
        return self._authors.setdefault(author, len(self._authors))

    def sample(self) -> None:
        """One row per author shown, one for the crowd."""
        if len(self._rows) >= ROWS_MAX:
            return
        now = self._clock()
        statistics = self._node.statistics(now)
        for line in statistics.authors:
            value = line.values[0][1] if line.values else None
            row: list[float | int | None] = [
                now,
                self._index(line.author),
                line.boot,
                line.seq,
                line.age_us,
                line.lease_left_us,
                line.hops,
                value,
            ]
            self._rows.append(row)
            if line.own and (line.boot, line.seq) not in self._own:
                self._own[(line.boot, line.seq)] = [now - line.age_us, line.boot, line.seq, value]
        inside = sorted(self._index(author) for author in statistics.in_reach)
        if not self._reach or self._reach[-1][1] != inside:
            self._reach.append((now, inside))
        crowd = statistics.crowd
        self._crowd.append(
            [now, len(statistics.in_reach), len(statistics.out_of_reach), crowd.n, crowd.mean, len(statistics.links)]
        )

    async def run(self) -> None:
        """Sample until cancelled, on a fixed grid."""
        due = self._clock()
        while True:
            self.sample()
            due = max(due + PERIOD_US, self._clock())
            await trio.sleep(max(0, due - self._clock()) / SECOND)

    def dump(self) -> dict[str, object]:
        """Everything recorded.

        ``rows``: [at_us, author index, boot, seq, age_us, lease_left_us, hops, value]; ``own``: [made_at_us, boot,
        seq, value]; ``crowd``: [at_us, in reach, out of reach, n, mean, links]; ``reach``: [at_us, author indices]
        whenever the set in reach changed.
        """
        return {
            "authors": [author.hex() for author in self._authors],
            "rows": self._rows,
            "own": list(self._own.values()),
            "crowd": self._crowd,
            "reach": self._reach,
        }
