"""What the trees are told and what they answer: configuration, effects and the picture for outsiders (trees.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias, final

from protocol.clock import MS, SECOND, Duration
from protocol.effects import SetTimer
from protocol.errors import Reason
from protocol.ids import AuthorId
from protocol.inputs import TimerKey
from protocol.wire.messages import TreeMessage

TIMER: Final[TimerKey] = ("trees",)
"""The one key of :class:`SetTimer`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreesConfig:
    """Times in microseconds. Sources: the paper, iroh-gossip's defaults, or ``sim papers plumtree``.

    ``ihave_us``: an announcement waits a random time up to this (0..1 s; 0 sends each at once, as the paper does).
    ``ihave_ids_max``: or until so many wait for one neighbor (1..256).
    ``graft_us``: from an announcement to the first question for the message (50 ms..10 s); it must exceed the time by
    which a tree is slower than the shortest way.
    ``graft_next_us``: from one question to the next (20 ms..10 s); above a round trip.
    ``swap_own_hops``, ``swap_shared_hops``: a neighbor that had the message by so many hops less becomes the parent
    (1..255; None never; the paper uses 3 for one sender, 7 for many), in an author's own and in the shared tree.
    ``far_own_hops``, ``far_shared_hops``: but only where the message has come further than this (0..255; the paper:
    0): fewer hops are not less delay, and a tree that follows every sender in turn suits none.
    ``swap_slower_us``: and in an author's own tree only if it was at most so much slower when the tree was made
    (0..1 s; in short runs of 10,000 the slowest message took 1.26 times a flood without this, 1.15 with it).
    ``detour_hops``: but in an author's own tree a way that is shorter by so many hops always counts (1..255): repairs
    leave detours behind.
    ``swap_late``: whether an announcement that comes after the message counts for that (the paper: no).
    ``swap_gap_us``: least time between two such changes in one tree (0..1 h; the paper: 0): hops are easily lied about.
    ``own_hz``: an author above this rate gets a tree of its own (design decision 15: 0.1 Hz).
    ``renew_count``: after so many of its messages an author's tree is made anew (2..65,536): one in so many floods.
    ``renew_gap_us``: a relay takes part in that at most so often for one author (0..1 h): who forwards may lie.
    ``own_max``: so many of them at most (0..4,096; decision 15: 512).
    ``own_idle_us``: one unused for this long may give way to another (1 s..1 h).
    ``prune_again_us``: who still pushes after this is told again (0..10 s): a PRUNE and a GRAFT may cross.
    ``hold_us``: a duplicate in the shared tree prunes only if others come a random time of this order later (0..1 s;
    the paper: 0): two messages that go round one circle of links at once make two hubs open it, and whoever is between
    them is cut off until it grafts. Measured with 50 messages a second by 300 hubs: half the grafts and prunes, and 14
    hops instead of 17.
    ``settled_us``: but a link younger than this is pruned at once, since it is what has closed the circle, and so are
    all while the tree is made (0..1 min).
    ``generation_us``, ``generation_count_max``: see recent.py; messages are kept for at least one of them and at most
    two, ids for three to four.
    ``recent_max``: so many of the newest messages are announced to a new neighbor (0..256).
    ``per_peer_max``: announcements of one neighbor that may wait, and questions of one that are answered in one
    generation (1..65,536).
    """

    ihave_us: Duration = 500 * MS
    ihave_ids_max: int = 64
    graft_us: Duration = 300 * MS
    graft_next_us: Duration = 150 * MS
    swap_own_hops: int | None = 1
    swap_shared_hops: int | None = 2
    far_own_hops: int = 9
    far_shared_hops: int = 13
    swap_slower_us: Duration = 15 * MS
    detour_hops: int = 3
    swap_late: bool = True
    swap_gap_us: Duration = 2 * SECOND
    own_hz: float = 0.1
    renew_count: int = 256
    renew_gap_us: Duration = 10 * SECOND
    own_max: int = 512
    own_idle_us: Duration = 60 * SECOND
    prune_again_us: Duration = SECOND
    hold_us: Duration = 400 * MS
    settled_us: Duration = 2 * SECOND
    generation_us: Duration = 15 * SECOND
    generation_count_max: int = 512
    recent_max: int = 64
    per_peer_max: int = 1_024

    @classmethod
    def plumtree_paper(cls, threshold: int | None = 7) -> TreesConfig:
        """What the paper measured: one tree, announcements at once, ``threshold`` 3 for one sender, 7 for many (its
        section 4.1), None for the unoptimised tree. The paper counts in cycles; the times are ours."""
        return cls(
            ihave_us=0,
            ihave_ids_max=1,
            graft_us=SECOND,
            graft_next_us=SECOND // 2,
            swap_own_hops=None,
            swap_shared_hops=threshold,
            far_shared_hops=0,
            swap_late=False,
            swap_gap_us=0,
            own_max=0,
            hold_us=0,
            recent_max=0,
        )

    @classmethod
    def iroh(cls) -> TreesConfig:
        """The defaults of iroh-gossip: time-outs 80 and 40 ms, announcements after 5 ms, threshold 7, one tree."""
        return cls(
            ihave_us=5 * MS,
            graft_us=80 * MS,
            graft_next_us=40 * MS,
            swap_own_hops=None,
            swap_shared_hops=7,
            far_shared_hops=0,
            swap_late=False,
            swap_gap_us=0,
            own_max=0,
            hold_us=0,
            recent_max=0,
        )


@final
@dataclass(slots=True)  # not frozen: the hot one
class Push:
    """Send ``message`` to ``peer``, after everything pushed to it before."""

    peer: AuthorId
    message: TreeMessage


@final
@dataclass(slots=True)  # not frozen: a hot one
class Deliver:
    """A message seen for the first time; it has come ``hops`` links far, the last from ``peer``."""

    id: bytes
    author: AuthorId
    payload: bytes
    hops: int
    peer: AuthorId


@final
@dataclass(slots=True)  # not frozen: a hot one
class Refused:
    """Something of ``peer`` had no effect, and why: ``DUPLICATE``, ``UNKNOWN_LINK``, ``PENDING_LIMIT``."""

    peer: AuthorId
    reason: Reason


TreesEffect: TypeAlias = Push | Deliver | SetTimer | Refused


@dataclass(frozen=True, slots=True)
class TreesStatistics:
    """``eager`` and ``lazy`` count neighbors in the shared tree; ``own_trees`` authors with their own."""

    neighbors: int
    eager: int
    lazy: int
    own_trees: int
    seen: int
    missing: int
    waiting: int
