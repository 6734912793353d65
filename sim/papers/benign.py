"""Weather and clumsiness: whether anything that harms nobody lowers the standing of an honest hub.

No paper publishes this figure; scoring by delivery, as in GossipSub (2020), is built on the opposite. Each world lives
twice from one seed: once without a fault, once with loss up to 60 %, delay, starvation, crashes, clocks that are set,
splits and disks that are put back. People vouch for each other and share sessions before the faults begin. At each look
the standing of every honest hub with every other is compared with that in the fault-free twin at the same instant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from protocol.bars import Bar
from protocol.clock import MS, SECOND, Instant
from protocol.rng import Rng
from sim.adversaries import say
from sim.host import Host
from sim.papers import Cell, Found, Plan, Row
from sim.papers.state_plane import Untraced
from sim.world import World, WorldConfig

ABOUT: Final = "whether any fault that harms nobody lowers the standing of an honest hub below its fault-free twin's"
HUBS: Final = 6
SEEDS: Final = 2_000
SETTLE_US: Final = 25 * SECOND
"""Until all words are everywhere, and a backup can hold them."""
FAULTS_US: Final = 60 * SECOND
LOOK_US: Final = 5 * SECOND
READ_US: Final = 400 * MS
"""A hub that has just been started reads its disk; all that takes whole seconds ends so long after a look."""
CALM_US: Final = 20 * SECOND
YEAR_MS: Final = 365 * 86_400_000
SAME: Final = 1e-6
"""Dates of hubs differ by up to 0.1 s, and so do the ages of words."""


@dataclass(frozen=True, slots=True)
class _Job:
    seed: int
    hubs: int


@dataclass(frozen=True, slots=True)
class _Run:
    kinds: dict[str, int]
    looked: int
    below: int
    worst: float
    standing: float


Look = dict[tuple[int, int, Instant], float]


def _loss(world: World, _host: Host, rng: Rng) -> None:
    world.paths.set_all(replace(world.config.quality, loss=0.6 * rng.fraction()))


def _delay(world: World, _host: Host, rng: Rng) -> None:
    late = rng.between(10, 900) * MS
    world.paths.set_all(replace(world.config.quality, latency_us=late, jitter_us=rng.below(300) * MS))


def _starve(world: World, host: Host, rng: Rng) -> None:
    world.starve(host, rng.between(1, 15) * SECOND)


def _reboot(world: World, host: Host, rng: Rng) -> None:
    world.crash(host, power=rng.chance(0.5))
    world.kernel.at(world.now + rng.between(1, 10) * SECOND, world.restart, host)


def _clock(world: World, host: Host, rng: Rng) -> None:
    world.tell_date(host, wrong_by_ms=rng.between(-10 * YEAR_MS, 10 * YEAR_MS))


def _split(world: World, _host: Host, rng: Rng) -> None:
    others = [other for other in world.hosts if rng.chance(0.5)]
    world.cut(others, [other for other in world.hosts if other not in others])
    world.kernel.at(world.now + rng.between(2, 30) * SECOND, world.heal)


def _backup(world: World, host: Host, rng: Rng) -> None:
    world.crash(host)
    world.rewind(host, rng.between(1, 20) * SECOND)
    world.kernel.at(world.now + rng.between(1, 5) * SECOND, world.restart, host)


FAULTS: Final[dict[str, Callable[[World, Host, Rng], None]]] = {
    "loss": _loss,
    "delay": _delay,
    "starvation": _starve,
    "reboot": _reboot,
    "clock": _clock,
    "split": _split,
    "backup": _backup,
}
PARTS: Final = tuple(FAULTS)


def _lived(job: _Job, parts: tuple[str, ...], kinds: dict[str, int] | None) -> Look:
    """One life of the world; with faults where ``kinds`` counts them."""
    world = World(job.seed, WorldConfig(dated=1.0, grant=None))
    world.trace = Untraced()
    hosts = [world.add(person=False) for _ in range(job.hubs)]
    world.run(5 * SECOND)
    for host in hosts:
        say(world, host, hosts, 100)
    world.run(world.now + SETTLE_US)
    for host in hosts:
        for other in hosts:
            if host.node is not None and other is not host:
                host.node.session_shared(other.author, host.clock(world.now))
    world.run(world.now + SETTLE_US)
    rng, found = Rng(job.seed).child("faults"), Look()
    until = world.now + FAULTS_US
    while world.now < until + CALM_US:
        world.run(world.now + READ_US)
        host = rng.choice(hosts)
        if kinds is not None and world.now < until and host.alive:
            kind = rng.choice(parts)
            kinds[kind] = kinds.get(kind, 0) + 1
            FAULTS[kind](world, host, rng)
        world.run(world.now + LOOK_US - READ_US)
        for judge in hosts:
            if judge.node is not None and judge.starved_until is None:
                for other in hosts:
                    if other is not judge:
                        value = judge.node.standing(other.author, judge.clock(world.now))
                        found[judge.index, other.index, world.now] = value
    return found


def _twins(job: _Job, parts: tuple[str, ...]) -> _Run:
    kinds: dict[str, int] = {}
    calm, rough = _lived(job, parts, None), _lived(job, parts, kinds)
    falls = [calm[look] - value for look, value in rough.items()]
    below = sum(fall > SAME for fall in falls)
    return _Run(kinds, len(falls), below, max(falls), sum(calm.values()) / len(calm))


@dataclass(frozen=True, slots=True)
class _Twins:
    """Work that can be handed to a process."""

    parts: tuple[str, ...]

    def __call__(self, job: _Job) -> _Run:
        return _twins(job, self.parts)


def run(plan: Plan) -> Found:
    """Twins of each seed; ``--part`` chooses kinds of faults."""
    parts = tuple(part for part in PARTS if plan.wants(part))
    hubs = plan.nodes or HUBS
    seeds = plan.seed_range(20 if plan.quick else SEEDS)
    runs = plan.each("twins", _Twins(parts), [_Job(seed, hubs) for seed in seeds])
    rows: list[Row] = [{"fault": part, "times": sum(one.kinds.get(part, 0) for one in runs)} for part in parts]
    looked = sum(one.looked for one in runs)
    conditions: dict[str, Cell] = {
        "hubs": hubs,
        "seeds": len(seeds),
        "standings compared": looked,
        "standing in the calm twins, mean": sum(one.standing for one in runs) / len(runs),
        "seeds with a standing below": sum(one.below > 0 for one in runs),
        "largest fall": max(one.worst for one in runs),
    }
    bar = Bar("standings of honest hubs below the fault-free twin's", sum(one.below for one in runs), 0.0, "times")
    return Found([bar], {"faults": rows}, conditions)
