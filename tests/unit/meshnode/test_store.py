"""The database file and its writer: what comes back, what is refused, what is erased."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from meshnode.storage.database import MIGRATIONS, StoreDamaged, migration_copies, open_database
from meshnode.storage.rows import Batch
from meshnode.storage.store import Store
from meshnode.storage.writer import WAITING_BYTES_MAX, Writer
from protocol.effects import LoadPayload, StoreEvents
from protocol.errors import StoreError
from protocol.ids import AuthorId, EventId, MeshId
from protocol.inputs import LedgerInput, PayloadLoaded, Stored, StoredLedger, StoreFailed
from protocol.limits import CHUNK_BYTES
from protocol.wire.events import Payload, StoredEvent
from tests.crash.script import CANARY_BYTES, MESH, Speaker, readable

PEER = AuthorId(bytes(32))


class Run:
    """One run of a store in a folder."""

    def __init__(self, folder: Path) -> None:
        self.answers: list[LedgerInput] = []
        self.changed = trio.Event()
        self.store = Store(folder, MESH, self.hear)
        self.ledger = self.store.take_ledger()

    def hear(self, answers: list[LedgerInput]) -> None:
        self.answers += answers
        self.changed.set()

    async def answered(self, count: int) -> list[LedgerInput]:
        with trio.fail_after(10):
            while len(self.answers) < count:
                self.changed = trio.Event()
                await self.changed.wait()
        return self.answers


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Run]:
    folder.mkdir(mode=0o700, exist_ok=True)
    async with trio.open_nursery() as nursery:
        run = Run(folder)
        nursery.start_soon(run.store.run)
        yield run
        nursery.cancel_scope.cancel()


async def test_events_come_back_in_the_order_of_the_chain_and_payloads_by_chunk(tmp_path: Path) -> None:
    speaker = Speaker(1)
    events = [speaker.say(size) for size in (0, 10, 2 * CHUNK_BYTES)]
    async with running(tmp_path / "state") as run:
        run.store.know(*speaker.key_state)
        run.store.submit(StoreEvents(1, (events[2],)))
        run.store.submit(StoreEvents(2, (events[1], events[0]), own=True))
        assert await run.answered(2) == [Stored(1), Stored(2)]
        run.store.load(LoadPayload(PEER, events[2].id, 1, 2))
        run.store.load(LoadPayload(PEER, events[0].id, 0, 1))
        loaded, absent = (await run.answered(4))[2:]
    content = events[2].payload.content if events[2].payload else b""
    salt = events[2].payload.salt if events[2].payload else b""
    parts = (content[CHUNK_BYTES : 2 * CHUNK_BYTES], content[2 * CHUNK_BYTES :])
    assert loaded == PayloadLoaded(PEER, events[2].id, 1, salt, parts)
    assert absent == PayloadLoaded(PEER, events[0].id, 0, None, ())
    async with running(tmp_path / "state") as run:
        assert run.store.key_states == dict([speaker.key_state])
        kept = run.ledger.events
        assert [(event.id, event.seq, event.held, event.payload) for event in kept] == [
            (events[0].id, 1, False, None),
            (events[1].id, 2, True, None),
            (events[2].id, 3, True, None),
        ]


async def test_small_payloads_that_the_ledger_reads_itself_come_back_with_the_event(tmp_path: Path) -> None:
    event = Speaker(1).say(30)
    indexed = StoredEvent(event.id, event.author, 1, event.signed, event.sig, event.payload, held=True, indexed=True)
    async with running(tmp_path / "state") as run:
        run.store.submit(StoreEvents(1, (indexed,), forks=(b"proof",)))
        await run.answered(1)
    async with running(tmp_path / "state") as run:
        assert run.ledger == StoredLedger((indexed,), (b"proof",), restored=False)


async def test_a_batch_written_twice_is_there_once_and_a_payload_may_come_later(tmp_path: Path) -> None:
    event = Speaker(1).say(30)
    bare = StoredEvent(event.id, event.author, 1, event.signed, event.sig, None, held=False, indexed=False)
    async with running(tmp_path / "state") as run:
        for ticket, given in enumerate((bare, bare, event, event, bare)):
            run.store.submit(StoreEvents(ticket, (given,)))
        await run.answered(5)
    async with running(tmp_path / "state") as run:
        assert [kept.held for kept in run.ledger.events] == [True]


async def test_a_thousand_withdrawn_payloads_are_in_no_file_any_more(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    speakers = [Speaker(number) for number in range(4)]
    events = [speakers[number % 4].say((10, 300, 5_000)[number % 3]) for number in range(1_500)]
    gone = events[::3] + events[1::3]
    async with running(folder) as run:
        for ticket, event in enumerate(events):
            run.store.submit(StoreEvents(ticket, (event,)))
        await run.answered(len(events))
        assert _readable(folder, gone) == len(gone), "they were there"
        for ticket, event in enumerate(gone):
            run.store.submit(StoreEvents(ticket, erase=(event.id,)))
        await run.answered(len(events) + len(gone))
        assert _readable(folder, gone) == 0
        assert _readable(folder, events[2::3]) == len(events[2::3])
    async with running(folder) as run:
        assert len(run.ledger.events) == len(events)
        assert sum(event.held for event in run.ledger.events) == len(events[2::3])


async def test_forgotten_events_go_with_all_they_said(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    speaker = Speaker(1)
    events = [speaker.say(100) for _ in range(8)]
    async with running(folder) as run:
        run.store.submit(StoreEvents(1, tuple(events)))
        run.store.submit(StoreEvents(2, forget=tuple(event.id for event in events[:5])))
        await run.answered(2)
        assert _readable(folder, events[:5]) == 0
    async with running(folder) as run:
        assert [event.seq for event in run.ledger.events] == [6, 7, 8]


def _readable(folder: Path, events: list[StoredEvent]) -> int:
    said = {event.payload.content[:CANARY_BYTES] for event in events if event.payload is not None}
    return len(said & readable(folder))


async def test_a_reader_elsewhere_delays_the_end_of_erased_bytes_and_does_not_prevent_it(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    event = Speaker(1).say(100)
    async with running(folder) as run:
        run.store.submit(StoreEvents(1, (event,)))
        await run.answered(1)
        with contextlib.closing(sqlite3.connect(run.store.path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM events").fetchone()
            run.store.submit(StoreEvents(2, erase=(event.id,)))
            await run.answered(2)
            assert _readable(folder, [event]) == 1, "the reader still sees it"
        run.store.submit(StoreEvents(3, forks=(b"x",)))
        await run.answered(3)
        assert _readable(folder, [event]) == 0


async def test_what_was_handed_over_is_written_when_the_hub_ends(tmp_path: Path) -> None:
    speaker = Speaker(1)
    async with running(tmp_path / "state") as run:
        for ticket in range(300):
            run.store.submit(StoreEvents(ticket, (speaker.say(20),)))
    async with running(tmp_path / "state") as run:
        assert len(run.ledger.events) == 300


async def test_the_first_own_words_end_the_time_after_a_restore(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    speaker = Speaker(1)
    async with running(folder) as run:
        path = run.store.path
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO marks VALUES ('restored', 3)")
        connection.commit()
    async with running(folder) as run:
        assert run.ledger.restored
        run.store.submit(StoreEvents(1, (speaker.say(1),)))
        await run.answered(1)
    async with running(folder) as run:
        assert run.ledger.restored, "others' words end nothing"
        run.store.submit(StoreEvents(1, (speaker.say(1),), own=True))
        await run.answered(1)
    async with running(folder) as run:
        assert not run.ledger.restored


async def test_a_damaged_database_is_left_alone_and_the_hub_goes_on_without(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with running(folder) as run:
        path = run.store.path
        run.store.submit(StoreEvents(1, (Speaker(1).say(5_000),)))
        await run.answered(1)
    damaged = path.read_bytes()[:4_096] + bytes(8_192) + path.read_bytes()[12_288:]
    path.write_bytes(damaged)
    async with running(folder) as run:
        assert "damaged" in run.store.health
        assert "meshnode restore" in run.store.health
        assert run.ledger == StoredLedger(restored=True), "nothing may be signed"
        run.store.submit(StoreEvents(7))
        run.store.load(LoadPayload(PEER, EventId(bytes(32)), 0, 1))
        assert run.answers == [StoreFailed(7, run.store.health), PayloadLoaded(PEER, EventId(bytes(32)), 0, None, ())]
    assert path.read_bytes() == damaged


def test_too_much_waiting_is_refused_in_its_turn(tmp_path: Path) -> None:
    answers: list[LedgerInput] = []
    path = tmp_path / "x.db"
    with contextlib.closing(open_database(path, MESH)) as connection:
        writer = Writer(path, connection, soon=lambda act: act(), answer=answers.extend)
        author = AuthorId(bytes(32))
        big = StoredEvent(
            EventId(bytes(32)), author, 1, b"s", b"t", Payload(b"", bytes(WAITING_BYTES_MAX)), True, False
        )
        writer.submit(Batch(StoreEvents(1)))
        writer.submit(Batch(StoreEvents(2, (big,))))
        writer.submit(Batch(StoreEvents(3)))
        writer.stop()
        writer._answer = answers.extend
        writer.work()
    assert answers == [Stored(1), StoreFailed(2, "the disk is too slow: too much waits to be written"), Stored(3)]


def named(name: str) -> sqlite3.Error:
    """A fault as SQLite raises it."""
    fault = sqlite3.OperationalError("no such luck")
    fault.sqlite_errorname = name
    return fault


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (MemoryError(), "no memory"),
        (named("SQLITE_NOMEM"), "no memory"),
        (named("SQLITE_LOCKED_SHAREDCACHE"), "refuses to write"),
        (named("SQLITE_PERM"), "refuses to write"),
    ],
)
def test_what_passes_is_weather_and_never_ends_the_thread(tmp_path: Path, fault: Exception, said: str) -> None:
    answers: list[LedgerInput] = []
    with contextlib.closing(open_database(tmp_path / "x.db", MESH)) as connection:
        broken = Broken(connection, fault)
        writer = Writer(tmp_path / "x.db", broken, soon=lambda act: act(), answer=answers.extend)  # type: ignore[arg-type]
        for ticket in (1, 2):
            writer.submit(Batch(StoreEvents(ticket)))
            writer.stop()
            writer._answer = answers.extend
            writer.work()
    (failed, stored) = answers
    assert isinstance(failed, StoreFailed)
    assert said in failed.reason
    assert stored == Stored(2)


class Broken:
    """A connection on which the first statement fails."""

    def __init__(self, connection: sqlite3.Connection, fault: Exception) -> None:
        self._connection = connection
        self._fault: Exception | None = fault

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def execute(self, *arguments: object) -> object:
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault
        return self._connection.execute(*arguments)  # type: ignore[arg-type]


# --- the file -------------------------------------------------------------------------------------------------------


def test_a_new_database_and_its_companions_are_ours_alone(tmp_path: Path) -> None:
    with contextlib.closing(open_database(tmp_path / "x.db", MESH)) as connection:
        connection.execute("INSERT INTO forks VALUES (?)", (b"x",))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        settings = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "secure_delete")]
    assert modes == {"x.db": 0o600, "x.db-wal": 0o600, "x.db-shm": 0o600}
    assert settings == [2, 1]


def test_an_exposed_database_is_refused(tmp_path: Path) -> None:
    open_database(tmp_path / "x.db", MESH).close()
    (tmp_path / "x.db").chmod(0o640)
    with pytest.raises(StoreError, match="open to others"):
        open_database(tmp_path / "x.db", MESH)


def test_the_events_of_another_mesh_are_refused(tmp_path: Path) -> None:
    open_database(tmp_path / "x.db", MESH).close()
    with pytest.raises(StoreError, match="another mesh"):
        open_database(tmp_path / "x.db", MeshId(bytes(16)))


def test_a_newer_schema_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    open_database(path, MESH, (*MIGRATIONS, "CREATE TABLE later (x) STRICT;".replace("(x)", "(x ANY)"))).close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="schema 2 and this program knows up to 1"):
        open_database(path, MESH)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to be read as one" * 90, b"SQLite format 3\0"]
)
def test_a_file_that_is_no_database_is_called_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StoreDamaged, match="damaged"):
        open_database(path, MESH)
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    path.chmod(0o600)
    with pytest.raises(StoreDamaged, match="another program"):
        open_database(path, MESH)


NEXT = "ALTER TABLE forks ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;"


def test_a_migration_begins_with_a_copy_that_the_next_erasure_takes_away(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    event = Speaker(1).say(50)
    with contextlib.closing(open_database(path, MESH)) as connection:
        _write(path, connection, StoreEvents(1, (event,)))
    with contextlib.closing(open_database(path, MESH, (*MIGRATIONS, NEXT))) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        (copy,) = migration_copies(path)
        with contextlib.closing(open_database(copy, MESH)) as old:
            assert old.execute("SELECT count(*) FROM events").fetchone() == (1,)
        _write(path, connection, StoreEvents(2, erase=(event.id,)))
        assert migration_copies(path) == []


def test_a_migration_that_fails_leaves_the_old_database(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    open_database(path, MESH).close()
    with pytest.raises(StoreError):
        open_database(path, MESH, (*MIGRATIONS, NEXT, "CREATE TABLE events (x ANY) STRICT;"))
    with contextlib.closing(open_database(path, MESH)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert "seen" not in connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'forks'").fetchone()[0]


def _write(path: Path, connection: sqlite3.Connection, effect: StoreEvents) -> None:
    writer = Writer(path, connection, soon=lambda act: act(), answer=lambda _: None)
    writer.submit(Batch(effect))
    writer.stop()
    writer.work()
