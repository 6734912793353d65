"""Worlds drawn from a seed: sizes, limits, paths, clocks, sharing and misfortunes; first safety, then liveness.

Source: Groce et al., "Swarm Testing" (ISSTA 2012): each seed leaves out some kinds of misfortune, since those that are
always on hide what the others show; and the two phases of TigerBeetle's VOPR. While faults are on only safety is
demanded, of every step. Then a core of the hubs is healed: every path between them is back, all of them run and know
what date it is, the rest stay away for good; within ``SETTLE_US`` the core must be whole (:func:`whole`).
Deviation: the weather (latency, loss, bandwidth) stays as drawn when the core is healed.
Invariants: a Draw is a plain value, and equal Draws play equal worlds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, TextIO

from protocol import ViewsConfig
from protocol.clock import MS, SECOND, Duration, Instant
from protocol.errors import MeshError
from protocol.ids import AuthorId
from protocol.inputs import CommonsGrant
from protocol.node import Node, NodeConfig
from sim.checkers import Safety, linked
from sim.conduct import Conduct
from sim.faults import Plan, schedule
from sim.host import Host
from sim.words import Told, Words
from sim.world import MakeNode, SafetyViolation, World, WorldConfig

CLOCK_KINDS: Final = ("clocks drift", "no date at first", "dates differ")
SETTLE_US: Final = 30 * SECOND
"""The slowest pace at which lost peers are looked for."""
LOOK_US: Final = 250 * MS
SWEEP_US: Final = SECOND
"""Between two comparisons of all hubs with the truth; their steps are looked at one by one as well."""
STARVED_US_MAX: Final = 8 * SECOND
START_APART_US: Final = 50 * MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many links each hub seeks and takes, and up to how many hubs all of them are linked (0: never)."""

    links_target: int = 8
    links_max: int = 16
    small_mesh: int = 16
    passive: int = 48

    def node_config(self) -> NodeConfig:
        """The same as a Node takes it."""
        return NodeConfig(
            views=ViewsConfig(links_target=self.links_target, links_max=self.links_max),
            overlay=replace(NodeConfig().overlay, small_mesh=self.small_mesh, passive=self.passive),
        )


@dataclass(frozen=True, slots=True)
class Hub:
    """One hub; ``grant`` None: its person shares nothing at first."""

    name: str
    grant: CommonsGrant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One world and all that goes wrong in it. ``away`` are the hubs that are not in the core: from the heal on they
    are dead, or cut off from it if ``away_alive``. ``calm``: so many stories each hub of the core
    tells once all is well."""

    seed: int
    hubs: tuple[Hub, ...]
    config: WorldConfig = field(default_factory=lambda: WorldConfig(grant=None))
    limits: Limits = field(default_factory=Limits)
    faults_us: Duration
    plan: Plan = ()
    away: tuple[str, ...] = ()
    away_alive: bool = False
    calm: int = 0


@dataclass(frozen=True, slots=True)
class Played:
    """A world in which every invariant held. ``fired`` counts misfortunes by kind, ``settled_us`` is how long after the
    heal the core was whole, ``told`` what became of people's words."""

    seed: int
    hubs: int
    virtual_us: Duration
    settled_us: Duration
    steps: int
    deliveries: int
    checked: int
    fired: dict[str, int]
    digest: str
    told: Told = field(default_factory=Told)


def play(drawn: Draw, *, out: TextIO | None = None, make_node: MakeNode = Node) -> Played:
    """Run it; ``make_node`` may put other Nodes in the place of the real ones.

    Raises:
        SafetyViolation: an invariant does not hold, or the core is not whole again in time.
    """
    world = World(drawn.seed, drawn.config, out, make_node)
    try:
        return _play(drawn, world)
    except (ArithmeticError, AttributeError, LookupError, MeshError, TypeError, ValueError, AssertionError) as fault:
        if isinstance(fault, SafetyViolation):
            raise
        where = world.acting if world.acting is not None else world.hosts[0]
        rule = f"crash {type(fault).__name__}"
        raise world.violation(rule, f"{type(fault).__name__}: {fault}", where) from fault


def _play(drawn: Draw, world: World) -> Played:
    safety = Safety(world, every_us=SWEEP_US)
    conduct = Conduct(safety)
    words = Words(world)
    for index, hub in enumerate(drawn.hubs):
        world.add(hub.name, at=index * START_APART_US, grant=hub.grant, node_config=drawn.limits.node_config())
    schedule(world, drawn.plan)
    world.run(drawn.faults_us)
    core = _heal(drawn, world)
    healed_at = world.now
    if world.wait(lambda: whole(world, safety, core, healed_at) is None, SETTLE_US, LOOK_US) is None:
        wrong = whole(world, safety, core, healed_at)
        raise world.violation("whole", f"not whole {SETTLE_US // SECOND} s after the heal: {wrong}", core[0])
    settled_us = world.now - healed_at
    told = words.play_out(core, healed_at, drawn.calm)
    fired = dict(world.fired)
    for kind, count in (*world.network.seen.items(), *_clocks(drawn).items()):
        fired[kind] = fired.get(kind, 0) + count
    return Played(
        drawn.seed,
        len(drawn.hubs),
        world.now,
        settled_us,
        world.trace.steps,
        safety.ledger.deliveries,
        conduct.vectors,
        fired,
        world.trace.digest(),
        told,
    )


def _clocks(drawn: Draw) -> dict[str, int]:
    """What goes wrong all the time and not at an instant."""
    config = drawn.config
    seen = (config.drift_ppm_max > 0, config.dated < 1.0, config.date_error_ms_max > 100)
    return dict(zip(CLOCK_KINDS, map(int, seen), strict=True))


def _heal(drawn: Draw, world: World) -> list[Host]:
    """End every fault within the core; returns it."""
    world.peace = True
    world.heal()
    world.paths.set_all(drawn.config.quality)
    away = [world.names[name] for name in drawn.away]
    core = [host for host in world.hosts if host.name not in drawn.away]
    for host in away:
        if not drawn.away_alive:
            world.crash(host, power=True)
    if away:
        world.cut(core)
    for host in core:
        host.fuse = None
        host.storage.disk.refuses = ""
        world.restart(host)
        world.tell_date(host, known=host.date_error_ms is not None)
    return core


def whole(world: World, safety: Safety, core: list[Host], since: Instant) -> str | None:
    """What is still wrong with the core; None if it is whole: all hang together by open links, both sides of each link
    know of it, nobody else is in reach, and everybody shows of everybody who shares what was made after ``since``."""
    if any(host.starved_until is not None or not host.alive for host in core):
        return "somebody has not woken up"
    if not linked(world, core):
        return "the links do not hang together"
    inside = {host.author: host for host in core}
    for host in core:
        seen = world.statistics(host)
        for link in seen.links:
            far = host.ends[link.link].peer
            if not link.open or link.peer not in inside or far.host.ends.get(far.link) is not far:
                return f"{host.name} has a link that its peer has not"
        strangers = [author for author in seen.in_reach if author not in inside]
        if strangers:
            return f"{host.name} has {len(strangers)} in reach who are gone"
        lacks = _lacks(safety, host, {link.peer for link in seen.links}, core, since)
        if lacks is not None:
            return lacks
    return None


def _lacks(safety: Safety, host: Host, near: set[AuthorId], core: list[Host], since: Instant) -> str | None:
    for other in core:
        if other.grant is None or other is host:
            continue
        if not other.grant.may_relay and other.author not in near:
            continue
        made = safety.ledger.made_of(host, other.author)
        if made is None or made.at < since:
            return f"{host.name} has nothing new of {other.name}"
    return None
