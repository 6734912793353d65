"""What comes in of others: checked, placed, or kept waiting; conflicting events become a proof.

An event is verified before anything follows from it, and takes its place only behind its parent; what is refused says
why. Nobody is blamed for an event that has no place here: whoever passed it on may hold more, or less, than we do.
"""

from __future__ import annotations

from protocol.clock import Instant
from protocol.crypto import Verifier
from protocol.effects import ForkProven
from protocol.errors import Reason, RemoteProtocolError, SignatureError
from protocol.identity import LocalIdentity
from protocol.ids import AuthorId, EventId, MeshId
from protocol.ledger.archive import Archive, base_of
from protocol.ledger.chain import Place
from protocol.ledger.forks import ForkBook
from protocol.ledger.quotas import Quotas
from protocol.ledger.serving import Bucket
from protocol.ledger.values import KeyOf, LedgerConfig, LedgerEffect, NeedKeys, Refused, Say, Spread
from protocol.ledger.waiting import Waiter, WaitingRoom
from protocol.wire.events import (
    BASES,
    CONTROL,
    FOR_MESH,
    STOLEN,
    AuthorHeads,
    Event,
    EventRecord,
    Fork,
    Payload,
    WantEvents,
    decode_event,
)


class Intake:
    """Effects are appended to ``out``; ``peers`` are those who are told of forks."""

    def __init__(
        self,
        mesh_id: MeshId,
        identity: LocalIdentity,
        verifier: Verifier,
        keys: KeyOf,
        archive: Archive,
        quotas: Quotas,
        peers: dict[AuthorId, None],
        out: list[LedgerEffect],
        config: LedgerConfig,
    ) -> None:
        self._mesh_id = mesh_id
        self._own = identity.author
        self._rotation = identity.key_state.rotation
        self._verifier = verifier
        self._keys = keys
        self._archive = archive
        self._quotas = quotas
        self._peers = peers
        self._out = out
        self._config = config
        self.waiting = WaitingRoom(config)
        self.forks = ForkBook(self.read, config.chain_forks_max)
        self.cloned = False
        """Whether somebody else has signed where we have."""
        self.arrived: list[EventId] = []
        """Events of our own that others brought back."""
        self.shown: dict[EventId, AuthorId] = {}
        """Who has brought what was just taken; whoever gathers payloads clears it."""
        self._asked: dict[AuthorId, Instant] = {}
        self._checks: dict[AuthorId, Bucket] = {}

    # --- checking ---------------------------------------------------------------------------------------------------

    def read(self, signed: bytes, sig: bytes) -> EventRecord:
        """The event in a record whose signature is right, whether it has a place here or not.

        Raises:
            RemoteProtocolError: it breaks a rule, or its author's key is not known (``UNKNOWN_AUTHOR``).
        """
        event = decode_event(self._mesh_id, signed, sig)
        self._check(event)
        return event

    def _decode(self, message: Event) -> EventRecord:
        event = decode_event(self._mesh_id, message.signed, message.sig)
        if message.payload is not None and not message.payload.belongs_to(event):
            raise RemoteProtocolError(Reason.PAYLOAD_MISMATCH)
        return event

    def _key(self, event: EventRecord) -> bytes | None:
        return self._keys(event.author, event.rotation)

    def _may_check(self, peer: AuthorId, count: int, now: Instant) -> bool:
        """Take so many signature checks from the budget of ``peer``; False, and a refusal, if it has not got them."""
        bucket = self._checks.get(peer)
        if bucket is None:
            bucket = self._checks[peer] = Bucket(self._config.checks_per_second, self._config.checks_burst)
        if bucket.take(count, now):
            return True
        self._out.append(Refused(peer, Reason.VERIFY_BUDGET))
        return False

    def _check(self, event: EventRecord) -> None:
        key = self._key(event)
        if key is None:
            raise RemoteProtocolError(Reason.UNKNOWN_AUTHOR)
        if not self._verifier(key, event.signed, event.sig):
            raise SignatureError(Reason.BAD_SIGNATURE, "event")

    # --- events -----------------------------------------------------------------------------------------------------

    def event(self, peer: AuthorId, message: Event, now: Instant) -> EventRecord | None:
        """Take an event; returns it if its signature was found right now.

        Raises:
            RemoteProtocolError: the peer should not have sent it; nothing changed.
        """
        event = self._decode(message)
        payload = message.payload if event.audience == FOR_MESH else None
        entry = self._archive.entry(event.id)
        if entry is not None:
            refused = Reason.DUPLICATE if payload is None else self._archive.fill(entry, payload, now)
            if refused is not None:
                self._out.append(Refused(peer, refused))
            return None
        if event.id in self.waiting:
            self._out.append(Refused(peer, Reason.DUPLICATE))
            return None
        if self._key(event) is None:
            if self.waiting.add(Waiter(event, payload, peer, now, verified=False)):
                self._out.append(NeedKeys(peer, event.author))
            else:
                self._out.append(Refused(peer, Reason.UNKNOWN_AUTHOR))
            return None
        if not self._may_check(peer, 1, now):
            return None
        self._check(event)
        self._settle(Waiter(event, payload, peer, now, verified=True), now)
        return event

    def keys_learnt(self, author: AuthorId, now: Instant) -> None:
        """More of an author's keys are known: what waited for them is looked at again."""
        for waiter in self.waiting.of(author, lambda waiter: not waiter.verified):
            if self._key(waiter.event) is None:
                self.waiting.add(waiter)
                continue
            if not self._may_check(waiter.peer, 1, now):
                continue
            try:
                self._check(waiter.event)
            except RemoteProtocolError as fault:
                self._out.append(Refused(waiter.peer, fault.reason))
                continue
            waiter.verified = True
            self._settle(waiter, now)

    def expire(self, now: Instant) -> None:
        """Nothing waits for ever."""
        self._asked = {author: at for author, at in self._asked.items() if now - at < self._config.ask_us}
        self._checks = {peer: bucket for peer, bucket in self._checks.items() if not bucket.is_full(now)}
        for waiter in self.waiting.expire(now):
            self._out.append(Refused(waiter.peer, Reason.PENDING_LIMIT, "what it waited for did not come"))

    def _settle(self, first: Waiter, now: Instant) -> None:
        """Place a checked event, and whatever waited for it."""
        pending = [first]
        for waiter in pending:
            if self._place(waiter, now):
                pending += self.waiting.after(waiter.event.id)
                if waiter.event.kind in BASES:
                    pending += self.waiting.of(waiter.event.author, lambda waiter: waiter.verified)

    def _place(self, waiter: Waiter, now: Instant) -> bool:
        event, peer = waiter.event, waiter.peer
        if not waiter.verified:  # its parent has come before its key, which another rotation may need
            self.waiting.add(waiter)
            return False
        chain = self._archive.chain(event.author)
        rival = chain.rival(event)
        if rival is not None:
            self._prove(event, rival)
        place = chain.place(event)
        if place is Place.WAITS or (place is Place.BASE and waiter.payload is None):
            self._wait(waiter, place)
            self.ask(peer, event.author, now)
            return False
        base = base_of(waiter.payload) if place is Place.BASE else None
        refused = place if isinstance(place, Reason) else None
        if place is Place.BASE and (base is None or (event.kind == STOLEN and event.rotation == 0)):
            refused = Reason.BAD_CONTENT
        elif place is Place.BASE and event.author == self._own and event.rotation < self._rotation:
            refused = Reason.BEFORE_BASE  # whoever has our old key must not make us forget
        if refused is None:
            refused = self._archive.is_busy(now) or self._quotas.admit(event.author, now, control=event.kind in CONTROL)
        if refused is not None:
            self._out.append(Refused(peer, refused))
            return False
        self._archive.insert(event, waiter.payload, base, now, own=False)
        self.shown[event.id] = peer
        if event.author == self._own:
            self.arrived.append(event.id)
        self._spread(event, waiter.payload, peer)
        return True

    def _spread(self, event: EventRecord, payload: Payload | None, peer: AuthorId) -> None:
        entry = self._archive.entry(event.id)
        carried = payload if entry is not None and entry.held else None
        self._out.append(Spread(event, Event(event.signed, event.sig, carried), peer))

    def _wait(self, waiter: Waiter, place: Place) -> None:
        """Let an event wait for its parent; a base without its payload is asked for again, whole."""
        if place is Place.WAITS and not self.waiting.add(waiter):
            self._out.append(Refused(waiter.peer, Reason.PENDING_LIMIT))

    def ask(self, peer: AuthorId, author: AuthorId, now: Instant) -> None:
        """Ask ``peer`` for what is missing of ``author``, if nobody was asked a moment ago."""
        asked = self._asked.get(author)
        if asked is None or now - asked >= self._config.ask_us:
            self._asked[author] = now
            self._out.append(Say(peer, WantEvents((self.heads(author),))))

    def heads(self, author: AuthorId) -> AuthorHeads:
        """What is held of ``author``, as it travels."""
        heads = self._archive.chain(author).heads()
        return AuthorHeads(author, tuple((head.incarnation, head.event) for head in heads))

    # --- forks ------------------------------------------------------------------------------------------------------

    def fork(self, peer: AuthorId, message: Fork, now: Instant) -> None:
        """Take a proof.

        Raises:
            RemoteProtocolError: it proves nothing; nothing changed.
        """
        one = decode_event(self._mesh_id, *message.one)
        other = decode_event(self._mesh_id, *message.other)
        if self._key(one) is None or self._key(other) is None:
            self._out += [NeedKeys(peer, one.author), Refused(peer, Reason.UNKNOWN_AUTHOR, "fork")]
            return
        if self.forks.get(one.author) == message:  # shown again: nothing to verify
            self._out.append(Refused(peer, Reason.DUPLICATE, "fork"))
            return
        if not self._may_check(peer, 2, now):
            return
        author, fork = self.forks.told(message)
        if fork is None:
            self._out.append(Refused(peer, Reason.DUPLICATE, "fork"))
        else:
            self._tell(author, fork, peer)

    def _prove(self, one: EventRecord, other: EventRecord) -> None:
        self.cloned = self.cloned or one.author == self._own
        fork = self.forks.found(one, other)
        if fork is not None:
            self._tell(one.author, fork, None)

    def _tell(self, author: AuthorId, fork: Fork, source: AuthorId | None) -> None:
        self._archive.batch.forks[author] = self.forks.encoded(author)
        self._out.append(ForkProven(author, fork))
        self._out += [Say(peer, fork) for peer in self._peers if peer != source]
