"""Links and what becomes of them: who is asked, who is let in, who gives way, who is let go.

Source: HyParView (DSN 2007), sections 4.2 and 4.3. Deviations, and why: a request may be refused even with high
priority, because one eviction in two seconds is all that a hub grants (a join that always evicts makes storms); some
neighbors cannot be pushed out (see :mod:`~protocol.membership.members`); one that is pushed out is told, and its link
*parts*: it carries for a while what it carried, so that nothing is late between the old ways and the new; whoever is
full still exchanges what both know before the link ends, so that two crowds that were apart learn of each other.
Invariants: never more than ``active_max`` neighbors, and never more than ``small_mesh`` less oneself in a small mesh.
"""

from __future__ import annotations

from typing import TypeAlias

from protocol.clock import Duration, Instant
from protocol.ids import AuthorId
from protocol.membership.company import Company
from protocol.membership.members import Guest, Member, Purpose
from protocol.membership.overlay_values import (
    ForwardJoin,
    NeighborDown,
    NeighborParting,
    NeighborUp,
    OverlayEffect,
    Release,
    ShuffleAnswer,
    Tell,
)
from protocol.membership.shuffles import Shuffles
from protocol.rng import Rng
from protocol.wire.joining import Join, Neighbor, NeighborAnswer

Effects: TypeAlias = list[OverlayEffect]
_BRIDGE_WALKS = 4
_OUTGROW = 4


