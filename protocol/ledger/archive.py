"""All that is held: chains, which payloads are here, what was withdrawn, and what the store has been told.

Invariants: a head is in the frontier only after ``Stored``; a payload that was withdrawn or has expired is not held, is
not wanted, and is not taken again; an erasure that could not be stored is tried until it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from protocol.clock import SECOND, Instant
from protocol.effects import EventAccepted, LedgerNews, PayloadErased, PayloadKept, StoreEvents
from protocol.errors import DecodeError, Reason
from protocol.ids import AuthorId, EventId
from protocol.ledger.chain import Chain, Entry, Place
from protocol.ledger.quotas import Quotas
from protocol.ledger.values import Frontier, Head, LedgerEffect
from protocol.wire.contents import Base, decode_base, decode_withdrawal
from protocol.wire.events import BASES, CONTROL, FOR_MESH, GLITCH_S, WITHDRAWAL, EventRecord, Payload, StoredEvent

RETRY_US: Final = 5 * SECOND
"""After the disk has refused: so long nothing new is taken, and then one batch tries again."""
TICKETS_MAX: Final = 1_024
"""Batches that the store has not answered; beyond that nothing new is taken."""


@dataclass(slots=True)  # state: changes in place
class Batch:
    """What one ``StoreEvents`` holds. ``added`` are new events, ``filled`` older ones whose payload has come."""

    added: dict[EventId, StoredEvent] = field(default_factory=dict)
    filled: dict[EventId, StoredEvent] = field(default_factory=dict)
    erase: dict[EventId, None] = field(default_factory=dict)
    forget: dict[EventId, None] = field(default_factory=dict)
    forks: dict[AuthorId, bytes] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added or self.filled or self.erase or self.forget or self.forks)

    def effect(self, ticket: int, *, own: bool) -> StoreEvents:
        """The order to the store."""
        events = (*self.added.values(), *self.filled.values())
        return StoreEvents(ticket, events, tuple(self.erase), tuple(self.forget), tuple(self.forks.values()), own)


class Archive:
    """Changes gather until :meth:`flush` puts them into one order to the store and one change of the frontier."""

    def __init__(self, own: AuthorId, quotas: Quotas) -> None:
        self.chains: dict[AuthorId, Chain] = {}
        self.quotas = quotas
        self.batch = Batch()
        self.news: list[LedgerNews] = []
        self.want: list[EventRecord] = []
        """Events whose payload became wanted, for whoever gathers them."""
        self.unwant: list[EventId] = []
        self.utc_s: int | None = None
        self.failing_until: Instant = -(1 << 62)
        self._own = own
        self._where: dict[EventId, Chain] = {}
        self._withdrawn: dict[AuthorId, dict[EventId, None]] = {}
        self._indexed: dict[EventId, Payload] = {}
        self._expiring: dict[EventId, int] = {}
        self._kept_until: dict[EventId, Instant] = {}
        self._outlived: dict[EventId, None] = {}
        self._frontier: dict[AuthorId, tuple[Head, ...]] = {}
        self._dirty: dict[AuthorId, None] = {}
        self._tickets: dict[int, Batch] = {}
        self._ticket = 0

    # --- looking --------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._where)

    def entry(self, name: EventId) -> Entry | None:
        """The event of that id, if it is held."""
        chain = self._where.get(name)
        return None if chain is None else chain.entries[name]

    def chain(self, author: AuthorId) -> Chain:
        """The chain of ``author``, which may be empty; an empty one is not kept."""
        return self.chains.get(author) or Chain(author)

    def indexed(self, name: EventId) -> Payload | None:
        """A small payload that is kept in memory."""
        return self._indexed.get(name)

    def frontier(self) -> tuple[Head, ...]:
        """What this hub has, whole and stored."""
        return tuple(head for author in sorted(self._frontier) for head in self._frontier[author])

    def is_gone(self, entry: Entry) -> bool:
        """Whether the payload was withdrawn or has expired. What cannot be judged without a date is not gone, unless it
        has been here for as long as it may."""
        event = entry.event
        if event.kind in CONTROL:
            return False
        if event.id in self._outlived:
            return True
        ends_s = event.ends_s
        late = ends_s != 0 and self.utc_s is not None and ends_s <= self.utc_s
        return late or event.id in self._withdrawn.get(event.author, {})

    def may_show(self, entry: Entry) -> bool:
        """Whether the payload is here and may be shown or given now; an end that cannot be judged has come."""
        return entry.held and not self.is_gone(entry) and (entry.event.expires == 0 or self.utc_s is not None)

    def payload_state(self, entry: Entry) -> str:
        """What :class:`~protocol.statistics.EventStatistics` says of it."""
        if self.is_gone(entry):
            return "erased"
        if self.may_show(entry):
            return "here"
        return "missing" if entry.event.audience == FOR_MESH else "private"

    def may_give(self, entry: Entry) -> bool:
        """Whether a neighbor may have the payload."""
        return self.may_show(entry) and entry.event.audience == FOR_MESH

    def wants(self, entry: Entry) -> bool:
        """Whether the payload is missing and may be had."""
        event = entry.event
        return (
            event.payload_hash is not None and not entry.held and event.audience == FOR_MESH and not self.is_gone(entry)
        )

    def retry_at(self, now: Instant) -> Instant | None:
        """When the store is tried again, if it has refused."""
        return self.failing_until if now < self.failing_until else None

    def is_busy(self, now: Instant) -> Reason | None:
        """Why nothing new is taken now."""
        if now < self.failing_until:
            return Reason.STORE_FAILED
        return Reason.PENDING_LIMIT if len(self._tickets) >= TICKETS_MAX else None

    # --- taking ---------------------------------------------------------------------------------------------------

    def insert(
        self, event: EventRecord, payload: Payload | None, base: Base | None, now: Instant, *, own: bool
    ) -> None:
        """Take an event that was placed and admitted; ``base`` is what its payload says if it becomes the base.

        ``own``: it is on the disk already, and everything that comes of it is stored separately.
        """
        chain = self.chains.setdefault(event.author, Chain(event.author))
        if base is not None:
            self._where[event.id] = chain
            self._dropped(chain.adopt(event, base.keep, stored=own), now, forget=True)
            self._read_withdrawals(chain)
        else:
            chain.add(event, held=False, stored=own)
            self._where[event.id] = chain
        self._dirty[event.author] = None
        chain.entries[event.id].held = False
        if event.ends_s and event.kind not in CONTROL:
            self._expiring[event.id] = event.ends_s
        kept = payload is not None and self._hold(chain.entries[event.id], payload, now)
        if not own:
            self.batch.added[event.id] = stored_event(event, payload if kept else None)
        if self.wants(chain.entries[event.id]):
            self.want.append(event)
        if own:
            self.news.append(EventAccepted(event, own=True))

    def fill(self, entry: Entry, payload: Payload, now: Instant) -> Reason | None:
        """Take the payload of an event that is held; says why not."""
        if not self.wants(entry):
            return Reason.PAYLOAD_UNWANTED
        if not self._hold(entry, payload, now):
            return Reason.QUOTA_BYTES
        name = entry.event.id
        stored = stored_event(entry.event, payload)
        if name in self.batch.added:
            self.batch.added[name] = stored
        else:
            self.batch.filled[name] = stored
        self.unwant.append(name)
        return None

    def _hold(self, entry: Entry, payload: Payload, now: Instant) -> bool:
        event = entry.event
        control = event.kind in CONTROL
        own = event.author == self._own
        if self.is_gone(entry) or (event.audience != FOR_MESH and not own):
            return False
        if not control and not own and not self.quotas.has_room(event.author, event.payload_size, now):
            return False
        entry.held = True
        self.quotas.hold(event.author, event.payload_size, now)
        if event.tells_who_was_where:
            self._kept_until[event.id] = now + GLITCH_S * SECOND
        if event.indexed:
            self._indexed[event.id] = payload
        if event.kind == WITHDRAWAL:
            self._withdraw(self._where[event.id], payload, now)
        return True

    def restore_event(self, event: EventRecord, payload: Payload | None, *, held: bool, now: Instant) -> None:
        """Take an event from our own store, in an order in which each has a place."""
        chain = self.chains.setdefault(event.author, Chain(event.author))
        place = chain.place(event)
        base = base_of(payload) if place is Place.BASE else None
        self._dirty[event.author] = None
        if isinstance(place, Reason) or place is Place.WAITS or (place is Place.BASE and base is None):
            if place is Reason.BEFORE_BASE:
                self.batch.forget[event.id] = None  # a crash came between a base and what it lets go
            return
        self._where[event.id] = chain
        if base is None:
            chain.add(event, held=held, stored=True)
        else:
            self._dropped(chain.adopt(event, base.keep, stored=True), now, forget=True)
        self.quotas.count(event.author, 1, now)
        if held:
            self.quotas.hold(event.author, event.payload_size, now)
        if event.ends_s and event.kind not in CONTROL:
            self._expiring[event.id] = event.ends_s
        if payload is not None and event.indexed:
            self._indexed[event.id] = payload
            if event.kind == WITHDRAWAL:
                self._withdraw(chain, payload, now)
        if event.tells_who_was_where and event.author != self._own and not event.hlc:
            self._outlive(event.id, now)  # nobody can say how long it has been here
        elif event.tells_who_was_where and held:
            self._kept_until[event.id] = now + GLITCH_S * SECOND
        if self.wants(chain.entries[event.id]):
            self.want.append(event)

    def rescan(self) -> None:
        """Want again what there was no room for."""
        for name, chain in self._where.items():
            entry = chain.entries[name]
            if self.wants(entry):
                self.want.append(entry.event)

    # --- erasing --------------------------------------------------------------------------------------------------

    def expire(self, now: Instant) -> None:
        """Erase what has expired; without a date only what has been here for as long as it may."""
        for name in [name for name, at in self._kept_until.items() if at <= now]:
            self._outlive(name, now)
        utc_s = self.utc_s
        if utc_s is not None:
            for name in [name for name, at in self._expiring.items() if at <= utc_s]:
                del self._expiring[name]
                self._erase(name, now)

    def _outlive(self, name: EventId, now: Instant) -> None:
        """It goes, and does not come back from a neighbor that has had it for a shorter time."""
        self._kept_until.pop(name, None)
        self._outlived[name] = None
        self._erase(name, now)

    def _withdraw(self, chain: Chain, payload: Payload, now: Instant) -> None:
        for name in withdrawn_by(payload):
            self._withdrawn.setdefault(chain.author, {})[name] = None
            if name in chain.entries:
                self._erase(name, now)

    def _erase(self, name: EventId, now: Instant) -> None:
        self.unwant.append(name)
        entry = self.entry(name)
        if entry is None or not entry.held or entry.event.kind in CONTROL:
            return
        entry.held = False
        self._indexed.pop(name, None)
        self._kept_until.pop(name, None)
        self.quotas.hold(entry.event.author, -entry.event.payload_size, now)
        if name in self.batch.added:
            self.batch.added[name] = stored_event(entry.event, None)
        self.batch.filled.pop(name, None)
        self.batch.erase[name] = None
        self.news.append(PayloadErased(entry.event))

    def _read_withdrawals(self, chain: Chain) -> None:
        """After a new base only the withdrawals that are still held count."""
        self._withdrawn.pop(chain.author, None)
        for name, entry in chain.entries.items():
            if entry.event.kind == WITHDRAWAL and name in self._indexed:
                for gone in withdrawn_by(self._indexed[name]):
                    self._withdrawn.setdefault(chain.author, {})[gone] = None
        self.want += [entry.event for entry in chain.entries.values() if self.wants(entry)]

    def _dropped(self, entries: list[Entry], now: Instant, *, forget: bool) -> None:
        """These are in no chain any more; ``forget``: nor shall they be in the store."""
        for entry in entries:
            event = entry.event
            del self._where[event.id]
            self.quotas.count(event.author, -1, now)
            if entry.held:
                self.quotas.hold(event.author, -event.payload_size, now)
            self._expiring.pop(event.id, None)
            self._kept_until.pop(event.id, None)
            self._outlived.pop(event.id, None)
            self._indexed.pop(event.id, None)
            self.unwant.append(event.id)
            self.batch.added.pop(event.id, None)
            self.batch.filled.pop(event.id, None)
            if forget:
                self.batch.forget[event.id] = None

    # --- the store ------------------------------------------------------------------------------------------------

    def flush(self, now: Instant) -> list[LedgerEffect]:
        """What has changed since the last flush: one order to the store, the news, the change of the frontier."""
        effects: list[LedgerEffect] = []
        if self.batch and now >= self.failing_until:
            effects.append(self.submit(self.batch, own=False))
            self.batch = Batch()
        effects += self.news
        self.news.clear()
        removed: list[Head] = []
        added: list[Head] = []
        gone: list[AuthorId] = []
        for author in self._dirty:
            chain = self.chains.get(author)
            heads = () if chain is None else chain.frontier()
            known = self._frontier.get(author, ())
            removed += [head for head in known if head not in heads]
            added += [head for head in heads if head not in known]
            if heads:
                self._frontier[author] = heads
            else:
                self._frontier.pop(author, None)
            if chain is not None and not chain.entries:
                del self.chains[author]
                gone.append(author)
        self._dirty.clear()
        if removed or added or gone:
            effects.append(Frontier(tuple(removed), tuple(added), tuple(gone)))
        return effects

    def order_own(self, written: Iterable[tuple[EventRecord, Payload | None]]) -> StoreEvents:
        """Store what we have signed; it becomes part of the chain when it is."""
        batch = Batch()
        for event, payload in written:
            batch.added[event.id] = stored_event(event, payload)
        return self.submit(batch, own=True)

    def submit(self, batch: Batch, *, own: bool) -> StoreEvents:
        """An order of its own."""
        self._ticket += 1
        self._tickets[self._ticket] = batch
        return batch.effect(self._ticket, own=own)

    def stored(self, ticket: int) -> Batch | None:
        """The store has done it; None if it was not asked."""
        batch = self._tickets.pop(ticket, None)
        if batch is None:
            return None
        for name, stored in batch.added.items():
            entry = self.entry(name)
            if entry is None and stored.author != self._own:
                self.batch.forget[name] = None  # an earlier batch has failed meanwhile, and with it what this follows
            if entry is not None and not entry.stored:
                self.chains[stored.author].stored(name)
                self._dirty[stored.author] = None
                self.news.append(EventAccepted(entry.event, own=False))
        for name, stored in (*batch.added.items(), *batch.filled.items()):
            entry = self.entry(name)
            if stored.held and entry is not None and entry.held and entry.event.kind not in CONTROL:
                self.news.append(PayloadKept(entry.event))
        return batch

    def failed(self, ticket: int, now: Instant) -> Batch | None:
        """The store could not: what is not on the disk is not here. Erasures are owed and tried again."""
        batch = self._tickets.pop(ticket, None)
        if batch is None:
            return None
        self.failing_until = now + RETRY_US
        for name, stored in batch.added.items():
            chain = self._where.get(name)
            if chain is not None and not chain.entries[name].stored:
                self._dirty[stored.author] = None
                self._dropped(chain.drop([name]), now, forget=False)
        for name in batch.filled:
            entry = self.entry(name)
            if entry is not None and entry.held:
                entry.held = False
                self.quotas.hold(entry.event.author, -entry.event.payload_size, now)
                self._indexed.pop(name, None)
                self.want.append(entry.event)
        for name in batch.erase:
            entry = self.entry(name)
            if entry is None or not entry.held:
                self.batch.erase[name] = None
        self.batch.forget |= {name: None for name in batch.forget if name not in self._where}
        self.batch.forks |= batch.forks
        return batch


def withdrawn_by(payload: Payload) -> tuple[EventId, ...]:
    """What a withdrawal takes back; one that cannot be read takes back nothing."""
    try:
        return decode_withdrawal(payload.content)
    except DecodeError:
        return ()


def base_of(payload: Payload | None) -> Base | None:
    """What a checkpoint or stolen statement keeps; None if it cannot be read."""
    try:
        return None if payload is None else decode_base(payload.content)
    except DecodeError:
        return None


def restore(
    stored: Iterable[StoredEvent], read: Callable[[bytes, bytes], EventRecord]
) -> Iterator[tuple[EventRecord, Payload | None, bool]]:
    """What was read back, in an order in which each has a place: bases first, the best of each author last of them;
    then by seq. What does not fit its own id has rotted and is left out: neighbors have it."""
    found: list[tuple[EventRecord, Payload | None, bool]] = []
    for one in stored:
        try:
            event = read(one.signed, one.sig)
        except DecodeError:
            continue
        if event.id == one.id:
            found.append((event, one.payload, one.held))
    bases = [one for one in found if one[0].kind in BASES]
    yield from sorted(bases, key=lambda one: one[0].order)
    yield from sorted((one for one in found if one[0].kind not in BASES), key=lambda one: (one[0].seq, one[0].id))


def stored_event(event: EventRecord, payload: Payload | None) -> StoredEvent:
    """An event as the store is given it."""
    return StoredEvent(
        event.id, event.author, event.seq, event.signed, event.sig, payload, payload is not None, event.indexed
    )
