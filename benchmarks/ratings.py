"""Ratings between strangers in time order, and what published methods predict of each before it is seen.

Sources: Kumar et al., "Edge weight prediction in weighted signed networks" (ICDM 2016) for fairness and goodness;
Haveliwala 2002 for personalised PageRank. Both may use everything that anybody has said so far, all over the graph, and
are computed anew (fairness-goodness: one round from where it stood) for every prediction: they are given more than
our own standing, not less. A file has rows ``source,target,rating,seconds``, as the Bitcoin-OTC trust network has.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocol.errors import ConfigError

RATING_MAX: Final = 10
PAGERANK_ROUNDS: Final = 20
"""0.8^20: one percent of the walk is left."""

Floats: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Rating:
    """``rater`` said ``rating`` (-10..10, never 0) of ``subject``; people are numbered from 0."""

    rater: int
    subject: int
    rating: int
    utc_ms: int


def read_ratings(path: Path) -> list[Rating]:
    """The file's ratings in the order in which they were given.

    Raises:
        ConfigError: it is no such file.
    """
    numbers: dict[str, int] = {}
    found: list[Rating] = []
    try:
        packed = path.read_bytes()
        lines = (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode().splitlines()
        for row in csv.reader(lines):
            if row and row[0].isdigit():
                rater, subject = (numbers.setdefault(name, len(numbers)) for name in row[:2])
                found.append(Rating(rater, subject, int(row[2]), int(float(row[3]) * 1000)))
    except (OSError, EOFError, ValueError, IndexError) as fault:
        raise ConfigError(f"{path}: no ratings: {fault}") from fault
    if len(found) < 100 or any(not 0 < abs(one.rating) <= RATING_MAX for one in found):
        raise ConfigError(f"{path}: fewer than 100 ratings, or one that is not -10..-1 or 1..10")
    return sorted(found, key=lambda one: one.utc_ms)


class Past:
    """What has been said before the present rating, as arrays; a pair that speaks again changes its edge."""

    def __init__(self, ratings: Sequence[Rating]) -> None:
        self.people = 1 + max(max(one.rater, one.subject) for one in ratings)
        self._at: dict[tuple[int, int], int] = {}
        self._tail: Counts = np.zeros(len(ratings), np.intp)
        self._head: Counts = np.zeros(len(ratings), np.intp)
        self._rating: Floats = np.zeros(len(ratings))
        self.total = 0.0
        self.goodness: Floats = np.zeros(self.people)
        self.fairness: Floats = np.ones(self.people)
        self.rated: Counts = np.zeros(self.people, np.intp)

    def learn(self, one: Rating) -> None:
        """Now it has been seen."""
        at = self._at.setdefault((one.rater, one.subject), len(self._at))
        self._tail[at], self._head[at] = one.rater, one.subject
        self.total += one.rating / RATING_MAX - self._rating[at]
        self._rating[at] = one.rating / RATING_MAX
        self.rated[one.subject] += 1

    @property
    def mean(self) -> float:
        """Of all ratings so far."""
        return self.total / len(self._at) if self._at else 0.0

    def fair_and_good(self) -> None:
        """One round of the fixed point, from where it stands."""
        count = len(self._at)
        tail, head, rating = self._tail[:count], self._head[:count], self._rating[:count]
        had = np.maximum(np.bincount(head, minlength=self.people), 1)
        gave = np.maximum(np.bincount(tail, minlength=self.people), 1)
        self.goodness = _sums(head, self.fairness[tail] * rating, self.people) / had
        self.fairness = 1 - _sums(tail, np.abs(rating - self.goodness[head]) / 2, self.people) / gave

    def pagerank(self, own: int, restart: float) -> Floats:
        """Where a walk from ``own`` along positive ratings, with restarts, is found."""
        count = len(self._at)
        rating = self._rating[:count]
        kept = np.flatnonzero(rating > 0)
        tail, head, weight = self._tail[:count][kept], self._head[:count][kept], rating[kept]
        out = _sums(tail, weight, self.people)
        share = (1 - restart) * weight / out[tail]
        at: Floats = np.zeros(self.people)
        at[own] = 1.0
        for _ in range(PAGERANK_ROUNDS if out[own] else 0):
            following = _sums(head, at[tail] * share, self.people)
            following[own] += 1 - following.sum()
            at = following
        return at

    def opinions(self, subject: int, at: Floats) -> float:
        """What is said of ``subject`` by those whom the walk meets, by how often it does."""
        count = len(self._at)
        about = np.flatnonzero(self._head[:count] == subject)
        return float(at[self._tail[about]] @ self._rating[about])


def _sums(index: Counts, weight: Floats, size: int) -> Floats:
    return np.bincount(index, weight, size).astype(np.float64, copy=False)


@dataclass(frozen=True, slots=True)
class Ranking:
    """``group`` is the place of each case's score among the different scores, ``right`` the truth."""

    group: NDArray[Any]
    groups: int
    right: NDArray[np.bool_]

    def auc(self, weight: Floats) -> float:
        """How often a good case stands above a bad one, ties counted half, with each case ``weight`` times."""
        good = np.bincount(self.group, weight * self.right, self.groups)
        bad = np.bincount(self.group, weight * ~self.right, self.groups)
        below = np.cumsum(bad) - bad / 2
        return float(good @ below / (good.sum() * bad.sum()))


def ranking(scores: Floats, right: NDArray[np.bool_]) -> Ranking:
    """Scores in order, ready for any weighting of the cases."""
    values, group = np.unique(scores, return_inverse=True)
    return Ranking(group, len(values), right)
