"""Power cuts replayed: from a record of all writes and syncs, the files as a cut at any moment may leave them.

What is on the disk for certain is what was written before the last sync of a file. Of the writes since then each
sector of 512 bytes may hold what was there before or what any of them put there, in any combination, and the length may
be any it has had; the name of a file may be missing until its first sync, and a deleted one may be back until its
directory was synced (Pillai et al., OSDI 2014, section 2; Zheng et al., FAST 2013, for what drives do).
Every image is opened by the real store. It must be sound, hold exactly the state after some group of the script, and
that group must not come before the last one that was acknowledged.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from meshnode.storage.database import open_database
from meshnode.storage.verify import verify_database
from protocol.errors import StoreError
from protocol.rng import Rng
from tests.crash.script import MESH, Group, Stage, State, apply, canaries, digest_of, make_script, read_state, readable
from tests.crash.vfs import Delete, Mark, Operation, Sync, Trace, Truncate, Write, recorded

SECTOR: Final = 512
WAYS: Final = ("nothing", "everything", "prefix", "subset", "sectors", "shuffled")
"""Which of the unsynced writes of a file have reached the disk."""
IMAGES_EACH: Final = 100
SCRIPT_GROUPS: Final = 24
BULK_GROUPS: Final = 30
"""So many payloads of 150 kB pass the 1,000 pages after which SQLite checkpoints."""

Change: TypeAlias = Write | Truncate


@dataclass
class _File:
    """A file of the disk: what is certain, and what is only in the system's memory."""

    certain: bytearray = field(default_factory=bytearray)
    named: bool = False
    pending: list[Change] = field(default_factory=list)
    ghost: bytes | None = None

    def change(self, change: Change) -> None:
        """A write or truncation."""
        self.pending.append(change)

    def sync(self, *, failed: bool) -> None:
        """A sync makes certain what was pending; a failed one may lose it for good (what fsync does on Linux)."""
        if not failed:
            for change in self.pending:
                _do(self.certain, change)
            self.named, self.ghost = True, None
        self.pending.clear()

    def after_cut(self, way: str, rng: Rng) -> bytes | None:
        """The content a cut leaves; None: no such file."""
        if not self.named and (self.ghost is not None or rng.below(3) == 0):
            return self.ghost
        if way == "sectors":
            return self._any_sectors(rng)
        content = bytearray(self.certain)
        for change in self._chosen(way, rng):
            _do(content, change)
        return bytes(content)

    def _chosen(self, way: str, rng: Rng) -> list[Change]:
        pending = self.pending
        if way == "everything":
            return pending
        if way == "nothing" or not pending:
            return []
        if way == "prefix":
            count = rng.below(len(pending) + 1)
            torn = pending[count : count + 1]
            return [*pending[:count], *(_torn(change, rng) for change in torn)]
        kept = [change for change in pending if rng.below(2)]
        if way == "shuffled":
            for last in range(len(kept) - 1, 0, -1):
                other = rng.below(last + 1)
                kept[last], kept[other] = kept[other], kept[last]
        return kept

    def _any_sectors(self, rng: Rng) -> bytes:
        """Every sector in any version it has had since the last sync."""
        versions: dict[int, list[bytes]] = {}
        current = bytearray(self.certain)
        sizes = [len(current)]
        for change in self.pending:
            _do(current, change)
            sizes.append(len(current))
            if isinstance(change, Write):
                first, last = change.offset // SECTOR, (change.offset + len(change.data) - 1) // SECTOR
                for sector in range(first, last + 1):
                    part = bytes(current[sector * SECTOR : (sector + 1) * SECTOR])
                    versions.setdefault(sector, []).append(part)
        size = sizes[rng.below(len(sizes))]
        content = bytearray(self.certain[:size].ljust(size, b"\0"))
        for sector, parts in versions.items():
            choice = rng.below(len(parts) + 1)
            if choice and sector * SECTOR < size:
                part = parts[choice - 1][: size - sector * SECTOR]
                content[sector * SECTOR : sector * SECTOR + len(part)] = part
        return bytes(content)


def _do(content: bytearray, change: Change) -> None:
    if isinstance(change, Truncate):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
        return
    if len(content) < change.offset:
        content.extend(bytes(change.offset - len(content)))
    content[change.offset : change.offset + len(change.data)] = change.data


def _torn(change: Change, rng: Rng) -> Change:
    """A write of which only so many whole sectors have arrived."""
    if isinstance(change, Truncate):
        return change
    ends = range(SECTOR - change.offset % SECTOR, len(change.data), SECTOR)
    end = ends[rng.below(len(ends))] if ends else 0
    return Write(change.path, change.offset, change.data[:end])


