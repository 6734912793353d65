"""Durable events: the signed record, its payload, the proof of a fork, and the messages that carry them (types 29-34).

An event names what came before it (``prev``, ``seq``, ``incarnation``) and its payload by a salted hash, so that the
payload can be erased and the chain still verifies (design decisions 9, 18). Layouts: docs/protocol.md, section 12.
Beyond the design's list of fields an event says its ``rotation`` (or a verifier would have to try every key), its
``audience`` and when its payload ``expires`` (or a relay would have to read payloads to obey).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

from protocol import limits
from protocol.clock import hlc_utc_ms
from protocol.crypto import digest
from protocol.errors import DecodeError, Reason
from protocol.ids import AUTHOR_BYTES, EVENT_BYTES, AuthorId, EventId, MeshId
from protocol.limits import COUNTER_MAX
from protocol.wire import fields, parts
from protocol.wire.codec import Value, decode, encode
from protocol.wire.records import RECORD_VERSION, header

DOMAIN_EVENT: Final = "trio.event"

PROFILE, STORY, STOLEN, WITHDRAWAL, CHECKPOINT, OPENING, SEALED = range(1, 8)
"""Kinds of event. Whoever meets another kind keeps it and passes it on."""
GLITCH: Final = 8
"""What one hub saw of a glitch; 7 is an attestation."""
GLITCH_S: Final = 14 * 86_400
"""So long after its date its payload is erased, whatever it says: it tells who was where with whom."""

BASES: Final = frozenset({CHECKPOINT, STOLEN})
"""Kinds that stand without what came before them and say what of it remains."""
CONTROL: Final = frozenset({STOLEN, WITHDRAWAL, CHECKPOINT, OPENING})
"""Kinds about the chain itself; their payloads are never erased."""

FOR_MESH: Final = 0
FOR_SELF: Final = 1
"""Audience: everybody in the mesh may hold the payload; only the author's hub may."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """A decoded event; ``id`` is the digest of ``signed``.

    ``prev`` is None for an author's first event; ``heads`` are other events the author had seen, its own branches
    first; ``hlc`` is 0 without a date; ``expires`` is UTC seconds, 0 never; ``payload_hash`` None: no payload.
    """

    id: EventId
    author: AuthorId
    rotation: int
    incarnation: int
    seq: int
    prev: EventId | None
    heads: tuple[EventId, ...]
    hlc: int
    kind: int
    audience: int
    expires: int
    payload_hash: bytes | None
    payload_size: int
    signed: bytes
    sig: bytes

    @property
    def order(self) -> tuple[int, int, EventId]:
        """Which of two bases of one author counts: a later key, then a longer chain, then the larger id."""
        return (self.rotation, self.seq, self.id)

    @property
    def indexed(self) -> bool:
        """Whether the hub itself reads its payload, which is small and stays in memory."""
        return self.kind in CONTROL or (self.kind == GLITCH and self.payload_size <= limits.GOSSIP_BYTES_MAX)

    @property
    def tells_who_was_where(self) -> bool:
        """Whether no hub keeps its payload for longer than ``GLITCH_S``, whatever date it bears or lacks."""
        return self.kind == GLITCH

    @property
    def ends_s(self) -> int:
        """UTC seconds from which its payload is to be erased, 0 never."""
        if self.kind != GLITCH or not self.hlc:
            return self.expires
        ends = hlc_utc_ms(self.hlc) // 1_000 + GLITCH_S
        return min(ends, self.expires) if self.expires else ends


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFields:
    """What is signed, before it is."""

    author: AuthorId
    rotation: int
    incarnation: int
    seq: int
    prev: EventId | None
    heads: tuple[EventId, ...] = ()
    hlc: int = 0
    kind: int
    audience: int = FOR_MESH
    expires: int = 0
    payload_hash: bytes | None = None
    payload_size: int = 0


@dataclass(frozen=True, slots=True)
class Payload:
    """What an event says: ``salt`` has 16 random bytes, so that a short text cannot be guessed from its hash."""

    salt: bytes
    content: bytes

    def hash(self) -> bytes:
        """What the event says of it."""
        leaves = [parts.leaf(self.salt, chunk) for chunk in parts.split(self.content)]
        return parts.levels(leaves)[-1][0]

    def belongs_to(self, event: EventRecord) -> bool:
        """Whether this is what the event's author signed."""
        return len(self.content) == event.payload_size and self.hash() == event.payload_hash


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the store keeps it. ``held`` says that the payload is stored, or (written) is stored now; read back
    at start, ``payload`` is None unless ``indexed``, which marks small payloads that the ledger itself reads."""

    id: EventId
    author: AuthorId
    seq: int
    signed: bytes
    sig: bytes
    payload: Payload | None
    held: bool
    indexed: bool


def event_bytes(mesh: MeshId, event: EventFields) -> bytes:
    """The bytes to sign."""
    return encode(
        (
            *(DOMAIN_EVENT, mesh, RECORD_VERSION, event.author, event.rotation, event.incarnation, event.seq),
            *(event.prev, event.heads, event.hlc, event.kind, event.audience, event.expires),
            *(event.payload_hash, event.payload_size),
        )
    )


def decode_event(mesh: MeshId, signed: bytes, sig: bytes) -> EventRecord:
    """Check and decode the signed bytes of an event; the signature is carried, not checked.

    Raises:
        DecodeError: names the field.
    """
    if len(signed) > limits.EVENT_BYTES_MAX:
        raise DecodeError(Reason.OUT_OF_RANGE, "event too long")
    items = header(decode(signed), DOMAIN_EVENT, mesh, 15)
    prev = None if items[7] is None else _event_id(items[7], "prev")
    seq = fields.integer(items[6], "seq", 1, COUNTER_MAX)
    if (prev is None) != (seq == 1):
        raise DecodeError(Reason.OUT_OF_RANGE, "prev is nil if and only if seq is 1")
    size = fields.integer(items[14], "payload_size", 0, limits.PAYLOAD_BYTES_MAX)
    payload_hash = None if items[13] is None else fields.binary(items[13], "payload_hash", 32, 32)
    if payload_hash is None and size:
        raise DecodeError(Reason.OUT_OF_RANGE, "payload_size without payload_hash")
    return EventRecord(
        EventId(digest(signed)),
        AuthorId(fields.binary(items[3], "author", AUTHOR_BYTES, AUTHOR_BYTES)),
        fields.integer(items[4], "rotation", 0, limits.ROTATIONS_MAX),
        fields.integer(items[5], "incarnation", 1, COUNTER_MAX),
        seq,
        prev,
        _event_ids(items[8], "heads", 0, limits.HEADS_MAX),
        fields.integer(items[9], "hlc", 0, (1 << 64) - 1),
        fields.integer(items[10], "kind", 0, limits.KIND_MAX),
        fields.integer(items[11], "audience", 0, limits.KIND_MAX),
        fields.integer(items[12], "expires", 0, COUNTER_MAX),
        payload_hash,
        size,
        signed,
        sig,
    )


def _event_id(value: Value, name: str) -> EventId:
    return EventId(fields.binary(value, name, EVENT_BYTES, EVENT_BYTES))


def _event_ids(value: Value, name: str, low: int, high: int) -> tuple[EventId, ...]:
    ids = tuple(_event_id(item, name) for item in fields.array(value, name, low, high))
    if len(dict.fromkeys(ids)) != len(ids):
        raise DecodeError(Reason.OUT_OF_RANGE, f"{name} has repeated elements")
    return ids


# --- messages ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Event:
    """One event, and its payload where that is small and here; also what GOSSIP carries (:func:`gossip_payload`)."""

    signed: bytes
    sig: bytes
    payload: Payload | None


@dataclass(frozen=True, slots=True)
class AuthorHeads:
    """The heads that somebody holds of one author, as (incarnation, event) pairs in ascending order."""

    author: AuthorId
    heads: tuple[tuple[int, EventId], ...]


@dataclass(frozen=True, slots=True)
class WantEvents:
    """Say what heads you hold of these authors, and send what is neither one of my heads nor before one."""

    authors: tuple[AuthorHeads, ...]


@dataclass(frozen=True, slots=True)
class Heads:
    """What the sender has stored of these authors; precedes the events that answer WANT_EVENTS."""

    authors: tuple[AuthorHeads, ...]


@dataclass(frozen=True, slots=True)
class WantPayload:
    """Send chunks ``first`` .. ``first + count - 1`` of the payload of ``event``; ``patient``: those that are still on
    their way to you, as they come. ``count`` 0: I want nothing more of it from you."""

    event: EventId
    first: int
    count: int
    patient: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk of a payload, all of 4 KiB but the last, with its way to the signed hash (:mod:`protocol.wire.parts`);
    ``data`` None: not here, ask somebody else."""

    event: EventId
    index: int
    salt: bytes
    data: bytes | None
    proof: bytes = b""


