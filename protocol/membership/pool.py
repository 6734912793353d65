"""Who is known and not linked: HyParView's passive view, and behind it a larger reserve.

Source: HyParView, section 4.4 (what a shuffle brings replaces what it gave away, then anybody). Deviation: whoever
the passive view has no room for goes into the reserve, which is asked when nearly everybody else has died: of 48
peers 2 survive a loss of 95 %, of 300 there are 15.
Invariants: the two are disjoint and bounded; never oneself.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Final

from protocol.ids import AuthorId
from protocol.membership.overlay_values import OverlayConfig
from protocol.rng import Rng

FAMILIAR: Final = 1 << 20


class Pool:
    """``passive`` and ``reserve``, both in order of arrival; ``familiar`` of :data:`FAMILIAR` peers that shuffles named
    lately were known (a moving average over about 64)."""

    def __init__(self, author: AuthorId, config: OverlayConfig, rng: Rng) -> None:
        self._author = author
        self._config = config
        self._rng = rng
        self.passive: dict[AuthorId, None] = {}
        self.reserve: dict[AuthorId, None] = {}
        self.familiar = FAMILIAR

    def __contains__(self, peer: object) -> bool:
        return peer in self.passive or peer in self.reserve

    def add(self, peer: AuthorId, instead: Sequence[AuthorId] = ()) -> None:
        """Remember ``peer``; if there is no room, one of ``instead`` goes, else one at random."""
        if peer == self._author or peer in self.passive:
            return
        self.reserve.pop(peer, None)
        if len(self.passive) >= self._config.passive:
            given = next((other for other in instead if other in self.passive), None)
            victim = self._rng.choice(list(self.passive)) if given is None else given
            del self.passive[victim]
            self._keep(victim)
        self.passive[peer] = None

    def named(self, peer: AuthorId, instead: Sequence[AuthorId], *, known: bool) -> None:
        """A shuffle names ``peer``; ``known``: it is linked or lost."""
        known = known or peer in self
        self.familiar += ((FAMILIAR if known else 0) - self.familiar) // 64
        if not known or peer in self.reserve:
            self.add(peer, instead)

    def _keep(self, peer: AuthorId) -> None:
        if self._config.reserve <= 0:
            return
        if len(self.reserve) >= self._config.reserve:
            del self.reserve[self._rng.choice(list(self.reserve))]
        self.reserve[peer] = None

    def remove(self, peer: AuthorId) -> bool:
        """``peer`` is linked or lost; False if it was not here."""
        if peer in self.passive:
            del self.passive[peer]
            return True
        if peer in self.reserve:
            del self.reserve[peer]
            return True
        return False

    def draw(self, but: Container[AuthorId], *, deep: bool) -> AuthorId | None:
        """Somebody of the passive view at random, or, if nobody is left and ``deep``, of the reserve."""
        for table in (self.passive, self.reserve) if deep else (self.passive,):
            free = [peer for peer in table if peer not in but]
            if free:
                return self._rng.choice(free)
        return None

    def sample(self, count: int, but: Container[AuthorId] = ()) -> list[AuthorId]:
        """Up to ``count`` of the passive view at random."""
        return self._rng.sample([peer for peer in self.passive if peer not in but], count)
