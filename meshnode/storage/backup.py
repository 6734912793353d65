"""Backups: one file that brings a hub's events, names and counters back, and says so if it is no longer whole.

A backup is a zip archive, stored and not compressed so that a damaged one can still be dug in: ``manifest.json``, one
database for each mesh as it was at one moment (a running hub goes on writing), and ``keys.json`` only if asked for. The
manifest holds the BLAKE2b-256 and size of every other member.
A restored database is marked: a hub that continued its chain from an old copy would say something else in a place where
it has spoken already, so it first asks others how far it had come.
Invariants: nothing is restored into a directory in which a hub runs, over another identity, or from a file that is not
whole; what a restored database replaces is kept beside it; no file of ours is ever open to others.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from meshnode.keystore import (
    StateDirectory,
    StoredMesh,
    last_boot,
    read_meshes,
    read_private,
    sync_directory,
    write_private,
)
from meshnode.storage.database import copy_database, database_path, open_database, open_for_reading
from meshnode.storage.rows import mark_restored
from protocol.errors import ProtocolError, StoreError
from protocol.identity import decode_key_state
from protocol.ids import AuthorId, MeshId

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
KEYS: Final = "keys.json"
MANIFEST_BYTES_MAX: Final = 4 << 20
PART_BYTES: Final = 1 << 20
_DATE: Final = (1980, 1, 1, 0, 0, 0)  # a backup does not tell when it was made: the file's own date does


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that is whole, unpacked into ``folder``; ``authors`` says whose it is, mesh by mesh."""

    folder: Path
    boot: int
    authors: dict[MeshId, AuthorId]
    databases: dict[MeshId, Path]
    keys: dict[MeshId, StoredMesh]


def make_backup(state_dir: Path, target: Path, *, with_keys: bool = False) -> list[str]:
    """Write a backup (0600) of everything in a state directory; the names of its members.

    Raises:
        StoreError: ``target`` exists, there is no identity yet, a database is damaged, or the system refused; no file
            is left.
    """
    if os.path.lexists(target):
        raise StoreError(f"{target} exists; choose another name or move it away")
    meshes = read_meshes(state_dir)
    if not meshes:
        raise StoreError(f"there is nothing to back up in {state_dir}: no hub has run with it yet")
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=target.parent) as folder:
        members = [_copy_of(state_dir, mesh.mesh_id, Path(folder)) for mesh in meshes]
        found = [path for path in members if path is not None]
        if with_keys:
            found.append(Path(folder) / KEYS)
            write_private(found[-1], read_private(state_dir / KEYS) or b"")
        manifest = {
            "format": FORMAT,
            "boot": last_boot(state_dir),
            "meshes": [_public(mesh) for mesh in meshes],
            "members": {path.name: {"bytes": path.stat().st_size, "blake2b": _digest(path)} for path in found},
        }
        packed = Path(folder) / "packed"
        _pack(packed, manifest, found)
        try:
            packed.rename(target)
            sync_directory(target.parent)
        except OSError as fault:
            raise StoreError(f"cannot write {target}: {fault.strerror}") from fault
    return [MANIFEST, *(path.name for path in found)]


def _copy_of(state_dir: Path, mesh_id: MeshId, folder: Path) -> Path | None:
    path = database_path(state_dir, mesh_id)
    if not path.exists():
        return None
    copy = folder / path.name
    with contextlib.closing(open_for_reading(path)) as source:
        copy_database(source, copy)
    return copy


def _public(mesh: StoredMesh) -> dict[str, object]:
    """What a backup says of a mesh in any case: nothing that lets anybody in or sign."""
    return {
        "mesh_id": mesh.mesh_id.hex(),
        "name": mesh.name,
        "admission": mesh.admission,
        "next_digest": mesh.next_digest.hex(),
        "key_states": [state.hex() for state in mesh.key_states],
    }


def _pack(packed: Path, manifest: dict[str, object], members: list[Path]) -> None:
    handle = os.open(packed, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w+b") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo(MANIFEST, _DATE), json.dumps(manifest, indent=1))
            for path in members:
                with archive.open(zipfile.ZipInfo(path.name, _DATE), "w", force_zip64=True) as out:
                    for part in _parts(path):
                        out.write(part)
        file.flush()
        os.fsync(handle)


def is_backup(path: Path) -> bool:
    """Whether a file looks like a backup and not like a database."""
    return zipfile.is_zipfile(path)


@contextmanager
def unpacked(source: Path, beside: Path | None = None) -> Iterator[Backup]:
    """A backup, checked and unpacked for the length of the block, in a private folder below ``beside``.

    Raises:
        StoreError: it is no backup, not whole, or of a newer format.
    """
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=beside) as name:
        folder = Path(name)
        try:
            with zipfile.ZipFile(source) as archive:
                manifest = _manifest(source, archive)
                members = manifest["members"]
                for member in members:
                    _unpack(source, archive, member, members[member], folder)
            yield _read(manifest, folder)
        except (zipfile.BadZipFile, KeyError, TypeError, ValueError, AttributeError, ProtocolError) as fault:
            raise StoreError(f"{source} is not a whole backup: {fault}") from fault


