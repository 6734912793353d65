"""Weather and clumsiness: whether anything that harms nobody lowers the standing of an honest hub.

No paper publishes this figure; scoring by delivery, as in GossipSub (2020), is built on the opposite. Each world lives
twice from one seed: once with loss up to 60 %, delay, starvation, crashes, clocks that are set, splits and disks that
are put back, once without. People vouch for each other and share sessions before the faults begin. At each look the
standing of every honest hub with every other is compared with that in the fault-free twin at the same instant: at
instants drawn from the seed, and several times while a hub that was started again reads its disk. A hub that is off, or
has not read back what was said of people before, has no view yet: such looks are left out, and counted. In one world of
200 the hubs are three, and torn apart for one to three days.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from protocol.bars import Bar
from protocol.clock import MS, SECOND, Duration, Instant
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
FAULT_EVERY_US: Final = 5 * SECOND
STARTING_US: Final = (1, 5 * MS, 20 * MS, 50 * MS, 100 * MS, 200 * MS, 500 * MS, SECOND)
"""Looks so long after a restart: a store answers after 5 ms."""
CALM_US: Final = 20 * SECOND
DAYS_HUBS: Final = 3
DAYS_EVERY: Final = 200
"""A day of three hubs takes some 40 CPU-seconds."""
HOUR_US: Final = 3_600 * SECOND
YEAR_MS: Final = 365 * 86_400_000
SAME: Final = 1e-6
"""Dates of hubs differ by up to 0.1 s, and so do the ages of words."""


@dataclass(frozen=True, slots=True)
class _Job:
    seed: int
    hubs: int
    days: bool


@dataclass(frozen=True, slots=True)
class _Run:
    kinds: dict[str, int]
    looked: int
    unread: int
    reading_us: int
    amnesties: int
    below: int
    worst: float
    standing: float


Look = tuple[int, int, Instant]


class _Life:
    """One world, what was seen in it, and the instants at which it is looked at."""

    def __init__(self, job: _Job) -> None:
        self.world = World(job.seed, WorldConfig(dated=1.0, grant=None))
        self.world.trace = Untraced()
        self.hosts = [self.world.add(person=False) for _ in range(job.hubs)]
        self.rng = Rng(job.seed).child("faults")
        self.kinds: dict[str, int] = {}
        self.found: dict[Look, float] = {}
        self.instants: dict[Instant, None] = {}
        self.unread = 0
        self.reading_us = 0
        self._started: dict[int, Instant] = {}

    def settle(self) -> None:
        """Everybody vouches for everybody, and shares a session."""
        world = self.world
        world.run(5 * SECOND)
        for host in self.hosts:
            say(world, host, self.hosts, 100)
        world.run(world.now + SETTLE_US)
        for host in self.hosts:
            for other in self.hosts:
                if host.node is not None and other is not host:
                    host.node.session_shared(other.author, host.clock(world.now))
        world.run(world.now + SETTLE_US)

    def look(self) -> None:
        """Everybody's standing with everybody who has a view."""
        now = self.world.now
        self.instants[now] = None
        for judge in self.hosts:
            if judge.node is None:
                continue
            if not judge.node.remembers:
                self.unread += 1
                self.reading_us = max(self.reading_us, now - self._started.get(judge.index, 0))
                continue
            for other in self.hosts:
                if other is not judge:
                    found = judge.node.standing(other.author, judge.clock(now))
                    self.found[judge.index, other.index, now] = found

    def restart(self, host: Host, after: Duration) -> None:
        """Start a crashed hub again, and look while it starts."""
        at = self.world.now + after
        self.world.kernel.at(at, self._restart, host)
        for later in STARTING_US:
            self.world.kernel.at(at + later, self.look)

    def _restart(self, host: Host) -> None:
        self._started[host.index] = self.world.now
        self.world.restart(host)

    def harm(self, parts: tuple[str, ...]) -> None:
        """Faults, one after the other."""
        world, until = self.world, self.world.now + FAULTS_US
        while world.now < until:
            start = world.now
            world.run(start + self.rng.below(FAULT_EVERY_US))
            host = self.rng.choice(self.hosts)
            if host.alive:
                kind = self.rng.choice(parts)
                self.kinds[kind] = self.kinds.get(kind, 0) + 1
                FAULTS[kind](self, host, self.rng)
            for _ in range(2):
                world.kernel.at(world.now + 1 + self.rng.below(FAULT_EVERY_US), self.look)
            world.run(start + FAULT_EVERY_US)

    def tear(self) -> None:
        """One split of days, looked at every few hours."""
        self.kinds["days"] = 1
        world = self.world
        alone = self.rng.sample(self.hosts, self.rng.between(1, len(self.hosts)))
        world.cut([host for host in self.hosts if host not in alone], *([host] for host in alone))
        until = world.now + self.rng.between(24, 72) * HOUR_US
        while world.now < until:
            world.run(world.now + self.rng.between(1, 4) * HOUR_US)
            self.look()
        world.heal()

    def calm(self) -> None:
        """It is over."""
        until = self.world.now + CALM_US
        while self.world.now < until:
            self.world.run(self.world.now + 1 + self.rng.below(2 * SECOND))
            self.look()

    def follow(self, instants: Iterable[Instant]) -> None:
        """Look when the twin was looked at."""
        for at in sorted(instants):
            self.world.run(at)
            self.look()

    def amnesties(self) -> int:
        """Subjects to whom some living hub has given an amnesty today."""
        now = self.world.now
        nodes = [(host.node, host.clock(now)) for host in self.hosts if host.node is not None]
        return sum(len(node.statistics(at).glitch.amnesty) for node, at in nodes)


