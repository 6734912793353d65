"""What all sides saw of a glitch, merged into one record that is the same on every hub that holds the same.

Source: ours; that what is derived from a set needs no agreement is the idea of CRDTs (Shapiro et al. 2011). An
observation belongs to a record if it is *alike* one that does: their sides agree, or are each other's, by more than
half (Jaccard), and they overlap in time; without two dates, if one names the other. A record is what hangs together by
that; it keeps what its observers disagree on.
Invariants: records follow from the set of observations alone, not from the order in which they came; at most
``OF_ONE_MAX`` observations of one author and ``held_max`` of all, whose most talkative author gives way first, each
time with its oldest by (date, id); the id of a record is the hash of the ids of its observations.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from protocol.clock import Instant
from protocol.crypto import digest
from protocol.glitch.values import How
from protocol.ids import AuthorId, EventId
from protocol.wire.observations import Observation

SLACK_MS: Final = 5_000
"""Two hubs that were cut off together may notice as far apart, and their dates be wrong by a second each."""
OF_ONE_MAX: Final = 24
"""Observations of one author: as many as a hub writes on the worst day (``daily_max``). Without it one author could
crowd out what everybody else has seen."""
MEMBERS_MAX: Final = 64
"""Observations shown of one record; beyond it more of them say nothing new."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One hub's observation. ``event`` is the durable event that carries it."""

    event: EventId
    author: AuthorId
    what: Observation


@dataclass(frozen=True, slots=True)
class Record:
    """One glitch. ``began_ms`` (UTC, 0: nobody knew the date) and ``lasted_ms`` are medians; what each of ``seen`` says
    may differ. ``sizes`` are of the two sides, the larger first; ``disputed`` counts those who saw other sides."""

    id: bytes
    began_ms: int
    began_spread_ms: int
    lasted_ms: int
    lasted_spread_ms: int
    sizes: tuple[int, int]
    sides: tuple[tuple[bytes, ...], tuple[bytes, ...]]
    disputed: int
    how: tuple[tuple[How, int], ...]
    seen: tuple[Seen, ...]


class Timeline:
    """``add`` and ``forget`` observations; ``records`` are made when asked for."""

    def __init__(self, held_max: int) -> None:
        self._held_max = held_max
        self._held: dict[EventId, Seen] = {}
        self._learnt: dict[EventId, Instant] = {}
        self._of: dict[AuthorId, dict[EventId, None]] = {}
        self._alike: dict[EventId, dict[EventId, None]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, event: object) -> bool:
        return event in self._held

    def add(self, seen: Seen, now: Instant) -> Seen | None:
        """An observation whose event is verified and on the disk; says what gave way to it, which may be itself."""
        if seen.event in self._held:
            return None
        self._alike[seen.event] = {}
        for event, other in self._held.items():
            if _is_one(seen, other):
                self._alike[seen.event][event] = None
                self._alike[event][seen.event] = None
        self._held[seen.event] = seen
        self._learnt[seen.event] = now
        self._of.setdefault(seen.author, {})[seen.event] = None
        if len(self._of[seen.author]) > OF_ONE_MAX:
            return self._displace(seen.author)
        if len(self._held) > self._held_max:
            return self._displace(max(self._of, key=lambda author: (len(self._of[author]), author)))
        return None

    def _displace(self, author: AuthorId) -> Seen:
        oldest = min((self._held[event] for event in self._of[author]), key=lambda one: (one.what.began_ms, one.event))
        self.forget(oldest.event)
        return oldest

    def forget(self, event: EventId) -> None:
        """It was withdrawn, has expired, or there is no room."""
        seen = self._held.pop(event, None)
        if seen is None:
            return
        del self._learnt[event]
        del self._of[seen.author][event]
        if not self._of[seen.author]:
            del self._of[seen.author]
        for other in self._alike.pop(event):
            del self._alike[other][event]

    def forget_before(self, learnt_at: Instant) -> None:
        """Forget what was learnt before: observations without a date would never end."""
        for event in [event for event, at in self._learnt.items() if at < learnt_at]:
            self.forget(event)

    def like(self, mine: tuple[bytes, ...], theirs: tuple[bytes, ...], since: Instant) -> tuple[list[Seen], list[Seen]]:
        """What was seen of these sides, learnt from ``since`` on: by this one, and by the other; one of each author."""
        recent = [self._held[event] for event, at in self._learnt.items() if at >= since]
        same = {one.author: one for one in recent if _agree(one.what.mine, mine) and _agree(one.what.theirs, theirs)}
        other = {one.author: one for one in recent if _agree(one.what.mine, theirs) and _agree(one.what.theirs, mine)}
        return list(same.values()), list(other.values())

    def records(self) -> tuple[Record, ...]:
        """All records, the latest last."""
        left = dict.fromkeys(sorted(self._held))
        records = []
        while left:
            first = next(iter(left))
            found = {first: None}
            walk = [first]
            while walk:
                for event in self._alike[walk.pop()]:
                    if event not in found:
                        found[event] = None
                        walk.append(event)
            for event in found:
                del left[event]
            records.append(_record([self._held[event] for event in sorted(found)]))
        return tuple(sorted(records, key=lambda one: (one.began_ms, one.id)))


