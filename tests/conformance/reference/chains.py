"""Chains of events as a hub keeps them (docs/protocol.md, sections 12.2 to 12.4), in memory and without bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.conformance.reference.codec import Refused, decode
from tests.conformance.reference.events import OPENING, Event
from tests.conformance.reference.lasting import AuthorHeads
from tests.conformance.reference.mutations import NONE, Mutation, Mutations
from tests.conformance.reference.shape import binary, elements, listed

STOLEN: Final = 3
WITHDRAWAL: Final = 4
CHECKPOINT: Final = 5
BASES: Final = (STOLEN, CHECKPOINT)
BRANCHES_MAX: Final = 8
NAMED_MAX: Final = 448


@dataclass(slots=True)
class Kept:
    """An event whose signature was right, and its payload as (salt, content) if that is here."""

    name: bytes
    event: Event
    signed: bytes
    signature: bytes
    payload: tuple[bytes, bytes] | None
    source: int | None = None
    """The link by which it came."""
    offered: bool = False
    """Its author has offered it, and no tree has brought it so far."""

    @property
    def order(self) -> tuple[int, int, bytes]:
        """By which the greatest base is found (R87)."""
        return self.event.rotation, self.event.seq, self.name


class Chains:
    """Everybody's events."""

    def __init__(self, mutations: Mutations = NONE) -> None:
        self.mutations = mutations
        self.kept: dict[bytes, Kept] = {}
        self._bases: dict[bytes, bytes] = {}
        self._named: dict[bytes, None] = {}
        self._withdrawn: dict[bytes, None] = {}

    def of(self, author: bytes) -> list[Kept]:
        """All of one author's, parents before children."""
        own = [kept for kept in self.kept.values() if kept.event.author == author]
        return sorted(own, key=lambda kept: (kept.event.seq, kept.name))

    def heads(self, author: bytes) -> AuthorHeads:
        """What nothing follows and nothing later names (R83)."""
        own = self.of(author)
        passed = {kept.event.prev for kept in own} | {head for kept in own for head in kept.event.heads}
        found = [kept for kept in own if kept.name not in passed and kept.name not in self._named]
        return author, tuple(sorted((kept.event.incarnation, kept.name) for kept in found))

    def branches(self, author: bytes) -> int:
        """How many events of an author nothing follows, whether a later one names them or not (R84)."""
        own = self.of(author)
        passed = {kept.event.prev for kept in own}
        return sum(kept.name not in passed and kept.name not in self._named for kept in own)

    def authors(self) -> list[bytes]:
        """All of whom something is held."""
        return list(dict.fromkeys(kept.event.author for kept in self.kept.values()))

    def rival(self, new: Kept) -> Kept | None:
        """What is held and makes a fork of ``new`` (R85)."""
        return next((kept for kept in self.of(new.event.author) if conflict(kept, new)), None)

    def lacks_parent(self, new: Kept) -> bool:
        """Whether it has to wait (R82)."""
        prev = new.event.prev
        return not self._is_late(new) and new.event.kind not in BASES and prev is not None and prev not in self.kept

    def take(self, new: Kept) -> bool:
        """Give an event its place, if it has one."""
        if new.name in self.kept or self._is_late(new) or not self._has_place(new):
            return False
        if new.event.kind in BASES and new.name not in self._named:
            self._found(new)
        self.kept[new.name] = new
        self._withdraw(new)
        return True

    def fill(self, name: bytes, payload: tuple[bytes, bytes]) -> None:
        """The payload of an event that is held."""
        if name not in self._withdrawn:
            self.kept[name].payload = payload

    def after(self, author: bytes, heads: tuple[bytes, ...]) -> list[Kept]:
        """What somebody lacks who holds all up to ``heads``: the base, what it keeps, the others (R89)."""
        known: dict[bytes, None] = {}
        for name in heads:
            here: bytes | None = name
            while here is not None and here in self.kept and here not in known:
                known[here] = None
                here = None if here == self._bases.get(author) else self.kept[here].event.prev
        base = self._bases.get(author)
        lacking = [kept for kept in self.of(author) if kept.name not in known]
        if base in known:
            lacking = [kept for kept in lacking if kept.name not in self._named]
        lacking.sort(key=lambda kept: (kept.name != base, kept.name not in self._named))
        return lacking[::-1] if Mutation.CHILDREN_FIRST in self.mutations else lacking

    def _is_late(self, new: Kept) -> bool:
        """Whether a base has let it go (R87)."""
        base = self._bases.get(new.event.author)
        if base is None or new.name in self._named:
            return False
        held = self.kept[base]
        if new.event.kind in BASES:
            return new.order <= held.order
        return new.event.seq <= held.event.seq or new.event.rotation < held.event.rotation

    def _has_place(self, new: Kept) -> bool:
        if new.name in self._named:
            return True
        if new.event.kind in BASES:
            return _named_by(new) is not None
        if new.event.prev is None:
            good = new.event.kind == OPENING or new.event.incarnation == 1
        else:
            parent = self.kept.get(new.event.prev)
            good = parent is not None and parent.name not in self._named and follows(new.event, parent.event)
        good = good or Mutation.ANY_PARENT in self.mutations
        branches = 1 if Mutation.ONE_BRANCH in self.mutations else BRANCHES_MAX
        extends = new.event.prev is not None and all(
            kept.event.prev != new.event.prev for kept in self.of(new.event.author)
        )
        return good and (extends or self.branches(new.event.author) < branches)

    def _found(self, base: Kept) -> None:
        author = base.event.author
        named = dict.fromkeys(_named_by(base) or ())
        self._bases[author] = base.name
        self._named |= named
        if Mutation.BASE_DROPS_NOTHING in self.mutations:
            return
        stays = {base.name: None}
        for kept in self.of(author):
            if kept.name in named or (kept.event.prev in stays and kept.event.prev not in named):
                stays[kept.name] = None
        for kept in self.of(author):
            if kept.name not in stays:
                del self.kept[kept.name]

    def _withdraw(self, new: Kept) -> None:
        """R88, whichever came first."""
        if Mutation.WITHDRAWN_STAYS in self.mutations:
            return
        if new.event.kind == WITHDRAWAL and new.payload is not None:
            for name in _withdrawn_by(new.payload[1]):
                held = self.kept.get(name)
                if held is None or held.event.author == new.event.author:
                    self._withdrawn[name] = None
        for name in self._withdrawn:
            if name in self.kept and not STOLEN <= self.kept[name].event.kind <= OPENING:
                self.kept[name].payload = None


