"""The Node: composition and routing only. It knows all machines and carries news between them.

``handle(input, now)`` is the one door; it never raises on anything a peer can cause. Effects are ordered. The
driver answers every ``Send`` with ``LinkWritable`` once the frame has left; until then nothing more leaves on that
link and what waits coalesces.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from protocol import limits
from protocol.bonds import Bonds
from protocol.clock import MS, SECOND, Instant
from protocol.collective.aggregate import aggregate
from protocol.consent.policy import Purpose, decide
from protocol.crypto import Verifier, verify
from protocol.durable import TIMERS, Durable, DurableConfig
from protocol.effects import Disconnect, Drop, Effect, Emit, LinkNews, SetTimer
from protocol.errors import CloseCode, LocalProtocolError, Reason, RemoteProtocolError, SignatureError
from protocol.glitch.timeline import Record
from protocol.glitch.values import GlitchConfig
from protocol.gossip.vectors import PENDING_TIMER, Vectors, VectorsConfig
from protocol.identity import LocalIdentity, Mesh
from protocol.ids import AuthorId, LinkId
from protocol.inputs import (
    Attest,
    ConfirmMeeting,
    DialFailed,
    FrameReceived,
    Input,
    InterfaceChanged,
    Leave,
    LinkDown,
    LinkUp,
    LinkWritable,
    LoopLagged,
    MeetPeer,
    MessagesReceived,
    PayloadLoaded,
    PeerSeen,
    Publish,
    Regard,
    SetGrant,
    ShowCard,
    Started,
    Stored,
    StoreFailed,
    TimerFired,
    TimerKey,
    UtcObserved,
    WriteEvent,
)
from protocol.membership import liveness, views
from protocol.membership.addresses import AddressBook
from protocol.membership.liveness import Liveness, LivenessConfig
from protocol.membership.overlay import PLAN, Overlay
from protocol.membership.overlay_values import OverlayConfig
from protocol.membership.views import Views, ViewsConfig
from protocol.neighborhood import Neighborhood, within
from protocol.port import Outbox, Port, closes, link_statistics
from protocol.reception import Reception
from protocol.rifts import Rifts
from protocol.rng import Rng
from protocol.snapshot import Lookout, author_statistics, contributions, shown, trusted_crowd
from protocol.statistics import EventStatistics, NodeStatistics, OpinionStatistics
from protocol.trust.values import Explanation, TrustConfig
from protocol.voice import PUBLISH, Voice
from protocol.wire import messages as wire
from protocol.wire.records import VectorRecord

TICK: TimerKey = ("tick",)
HOUSEKEEPING: frozenset[TimerKey] = frozenset({TICK, PLAN})
"""About once a second each, and nobody waits for it: a driver may let these timers come a little late."""
_PURPOSES = {purpose.value: purpose for purpose in Purpose}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """One keyword-only value per machine; ``agent`` is this software's name in HELLO."""

    agent: str = "meshnode/0.1"
    views: ViewsConfig = field(default_factory=ViewsConfig)
    overlay: OverlayConfig = field(default_factory=lambda: OverlayConfig(shuffle_small=False))
    liveness: LivenessConfig = field(default_factory=LivenessConfig)
    vectors: VectorsConfig = field(default_factory=VectorsConfig)
    durable: DurableConfig = field(default_factory=DurableConfig)
    glitch: GlitchConfig = field(default_factory=GlitchConfig)
    trust: TrustConfig = field(default_factory=TrustConfig)


