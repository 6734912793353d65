"""What comes and goes of payloads: gathered, given, kept for a while, offered by their authors (part of the ledger).

Whoever tells something with a large payload offers it: each neighbor is told of the event at once, not only over the
tree, and given the chunks that it owns unasked. Two trips instead of five; each of the author's lines carries a part.
Invariant: what is given may be given at that moment, whether it lies on the disk, in memory or is still being gathered.
"""

from __future__ import annotations

from collections.abc import Callable

from protocol.clock import Instant
from protocol.crypto import digest
from protocol.effects import LoadPayload
from protocol.errors import Reason
from protocol.ids import AuthorId, EventId
from protocol.inputs import PayloadLoaded
from protocol.ledger.archive import Archive
from protocol.ledger.kept import Kept, chunks_of, is_signed
from protocol.ledger.payloads import Gathering, Neighbors
from protocol.ledger.quotas import Quotas
from protocol.ledger.serving import SMALL_BYTES, Place, Serving
from protocol.ledger.values import LedgerConfig, LedgerEffect, Refused, Say
from protocol.limits import SALT_BYTES
from protocol.rng import Rng
from protocol.wire.events import CONTROL, FOR_MESH, Chunk, Event, EventRecord, Offer, Payload, WantPayload
from protocol.wire.parts import chunk_count

OFFERED_MAX = 256
"""Offered events that no tree has brought yet; beyond that they go no further until somebody reconciles."""


