"""Who is within reach now, who was a moment ago, and since when: "we are 7 now, 5 are out of reach".

An author is *in reach* if this hub has a link with it, if a neighbor says so of an author that this hub has verified
before (else one liar could invent a crowd), or if its newest vector is younger
than two and a half of its own cadences plus half a second: authors send at a fixed cadence whether they feel
anything or not, so silence means distance and nothing else. Nobody is ever dead here; whoever is out of reach is
remembered for an hour.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from protocol.clock import MINUTE, MS, Duration, Instant
from protocol.ids import AuthorId
from protocol.limits import AUTHORS_MAX

REMEMBER_US: Final = 60 * MINUTE
GRACE_US: Final = 500 * MS


def silence_limit_us(cadence_ms: int) -> Duration:
    """How long an author of this cadence may be unheard before it counts as out of reach."""
    return cadence_ms * MS * 5 // 2 + GRACE_US


@dataclass(slots=True)  # state: changes in place
class Known:
    """What is remembered of one author: when it was last known to be within reach, when its silence is over, and
    when its newest vector was made."""

    last_in_reach: Instant
    fresh_until: Instant = 0
    made_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Presence:
    """``out`` maps authors out of reach to the instant at which they were last known within reach."""

    inside: tuple[AuthorId, ...]
    out: tuple[tuple[AuthorId, Instant], ...]


@dataclass(slots=True)  # state: changes in place
class Roll:
    """The register behind :class:`Presence`; bounded by ``AUTHORS_MAX``, longest unheard forgotten first."""

    known: dict[AuthorId, Known] = field(default_factory=dict)

    def heard(self, author: AuthorId, made_at: Instant, cadence_ms: int, now: Instant) -> None:
        """A verified vector of ``author``, made at ``made_at`` by our clock, is held."""
        entry = self.known.get(author)
        if entry is None:
            entry = self._entry(author, now)
        until = made_at + cadence_ms * 2_500 + GRACE_US  # silence_limit_us, spelt out: this is the receive path
        if until > entry.fresh_until:
            entry.fresh_until = until
            entry.made_at = made_at

    def _entry(self, author: AuthorId, now: Instant) -> Known:
        entry = self.known.get(author)
        if entry is None:
            if len(self.known) >= AUTHORS_MAX:
                oldest = min(self.known, key=lambda a: (self.known[a].last_in_reach, a))
                del self.known[oldest]
            entry = self.known[author] = Known(now)
        return entry

    def look(self, linked: Iterable[AuthorId], announced: Iterable[AuthorId], now: Instant) -> Presence:
        """Who is where now; ``linked`` have a link with us, ``announced`` with a neighbor of ours."""
        near = set(linked)
        for author in sorted(near):
            self._entry(author, now).last_in_reach = now
        near.update(author for author in announced if author in self.known)
        inside, out = [], []
        for author in sorted(self.known):
            entry = self.known[author]
            if author in near or now < entry.fresh_until:
                entry.last_in_reach = now
                inside.append(author)
            elif now - entry.last_in_reach > REMEMBER_US:
                del self.known[author]
            else:
                out.append((author, entry.last_in_reach))
        return Presence(tuple(inside), tuple(out))
