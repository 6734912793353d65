"""memberlist with its LAN defaults and Lifeguard off, in virtual time: what our failure detection is measured against.

Source: SWIM (Das, Gupta, Motivala, DSN 2002) as memberlist has it (behaviour written anew after its documentation and
``state.go``, ``queue.go``, ``config.go``): probe 1 s and 500 ms, 3 indirect probes and a TCP ping beside them,
suspicion 4 * log10(n) s fixed (with Lifeguard it would shrink from six times that), refutation by incarnation, gossip
to 3 members each 200 ms with at most 4 * ceil(log10(n + 1)) transmissions a message, fewest transmitted first, in
packets of 1,400 bytes, piggy-backed on probes as well, dead members gossiped to for 30 s, push-pull each 30 s (scaled
to 90 s at 100 members). Lifeguard off means: no local health, no nacks, no shrinking suspicion, no word to the suspect.
Simplification: messages are counted in bytes but not encoded; everybody knows everybody at the start.
Invariants: one seed, one run; a starved member neither reads nor fires timers until it wakes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from math import ceil, log2, log10
from typing import Final, TypeAlias

from protocol.clock import MS, SECOND, Duration, Instant
from protocol.rng import Rng
from sim.kernel import Kernel
from sim.paths import Quality


class State(IntEnum):
    """What a member thinks of another; memberlist's words."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2


Rumor: TypeAlias = tuple[State, int, int]
"""A member's state, the member, its incarnation."""
RUMOR_BYTES: Final = {State.ALIVE: 77, State.SUSPECT: 39, State.DEAD: 39}
"""With two bytes of compound overhead each (encoded field names included)."""
PACKET_BYTES: Final = 1_400
PROBE_BYTES: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class SwimConfig:
    """memberlist's ``DefaultLANConfig``; times in microseconds. Of a starved process: ``item_us`` and ``rumor_us`` are
    what a packet or timer, and a rumor in it, cost (guess); ``waiting_max`` packets fit into its 2 MB of buffer."""

    probe_us: Duration = SECOND
    probe_timeout_us: Duration = 500 * MS
    indirect: int = 3
    tcp_pings: bool = True
    suspicion_mult: int = 4
    retransmit_mult: int = 4
    gossip_us: Duration = 200 * MS
    gossip_nodes: int = 3
    gossip_to_dead_us: Duration = 30 * SECOND
    push_pull_us: Duration = 30 * SECOND
    item_us: Duration = 50
    rumor_us: Duration = 20
    waiting_max: int = 1_600


@dataclass(slots=True)
class _Known:
    state: State = State.ALIVE
    incarnation: int = 0
    changed_at: Instant = 0


@dataclass(slots=True, eq=False)
class _Broadcast:
    rumor: Rumor
    order: int
    transmits: int = 0


@dataclass(slots=True, eq=False)
class _Probe:
    target: int
    done: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    at: Instant
    action: Callable[[], None]
    cost_us: Duration
    timer: bool


@dataclass(slots=True, eq=False)
class Member:
    """One process. ``dead`` has lost power; ``starved`` works only in slices."""

    index: int
    rng: Rng
    known: list[_Known]
    order: list[int]
    dead: bool = False
    starved: bool = False
    inputs: list[_Work] = field(default_factory=list)
    timers: list[_Work] = field(default_factory=list)
    incarnation: int = 0
    at: int = 0
    queue: dict[int, _Broadcast] = field(default_factory=dict)
    queued: int = 0


Verdict: TypeAlias = tuple[Instant, int, int]
"""When, by whom, about whom."""


