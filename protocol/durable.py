"""What lasts: durable events, the trees on which they spread, reconciliation; part of the Node, in a room of its own.

The ledger says what is new, the trees carry it to everybody who is linked now, and reconciliation brings it to those
who were not. A neighbor is the other end of an open link; beyond a small mesh only if the overlay counts it as one.
Invariants: nothing is passed on that was not verified; an event that a neighbor repeats goes no further than here;
an author's keys are kept, here and on the disk, as long as an event of it is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

from protocol.clock import Instant, hlc_utc_ms
from protocol.crypto import Verifier, digest
from protocol.effects import (
    Disconnect,
    Drop,
    Effect,
    Emit,
    KeepKeyState,
    LedgerNews,
    LoadPayload,
    SetTimer,
    StoreEvents,
)
from protocol.errors import CloseCode, Reason, RemoteProtocolError
from protocol.gossip import trees as tree
from protocol.gossip.trees import Trees
from protocol.gossip.trees_values import TreesConfig
from protocol.gossip.vectors import Vectors
from protocol.identity import LocalIdentity
from protocol.ids import AuthorId, LinkId, MeshId
from protocol.inputs import PayloadLoaded, Started, Stored, StoreFailed, TimerKey, WriteEvent
from protocol.ledger import values as ledger_say
from protocol.ledger.acquaintances import Acquaintances
from protocol.ledger.ledger import Ledger
from protocol.ledger.values import LedgerConfig, Standing
from protocol.limits import FLOW_BYTES_MAX, SERVED_BYTES_MAX, WANTED_AUTHORS_MAX
from protocol.port import Outbox
from protocol.reconcile import values as reconcile_say
from protocol.reconcile.reconciler import Reconciler
from protocol.reconcile.values import ReconcileConfig
from protocol.rng import Rng
from protocol.statistics import DurableStatistics, EventStatistics
from protocol.wire import events as wire
from protocol.wire.events import EventMessage
from protocol.wire.messages import FlowMessage, Gossip, TreeMessage
from protocol.wire.reconciling import Entry, ReconcileMessage

TIMERS: Final = frozenset({tree.TIMER, ledger_say.TIMER, reconcile_say.TIMER})


@dataclass(frozen=True, slots=True, kw_only=True)
class DurableConfig:
    """One value for each machine."""

    trees: TreesConfig = field(default_factory=TreesConfig)
    ledger: LedgerConfig = field(default_factory=LedgerConfig)
    reconcile: ReconcileConfig = field(default_factory=ReconcileConfig)


class Durable:
    """Carries news between ledger, trees and reconciliation, and between them and the links; tells ``listeners`` of
    the ledger's news, who must only take note."""

    def __init__(
        self,
        mesh_id: MeshId,
        identity: LocalIdentity,
        verifier: Verifier,
        vectors: Vectors,
        outbox: Outbox,
        rng: Rng,
        config: DurableConfig,
    ) -> None:
        self._own = identity.author
        self._vectors = vectors
        self._keys = vectors.keys
        self._outbox = outbox
        self._flow = outbox.flow
        self._links: dict[AuthorId, LinkId] = {}
        self._touched: dict[AuthorId, None] = {}
        self.acquaintances = Acquaintances()
        self.listeners: list[Callable[[LedgerNews], None]] = []
        self.ledger = Ledger(
            *(mesh_id, identity, verifier, self._keys.public_key, self._standing, self._room),
            rng.child("ledger"),
            config.ledger,
            self._neighbors,
        )
        self.trees = Trees(config.trees, rng.child("trees"))
        self.reconciler = Reconciler(identity.author, config.reconcile, rng.child("reconcile"))

    def _standing(self, author: AuthorId) -> Standing:
        return Standing.ADMITTED if author in self._links or author in self.acquaintances else Standing.UNKNOWN

    def _room(self, peer: AuthorId) -> int:
        return self._flow.room(peer) - (FLOW_BYTES_MAX - SERVED_BYTES_MAX)

    def _neighbors(self, peer: AuthorId) -> tuple[AuthorId, ...]:
        """Whom ``peer`` has named as its neighbors; of ourselves, whom we have named."""
        ports = self._outbox.ports
        if peer == self._own:
            return next((port.announced for port in ports.values() if port.announced), ())
        port = ports.get(self._links[peer]) if peer in self._links else None
        return () if port is None else port.neighbors

    # --- what happens here ------------------------------------------------------------------------------------------

    def start(self, started: Started, now: Instant) -> list[Effect]:
        """The first call of a run."""
        stored = started.ledger
        self.reconciler.secret = started.secret
        effects: list[Effect] = []
        for encoded in stored.key_states:
            try:
                author = self._keys.learn(encoded, None).current.author
                self._keys.keep(author)
                self.acquaintances.keep(author)
            except RemoteProtocolError as fault:
                effects.append(Drop(None, fault.reason, "stored key state"))
        self._hear(self.ledger.start(stored, started.boot, now), now, effects)
        return self._done(now, effects)

    def handle(self, input: Stored | StoreFailed | PayloadLoaded | WriteEvent, now: Instant) -> list[Effect]:
        """News from the store, or a command."""
        match input:
            case Stored(ticket):
                told = self.ledger.stored(ticket, now)
            case StoreFailed(ticket, reason):
                told = self.ledger.store_failed(ticket, reason, now)
            case PayloadLoaded():
                told = self.ledger.payload_loaded(input, now)
            case WriteEvent():
                told = self.ledger.write(input, now)
            case _:
                assert_never(input)
        effects: list[Effect] = []
        self._hear(told, now, effects)
        return self._done(now, effects)

    def dated(self, utc_offset_ms: int | None, now: Instant) -> list[Effect]:
        """The date is known, or not any more."""
        effects: list[Effect] = []
        self._hear(self.ledger.dated(utc_offset_ms, now), now, effects)
        return self._done(now, effects)

    def timer(self, key: TimerKey, now: Instant) -> list[Effect]:
        """One of :data:`TIMERS` is due."""
        effects: list[Effect] = []
        if key == tree.TIMER:
            self._hear_trees(self.trees.timer(key, now), effects)
        elif key == ledger_say.TIMER:
            self._hear(self.ledger.timer(now), now, effects)
        else:
            self._hear_reconciler(self.reconciler.timer(now), now, effects)
        return self._done(now, effects)

    # --- neighbors --------------------------------------------------------------------------------------------------

    def review(
        self, bridges: Iterable[AuthorId], parting: Iterable[AuthorId], now: Instant, effects: list[Effect]
    ) -> None:
        """Links or views may have changed: who is a neighbor now? ``bridges`` had been lost for long, the links of
        those ``parting`` will end soon."""
        outbox = self._outbox
        members = outbox.members
        current = {
            port.peer: link
            for link, port in outbox.ports.items()
            if port.open and (members is None or port.peer in members)
        }
        for peer in parting:
            self._hear_trees(self.trees.neighbor_parting(peer, now), effects)
        if current == self._links:
            return
        for peer, link in list(self._links.items()):
            if current.get(peer) != link:
                del self._links[peer]
                self._flow.forget(peer)
                self._hear_trees(self.trees.neighbor_down(peer, now), effects)
                self._hear(self.ledger.link_down(peer, now), now, effects)
                self._hear_reconciler(self.reconciler.neighbor_down(peer, now), now, effects)
        healed = frozenset(bridges)
        for peer, link in current.items():
            if peer not in self._links:
                self._links[peer] = link
                self.acquaintances.add(peer)
                self._hear_trees(self.trees.neighbor_up(peer, now), effects)
                self._hear(self.ledger.link_up(peer, now), now, effects)
                self._hear_reconciler(self.reconciler.neighbor_up(peer, now, bridge=peer in healed), now, effects)
        self._done(now, effects)

    def keys_learnt(self, author: AuthorId, now: Instant) -> list[Effect]:
        """More of an author's keys are known."""
        effects: list[Effect] = []
        self._hear(self.ledger.keys_learnt(author, now), now, effects)
        return self._done(now, effects)

    def receive(self, link: LinkId, peer: AuthorId, message: FlowMessage, now: Instant) -> list[Effect]:
        """A message of a neighbor's.

        Raises:
            RemoteProtocolError: the peer is at fault.
        """
        if self._links.get(peer) != link:
            return [Drop(link, Reason.NOT_A_NEIGHBOR)]
        effects: list[Effect] = []
        if isinstance(message, Gossip):
            self._gossip(peer, message, now, effects)
        elif isinstance(message, TreeMessage):
            self._hear_trees(self.trees.receive(peer, message, now), effects)
        elif isinstance(message, EventMessage):
            if isinstance(message, wire.Event | wire.Offer):
                self.acquaintances.introduce(peer, wire.author_of(message), now)
            self._hear(self.ledger.receive(peer, message, now), now, effects)
        elif isinstance(message, ReconcileMessage):
            self._hear_reconciler(self.reconciler.receive(peer, message, now), now, effects)
        else:
            assert_never(message)
        return self._done(now, effects)

    def _gossip(self, peer: AuthorId, message: Gossip, now: Instant, effects: list[Effect]) -> None:
        """An event on a tree: it goes on only if it is new to the ledger, which has then verified it."""
        if self.trees.knows(message.id):
            self._hear_trees(self.trees.receive(peer, message, now), effects)
            return
        event = wire.read_gossip_payload(message.payload)
        if digest(event.signed) != message.id or wire.author_of(event) != message.author:
            # Before the ledger is asked: what it then orders must not be lost.
            raise RemoteProtocolError(Reason.GOSSIP_MISMATCH)
        if self.ledger.is_offered(event):
            self._hear_trees(self.trees.receive(peer, message, now), effects)
            return
        self.acquaintances.introduce(peer, message.author, now)
        self._hear(self.ledger.receive(peer, event, now), now, effects, (peer, message))

    # --- what they ask for ------------------------------------------------------------------------------------------

    def _hear(
        self,
        told: Sequence[ledger_say.LedgerEffect],
        now: Instant,
        effects: list[Effect],
        carried: tuple[AuthorId, Gossip] | None = None,
    ) -> None:
        """``carried`` is the tree message that is being looked at."""
        for one in told:
            match one:
                case ledger_say.Say(peer, message):
                    self._push(peer, message, effects)
                case ledger_say.Spread(record, event, source):
                    if carried is not None and carried[1].id == record.id:
                        self._hear_trees(self.trees.receive(*carried, now), effects)
                    elif not self.trees.knows(record.id):
                        # What has waited comes many at once: with its payloads it would be more than a link holds.
                        # A withdrawal is small and says nothing without its own: what it names might come before it.
                        whole = source is None or record.kind == wire.WITHDRAWAL
                        alone = event if whole else wire.Event(event.signed, event.sig, None)
                        payload = wire.gossip_payload(alone)
                        spread = self.trees.broadcast(record.id, record.author, payload, now, holder=source)
                        self._hear_trees(spread, effects)
                case StoreEvents():
                    self._keep_keys(one, effects)
                    effects.append(one)
                case ledger_say.Frontier(removed, added, gone):
                    self._frontier(removed, added)
                    for author in gone:
                        self._vectors.release_keys(author)
                        self.acquaintances.remove(author)
                case ledger_say.NeedKeys(peer, author):
                    if peer in self._links:
                        self._vectors.want_keys(self._links[peer], author, now)
                case SetTimer() | LoadPayload():
                    effects.append(one)
                case ledger_say.Refused(who, reason, detail):
                    effects.append(Drop(None if who is None else self._links.get(who), reason, detail))
                case _:
                    effects.append(Emit(one))
                    for listener in self.listeners:
                        listener(one)

    def _keep_keys(self, order: StoreEvents, effects: list[Effect]) -> None:
        """The keys of an author go to the disk no later than the first of its events."""
        for event in order.events:
            state = self._keys.keep(event.author)
            if state is not None:
                effects.append(KeepKeyState(state.author, state.encoded))

    def _frontier(self, removed: tuple[ledger_say.Head, ...], added: tuple[ledger_say.Head, ...]) -> None:
        for head in added:
            self.acquaintances.keep(head.author)
        self.reconciler.changed(
            [Entry(head.author, head.incarnation, head.event) for head in removed],
            [(Entry(head.author, head.incarnation, head.event), self.ledger.is_urgent(head)) for head in added],
        )

    def _hear_trees(self, told: Sequence[tree.TreesEffect], effects: list[Effect]) -> None:
        for one in told:
            match one:
                case tree.Push(peer, message):
                    self._push(peer, message, effects)
                case SetTimer():
                    effects.append(one)
                case tree.Refused(peer, reason):
                    effects.append(Drop(self._links.get(peer), reason, "trees"))
                case tree.Deliver():
                    pass  # the ledger has it already
                case _:
                    assert_never(one)

    def _hear_reconciler(
        self, told: Sequence[reconcile_say.ReconcileEffect], now: Instant, effects: list[Effect]
    ) -> None:
        for one in told:
            match one:
                case reconcile_say.Tell(peer, message):
                    self._push(peer, message, effects)
                case reconcile_say.Learned(peer, entries):
                    self._ask(peer, entries, now, effects)
                case reconcile_say.Ended(peer):
                    self._hear(self.ledger.offered(peer, now), now, effects)
                case reconcile_say.Fault(peer, reason, detail):
                    effects.append(Drop(self._links.get(peer), reason, detail))
                case SetTimer():
                    effects.append(one)
                case _:
                    assert_never(one)

    def _ask(self, peer: AuthorId, entries: tuple[Entry, ...], now: Instant, effects: list[Effect]) -> None:
        """``peer`` says that it holds more than we do of these authors."""
        for entry in entries:
            self.acquaintances.introduce(peer, entry.author, now)
        heads = (ledger_say.Head(entry.author, entry.incarnation, entry.head) for entry in entries)
        authors = list(dict.fromkeys(head.author for head in heads if self.ledger.wants(head, now)))
        for start in range(0, len(authors), WANTED_AUTHORS_MAX):
            wanted = tuple(self.ledger.heads(author) for author in authors[start : start + WANTED_AUTHORS_MAX])
            self._push(peer, wire.WantEvents(wanted), effects)

    # --- links ------------------------------------------------------------------------------------------------------

    def _push(self, peer: AuthorId, message: FlowMessage, effects: list[Effect]) -> None:
        link = self._links.get(peer)
        if link is None:
            return
        if isinstance(message, Gossip):
            self._vectors.keys_first(link, message.author)
        elif isinstance(message, wire.Event | wire.Fork | wire.Offer):
            self._vectors.keys_first(link, wire.author_of(message))
        if self._flow.push(peer, message):
            self._touched[peer] = None
        else:
            self._outbox.shut(link)
            effects.append(Disconnect(link, CloseCode.SLOW, Reason.LINK_SLOW))

    def _done(self, now: Instant, effects: list[Effect]) -> list[Effect]:
        """Let what was said leave."""
        if self._touched:
            touched, self._touched = self._touched, {}
            for peer in touched:
                link = self._links.get(peer)
                if link is not None:
                    self._outbox.flush(link, now, effects)
        return effects

    # --- what outsiders see -----------------------------------------------------------------------------------------

    def of_kind(self, kind: int) -> tuple[EventStatistics, ...]:
        """All stored events of a kind."""
        return tuple(
            EventStatistics(
                event.id, event.author, kind, hlc_utc_ms(event.hlc) or None, event.audience, event.expires, state
            )
            for event, state in self.ledger.of_kind(kind)
        )

    def statistics(self, now: Instant) -> DurableStatistics:
        """An immutable picture."""
        ledger, trees, sessions = self.ledger.statistics(), self.trees.statistics(), self.reconciler.statistics(now)
        return DurableStatistics(
            ledger.authors,
            ledger.events,
            ledger.waiting,
            ledger.wanted,
            ledger.bytes,
            ledger.forks,
            ledger.guarded,
            sessions.entries,
            sessions.opened + sessions.answered,
            sessions.resting,
            trees.eager,
            trees.lazy,
            trees.own_trees,
            self.ledger.forked(),
        )
