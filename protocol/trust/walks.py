"""Random walks from this hub along the words of people, stored, and repaired where a word changes.

Source: Bahmani, Chowdhury, Goel, "Fast incremental and personalized PageRank" (VLDB 2010), section 2: a change of one
edge reroutes only the walks that pass its tail, and of those only the share that the change concerns. Deviations: edges
have weights; weights are kept in units that grow with the date (forward decay: Cormode et al., ICDE 2009), so that
forgetting, which is the same for all, changes no ratio and needs no repair; walks never come home.
Invariants: after any sequence of changes the walks are distributed as if all had been drawn from the present graph;
a walk has at most ``steps_max`` steps; ``visits`` says exactly which walks pass a hub.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from math import log1p
from typing import Final

from protocol.ids import AuthorId
from protocol.rng import Rng

GAP_MAX: Final = 1 << 40
"""More than there are steps."""


class Walks:
    """``walks[i]`` are the hubs of one walk, this one first. ``edges[tail][head]`` > 0 is a weight."""

    def __init__(self, own: AuthorId, count: int, restart: float, steps_max: int, rng: Rng) -> None:
        self._own = own
        self._count = count
        self._restart = restart
        self._length_max = steps_max + 1
        self._rng = rng
        self._tables: dict[AuthorId, tuple[list[AuthorId], list[float]]] = {}
        self._stuck: dict[int, None] = {}  # would have gone on, but there was no edge
        self.edges: dict[AuthorId, dict[AuthorId, float]] = {}
        self.visits: dict[AuthorId, dict[int, None]] = {}
        self.walks: list[list[AuthorId]] = []
        self.drawn = False

    def draw(self) -> None:
        """The first walks; until then :meth:`set_edge` only notes the graph, and a hub that never asks holds none."""
        self.drawn = True
        self.visits[self._own] = dict.fromkeys(range(self._count))
        self.walks += ([self._own] for _ in range(self._count))
        for number in range(len(self.walks)):
            self._grow(number)

    def set_edge(self, tail: AuthorId, head: AuthorId, weight: float) -> None:
        """The weight is now this; 0: there is no such edge. Edges that lead home or nowhere do not count."""
        if head in (self._own, tail):
            return
        out = self.edges.get(tail)
        old = 0.0 if out is None else out.get(head, 0.0)
        if old == weight:
            return
        if out is None:
            out = self.edges[tail] = {}
        before = sum(out.values())
        if weight:
            out[head] = weight
        else:
            del out[head]
        after = sum(out.values())
        self._tables.pop(tail, None)
        if not out:
            del self.edges[tail]
        if self.drawn and tail in self.visits:
            self._repair(tail, head, old, weight, before, after)

    # --- repair -----------------------------------------------------------------------------------------------------

    def _repair(self, tail: AuthorId, head: AuthorId, old: float, weight: float, before: float, after: float) -> None:
        """Reroute what the change concerns. Walks that left ``tail`` for others come to ``head`` with the probability
        that makes its share right, or the other way round; the rest of a rerouted walk is drawn anew."""
        more = weight > old
        moved = (weight - old) / after if more else 1 - (weight / after) / (old / before) if after else 1.0
        skip = self._gap(moved)
        for number in list(self.visits[tail]):
            walk = self.walks[number]
            last = len(walk) - 1
            at = walk.index(tail)
            while at >= 0:
                if at == last:
                    if more and number in self._stuck:
                        self._reroute(number, at, head)
                    break
                if (walk[at + 1] == head) != more:
                    if not skip:
                        skip = self._gap(moved)
                        self._reroute(number, at, head if more else self._other(tail, head))
                        break
                    skip -= 1
                at = _next(walk, tail, at + 1)

    def _gap(self, probability: float) -> int:
        """How many trials fail before the next one that succeeds: one draw in place of many."""
        if probability >= 1:
            return 0
        if probability <= 0:
            return GAP_MAX
        return int(min(log1p(-self._rng.fraction()) / log1p(-probability), GAP_MAX))

    def _reroute(self, number: int, at: int, head: AuthorId | None) -> None:
        """Cut the walk behind ``at``, go to ``head`` if there is one, and on from there."""
        walk = self.walks[number]
        cut = walk[at + 1 :]
        del walk[at + 1 :]
        for hub in cut:
            if hub not in walk:
                visits = self.visits.get(hub, {})
                visits.pop(number, None)
                if not visits:
                    self.visits.pop(hub, None)
        self._stuck.pop(number, None)
        if head is None:
            self._stuck[number] = None
            return
        self._enter(number, head)
        self._grow(number)

    def _other(self, tail: AuthorId, head: AuthorId) -> AuthorId | None:
        """A step from ``tail`` that is not to ``head``."""
        others = [(name, weight) for name, weight in self.edges.get(tail, {}).items() if name != head]
        if not others:
            return None
        sums = list(accumulate(weight for _, weight in others))
        return _pick([name for name, _ in others], sums, self._rng.fraction())

    # --- growth -----------------------------------------------------------------------------------------------------

    def _grow(self, number: int) -> None:
        """To its end. One draw says both whether the walk goes on and, by what is left of it, where."""
        walk = self.walks[number]
        restart = self._restart
        while len(walk) < self._length_max:
            drawn = self._rng.fraction()
            if drawn < restart:
                return
            table = self._table(walk[-1])
            if table is None:
                self._stuck[number] = None
                return
            self._enter(number, _pick(*table, (drawn - restart) / (1 - restart)))

    def _enter(self, number: int, hub: AuthorId) -> None:
        self.walks[number].append(hub)
        visits = self.visits.get(hub)
        if visits is None:
            visits = self.visits[hub] = {}
        visits[number] = None

    def _table(self, tail: AuthorId) -> tuple[list[AuthorId], list[float]] | None:
        table = self._tables.get(tail)
        if table is None:
            out = self.edges.get(tail)
            if out is None:
                return None
            table = self._tables[tail] = (list(out), list(accumulate(out.values())))
        return table


def _pick(heads: list[AuthorId], sums: list[float], drawn: float) -> AuthorId:
    """The head on which ``drawn``, in [0, 1), falls."""
    return heads[min(bisect_right(sums, drawn * sums[-1]), len(heads) - 1)]


def _next(walk: list[AuthorId], hub: AuthorId, start: int) -> int:
    """Where ``hub`` comes next, from ``start`` on; -1: nowhere."""
    for at in range(start, len(walk)):
        if walk[at] == hub:
            return at
    return -1
