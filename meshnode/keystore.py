"""What must outlive the process and must not be read by others: keys, mesh secrets, the boot counter.

Layout of a state directory (mode 0700, files 0600): ``keys.json`` (own seeds and mesh secrets), ``peers-*.json``
(others' key states, public but private to this hub), ``boot`` and ``boot.backup``, ``lock``. Writes go to a new
file, are synced, renamed, and the directory synced (the sequence of Pillai et al., OSDI 2014, table 1).
Deviation from a single identity per hub: one seed per mesh, so that two meshes cannot link a person by key.
Invariants: the next key's secret is never in the state directory; a boot number is on disk, twice, before anybody
learns it; a file that others can read or that somebody else owns is refused, not repaired, since it may be known.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self, get_args

from protocol.crypto import SEED_BYTES
from protocol.errors import StoreError
from protocol.identity import MESH_SECRET_BYTES, Admission
from protocol.ids import MESH_BYTES, MeshId
from protocol.limits import COUNTER_MAX, KEY_STATE_BYTES_MAX, KNOWN_PEERS_MAX, ROTATIONS_MAX, STORED_PEERS_MAX
from protocol.wire.joining import PeerRecord

VERSION: Final = 1
DIGEST_BYTES: Final = 32
FILE_BYTES_MAX: Final = 4 << 20
"""Twice what 512 key states need in hex; a larger file is not ours."""
MESHES_MAX: Final = 64
NAME_CHARS_MAX: Final = 64
BOOT_FILES: Final = ("boot.backup", "boot")

_ADMISSIONS: Final = get_args(Admission)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMesh:
    """One mesh that this hub belongs to, and its author there.

    ``secret`` is the mesh secret of an ``invite`` mesh and None for an open one. ``key_states`` are our own encoded
    key states, the current one last; ``next_digest`` commits to the next key, whose secret is elsewhere.
    """

    mesh_id: MeshId
    name: str
    admission: Admission
    secret: bytes | None = field(repr=False)
    seed: bytes = field(repr=False)
    next_digest: bytes
    key_states: tuple[bytes, ...]


class StateDirectory:
    """A hub's state directory, created if missing, checked, and locked against a second daemon while open.

    Raises:
        StoreError: it cannot be made, is open to others, belongs to somebody else, or is in use (names the pid).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        make_private_directory(path)
        self._lock = _lock(path / "lock")

    def close(self) -> None:
        """Release the lock; further calls do nothing."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def meshes(self) -> tuple[StoredMesh, ...]:
        """As :func:`read_meshes`."""
        return read_meshes(self.path)

    def put_mesh(self, mesh: StoredMesh) -> None:
        """Store ``mesh``, in place of the one with the same id; on disk when this returns.

        Raises:
            StoreError: a field has a wrong length, there are too many meshes, or writing failed; nothing changed.
        """
        others = {known.mesh_id: known for known in self.meshes()}
        others[mesh.mesh_id] = mesh
        if len(others) > MESHES_MAX:
            raise StoreError(f"a hub belongs to at most {MESHES_MAX} meshes")
        path = self.path / "keys.json"
        entries = [_mesh_entry(known) for known in others.values()]
        for entry in entries:
            _mesh_from(path, entry)  # what we write, we can read
        _save(path, {"version": VERSION, "meshes": entries})

    def peer_key_states(self, mesh_id: MeshId) -> tuple[bytes, ...]:
        """Encoded key states of other authors of the mesh, as last stored.

        Raises:
            StoreError: as :meth:`meshes`.
        """
        path = self.path / f"peers-{mesh_id.hex()}.json"
        content = _load(path)
        if content is None:
            return ()
        return tuple(_hex_list(path, "key_states", content.get("key_states"), KNOWN_PEERS_MAX))

    def put_peer_key_states(self, mesh_id: MeshId, key_states: tuple[bytes, ...]) -> None:
        """Replace the stored key states of others, at most 512 of at most 1,024 bytes.

        Raises:
            StoreError: too many or too large, or writing failed; nothing changed.
        """
        path = self.path / f"peers-{mesh_id.hex()}.json"
        listed = [state.hex() for state in key_states]
        _hex_list(path, "key_states", listed, KNOWN_PEERS_MAX)
        _save(path, {"version": VERSION, "key_states": listed})

    def peers(self, mesh_id: MeshId) -> tuple[PeerRecord, ...]:
        """Hubs of the mesh that were known when this hub last ran.

        Raises:
            StoreError: as :meth:`meshes`.
        """
        path = self.path / f"met-{mesh_id.hex()}.json"
        content = _load(path)
        if content is None:
            return ()
        listed = _hex_list(path, "peers", content.get("peers"), 3 * STORED_PEERS_MAX)
        if len(listed) % 3:
            raise _damaged(path, "peers must hold three entries for each hub")
        return tuple(PeerRecord(*listed[first : first + 3]) for first in range(0, len(listed), 3))

    def put_peers(self, mesh_id: MeshId, peers: tuple[PeerRecord, ...]) -> None:
        """Replace the known hubs, at most 128.

        Raises:
            StoreError: too many, or writing failed; nothing changed.
        """
        path = self.path / f"met-{mesh_id.hex()}.json"
        listed = [part.hex() for peer in peers for part in (peer.key_state, peer.signed, peer.signature)]
        _hex_list(path, "peers", listed, 3 * STORED_PEERS_MAX)
        _save(path, {"version": VERSION, "peers": listed})

    def trust(self, mesh_id: MeshId) -> bytes:
        """What the Node asked to keep of whom its person blocks, mutes and has met.

        Raises:
            StoreError: as :meth:`meshes`.
        """
        return read_private(self.path / f"trust-{mesh_id.hex()}") or b""

    def put_trust(self, mesh_id: MeshId, encoded: bytes) -> None:
        """Replace that.

        Raises:
            StoreError: writing failed; nothing changed.
        """
        write_private(self.path / f"trust-{mesh_id.hex()}", encoded)

    def next_boot(self, above: int = 0) -> int:
        """The number of this start: one more than ever before, and more than ``above``; on disk when this returns.

        ``above`` is a higher boot of our own that a peer has shown us, signed (decision 9), or the date. Both copies
        hold the number before it is returned, so losing either never brings an old number back.

        Raises:
            StoreError: no copy can be read but some exist, the counter is used up, or writing failed.
        """
        found = [_boot_in(self.path / name) for name in BOOT_FILES]
        valid = [number for number in found if number is not None and number > 0]
        if not valid and any(number is None for number in found):
            raise StoreError(
                f"the boot counter in {self.path} is damaged ('boot' and 'boot.backup'); restore a copy, or delete "
                "both and let a peer show this hub its last number"
            )
        boot = max([above, *valid]) + 1
        if boot > COUNTER_MAX:
            raise StoreError("the boot counter is used up; rotate the identity")
        line = str(boot)
        for name in BOOT_FILES:
            write_private(self.path / name, f"{line} {zlib.crc32(line.encode()):08x}\n".encode())
        return boot


def read_meshes(directory: Path) -> tuple[StoredMesh, ...]:
    """The meshes of a hub in the order they were first stored; empty before the first. Needs no lock.

    Raises:
        StoreError: the file is exposed, damaged, or of a newer version.
    """
    path = directory / "keys.json"
    content = _load(path)
    if content is None:
        return ()
    listed = content.get("meshes")
    if set(content) != {"version", "meshes"} or not isinstance(listed, list) or len(listed) > MESHES_MAX:
        raise _damaged(path, "it does not hold a list of meshes")
    return tuple(_mesh_from(path, entry) for entry in listed)


def last_boot(directory: Path) -> int:
    """The highest number of a start that either copy of the counter holds, 0 if there is none. Needs no lock.

    Raises:
        StoreError: a copy is exposed.
    """
    return max(_boot_in(directory / name) or 0 for name in BOOT_FILES)


def export_next_key(path: Path, next_seed: bytes, author: str) -> None:
    """Write the next key's secret once to ``path`` (0600), with a sentence that says where it belongs.

    Raises:
        StoreError: the file exists (it may be the only key to another identity), or writing failed.
    """
    if len(next_seed) != SEED_BYTES:
        raise StoreError(f"a seed has {SEED_BYTES} bytes, not {len(next_seed)}")
    text = (
        f"# The next key of author {author}.\n"
        "# Move this file off the hub now (a USB stick, a printed sheet, another machine) and delete it here: it is\n"
        "# what lets you take your name back from whoever steals the hub, and so must not be stolen with it.\n"
        f"{next_seed.hex()}\n"
    )
    if path.exists() or path.is_symlink():
        raise StoreError(f"{path} exists and may be the next key of another identity: move it off the hub first")
    write_private(path, text.encode())


def read_secret(path: Path, size: int = SEED_BYTES) -> bytes:
    """The secret in a file of comment lines (``#``) and one line of hex: a next key or a mesh secret.

    Raises:
        StoreError: missing, exposed to others, or of another form; the content is never quoted.
    """
    data = read_private(path)
    if data is None:
        raise StoreError(f"{path} does not exist")
    lines = [line for line in data.splitlines() if line.strip() and not line.startswith(b"#")]
    secret = _unhex(lines[0].decode("ascii", "replace").strip()) if len(lines) == 1 else None
    if secret is None or len(secret) != size:
        raise StoreError(f"{path} must hold one line of {2 * size} hex digits")
    return secret


def make_private_directory(path: Path) -> None:
    """Make ``path`` with mode 0700, or check that an existing one is ours alone.

    Raises:
        StoreError: it cannot be made, or its owner or mode is not right.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        status = path.stat()
    except OSError as fault:
        raise _failed("make the state directory", path, fault) from fault
    if not stat.S_ISDIR(status.st_mode):
        raise StoreError(f"{path} is not a directory")
    _refuse_exposed(path, status, "700")


def write_private(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` with mode 0600, whole or not at all, on disk when this returns.

    Raises:
        StoreError: the system refused; the old content stands.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.unlink(missing_ok=True)  # left by a crash; ours, because the directory is
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as fault:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise _failed("write", path, fault) from fault


def read_private(path: Path) -> bytes | None:
    """The content of a file that only we can read, or None if there is none.

    Raises:
        StoreError: it is a link, not a file, too large, owned by somebody else or open to others.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise _failed("read", path, fault) from fault
    with open(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"{path} is not a regular file")
        _refuse_exposed(path, status, "600")
        if status.st_size > FILE_BYTES_MAX:
            raise StoreError(f"{path} is larger than {FILE_BYTES_MAX} bytes")
        return file.read()


def check_private(path: Path) -> None:
    """Refuse a file that is a link, somebody else's, or open to others; its content is not read.

    Raises:
        StoreError: as said, or there is none.
    """
    try:
        status = path.lstat()
    except OSError as fault:
        raise _failed("read", path, fault) from fault
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(f"{path} is not a regular file")
    _refuse_exposed(path, status, "600")


def _refuse_exposed(path: Path, status: os.stat_result, mode: str) -> None:
    if status.st_uid != os.geteuid():
        raise StoreError(f"{path} belongs to user {status.st_uid}, not to {os.geteuid()} who runs this")
    if status.st_mode & 0o077:
        found = stat.S_IMODE(status.st_mode)
        raise StoreError(
            f"{path} is open to others (mode {found:04o}); check who has read it, then: chmod {mode} {path}"
        )


def _lock(path: Path) -> int:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as fault:
        raise _failed("open", path, fault) from fault
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as fault:
        pid = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
        os.close(handle)
        raise StoreError(f"{path.parent} is in use by process {pid or 'unknown'}") from fault
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle


def sync_directory(path: Path) -> None:
    """Bring the names in a directory to the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _boot_in(path: Path) -> int | None:
    """The number in one copy of the counter, 0 if there is no such file, None if it is damaged."""
    data = read_private(path)
    if data is None:
        return 0
    number, _, check = data.decode("ascii", "replace").removesuffix("\n").partition(" ")
    if (
        not (number.isascii() and number.isdigit() and len(number) <= 20)
        or check != f"{zlib.crc32(number.encode()):08x}"
    ):
        return None
    return int(number) if 1 <= int(number) <= COUNTER_MAX else None


def _load(path: Path) -> dict[str, object] | None:
    data = read_private(path)
    if data is None:
        return None
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as fault:
        raise _damaged(path, "it is not JSON") from fault
    version = content.get("version") if isinstance(content, dict) else None
    if type(version) is not int or not isinstance(content, dict):
        raise _damaged(path, "it has no version")
    if version != VERSION:
        raise StoreError(f"{path} has version {version}; this program knows version {VERSION}")
    return content


def _save(path: Path, content: dict[str, object]) -> None:
    write_private(path, json.dumps(content, indent=1).encode() + b"\n")


def _mesh_entry(mesh: StoredMesh) -> dict[str, object]:
    return {
        "mesh_id": mesh.mesh_id.hex(),
        "name": mesh.name,
        "admission": mesh.admission,
        "secret": None if mesh.secret is None else mesh.secret.hex(),
        "seed": mesh.seed.hex(),
        "next_digest": mesh.next_digest.hex(),
        "key_states": [state.hex() for state in mesh.key_states],
    }


def _mesh_from(path: Path, entry: object) -> StoredMesh:
    expected = {"mesh_id", "name", "admission", "secret", "seed", "next_digest", "key_states"}
    if not isinstance(entry, dict) or set(entry) != expected:
        raise _damaged(path, "a mesh has other fields than it should")
    name, admission = entry["name"], entry["admission"]
    if not isinstance(name, str) or len(name) > NAME_CHARS_MAX:
        raise _damaged(path, f"name must be a text of at most {NAME_CHARS_MAX} characters")
    if admission not in _ADMISSIONS or (admission == "invite") != (entry["secret"] is not None):
        raise _damaged(path, "admission must be 'open', or 'invite' with a secret")
    key_states = _hex_list(path, "key_states", entry["key_states"], 1 + ROTATIONS_MAX)
    if not key_states:
        raise _damaged(path, "key_states is empty")
    return StoredMesh(
        mesh_id=MeshId(_sized(path, "mesh_id", entry["mesh_id"], MESH_BYTES)),
        name=name,
        admission=admission,
        secret=None if entry["secret"] is None else _sized(path, "secret", entry["secret"], MESH_SECRET_BYTES),
        seed=_sized(path, "seed", entry["seed"], SEED_BYTES),
        next_digest=_sized(path, "next_digest", entry["next_digest"], DIGEST_BYTES),
        key_states=tuple(key_states),
    )


def _hex_list(path: Path, key: str, listed: object, count_max: int) -> list[bytes]:
    if not isinstance(listed, list) or len(listed) > count_max:
        raise _damaged(path, f"{key} must be a list of at most {count_max}")
    decoded = [_unhex(item) for item in listed]
    if not all(item is not None and 1 <= len(item) <= KEY_STATE_BYTES_MAX for item in decoded):
        raise _damaged(path, f"{key} must hold 1..{KEY_STATE_BYTES_MAX} bytes each, in hex")
    return [item for item in decoded if item is not None]


def _sized(path: Path, key: str, value: object, size: int) -> bytes:
    raw = _unhex(value)
    if raw is None or len(raw) != size:
        raise _damaged(path, f"{key} must be {2 * size} hex digits")
    return raw


def _unhex(value: object) -> bytes | None:
    if not isinstance(value, str) or not value.isascii() or any(char.isspace() for char in value):
        return None
    try:
        return bytes.fromhex(value)
    except ValueError:
        return None


def _damaged(path: Path, why: str) -> StoreError:
    return StoreError(f"{path} is damaged: {why}")


def _failed(what: str, path: Path, fault: OSError) -> StoreError:
    return StoreError(f"cannot {what} {path}: {fault.strerror or fault}")
