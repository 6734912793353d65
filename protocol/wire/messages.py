"""The messages of an established link, each one MessagePack array ``[type, ...]`` (docs/protocol.md, section 6).

A frame's plaintext is one array of 1..128 messages. Every field is checked by type, length and range before a
message object exists; what a message *means* is checked by the machine that handles it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from protocol import limits
from protocol.errors import DecodeError, Reason
from protocol.ids import AUTHOR_BYTES, AuthorId
from protocol.limits import COUNTER_MAX
from protocol.wire import fields
from protocol.wire.codec import Value, decode_for_schema, encode, inspect


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of each side: its boot number, signed addresses (or None) and software name."""

    boot: int
    addresses: tuple[bytes, bytes] | None
    agent: str


@dataclass(frozen=True, slots=True)
class Bye:
    """Last message; ``code`` is a :class:`~protocol.errors.CloseCode`, unknown numbers are allowed."""

    code: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Heartbeat that asks for a Pong with the same token."""

    token: int


@dataclass(frozen=True, slots=True)
class Pong:
    """Answer to a Ping."""

    token: int


@dataclass(frozen=True, slots=True)
class Beat:
    """Heartbeat that asks for nothing."""


@dataclass(frozen=True, slots=True)
class Keys:
    """One author's encoded key state; precedes the author's first vector on a link."""

    key_state: bytes


@dataclass(frozen=True, slots=True)
class WantKeys:
    """Ask for the key states of these authors."""

    authors: tuple[AuthorId, ...]


@dataclass(slots=True)  # not frozen: the hot one, 0.3 us instead of 1.1 us to make
class Vector:
    """A signed vector record and its age in ms, the only unsigned field."""

    signed: bytes
    signature: bytes
    age_ms: int


@dataclass(slots=True)  # not frozen: each link brings one per author and second
class DigestEntry:
    """The newest number held of the author whose id begins with ``tag``."""

    tag: bytes
    rotation: int
    boot: int
    seq: int


@dataclass(frozen=True, slots=True)
class Digest:
    """What the sender holds of authors it does not push on this link."""

    entries: tuple[DigestEntry, ...]


@dataclass(frozen=True, slots=True)
class Prune:
    """Do not push these authors on this link: they arrive otherwise."""

    tags: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Graft:
    """Push these authors on this link from now on, beginning with the newest value."""

    tags: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The authors that the sender has links with, in ascending order."""

    authors: tuple[AuthorId, ...]


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """Where somebody can be reached, provable: key state, signed addresses, signature."""

    key_state: bytes
    signed: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Peers:
    """Hubs the sender knows."""

    records: tuple[PeerRecord, ...]


Message: TypeAlias = (
    Vector | Beat | Digest | Ping | Pong | Keys | WantKeys | Prune | Graft | Neighbors | Peers | Hello | Bye
)

HELLO, BYE, PING, PONG, BEAT, KEYS, WANT_KEYS, VECTOR, DIGEST, PRUNE, GRAFT, NEIGHBORS, PEERS = range(13)


def to_value(message: Message) -> Value:
    """The array that stands for ``message`` on the wire."""
    match message:
        case Vector(signed, signature, age_ms):
            return (VECTOR, signed, signature, age_ms)
        case Beat():
            return (BEAT,)
        case Digest(entries):
            return (DIGEST, tuple((e.tag, e.rotation, e.boot, e.seq) for e in entries))
        case Ping(token):
            return (PING, token)
        case Pong(token):
            return (PONG, token)
        case Keys(key_state):
            return (KEYS, key_state)
        case WantKeys(authors):
            return (WANT_KEYS, authors)
        case Prune(tags):
            return (PRUNE, tags)
        case Graft(tags):
            return (GRAFT, tags)
        case Neighbors(authors):
            return (NEIGHBORS, authors)
        case Peers(records):
            return (PEERS, tuple((r.key_state, r.signed, r.signature) for r in records))
        case Hello(boot, addresses, agent):
            return (HELLO, boot, addresses, agent)
        case Bye(code):
            return (BYE, code)


def encode_frame(messages: Sequence[Message]) -> bytes:
    """The plaintext of one frame."""
    if len(messages) == 1 and type(message := messages[0]) is Vector:  # most frames of a busy hub
        return encode(((VECTOR, message.signed, message.signature, message.age_ms),))
    return encode(tuple([to_value(message) for message in messages]))


def decode_frame(plaintext: bytes) -> tuple[Message, ...]:
    """The messages of one frame.

    Raises:
        DecodeError: the frame is refused whole; no message of it takes effect.
    """
    if not plaintext:
        raise DecodeError(Reason.FRAME_EMPTY)
    if len(plaintext) > limits.PLAINTEXT_BYTES_MAX:
        raise DecodeError(Reason.FRAME_TOO_LARGE)
    items = decode_for_schema(plaintext)
    if type(items) is not tuple:
        raise DecodeError(Reason.WRONG_TYPE, "a frame is an array of messages")
    if not 1 <= len(items) <= limits.MESSAGES_PER_FRAME_MAX:
        raise DecodeError(Reason.TOO_MANY_ITEMS if items else Reason.FRAME_EMPTY)
    try:
        return tuple([_message(item) for item in items])
    except DecodeError:
        inspect(items)  # what may not travel at all is the better reason
        raise


