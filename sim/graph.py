"""Figures of an overlay as a graph: pieces, degrees, distances, and how fast a flood could be.

A graph is a list that holds, for each member by number, the numbers of its neighbors; members that do not count
(because they are dead) are given as None. A neighbor that does not count, or that does not agree, is no neighbor.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from protocol.clock import Duration
from protocol.rng import Rng

Graph: TypeAlias = Sequence[Sequence[int] | None]


def mutual(neighbors: Sequence[Mapping[int, object]], living: Sequence[bool]) -> list[list[int] | None]:
    """The graph of links on which both ends agree."""
    return [
        [other for other in view if living[other] and one in neighbors[other]] if living[one] else None
        for one, view in enumerate(neighbors)
    ]


def pieces(graph: Graph) -> list[list[int]]:
    """The connected components, the largest first; of equals the one with the lowest member first."""
    seen = [False] * len(graph)
    found: list[list[int]] = []
    for start, view in enumerate(graph):
        if view is None or seen[start]:
            continue
        seen[start] = True
        piece = [start]
        for member in piece:  # grows while it is walked
            for other in graph[member] or ():
                if not seen[other]:
                    seen[other] = True
                    piece.append(other)
        found.append(piece)
    return sorted(found, key=lambda piece: (-len(piece), min(piece)))


def reached(graph: Graph, start: int) -> dict[int, int]:
    """Who is reached from ``start``, and in how many hops at least."""
    hops = {start: 0}
    queue = [start]
    for member in queue:
        for other in graph[member] or ():
            if other not in hops:
                hops[other] = hops[member] + 1
                queue.append(other)
    return hops


def flood_us(graph: Graph, start: int, latency_us: Callable[[int, int], Duration]) -> Duration:
    """When the last member that can be reached hears of what ``start`` floods: the longest of the shortest ways.

    Only latencies count: no jitter, no work, no rounding. Nothing that obeys the same latencies can be faster.
    """
    known = {start: 0}
    done: dict[int, None] = {}
    heap: list[tuple[Duration, int]] = [(0, start)]
    last = 0
    while heap:
        at, member = heapq.heappop(heap)
        if member in done:
            continue
        done[member] = None
        last = at
        for other in graph[member] or ():
            there = at + latency_us(member, other)
            if there < known.get(other, there + 1):
                known[other] = there
                heapq.heappush(heap, (there, other))
    return last


@dataclass(frozen=True, slots=True)
class Figures:
    """What the literature reports of an overlay; path and farthest hop are means over ``sampled`` members."""

    members: int
    pieces: int
    largest: int
    degree_mean: float
    degree_max: int
    degree_min: int
    clustering: float
    path: float
    farthest: float
    sampled: int


def figures(graph: Graph, rng: Rng, samples: int = 30) -> Figures:
    """Measure a graph; distances from a sample of its members."""
    members = [member for member, view in enumerate(graph) if view is not None]
    degrees = [len(graph[member] or ()) for member in members]
    islands = pieces(graph)
    chosen = rng.sample(members, samples)
    paths, far = [], []
    for member in chosen:
        hops = reached(graph, member)
        if len(hops) > 1:
            paths.append(sum(hops.values()) / (len(hops) - 1))
            far.append(max(hops.values()))
    return Figures(
        members=len(members),
        pieces=len(islands),
        largest=len(islands[0]) if islands else 0,
        degree_mean=sum(degrees) / max(1, len(degrees)),
        degree_max=max(degrees, default=0),
        degree_min=min(degrees, default=0),
        clustering=_clustering(graph, members),
        path=sum(paths) / max(1, len(paths)),
        farthest=sum(far) / max(1, len(far)),
        sampled=len(chosen),
    )


def _clustering(graph: Graph, members: Sequence[int]) -> float:
    """The mean share of pairs of a member's neighbors that are neighbors themselves."""
    total = 0.0
    views = {member: dict.fromkeys(graph[member] or ()) for member in members}
    for member in members:
        around = list(views[member])
        pairs = len(around) * (len(around) - 1) // 2
        if pairs:
            closed = sum(
                1 for number, one in enumerate(around) for other in around[number + 1 :] if other in views.get(one, ())
            )
            total += closed / pairs
    return total / max(1, len(members))
