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
from protocol.wire import events, fields, joining, meeting, probing, reconciling
from protocol.wire.codec import Value, decode_for_schema, encode, inspect
from protocol.wire.joining import ForwardJoin, Join, Neighbor, NeighborAnswer, Shuffle, ShuffleAnswer


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


@dataclass(slots=True)  # not frozen: a hot one, in every frame with vectors
class Clock:
    """When this frame was made: so many ms after the sender's HELLO."""

    sent_ms: int


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


PeerRecord = joining.PeerRecord


@dataclass(frozen=True, slots=True)
class Peers:
    """Hubs the sender knows."""

    records: tuple[PeerRecord, ...]


@dataclass(slots=True)  # not frozen: a hot one, made by every hub that passes it on
class Gossip:
    """A message of the trees, named ``id``; pushed on the shared ``tree`` (0), its author's own (1), or renewing (2)
    that."""

    id: bytes
    author: AuthorId
    hops: int
    tree: int
    payload: bytes


@dataclass(slots=True)  # not frozen: a hot one
class IHave:
    """What the sender holds and does not push: ``entries`` are 4 bytes that end an id and 1 byte of hops each."""

    entries: bytes


@dataclass(frozen=True, slots=True)
class TreeGraft:
    """Push here from now on: the tree of ``author`` (None: the shared one) if ``ids`` is empty, else the trees of the
    messages whose ids end with these 4 bytes each, and send those messages."""

    author: AuthorId | None
    ids: bytes


@dataclass(frozen=True, slots=True)
class TreePrune:
    """Do not push here any more what ``author`` sends, or (None) what goes by the shared tree."""

    author: AuthorId | None


TreeMessage: TypeAlias = Gossip | IHave | TreeGraft | TreePrune
FlowMessage: TypeAlias = TreeMessage | events.EventMessage | reconciling.ReconcileMessage
Message: TypeAlias = (
    Vector
    | Clock
    | Beat
    | Digest
    | Ping
    | Pong
    | Keys
    | WantKeys
    | Prune
    | Graft
    | Neighbors
    | Peers
    | Hello
    | Bye
    | joining.JoiningMessage
    | FlowMessage
    | probing.ProbeMessage
    | meeting.MeetingMessage
)

HELLO, BYE, PING, PONG, BEAT, KEYS, WANT_KEYS, VECTOR, DIGEST, PRUNE, GRAFT, NEIGHBORS, PEERS = range(13)
CLOCK = 19
GOSSIP, IHAVE, TREE_GRAFT, TREE_PRUNE = range(20, 24)


def to_value(message: Message) -> Value:  # noqa: C901 - one line for each kind
    """The array that stands for ``message`` on the wire."""
    match message:
        case Vector(signed, signature, age_ms):
            return (VECTOR, signed, signature, age_ms)
        case Clock(sent_ms):
            return (CLOCK, sent_ms)
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
        case Prune(tags) | Graft(tags):
            return (PRUNE if type(message) is Prune else GRAFT, tags)
        case Neighbors(authors):
            return (NEIGHBORS, authors)
        case Peers(records):
            return (PEERS, tuple(joining.record_value(record) for record in records))
        case Hello(boot, addresses, agent):
            return (HELLO, boot, addresses, agent)
        case Bye(code):
            return (BYE, code)
        case Gossip(id, author, hops, tree, payload):
            return (GOSSIP, id, author, hops, tree, payload)
        case IHave(entries):
            return (IHAVE, entries)
        case TreeGraft(author, ids):
            return (TREE_GRAFT, author, ids)
        case TreePrune(author):
            return (TREE_PRUNE, author)
        case Join() | ForwardJoin() | Neighbor() | NeighborAnswer() | Shuffle() | ShuffleAnswer():
            return joining.to_value(message)
        case probing.PingReq() | probing.ProbeAck() | probing.Nack() | probing.Suspect() | probing.Refute():
            return probing.to_value(message)
        case meeting.Meet() | meeting.MeetReveal() | meeting.MeetConfirm():
            return meeting.to_value(message)
        case (
            events.Event()
            | events.WantEvents()
            | events.Heads()
            | events.WantPayload()
            | events.Chunk()
            | events.Fork()
            | events.Offer()
        ):
            return events.to_value(message)
        case _:
            return reconciling.to_value(message)