class Disk:
    """Follows a trace; at any moment it can say what a cut would leave."""

    def __init__(self, existing: Iterable[str] = ()) -> None:
        self._files = {path: _File(named=True) for path in existing}
        self.marks: list[object] = []

    def follow(self, operation: Operation) -> None:
        """One step further."""
        match operation:
            case Mark(what):
                self.marks.append(what)
            case Write(path) | Truncate(path):
                self._files.setdefault(path, _File()).change(operation)
            case Sync(path, failed):
                file = self._files.setdefault(path, _File())
                if not file.named and not failed:
                    self._sync_names()
                file.sync(failed=failed)
            case Delete(path, durable):
                old = self._files.pop(path, _File())
                if not durable and old.named:
                    self._files[path] = _File(ghost=bytes(old.certain))

    def _sync_names(self) -> None:
        """With the first sync of a new journal or WAL SQLite syncs the directory (``UNIXFILE_DIRSYNC``)."""
        for file in self._files.values():
            file.ghost = None

    def cut(self, rng: Rng, folder: Path, way: str | None = None) -> None:
        """Write the files of one possible outcome into an empty folder."""
        for path, file in self._files.items():
            chosen = WAYS[rng.below(len(WAYS))] if way is None else way
            content = file.after_cut(chosen, rng)
            if content is not None:
                target = folder / Path(path).name
                with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                    out.write(content)


@dataclass
class Recording:
    """One performance of a script: what was done to the disk, and every state that the store has been in."""

    operations: list[Operation]
    states: list[State]
    digests: list[bytes]
    canaries: dict[bytes, bytes]
    path: Path


def record(seed: int, folder: Path, groups: int, *, bulk: int = 0, synchronous: str = "FULL") -> Recording:
    """Perform a script on the real store with the recorder beneath it."""
    script: list[Group] = make_script(seed, groups, bulk=bulk)
    path = folder / "ledger.db"
    with recorded(Trace()) as trace:
        stage = Stage(path, on_answers=lambda: trace.mark("acknowledged"), synchronous=synchronous)
        with contextlib.closing(stage):
            for group in script:
                stage.give(group)
    assert not stage.performance.failed, stage.performance.reasons
    states: list[State] = [{}]
    for group in script:
        states.append(dict(states[-1]))
        for batch in group:
            apply(states[-1], batch)
    sown = canaries([batch for group in script for batch in group])
    return Recording(trace.operations, states, [digest_of(state) for state in states], sown, path)


@dataclass
class Tally:
    """What a campaign has found."""

    operations: int = 0
    images: int = 0
    acknowledged: int = 0
    lost: int = 0
    damaged: int = 0
    canaries: int = 0
    ways: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def replay(recording: Recording, rng: Rng, count: int, folder: Path, tally: Tally) -> None:
    """``count`` images of cuts at random moments, each opened and compared; ``folder`` is emptied after each."""
    moments = sorted(rng.below(len(recording.operations) + 1) for _ in range(count))
    disk = Disk(existing=[str(recording.path)])
    done = 0
    for moment in moments:
        for operation in recording.operations[done:moment]:
            disk.follow(operation)
        done = moment
        way = WAYS[tally.images % (len(WAYS) + 1)] if tally.images % (len(WAYS) + 1) < len(WAYS) else None
        tally.ways[way or "mixed"] = tally.ways.get(way or "mixed", 0) + 1
        disk.cut(rng, folder, way)
        _judge(recording, len(disk.marks), folder, tally, f"moment {moment}, {way or 'mixed'}")
        for left in list(_files(folder)):
            left.unlink()


def _judge(recording: Recording, groups: int, folder: Path, tally: Tally, where: str) -> None:
    tally.images += 1
    tally.acknowledged += len(recording.states[groups])
    path = folder / recording.path.name
    try:
        with contextlib.closing(open_database(path, MESH)) as connection:
            state = read_state(connection)
            verdict = verify_database(connection, path)
    except (StoreError, sqlite3.DatabaseError) as fault:
        tally.damaged += 1
        tally.faults.append(f"{where}: {fault}")
        return
    found = digest_of(state)
    reached = next((number for number in (groups, groups + 1) if found in recording.digests[number : number + 1]), None)
    unexplained = [fault for fault in verdict.faults if "is missing" not in fault]  # the script forgets as it likes
    if reached is None:
        lost = sum(1 for name, held in recording.states[groups].items() if state.get(name) != held)
        tally.lost += lost
        tally.faults.append(f"{where}: {lost} of {len(recording.states[groups])} acknowledged are not as they were")
    if unexplained:
        tally.damaged += 1
        tally.faults.append(f"{where}: {unexplained[0]}")
    gone = {canary for name, canary in recording.canaries.items() if state.get(name, (b"", None))[1] is None}
    left = len(gone & readable(folder))
    tally.canaries += left
    if left:
        tally.faults.append(f"{where}: {left} erased payloads can still be read")


def _files(folder: Path) -> Iterator[Path]:
    return (entry for entry in folder.iterdir() if entry.is_file())


def campaign(images: int, seed: int, folder: Path, tally: Tally) -> None:
    """``images`` cuts of several performances, every fourth of them long enough for SQLite's own checkpoints."""
    rounds = max(1, images // IMAGES_EACH)
    for number in range(rounds):
        stage, outcome = folder / f"stage-{number}", folder / f"cut-{number}"
        stage.mkdir(mode=0o700)
        outcome.mkdir(mode=0o700)
        bulk = BULK_GROUPS if number % 4 == 3 else 0
        recording = record(seed + number, stage, SCRIPT_GROUPS, bulk=bulk)
        share = images // rounds + (number < images % rounds)
        replay(recording, Rng(seed).child(f"cuts {number}"), share, outcome, tally)
        tally.operations += len(recording.operations)
