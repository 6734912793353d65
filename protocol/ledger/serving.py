"""What neighbors are given on their request: events in order, and chunks of payloads, no faster than a link bears.

Chunks are read from the store no sooner than the link has room for them, so a slow link is asked to hold little, and a
question that comes too early waits in place of being refused: whoever asked would have to guess when to ask again.
Invariants: what waits for one peer is bounded and said once; a question costs no more than its share of a token bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from protocol.clock import SECOND, Instant
from protocol.effects import LoadPayload
from protocol.ids import AuthorId, EventId
from protocol.ledger.values import LedgerConfig, Say
from protocol.limits import CHUNK_BYTES, SERVED_BYTES_MAX
from protocol.wire.events import Event, WantPayload

QUESTIONS_BURST: Final = 1_024
QUESTIONS_PER_SECOND: Final = 128
"""Authors that one peer may ask about; after a heal all may have changed."""
ASKED_MAX: Final = 128
"""Payloads that one peer may wait for: more than an honest hub asks of it at once."""
CHUNK_ROOM_BYTES: Final = SERVED_BYTES_MAX // 2
"""Room that a link must have for a large chunk to be read, so that small payloads and events always have some."""
SMALL_BYTES: Final = 4_096
"""Payloads up to here go with the words themselves, before larger ones."""


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


def chunk_count(size: int) -> int:
    """In how many chunks a payload of ``size`` bytes travels; an empty one travels in one."""
    return max(1, -(-size // CHUNK_BYTES))


@dataclass(slots=True)  # state: changes in place
class _Asked:
    """Chunks ``first`` up to ``end`` of a payload of ``size`` bytes."""

    first: int
    end: int
    size: int

    def next_bytes(self) -> int:
        """The length of the chunk that is next."""
        return min(CHUNK_BYTES, self.size - self.first * CHUNK_BYTES)


@dataclass(slots=True)  # state: changes in place
class _Guest:
    questions: Bucket
    chunks: Bucket
    queue: dict[EventId, None] = field(default_factory=dict)
    small: dict[EventId, _Asked] = field(default_factory=dict)
    large: dict[EventId, _Asked] = field(default_factory=dict)
    loading: dict[tuple[EventId, int], int] = field(default_factory=dict)  # bytes of what the store was asked for


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

    def ask(self, peer: AuthorId, asked: WantPayload, size: int, now: Instant) -> bool:
        """Let a question about a payload of ``size`` bytes wait; False if there are too many. A newer one about the
        same payload takes the place of the older."""
        guest = self._guests.get(peer)
        if guest is None:
            return False
        waits = guest.small if size <= SMALL_BYTES else guest.large
        if asked.event not in waits and len(guest.small) + len(guest.large) >= ASKED_MAX:
            return False
        end = min(asked.first + asked.count, chunk_count(size))
        waits[asked.event] = _Asked(asked.first, end, size)
        if self._due is None:
            self._due = now
        return True

    def loaded(self, peer: AuthorId, event: EventId, first: int) -> None:
        """The store has answered."""
        guest = self._guests.get(peer)
        if guest is not None:
            guest.loading.pop((event, first), None)

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

    def pump(self, load: Callable[[EventId], Event | None], now: Instant) -> list[Say | LoadPayload]:
        """The next bundle for everybody who has room; ``load`` gives an event as it is sent, None if it is gone."""
        if self._due is None or now < self._due:
            return []
        told: list[Say | LoadPayload] = []
        waits = False
        for peer, guest in self._guests.items():
            if not (guest.queue or guest.small or guest.large):
                continue
            room = self._room(peer) - sum(guest.loading.values())
            left = min(self._config.serving_bytes, room // 2 if guest.small or guest.large else room)
            while guest.queue and left > 0:
                name = next(iter(guest.queue))
                del guest.queue[name]
                event = load(name)
                if event is not None:
                    size = len(event.signed) + 100 + (0 if event.payload is None else len(event.payload.content))
                    left -= size
                    room -= size
                    told.append(Say(peer, event))
            room = self._read(peer, guest, guest.small, SMALL_BYTES, room, told, now)
            self._read(peer, guest, guest.large, CHUNK_ROOM_BYTES, room, told, now)
            waits = waits or bool(guest.queue or guest.small or guest.large)
        self._due = now + self._config.serving_us if waits else None
        return told

    def _read(
        self,
        peer: AuthorId,
        guest: _Guest,
        waits: dict[EventId, _Asked],
        needed: int,
        room: int,
        told: list[Say | LoadPayload],
        now: Instant,
    ) -> int:
        """Order chunks from the store while there are ``needed`` bytes of room; returns what is left of it."""
        while waits and room >= needed and guest.chunks.take(1, now):
            name, asked = next(iter(waits.items()))
            guest.loading[name, asked.first] = asked.next_bytes()
            room -= asked.next_bytes()
            told.append(LoadPayload(peer, name, asked.first, 1))
            asked.first += 1
            if asked.first >= asked.end:
                del waits[name]
        return room
