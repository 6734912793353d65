"""A simulated hub's store of durable events: batches reach it after a while, in order, whole or not at all.

What waits when a process ends or a machine loses power is lost from some point on; a batch may have reached the disk
and nobody be told. Faults: a disk that refuses for a time, and a backup that is put back.
Invariant: ``Stored`` is said of a batch only when every batch before it is on the disk.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from protocol.effects import KeepKeyState, LoadPayload, StoreEvents
from protocol.ids import AuthorId, EventId
from protocol.inputs import PayloadLoaded, Stored, StoredLedger, StoreFailed
from protocol.limits import CHUNK_BYTES
from protocol.rng import Rng
from protocol.wire.events import Payload, StoredEvent


@dataclass(slots=True)
class Disk:
    """``refuses`` is why nothing can be written now, if so; ``erased`` counts payloads that are gone for good."""

    events: dict[EventId, StoredEvent] = field(default_factory=dict)
    payloads: dict[EventId, Payload] = field(default_factory=dict)
    forks: dict[bytes, None] = field(default_factory=dict)
    key_states: dict[AuthorId, bytes] = field(default_factory=dict)
    waiting: deque[StoreEvents | KeepKeyState] = field(default_factory=deque)
    refuses: str = ""
    restored: bool = False
    erased: int = 0

    def submit(self, order: StoreEvents | KeepKeyState) -> None:
        """Take an order, to be written by one :meth:`step` for each ``StoreEvents``."""
        self.waiting.append(order)

    def step(self) -> Stored | StoreFailed | None:
        """Write the oldest batch; None if the process that gave it is gone."""
        while self.waiting:
            order = self.waiting.popleft()
            if isinstance(order, KeepKeyState):
                self.key_states[order.author] = order.encoded
                continue
            if self.refuses:
                return StoreFailed(order.ticket, self.refuses)
            self._apply(order)
            return Stored(order.ticket)
        return None

    def _apply(self, order: StoreEvents) -> None:
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

    def crash(self, rng: Rng) -> None:
        """The process or the machine ends: a random part of what waits was still written, in order."""
        for _ in range(rng.below(len(self.waiting) + 1)):
            if self.step() is None:
                break
        self.waiting.clear()

    def ledger(self) -> StoredLedger:
        """What the next run is told."""
        events = []
        for event in sorted(self.events.values(), key=lambda event: (event.author, event.seq, event.id)):
            payload = self.payloads.get(event.id)
            kept = payload if event.indexed else None
            events.append(replace(event, payload=kept, held=payload is not None))
        return StoredLedger(tuple(events), tuple(sorted(self.forks)), self.restored, tuple(self.key_states.values()))

    def load(self, asked: LoadPayload) -> PayloadLoaded:
        """Chunks of a payload."""
        payload = self.payloads.get(asked.event)
        if payload is None:
            return PayloadLoaded(asked.peer, asked.event, asked.first, None, ())
        content = payload.content
        starts = range(asked.first * CHUNK_BYTES, max(1, len(content)), CHUNK_BYTES)
        chunks = tuple(content[start : start + CHUNK_BYTES] for start in starts[: asked.count])
        return PayloadLoaded(asked.peer, asked.event, asked.first, payload.salt, chunks)

    def backup(self) -> Disk:
        """A copy of what is on the disk, marked as one that is put back."""
        return Disk(dict(self.events), dict(self.payloads), dict(self.forks), dict(self.key_states), restored=True)
