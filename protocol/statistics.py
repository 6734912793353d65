"""Immutable snapshots of a Node: what outsiders read instead of private attributes. Times in microseconds of boot
time unless the name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.clock import Duration, Instant
from protocol.collective.aggregate import Crowd
from protocol.glitch.dissonance import Annotation, Drift
from protocol.glitch.values import Split
from protocol.gossip.scope import Coverage
from protocol.ids import AuthorId, EventId, LinkId
from protocol.trust.values import TrustStatistics


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """One link, open once both HELLOs have passed; ``neighbors`` are those that the peer has told us of."""

    link: LinkId
    peer: AuthorId
    initiator: bool
    open: bool
    up_us: Duration
    silent_us: Duration
    rtt_us: Duration | None
    agent: str
    waiting: int
    lazy: int
    neighbors: tuple[AuthorId, ...] = ()


@dataclass(frozen=True, slots=True)
class AuthorStatistics:
    """One author's newest vector; ``values`` are (dimension name, value or None, sd or None), in its unit.
    ``attention``: how much of it to show (``hidden``, ``low``, ``neutral``, ``known``), which is for views alone.

    ``hops``: 0 self, 1 linked, 2 linked with a neighbor, None further or unknown.
    """

    author: AuthorId
    rotation: int
    boot: int
    seq: int
    age_us: Duration
    lease_left_us: Duration
    cadence_ms: int
    quality: float
    method: int
    terms: int
    hops: int | None
    own: bool
    values: tuple[tuple[str, float | None, float | None], ...]
    attention: str = "neutral"


@dataclass(frozen=True, slots=True)
class NeighborStatistics:
    """One neighbor; ``initiator`` if we dialled it, ``known_at`` since when it is known without a break in memory.

    ``why``: ``chosen``, ``came``, ``nearest`` or ``back after long``.
    """

    peer: AuthorId
    initiator: bool
    since: Instant
    known_at: Instant
    why: str


@dataclass(frozen=True, slots=True)
class ExileStatistics:
    """One peer that is looked for. ``why``: ``lost`` (a link broke) or ``no answer``."""

    peer: AuthorId
    lost_at: Instant
    why: str
    dials: int


@dataclass(frozen=True, slots=True)
class OverlayStatistics:
    """``small``: everybody known is linked, no views are kept. ``reserve`` counts peers known beyond ``passive``."""

    small: bool
    neighbors: tuple[NeighborStatistics, ...]
    passive: tuple[AuthorId, ...]
    reserve: int
    exiles: tuple[ExileStatistics, ...]


@dataclass(frozen=True, slots=True)
class OpinionStatistics:
    """What this hub thinks of one that is or was a neighbor: ``alive``, ``suspect``, ``unreachable`` or ``left``."""

    peer: AuthorId
    state: str
    since: Instant
    why: str


@dataclass(frozen=True, slots=True)
class DurableStatistics:
    """``events`` of ``authors`` are held; ``waiting`` lack something before them; ``wanted`` payloads are not here,
    ``payload_bytes`` are. ``guarded``: nothing is signed until somebody has shown our own head, or nobody does.
    ``frontier`` counts heads, ``sessions`` reconciliations under way, ``resting`` peers that are not asked for now.
    ``eager``, ``lazy``: neighbors in the shared tree; ``own_trees`` authors with a tree of their own.
    ``forked``: authors with two events in one place of their chain; ``forks`` proofs, also of mended chains."""

    authors: int
    events: int
    waiting: int
    wanted: int
    payload_bytes: int
    forks: int
    guarded: bool
    frontier: int
    sessions: int
    resting: int
    eager: int
    lazy: int
    own_trees: int
    forked: tuple[AuthorId, ...] = ()


@dataclass(frozen=True, slots=True)
class EventStatistics:
    """A durable event. ``utc_ms`` None: its author had no date. ``state`` is of its payload: ``here``, ``missing`` (it
    has not come yet), ``private`` (it is for its author's hub only), ``erased`` (withdrawn or expired)."""

    event: EventId
    author: AuthorId
    kind: int
    utc_ms: int | None
    audience: int
    expires: int
    state: str


@dataclass(frozen=True, slots=True)
class GlitchStatistics:
    """Whether the crowd is one: ``now`` is the glitch that lasts (None: it is one, or whoever is gone has left),
    ``past`` those of this run, ``held`` observations of any hub. ``amnesty`` is what was given in the last day:
    (subject, windows, us). ``drifts`` and ``notes`` annotate, and count for nothing."""

    now: Split | None
    past: tuple[Split, ...]
    held: int
    amnesty: tuple[tuple[AuthorId, int, Duration], ...]
    drifts: tuple[Drift, ...]
    notes: tuple[Annotation, ...]


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    """The whole picture; ``out_of_reach`` pairs authors with the instant at which they were last in reach.
    ``crowd`` counts everybody alike, so that it is one picture on all hubs; ``trusted`` is this hub's own, by whom its
    person trusts, and has nothing below five seats."""

    at: Instant
    author: AuthorId
    boot: int
    seq: int
    admission: str
    links: tuple[LinkStatistics, ...]
    authors: tuple[AuthorStatistics, ...]
    crowd: Crowd
    in_reach: tuple[AuthorId, ...]
    out_of_reach: tuple[tuple[AuthorId, Instant], ...]
    exiles: tuple[AuthorId, ...]
    known_peers: int
    sharing: bool
    date_known: bool
    verified: int
    drops: dict[str, int]
    received: dict[str, int]
    sent: dict[str, int]
    overlay: OverlayStatistics
    opinions: tuple[OpinionStatistics, ...]
    coverage: Coverage
    durable: DurableStatistics
    glitch: GlitchStatistics
    trusted: Crowd
    trust: TrustStatistics
