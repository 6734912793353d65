"""What neighbors are given on their request: events in order, and chunks of payloads, no faster than a link bears.

Invariants: what waits for one peer is bounded and said once; a question costs no more than its share of a token bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from protocol.clock import SECOND, Instant
from protocol.ids import AuthorId, EventId
from protocol.ledger.values import LedgerConfig, Say
from protocol.wire.events import Event

QUESTIONS_BURST: Final = 1_024
QUESTIONS_PER_SECOND: Final = 128
"""Authors that one peer may ask about; after a heal all may have changed."""


@dataclass(slots=True)  # state: changes in place
class Bucket:
    """Tokens in millionths."""

    rate: int
    burst: int
    tokens: int = -1
    at: Instant = 0

    def take(self, count: int, now: Instant) -> bool:
        """Take ``count`` if they are there."""
        full = self.burst * SECOND
        self.tokens = full if self.tokens < 0 else min(full, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < count * SECOND:
            return False
        self.tokens -= count * SECOND
        return True

    def is_full(self, now: Instant) -> bool:
        """Whether it holds no less than a new one."""
        return self.tokens + (now - self.at) * self.rate >= self.burst * SECOND


@dataclass(slots=True)  # state: changes in place
class _Guest:
    questions: Bucket
    chunks: Bucket
    queue: dict[EventId, None] = field(default_factory=dict)


class Serving:
    """``room`` says how many bytes may be handed to the link with a peer now."""

    def __init__(self, config: LedgerConfig, room: Callable[[AuthorId], int]) -> None:
        self._config = config
        self._room = room
        self._guests: dict[AuthorId, _Guest] = {}
        self._due: Instant | None = None

    def link_up(self, peer: AuthorId) -> None:
        """``peer`` may ask from now on; one that comes back begins with what it had left."""
        pace = self._config.pace_max
        guest = self._guests.get(peer)
        if guest is None:
            self._guests[peer] = _Guest(Bucket(QUESTIONS_PER_SECOND, QUESTIONS_BURST), Bucket(pace, pace))

    def link_down(self, peer: AuthorId) -> None:
        """Nothing waits for ``peer`` any more."""
        self._guests.pop(peer, None)

    def may_ask(self, peer: AuthorId, authors: int, now: Instant) -> bool:
        """Whether ``peer`` may ask about so many authors now."""
        guest = self._guests.get(peer)
        return guest is not None and guest.questions.take(authors, now)

    def may_load(self, peer: AuthorId, chunks: int, now: Instant) -> bool:
        """Whether ``peer`` may have so many chunks now."""
        guest = self._guests.get(peer)
        return guest is not None and guest.chunks.take(chunks, now)

    def queue(self, peer: AuthorId, events: Iterable[EventId], now: Instant) -> None:
        """Send these to ``peer``, in this order, after what waits already."""
        queue = self._guests[peer].queue
        for name in events:
            if len(queue) >= self._config.serving_max:
                break  # it will ask again for the rest
            queue.setdefault(name)
        if queue and self._due is None:
            self._due = now

    @property
    def queued(self) -> int:
        """Events that wait for all peers together."""
        return sum(len(guest.queue) for guest in self._guests.values())

    def next_at(self) -> Instant | None:
        """When the next bundles leave."""
        return self._due

    def pump(self, load: Callable[[EventId], Event | None], now: Instant) -> list[Say]:
        """The next bundle for everybody who has room; ``load`` gives an event as it is sent, None if it is gone."""
        if self._due is None or now < self._due:
            return []
        said: list[Say] = []
        for peer, guest in self._guests.items():
            left = min(self._config.serving_bytes, self._room(peer)) if guest.queue else 0
            while guest.queue and left > 0:
                name = next(iter(guest.queue))
                del guest.queue[name]
                event = load(name)
                if event is not None:
                    left -= len(event.signed) + 100 + (0 if event.payload is None else len(event.payload.content))
                    said.append(Say(peer, event))
        waits = any(guest.queue for guest in self._guests.values())
        self._due = now + self._config.serving_us if waits else None
        return said
