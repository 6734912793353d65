"""What the glitch machines are told and what they answer: configuration, the state of now, effects."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from protocol.clock import MINUTE, SECOND, Duration, Instant
from protocol.ids import AuthorId

HOUR: Final = 60 * MINUTE
DAY_US: Final = 24 * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class GlitchConfig:
    """All ``_us`` in microseconds; every number is ours, to be measured by ``sim papers glitch``.

    ``look_us``: the pace at which presence is looked at; twice as much is own lateness.
    ``window_us``: last signs of life of one cut lie within this (1..60 s): the longest cadence of a default grant, the
    patience of liveness (5 s) and a retransmission. ``settle_us``: nobody more has gone for so long before it is said
    (0.5..10 s). ``recent_us``: who has been gone for longer is no part of a new cut (5..300 s).
    ``severed_min``: so many at least, Rapid's L and one more (2..16). ``share_min``: and this share of everybody here
    (0..1): a thousand people go home ten at a time. ``small_crowd``: up to so many, half of them are enough (3..8).
    ``stays_us``: whoever is back for so long while the others are not was never severed, or is one of us now (1..30 s).
    ``health_us``: after own lateness others get so long to be heard again (1..60 s).
    ``healed_share``: of those severed; when so many are back it is over (0..1). ``shown_us``: whoever is gone for
    longer has left, as far as a view goes (presence forgets after an hour as well).
    ``old_link_us``: a link counts as evidence for an amnesty after this, or if we chose it (design decision 21).
    ``links_min``: so many such links, and half of all, must break without a word (2..8). ``observers_min``: or so many
    neighbors lose sight of two of them (2..8; Rapid's L of 2).
    ``slack_us``: an amnesty begins and ends so much wider: twice the patience of liveness.
    ``amnesty_us_max``: of amnesty for one subject in ``DAY_US``, and ``amnesties_max`` windows: whoever starts glitches
    to wash itself gains no more than this (guess). ``lag_us``: own lateness that is a glitch of its own.
    ``write_after_us``, ``write_undated_us``: an observation is written so long after the heal, drawn evenly; without a
    date later, so that dated ones can be named. ``voices``: of one side are enough (1..64).
    ``daily_max``: observations of one hub a day. ``held_max``: observations held (1..1,024).
    """

    look_us: Duration = SECOND
    window_us: Duration = 6 * SECOND
    settle_us: Duration = SECOND
    recent_us: Duration = 30 * SECOND
    severed_min: int = 3
    share_min: float = 0.1
    small_crowd: int = 5
    stays_us: Duration = 5 * SECOND
    health_us: Duration = 6 * SECOND
    healed_share: float = 0.5
    shown_us: Duration = HOUR
    old_link_us: Duration = 10 * MINUTE
    links_min: int = 3
    observers_min: int = 2
    slack_us: Duration = 10 * SECOND
    amnesty_us_max: Duration = 2 * HOUR
    amnesties_max: int = 12
    lag_us: Duration = 2 * SECOND
    write_after_us: tuple[Duration, Duration] = (SECOND // 2, 4 * SECOND)
    write_undated_us: tuple[Duration, Duration] = (SECOND, 7 * SECOND)
    voices: int = 8
    daily_max: int = 24
    held_max: int = 512


class Kind(Enum):
    """What has happened: the crowd is two, or this hub has lost everybody."""

    SPLIT = "two crowds"
    ALONE = "alone"


class How(Enum):
    """What made an end of it. ``RESTARTED``: most of those severed had been off, and it was no split at all."""

    WE_DIALLED = 1
    THEY_DIALLED = 2
    HEARD = 3
    MOVED = 4
    RESTARTED = 5


class Ended(Enum):
    """How a link ended: its peer said that it stops, at once without a word, in silence, or as one link too many
    between two hubs that go on."""

    WORD = 1
    BROKEN = 2
    SILENT = 3
    RELEASED = 4


@dataclass(frozen=True, slots=True)
class Gone:
    """Somebody out of reach; ``sign_at`` is when this hub had the last sign of it."""

    author: AuthorId
    sign_at: Instant


@dataclass(frozen=True, slots=True)
class Split:
    """A glitch as this hub sees it. ``number`` counts them. ``began`` is the last sign of anybody severed, the truth is
    up to ``doubt_us`` later. ``confidence`` in 0..1 is of its being a split and not departures. ``grounded``: there is
    evidence that nobody severed could have made alone, so that there is an amnesty. ``back`` of ``theirs`` are."""

    number: int
    kind: Kind
    began: Instant
    doubt_us: Duration
    noticed: Instant
    mine: tuple[AuthorId, ...]
    theirs: tuple[AuthorId, ...]
    confidence: float
    grounded: bool
    back: int = 0
    ended: Instant | None = None
    how: How | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """It has begun (a moment ago)."""

    split: Split


@dataclass(frozen=True, slots=True)
class Closed:
    """It is over. ``how`` RESTARTED: it never was a split, and nothing is written down."""

    split: Split


@dataclass(frozen=True, slots=True)
class Lagged:
    """This hub did not run from ``since`` to ``until``: what it thinks of ``subjects`` then is its own fault."""

    since: Instant
    until: Instant
    subjects: tuple[AuthorId, ...]


@dataclass(frozen=True, slots=True)
class Pardon:
    """Soft evidence about ``subject`` from ``since_us`` to ``until_us`` (boot time) is void, for and against. A later
    one with the same ``since_us`` corrects it; ``until_us`` may lie ahead."""

    subject: AuthorId
    since_us: Instant
    until_us: Instant


GlitchEffect: TypeAlias = Opened | Closed | Lagged
