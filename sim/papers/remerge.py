"""How an overlay that was split becomes one again: what HyParView, serf and Akka do not do, or not soon.

Source: the published behaviour is in docs and issue threads, not in a paper: HyParView and iroh-gossip never merge two
halves again ("re-introduction is the application's responsibility"), serf dials a lost member each 30 s, Akka wants
a human. Here the crowd is cut in two (nobody is told), lives an hour of virtual time as two crowds, and the path
comes back (nobody is told either, except by multicast discovery in the part that has it). *Whole* means that the
graph of mutual neighbors is one piece; *woven* means at least 8 log2 N links across, so that it will stay one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from protocol.bars import Bar, percentile
from protocol.clock import MINUTE, MS, SECOND, Duration
from protocol.membership.overlay_values import OverlayConfig
from protocol.rng import Rng
from sim import graph
from sim.field import Field
from sim.members import FieldConfig
from sim.papers import Cell, Curve, Found, Picture, Plan, Row, middle

ABOUT: Final = "when two halves that lived apart for an hour are one crowd again, and what a flapping path costs"
PARTS: Final = ("half", "tenth", "small", "flaps")
NODES: Final = 10_000
NODES_SMALL: Final = 10
NODES_FLAPS: Final = 1_000
SEEDS: Final = 5
SHARE: Final = {"half": 50, "tenth": 90, "small": 50, "flaps": 50}
APART_US: Final = 60 * MINUTE
APART_QUICK_US: Final = 2 * MINUTE
WHOLE_AT_MOST_US: Final = {"half": 10 * SECOND, "tenth": 10 * SECOND, "small": 15 * SECOND}
WOVEN_AT_MOST_US: Final = MINUTE
WAIT_US: Final = 5 * MINUTE
DISCOVERY_US: Final = 10 * SECOND
PUBLISHED: Final = {
    "half": "never (HyParView, iroh-gossip); first dial within 30 s (serf); by hand (Akka)",
    "tenth": "never (HyParView, iroh-gossip); first dial within 30 s (serf); by hand (Akka)",
    "small": "29 s at p99 where exiles are dialled each 30 s (model)",
}
FLAPS: Final = 100
FLAPS_QUICK: Final = 5
FLAP_US: Final = 10 * SECOND
"""So long cut, so long whole: cut long enough for every link across to be given up, whole long enough to be found."""
ATTEMPTS_AT_MOST: Final = 2.0
"""A second, mean over members: at most four dials at once of one second each would be 4; half of that is calm."""
CALM_AT_MOST: Final = 0.2
"""A second, in the minute that begins a minute after the last flap."""


@dataclass(frozen=True, slots=True)
class _Job:
    part: str
    seed: int
    nodes: int
    quick: bool
    discovery: bool = False


@dataclass(frozen=True, slots=True)
class _Merged:
    part: str
    discovery: bool
    apart_pieces: tuple[int, int]
    whole_us: Duration | None
    woven_us: Duration | None
    attempts: float
    neighbors_max: int


@dataclass(frozen=True, slots=True)
class _Flapped:
    discovery: bool
    mean: float
    p99: float
    most: float
    links: float
    calm: float
    whole_us: Duration | None
    neighbors_max: int


def _grown(job: _Job) -> Field:
    discovery_us = DISCOVERY_US if job.discovery else None
    field = Field(job.seed, FieldConfig(members=job.nodes, discovery_us=discovery_us))
    field.populate()
    field.run((1 if job.quick else 3) * OverlayConfig().shuffle_us)
    field.watch()
    return field


def sides(field: Field, percent: int) -> list[int]:
    """Who is on which side of the cut: ``percent`` on the first, drawn from the seed of the field."""
    order = list(range(len(field.members)))
    Rng(field.seed).child(f"sides {percent}").shuffle(order)
    side = [1] * len(order)
    for number in order[: len(order) * percent // 100]:
        side[number] = 0
    return side


def crossing(field: Field, side: list[int]) -> int:
    """How many links of the overlay lead from one side to the other."""
    return sum(1 for one, view in enumerate(field.graph()) for other in view or () if side[one] < side[other])


def _merge(job: _Job) -> list[_Merged]:
    """One hour apart, and from there both ways: without discovery and with it."""
    field = _grown(job)
    side = sides(field, SHARE[job.part])
    field.cut(side)
    field.run(APART_QUICK_US if job.quick else APART_US)
    thaw = field.fork()
    return [_whole_again(job, thaw(), side, discovery=discovery) for discovery in (False, True)]


def _whole_again(job: _Job, field: Field, side: list[int], *, discovery: bool) -> _Merged:
    apart = field.graph()
    halves = [graph.pieces([view if side[one] == s else None for one, view in enumerate(apart)]) for s in (0, 1)]
    attempts = sum(member.attempts for member in field.members)
    field.heal(DISCOVERY_US if discovery else None)
    whole = field.wait(lambda: len(graph.pieces(field.graph())) == 1, WAIT_US, 100 * MS)
    wanted = min(8 * math.log2(job.nodes), job.nodes / 4)
    more = field.wait(lambda: crossing(field, side) >= wanted, WAIT_US, 100 * MS)
    woven = None if whole is None or more is None else whole + more
    spent = (sum(member.attempts for member in field.members) - attempts) / job.nodes
    most = max(member.neighbors_max for member in field.members)
    return _Merged(job.part, discovery, (len(halves[0]), len(halves[1])), whole, woven, spent, most)


def _flap(job: _Job) -> _Flapped:
    field = _grown(job)
    side = sides(field, SHARE[job.part])
    before = [member.attempts for member in field.members]
    links = field.counters.links
    flaps = FLAPS_QUICK if job.quick else FLAPS
    for _ in range(flaps):
        field.cut(side)
        field.run(FLAP_US)
        field.heal()
        field.run(FLAP_US)
    seconds = 2 * flaps * FLAP_US / SECOND
    attempts = sorted(member.attempts - old for member, old in zip(field.members, before, strict=True))
    made = (field.counters.links - links) / seconds / job.nodes
    whole = field.wait(lambda: len(graph.pieces(field.graph())) == 1, WAIT_US, 100 * MS)
    field.run(MINUTE)
    calm = sum(member.attempts for member in field.members)
    field.run(MINUTE)
    calm = sum(member.attempts for member in field.members) - calm
    return _Flapped(
        job.discovery,
        sum(attempts) / len(attempts) / seconds,
        (percentile(attempts, 0.99) or 0) / seconds,
        attempts[-1] / seconds,
        made,
        calm / 60 / job.nodes,
        whole,
        max(member.neighbors_max for member in field.members),
    )


def run(plan: Plan) -> Found:
    """All parts that the plan wants, each with and without multicast discovery."""
    merged: list[_Merged] = []
    for part in ("half", "tenth", "small"):
        if plan.wants(part):
            jobs = [_Job(part, seed, _nodes(plan, part), plan.quick) for seed in plan.seed_range(SEEDS)]
            merged.extend(line for found in plan.each(part, _merge, jobs) for line in found)
    flapped: list[_Flapped] = []
    if plan.wants("flaps"):
        seeds, nodes = plan.seed_range(SEEDS), _nodes(plan, "flaps")
        jobs = [_Job("flaps", seed, nodes, plan.quick, found) for found in (False, True) for seed in seeds]
        flapped = plan.each("flaps", _flap, jobs)
    tables: dict[str, list[Row]] = {}
    if merged:
        tables["whole again after the path is back"] = _merged_rows(merged)
    if flapped:
        tables["dials while the path flaps, per member and second"] = _flapped_rows(flapped)
    return Found(_bars(merged, flapped), tables, _conditions(plan), _picture(merged))


def _nodes(plan: Plan, part: str) -> int:
    if part == "small":
        return NODES_SMALL
    return plan.nodes or (NODES_FLAPS if part == "flaps" else NODES)


def _conditions(plan: Plan) -> dict[str, Cell]:
    return {
        "members": f"{_nodes(plan, 'half')}, small: {NODES_SMALL}, flaps: {_nodes(plan, 'flaps')}",
        "apart": f"{(APART_QUICK_US if plan.quick else APART_US) // MINUTE} min of virtual time, nobody is told",
        "links": "10..50 ms each, up to 2 ms jitter, no loss",
        "discovery": f"none; or every member hears of 8 random others within {DISCOVERY_US // SECOND} s of the heal",
        "flaps": f"{FLAPS_QUICK if plan.quick else FLAPS} times {FLAP_US // SECOND} s cut, {FLAP_US // SECOND} s whole",
        "figures": "median over seeds unless said otherwise",
    }


def _bars(merged: list[_Merged], flapped: list[_Flapped]) -> list[Bar]:
    bars: list[Bar] = []
    for part, most in WHOLE_AT_MOST_US.items():
        for discovery in (False, True):
            found = [m for m in merged if (m.part, m.discovery) == (part, discovery)]
            if found:
                name = f"{part}, {'with' if discovery else 'without'} discovery: whole again"
                bars.append(Bar(name, _seconds(m.whole_us for m in found), most / SECOND, "s", _theirs(part)))
                if part != "small":
                    woven = _seconds(m.woven_us for m in found)
                    bars.append(Bar(f"{name}, 8 log2 N links across", woven, WOVEN_AT_MOST_US / SECOND, "s"))
    for discovery in (False, True):
        flaps = [f for f in flapped if f.discovery == discovery]
        if flaps:
            name = f"flaps, {'with' if discovery else 'without'} discovery"
            bars.append(
                Bar(f"{name}: dials a member and second", middle(f.mean for f in flaps), ATTEMPTS_AT_MOST, "/s")
            )
            bars.append(Bar(f"{name}: a minute later", middle(f.calm for f in flaps), CALM_AT_MOST, "/s"))
            whole = _seconds(f.whole_us for f in flaps)
            bars.append(Bar(f"{name}: whole after the last", whole, WHOLE_AT_MOST_US["half"] / SECOND, "s"))
    degrees = [*(m.neighbors_max for m in merged if m.part != "small"), *(f.neighbors_max for f in flapped)]
    if degrees:
        bars.append(
            Bar(
                "most neighbors that any member had from the cut on",
                max(degrees),
                OverlayConfig().active_max,
                "neighbors",
            )
        )
    return bars


def _theirs(part: str) -> float | None:
    return 29.0 if part == "small" else 30.0


def _seconds(values: Iterable[Duration | None]) -> float | None:
    return middle(None if value is None else value / SECOND for value in values)


def _merged_rows(merged: list[_Merged]) -> list[Row]:
    rows: list[Row] = []
    for part in WHOLE_AT_MOST_US:
        for discovery in (False, True):
            found = [m for m in merged if (m.part, m.discovery) == (part, discovery)]
            if found:
                rows.append(
                    {
                        "split": f"{SHARE[part]}/{100 - SHARE[part]}" + (" of 10" if part == "small" else ""),
                        "discovery": discovery,
                        "seeds": len(found),
                        "whole s": _seconds(m.whole_us for m in found),
                        "worst s": max((m.whole_us / SECOND for m in found if m.whole_us is not None), default=None),
                        "never": sum(1 for m in found if m.whole_us is None),
                        "woven s": _seconds(m.woven_us for m in found),
                        "pieces while apart": max(max(m.apart_pieces) for m in found),
                        "dials a member": middle(m.attempts for m in found),
                        "published": PUBLISHED[part],
                    }
                )
    return rows


def _flapped_rows(flapped: list[_Flapped]) -> list[Row]:
    rows: list[Row] = []
    for discovery in (False, True):
        found = [f for f in flapped if f.discovery == discovery]
        if found:
            rows.append(
                {
                    "discovery": discovery,
                    "seeds": len(found),
                    "mean": middle(f.mean for f in found),
                    "p99": middle(f.p99 for f in found),
                    "most": max(f.most for f in found),
                    "links made": middle(f.links for f in found),
                    "a minute later": middle(f.calm for f in found),
                    "whole s": _seconds(f.whole_us for f in found),
                }
            )
    return rows


def _picture(merged: list[_Merged]) -> Picture | None:
    curves = []
    for part in WHOLE_AT_MOST_US:
        for discovery in (False, True):
            found = sorted(m.whole_us for m in merged if (m.part, m.discovery) == (part, discovery) and m.whole_us)
            points = [(took / SECOND, (number + 1) / len(found)) for number, took in enumerate(found)]
            if points:
                curves.append(Curve(f"{part}, {'with' if discovery else 'without'} discovery", points))
    return (
        Picture("Whole again after a split", "s after the path is back", "share of seeds", curves) if curves else None
    )
