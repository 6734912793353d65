"""What is known of one link and its peer: when it spoke, whether it is in doubt, what we think of it.

Part of the liveness machine, which alone changes it. Invariant: every table in it has at most one entry a link or
neighbor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, unique

from protocol.clock import Duration, Instant
from protocol.ids import AuthorId, LinkId
from protocol.membership.suspicion import Suspicion
from protocol.wire.messages import Message
from protocol.wire.probing import Nack, PingReq, ProbeAck, Refute, Suspect

NEVER: Instant = -(1 << 62)
_SLOTS = 16


@unique
class State(StrEnum):
    """What we think of a hub that is or was a neighbor; none of them is "dead"."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    UNREACHABLE = "unreachable"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Opinion:
    """``why`` is for people: ``silent``, ``cut`` (so are half of our links), ``stuck`` (others hear it, our link does
    not), ``lost``, ``said so``."""

    author: AuthorId
    state: State
    since: Instant
    why: str = ""


@dataclass(slots=True)  # state: changes in place
class Pulse:
    """One link. ``number`` is the peer's refutation number; ``voices`` are who else suspects it, and since when;
    ``listeners`` want to know if it refutes; ``alert`` says that the next frame from it has something to end;
    ``slack`` is how many times our usual patience it gets."""

    peer: AuthorId
    up_at: Instant
    heard_at: Instant
    sent_at: Instant
    ping_due: Instant
    ping_at: Instant | None = None
    pinged: bool = False
    rtt_us: Duration | None = None
    open: bool = False
    slack: int = 1
    alert: bool = False
    suspicion: Suspicion | None = None
    round_at: Instant = NEVER
    vouched_at: Instant = NEVER
    number: int = 0
    warned_at: Instant = NEVER
    refuted_at: Instant = NEVER
    blamed_at: Instant = NEVER
    neighbors: dict[AuthorId, None] = field(default_factory=dict)
    voices: dict[LinkId, Instant] = field(default_factory=dict)
    listeners: dict[LinkId, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask:
    """A PING_REQ of ours: about the peer of ``target``, to ``relay``."""

    target: LinkId
    relay: LinkId
    at: Instant


def opinion(pulse: Pulse) -> Opinion:
    """What we think of a neighbor."""
    if pulse.suspicion is not None:
        return Opinion(pulse.peer, State.SUSPECT, pulse.suspicion.since, "silent")
    return Opinion(pulse.peer, State.ALIVE, pulse.up_at)


def slot(message: Message) -> str:
    """Under which name a message waits for a busy link: few, so that nothing a peer asks for can pile up there."""
    match message:
        case PingReq(token):
            return f"probe {token % _SLOTS}"
        case ProbeAck(token) | Nack(token):
            return f"answer {token % _SLOTS}"
        case Suspect(author) | Refute(author):
            return f"doubt {type(message).__name__} {author.hex()}"
        case _:
            return "beat"
