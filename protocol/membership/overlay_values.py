"""What the overlay is told and says: its configuration, messages and effects, all in terms of author ids.

Source of the messages: Leitao, Pereira, Rodrigues, "HyParView" (DSN 2007), section 4. Deviations: a Join is answered
like a Neighbor, because whoever is full may refuse it; a shuffle's answer goes back the way the shuffle came, so that
nobody can make a crowd dial a victim by naming it as the origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias, final

from protocol.clock import MINUTE, SECOND, Duration
from protocol.effects import SetTimer
from protocol.ids import AuthorId
from protocol.wire.joining import Join, Neighbor, NeighborAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayConfig:
    """Sizes in peers, walks in hops, times in microseconds. "Paper" is HyParView's own setting for 10,000 nodes.

    Attributes:
        active: 4..8, neighbors that are sought (paper 5; after 70 % deaths 73 % hang together and not 46 %).
        active_max: neighbors that are accepted (paper: as many as are sought).
        small_mesh: 0..16; while no more hubs than this are known, oneself included, all are neighbors (0: never).
        small_sought: neighbors that are sought in a small mesh; more may come.
        passive: known peers that are kept fresh by shuffles (paper 30).
        reserve: known peers that the passive view had no room for; asked when all others fail (paper 0).
        arwl, prwl: length of a join's walk, and where on it the joiner enters a passive view (paper 6, 3).
        shuffle_ttl, shuffle_active, shuffle_passive: a shuffle's walk and what it offers (paper 6, 3, 4).
        shuffle_us: between two shuffles, +-20 % (paper: one cycle).
        shuffle_calm_us: the same for a hub that has lost nobody and found nobody again for ``calm_us`` and whose
            passive view is half full: nearly all that a large mesh does in peace is shuffles (paper: one cycle).
        calm_us: see there; as long as the time in which a lost neighbor is sought each second.
        shuffle_small: whether a small mesh shuffles as well; False where its hubs learn of each other otherwise.
        contacts: hubs to join through that are remembered until they were met (paper 1).
        exiles: lost peers that are remembered (paper 0).
        outbound: neighbors that we chose ourselves and that no request may push out (against eclipse; paper 0).
        oldest: neighbors known longest that are never pushed out (against eclipse; paper 0).
        bridges: neighbors that came back after ``long_lost_us`` and are kept for ``bridge_us`` (paper 0).
        evict_us: at most one neighbor is pushed out in this time (paper 0: a join always evicts, hence storms).
        part_us: so long the link with a neighbor that has to go still carries what it carried, while both sides find
            other ways (0..5 s; paper 0). It must exceed three slow ways: word of it, a graft, and what is on its way.
        join_us: at most one join is passed on in this time.
        ask_us: how long an answer to Join or Neighbor is awaited; a guess, two slow round trips.
        unasked_us: a link on which the peer has not said why it came is taken as a Neighbor request after this.
        probe_us, probe_calm_us: between two looks at a passive peer, +-20 % (paper 0: never).
        mix: one look in so many asks to stay in a neighbor's place, so that crowds that know of each other become one
            although all of them are full (paper 0: never).
        mix_settled_us: while a hub is calm and has met nobody new for ``calm_us``, it mixes so seldom that all hubs
            together do so about once in this time (1 s..1 h; paper: never).
        probe_for_us: how long such a link may last.
        dials, dials_alone: dials under way at a time, and with fewer than two neighbors.
        redial_us_min, redial_us_max: the pace at which exiles are dialled, by the number of known peers.
        retry_us, retry_for_us: the pace for a lost neighbor in the time after its loss.
        refused_us: whoever refused, or ended a link in good order, is not asked again before.
    """

    active: int = 6
    active_max: int = 8
    small_mesh: int = 16
    small_sought: int = 16
    passive: int = 48
    reserve: int = 256
    arwl: int = 6
    prwl: int = 3
    shuffle_ttl: int = 6
    shuffle_active: int = 3
    shuffle_passive: int = 4
    shuffle_us: Duration = 10 * SECOND
    shuffle_calm_us: Duration = MINUTE
    calm_us: Duration = MINUTE
    shuffle_small: bool = True
    contacts: int = 8
    exiles: int = 512
    outbound: int = 2
    oldest: int = 1
    bridges: int = 2
    long_lost_us: Duration = 10 * SECOND
    bridge_us: Duration = 10 * MINUTE
    evict_us: Duration = 2 * SECOND
    part_us: Duration = SECOND
    join_us: Duration = SECOND // 50
    ask_us: Duration = 2 * SECOND
    unasked_us: Duration = SECOND
    probe_us: Duration = 10 * SECOND
    probe_calm_us: Duration = MINUTE
    mix: int = 16
    mix_settled_us: Duration = 5 * MINUTE
    probe_for_us: Duration = 3 * SECOND
    dials: int = 4
    dials_alone: int = 8
    redial_us_min: Duration = 5 * SECOND
    redial_us_max: Duration = 30 * SECOND
    retry_us: Duration = SECOND
    retry_for_us: Duration = MINUTE
    refused_us: Duration = 5 * SECOND


def hyparview_paper() -> OverlayConfig:
    """The paper's own setting: views of 5 and 30, nobody is remembered who is lost, nobody is protected."""
    return OverlayConfig(
        active=5,
        active_max=5,
        small_mesh=0,
        passive=30,
        reserve=0,
        shuffle_calm_us=10 * SECOND,
        exiles=0,
        outbound=0,
        oldest=0,
        bridges=0,
        evict_us=0,
        part_us=0,
        join_us=0,
        probe_us=0,
        refused_us=0,
    )


