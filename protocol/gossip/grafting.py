"""Who takes the place of a parent: of one whose link is gone, that is about to go, or that has pruned us.

Source: the neighbor-down event of Plumtree (Leitao, Pereira, Rodrigues 2007, section 3.6), which leaves the repair to
the announcements. Deviations, and why: whoever waits for an announcement waits for half a second and more, so others
are asked at once; those of an author's own tree who surely do not have its messages from us, because they had the
newest ones in as few hops, else two hubs would ask each other and both hear nothing; a link that is about to end still
carries what it carried until the first copy comes another way (make before break).
Invariants: nobody that is about to go is asked; a hub that is asked by its parent to look elsewhere asks only those who
cannot have it from that parent.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from protocol import limits
from protocol.clock import MS, Instant
from protocol.gossip.branches import Branch, Branches, Neighbor
from protocol.gossip.recent import Recent
from protocol.gossip.trees_values import Push
from protocol.ids import AuthorId
from protocol.rng import Rng
from protocol.wire.messages import TreeGraft, TreePrune

ENTRIES: Final = struct.Struct(f"{limits.GOSSIP_TAG_BYTES}sB")
"""One entry of IHAVE: the end of an id, and with how many hops the message would come."""
BESIDE: Final = 1
"""A lazy neighbor with so many hops more than ourselves does not have it from us: a grandchild is two behind."""
_ABOVE: Final = -1
"""And one with so many less does not have it from our parent either."""
_STALE_US: Final = 100 * MS
_NEVER: Final = -(1 << 62)
_FAR: Final = limits.GOSSIP_HOPS_MAX

_Hops: TypeAlias = Mapping[tuple[AuthorId, AuthorId], int]

assert ENTRIES.size == limits.IHAVE_ENTRY_BYTES


class Grafting:
    """Works on the tables of the trees that own them."""

    def __init__(self, neighbors: Mapping[AuthorId, Neighbor], branches: Branches, recent: Recent, rng: Rng) -> None:
        self._neighbors = neighbors
        self._branches = branches
        self._recent = recent
        self._rng = rng
        self._found: _Hops = {}
        self._found_until: Instant = _NEVER

    def gone(self, peer: AuthorId, now: Instant) -> list[Push]:
        """The link with ``peer`` has ended."""
        return self._instead_of(peer, now, self._take)

    def parting(self, peer: AuthorId, now: Instant) -> list[Push]:
        """The link with ``peer`` will end soon.

        Whoever is asked stays lazy here until its first copy comes: what ``peer`` still brings would cross the copies
        and be taken there for duplicates, which prune.
        """
        return self._instead_of(peer, now, self._ask)

    def pruned(self, author: AuthorId, branch: Branch, now: Instant) -> list[Push]:
        """The parent in this tree of ``author``'s own pushes no more: perhaps it will have the messages from us."""
        parents = self._parents(author, branch, now, _ABOVE)
        effects: list[Push] = []
        if parents:
            self._take(parents, author, branch, effects)
        return effects

    def _instead_of(
        self, peer: AuthorId, now: Instant, ask: Callable[[list[AuthorId], AuthorId | None, Branch, list[Push]], None]
    ) -> list[Push]:
        effects: list[Push] = []
        for author, branch in self._branches.every():
            if branch.source == peer:
                ask(self._parents(author, branch, now, BESIDE), author, branch, effects)
        return effects

    def _take(self, parents: list[AuthorId], author: AuthorId | None, branch: Branch, effects: list[Push]) -> None:
        branch.source = parents[0] if parents else None
        if parents:
            branch.make_eager(parents[0])
        self._ask(parents, author, branch, effects)

    def _ask(self, parents: list[AuthorId], author: AuthorId | None, branch: Branch, effects: list[Push]) -> None:
        """Ask all these to push; duplicates will tell who was first. If there are only children, tell them to look for
        somebody else, and to push what they get."""
        effects += [Push(parent, TreeGraft(author, b"")) for parent in parents]
        if not parents and branch.own:
            for child in branch.split(self._neighbors):
                if not self._neighbors[child].parting:
                    effects += [Push(child, TreePrune(author)), Push(child, TreeGraft(author, b""))]

    def _hops_elsewhere(self, now: Instant) -> _Hops:
        """By author and neighbor: how many hops more the newest message that both have had there than here. Found out
        at most ten times a second, whatever a neighbor says."""
        if now < self._found_until:
            return self._found
        found: dict[tuple[AuthorId, AuthorId], int] = {}
        for peer, neighbor in self._neighbors.items():
            for entries in neighbor.heard:
                for tag, hops in ENTRIES.iter_unpack(entries):
                    kept = self._recent.get(tag)
                    if kept is not None:
                        found[kept[0].author, peer] = hops - 1 - kept[0].hops
        self._found, self._found_until = found, now + _STALE_US
        return found

    def _parents(self, author: AuthorId | None, branch: Branch, now: Instant, behind: int) -> list[AuthorId]:
        """Who may push in this tree from now on, the quickest first: all who are at most so many hops ``behind`` us,
        else one of whom nothing is known. In the shared tree hops say nothing, and one at random must do."""
        free = [peer for peer in branch.lazy if not self._neighbors[peer].parting]
        if author is None or branch.renewed_at is None:
            return [self._rng.choice(free)] if free else []
        hops = self._hops_elsewhere(now)
        sure = [peer for peer in free if hops.get((author, peer), _FAR) <= behind]
        if sure or behind == _ABOVE:
            return sorted(sure, key=branch.slower_us)
        unsure = [peer for peer in free if (author, peer) not in hops] or free
        return [min(unsure, key=branch.slower_us)] if unsure else []
