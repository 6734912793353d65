"""What each author may take here: events, bytes of payload, and how fast (security research, T20, T21).

A valid signature is no reason to store: an author of whom nothing else is known shares one small space with all such
authors, so that a hundred thousand of them cannot drown those who are in the mesh. Rates are token buckets that hold
a whole chain, because a heal brings at once what was missed in a month.
Invariant: what is refused changes nothing, and no author's refusal is another's, but within one standing's total.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from protocol.clock import MINUTE, Instant
from protocol.errors import Reason
from protocol.ids import AuthorId
from protocol.ledger.values import Quota, Standing, StandingOf

IDLE_MAX: Final = 2_048
"""Authors of whom nothing is held and whose rate is remembered all the same."""


@dataclass(slots=True)  # state: changes in place
class _Tally:
    standing: Standing
    tokens: int  # millionths of an event
    at: Instant
    events: int = 0
    bytes: int = 0


class Quotas:
    """Counts what is held by author and standing; an author's standing may change at any time."""

    def __init__(self, quotas: Mapping[Standing, Quota], standing: StandingOf) -> None:
        self._quotas = quotas
        self._standing = standing
        self._tallies: dict[AuthorId, _Tally] = {}
        self._idle: dict[AuthorId, None] = {}
        self._events = dict.fromkeys(Standing, 0)
        self._bytes = dict.fromkeys(Standing, 0)

    @property
    def bytes(self) -> int:
        """Bytes of payload held, of everybody."""
        return sum(self._bytes.values())

    def __len__(self) -> int:
        return len(self._tallies)

    def admit(self, author: AuthorId, now: Instant, *, control: bool = False) -> Reason | None:
        """Count one more event of ``author``, or say why it is refused; ``control``: about its chain itself."""
        refused = self.full(author, now, control=control)
        tally = self._tally(author, now)
        if refused is None and tally.tokens < MINUTE:
            refused = Reason.QUOTA_RATE
        if refused is not None:
            return refused
        tally.tokens -= MINUTE
        self.count(author, 1, now)
        return None

    def full(self, author: AuthorId, now: Instant, *, control: bool = False) -> Reason | None:
        """Why no event of ``author`` would be taken, however slowly it came.

        Words of one author may have no more than an eighth of what is left to all of its standing (dynamic thresholds,
        Choudhury and Hahne 1998), so that a few who take all they can are slowed down long before others get nothing;
        and the last eighth is for what takes words back.
        """
        tally = self._tally(author, now)
        quota = self._quotas[tally.standing]
        left = quota.events_all - self._events[tally.standing]
        share = left if control else (left - quota.events_all // 8) // 8
        full = left <= 0 or tally.events >= quota.events or (not control and tally.events >= share)
        return Reason.QUOTA_EVENTS if full else None

    def count(self, author: AuthorId, events: int, now: Instant) -> None:
        """So many events more, or fewer, whatever the quota says."""
        tally = self._tally(author, now)
        tally.events += events
        self._events[tally.standing] += events
        self._tidy(author, tally)

    def has_room(self, author: AuthorId, size: int, now: Instant) -> bool:
        """Whether a payload of ``size`` bytes may be held."""
        tally = self._tally(author, now)
        quota = self._quotas[tally.standing]
        return tally.bytes + size <= quota.bytes and self._bytes[tally.standing] + size <= quota.bytes_all

    def hold(self, author: AuthorId, size: int, now: Instant) -> None:
        """So many bytes of payload more, or fewer."""
        tally = self._tally(author, now)
        tally.bytes += size
        self._bytes[tally.standing] += size
        self._tidy(author, tally)

    def _tally(self, author: AuthorId, now: Instant) -> _Tally:
        standing = self._standing(author)
        quota = self._quotas[standing]
        tally = self._tallies.get(author)
        if tally is None:
            tally = self._tallies[author] = _Tally(standing, quota.burst * MINUTE, now)
            self._tidy(author, tally)
        elif tally.standing is not standing:
            self._events[tally.standing] -= tally.events
            self._bytes[tally.standing] -= tally.bytes
            self._events[standing] += tally.events
            self._bytes[standing] += tally.bytes
            more = quota.burst - self._quotas[tally.standing].burst
            tally.tokens = max(0, tally.tokens + more * MINUTE)  # who is known from now on has missed as much as others
            tally.standing = standing
        tally.tokens = min(quota.burst * MINUTE, tally.tokens + (now - tally.at) * quota.per_minute)
        tally.at = now
        return tally

    def _tidy(self, author: AuthorId, tally: _Tally) -> None:
        if tally.events or tally.bytes:
            self._idle.pop(author, None)
        elif author not in self._idle:
            self._idle[author] = None
            if len(self._idle) > IDLE_MAX:
                oldest = next(iter(self._idle))
                del self._idle[oldest], self._tallies[oldest]
