"""Two people who stand together make sure that each speaks of the other's hub: both see a short code, and compare.

Source: short authentication strings (Vaudenay, CRYPTO 2005; ZRTP, RFC 6189, section 4.4.1.1). Each side first binds
itself to a random number and shows it only to whoever has done the same; the code comes of both numbers and both
author ids. Whoever stands between has to bind itself before it knows either code, so two codes of six digits agree once
in a million attempts, and each attempt needs two people to compare. Deviation: both sides bind themselves, so it does
not matter who begins.
A card carries a secret besides the author id. Whoever has read it draws its number from that secret, so its first
message says that it stood here: the hub that shows the card need not be told whom to expect, and the reader, who has
the author id from the other's own screen, need not compare anything. Who shows the card still does, since somebody
else may have seen it too; the first reader uses it up.
Invariants: one meeting, or card, at a time; the number is shown only after the other's commitment; both have met only
if both people said so; what peers begin is one commitment a peer, forgotten with its link.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from protocol.clock import MINUTE, Duration, Instant
from protocol.crypto import digest
from protocol.effects import MeetingAsked, MeetingCode, MeetingEnded
from protocol.errors import Reason, RemoteProtocolError
from protocol.ids import AuthorId
from protocol.wire.meeting import Meet, MeetConfirm, MeetingMessage, MeetReveal

DIGITS: Final = 6
CARD_BYTES: Final = 16
"""The secret of a card: nobody guesses it in the two minutes that it is shown."""
PATIENCE_US: Final[Duration] = 2 * MINUTE
"""How long a meeting, or the wish for one, lasts."""
WISHES_MAX: Final = 32
"""Peers that wait for our person; as many as there can be links."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Send this to ``peer``."""

    peer: AuthorId
    message: MeetingMessage


MeetingEffect: TypeAlias = Tell | MeetingAsked | MeetingCode | MeetingEnded


@dataclass(slots=True)  # state: changes in place
class _Meeting:
    peer: AuthorId
    nonce: bytes
    until: Instant
    commitment: bytes | None = None
    code: str = ""
    ours: bool = False
    theirs: bool = False


@dataclass(frozen=True, slots=True)
class _Card:
    secret: bytes
    nonce: bytes
    until: Instant