def _message(item: Value) -> Message:
    if type(item) is not tuple or not item:
        raise DecodeError(Reason.WRONG_TYPE, "a message is a non-empty array")
    kind = item[0]
    if type(kind) is not int or not 0 <= kind < len(_PARSERS):
        raise DecodeError(Reason.UNKNOWN_MESSAGE)
    arity, parse = _PARSERS[kind]
    if len(item) != arity:
        raise DecodeError(Reason.WRONG_ARITY, f"message {kind}")
    return parse(item)


def _hello(item: tuple[Value, ...]) -> Message:
    addresses: tuple[bytes, bytes] | None = None
    if item[2] is not None:
        signed, signature = fields.array(item[2], "addresses", 2, 2)
        addresses = (
            fields.binary(signed, "addresses", 1, limits.ADDRESSES_BYTES_MAX),
            fields.binary(signature, "signature", limits.SIGNATURE_BYTES, limits.SIGNATURE_BYTES),
        )
    boot = fields.integer(item[1], "boot", 1, COUNTER_MAX)
    return Hello(boot, addresses, fields.text(item[3], "agent", limits.AGENT_BYTES_MAX))


def _vector(item: tuple[Value, ...]) -> Message:
    _, signed, signature, age_ms = item
    if type(signed) is not bytes or type(signature) is not bytes or type(age_ms) is not int:
        raise DecodeError(Reason.WRONG_TYPE, "vector")
    if not 1 <= len(signed) <= limits.VECTOR_BYTES_MAX or len(signature) != limits.SIGNATURE_BYTES:
        raise DecodeError(Reason.OUT_OF_RANGE, "vector")
    if not 0 <= age_ms <= limits.AGE_MS_MAX:
        raise DecodeError(Reason.OUT_OF_RANGE, "age_ms")
    return Vector(signed, signature, age_ms)


def _digest(item: tuple[Value, ...]) -> Message:
    listed = fields.array(item[1], "digest", 1, limits.DIGEST_ENTRIES_MAX)
    return Digest(tuple([_digest_entry(entry) for entry in listed]))


def _digest_entry(value: Value) -> DigestEntry:
    tag, rotation, boot, seq = fields.array(value, "digest entry", 4, 4)
    if (
        type(tag) is bytes
        and len(tag) == limits.TAG_AUTHOR_BYTES
        and type(rotation) is type(boot) is type(seq) is int
        and 0 <= rotation <= limits.ROTATIONS_MAX
        and 1 <= boot <= COUNTER_MAX
        and 1 <= seq <= COUNTER_MAX
    ):
        return DigestEntry(tag, rotation, boot, seq)
    return DigestEntry(  # the quick check above has found a fault: one of these names it
        fields.binary(tag, "tag", limits.TAG_AUTHOR_BYTES, limits.TAG_AUTHOR_BYTES),
        fields.integer(rotation, "rotation", 0, limits.ROTATIONS_MAX),
        fields.integer(boot, "boot", 1, COUNTER_MAX),
        fields.integer(seq, "seq", 1, COUNTER_MAX),
    )


def _tags(value: Value) -> tuple[bytes, ...]:
    return fields.binaries(value, "tags", limits.TAG_AUTHOR_BYTES, limits.TAGS_MAX)


def _authors(value: Value, high: int) -> tuple[AuthorId, ...]:
    return tuple(AuthorId(author) for author in fields.binaries(value, "authors", AUTHOR_BYTES, high))


def _neighbors(item: tuple[Value, ...]) -> Message:
    if item[1] == ():
        return Neighbors(())
    return Neighbors(_authors(item[1], limits.NEIGHBORS_MAX))


def _peers(item: tuple[Value, ...]) -> Message:
    records = []
    for entry in fields.array(item[1], "peers", 1, limits.PEERS_MAX):
        key_state, signed, signature = fields.array(entry, "peer record", 3, 3)
        records.append(
            PeerRecord(
                fields.binary(key_state, "key_state", 1, limits.KEY_STATE_BYTES_MAX),
                fields.binary(signed, "addresses", 1, limits.ADDRESSES_BYTES_MAX),
                fields.binary(signature, "signature", limits.SIGNATURE_BYTES, limits.SIGNATURE_BYTES),
            )
        )
    return Peers(tuple(records))


def _token(item: tuple[Value, ...]) -> int:
    return fields.integer(item[1], "token", 0, 0xFFFFFFFF)


_BEAT = Beat()

_PARSERS: Final[tuple[tuple[int, Callable[[tuple[Value, ...]], Message]], ...]] = (
    (4, _hello),
    (2, lambda item: Bye(fields.integer(item[1], "code", 0, 255))),
    (2, lambda item: Ping(_token(item))),
    (2, lambda item: Pong(_token(item))),
    (1, lambda _item: _BEAT),
    (2, lambda item: Keys(fields.binary(item[1], "key_state", 1, limits.KEY_STATE_BYTES_MAX))),
    (2, lambda item: WantKeys(_authors(item[1], limits.WANTED_KEYS_MAX))),
    (4, _vector),
    (2, _digest),
    (2, lambda item: Prune(_tags(item[1]))),
    (2, lambda item: Graft(_tags(item[1]))),
    (2, _neighbors),
    (2, _peers),
)
