"""What trust is told and what it answers: configuration, words about people, standings (trust.py is the door)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

from protocol.errors import Reason
from protocol.ids import AuthorId

DAY_MS: Final = 86_400_000
STRENGTH_MAX: Final = 100
"""The strongest word, for or against; in hundredths, so that it is exact on every hub."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustConfig:
    """``half_life_ms``: after which evidence counts half (1 day..10 years; 30 days, the usual choice for reputation;
    15 and 60 days order the first half of Bitcoin-OTC as well, within 0.006 of AUC).

    ``walks``: stored (1..100,000; a share of 1 % is then known to +-0.3 %). ``restart``: the probability that a walk
    ends at each step (0..1 without the ends; PageRank's customary 0.15 to 0.2; MeritRank's transitivity decay).
    ``steps_max``: of one walk (2..255; one in 12,000 would go on).

    Weights, in units of one contact's word, all >= 0: ``own_weight`` one's own word, ``session_weight`` one session
    shared, ``sessions_weight_max`` all of them (three guesses); ``further_weight`` what comes through one contact from
    those it trusts; ``strangers_weight`` everybody else together; ``thanks_weight`` and ``grudge_weight`` what the
    subject says of this hub, for and against; ``doubt`` the weight of knowing nothing. The last five were chosen on the
    first half of Bitcoin-OTC, from two or three values each.

    ``strangers_share``: of bandwidth, for all whom no walk meets together (0..1; a guess).
    ``issuer_max``: words kept of one issuer (1..65,536). ``words_max``: of all (1..2^20, about 250 bytes each).
    ``windows_max``: amnesties remembered for one subject (1..64). ``sessions_max``: sessions (1..1,000).
    ``subjects_max``: subjects of either (1..65,536). ``low_below``: a value below it lowers attention (-1..0; a guess).
    """

    half_life_ms: int = 30 * DAY_MS
    walks: int = 1_000
    restart: float = 0.2
    steps_max: int = 42
    own_weight: float = 4.0
    session_weight: float = 0.1
    sessions_weight_max: float = 0.5
    further_weight: float = 0.3
    strangers_weight: float = 0.3
    thanks_weight: float = 0.3
    grudge_weight: float = 2.0
    doubt: float = 0.5
    strangers_share: float = 0.1
    issuer_max: int = 1_024
    words_max: int = 131_072
    windows_max: int = 8
    sessions_max: int = 16
    subjects_max: int = 4_096
    low_below: float = -0.2


@dataclass(frozen=True, slots=True)
class Attestation:
    """One person's word about another: ``strength`` -100..100, 0 takes back what was said before.

    ``order`` is where it stands in the issuer's chain, (incarnation, seq): the later word replaces the earlier.
    ``utc_ms`` is 0 if the issuer had no date.
    """

    issuer: AuthorId
    subject: AuthorId
    strength: int
    utc_ms: int
    order: tuple[int, int]


class Attention(IntEnum):
    """How much of somebody a view shows; never what is stored, relayed or delivered."""

    HIDDEN = 0
    LOW = 1
    NEUTRAL = 2
    KNOWN = 3


class Source(IntEnum):
    """Where a line of evidence comes from: the exhaustive list."""

    OWN_WORD = 1
    SESSIONS = 2
    CONTACT = 3
    FURTHER = 4
    STRANGERS = 5
    THEIR_WORD = 6
    PROOF = 7


@dataclass(frozen=True, slots=True)
class Line:
    """``voices`` said on average ``opinion`` (-1..1), which weighs ``weight``. ``through`` is the contact, if one."""

    source: Source
    through: AuthorId | None
    voices: int
    weight: float
    opinion: float


@dataclass(frozen=True, slots=True)
class TrustStanding:
    """``value`` in (-1, 1), 0 for whom nothing is known, exactly -1 with a proof; ``lines`` are all that it is made of,
    the heaviest first: the value is the sum of weight times opinion over the sum of weights and the doubt."""

    subject: AuthorId
    value: float
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Path:
    """A way from this hub to the subject, both included, and how many walks took it."""

    hubs: tuple[AuthorId, ...]
    walks: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why somebody stands as it does. ``met`` of ``walks`` came by; ``paths`` are the commonest ways."""

    standing: TrustStanding
    attention: Attention
    contact: bool
    blocked: bool
    muted: bool
    proven: bool
    walks: int
    met: int
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class TrustState:
    """What is nobody else's affair and in no chain, for the hub's own disk: (subject, UTC ms of sessions),
    who is blocked, muted, proven malicious and not settled, (subject, from, until) of amnesties in UTC ms, the circle;
    and which sealed words are for others: the beginnings of their names, true for one rotation of the hub's key."""

    sessions: tuple[tuple[AuthorId, tuple[int, ...]], ...] = ()
    blocked: tuple[AuthorId, ...] = ()
    muted: tuple[AuthorId, ...] = ()
    proven: tuple[AuthorId, ...] = ()
    amnesties: tuple[tuple[AuthorId, int, int], ...] = ()
    circle: tuple[AuthorId, ...] = ()
    rotation: int = 0
    for_others: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class StandingChanged:
    """Something about ``subject`` is new; others' standings may follow from it."""

    subject: AuthorId


@dataclass(frozen=True, slots=True)
class KeepTrust:
    """Put this on the disk, in place of what was there."""

    state: TrustState


@dataclass(frozen=True, slots=True)
class Refused:
    """A word of ``issuer`` was not taken: there is no room for those whom no walk meets."""

    issuer: AuthorId
    reason: Reason


TrustEffect: TypeAlias = StandingChanged | KeepTrust | Refused


@dataclass(frozen=True, slots=True)
class TrustStatistics:
    """Counts; never leaves the hub (a count of contacts is a fact about a person)."""

    words: int
    issuers: int
    contacts: int
    met: int
    refused: int
