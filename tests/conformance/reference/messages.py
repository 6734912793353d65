"""Messages and the frames they travel in (docs/protocol.md, section 6): one table, read both ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Final, TypeAlias

from tests.conformance.reference.codec import Refused, Value, decode, encode
from tests.conformance.reference.keystates import KEY_STATE_BYTES_MAX, ROTATIONS_MAX
from tests.conformance.reference.lasting import LASTING, EventMessage, LastingMessage
from tests.conformance.reference.meetings import MEETING, Meeting
from tests.conformance.reference.mutations import NONE, Mutation, Mutations
from tests.conformance.reference.records import ADDRESSES_BYTES_MAX, COUNTER_MAX, VECTOR_BYTES_MAX
from tests.conformance.reference.shape import binary, boolean, elements, integer, listed, text


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of each side."""

    boot: int
    addresses: tuple[bytes, bytes] | None
    agent: str


@dataclass(frozen=True, slots=True)
class Bye:
    """The last message of a side."""

    code: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for a Pong."""

    token: int


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers a Ping."""

    token: int


@dataclass(frozen=True, slots=True)
class Beat:
    """Nothing else to say."""


@dataclass(frozen=True, slots=True)
class Keys:
    """A key state, encoded."""

    key_state: bytes


@dataclass(frozen=True, slots=True)
class WantKeys:
    """Asks for key states."""

    authors: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class VectorMessage:
    """A signed vector and its age in ms."""

    signed: bytes
    signature: bytes
    age_ms: int


@dataclass(frozen=True, slots=True)
class Clock:
    """When its frame was made, in ms after the sender's HELLO."""

    sent_ms: int


