"""One mesh's database file: made, checked, brought to the present schema, and refused where it must not be touched.

SQLite in WAL mode (sqlite.org/wal.html) with ``synchronous=FULL``: a commit returns when its frames are on the disk.
The same for others' events as for our own, because a hub that has acknowledged an event is what its author relies on,
and one power cut meets every hub of a venue at once; docs/storage.md says what NORMAL would save.
Erasure: ``secure_delete`` fills freed bytes with zeros, but not the copies that are left where SQLite has moved a row
to another page, which in a table of random keys happens at every split and in any table when rows are deleted.
So payloads lie in a table that only grows at its end and whose rows are emptied, never deleted or moved.
Invariants: the file is ours alone (0600); damage is reported and never repaired or deleted; a migration begins with a
copy of the file; a schema newer than ours is not opened.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from meshnode.keystore import check_private, sync_directory
from protocol.errors import StoreError
from protocol.ids import MESH_BYTES, MeshId

APPLICATION_ID: Final = 0x6D657368
SQLITE_MIN: Final = (3, 37, 0)
"""STRICT tables."""
BUSY_MS: Final = 500
"""How long a checkpoint after an erasure waits for a reader in another process, such as ``meshnode backup``."""
WAL_BYTES_KEPT: Final = 4 << 20
MESH: Final = "mesh"
"""The mark that says whose events these are."""

MIGRATIONS: Final = (
    """
    CREATE TABLE events (
        number INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        author BLOB NOT NULL,
        seq INTEGER NOT NULL,
        indexed INTEGER NOT NULL,
        signed BLOB NOT NULL,
        sig BLOB NOT NULL
    ) STRICT;
    CREATE TABLE payloads (
        number INTEGER PRIMARY KEY,
        event BLOB UNIQUE,
        salt BLOB,
        content BLOB
    ) STRICT;
    CREATE TABLE forks (proof BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
    CREATE TABLE authors (author BLOB PRIMARY KEY, key_state BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE marks (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
    """,
)
"""The n-th brings a database from version n to n + 1; the first one makes it."""


class StoreDamaged(StoreError):
    """The database cannot be trusted; nothing was changed."""


def database_path(directory: Path, mesh_id: MeshId) -> Path:
    """Where the events of a mesh are."""
    return directory / f"ledger-{mesh_id.hex()}.db"


def open_database(path: Path, mesh_id: MeshId, migrations: Sequence[str] = MIGRATIONS) -> sqlite3.Connection:
    """The database, made if missing, checked and brought to the present schema; for one thread at a time.

    Raises:
        StoreDamaged: it is no database of ours, or its pages contradict each other.
        StoreError: it is exposed, of a newer schema or another mesh, or the system refused; nothing was changed.
    """
    if sqlite3.sqlite_version_info < SQLITE_MIN:
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: at least {'.'.join(map(str, SQLITE_MIN))}")
    _make_private(path)
    connection = _connect(path)
    try:
        version = check_database(connection, path, len(migrations))
        _set_up(connection)
        if version < len(migrations):
            _migrate(connection, path, version, migrations)
        connection.execute("INSERT INTO marks VALUES (?, ?) ON CONFLICT (name) DO NOTHING", (MESH, mesh_id))
        if mesh_of(connection, path) != mesh_id:
            raise StoreError(f"{path} holds the events of another mesh; it was renamed")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()  # a crash may have come before an erasure's
    except sqlite3.Error as fault:
        connection.close()
        raise refusal(path, fault) from fault
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """The database as it stands, also while a hub writes it; nothing can be changed through this connection.

    Raises:
        StoreError: it does not exist, is exposed, or the system refused.
    """
    check_private(path)
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    except sqlite3.Error as fault:
        raise refusal(path, fault) from fault
    connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    return connection


def check_database(connection: sqlite3.Connection, path: Path, known: int, *, thorough: bool = False) -> int:
    """The version of a sound database of ours, 0 if it is empty.

    ``thorough`` compares indexes with their tables as well, which takes several times as long.

    Raises:
        StoreDamaged: as :func:`open_database`.
        StoreError: it is of a newer schema than ``known``.
    """
    try:
        application, version = _pragma(connection, "application_id"), _pragma(connection, "user_version")
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if (application, version) != (0, 0) or tables:
            if application != APPLICATION_ID:
                raise damaged(path, "it is a database of another program")
            if version > known:
                raise StoreError(
                    f"{path} has schema {version} and this program knows up to {known}: a newer meshnode has used it. "
                    "Run that one, or restore an older backup"
                )
        check = "integrity_check" if thorough else "quick_check"
        found = [row[0] for row in connection.execute(f"PRAGMA {check}(10)")]
    except sqlite3.Error as fault:
        raise refusal(path, fault) from fault
    if found != ["ok"]:
        raise damaged(path, "; ".join(found)[:300])
    return version


def copy_database(source: sqlite3.Connection, target: Path) -> None:
    """A copy in one file (0600, on disk when this returns) of what is committed now; writers go on meanwhile.

    Raises:
        StoreError: ``target`` exists, or the system refused; no file is left.
    """
    _make_private(target, fresh=True)
    try:
        copy = _connect(target)
        with contextlib.closing(copy):
            source.backup(copy)  # in one step: one moment, however long it takes
            copy.execute("PRAGMA journal_mode=DELETE").fetchone()
        with open(target, "rb+") as file:
            os.fsync(file.fileno())
        sync_directory(target.parent)
    except (sqlite3.Error, OSError) as fault:
        remove_database(target)
        raise refusal(target, fault) from fault


def remove_database(path: Path) -> None:
    """Remove a database and what SQLite keeps beside it; one that is not there is fine."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def mesh_of(connection: sqlite3.Connection, path: Path) -> MeshId:
    """The mesh whose events these are.

    Raises:
        StoreDamaged: it is not written there.
    """
    row = connection.execute("SELECT value FROM marks WHERE name = ?", (MESH,)).fetchone()
    if row is None or not isinstance(row[0], bytes) or len(row[0]) != MESH_BYTES:
        raise damaged(path, "it does not say of which mesh it is")
    return MeshId(row[0])


def migration_copies(path: Path) -> list[Path]:
    """The copies that migrations have left beside a database."""
    return sorted(path.parent.glob(f"{path.name}.before-schema-*"))


def refusal(path: Path, fault: Exception) -> StoreError:
    """A fault of SQLite or the system as an error that says what to do."""
    name = getattr(fault, "sqlite_errorname", "")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return damaged(path, str(fault))
    return StoreError(f"cannot use {path}: {fault}{f' ({name})' if name else ''}")


def damaged(path: Path, why: str) -> StoreDamaged:
    """The error for a database that cannot be trusted."""
    return StoreDamaged(
        f"{path} is damaged: {why}. Nothing was changed. Look with `meshnode verify`, bring back a copy with "
        "`meshnode restore`, or move the file away: the hub then starts with an empty one and asks others for the rest"
    )


def _make_private(path: Path, *, fresh: bool = False) -> None:
    """SQLite gives the files beside a database the mode of the database, so that is set before it opens it."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        sync_directory(path.parent)
    except FileExistsError as fault:
        if fresh:
            raise StoreError(f"{path} exists; choose another name or move it away") from fault
        check_private(path)
    except OSError as fault:
        raise refusal(path, fault) from fault


def _connect(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1_000)
    except sqlite3.Error as fault:
        raise refusal(path, fault) from fault


def _set_up(connection: sqlite3.Connection) -> None:
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "secure_delete=ON",
        f"journal_size_limit={WAL_BYTES_KEPT}",
        "temp_store=MEMORY",  # what is erased must not lie in a temporary file
        "trusted_schema=OFF",
        "cell_size_check=ON",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchone()


def _migrate(connection: sqlite3.Connection, path: Path, version: int, migrations: Sequence[str]) -> None:
    """All steps in one transaction: after a crash the database is the old one or the new one."""
    if version:
        copy = path.with_name(f"{path.name}.before-schema-{len(migrations)}")
        remove_database(copy)  # of a migration that did not come to its end
        copy_database(connection, copy)
    statements = "".join(migrations[version:])
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE; {statements} PRAGMA application_id={APPLICATION_ID};"
            f"PRAGMA user_version={len(migrations)}; COMMIT;"
        )
    except sqlite3.Error:
        if connection.in_transaction:
            connection.rollback()
        raise


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
