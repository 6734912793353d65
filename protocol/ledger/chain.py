"""One author's chain: what follows what, where it begins, how it branches, and where it ends.

Source: hash-linked logs as in Secure Scuttlebutt, with a fork that does not kill the chain (Kleppmann and Howard 2020:
convergence needs the hash links alone). A *base* is a checkpoint or a stolen statement: it stands without its parents
and names the earlier events that remain; of several the one with the greatest (rotation, seq, id) counts.
Invariants: the events held depend on which were given and not on their order, as long as there are at most 8 branches;
every event but a base's named ones has its parent here; a head is counted only if it and all before it are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from protocol.errors import Reason
from protocol.ids import AuthorId, EventId
from protocol.ledger.values import NO_EVENT, Head
from protocol.limits import HEADS_MAX
from protocol.wire.events import BASES, OPENING, EventRecord


class Place(Enum):
    """Where an event belongs that is not refused."""

    LINKED = auto()
    """After its parent, which is here, or at the very beginning."""
    NAMED = auto()
    """The base keeps it."""
    BASE = auto()
    """It would be the new base, if its payload says what to keep."""
    WAITS = auto()
    """Its parent is not here."""


@dataclass(slots=True)  # state: changes in place
class Entry:
    """An event held. ``held``: its payload is here; ``named``: the base keeps it, and nothing may follow it."""

    event: EventRecord
    held: bool
    stored: bool
    named: bool = False
    counted: bool = False
    children: list[EventId] = field(default_factory=list)


class Chain:
    """All that is held of one author."""

    __slots__ = ("_leaves", "_openings", "_slots", "author", "base", "entries", "named", "tips")

    def __init__(self, author: AuthorId) -> None:
        self.author = author
        self.entries: dict[EventId, Entry] = {}
        self.base: EventRecord | None = None
        self.named: dict[EventId, None] = {}
        self.tips = 0
        self._leaves: dict[EventId, None] = {}  # counted, and nothing counted follows
        self._slots: dict[tuple[int, int], EventId] = {}
        self._openings: dict[EventId | None, EventId] = {}

    # --- where an event belongs -----------------------------------------------------------------------------------

    def place(self, event: EventRecord) -> Place | Reason:
        """Where ``event`` belongs, or why it is refused; nothing changes."""
        if event.id in self.entries:
            return Reason.DUPLICATE
        if event.id in self.named:
            return Place.NAMED
        base = self.base
        early = base is not None and (event.seq <= base.seq or event.rotation < base.rotation)
        if base is not None and early and (event.kind not in BASES or event.order <= base.order):
            return Reason.BEFORE_BASE
        if event.kind in BASES:
            return Place.BASE
        if event.prev is None:
            return self._opens(event)
        parent = self.entries.get(event.prev)
        if parent is None:
            return Place.WAITS
        if parent.named:
            return Reason.BEFORE_BASE
        if not follows(event, parent.event):
            return Reason.CHAIN_BROKEN
        return self._branch(bool(parent.children))

    def _opens(self, event: EventRecord) -> Place | Reason:
        if event.kind != OPENING and event.incarnation != 1:
            return Reason.CHAIN_BROKEN
        return self._branch(self.tips > 0)

    def _branch(self, new: bool) -> Place | Reason:
        return Reason.BRANCH_LIMIT if new and self.tips >= HEADS_MAX else Place.LINKED

    def rival(self, event: EventRecord) -> EventRecord | None:
        """An event held here that makes a fork of ``event``."""
        for found in (
            self._slots.get((event.incarnation, event.seq)),
            self._openings.get(event.prev) if event.kind == OPENING else None,
        ):
            if found is not None and found != event.id:
                return self.entries[found].event
        return None

    # --- what changes it ------------------------------------------------------------------------------------------

    def add(self, event: EventRecord, *, held: bool, stored: bool) -> None:
        """Take an event that :meth:`place` has found to be linked or named."""
        named = event.id in self.named
        self.entries[event.id] = Entry(event, held, stored, named)
        self._index(event)
        if not named:
            self._link(event)
        self._count(event.id)

    def adopt(self, event: EventRecord, keep: Iterable[EventId], *, stored: bool) -> list[Entry]:
        """Take a base and what it names; returns what is dropped, in ascending (seq, id)."""
        before = self.entries
        self.base = event
        self.named = {name: None for name in keep if name != event.id}
        self.entries = {event.id: Entry(event, held=True, stored=stored)}
        for name in self.named:
            if name in before:
                old = before[name]
                self.entries[name] = Entry(old.event, old.held, old.stored, named=True)
        after = sorted(before.values(), key=_by_seq)
        for entry in after:
            if entry.event.prev in self.entries and entry.event.id not in self.entries:
                parent = self.entries[entry.event.prev]
                if not parent.named and follows(entry.event, parent.event):
                    self.entries[entry.event.id] = Entry(entry.event, entry.held, entry.stored)
        self._rebuild()
        return [entry for entry in after if entry.event.id not in self.entries]

    def drop(self, ids: Iterable[EventId]) -> list[Entry]:
        """Forget events that could not be stored, and all that follow them; returns what went, parents first."""
        gone: dict[EventId, Entry] = {}
        pending = list(ids)
        while pending:
            entry = self.entries.pop(pending.pop(), None)
            if entry is not None:
                gone[entry.event.id] = entry
                pending += entry.children
        if self.base is not None and self.base.id in gone:
            gone |= self.entries  # without it nothing here has a place
            self.entries.clear()
            self.base, self.named = None, {}
        if gone:
            self._rebuild()
        return sorted(gone.values(), key=_by_seq)

    def stored(self, name: EventId) -> None:
        """The event is on the disk."""
        entry = self.entries.get(name)
        if entry is not None:
            entry.stored = True
            self._count(name)

    def _index(self, event: EventRecord) -> None:
        self._slots.setdefault((event.incarnation, event.seq), event.id)
        if event.kind == OPENING:
            self._openings.setdefault(event.prev, event.id)

    def _link(self, event: EventRecord) -> None:
        parent = None if event.prev is None else self.entries.get(event.prev)
        if parent is None or event is self.base:
            self.tips += 1
            return
        self.tips += bool(parent.children)
        parent.children.append(event.id)

    def _rebuild(self) -> None:
        self._slots, self._openings, self._leaves, self.tips = {}, {}, {}, 0
        ordered = sorted(self.entries.values(), key=_by_seq)
        for entry in ordered:
            entry.children.clear()
            entry.counted = False
        for entry in ordered:
            self._index(entry.event)
            if not entry.named:
                self._link(entry.event)
        for entry in ordered:
            self._count(entry.event.id)

    def _count(self, name: EventId) -> None:
        pending = [name]
        while pending:
            entry = self.entries[pending.pop()]
            if entry.named:
                if self.base is not None and entry.stored:
                    pending.append(self.base.id)
                entry.counted = entry.stored
                continue
            if entry.counted or not entry.stored or not self._rests(entry):
                continue
            entry.counted = True
            if entry.event.prev is not None:
                self._leaves.pop(entry.event.prev, None)
            self._leaves[entry.event.id] = None
            pending += entry.children

    def _rests(self, entry: Entry) -> bool:
        """Whether all that comes before it is on the disk."""
        if entry.event is self.base:
            return all((kept := self.entries.get(name)) is not None and kept.stored for name in self.named)
        if entry.event.prev is None:
            return True
        return self.entries[entry.event.prev].counted

    # --- what it shows --------------------------------------------------------------------------------------------

    def heads(self) -> tuple[Head, ...]:
        """The ends of all branches that are stored, but those that a later event of the author took in; ascending."""
        leaves = list(self._leaves)
        if len(leaves) > 1:
            cited = {cited for entry in self.entries.values() if entry.counted for cited in entry.event.heads}
            leaves = [leaf for leaf in leaves if leaf not in cited]
        return tuple(sorted(Head(self.author, self.entries[leaf].event.incarnation, leaf) for leaf in leaves))

    def frontier(self) -> tuple[Head, ...]:
        """What two hubs compare: the heads, or one mark in their place where no more branches are taken, because
        which eight were taken depends on who came first."""
        heads = self.heads()
        return (Head(self.author, 0, NO_EVENT),) if heads and self.tips >= HEADS_MAX else heads

    def whole(self) -> bool:
        """Whether everything that the base keeps is here."""
        return all(name in self.entries for name in self.named)

    def after(self, heads: Iterable[EventId]) -> list[EventRecord]:
        """What somebody lacks who holds ``heads`` and all before them: the base, what it keeps, the rest by seq."""
        known: dict[EventId, None] = {}
        for head in heads:
            name: EventId | None = head
            while name is not None and name not in known and (entry := self.entries.get(name)) is not None:
                known[name] = None
                name = None if entry.named or entry.event is self.base else entry.event.prev
        lacks_base = self.base is not None and self.base.id not in known
        ordered = [entry for entry in sorted(self.entries.values(), key=_by_seq) if entry.event.id not in known]
        first = [self.base] if self.base is not None and lacks_base else []
        kept = [entry.event for entry in ordered if entry.named and lacks_base]
        return first + kept + [e.event for e in ordered if not e.named and e.event is not self.base]

    def linked(self) -> Iterator[Entry]:
        """Every entry that is part of the chain itself."""
        return (entry for entry in self.entries.values() if not entry.named)


def follows(event: EventRecord, parent: EventRecord) -> bool:
    """Whether ``event`` may come right after ``parent``: one step on, in the same incarnation unless it opens one."""
    return (
        event.prev == parent.id
        and event.seq == parent.seq + 1
        and event.rotation >= parent.rotation
        and (
            event.incarnation > parent.incarnation if event.kind == OPENING else event.incarnation == parent.incarnation
        )
    )


def _by_seq(entry: Entry) -> tuple[int, EventId]:
    return (entry.event.seq, entry.event.id)
