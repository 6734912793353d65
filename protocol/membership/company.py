"""Everybody an overlay knows, each in one table: neighbors, guests, passive view, reserve and exiles.

Source: HyParView (DSN 2007), section 4, has the first and the third. Deviations: a *guest* has a link and is no
neighbor (yet); exiles are lost and not forgotten; a mesh in which few are known is *small* and fully linked.
Invariants: the tables are disjoint, bounded, and never hold oneself.
"""

from __future__ import annotations

from collections.abc import Mapping

from protocol.ids import AuthorId
from protocol.membership.dialling import Dialling
from protocol.membership.exiles import Exiles
from protocol.membership.members import Guest, Member, Slots
from protocol.membership.overlay_values import OverlayConfig
from protocol.membership.pool import FAMILIAR, Pool
from protocol.rng import Rng


class Carriers:
    """Neighbors, and those who part."""

    def __init__(self, active: Mapping[AuthorId, Member], guests: Mapping[AuthorId, Guest]) -> None:
        self._active = active
        self._guests = guests

    def __contains__(self, peer: object) -> bool:
        return peer in self._active or (peer in self._guests and self._guests[peer].parting)  # type: ignore[index]


class Company:
    """The tables, what follows from their sizes, and the brakes: who gives way, who is being dialled."""

    def __init__(self, author: AuthorId, config: OverlayConfig, rng: Rng) -> None:
        self.author = author
        self.config = config
        self.active: dict[AuthorId, Member] = {}
        self.guests: dict[AuthorId, Guest] = {}
        self.carriers = Carriers(self.active, self.guests)
        self.pool = Pool(author, config, rng.child("pool"))
        self.exiles = Exiles(config, rng.child("exiles"))
        self.slots = Slots(config, rng.child("slots"))
        self.dials = Dialling(config.refused_us)

    def __contains__(self, peer: object) -> bool:
        """Whether ``peer`` is known and need not be learnt."""
        return peer in self.active or peer in self.guests or peer in self.exiles

    @property
    def alone(self) -> bool:
        """Fewer than two neighbors: everything else can wait."""
        return len(self.active) < 2

    @property
    def bound(self) -> int:
        """How many neighbors there may be."""
        return self.config.small_mesh if self.is_small() else self.config.active_max

    def known(self) -> int:
        """How many peers are known in all."""
        return len(self.active) + len(self.pool.passive) + len(self.pool.reserve) + len(self.exiles)

    def estimate(self) -> int:
        """About how many hubs the mesh has: of the peers that shuffles name, as many are known as of all."""
        return self.known() * FAMILIAR // max(1, self.pool.familiar)

    def is_small(self) -> bool:
        """Whether so few hubs are known that all of them are neighbors."""
        bound = self.config.small_mesh
        if not bound or len(self.active) + len(self.guests) + len(self.pool.passive) >= bound:
            return False
        return 1 + self.known() + len(self.guests) <= bound

    def around(self) -> set[AuthorId]:
        """Oneself, the neighbors, and theirs as far as they have said."""
        return {self.author, *self.active}.union(*(member.view for member in self.active.values()))

    def is_island(self) -> bool:
        """Whether the neighbors' neighbors are all neighbors again, though more hubs than these are known."""
        views = [member.view for member in self.active.values()]
        if not self.config.small_mesh or self.is_small() or not all(views):
            return False
        return len(self.around()) <= self.config.small_mesh
