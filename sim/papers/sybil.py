"""A crowd of false names behind a few honest people who were taken in: how much it weighs and how many seats it gets.

Source: the measure is SybilLimit's (Yu et al. 2008) and SybilRank's (Cao et al. 2012): what false names gain *per
attack edge*, a word of an honest hub for one of them. Both publish O(log n) of them accepted per edge, n being the
honest hubs. Ours is a sharper claim about less: all false names together weigh no more than one honest contact for
each attack edge. The honest are a small world (Watts and Strogatz 1998) of people who vouch for those around them. The
walks and gates are the hub's own (``protocol.trust``); the graph is laid under the walks directly, because nobody could
ever tell a hub the 16 million words of a clique. Beside it: what the same walks would give by plain visits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log2
from statistics import median
from typing import Final

from protocol.bars import Bar
from protocol.ids import AuthorId
from protocol.rng import Rng
from protocol.trust import gates
from protocol.trust.values import TrustConfig
from protocol.trust.walks import Walks
from sim.papers import Cell, Found, Plan, Row

ABOUT: Final = "what a crowd of false names weighs, and how many seats it gets, for each honest hub that was taken in"
PARTS: Final = ("clique", "star", "chain")
HONEST: Final = 1_000
AROUND: Final = 10
REWIRED: Final = 0.2
SYBILS: Final = (10, 100, 1_000, 4_000)
ATTACK_EDGES: Final = (1, 2, 5, 10, 20, 50)
PLACES: Final = ("anywhere", "near")
"""Where the attack edges begin: at random honest hubs; or the first at the judge itself, the next at its contacts."""
SEEDS: Final = 5

Edges = dict[AuthorId, dict[AuthorId, float]]


@dataclass(frozen=True, slots=True)
class _Job:
    seed: int
    honest: int
    shapes: tuple[str, ...]
    sybils: tuple[int, ...]
    edges: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Case:
    """One judge's view of one attack; ``away``: half of the honest are not here and all false names are."""

    shape: str
    sybils: int
    edges: int
    place: str
    away: bool
    ratio: float
    seats: int
    visits: float
    contacts_whole: bool
    honest_counted: int


def honest_hub(number: int) -> AuthorId:
    """One of the honest."""
    return AuthorId(b"\x01" + number.to_bytes(31, "big"))


def sybil(number: int) -> AuthorId:
    """A false name."""
    return AuthorId(b"\x02" + number.to_bytes(31, "big"))