class Priority(Enum):
    """How urgent a dial is. URGENT: fewer than two neighbors, to be given up after 500 ms; NORMAL: a neighbor is
    missing, 1 s; LAZY: an exile or a look at somebody, 1 s, after all others."""

    URGENT = 0
    NORMAL = 1
    LAZY = 2


# --- messages -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ForwardJoin:
    """``peer`` is new, or back after long; passed on with one hop less each time."""

    peer: AuthorId
    ttl: int


@dataclass(frozen=True, slots=True)
class Shuffle:
    """``origin`` offers ``peers`` of its views; passed on while ``ttl`` is above 1."""

    origin: AuthorId
    ttl: int
    peers: tuple[AuthorId, ...]


@dataclass(frozen=True, slots=True)
class ShuffleAnswer:
    """Peers in return; goes back the way the Shuffle of ``origin`` came. Also the welcome after a Join."""

    origin: AuthorId
    peers: tuple[AuthorId, ...]


OverlayMessage: TypeAlias = Join | ForwardJoin | Neighbor | NeighborAnswer | Shuffle | ShuffleAnswer


# --- effects --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dial:
    """Make a link with ``peer``; answered by exactly one of ``link_up`` (as initiator) and ``dial_failed``. If the
    peer's own dial wins the race, ``link_up`` with ``initiator=False`` answers it as well."""

    peer: AuthorId
    priority: Priority


@final
@dataclass(slots=True)  # not frozen: the hot one
class Tell:
    """Send ``message`` on the link with ``peer``."""

    peer: AuthorId
    message: OverlayMessage


@dataclass(frozen=True, slots=True)
class Release:
    """Close the link with ``peer`` in good order, after what was told. The machine has forgotten the link already and
    wants no ``link_down`` for it; the other side gets ``link_down(clean=True)``."""

    peer: AuthorId


@dataclass(frozen=True, slots=True)
class NeighborUp:
    """``peer`` is a neighbor from now on: gossip with it. ``bridge``: it was lost for long, reconcile at once."""

    peer: AuthorId
    bridge: bool = False


@dataclass(frozen=True, slots=True)
class NeighborParting:
    """``peer`` is no neighbor any more, but what its link carried goes on until a NeighborDown (or NeighborUp): find
    other ways."""

    peer: AuthorId


@dataclass(frozen=True, slots=True)
class NeighborDown:
    """``peer`` is no neighbor any more, and nothing goes there."""

    peer: AuthorId


OverlayEffect: TypeAlias = Dial | Tell | Release | NeighborUp | NeighborParting | NeighborDown | SetTimer