@dataclass(frozen=True, slots=True)
class Digest:
    """(tag, rotation, boot, seq) of what the sender holds of lazy authors."""

    entries: tuple[tuple[bytes, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Prune:
    """Do not push these authors here."""

    tags: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Graft:
    """Push these authors here, the newest vector at once."""

    tags: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Neighbors:
    """Whom the sender has links with."""

    authors: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Peers:
    """(key_state, signed, signature) of hubs the sender knows."""

    records: tuple[tuple[bytes, bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class PingReq:
    """Asks whether the target is there."""

    token: int
    target: bytes
    hops: int


@dataclass(frozen=True, slots=True)
class ProbeAck:
    """It is."""

    token: int


@dataclass(frozen=True, slots=True)
class Nack:
    """It did not answer in time, if it was asked at all."""

    token: int
    tested: bool


@dataclass(frozen=True, slots=True)
class Suspect:
    """Says that nothing is heard of an author."""

    author: bytes
    number: int


@dataclass(frozen=True, slots=True)
class Refute:
    """Says that an author is here."""

    author: bytes
    number: int


PeerRecord: TypeAlias = tuple[bytes, bytes, bytes]


@dataclass(frozen=True, slots=True)
class Join:
    """Asks for a link that is kept, and to be made known."""


@dataclass(frozen=True, slots=True)
class ForwardJoin:
    """Makes somebody known."""

    ttl: int
    peer: PeerRecord


@dataclass(frozen=True, slots=True)
class Neighbor:
    """Asks for a link that is kept."""

    high: bool


@dataclass(frozen=True, slots=True)
class NeighborAnswer:
    """Says whether it is."""

    accepted: bool


@dataclass(frozen=True, slots=True)
class Shuffle:
    """Offers whom the origin knows."""

    ttl: int
    origin: PeerRecord
    peers: tuple[PeerRecord, ...]


@dataclass(frozen=True, slots=True)
class ShuffleAnswer:
    """Names others in return."""

    origin: bytes
    peers: tuple[PeerRecord, ...]


Joining: TypeAlias = Join | ForwardJoin | Neighbor | NeighborAnswer | Shuffle | ShuffleAnswer
Probe: TypeAlias = PingReq | ProbeAck | Nack | Suspect | Refute
Message: TypeAlias = (
    Hello
    | Bye
    | Ping
    | Pong
    | Beat
    | Keys
    | WantKeys
    | VectorMessage
    | Clock
    | Digest
    | Prune
    | Graft
    | Neighbors
    | Peers
    | Joining
    | Probe
    | Meeting
    | LastingMessage
)
Numbers: TypeAlias = tuple[bytes, int, int, int]

PLAINTEXT_BYTES_MAX: Final = 65_519
MESSAGES_MAX: Final = 128


def _addresses(value: Value) -> tuple[bytes, bytes] | None:
    if value is None:
        return None
    signed, signature = elements(value, 2)
    return binary(1, ADDRESSES_BYTES_MAX)(signed), binary(64)(signature)


def _entry(value: Value) -> Numbers:
    tag, rotation, boot, seq = elements(value, 4)
    counter = integer(1, COUNTER_MAX)
    return binary(8)(tag), integer(0, ROTATIONS_MAX)(rotation), counter(boot), counter(seq)


def _peer(value: Value) -> tuple[bytes, bytes, bytes]:
    key_state, signed, signature = elements(value, 3)
    return binary(1, KEY_STATE_BYTES_MAX)(key_state), binary(1, ADDRESSES_BYTES_MAX)(signed), binary(64)(signature)


_TOKEN: Final = integer(0, 2**32 - 1)
_U32: Final = _TOKEN
_TAGS: Final = listed(binary(8), 1, 256, distinct=True)

_FIRST: Final[tuple[tuple[Callable[..., Message], tuple[Callable[[Value], Any], ...]], ...]] = (
    (Hello, (integer(1, COUNTER_MAX), _addresses, text(64))),
    (Bye, (integer(0, 255),)),
    (Ping, (_TOKEN,)),
    (Pong, (_TOKEN,)),
    (Beat, ()),
    (Keys, (binary(1, KEY_STATE_BYTES_MAX),)),
    (WantKeys, (listed(binary(32), 1, 64, distinct=True),)),
    (VectorMessage, (binary(1, VECTOR_BYTES_MAX), binary(64), integer(0, 120_000))),
    (Digest, (listed(_entry, 1, 256),)),
    (Prune, (_TAGS,)),
    (Graft, (_TAGS,)),
    (Neighbors, (listed(binary(32), 0, 32, distinct=True),)),
    (Peers, (listed(_peer, 1, 8),)),
)
TABLE: Final[dict[int, tuple[Callable[..., Message], tuple[Callable[[Value], Any], ...]]]] = {
    **dict(enumerate(_FIRST)),
    13: (Join, ()),
    14: (ForwardJoin, (integer(0, 16), _peer)),
    15: (Neighbor, (boolean,)),
    16: (NeighborAnswer, (boolean,)),
    17: (Shuffle, (integer(1, 16), _peer, listed(_peer, 0, 8))),
    18: (ShuffleAnswer, (binary(32), listed(_peer, 1, 8))),
    19: (Clock, (integer(0, COUNTER_MAX),)),
    24: (PingReq, (_TOKEN, binary(32), integer(0, 1))),
    25: (ProbeAck, (_TOKEN,)),
    26: (Nack, (_TOKEN, boolean)),
    27: (Suspect, (binary(32), _U32)),
    28: (Refute, (binary(32), _U32)),
    **MEETING,
    **LASTING,
}
"""Message type to its class and the checks of its fields."""

TYPES: Final[dict[type[object], int]] = {kind: number for number, (kind, _) in TABLE.items() if isinstance(kind, type)}


def to_value(message: Message) -> list[Value]:
    """The array that stands for ``message``."""
    return [TYPES[type(message)], *(_plain(field) for field in astuple(message))]


def _plain(field: Any) -> Value:
    if isinstance(field, tuple):
        return [_plain(item) for item in field]
    assert field is None or isinstance(field, int | bytes | str)
    return field


def encode_frame(messages: Sequence[Message]) -> bytes:
    """The plaintext of one frame."""
    return encode([to_value(message) for message in messages])


def decode_frame(plaintext: bytes, mutations: Mutations = NONE) -> list[Message]:
    """The messages of a frame; a frame is refused whole (R27).

    Raises:
        Refused: it breaks a rule of sections 1.1 or 6.
    """
    if not 1 <= len(plaintext) <= PLAINTEXT_BYTES_MAX:
        raise Refused("a plaintext outside 1..65,519 bytes")
    found: list[Message] = []
    for item in elements(decode(plaintext, mutations), 1, MESSAGES_MAX):
        try:
            found.append(read_message(item, mutations))
        except Refused:
            if Mutation.FIRST_OF_BAD_FRAME in mutations and found:
                return found
            if Mutation.UNKNOWN_MESSAGES not in mutations or not _is_unknown(item):
                raise
    return found


def decode_gossip(payload: bytes) -> EventMessage:
    """The event in the payload of a tree message (section 12.5).

    Raises:
        Refused: there is none.
    """
    message = read_message([TYPES[EventMessage], *elements(decode(payload), 4)])
    assert isinstance(message, EventMessage)
    return message


def _is_unknown(item: Value) -> bool:
    return isinstance(item, list) and len(item) > 0 and isinstance(item[0], int) and item[0] not in TABLE


def read_message(item: Value, mutations: Mutations = NONE) -> Message:
    """One message of a frame.

    Raises:
        Refused: it breaks a rule of section 6.
    """
    fields = elements(item, 1, 256)
    if Mutation.BOOLEANS_AS_INTEGERS in mutations:
        fields = [int(field) if isinstance(field, bool) else field for field in fields]
    number = integer(0, max(TABLE))(fields[0])
    if number not in TABLE:
        raise Refused(f"message {number}, which there is not")
    kind, checks = TABLE[number]
    if len(fields) - 1 > len(checks) and Mutation.EXTRA_ELEMENTS in mutations:
        fields = fields[: 1 + len(checks)]
    if len(fields) - 1 != len(checks):
        raise Refused(f"message {number} with another number of elements")
    return kind(*(check(field) for check, field in zip(checks, fields[1:], strict=True)))
