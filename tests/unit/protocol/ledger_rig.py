"""Ledgers in a row: hubs whose stores, links and clocks are played by the test, and events made by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from protocol.clock import SECOND
from protocol.crypto import Verifier, verify
from protocol.effects import LoadPayload, SetTimer, StoreEvents
from protocol.errors import Reason
from protocol.identity import LocalIdentity
from protocol.ids import AuthorId, EventId
from protocol.inputs import PayloadLoaded, StoredLedger, WriteEvent
from protocol.ledger.ledger import Ledger
from protocol.ledger.values import LedgerConfig, LedgerEffect, Refused, Say, Spread, Standing
from protocol.limits import CHUNK_BYTES
from protocol.rng import Rng
from protocol.wire import contents
from protocol.wire.events import (
    CHECKPOINT,
    STORY,
    WITHDRAWAL,
    Event,
    EventFields,
    EventMessage,
    EventRecord,
    Payload,
    StoredEvent,
    WantEvents,
    decode_event,
    event_bytes,
)
from tests.unit.protocol.people import MESH, person

SALT = bytes(range(16))
DAY = 86_400


@dataclass
class Disk:
    """What a store keeps of orders, with every payload."""

    events: dict[EventId, StoredEvent] = field(default_factory=dict)
    forks: dict[bytes, None] = field(default_factory=dict)

    def do(self, order: StoreEvents) -> None:
        """One atomic batch."""
        for new in order.events:
            old = self.events.get(new.id)
            if old is None or (new.held and not old.held):
                self.events[new.id] = new
        for name in order.erase:
            if name in self.events:
                old = self.events[name]
                self.events[name] = StoredEvent(
                    old.id, old.author, old.seq, old.signed, old.sig, None, held=False, indexed=old.indexed
                )
        for name in order.forget:
            self.events.pop(name, None)
        self.forks |= dict.fromkeys(order.forks)

    def read_back(self, *, restored: bool = False, fresh: bool = False) -> StoredLedger:
        """What the next run is told."""
        every = sorted(self.events.values(), key=lambda one: (one.author, one.seq))
        told = [
            StoredEvent(
                one.id,
                one.author,
                one.seq,
                one.signed,
                one.sig,
                one.payload if one.indexed else None,
                one.held,
                one.indexed,
            )
            for one in every
        ]
        return StoredLedger(tuple(told), tuple(self.forks), restored, fresh=fresh)

    def copy(self) -> Disk:
        """A backup."""
        return Disk(dict(self.events), dict(self.forks))


@dataclass
class Hub:
    """One ledger; ``known`` are the authors whose keys it has, ``sent`` what it has said to whom."""

    who: LocalIdentity
    known: dict[AuthorId, dict[int, bytes]] = field(default_factory=dict)
    standing: dict[AuthorId, Standing] = field(default_factory=dict)
    config: LedgerConfig = field(default_factory=LedgerConfig)
    disk: Disk = field(default_factory=Disk)
    boot: int = 1
    now: int = 0
    restored: bool = False
    fresh: bool = True
    verifier: Verifier = verify
    utc_offset_ms: int | None = None
    answers: bool = True
    full: bool = False
    neighbors: dict[AuthorId, tuple[AuthorId, ...]] = field(default_factory=dict)
    sent: list[tuple[AuthorId, EventMessage]] = field(default_factory=list)
    seen: list[LedgerEffect] = field(default_factory=list)
    orders: list[StoreEvents] = field(default_factory=list)
    loads: list[LoadPayload] = field(default_factory=list)
    wake: int | None = None
    requests: int = 0

    def __post_init__(self) -> None:
        self.meet(self.who)
        self.ledger = Ledger(
            MESH.mesh_id,
            self.who,
            self.verifier,
            lambda author, rotation: self.known.get(author, {}).get(rotation),
            lambda author: self.standing.get(author, Standing.ADMITTED),
            lambda _peer: 1 << 20,
            Rng(7).child(self.who.author.hex()),
            self.config,
            lambda peer: self.neighbors.get(peer, ()),
        )
        stored = self.disk.read_back(restored=self.restored, fresh=self.fresh and self.boot == 1)
        self.do(self.ledger.start(stored, self.boot, self.now))
        if self.utc_offset_ms is not None:
            self.do(self.ledger.dated(self.utc_offset_ms, self.now))

    @property
    def author(self) -> AuthorId:
        """Its author id."""
        return self.who.author

    def meet(self, *others: LocalIdentity) -> None:
        """Know the keys of others."""
        for other in others:
            self.known.setdefault(other.author, {})[other.key_state.rotation] = other.key_state.key

    def do(self, effects: Iterable[LedgerEffect]) -> None:
        """Play the driver: the store answers at once unless ``answers`` is false."""
        for effect in effects:
            self.seen.append(effect)
            if isinstance(effect, StoreEvents):
                self.orders.append(effect)
            elif isinstance(effect, Say):
                self.sent.append((effect.peer, effect.message))
            elif isinstance(effect, LoadPayload):
                self.loads.append(effect)
            elif isinstance(effect, SetTimer):
                assert effect.at > self.now
                self.wake = effect.at
        if self.answers:
            self.answer()
        while self.loads:
            self.do(self.ledger.payload_loaded(self.load(self.loads.pop(0)), self.now))

    def answer(self) -> None:
        """The store does what it was last asked for, or says that it cannot."""
        while self.orders:
            order = self.orders.pop(0)
            if self.full:
                self.do(self.ledger.store_failed(order.ticket, "no space left on device", self.now))
            else:
                self.disk.do(order)
                self.do(self.ledger.stored(order.ticket, self.now))

    def load(self, order: LoadPayload) -> PayloadLoaded:
        """Read chunks from the disk."""
        one = self.disk.events.get(order.event)
        if one is None or one.payload is None:
            return PayloadLoaded(order.peer, order.event, order.first, None, ())
        content = one.payload.content
        last = min(order.first + order.count, max(1, -(-len(content) // CHUNK_BYTES)))
        chunks = tuple(content[at * CHUNK_BYTES : (at + 1) * CHUNK_BYTES] for at in range(order.first, last))
        return PayloadLoaded(order.peer, order.event, order.first, one.payload.salt, chunks)

    def hears(self, peer: AuthorId, message: EventMessage) -> None:
        """A message from ``peer``."""
        self.do(self.ledger.receive(peer, message, self.now))

    def pass_time(self, until: int) -> None:
        """Fire the one timer whenever it is due."""
        while self.wake is not None and self.wake <= until:
            self.now, self.wake = max(self.now, self.wake), None
            self.do(self.ledger.timer(self.now))
        self.now = until

    def write(self, kind: int, content: bytes | None, **more: int) -> int:
        """Write an event; returns the number of the request."""
        self.requests += 1
        write = WriteEvent(self.requests, kind, SALT, content, more.get("audience", 0), more.get("expires", 0))
        self.do(self.ledger.write(write, self.now))
        return self.requests

    def tell(self, text: str, **more: int) -> int:
        """Write a story."""
        return self.write(STORY, contents.encode_story(contents.Story(text, "en")), **more)

    def of(self, kind: type[LedgerEffect]) -> list[LedgerEffect]:
        """All effects so far of one kind."""
        return [effect for effect in self.seen if type(effect) is kind]

    def refusals(self) -> list[Reason]:
        """Why things were refused so far."""
        return [effect.reason for effect in self.seen if isinstance(effect, Refused)]

    def events(self, author: AuthorId | None = None) -> list[EventRecord]:
        """What is held of an author, oldest first."""
        return [entry.event for entry in self.ledger.entries(self.author if author is None else author)]

    def held(self, author: AuthorId) -> list[EventId]:
        """Events of an author whose payload is here."""
        return [entry.event.id for entry in self.ledger.entries(author) if entry.held]


def reader(**more: object) -> Hub:
    """Bob's hub, which knows Ada's key and has Cyd as a neighbor."""
    bob = Hub(BOB, **more)  # type: ignore[arg-type]
    bob.meet(ADA)
    bob.do(bob.ledger.link_up(CYD.author, 0))
    bob.sent.clear()
    return bob


class Net:
    """Hubs that are linked; every message goes through ``change`` and is handed over in order."""

    def __init__(self, *hubs: Hub, change: Callable[[EventMessage], EventMessage] = lambda message: message) -> None:
        self.hubs = {hub.author: hub for hub in hubs}
        self.links: dict[tuple[AuthorId, AuthorId], None] = {}
        self.change = change
        for hub in hubs:
            hub.meet(*(other.who for other in hubs))

    def link(self, left: Hub, right: Hub) -> None:
        """They become neighbors."""
        for one, other in ((left, right), (right, left)):
            self.links[one.author, other.author] = None
            one.do(one.ledger.link_up(other.author, one.now))

    def cut(self, left: Hub, right: Hub) -> None:
        """They are neighbors no more."""
        for one, other in ((left, right), (right, left)):
            del self.links[one.author, other.author]
            one.do(one.ledger.link_down(other.author, one.now))

    def run(self, us: int = SECOND) -> None:
        """Deliver everything, for so long."""
        until = max(hub.now for hub in self.hubs.values()) + us
        for _ in range(2_000):
            if not self._deliver():
                wakes = [hub.wake for hub in self.hubs.values() if hub.wake is not None and hub.wake <= until]
                if not wakes:
                    break
                for hub in self.hubs.values():
                    hub.pass_time(max(hub.now, min(wakes)))
        for hub in self.hubs.values():
            hub.pass_time(max(hub.now, until))

    def _deliver(self) -> bool:
        moved = False
        for hub in self.hubs.values():
            sent, hub.sent = hub.sent, []
            spread = [effect for effect in hub.seen if isinstance(effect, Spread)]
            hub.seen = [effect for effect in hub.seen if not isinstance(effect, Spread)]
            for effect in spread:
                peers = [right for left, right in self.links if left == hub.author and right != effect.peer]
                sent += [(peer, effect.event) for peer in peers]
            for peer, message in sent:
                if (hub.author, peer) in self.links:
                    moved = True
                    self.hubs[peer].hears(hub.author, self.change(message))
        return moved

    def reconcile(self) -> None:
        """Everybody asks all neighbors for everything, as reconciliation would where frontiers differ."""
        for left, right in self.links:
            here, there = self.hubs[left], self.hubs[right]
            if here.ledger.frontier() != there.ledger.frontier():
                authors = dict.fromkeys(head.author for head in (*here.ledger.frontier(), *there.ledger.frontier()))
                for author in authors:
                    here.sent.append((right, WantEvents((here.ledger.heads(author),))))
        self.run()


@dataclass
class Author:
    """Signs events by hand; ``last`` is what the next one follows."""

    who: LocalIdentity
    last: EventRecord | None = None
    payloads: dict[EventId, Payload] = field(default_factory=dict)

    def event(self, kind: int = STORY, content: bytes | None = b"", **changed: object) -> EventRecord:
        """The next event of the chain, unless ``changed`` says otherwise."""
        payload = None if content is None else Payload(SALT, content)
        last = self.last
        usual: dict[str, object] = {
            "author": self.who.author,
            "rotation": self.who.key_state.rotation,
            "incarnation": 1 if last is None else last.incarnation,
            "seq": 1 if last is None else last.seq + 1,
            "prev": None if last is None else last.id,
            "kind": kind,
            "payload_hash": None if payload is None else payload.hash(),
            "payload_size": 0 if payload is None else len(payload.content),
        }
        signed = event_bytes(MESH.mesh_id, EventFields(**(usual | changed)))  # type: ignore[arg-type]
        self.last = decode_event(MESH.mesh_id, signed, self.who.sign(signed))
        if payload is not None:
            self.payloads[self.last.id] = payload
        return self.last

    def story(self, text: str = "once", **changed: object) -> EventRecord:
        """A story."""
        return self.event(STORY, contents.encode_story(contents.Story(text, "en")), **changed)

    def withdraw(self, *events: EventRecord, **changed: object) -> EventRecord:
        """A withdrawal of these."""
        return self.event(WITHDRAWAL, contents.encode_withdrawal(tuple(one.id for one in events)), **changed)

    def checkpoint(self, *keep: EventRecord, kind: int = CHECKPOINT, **changed: object) -> EventRecord:
        """A base that keeps these."""
        names = tuple(sorted(one.id for one in keep))
        return self.event(kind, contents.encode_base(contents.Base(names, "")), **changed)

    def message(self, event: EventRecord, *, whole: bool = True) -> Event:
        """The message that carries an event."""
        return Event(event.signed, event.sig, self.payloads.get(event.id) if whole else None)


def state(hub: Hub, author: AuthorId) -> tuple[object, ...]:
    """Everything about one author that must not depend on the order in which it came."""
    entries = hub.ledger.entries(author)
    held = tuple((entry.event.id, entry.held, entry.named, entry.stored, entry.counted) for entry in entries)
    return held, hub.ledger.frontier(), hub.ledger.has_forked(author)


ADA, BOB, CYD = person(11), person(12), person(13)
