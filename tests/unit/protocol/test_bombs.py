"""Frames made to cost more than they weigh: a named error, little memory, and never another exception.

After T19 of the threat model: a frame of 65,535 bytes must not become megabytes of objects.
"""

from __future__ import annotations

import gc
import struct
import tracemalloc

import pytest

from protocol.errors import DecodeError
from protocol.limits import PLAINTEXT_BYTES_MAX
from protocol.wire.messages import decode_frame

MEMORY_MAX = 1 << 20


def full(leaf: bytes, size: int = PLAINTEXT_BYTES_MAX) -> bytes:
    """A frame of about ``size`` bytes: as many arrays of 255 leaves as fit."""
    inner = b"\xdc\x00\xff" + leaf * 255
    count = min(255, (size - 3) // len(inner))
    return b"\xdc" + count.to_bytes(2, "big") + inner * count


CHEAP = {
    "65,519 bytes of empty maps": b"\xdd" + struct.pack(">I", 65_514) + b"\x80" * 65_514,
    "256 empty maps": b"\xdc\x01\x00" + b"\x80" * 256,
    "65 kB of empty maps in arrays": full(b"\x80"),
    "65 kB of NaN": full(b"\xca\x7f\xc0\x00\x00"),
    "65 kB of long NaN": full(b"\xcb\x7f\xf8" + bytes(6)),
    "65 kB of empty arrays": full(b"\x90"),
    "65 kB of one-letter strings": full(b"\xd9\x01a"),
    "65 kB of integers": full(b"\xcd\x7f\xff"),
    "one array of 65,514": b"\xdd" + struct.pack(">I", 65_514) + b"\xc0" * 65_514,
    "nesting of 1,024": b"\x91" * 1_024 + b"\xc0",
    "nesting of 65,518": b"\x91" * 65_518 + b"\xc0",
    "nested extension": b"\x91" * 7 + b"\xc7\x00\x01",
    "extension of 2^31": b"\xc9\x80\x00\x00\x00\x01",
    "array of 2^31": b"\xdd\x80\x00\x00\x00",
    "array of 2^32 - 1": b"\xdd\xff\xff\xff\xff" + b"\x00" * 64,
    "map of 2^31": b"\xdf\x80\x00\x00\x00",
    "string of 2^31": b"\xdb\x80\x00\x00\x00" + b"a" * 1_000,
    "byte string of 2^31": b"\xc6\x80\x00\x00\x00" + b"a" * 1_000,
    "the same key twice": b"\x82\xa1a\x01\xa1a\x02",
    "a map as key of a map": b"\x81\x81\x01\x01\x01",
    "integers longer than needed": full(b"\xcc\x01"),
}

DEAR = {
    "arrays of one": full(b"\x91\xc0"),
    "arrays seven deep": full(b"\x91" * 6 + b"\xc0"),
    "chains a thousand deep": b"\xdc\x00\x41" + (b"\x91" * 1_000 + b"\xc0") * 65,
    "the same, cut short": b"\xdc\x00\xff" + (b"\x91" * 1_000 + b"\xc0") * 65,
    "promised arrays of 256, nested": b"\xdc\x01\x00" * 1_000,
    "65 kB of promised arrays of 256": b"\xdc\x01\x00" * 21_800,
    "two-letter strings": full(b"\xa2ab"),
    "promised maps of 256, nested": b"\xde\x01\x00\xc0" * 1_000,
    "65 kB of promised maps of 256": b"\xde\x01\x00\xc0" * 16_000,
    "maps of one as keys": b"\x81" * 60_000,
}


def peak_of(frame: bytes) -> int:
    """The most memory that refusing a frame took, in bytes."""
    gc.collect()
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            decode_frame(frame)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", CHEAP)
def test_a_bomb_is_refused_by_name_within_a_mebibyte(name: str) -> None:
    assert len(CHEAP[name]) <= PLAINTEXT_BYTES_MAX
    assert peak_of(CHEAP[name]) <= MEMORY_MAX


@pytest.mark.parametrize("name", DEAR)
def test_no_frame_costs_more_than_fifty_times_its_greatest_size(name: str) -> None:
    assert peak_of(DEAR[name]) <= 50 * PLAINTEXT_BYTES_MAX


def test_a_frame_beyond_the_size_of_a_frame_is_not_decoded_at_all() -> None:
    assert peak_of(b"\x91" * (PLAINTEXT_BYTES_MAX + 1)) < 16_384
