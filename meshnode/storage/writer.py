"""The one thread that touches a database while a hub runs, and the hub's side of it.

Group commit (Gawlick and Kinkade 1985): what arrives while a commit runs is committed together with the next one, so a
slow disk gets larger groups and not a longer queue. The hub's loop hands over and goes on; answers come back through
``run_sync_soon`` in the order in which they were asked for.
Deviation from a second connection for reads: a payload is read by the same thread between two commits, so nobody ever
waits for a lock and a read sees what was stored before it.
Weather: a full, read-only or failing disk fails the groups it meets, changes nothing, and is tried again with whatever
comes next and every ``PROBE_S``. Damage found on the way ends all writing until the next start.
Invariants: ``Stored`` is said only after a commit at FULL has returned; erased bytes are out of the database and the
WAL when it is said, or as soon after it as nobody else reads the database.
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from meshnode.storage.database import migration_copies, remove_database
from meshnode.storage.rows import Batch, apply_batches, payload_bytes, read_chunks
from protocol.effects import LoadPayload
from protocol.inputs import LedgerInput, PayloadLoaded, Stored, StoreFailed

GROUP_EVENTS: Final = 256
"""A group with so many events is not made larger: a commit's own cost is shared well enough, and answers come soon."""
GROUP_BYTES_MAX: Final = 4 << 20
"""The same in bytes: about what a Raspberry Pi's card writes in a quarter of a second."""
WAITING_BYTES_MAX: Final = 32 << 20
"""What may wait for a slow disk: a hub that stores at a megabyte a second outlives half a minute of stall. Beyond it a
batch is refused, or a stuck disk would take the hub's memory."""
PROBE_S: Final = 2.0
"""How soon a hub sees that space has come back, with nothing to store."""
BEHIND: Final = "the disk is too slow: too much waits to be written"

WEATHER: Final = (
    *("SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM"),
    *("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL"),  # somebody else has the file: a person with `sqlite3`
)
"""What SQLite calls faults that pass, or that a person can mend while the hub runs."""

Health: TypeAlias = str
"""Empty if the last attempt was good, else why nothing can be stored now."""


class _Stop:
    """The last thing in the queue."""


class _Write:
    """A batch, and about what it weighs."""

    __slots__ = ("batch", "size")

    def __init__(self, batch: Batch, size: int) -> None:
        self.batch = batch
        self.size = size


class _Refused:
    """A batch that found no room; it waits its turn to be told, because answers keep their order."""

    def __init__(self, ticket: int) -> None:
        self.ticket = ticket


_Job: TypeAlias = _Write | LoadPayload | _Refused | _Stop