class Node:
    """One hub's protocol. ``rng`` makes choices only; keys come with ``identity``; ``verifier`` is injected."""

    def __init__(
        self,
        mesh: Mesh,
        identity: LocalIdentity,
        rng: Rng,
        config: NodeConfig | None = None,
        verifier: Verifier = verify,
    ) -> None:
        self.config = config if config is not None else NodeConfig()
        self.mesh = mesh
        self.identity = identity
        self.author = identity.author
        self._rng = rng.child("node")
        self._views = Views(self.author, self.config.views, rng.child("views"))
        self._liveness = Liveness(self.config.liveness, self.author, rng.child("liveness"))
        self._vectors = Vectors(mesh.mesh_id, self.author, verifier, self._gate, self.config.vectors)
        self._book = AddressBook(mesh.mesh_id, identity, verifier, rng.child("book"))
        self._voice = Voice(mesh.mesh_id, identity, rng.child("voice"), self._gate)
        self._lookout = Lookout()
        self._outbox = Outbox(self._vectors, self._liveness)
        self._ports = self._outbox.ports
        overlay = Overlay(self.author, within(self.config.overlay, self.config.views), rng.child("overlay"))
        self._hood = Neighborhood(overlay, self._views, self._book, self._outbox, self._vectors.keys)
        self._durable = Durable(
            *(mesh.mesh_id, identity, verifier, self._vectors, self._outbox, rng.child("durable")), self.config.durable
        )
        self._bonds = Bonds(
            *(mesh.mesh_id, identity, self._durable, self._vectors.keys, self._outbox, rng.child("trust")),
            self.config.trust,
        )
        self._rifts = Rifts(
            *(self.author, self.config.glitch, self._vectors, self._lookout.roll, self._durable),
            *(self._bonds.trusts, rng.child("rifts")),
        )
        self._reception = Reception(
            *(self._outbox, self._vectors, self._liveness, self._hood, self._book, self._durable, self._bonds),
            *(self._lookout.roll, self._rifts),
        )
        self._started = False
        self._addresses: tuple[tuple[str, int], ...] = ()
        self._signed_boot = 0
        self._awake_at: Instant = 0
        self._slept_us = self.config.liveness.slept_us
        self._drops: dict[str, int] = {}

    # --- the door -----------------------------------------------------------------------------------------------

    def handle(self, input: Input, now: Instant) -> list[Effect]:
        """Advance by one input; returns what is to be done, in order.

        Raises:
            LocalProtocolError: the driver broke its side (``Started`` not first or twice).
        """
        if not self._started and type(input) is not Started:
            raise LocalProtocolError("Started is the first input")
        if now - self._awake_at > self._slept_us and self._ports:
            effects = self._slept(now)
            effects += self._route(input, now)
        elif type(input) is FrameReceived:
            effects = self._reception.frame(input.link, input.frame, now)
        else:
            effects = self._route(input, now)
        self._awake_at = now
        self._follow(effects, effects, now)
        while self._hood.todo or self._outbox.changed or self._bonds.todo:
            gone = self._hood.settle(now, effects)
            if gone:
                self._close(gone, now, effects)
            more: list[Effect] = []
            if self._bonds.todo:
                self._bonds.settle(more)
            if self._outbox.changed:
                self._outbox.changed = False
                self._durable.review(self._hood.bridges(now), self._hood.overlay.parting(), now, more)
            effects += more
            self._follow(more, effects, now)
        vectors = self._vectors
        if vectors.boot < self._book.boot_seen:
            effects += vectors.overtake(self._book.boot_seen, now)
        if self._signed_boot != vectors.boot:
            self._listen(self._addresses)  # we were shown a higher boot of ours and went above it
        while vectors.ready:
            link, _ = vectors.ready.popitem()
            self._outbox.flush(link, now, effects)
        return effects

    def _follow(self, new: list[Effect], effects: list[Effect], now: Instant) -> None:
        """Count what was refused, and forget the links that are to be closed."""
        gone: list[Disconnect] | None = None
        for effect in new:
            if type(effect) is Drop:
                self._drops[effect.reason] = self._drops.get(effect.reason, 0) + 1
            elif type(effect) is Disconnect:
                gone = [effect] if gone is None else [*gone, effect]
        if gone is not None:
            self._close(gone, now, effects)

    def took(self, link: LinkId) -> bool:
        """The driver's short answer to a Send that it could do at once; False if it must give ``LinkWritable`` instead.

        It is the echo of nearly every Send, and seldom leads to anything: saying so here saves a step of the Node.
        """
        return self._outbox.has_nothing_for(link)

    def _close(self, gone: list[Disconnect], now: Instant, effects: list[Effect]) -> None:
        """Forget every closed link before the neighbors are told, so that nothing follows a BYE."""
        known = any(closed.link in self._ports for closed in gone)
        for closed in gone:
            code = self._reception.byes.pop(closed.link, closed.code)
            effects += self._forget(closed.link, code, now, closed.reason)
        if known:
            self._outbox.announce(now, effects)

    def _slept(self, now: Instant) -> list[Effect]:
        """We were away longer than any peer waits: what lies in the links is old, and its age is not known."""
        self._rifts.lagged(now - self._awake_at, now)
        closed = [Disconnect(link, CloseCode.TIMEOUT, Reason.SLEPT) for link in self._ports]
        effects: list[Effect] = list(closed)
        for one in closed:
            effects += self._forget(one.link, one.code, now, one.reason)
        return effects

    def _route(self, input: Input, now: Instant) -> list[Effect]:  # noqa: C901 - one line for each kind
        match input:
            case FrameReceived(link, frame):
                return self._reception.frame(link, frame, now)
            case MessagesReceived(link, messages):
                return self._reception.messages(link, messages, now)
            case LinkWritable(link):
                return self._outbox.writable(link, now)
            case TimerFired(key):
                return self._timer(key, now)
            case Publish(reading):
                refused = self._voice.add(reading)
                return [] if refused is None else [Drop(None, refused)]
            case LinkUp():
                return self._link_up(input, now)
            case LinkDown(link, code):
                known = link in self._ports
                effects = self._forget(link, code, now, None)
                if known:
                    self._outbox.announce(now, effects)
                return effects
            case PeerSeen(name, addresses, expected):
                return self._hood.seen(name, addresses, expected, now)
            case DialFailed(dial, reason, address):
                return self._hood.dial_failed(dial, reason, address, now)
            case UtcObserved(utc_ms, error_ms):
                known = error_ms is not None and error_ms <= limits.CLOCK_ERROR_MS_MAX
                self._vectors.utc_offset_ms = offset = utc_ms - now // MS if known else None
                return [*self._bonds.dated(offset, now), *self._durable.dated(offset, now)]
            case PayloadLoaded(peer) if peer == self.author:
                return self._bonds.loaded(input, now)
            case Attest() | MeetPeer() | ShowCard() | ConfirmMeeting() | Regard():
                return self._bonds.handle(input, now)
            case Stored() | StoreFailed() | PayloadLoaded() | WriteEvent():
                return self._durable.handle(input, now)
            case InterfaceChanged(listen):
                return self._relocated(listen, now)
            case LoopLagged(lag_us):
                self._liveness.lagged(lag_us)
                self._rifts.lagged(lag_us, now)
                return []
            case SetGrant(grant):
                if self._voice.set_grant(grant):
                    self._vectors.withdraw()  # what was made under other terms does not leave any more
                return self._voice.schedule(now)
            case Started():
                return self._start(input, now)
            case Leave():
                self._views.leaving = True
                return [Disconnect(link, CloseCode.SHUTDOWN) for link in self._ports]
            case _:
                assert_never(input)

    def _start(self, started: Started, now: Instant) -> list[Effect]:
        if self._started:
            raise LocalProtocolError("Started comes once")
        self._started = True
        self._vectors.boot = started.boot
        effects: list[Effect] = []
        self._vectors.keys.learn(self.identity.key_state.encoded, None)
        for encoded in started.key_states:
            try:
                self._vectors.keys.remember(encoded)
            except RemoteProtocolError as fault:
                effects.append(Drop(None, fault.reason, "stored key state"))
        self._listen(started.listen)
        effects += self._hood.restore(started.peers, now)
        effects += self._durable.start(started, now)
        self._rifts.start(started.secret)
        effects += self._bonds.start(started, now)
        return [*effects, SetTimer(TICK, now + self._rng.jitter(SECOND, 20))]

    def _listen(self, addresses: tuple[tuple[str, int], ...]) -> None:
        self._addresses = addresses
        self._signed_boot = self._vectors.boot
        self._book.listen(addresses, self._signed_boot)
        self._views.listening(addresses)

    def _relocated(self, listen: tuple[tuple[str, int], ...], now: Instant) -> list[Effect]:
        self._listen(listen)
        self._rifts.moved(now)
        effects = self._hood.network_changed(now)
        if self._book.own is not None:
            own = wire.PeerRecord(self.identity.key_state.encoded, *self._book.own)
            self._outbox.broadcast("peers", wire.Peers((own,)), now, effects)
        return effects

    # --- links --------------------------------------------------------------------------------------------------

    def _link_up(self, up: LinkUp, now: Instant) -> list[Effect]:
        try:
            learnt, stored = self._vectors.attach(up.link, up.key_state)
            if learnt.current.encoded != up.key_state:
                # A thief of a key that was rotated away still passes the handshake; here it ends (R48).
                raise SignatureError(Reason.STALE_KEY_STATE)
        except RemoteProtocolError as fault:
            refused: list[Effect] = [Drop(up.link, fault.reason), Disconnect(up.link, fault.close_code, fault.reason)]
            self._vectors.link_down(up.link, now)
            if up.dial is not None:
                return refused + self._hood.dial_failed(up.dial, fault.reason, up.address, now)
            return refused
        if up.dial is not None:
            self._views.dial_ended(up.dial)
        state = learnt.current
        effects = stored + self._durable.keys_learnt(state.author, now)
        effects += self._views.link_up(up.link, state.author, up.initiator, up.address, now)
        self._hood.linked(state.author, now, initiator=up.initiator)
        if up.link not in self._views.links:
            self._vectors.link_down(up.link, now)
            return effects
        port = self._ports[up.link] = Port(state.author, up.initiator, now)
        port.control["hello"] = wire.Hello(self._vectors.boot, self._book.own, self.config.agent)
        effects += self._liveness.link_up(up.link, state.author, now)
        self._rifts.link_up(state.author, now, initiator=up.initiator)
        effects.append(Emit(LinkNews(up.link, state.author, up=True)))
        self._outbox.flush(up.link, now, effects)
        return effects

    def _forget(self, link: LinkId, code: int | None, now: Instant, reason: Reason | None) -> list[Effect]:
        port = self._outbox.forget(link)
        effects = self._views.link_down(link, code, now)
        if port is None:
            return effects
        self._hood.lost(port.peer, code, now)
        if self._views.link_of(port.peer) is None:
            self._rifts.link_down(port.peer, code, reason, self._liveness.silent_us(link, now), now)
        self._liveness.link_down(link, code, now)
        self._vectors.link_down(link, now)
        why = reason.value if reason is not None else "closed" if code is not None else "lost"
        effects.append(Emit(LinkNews(link, port.peer, up=False, reason=why)))
        return effects + self._bonds.link_down(port.peer, now)

    # --- time ---------------------------------------------------------------------------------------------------

    def _timer(self, key: TimerKey, now: Instant) -> list[Effect]:
        if key == TICK:
            torn = self._rifts.tick(self._lookout.presence(self.author, self._ports, now), now)
            effects = [*self._vectors.tick(now), *self._hood.keep(now), *torn, *self._bonds.tick(now)]
            for pardon in self._rifts.take_pardons():
                effects += self._bonds.pardon(pardon)
            if not self._vectors.scope.whole:
                self._vectors.scope.shares = self._bonds.shares(self._vectors.shelf.authors(), now)
            return [*effects, SetTimer(TICK, now + SECOND)]
        if key == PUBLISH:
            held, effects = self._voice.speak(self._vectors.boot, self._vectors.utc_offset_ms, now)
            if held is not None:
                effects += self._vectors.publish(held)
                self._lookout.roll.heard(self.author, held.made_at, held.record.cadence_ms, now)
            return effects
        if key == liveness.TIMER:
            effects, beats = self._liveness.tick(now)
            # Nothing follows a BYE: what was to be said on a link that is closed here is left unsaid.
            told = [(link, message) for link, message in beats if not closes(effects, link)] if effects else beats
            return effects + self._outbox.tell(told, now)
        if key == views.TIMER:
            return self._views.plan(now)
        if key[0] == "overlay":
            return self._hood.timer(key, now)
        if key in TIMERS:
            return self._durable.timer(key, now)
        if key == PENDING_TIMER:
            return self._vectors.pending_timer(now)
        if key[0] == "flush":
            effects = []
            link = LinkId(int(key[1]))
            self._outbox.woken(link, now, effects)
            return effects
        return []

    # --- consent ------------------------------------------------------------------------------------------------

    def _gate(self, purpose: str, record: VectorRecord, lease_left_us: int, *, own: bool) -> Reason | None:
        """Every machine that touches data comes through here."""
        return decide(
            _PURPOSES[purpose],
            audience=record.audience,
            terms=record.terms,
            dims=record.block.dims,
            lease_left_us=lease_left_us,
            grant=self._voice.grant if own else None,
            own=own,
        ).reason

    # --- what outsiders see -------------------------------------------------------------------------------------

    def of_kind(self, kind: int) -> tuple[EventStatistics, ...]:
        """All durable events of a kind that are stored here, in author order."""
        return self._durable.of_kind(kind)

    def glitches(self) -> tuple[Record, ...]:
        """The timeline: what all hubs saw of each glitch, as far as it is held here; the latest last."""
        return self._rifts.records()

    def explain(self, author: AuthorId, now: Instant) -> Explanation:
        """Why somebody stands with this hub as it does."""
        return self._bonds.trust.explain(author, self._bonds.utc_ms(now))

    def acquaintances(self) -> list[AuthorId]:
        """Everybody of whom this hub knows anything that concerns trust, in ascending order."""
        return self._bonds.trust.known()

    def circle(self) -> dict[AuthorId, bool]:
        """Who may read what this hub's person says of others, and who would read a word that is said now."""
        return self._bonds.circle()

    def wishes(self, now: Instant) -> list[AuthorId]:
        """The linked hubs whose person wants to meet ours."""
        return self._bonds.meetings.wishes(now)

    def standing(self, author: AuthorId, now: Instant) -> float:
        """How somebody stands with this hub, -1..1."""
        return self._bonds.trust.standing(author, self._bonds.utc_ms(now)).value

    @property
    def remembers(self) -> bool:
        """Whether this run has read back what was said of people before it; standings mean nothing sooner."""
        return self._bonds.remembers

    def session_shared(self, author: AuthorId, now: Instant) -> list[Effect]:
        """An echo session that ``author`` and this hub shared has ended."""
        return self._bonds.session_shared(author, now)

    def statistics(self, now: Instant) -> NodeStatistics:
        """An immutable picture of everything this hub knows at ``now``."""
        presence = self._lookout.presence(self.author, self._ports, now)
        inside = frozenset(presence.inside)
        shelf = self._vectors.shelf
        found = contributions(shelf, inside, now)
        trust, utc_ms = self._bonds.trust, self._bonds.utc_ms(now)
        return NodeStatistics(
            now,
            self.author,
            self._vectors.boot,
            self._voice.seq,
            self.mesh.admission,
            tuple(
                link_statistics(link, port, self._liveness, self._vectors.lanes.get(link), now)
                for link, port in self._ports.items()
            ),
            tuple(
                author_statistics(
                    held, self.author, self._ports, trust.attention(held.record.author, utc_ms).name.lower(), now
                )
                for held in shown(shelf, now)
            ),
            aggregate(found),
            presence.inside,
            presence.out,
            self._views.exiles(),
            len(self._views.known()),
            self._voice.grant is not None,
            self._vectors.utc_offset_ms is not None,
            self._vectors.verified,
            dict(self._drops),
            {kind.__name__: count for kind, count in self._reception.received.items()},
            {kind.__name__: count for kind, count in self._outbox.sent.items()},
            self._hood.statistics(),
            tuple(
                OpinionStatistics(one.author, one.state.value, one.since, one.why) for one in self._liveness.opinions()
            ),
            self._vectors.scope.statistics(),
            self._durable.statistics(now),
            self._rifts.statistics(now),
            trusted_crowd(found, self.author, trust, utc_ms),
            trust.statistics(),
        )
