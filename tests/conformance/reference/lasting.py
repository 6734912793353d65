"""The messages of trees, durable events and reconciling (docs/protocol.md, sections 10, 12.5 and 13)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from tests.conformance.reference.codec import Refused, Value
from tests.conformance.reference.events import COUNTER_MAX, EVENT_BYTES_MAX, INLINE_BYTES_MAX
from tests.conformance.reference.parts import CHUNK_BYTES
from tests.conformance.reference.shape import Check, binary, boolean, elements, integer, listed
from tests.conformance.reference.sketches import ENTRY_BYTES, entries_of

NAME_BYTES: Final = 4
PRINT_BYTES: Final = 5
SYMBOL_BYTES: Final = 7
CHUNKS_MAX: Final = 512
PROOF_MAX: Final = 9


@dataclass(frozen=True, slots=True)
class Gossip:
    """A message on a tree; its payload is an event."""

    id: bytes
    author: bytes
    hops: int
    tree: int
    payload: bytes

    def __post_init__(self) -> None:
        if len(self.id) not in (16, 32):
            raise Refused("an id of neither 16 nor 32 bytes")


@dataclass(frozen=True, slots=True)
class IHave:
    """Names and hops of messages that are not pushed here."""

    entries: bytes


@dataclass(frozen=True, slots=True)
class TreeGraft:
    """Push here, and first of all these."""

    author: bytes | None
    names: bytes

    def __post_init__(self) -> None:
        if self.names and self.author is not None:
            raise Refused("an author beside names")


@dataclass(frozen=True, slots=True)
class TreePrune:
    """Push here no more."""

    author: bytes | None


@dataclass(frozen=True, slots=True)
class EventMessage:
    """An event, and its payload if that is small and here."""

    signed: bytes
    signature: bytes
    salt: bytes | None
    content: bytes | None

    def __post_init__(self) -> None:
        if (self.salt is None) != (self.content is None):
            raise Refused("salt and content come together")


AuthorHeads: TypeAlias = tuple[bytes, tuple[tuple[int, bytes], ...]]


@dataclass(frozen=True, slots=True)
class WantEvents:
    """Asks for what follows these heads."""

    authors: tuple[AuthorHeads, ...]


@dataclass(frozen=True, slots=True)
class Heads:
    """What the sender holds of these authors."""

    authors: tuple[AuthorHeads, ...]


@dataclass(frozen=True, slots=True)
class WantPayload:
    """Asks for chunks of a payload, or for no more of it (count 0); ``patient``: also for those on their way."""

    event: bytes
    first: int
    count: int
    patient: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """One of them, or word that it is not here."""

    event: bytes
    index: int
    salt: bytes
    data: bytes | None
    proof: bytes = b""


@dataclass(frozen=True, slots=True)
class Offer:
    """A new event of the sender's own, whose payload comes in chunks."""

    signed: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Fork:
    """Two records that prove a fork."""

    one: tuple[bytes, bytes]
    other: tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class ReconOpen:
    """Asks whether the frontiers are equal."""

    mark: bytes


@dataclass(frozen=True, slots=True)
class ReconSymbols:
    """They are not; symbols of the answerer's."""

    heads: int
    symbols: bytes


@dataclass(frozen=True, slots=True)
class ReconMore:
    """Asks for more symbols."""


@dataclass(frozen=True, slots=True)
class ReconTurn:
    """Asks for fingerprints instead."""

    after: bytes | None


@dataclass(frozen=True, slots=True)
class ReconPage:
    """Fingerprints in ascending order."""

    fingerprints: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class ReconEntries:
    """Entries given and fingerprints asked for."""

    entries: bytes
    asked: bytes
    last: bool

    def __post_init__(self) -> None:
        entries_of(self.entries)


TreeMessage: TypeAlias = Gossip | IHave | TreeGraft | TreePrune
ChainMessage: TypeAlias = EventMessage | WantEvents | Heads | WantPayload | Chunk | Fork | Offer
ReconMessage: TypeAlias = ReconOpen | ReconSymbols | ReconMore | ReconTurn | ReconPage | ReconEntries
LastingMessage: TypeAlias = TreeMessage | ChainMessage | ReconMessage


def _maybe(check: Check[bytes]) -> Check[bytes | None]:
    return lambda value: None if value is None else check(value)


def _record(value: Value) -> tuple[bytes, bytes]:
    signed, signature = elements(value, 2)
    return binary(1, EVENT_BYTES_MAX)(signed), binary(64)(signature)


def _head(value: Value) -> tuple[int, bytes]:
    incarnation, event = elements(value, 2)
    return integer(1, COUNTER_MAX)(incarnation), binary(32)(event)


def _heads(value: Value) -> AuthorHeads:
    author, heads = elements(value, 2)
    found = listed(_head, 0, 8, distinct=True)(heads)
    if list(found) != sorted(found):
        raise Refused("heads that do not ascend")
    return binary(32)(author), found


def _authors(value: Value) -> tuple[AuthorHeads, ...]:
    found = listed(_heads, 1, 16)(value)
    if len({author for author, _ in found}) != len(found):
        raise Refused("an author twice")
    return found


def _packed(size: int, low: int, high: int) -> Check[bytes]:
    """A byte string of low..high things of ``size`` bytes."""

    def check(value: Value) -> bytes:
        packed = binary(low * size, high * size)(value)
        if len(packed) % size:
            raise Refused(f"not made of {size} bytes each")
        return packed

    return check


LASTING: Final[dict[int, tuple[Callable[..., LastingMessage], tuple[Callable[[Value], Any], ...]]]] = {
    20: (Gossip, (binary(16, 32), binary(32), integer(1, 255), integer(0, 2), binary(1, 4_096))),
    21: (IHave, (_packed(NAME_BYTES + 1, 1, 256),)),
    22: (TreeGraft, (_maybe(binary(32)), _packed(NAME_BYTES, 0, 64))),
    23: (TreePrune, (_maybe(binary(32)),)),
    29: (
        EventMessage,
        (binary(1, EVENT_BYTES_MAX), binary(64), _maybe(binary(16)), _maybe(binary(0, INLINE_BYTES_MAX))),
    ),
    30: (WantEvents, (_authors,)),
    31: (Heads, (_authors,)),
    32: (WantPayload, (binary(32), integer(0, CHUNKS_MAX - 1), integer(0, 16), boolean)),
    33: (
        Chunk,
        (
            *(binary(32), integer(0, CHUNKS_MAX - 1), binary(16), _maybe(binary(0, CHUNK_BYTES))),
            binary(0, 32 * PROOF_MAX),
        ),
    ),
    41: (Offer, (binary(1, EVENT_BYTES_MAX), binary(64))),
    34: (Fork, (_record, _record)),
    35: (ReconOpen, (binary(16),)),
    36: (ReconSymbols, (integer(0, 131_072), _packed(SYMBOL_BYTES, 1, 3_072))),
    37: (ReconMore, ()),
    38: (ReconTurn, (_maybe(binary(PRINT_BYTES)),)),
    39: (ReconPage, (_packed(PRINT_BYTES, 0, 4_096), boolean)),
    40: (ReconEntries, (_packed(ENTRY_BYTES, 0, 256), _packed(PRINT_BYTES, 0, 1_024), boolean)),
}
"""Message type to its class and the checks of its fields."""
