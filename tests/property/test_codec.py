"""The decoder against a second one that was written apart from it, and against every kind of bytes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from protocol.errors import DecodeError
from protocol.limits import DEPTH_MAX, ITEMS_MAX, STRING_BYTES_MAX
from protocol.wire.codec import Value, decode, encode
from protocol.wire.messages import decode_frame, encode_frame

SETTINGS = settings(deadline=None, derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


class Refused(Exception):
    """The second decoder's only complaint."""


class Second:
    """MessagePack as docs/protocol.md section 1.1 narrows it, read byte by byte."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def whole(self) -> Value:
        """The one value of the data, and nothing after it."""
        value = self._value(0)
        if self._at != len(self._data):
            raise Refused
        return value

    def _take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) != count:
            raise Refused
        self._at += count
        return taken

    def _number(self, size: int, least: int) -> int:
        number = int.from_bytes(self._take(size), "big")
        if number < least:
            raise Refused  # a shorter form would do
        return number

    def _value(self, depth: int) -> Value:
        first = self._take(1)[0]
        if first <= 0x7F:
            return first
        if first >= 0xE0:
            return first - 256
        if 0x90 <= first <= 0x9F:
            return self._array(first - 0x90, depth)
        if 0xA0 <= first <= 0xBF:
            return self._text(first - 0xA0)
        return self._long(first, depth)

    def _long(self, first: int, depth: int) -> Value:
        if first in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[first]
        if 0xCC <= first <= 0xCF:
            size = 1 << (first - 0xCC)
            return self._number(size, 128 if size == 1 else 1 << (4 * size))
        if 0xD0 <= first <= 0xD3:
            size = 1 << (first - 0xD0)
            number = int.from_bytes(self._take(size), "big", signed=True)
            if number >= (-32 if size == 1 else -(1 << (4 * size - 1))):
                raise Refused
            return number
        if first == 0xC4:
            return self._take(self._number(1, 0))
        if first == 0xC5:
            return self._take(self._number(2, 256))
        if first == 0xC6:
            return self._take(self._number(4, 65_536))
        if first == 0xD9:
            return self._text(self._number(1, 32))
        if first == 0xDC:
            return self._array(self._number(2, 16), depth)
        raise Refused

    def _text(self, size: int) -> str:
        if size > STRING_BYTES_MAX:
            raise Refused
        try:
            return self._take(size).decode()
        except UnicodeDecodeError:
            raise Refused from None

    def _array(self, count: int, depth: int) -> Value:
        if count > ITEMS_MAX or depth == DEPTH_MAX:
            raise Refused
        return tuple(self._value(depth + 1) for _ in range(count))


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from([0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, -32, -33, -128, -129, -32_768, -32_769]),
    st.binary(max_size=40),
    st.sampled_from([bytes(255), bytes(256), bytes(65_536)]),
    st.text(max_size=60),
)
values: st.SearchStrategy[Value] = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=6).map(tuple), max_leaves=12
)


def depth_of(value: Value) -> int:
    """How many arrays lie around the innermost value."""
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, tuple) else 0


def verdicts(data: bytes) -> tuple[Value | type[Refused], Value | type[Refused]]:
    """What the decoder and the second one say of some bytes."""
    answers: list[Value | type[Refused]] = []
    for read in (decode, lambda given: Second(given).whole()):
        try:
            answers.append(read(data))
        except (DecodeError, Refused):
            answers.append(Refused)
    return answers[0], answers[1]


def same(one: object, other: object) -> bool:
    """Equality that tells True from 1."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@given(values)
@SETTINGS
def test_what_was_encoded_decodes_to_itself_unless_it_is_too_deep(value: Value) -> None:
    encoded = encode(value)
    ours, second = verdicts(encoded)
    assert same(ours, value if depth_of(value) <= DEPTH_MAX else Refused)
    assert same(ours, second)


@given(st.binary(max_size=60))
@example(b"\xc4\x00")
@example(b"\xd9\x1f" + b"a" * 31)
@settings(SETTINGS, max_examples=800)
def test_two_decoders_agree_about_any_bytes(data: bytes) -> None:
    assert same(*verdicts(data))


@given(values, st.data())
@settings(SETTINGS, max_examples=200)
def test_two_decoders_agree_about_damaged_encodings(value: Value, data: st.DataObject) -> None:
    encoded = bytearray(encode(value)[:2_000])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(encoded) - 1))
        encoded[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(encoded)))
    assert same(*verdicts(bytes(encoded)))
    assert same(*verdicts(bytes(encoded[:cut])))


@given(st.binary(max_size=200))
@settings(SETTINGS, max_examples=400)
def test_whatever_is_accepted_encodes_to_the_bytes_it_came_from(data: bytes) -> None:
    try:
        value = decode(data)
    except DecodeError:
        return
    assert encode(value) == data


@given(st.lists(st.lists(leaves, max_size=4).map(tuple), max_size=3).map(tuple))
@settings(SETTINGS, max_examples=300)
def test_a_frame_is_a_named_error_or_the_one_encoding_of_its_messages(items: Value) -> None:
    plaintext = encode(items)
    try:
        messages = decode_frame(plaintext)
    except DecodeError:
        return
    assert encode_frame(messages) == plaintext


@pytest.mark.parametrize("prefix", [b"", b"\x91", b"\x92\x91\x04", b"\x91\x94\x07"])
@given(data=st.binary(max_size=120))
@settings(SETTINGS, max_examples=100)
def test_bytes_that_begin_like_a_frame_are_a_named_error_or_a_frame(prefix: bytes, data: bytes) -> None:
    try:
        messages = decode_frame(prefix + data)
    except DecodeError:
        return
    assert encode_frame(messages) == prefix + data
