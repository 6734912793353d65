"""How much those who are here weigh, who has a seat, and who gets how much bandwidth; from stored walks alone.

Source: the idea of a cut is Advogato's (Levien 2000) and SybilLimit's (Yu et al. 2008): what leads to many false names
are few edges between honest people and them, so bound what may flow through one edge. Here a *contact* (whom this hub
itself vouches for) counts as one whole if it is here. If it is not, its whole may be lent: each of its walks gives its
part to the first hub on it that is here, and through no edge goes more than one whole. With seats the same, undivided.
Invariants (properties in tests/property/test_trust.py): a contact that is here weighs 1, nobody weighs more;
whatever part of the graph is cut off by k edges weighs at most k and has at most k seats, however many its hubs are;
of bandwidth it gets at most what walks bring over those edges. Amounts are integers, so no rounding adds up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from protocol.ids import AuthorId
from protocol.trust.walks import Walks

WHOLE: Final = 1 << 30
"""One contact's weight; a power of two, so that its parts are exact as floats."""

Edge = tuple[AuthorId, AuthorId]
Barred = Callable[[AuthorId], bool]


class _Flow:
    """Amounts sent along walks, with what is left on every edge."""

    def __init__(self, walks: Walks, own: AuthorId, present: Iterable[AuthorId], barred: Barred) -> None:
        self._left: dict[Edge, int] = {}
        self._own = own
        self._barred = barred
        self._walks = walks
        self.contacts = [name for name in walks.edges.get(own, {}) if not barred(name)]
        self.got: dict[AuthorId, int] = {name: 0 for name in present if name != own and not barred(name)}
        for name in self.contacts:
            if name in self.got:
                self.got[name] = WHOLE

    def absent(self) -> list[tuple[AuthorId, list[list[AuthorId]]]]:
        """Contacts that are not here, each with the walks that begin with it."""
        begun: dict[AuthorId, list[list[AuthorId]]] = {name: [] for name in self.contacts if name not in self.got}
        for walk in self._walks.walks:
            if len(walk) > 2 and walk[1] in begun:
                begun[walk[1]].append(walk)
        return list(begun.items())

    def send(self, walk: list[AuthorId], amount: int) -> int:
        """Give ``amount``, or what the way can carry, to the first hub of ``walk`` that is here; 0: nobody got any."""
        edges: list[Edge] = []
        order: dict[AuthorId, int] = {self._own: 0}
        tail = self._own
        for head in walk[1:]:
            if self._barred(head):
                return 0
            if head in order:  # a loop: forget it
                del edges[order[head] :]
                for name in list(order)[order[head] + 1 :]:
                    del order[name]
            else:
                edges.append((tail, head))
                order[head] = len(edges)
            tail = head
            if head in self.got:
                break
        else:
            return 0
        amount = min(amount, WHOLE - self.got[tail], *(self._left.get(edge, WHOLE) for edge in edges))
        if amount > 0:
            for edge in edges:
                self._left[edge] = self._left.get(edge, WHOLE) - amount
            self.got[tail] += amount
        return amount


def weights(walks: Walks, own: AuthorId, present: Iterable[AuthorId], barred: Barred) -> dict[AuthorId, float]:
    """What each of ``present`` weighs, 0..1; those who weigh nothing are left out."""
    flow = _Flow(walks, own, present, barred)
    for _, begun in flow.absent():
        for walk in begun:
            flow.send(walk, WHOLE // len(begun))
    return {name: got / WHOLE for name, got in flow.got.items() if got}


def seats(walks: Walks, own: AuthorId, present: Iterable[AuthorId], barred: Barred) -> list[AuthorId]:
    """Who of ``present`` may be counted for a quorum: contacts, and one hub for each contact that is not here."""
    flow = _Flow(walks, own, present, barred)
    for _, begun in flow.absent():
        for walk in begun:
            if flow.send(walk, WHOLE):
                break
    return [name for name, got in flow.got.items() if got]


def bandwidth(
    walks: Walks, own: AuthorId, present: Iterable[AuthorId], barred: Barred, strangers_share: float
) -> dict[AuthorId, float]:
    """The share of each of ``present``; they add up to 1. Each walk divides one vote among those it meets before
    somebody barred; those whom no walk meets, or who are barred, divide ``strangers_share``."""
    votes = dict.fromkeys((name for name in present if name != own), 0.0)
    for walk in walks.walks:
        met: dict[AuthorId, None] = {}
        for hub in walk[1:]:
            if barred(hub):
                break
            if hub in votes:
                met[hub] = None
        for hub in met:
            votes[hub] += 1 / len(met)
    total = sum(votes.values())
    strangers = [name for name, got in votes.items() if not got]
    rest = 1.0 if not total else strangers_share if strangers else 0.0
    return {name: (1 - rest) * got / total if got else rest / len(strangers) for name, got in votes.items()}