class Admission:
    """Works on the tables of ``company``."""

    def __init__(self, company: Company, shuffles: Shuffles, rng: Rng) -> None:
        self._company = company
        self._config = company.config
        self._shuffles = shuffles
        self._rng = rng
        self._forwarded_at: Instant = -(1 << 62)

    # --- asking -----------------------------------------------------------------------------------------------------

    def greet(self, peer: AuthorId, guest: Guest, effects: Effects, now: Instant) -> None:
        """We have dialled ``peer``: say why."""
        company = self._company
        room = len(company.active) < company.bound
        if guest.purpose is Purpose.PROBE:
            self.look(peer, guest, effects, now)
        elif (guest.purpose is Purpose.JOIN and room) or (guest.purpose is None and not company.active):
            self.ask(peer, guest, Join(), effects, now)
        elif room:
            self.ask(peer, guest, Neighbor(company.alone or guest.stays), effects, now)
        elif guest.stays and company.slots.victim(company.active, now) is not None:
            self.ask(peer, guest, Neighbor(True), effects, now)
        else:
            self.look(peer, guest, effects, now)  # full: exchange what we know and part

    def look(self, peer: AuthorId, guest: Guest, effects: Effects, now: Instant) -> None:
        """Exchange what both know; the link is not to last."""
        guest.until = now + self._config.probe_for_us
        effects.append(self._shuffles.look(self._company.active, peer))

    def ask(self, peer: AuthorId, guest: Guest, request: Join | Neighbor, effects: Effects, now: Instant) -> None:
        """Wait for an answer from here on."""
        guest.asked = True
        guest.until = now + self._config.ask_us
        effects.append(Tell(peer, request))

    def settled(self, peer: AuthorId, effects: Effects, now: Instant, *, accepted: bool) -> None:
        """The answer has come. To a question that nobody asked it means nothing, or that a neighbor takes its leave."""
        guest = self._company.guests.get(peer)
        if guest is None and not accepted:
            self._linger(peer, 2 * self._config.part_us, effects, now)  # the other side closes
        if guest is None or not guest.asked:
            return
        if accepted and guest.swap:
            self._swap(peer, guest, effects, now)
        elif accepted and self.room_for(guest, effects, now, evict=guest.stays, chosen=True):
            self.admit(peer, guest, effects, now)
        else:
            self.part(peer, effects, now)

    def _swap(self, peer: AuthorId, guest: Guest, effects: Effects, now: Instant) -> None:
        """The low-latency slot: whoever had it, or the farthest, gives way."""
        victim = self._company.slots.farthest(self._company.active, now)
        if victim is None:
            self.part(peer, effects, now)
            return
        self._push_out(victim, effects, now)
        self.admit(peer, guest, effects, now)
        self._company.active[peer].near = True

    # --- being asked ------------------------------------------------------------------------------------------------

    def asked(self, peer: AuthorId, effects: Effects, now: Instant, *, high: bool) -> None:
        """``peer`` wants to be a neighbor; ``high``: it has hardly any."""
        guest = self._company.guests.get(peer)
        accepted = guest is None or self.room_for(guest, effects, now, evict=high)
        effects.append(Tell(peer, NeighborAnswer(accepted)))
        if guest is not None and accepted:
            self.admit(peer, guest, effects, now)
        elif guest is not None:
            guest.parts = True
            guest.until = now + self._config.ask_us  # the other side closes

    def joined(self, peer: AuthorId, effects: Effects, now: Instant) -> None:
        """``peer`` enters the mesh through us: it is told of others, and others of it."""
        active = self._company.active
        self.asked(peer, effects, now, high=True)
        effects.append(Tell(peer, ShuffleAnswer(peer, self._shuffles.sample(active, peer))))
        if now - self._forwarded_at >= self._config.join_us:
            self._forwarded_at = now
            walk = ForwardJoin(peer, self._config.arwl)
            effects.extend([Tell(other, walk) for other in active if other != peer])

    # --- coming and going -------------------------------------------------------------------------------------------

    def admit(self, peer: AuthorId, guest: Guest, effects: Effects, now: Instant) -> None:
        """``peer`` is a neighbor; one that was lost for long is a bridge, and the others hear of it."""
        company, config = self._company, self._config
        del company.guests[peer]
        company.dials.forgive(peer)
        known_at = now if guest.exile is None else guest.exile.known_at
        member = company.active[peer] = Member(guest.initiator, now, known_at)
        effects.append(NeighborUp(peer, guest.bridge))
        if guest.bridge:
            member.bridge_until = now + config.bridge_us
            effects.append(self._shuffles.look(company.active, peer))
            walk = ForwardJoin(peer, config.arwl)
            others = self._rng.sample([other for other in company.active if other != peer], _BRIDGE_WALKS)
            effects.extend([Tell(other, walk) for other in others])
            company.exiles.path_is_back(now)

    def part(self, peer: AuthorId, effects: Effects, now: Instant) -> None:
        """End a link in good order; ``peer`` stays known."""
        company = self._company
        guest = company.guests.pop(peer, None)
        if guest is None:
            del company.active[peer]
        if guest is None or guest.parting:
            effects.append(NeighborDown(peer))
        effects.append(Release(peer))
        company.dials.refuse(peer, now)
        company.pool.add(peer)

    def expire(self, effects: Effects, now: Instant) -> None:
        """Links whose time is up: a silent dialler wanted to be a neighbor, everybody else goes."""
        guests = self._company.guests
        for peer in [one for one, guest in guests.items() if guest.until <= now]:
            guest = guests[peer]
            waits = not (guest.initiator or guest.asked or guest.parts)
            if waits and self.room_for(guest, effects, now, evict=False):
                self.admit(peer, guest, effects, now)
            else:
                self.part(peer, effects, now)

    # --- room -------------------------------------------------------------------------------------------------------

    def room_for(self, guest: Guest, effects: Effects, now: Instant, *, evict: bool, chosen: bool = False) -> bool:
        """Whether a neighbor more may come, after pushing one out if need be and allowed."""
        company = self._company
        bound = company.bound
        if not (chosen or guest.initiator or company.is_small()):
            inbound = sum(not member.initiator for member in company.active.values())
            if inbound >= bound - self._config.outbound:
                bound = 0  # what is left is for those that we choose
        if len(company.active) < bound:
            return True
        victim = company.slots.victim(company.active, now) if evict else None
        if victim is None:
            return False
        self._push_out(victim, effects, now)
        return len(company.active) < company.config.active_max

    def outgrow(self, effects: Effects, now: Instant) -> Instant | None:
        """A small mesh has become a large one: let go of one neighbor too many at a time; returns when the next."""
        company, config = self._company, self._config
        if len(company.active) <= config.active_max:
            return None
        victim = company.slots.victim(company.active, now, _OUTGROW)
        if victim is not None:  # all views change: there is no way yet that is worth to be kept
            self._push_out(victim, effects, now, at_once=True)
        return now + config.evict_us // _OUTGROW

    def _push_out(self, victim: AuthorId, effects: Effects, now: Instant, *, at_once: bool = False) -> None:
        self._company.slots.evicted_at = now
        if at_once or not self._config.part_us:
            self.part(victim, effects, now)
        else:
            self._linger(victim, self._config.part_us, effects, now)
            effects.append(Tell(victim, NeighborAnswer(False)))

    def _linger(self, peer: AuthorId, for_us: Duration, effects: Effects, now: Instant) -> None:
        """A neighbor is one no more; its link carries on until both sides have found other ways."""
        company = self._company
        member = company.active.pop(peer)
        company.guests[peer] = Guest(member.initiator, None, None, now + for_us, parts=True, parting=True)
        effects.append(NeighborParting(peer))
