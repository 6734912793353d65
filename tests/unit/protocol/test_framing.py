"""Frames on a byte stream (section 4, R11)."""

from __future__ import annotations

import pytest

from protocol.errors import DecodeError, Reason
from protocol.limits import FRAME_BYTES_MAX, HANDSHAKE_BYTES_MAX
from protocol.wire.framing import FrameReader, frame


@pytest.mark.parametrize("size", [1, 2, 255, 256, 65_534, 65_535])
def test_a_frame_is_its_length_in_two_bytes_and_its_body(size: int) -> None:
    body = b"x" * size
    assert frame(body) == size.to_bytes(2, "big") + body
    assert FrameReader().feed(frame(body)) == [body]


def test_frames_come_out_however_the_stream_is_cut() -> None:
    bodies = [b"a", b"bb" * 300, b"c" * 5]
    stream = b"".join(frame(body) for body in bodies)
    for size in (1, 2, 3, 7, 100, len(stream)):
        reader = FrameReader()
        found = [body for at in range(0, len(stream), size) for body in reader.feed(stream[at : at + size])]
        assert found == bodies
        assert reader.unfinished == 0


def test_an_unfinished_frame_is_counted_and_kept() -> None:
    reader = FrameReader()
    assert reader.feed(b"\x00") == []
    assert reader.unfinished == 1
    assert reader.feed(b"\x05abc") == []
    assert reader.unfinished == 5
    assert reader.feed(b"de\x00") == [b"abcde"]
    assert reader.unfinished == 1
    assert reader.feed(b"") == []


def test_a_length_of_zero_is_refused() -> None:
    with pytest.raises(DecodeError) as refused:
        FrameReader().feed(b"\x00\x00")
    assert refused.value.reason is Reason.FRAME_EMPTY


@pytest.mark.parametrize("limit", [HANDSHAKE_BYTES_MAX, 10, FRAME_BYTES_MAX - 1])
def test_a_length_beyond_the_limit_is_refused_before_its_body_has_come(limit: int) -> None:
    reader = FrameReader(limit)
    assert reader.feed(frame(b"x" * limit)) == [b"x" * limit]
    with pytest.raises(DecodeError) as refused:
        reader.feed((limit + 1).to_bytes(2, "big"))
    assert refused.value.reason is Reason.FRAME_TOO_LARGE


def test_frames_can_be_taken_one_by_one_while_more_arrives() -> None:
    reader = FrameReader()
    reader.push(frame(b"a") + frame(b"bb") + b"\x00")
    assert reader.pop() == b"a"
    assert reader.unfinished == 5
    reader.push(b"\x03cc")
    assert reader.pop() == b"bb"
    assert reader.pop() is None
    reader.push(b"c")
    assert reader.pop() == b"ccc"
    assert reader.pop() is None
    assert reader.unfinished == 0


def test_a_bad_length_is_refused_when_its_turn_comes_and_not_before() -> None:
    reader = FrameReader()
    reader.push(frame(b"a") + b"\x00\x00")
    assert reader.pop() == b"a"
    with pytest.raises(DecodeError) as refused:
        reader.pop()
    assert refused.value.reason is Reason.FRAME_EMPTY


def test_the_limit_can_be_raised_once_the_peer_is_known() -> None:
    reader = FrameReader(HANDSHAKE_BYTES_MAX)
    reader.limit = FRAME_BYTES_MAX
    assert reader.feed(frame(b"x" * 65_535)) == [b"x" * 65_535]


def test_no_more_is_held_than_one_unfinished_frame() -> None:
    reader = FrameReader(1_400)
    for _ in range(100):
        reader.feed(frame(b"x" * 1_400))
        assert reader.unfinished == 0
    reader.feed(frame(b"y" * 1_400)[:-1])
    assert reader.unfinished == 1_401
