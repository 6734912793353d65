"""Turns what the hubs recorded into figures: how old, how right, how soon.

All hubs of a demonstration share one boot clock, so an age is the true one: when a value was shown minus when its
author made it, not what the unsigned age field says.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from protocol.bars import percentile
from protocol.clock import MS, SECOND

HOP_MS = 100
REACH_STEP_US = 100_000


@dataclass(frozen=True, slots=True)
class Timeline:
    """Boot times (us) of what the script did."""

    command: int
    last_ready: int
    linked: int
    first_picture: int
    cut: int
    heal: int
    end: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """One hub showing one author's value at one instant."""

    at: int
    hub: int
    author: int
    boot: int
    seq: int
    lease_left_us: int
    value: float | None


class Records:
    """All hubs' recordings, with authors as hub indices."""

    def __init__(self, dumps: list[dict[str, Any]], authors: list[str]) -> None:
        index = {author: number for number, author in enumerate(authors)}
        self.size = len(authors)
        self.sightings: list[Sighting] = []
        self.made: dict[tuple[int, int, int], tuple[int, float | None]] = {}
        self.reach: list[list[tuple[int, frozenset[int]]]] = []
        for hub, dump in enumerate(dumps):
            names = [index[author] for author in dump["authors"]]
            for at, author, boot, seq, _age, lease_left, _hops, value in dump["rows"]:
                self.sightings.append(Sighting(at, hub, names[author], boot, seq, lease_left, value))
            for made_at, boot, seq, value in dump["own"]:
                self.made[(hub, boot, seq)] = (made_at, value)
            self.reach.append([(at, frozenset(names[i] for i in inside)) for at, inside in dump["reach"]])

    def age_us(self, sighting: Sighting) -> int | None:
        """The true age of a shown value; None if its author's recorder missed it."""
        made = self.made.get((sighting.author, sighting.boot, sighting.seq))
        return None if made is None else sighting.at - made[0]


def hops_between(links: list[set[int]]) -> list[list[int]]:
    """Breadth-first distances in the link graph; a large number where there is no path."""
    out = []
    for start in range(len(links)):
        distance = [1_000] * len(links)
        distance[start] = 0
        queue = deque([start])
        while queue:
            here = queue.popleft()
            for there in links[here]:
                if distance[there] > distance[here] + 1:
                    distance[there] = distance[here] + 1
                    queue.append(there)
        out.append(distance)
    return out


@dataclass(frozen=True, slots=True)
class Ages:
    """Ages in ms while the crowd was whole; ``excess`` is the age above cadence + 100 ms x hops."""

    n: int
    p50_ms: float | None
    p99_ms: float | None
    p99_excess_ms: float | None
    worst_ms: float | None
    missing: int


def judge_ages(records: Records, whole: list[tuple[int, int]], hops: list[list[int]], cadence_ms: int) -> Ages:
    """How old shown values were in the ``whole`` intervals, every pair and every 100 ms; a pair that showed nothing
    at a sampled instant counts as missing."""
    ages: list[float] = []
    excess: list[float] = []
    shown: dict[tuple[int, int], int] = {}
    for sighting in records.sightings:
        if not any(since <= sighting.at < until for since, until in whole):
            continue
        instant = (sighting.hub, sighting.at)
        shown[instant] = shown.get(instant, 0) + 1
        age = records.age_us(sighting)
        if age is not None:
            ages.append(age / MS)
            excess.append(age / MS - cadence_ms - HOP_MS * hops[sighting.hub][sighting.author])
    missing = sum(records.size - count for count in shown.values())
    return Ages(
        len(ages),
        percentile(ages, 0.5),
        percentile(ages, 0.99),
        percentile(excess, 0.99),
        max(ages, default=None),
        missing,
    )


def wrong_values(records: Records) -> int:
    """How often a hub showed something that its author did not say."""
    return sum(
        1
        for s in records.sightings
        if (s.author, s.boot, s.seq) in records.made and records.made[(s.author, s.boot, s.seq)][1] != s.value
    )


def unaccounted(records: Records) -> int:
    """Shown values whose author has no record of them (its recorder samples every 100 ms)."""
    return sum(1 for s in records.sightings if (s.author, s.boot, s.seq) not in records.made)


def past_lease(records: Records) -> int:
    """How often a hub showed a value older than its lease."""
    return sum(1 for s in records.sightings if s.lease_left_us <= 0)


def noticed_s(records: Records, groups: list[list[int]], cut: int, heal: int) -> list[float | None]:
    """For each hub, how long after the cut it knew exactly its own side, for good; None if it never did."""
    out: list[float | None] = []
    for hub in range(records.size):
        side = frozenset(next(group for group in groups if hub in group))
        found: int | None = None
        for at, inside in records.reach[hub]:
            if at >= heal:
                break
            if at >= cut or inside == side:
                found = (found if found is not None else max(at, cut)) if inside == side else None
        out.append(None if found is None else (found - cut) / SECOND)
    return out


def side_means(
    dumps: list[dict[str, Any]], groups: list[list[int]], cut: int, heal: int
) -> tuple[float | None, float | None]:
    """The two sides' crowd means at the last sampled instant of the cut at which both sides had one.

    A half of five loses its figure while one of the five is too poor in quality to count, so a single look at the
    end would often find nothing to compare.
    """
    seen = []
    for group in groups:
        means: dict[int, float | None] = {}
        for at, _inside, outside, _n, mean, _links in dumps[group[0]]["crowd"]:
            if cut <= at < heal and outside == sum(len(other) for other in groups if other is not group):
                means[at // REACH_STEP_US] = mean
        seen.append(means)
    both = [at for at, mean in seen[0].items() if mean is not None and seen[1].get(at) is not None]
    return (seen[0][max(both)], seen[1][max(both)]) if both else (None, None)


def recovered_s(records: Records, hops: list[list[int]], heal: int, cadence_ms: int) -> float | None:
    """How long after the heal the last (hub, author) pair was first shown a fresh value; None if one never was."""
    first: dict[tuple[int, int], int] = {}
    for sighting in records.sightings:
        pair = (sighting.hub, sighting.author)
        if sighting.at < heal or pair in first:
            continue
        age = records.age_us(sighting)
        limit = (cadence_ms + HOP_MS * hops[sighting.hub][sighting.author]) * MS
        if age is not None and age <= limit:
            first[pair] = sighting.at
    if len(first) < records.size * records.size:
        return None
    return (max(first.values()) - heal) / SECOND
