"""What a Node can ask for. Effects are ordered; the driver applies them in that order. A crash may fall between
two of them: whoever must survive it puts ``Store`` before ``Send``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, final

from protocol.clock import Instant
from protocol.errors import CloseCode, Reason
from protocol.ids import AuthorId, EventId, LinkId
from protocol.inputs import Address, TimerKey
from protocol.wire.events import EventRecord, Fork, StoredEvent
from protocol.wire.messages import Message, PeerRecord


@final
@dataclass(slots=True)  # not frozen: a hot one, made for every frame
class Send:
    """One frame of messages for a link; the next one waits for ``LinkWritable``."""

    link: LinkId
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Connect:
    """Dial these addresses in turn; answer with ``LinkUp`` or ``DialFailed(dial)``."""

    dial: int
    addresses: tuple[Address, ...]
    expected: AuthorId | None
    timeout_us: int


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Send ``BYE(code)`` if it fits at once, then close; answer with ``LinkDown``."""

    link: LinkId
    code: CloseCode
    reason: Reason | None = None


@final
@dataclass(slots=True)  # not frozen: a hot one, made for every frame
class SetTimer:
    """Fire ``key`` at ``at`` (strictly after now); replaces the timer of that key."""

    key: TimerKey
    at: Instant


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forget the timer of that key, if there is one."""

    key: TimerKey


@dataclass(frozen=True, slots=True)
class StoreBoot:
    """Persist that this hub's boot number is at least ``boot`` before any later Send."""

    boot: int


@dataclass(frozen=True, slots=True)
class StoreKeyState:
    """Persist the highest rotation seen of an author."""

    author: AuthorId
    encoded: bytes


@dataclass(frozen=True, slots=True)
class StorePeers:
    """Persist whom to look for after a restart, in place of what was stored before; losing it loses comfort only."""

    peers: tuple[PeerRecord, ...]


@dataclass(frozen=True, slots=True)
class StoreTrust:
    """Persist whom this hub's person blocks or mutes, has shared sessions with, and what is proven of whom, in place of
    what was stored before."""

    encoded: bytes


@dataclass(frozen=True, slots=True)
class KeepKeyState:
    """Store an author's key state together with its events, no later than the first of the next ``StoreEvents``."""

    author: AuthorId
    encoded: bytes


@dataclass(frozen=True, slots=True)
class StoreEvents:
    """One atomic batch, answered by ``Stored`` or ``StoreFailed`` in the order of the batches.

    ``events`` are added; one that is stored already only gains the payload that it brings. ``erase``: payload and salt
    go, beyond recovery, the event stays. ``forget``: the events go, with all. ``forks`` are added to the proofs.
    ``own`` asks for the strictest durability: these are our own words, and nobody else has them yet.
    """

    ticket: int
    events: tuple[StoredEvent, ...] = ()
    erase: tuple[EventId, ...] = ()
    forget: tuple[EventId, ...] = ()
    forks: tuple[bytes, ...] = ()
    own: bool = False


@dataclass(frozen=True, slots=True)
class LoadPayload:
    """Read chunks ``first`` .. ``first + count - 1`` of 4 KiB of a stored payload for ``peer``; see PayloadLoaded."""

    peer: AuthorId
    event: EventId
    first: int
    count: int


@dataclass(slots=True)  # not frozen: a hot one, made for every frame
class Drop:
    """Something was refused and this is why; tests and counters ask."""

    link: LinkId | None
    reason: Reason
    detail: str = ""


@dataclass(slots=True)  # not frozen: a hot one, made for every frame
class ValueShown:
    """News: a verified, consented vector of ``author`` is now the newest held here."""

    author: AuthorId
    boot: int
    seq: int


@dataclass(frozen=True, slots=True)
class LinkNews:
    """News: a link to ``peer`` came up or went down, and why."""

    link: LinkId
    peer: AuthorId
    up: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EventAccepted:
    """News: an event is part of its author's chain and on the disk."""

    event: EventRecord
    own: bool


@dataclass(frozen=True, slots=True)
class PayloadKept:
    """News: the payload of an event is whole, verified and on the disk."""

    event: EventRecord


@dataclass(frozen=True, slots=True)
class PayloadErased:
    """News: a payload was withdrawn or has expired, and its erasure is ordered; nobody may show it any more."""

    event: EventRecord


@dataclass(frozen=True, slots=True)
class ForkProven:
    """News: two records of ``author`` prove that its key signed where no honest hub signs twice."""

    author: AuthorId
    fork: Fork


@dataclass(frozen=True, slots=True)
class EventWritten:
    """News: what ``WriteEvent(request)`` asked for is signed, on the disk, and on its way."""

    request: int
    event: EventRecord


@dataclass(frozen=True, slots=True)
class WriteRefused:
    """News: what ``WriteEvent(request)`` asked for was not done, and why (a sentence for people); nothing changed."""

    request: int
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class GlitchNews:
    """News: glitch ``number`` of this run has begun, or is over; ``mine`` and ``theirs`` are how many; ``alone``: this
    hub by itself can hear nobody."""

    number: int
    over: bool
    alone: bool
    mine: int
    theirs: int


@dataclass(frozen=True, slots=True)
class StandingChanged:
    """News: something is new about how ``author`` stands with this hub; others' standings may follow from it."""

    author: AuthorId


@dataclass(frozen=True, slots=True)
class MeetingAsked:
    """News: the person of a linked hub wants to meet ours."""

    peer: AuthorId


@dataclass(frozen=True, slots=True)
class MeetingCode:
    """News: both people must now compare these six digits with what the other hub shows."""

    peer: AuthorId
    code: str


@dataclass(frozen=True, slots=True)
class MeetingEnded:
    """News: a meeting is over; ``met``: both people said that the codes were the same. Else ``why`` is a sentence."""

    peer: AuthorId
    met: bool
    why: str


TrustNews: TypeAlias = StandingChanged | MeetingAsked | MeetingCode | MeetingEnded
LedgerNews: TypeAlias = EventAccepted | PayloadKept | PayloadErased | ForkProven | EventWritten | WriteRefused
Event: TypeAlias = ValueShown | LinkNews | GlitchNews | LedgerNews | TrustNews


@final
@dataclass(slots=True)  # not frozen: a hot one, made for every frame
class Emit:
    """News for the local side: page, CLI, outputs."""

    event: Event


RareEffect: TypeAlias = (
    Connect
    | Disconnect
    | CancelTimer
    | StoreBoot
    | StoreKeyState
    | StorePeers
    | StoreTrust
    | KeepKeyState
    | StoreEvents
    | LoadPayload
    | Drop
)
Effect: TypeAlias = Send | SetTimer | Emit | RareEffect
