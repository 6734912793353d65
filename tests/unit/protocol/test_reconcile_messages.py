"""The six messages of reconciliation: their bytes, and every field at and beyond its bounds (section 13)."""

from __future__ import annotations

import pytest

from protocol import limits
from protocol.errors import DecodeError, Reason
from protocol.ids import AuthorId, EventId
from protocol.wire import reconciling as wire
from protocol.wire.codec import Value, encode
from protocol.wire.reconciling import Entry, ReconcileMessage

ENTRY = Entry(AuthorId(b"a" * 32), 7, EventId(b"h" * 32))
PACKED = b"a" * 32 + bytes(7) + b"\x07" + b"h" * 32

EXAMPLES: dict[str, tuple[ReconcileMessage, str]] = {
    "open": (wire.ReconOpen(b"m" * 16), "92 23 c410" + "6d" * 16),
    "symbols": (wire.ReconSymbols(10_000, b"s" * 168), "93 24 cd2710 c4a8" + "73" * 168),
    "more": (wire.ReconMore(), "91 25"),
    "first turn": (wire.ReconTurn(None), "92 26 c0"),
    "turn": (wire.ReconTurn(b"after"), "92 26 c405" + b"after".hex()),
    "page": (wire.ReconPage(b"12345", True), "93 27 c405" + b"12345".hex() + "c3"),
    "empty page": (wire.ReconPage(b"", True), "93 27 c400 c3"),
    "entries": (
        wire.ReconEntries(PACKED, b"12345", False),
        "94 28 c448" + PACKED.hex() + "c405" + b"12345".hex() + "c2",
    ),
}


def read(*item: Value) -> ReconcileMessage:
    """What an array means."""
    kind = item[0]
    assert isinstance(kind, int)
    arity, parse = wire.PARSERS[kind]
    assert len(item) == arity
    return parse(item)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_message_has_the_bytes_of_the_document(name: str) -> None:
    message, encoded = EXAMPLES[name]
    value = wire.to_value(message)
    assert encode(value).hex() == encoded.replace(" ", "")
    assert isinstance(value, tuple)
    assert read(*value) == message


def test_an_entry_is_72_bytes_and_comes_back_from_them() -> None:
    assert ENTRY.packed == PACKED
    assert Entry.unpack(PACKED) == ENTRY
    assert len(PACKED) == wire.ENTRY_BYTES


REFUSED: dict[str, tuple[tuple[Value, ...], Reason]] = {
    "mark too short": ((35, bytes(15)), Reason.OUT_OF_RANGE),
    "mark too long": ((35, bytes(17)), Reason.OUT_OF_RANGE),
    "mark is text": ((35, "m" * 16), Reason.WRONG_TYPE),
    "heads below 0": ((36, -1, bytes(7)), Reason.OUT_OF_RANGE),
    "heads above all": ((36, limits.FRONTIER_MAX + 1, bytes(7)), Reason.OUT_OF_RANGE),
    "heads is a boolean": ((36, True, bytes(7)), Reason.WRONG_TYPE),
    "no symbols": ((36, 1, b""), Reason.OUT_OF_RANGE),
    "a part of a symbol": ((36, 1, bytes(8)), Reason.OUT_OF_RANGE),
    "too many symbols": ((36, 1, bytes(7 * (limits.SYMBOLS_MAX + 1))), Reason.OUT_OF_RANGE),
    "after too short": ((38, bytes(4)), Reason.OUT_OF_RANGE),
    "after is a number": ((38, 1), Reason.WRONG_TYPE),
    "a part of a fingerprint": ((39, bytes(6), True), Reason.OUT_OF_RANGE),
    "too many fingerprints": ((39, bytes(5 * (limits.FINGERPRINTS_MAX + 1)), True), Reason.OUT_OF_RANGE),
    "last is a number": ((39, b"", 1), Reason.WRONG_TYPE),
    "a part of an entry": ((40, bytes(71), b"", True), Reason.OUT_OF_RANGE),
    "incarnation 0": ((40, bytes(71) + b"h", b"", True), Reason.OUT_OF_RANGE),
    "incarnation 2^53": ((40, bytes(33) + b"\x20" + bytes(38), b"", True), Reason.OUT_OF_RANGE),
    "too many entries": ((40, PACKED * (limits.ENTRIES_MAX + 1), b"", True), Reason.OUT_OF_RANGE),
    "too many asked for": ((40, b"", bytes(5 * (limits.ENTRIES_ASKED_MAX + 1)), True), Reason.OUT_OF_RANGE),
    "a part of what is asked for": ((40, b"", bytes(4), True), Reason.OUT_OF_RANGE),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_field_beyond_its_bounds_is_refused(name: str) -> None:
    item, reason = REFUSED[name]
    with pytest.raises(DecodeError) as refused:
        read(*item)
    assert refused.value.reason is reason


LARGEST: tuple[ReconcileMessage, ...] = (
    wire.ReconSymbols(limits.FRONTIER_MAX, bytes(7 * limits.SYMBOLS_MAX)),
    wire.ReconPage(bytes(5 * limits.FINGERPRINTS_MAX), False),
    wire.ReconEntries(PACKED * limits.ENTRIES_MAX, bytes(5 * limits.ENTRIES_ASKED_MAX), True),
)


@pytest.mark.parametrize("message", LARGEST, ids=lambda message: type(message).__name__)
def test_the_largest_message_is_read_and_fits_into_one_send(message: ReconcileMessage) -> None:
    value = wire.to_value(message)
    assert isinstance(value, tuple)
    assert read(*value) == message
    assert len(encode((value,))) <= limits.SEND_BYTES_MAX
