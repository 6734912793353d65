"""What the overlay remembers of each link, and which neighbors no request may push out.

Why slots: whoever may choose whom a hub pushes out can surround it (eclipse). Protected are, in this order of
bounds: neighbors that we chose ourselves, the one known longest, those that came back after long, the nearest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from protocol.clock import Duration, Instant
from protocol.ids import AuthorId
from protocol.membership.exiles import Exile
from protocol.membership.overlay_values import OverlayConfig
from protocol.rng import Rng


class Purpose(Enum):
    """Why we dial somebody."""

    JOIN = "join"
    FILL = "fill"
    EXILE = "exile"
    PROBE = "probe"
    BRIDGE = "bridge"
    MIX = "mix"


@dataclass(slots=True)  # state: changes in place
class Member:
    """One neighbor. ``known_at`` may lie long before ``since``; ``bridge_until`` keeps one that was long lost."""

    initiator: bool
    since: Instant
    known_at: Instant
    rtt_us: Duration | None = None
    bridge_until: Instant = 0
    near: bool = False
    view: tuple[AuthorId, ...] = ()

    def why(self) -> str:
        """For people: what made it a neighbor."""
        if self.bridge_until:
            return "back after long"
        return "nearest" if self.near else "chosen" if self.initiator else "came"


@dataclass(slots=True)  # state: changes in place
class Guest:
    """A link that is not a neighbor's (yet). ``asked``: we wait for an answer; ``parts``: it will not stay; at
    ``until`` it ends, or becomes a neighbor if the other side never said why it came. ``bridge``: it was lost for long,
    or leads away from an island; ``swap``: it is to take the low-latency slot; ``parting``: it was a neighbor until
    now, and its link still carries what it carried."""

    initiator: bool
    purpose: Purpose | None
    exile: Exile | None
    until: Instant
    asked: bool = False
    bridge: bool = False
    swap: bool = False
    parts: bool = False
    parting: bool = False

    @property
    def stays(self) -> bool:
        """Whether another neighbor is to give way to it, if need be."""
        return self.bridge or self.purpose is Purpose.MIX


def evictable(active: Mapping[AuthorId, Member], config: OverlayConfig, now: Instant) -> list[AuthorId]:
    """Neighbors that no slot protects, in order of arrival."""
    chosen = [peer for peer, member in active.items() if member.initiator]
    kept = dict.fromkeys(chosen[: config.outbound])
    if config.oldest:
        oldest = sorted(active, key=lambda peer: (active[peer].known_at, active[peer].since, peer))
        kept.update(dict.fromkeys(oldest[: config.oldest]))
    if config.bridges:
        bridges = [peer for peer, member in active.items() if member.bridge_until > now]
        kept.update(dict.fromkeys(bridges[-config.bridges :]))
    return [peer for peer, member in active.items() if peer not in kept and not member.near]


class Slots:
    """Who gives way, and not more than one in ``evict_us``."""

    def __init__(self, config: OverlayConfig, rng: Rng) -> None:
        self._config = config
        self._rng = rng
        self.evicted_at: Instant = -(1 << 62)

    def victim(self, active: Mapping[AuthorId, Member], now: Instant, share: int = 1) -> AuthorId | None:
        """Who may be pushed out for somebody else now, if anybody; ``share`` times as soon after the last."""
        if now - self.evicted_at < self._config.evict_us // share:
            return None
        free = evictable(active, self._config, now)
        return self._rng.choice(free) if free else None

    def farthest(self, active: Mapping[AuthorId, Member], now: Instant) -> AuthorId | None:
        """Who gives way to somebody clearly nearer: the holder of that slot, else the farthest without protection."""
        if now - self.evicted_at < self._config.evict_us:
            return None
        holder = next((peer for peer, member in active.items() if member.near), None)
        if holder is not None:
            return holder
        free = evictable(active, self._config, now)
        return max(free, key=lambda peer: (active[peer].rtt_us or 0, peer), default=None)