def _is_one(one: Seen, other: Seen) -> bool:
    a, b = one.what, other.what
    straight = _agree(a.mine, b.mine) and _agree(a.theirs, b.theirs)
    crossed = _agree(a.mine, b.theirs) and _agree(a.theirs, b.mine)
    if not straight and not crossed:
        return False
    if a.began_ms and b.began_ms:
        return a.began_ms <= b.began_ms + b.lasted_ms + SLACK_MS and b.began_ms <= a.began_ms + a.lasted_ms + SLACK_MS
    return one.event in b.same or other.event in a.same


def _agree(left: tuple[bytes, ...], right: tuple[bytes, ...]) -> bool:
    """Whether more than half of those whom either names are named by both."""
    both = len(set(left) & set(right))
    return 2 * both > len(left) + len(right) - both


def _record(seen: list[Seen]) -> Record:
    """``seen`` in ascending order of their events."""
    name = digest(b"".join(one.event for one in seen), size=16, person=b"trio-glitch")
    model = _model(seen)
    left, right = sorted(
        ((model.mine_count, model.mine), (model.theirs_count, model.theirs)), key=lambda side: (-side[0], side[1])
    )
    began = [one.what.began_ms for one in seen if one.what.began_ms]
    lasted = [one.what.lasted_ms for one in seen]
    hows = [How(one.what.how) for one in seen]
    sides = {left[1], right[1]}
    return Record(
        name,
        _middle(began),
        max(began) - min(began) if began else 0,
        _middle(lasted),
        max(lasted) - min(lasted),
        (left[0], right[0]),
        (left[1], right[1]),
        sum({one.what.mine, one.what.theirs} != sides for one in seen),
        tuple((how, hows.count(how)) for how in How if how in hows),
        tuple(seen[:MEMBERS_MAX]),
    )


def _model(seen: list[Seen]) -> Observation:
    """The sides that most saw; of several such the smallest."""
    votes: dict[tuple[tuple[bytes, ...], tuple[bytes, ...]], int] = {}
    for one in seen:
        sides = min((one.what.mine, one.what.theirs), (one.what.theirs, one.what.mine))
        votes[sides] = votes.get(sides, 0) + 1
    best = min(votes, key=lambda sides: (-votes[sides], sides))
    return next(
        one.what for one in seen if best in ((one.what.mine, one.what.theirs), (one.what.theirs, one.what.mine))
    )


def _middle(values: Iterable[int]) -> int:
    """The lower median; 0 of nothing."""
    listed = sorted(values)
    return listed[(len(listed) - 1) // 2] if listed else 0
