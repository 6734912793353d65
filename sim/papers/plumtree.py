"""What a broadcast costs and how far it goes: Plumtree's table, many busy authors, loss with deaths, iroh's scenarios.

Source: Leitao, Pereira, Rodrigues, "Epidemic Broadcast Trees" (SRDS 2007), section 4: relative message redundancy
(copies beyond the one each needs) and last delivery hop, 10,000 members, a single sender or random ones; and the
simulation of iroh-gossip 0.9x (20, 100 and 1,000 members, links of 10 to 50 ms, 30 rounds), whose figures are not
published but whose own tests state what it must reach. Published: PeerSim cycles, one hop a cycle, nothing lost.
``senders`` is the paper's workload with our trees and with the paper's own; ``authors`` is what a mesh of this kind
does: many who say something every second; ``churn`` adds loss and deaths; ``iroh`` its scenarios.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from protocol.bars import Bar, percentile
from protocol.clock import MS, SECOND, Duration
from protocol.gossip.trees import TreesConfig
from protocol.membership.overlay_values import OverlayConfig, hyparview_paper
from protocol.rng import Rng
from sim import graph
from sim.field import Field
from sim.members import FieldConfig
from sim.papers import Cell, Curve, Found, Picture, Plan, Row, middle
from sim.spread import Sent, Spread, SpreadConfig
from sim.weather import WeatherConfig

ABOUT: Final = "copies, hops, delays and control bytes of broadcasts, with one sender, with many, and under loss"
PARTS: Final = ("senders", "authors", "churn", "iroh")
NODES: Final = 10_000
SEEDS: Final = 5
WARM_SHUFFLES: Final = 3
REDUNDANCY_AT_MOST: Final = 0.05
HOPS_AT_MOST: Final = 18
HOPS_AUTHORS_AT_MOST: Final = 10
FLOOD_AT_MOST: Final = 1.2
CONTROL_AT_MOST: Final = 0.10

Trees = Literal["ours", "threshold 3", "threshold 7", "not optimised", "iroh"]
Senders = Literal["one", "random", "all"]

VARIANTS: Final[tuple[tuple[Trees, Senders, str], ...]] = (
    ("ours", "random", "0 / 16..18 (optimised)"),
    ("ours", "one", "0 / 9..10"),
    ("threshold 3", "one", "0 / 9..10"),
    ("not optimised", "random", "0 / 50..75"),
    ("threshold 7", "random", "0 / 16..18"),
)
"""Which trees, who sends, and the published redundancy / last hop."""
MESSAGES: Final = 100
MESSAGES_WARM: Final = 50
GAP_US: Final = SECOND
AUTHORS: Final = 100
AUTHOR_MESSAGES: Final = 50
AUTHOR_WARM: Final = 5
AUTHOR_EVERY_US: Final = SECOND
SETTLE_US: Final = 5 * SECOND
CYCLES: Final = 100
CYCLE_US: Final = 10 * SECOND
DEATHS: Final = 50
LOSS: Final = 0.05
IROH_SEEDS: Final = (0, 1, 212_312_388_123, 123)
IROH_ROUNDS: Final = 30
IROH_ROUND_AT_MOST_US: Final = 5 * SECOND
IROH: Final[tuple[tuple[Senders, int], ...]] = (
    ("one", 20),
    ("one", 100),
    ("one", 1_000),
    ("random", 20),
    ("random", 100),
    ("random", 1_000),
    ("all", 20),
    ("all", 100),
)
IROH_STATED: Final[dict[Senders, tuple[float, float]]] = {"one": (0.2, 15), "random": (1, 18), "all": (3, 30)}
"""Redundancy and last hop that its own tests demand (there: links of 10 to 100 ms, 20 rounds, and no tree made anew for
a busy author, which costs one flood of copies more, so that redundancy is shown and not judged)."""


@dataclass(frozen=True, slots=True)
class _Job:
    seed: int
    nodes: int
    quick: bool
    trees: Trees = "ours"
    senders: Senders = "random"


@dataclass(frozen=True, slots=True)
class _Spread:
    """Means over the messages that count, except ``slower``: median, 99th percentile and most, against flood."""

    trees: Trees
    senders: Senders
    nodes: int
    redundancy: float
    hops: float
    payloads: float
    control: float
    control_share: float
    took_us: float
    slower: tuple[float, float, float] | None
    missed: int


@dataclass(frozen=True, slots=True)
class _Churned:
    due: int
    missed: int
    took_us: Duration
    survivors: int


def config_of(trees: Trees) -> TreesConfig:
    """The trees of that name."""
    match trees:
        case "ours":
            return TreesConfig()
        case "threshold 3":
            return TreesConfig.plumtree_paper(3)
        case "threshold 7":
            return TreesConfig.plumtree_paper(7)
        case "not optimised":
            return TreesConfig.plumtree_paper(None)
        case "iroh":
            return TreesConfig.iroh()


def _grown(job: _Job, loss: float = 0.0, *, calm: bool = False) -> tuple[Field, Spread]:
    overlay = OverlayConfig() if job.trees == "ours" else hyparview_paper()
    field = Field(job.seed, FieldConfig(members=job.nodes, overlay=overlay, weather=WeatherConfig(loss=loss)))
    field.populate()
    field.run(
        overlay.calm_us + overlay.shuffle_us if calm else (1 if job.quick else WARM_SHUFFLES) * overlay.shuffle_us
    )
    return field, field.attach(SpreadConfig(trees=config_of(job.trees)))


@dataclass(frozen=True, slots=True)
class _Mark:
    payloads: int
    control: int
    control_bytes: int


def _mark(spread: Spread) -> _Mark:
    traffic = spread.traffic
    return _Mark(traffic.payloads, sum(traffic.kinds().values()), traffic.control_bytes())


def _judge(job: _Job, field: Field, sent: list[Sent], before: _Mark, floods: dict[int, Duration] | None) -> _Spread:
    assert field.spread is not None
    after = _mark(field.spread)
    count = len(sent)
    slower = None
    if floods is not None:
        ratios = sorted(round(1_000 * one.took_us / floods[one.sender]) for one in sent)
        slower = ((percentile(ratios, 0.5) or 0) / 1_000, (percentile(ratios, 0.99) or 0) / 1_000, ratios[-1] / 1_000)
    payload_bytes = max(1, (after.payloads - before.payloads) * SpreadConfig().payload_bytes)
    return _Spread(
        job.trees,
        job.senders,
        job.nodes,
        redundancy=sum(one.redundancy for one in sent) / count,
        hops=sum(one.hops_max for one in sent) / count,
        payloads=(after.payloads - before.payloads) / count,
        control=(after.control - before.control) / count,
        control_share=(after.control_bytes - before.control_bytes) / payload_bytes,
        took_us=sum(one.took_us for one in sent) / count,
        slower=slower,
        missed=sum(len(field.members) - one.delivered for one in sent),
    )


def _senders(job: _Job) -> _Spread:
    """One message after another, a second apart."""
    field, spread = _grown(job)
    draw = Rng(job.seed).child("senders")
    warm, counted = (10, 20) if job.quick else (MESSAGES_WARM, MESSAGES)
    one = draw.below(job.nodes)
    sent: list[Sent] = []
    before = _mark(spread)
    for number in range(warm + counted):
        if number == warm:
            field.run(SETTLE_US)
            before = _mark(spread)
            sent.clear()
        sent.append(spread.broadcast(one if job.senders == "one" else draw.below(job.nodes)))
        field.run(GAP_US)
    field.run(SETTLE_US)
    return _judge(job, field, sent, before, None)


def _authors(job: _Job) -> _Spread:
    """Many who say something every second, each at its own moment, in a mesh that has come to rest."""
    field, spread = _grown(job, calm=True)
    draw = Rng(job.seed).child("authors")
    authors = draw.sample(range(job.nodes), min(AUTHORS, max(2, job.nodes // 10)))
    moments = sorted((draw.below(AUTHOR_EVERY_US), author) for author in authors)
    sent: list[Sent] = []
    before = _mark(spread)
    for number in range(AUTHOR_WARM + (10 if job.quick else AUTHOR_MESSAGES)):
        began = field.now
        for moment, author in moments:
            field.run(max(0, began + moment - field.now))
            sent.append(spread.broadcast(author))
        field.run(began + AUTHOR_EVERY_US - field.now)
        if number == AUTHOR_WARM - 1:
            before = _mark(spread)
            sent.clear()
    field.run(SETTLE_US)
    links = field.graph()
    floods = {author: graph.flood_us(links, author, field.weather.latency_us) for author in authors}
    return _judge(job, field, sent, before, floods)


def _churn(job: _Job) -> _Churned:
    """Each cycle 50 of 10,000 die, or the same share, and one of the others says something at once; half survive."""
    field, spread = _grown(job, LOSS)
    draw = Rng(job.seed).child("churn")
    deaths = max(1, min(DEATHS, job.nodes * DEATHS // NODES))
    due, missed, worst = 0, 0, 0
    for _ in range(5 if job.quick else min(CYCLES, job.nodes // 2 // deaths)):
        field.die(sorted(draw.sample(field.living(), deaths)), silent=False)
        living = field.living()
        sent = spread.broadcast(draw.choice(living), by_member=True)
        field.run(CYCLE_US)
        assert sent.reached is not None
        due += len(living)
        missed += sum(1 for number in living if number not in sent.reached)
        worst = max(worst, sent.took_us)
    return _Churned(due, missed, worst, len(field.living()))


def _arrived(sent: list[Sent], members: int) -> bool:
    return all(one.delivered == members for one in sent)


def _iroh(job: _Job) -> _Spread:
    """Rounds: the next begins when everybody has the messages of the last one, or after five seconds."""
    field, spread = _grown(job)
    draw = Rng(job.seed).child("rounds")
    one = draw.below(job.nodes)
    sent: list[Sent] = []
    before = _mark(spread)
    for _ in range(10 if job.quick else IROH_ROUNDS):
        who = range(job.nodes) if job.senders == "all" else [one if job.senders == "one" else draw.below(job.nodes)]
        now = [spread.broadcast(number) for number in who]
        field.wait(partial(_arrived, now, job.nodes), IROH_ROUND_AT_MOST_US, 10 * MS)
        sent.extend(now)
    field.run(SETTLE_US)
    return _judge(job, field, sent, before, None)


def run(plan: Plan) -> Found:
    """All parts that the plan wants."""
    nodes = plan.nodes or NODES
    bars: list[Bar] = []
    tables: dict[str, list[Row]] = {}
    if plan.wants("senders"):
        jobs = [_Job(s, nodes, plan.quick, t, w) for t, w, _ in VARIANTS for s in plan.seed_range(SEEDS)]
        found = plan.each("senders", _senders, jobs)
        bars.extend(_senders_bars(found))
        tables["the paper's workload: one message a second"] = _senders_rows(found)
    if plan.wants("authors"):
        found = plan.each("authors", _authors, [_Job(s, nodes, plan.quick) for s in plan.seed_range(SEEDS)])
        bars.extend(_authors_bars(found))
        tables["many authors, one message a second each"] = _authors_rows(found)
    if plan.wants("churn"):
        jobs = [_Job(seed, nodes, plan.quick) for seed in plan.seed_range(SEEDS)]
        churned = plan.each("churn", _churn, jobs)
        bars.extend(_churn_bars(churned))
        tables["5 % loss, 50 deaths a cycle of 10 s"] = _churn_rows(churned)
    if plan.wants("iroh"):
        found = plan.each("iroh", _iroh, _iroh_jobs(plan))
        bars.extend(_iroh_bars(found))
        tables["the scenarios of iroh-gossip"] = _iroh_rows(found)
    return Found(bars, tables, _conditions(nodes, plan), _picture(tables))


def _iroh_jobs(plan: Plan) -> list[_Job]:
    seeds = IROH_SEEDS[: plan.seeds] if plan.seeds else IROH_SEEDS
    sizes = [(senders, nodes) for senders, nodes in IROH if not plan.nodes or nodes <= plan.nodes]
    trees: tuple[Trees, ...] = ("ours", "iroh")
    return [
        _Job(seed, nodes, plan.quick, which, senders) for senders, nodes in sizes for which in trees for seed in seeds
    ]


def _conditions(nodes: int, plan: Plan) -> dict[str, Cell]:
    return {
        "members": nodes,
        "messages": "200 B payload, 16 B id",
        "links": "10..50 ms each, up to 2 ms jitter, nothing lost unless said",
        "counted": "20 messages (quick)" if plan.quick else f"{MESSAGES} messages after {MESSAGES_WARM}",
        "authors": f"{min(AUTHORS, max(2, nodes // 10))} authors x {10 if plan.quick else AUTHOR_MESSAGES} messages"
        f" after {AUTHOR_WARM}, one a second each, once the overlay is calm (70 s)",
        "flood": "shortest ways over the same links without jitter, work or rounding to ticks",
        "control": "IHAVE, GRAFT and PRUNE as encoded, without frames; payload: 200 B a copy",
        "paper's trees": "on views of 5 and 30; ours on ours",
        "figures": "means over messages, median over seeds",
        "published": "PeerSim cycles, 10,000 members, 200 messages after 50, nothing lost",
    }


def _pick(found: list[_Spread], trees: Trees, senders: Senders, nodes: int | None = None) -> list[_Spread]:
    return [s for s in found if s.trees == trees and s.senders == senders and nodes in (None, s.nodes)]


def _senders_bars(found: list[_Spread]) -> list[Bar]:
    ours = _pick(found, "ours", "random")
    return [
        Bar("random senders: redundancy", middle(s.redundancy for s in ours), REDUNDANCY_AT_MOST, "copies", 0.0),
        Bar("random senders: last hop", middle(s.hops for s in ours), HOPS_AT_MOST, "hops", 18),
        Bar("random senders: missed", sum(s.missed for s in ours), 0, "deliveries"),
    ]


def _senders_rows(found: list[_Spread]) -> list[Row]:
    rows: list[Row] = []
    for trees, senders, published in VARIANTS:
        which = _pick(found, trees, senders)
        rows.append(
            {
                "trees": trees,
                "senders": senders,
                "seeds": len(which),
                "redundancy": middle(s.redundancy for s in which),
                "last hop": middle(s.hops for s in which),
                "published": published,
                "payloads": middle(s.payloads for s in which),
                "control": middle(s.control for s in which),
                "control / payload bytes": middle(s.control_share for s in which),
                "last delivery ms": middle(s.took_us / MS for s in which),
                "missed": sum(s.missed for s in which),
            }
        )
    return rows


def _authors_bars(found: list[_Spread]) -> list[Bar]:
    slower = middle(s.slower[2] if s.slower else None for s in found)
    return [
        Bar("busy authors: redundancy", middle(s.redundancy for s in found), REDUNDANCY_AT_MOST, "copies", 0.0),
        Bar("busy authors: last hop", middle(s.hops for s in found), HOPS_AUTHORS_AT_MOST, "hops", 18),
        Bar("busy authors: last delivery of the slowest message against flood", slower, FLOOD_AT_MOST, "x"),
        Bar(
            "busy authors: control / payload bytes", middle(s.control_share for s in found), CONTROL_AT_MOST, "of bytes"
        ),
        Bar("busy authors: missed", sum(s.missed for s in found), 0, "deliveries"),
    ]


def _authors_rows(found: list[_Spread]) -> list[Row]:
    return [
        {
            "members": s.nodes,
            "redundancy": s.redundancy,
            "last hop": s.hops,
            "last delivery ms": s.took_us / MS,
            "against flood": s.slower[0] if s.slower else None,
            "p99": s.slower[1] if s.slower else None,
            "slowest": s.slower[2] if s.slower else None,
            "control / payload bytes": s.control_share,
            "control messages": s.control,
            "missed": s.missed,
        }
        for s in found
    ]


def _churn_bars(churned: list[_Churned]) -> list[Bar]:
    share = 1 - sum(c.missed for c in churned) / max(1, sum(c.due for c in churned))
    return [Bar("5 % loss, 50 deaths a cycle: delivered", share, 1.0, "of survivors", 1.0, at_most=False)]


def _churn_rows(churned: list[_Churned]) -> list[Row]:
    return [
        {"due": c.due, "missed": c.missed, "slowest ms": c.took_us / MS, "survivors at the end": c.survivors}
        for c in churned
    ]


def _iroh_bars(found: list[_Spread]) -> list[Bar]:
    bars = []
    for senders, (_, hops) in IROH_STATED.items():
        for nodes in dict.fromkeys(s.nodes for s in found if s.senders == senders):
            ours = _pick(found, "ours", senders, nodes)
            name = f"iroh's {senders} of {nodes}"
            bars.append(Bar(f"{name}: last hop", middle(s.hops for s in ours), hops, "hops"))
            bars.append(Bar(f"{name}: missed", sum(s.missed for s in ours), 0, "deliveries"))
    return bars


def _iroh_rows(found: list[_Spread]) -> list[Row]:
    rows: list[Row] = []
    for senders, nodes in dict.fromkeys((s.senders, s.nodes) for s in found):
        for trees in dict.fromkeys(s.trees for s in found):
            which = _pick(found, trees, senders, nodes)
            rows.append(
                {
                    "senders": senders,
                    "members": nodes,
                    "trees": trees,
                    "seeds": len(which),
                    "redundancy": middle(s.redundancy for s in which),
                    "last hop": middle(s.hops for s in which),
                    "stated": "{} / {}".format(*IROH_STATED[senders]),
                    "last delivery ms": middle(s.took_us / MS for s in which),
                    "missed": sum(s.missed for s in which),
                }
            )
    return rows


def _picture(tables: dict[str, list[Row]]) -> Picture | None:
    """Last hop against size, where sizes were compared."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in tables.get("the scenarios of iroh-gossip", []):
        members, hops = row["members"], row["last hop"]
        if isinstance(members, int) and isinstance(hops, float):
            lines.setdefault(f"{row['trees']} trees, {row['senders']} sender", []).append((members, hops))
    curves = [Curve(name, points) for name, points in lines.items()]
    return Picture("Last delivery hop", "members", "hops", curves) if curves else None