class Exchange:
    """``out`` takes what is to be said; ``room`` and ``neighbors`` as for the ledger."""

    def __init__(
        self,
        own: AuthorId,
        archive: Archive,
        quotas: Quotas,
        room: Callable[[AuthorId], int],
        neighbors: Neighbors,
        rng: Rng,
        config: LedgerConfig,
        out: list[LedgerEffect],
    ) -> None:
        self._archive = archive
        self._quotas = quotas
        self._out = out
        self._kept = Kept()
        self._offered: dict[EventId, bytes] = {}
        self.gathering = Gathering(own, config, rng, neighbors, self._kept)
        self.serving = Serving(config, room, self._find)

    def link_up(self, peer: AuthorId) -> None:
        """``peer`` is a neighbor now."""
        self.gathering.peers[peer] = None
        self.serving.link_up(peer)

    def link_down(self, peer: AuthorId) -> None:
        """``peer`` is gone; what it brought stays."""
        self.gathering.link_down(peer)
        self.serving.link_down(peer)

    # --- offers -----------------------------------------------------------------------------------------------------

    def offer(self, event: EventRecord, payload: Payload, now: Instant) -> None:
        """Give each neighbor the part of a large payload of our own that the others will want of it. What is about the
        chain itself travels whole."""
        if event.audience != FOR_MESH or event.payload_size <= SMALL_BYTES or event.kind in CONTROL:
            return
        self._kept.keep(event.id, chunks_of(event.id, payload))
        for peer in self.gathering.peers:
            self._out.append(Say(peer, Offer(event.signed, event.sig)))
            for first, count in self.gathering.owned(event, peer):
                self.serving.ask(peer, WantPayload(event.id, first, count), event.payload_size, now)

    def offered(self, event: EventRecord) -> None:
        """A neighbor has offered an event of its own, which is held now."""
        self._offered[event.id] = event.sig
        if len(self._offered) > OFFERED_MAX:
            del self._offered[next(iter(self._offered))]

    def is_offered(self, event: Event) -> bool:
        """Whether its author itself has offered it, and no tree had brought it so far."""
        return self._offered.pop(EventId(digest(event.signed)), None) == event.sig

    # --- giving -----------------------------------------------------------------------------------------------------

    def asked(self, peer: AuthorId, message: WantPayload, now: Instant) -> None:
        """A neighbor wants chunks, or no more of them."""
        if not message.count:
            self.serving.cancel(peer, message.event)
            return
        entry = self._archive.entry(message.event)
        if entry is None and message.patient and self.serving.ask_ahead(peer, message, now):
            return
        size = 0 if entry is None else entry.event.payload_size
        given = entry is not None and message.first < chunk_count(size) and self._archive.may_give(entry)
        if not given and (size <= SMALL_BYTES or self._find(message.event, message.first) is Place.GONE):
            self._out.append(Say(peer, Chunk(message.event, message.first, bytes(SALT_BYTES), None)))
        elif not self.serving.ask(peer, message, size, now):
            self._out.append(Refused(peer, Reason.QUOTA_RATE, "chunks"))

    def _find(self, name: EventId, index: int) -> Chunk | Place:
        """A chunk of a large payload that a neighbor may have, or where it is."""
        entry = self._archive.entry(name)
        if entry is None or index >= chunk_count(entry.event.payload_size):
            return Place.GONE
        if self._archive.may_give(entry):
            return self._kept.get(name, index) or Place.STORE
        if self._archive.wants(entry) and name in self.gathering:
            return self.gathering.chunk(name, index) or Place.COMING
        return Place.GONE

    def loaded(self, loaded: PayloadLoaded, now: Instant) -> None:
        """The store has read what a peer has asked for."""
        entry = self._archive.entry(loaded.event)
        given = entry is not None and loaded.salt is not None and self._archive.may_give(entry)
        payload = Payload(loaded.salt, b"".join(loaded.chunks)) if given and loaded.salt is not None else None
        chunks = [] if payload is None else chunks_of(loaded.event, payload)
        if entry is None or not chunks or not is_signed(entry.event, chunks):
            absent = Say(loaded.peer, Chunk(loaded.event, loaded.first, bytes(SALT_BYTES), None))
            self._out += self.serving.lost(loaded.event) or [absent]
        elif len(chunks) == 1:
            self._out.append(Say(loaded.peer, chunks[0]))
        else:
            self._kept.keep(loaded.event, chunks)
        self.serving.loaded(loaded.peer, loaded.event, self._size(loaded.event), now)

    # --- taking -----------------------------------------------------------------------------------------------------

    def chunk(self, peer: AuthorId, message: Chunk, now: Instant) -> None:
        """A chunk has come.

        Raises:
            RemoteProtocolError: it is not what the author signed.
        """
        taken = self.gathering.take(peer, message, now)
        if isinstance(taken, Reason):
            self._out.append(Refused(peer, taken))
            return
        if isinstance(taken, list):
            self._out += taken
        else:
            event, payload = taken
            entry = self._archive.entry(event.id)
            refused = Reason.PAYLOAD_UNWANTED if entry is None else self._archive.fill(entry, payload, now)
            if refused is not None:
                self._kept.drop(event.id)
                self._out.append(Refused(peer, refused))
        self._arrived(message.event, now)

    def review(self, shown: dict[EventId, AuthorId], now: Instant) -> None:
        """The archive wants other payloads than before; ``shown``: who has brought what was just taken."""
        for name in self._archive.unwant:
            self.gathering.drop(name)
            entry = self._archive.entry(name)
            if entry is None or not entry.held:
                self._kept.drop(name)
            self._arrived(name, now)
        for name in shown:
            self._arrived(name, now)
        for event in self._archive.want:
            if self._quotas.has_room(event.author, event.payload_size, now):
                self.gathering.want(event, shown.get(event.id), offered=event.id in self._offered)
            else:
                self._out.append(Refused(None, Reason.QUOTA_BYTES))
        self._archive.unwant.clear()
        self._archive.want.clear()
        shown.clear()

    def _arrived(self, name: EventId, now: Instant) -> None:
        self.serving.arrived(name, self._size(name), now)

    def _size(self, name: EventId) -> int:
        entry = self._archive.entry(name)
        return 0 if entry is None else entry.event.payload_size

    # --- in its turn ------------------------------------------------------------------------------------------------

    def pump(self, load: Callable[[EventId], Event | None], now: Instant, *, takes: bool) -> list[Say | LoadPayload]:
        """Ask and give what is due; nothing is asked for if nothing could be stored (``takes``)."""
        return [*(self.gathering.pump(now) if takes else ()), *self.serving.pump(load, now)]