def _loss(life: _Life, _host: Host, rng: Rng) -> None:
    life.world.paths.set_all(replace(life.world.config.quality, loss=0.6 * rng.fraction()))


def _delay(life: _Life, _host: Host, rng: Rng) -> None:
    late = rng.between(10, 900) * MS
    life.world.paths.set_all(replace(life.world.config.quality, latency_us=late, jitter_us=rng.below(300) * MS))


def _starve(life: _Life, host: Host, rng: Rng) -> None:
    life.world.starve(host, rng.between(1, 15) * SECOND)


def _reboot(life: _Life, host: Host, rng: Rng) -> None:
    life.world.crash(host, power=rng.chance(0.5))
    life.restart(host, rng.between(1, 10_000) * MS)


def _clock(life: _Life, host: Host, rng: Rng) -> None:
    life.world.tell_date(host, wrong_by_ms=rng.between(-10 * YEAR_MS, 10 * YEAR_MS))


def _split(life: _Life, _host: Host, rng: Rng) -> None:
    others = [other for other in life.world.hosts if rng.chance(0.5)]
    life.world.cut(others, [other for other in life.world.hosts if other not in others])
    life.world.kernel.at(life.world.now + rng.between(2, 30) * SECOND, life.world.heal)


def _backup(life: _Life, host: Host, rng: Rng) -> None:
    life.world.crash(host)
    life.world.rewind(host, rng.between(1, 20) * SECOND)
    life.restart(host, rng.between(1, 5_000) * MS)


FAULTS: Final[dict[str, Callable[[_Life, Host, Rng], None]]] = {
    "loss": _loss,
    "delay": _delay,
    "starvation": _starve,
    "reboot": _reboot,
    "clock": _clock,
    "split": _split,
    "backup": _backup,
}
PARTS: Final = (*FAULTS, "days")


def _twins(job: _Job, parts: tuple[str, ...]) -> _Run:
    rough, calm = _Life(job), _Life(job)
    rough.settle()
    if job.days:
        rough.tear()
    else:
        rough.harm(tuple(part for part in parts if part in FAULTS))
    rough.calm()
    calm.settle()
    calm.follow(rough.instants)
    falls = [calm.found[look] - value for look, value in rough.found.items()]
    return _Run(
        rough.kinds,
        len(falls),
        rough.unread,
        rough.reading_us,
        rough.amnesties(),
        sum(fall > SAME for fall in falls),
        max(falls),
        sum(calm.found.values()) / len(calm.found),
    )


@dataclass(frozen=True, slots=True)
class _Twins:
    """Work that can be handed to a process."""

    parts: tuple[str, ...]

    def __call__(self, job: _Job) -> _Run:
        return _twins(job, self.parts)


def _jobs(plan: Plan, parts: tuple[str, ...]) -> list[_Job]:
    """All days if nothing else is asked for."""
    short = plan.nodes or HUBS
    jobs = []
    for seed in plan.seed_range(20 if plan.quick else SEEDS):
        days = "days" in parts and (len(parts) == 1 or seed % DAYS_EVERY == 0)
        jobs.append(_Job(seed, DAYS_HUBS if days else short, days))
    return jobs


def run(plan: Plan) -> Found:
    """Twins of each seed; ``--part`` chooses kinds of faults."""
    parts = tuple(part for part in PARTS if plan.wants(part))
    jobs = _jobs(plan, parts)
    runs = plan.each("twins", _Twins(parts), jobs)
    rows: list[Row] = [{"fault": part, "times": sum(one.kinds.get(part, 0) for one in runs)} for part in parts]
    conditions: dict[str, Cell] = {
        "hubs": plan.nodes or HUBS,
        "seeds": len(jobs),
        "standings compared": sum(one.looked for one in runs),
        "looks at a hub that was reading back": sum(one.unread for one in runs),
        "longest of these after its start, ms": max(one.reading_us for one in runs) / MS,
        "subjects under an amnesty at the end": sum(one.amnesties for one in runs),
        "standing in the calm twins, mean": sum(one.standing for one in runs) / len(runs),
        "seeds with a standing below": sum(one.below > 0 for one in runs),
        "largest fall": max(one.worst for one in runs),
    }
    bar = Bar("standings of honest hubs below the fault-free twin's", sum(one.below for one in runs), 0.0, "times")
    return Found([bar], {"faults": rows}, conditions)