class Swim:
    """All members. ``timers_first``: on waking, timers that are due fire before what waits is read (as a blocked
    receiver has it); otherwise both in the order of their instants, which is kinder. ``verdicts`` are all that were
    ever made, in order; ``packets`` and ``bytes`` count what was sent, on all transports."""

    def __init__(
        self,
        members: int,
        seed: int,
        quality: Quality,
        config: SwimConfig | None = None,
        *,
        timers_first: bool = True,
    ) -> None:
        self.kernel = Kernel()
        self.config = config if config is not None else SwimConfig()
        self.verdicts: list[Verdict] = []
        self.packets = 0
        self.bytes = 0
        self._quality = quality
        self._timers_first = timers_first
        self._net = Rng(seed).child("network")
        self.members = [self._member(index, members, Rng(seed).child(f"member {index}")) for index in range(members)]
        self._transmit_limit = self.config.retransmit_mult * ceil(log10(members + 1))
        self._suspicion_us = int(self.config.suspicion_mult * max(1.0, log10(members)) * self.config.probe_us)
        scale = 1 if members <= 32 else ceil(log2(members) - log2(32)) + 1
        self._push_pull_us = scale * self.config.push_pull_us
        for member in self.members:
            for period, action in (
                (self.config.probe_us, self._probe),
                (self.config.gossip_us, self._gossip),
                (self._push_pull_us, self._push_pull),
            ):
                self._every(member, member.rng.below(period), period, action)

    @staticmethod
    def _member(index: int, members: int, rng: Rng) -> Member:
        order = [other for other in range(members) if other != index]
        rng.shuffle(order)
        return Member(index, rng, [_Known() for _ in range(members)], order)

    # --- the process --------------------------------------------------------------------------------------------

    def starve(self, index: int) -> None:
        """From now on a process runs only in ``run`` calls."""
        self.members[index].starved = True

    def run_slice(self, index: int, cpu_us: Duration) -> None:
        """Give a starved process so much time: it does what is due, as far as that goes."""
        member = self.members[index]
        waiting = [*member.timers, *member.inputs]
        if not self._timers_first:
            waiting.sort(key=lambda work: work.at)
        member.timers, member.inputs = [], []
        done = 0
        while done < len(waiting) and cpu_us > 0 and not member.dead:
            cpu_us -= waiting[done].cost_us
            waiting[done].action()
            done += 1
        left = waiting[done:]
        member.timers = [work for work in left if work.timer] + member.timers
        member.inputs = [work for work in left if not work.timer] + member.inputs

    def kill(self, index: int) -> None:
        """Take a member's power for good."""
        self.members[index].dead = True

    def _after(self, member: Member, delay: Duration, action: Callable[[], None]) -> None:
        self.kernel.at(self.kernel.now + delay, self._fire, member, action)

    def _fire(self, member: Member, action: Callable[[], None]) -> None:
        if member.dead:
            return
        if member.starved:
            member.timers.append(_Work(self.kernel.now, action, self.config.item_us, timer=True))
        else:
            action()

    def _every(self, member: Member, first: Duration, period: Duration, action: Callable[[Member], None]) -> None:
        """A ticker: a tick that comes while an earlier one waits is dropped, as Go has it."""

        def again() -> None:
            self._after(member, period - (self.kernel.now - due[0]) % period, again)
            due[0] += (self.kernel.now - due[0]) // period * period + period
            action(member)

        due = [self.kernel.now + first]
        self._after(member, first, again)

    def _send(self, target: int, size: int, action: Callable[[Member], None], rumors: list[Rumor]) -> None:
        quality = self._quality
        self.packets += 1
        self.bytes += size + sum(RUMOR_BYTES[state] for state, _, _ in rumors)
        if quality.loss and self._net.chance(quality.loss):
            return
        trip = quality.latency_us + (self._net.below(quality.jitter_us + 1) if quality.jitter_us else 0)
        member = self.members[target]

        def read() -> None:
            action(member)
            for rumor in rumors:
                self._hear(member, rumor)

        cost_us = self.config.item_us + len(rumors) * self.config.rumor_us
        self.kernel.at(self.kernel.now + trip, self._arrive, member, read, cost_us)

    def _arrive(self, member: Member, read: Callable[[], None], cost_us: Duration) -> None:
        if member.dead:
            return
        if not member.starved:
            read()
        elif len(member.inputs) < self.config.waiting_max:
            member.inputs.append(_Work(self.kernel.now, read, cost_us, timer=False))

    # --- probing ------------------------------------------------------------------------------------------------

    def _probe(self, member: Member) -> None:
        target = self._next_target(member)
        if target is None:
            return
        probe = _Probe(target)
        self._ping(member, target, lambda: self._done(probe))
        self._after(member, self.config.probe_timeout_us, lambda: self._indirect(member, probe))
        self._after(member, self.config.probe_us, lambda: self._failed(member, probe))

    @staticmethod
    def _done(probe: _Probe) -> None:
        probe.done = True

    def _next_target(self, member: Member) -> int | None:
        for _ in range(len(member.order) + 1):
            if member.at >= len(member.order):
                member.at = 0
                member.rng.shuffle(member.order)
            target = member.order[member.at]
            member.at += 1
            if member.known[target].state is not State.DEAD:
                return target
        return None

    def _ping(self, member: Member, target: int, acked: Callable[[], None]) -> None:
        """A packet with what is to be gossiped; the answer carries the other side's."""

        def asked(other: Member) -> None:
            self._send(
                member.index,
                PROBE_BYTES,
                lambda _: acked(),
                self._rumors(other, PACKET_BYTES - PROBE_BYTES),
            )

        self._send(target, PROBE_BYTES, asked, self._rumors(member, PACKET_BYTES - PROBE_BYTES))

    def _indirect(self, member: Member, probe: _Probe) -> None:
        """No answer in time: ask three others, and try once more over TCP."""
        if probe.done:
            return
        able = [
            other
            for other in range(len(self.members))
            if other not in (member.index, probe.target) and member.known[other].state is State.ALIVE
        ]
        for relay in member.rng.sample(able, self.config.indirect):
            rumors = self._rumors(member, PACKET_BYTES - PROBE_BYTES)
            self._send(relay, PROBE_BYTES, lambda other: self._relay(other, member, probe), rumors)
        if self.config.tcp_pings:
            self._send(
                probe.target,
                PROBE_BYTES,
                lambda _: self._send(member.index, PROBE_BYTES, lambda _: self._done(probe), []),
                [],
            )

    def _relay(self, relay: Member, asker: Member, probe: _Probe) -> None:
        asked_at = self.kernel.now

        def answered() -> None:
            if self.kernel.now - asked_at <= self.config.probe_timeout_us:
                rumors = self._rumors(relay, PACKET_BYTES - PROBE_BYTES)
                self._send(asker.index, PROBE_BYTES, lambda _: self._done(probe), rumors)

        self._ping(relay, probe.target, answered)

    def _failed(self, member: Member, probe: _Probe) -> None:
        if not probe.done:
            self._suspect(member, probe.target, member.known[probe.target].incarnation)

    # --- gossip -------------------------------------------------------------------------------------------------

    def _gossip(self, member: Member) -> None:
        if not member.queue:
            return
        now = self.kernel.now
        able = [
            other
            for other, known in enumerate(member.known)
            if other != member.index
            and (known.state is not State.DEAD or now - known.changed_at <= self.config.gossip_to_dead_us)
        ]
        for target in member.rng.sample(able, self.config.gossip_nodes):
            rumors = self._rumors(member, PACKET_BYTES)
            if not rumors:
                return
            self._send(target, 0, _nothing, rumors)

    def _rumors(self, member: Member, room: int) -> list[Rumor]:
        """What is broadcast next: the least transmitted, of these the longest and then the newest, while it fits."""
        if not member.queue:
            return []
        rumors: list[Rumor] = []
        ranked = sorted(member.queue.values(), key=lambda one: (one.transmits, -RUMOR_BYTES[one.rumor[0]], -one.order))
        for one in ranked:
            size = RUMOR_BYTES[one.rumor[0]]
            if size > room:
                continue
            room -= size
            rumors.append(one.rumor)
            one.transmits += 1
            if one.transmits >= self._transmit_limit:
                del member.queue[one.rumor[1]]
        return rumors

    @staticmethod
    def _broadcast(member: Member, rumor: Rumor) -> None:
        """What was said of that member before is void."""
        member.queued += 1
        member.queue[rumor[1]] = _Broadcast(rumor, member.queued)

    def _push_pull(self, member: Member) -> None:
        able = [
            other for other, known in enumerate(member.known) if other != member.index and known.state is State.ALIVE
        ]
        if not able:
            return
        target = member.rng.choice(able)
        size = 40 * len(self.members)

        def asked(other: Member) -> None:
            theirs = self._table(other)
            self._merge(other, mine)
            self._send(member.index, size, lambda back: self._merge(back, theirs), [])

        mine = self._table(member)
        self._send(target, size, asked, [])

    @staticmethod
    def _table(member: Member) -> list[Rumor]:
        return [(known.state, other, known.incarnation) for other, known in enumerate(member.known)]

    def _merge(self, member: Member, table: list[Rumor]) -> None:
        """A member said to be dead is only suspected, as memberlist prefers."""
        for state, subject, incarnation in table:
            self._hear(member, (State.SUSPECT if state is State.DEAD else state, subject, incarnation))

    # --- what is heard of members -------------------------------------------------------------------------------

    def _hear(self, member: Member, rumor: Rumor) -> None:
        state, subject, incarnation = rumor
        if state is State.ALIVE:
            self._alive(member, subject, incarnation)
        elif state is State.SUSPECT:
            self._suspect(member, subject, incarnation)
        else:
            self._dead(member, subject, incarnation)

    def _alive(self, member: Member, subject: int, incarnation: int) -> None:
        known = member.known[subject]
        if subject == member.index or incarnation <= known.incarnation:
            return
        self._broadcast(member, (State.ALIVE, subject, incarnation))
        known.incarnation = incarnation
        if known.state is not State.ALIVE:
            known.state = State.ALIVE
            known.changed_at = self.kernel.now

    def _suspect(self, member: Member, subject: int, incarnation: int) -> None:
        known = member.known[subject]
        if incarnation < known.incarnation or known.state is not State.ALIVE:
            return
        if subject == member.index:
            self._refute(member, incarnation)
            return
        self._broadcast(member, (State.SUSPECT, subject, incarnation))
        known.state, known.incarnation, known.changed_at = State.SUSPECT, incarnation, self.kernel.now
        since = known.changed_at

        def ends() -> None:
            if known.state is State.SUSPECT and known.changed_at == since:
                self._dead(member, subject, known.incarnation)

        self._after(member, self._suspicion_us, ends)

    def _dead(self, member: Member, subject: int, incarnation: int) -> None:
        known = member.known[subject]
        if incarnation < known.incarnation or known.state is State.DEAD:
            return
        if subject == member.index:
            self._refute(member, incarnation)
            return
        self._broadcast(member, (State.DEAD, subject, incarnation))
        known.state, known.incarnation, known.changed_at = State.DEAD, incarnation, self.kernel.now
        self.verdicts.append((self.kernel.now, member.index, subject))

    def _refute(self, member: Member, accused: int) -> None:
        member.incarnation = max(member.incarnation, accused) + 1
        member.known[member.index].incarnation = member.incarnation
        self._broadcast(member, (State.ALIVE, member.index, member.incarnation))


def _nothing(_member: Member) -> None:
    """A packet that is gossip only."""