def small_world(count: int, rng: Rng) -> Edges:
    """Everybody vouches for ``AROUND`` neighbors on a ring and they for them, but for a share of others anywhere."""
    edges: Edges = {honest_hub(number): {} for number in range(count)}
    for number in range(count):
        for step in range(1, AROUND // 2 + 1):
            other = rng.below(count) if rng.chance(REWIRED) else (number + step) % count
            if other != number:
                edges[honest_hub(number)][honest_hub(other)] = 1.0
                edges[honest_hub(other)][honest_hub(number)] = 1.0
    return edges


def crowd(shape: str, count: int) -> Edges:
    """How the false names vouch for each other. In a clique each also for itself, which costs it nothing."""
    if shape == "clique":
        everybody = dict.fromkeys((sybil(number) for number in range(count)), 1.0)
        return dict.fromkeys(everybody, everybody)
    if shape == "star":
        middle = sybil(0)
        return {
            middle: dict.fromkeys((sybil(number) for number in range(1, count)), 1.0),
            **{sybil(number): {middle: 1.0} for number in range(1, count)},
        }
    return {sybil(number): {sybil(number + 1): 1.0} for number in range(count - 1)}


def attacked(honest: Edges, false: Edges, sybils: int, own: AuthorId, edges: int, place: str, rng: Rng) -> Edges:
    """Both together, with so many different attack edges."""
    everybody: Edges = {**honest, **false}
    hosts = list(honest)
    rng.shuffle(hosts)
    if place == "near":
        hosts = list(dict.fromkeys((own, *honest[own], *hosts)))
    targets = [sybil(number) for number in rng.sample(range(sybils), min(sybils, edges))]
    for number in range(edges):
        host = hosts[number % len(hosts)]
        everybody[host] = {**everybody[host], targets[number % len(targets)]: 1.0}
    return everybody


def _judged(job: _Job) -> list[_Case]:
    rng = Rng(job.seed)
    honest = small_world(job.honest, rng.child("honest"))
    found: list[_Case] = []
    for shape in job.shapes:
        for sybils in job.sybils:
            false = crowd(shape, sybils)
            for edges in job.edges:
                for place in PLACES:
                    draws = rng.child(f"{shape} {sybils} {edges} {place}")
                    own = honest_hub(draws.below(job.honest))
                    graph = attacked(honest, false, sybils, own, edges, place, draws)
                    found += _views(_Attack(shape, sybils, edges, place), graph, honest, own, draws)
    return found


@dataclass(frozen=True, slots=True)
class _Attack:
    shape: str
    sybils: int
    edges: int
    place: str


def _views(attack: _Attack, graph: Edges, honest: Edges, own: AuthorId, rng: Rng) -> Iterator[_Case]:
    config = TrustConfig()
    walks = Walks(own, config.walks, config.restart, config.steps_max, rng.child("walks"))
    walks.edges.update(graph)
    walks.draw()
    false = [sybil(number) for number in range(attack.sybils)]
    contacts = list(honest[own])
    plain = {name: len(numbers) for name, numbers in walks.visits.items()}
    visits = sum(plain.get(name, 0) for name in false) / max(1, median(plain.get(name, 0) for name in contacts))
    for away in (False, True):
        here = [name for name in honest if not away or rng.chance(0.5)]
        weights = gates.weights(walks, own, [*here, *false], lambda _: False)
        seated = gates.seats(walks, own, [*here, *false], lambda _: False)
        among = frozenset(here)
        usual = [weights.get(name, 0.0) for name in contacts if name in among]
        yield _Case(
            *(attack.shape, attack.sybils, attack.edges, attack.place, away),
            ratio=_ratio(weights, false, attack.edges, median(usual or [1.0])),
            seats=sum(1 for name in seated if name not in honest),
            visits=visits / attack.edges,
            contacts_whole=all(weight == 1.0 for weight in usual),
            honest_counted=sum(1 for name in here if weights.get(name)),
        )


def _ratio(weights: Mapping[AuthorId, float], false: list[AuthorId], edges: int, usual: float) -> float:
    """What the false names weigh together, in honest contacts for each attack edge."""
    return sum(weights.get(name, 0.0) for name in false) / (edges * usual) if usual else float("inf")


def run(plan: Plan) -> Found:
    """Every shape, size and number of attack edges."""
    shapes = tuple(part for part in PARTS if plan.wants(part))
    honest = plan.nodes or HONEST
    sybils, edges = (SYBILS[:2], ATTACK_EDGES[::2]) if plan.quick else (SYBILS, ATTACK_EDGES)
    jobs = [_Job(seed, honest, shapes, sybils, edges) for seed in plan.seed_range(SEEDS)]
    cases = [case for found in plan.each("attacks", _judged, jobs) for case in found]
    conditions: dict[str, Cell] = {
        "honest": f"{honest}, a small world; {AROUND} contacts each on average, {REWIRED:.0%} of them anywhere",
        "false names": ", ".join(map(str, sybils)),
        "attack edges": ", ".join(map(str, edges)),
        "begin": "at random honest hubs; or at the judge and its contacts first",
        "here": "everybody; or half of the honest and all false names",
        "walks": f"{TrustConfig().walks} from the judge, restart {TrustConfig().restart}",
        "published": f"SybilLimit, SybilRank: O(log n) false names an attack edge; log2 {honest} is {log2(honest):.0f}",
        "cases": len(cases),
    }
    return Found(_bars(cases, shapes), {"worst of all seeds, judges and places": _rows(cases)}, conditions)


def _bars(cases: list[_Case], shapes: tuple[str, ...]) -> list[Bar]:
    bars: list[Bar] = []
    for shape in shapes:
        found = [case for case in cases if case.shape == shape]
        weight = max(case.ratio for case in found)
        plain = max(case.visits for case in found)
        bars += [
            Bar(f"{shape}: weight of all false names for each attack edge", weight, 1.0, "median contacts", plain),
            Bar(f"{shape}: seats for each attack edge", max(case.seats / case.edges for case in found), 1.0, "seats"),
        ]
    whole = sum(case.contacts_whole for case in cases) / len(cases)
    bars.append(Bar("honest contacts who are here weigh one whole", whole, 1.0, "of cases", at_most=False))
    return bars


def _rows(cases: list[_Case]) -> list[Row]:
    rows: list[Row] = []
    for shape, sybils, edges in dict.fromkeys((case.shape, case.sybils, case.edges) for case in cases):
        found = [case for case in cases if (case.shape, case.sybils, case.edges) == (shape, sybils, edges)]
        rows.append(
            {
                "shape": shape,
                "false names": sybils,
                "attack edges": edges,
                "weight an edge": max(case.ratio for case in found),
                "by plain visits": max(case.visits for case in found),
                "seats": max(case.seats for case in found),
                "honest who count, half away": median(case.honest_counted for case in found if case.away),
            }
        )
    return rows