@dataclass(frozen=True, slots=True)
class Fork:
    """Two records of one author that no honest hub would both sign; it stands alone."""

    one: tuple[bytes, bytes]
    other: tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Offer:
    """A new event of the sender's own that has a large payload: it comes on a tree as well, and the chunks that the
    receiver owns (R114) follow unasked."""

    signed: bytes
    sig: bytes


EventMessage: TypeAlias = Event | WantEvents | Heads | WantPayload | Chunk | Fork | Offer

EVENT, WANT_EVENTS, HEADS, WANT_PAYLOAD, CHUNK, FORK = range(29, 35)
OFFER: Final = 41


def author_of(message: Event | Fork | Offer) -> AuthorId:
    """Whose event it is: in ``signed`` the author lies at one place, because encodings are canonical."""
    signed = message.one[0] if isinstance(message, Fork) else message.signed
    return AuthorId(signed[33:65])


def inline(event: EventRecord, payload: Payload | None) -> Event:
    """The event as it is pushed: with its payload if that is small."""
    fits = payload is not None and len(payload.content) <= limits.INLINE_BYTES_MAX
    return Event(event.signed, event.sig, payload if fits else None)


def gossip_payload(event: Event) -> bytes:
    """The event as the payload of a tree message; without its own payload where both would be too long."""
    carried = encode((event.signed, event.sig, *_payload_value(event.payload)))
    if len(carried) <= limits.GOSSIP_BYTES_MAX:
        return carried
    return encode((event.signed, event.sig, None, None))


