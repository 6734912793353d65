"""The messages of section 9: their bytes, and every field at and beyond its bounds (R7, R27)."""

from __future__ import annotations

import pytest

from protocol.errors import DecodeError, Reason
from protocol.ids import AuthorId
from protocol.wire.codec import Value, encode
from protocol.wire.messages import decode_frame, encode_frame
from protocol.wire.probing import Nack, PingReq, ProbeAck, ProbeMessage, Refute, Suspect

A = AuthorId(b"a" * 32)
FAR = 2**32 - 1

EXAMPLES: dict[str, tuple[ProbeMessage, str]] = {
    "ping req": (PingReq(7, A, 1), "91 94 18 07 c420" + "61" * 32 + "01"),
    "ping req, far": (PingReq(FAR, A, 0), "91 94 18 ceffffffff c420" + "61" * 32 + "00"),
    "probe ack": (ProbeAck(0), "91 92 19 00"),
    "nack": (Nack(7, True), "91 93 1a 07 c3"),
    "nack, blind": (Nack(FAR, False), "91 93 1a ceffffffff c2"),
    "suspect": (Suspect(A, 0), "91 93 1b c420" + "61" * 32 + "00"),
    "refute": (Refute(A, FAR), "91 93 1c c420" + "61" * 32 + "ceffffffff"),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_message_has_the_bytes_of_the_document(name: str) -> None:
    message, encoded = EXAMPLES[name]
    assert encode_frame([message]).hex() == encoded.replace(" ", "")
    assert decode_frame(bytes.fromhex(encoded)) == (message,)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ((24, FAR + 1, A, 0), Reason.OUT_OF_RANGE),
        ((24, 7, A[:31], 0), Reason.OUT_OF_RANGE),
        ((24, 7, A, 2), Reason.OUT_OF_RANGE),
        ((24, 7, A, True), Reason.WRONG_TYPE),
        ((24, 7, A), Reason.WRONG_ARITY),
        ((25, -1), Reason.OUT_OF_RANGE),
        ((25, 7, A), Reason.WRONG_ARITY),
        ((26, 7, 1), Reason.WRONG_TYPE),
        ((26, 7, None), Reason.WRONG_TYPE),
        ((26, 7), Reason.WRONG_ARITY),
        ((27, A + b"a", 0), Reason.OUT_OF_RANGE),
        ((27, A, FAR + 1), Reason.OUT_OF_RANGE),
        ((28, "a" * 32, 0), Reason.WRONG_TYPE),
        ((28, A, -1), Reason.OUT_OF_RANGE),
        ((42, A, 0), Reason.UNKNOWN_MESSAGE),
    ],
)
def test_a_field_beyond_its_bounds_is_refused(item: tuple[Value, ...], reason: Reason) -> None:
    with pytest.raises(DecodeError) as refused:
        decode_frame(encode((item,)))
    assert refused.value.reason is reason
