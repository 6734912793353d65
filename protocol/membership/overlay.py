"""HyParView: which peers are neighbors and who else is known, so that the mesh stays whole.

Source: Leitao, Pereira, Rodrigues, "HyParView" (DSN 2007), section 4: a small symmetric *active view* (links), a
larger *passive view* (a random sample of the mesh, kept fresh by shuffles), joins spread by random walks.
Deviations, and why: lost peers are *exiles* and are dialled for ever (the paper's overlay cannot heal a split); a
request may be refused even with high priority, because one eviction in two seconds is all that a hub grants (a join
that always evicts makes storms); neighbors that we chose, the one known longest, the nearest and those that came
back after long cannot be pushed out (against eclipse); a mesh of up to 16 hubs is fully linked without asking.
Invariants: never oneself; active, linked, passive, reserve and exiles are disjoint and bounded; a neighbor has a link;
a peer is under at most one dial; a refusal or a dead dial never leads to more dials than the pace allows.
"""

from __future__ import annotations

from typing import TypeAlias, assert_never

from protocol.clock import SECOND, Duration, Instant
from protocol.ids import AuthorId
from protocol.inputs import TimerKey
from protocol.membership.dialling import Dialling
from protocol.membership.exiles import Exiles
from protocol.membership.members import Guest, Member, Purpose, Slots, around
from protocol.membership.overlay_values import (
    Dial,
    ForwardJoin,
    NeighborDown,
    NeighborUp,
    OverlayConfig,
    OverlayEffect,
    OverlayMessage,
    Priority,
    Release,
    Shuffle,
    ShuffleAnswer,
    Tell,
    Wake,
)
from protocol.membership.pool import Pool
from protocol.membership.shuffles import Shuffles
from protocol.rng import Rng
from protocol.wire.joining import Join, Neighbor, NeighborAnswer

PLAN: TimerKey = ("overlay", "plan")
SHUFFLE: TimerKey = ("overlay", "shuffle")
PROBE: TimerKey = ("overlay", "probe")
Effects: TypeAlias = list[OverlayEffect]
_BRIDGE_WALKS = 4
_OUTGROW = 4
_HURRY_WITHIN = 2 * SECOND


