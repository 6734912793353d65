"""A hub that is surrounded: hostile hubs take every inbound slot and nearly all that discovery says, at every restart.

Source: the eclipse of Bitcoin's peers (Heilman et al., USENIX Security 2015): fill the victim's tables, wait for its
restart, be all that it finds. Their counter-measure that works here as well is an anchor: whom the victim knew before
is on its disk, and is dialled again. The victim lives among honest hubs until it knows them, then it is restarted again
and again; each time all hostile hubs dial it at once, and of what discovery tells it 95 % is hostile. Hostile hubs keep
their links and pass on nothing. Measured: when the victim has an open link with somebody honest whom it knew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.bars import Bar, percentile
from protocol.clock import MINUTE, SECOND, Duration
from sim.adversaries import dropper, eclipse, say, sybils
from sim.discovery import Hints
from sim.host import Host
from sim.papers import Cell, Found, Plan, Row
from sim.papers.state_plane import Untraced
from sim.world import World, WorldConfig

ABOUT: Final = "how soon a hub that is surrounded at every restart finds somebody honest whom it knew"
PARTS: Final = ("restarts",)
HOSTILE: Final = 60
HONEST: Final = 12
SHARE: Final = 0.95
RESTARTS: Final = 100
RESTARTS_QUICK: Final = 3
KNOWN_FOR_US: Final = 2 * MINUTE
"""How long the victim lives among the honest before the attack: peers are stored every half minute."""
KNOWN_FOR_QUICK_US: Final = 40 * SECOND
BETWEEN_US: Final = 10 * SECOND
AT_MOST_S: Final = 60.0
WAIT_US: Final = 5 * MINUTE


@dataclass(frozen=True, slots=True)
class _Job:
    seed: int
    hostile: int
    restarts: int
    known_for_us: Duration


def _relinked(world: World, victim: Host, honest: list[Host]) -> bool:
    known = {host.author for host in honest}
    return victim.alive and any(link.open and link.peer in known for link in world.statistics(victim).links)


def _run(job: _Job) -> list[float | None]:
    """Seconds to the first honest link after each restart; None if there was none in five minutes."""
    world = World(job.seed, WorldConfig(hints=Hints(enabled=False), grant=None))
    world.trace = Untraced()
    rng = world.rng.child("attack")
    victim = world.add("victim", person=False)
    honest = [world.add(f"honest{number}", person=False) for number in range(HONEST)]
    world.run(SECOND)
    for number, host in enumerate(honest):
        world.discovery.introduce(victim, host)
        world.discovery.introduce(host, honest[number - 1])
    world.run(world.now + 5 * SECOND)
    say(world, victim, honest[:4], 100)
    world.run(world.now + job.known_for_us)
    hostile = sybils(world, job.hostile, wrap=dropper())
    world.run(world.now + SECOND)
    found: list[float | None] = []
    for _ in range(job.restarts):
        world.crash(victim)
        world.run(world.now + SECOND)
        world.restart(victim)
        eclipse(world, victim, hostile, honest, SHARE, rng)
        took: Duration | None = world.wait(lambda: _relinked(world, victim, honest), WAIT_US)
        found.append(None if took is None else took / SECOND)
        world.run(world.now + BETWEEN_US)
    return found


def run(plan: Plan) -> Found:
    """Restarts of one victim for each seed."""
    hostile = plan.nodes or HOSTILE
    restarts = RESTARTS_QUICK if plan.quick else RESTARTS
    known = KNOWN_FOR_QUICK_US if plan.quick else KNOWN_FOR_US
    runs = plan.each("victims", _run, [_Job(seed, hostile, restarts, known) for seed in plan.seed_range(1)])
    taken = [each for found in runs for each in found]
    soon = sum(each is not None and each <= AT_MOST_S for each in taken)
    rows: list[Row] = [
        {
            "seed": seed,
            "restarts": len(found),
            "relinked": sum(each is not None for each in found),
            "p50 s": percentile([each for each in found if each is not None], 0.5),
            "worst s": max((each for each in found if each is not None), default=None),
        }
        for seed, found in zip(plan.seed_range(1), runs, strict=True)
    ]
    conditions: dict[str, Cell] = {
        "hostile": hostile,
        "honest": HONEST,
        "of what discovery says": f"{SHARE:.0%} hostile",
        "restarts of each victim": restarts,
        "published": "Bitcoin 0.9 without counter-measures: eclipsed with 85 % after a restart (4,600 addresses)",
    }
    bar = Bar(f"relinked within {AT_MOST_S:.0f} s", soon / len(taken), 1.0, "of restarts", at_most=False)
    return Found([bar], {"first honest link after a restart": rows}, conditions)
