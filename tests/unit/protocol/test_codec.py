"""The bounded canonical decoder: what may travel, and how everything else is refused (R4, R5, R6)."""

from __future__ import annotations

import struct

import pytest

from protocol.errors import DecodeError, Reason
from protocol.wire.codec import Value, decode, encode

U64_MAX = 2**64 - 1
I64_MIN = -(2**63)


def reason_of(data: bytes) -> Reason:
    """Why bytes are refused."""
    with pytest.raises(DecodeError) as refused:
        decode(data)
    return refused.value.reason


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (None, "c0"),
        (False, "c2"),
        (True, "c3"),
        (0, "00"),
        (127, "7f"),
        (128, "cc80"),
        (255, "ccff"),
        (256, "cd0100"),
        (65_535, "cdffff"),
        (65_536, "ce00010000"),
        (2**32 - 1, "ceffffffff"),
        (2**32, "cf0000000100000000"),
        (U64_MAX, "cfffffffffffffffff"),
        (-1, "ff"),
        (-32, "e0"),
        (-33, "d0df"),
        (-128, "d080"),
        (-129, "d1ff7f"),
        (-32_768, "d18000"),
        (-32_769, "d2ffff7fff"),
        (-(2**31), "d280000000"),
        (-(2**31) - 1, "d3ffffffff7fffffff"),
        (I64_MIN, "d38000000000000000"),
        (b"", "c400"),
        (b"a", "c40161"),
        ("", "a0"),
        ("a", "a161"),
        ("é", "a2c3a9"),
        ("x" * 31, "bf" + "78" * 31),
        ("x" * 32, "d920" + "78" * 32),
        ("x" * 255, "d9ff" + "78" * 255),
        (b"x" * 255, "c4ff" + "78" * 255),
        (b"x" * 256, "c50100" + "78" * 256),
        ((), "90"),
        ((1, (2, b"")), "92019202c400"),
        ((0,) * 15, "9f" + "00" * 15),
        ((0,) * 16, "dc0010" + "00" * 16),
        ((0,) * 256, "dc0100" + "00" * 256),
    ],
)
def test_one_value_has_one_encoding(value: Value, encoded: str) -> None:
    data = bytes.fromhex(encoded)
    assert encode(value) == data
    assert decode(data) == value
    assert type(decode(data)) is type(value)


@pytest.mark.parametrize(
    ("longer", "why"),
    [
        ("cc00", "0 in two bytes"),
        ("cc7f", "127 in two bytes"),
        ("cd00ff", "255 in three bytes"),
        ("ce0000ffff", "65,535 in five bytes"),
        ("cf00000000ffffffff", "2^32 - 1 in nine bytes"),
        ("d000", "0 as a signed byte"),
        ("d0ff", "-1 in two bytes"),
        ("d0e0", "-32 in two bytes"),
        ("d1ff80", "-128 in three bytes"),
        ("d2ffff8000", "-32,768 in five bytes"),
        ("d3ffffffff80000000", "-2^31 in nine bytes"),
        ("d30000000000000001", "1 as a signed long"),
        ("d90161", "a short string with a length byte"),
        ("da000161", "a short string with two length bytes"),
        ("db0000000161", "a short string with four length bytes"),
        ("c5000161", "a short byte string with two length bytes"),
        ("c60000000161", "a short byte string with four length bytes"),
        ("dc0001c0", "a short array with two length bytes"),
        ("dd00000001c0", "a short array with four length bytes"),
        ("91cc01", "inside an array"),
    ],
)
def test_a_longer_encoding_than_needed_is_refused(longer: str, why: str) -> None:
    assert reason_of(bytes.fromhex(longer)) is Reason.NOT_CANONICAL, why


@pytest.mark.parametrize(
    "data",
    [
        *("ca00000000", "ca80000000", "ca3f800000", "ca7fc00000", "ca7f800000", "ca00000001"),
        *("cb0000000000000000", "cb8000000000000000", "cb7ff8000000000000", "cbfff0000000000000", "cb3ff0000000000000"),
        *("cb7fe1ccf385ebc8a0", "cb7ff4000000000001"),
    ],
)
def test_no_float_may_travel_finite_or_not(data: str) -> None:
    assert reason_of(bytes.fromhex(data)) is Reason.FORBIDDEN_TYPE
    assert reason_of(b"\x91" + bytes.fromhex(data)) is Reason.FORBIDDEN_TYPE


def test_an_empty_map_and_an_empty_extension_are_forbidden_types() -> None:
    assert reason_of(b"\x80") is Reason.FORBIDDEN_TYPE
    assert reason_of(b"\x91\x80") is Reason.FORBIDDEN_TYPE
    assert reason_of(b"\xc7\x00\x01") is Reason.FORBIDDEN_TYPE


