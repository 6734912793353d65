"""One simulated hub: its Node, and what of it survives a crash.

``life`` counts the runs of the process; whatever was on its way to an earlier run finds nobody. Stored things (boot
number, key states, identity) stay. Invariant: ``boot`` was stored before the Node of that run was told of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

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


@dataclass(slots=True)
class Storage:
    """What a hub finds again after a crash."""

    boot: int = 0
    key_states: dict[AuthorId, bytes] = field(default_factory=dict)
    peers: tuple[PeerRecord, ...] = ()
    disk: Disk = field(default_factory=Disk)


@dataclass(slots=True, eq=False)
class Host:
    """A hub. ``offset_us`` is its boot time less the world's; ``backlog`` waits while it is starved."""

    index: int
    name: str
    address: Address
    mesh: Mesh
    identity: LocalIdentity
    offset_us: Duration
    person: Person | None
    grant: CommonsGrant | None
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
    drops: dict[str, int] = field(default_factory=dict)
    restart: Callable[[], None] | None = None

    @property
    def author(self) -> AuthorId:
        """The author id, the same in every life."""
        return self.identity.author

    @property
    def alive(self) -> bool:
        """Whether a process runs."""
        return self.machine is not None

    def next_link(self) -> LinkId:
        """A number no link of this life has had."""
        self.link_count += 1
        return LinkId(self.link_count)

    def __repr__(self) -> str:
        return f"Host({self.name})"
