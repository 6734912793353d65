"""Values of section 1.1: R4 to R6."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from tests.conformance.examples.shared import Case, Example, bad, good, plain, written
from tests.conformance.reference.codec import decode, encode

INTEGERS = (
    *(0, 1, 127, 128, 255, 256, 32_767, 32_768, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 - 1, 2**53),
    *(2**63 - 1, 2**63, 2**64 - 1),
    *(-1, -32, -33, -128, -129, -32_768, -32_769, -(2**31), -(2**31) - 1, -(2**63)),
)


def examples() -> list[Example]:
    """Every example of this file."""
    return written([*_accepted(), *_forbidden(), *_longer(), *_unbounded()], read)


def read(data: bytes) -> Any:
    """A value as JSON."""
    return plain(decode(data))


def _accepted() -> Iterator[Case]:
    for number in INTEGERS:
        yield good(f"integer {number}", "R4", encode(number))
    for value, name in ((None, "nil"), (True, "true"), (False, "false")):
        yield good(name, "R4", encode(value))
    for size in (0, 1, 255, 256, 300):
        yield good(f"bin of {size}", "R5", encode(bytes(index & 0xFF for index in range(size))))
    for text, name in (("", "empty"), ("a" * 31, "31 bytes"), ("a" * 32, "32 bytes"), ("é" * 127 + "a", "255 bytes")):
        yield good(f"str, {name}", "R4", encode(text))
    yield good("str, four-byte characters", "R4", encode("𝄞🜂"))
    yield good("str with NUL", "R4", encode("a\x00b"), "what a field allows is the field's business")
    yield good("str, decomposed", "R4", encode("e\u0301"), "a codec does not normalise")
    for count in (0, 1, 15, 16, 256):
        yield good(f"array of {count}", "R6", encode([1] * count))
    yield good("eight arrays deep", "R6", b"\x91" * 7 + b"\x90")
    yield good("a value in eight arrays", "R6", b"\x91" * 8 + b"\x05")
    yield good("a mixed array", "R4", encode([1, -1, b"\x00", "a", None, True, [False, [b""]]]))


def _forbidden() -> Iterator[Case]:
    yield bad("empty map", "R4", b"\x80")
    yield bad("map of one", "R4", b"\x81\x01\x02")
    yield bad("map16", "R4", b"\xde\x00\x01\x01\x02")
    yield bad("map32", "R4", b"\xdf\x00\x00\x00\x01\x01\x02")
    yield bad("map inside an array", "R4", b"\x91\x80")
    yield bad("map of 2^32 - 1", "R4", b"\xdf\xff\xff\xff\xff")
    for name, number in (("0.0", 0.0), ("1.0", 1.0), ("NaN", float("nan")), ("infinity", float("inf")), ("-0.0", -0.0)):
        yield bad(f"float64 {name}", "R4", b"\xcb" + struct.pack(">d", number))
    yield bad("float32 1.0", "R4", b"\xca" + struct.pack(">f", 1.0))
    for code, size in ((0xD4, 1), (0xD5, 2), (0xD6, 4), (0xD7, 8), (0xD8, 16)):
        yield bad(f"fixext {size}", "R4", bytes([code, 5]) + bytes(size))
    for code, head in ((0xC7, b"\x00"), (0xC8, b"\x00\x00"), (0xC9, b"\x00\x00\x00\x00")):
        yield bad(f"ext {8 * len(head)} of 0", "R4", bytes([code]) + head + b"\x05")
    yield bad("timestamp", "R4", b"\xd6\xff\x00\x00\x00\x01")
    yield bad("format byte c1", "R4", b"\xc1")
    yield bad("str, not UTF-8", "R4", b"\xa2\xc3\x28")
    yield bad("str, overlong", "R4", b"\xa2\xc0\xaf")
    yield bad("str, half a surrogate pair", "R4", b"\xa3\xed\xa0\x80")
    yield bad("str, above U+10FFFF", "R4", b"\xa4\xf4\x90\x80\x80")
    yield bad("str of 256", "R4", b"\xda\x01\x00" + b"a" * 256)


def _longer() -> Iterator[Case]:
    for code, number in (("cc", "7f"), ("cd", "00ff"), ("ce", "0000ffff"), ("cf", "00000000ffffffff")):
        yield bad(f"unsigned {number} in {code}", "R5", bytes.fromhex(code + number))
    for code, number in (("d0", "e0"), ("d1", "ff80"), ("d2", "ffff8000"), ("d3", "ffffffff80000000")):
        yield bad(f"negative {number} in {code}", "R5", bytes.fromhex(code + number))
    tie = "as long as the unsigned format, and the unsigned one counts"
    yield bad("5 in d0", "R5", b"\xd0\x05")
    yield bad("1,000 in d1", "R5", b"\xd1\x03\xe8", tie)
    yield bad("100,000 in d2", "R5", b"\xd2\x00\x01\x86\xa0", tie)
    yield bad("2^40 in d3", "R5", b"\xd3\x00\x00\x01\x00\x00\x00\x00\x00", tie)
    yield bad("bin16 of 255", "R5", b"\xc5\x00\xff" + bytes(255))
    yield bad("bin32 of 1", "R5", b"\xc6\x00\x00\x00\x01\x00")
    yield bad("str8 of 31", "R5", b"\xd9\x1f" + b"a" * 31)
    yield bad("str16 of 32", "R5", b"\xda\x00\x20" + b"a" * 32)
    yield bad("str32 of 0", "R5", b"\xdb\x00\x00\x00\x00")
    yield bad("array16 of 15", "R5", b"\xdc\x00\x0f" + b"\x01" * 15)
    yield bad("array32 of 16", "R5", b"\xdd\x00\x00\x00\x10" + b"\x01" * 16)
    yield bad("a longer integer inside an array", "R5", b"\x92\x01\xcc\x01")


def _unbounded() -> Iterator[Case]:
    yield bad("nine arrays deep", "R6", b"\x91" * 8 + b"\x90")
    yield bad("a thousand arrays deep", "R6", b"\x91" * 1_000 + b"\x00")
    yield bad("array of 257", "R6", b"\xdc\x01\x01" + b"\x01" * 257)
    yield bad("array said to have 2^32 - 1", "R6", b"\xdd\xff\xff\xff\xff")
    yield bad("nothing", "R6", b"")
    yield bad("two values", "R6", b"\x01\x02")
    yield bad("a NUL after the value", "R6", b"\x90\x00")
    yield bad("array cut short", "R6", b"\x92\x01")
    yield bad("bin cut short", "R6", b"\xc4\x02\x00")
    yield bad("bin said to have 4 GiB", "R6", b"\xc6\xff\xff\xff\xff")
    yield bad("str cut short", "R6", b"\xa2a")
    yield bad("integer cut short", "R6", b"\xcf\x00\x00\x00")
    yield bad("length cut short", "R6", b"\xdc\x00")
