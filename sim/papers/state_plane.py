"""What the state plane costs a hub of a large mesh, beside what any plane must cost: whole Nodes, 100 to 1,000 of them.

Every hub is a ``protocol.Node`` with a grant at 1 Hz, keys, consent, overlay and probes, on simulated TCP. Signature
checks are counted and not computed; everything else is done. No published experiment: the limit is arithmetic.
The arithmetic. Let C be the authors that a hub covers, f their cadence and S the bytes of one vector with its signature
on the wire. A hub has to take in C f vectors a second and to check each once: C f verifications. A tree over N hubs has
N - 1 edges, so a hub sends on average (N - 1) / N C f vectors, C f S bytes, and no protocol that gives every vector to
everybody sends less. Uncovered, C is N: 1,000 authors at 1 Hz are 1,000 checks of 50 to 80 us and about 230 kB/s, a
tenth of a small hub's core and, times all hubs, more than a venue's Wi-Fi has; 10,000 are out of reach. So beyond 300
authors one sample, the same for all (``H(author, epoch) < 256/N``), is relayed, and each hub's own peers, whose vectors
so reach two hops: C is at most 300 and the two-hop neighborhood, whatever N is, and no link carries more than 64 kB/s.
*Covered* by a hub is whoever is in the sample that it says it relays, or within two links of it in truth.
Deviations: discovery tells each hub of about thirty others once, as a venue's multicast would do less evenly; the limit
counts no frame, heartbeat or digest, which ours does. Invariant: one seed, one figure; nothing here reads a Node but by
``statistics()`` and its effects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

from protocol import NodeConfig
from protocol.bars import Bar, percentile
from protocol.clock import MS, SECOND, Duration, Instant
from protocol.effects import Effect, Send
from protocol.gossip.scope import Coverage, sample_hash
from protocol.ids import AuthorId
from protocol.inputs import Input
from protocol.wire.messages import Message, Vector
from sim import graph
from sim.discovery import Hints
from sim.host import Host, Machine
from sim.ledger import Ledger
from sim.papers import Cell, Curve, Found, Picture, Plan, Row
from sim.stream import FRAME_OVERHEAD_BYTES, frame_bytes
from sim.trace import Trace
from sim.world import DEFAULT_GRANT, World, WorldConfig

ABOUT: Final = "what vectors cost a hub of 100 to 1,000, and how old they are, beside the arithmetic limit"
PARTS: Final = ("hubs",)
SIZES: Final = (100, 300, 1_000)
SEEDS: Final = 1
APART_US: Final = 10 * MS
SETTLE_US: Final = 30 * SECOND
WATCH_US: Final = 60 * SECOND
QUICK_US: Final = 10 * SECOND
LOOK_US: Final = SECOND
LOOKERS: Final = 50
HEARD_OF: Final = 30
LIMIT_TIMES: Final = 2.0
"""Our own bar: frames, heartbeats, repair and overlay together may cost as much again as the vectors themselves."""
CHECKED_TIMES: Final = 1.02
GROWTH: Final = 1.0
HOP_US: Final = 100 * MS

GROUPS: Final = {
    "Vector": "vectors",
    **dict.fromkeys(("Digest", "Graft", "Prune", "Keys", "WantKeys"), "repair and keys"),
    **dict.fromkeys(("Shuffle", "ShuffleAnswer"), "shuffle"),
    **dict.fromkeys(("Join", "ForwardJoin", "Neighbor", "NeighborAnswer", "Neighbors", "Peers", "Hello"), "overlay"),
}
"""What a message is for; all others watch the links."""
KINDS: Final = ("vectors", "repair and keys", "shuffle", "overlay", "liveness", "frames")


@dataclass(frozen=True, slots=True)
class Work:
    """One run; times in microseconds."""

    seed: int
    hubs: int
    settle_us: Duration
    watch_us: Duration
    node: NodeConfig = field(default_factory=NodeConfig)


@dataclass(frozen=True, slots=True)
class Cost:
    """Figures of one run, per hub and second unless the name says otherwise.

    ``sent`` is bytes by what they are for; ``covered``, ``sampled``, ``share`` and ``linked`` are means over hubs;
    ``hops`` the longest way between two hubs; ``absent`` is the share of covered pairs that show nothing.
    """

    hubs: int
    covered: float
    sampled: float
    share: float
    linked: float
    hops: int
    sent: dict[str, float]
    sent_worst: float
    frames: float
    verified: float
    vector_bytes: float
    age_p50_us: Duration
    age_p99_us: Duration
    absent: float

    @property
    def bytes(self) -> float:
        """All that a hub sends in a second."""
        return sum(self.sent.values())

    @property
    def checks_limit(self) -> float:
        """C f."""
        return self.covered * SECOND / (DEFAULT_GRANT.cadence_ms * MS)

    @property
    def bytes_limit(self) -> float:
        """C f S (N - 1) / N."""
        return self.checks_limit * self.vector_bytes * (self.hubs - 1) / self.hubs


class Untraced(Trace):
    """A trace that nobody will read: the digest of every step costs as much as the step."""

    def record(self, *_step: object, **_named: object) -> None:
        """Count it."""
        self.steps += 1

    def note(self, *_what: object, **_named: object) -> None:
        """Nothing."""


class Meter:
    """Around a Node: counts what it sends, by what it is for, while ``on``."""

    def __init__(self, node: Machine, counts: Counts) -> None:
        self._node = node
        self._counts = counts

    def handle(self, input: Input, now: Instant) -> list[Effect]:
        """The Node's answer."""
        effects = self._node.handle(input, now)
        if self._counts.on:
            for effect in effects:
                if type(effect) is Send:
                    self._counts.add(effect.messages)
        return effects


