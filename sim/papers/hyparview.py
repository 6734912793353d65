"""How an overlay lives through mass death: HyParView's and Plumtree's tables, and the same with our parameters.

Source: Leitao, Pereira, Rodrigues, "HyParView" (DSN 2007) and "Epidemic Broadcast Trees" (SRDS 2007), Fig. 6: 10,000
members, a share of which dies at one instant; what share of the survivors does the very first broadcast reach, and
after how many cycles is the overlay whole again? Published: a cycle simulator in which a broadcast is over before
anybody repairs anything, so that its figure is a property of the graph. Here time passes: latencies of 10 to 50 ms,
deaths told by resets (or by nothing: ``silent``), dials that fail, and the machines of the product.
``reach`` and ``healing`` are our parameters; ``paper`` has the paper's own (views of 5 and 30, no exiles) and, beside
what our machine makes of them, the flood over the links left at the instant of death, which is what was published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.bars import Bar
from protocol.clock import MS, SECOND, Duration
from protocol.membership.overlay_values import OverlayConfig, hyparview_paper
from protocol.rng import Rng
from sim import graph
from sim.field import Field
from sim.members import FieldConfig
from sim.papers import Cell, Curve, Found, Picture, Plan, Row, middle
from sim.spread import SpreadConfig

ABOUT: Final = "who is reached after 60 to 95 % have died at once, and when the rest is one piece again"
PARTS: Final = ("reach", "healing", "paper")
NODES: Final = 10_000
SEEDS: Final = 5
SEEDS_HEALING: Final = 20
DEGREE_MAX: Final = 8
REACHED_AT_LEAST: Final = {60: 0.99, 70: 0.97, 80: 0.90}
PUBLISHED: Final = {60: "0.56..0.84", 70: "0..0.31", 80: "0"}
PUBLISHED_BEST: Final = {60: 0.84, 70: 0.31, 80: 0.0}
WITHIN_US: Final = {False: 2 * SECOND, True: 8 * SECOND}
"""By whether the deaths are silent."""
SHUFFLES_AT_MOST: Final = {90: 2, 95: 5}
SHUFFLES_WAITED: Final = 12
PAPER_SHARES: Final = (10, 20, 30, 40, 50, 60, 70, 80, 90)
PAPER_REACHED: Final = {10: 1.0, 20: 1.0, 30: 1.0, 40: 0.985, 50: 0.95, 60: 0.70, 70: 0.155, 80: 0.0, 90: 0.0}
"""Fig. 6a, read off the plot; where it shows a range, the middle of it."""
PAPER_CYCLES: Final = {
    10: "0..1",
    20: "0..1",
    30: "0..1",
    40: "1",
    50: "1",
    60: "1..2",
    70: "1",
    80: "1..3",
    90: "2..4",
}
FAITHFUL: Final = 0.04
"""How far a point read off a printed plot may be away, plus the spread between seeds."""
WARM_SHUFFLES: Final = 12
"""The published overlays had lived for 50 cycles; passive views are full after about ten."""


@dataclass(frozen=True, slots=True)
class _Job:
    seed: int
    nodes: int
    quick: bool


@dataclass(frozen=True, slots=True)
class _Reach:
    dead: int
    silent: bool
    reached: float
    neighbors_max: int


@dataclass(frozen=True, slots=True)
class _Healed:
    dead: int
    took_us: Duration | None
    pieces: int
    neighbors_max: int


@dataclass(frozen=True, slots=True)
class _Paper:
    """``flooded`` is the mean over all senders; ``largest`` what a sender in the largest piece reaches."""

    dead: int
    flooded: float
    largest: float
    reached: float
    took_us: Duration | None


def grown(seed: int, nodes: int, overlay: OverlayConfig, *, shuffles: int, spread: bool) -> Field:
    """A field that everybody has joined and that has shuffled a few times since."""
    field = Field(seed, FieldConfig(members=nodes, overlay=overlay, spread=SpreadConfig() if spread else None))
    field.populate()
    field.run(shuffles * overlay.shuffle_us)
    field.watch()
    return field


def strike(field: Field, percent: int, *, silent: bool) -> list[int]:
    """So many die at once, drawn from the seed of the field; returns the survivors in random order."""
    order = list(range(len(field.members)))
    Rng(field.seed).child(f"deaths {percent}").shuffle(order)
    dead = len(order) * percent // 100
    field.die(sorted(order[:dead]), silent=silent)
    return order[dead:]


def _warm(job: _Job) -> int:
    return 1 if job.quick else WARM_SHUFFLES


def _reach(job: _Job) -> list[_Reach]:
    config = OverlayConfig()
    thaw = grown(job.seed, job.nodes, config, shuffles=_warm(job), spread=True).fork()
    found = []
    for silent in (False, True):
        for dead in REACHED_AT_LEAST:
            field = thaw()
            survivors = strike(field, dead, silent=silent)
            assert field.spread is not None
            sent = field.spread.broadcast(survivors[0])
            field.run(WITHIN_US[silent])
            found.append(_Reach(dead, silent, sent.delivered / len(survivors), _degree_max(field)))
    return found


def _healing(job: _Job) -> list[_Healed]:
    config = OverlayConfig()
    thaw = grown(job.seed, job.nodes, config, shuffles=_warm(job), spread=False).fork()
    found = []
    for dead in SHUFFLES_AT_MOST:
        field = thaw()
        strike(field, dead, silent=False)
        took = _whole(field, SHUFFLES_WAITED * config.shuffle_us)
        found.append(_Healed(dead, took, len(graph.pieces(field.graph())), _degree_max(field)))
    return found


def _paper(job: _Job) -> list[_Paper]:
    config = hyparview_paper()
    thaw = grown(job.seed, job.nodes, config, shuffles=_warm(job), spread=True).fork()
    found = []
    for dead in PAPER_SHARES:
        field = thaw()
        survivors = strike(field, dead, silent=False)
        sizes = [len(piece) / len(survivors) for piece in graph.pieces(field.graph())]
        assert field.spread is not None
        sent = field.spread.broadcast(survivors[0])
        field.run(WITHIN_US[False])
        reached = sent.delivered / len(survivors)
        took = _whole(field, SHUFFLES_WAITED * config.shuffle_us)
        waited = None if took is None else took + WITHIN_US[False]
        found.append(_Paper(dead, sum(size * size for size in sizes), sizes[0], reached, waited))
    return found


def _whole(field: Field, at_most_us: Duration) -> Duration | None:
    return field.wait(lambda: len(graph.pieces(field.graph())) == 1, at_most_us, 250 * MS)


def _degree_max(field: Field) -> int:
    return max(member.neighbors_max for member in field.members)


def run(plan: Plan) -> Found:
    """All parts that the plan wants."""
    nodes = plan.nodes or NODES
    bars: list[Bar] = []
    tables: dict[str, list[Row]] = {}
    curves: list[Curve] = []
    degrees: list[int] = []
    if plan.wants("reach"):
        jobs = [_Job(seed, nodes, plan.quick) for seed in plan.seed_range(SEEDS)]
        reaches = [reach for found in plan.each("reach", _reach, jobs) for reach in found]
        bars.extend(_reach_bars(reaches))
        tables["the first broadcast after the deaths, share of survivors reached"] = _reach_rows(reaches)
        degrees.extend(reach.neighbors_max for reach in reaches)
        curves.extend(_reach_curves(reaches))
    if plan.wants("healing"):
        jobs = [_Job(seed, nodes, plan.quick) for seed in plan.seed_range(SEEDS_HEALING)]
        healings = [healed for found in plan.each("healing", _healing, jobs) for healed in found]
        bars.extend(_healing_bars(healings))
        tables["one piece again after the deaths"] = _healing_rows(healings)
        degrees.extend(healed.neighbors_max for healed in healings)
    if plan.wants("paper"):
        jobs = [_Job(seed, nodes, plan.quick) for seed in plan.seed_range(SEEDS)]
        papers = [line for found in plan.each("paper", _paper, jobs) for line in found]
        bars.extend(_paper_bars(papers))
        tables["the paper's own parameters: views of 5 and 30, no exiles"] = _paper_rows(papers)
        curves.extend(_paper_curves(papers))
    if degrees:
        bars.append(Bar("most neighbors that any member had from the deaths on", max(degrees), DEGREE_MAX, "neighbors"))
    picture = Picture("First broadcast after simultaneous deaths", "dead, %", "survivors reached", curves)
    return Found(bars, tables, _conditions(nodes, plan), picture if curves else None)


def _conditions(nodes: int, plan: Plan) -> dict[str, Cell]:
    return {
        "members": nodes,
        "links": "10..50 ms each, up to 2 ms jitter, no loss",
        "deaths": "at one instant; resets told by the dead machines, or (silent) 2.5 s without a heartbeat",
        "warm": f"{WARM_SHUFFLES} shuffles of 10 s" if not plan.quick else "1 shuffle of 10 s (quick)",
        "figures": "median over seeds unless said otherwise",
        "published": "PeerSim cycles, 10,000 members, no latency, broadcast over before any repair (Fig. 6)",
    }


def _reach_bars(reaches: list[_Reach]) -> list[Bar]:
    bars = []
    for silent in (False, True):
        for dead, least in REACHED_AT_LEAST.items():
            name = f"{dead} % die{' silently' if silent else ''}: reached within {WITHIN_US[silent] // SECOND} s"
            ours = middle(r.reached for r in reaches if (r.dead, r.silent) == (dead, silent))
            bars.append(Bar(name, ours, least, "of survivors", PUBLISHED_BEST[dead], at_most=False))
    return bars


def _reach_rows(reaches: list[_Reach]) -> list[Row]:
    rows: list[Row] = []
    for silent in (False, True):
        for dead in REACHED_AT_LEAST:
            ours = [r.reached for r in reaches if (r.dead, r.silent) == (dead, silent)]
            rows.append(
                {
                    "dead %": dead,
                    "silent": silent,
                    "within s": WITHIN_US[silent] // SECOND,
                    "ours": middle(ours),
                    "worst seed": min(ours),
                    "seeds": len(ours),
                    "published": PUBLISHED[dead],
                }
            )
    return rows


def _reach_curves(reaches: list[_Reach]) -> list[Curve]:
    curves = []
    for silent, name in ((False, "ours, resets, 2 s"), (True, "ours, silent deaths, 8 s")):
        points = [
            (dead, middle(r.reached for r in reaches if (r.dead, r.silent) == (dead, silent))) for dead in (60, 70, 80)
        ]
        curves.append(Curve(name, [(dead, share) for dead, share in points if share is not None]))
    return curves


def _shuffles(took_us: Duration | None, shuffle_us: Duration) -> int | None:
    """How many whole shuffle periods it took, begun ones counted."""
    return None if took_us is None else -(-took_us // shuffle_us)


def _healing_bars(healings: list[_Healed]) -> list[Bar]:
    shuffle_us = OverlayConfig().shuffle_us
    bars = []
    for dead, most in SHUFFLES_AT_MOST.items():
        took = [_shuffles(h.took_us, shuffle_us) for h in healings if h.dead == dead]
        known = [count for count in took if count is not None]
        worst = max(known) if known and len(known) == len(took) else None
        bars.append(Bar(f"{dead} % die: one piece, worst of {len(took)} seeds", worst, most, "shuffles"))
    return bars


def _healing_rows(healings: list[_Healed]) -> list[Row]:
    rows: list[Row] = []
    for dead in SHUFFLES_AT_MOST:
        found = [h for h in healings if h.dead == dead]
        known = [h.took_us / SECOND for h in found if h.took_us is not None]
        rows.append(
            {
                "dead %": dead,
                "seeds": len(found),
                "whole": len(known),
                "median s": middle(known),
                "worst s": max(known, default=None),
                "pieces left at most": max(h.pieces for h in found),
                "published cycles": PAPER_CYCLES.get(dead, "islands for ever"),
            }
        )
    return rows


def _paper_bars(papers: list[_Paper]) -> list[Bar]:
    """The reproduction is faithful where the plot can be read: up to half of the members dead."""
    bars = []
    for dead in (30, 40, 50):
        ours = middle(line.largest for line in papers if line.dead == dead)
        away = None if ours is None else abs(ours - PAPER_REACHED[dead])
        name = f"paper's parameters, {dead} % die: largest piece left, away from the published {PAPER_REACHED[dead]}"
        bars.append(Bar(name, away, FAITHFUL, "of survivors"))
    return bars


def _paper_rows(papers: list[_Paper]) -> list[Row]:
    shuffle_us = hyparview_paper().shuffle_us
    rows: list[Row] = []
    for dead in PAPER_SHARES:
        found = [line for line in papers if line.dead == dead]
        took = [_shuffles(line.took_us, shuffle_us) for line in found]
        known = [count for count in took if count is not None]
        rows.append(
            {
                "dead %": dead,
                "largest piece, no repair": middle(line.largest for line in found),
                "any sender, no repair": middle(line.flooded for line in found),
                "published": PAPER_REACHED[dead],
                "with repair, 2 s": middle(line.reached for line in found),
                "shuffles to one piece": middle(known),
                "whole seeds": f"{len(known)} of {len(found)}",
                "published cycles": PAPER_CYCLES[dead],
            }
        )
    return rows


def _paper_curves(papers: list[_Paper]) -> list[Curve]:
    flooded = [(dead, middle(line.largest for line in papers if line.dead == dead)) for dead in PAPER_SHARES]
    return [
        Curve(
            "paper's parameters, flood without repair", [(dead, share) for dead, share in flooded if share is not None]
        ),
        Curve("published (Fig. 6a)", list(PAPER_REACHED.items())),
    ]
