"""What reconciliation is told and says: configuration and effects, in terms of author ids."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias, final

from protocol.clock import MINUTE, MS, SECOND, Duration
from protocol.effects import SetTimer
from protocol.errors import Reason
from protocol.ids import AuthorId
from protocol.inputs import TimerKey
from protocol.wire.reconciling import FINGERPRINT_BYTES, SYMBOL_BYTES, Entry, ReconcileMessage

TIMER: Final[TimerKey] = ("reconcile",)
"""The one key of :class:`SetTimer`."""
SYMBOLS_FIRST: Final = 24
"""Ten differences come out of so many in 99 of 100 sessions."""
SYMBOLS_LATER: Final = 8
SYMBOLS_LIMIT: Final = 4_096
"""More than about 3,000 differences are paged."""


def symbols_limit(heads: int) -> int:
    """How many symbols of a frontier of ``heads`` entries are worth sending: what a quarter of them needs (R94)."""
    return max(SYMBOLS_FIRST + SYMBOLS_LATER, min(3 * heads // 8, SYMBOLS_LIMIT))


def fits_a_page(heads: int) -> bool:
    """Whether all fingerprints are smaller than the first symbols: then they are sent instead."""
    return heads * FINGERPRINT_BYTES <= SYMBOLS_FIRST * SYMBOL_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileConfig:
    """Times in microseconds.

    Attributes:
        every_us: between two sessions with a neighbor at random, +-20 % (1..600 s; design decision 19).
        answer_us: an answer is awaited for so long (0.5..30 s; a guess, a link that is silent for longer is closed);
            to the question that opens a session, silence means that nothing differs.
        session_us: a session has an end by then, whatever is said in it (5..120 s; guess, thirty slow round trips).
        rounds_max: messages of the other side in one session (8..64; research T22: 32).
        differ_max: entries that one session gives and asks for (64..4,096); what is left is for the next one.
        openings_max: sessions begun by us at a time (1..32); after a heal the other neighbors wait for their turn.
        rest_us, rest_entry_us: between two sessions of one peer's that are answered, whichever is longer: the second is
            for each of our entries (0..1 ms), so that one link makes us spend at most about a fiftieth of a core.
        strike_us_max: a peer with whom sessions come to nothing is not asked for up to so long (10..3,600 s; guess).
        strikes_max: peers that are remembered for that (16..4,096).
    """

    every_us: Duration = 10 * SECOND
    answer_us: Duration = 3 * SECOND
    session_us: Duration = 10 * SECOND
    rounds_max: int = 32
    differ_max: int = 1_024
    openings_max: int = 2
    rest_us: Duration = SECOND
    rest_entry_us: Duration = MS // 2
    strike_us_max: Duration = 5 * MINUTE
    strikes_max: int = 256


class Outcome(StrEnum):
    """How a session that we began has ended."""

    EQUAL = "equal"
    FOUND = "found"
    GIVEN_UP = "given up"


@final
@dataclass(slots=True)  # not frozen: a hot one
class Tell:
    """Send ``message`` on the link with ``peer``; consent and revocations of others go before it, vectors after."""

    peer: AuthorId
    message: ReconcileMessage


@dataclass(frozen=True, slots=True)
class Learned:
    """``peer`` says that it holds these, which are not among our entries, the most urgent first. Nothing of it is
    proven: a head may be of long ago, or of nobody."""

    peer: AuthorId
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """A session that we began is over; equal frontiers say nothing about payloads, so now is the time to ask
    ``peer`` for those that are missing."""

    peer: AuthorId
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Fault:
    """Something of ``peer``'s was refused, or a session with it came to nothing, and why."""

    peer: AuthorId
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ReconcileStatistics:
    """``opened`` and ``answered`` sessions are under way; ``resting`` peers are not asked for now; ``remembered`` are
    all about whom something is kept."""

    entries: int
    opened: int
    answered: int
    resting: int
    remembered: int


ReconcileEffect: TypeAlias = Tell | Learned | Ended | Fault | SetTimer
