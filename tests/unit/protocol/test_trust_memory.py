"""What trust keeps on the disk comes back as it was."""

from __future__ import annotations

import pytest

from protocol.errors import DecodeError
from protocol.trust.memory import decode_state, encode_state
from protocol.trust.values import TrustState
from protocol.wire.codec import encode
from tests.unit.protocol.trust_rig import NOW, hub

STATE = TrustState(
    sessions=((hub(1), (NOW, NOW + 1)), (hub(2), (NOW,))),
    blocked=tuple(hub(number) for number in range(3, 400)),
    muted=(hub(5),),
    proven=(hub(6),),
    amnesties=((hub(7), NOW, NOW + 9), (hub(7), NOW + 10, NOW + 11)),
    circle=(hub(8), hub(9)),
    rotation=2,
    for_others=(b"8 bytes.", bytes(8)),
)


def test_every_state_comes_back() -> None:
    assert decode_state(encode_state(STATE)) == STATE
    assert decode_state(b"") == decode_state(encode_state(TrustState())) == TrustState()


def test_what_the_first_version_wrote_is_still_read() -> None:
    assert decode_state(encode((1, b"", hub(3), b"", b"", b""))) == TrustState(blocked=(hub(3),))


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        encode((1, b"", b"", b"", b"")),
        encode((2, b"", b"", b"", b"", b"")),
        encode((1, b"x", b"", b"", b"", b"")),
        encode((1, b"", b"x" * 31, b"", b"", b"")),
        encode((1, b"", b"", 3, b"", b"")),
        encode((1, b"", b"", b"", b"", b"", b"", 0, b"")),
        encode((2, b"", b"", b"", b"", b"", b"", 4, b"")),
        encode((2, b"", b"", b"", b"", b"", b"", 0, b"x")),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_state(data)
