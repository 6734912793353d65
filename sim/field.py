"""A field of machines: up to 10,000 members with an overlay and trees each, and nothing else of a hub.

Source: design decision 30: buckets of 1 ms, order (tick, insertion), links as ordered streams. A whole simulated hub
(:mod:`sim.world`) carries keys, records, consent and a shelf; here only who is linked with whom and how messages
spread is played, by the same machines that a Node composes, so that the published sizes can be reached.

What a member is spared, and what stands for it:

- Heartbeats are not sent. A link whose other end falls silent goes down ``silence_us`` after the last beat that was
  heard, and when that was is drawn within one ``beat_us``.
- A dial costs two round trips (TCP, and one and a half for the handshake); into silence it costs its whole time-out;
  a machine whose process has died refuses after one round trip.
- Messages have no size on the line and no member is ever busy: bandwidth and CPU are not limits here.

Invariants: each direction of a link arrives in the order in which it was sent; nothing arrives on a link after it has
ended there; a Dial is answered by ``link_up`` or ``dial_failed``; one seed, one run.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import assert_never

from protocol.clock import Duration, Instant
from protocol.effects import SetTimer
from protocol.ids import AuthorId
from protocol.inputs import TimerKey
from protocol.membership import overlay_values as machine
from protocol.membership.overlay import Overlay
from protocol.membership.overlay_values import OverlayEffect, OverlayMessage, Priority
from protocol.rng import Rng
from sim import graph
from sim.kernel import Kernel
from sim.members import Counters, FieldConfig, Half, Listener, Member
from sim.spread import Spread, SpreadConfig
from sim.stream import RTO_MIN_US, next_retransmission
from sim.weather import Weather


class Field:
    """``run`` lets time pass; ``die``, ``cut`` and ``heal`` are what happens to its members.

    ``digest`` is of every step so far, who took it, when, and to what effect, if the configuration has it ``traced``.
    """

    def __init__(self, seed: int, config: FieldConfig) -> None:
        self.seed = seed
        self.config = config
        self.kernel = Kernel()
        rng = Rng(seed)
        self.weather = Weather(config.weather, rng.child("weather"))
        self.counters = Counters()
        self.digest = b""
        self._rng = rng.child("field")
        self._side: Sequence[int] | None = None
        self._reach: dict[tuple[int, int], None] | None = None
        self._limited = False
        self._held: dict[Half, None] = {}
        self._dial_count = 0
        machines = rng.child("machines")
        self.members: list[Member] = []
        for number in range(config.members):
            author = AuthorId(blake2b(f"{seed} {number}".encode(), digest_size=32).digest())
            overlay = Overlay(author, config.overlay, machines.child(f"overlay {number}"))
            self.members.append(Member(number, author, overlay))
        self.index = {member.author: member.number for member in self.members}
        self.spread: Spread | None = None
        self.listeners: list[Listener] = []
        if config.spread is not None:
            self.attach(config.spread)

    def attach(self, config: SpreadConfig) -> Spread:
        """Give every member trees, with the neighbors that it has; those of before are forgotten."""
        self.spread = Spread(self, config, Rng(self.seed).child("machines"))
        self.listeners = [self.spread]
        for member in self.members:
            for other in member.neighbors:
                self.spread.neighbor_up(member.number, self.members[other].author)
        return self.spread

    # --- time ---------------------------------------------------------------------------------------------------

    @property
    def now(self) -> Instant:
        """Virtual time."""
        return self.kernel.now

    @property
    def events(self) -> int:
        """How many events have run."""
        return self.kernel.events

    def run(self, us: Duration) -> None:
        """Let ``us`` pass."""
        self.kernel.run(self.kernel.now + us)

    def wait(self, holds: Callable[[], bool], at_most_us: Duration, every_us: Duration) -> Duration | None:
        """Let time pass until ``holds``; how long that took in steps of ``every_us``, None if it never did."""
        began = self.now
        while not holds():
            if self.now - began >= at_most_us:
                return None
            self.run(every_us)
        return self.now - began

    def fork(self) -> Callable[[], Field]:
        """A way to have this field as it is now, as often as wanted; the copies know nothing of each other."""
        frozen = pickle.dumps(self, pickle.HIGHEST_PROTOCOL)

        def copy() -> Field:
            thawed: Field = pickle.loads(frozen)  # noqa: S301 - our own bytes of a moment ago
            return thawed

        return copy

    # --- who is here --------------------------------------------------------------------------------------------

    def populate(self) -> None:
        """Everybody joins, and is told of random others to do it through, whether those are in already or not;
        returns when the last one has begun. The crowd doubles every ``double_us``."""
        began = at = self.now
        for number in range(self.config.members):
            at = began + int(self.config.double_us * math.log2(number + 1))
            self.kernel.at(at, self._join, number)
        self.kernel.run(at)

    def _join(self, number: int) -> None:
        member = self.members[number]
        others = len(self.members) - 1
        contacts: dict[int, None] = {}
        while len(contacts) < min(self.config.contacts, others):
            drawn = self._rng.below(others)
            contacts[drawn + (drawn >= number)] = None
        for contact in contacts:
            if member.alive:
                self.apply(member, member.overlay.join(self.members[contact].author, self.kernel.now))

    def living(self) -> list[int]:
        """The numbers of those that live."""
        return [member.number for member in self.members if member.alive]

    def graph(self) -> list[list[int] | None]:
        """Who is neighbor of whom, where both say so; None for the dead."""
        members = self.members
        return graph.mutual([member.neighbors for member in members], [member.alive for member in members])

    def watch(self) -> None:
        """From now on ``neighbors_max`` is looked after afresh: while few had joined, more neighbors were right."""
        for member in self.members:
            member.neighbors_max = len(member.neighbors)

    def die(self, numbers: Iterable[int], *, silent: bool) -> None:
        """These are gone at once; ``silent``: the machine with the process, so that nothing tells their peers."""
        for number in numbers:
            member = self.members[number]
            member.alive, member.silent = False, silent
            for half in member.links.values():
                half.open = False
                if silent:
                    self._fall_silent(half.other, dead=True)
                else:
                    self._end(half, clean=False)
            member.links = {}
            member.wakes.clear()
            member.dials.clear()
            member.neighbors.clear()

    # --- paths --------------------------------------------------------------------------------------------------

    def cut(self, side: Sequence[int]) -> None:
        """Nothing passes between members whose ``side`` differs; nobody is told."""
        self._side = side
        self._changed()

    def heal(self, discovery_us: Duration | None = None) -> None:
        """All cuts end; ``discovery_us`` is that of the configuration unless given."""
        self._side = None
        self._changed()
        within_us = discovery_us or self.config.discovery_us or 0
        for member in self.members:
            if within_us and member.alive:
                self.kernel.at(self.kernel.now + self._rng.below(within_us), self._discover, member.number)

    def scatter(self) -> None:
        """From now on nothing passes between any two but those that are brought together."""
        self._reach = {}
        self._changed()

    def meet(self, one: int, other: int) -> None:
        """These two are within reach of each other; discovery, if there is any, tells both within ``discovery_us``."""
        assert self._reach is not None
        self._reach[min(one, other), max(one, other)] = None
        self._look_at(one, other)
        if self.config.discovery_us is not None:
            for number, peer in ((one, other), (other, one)):
                at = self.kernel.now + self._rng.below(self.config.discovery_us)
                self.kernel.at(at, self._noticed, number, peer)

    def part(self, one: int, other: int) -> None:
        """These two are out of reach; nobody is told."""
        assert self._reach is not None
        self._reach.pop((min(one, other), max(one, other)), None)
        self._look_at(one, other)

    def passes(self, one: int, other: int) -> bool:
        """Whether the path between two members is open."""
        if self._side is not None and self._side[one] != self._side[other]:
            return False
        return self._reach is None or (min(one, other), max(one, other)) in self._reach

    def _changed(self) -> None:
        """Any path may be another now."""
        self._limited = self._side is not None or self._reach is not None
        for member in self.members:
            for half in member.links.values():
                self._mute(half)
        for half in list(self._held):
            self._resume(half)

    def _look_at(self, one: int, other: int) -> None:
        """The path between two may be another now."""
        for number, peer in ((one, other), (other, one)):
            half = self.members[number].links.get(self.members[peer].author)
            if half is not None:
                self._mute(half)
        for half in [half for half in self._held if {half.owner, half.peer} == {one, other}]:
            self._resume(half)

    def _mute(self, half: Half) -> None:
        """Note whether a link's path is cut, and since when."""
        passes = self.passes(half.owner, half.peer)
        if passes == half.mute:
            half.mute = not passes
            half.token += 1  # what was to happen after enough silence will not
            if half.mute:
                self._fall_silent(half, dead=False)

    def _resume(self, half: Half) -> None:
        """What was sent into a cut that has ended is sent again when its retransmission is due."""
        if not self.passes(half.owner, half.peer):
            return
        del self._held[half]
        at = next_retransmission(half.held_since, self.kernel.now, RTO_MIN_US)
        items, half.held = half.held, []
        half.last = max(half.last, at + half.latency_us)
        for action, message in items:
            self.kernel.post(half.last, action, (half, message))

    def _discover(self, number: int) -> None:
        member = self.members[number]
        for _ in range(self.config.discovery_peers):
            other = self.members[self._rng.below(len(self.members))]
            if member.alive and other.alive and other is not member and self.passes(number, other.number):
                self.apply(member, member.overlay.met(other.author, self.kernel.now))

    def _noticed(self, number: int, peer: int) -> None:
        member, other = self.members[number], self.members[peer]
        if member.alive and other.alive and self.passes(number, peer) and other.author not in member.links:
            self.apply(member, member.overlay.met(other.author, self.kernel.now))

    def _fall_silent(self, half: Half, *, dead: bool) -> None:
        """``half`` hears nothing any more; what is in flight does not count as a sign of life."""
        now = self.kernel.now
        heard = now - self._rng.below(self.config.beat_us) + half.latency_us
        self.kernel.at(max(now + 1, heard + self.config.silence_us), self._silent, half, half.token, dead)

    def _silent(self, half: Half, token: int, dead: bool) -> None:
        """A time-out of silence is over: the link goes down here, unless the path has come back meanwhile."""
        if not half.open or (token != half.token and not dead):
            return
        self.counters.silences += 1
        self._close(half)
        member = self.members[half.owner]
        self.apply(member, member.overlay.link_down(self.members[half.peer].author, False, self.kernel.now))

    # --- links --------------------------------------------------------------------------------------------------

    def _dial(self, member: Member, peer: AuthorId, priority: Priority) -> None:
        assert peer not in member.links, f"member {member.number} dials somebody that it has a link with"
        target = self.members[self.index[peer]]
        now = self.kernel.now
        self.counters.dials += 1
        member.attempts += 1
        self._dial_count += 1
        member.dials[peer] = dial = self._dial_count
        patience = self.config.urgent_us if priority is Priority.URGENT else self.config.dial_us
        latency = self.weather.latency_us(member.number, target.number)
        took = 4 * latency + self.weather.extra_us()
        if not target.alive and not target.silent and self.passes(member.number, target.number):
            self.kernel.at(now + min(patience, 2 * latency), self._dial_over, member, peer, dial)
        elif took > patience or not target.alive or not self.passes(member.number, target.number):
            self.kernel.at(now + patience, self._dial_over, member, peer, dial)
        else:
            self.kernel.at(now + took, self._answered, member, target, dial, latency, now + patience)

    def _dial_over(self, member: Member, peer: AuthorId, dial: int) -> None:
        if not member.alive or member.dials.get(peer) != dial:
            return
        del member.dials[peer]
        self.counters.dials_failed += 1
        self.apply(member, member.overlay.dial_failed(peer, self.kernel.now))

    def _answered(self, member: Member, target: Member, dial: int, latency: Duration, end: Instant) -> None:
        """The handshake is done on the dialling side; its last message is on the way to the other."""
        if not member.alive or member.dials.get(target.author) != dial:
            return
        now = self.kernel.now
        if not target.alive or not self.passes(member.number, target.number):
            self.kernel.at(max(end, now), self._dial_over, member, target.author, dial)
            return
        there = target.links.get(member.author)
        if there is not None and not there.other.ended:  # its own dial was quicker: that link is on its way here
            self.kernel.at(max(end, now), self._dial_over, member, target.author, dial)
            return
        if there is not None:  # an older link, whose end is still on its way
            self._lose(target, there)
        near = Half(member.number, target.number, member.author, latency, now, True)
        far = Half(target.number, member.number, target.author, latency, now, False)
        near.other, far.other = far, near
        member.links[target.author] = near
        self.counters.links += 1
        self.send(near, self._opened, True)
        self._up(member, target.author, True)

    def _opened(self, near: Half, initiator: bool) -> None:
        """The handshake's last message has come to the other side."""
        assert initiator
        far, now = near.other, self.kernel.now
        member, peer = self.members[far.owner], self.members[near.owner]
        if not member.alive:
            if member.silent:
                self._fall_silent(near, dead=True)
            else:
                self._end(far, clean=False)
            return
        older = member.links.get(peer.author)
        if older is not None:
            self._lose(member, older)
        far.open = True
        far.last = max(far.last, now)
        member.links[peer.author] = far
        self._up(member, peer.author, False)

    def _up(self, member: Member, peer: AuthorId, initiator: bool) -> None:
        member.dials.pop(peer, None)
        now = self.kernel.now
        self.kernel.at(now + self.config.ping_us, self._ponged, member, member.links[peer])
        self.apply(member, member.overlay.link_up(peer, initiator, now))

    def _ponged(self, member: Member, half: Half) -> None:
        """The answer to the first PING on a link."""
        if half.open:
            peer = self.members[half.peer].author
            self.apply(member, member.overlay.measured(peer, 2 * half.latency_us, self.kernel.now))

    def _lose(self, member: Member, half: Half) -> None:
        """A newer link takes the place of this one."""
        self._close(half)
        peer = self.members[half.peer].author
        self.apply(member, member.overlay.link_down(peer, False, self.kernel.now))

    def _close(self, half: Half) -> None:
        """This side has lost it; the other learns when that gets there."""
        half.open = False
        links, peer = self.members[half.owner].links, self.members[half.peer].author
        if links.get(peer) is half:
            del links[peer]
        self._end(half, clean=False)

    def _end(self, half: Half, *, clean: bool) -> None:
        half.ended = True
        self.send(half, self._ended, clean)

    def _ended(self, half: Half, clean: bool) -> None:
        """The end of the stream has come to the other side."""
        there = half.other
        if not there.open:
            return
        there.open = False
        member, peer = self.members[there.owner], self.members[half.owner].author
        if member.links.get(peer) is there:
            del member.links[peer]
        if member.alive:
            self.apply(member, member.overlay.link_down(peer, clean, self.kernel.now))

    def send(self, half: Half, action: Callable[..., None], message: object) -> None:
        """Have ``action(half, message)`` done when what is sent now has come to the other side."""
        now = self.kernel.now
        if self._limited and not self.passes(half.owner, half.peer):
            if not half.held:
                half.held_since = now
            half.held.append((action, message))
            self._held[half] = None
            return
        at = now + half.latency_us + self.weather.extra_us()
        if at < half.last:
            at = half.last
        else:
            half.last = at
        self.kernel.post(at, action, (half, message))

    # --- the overlay --------------------------------------------------------------------------------------------

    def note(self, number: int, effects: Sequence[object]) -> None:
        """Add a step to the digest of a traced run."""
        step = f"{self.kernel.now} {number} {effects}".encode()
        self.digest = blake2b(self.digest + step, digest_size=16).digest()

    def apply(self, member: Member, effects: Sequence[OverlayEffect]) -> None:
        """Do what an overlay wants."""
        if self.config.traced:
            self.note(member.number, effects)
        for effect in effects:
            match effect:
                case machine.Tell():
                    self._tell(member, effect.peer, effect.message)
                case SetTimer():
                    member.wakes[effect.key] = effect.at
                    self.kernel.post(effect.at, self._due, (member, effect.key, effect.at))
                case machine.Dial():
                    self._dial(member, effect.peer, effect.priority)
                case machine.Release():
                    self._release(member, effect.peer)
                case machine.NeighborUp():
                    self._neighbor_up(member, effect.peer)
                case machine.NeighborParting():
                    self._neighbor_parting(member, effect.peer)
                case machine.NeighborDown():
                    self._neighbor_down(member, effect.peer)
                case _:
                    assert_never(effect)

    def _tell(self, member: Member, peer: AuthorId, message: OverlayMessage) -> None:
        half = member.links.get(peer)
        if half is None:
            self.counters.lost += 1
            return
        self.counters.told += 1
        self.send(half, self._told, message)

    def _told(self, half: Half, message: OverlayMessage) -> None:
        if half.other.open:
            kinds, kind = self.counters.kinds, type(message)
            kinds[kind] = kinds.get(kind, 0) + 1
            member = self.members[half.peer]
            self.apply(member, member.overlay.receive(half.author, message, self.kernel.now))

    def _due(self, member: Member, key: TimerKey, at: Instant) -> None:
        if member.wakes.get(key) == at and member.alive:
            del member.wakes[key]
            self.apply(member, member.overlay.timer(key, self.kernel.now))

    def _release(self, member: Member, peer: AuthorId) -> None:
        half = member.links.pop(peer, None)
        if half is not None:
            self.counters.releases += 1
            half.open = False
            self._end(half, clean=True)

    def _neighbor_up(self, member: Member, peer: AuthorId) -> None:
        member.neighbors[self.index[peer]] = None
        member.neighbors_max = max(member.neighbors_max, len(member.neighbors))
        self._announce(member)
        for listener in self.listeners:
            listener.neighbor_up(member.number, peer)

    def _neighbor_parting(self, member: Member, peer: AuthorId) -> None:
        del member.neighbors[self.index[peer]]
        self._announce(member)
        for listener in self.listeners:
            listener.neighbor_parting(member.number, peer)

    def _neighbor_down(self, member: Member, peer: AuthorId) -> None:
        if member.neighbors.pop(self.index[peer], self) is None:  # else it was parting
            self._announce(member)
        for listener in self.listeners:
            listener.neighbor_down(member.number, peer)

    def _announce(self, member: Member) -> None:
        if not member.announcing:
            member.announcing = True
            self.kernel.at(self.kernel.now + self.config.announce_us, self._announced, member)

    def _announced(self, member: Member) -> None:
        """Every neighbor is told who the neighbors are."""
        member.announcing = False
        authors = tuple(self.members[number].author for number in member.neighbors)
        for author in authors:
            half = member.links.get(author)
            if half is not None and member.alive:
                self.counters.announcements += 1
                self.send(half, self._heard, authors)

    def _heard(self, half: Half, authors: tuple[AuthorId, ...]) -> None:
        if half.other.open:
            member = self.members[half.peer]
            self.apply(member, member.overlay.announced(half.author, authors, self.kernel.now))
