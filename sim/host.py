"""One simulated hub: its Node, its clock, and what of it survives a crash.

``life`` counts the runs of the process; whatever was on its way to an earlier run finds nobody. Stored things (boot
number, key states, identity) stay. What the system says is stored may still be lost with the power, or an old copy may
be put back: the storage can be wound back, part by part. Invariant: ``boot`` was stored before the Node of that run
was told of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from protocol.clock import Duration, Instant
from protocol.effects import Effect
from protocol.identity import LocalIdentity, Mesh
from protocol.ids import AuthorId, LinkId
from protocol.inputs import Address, CommonsGrant, Input
from protocol.node import Node
from protocol.timers import TimerTable
from protocol.wire.messages import PeerRecord
from sim.disk import Disk
from sim.persons import Person
from sim.stream import End


class Machine(Protocol):
    """What a world drives: a Node, or an adversary around one."""

    def handle(self, input: Input, now: Instant) -> list[Effect]: ...


PARTS: Final = ("boot", "key_states", "peers")
MILLION: Final = 1_000_000


@dataclass(slots=True)
class Storage:
    """What a hub finds again after a crash."""

    boot: int = 0
    key_states: dict[AuthorId, bytes] = field(default_factory=dict)
    peers: tuple[PeerRecord, ...] = ()
    trust: bytes = b""
    disk: Disk = field(default_factory=Disk)
    _before: list[tuple[Instant, str, AuthorId | None, object]] = field(default_factory=list)

    def put_boot(self, boot: int, now: Instant) -> None:
        """The boot number is at least this."""
        self._before.append((now, "boot", None, self.boot))
        self.boot = max(self.boot, boot)

    def put_key_state(self, author: AuthorId, encoded: bytes, now: Instant) -> None:
        """The highest rotation seen of an author."""
        self._before.append((now, "key_states", author, self.key_states.get(author)))
        self.key_states[author] = encoded

    def put_peers(self, peers: tuple[PeerRecord, ...], now: Instant) -> None:
        """Whom to look for."""
        self._before.append((now, "peers", None, self.peers))
        self.peers = peers

    def put_trust(self, encoded: bytes) -> None:
        """What its person has done about others."""
        self.trust = encoded

    def rewind(self, until: Instant, parts: tuple[str, ...] = PARTS) -> dict[str, int]:
        """Everything in ``parts`` is as it was at ``until``; returns how many writes of which are lost by that."""
        lost: dict[str, int] = {}
        kept = []
        while self._before and self._before[-1][0] > until:
            _, part, author, old = entry = self._before.pop()
            if part not in parts:
                kept.append(entry)
                continue
            lost[part] = lost.get(part, 0) + 1
            if author is None:
                setattr(self, part, old)
            elif isinstance(old, bytes):
                self.key_states[author] = old
            else:
                del self.key_states[author]
        self._before += reversed(kept)
        return lost


@dataclass(slots=True, eq=False)
class Host:
    """A hub. ``offset_us`` is its boot time less the world's when the world began, ``drift_ppm`` how much faster it
    runs; ``backlog`` waits while it is starved. ``date_error_ms`` is how wrong its date is, None if it has none;
    ``fuse`` counts the effects after which it crashes between two of them. ``grant`` is what its person wants, ``told``
    what its process was told of that."""

    index: int
    name: str
    address: Address
    mesh: Mesh
    identity: LocalIdentity
    offset_us: Duration
    person: Person | None
    grant: CommonsGrant | None
    drift_ppm: int = 0
    date_error_ms: int | None = None
    storage: Storage = field(default_factory=Storage)
    node: Node | None = None
    machine: Machine | None = None
    life: int = 0
    timers: TimerTable = field(default_factory=TimerTable)
    wake_at: Instant | None = None
    starved_until: Instant | None = None
    backlog: list[tuple[Input, Input]] = field(default_factory=list)
    ends: dict[LinkId, End] = field(default_factory=dict)
    link_count: int = 0
    requests: int = 0
    drops: dict[str, int] = field(default_factory=dict)
    restart: Callable[[], None] | None = None
    told: CommonsGrant | None = None
    fuse: int | None = None
    moves: int = 0

    @property
    def author(self) -> AuthorId:
        """The author id, the same in every life."""
        return self.identity.author

    @property
    def alive(self) -> bool:
        """Whether a process runs."""
        return self.machine is not None

    def clock(self, now: Instant) -> Instant:
        """Its boot time at an instant of the world."""
        if not self.drift_ppm:
            return now + self.offset_us
        return now + self.offset_us + now * self.drift_ppm // MILLION

    def world_at(self, at: Instant) -> Instant:
        """The first instant of the world at which its boot time is ``at`` or later."""
        passed = at - self.offset_us
        if not self.drift_ppm:
            return passed
        now = passed * MILLION // (MILLION + self.drift_ppm) - 1
        while self.clock(now) < at:
            now += 1
        return now

    def next_link(self) -> LinkId:
        """A number no link of this life has had."""
        self.link_count += 1
        return LinkId(self.link_count)

    def __repr__(self) -> str:
        return f"Host({self.name})"
