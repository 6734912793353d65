"""Messages that neighbors announced and that have not come: whom to ask for each, and when.

Source: the Missing set and timers of Plumtree (Leitao, Pereira, Rodrigues 2007, section 3.7, Algorithm 2).
Deviations: a neighbor that was asked and did not deliver is asked last from then on, so that an empty promise costs
its time-out once; what one neighbor may have waiting is bounded; all that is due from one neighbor is asked for in
one message.
Invariants: at most ``per_peer_max`` announcements of one neighbor; every entry ends after as many time-outs as it
has announcers.
"""

from __future__ import annotations

import heapq

from protocol.clock import Duration, Instant
from protocol.ids import AuthorId

_BROKEN_MAX = 8


class _Want:
    __slots__ = ("asked", "offers")

    def __init__(self) -> None:
        self.offers: dict[AuthorId, int] = {}  # the hops that each announcer said, in order of announcement
        self.asked: AuthorId | None = None


class Missing:
    """Keyed by the end of an id. ``first_us`` from announcement to question, ``next_us`` from one to the next.

    ``wants`` is to be read, and not changed, by whoever asks for every message whether it is missing.
    """

    __slots__ = ("_broken", "_counts", "_due", "_first_us", "_next_us", "_per_peer_max", "wants")

    def __init__(self, first_us: Duration, next_us: Duration, per_peer_max: int) -> None:
        self._first_us = first_us
        self._next_us = next_us
        self._per_peer_max = per_peer_max
        self.wants: dict[bytes, _Want] = {}
        self._due: list[tuple[Instant, bytes]] = []
        self._counts: dict[AuthorId, int] = {}
        self._broken: dict[AuthorId, int] = {}

    def __len__(self) -> int:
        return len(self.wants)

    def offers(self, peer: AuthorId) -> int:
        """How many announcements of ``peer`` wait."""
        return self._counts.get(peer, 0)

    def announced(self, tag: bytes, peer: AuthorId, hops: int, now: Instant) -> bool:
        """``peer`` holds a message that is not here; False if too many of its announcements wait already."""
        want = self.wants.get(tag)
        if want is not None and (peer in want.offers or peer == want.asked):
            return True
        count = self._counts.get(peer, 0)
        if count >= self._per_peer_max:
            return False
        if want is None:
            want = self.wants[tag] = _Want()
            heapq.heappush(self._due, (now + self._first_us, tag))
        want.offers[peer] = hops
        self._counts[peer] = count + 1
        return True

    def arrived(self, tag: bytes, source: AuthorId) -> dict[AuthorId, int] | None:
        """The message came: nobody is asked for it any more. Returns who else holds it, and with how many hops."""
        want = self.wants.pop(tag, None)
        if want is None:
            return None
        for peer in want.offers:
            self._counts[peer] -= 1
        if want.asked == source:
            self._broken.pop(source, None)
        return want.offers

    def due_at(self) -> Instant | None:
        """When somebody must be asked; None if nothing is missing."""
        while self._due and self._due[0][1] not in self.wants:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def ask(self, now: Instant) -> dict[AuthorId, list[bytes]]:
        """Whom to ask for what, now."""
        questions: dict[AuthorId, list[bytes]] = {}
        while (at := self.due_at()) is not None and at <= now:
            _, tag = heapq.heappop(self._due)
            want = self.wants[tag]
            if want.asked is not None:
                self._broken[want.asked] = min(_BROKEN_MAX, self._broken.get(want.asked, 0) + 1)
            if not want.offers:
                del self.wants[tag]
                continue
            peer = min(want.offers, key=lambda offering: self._broken.get(offering, 0))  # the first of equals
            del want.offers[peer]
            self._counts[peer] -= 1
            want.asked = peer
            questions.setdefault(peer, []).append(tag)
            heapq.heappush(self._due, (now + self._next_us, tag))
        return questions

    def neighbor_down(self, peer: AuthorId, now: Instant) -> None:
        """Nobody that is gone is asked, and the next is asked at once for what it had been asked for."""
        self._broken.pop(peer, None)
        self._counts.pop(peer, None)
        for tag, want in self.wants.items():
            want.offers.pop(peer, None)
            if want.asked == peer:
                want.asked = None
                heapq.heappush(self._due, (now, tag))