def conflict(one: Kept, other: Kept) -> bool:
    """Whether two events of one author are a fork (R85)."""
    same_place = (one.event.incarnation, one.event.seq) == (other.event.incarnation, other.event.seq)
    two_openings = one.event.kind == other.event.kind == OPENING and one.event.prev == other.event.prev
    return one.name != other.name and one.event.author == other.event.author and (same_place or two_openings)


def follows(event: Event, parent: Event) -> bool:
    """R81."""
    later = event.author == parent.author and event.seq == parent.seq + 1 and event.rotation >= parent.rotation
    if event.kind == OPENING:
        return later and event.incarnation > parent.incarnation
    return later and event.incarnation == parent.incarnation


def _named_by(base: Kept) -> list[bytes] | None:
    """What a base keeps; None if it does not say so as section 12.4 has it."""
    if base.payload is None or (base.event.kind == STOLEN and base.event.rotation == 0):
        return None
    try:
        keep, note = elements(decode(base.payload[1]), 2)
        names = binary(0, 32 * NAMED_MAX)(keep)
        binary(0, 1_024)(note)
    except Refused:
        return None
    found = [names[at : at + 32] for at in range(0, len(names), 32)]
    return found if len(names) % 32 == 0 and found == sorted(set(found)) else None


def _withdrawn_by(content: bytes) -> tuple[bytes, ...]:
    try:
        (names,) = elements(decode(content), 1)
        return listed(binary(32), 1, 16, distinct=True)(names)
    except Refused:
        return ()
