"""Who may begin a handshake: bounds on strangers before anything is known about them (threat T1).

Source of the figures: WireGuard's limits (20 handshakes per second and source), the design's 64 pending. When all
places are taken the oldest handshake of the busiest source gives way, so a flood from one address evicts itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from protocol.clock import SECOND, Instant

PENDING_MAX = 64
PER_SOURCE_MAX = 32
RATE_PER_SECOND = 20
BURST = 64
SOURCES_MAX = 1_024


@dataclass(slots=True)
class _Source:
    tokens: float
    at: Instant
    pending: int = 0


@dataclass(slots=True)
class Ticket:
    """A place among the pending; ``evict`` ends the handshake that holds it."""

    host: str
    evict: Callable[[], None]


class Admission:
    """The register of pending inbound handshakes."""

    def __init__(self, *, rate: int = RATE_PER_SECOND, burst: int = BURST) -> None:
        self._rate = rate
        self._burst = burst
        self._sources: dict[str, _Source] = {}
        self._pending: dict[int, Ticket] = {}
        self._count = 0

    @property
    def pending(self) -> int:
        """Handshakes under way."""
        return len(self._pending)

    def enter(self, host: str, evict: Callable[[], None], now: Instant) -> int | None:
        """A ticket number, or None if this source has had its share."""
        source = self._source(host, now)
        source.tokens = min(float(self._burst), source.tokens + (now - source.at) * self._rate / SECOND)
        source.at = now
        if source.tokens < 1.0:
            return None
        source.tokens -= 1.0
        if source.pending >= PER_SOURCE_MAX:
            self._evict(host)
        elif len(self._pending) >= PENDING_MAX:
            self._evict(max(self._sources, key=lambda h: self._sources[h].pending))
        self._count += 1
        self._pending[self._count] = Ticket(host, evict)
        source.pending += 1
        return self._count

    def leave(self, ticket: int) -> None:
        """The handshake has ended, one way or the other."""
        held = self._pending.pop(ticket, None)
        if held is not None:
            self._sources[held.host].pending -= 1

    def _evict(self, host: str) -> None:
        for number, ticket in self._pending.items():
            if ticket.host == host:
                self.leave(number)
                ticket.evict()
                return

    def _source(self, host: str, now: Instant) -> _Source:
        source = self._sources.get(host)
        if source is None:
            if len(self._sources) >= SOURCES_MAX:
                idle = next((h for h, s in self._sources.items() if s.pending == 0), None)
                if idle is not None:
                    del self._sources[idle]
            source = self._sources[host] = _Source(float(self._burst), now)
        return source
