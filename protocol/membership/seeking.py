"""Whom to dial: contacts that are not met yet, somebody for each neighbor that is missing, exiles, and now and then
somebody of the passive view to see how things stand there.

Source: HyParView (DSN 2007), section 4.3 (a lost neighbor is replaced from the passive view). Deviations, and why:
exiles and contacts are dialled for ever; looks at passive peers find nearer ones, and some of them *mix*: the hub asks
to stay in the place of one of its neighbors. That keeps the mesh a random graph, and it is what makes two crowds one
that know of each other and are both full: no shuffle and no refused request ever would. Each mix makes four links
anew and all trees with them, so a mesh that nobody left and nobody new was seen in mixes seldom, however large it is.
Invariants: a peer is under at most one dial; never more than ``dials_alone`` and one under way.
"""

from __future__ import annotations

from typing import TypeAlias

from protocol.clock import Instant
from protocol.ids import AuthorId
from protocol.membership.company import Company
from protocol.membership.contacts import Contacts
from protocol.membership.members import Purpose
from protocol.membership.overlay_values import Dial, OverlayEffect, Priority
from protocol.rng import Rng

Effects: TypeAlias = list[OverlayEffect]


class Seeking:
    """Works on the tables of ``company``; the overlay says when."""

    def __init__(self, company: Company, rng: Rng) -> None:
        self.contacts = Contacts(company.config, rng.child("contacts"))
        self._company = company
        self._config = company.config
        self._rng = rng

    def enter(self, effects: Effects, wake: list[Instant], now: Instant) -> None:
        """Dial contacts that are due."""
        if not len(self.contacts):
            return
        company = self._company
        due, again = self.contacts.due(now, lonely=not company.active)
        for peer in due:
            if peer in company.active or peer in company.guests or peer in company.dials.dials:
                continue
            if self._room() <= 0:
                break
            self.contacts.dialled(peer, now)
            self._dial(peer, Purpose.JOIN, effects)
        if again is not None:
            wake.append(again)

    def fill(self, effects: Effects, wake: list[Instant], now: Instant, *, small: bool) -> None:
        """Dial somebody for each neighbor that is missing and not under way."""
        company, config = self._company, self._config
        active = company.active
        target = min(config.small_mesh, config.small_sought) if small else config.active
        if not small and len(active) < config.active_max:
            chosen = sum(member.initiator for member in active.values())
            if chosen < config.outbound:
                target = max(target, len(active) + 1)
        if len(active) >= target:
            return
        coming = sum(guest.asked for guest in company.guests.values())
        coming += company.dials.toward_neighbors()
        missing = (config.active_max if company.alone and not small else target) - len(active) - coming
        for _ in range(min(self._room(), missing)):
            peer = company.pool.draw(company.dials.busy(now), deep=not small)
            if peer is None:
                break
            self._dial(peer, Purpose.FILL, effects)
        again = company.dials.forgives_at(now)
        if again is not None:
            wake.append(again)

    def exiles(self, effects: Effects, wake: list[Instant], now: Instant) -> None:
        """Dial exiles that are due."""
        company = self._company
        if not len(company.exiles):
            return
        due, again = company.exiles.due(self._room(), company.known(), now, alone=company.alone)
        for peer in due:
            self._dial(peer, Purpose.EXILE, effects)
        if again is not None:
            wake.append(again)

    def probe(self, effects: Effects, now: Instant, *, settled: bool) -> None:
        """Look whether somebody of the passive view is there, what it knows and how near it is; from an island, and
        now and then, try to stay with it. Whoever is far away in the mesh comes first."""
        company, config = self._company, self._config
        if company.alone or company.is_small() or len(company.dials) >= config.dials:
            return
        island = company.is_island()
        busy = company.dials.busy(now)
        peer = company.pool.draw((*busy, *company.around()), deep=island)
        if peer is None and not island:
            peer = company.pool.draw(busy, deep=False)
        if peer is not None:
            mixes = self._mixes(settled=settled)
            self._dial(peer, Purpose.BRIDGE if island else Purpose.MIX if mixes else Purpose.PROBE, effects)

    def _mixes(self, *, settled: bool) -> bool:
        """Whether this look is one that mixes: one in ``mix``, or, if the mesh is settled, so few that all its hubs
        together make one in ``mix_settled_us``."""
        config = self._config
        if config.mix <= 0:
            return False
        if not settled:
            return self._rng.below(config.mix) == 0
        hubs = self._company.estimate()
        return self._rng.below(max(config.mix, hubs * config.mix_settled_us // max(1, config.probe_calm_us))) == 0

    def newcomer(self, peer: AuthorId, effects: Effects, now: Instant) -> None:
        """The walk of somebody who joins has ended here, and we lack a neighbor."""
        dials = self._company.dials
        if len(dials) < self._config.dials_alone and peer not in dials.busy(now):
            self._dial(peer, Purpose.FILL, effects)

    def _room(self) -> int:
        company = self._company
        return (self._config.dials_alone if company.alone else self._config.dials) - len(company.dials)

    def _dial(self, peer: AuthorId, purpose: Purpose, effects: Effects) -> None:
        company = self._company
        company.dials.dials[peer] = purpose
        company.exiles.dialled(peer)
        lazy = purpose not in (Purpose.FILL, Purpose.JOIN)
        urgent = company.alone
        effects.append(Dial(peer, Priority.URGENT if urgent else Priority.LAZY if lazy else Priority.NORMAL))
