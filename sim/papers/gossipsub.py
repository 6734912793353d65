"""A crowd of false names that takes part in the overlay and then keeps everything to itself.

Source: Vyzovitis et al., "GossipSub: Attack-Resilient Message Propagation in the Filecoin and ETH2.0 Networks" (2020),
section 5: 1,000 honest peers and 4,000 sybils; in a *cold boot* the sybils are there from the beginning, in a *covert
flash* they behave until they all stop at once. Their measure is ours: which share of messages reaches which share of
the honest, and how late. What false names do here: keep their links, answer, and pass on nobody's events or vectors.
Deviations: messages are durable events, so what the trees miss comes by reconciliation; peers have contacts whom they
have met in person and know where to find (part of the claim), or none (reported without one); nothing is scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.bars import Bar, percentile
from protocol.clock import MS, SECOND, Duration, Instant
from protocol.effects import Event, EventAccepted
from protocol.ids import EventId
from protocol.rng import Rng
from protocol.wire.events import STORY
from sim.adversaries import dropper, say, when
from sim.discovery import Hints
from sim.host import Host
from sim.papers import Cell, Found, Plan, Row
from sim.papers.state_plane import Untraced
from sim.words import tell
from sim.world import World, WorldConfig

ABOUT: Final = "what arrives, and how late, when four of five hubs pass on nothing (cold boot, covert flash)"
PARTS: Final = ("cold-boot", "covert-flash")
HONEST: Final = 1_000
FALSE_FOR_EACH: Final = 4
CONTACTS: Final = 4
"""Honest contacts that each honest hub knows."""
STRANGERS: Final = 12
"""Others that each hub hears of at its start, whoever they are."""
SETTLE_US: Final = 60 * SECOND
SETTLE_QUICK_US: Final = 8 * SECOND
MESSAGES: Final = 40
EVERY_US: Final = 500 * MS
WAIT_US: Final = 30 * SECOND
WAIT_QUICK_US: Final = 5 * SECOND
LATE_AT_MOST_MS: Final = 500.0
PUBLISHED: Final = (
    "cold boot: GossipSub 1.0 p99 10 s and 4 % never, 1.1 all and p99 1.18 s; covert flash: 1.0 delays over 15 s, "
    "1.1 within 6 s"
)


@dataclass(frozen=True, slots=True)
class _Job:
    part: str
    seed: int
    honest: int
    contacts: int
    quick: bool


@dataclass(frozen=True, slots=True)
class _Run:
    """``late_ms`` of all deliveries, those by reconciliation as well; ``around`` is the mean of honest neighbors."""

    part: str
    contacts: int
    messages: int
    delivered: float
    late_ms: list[float]
    around: float


class _Post:
    """When each message left its author, and when it came to whom."""

    def __init__(self, world: World, honest: list[Host]) -> None:
        self._world = world
        self._honest = {host.index: None for host in honest}
        self.left: dict[EventId, Instant] = {}
        self.came: dict[tuple[EventId, int], Instant] = {}
        world.observers.append(self._observe)

    def _observe(self, host: Host, event: Event) -> None:
        if isinstance(event, EventAccepted) and event.event.kind == STORY and host.index in self._honest:
            if event.own:
                self.left[event.event.id] = self._world.now
            else:
                self.came.setdefault((event.event.id, host.index), self._world.now)


def _hear_of(world: World, hearers: list[Host], everybody: list[Host], rng: Rng) -> None:
    """Everybody hears of strangers, whoever they are."""
    for host in hearers:
        for about in rng.sample([other for other in everybody if other is not host], STRANGERS):
            world.discovery.introduce(host, about)


def _know(world: World, honest: list[Host], contacts: int, rng: Rng) -> None:
    """The honest know where their contacts are, and vouch for them: half of them around a ring, half anywhere."""
    for number, host in enumerate(honest):
        known = [honest[(number + 1 + step) % len(honest)] for step in range(contacts // 2)]
        known += rng.sample([other for other in honest if other not in (host, *known)], contacts - len(known))
        for about in known:
            world.discovery.introduce(host, about)
            say(world, host, [about], 100)


def _run(job: _Job) -> _Run:
    world = World(job.seed, WorldConfig(hints=Hints(enabled=False), grant=None))
    world.trace = Untraced()
    rng = world.rng.child("attack")
    flash: list[bool] = [] if job.part == "covert-flash" else [True]
    wrap = when(lambda: bool(flash), dropper())
    first = 10 * SECOND if job.part == "cold-boot" else 0
    false = [world.add(f"false{number}", person=False, wrap=wrap) for number in range(job.honest * FALSE_FOR_EACH)]
    honest = [world.add(f"honest{number}", person=False, at=first) for number in range(job.honest)]
    post = _Post(world, honest)
    if first:
        world.run(SECOND)
        _hear_of(world, false, false, rng)  # when the honest come, the overlay is theirs
    world.run(first + SECOND)
    _hear_of(world, honest if first else [*honest, *false], [*honest, *false], rng)
    _know(world, honest, job.contacts, rng)
    world.run(world.now + (SETTLE_QUICK_US if job.quick else SETTLE_US))
    flash.append(True)
    for _ in range(MESSAGES // 4 if job.quick else MESSAGES):
        tell(world, rng.choice(honest), 200)
        world.run(world.now + EVERY_US)
    world.run(world.now + (WAIT_QUICK_US if job.quick else WAIT_US))
    late: list[Duration] = [at - post.left[name] for (name, _), at in post.came.items() if name in post.left]
    owed = len(post.left) * (len(honest) - 1)
    mates = {host.author for host in honest}
    around = sum(link.peer in mates for host in honest for link in world.statistics(host).links) / len(honest)
    return _Run(job.part, job.contacts, len(post.left), len(late) / max(1, owed), [each / MS for each in late], around)


def run(plan: Plan) -> Found:
    """Both attacks, with contacts and without."""
    honest = plan.nodes or HONEST
    jobs = [
        _Job(part, seed, honest, contacts, plan.quick)
        for part in PARTS
        if plan.wants(part)
        for contacts in (CONTACTS, 0)
        for seed in plan.seed_range(1)
    ]
    runs = plan.each("worlds", _run, jobs)
    rows: list[Row] = []
    bars: list[Bar] = []
    for part in [part for part in PARTS if plan.wants(part)]:
        for contacts in (CONTACTS, 0):
            found = [one for one in runs if (one.part, one.contacts) == (part, contacts)]
            late = sorted(each for one in found for each in one.late_ms)
            delivered = min(one.delivered for one in found)
            p99 = percentile(late, 0.99)
            rows.append(
                {
                    "attack": part,
                    "contacts": contacts,
                    "delivered": delivered,
                    "p50 ms": percentile(late, 0.5),
                    "p99 ms": p99,
                    "honest links": sum(one.around for one in found) / len(found),
                    "messages": sum(one.messages for one in found),
                }
            )
            if contacts:
                bars.append(Bar(f"{part}: delivered, least of all seeds", delivered, 1.0, "of all", at_most=False))
                bars.append(Bar(f"{part}: p99 latency", p99, LATE_AT_MOST_MS, "ms"))
    conditions: dict[str, Cell] = {
        "honest": honest,
        "false": honest * FALSE_FOR_EACH,
        "seeds": len(plan.seed_range(1)),
        "messages in each": MESSAGES // 4 if plan.quick else MESSAGES,
        "published": PUBLISHED,
    }
    return Found(bars, {"what arrives": rows}, conditions)
