"""The restore guard: before this hub signs anything, it asks who has a later event of its own.

A hub that was set back to a backup would sign a second event where it had signed one already, and nobody could tell
that from malice (ssb-server#410). So after a start nothing is signed until a neighbor has said which of our events it
holds, or nobody did for a while. Unless a neighbor knew of nothing later, and the store was not restored, the next
event opens a new incarnation, which is never mistaken for a fork.
"""

from __future__ import annotations

from protocol.clock import Instant
from protocol.ids import EventId
from protocol.ledger.values import LedgerConfig


class Guard:
    """``open`` is whether this hub may sign; ``continuous`` whether it may do so without a new incarnation."""

    def __init__(self, config: LedgerConfig) -> None:
        self._config = config
        self._until: Instant = 0
        self._settled: Instant | None = None
        self._missing: dict[EventId, None] = {}
        self.open = False
        self.continuous = False
        self._later = False

    def start(self, now: Instant, *, fresh: bool, restored: bool) -> None:
        """A run begins. ``fresh``: this author was never anywhere before; ``restored``: the store says so."""
        self._until = now + self._config.guard_us
        self._later = restored
        if fresh:
            self.open = self.continuous = True

    def answered(self, peer_heads: tuple[EventId, ...], known: tuple[bool, ...], now: Instant) -> None:
        """A neighbor has said which heads of ours it holds, and which of them we know."""
        if self.open:
            return
        if self._settled is None:
            self._settled = min(now + self._config.settle_us, self._until)
        for head, here in zip(peer_heads, known, strict=True):
            if not here and len(self._missing) < 64:
                self._missing[head] = None
                self._later = True

    def arrived(self, event: EventId) -> None:
        """One of our own events has come from a neighbor and found its place."""
        self._missing.pop(event, None)

    def due(self, now: Instant) -> bool:
        """Whether the guard opens now."""
        if self.open or not (now >= self._until or (self._settled is not None and now >= self._settled)):
            return False
        if self._missing and now < self._until:
            return False
        self.open = True
        self.continuous = self._settled is not None and not self._later
        self._missing.clear()
        return True

    def next_at(self) -> Instant | None:
        """When :meth:`due` may have changed its mind."""
        if self.open:
            return None
        return self._until if self._settled is None or self._missing else self._settled
