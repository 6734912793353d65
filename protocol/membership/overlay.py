"""HyParView: which peers are neighbors and who else is known, so that the mesh stays whole.

Source: Leitao, Pereira, Rodrigues, "HyParView" (DSN 2007), section 4: a small symmetric *active view* (links), a
larger *passive view* (a random sample of the mesh, kept fresh by shuffles), joins spread by random walks.
Deviations: lost peers are *exiles* and are dialled for ever, because the paper's overlay cannot heal a split; a mesh
of up to 16 hubs is fully linked without asking; shuffles slow down while nothing changes. The others are told where
they are made: :mod:`~protocol.membership.admission`, :mod:`~protocol.membership.seeking`.
Invariants: never oneself; active, linked, passive, reserve and exiles are disjoint and bounded; a neighbor has a link;
a peer is under at most one dial; a refusal or a dead dial never leads to more dials than the pace allows; no timer
runs while nobody is known.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TypeAlias, assert_never

from protocol.clock import SECOND, Duration, Instant
from protocol.effects import SetTimer
from protocol.ids import AuthorId
from protocol.inputs import TimerKey
from protocol.membership.admission import Admission
from protocol.membership.company import Company
from protocol.membership.exiles import Exiles
from protocol.membership.members import Guest, Member, Purpose
from protocol.membership.overlay_values import (
    ForwardJoin,
    NeighborDown,
    OverlayConfig,
    OverlayEffect,
    OverlayMessage,
    Shuffle,
    ShuffleAnswer,
    Tell,
)
from protocol.membership.pool import Pool
from protocol.membership.seeking import Seeking
from protocol.membership.shuffles import Shuffles
from protocol.rng import Rng
from protocol.wire.joining import Join, Neighbor, NeighborAnswer

PLAN: TimerKey = ("overlay", "plan")
SHUFFLE: TimerKey = ("overlay", "shuffle")
PROBE: TimerKey = ("overlay", "probe")
Effects: TypeAlias = list[OverlayEffect]


class Overlay:
    """One hub's overlay. ``active``, ``pool`` and ``exiles`` may be read from outside and not changed."""

    def __init__(self, author: AuthorId, config: OverlayConfig, rng: Rng) -> None:
        self.author = author
        self.config = config
        self._rng = rng.child("overlay")
        self._company = company = Company(author, config, rng)
        self._shuffles = Shuffles(author, config, company.pool, rng.child("shuffles"))
        self._admission = Admission(company, self._shuffles, rng.child("admission"))
        self._seeking = Seeking(company, rng.child("seeking"))
        self._was_small = config.small_mesh > 0
        self._restless_at: Instant = 0
        self._stranger_at: Instant = 0
        self._wakes: dict[TimerKey, Instant] = {}

    # --- what is known ----------------------------------------------------------------------------------------------

    @property
    def active(self) -> dict[AuthorId, Member]:
        """The neighbors."""
        return self._company.active

    @property
    def carriers(self) -> Container[AuthorId]:
        """The neighbors and those who part: whose links carry what the mesh says."""
        return self._company.carriers

    def parting(self) -> tuple[AuthorId, ...]:
        """Whose links will end soon, and still carry what they carried."""
        return tuple(peer for peer, guest in self._company.guests.items() if guest.parting)

    @property
    def pool(self) -> Pool:
        """Who is known and has no link."""
        return self._company.pool

    @property
    def exiles(self) -> Exiles:
        """Who is lost."""
        return self._company.exiles

    @property
    def passive(self) -> dict[AuthorId, None]:
        """The passive view."""
        return self._company.pool.passive

    def is_small(self) -> bool:
        """Whether so few hubs are known that all of them are neighbors."""
        return self._company.is_small()

    def is_island(self) -> bool:
        """Whether the neighbors' neighbors are all neighbors again, though more hubs than these are known."""
        return self._company.is_island()

    def known(self) -> int:
        """How many peers are known in all."""
        return self._company.known()

    def bridges(self, now: Instant) -> tuple[AuthorId, ...]:
        """Neighbors that were lost for long and are back since less than ``bridge_us``: both sides have news for each
        other, so whoever reconciles does it with these first."""
        return tuple(peer for peer, member in self.active.items() if member.bridge_until > now)

    # --- inputs -----------------------------------------------------------------------------------------------------

    def join(self, contact: AuthorId, now: Instant) -> Effects:
        """Enter the mesh through ``contact`` (as well, if there are others): dialled until it was met."""
        if contact != self.author:
            self._seeking.contacts.add(contact, now)
        return self._plan([], now)

    def met(self, peer: AuthorId, now: Instant) -> Effects:
        """Somebody can be dialled: discovery says so, or a record of addresses."""
        company = self._company
        if peer in company.exiles:
            company.exiles.hurry(peer, now, SECOND // 5)
        elif peer not in company:
            if peer not in company.pool:
                self._stranger_at = now
            company.pool.add(peer)
        return self._plan([], now)

    def link_up(self, peer: AuthorId, initiator: bool, now: Instant) -> Effects:
        """There is a link with ``peer``; ``initiator`` if we dialled. At most one per peer: a second is ignored."""
        effects: Effects = []
        company, config = self._company, self.config
        purpose = company.dials.ended(peer)
        if peer == self.author or peer in company.active or peer in company.guests:
            return self._plan(effects, now)
        self._seeking.contacts.met(peer)
        exile = company.exiles.back(peer)
        if exile is None:
            company.pool.remove(peer)
        lost_us = 0 if exile is None else now - exile.lost_at
        bridge = purpose is Purpose.BRIDGE or lost_us >= config.long_lost_us
        wait = config.ask_us if initiator else config.unasked_us
        if bridge or not company.active:
            self._restless_at = now
        guest = company.guests[peer] = Guest(initiator, purpose, exile, now + wait, bridge=bridge)
        if company.is_small():
            self._admission.admit(peer, guest, effects, now)
            if purpose is Purpose.JOIN:
                effects.append(Tell(peer, Join()))
        elif initiator:
            self._admission.greet(peer, guest, effects, now)
        return self._plan(effects, now)

    def link_down(self, peer: AuthorId, clean: bool, now: Instant) -> Effects:
        """The link is gone; ``clean`` if the other side ended it in good order, else ``peer`` is an exile."""
        effects: Effects = []
        company = self._company
        member = company.active.pop(peer, None)
        guest = company.guests.pop(peer, None)
        if member is None and guest is None:
            return effects
        if member is not None or (guest is not None and guest.parting):
            effects.append(NeighborDown(peer))
        before = guest.exile if guest is not None else None
        if clean or (member is None and before is None):  # a visit may end abruptly: there was somebody
            company.dials.leave(peer, now)
            company.pool.add(peer)
        else:
            known_at = member.known_at if member is not None else before.known_at if before is not None else now
            self._restless_at = now
            was_neighbor = member is not None or (before is not None and before.was_neighbor)
            company.exiles.add(peer, known_at, now, was_neighbor=was_neighbor)
        return self._plan(effects, now)

    def dial_failed(self, peer: AuthorId, now: Instant, *, there: bool = False) -> Effects:
        """A Dial came to nothing: whoever was passive is an exile now, unless somebody was ``there``."""
        company = self._company
        small = company.is_small()
        purpose = company.dials.ended(peer)
        if purpose is not None and peer not in company.active and peer not in company.guests:
            if peer in company.exiles:
                company.exiles.failed(peer, company.known(), now)
            elif there:
                company.dials.refuse(peer, now)
            elif company.pool.remove(peer):
                missed = small and peer not in company.dials.parted  # in a small mesh everybody is
                company.exiles.add(peer, now, now, was_neighbor=False, missed=missed)
        return self._plan([], now)

    def receive(self, peer: AuthorId, message: OverlayMessage, now: Instant) -> Effects:
        """``peer`` says this on its link; from somebody without a link it means nothing."""
        effects: Effects = []
        company = self._company
        if peer not in company.active and peer not in company.guests:
            return effects
        match message:
            case Shuffle() | ShuffleAnswer():
                self._shuffle(peer, message, effects, now)
                if peer in company.active and len(company.active) >= self.config.active:
                    return effects  # nobody is missing, so nothing follows from knowing more
            case ForwardJoin():
                self._walk(peer, message, effects, now)
            case Neighbor(high):
                self._admission.asked(peer, effects, now, high=high)
            case Join():
                self._admission.joined(peer, effects, now)
            case NeighborAnswer(accepted):
                self._admission.settled(peer, effects, now, accepted=accepted)
            case _:
                assert_never(message)
        return self._plan(effects, now)

    def timer(self, key: TimerKey, now: Instant) -> Effects:
        """A timer is due."""
        effects: Effects = []
        self._wakes.pop(key, None)
        if key == SHUFFLE and self.active and (self.config.shuffle_small or not self.is_small()):
            effects.append(self._shuffles.offer(self.active))
        elif key == PROBE:
            settled = self._calm(now) and now - self._stranger_at >= self.config.calm_us
            self._seeking.probe(effects, now, settled=settled)
        elif key == PLAN:
            self._admission.expire(effects, now)
        return self._plan(effects, now)

    def network_changed(self, now: Instant) -> Effects:
        """Paths may be back: every exile is worth a dial within two seconds, and who has left may be back too."""
        self._company.dials.forgive_all()
        self.exiles.hurry_all(now)
        self._seeking.contacts.hurry(now)
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
        company = self._company
        member = company.active.get(peer)
        if member is not None:
            member.rtt_us = rtt_us
            return effects
        guest = company.guests.get(peer)
        rtts = [one.rtt_us for one in company.active.values() if one.rtt_us is not None]
        if guest is None or guest.purpose is not Purpose.PROBE or guest.asked or not rtts:
            return effects
        if 2 * rtt_us < min(rtts) and company.slots.farthest(company.active, now) is not None:
            guest.swap = True
            self._admission.ask(peer, guest, Neighbor(False), effects, now)
        return self._plan(effects, now)

    # --- walks ------------------------------------------------------------------------------------------------------

    def _shuffle(self, peer: AuthorId, message: Shuffle | ShuffleAnswer, effects: Effects, now: Instant) -> None:
        company = self._company
        guest = company.guests.get(peer)
        if isinstance(message, Shuffle):
            said = self._shuffles.received(peer, message, company.active, company)
            if guest is not None and not (guest.initiator or guest.parting):  # it has come to look, not to stay
                guest.parts = True
                guest.until = now + 2 * self.config.probe_for_us
        else:
            said = self._shuffles.answered(message, (*company.active, *company.guests), company)
            stays = guest is None or guest.asked or guest.parting or guest.purpose is Purpose.PROBE
            if guest is not None and guest.initiator and not stays:
                self._admission.part(peer, effects, now)  # we were full, and know now what it knows
        if said is not None:
            effects.append(said)

    def _walk(self, sender: AuthorId, walk: ForwardJoin, effects: Effects, now: Instant) -> None:
        """Pass a joiner on, remember it on the way, and dial it where the walk ends."""
        company = self._company
        peer, ttl = walk.peer, min(walk.ttl, self.config.arwl)
        if peer == self.author:
            return
        known = peer in company
        if peer in company.exiles:
            company.exiles.hurry(peer, now)
            company.exiles.path_is_back(now)
        elif not known and (ttl in (self.config.prwl, 0) or company.is_small()):
            company.pool.add(peer)
        others = [other for other in company.active if other not in (sender, peer)]
        if ttl > 0 and others:
            effects.append(Tell(self._rng.choice(others), ForwardJoin(peer, ttl - 1)))
        elif not known and len(company.active) < self.config.active:
            self._seeking.newcomer(peer, effects, now)

    # --- the plan ---------------------------------------------------------------------------------------------------

    def _plan(self, effects: Effects, now: Instant) -> Effects:
        """Whatever happened: dial who is missing, come back when more is due."""
        company = self._company
        small = company.is_small()
        wake: list[Instant] = [guest.until for guest in company.guests.values()]
        if not small:
            self._outgrow(effects, wake, now)
        self._seeking.enter(effects, wake, now)
        self._seeking.fill(effects, wake, now, small=small)
        self._seeking.exiles(effects, wake, now)
        if company.active and (self.config.shuffle_small or not small):
            self._keep_time(effects, now)
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
        again = self._admission.outgrow(effects, now)
        if again is not None:
            wake.append(again)

    def _keep_time(self, effects: Effects, now: Instant) -> None:
        """Shuffle and look around often after a loss or a reunion, and seldom while all is well."""
        config = self.config
        calm = self._calm(now)
        shuffle_us = config.shuffle_calm_us if calm else config.shuffle_us
        probe_us = config.probe_calm_us if calm else config.probe_us
        for key, period in ((SHUFFLE, shuffle_us), (PROBE, probe_us)):
            if period:
                at = self._wakes.get(key)
                if at is None or at > now + 2 * period:  # calm no more
                    self._wake(key, now + self._rng.jitter(period, 20), effects)

    def _calm(self, now: Instant) -> bool:
        config = self.config
        return now - self._restless_at >= config.calm_us and 2 * len(self.passive) >= config.passive

    def _wake(self, key: TimerKey, at: Instant, effects: Effects) -> None:
        known = self._wakes.get(key)
        if known is None or at < known:
            self._wakes[key] = at
            effects.append(SetTimer(key, at))