def encode_frame(messages: Sequence[Message]) -> bytes:
    """The plaintext of one frame."""
    if len(messages) == 2 and type(clock := messages[0]) is Clock and type(message := messages[1]) is Vector:
        # most frames of a busy hub
        return encode(((CLOCK, clock.sent_ms), (VECTOR, message.signed, message.signature, message.age_ms)))
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
    if type(kind) is not int:
        raise DecodeError(Reason.UNKNOWN_MESSAGE)
    known = _PARSERS.get(kind)
    if known is None:
        raise DecodeError(Reason.UNKNOWN_MESSAGE)
    arity, parse = known
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


def _clock(item: tuple[Value, ...]) -> Message:
    sent_ms = item[1]
    if type(sent_ms) is int and 0 <= sent_ms <= COUNTER_MAX:
        return Clock(sent_ms)
    return Clock(fields.integer(sent_ms, "sent_ms", 0, COUNTER_MAX))  # names the fault


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


def _token(item: tuple[Value, ...]) -> int:
    return fields.integer(item[1], "token", 0, 0xFFFFFFFF)


def _maybe_author(value: Value) -> AuthorId | None:
    return None if value is None else AuthorId(fields.binary(value, "author", AUTHOR_BYTES, AUTHOR_BYTES))


def _gossip(item: tuple[Value, ...]) -> Message:
    _, name, author, hops, tree, payload = item
    if type(name) is not bytes:
        raise DecodeError(Reason.WRONG_TYPE, "id is not a byte string")
    if len(name) not in (limits.GOSSIP_ID_BYTES_MIN, limits.GOSSIP_ID_BYTES_MAX):
        raise DecodeError(Reason.OUT_OF_RANGE, "id has neither 16 nor 32 bytes")
    return Gossip(
        name,
        AuthorId(fields.binary(author, "author", AUTHOR_BYTES, AUTHOR_BYTES)),
        fields.integer(hops, "hops", 1, limits.GOSSIP_HOPS_MAX),
        fields.integer(tree, "tree", 0, 2),
        fields.binary(payload, "payload", 1, limits.GOSSIP_BYTES_MAX),
    )


def _packed(value: Value, name: str, size: int, low: int, high: int) -> bytes:
    packed = fields.binary(value, name, low * size, high * size)
    if len(packed) % size:
        raise DecodeError(Reason.OUT_OF_RANGE, f"{name} is not made of {size} bytes each")
    return packed


def _ihave(item: tuple[Value, ...]) -> Message:
    return IHave(_packed(item[1], "entries", limits.IHAVE_ENTRY_BYTES, 1, limits.IHAVE_IDS_MAX))


def _tree_graft(item: tuple[Value, ...]) -> Message:
    author = _maybe_author(item[1])
    ids = _packed(item[2], "ids", limits.GOSSIP_TAG_BYTES, 0, limits.TREE_GRAFT_IDS_MAX)
    if ids and author is not None:
        raise DecodeError(Reason.OUT_OF_RANGE, "author beside ids")
    return TreeGraft(author, ids)


_BEAT = Beat()

_PARSERS: Final[dict[int, tuple[int, Callable[[tuple[Value, ...]], Message]]]] = {
    HELLO: (4, _hello),
    BYE: (2, lambda item: Bye(fields.integer(item[1], "code", 0, 255))),
    PING: (2, lambda item: Ping(_token(item))),
    PONG: (2, lambda item: Pong(_token(item))),
    BEAT: (1, lambda _item: _BEAT),
    KEYS: (2, lambda item: Keys(fields.binary(item[1], "key_state", 1, limits.KEY_STATE_BYTES_MAX))),
    WANT_KEYS: (2, lambda item: WantKeys(_authors(item[1], limits.WANTED_KEYS_MAX))),
    VECTOR: (4, _vector),
    CLOCK: (2, _clock),
    DIGEST: (2, _digest),
    PRUNE: (2, lambda item: Prune(_tags(item[1]))),
    GRAFT: (2, lambda item: Graft(_tags(item[1]))),
    NEIGHBORS: (2, _neighbors),
    PEERS: (2, lambda item: Peers(joining.peer_records(item[1], 1))),
    GOSSIP: (6, _gossip),
    IHAVE: (2, _ihave),
    TREE_GRAFT: (3, _tree_graft),
    TREE_PRUNE: (2, lambda item: TreePrune(_maybe_author(item[1]))),
    **joining.PARSERS,
    **probing.PARSERS,
    **meeting.PARSERS,
    **events.PARSERS,
    **reconciling.PARSERS,
}
