"""What a Node can be told. The weather (links, loop, storage, interfaces, date) is told as well: what is not an
input cannot be simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from protocol.ids import AuthorId, EventId, LinkId
from protocol.wire.events import StoredEvent
from protocol.wire.messages import Message, PeerRecord

Address: TypeAlias = tuple[str, int]
"""Host literal and TCP port."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One dimension of a reading; ``value`` and ``sd`` in the dimension's unit, both None if unknown."""

    dim: int
    value: float | None
    sd: float | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What the sensors and the person say at boot time ``at``; ``quality`` in [0, 1]; ``method`` from the registry."""

    at: int
    estimates: tuple[Estimate, ...]
    quality: float
    method: int


@dataclass(frozen=True, slots=True)
class StoredLedger:
    """What every ``StoreEvents`` so far has left: all events, in ascending (author, seq), without payloads but those
    that are indexed; all proofs of forks; the key states of the authors. ``restored``: this is a backup, and what came
    after it is not here. ``fresh``: this hub's author was made in this very run, so nobody can have signed with it."""

    events: tuple[StoredEvent, ...] = ()
    forks: tuple[bytes, ...] = ()
    restored: bool = False
    key_states: tuple[bytes, ...] = ()
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """The first input of every run. ``boot`` was persisted before it was told; ``rotations`` are key states that
    this hub has persisted for others, encoded; ``peers`` is what the last ``StorePeers`` held, ``trust`` what the last
    ``StoreTrust`` did. ``secret`` are 16 fresh random bytes."""

    boot: int
    key_states: tuple[bytes, ...] = ()
    listen: tuple[Address, ...] = ()
    peers: tuple[PeerRecord, ...] = ()
    ledger: StoredLedger = StoredLedger()
    secret: bytes = bytes(16)
    trust: bytes = b""


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A handshake has ended; ``key_state`` is the peer's, encoded; ``dial`` names the Connect it answers."""

    link: LinkId
    peer: AuthorId
    key_state: bytes
    initiator: bool
    address: Address | None = None
    dial: int | None = None


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The link is gone; ``code`` is what BYE said, None if it just ended."""

    link: LinkId
    code: int | None


@dataclass(slots=True)  # not frozen: a hot one, made for every frame
class LinkWritable:
    """The last Send of this link has left; the next may follow."""

    link: LinkId


@dataclass(slots=True)  # not frozen: a hot one, made for every frame
class FrameReceived:
    """The plaintext of one frame from an authenticated peer."""

    link: LinkId
    frame: bytes


@dataclass(slots=True)  # not frozen: a hot one, made for every frame
class MessagesReceived:
    """The same, already decoded: the simulator's lane without a codec."""

    link: LinkId
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """Discovery has found somebody; a hint only. ``expected`` if a contact's author id is known."""

    name: str
    addresses: tuple[Address, ...]
    expected: AuthorId | None = None


@dataclass(frozen=True, slots=True)
class DialFailed:
    """A Connect came to nothing: refused, timed out, or the handshake failed (then ``reason`` says why, and
    ``address`` where)."""

    dial: int
    reason: str
    address: Address | None = None


@dataclass(slots=True)  # not frozen: a hot one, made for every frame
class TimerFired:
    """A timer is due; late firings are tolerated."""

    key: TimerKey


@dataclass(frozen=True, slots=True)
class UtcObserved:
    """Wall time now; ``error_ms`` is None if nothing vouches for it."""

    utc_ms: int
    error_ms: int | None


@dataclass(frozen=True, slots=True)
class InterfaceChanged:
    """The host's addresses changed; ``listen`` is where this hub can be reached now."""

    listen: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class LoopLagged:
    """The driver itself was late by ``lag_us``: silence in that time is ours, not the peers'."""

    lag_us: int


@dataclass(frozen=True, slots=True)
class Publish:
    """Command: the newest reading of this hub's person."""

    reading: Reading


