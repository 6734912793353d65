"""What somebody gains by starting glitches: the same life twice, with farming and without, from one seed.

No paper measures this; the attack is the price of every amnesty (design decision 21). Eight people vouch for each other
and for four accomplices of a farmer, whom six of them know a little and two only by what the others say; all read what
all say. In each round the farmer treats one person badly, who says so 12 s later, and another well, who says so after a
minute; the words and their instants are the same in both lives. In one of them the farmer starts a glitch at each
misdeed, so that an amnesty may wash it: it breaks its links, goes silent alone or together with all accomplices, or
tears the network of the honest in the middle as well, which is the most that anybody could do. Its gain with an honest
hub is what it has after the last heal, less that in the other life.
Deviation: nobody says again what an amnesty has voided, as people may (docs/trust.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from protocol.clock import MINUTE, SECOND
from protocol.inputs import Regard
from protocol.rng import Rng
from sim.adversaries import say
from sim.host import Host
from sim.papers.state_plane import Untraced
from sim.words import tell
from sim.world import World, WorldConfig

HONEST: Final = 8
ACCOMPLICES: Final = 4
ROUNDS: Final = 3
ROUND_US: Final = 90 * SECOND
MET_US: Final = 30 * SECOND
ACQUAINTED: Final = 1
"""The least that can be said for somebody."""
PRAISED_US: Final = MINUTE
LASTS_US: Final = 30 * SECOND
SPOKEN_US: Final = 12 * SECOND
"""After the misdeed, when the glitch has been noticed."""


@dataclass(frozen=True, slots=True)
class FarmJob:
    """One pair of lives; ``way`` is how glitches are started."""

    way: str
    seed: int


@dataclass(frozen=True, slots=True)
class Farmed:
    """Gains in standing with each honest hub; how many of these gave the farmer an amnesty."""

    gains: list[float]
    amnesties: int


@dataclass(slots=True)
class _Crowd:
    world: World
    honest: list[Host]
    farmer: Host
    helpers: list[Host]


def _broken(crowd: _Crowd) -> None:
    for other in crowd.honest:
        crowd.world.reset(crowd.farmer, other)


def _silent(crowd: _Crowd) -> None:
    crowd.world.cut([crowd.farmer], [*crowd.honest, *crowd.helpers])


def _together(crowd: _Crowd) -> None:
    crowd.world.cut([crowd.farmer, *crowd.helpers], crowd.honest)


def _middle(crowd: _Crowd) -> None:
    half = crowd.honest[::2]
    others = [host for host in crowd.honest if host not in half]
    crowd.world.cut([crowd.farmer, *crowd.helpers, *half], others)


WAYS: Final[dict[str, Callable[[_Crowd], None]]] = {
    "breaks its links": _broken,
    "goes silent": _silent,
    "goes silent with accomplices": _together,
    "tears the network": _middle,
}


def _crowd(seed: int) -> _Crowd:
    world = World(seed, WorldConfig(dated=1.0, grant=None))
    world.trace = Untraced()
    honest = [world.add(f"honest{number}", person=False) for number in range(HONEST)]
    helpers = [world.add(f"helper{number}", person=False) for number in range(ACCOMPLICES)]
    farmer = world.add("farmer", person=False)
    world.run(MET_US)
    known = [*honest, *helpers]
    tell(world, farmer, 60)  # so that all hold its key
    world.run(world.now + MET_US)
    for host in known:
        say(world, host, known, 100)
    for host in honest[: 2 * ROUNDS]:
        say(world, host, [farmer], ACQUAINTED)
    world.run(world.now + MET_US)
    for host in known:
        for reader in known:
            if reader is not host:
                world.give(host, host.life, Regard(reader.author, "circle", True))
    world.run(world.now + MET_US)
    return _Crowd(world, honest, farmer, helpers)


def _life(job: FarmJob, *, farms: bool) -> tuple[list[float], int]:
    """Standing of the farmer with each honest hub at the end; who gave it an amnesty."""
    crowd, rng = _crowd(job.seed), Rng(job.seed).child("conduct")
    world, name = crowd.world, crowd.farmer.author
    turns = rng.sample(crowd.honest[: 2 * ROUNDS], 2 * ROUNDS)
    for victim, friend in zip(turns[::2], turns[1::2], strict=True):
        start = world.now
        if farms:
            WAYS[job.way](crowd)
        world.run(start + SPOKEN_US)
        say(world, victim, [crowd.farmer], -100)
        world.run(start + LASTS_US)
        world.heal()
        world.run(start + PRAISED_US)
        say(world, friend, [crowd.farmer], 100)
        world.run(start + ROUND_US)
    world.run(world.now + ROUND_US)
    nodes = [(host.node, host.clock(world.now)) for host in crowd.honest if host.node is not None]
    standing = [node.standing(name, at) for node, at in nodes]
    given = sum(any(one == name for one, *_ in node.statistics(at).glitch.amnesty) for node, at in nodes)
    return standing, given


def farmed(job: FarmJob) -> Farmed:
    """What was gained."""
    plain, _ = _life(job, farms=False)
    standing, given = _life(job, farms=True)
    return Farmed([one - other for one, other in zip(standing, plain, strict=True)], given)