class Meetings:
    """Every ``now`` is the hub's boot time; ``nonce`` are 32 fresh random bytes."""

    def __init__(self, own: AuthorId) -> None:
        self._own = own
        self._meeting: _Meeting | None = None
        self._card: _Card | None = None
        self._wishes: dict[AuthorId, tuple[bytes | None, Instant]] = {}

    # --- our person -------------------------------------------------------------------------------------------------

    def begin(self, peer: AuthorId, nonce: bytes, now: Instant) -> list[MeetingEffect]:
        """Our person wants to meet that of ``peer``, a neighbor; an older meeting ends, without a word if it was with
        the same hub. Who has read the card of ``peer`` takes :func:`card_nonce` as its number."""
        if self._meeting is not None and self._meeting.peer == peer:
            self._meeting = None
        self._card = None
        effects = self._end("another meeting was begun")
        self._meeting = _Meeting(peer, nonce, now + PATIENCE_US)
        effects.append(Tell(peer, Meet(commitment(nonce, self._own, peer))))
        wish = self._wishes.pop(peer, None)
        if wish is not None and wish[0] is not None and now < wish[1]:
            effects += self._committed(self._meeting, wish[0])
        return effects

    def show(self, secret: bytes, nonce: bytes, now: Instant) -> list[MeetingEffect]:
        """Our person shows a card with ``secret`` to somebody: meet whoever has read it; an older meeting ends."""
        self._card = _Card(secret, nonce, now + PATIENCE_US)
        return self._end("another meeting was begun")

    def confirm(self, peer: AuthorId, *, same: bool) -> list[MeetingEffect]:
        """Our person has compared the codes. Nothing happens where there is no code to compare."""
        meeting = self._meeting
        if meeting is None or meeting.peer != peer or not meeting.code or meeting.ours:
            return []
        effects: list[MeetingEffect] = [Tell(peer, MeetConfirm(same))]
        if not same:
            return effects + self._end("the codes are not the same: somebody may stand between you")
        meeting.ours = True
        return effects + self._both(meeting)

    # --- the other hub ----------------------------------------------------------------------------------------------

    def receive(self, peer: AuthorId, message: MeetingMessage, now: Instant) -> list[MeetingEffect]:
        """A message of a peer's.

        Raises:
            RemoteProtocolError: it shows a number that it had not bound itself to.
        """
        meeting = self._meeting if self._meeting is not None and self._meeting.peer == peer else None
        match message:
            case Meet(bound):
                return self._met_with(meeting, peer, bound, now)
            case MeetReveal(nonce):
                if meeting is None and peer in self._wishes:  # spent on a number of ours that is no longer in use
                    self._wishes[peer] = (None, self._wishes[peer][1])
                return [] if meeting is None else self._revealed(meeting, nonce)
            case MeetConfirm(same):
                if meeting is None or not meeting.code:
                    return []
                if not same:
                    return self._end("there the codes were not the same: somebody may stand between you")
                meeting.theirs = True
                return self._both(meeting)
            case _:
                assert_never(message)

    def _met_with(self, meeting: _Meeting | None, peer: AuthorId, bound: bytes, now: Instant) -> list[MeetingEffect]:
        if meeting is not None and meeting.commitment is None:
            return self._committed(meeting, bound)
        effects = [] if meeting is None else self._end("the other hub has begun anew")
        card = self._card
        if card is not None and now < card.until and self._has_read(card, peer, bound):
            self._wishes[peer] = (bound, card.until)
            return effects + self.begin(peer, card.nonce, now)
        known = peer in self._wishes
        if not known and len(self._wishes) >= WISHES_MAX:
            return effects
        self._wishes[peer] = (bound, now + PATIENCE_US)
        return effects if known else [*effects, MeetingAsked(peer)]

    def _has_read(self, card: _Card, peer: AuthorId, bound: bytes) -> bool:
        return bound == commitment(card_nonce(card.secret, peer, self._own), peer, self._own)

    def _committed(self, meeting: _Meeting, bound: bytes) -> list[MeetingEffect]:
        meeting.commitment = bound
        return [Tell(meeting.peer, MeetReveal(meeting.nonce))]

    def _revealed(self, meeting: _Meeting, nonce: bytes) -> list[MeetingEffect]:
        if meeting.commitment is None or meeting.code:
            return []
        if commitment(nonce, meeting.peer, self._own) != meeting.commitment:
            raise RemoteProtocolError(Reason.MEETING_FORGED, "not the number that it was bound to")
        meeting.code = short_code((self._own, meeting.nonce), (meeting.peer, nonce))
        return [MeetingCode(meeting.peer, meeting.code)]

    # --- time -------------------------------------------------------------------------------------------------------

    def link_down(self, peer: AuthorId) -> list[MeetingEffect]:
        """The link with ``peer`` is gone."""
        self._wishes.pop(peer, None)
        if self._meeting is None or self._meeting.peer != peer:
            return []
        return self._end("there is no link with that hub now")

    def tick(self, now: Instant) -> list[MeetingEffect]:
        """Now and then: what nobody has answered is over."""
        for peer in [peer for peer, (_, until) in self._wishes.items() if now >= until]:
            del self._wishes[peer]
        if self._card is not None and now >= self._card.until:
            self._card = None
        if self._meeting is None or now < self._meeting.until:
            return []
        return self._end("nobody has answered" if not self._meeting.code else "not both have compared the codes")

    def wishes(self, now: Instant) -> list[AuthorId]:
        """Whose person waits for ours."""
        return [peer for peer, (_, until) in self._wishes.items() if now < until]

    @property
    def idle(self) -> bool:
        """Whether there is nothing for :meth:`tick`."""
        return self._meeting is None and self._card is None and not self._wishes

    def _both(self, meeting: _Meeting) -> list[MeetingEffect]:
        if not (meeting.ours and meeting.theirs):
            return []
        self._meeting = None
        return [MeetingEnded(meeting.peer, met=True, why="")]

    def _end(self, why: str) -> list[MeetingEffect]:
        meeting, self._meeting = self._meeting, None
        return [] if meeting is None else [MeetingEnded(meeting.peer, met=False, why=why)]


def commitment(nonce: bytes, author: AuthorId, peer: AuthorId) -> bytes:
    """What binds ``author`` to a number towards ``peer``; turned around it is another, so it cannot be sent back."""
    return digest(nonce + author + peer, person=b"trio-mesh meet")


def card_nonce(secret: bytes, reader: AuthorId, shower: AuthorId) -> bytes:
    """The number of ``reader``, who has read this secret on a card of ``shower``."""
    return digest(secret + reader + shower, person=b"trio-mesh card")


def short_code(one: tuple[AuthorId, bytes], other: tuple[AuthorId, bytes]) -> str:
    """The code of a meeting, the same from both sides: six digits."""
    (low, low_nonce), (high, high_nonce) = sorted((one, other))
    drawn = int.from_bytes(digest(low + high + low_nonce + high_nonce, person=b"trio-mesh code"), "big")
    return f"{drawn % 10**DIGITS:0{DIGITS}}"
