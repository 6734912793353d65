"""The ledger: one door for durable events, ours and everybody's (docs/protocol.md, section 12; design decisions 9, 18).

Sources: hash-linked single-writer logs (Secure Scuttlebutt), without its rule that a fork kills a chain; Kleppmann and
Howard 2020 for convergence among any number of faulty hubs; KERI for what a later key may take back.
Invariants: whatever order events come in, the same are held; nothing is in the frontier before the store has it, and
nothing of ours leaves before; everything that a peer can make grow is bounded by :class:`LedgerConfig` or the quotas.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from protocol.clock import MINUTE, MS, Instant
from protocol.crypto import Verifier, digest
from protocol.effects import EventWritten, SetTimer, WriteRefused
from protocol.errors import Reason, RemoteProtocolError
from protocol.identity import LocalIdentity
from protocol.ids import AuthorId, EventId, MeshId
from protocol.inputs import PayloadLoaded, StoredLedger, WriteEvent
from protocol.ledger import pen
from protocol.ledger.archive import Archive, base_of, restore
from protocol.ledger.chain import Entry, Place
from protocol.ledger.exchange import Exchange
from protocol.ledger.guard import Guard
from protocol.ledger.hlc import Hlc
from protocol.ledger.intake import Intake
from protocol.ledger.payloads import Neighbors
from protocol.ledger.quotas import Quotas
from protocol.ledger.values import (
    TIMER,
    Head,
    KeyOf,
    LedgerConfig,
    LedgerEffect,
    LedgerStatistics,
    Refused,
    Say,
    Spread,
    Standing,
    StandingOf,
)
from protocol.limits import SALT_BYTES
from protocol.rng import Rng
from protocol.wire import events as wire
from protocol.wire.events import AuthorHeads, Event, EventMessage, EventRecord, WantEvents, decode_event

EVENTS_A_QUESTION = 128
"""Events to be looked through that cost as much as a question: about 0.1 ms."""
URGENT_DEPTH = 8
"""How far back a head is looked through: what is older than that has had its time to be urgent."""
SEEN_MAX = 4
"""Heads of others that an event of ours names: enough to order talk, 34 bytes each."""


class Ledger:
    """``keys`` and ``standing`` say what is known of an author, ``room`` how many bytes a link takes now, ``neighbors``
    whom a neighbor has named as its own."""

    def __init__(
        self,
        mesh_id: MeshId,
        identity: LocalIdentity,
        verifier: Verifier,
        keys: KeyOf,
        standing: StandingOf,
        room: Callable[[AuthorId], int],
        rng: Rng,
        config: LedgerConfig | None = None,
        neighbors: Neighbors = lambda _: (),
    ) -> None:
        self.config = config if config is not None else LedgerConfig()
        self._mesh_id = mesh_id
        self._own = identity.author
        self._quotas = Quotas(
            self.config.quotas, lambda author: Standing.CONTACT if author == self._own else standing(author)
        )
        self._out: list[LedgerEffect] = []
        self._archive = Archive(self._own, self._quotas)
        self._exchange = Exchange(
            *(self._own, self._archive, self._quotas, room, neighbors, rng.child("payloads"), self.config, self._out)
        )
        self._gathering, self._serving = self._exchange.gathering, self._exchange.serving
        self._intake = Intake(
            *(mesh_id, identity, verifier, keys, self._archive, self._quotas, self._gathering.peers, self._out),
            self.config,
        )
        self._pen = pen.Pen(mesh_id, identity, self.config)
        self._own_ticket: int | None = None
        self._guard = Guard(self.config)
        self._hlc = Hlc()
        self._utc_offset_ms: int | None = None
        self._seen: dict[AuthorId, EventId] = {}
        self._rescan_at: Instant = 0
        self._wake: Instant | None = None

    # --- what happens here ------------------------------------------------------------------------------------------

    def start(self, stored: StoredLedger, boot: int, now: Instant) -> list[LedgerEffect]:
        """The first call of a run. An author made in this run signs at once; any other asks for its own head first."""
        for event, payload, held in restore(
            stored.events, lambda signed, sig: decode_event(self._mesh_id, signed, sig)
        ):
            self._archive.restore_event(event, payload, held=held, now=now)
        for proof in stored.forks:
            try:
                self._intake.forks.restore(proof)
            except RemoteProtocolError as fault:
                self._out.append(Refused(None, fault.reason, "stored proof of a fork"))
        self._pen.boot = boot
        fresh = stored.fresh and not stored.restored and not self._archive.chain(self._own).entries
        self._guard.start(now, fresh=fresh, restored=stored.restored)
        self._rescan_at = now + MINUTE
        return self._done(now)

    def dated(self, utc_offset_ms: int | None, now: Instant) -> list[LedgerEffect]:
        """The date is known (UTC ms minus boot time in ms), or not any more."""
        self._utc_offset_ms = utc_offset_ms
        self._date(now)
        self._archive.expire(now)
        return self._done(now)

    def write(self, write: WriteEvent, now: Instant) -> list[LedgerEffect]:
        """Add to our own chain; answered by ``EventWritten`` or ``WriteRefused``."""
        self._date(now)
        chain = self._archive.chain(self._own)
        try:
            busy = self._archive.is_busy(now)
            if busy is not None:
                raise pen.WriteError(busy, "the disk takes nothing now: live values go on, words have to wait")
            if write.expires and self._archive.utc_s is not None and write.expires <= self._archive.utc_s:
                raise pen.WriteError(Reason.BAD_CONTENT, "it would have expired already")
            self._pen.check(write, chain, self._archive.is_gone)
        except pen.WriteError as fault:
            self._out.append(WriteRefused(write.request, fault.reason, str(fault)))
        else:
            self._pen.queue.append(write)
        return self._done(now)

    def stored(self, ticket: int, now: Instant) -> list[LedgerEffect]:
        """The store has a batch."""
        batch = self._archive.stored(ticket)
        if batch is not None and ticket == self._own_ticket:
            self._own_ticket = None
            for written in self._pen.stored():
                self._take_own(written, now)
        elif batch is not None:
            for name, stored in batch.added.items():
                if stored.author != self._own and name not in self._seen.values():
                    self._seen.pop(stored.author, None)
                    self._seen[stored.author] = name
            while len(self._seen) > SEEN_MAX:
                del self._seen[next(iter(self._seen))]
        return self._done(now)

    def store_failed(self, ticket: int, reason: str, now: Instant) -> list[LedgerEffect]:
        """The store could not take a batch: what it held is not here, and nothing is taken for a while."""
        batch = self._archive.failed(ticket, now)
        if batch is not None and ticket == self._own_ticket:
            self._own_ticket = None
            for lost in self._pen.failed():
                self._archive.batch.forget[lost.event.id] = None
                if lost.request is not None:
                    self._out.append(WriteRefused(lost.request, Reason.STORE_FAILED, reason))
            while self._pen.queue:
                self._out.append(WriteRefused(self._pen.queue.popleft().request, Reason.STORE_FAILED, reason))
        return self._done(now)

    def payload_loaded(self, loaded: PayloadLoaded, now: Instant) -> list[LedgerEffect]:
        """The store has read what a peer has asked for."""
        self._exchange.loaded(loaded, now)
        return self._done(now)

    def timer(self, now: Instant) -> list[LedgerEffect]:
        """Something may be due."""
        self._wake = None
        self._date(now)
        if now >= self._rescan_at:
            self._rescan_at = now + MINUTE
            self._archive.expire(now)
            self._archive.rescan()
        self._intake.expire(now)
        return self._done(now)

    # --- neighbors --------------------------------------------------------------------------------------------------

    def link_up(self, peer: AuthorId, now: Instant) -> list[LedgerEffect]:
        """``peer`` is a neighbor now: it is asked which of our own events it holds."""
        self._exchange.link_up(peer)
        self._out.append(Say(peer, WantEvents((self._intake.heads(self._own),))))
        return self._done(now)

    def link_down(self, peer: AuthorId, now: Instant) -> list[LedgerEffect]:
        """``peer`` is gone; what it brought stays."""
        self._exchange.link_down(peer)
        return self._done(now)

    def keys_learnt(self, author: AuthorId, now: Instant) -> list[LedgerEffect]:
        """More of an author's keys are known: what waited for them is looked at again."""
        self._intake.keys_learnt(author, now)
        return self._done(now)

    def receive(self, peer: AuthorId, message: EventMessage, now: Instant) -> list[LedgerEffect]:
        """A message of a neighbor's.

        Raises:
            RemoteProtocolError: the peer is at fault; what had happened before stays, and the next call tells of it.
        """
        self._date(now)
        match message:
            case Event():
                event = self._intake.event(peer, message, now)
                if event is not None:
                    self._hlc.observe(event.hlc, self._utc_ms(now))
            case WantEvents(authors):
                self._asked_for(peer, authors, now)
            case wire.Heads(authors):
                self._shown(authors, now)
            case wire.WantPayload():
                self._exchange.asked(peer, message, now)
            case wire.Chunk():
                self._exchange.chunk(peer, message, now)
            case wire.Fork():
                self._intake.fork(peer, message, now)
            case wire.Offer():
                self._offer(peer, message, now)
            case _:
                assert_never(message)
        return self._done(now)

    def _offer(self, peer: AuthorId, message: wire.Offer, now: Instant) -> None:
        """A neighbor's own new event: the tree will bring it, and take it to others; its chunks need not wait."""
        if wire.author_of(message) != peer:
            raise RemoteProtocolError(Reason.GOSSIP_MISMATCH, "an offer of somebody else's event")
        before = len(self._out)
        event = self._intake.event(peer, Event(message.signed, message.sig, None), now)
        if event is None or event.id not in self._intake.shown:
            return
        self._hlc.observe(event.hlc, self._utc_ms(now))
        self._out[before:] = [
            one for one in self._out[before:] if not (isinstance(one, Spread) and one.record.id == event.id)
        ]
        self._exchange.offered(event)

    def is_offered(self, event: Event) -> bool:
        """Whether its author itself has offered it, and no tree had brought it so far."""
        return self._exchange.is_offered(event)

    # --- what is asked of us ----------------------------------------------------------------------------------------

    def _asked_for(self, peer: AuthorId, authors: tuple[AuthorHeads, ...], now: Instant) -> None:
        held = sum(len(self._archive.chain(asked.author).entries) for asked in authors)
        if not self._serving.may_ask(peer, len(authors) + held // EVENTS_A_QUESTION, now):
            self._out.append(Refused(peer, Reason.QUOTA_RATE, "questions"))
            return
        self._out.append(Say(peer, wire.Heads(tuple(self._intake.heads(asked.author) for asked in authors))))
        for asked in authors:
            fork = self._intake.forks.get(asked.author)
            if fork is not None:
                self._out.append(Say(peer, fork))
            lacking = self._archive.chain(asked.author).after(head for _, head in asked.heads)
            self._serving.queue(peer, [event.id for event in lacking], now)

    def _shown(self, authors: tuple[AuthorHeads, ...], now: Instant) -> None:
        for shown in authors:
            if shown.author == self._own:
                heads = tuple(head for _, head in shown.heads)
                self._guard.answered(heads, tuple(self._archive.entry(head) is not None for head in heads), now)

    def _load(self, name: EventId) -> Event | None:
        """An event as it is sent: with its payload only if that is kept in memory."""
        entry = self._archive.entry(name)
        if entry is None:
            return None
        return Event(entry.event.signed, entry.event.sig, self._archive.indexed(name))

    def offered(self, peer: AuthorId, now: Instant) -> list[LedgerEffect]:
        """``peer`` may have what is wanted: it is asked, also for what nobody had a moment ago."""
        self._gathering.offered(peer)
        return self._done(now)

    # --- our own words ----------------------------------------------------------------------------------------------

    def _sign(self, now: Instant) -> None:
        """Sign what waits, if the guard is open and the disk is not at it already."""
        if self._guard.due(now):
            head = pen.newest(self._archive.chain(self._own))
            self._pen.opens = not self._guard.continuous
            self._pen.last = None if head is None else head.id
        if self._intake.cloned:
            self._intake.cloned, self._pen.opens = False, True
        if not self._guard.open or not self._pen.queue or self._own_ticket is not None:
            return
        chain = self._archive.chain(self._own)
        salt = digest(self._pen.queue[0].salt, size=SALT_BYTES, person=b"trio-base")
        written = self._pen.sign(
            chain, tuple(self._seen.values()), lambda: self._hlc.tick(self._utc_ms(now)), salt, self._archive.is_gone
        )
        order = self._archive.order_own([(one.event, one.payload) for one in written])
        self._own_ticket = order.ticket
        self._out.append(order)

    def _take_own(self, written: pen.Written, now: Instant) -> None:
        event, payload = written.event, written.payload
        place = self._archive.chain(self._own).place(event)
        if isinstance(place, Reason) or place is Place.WAITS:  # a later key has taken the chain away from us meanwhile
            self._archive.batch.forget[event.id] = None
            if written.request is not None:
                detail = "our key was rotated away meanwhile"
                self._out.append(WriteRefused(written.request, Reason.STALE_KEY_STATE, detail))
            return
        self._quotas.count(self._own, 1, now)
        self._archive.insert(event, payload, base_of(payload) if place is Place.BASE else None, now, own=True)
        if payload is not None:
            self._exchange.offer(event, payload, now)
        if written.request is not None:
            self._out.append(EventWritten(written.request, event))
        inline = payload if event.audience == wire.FOR_MESH else None
        self._out.append(Spread(event, wire.inline(event, inline), None))

    # --- the end of every step --------------------------------------------------------------------------------------

    def _utc_ms(self, now: Instant) -> int | None:
        return None if self._utc_offset_ms is None else now // MS + self._utc_offset_ms

    def _date(self, now: Instant) -> None:
        utc_ms = self._utc_ms(now)
        self._archive.utc_s = None if utc_ms is None else utc_ms // 1_000

    def _done(self, now: Instant) -> list[LedgerEffect]:
        """Do what is due, and hand out everything that has gathered; the order to the store comes first."""
        archive = self._archive
        for name in self._intake.arrived:
            self._guard.arrived(name)
        self._intake.arrived.clear()
        self._sign(now)
        self._exchange.review(self._intake.shown, now)
        busy = archive.is_busy(now)
        self._out += self._exchange.pump(self._load, now, takes=busy is None)
        effects = archive.flush(now) + self._out
        self._out.clear()
        due = [self._rescan_at, self._guard.next_at(), self._intake.waiting.next_at(), self._serving.next_at()]
        due.append(archive.retry_at(now) if busy is not None else self._gathering.next_at())
        at = max(now + 1, min(instant for instant in due if instant is not None))
        if at != self._wake:
            self._wake = at
            effects.append(SetTimer(TIMER, at))
        return effects

    # --- what outsiders see -----------------------------------------------------------------------------------------

    def frontier(self) -> tuple[Head, ...]:
        """What this hub has, whole and stored, in ascending order."""
        return self._archive.frontier()

    def heads(self, author: AuthorId) -> AuthorHeads:
        """What is held of one author, whole and stored, as WANT_EVENTS and HEADS say it."""
        return self._intake.heads(author)

    def holds(self, author: AuthorId) -> bool:
        """Whether anything of ``author`` is held, stored or not."""
        return author in self._archive.chains

    def is_urgent(self, head: Head) -> bool:
        """Whether a withdrawal or a stolen key is among the last few events before ``head``."""
        name: EventId | None = head.event
        for _ in range(URGENT_DEPTH):
            entry = None if name is None else self._archive.entry(name)
            if entry is None:
                return False
            if entry.event.kind in (wire.WITHDRAWAL, wire.STOLEN):
                return True
            name = entry.event.prev
        return False

    def wants(self, head: Head, now: Instant) -> bool:
        """Whether it is worth asking for events up to ``head``, which somebody else has."""
        return self._archive.entry(head.event) is None and self._quotas.full(head.author, now) is None

    def wanted_payloads(self) -> list[EventId]:
        """Payloads that are missing here and may be had."""
        return self._gathering.wanted()

    def entries(self, author: AuthorId) -> list[Entry]:
        """Everything held of one author, oldest first, for reading only."""
        return sorted(self._archive.chain(author).entries.values(), key=lambda entry: (entry.event.seq, entry.event.id))

    def may_show(self, entry: Entry) -> bool:
        """Whether the payload of an event is here and may be shown now."""
        return self._archive.may_show(entry)

    def of_kind(self, kind: int) -> list[tuple[EventRecord, str]]:
        """All events of a kind that are stored, in author order, and how it stands with each one's payload."""
        found = []
        for author in sorted(self._archive.chains):
            held = (entry for entry in self.entries(author) if entry.event.kind == kind and entry.stored)
            found += [(entry.event, self._archive.payload_state(entry)) for entry in held]
        return found

    def content_of(self, name: EventId) -> bytes | None:
        """The payload of an event of a kind that is kept in memory, if it is here and may be shown now."""
        entry, payload = self._archive.entry(name), self._archive.indexed(name)
        return None if entry is None or payload is None or not self.may_show(entry) else payload.content

    def has_forked(self, author: AuthorId) -> bool:
        """Whether there is a proof, and the author has not yet brought its branches together again."""
        return self._intake.forks.get(author) is not None and len(self._archive.chain(author).heads()) != 1

    def forked(self) -> tuple[AuthorId, ...]:
        """All of whom :meth:`has_forked` is true, in ascending order."""
        return tuple(author for author in self._intake.forks.authors() if self.has_forked(author))

    def has_merged(self, author: AuthorId) -> bool:
        """Whether the author has brought the branches of a proven fork together: both are here, stored, and end in one
        head; or a base has taken their place."""
        fork, chain = self._intake.forks.get(author), self._archive.chain(author)
        if fork is None or len(chain.heads()) != 1:
            return False
        both = (decode_event(self._mesh_id, *record) for record in (fork.one, fork.other))
        for one in both:
            entry = chain.entries.get(one.id)
            if not (entry.counted if entry is not None else chain.base is not None and one.seq <= chain.base.seq):
                return False
        return True

    def statistics(self) -> LedgerStatistics:
        """The picture for status and tests."""
        archive = self._archive
        return LedgerStatistics(
            len(archive.chains),
            len(archive),
            len(self._intake.waiting),
            len(self._gathering),
            self._quotas.bytes,
            self._gathering.active,
            len(self._intake.forks),
            not self._guard.open,
            self._serving.queued,
        )