def _manifest(source: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    if archive.getinfo(MANIFEST).file_size > MANIFEST_BYTES_MAX:
        raise ValueError("its manifest is too large")
    manifest = json.loads(archive.read(MANIFEST))
    if manifest["format"] != FORMAT:
        raise StoreError(f"{source} has format {manifest['format']}; this program knows format {FORMAT}")
    whole: dict[str, Any] = manifest
    return whole


def _unpack(source: Path, archive: zipfile.ZipFile, member: str, told: dict[str, object], folder: Path) -> None:
    if member == ".." or Path(member).name != member:
        raise ValueError("a member lies in another folder")
    target = folder / member
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out, archive.open(member) as file:
        for part in _parts_of(file):
            out.write(part)
    if target.stat().st_size != told["bytes"] or _digest(target) != told["blake2b"]:
        raise StoreError(f"{source} is damaged: {member} is not what was backed up")


def _read(manifest: dict[str, Any], folder: Path) -> Backup:
    authors = {}
    for entry in manifest["meshes"]:
        mesh_id = MeshId(bytes.fromhex(entry["mesh_id"]))
        authors[mesh_id] = decode_key_state(bytes.fromhex(entry["key_states"][-1]), mesh_id).author
    paths = {mesh_id: database_path(folder, mesh_id) for mesh_id in authors}
    keys = {mesh.mesh_id: mesh for mesh in read_meshes(folder)}
    return Backup(
        folder,
        int(manifest["boot"]),
        authors,
        {mesh_id: path for mesh_id, path in paths.items() if path.exists()},
        keys,
    )


def restore_backup(state_dir: Path, source: Path) -> list[Path]:
    """Bring a backup back; the databases that were replaced, moved aside.

    Raises:
        StoreError: a hub runs there, the backup is not whole, it belongs to another identity, or it holds no keys and
            neither does the directory; nothing has changed.
    """
    with StateDirectory(state_dir) as state, unpacked(source, beside=state_dir) as backup:
        own = {mesh.mesh_id: mesh for mesh in state.meshes()}
        for mesh_id, author in backup.authors.items():
            _check_identity(mesh_id, author, own.get(mesh_id) or backup.keys.get(mesh_id))
        for mesh_id, path in backup.databases.items():
            with contextlib.closing(open_database(path, mesh_id)) as connection:
                mark_restored(connection, backup.boot)
        for mesh_id, mesh in backup.keys.items():
            if mesh_id not in own:
                state.put_mesh(mesh)
        state.next_boot(above=backup.boot)
        replaced = [_put(path, database_path(state_dir, mesh_id)) for mesh_id, path in backup.databases.items()]
    return [path for path in replaced if path is not None]


def _check_identity(mesh_id: MeshId, author: AuthorId, mesh: StoredMesh | None) -> None:
    if mesh is None:
        raise StoreError(
            f"the backup holds no secret keys, and neither does this directory for mesh {mesh_id.hex()}: bring "
            "keys.json back first, or use a backup made with --with-keys"
        )
    if decode_key_state(mesh.key_states[-1], mesh_id).author != author:
        raise StoreError(f"the backup belongs to author {author.hex()}, and this hub is somebody else in that mesh")


def _put(path: Path, target: Path) -> Path | None:
    """Move a database to its place; where the one that was there is now.

    That one goes with its log in one piece, unless it is too damaged to be opened; and a log that an interrupted
    restore has left behind never meets the new database.
    """
    there = f"{target.absolute().as_uri()}?mode=rw"
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(there, uri=True)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    aside = None
    suffixes = [suffix for suffix in ("", "-wal", "-shm") if target.with_name(target.name + suffix).exists()]
    if suffixes:
        numbers = (target.with_name(f"{target.name}.replaced-{number}") for number in range(1, 1 << 20))
        aside = next(place for place in numbers if not any(place.parent.glob(f"{place.name}*")))
        for suffix in suffixes:
            target.with_name(target.name + suffix).rename(aside.with_name(aside.name + suffix))
    path.rename(target)
    sync_directory(target.parent)
    return aside


def _digest(path: Path) -> str:
    hasher = hashlib.blake2b(digest_size=32)
    for part in _parts(path):
        hasher.update(part)
    return hasher.hexdigest()


def _parts(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        yield from _parts_of(file)


def _parts_of(file: IO[bytes]) -> Iterator[bytes]:
    while part := file.read(PART_BYTES):
        yield part
