"""Figures of a world: how long until something holds, how old values are, what each delivery costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from protocol.clock import MS, Duration, Instant
from sim.host import Host
from sim.ledger import Ledger
from sim.world import World


class Ages:
    """Samples how old the newest value is that each hub shows of each author; ``missing`` counts pairs without one."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.samples: list[Duration] = []
        self.missing = 0

    def sample(self, hosts: list[Host]) -> None:
        """Every pair once."""
        for host in hosts:
            for author in hosts:
                if author is not host and author.grant is not None:
                    age = self._ledger.age_us(host, author.author)
                    if age is None:
                        self.missing += 1
                    else:
                        self.samples.append(age)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What had been sent, checked and delivered at an instant; subtract two to have what lies between."""

    at: Instant
    frames: int
    bytes: int
    vectors: int
    superfluous: int
    verifications: int
    deliveries: int

    def __sub__(self, before: Traffic) -> Traffic:
        return Traffic(
            self.at - before.at,
            self.frames - before.frames,
            self.bytes - before.bytes,
            self.vectors - before.vectors,
            self.superfluous - before.superfluous,
            self.verifications - before.verifications,
            self.deliveries - before.deliveries,
        )


def traffic(world: World, ledger: Ledger) -> Traffic:
    """The counters now. ``vectors`` counts received ones of living Nodes; ``superfluous`` those that were known."""
    vectors = sum(world.statistics(host).received.get("Vector", 0) for host in world.living())
    superfluous = world.drops.get("duplicate", 0) + world.drops.get("superseded", 0)
    return Traffic(
        world.now,
        world.network.frames,
        world.network.bytes,
        vectors,
        superfluous,
        world.keys.verifications,
        ledger.deliveries,
    )


def when_each(
    world: World,
    hosts: list[Host],
    holds: Callable[[Host], bool],
    at_most_us: Duration,
    every_us: Duration = 100 * MS,
) -> dict[str, Duration | None]:
    """How long it takes until ``holds`` is true for the first time of each hub, None if it never was."""
    began = world.now
    taken: dict[str, Duration | None] = {host.name: None for host in hosts}
    waiting = list(hosts)
    while waiting and world.now - began < at_most_us:
        world.run(world.now + every_us)
        for host in waiting:
            if holds(host):
                taken[host.name] = world.now - began
        waiting = [host for host in waiting if taken[host.name] is None]
    return taken
