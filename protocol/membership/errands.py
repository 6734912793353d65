"""What this hub looks up for its neighbors: PING_REQs that wait for a sign of life or for another hub's answer.

Source: the ping-req of SWIM (Das, Gupta, Motivala, DSN 2002) with the nack of Lifeguard. Deviations: any frame from the
target is an answer, because links are ordered; a request may be passed on once, because in an overlay two neighbors of
one hub are seldom neighbors of each other.
Invariants: every errand ends, at its due time with a NACK if not before; a link has at most ``per_second`` of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.clock import SECOND, Instant
from protocol.ids import LinkId
from protocol.wire.messages import Message
from protocol.wire.probing import U32_MAX, Nack, ProbeAck


@dataclass(frozen=True, slots=True)
class _Errand:
    """``token`` is the asker's; ``tested`` if ``via`` is the target itself and not somebody who was asked."""

    asker: LinkId
    token: int
    via: LinkId
    tested: bool
    due: Instant


class Errands:
    """Open errands, each under a token of our own."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._open: dict[int, _Errand] = {}
        self._served: dict[LinkId, tuple[Instant, int]] = {}
        self._token = 0

    def next_token(self) -> int:
        """A number that no open errand has."""
        self._token = (self._token + 1) & U32_MAX
        return self._token

    def admits(self, asker: LinkId, now: Instant) -> bool:
        """Whether this link may ask once more within this second; counts it."""
        since, count = self._served.get(asker, (now, 0))
        if now - since >= SECOND:
            since, count = now, 0
        self._served[asker] = (since, count + 1)
        return count < self._per_second

    def add(self, asker: LinkId, token: int, via: LinkId, due: Instant, *, tested: bool) -> int:
        """Remember whom to answer; returns our own token."""
        own = self.next_token()
        self._open[own] = _Errand(asker, token, via, tested, due)
        return own

    def heard(self, via: LinkId) -> list[tuple[LinkId, Message]]:
        """The target itself has spoken."""
        told: list[tuple[LinkId, Message]] = []
        for own, errand in list(self._open.items()):
            if errand.via == via and errand.tested:
                del self._open[own]
                told.append((errand.asker, ProbeAck(errand.token)))
        return told

    def answered(self, via: LinkId, answer: ProbeAck | Nack) -> list[tuple[LinkId, Message]]:
        """Somebody whom we asked for somebody else has answered."""
        errand = self._open.get(answer.token)
        if errand is None or errand.tested or errand.via != via:
            return []
        del self._open[answer.token]
        passed = ProbeAck(errand.token) if type(answer) is ProbeAck else Nack(errand.token, answer.tested)  # type: ignore[union-attr]
        return [(errand.asker, passed)]

    def expired(self, now: Instant, *, late: bool) -> list[tuple[LinkId, Message]]:
        """NACKs that are due; if we were ``late`` ourselves we have tested nothing."""
        told: list[tuple[LinkId, Message]] = []
        for own, errand in list(self._open.items()):
            if now >= errand.due:
                del self._open[own]
                told.append((errand.asker, Nack(errand.token, errand.tested and not late)))
        return told

    def next_due(self) -> Instant | None:
        """When the first NACK falls due."""
        return min((errand.due for errand in self._open.values()), default=None)

    def link_down(self, link: LinkId) -> None:
        """Whoever asked over it needs no answer; what was asked over it ends at its due time."""
        self._served.pop(link, None)
        for own in [own for own, errand in self._open.items() if errand.asker == link]:
            del self._open[own]
