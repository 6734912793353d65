"""Which neighbors get the messages themselves: one shared tree, and trees of their own for authors who say much.

Source: eagerPushPeers and lazyPushPeers of Plumtree (Leitao, Pereira, Rodrigues 2007, section 3.2). Deviation: the
paper has one tree for all senders, whose last hop grows from 10 to 16-75 when everybody sends (its section 4.3). A
hub whose author sends for the third time above a rate marks that message *renewed*: it floods once, and what the
duplicates prune leaves the tree of shortest delays from that author. Now and then it does so again. The author's hub
decides, so that all hubs agree which messages flood; a relay has a tree only for authors it has heard itself.
Invariants: at most ``own_max`` exceptions, and one that was used lately never gives way, so that more busy authors
than that use the shared tree instead of flooding for ever; at most ``rates_max`` authors' rates.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from protocol.clock import Duration, Instant
from protocol.ids import AuthorId

SHARED: Final = 0
OWN: Final = 1
RENEWED: Final = 2
_NEVER: Final = -(1 << 62)
_UNHEARD: Final = (_NEVER, _NEVER)
_HEARD: Final = 8
_FOR_EVER: Final = 1 << 62


@dataclass(slots=True, eq=False)  # state: changes in place
class Neighbor:
    """``bit``: see announcements.py. ``since``: when the link came. ``answered``: what it was given on its own request.
    ``prune_at``: from when on its duplicates in the shared tree are too many. ``heard``: the entries of its newest
    announcements. ``parting``: its link is about to end."""

    bit: int
    since: Instant
    answered: dict[bytes, None] = field(default_factory=dict)
    prune_at: Instant | None = None
    heard: deque[bytes] = field(default_factory=partial(deque, maxlen=_HEARD))
    parting: bool = False


class Branch:
    """The bits of one tree: ``lazy`` says to whom nothing is pushed, and when we last sent PRUNE there.

    ``source`` is who brought its newest message, None if it was made here. ``eager`` are the neighbors that are not
    lazy and ``quiet`` the bits of those that are, as :meth:`split` found them; ``eager`` None: to be done again.
    ``renewed_at`` is when the first copy came of the message that made the tree, None if none has.
    """

    __slots__ = ("eager", "lazy", "own", "quiet", "renewed_at", "source", "swapped_at", "used_at", "used_count")

    def __init__(self, *, own: bool, now: Instant) -> None:
        self.own = own
        self.lazy: dict[AuthorId, Instant] = {}
        self.source: AuthorId | None = None
        self.used_at = now
        self.used_count = 0
        self.renewed_at: Instant | None = None
        self.swapped_at: Instant = _NEVER
        self.eager: tuple[AuthorId, ...] | None = None
        self.quiet = 0

    def split(self, neighbors: Mapping[AuthorId, Neighbor]) -> tuple[AuthorId, ...]:
        """Work out ``eager``, which is returned, and ``quiet``."""
        lazy = self.lazy
        self.eager = tuple([peer for peer in neighbors if peer not in lazy])
        self.quiet = sum([neighbor.bit for peer, neighbor in neighbors.items() if peer in lazy])
        return self.eager

    def slower_us(self, lazy: AuthorId) -> Duration:
        """How much later than the first a copy came from a ``lazy`` neighbor when the tree was made; for ever if
        that is not known."""
        if self.renewed_at is None or self.lazy[lazy] < self.renewed_at:
            return _FOR_EVER
        return self.lazy[lazy] - self.renewed_at

    def changed(self) -> None:
        """Who is a neighbor is not what it was."""
        self.eager = None

    def make_eager(self, peer: AuthorId) -> bool:
        """Push to ``peer``; whether that is new."""
        if self.lazy.pop(peer, None) is None:
            return False
        self.eager = None
        return True

    def make_lazy(self, peer: AuthorId, at: Instant) -> None:
        """Announce to ``peer`` instead of pushing; ``at`` is when we told it to do likewise."""
        if peer not in self.lazy:
            self.eager = None
        self.lazy[peer] = at


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchesConfig:
    """See ``TreesConfig`` in trees_values.py; three messages within ``gap_us`` make an author busy."""

    gap_us: Duration
    own_max: int
    idle_us: Duration
    renew_count: int
    renew_gap_us: Duration
    rates_max: int


class Branches:
    """The shared tree and its exceptions."""

    __slots__ = ("_config", "_own", "_rates", "shared")

    def __init__(self, config: BranchesConfig) -> None:
        self.shared = Branch(own=False, now=0)
        self._config = config
        self._own: dict[AuthorId, Branch] = {}
        self._rates: dict[AuthorId, tuple[Instant, Instant]] = {}

    def __len__(self) -> int:
        return len(self._own)

    def every(self) -> list[tuple[AuthorId | None, Branch]]:
        """All trees by author, the shared one (None) first."""
        return [(None, self.shared), *self._own.items()]

    def of(self, author: AuthorId, tree: int) -> Branch:
        """The bits for messages of ``author`` that travel on ``tree``."""
        return self.shared if tree == SHARED else self._own.get(author, self.shared)

    def speak(self, author: AuthorId, now: Instant) -> int:
        """Which tree the next message of ours is for."""
        branch = self._own.get(author)
        if branch is not None:
            return RENEWED if branch.used_count >= self._config.renew_count else OWN
        _, before = self._rates.get(author, _UNHEARD)
        return RENEWED if now - before <= self._config.gap_us and self._config.own_max else SHARED

    def use(self, author: AuthorId, tree: int, now: Instant) -> tuple[Branch, int]:
        """The bits for a new message that travels on ``tree``, and the tree that it is said to travel on from here.

        Where there is no room for the author's own bits, its messages go by the shared ones, but still say that they
        belong elsewhere: duplicates of them must not prune the shared tree.
        """
        own, rates = self._own, self._rates
        branch = own.pop(author, None) if own else None
        if branch is not None:
            own[author] = branch  # to the end: the longest unused comes first
        elif tree == SHARED or not self._heard(author, now) or not self._room(now):
            last, _ = rates.pop(author, _UNHEARD)
            if len(rates) >= self._config.rates_max:
                del rates[next(iter(rates))]
            rates[author] = (now, last)
            return self.shared, min(tree, OWN)
        else:
            del rates[author]
            branch = self._new(author, now)
        if tree == SHARED:
            return self.shared, SHARED
        branch.used_at = now
        branch.used_count += 1
        before = branch.renewed_at
        if tree != RENEWED or (before is not None and now - before < self._config.renew_gap_us):
            return branch, OWN
        branch.renewed_at = now
        branch.used_count = 0
        branch.lazy.clear()
        branch.changed()
        return branch, RENEWED

    def _heard(self, author: AuthorId, now: Instant) -> bool:
        last, _ = self._rates.get(author, _UNHEARD)
        return now - last <= self._config.gap_us

    def _new(self, author: AuthorId, now: Instant) -> Branch:
        branch = self._own[author] = Branch(own=True, now=now)
        branch.lazy.update(dict.fromkeys(self.shared.lazy, _NEVER))
        branch.source = self.shared.source
        return branch

    def adopt(self, author: AuthorId, now: Instant) -> Branch | None:
        """A neighbor has a tree for ``author``: have one as well, like the shared one, if we have heard of the author
        and there is room."""
        branch = self._own.get(author)
        if branch is not None:
            return branch
        if author not in self._rates or not self._room(now):
            return None
        del self._rates[author]
        return self._new(author, now)

    def _room(self, now: Instant) -> bool:
        if len(self._own) < self._config.own_max:
            return True
        if not self._own:
            return False
        oldest = next(iter(self._own))
        if now - self._own[oldest].used_at < self._config.idle_us:
            return False
        del self._own[oldest]
        return True

    def neighbors_changed(self, gone: AuthorId | None = None) -> None:
        """Somebody came or went."""
        for _, branch in self.every():
            branch.changed()
            if gone is not None:
                branch.lazy.pop(gone, None)
