"""Machines that do what a test tells them, so that the network can be tested without a Node's opinions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from protocol.clock import SECOND, Instant
from protocol.effects import Connect, Effect, Send
from protocol.ids import AuthorId, LinkId
from protocol.inputs import Address, Input, Leave, LinkUp
from protocol.node import Node
from protocol.wire.messages import Message, Vector
from sim.discovery import Hints
from sim.host import Host
from sim.network import Lane
from sim.paths import Quality
from sim.world import World, WorldConfig

T = TypeVar("T")
STEADY = Quality(latency_us=10_000, jitter_us=0)
A_CUE = Leave()


class Scripted:
    """Notes what it is told; answers with ``next``, once."""

    def __init__(self) -> None:
        self.came: list[tuple[Instant, Input]] = []
        self.next: list[Effect] = []

    def handle(self, input: Input, now: Instant) -> list[Effect]:
        if input is not A_CUE:
            self.came.append((now, input))
        effects, self.next = self.next, []
        return effects

    def of(self, kind: type[T]) -> list[tuple[Instant, T]]:
        """What came of one kind, and when."""
        return [(at, got) for at, got in self.came if isinstance(got, kind)]


def always(machine: Scripted) -> Callable[[Node, Host], Scripted]:
    """A wrap that puts ``machine`` in the place of a hub's Node."""
    return lambda _node, _host: machine


class Stage:
    """A world of scripted hubs; each hub's time is the world's."""

    def __init__(
        self, *names: str, quality: Quality = STEADY, lane: Lane = "object", seed: int = 1, mesh: str = "stage"
    ) -> None:
        config = WorldConfig(
            mesh=mesh, quality=quality, lane=lane, grant=None, hints=Hints(enabled=False), offset_us_max=0, dated=0.0
        )
        self.world = World(seed, config)
        self.machines: dict[str, Scripted] = {}
        for name in names:
            self.world.add(name, person=False, wrap=self._wrap)
        self.world.run(0)

    def _wrap(self, _node: object, host: Host) -> Scripted:
        return self.machines.setdefault(host.name, Scripted())

    def host(self, name: str) -> Host:
        """The hub of that name."""
        return self.world.names[name]

    def do(self, name: str, *effects: Effect) -> None:
        """Let a hub ask for something now."""
        self.machines[name].next = list(effects)
        self.world.handle(self.host(name), A_CUE)

    def dial(
        self,
        source: str,
        *addresses: Address,
        expected: AuthorId | None = None,
        timeout_us: int = SECOND,
        dial: int = 1,
    ) -> None:
        """Let a hub dial."""
        self.do(source, Connect(dial, addresses, expected, timeout_us))

    def link(self, source: str, target: str) -> tuple[LinkId, LinkId]:
        """Let ``source`` dial ``target`` and wait for both sides; returns the link's number on each."""
        self.dial(source, self.host(target).address, timeout_us=60 * SECOND)
        far = self.machines[target]
        before = len(far.of(LinkUp))
        assert self.world.wait(lambda: len(far.of(LinkUp)) > before, 60 * SECOND) is not None
        return self.machines[source].of(LinkUp)[-1][1].link, self.machines[target].of(LinkUp)[-1][1].link

    def send(self, source: str, link: LinkId, *messages: Message) -> None:
        """Let a hub send one frame."""
        self.do(source, Send(link, messages))

    def run(self, us: int) -> None:
        """Let time pass."""
        self.world.run(self.world.now + us)


def bulk(size: int) -> Vector:
    """A message of about ``size`` bytes."""
    return Vector(bytes(size), bytes(64), 0)
