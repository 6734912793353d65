"""What trust keeps on the hub's own disk, as bytes: the one thing it knows that is in no chain (docs/trust.md).

Lists are packed, because they may be longer than an array of the codec. Invariant: what was encoded is decoded to the
same state; anything else raises, and changes nothing.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from protocol.errors import DecodeError, Reason
from protocol.ids import AUTHOR_BYTES, AuthorId
from protocol.limits import ROTATIONS_MAX
from protocol.trust.values import TrustState
from protocol.wire import fields
from protocol.wire.codec import Value, decode, encode

VERSION: Final = 2
FIELDS: Final = {1: 6, VERSION: 9}
"""The first version had no circle, and remembered no words for others."""
NAME_BYTES: Final = 8
"""So much is kept of the name of a word that is for others: two alike are made after some 2^32 words."""
BYTES_MAX: Final = 1 << 24
_SESSION: Final = Struct(f">{AUTHOR_BYTES}sQ")
_AMNESTY: Final = Struct(f">{AUTHOR_BYTES}sQQ")


def encode_state(state: TrustState) -> bytes:
    """The bytes for the disk."""
    sessions = b"".join(_SESSION.pack(subject, at) for subject, times in state.sessions for at in times)
    amnesties = b"".join(_AMNESTY.pack(*one) for one in state.amnesties)
    marked = (b"".join(state.blocked), b"".join(state.muted), b"".join(state.proven))
    others = (state.rotation, b"".join(state.for_others))
    return encode((VERSION, sessions, *marked, amnesties, b"".join(state.circle), *others))


def decode_state(data: bytes) -> TrustState:
    """The state that was kept; no bytes are an empty one.

    Raises:
        DecodeError: these bytes are none.
    """
    if not data:
        return TrustState()
    items = fields.array(decode(data), "trust", FIELDS[1], FIELDS[VERSION])
    if len(items) != FIELDS[fields.integer(items[0], "version", 1, VERSION)]:
        raise DecodeError(Reason.WRONG_ARITY, "trust of another version")
    _, sessions, blocked, muted, proven, amnesties, circle, rotation, others = (*items, b"", 0, b"")[: FIELDS[VERSION]]
    shared: dict[AuthorId, tuple[int, ...]] = {}
    for subject, at in _SESSION.iter_unpack(_packed(sessions, "sessions", _SESSION.size)):
        shared[AuthorId(subject)] = (*shared.get(AuthorId(subject), ()), at)
    pardons = _AMNESTY.iter_unpack(_packed(amnesties, "amnesties", _AMNESTY.size))
    return TrustState(
        tuple(shared.items()),
        _authors(blocked, "blocked"),
        _authors(muted, "muted"),
        _authors(proven, "proven"),
        tuple((AuthorId(subject), since, until) for subject, since, until in pardons),
        _authors(circle, "circle"),
        fields.integer(rotation, "rotation", 0, ROTATIONS_MAX),
        _names(others, "words for others", NAME_BYTES),
    )


def _packed(value: Value, name: str, size: int) -> bytes:
    packed = fields.binary(value, name, 0, BYTES_MAX)
    if len(packed) % size:
        raise DecodeError(Reason.BAD_CONTENT, f"{name} is not made of {size} bytes each")
    return packed


def _names(value: Value, name: str, size: int) -> tuple[bytes, ...]:
    packed = _packed(value, name, size)
    return tuple(packed[at : at + size] for at in range(0, len(packed), size))


def _authors(value: Value, name: str) -> tuple[AuthorId, ...]:
    return tuple(map(AuthorId, _names(value, name, AUTHOR_BYTES)))