@dataclass(slots=True)
class Counts:
    """Bytes of one hub."""

    on: bool = False
    frames: int = 0
    vectors: int = 0
    bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))

    def add(self, messages: tuple[Message, ...]) -> None:
        """One frame."""
        self.frames += 1
        frame = frame_bytes(())
        counted = self.bytes
        counted["frames"] += FRAME_OVERHEAD_BYTES + frame
        for message in messages:
            self.vectors += type(message) is Vector
            counted[GROUPS.get(type(message).__name__, "liveness")] += frame_bytes((message,)) - frame


def play(work: Work) -> Cost:
    """One run."""
    hints = Hints(loss=max(0.02, 1 - HEARD_OF / work.hubs), again_every_us=None)
    world = World(work.seed, WorldConfig(hints=hints, dated=1.0))
    world.trace = Untraced()
    ledger = Ledger(world)
    counts = [Counts() for _ in range(work.hubs)]
    for index in range(work.hubs):
        world.add(
            at=index * APART_US,
            node_config=work.node,
            wrap=lambda node, host: Meter(node, counts[host.index]),
        )
    world.run(work.hubs * APART_US + work.settle_us)
    for each in counts:
        each.on = True
    checks = world.keys.verifications
    truth = _Truth(world)
    ages, absent = _watch(world, ledger, truth, work.watch_us)
    return _cost(work, truth, counts, world.keys.verifications - checks, ages, absent)