@dataclass(frozen=True, slots=True)
class SetGrant:
    """Command: replace the grant for the commons; None withdraws it."""

    grant: CommonsGrant | None


@dataclass(frozen=True, slots=True)
class Leave:
    """Command: say BYE on every link and stop."""


@dataclass(frozen=True, slots=True)
class CommonsGrant:
    """What this person lets every admitted hub read. Default deny: no grant, no vector.

    ``dimensions`` are registry ids; ``levels`` is the number of steps a value is coarsened to (0: full resolution);
    ``cadence_ms`` and ``lease_ms`` as in docs/protocol.md.
    """

    dimensions: tuple[int, ...]
    levels: int
    cadence_ms: int
    lease_ms: int
    may_relay: bool
    may_aggregate: bool
    may_record: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """The ``StoreEvents`` with this ticket is on the disk, whole."""

    ticket: int


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """The ``StoreEvents`` with this ticket was not stored (disk full, read-only, broken); ``reason`` is a sentence."""

    ticket: int
    reason: str


@dataclass(frozen=True, slots=True)
class PayloadLoaded:
    """Answers ``LoadPayload``: the chunks asked for, as far as there are so many; ``salt`` None: not in the store."""

    peer: AuthorId
    event: EventId
    first: int
    salt: bytes | None
    chunks: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class WriteEvent:
    """Command: add an event to this hub's own chain; answered by ``EventWritten`` or ``WriteRefused``.

    ``salt`` are 16 fresh random bytes; ``expires`` is UTC seconds, 0 never; ``content`` None: an event without payload.
    A stolen statement's content is a note in UTF-8; ``last_good`` is the last event that is ours, None the newest.
    """

    request: int
    kind: int
    salt: bytes
    content: bytes | None
    audience: int = 0
    expires: int = 0
    last_good: EventId | None = None


LedgerInput: TypeAlias = Stored | StoreFailed | PayloadLoaded | WriteEvent


@dataclass(frozen=True, slots=True)
class Attest:
    """Command: say of ``subject`` how far this hub's person vouches for it, -100..100, 0 to take it back; answered as
    ``WriteEvent``. ``seed`` are 32 fresh random bytes."""

    request: int
    subject: AuthorId
    strength: int
    seed: bytes


@dataclass(frozen=True, slots=True)
class MeetPeer:
    """Command: meet the person of a linked hub, who stands here; ends in ``MeetingEnded``, and if both have met in
    an attestation, answered as ``WriteEvent``. ``seed`` as above; ``card`` is the secret of the card that the person
    has read there, if it was one."""

    request: int
    peer: AuthorId
    seed: bytes
    card: bytes | None = None


@dataclass(frozen=True, slots=True)
class ShowCard:
    """Command: meet whoever reads a card with this ``secret`` of 16 fresh random bytes; goes on as ``MeetPeer``."""

    request: int
    secret: bytes
    seed: bytes


@dataclass(frozen=True, slots=True)
class ConfirmMeeting:
    """Command: the person has compared the code with the other's: the ``same``, or not."""

    peer: AuthorId
    same: bool


@dataclass(frozen=True, slots=True)
class Regard:
    """Command: block or mute somebody, or let it read what this hub's person says of others; or no longer."""

    subject: AuthorId
    what: Literal["block", "mute", "circle"]
    on: bool


TrustInput: TypeAlias = Attest | MeetPeer | ShowCard | ConfirmMeeting | Regard

TimerKey: TypeAlias = tuple[str, ...]
"""Timers are named; the first word is the machine's."""

Input: TypeAlias = (
    Started
    | LedgerInput
    | TrustInput
    | LinkUp
    | LinkDown
    | LinkWritable
    | FrameReceived
    | MessagesReceived
    | PeerSeen
    | DialFailed
    | TimerFired
    | UtcObserved
    | InterfaceChanged
    | LoopLagged
    | Publish
    | SetGrant
    | Leave
)
