"""Narrowed MessagePack, read byte by byte (docs/protocol.md, section 1.1).

No library decides anything here: every format byte is looked at, and a length is compared with what is left before
anything is taken. A value is refused at the first byte that breaks a rule.
"""

from __future__ import annotations

import struct
from typing import Final, TypeAlias

from tests.conformance.reference.mutations import NONE, Mutation, Mutations

Value: TypeAlias = int | bytes | str | bool | None | list["Value"]

DEPTH_MAX: Final = 8
ELEMENTS_MAX: Final = 256
STRING_BYTES_MAX: Final = 255

_NIL, _FALSE, _TRUE = 0xC0, 0xC2, 0xC3
_BIN: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_UINT: Final = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_INT: Final = {0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_STR: Final = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_ARRAY: Final = {0xDC: 2, 0xDD: 4}
_FLOAT: Final = {0xCA: ">f", 0xCB: ">d"}
_EXTENSION: Final = frozenset({0xC7, 0xC8, 0xC9, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8})
_MAP: Final = frozenset({*range(0x80, 0x90), 0xDE, 0xDF})


class Refused(Exception):
    """The input breaks a rule; the text says which."""


def encode(value: Value) -> bytes:
    """The one encoding of ``value``. Integers that are not negative use the unsigned formats."""
    if value is None:
        return bytes([_NIL])
    if isinstance(value, bool):
        return bytes([_TRUE if value else _FALSE])
    if isinstance(value, int):
        return _encode_int(value)
    if isinstance(value, bytes):
        return _head(len(value), ((0xC4, 1), (0xC5, 2), (0xC6, 4))) + value
    if isinstance(value, str):
        data = value.encode()
        head = bytes([0xA0 | len(data)]) if len(data) < 32 else _head(len(data), ((0xD9, 1), (0xDA, 2), (0xDB, 4)))
        return head + data
    head = bytes([0x90 | len(value)]) if len(value) < 16 else _head(len(value), ((0xDC, 2), (0xDD, 4)))
    return head + b"".join(encode(item) for item in value)


def _encode_int(value: int) -> bytes:
    if 0 <= value < 128:
        return bytes([value])
    if -32 <= value < 0:
        return bytes([256 + value])
    formats = _UINT if value >= 0 else _INT
    for code, size in formats.items():
        try:
            return bytes([code]) + value.to_bytes(size, "big", signed=value < 0)
        except OverflowError:
            continue
    raise Refused("integer outside -2^63..2^64-1")


def _head(length: int, formats: tuple[tuple[int, int], ...]) -> bytes:
    for code, size in formats:
        if length < 1 << (8 * size):
            return bytes([code]) + length.to_bytes(size, "big")
    raise Refused("too long for any format")


def decode(data: bytes, mutations: Mutations = NONE) -> Value:
    """The value that ``data`` is the one encoding of.

    Raises:
        Refused: for anything else.
    """
    reader = _Reader(data, mutations)
    value = reader.value(0)
    if reader.at != len(data) and Mutation.TRAILING_BYTES not in mutations:
        raise Refused("bytes after the value")
    return value


class _Reader:
    def __init__(self, data: bytes, mutations: Mutations) -> None:
        self.data = data
        self.at = 0
        self.strict = Mutation.NOT_CANONICAL not in mutations
        self.floats = Mutation.FLOATS in mutations

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise Refused("cut short")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "big", signed=signed)

    def length(self, size: int, least: int) -> int:
        """A length in ``size`` bytes; a shorter format would hold anything below ``least``."""
        length = self.number(size)
        if length < least and self.strict:
            raise Refused("a length in a longer format than it needs")
        return length

    def value(self, depth: int) -> Value:
        code = self.number(1)
        if code < 0x80:
            return code
        if code >= 0xE0:
            return code - 256
        if 0x90 <= code < 0xA0:
            return self.array(code & 0x0F, depth)
        if 0xA0 <= code < 0xC0:
            return self.string(code & 0x1F)
        if code in _UINT:
            return self.unsigned(_UINT[code])
        if code in _INT:
            return self.signed(_INT[code])
        if code in _BIN:
            return self.take(self.length(_BIN[code], (0, 0, 1 << 8, 0, 1 << 16)[_BIN[code]]))
        if code in _STR:
            return self.string(self.length(_STR[code], (0, 32, 1 << 8, 0, 1 << 16)[_STR[code]]))
        if code in _ARRAY:
            return self.array(self.length(_ARRAY[code], (0, 0, 16, 0, 1 << 16)[_ARRAY[code]]), depth)
        return self.constant(code)

    def constant(self, code: int) -> Value:
        if code == _NIL:
            return None
        if code in (_FALSE, _TRUE):
            return code == _TRUE
        if code in _FLOAT:
            if self.floats:
                (number,) = struct.unpack(_FLOAT[code], self.take(struct.calcsize(_FLOAT[code])))
                return int(number)
            raise Refused("a float")
        if code in _MAP:
            raise Refused("a map")
        if code in _EXTENSION:
            raise Refused("an extension type")
        raise Refused("a format byte without meaning")

    def unsigned(self, size: int) -> int:
        number = self.number(size)
        if self.strict and number < (0, 128, 1 << 8, 0, 1 << 16, 0, 0, 0, 1 << 32)[size]:
            raise Refused("an integer in a longer format than it needs")
        return number

    def signed(self, size: int) -> int:
        number = self.number(size, signed=True)
        if self.strict and number >= (0, -32, -(1 << 7), 0, -(1 << 15), 0, 0, 0, -(1 << 31))[size]:
            raise Refused("an integer in another format than the one it has")
        return number

    def string(self, length: int) -> str:
        if length > STRING_BYTES_MAX:
            raise Refused("a string of more than 255 bytes")
        try:
            return self.take(length).decode("utf-8", "strict")
        except UnicodeDecodeError:
            raise Refused("a string that is not UTF-8") from None

    def array(self, length: int, depth: int) -> list[Value]:
        if depth == DEPTH_MAX:
            raise Refused("more than 8 arrays deep")
        if length > ELEMENTS_MAX:
            raise Refused("an array of more than 256 elements")
        return [self.value(depth + 1) for _ in range(length)]
