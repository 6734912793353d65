"""Who counts as one of the mesh, as long as nobody has been met in person (design decision 6).

A key proves that somebody made it, not that anybody was let in with it: whoever is in the mesh can make a hundred
thousand authors (Douceur 2002). What cannot be made is a neighbor. So an author is of the mesh if events of it are
stored here, if it has been a neighbor, or if a neighbor has introduced it, which each neighbor may do with so many at
once and so many a minute; everybody else is only heard of, and shares the corner that the quotas keep for such authors,
until a neighbor with room names it again.
Known residue: a neighbor that comes back under one new identity after the other introduces more. So names of whom
nothing is stored give way, the oldest first: they fill places, but keep nobody out.
Invariant: all together are at most ``ACQUAINTANCES_MAX``.
"""

from __future__ import annotations

from typing import Final

from protocol.clock import Instant
from protocol.ids import AuthorId
from protocol.ledger.serving import Bucket

ACQUAINTANCES_MAX: Final = 12_288
"""Authors: a mesh of 10,000, and some who have left."""
INTRODUCED_BURST: Final = 2_048
"""By one neighbor: five of them bring a newcomer a mesh of 10,000 at once."""
INTRODUCED_EVERY_S: Final = 10
"""Afterwards one each so many seconds: as many as come to a large venue."""
NEIGHBORS_MAX: Final = 256
"""Neighbors whose budget is remembered; one that is forgotten begins anew."""


class Acquaintances:
    """The authors of the mesh."""

    def __init__(self) -> None:
        self._kept: dict[AuthorId, None] = {}
        self._named: dict[AuthorId, None] = {}  # nothing is stored of them; the oldest name first
        self._budgets: dict[AuthorId, Bucket] = {}

    def __contains__(self, author: AuthorId) -> bool:
        return author in self._kept or author in self._named

    def __len__(self) -> int:
        return len(self._kept) + len(self._named)

    def keep(self, author: AuthorId) -> None:
        """Events of ``author`` are stored here: its place is its own until they are gone."""
        if author not in self._kept and len(self._kept) < ACQUAINTANCES_MAX:
            self._named.pop(author, None)
            self._kept[author] = None
            self._give_way()

    def add(self, author: AuthorId) -> None:
        """``author`` is a neighbor."""
        if author not in self._kept:
            self._named.pop(author, None)
            self._named[author] = None
            self._give_way()

    def introduce(self, peer: AuthorId, author: AuthorId, now: Instant) -> None:
        """``peer``, a neighbor, has named ``author``."""
        if author in self:
            return
        budget = self._budgets.get(peer)
        if budget is None:
            budget = self._budgets[peer] = Bucket(1, INTRODUCED_BURST * INTRODUCED_EVERY_S)
            if len(self._budgets) > NEIGHBORS_MAX:
                del self._budgets[next(iter(self._budgets))]
        if budget.take(INTRODUCED_EVERY_S, now):
            self._named[author] = None
            self._give_way()

    def remove(self, author: AuthorId) -> None:
        """Nothing of ``author`` is held any more: its place is free."""
        self._kept.pop(author, None)
        self._named.pop(author, None)

    def _give_way(self) -> None:
        if len(self) > ACQUAINTANCES_MAX:
            del self._named[next(iter(self._named))]
