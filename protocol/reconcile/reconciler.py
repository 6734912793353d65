"""Who reconciles with whom, and when: on link-up, when somebody lost for long is back, and every 10 s at random.

Source: design decision 19; security research T22. One session at a time on a link: if both sides begin at once, the one
whose opener has the smaller author id goes on. Nothing a peer does here closes a link: it loses what we do for it.
Invariants: a session ends by ``session_us`` or ``rounds_max`` messages, whatever comes; a peer with whom sessions come
to nothing is asked ever less often, and one that asks too often is not answered, so no peer can keep us from the
others; salts are hashes of a secret, so that seeing some does not tell the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.clock import Duration, Instant
from protocol.crypto import digest
from protocol.effects import SetTimer
from protocol.errors import Reason, RemoteProtocolError
from protocol.ids import AuthorId
from protocol.reconcile.frontier import Frontier
from protocol.reconcile.sessions import Answering, Opening, Stage
from protocol.reconcile.values import (
    TIMER,
    Ended,
    Fault,
    Learned,
    Outcome,
    ReconcileConfig,
    ReconcileEffect,
    ReconcileStatistics,
    Tell,
)
from protocol.rng import Rng
from protocol.wire.reconciling import SALT_BYTES, Entry, ReconcileMessage, ReconOpen


@dataclass(slots=True)  # not frozen: each message puts its end off
class _Session:
    machine: Opening | Answering
    ends: Instant
    """At the latest."""
    due: Instant
    """Or if nothing comes until then."""


@dataclass(slots=True)  # not frozen: sessions come and go
class _Peer:
    session: _Session | None = None


@dataclass(slots=True)  # not frozen: it is what has happened so far
class _Record:
    """What is remembered of a peer beyond its link: sessions that came to nothing, the frontier after the last one in
    which it claimed to hold what we do not, and when it was answered."""

    strikes: int = 0
    until: Instant = 0
    version: int | None = None
    answered: Instant | None = None


class Reconciler:
    """The machine. ``secret`` are at least 16 bytes that nobody else knows, set before the first neighbor is up;
    ``frontier`` is ours and may be read."""

    def __init__(self, author: AuthorId, config: ReconcileConfig, rng: Rng, secret: bytes = b"") -> None:
        self._author = author
        self._config = config
        self._rng = rng
        self.secret = secret
        self._salts = 0
        self._peers: dict[AuthorId, _Peer] = {}
        self._records: dict[AuthorId, _Record] = {}
        self._soon: dict[AuthorId, Instant] = {}
        self._tick: Instant | None = None
        self._woken: Instant | None = None
        self.frontier = Frontier()

    # --- inputs -------------------------------------------------------------------------------------------------

    def neighbor_up(self, peer: AuthorId, now: Instant, *, bridge: bool = False) -> list[ReconcileEffect]:
        """Reconcile with a new neighbor at once. The one with the smaller id begins; after a heal (``bridge``) both
        may, since perhaps one side alone has noticed."""
        self._peers[peer] = _Peer()
        if bridge or self._author < peer:
            self._soon[peer] = now
        if self._tick is None:
            self._tick = now + self._rng.jitter(self._config.every_us, 20)
        return self._go_on(now)

    def neighbor_down(self, peer: AuthorId, now: Instant) -> list[ReconcileEffect]:
        """Forget the session; what the peer is remembered for stays."""
        self._peers.pop(peer, None)
        self._soon.pop(peer, None)
        return self._go_on(now)

    def changed(self, removed: Sequence[Entry], added: Sequence[tuple[Entry, bool]]) -> None:
        """The frontier has changed, on the disk. ``added`` says of each whether something urgent is in its chain."""
        for entry, urgent in added:
            self.frontier.add(entry, urgent=urgent)
        for entry in removed:
            self.frontier.discard(entry)

    def receive(self, peer: AuthorId, message: ReconcileMessage, now: Instant) -> list[ReconcileEffect]:
        """Something came from a neighbor; never raises on anything it can send."""
        port = self._peers.get(peer)
        if port is None:
            return [Fault(peer, Reason.RECONCILE_UNEXPECTED, "no neighbor")]
        if isinstance(message, ReconOpen):
            effects = self._opened(peer, port, message, now)
        elif port.session is None:
            effects = [Fault(peer, Reason.RECONCILE_UNEXPECTED, type(message).__name__)]
        else:
            effects = self._advance(peer, port, port.session, message, now)
        return effects + self._go_on(now)

    def fruitless(self, peer: AuthorId, now: Instant) -> list[ReconcileEffect]:
        """What ``peer`` said that it holds it did not give: ask it less often."""
        self._record(peer).version = self.frontier.version
        return [self._strike(peer, Reason.RECONCILE_STALLED, "", now)]

    def timer(self, now: Instant) -> list[ReconcileEffect]:
        """End what is overdue and begin what is due."""
        self._woken = None
        effects: list[ReconcileEffect] = []
        for peer, port in self._peers.items():
            session = port.session
            if session is not None and now >= min(session.due, session.ends):
                port.session = None
                effects += self._overdue(peer, session.machine, now)
        if self._tick is not None and now >= self._tick:
            self._tick = now + self._rng.jitter(self._config.every_us, 20)
            idle = [peer for peer in self._peers if peer not in self._soon and self._may_ask(peer, now)]
            if idle:
                self._soon[self._rng.choice(idle)] = now
        return effects + self._go_on(now)

    def statistics(self, now: Instant) -> ReconcileStatistics:
        """How it stands."""
        machines = [port.session.machine for port in self._peers.values() if port.session is not None]
        opened = sum(isinstance(machine, Opening) for machine in machines)
        resting = sum(record.until > now for record in self._records.values())
        return ReconcileStatistics(len(self.frontier), opened, len(machines) - opened, resting, len(self._records))

    # --- sessions -----------------------------------------------------------------------------------------------

    def _opened(self, peer: AuthorId, port: _Peer, opened: ReconOpen, now: Instant) -> list[ReconcileEffect]:
        config, session = self._config, port.session
        record = self._record(peer)
        if record.answered is not None and now < record.answered + self._rest_us(len(self.frontier)):
            return [Fault(peer, Reason.RECONCILE_BUSY, "asked too soon")]
        ours = session.machine if session is not None else None
        if isinstance(ours, Opening) and (ours.stage is not Stage.OPENED or self._author < peer):
            return [Fault(peer, Reason.RECONCILE_BUSY, "one session at a time")]
        port.session = None
        record.answered = now
        self._soon.pop(peer, None)
        if self.frontier.mark(opened.mark[:SALT_BYTES]) == opened.mark:
            return []
        machine = Answering(self.frontier, opened, self._author, peer, config)
        port.session = _Session(machine, now + config.session_us, now + config.answer_us)
        return [Tell(peer, machine.first)]

    def _open(self, peer: AuthorId, port: _Peer, now: Instant) -> ReconcileEffect:
        self._salts += 1
        salt = digest(self._salts.to_bytes(8, "big"), size=SALT_BYTES, person=b"trio-mesh salt", key=self.secret)
        machine = Opening(self.frontier, salt, self._author, peer, self._config)
        port.session = _Session(machine, now + self._config.session_us, now + self._config.answer_us)
        return Tell(peer, machine.first)

    def _advance(
        self, peer: AuthorId, port: _Peer, session: _Session, message: ReconcileMessage, now: Instant
    ) -> list[ReconcileEffect]:
        machine = session.machine
        try:
            step = machine.receive(message)
        except RemoteProtocolError as fault:
            port.session = None
            return self._given_up(peer, machine, fault.reason, str(fault), now)
        session.due = now + self._config.answer_us
        effects: list[ReconcileEffect] = [Tell(peer, one) for one in step.messages]
        if step.learned:
            effects.append(Learned(peer, tuple(Entry.unpack(entry) for entry in step.learned)))
        if isinstance(machine, Answering):
            if machine.done:
                port.session = None
        elif machine.stage is Stage.DONE:
            port.session = None
            effects += self._found(peer, machine, bool(step.learned), now)
        return effects

    def _found(self, peer: AuthorId, machine: Opening, learned: bool, now: Instant) -> list[ReconcileEffect]:
        record = self._record(peer)
        effects: list[ReconcileEffect] = [Ended(peer, Outcome.FOUND)]
        if learned and record.version == self.frontier.version:  # it claimed as much before, and nothing came of it
            effects.append(self._strike(peer, Reason.RECONCILE_STALLED, "nothing came of the last session", now))
            return effects
        record.strikes = 0
        record.version = self.frontier.version if learned else None
        if machine.more:
            self._soon[peer] = now + 2 * self._rest_us(max(machine.heads, len(self.frontier)))
        return effects

    def _overdue(self, peer: AuthorId, machine: Opening | Answering, now: Instant) -> list[ReconcileEffect]:
        if isinstance(machine, Opening) and machine.stage is Stage.OPENED:
            record = self._record(peer)
            record.strikes, record.version = 0, None
            return [Ended(peer, Outcome.EQUAL)]
        return self._given_up(peer, machine, Reason.RECONCILE_SILENT, "", now)

    def _given_up(
        self, peer: AuthorId, machine: Opening | Answering, reason: Reason, detail: str, now: Instant
    ) -> list[ReconcileEffect]:
        if isinstance(machine, Answering):
            return [Fault(peer, reason, detail)]
        return [Ended(peer, Outcome.GIVEN_UP), self._strike(peer, reason, detail, now)]

    # --- who is asked when --------------------------------------------------------------------------------------

    def _record(self, peer: AuthorId) -> _Record:
        record = self._records.pop(peer, None) or _Record()
        self._records[peer] = record
        if len(self._records) > self._config.strikes_max:
            del self._records[next(iter(self._records))]
        return record

    def _strike(self, peer: AuthorId, reason: Reason, detail: str, now: Instant) -> Fault:
        record = self._record(peer)
        rest = min(self._config.strike_us_max, self._config.every_us << min(record.strikes, 32))
        record.strikes += 1
        record.until = now + rest
        if reason is not Reason.RECONCILE_STALLED:
            record.version = None
        self._soon.pop(peer, None)
        return Fault(peer, reason, detail)

    def _rest_us(self, heads: int) -> Duration:
        """How long a hub with so many entries lets a peer wait after it has answered one question."""
        return max(self._config.rest_us, self._config.rest_entry_us * heads)

    def _may_ask(self, peer: AuthorId, now: Instant) -> bool:
        """Whether it has no session and does not rest. Who merely stalls is asked again as soon as we have news:
        two hubs of which one may not take what the other has would rest for long, and no news would pass."""
        record = self._records.get(peer)
        rests = record is not None and now < record.until and record.version in (None, self.frontier.version)
        return self._peers[peer].session is None and not rests

    def _go_on(self, now: Instant) -> list[ReconcileEffect]:
        """Begin the sessions that are due and have room, and say when to be woken."""
        effects: list[ReconcileEffect] = []
        busy = self.statistics(now).opened
        for peer, at in list(self._soon.items()):
            if busy >= self._config.openings_max:
                break
            if at <= now and self._peers[peer].session is None:
                del self._soon[peer]
                if self._may_ask(peer, now):
                    effects.append(self._open(peer, self._peers[peer], now))
                    busy += 1
        wake = self._next(now)
        if wake is not None and wake != self._woken:
            self._woken = wake
            effects.append(SetTimer(TIMER, wake))
        return effects

    def _next(self, now: Instant) -> Instant | None:
        if not self._peers:
            self._tick = None
            return None
        times = [at for at in self._soon.values() if at > now]
        sessions = [port.session for port in self._peers.values() if port.session is not None]
        times += [min(session.due, session.ends) for session in sessions]
        if self._tick is not None:
            times.append(self._tick)
        return max(now + 1, min(times, default=now + self._config.every_us))