def read_gossip_payload(data: bytes) -> Event:
    """The event in the payload of a tree message.

    Raises:
        DecodeError: it is none.
    """
    return _event((EVENT, *fields.array(decode(data), "event", 4, 4)))


def encode_fork(fork: Fork) -> bytes:
    """A proof as the store keeps it."""
    return encode((fork.one, fork.other))


def decode_fork(data: bytes) -> Fork:
    """A proof as the store has kept it.

    Raises:
        DecodeError: it is none.
    """
    return _fork((FORK, *fields.array(decode(data), "fork", 2, 2)))


def to_value(message: EventMessage) -> Value:
    """The array that stands for ``message`` on the wire."""
    match message:
        case Event(signed, sig, payload):
            return (EVENT, signed, sig, *_payload_value(payload))
        case WantEvents(authors):
            return (WANT_EVENTS, tuple(_heads_value(one) for one in authors))
        case Heads(authors):
            return (HEADS, tuple(_heads_value(one) for one in authors))
        case WantPayload(event, first, count, patient):
            return (WANT_PAYLOAD, event, first, count, patient)
        case Chunk(event, index, salt, data, proof):
            return (CHUNK, event, index, salt, data, proof)
        case Fork(one, other):
            return (FORK, one, other)
        case Offer(signed, sig):
            return (OFFER, signed, sig)


