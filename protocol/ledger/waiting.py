"""Events that cannot be placed yet: their parent, or the key of their author, is not here.

Invariants: bounded in all, by author and by the peer that brought them; nobody's share is taken by another, but in
the total, which is what eight peers may bring; whatever waits goes after a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from protocol.clock import Instant
from protocol.ids import AuthorId, EventId
from protocol.ledger.values import LedgerConfig
from protocol.wire.events import EventRecord, Payload

Key = TypeVar("Key", AuthorId, EventId)


@dataclass(slots=True)  # state: changes in place
class Waiter:
    """An event, what came with it, who brought it when, and whether its signature was checked."""

    event: EventRecord
    payload: Payload | None
    peer: AuthorId
    at: Instant
    verified: bool


class WaitingRoom:
    """What waits, by event, in order of arrival."""

    def __init__(self, config: LedgerConfig) -> None:
        self._config = config
        self._waiters: dict[EventId, Waiter] = {}
        self._by_parent: dict[EventId, dict[EventId, None]] = {}
        self._by_author: dict[AuthorId, dict[EventId, None]] = {}
        self._by_peer: dict[AuthorId, int] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiters)

    def __contains__(self, event: EventId) -> bool:
        return event in self._waiters

    def add(self, waiter: Waiter) -> bool:
        """Let an event wait; False if there is no room. One that waits already keeps its place."""
        event, config = waiter.event, self._config
        if event.id in self._waiters:
            return True
        siblings = self._by_author.get(event.author, {})
        if (
            len(self._waiters) >= config.waiting_max
            or len(siblings) >= config.waiting_author_max
            or self._by_peer.get(waiter.peer, 0) >= config.waiting_peer_max
        ):
            return False
        if waiter.payload is not None:
            size = len(waiter.payload.content)
            if self._bytes + size > config.waiting_bytes_max:
                waiter.payload = None  # it can be asked for again
            else:
                self._bytes += size
        self._waiters[event.id] = waiter
        self._by_author.setdefault(event.author, {})[event.id] = None
        self._by_peer[waiter.peer] = self._by_peer.get(waiter.peer, 0) + 1
        if event.prev is not None:
            self._by_parent.setdefault(event.prev, {})[event.id] = None
        return True

    def after(self, parent: EventId) -> list[Waiter]:
        """Take out what waits for ``parent``."""
        return [self._remove(name) for name in list(self._by_parent.get(parent, {}))]

    def of(self, author: AuthorId, which: Callable[[Waiter], bool] = lambda _: True) -> list[Waiter]:
        """Take out what waits of ``author``, if ``which`` says so."""
        names = [name for name in self._by_author.get(author, {}) if which(self._waiters[name])]
        return [self._remove(name) for name in names]

    def expire(self, now: Instant) -> list[Waiter]:
        """Take out what has waited too long."""
        gone = []
        while self._waiters:
            oldest = next(iter(self._waiters.values()))
            if now - oldest.at < self._config.waiting_us:
                break
            gone.append(self._remove(oldest.event.id))
        return gone

    def next_at(self) -> Instant | None:
        """When something will have waited too long."""
        oldest = next(iter(self._waiters.values()), None)
        return None if oldest is None else oldest.at + self._config.waiting_us

    def _remove(self, name: EventId) -> Waiter:
        waiter = self._waiters.pop(name)
        event = waiter.event
        if waiter.payload is not None:
            self._bytes -= len(waiter.payload.content)
        _discard(self._by_author, event.author, name)
        if event.prev is not None:
            _discard(self._by_parent, event.prev, name)
        left = self._by_peer[waiter.peer] - 1
        if left:
            self._by_peer[waiter.peer] = left
        else:
            del self._by_peer[waiter.peer]
        return waiter


def _discard(index: dict[Key, dict[EventId, None]], key: Key, name: EventId) -> None:
    listed = index.get(key, {})
    listed.pop(name, None)
    if not listed:
        index.pop(key, None)
