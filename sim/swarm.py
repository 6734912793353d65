"""Worlds drawn from a seed: sizes, paths, sharing and misfortunes; first safety, then liveness.

While faults are on, only safety is demanded. Then every path heals, every hub runs, and within ``SETTLE_US`` everybody
must have everybody in reach and everybody's newest value (habit 1.11 of the house; after the VOPR of TigerBeetle).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.clock import MS, SECOND, Duration
from protocol.inputs import CommonsGrant
from protocol.rng import Rng
from protocol.wire.registry import AROUSAL
from sim.checkers import Safety, sides_right
from sim.faults import Crash, Cut, CutOneWay, Fault, Heal, Plan, Reset, Restart, Starve, schedule
from sim.paths import Quality
from sim.world import World, WorldConfig

GATHER_US: Final = 3 * SECOND
FAULTS_US: Final = 12 * SECOND
SETTLE_US: Final = 15 * SECOND
STARVED_US_MAX: Final = 2 * SECOND


@dataclass(frozen=True, slots=True)
class Draw:
    """One world: ``grants`` has an entry per hub, None for those who do not share."""

    seed: int
    config: WorldConfig
    grants: tuple[CommonsGrant | None, ...]
    plan: Plan


def draw(seed: int) -> Draw:
    """The world of this seed."""
    rng = Rng(seed).child("swarm")
    quality = Quality(
        latency_us=rng.between(1, 60) * MS,
        jitter_us=rng.between(0, 30) * MS,
        loss=rng.choice((0.0, 0.0, 0.01, 0.05, 0.1)),
        bytes_per_s=rng.choice((None, 1_250_000, 125_000)),
    )
    grants = tuple(_grant(rng) for _ in range(rng.between(3, 9)))
    lane = rng.choice(("object", "wire"))
    config = WorldConfig(
        quality=quality, lane="wire" if lane == "wire" else "object", grant=None, dated=rng.choice((0.0, 0.5, 1.0))
    )
    names = [f"n{index}" for index in range(len(grants))]
    faults: list[tuple[int, Fault]] = []
    for _ in range(rng.between(2, 6)):
        faults += _misfortune(rng, names, GATHER_US + rng.below(FAULTS_US // MS) * MS)
    faults.sort(key=lambda entry: entry[0])
    return Draw(seed, config, grants, tuple(faults))


def _grant(rng: Rng) -> CommonsGrant | None:
    if rng.chance(0.15):
        return None
    cadence_ms = rng.choice((250, 500, 1_000))
    return CommonsGrant((AROUSAL,), rng.choice((0, 5, 21)), cadence_ms, rng.choice((3_000, 15_000)), True, True, False)


def _misfortune(rng: Rng, names: list[str], at: int) -> list[tuple[int, Fault]]:
    kind = rng.below(6)
    until = at + rng.between(100, 6_000) * MS
    pair = rng.sample(names, 2)
    if kind == 0:
        members = rng.sample(names, rng.between(1, len(names) - 1))
        rest = tuple(name for name in names if name not in members)
        return [(at, Cut((tuple(members), rest))), (until, Heal())]
    if kind == 1:
        return [(at, CutOneWay(pair[0], pair[1])), (until, Heal())]
    if kind == 2:
        return [(at, Crash(pair[0])), (until, Restart(pair[0]))]
    if kind == 3:
        return [(at, Crash(pair[0], power=True)), (until, Restart(pair[0]))]
    if kind == 4:
        return [(at, Starve(pair[0], rng.between(50, STARVED_US_MAX // MS) * MS))]
    return [(at, Reset(pair[0], pair[1]))]


def play(drawn: Draw, *, sweep_us: Duration = 250 * MS) -> Safety:
    """Run it.

    Raises:
        SafetyViolation: an invariant does not hold, or the crowd is not whole again in time.
    """
    world = World(drawn.seed, drawn.config)
    safety = Safety(world, every_us=sweep_us)
    for index, grant in enumerate(drawn.grants):
        world.add(at=index * 50 * MS, grant=grant)
    schedule(world, drawn.plan)
    world.run(GATHER_US + FAULTS_US)
    world.heal()
    for host in world.hosts:
        world.restart(host)
    world.run(world.now + STARVED_US_MAX)
    targets = safety.ledger.targets([host for host in world.hosts if host.grant is not None])

    def whole() -> bool:
        return safety.ledger.behind(world.hosts, targets) == 0 and not sides_right(world, [world.hosts])

    if world.wait(whole, SETTLE_US) is None:
        wrong = sides_right(world, [world.hosts]) or world.hosts
        raise world.violation(f"not whole {SETTLE_US} us after the last fault", wrong[0])
    return safety
