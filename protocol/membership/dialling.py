"""Whom we are dialling and why, and whom we do not ask again for a while: the brakes of the overlay.

Invariants: one dial per peer at a time; at most ``_REFUSED_MAX`` refusals are remembered, in order of their end, and as
many of those who have parted.
"""

from __future__ import annotations

from protocol.clock import Duration, Instant
from protocol.ids import AuthorId
from protocol.membership.members import Purpose

_REFUSED_MAX = 64


class Dialling:
    """``dials`` and ``refused`` are read by the overlay and changed here only."""

    def __init__(self, refused_us: Duration) -> None:
        self.dials: dict[AuthorId, Purpose] = {}
        self.refused: dict[AuthorId, Instant] = {}
        self.parted: dict[AuthorId, None] = {}
        self._refused_us = refused_us

    def __len__(self) -> int:
        return len(self.dials)

    def ended(self, peer: AuthorId) -> Purpose | None:
        """The dial has become a link or come to nothing; why it was made."""
        return self.dials.pop(peer, None)

    def refuse(self, peer: AuthorId, now: Instant) -> None:
        """``peer`` and we have parted: do not ask it again at once."""
        if self._refused_us:
            self.refused.pop(peer, None)
            self.refused[peer] = now + self._refused_us
            if len(self.refused) > _REFUSED_MAX:
                del self.refused[next(iter(self.refused))]

    def leave(self, peer: AuthorId, now: Instant) -> None:
        """``peer`` has ended its link in good order: should it not answer later on, then because it is gone."""
        self.refuse(peer, now)
        self.parted.pop(peer, None)
        self.parted[peer] = None
        if len(self.parted) > _REFUSED_MAX:
            del self.parted[next(iter(self.parted))]

    def forgive(self, peer: AuthorId) -> None:
        """``peer`` is a neighbor again."""
        self.refused.pop(peer, None)
        self.parted.pop(peer, None)

    def forgive_all(self) -> None:
        """Other paths, other answers: everybody may be asked again."""
        self.refused.clear()

    def busy(self, now: Instant) -> tuple[AuthorId, ...]:
        """Whom not to dial now."""
        self.forgives_at(now)
        return (*self.dials, *self.refused)

    def forgives_at(self, now: Instant) -> Instant | None:
        """When somebody may be asked again; what has passed is forgotten."""
        while self.refused and next(iter(self.refused.values())) <= now:
            del self.refused[next(iter(self.refused))]
        return next(iter(self.refused.values()), None)

    def toward_neighbors(self) -> int:
        """Dials that are to end in a neighbor."""
        return sum(purpose in (Purpose.FILL, Purpose.JOIN) for purpose in self.dials.values())
