"""The messages by which hubs choose their neighbors (docs/protocol.md, section 14): types 13 to 18.

Source: HyParView (Leitao, Pereira, Rodrigues, DSN 2007), section 4. A hub is named by its addresses record and not by
its id alone, so that whoever hears of it can dial it and nobody can be named who has not signed that he listens.
They have a room of their own because one file would be too long; ``messages`` holds the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from protocol import limits
from protocol.ids import AUTHOR_BYTES, AuthorId
from protocol.wire import fields
from protocol.wire.codec import Value


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """Where somebody can be reached, provable: key state, signed addresses, signature."""

    key_state: bytes
    signed: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Join:
    """The sender is new here: be its neighbor, and tell others of it."""


@dataclass(frozen=True, slots=True)
class ForwardJoin:
    """``peer`` is new, or back after long; passed on ``ttl`` times more."""

    ttl: int
    peer: PeerRecord


@dataclass(frozen=True, slots=True)
class Neighbor:
    """Be my neighbor; ``high`` asks to make room."""

    high: bool


@dataclass(frozen=True, slots=True)
class NeighborAnswer:
    """The answer to JOIN and NEIGHBOR; who is refused closes the link."""

    accepted: bool


@dataclass(frozen=True, slots=True)
class Shuffle:
    """``origin`` offers ``peers``; passed on while ``ttl`` is above 1."""

    ttl: int
    origin: PeerRecord
    peers: tuple[PeerRecord, ...]


@dataclass(frozen=True, slots=True)
class ShuffleAnswer:
    """Peers in return for the SHUFFLE of ``origin``; goes back the way that came."""

    origin: AuthorId
    peers: tuple[PeerRecord, ...]


JoiningMessage: TypeAlias = Join | ForwardJoin | Neighbor | NeighborAnswer | Shuffle | ShuffleAnswer

JOIN, FORWARD_JOIN, NEIGHBOR, NEIGHBOR_ANSWER, SHUFFLE, SHUFFLE_ANSWER = range(13, 19)


def record_value(record: PeerRecord) -> Value:
    """The array of three that stands for a peer record."""
    return (record.key_state, record.signed, record.signature)


def peer_record(value: Value) -> PeerRecord:
    """Read one peer record; its contents are checked by whoever holds the address book."""
    key_state, signed, signature = fields.array(value, "peer record", 3, 3)
    return PeerRecord(
        fields.binary(key_state, "key_state", 1, limits.KEY_STATE_BYTES_MAX),
        fields.binary(signed, "addresses", 1, limits.ADDRESSES_BYTES_MAX),
        fields.binary(signature, "signature", limits.SIGNATURE_BYTES, limits.SIGNATURE_BYTES),
    )


def peer_records(value: Value, low: int) -> tuple[PeerRecord, ...]:
    """Read ``low``..8 peer records."""
    return tuple(peer_record(entry) for entry in fields.array(value, "peers", low, limits.PEERS_MAX))


def to_value(message: JoiningMessage) -> Value:
    """The array that stands for ``message`` on the wire."""
    match message:
        case Join():
            return (JOIN,)
        case ForwardJoin(ttl, peer):
            return (FORWARD_JOIN, ttl, record_value(peer))
        case Neighbor(high):
            return (NEIGHBOR, high)
        case NeighborAnswer(accepted):
            return (NEIGHBOR_ANSWER, accepted)
        case Shuffle(ttl, origin, peers):
            return (SHUFFLE, ttl, record_value(origin), tuple(record_value(peer) for peer in peers))
        case ShuffleAnswer(origin, peers):
            return (SHUFFLE_ANSWER, origin, tuple(record_value(peer) for peer in peers))


def _forward_join(item: tuple[Value, ...]) -> ForwardJoin:
    return ForwardJoin(fields.integer(item[1], "ttl", 0, limits.WALK_HOPS_MAX), peer_record(item[2]))


def _shuffle(item: tuple[Value, ...]) -> Shuffle:
    ttl = fields.integer(item[1], "ttl", 1, limits.WALK_HOPS_MAX)
    return Shuffle(ttl, peer_record(item[2]), peer_records(item[3], 0))


def _shuffle_answer(item: tuple[Value, ...]) -> ShuffleAnswer:
    origin = AuthorId(fields.binary(item[1], "origin", AUTHOR_BYTES, AUTHOR_BYTES))
    return ShuffleAnswer(origin, peer_records(item[2], 1))


_JOIN = Join()

PARSERS: Final[dict[int, tuple[int, Callable[[tuple[Value, ...]], JoiningMessage]]]] = {
    JOIN: (1, lambda _item: _JOIN),
    FORWARD_JOIN: (3, _forward_join),
    NEIGHBOR: (2, lambda item: Neighbor(fields.boolean(item[1], "high"))),
    NEIGHBOR_ANSWER: (2, lambda item: NeighborAnswer(fields.boolean(item[1], "accepted"))),
    SHUFFLE: (4, _shuffle),
    SHUFFLE_ANSWER: (3, _shuffle_answer),
}
"""Type to the number of elements and the reader of the array."""
