"""What a store is given to write, with a model of what it must then hold; nothing here knows of SQLite's files.

A script is a list of groups, each committed together: real signed events of several authors, payloads of a few bytes
to many pages, erasures, events forgotten, proofs of forks. :func:`perform` gives it to the real writer, one group at a
time, so that the same seed makes the same operations on the disk.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Final, TypeAlias

from meshnode.storage.database import open_database
from meshnode.storage.rows import Batch
from meshnode.storage.writer import Writer
from protocol.effects import StoreEvents
from protocol.identity import LocalIdentity, new_identity
from protocol.ids import AuthorId, EventId, MeshId
from protocol.inputs import LedgerInput, Stored, StoreFailed
from protocol.rng import Rng
from protocol.wire.events import (
    STORY,
    EventFields,
    Fork,
    Payload,
    StoredEvent,
    decode_event,
    encode_fork,
    event_bytes,
)

MESH: Final = MeshId(bytes(range(16)))
CANARY_BYTES: Final = 16
_CANARY: Final = re.compile(rb"CANARY\x00\x00.{8}", re.DOTALL)
SIZES: Final = (0, 20, 20, 200, 200, 3_000, 20_000)

Group: TypeAlias = Sequence[Batch]
State: TypeAlias = dict[bytes, tuple[bytes, bytes | None]]
"""Event id to (signed, content of the payload or None); the proof of a fork stands for itself."""


class Speaker:
    """An author whose every payload begins with bytes found nowhere else."""

    def __init__(self, seed: int) -> None:
        self._rng = Rng(seed)
        self.identity: LocalIdentity = new_identity(MESH, _bytes(self._rng, 32), _bytes(self._rng, 32))
        self.seq = 0
        self.prev: EventId | None = None

    @property
    def author(self) -> AuthorId:
        """Its id."""
        return self.identity.author

    @property
    def key_state(self) -> tuple[AuthorId, bytes]:
        """As a batch carries it."""
        return self.author, self.identity.key_state.encoded

    def go_on(self, seed: int, events: Sequence[StoredEvent]) -> None:
        """Continue the chain that is there, with other canaries than before."""
        self._rng = Rng(seed)
        for event in events:
            if event.seq > self.seq:
                self.seq, self.prev = event.seq, event.id

    def say(self, size: int) -> StoredEvent:
        """The next event of its chain, with ``size`` bytes of payload after a canary; 0: none at all."""
        event = self._event(self.seq + 1, self.prev, size)
        self.seq, self.prev = event.seq, event.id
        return event

    def fork(self) -> bytes:
        """A proof against it: two events in one place."""
        one, other = (self._event(self.seq + 1, self.prev, 8) for _ in range(2))
        return encode_fork(Fork((one.signed, one.sig), (other.signed, other.sig)))

    def _event(self, seq: int, prev: EventId | None, size: int) -> StoredEvent:
        payload = None
        if size:
            content = b"CANARY\0\0" + _bytes(self._rng, 8) + bytes(size)
            payload = Payload(_bytes(self._rng, 16), content)
        fields = EventFields(
            author=self.author,
            rotation=0,
            incarnation=1,
            seq=seq,
            prev=prev,
            kind=STORY,
            payload_hash=None if payload is None else payload.hash(),
            payload_size=0 if payload is None else len(payload.content),
        )
        signed = event_bytes(MESH, fields)
        sig = self.identity.sign(signed)
        event = decode_event(MESH, signed, sig)
        return StoredEvent(event.id, self.author, seq, signed, sig, payload, payload is not None, False)


def _bytes(rng: Rng, count: int) -> bytes:
    return b"".join(rng.u64().to_bytes(8, "big") for _ in range(count // 8))


def make_script(seed: int, groups: int, *, bulk: int = 0) -> list[Group]:
    """A script; in its middle ``bulk`` groups of large payloads fill the WAL until SQLite checkpoints by itself."""
    rng = Rng(seed)
    speakers = [Speaker(seed * 100 + number) for number in range(4)]
    met: dict[AuthorId, None] = {}
    told: list[StoredEvent] = []
    script: list[Group] = []
    ticket = 0
    for number in range(groups + bulk):
        heavy = groups // 2 <= number < groups // 2 + bulk
        group = []
        for _ in range(1 if heavy else 1 + rng.below(5)):
            ticket += 1
            speaker = speakers[rng.below(len(speakers))]
            sizes = [150_000] if heavy else [SIZES[rng.below(len(SIZES))] for _ in range(1 + rng.below(4))]
            events = tuple(speaker.say(size) for size in sizes)
            erase = () if heavy else tuple(_pick(rng, told, 1 + rng.below(3))) if rng.below(4) == 0 else ()
            forget = tuple(_pick(rng, told, 1)) if rng.below(12) == 0 else ()
            forks = (speaker.fork(),) if rng.below(12) == 0 else ()
            known = () if speaker.author in met else (speaker.key_state,)
            met[speaker.author] = None
            told.extend(events)
            group.append(Batch(StoreEvents(ticket, events, erase, forget, forks, own=rng.below(2) == 0), known))
        script.append(group)
    return script


def _pick(rng: Rng, told: list[StoredEvent], count: int) -> list[EventId]:
    """Events told in earlier batches; picked once, they are not picked again."""
    return [told.pop(rng.below(len(told))).id for _ in range(min(count, len(told)))]


def apply(state: State, batch: Batch) -> None:
    """What a batch does, in the plainest words."""
    effect = batch.effect
    for event in effect.events:
        content = None if event.payload is None else event.payload.content
        signed, had = state.get(event.id, (event.signed, None))
        state[event.id] = (signed, content if had is None else had)
    for event_id in effect.erase:
        if event_id in state:
            state[event_id] = (state[event_id][0], None)
    for event_id in effect.forget:
        state.pop(event_id, None)
    for proof in effect.forks:
        state[proof] = (proof, None)


def read_state(connection: sqlite3.Connection) -> State:
    """What a database holds."""
    query = "SELECT e.id, e.signed, p.content FROM events e LEFT JOIN payloads p ON p.event = e.id"
    state: State = {event_id: (signed, content) for event_id, signed, content in connection.execute(query)}
    state.update({proof: (proof, None) for (proof,) in connection.execute("SELECT proof FROM forks")})
    return state


def digest_of(state: State) -> bytes:
    """One value for one state."""
    hasher = blake2b(digest_size=16)
    for name in sorted(state):
        signed, content = state[name]
        for part in (name, signed, b"-" if content is None else b"+" + content):
            hasher.update(len(part).to_bytes(4, "big") + part)
    return hasher.digest()


def readable(folder: Path) -> set[bytes]:
    """Every canary that can be found in the files of a folder, whether SQLite still knows of it or not."""
    return {canary for path in folder.iterdir() if path.is_file() for canary in _CANARY.findall(path.read_bytes())}


def canaries(batches: Sequence[Batch]) -> dict[bytes, bytes]:
    """The canary of every payload, by event id."""
    return {
        event.id: event.payload.content[:CANARY_BYTES]
        for batch in batches
        for event in batch.effect.events
        if event.payload is not None
    }


@dataclass
class Performance:
    """What came of a script: the batches acknowledged and refused, in the order in which that was said."""

    stored: list[Batch] = field(default_factory=list)
    failed: list[Batch] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


class Stage:
    """The real writer in a thread of its own, given one group at a time."""

    def __init__(
        self, path: Path, on_answers: Callable[[], object] = lambda: None, *, synchronous: str = "FULL"
    ) -> None:
        self.performance = Performance()
        self._on_answers = on_answers
        self._pending: dict[int, Batch] = {}
        self._answered, self._next = threading.Semaphore(0), threading.Semaphore(0)
        self._connection = open_database(path, MESH)
        self._connection.execute(f"PRAGMA synchronous={synchronous}")  # a weaker one shows that losses are found
        self._writer = Writer(path, self._connection, soon=lambda act: act(), answer=self._hear)
        self._thread: threading.Thread | None = None

    def _hear(self, answers: list[LedgerInput]) -> None:
        """In the writer's thread, which then waits until the whole next group is in its queue."""
        for answer in answers:
            assert isinstance(answer, Stored | StoreFailed)
            batch = self._pending.pop(answer.ticket)
            if isinstance(answer, Stored):
                self.performance.stored.append(batch)
            else:
                self.performance.failed.append(batch)
                self.performance.reasons.append(answer.reason)
        self._on_answers()
        self._answered.release()
        self._next.acquire()

    def give(self, group: Group) -> None:
        """Hand over a group and wait until it is answered."""
        for batch in group:
            self._pending[batch.effect.ticket] = batch
            self._writer.submit(batch)
        if self._thread is None:
            self._thread = threading.Thread(target=self._writer.work)
            self._thread.start()
        else:
            self._next.release()
        assert self._answered.acquire(timeout=30), "the writer has died"

    def close(self) -> None:
        """End as a hub does."""
        self._writer.stop()
        if self._thread is not None:
            self._next.release()
            self._thread.join()
        self._connection.close()
