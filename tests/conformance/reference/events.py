"""Durable events (docs/protocol.md, section 12), read and made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from tests.conformance.reference.codec import Refused, Value, decode, encode
from tests.conformance.reference.crypto import blake, verify
from tests.conformance.reference.keystates import RECORD_VERSION, ROTATIONS_MAX, header
from tests.conformance.reference.parts import leaf, pieces, top
from tests.conformance.reference.shape import binary, elements, integer, listed

EVENT: Final = "trio.event"
EVENT_BYTES_MAX: Final = 512
COUNTER_MAX: Final = 2**53 - 1
PAYLOAD_BYTES_MAX: Final = 2_097_152
INLINE_BYTES_MAX: Final = 16_384
OPENING: Final = 6
U16_MAX: Final = 65_535


@dataclass(frozen=True, slots=True)
class Event:
    """The fields of an event; the defaults are those of somebody's first story."""

    author: bytes
    rotation: int = 0
    incarnation: int = 1
    seq: int = 1
    prev: bytes | None = None
    heads: tuple[bytes, ...] = ()
    hlc: int = 0
    kind: int = 2
    audience: int = 0
    expires: int = 0
    payload_hash: bytes | None = None
    payload_size: int = 0

    def items(self, mesh_id: bytes) -> list[Value]:
        """The elements of ``signed``."""
        before: list[Value] = [EVENT, mesh_id, RECORD_VERSION, self.author, self.rotation, self.incarnation, self.seq]
        heads: list[Value] = list(self.heads)
        after: list[Value] = [self.hlc, self.kind, self.audience, self.expires, self.payload_hash, self.payload_size]
        return [*before, self.prev, heads, *after]

    def signed(self, mesh_id: bytes) -> bytes:
        """The bytes to sign."""
        return encode(self.items(mesh_id))

    def saying(self, salt: bytes, content: bytes) -> Event:
        """The same with a payload."""
        return replace(self, payload_hash=payload_hash(salt, content), payload_size=len(content))


def payload_hash(salt: bytes, content: bytes) -> bytes:
    """How an event names its payload."""
    return top([leaf(salt, piece) for piece in pieces(content)])


def decode_event(signed: bytes, mesh_id: bytes) -> Event:
    """Check the signed bytes of an event; the signature is another matter.

    Raises:
        Refused: they break section 12.1.
    """
    if len(signed) > EVENT_BYTES_MAX:
        raise Refused("an event of more than 512 bytes")
    items = header(decode(signed), EVENT, mesh_id, 15)
    event = Event(
        binary(32)(items[3]),
        integer(0, ROTATIONS_MAX)(items[4]),
        integer(1, COUNTER_MAX)(items[5]),
        integer(1, COUNTER_MAX)(items[6]),
        None if items[7] is None else binary(32)(items[7]),
        listed(binary(32), 0, 8, distinct=True)(items[8]),
        integer(0, 2**64 - 1)(items[9]),
        integer(0, U16_MAX)(items[10]),
        integer(0, U16_MAX)(items[11]),
        integer(0, COUNTER_MAX)(items[12]),
        None if items[13] is None else binary(32)(items[13]),
        integer(0, PAYLOAD_BYTES_MAX)(items[14]),
    )
    if (event.prev is None) != (event.seq == 1):
        raise Refused("prev is nil if and only if seq is 1")
    if event.payload_hash is None and event.payload_size:
        raise Refused("the size of no payload")
    return event


def read_fork(data: bytes, mesh_id: bytes, key: bytes) -> dict[str, str]:
    """Whose fork two records prove, and which.

    Raises:
        Refused: they prove none (R85).
    """
    events, ids = [], []
    for record in elements(decode(data), 2):
        signed, signature = elements(record, 2)
        raw = binary(1, EVENT_BYTES_MAX)(signed)
        if not verify(key, raw, binary(64)(signature)):
            raise Refused("a wrong signature")
        events.append(decode_event(raw, mesh_id))
        ids.append(blake(raw))
    one, other = events
    same_seq = (one.incarnation, one.seq) == (other.incarnation, other.seq)
    two_openings = one.kind == other.kind == OPENING and one.prev == other.prev
    if one.author != other.author or ids[0] == ids[1] or not (same_seq or two_openings):
        raise Refused("no fork")
    return {"author": one.author.hex(), "one": ids[0].hex(), "other": ids[1].hex()}
