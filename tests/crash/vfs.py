"""Stands between SQLite and the disk: records every change of a file and every sync, and fails those it is told to.

The standard ``sqlite3`` module stays as it is. SQLite lets a program register a VFS (sqlite.org/vfs.html): this one is
a copy of the default one whose ``xOpen`` swaps four entries in the method table of each file, by ctypes on the very
library that the module has loaded. So the store runs unchanged, its locks, reads and shared memory are the real ones,
and no second SQLite (apsw brings one of its own) and no compiler is needed.
Deviation from a real disk: the shared-memory file is not recorded, because the first connection after a power cut
rebuilds it from the WAL, whatever it holds.
Invariants: an operation is in the trace before SQLite knows its result; a failed write has written its first half.
"""

from __future__ import annotations

import _sqlite3
import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Any, Final, TypeAlias

OK: Final = 0
FULL: Final = 13
IOERR_WRITE: Final = 10 | 3 << 8
IOERR_FSYNC: Final = 10 | 4 << 8
IOERR_TRUNCATE: Final = 10 | 6 << 8
NAME: Final = b"meshnode-recorder"


@unique
class Fault(Enum):
    """What the disk says: no space, or an error of the device."""

    NO_SPACE = "ENOSPC"
    BROKEN = "EIO"


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes handed to the system for a file; on disk for certain only after a Sync of it."""

    path: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """A file was cut or extended to ``size`` bytes."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """fsync of a file; ``failed`` means that what was unsynced may be lost although a later sync succeeds."""

    path: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """A file was removed; ``durable`` if the directory was synced as well."""

    path: str
    durable: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """Something the program told somebody at this moment, such as an acknowledgement."""

    what: object


Operation: TypeAlias = Write | Truncate | Sync | Delete | Mark
Failing: TypeAlias = Callable[[int], Fault | None]
"""What becomes of the n-th write, truncation or sync (counted from 0) since the VFS was installed."""


@dataclass
class Trace:
    """Everything that was done to files, in order; ``failing`` decides which operations fail."""

    operations: list[Operation] = field(default_factory=list)
    failing: Failing = lambda _: None
    attempts: int = 0

    def mark(self, what: object) -> None:
        """Note what the program has just told somebody."""
        self.operations.append(Mark(what))

    def next_fault(self) -> Fault | None:
        """Count an attempt; the fault that it meets."""
        number, self.attempts = self.attempts, self.attempts + 1
        return self.failing(number)


_File = ctypes.c_void_p
_CLOSE = ctypes.CFUNCTYPE(ctypes.c_int, _File)
_WRITE = ctypes.CFUNCTYPE(ctypes.c_int, _File, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_TRUNCATE = ctypes.CFUNCTYPE(ctypes.c_int, _File, ctypes.c_int64)
_SYNC = ctypes.CFUNCTYPE(ctypes.c_int, _File, ctypes.c_int)
_OPEN = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, _File, ctypes.c_int, ctypes.POINTER(ctypes.c_int)
)  # names are bare pointers: the real VFS keeps the one it is given
_DELETE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)


class _Methods(ctypes.Structure):
    """sqlite3_io_methods, version 3: only what is swapped has a type."""

    _fields_ = [
        ("version", ctypes.c_int),
        ("close", _CLOSE),
        ("read", ctypes.c_void_p),
        ("write", _WRITE),
        ("truncate", _TRUNCATE),
        ("sync", _SYNC),
        ("others", ctypes.c_void_p * 13),
    ]


class _Vfs(ctypes.Structure):
    """sqlite3_vfs, version 3: only what is swapped has a type."""

    _fields_ = [
        ("version", ctypes.c_int),
        ("file_bytes", ctypes.c_int),
        ("path_bytes_max", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", _OPEN),
        ("delete", _DELETE),
        ("others", ctypes.c_void_p * 14),
    ]


class _OpenFile(ctypes.Structure):
    """sqlite3_file: every implementation begins with the pointer to its methods."""

    _fields_ = [("methods", ctypes.POINTER(_Methods))]


def _library() -> Any:
    library = ctypes.CDLL(_sqlite3.__file__)
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    library.sqlite3_vfs_find.argtypes = [ctypes.c_char_p]
    library.sqlite3_vfs_register.argtypes = [ctypes.POINTER(_Vfs), ctypes.c_int]
    library.sqlite3_vfs_unregister.argtypes = [ctypes.POINTER(_Vfs)]
    return library


def available() -> str | None:
    """None if the recorder works with this Python, else why it does not."""
    try:
        _library()
    except (AttributeError, OSError) as fault:
        return f"this Python hides its SQLite library: {fault}"
    return None


class _Recorder:
    """The VFS itself; must outlive every connection that was opened through it."""

    def __init__(self, real: Any, trace: Trace) -> None:
        self._trace = trace
        self._real = real.contents
        self._paths: dict[int, str] = {}
        self._tables: dict[int, tuple[_Methods, _Methods]] = {}
        self._real_of: dict[int, _Methods] = {}
        self.vfs = _Vfs()
        ctypes.memmove(ctypes.byref(self.vfs), real, ctypes.sizeof(_Vfs))
        self.vfs.name = NAME
        self.vfs.next = None
        self.vfs.open = _OPEN(self._open)
        self.vfs.delete = _DELETE(self._delete)

    def _open(self, vfs: int, name: int | None, file: int, flags: int, out: Any) -> int:
        status: int = self._real.open(vfs, name, file, flags, out)
        if status != OK or name is None:
            return status
        opened = _OpenFile.from_address(file)
        real = ctypes.addressof(opened.methods.contents)
        if real not in self._tables:
            self._tables[real] = (opened.methods.contents, self._swapped(opened.methods.contents))
        self._paths[file] = ctypes.string_at(name).decode()
        self._real_of[file], ours = self._tables[real]
        opened.methods = ctypes.pointer(ours)
        return status

    def _swapped(self, real: _Methods) -> _Methods:
        ours = _Methods()
        ctypes.memmove(ctypes.byref(ours), ctypes.byref(real), ctypes.sizeof(_Methods))
        ours.close = _CLOSE(self._close)
        ours.write = _WRITE(self._write)
        ours.truncate = _TRUNCATE(self._truncate)
        ours.sync = _SYNC(self._sync)
        return ours

    def _delete(self, vfs: int, name: int, sync_directory: int) -> int:
        self._trace.operations.append(Delete(ctypes.string_at(name).decode(), bool(sync_directory)))
        status: int = self._real.delete(vfs, name, sync_directory)
        return status

    def _close(self, file: int) -> int:
        del self._paths[file]
        status: int = self._real_of.pop(file).close(file)
        return status

    def _write(self, file: int, data: int, size: int, offset: int) -> int:
        fault = self._trace.next_fault()
        if fault is not None:
            size //= 2
        content = ctypes.string_at(data, size)
        self._trace.operations.append(Write(self._paths[file], offset, content))
        status: int = self._real_of[file].write(file, data, size, offset) if size else OK
        if fault is None or status != OK:
            return status
        return FULL if fault is Fault.NO_SPACE else IOERR_WRITE

    def _truncate(self, file: int, size: int) -> int:
        if self._trace.next_fault() is not None:
            return IOERR_TRUNCATE
        self._trace.operations.append(Truncate(self._paths[file], size))
        status: int = self._real_of[file].truncate(file, size)
        return status

    def _sync(self, file: int, flags: int) -> int:
        fault = self._trace.next_fault()
        self._trace.operations.append(Sync(self._paths[file], failed=fault is not None))
        if fault is not None:
            return IOERR_FSYNC
        status: int = self._real_of[file].sync(file, flags)
        return status


@contextmanager
def recorded(trace: Trace) -> Iterator[Trace]:
    """Within the block every connection this process opens goes through the recorder; all must be closed by its end."""
    library = _library()
    real = library.sqlite3_vfs_find(None)
    recorder = _Recorder(real, trace)
    library.sqlite3_vfs_register(ctypes.byref(recorder.vfs), 1)
    try:
        yield trace
    finally:
        library.sqlite3_vfs_unregister(ctypes.byref(recorder.vfs))
        library.sqlite3_vfs_register(real, 1)