class Overlay:
    """One hub's overlay. ``active``, ``pool`` and ``exiles`` may be read from outside and not changed."""

    def __init__(self, author: AuthorId, config: OverlayConfig, rng: Rng) -> None:
        self.author = author
        self.config = config
        self.active: dict[AuthorId, Member] = {}
        self.pool = Pool(author, config, rng.child("pool"))
        self.exiles = Exiles(config, rng.child("exiles"))
        self._rng = rng.child("overlay")
        self._guests: dict[AuthorId, Guest] = {}
        self._slots = Slots(config, rng.child("slots"))
        self._dials = Dialling(config.refused_us)
        self._shuffles = Shuffles(author, config, self.pool, rng.child("shuffles"))
        self._contact: AuthorId | None = None
        self._contact_at: Instant = 0
        self._was_small = config.small_mesh > 0
        self._forwarded_at: Instant = -(1 << 62)
        self._hurried_at: Instant = -(1 << 62)
        self._wakes: dict[TimerKey, Instant] = {}

    # --- what is known ----------------------------------------------------------------------------------------------

    @property
    def passive(self) -> dict[AuthorId, None]:
        """The passive view."""
        return self.pool.passive

    @property
    def alone(self) -> bool:
        """Fewer than two neighbors: everything else can wait."""
        return len(self.active) < 2

    def is_small(self) -> bool:
        """Whether so few hubs are known that all of them are neighbors."""
        bound = self.config.small_mesh
        if not bound or len(self.active) + len(self._guests) + len(self.passive) >= bound:
            return False
        return 1 + self.known() + len(self._guests) <= bound  # these are disjoint

    def is_island(self) -> bool:
        """Whether the neighbors' neighbors are all neighbors again, though more hubs than these are known."""
        views = [member.view for member in self.active.values()]
        if not self.config.small_mesh or self.is_small() or not all(views):
            return False
        return len(around(self.author, self.active)) <= self.config.small_mesh

    def known(self) -> int:
        """How many peers are known in all."""
        return len(self.active) + len(self.passive) + len(self.pool.reserve) + len(self.exiles)

    def __contains__(self, peer: object) -> bool:
        """Whether ``peer`` is known and need not be learnt."""
        return peer in self.active or peer in self._guests or peer in self.exiles

    # --- inputs -----------------------------------------------------------------------------------------------------

    def join(self, contact: AuthorId, now: Instant) -> Effects:
        """Enter the mesh through ``contact``; tried again, later each time, while there is no neighbor."""
        if contact != self.author:
            self._contact = contact
            self._contact_at = now
        return self._plan([], now)

    def met(self, peer: AuthorId, now: Instant) -> Effects:
        """Somebody can be dialled: discovery says so, or a record of addresses."""
        if peer in self.exiles:
            self.exiles.hurry(peer, now, SECOND // 5)
        elif peer not in self.active and peer not in self._guests:
            self.pool.add(peer)
        return self._plan([], now)

    def link_up(self, peer: AuthorId, initiator: bool, now: Instant) -> Effects:
        """There is a link with ``peer``; ``initiator`` if we dialled. At most one per peer: a second is ignored."""
        effects: Effects = []
        purpose = self._dials.ended(peer)
        if peer == self.author or peer in self.active or peer in self._guests:
            return self._plan(effects, now)
        exile = self.exiles.back(peer)
        if exile is None:
            self.pool.remove(peer)
        lost_us = 0 if exile is None else now - exile.lost_at
        bridge = purpose is Purpose.BRIDGE or lost_us >= self.config.long_lost_us
        wait = self.config.ask_us if initiator else self.config.unasked_us
        guest = self._guests[peer] = Guest(initiator, purpose, exile, now + wait, bridge=bridge)
        if self.is_small():
            self._admit(peer, guest, effects, now)
            if purpose is Purpose.JOIN:
                effects.append(Tell(peer, Join()))
        elif initiator:
            self._greet(peer, guest, effects, now)
        return self._plan(effects, now)

    def link_down(self, peer: AuthorId, clean: bool, now: Instant) -> Effects:
        """The link is gone; ``clean`` if the other side ended it in good order, else ``peer`` is an exile."""
        effects: Effects = []
        member = self.active.pop(peer, None)
        guest = self._guests.pop(peer, None)
        if member is None and guest is None:
            return effects
        if member is not None:
            effects.append(NeighborDown(peer))
        before = guest.exile if guest is not None else None
        if clean or (member is None and before is None):  # a visit may end abruptly: there was somebody
            self._dials.refuse(peer, now)
            self.pool.add(peer)
        else:
            known_at = member.known_at if member is not None else before.known_at if before is not None else now
            was_neighbor = member is not None or (before is not None and before.was_neighbor)
            self.exiles.add(peer, known_at, now, was_neighbor=was_neighbor)
        return self._plan(effects, now)

    def dial_failed(self, peer: AuthorId, now: Instant, *, there: bool = False) -> Effects:
        """A Dial came to nothing: whoever was passive is an exile now, unless somebody was ``there``."""
        purpose = self._dials.ended(peer)
        if purpose is not None and peer not in self.active and peer not in self._guests:
            if peer in self.exiles:
                self.exiles.failed(peer, self.known(), now)
            elif there:
                self._dials.refuse(peer, now)
            elif self.pool.remove(peer):
                self.exiles.add(peer, now, now, was_neighbor=False)
        return self._plan([], now)

    def receive(self, peer: AuthorId, message: OverlayMessage, now: Instant) -> Effects:
        """``peer`` says this on its link; from somebody without a link it means nothing."""
        effects: Effects = []
        if peer not in self.active and peer not in self._guests:
            return effects
        match message:
            case Shuffle():
                said = self._shuffles.received(peer, message, self.active, self)
                effects += [] if said is None else [said]
                visitor = self._guests.get(peer)
                if visitor is not None and not visitor.initiator:  # it has come to look, not to stay
                    visitor.parts = True
                    visitor.until = now + 2 * self.config.probe_for_us
            case ShuffleAnswer():
                said = self._shuffles.answered(message, (*self.active, *self._guests), self)
                effects += [] if said is None else [said]
                visited = self._guests.get(peer)
                if visited is not None and visited.initiator and not visited.asked and visited.purpose != Purpose.PROBE:
                    self._part(peer, effects, now)  # we were full, and know now what it knows
            case ForwardJoin():
                self._walk(peer, message, effects, now)
            case Neighbor(high):
                self._asked(peer, effects, now, high=high)
            case Join():
                self._joined(peer, effects, now)
            case NeighborAnswer(accepted):
                self._settled(peer, effects, now, accepted=accepted)
            case _:
                assert_never(message)
        return self._plan(effects, now)

    def timer(self, key: TimerKey, now: Instant) -> Effects:
        """A Wake is due."""
        effects: Effects = []
        self._wakes.pop(key, None)
        if key == SHUFFLE and self.active and (self.config.shuffle_small or not self.is_small()):
            effects.append(self._shuffles.offer(self.active))
        elif key == PROBE:
            self._probe(effects, now)
        elif key == PLAN:
            self._expire(effects, now)
        return self._plan(effects, now)

    def network_changed(self, now: Instant) -> Effects:
        """Paths may be back: every exile is worth a dial within two seconds."""
        self.exiles.hurry_all(now, _HURRY_WITHIN)
        self._contact_at = min(self._contact_at, now)
        return self._plan([], now)

    def announced(self, peer: AuthorId, neighbors: tuple[AuthorId, ...], now: Instant) -> Effects:
        """``peer`` says who its neighbors are, and so whether we are on an island."""
        if peer in self.active:
            self.active[peer].view = neighbors
        return self._plan([], now)

    def forget(self, peer: AuthorId) -> None:
        """Nobody knows where ``peer`` is: it can neither be dialled nor named to others."""
        self.pool.remove(peer)
        self.exiles.back(peer)

    def measured(self, peer: AuthorId, rtt_us: Duration, now: Instant) -> Effects:
        """The round trip on a link; of a probe that is clearly nearer than all neighbors we ask for a swap."""
        effects: Effects = []
        member = self.active.get(peer)
        if member is not None:
            member.rtt_us = rtt_us
            return effects
        guest = self._guests.get(peer)
        rtts = [one.rtt_us for one in self.active.values() if one.rtt_us is not None]
        if guest is None or guest.purpose is not Purpose.PROBE or guest.asked or not rtts:
            return effects
        if 2 * rtt_us < min(rtts) and self._slots.farthest(self.active, now) is not None:
            guest.swap = True
            self._ask(peer, guest, Neighbor(False), effects, now)
        return self._plan(effects, now)

    # --- links that come --------------------------------------------------------------------------------------------

    def _greet(self, peer: AuthorId, guest: Guest, effects: Effects, now: Instant) -> None:
        """We have dialled ``peer``: say why."""
        if guest.purpose is Purpose.PROBE:
            guest.until = now + self.config.probe_for_us
            effects.append(self._shuffles.look(self.active, peer))
        elif guest.purpose is Purpose.JOIN or (guest.purpose is None and not self.active):
            self._ask(peer, guest, Join(), effects, now)
        elif len(self.active) < self._bound():
            self._ask(peer, guest, Neighbor(self.alone or guest.bridge), effects, now)
        elif guest.bridge and self._slots.victim(self.active, now) is not None:
            self._ask(peer, guest, Neighbor(True), effects, now)
        else:
            guest.until = now + self.config.probe_for_us  # full: exchange what we know and part
            effects.append(self._shuffles.look(self.active, peer))

    def _ask(self, peer: AuthorId, guest: Guest, request: Join | Neighbor, effects: Effects, now: Instant) -> None:
        guest.asked = True
        guest.until = now + self.config.ask_us
        effects.append(Tell(peer, request))

    def _asked(self, peer: AuthorId, effects: Effects, now: Instant, *, high: bool) -> None:
        guest = self._guests.get(peer)
        accepted = guest is None or self._room_for(guest, effects, now, evict=high)
        effects.append(Tell(peer, NeighborAnswer(accepted)))
        if guest is not None and accepted:
            self._admit(peer, guest, effects, now)
        elif guest is not None:
            guest.parts = True
            guest.until = now + self.config.ask_us  # the other side closes

    def _joined(self, peer: AuthorId, effects: Effects, now: Instant) -> None:
        self._asked(peer, effects, now, high=True)
        effects.append(Tell(peer, ShuffleAnswer(peer, self._shuffles.sample(self.active, peer))))
        if now - self._forwarded_at >= self.config.join_us:
            self._forwarded_at = now
            walk = ForwardJoin(peer, self.config.arwl)
            effects.extend([Tell(other, walk) for other in self.active if other != peer])

    def _settled(self, peer: AuthorId, effects: Effects, now: Instant, *, accepted: bool) -> None:
        guest = self._guests.get(peer)
        if guest is None or not guest.asked:
            return
        if accepted and guest.swap:
            self._swap(peer, guest, effects, now)
        elif accepted and self._room_for(guest, effects, now, evict=guest.bridge, chosen=True):
            self._admit(peer, guest, effects, now)
        else:
            self._part(peer, effects, now)

    def _swap(self, peer: AuthorId, guest: Guest, effects: Effects, now: Instant) -> None:
        """The low-latency slot: whoever had it, or the farthest, gives way."""
        victim = self._slots.farthest(self.active, now)
        if victim is None:
            self._part(peer, effects, now)
            return
        self._push_out(victim, effects, now)
        self._admit(peer, guest, effects, now)
        self.active[peer].near = True

    def _admit(self, peer: AuthorId, guest: Guest, effects: Effects, now: Instant) -> None:
        """``peer`` is a neighbor; one that was lost for long is a bridge, and the others hear of it."""
        del self._guests[peer]
        self._dials.forgive(peer)
        known_at = now if guest.exile is None else guest.exile.known_at
        member = self.active[peer] = Member(guest.initiator, now, known_at)
        effects.append(NeighborUp(peer, guest.bridge))
        if guest.bridge:
            member.bridge_until = now + self.config.bridge_us
            effects.append(self._shuffles.look(self.active, peer))
            walk = ForwardJoin(peer, self.config.arwl)
            others = self._rng.sample([other for other in self.active if other != peer], _BRIDGE_WALKS)
            effects.extend([Tell(other, walk) for other in others])
            self._path_is_back(now)

    def _part(self, peer: AuthorId, effects: Effects, now: Instant) -> None:
        """End a link in good order; ``peer`` stays known."""
        if self._guests.pop(peer, None) is None:
            del self.active[peer]
            effects.append(NeighborDown(peer))
        effects.append(Release(peer))
        self._dials.refuse(peer, now)
        self.pool.add(peer)

    # --- room -------------------------------------------------------------------------------------------------------

    def _bound(self) -> int:
        return self.config.small_mesh if self.is_small() else self.config.active_max

    def _room_for(self, guest: Guest, effects: Effects, now: Instant, *, evict: bool, chosen: bool = False) -> bool:
        """Whether a neighbor more may come, after pushing one out if need be and allowed."""
        bound = self._bound()
        if not (chosen or guest.initiator or self.is_small()):
            inbound = sum(not member.initiator for member in self.active.values())
            if inbound >= bound - self.config.outbound:
                bound = 0  # what is left is for those that we choose
        if len(self.active) < bound:
            return True
        victim = self._slots.victim(self.active, now) if evict else None
        if victim is None:
            return False
        self._push_out(victim, effects, now)
        return True

    def _push_out(self, victim: AuthorId, effects: Effects, now: Instant) -> None:
        self._slots.evicted_at = now
        self._part(victim, effects, now)

    # --- walks ------------------------------------------------------------------------------------------------------

    def _walk(self, sender: AuthorId, walk: ForwardJoin, effects: Effects, now: Instant) -> None:
        """Pass a joiner on, remember it on the way, and dial it where the walk ends."""
        peer, ttl = walk.peer, min(walk.ttl, self.config.arwl)
        if peer == self.author:
            return
        linked = peer in self.active or peer in self._guests
        if peer in self.exiles:
            self.exiles.hurry(peer, now, _HURRY_WITHIN)
            self._path_is_back(now)
        elif not linked and (ttl in (self.config.prwl, 0) or self.is_small()):
            self.pool.add(peer)
        others = [other for other in self.active if other not in (sender, peer)]
        if ttl > 0 and others:
            effects.append(Tell(self._rng.choice(others), ForwardJoin(peer, ttl - 1)))
        elif not linked and peer not in self.exiles and len(self.active) < self.config.active:
            self._dial_if_idle(peer, effects, now)

    def _path_is_back(self, now: Instant) -> None:
        """Somebody who was lost for long is heard of: others may be back as well."""
        if now - self._hurried_at >= self.config.redial_us_min:
            self._hurried_at = now
            self.exiles.hurry_all(now, _HURRY_WITHIN)

    def _probe(self, effects: Effects, now: Instant) -> None:
        """Look whether somebody of the passive view is there, what it knows and how near it is; from an island, try to
        stay with it."""
        if self.alone or self.is_small() or len(self._dials) >= self.config.dials:
            return
        island = self.is_island()
        peer = self.pool.draw(
            (*self._dials.busy(now), *(around(self.author, self.active) if island else ())), deep=island
        )
        if peer is not None:
            self._dial(peer, Purpose.BRIDGE if island else Purpose.PROBE, effects)

    # --- the plan ---------------------------------------------------------------------------------------------------

    def _plan(self, effects: Effects, now: Instant) -> Effects:
        """Whatever happened: dial who is missing, come back when more is due."""
        small = self.is_small()
        wake: list[Instant] = [guest.until for guest in self._guests.values()]
        if not small:
            self._outgrow(effects, wake, now)
        if self._contact is not None and not self.active:
            self._enter(effects, wake, now)
        self._fill(effects, wake, now, small=small)
        if len(self.exiles):
            self._seek(effects, wake, now)
        if self.active and (self.config.shuffle_small or not small):
            for key, period in ((SHUFFLE, self.config.shuffle_us), (PROBE, self.config.probe_us)):
                if period and key not in self._wakes:
                    self._wake(key, now + self._rng.jitter(period, 20), effects)
        if wake:
            self._wake(PLAN, max(now + 1, min(wake)), effects)
        return effects

    def _outgrow(self, effects: Effects, wake: list[Instant], now: Instant) -> None:
        """The mesh is too large for everybody to be linked: let go of one at a time, and join if we have few."""
        if self._was_small:
            self._was_small = False
            first = next((peer for peer, member in self.active.items() if member.initiator), None)
            if first is not None and len(self.active) < self.config.active:
                effects.append(Tell(first, Join()))
        if len(self.active) > self.config.active_max:
            victim = self._slots.victim(self.active, now, _OUTGROW)
            if victim is not None:
                self._push_out(victim, effects, now)
            wake.append(now + self.config.evict_us // _OUTGROW)

    def _enter(self, effects: Effects, wake: list[Instant], now: Instant) -> None:
        contact = self._contact
        assert contact is not None
        if contact in self._guests or contact in self._dials.dials:
            return
        if self._contact_at <= now:
            self._contact_at = now + self._rng.jitter(self.config.redial_us_min, 20)
            self._dial(contact, Purpose.JOIN, effects)
        else:
            wake.append(self._contact_at)

    def _fill(self, effects: Effects, wake: list[Instant], now: Instant, *, small: bool) -> None:
        """Dial somebody for each neighbor that is missing and not under way."""
        config = self.config
        target = config.small_mesh if small else config.active
        chosen = sum(member.initiator for member in self.active.values())
        if not small and chosen < config.outbound and len(self.active) < config.active_max:
            target = max(target, len(self.active) + 1)
        if len(self.active) >= target:
            return
        coming = sum(guest.asked for guest in self._guests.values())
        coming += self._dials.toward_neighbors()
        room = (config.dials_alone if self.alone else config.dials) - len(self._dials)
        missing = (config.active_max if self.alone and not small else target) - len(self.active) - coming
        for _ in range(min(room, missing)):
            peer = self.pool.draw(self._dials.busy(now), deep=not small)
            if peer is None:
                break
            self._dial(peer, Purpose.FILL, effects)
        again = self._dials.forgives_at(now)
        if again is not None:
            wake.append(again)

    def _seek(self, effects: Effects, wake: list[Instant], now: Instant) -> None:
        """Dial exiles that are due."""
        free = (self.config.dials_alone if self.alone else self.config.dials) - len(self._dials)
        due, again = self.exiles.due(free, self.known(), now, alone=self.alone)
        for peer in due:
            self._dial(peer, Purpose.EXILE, effects)
        if again is not None:
            wake.append(again)

    def _dial(self, peer: AuthorId, purpose: Purpose, effects: Effects) -> None:
        self._dials.dials[peer] = purpose
        self.exiles.dialled(peer)
        lazy = purpose not in (Purpose.FILL, Purpose.JOIN)
        effects.append(Dial(peer, Priority.URGENT if self.alone else Priority.LAZY if lazy else Priority.NORMAL))

    def _dial_if_idle(self, peer: AuthorId, effects: Effects, now: Instant) -> None:
        if len(self._dials) < self.config.dials_alone and peer not in self._dials.busy(now):
            self._dial(peer, Purpose.FILL, effects)

    def _expire(self, effects: Effects, now: Instant) -> None:
        """Links whose time is up: a silent dialler wanted to be a neighbor, everybody else goes."""
        for peer in [one for one, guest in self._guests.items() if guest.until <= now]:
            guest = self._guests[peer]
            waits = not (guest.initiator or guest.asked or guest.parts)
            if waits and self._room_for(guest, effects, now, evict=False):
                self._admit(peer, guest, effects, now)
            else:
                self._part(peer, effects, now)

    def _wake(self, key: TimerKey, at: Instant, effects: Effects) -> None:
        known = self._wakes.get(key)
        if known is None or at < known:
            self._wakes[key] = at
            effects.append(Wake(key, at))