def _payload_value(payload: Payload | None) -> tuple[Value, Value]:
    return (None, None) if payload is None else (payload.salt, payload.content)


def _heads_value(one: AuthorHeads) -> Value:
    return (one.author, tuple((incarnation, head) for incarnation, head in one.heads))


def _signature(value: Value) -> bytes:
    return fields.binary(value, "signature", limits.SIGNATURE_BYTES, limits.SIGNATURE_BYTES)


def _salt(value: Value) -> bytes:
    return fields.binary(value, "salt", limits.SALT_BYTES, limits.SALT_BYTES)


def _signed(value: Value) -> bytes:
    return fields.binary(value, "signed", 1, limits.EVENT_BYTES_MAX)


def _event(item: tuple[Value, ...]) -> Event:
    _, signed, sig, salt, content = item
    payload = None
    if salt is not None or content is not None:
        payload = Payload(_salt(salt), fields.binary(content, "content", 0, limits.INLINE_BYTES_MAX))
    return Event(_signed(signed), _signature(sig), payload)


def _author_heads(value: Value) -> AuthorHeads:
    author, listed = fields.array(value, "author heads", 2, 2)
    pairs = []
    for entry in fields.array(listed, "heads", 0, limits.HEADS_MAX):
        incarnation, head = fields.array(entry, "head", 2, 2)
        pairs.append((fields.integer(incarnation, "incarnation", 1, COUNTER_MAX), _event_id(head, "head")))
    if any(left >= right for left, right in pairwise(pairs)):
        raise DecodeError(Reason.OUT_OF_RANGE, "heads are not in ascending order")
    return AuthorHeads(AuthorId(fields.binary(author, "author", AUTHOR_BYTES, AUTHOR_BYTES)), tuple(pairs))


def _authors(item: tuple[Value, ...]) -> tuple[AuthorHeads, ...]:
    authors = tuple(_author_heads(entry) for entry in fields.array(item[1], "authors", 1, limits.WANTED_AUTHORS_MAX))
    if len({one.author for one in authors}) != len(authors):
        raise DecodeError(Reason.OUT_OF_RANGE, "authors has repeated elements")
    return authors


def _want_payload(item: tuple[Value, ...]) -> WantPayload:
    first = fields.integer(item[2], "first", 0, limits.CHUNKS_MAX - 1)
    count = fields.integer(item[3], "count", 0, limits.CHUNKS_ASKED_MAX)
    return WantPayload(_event_id(item[1], "event"), first, count, fields.boolean(item[4], "patient"))


def _chunk(item: tuple[Value, ...]) -> Chunk:
    data = None if item[4] is None else fields.binary(item[4], "data", 0, limits.CHUNK_BYTES)
    index = fields.integer(item[2], "index", 0, limits.CHUNKS_MAX - 1)
    proof = fields.binary(item[5], "proof", 0, limits.PROOF_BYTES_MAX)
    return Chunk(_event_id(item[1], "event"), index, _salt(item[3]), data, proof)


def _record(value: Value) -> tuple[bytes, bytes]:
    signed, sig = fields.array(value, "record", 2, 2)
    return (_signed(signed), _signature(sig))


def _fork(item: tuple[Value, ...]) -> Fork:
    return Fork(_record(item[1]), _record(item[2]))


PARSERS: Final[dict[int, tuple[int, Callable[[tuple[Value, ...]], EventMessage]]]] = {
    EVENT: (5, _event),
    WANT_EVENTS: (2, lambda item: WantEvents(_authors(item))),
    HEADS: (2, lambda item: Heads(_authors(item))),
    WANT_PAYLOAD: (5, _want_payload),
    CHUNK: (6, _chunk),
    FORK: (3, _fork),
    OFFER: (3, lambda item: Offer(_signed(item[1]), _signature(item[2]))),
}
"""Type to the number of elements and the reader of the array."""