class Writer:
    """``soon`` runs a function in the hub's loop; there ``answer`` takes what the Node is told, and ``changed`` hears
    when the disk begins or ceases to refuse. ``connection`` is the thread's until ``work`` has returned."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        *,
        soon: Callable[[Callable[[], object]], object],
        answer: Callable[[list[LedgerInput]], object],
        changed: Callable[[Health], object] = lambda _: None,
        group_events: int = GROUP_EVENTS,
    ) -> None:
        self._path = path
        self._connection = connection
        self._soon = soon
        self._answer = answer
        self._changed = changed
        self._group_events = group_events
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._waiting_bytes = 0  # the loop's: what is in the queue or being written
        self._health: Health = ""  # the thread's
        self._damaged = False
        self._unclean = False

    # --- the loop's side ----------------------------------------------------------------------------------------

    def submit(self, batch: Batch) -> None:
        """Write a batch; answered by ``Stored`` or ``StoreFailed``."""
        size = payload_bytes(batch.effect.events)
        if self._waiting_bytes + size > WAITING_BYTES_MAX:
            self._jobs.put(_Refused(batch.effect.ticket))
            return
        self._waiting_bytes += size
        self._jobs.put(_Write(batch, size))

    def load(self, asked: LoadPayload) -> None:
        """Read a part of a payload; answered by ``PayloadLoaded``."""
        self._jobs.put(asked)

    def stop(self) -> None:
        """Let the thread write what waits, and end; answers are no longer heard."""
        self._answer = lambda _: None
        self._jobs.put(_Stop())

    # --- the thread's side --------------------------------------------------------------------------------------

    def work(self) -> None:
        """Write until told to stop: the whole life of the thread."""
        going = True
        while going:
            group, going = self._take()
            self._do(group)

    def _take(self) -> tuple[list[_Job], bool]:
        """The next group: the one job that is waited for, and what else is there already."""
        try:
            job = self._jobs.get(timeout=PROBE_S if self._health or self._unclean else None)
        except queue.Empty:
            return [], True
        group: list[_Job] = []
        count = size = 0
        while not isinstance(job, _Stop):
            group.append(job)
            count += 1
            if isinstance(job, _Write):
                count += max(0, len(job.batch.effect.events) - 1)
                size += job.size
            if count >= self._group_events or size >= GROUP_BYTES_MAX:
                return group, True
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return group, True
        return group, False

    def _do(self, group: list[_Job]) -> None:
        writes = [job for job in group if isinstance(job, _Write)]
        if writes or self._health:
            self._set_health(self._commit([write.batch for write in writes]))
        if self._unclean:
            self._clean()
        answers: list[LedgerInput] = [self._answer_to(job) for job in group]
        if not answers:
            return
        size = sum(write.size for write in writes)
        self._soon(lambda: self._told(answers, size))

    def _answer_to(self, job: _Job) -> LedgerInput:
        if isinstance(job, _Write):
            ticket = job.batch.effect.ticket
            return StoreFailed(ticket, self._health) if self._health else Stored(ticket)
        if isinstance(job, _Refused):
            return StoreFailed(job.ticket, BEHIND)
        assert isinstance(job, LoadPayload)
        try:
            return read_chunks(self._connection, job)
        except (sqlite3.Error, MemoryError) as fault:
            self._set_health(self._describe(fault))
            return PayloadLoaded(job.peer, job.event, job.first, None, ())

    def _commit(self, batches: list[Batch]) -> Health:
        """Write a group; with an empty one, find out whether the disk takes a commit again."""
        if self._damaged:
            return self._health
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            if batches:
                self._unclean = apply_batches(connection, batches) or self._unclean
            else:
                connection.execute("INSERT INTO marks VALUES ('probe', 0)")
                connection.execute("DELETE FROM marks WHERE name = 'probe'")
            connection.execute("COMMIT")
        except (sqlite3.Error, MemoryError) as fault:
            with contextlib.suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            return self._describe(fault)
        return ""

    def _clean(self) -> None:
        """Bring erased bytes out of the WAL as well, and remove older copies; again later if somebody reads."""
        try:
            busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            for copy in migration_copies(self._path):
                remove_database(copy)
        except (sqlite3.Error, MemoryError, OSError):
            return
        self._unclean = bool(busy)

    def _describe(self, fault: sqlite3.Error | MemoryError) -> Health:
        name = getattr(fault, "sqlite_errorname", "")
        if isinstance(fault, MemoryError) or name.startswith("SQLITE_NOMEM"):
            return "there is no memory to write with"
        if name == "SQLITE_FULL":
            return f"the disk is full: make room where {self._path.parent} is"
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            self._damaged = True
            return f"{self._path.name} is damaged: stop the hub and run `meshnode verify`"
        if not name.startswith(WEATHER):
            raise fault  # our own mistake
        return f"the disk refuses to write {self._path.name}: {fault} ({name})"

    def _set_health(self, health: Health) -> None:
        if health != self._health:
            self._health = health
            self._soon(lambda: self._changed(health))

    # --- back in the loop ---------------------------------------------------------------------------------------

    def _told(self, answers: list[LedgerInput], size: int) -> None:
        self._waiting_bytes -= size
        self._answer(answers)
