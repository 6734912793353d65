"""A simulated hub's store of durable events: batches reach it after a while, in order, whole or not at all.

What waits when a process ends or a machine loses power is lost from some point on; a batch may have reached the disk
and nobody be told. Faults: a disk that refuses for a time, and a backup that is put back.
Invariant: ``Stored`` is said of a batch only when every batch before it is on the disk.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from protocol.clock import Instant
from protocol.effects import KeepKeyState, LoadPayload, StoreEvents
from protocol.ids import AuthorId, EventId
from protocol.inputs import PayloadLoaded, Stored, StoredLedger, StoreFailed
from protocol.limits import CHUNK_BYTES
from protocol.rng import Rng
from protocol.wire.events import Payload, StoredEvent

Order = StoreEvents | KeepKeyState


@dataclass(slots=True)
class Disk:
    """``refuses`` is why nothing can be written now, if so; ``erased`` counts payloads that are gone for good,
    ``rewinds`` how often a copy was put back that lacked something."""

    events: dict[EventId, StoredEvent] = field(default_factory=dict)
    payloads: dict[EventId, Payload] = field(default_factory=dict)
    forks: dict[bytes, None] = field(default_factory=dict)
    key_states: dict[AuthorId, bytes] = field(default_factory=dict)
    waiting: deque[Order] = field(default_factory=deque)
    written: list[tuple[Instant, Order]] = field(default_factory=list)
    refuses: str = ""
    restored: bool = False
    erased: int = 0
    rewinds: int = 0

    def submit(self, order: Order) -> None:
        """Take an order, to be written by one :meth:`step` for each ``StoreEvents``."""
        self.waiting.append(order)

    def step(self, now: Instant) -> Stored | StoreFailed | None:
        """Write the oldest batch; None if there is none, because the process that gave it is gone."""
        while self.waiting:
            order = self.waiting.popleft()
            if isinstance(order, StoreEvents) and self.refuses:
                return StoreFailed(order.ticket, self.refuses)
            self.written.append((now, order))
            self._apply(order)
            if isinstance(order, StoreEvents):
                return Stored(order.ticket)
        return None

    def _apply(self, order: Order) -> None:
        if isinstance(order, KeepKeyState):
            self.key_states[order.author] = order.encoded
            return
        for event in order.events:
            if event.payload is not None:
                self.payloads.setdefault(event.id, event.payload)
            self.events.setdefault(event.id, replace(event, payload=None, held=False))
        for name in (*order.erase, *order.forget):
            self.erased += self.payloads.pop(name, None) is not None
        for name in order.forget:
            self.events.pop(name, None)
        self.forks.update(dict.fromkeys(order.forks))
        if order.own:
            self.restored = False

    def crash(self, rng: Rng, now: Instant) -> None:
        """The process or the machine ends: a random part of what waits was still written, in order."""
        for _ in range(rng.below(len(self.waiting) + 1)):
            if self.step(now) is None:
                break
        self.waiting.clear()

    def rewind(self, until: Instant) -> int:
        """A copy made at ``until`` is put back; returns how many batches that undoes. Nobody says that it is a copy."""
        kept = [(at, order) for at, order in self.written if at <= until]
        undone = len(self.written) - len(kept)
        self.rewinds += undone > 0
        for table in (self.events, self.payloads, self.forks, self.key_states):
            table.clear()
        self.written = kept
        for _, order in kept:
            self._apply(order)
        return undone

    def ledger(self, *, fresh: bool) -> StoredLedger:
        """What the next run is told; ``fresh``: it is the author's first."""
        events = []
        for event in sorted(self.events.values(), key=lambda event: (event.author, event.seq, event.id)):
            payload = self.payloads.get(event.id)
            events.append(replace(event, payload=payload if event.indexed else None, held=payload is not None))
        key_states = tuple(self.key_states.values())
        return StoredLedger(tuple(events), tuple(sorted(self.forks)), self.restored, key_states, fresh)

    def load(self, asked: LoadPayload) -> PayloadLoaded:
        """Chunks of a payload."""
        payload = self.payloads.get(asked.event)
        if payload is None:
            return PayloadLoaded(asked.peer, asked.event, asked.first, None, ())
        content = payload.content
        starts = range(asked.first * CHUNK_BYTES, max(1, len(content)), CHUNK_BYTES)
        chunks = tuple(content[start : start + CHUNK_BYTES] for start in starts[: asked.count])
        return PayloadLoaded(asked.peer, asked.event, asked.first, payload.salt, chunks)