def _watch(world: World, ledger: Ledger, truth: _Truth, watch_us: Duration) -> tuple[list[Duration], int]:
    """How old what is covered was, every second at some of the hubs; what shows nothing is as old as its lease."""
    ages: list[Duration] = []
    absent = 0
    stride = max(1, len(world.hosts) // LOOKERS)
    began = world.now
    while world.now - began < watch_us:
        world.run(world.now + LOOK_US)
        for host in world.hosts[(world.now // LOOK_US) % stride :: stride]:
            for author in truth.covered[host.index]:
                age = ledger.age_us(host, author)
                absent += age is None
                ages.append(DEFAULT_GRANT.lease_ms * MS if age is None else age)
    return ages, absent


class _Truth:
    """Who is linked with whom, what each hub says it relays, and so whom it covers: at the start of the watch."""

    def __init__(self, world: World) -> None:
        seen = [world.statistics(host) for host in world.hosts]
        names = {host.author: host.index for host in world.hosts}
        self.links = [[names[link.peer] for link in one.links if link.open and link.peer in names] for one in seen]
        self.coverage = [one.coverage for one in seen]
        self.sampled = [sum(_inside(host.author, one) for host in world.hosts) for one in self.coverage]
        self.covered = [self._covered(world.hosts, host) for host in world.hosts]
        near = [graph.reached(self.links, index) for index in range(0, len(seen), max(1, len(seen) // LOOKERS))]
        self.hops = max(max(hops.values()) for hops in near)

    def _covered(self, hosts: Sequence[Host], host: Host) -> dict[AuthorId, None]:
        near = dict.fromkeys(self.links[host.index])
        for neighbor in list(near):
            near.update(dict.fromkeys(self.links[neighbor]))
        mine = self.coverage[host.index]
        covered = {other.author: None for other in hosts if other.index in near or _inside(other.author, mine)}
        covered.pop(host.author, None)
        return covered


def _inside(author: AuthorId, coverage: Coverage) -> bool:
    return coverage.whole or sample_hash(author, coverage.epoch or 0) < coverage.share * (1 << 64)


def _cost(
    work: Work, truth: _Truth, counts: Sequence[Counts], checks: int, ages: Sequence[Duration], absent: int
) -> Cost:
    hub_seconds = work.hubs * work.watch_us / SECOND
    vectors = sum(each.vectors for each in counts)
    return Cost(
        hubs=work.hubs,
        covered=sum(map(len, truth.covered)) / work.hubs,
        sampled=sum(truth.sampled) / work.hubs,
        share=sum(one.share for one in truth.coverage) / work.hubs,
        linked=sum(map(len, truth.links)) / work.hubs,
        hops=truth.hops,
        sent={kind: sum(each.bytes[kind] for each in counts) / hub_seconds for kind in KINDS},
        sent_worst=max(sum(each.bytes.values()) for each in counts) * SECOND / work.watch_us,
        frames=sum(each.frames for each in counts) / hub_seconds,
        verified=checks / hub_seconds,
        vector_bytes=sum(each.bytes["vectors"] for each in counts) / max(1, vectors),
        age_p50_us=percentile(ages, 0.5) or 0,
        age_p99_us=percentile(ages, 0.99) or 0,
        absent=absent / max(1, len(ages)),
    )


def run(plan: Plan) -> Found:
    """All sizes, up to ``--nodes``."""
    most = plan.nodes or SIZES[-1]
    sizes = [*(size for size in SIZES if size < most), most]
    watch_us = QUICK_US if plan.quick else WATCH_US
    seeds = plan.seed_range(SEEDS)
    works = [Work(seed, size, SETTLE_US, watch_us) for size in reversed(sizes) for seed in seeds]
    costs = plan.each("state plane", play, works)
    rows = [_middle([cost for cost in costs if cost.hubs == size]) for size in sizes]
    conditions: dict[str, Cell] = {
        "hubs": ", ".join(map(str, sizes)),
        "seeds": len(seeds),
        "settled_s": SETTLE_US / SECOND,
        "watched_s": watch_us / SECOND,
        "cadence_ms": DEFAULT_GRANT.cadence_ms,
        "network": "2 to 4 ms one way, nothing lost, every hub has the date",
        "signatures": "counted, not computed",
        "ages": f"every second at about {LOOKERS} hubs, of every author they cover; absent ones as old as the lease",
        "limit": "covered authors x their rate x the bytes of a vector with its signature; one check of each",
    }
    tables = {"cost": [_row(cost) for cost in rows], "bytes per hub and second": [_bytes_row(cost) for cost in rows]}
    return Found(_bars(rows), tables, conditions, _picture(rows))


def _middle(costs: Sequence[Cost]) -> Cost:
    """Medians over the seeds."""
    numbers = {
        name: median(getattr(cost, name) for cost in costs)
        for name in Cost.__dataclass_fields__
        if name not in ("hubs", "sent", "hops")
    }
    sent = {kind: median(cost.sent[kind] for cost in costs) for kind in KINDS}
    return replace(costs[0], **numbers, sent=sent, hops=max(cost.hops for cost in costs))


def _bars(rows: Sequence[Cost]) -> list[Bar]:
    bars: list[Bar] = []
    for cost in rows:
        where = f"{cost.hubs} hubs"
        ages_bar = (DEFAULT_GRANT.cadence_ms * MS + cost.hops * HOP_US) / SECOND
        bars += [
            Bar(f"{where}: bytes sent, times the limit", cost.bytes / cost.bytes_limit, LIMIT_TIMES, "of 1", 1.0),
            Bar(
                f"{where}: signatures checked, times the limit",
                cost.verified / cost.checks_limit,
                CHECKED_TIMES,
                "of 1",
                1.0,
            ),
            Bar(f"{where}: age p99 of covered authors", cost.age_p99_us / SECOND, ages_bar, "s"),
        ]
    few = rows[0]
    for many in rows[1:]:
        what = f"from {few.hubs} to {many.hubs} hubs, growth by growth of the covered set: "
        grown = many.covered / few.covered
        bars.append(Bar(what + "bytes", many.bytes / few.bytes / grown, GROWTH, "of 1"))
        bars.append(Bar(what + "signatures", many.verified / few.verified / grown, CHECKED_TIMES, "of 1"))
    return bars


def _row(cost: Cost) -> Row:
    return {
        "hubs": cost.hubs,
        "links": round(cost.linked, 2),
        "hops": cost.hops,
        "share": round(cost.share, 4),
        "in sample": cost.sampled,
        "covered": round(cost.covered, 1),
        "bytes/s": round(cost.bytes),
        "limit B/s": round(cost.bytes_limit),
        "worst hub B/s": round(cost.sent_worst),
        "frames/s": round(cost.frames, 1),
        "checks/s": round(cost.verified, 1),
        "limit checks/s": round(cost.checks_limit, 1),
        "age p50 s": round(cost.age_p50_us / SECOND, 3),
        "age p99 s": round(cost.age_p99_us / SECOND, 3),
        "absent": round(cost.absent, 6),
    }


def _bytes_row(cost: Cost) -> Row:
    return {"hubs": cost.hubs, **{kind: round(count, 1) for kind, count in cost.sent.items()}}


def _picture(rows: Sequence[Cost]) -> Picture:
    curves = [
        Curve("sent", [(cost.covered, cost.bytes) for cost in rows]),
        Curve("limit", [(cost.covered, cost.bytes_limit) for cost in rows]),
    ]
    return Picture("What a hub sends", "authors covered", "bytes per second", curves)
