"""The messages by which two neighbors find out what the other holds and they do not (docs/protocol.md, "Reconciling"):
types 35 to 40.

Source: Yang, Gilad, Alizadeh, "Practical Rateless Set Reconciliation" (SIGCOMM 2024) for the symbols. Lists of things
of one size travel packed in one byte string, because a thousand msgpack headers would cost more than the symbols.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from protocol import limits
from protocol.errors import DecodeError, Reason
from protocol.ids import AUTHOR_BYTES, EVENT_BYTES, AuthorId, EventId
from protocol.wire import fields
from protocol.wire.codec import Value

SALT_BYTES: Final = 8
MARK_BYTES: Final = 16
"""A salt and as many bytes of digest."""
FINGERPRINT_BYTES: Final = 5
SYMBOL_BYTES: Final = 7
INCARNATION_BYTES: Final = 8
ENTRY_BYTES: Final = AUTHOR_BYTES + INCARNATION_BYTES + EVENT_BYTES

assert limits.SYMBOLS_MAX * SYMBOL_BYTES + 64 < limits.SEND_BYTES_MAX
assert limits.FINGERPRINTS_MAX * FINGERPRINT_BYTES + 64 < limits.SEND_BYTES_MAX
assert limits.ENTRIES_MAX * ENTRY_BYTES + limits.ENTRIES_ASKED_MAX * FINGERPRINT_BYTES + 64 < limits.SEND_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Entry:
    """One end of an author's chain; an author whose chain has forked has several."""

    author: AuthorId
    incarnation: int
    head: EventId

    @property
    def packed(self) -> bytes:
        """The 72 bytes that are hashed and travel: author, incarnation (big-endian), head."""
        return self.author + self.incarnation.to_bytes(INCARNATION_BYTES, "big") + self.head

    @classmethod
    def unpack(cls, packed: bytes) -> Entry:
        """The entry that these 72 bytes stand for."""
        number = int.from_bytes(packed[AUTHOR_BYTES:-EVENT_BYTES], "big")
        return cls(AuthorId(packed[:AUTHOR_BYTES]), number, EventId(packed[-EVENT_BYTES:]))


@dataclass(frozen=True, slots=True)
class ReconOpen:
    """Is your frontier this one? ``mark`` is a salt and the frontier's digest under it; silence means yes."""

    mark: bytes


@dataclass(frozen=True, slots=True)
class ReconSymbols:
    """No: mine has ``heads`` entries, and these are its next symbols under your salt, packed."""

    heads: int
    symbols: bytes


@dataclass(frozen=True, slots=True)
class ReconMore:
    """I cannot tell yet: more symbols."""


@dataclass(frozen=True, slots=True)
class ReconTurn:
    """Too much differs for symbols: the fingerprints that follow ``after`` (None: from the first), in order."""

    after: bytes | None


@dataclass(frozen=True, slots=True)
class ReconPage:
    """Fingerprints of my frontier, packed, in ascending order; ``last`` says that none follow."""

    fingerprints: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class ReconEntries:
    """Entries that you lack, packed, the most urgent first; and the fingerprints of yours that I ask for, packed.
    ``last``: the asking side has no more to say."""

    entries: bytes
    asked: bytes
    last: bool


ReconcileMessage: TypeAlias = ReconOpen | ReconSymbols | ReconMore | ReconTurn | ReconPage | ReconEntries

RECON_OPEN, RECON_SYMBOLS, RECON_MORE, RECON_TURN, RECON_PAGE, RECON_ENTRIES = range(35, 41)


def to_value(message: ReconcileMessage) -> Value:
    """The array that stands for ``message`` on the wire."""
    match message:
        case ReconOpen(mark):
            return (RECON_OPEN, mark)
        case ReconSymbols(heads, symbols):
            return (RECON_SYMBOLS, heads, symbols)
        case ReconMore():
            return (RECON_MORE,)
        case ReconTurn(after):
            return (RECON_TURN, after)
        case ReconPage(fingerprints, last):
            return (RECON_PAGE, fingerprints, last)
        case ReconEntries(entries, asked, last):
            return (RECON_ENTRIES, entries, asked, last)


def split(packed: bytes, size: int) -> list[bytes]:
    """The things of ``size`` bytes that ``packed`` consists of."""
    return [packed[at : at + size] for at in range(0, len(packed), size)]


def _packed(value: Value, name: str, size: int, low: int, high: int) -> bytes:
    packed = fields.binary(value, name, low * size, high * size)
    if len(packed) % size:
        raise DecodeError(Reason.OUT_OF_RANGE, f"{name} is not made of {size} bytes each")
    return packed


def _symbols(item: tuple[Value, ...]) -> ReconSymbols:
    heads = fields.integer(item[1], "heads", 0, limits.FRONTIER_MAX)
    return ReconSymbols(heads, _packed(item[2], "symbols", SYMBOL_BYTES, 1, limits.SYMBOLS_MAX))


def _turn(item: tuple[Value, ...]) -> ReconTurn:
    if item[1] is None:
        return ReconTurn(None)
    return ReconTurn(fields.binary(item[1], "after", FINGERPRINT_BYTES, FINGERPRINT_BYTES))


def _page(item: tuple[Value, ...]) -> ReconPage:
    return ReconPage(
        _packed(item[1], "fingerprints", FINGERPRINT_BYTES, 0, limits.FINGERPRINTS_MAX), fields.boolean(item[2], "last")
    )


def _entries(item: tuple[Value, ...]) -> ReconEntries:
    entries = _packed(item[1], "entries", ENTRY_BYTES, 0, limits.ENTRIES_MAX)
    for entry in split(entries, ENTRY_BYTES):
        if any(entry[AUTHOR_BYTES:]):  # all zero: eight branches, which are one entry without a head
            incarnation = int.from_bytes(entry[AUTHOR_BYTES:-EVENT_BYTES], "big")
            fields.integer(incarnation, "incarnation", 1, limits.COUNTER_MAX)
    return ReconEntries(
        entries,
        _packed(item[2], "asked", FINGERPRINT_BYTES, 0, limits.ENTRIES_ASKED_MAX),
        fields.boolean(item[3], "last"),
    )


PARSERS: Final[dict[int, tuple[int, Callable[[tuple[Value, ...]], ReconcileMessage]]]] = {
    RECON_OPEN: (2, lambda item: ReconOpen(fields.binary(item[1], "mark", MARK_BYTES, MARK_BYTES))),
    RECON_SYMBOLS: (3, _symbols),
    RECON_MORE: (1, lambda _item: ReconMore()),
    RECON_TURN: (2, _turn),
    RECON_PAGE: (3, _page),
    RECON_ENTRIES: (4, _entries),
}
"""Type to the number of elements and the reader of the array."""