@pytest.mark.parametrize(
    "data",
    [
        "81a16101",  # {"a": 1}
        "82a16101a16102",  # the same key twice
        "8101c0",
        "de0001a16101",
        "df00000001a16101",
        "819001",  # an array as key
        "818101c001",  # a map as key
        "d4017f",  # fixext 1
        "d8050000000000000000000000000000000000",
        "c70101ff",
        "d6ff00000000",  # a time stamp
        "d7ff0000000000000000",
        "c70cff000000000000000000000000",
    ],
)
@pytest.mark.parametrize("around", ["", "91"])
def test_maps_and_extensions_are_refused_whatever_they_hold(data: str, around: str) -> None:
    assert reason_of(bytes.fromhex(around + data)) in {Reason.FORBIDDEN_TYPE, Reason.TOO_MANY_ITEMS}


@pytest.mark.parametrize("data", ["81a16101", "d4017f"])
def test_maps_and_extensions_are_counted_as_what_they_are(data: str) -> None:
    assert reason_of(bytes.fromhex(data)) is Reason.FORBIDDEN_TYPE


def test_the_type_byte_that_means_nothing_is_refused() -> None:
    assert reason_of(b"\xc1") is Reason.MALFORMED
    assert reason_of(b"\x91\xc1") is Reason.MALFORMED


@pytest.mark.parametrize("text", ["a1ff", "a2c328", "a3e28028", "a3eda080", "a2c080", "a4f4908080", "a1c3"])
def test_strings_that_are_not_utf_8_are_refused(text: str) -> None:
    assert reason_of(bytes.fromhex(text)) is Reason.MALFORMED


def test_bytes_after_the_value_are_refused() -> None:
    assert reason_of(b"\xc0\xc0") is Reason.MALFORMED
    assert reason_of(b"\x90\x00") is Reason.MALFORMED


def test_a_value_cut_short_anywhere_is_refused() -> None:
    whole = encode((1, 300, -5, b"bytes", "text", (None, True, (2**60,)), "x" * 40, b"y" * 300))
    for size in range(len(whole)):
        assert reason_of(whole[:size]) is Reason.TRUNCATED
    assert isinstance(decode(whole), tuple)


@pytest.mark.parametrize("depth", range(1, 9))
def test_eight_arrays_deep_is_allowed(depth: int) -> None:
    assert decode(b"\x91" * depth + b"\xc0") is not None
    assert decode(b"\x91" * (depth - 1) + b"\x90") is not None


@pytest.mark.parametrize("depth", [9, 10, 64, 511, 512, 1_023, 1_024, 1_025, 10_000])
def test_nine_arrays_deep_is_too_deep(depth: int) -> None:
    assert reason_of(b"\x91" * depth + b"\xc0") is Reason.TOO_DEEP
    assert reason_of(b"\x91" * (depth - 1) + b"\x90") is Reason.TOO_DEEP


@pytest.mark.parametrize("count", [257, 65_535])
def test_an_array_of_more_than_256_elements_is_refused(count: int) -> None:
    assert reason_of(b"\xdc" + count.to_bytes(2, "big") + b"\xc0" * count) is Reason.TOO_MANY_ITEMS
    assert reason_of(b"\xdc" + count.to_bytes(2, "big")) is Reason.TOO_MANY_ITEMS


def test_a_string_of_256_bytes_is_refused() -> None:
    assert reason_of(b"\xda\x01\x00" + b"x" * 256) is Reason.TOO_MANY_ITEMS


@pytest.mark.parametrize("kind", ["c6", "db", "dd", "df", "c9"])
@pytest.mark.parametrize("length", [2**31 - 1, 2**31, 2**32 - 1])
def test_a_length_that_is_not_there_is_refused(kind: str, length: int) -> None:
    data = bytes.fromhex(kind) + struct.pack(">I", length)
    assert reason_of(data) in {Reason.TRUNCATED, Reason.TOO_MANY_ITEMS}
    assert reason_of(data + b"\x01" * 100) in {Reason.TRUNCATED, Reason.TOO_MANY_ITEMS}


def test_every_single_byte_and_pair_is_a_value_or_a_named_error() -> None:
    accepted = 0
    for number in range(65_536):
        data = number.to_bytes(2, "big")
        for candidate in (data, data[1:]) if number < 256 else (data,):
            try:
                value = decode(candidate)
            except DecodeError:
                continue
            accepted += 1
            assert encode(value) == candidate
    # One byte: 128 + 32 integers, nil, two booleans, "" and (). Two bytes: (x,) of these 165, 128 one-byte strings,
    # 128 integers 128..255, 96 integers -128..-33, and the empty byte string.
    assert accepted == 165 + 165 + 128 + 128 + 96 + 1


def test_an_encoder_that_was_given_nonsense_still_encodes_the_next_value() -> None:
    with pytest.raises(OverflowError):
        encode((1, "begun", 2**64))
    assert encode((1,)) == b"\x91\x01"
