"""What the reference hub remembers of its links and of the vectors it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.conformance.reference.keystates import KeyState
from tests.conformance.reference.messages import Message
from tests.conformance.reference.records import Number, Vector

if TYPE_CHECKING:
    from tests.conformance.reference.hub_frontiers import Talk


@dataclass(slots=True)
class Pending:
    """A vector that waits for its author's keys since ``at``."""

    vector: Vector
    signed: bytes
    signature: bytes
    age_ms: int
    at: float


@dataclass(slots=True)
class Held:
    """The newest vector of an author; ``source`` is the link by which it came first, None if it is our own."""

    vector: Vector
    signed: bytes
    signature: bytes
    age_ms: int
    at: float
    source: int | None

    def age_at(self, now: float) -> int:
        """Its age in ms at ``now``."""
        return self.age_ms + int((now - self.at) * 1_000)

    def live(self, now: float) -> bool:
        """Whether its lease still runs at ``now``."""
        return self.age_at(now) < self.vector.lease_ms


@dataclass(slots=True)
class Link:
    """One link; ``initiator`` is the author id of the side that dialled, ``bye`` the code it is to be closed with."""

    number: int
    peer: KeyState
    initiator: bytes
    up_at: float
    said_at: float
    heard_at: float
    outbox: list[Message] = field(default_factory=list)
    bye: int | None = None
    greeted: bool = False
    carried: dict[bytes, int] = field(default_factory=dict)
    """Author to the highest rotation that this link has carried, either way."""
    waiting: dict[bytes, None] = field(default_factory=dict)
    """Authors whose newest vector is to be sent."""
    left_at: dict[bytes, float] = field(default_factory=dict)
    base: float | None = None
    """Seconds by which our clock was ahead of the peer's with the quickest frame, and since when."""
    base_at: float = 0.0
    late_ms: int = 0
    """By how much the frame that is being read was slower than that."""
    lazy: dict[bytes, None] = field(default_factory=dict)
    """Tags of authors that are not pushed here."""
    digested: dict[bytes, tuple[Number, float]] = field(default_factory=dict)
    digest_at: float = 0.0
    neighbors: tuple[bytes, ...] = ()
    listeners: dict[int, None] = field(default_factory=dict)
    """Links on which its peer was suspected since it last refuted."""
    pending: dict[bytes, list[Pending]] = field(default_factory=dict)
    behind: dict[bytes, tuple[Number, float]] = field(default_factory=dict)
    """Tag to the number a digest has told, and since when we are behind it."""
    lazy_tree: bool = False
    """Whether events are announced here and not pushed."""
    talk: Talk | None = None
    """The session of reconciling that goes on."""

    @property
    def open(self) -> bool:
        """Whether anything may still be sent or heard."""
        return self.bye is None
