"""kill -9 at any moment: a process writes through the real store and says on a pipe what was acknowledged to it.

The process is a fork of this one that runs a Trio loop with a :class:`Store`, continues the chains that it finds, adds
events, erases some, and is killed at a random moment. Then the database is opened as a hub would: all that was said
must be there, all that was erased must be gone from every file, chains and signatures must hold. The database lives on
through ``LIVES`` kills before a fresh one is begun. A kill is no power cut: what the system was given it keeps.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time  # noqa: TID251 - says when to kill; nothing here is part of a protocol
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

from meshnode.storage.database import database_path, open_database, remove_database
from meshnode.storage.rows import read_ledger
from meshnode.storage.store import Store
from meshnode.storage.verify import verify_database
from protocol.effects import StoreEvents
from protocol.errors import StoreError
from protocol.ids import EventId
from protocol.inputs import LedgerInput, Stored
from protocol.rng import Rng
from protocol.wire.events import StoredEvent
from tests.crash.script import CANARY_BYTES, MESH, SIZES, Speaker, readable

LIVES: Final = 10
SPEAKERS: Final = 3
UNACKNOWLEDGED_MAX: Final = 48
WORDS_MAX: Final = 120
LONGER_S_MAX: Final = 0.02
"""A life ends after so many words at most and a moment that no longer depends on them."""
LINE_BYTES: Final = 32 + CANARY_BYTES + 1
ADDED, ERASING, ERASED = b"+", b"~", b"-"


@dataclass
class KillTally:
    """What a campaign has found; ``unsaid`` were committed and the writer died before it could say so."""

    kills: int = 0
    acknowledged: int = 0
    erased: int = 0
    unsaid: int = 0
    lost: int = 0
    damaged: int = 0
    canaries: int = 0
    faults: list[str] = field(default_factory=list)


class _Writing:
    """What the killed process does: hands over batches without end and reports each answer."""

    def __init__(self, folder: Path, seed: int, pipe: int) -> None:
        self._rng = Rng(seed)
        self._pipe = pipe
        self._store = Store(folder, MESH, self._hear)
        self._speakers = [Speaker(number) for number in range(SPEAKERS)]
        ledger = self._store.take_ledger()
        for number, speaker in enumerate(self._speakers):
            speaker.go_on(
                seed * SPEAKERS + number,
                [event for event in ledger.events if event.author == speaker.author],
            )
            self._store.know(*speaker.key_state)
        self._said: list[StoredEvent] = []
        self._lines: dict[int, list[bytes]] = {}
        self._ready = trio.Semaphore(UNACKNOWLEDGED_MAX)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._store.run)
            ticket = 0
            while True:
                await self._ready.acquire()
                ticket += 1
                self._store.submit(self._batch(ticket))

    def _batch(self, ticket: int) -> StoreEvents:
        rng = self._rng
        speaker = self._speakers[rng.below(SPEAKERS)]
        events = tuple(speaker.say(SIZES[rng.below(len(SIZES))]) for _ in range(1 + rng.below(3)))
        lines = [_line(ADDED, event) for event in events]
        erase: tuple[EventId, ...] = ()
        if self._said and rng.below(8) == 0:
            event = self._said.pop(rng.below(len(self._said)))
            erase = (event.id,)
            os.write(self._pipe, _line(ERASING, event))
            lines.append(_line(ERASED, event))
        self._lines[ticket] = lines
        self._said += [event for event in events if event.payload is not None]
        return StoreEvents(ticket, events, erase, own=rng.below(2) == 0)

    def _hear(self, answers: list[LedgerInput]) -> None:
        for answer in answers:
            assert isinstance(answer, Stored), answer
            os.write(self._pipe, b"".join(self._lines.pop(answer.ticket)))  # less than PIPE_BUF: whole or not at all
            self._ready.release()


def _line(what: bytes, event: StoredEvent) -> bytes:
    canary = bytes(CANARY_BYTES) if event.payload is None else event.payload.content[:CANARY_BYTES]
    return what + event.id + canary


@dataclass
class _Known:
    """What the writer has said so far of the database that is alive."""

    held: dict[bytes, bytes] = field(default_factory=dict)
    erasing: dict[bytes, bytes] = field(default_factory=dict)
    erased: dict[bytes, bytes] = field(default_factory=dict)
    unsaid: int = 0

    def hear(self, said: bytes) -> None:
        """Take the words of one life; a last one that was cut short is none."""
        of = {ADDED: self.held, ERASING: self.erasing, ERASED: self.erased}
        for start in range(0, len(said) - LINE_BYTES + 1, LINE_BYTES):
            line = said[start : start + LINE_BYTES]
            of[line[:1]][line[1:33]] = line[33:]


def kill_again_and_again(kills: int, seed: int, folder: Path, tally: KillTally) -> None:
    """The campaign; ``folder`` is private to it."""
    rng = Rng(seed)
    path = database_path(folder, MESH)
    known = _Known()
    for number in range(kills):
        if number % LIVES == 0:
            remove_database(path)
            known = _Known()
        before = len(known.held), len(known.erased)
        words, longer_s = rng.below(WORDS_MAX), LONGER_S_MAX * rng.fraction()
        known.hear(_live_and_die(folder, seed * 1_000_000 + number, words, longer_s))
        tally.kills += 1
        tally.acknowledged += len(known.held) - before[0]
        tally.erased += len(known.erased) - before[1]
        found = len(tally.faults)
        _judge(path, known, tally)
        tally.faults[found:] = [f"kill {number}: {fault}" for fault in tally.faults[found:]]


def _judge(path: Path, known: _Known, tally: KillTally) -> None:
    left = len(readable(path.parent).intersection(known.erased.values()))
    if left:
        tally.canaries += left
        tally.faults.append(f"{left} erased payloads can still be read")
    try:
        with contextlib.closing(open_database(path, MESH)) as connection:
            verdict = verify_database(connection, path)
            stored = {event.id: event.held for event in read_ledger(connection).events}
    except StoreError as fault:
        tally.damaged += 1
        tally.faults.append(str(fault))
        return
    if verdict.faults or verdict.unchecked:
        tally.damaged += 1
        tally.faults.append(verdict.faults[0] if verdict.faults else "a key state is missing")
    lost = 0
    for event_id, canary in known.held.items():
        with_payload = any(canary) and event_id not in known.erasing
        lost += event_id not in stored or (with_payload and not stored[EventId(event_id)])
    lost += sum(stored.get(EventId(event_id), False) for event_id in known.erased)
    tally.unsaid += len(stored) - len(known.held) - known.unsaid
    known.unsaid = len(stored) - len(known.held)
    if lost:
        tally.lost += lost
        tally.faults.append(f"{lost} acknowledged are not as they were")


def _live_and_die(folder: Path, seed: int, words: int, longer_s: float) -> bytes:
    """Start the writer, let it say so much and live a moment longer, kill it; all that it has said."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            trio.run(_write, folder, seed, writing)
        finally:  # nothing above may run in this process
            traceback.print_exc()
            os._exit(1)
    os.close(writing)
    said = b""
    with open(reading, "rb", buffering=0) as pipe:
        while len(said) < words * LINE_BYTES:
            part = pipe.read(1 << 16)
            assert part, "the writer ended by itself"
            said += part
        time.sleep(longer_s)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        while part := pipe.read(1 << 16):
            said += part
    return said


async def _write(folder: Path, seed: int, pipe: int) -> None:
    await _Writing(folder, seed, pipe).run()
