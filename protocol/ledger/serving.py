"""What neighbors are given on their request: events in order, and chunks of payloads, no faster than a link bears.

Chunks are given no sooner than the link has room for them, so a slow link is asked to hold little, and a question that
comes too early waits in place of being refused: whoever asked would have to guess when to ask again. So does a patient
question about what is still on its way to us. Of a payload of many chunks the store reads all at once, or nothing could
be proven; what was read is kept for a while (:mod:`protocol.ledger.kept`), and who asks for it pays for the reading.
Invariants: what waits for one peer is bounded and said once; a question costs no more than its share of a token bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, TypeAlias

from protocol.clock import SECOND, Instant
from protocol.effects import LoadPayload
from protocol.ids import AuthorId, EventId
from protocol.ledger.values import LedgerConfig, Say
from protocol.limits import CHUNK_BYTES, SALT_BYTES, SERVED_BYTES_MAX
from protocol.wire.events import Chunk, Event, WantPayload
from protocol.wire.parts import chunk_count

QUESTIONS_BURST: Final = 1_024
QUESTIONS_PER_SECOND: Final = 128
"""Authors that one peer may ask about; after a heal all may have changed."""
ASKED_MAX: Final = 512
"""Runs of chunks that one peer may wait for: more than an honest hub asks of it at once."""
CHUNK_ROOM_BYTES: Final = SERVED_BYTES_MAX // 2
"""Room that a link must have for a chunk of a large payload, so that small payloads and events always have some."""
SMALL_BYTES: Final = CHUNK_BYTES
"""Payloads up to here go with the words themselves, before larger ones."""
AHEAD_US: Final = SECOND
"""A patient question may be ahead of the event that it is about, which comes another way, by so much."""
NEVER: Final[Instant] = 1 << 62
CHUNKS_A_READING: Final = 8
"""Of a large payload so many chunks are read and hashed for the price of one small payload."""


class Place(Enum):
    """Where a chunk is that somebody asks for."""

    STORE = auto()
    COMING = auto()
    GONE = auto()


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
class _Asked:
    """Chunks ``first`` up to ``end`` of a payload of ``size`` bytes; ``until``: so long it may wait for its event."""

    event: EventId
    first: int
    end: int
    size: int
    patient: bool
    until: Instant = NEVER


Run: TypeAlias = tuple[EventId, int]
"""What a question is known by: an event, and where it began."""


@dataclass(slots=True)  # state: changes in place
class _Guest:
    questions: Bucket
    chunks: Bucket
    queue: dict[EventId, None] = field(default_factory=dict)
    small: dict[Run, _Asked] = field(default_factory=dict)
    large: dict[Run, _Asked] = field(default_factory=dict)
    parked: dict[EventId, dict[int, _Asked]] = field(default_factory=dict)  # for what is not here yet, by first chunk
    loading: dict[EventId, int] = field(default_factory=dict)  # bytes of small payloads the store was asked for

    @property
    def asked(self) -> int:
        return len(self.small) + len(self.large) + sum(map(len, self.parked.values()))

    def park(self, run: Run, asked: _Asked) -> None:
        """Let it wait for its payload."""
        self.parked.setdefault(run[0], {})[run[1]] = asked


class Serving:
    """``room`` says how many bytes may be handed to the link with a peer now; ``find`` gives a chunk that may be given
    and is in memory, or says where it is."""

    def __init__(
        self,
        config: LedgerConfig,
        room: Callable[[AuthorId], int],
        find: Callable[[EventId, int], Chunk | Place],
    ) -> None:
        self._config = config
        self._room = room
        self._find = find
        self._guests: dict[AuthorId, _Guest] = {}
        self._reading: dict[EventId, None] = {}  # large payloads
        self._due: Instant | None = None
        self._until: Instant = NEVER

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
        same chunks takes the place of the older."""
        guest = self._guests.get(peer)
        if guest is None:
            return False
        run = asked.event, asked.first
        waits = guest.small if size <= SMALL_BYTES else guest.large
        guest.parked.get(asked.event, {}).pop(asked.first, None)
        if run not in waits and guest.asked >= ASKED_MAX:
            return False
        end = min(asked.first + asked.count, chunk_count(size))
        waits[run] = _Asked(asked.event, asked.first, end, size, asked.patient)
        if self._due is None:
            self._due = now
        return True

    def ask_ahead(self, peer: AuthorId, asked: WantPayload, now: Instant) -> bool:
        """Let a patient question about an unknown event wait; False if there are too many."""
        guest = self._guests.get(peer)
        if guest is None or guest.asked >= ASKED_MAX:
            return False
        until = now + AHEAD_US
        end = asked.first + asked.count
        guest.park((asked.event, asked.first), _Asked(asked.event, asked.first, end, 0, True, until))
        self._until = min(self._until, until)
        return True

    def cancel(self, peer: AuthorId, event: EventId) -> None:
        """``peer`` wants nothing more of this payload."""
        guest = self._guests.get(peer)
        if guest is not None:
            guest.parked.pop(event, None)
            for waits in (guest.small, guest.large):
                for run in [run for run in waits if run[0] == event]:
                    del waits[run]

    def arrived(self, event: EventId, size: int, now: Instant) -> None:
        """Something of this payload of ``size`` bytes is here now, or nothing of it will come: who waits for it is
        looked at again."""
        for guest in self._guests.values():
            for first, asked in guest.parked.pop(event, {}).items():
                asked.size, asked.end, asked.until = size, min(asked.end, chunk_count(size)), NEVER
                (guest.small if size <= SMALL_BYTES else guest.large)[event, first] = asked
                self._due = now

    def _expire(self, now: Instant) -> list[Say | LoadPayload]:
        """The events that these are about did not come."""
        told: list[Say | LoadPayload] = []
        self._until = NEVER
        for peer, guest in self._guests.items():
            for event, runs in list(guest.parked.items()):
                told += [_absent(peer, asked) for asked in runs.values() if asked.until <= now]
                left = {first: asked for first, asked in runs.items() if asked.until > now}
                self._until = min(self._until, *(asked.until for asked in left.values()), NEVER)
                guest.parked[event] = left
                if not left:
                    del guest.parked[event]
        return told

    def loaded(self, peer: AuthorId, event: EventId, size: int, now: Instant) -> None:
        """The store has answered."""
        guest = self._guests.get(peer)
        if guest is not None:
            guest.loading.pop(event, None)
        if event in self._reading:
            del self._reading[event]
            self.arrived(event, size, now)

    def lost(self, event: EventId) -> list[Say]:
        """The store does not have it after all: whoever waits is told."""
        told: list[Say] = []
        for peer, guest in self._guests.items():
            waiting = [guest.large.pop(run) for run in list(guest.large) if run[0] == event]
            waiting += guest.parked.pop(event, {}).values()
            told += [_absent(peer, asked) for asked in waiting]
        return told

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

    def next_at(self) -> Instant:
        """When the next bundles leave."""
        return self._until if self._due is None else min(self._due, self._until)

    def pump(self, load: Callable[[EventId], Event | None], now: Instant) -> list[Say | LoadPayload]:
        """The next bundle for everybody who has room; ``load`` gives an event as it is sent, None if it is gone."""
        told = self._expire(now) if now >= self._until else []
        if self._due is None or now < self._due:
            return told
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
            room = self._read_small(peer, guest, room, told, now)
            self._give_large(peer, guest, room, told, now)
            waits = waits or bool(guest.queue or guest.small or guest.large)
        self._due = now + self._config.serving_us if waits else None
        return told

    def _read_small(self, peer: AuthorId, guest: _Guest, room: int, told: list[Say | LoadPayload], now: Instant) -> int:
        """Order small payloads from the store while there is room; returns what is left of it."""
        while guest.small and room >= SMALL_BYTES and guest.chunks.take(CHUNKS_A_READING, now):
            asked = guest.small.pop(next(iter(guest.small)))
            guest.loading[asked.event] = asked.size
            room -= asked.size
            told.append(LoadPayload(peer, asked.event, 0, 1))
        return room

    def _give_large(
        self, peer: AuthorId, guest: _Guest, room: int, told: list[Say | LoadPayload], now: Instant
    ) -> None:
        """Give chunks while there is room; let those wait that are still to come or to be read."""
        while guest.large and room >= CHUNK_ROOM_BYTES:
            run, asked = next(iter(guest.large.items()))
            found = self._find(asked.event, asked.first)
            if isinstance(found, Chunk):
                if not guest.chunks.take(1, now):
                    return
                room -= CHUNK_BYTES
                told.append(Say(peer, found))
                asked.first += 1
                if asked.first >= asked.end:
                    del guest.large[run]
                continue
            if found is Place.STORE and asked.event not in self._reading:
                if not guest.chunks.take(chunk_count(asked.size) // CHUNKS_A_READING + 1, now):
                    return
                self._reading[asked.event] = None
                told.append(LoadPayload(peer, asked.event, 0, chunk_count(asked.size)))
            del guest.large[run]
            if found is Place.STORE or (found is Place.COMING and asked.patient):
                guest.park(run, asked)
            else:
                told.append(_absent(peer, asked))


def _absent(peer: AuthorId, asked: _Asked) -> Say:
    return Say(peer, Chunk(asked.event, asked.first, bytes(SALT_BYTES), None))
