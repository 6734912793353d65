"""What a field is made of: its settings, its members, the halves of their links, and what is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from protocol.clock import MS, SECOND, Duration, Instant
from protocol.ids import AuthorId
from protocol.inputs import TimerKey
from protocol.membership.overlay import Overlay
from protocol.membership.overlay_values import OverlayConfig, OverlayMessage
from sim.spread import SpreadConfig
from sim.weather import WeatherConfig

Item: TypeAlias = tuple[Callable[..., None], object]


class Listener(Protocol):
    """Whoever must know which neighbors a member has."""

    def neighbor_up(self, number: int, peer: AuthorId) -> None:
        """One more."""

    def neighbor_parting(self, number: int, peer: AuthorId) -> None:
        """One less soon."""

    def neighbor_down(self, number: int, peer: AuthorId) -> None:
        """One less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldConfig:
    """``members`` 2..; they join at a pace that doubles the crowd every ``double_us``, each through ``contacts`` others
    (2..: where everybody knows one random other only, some know of none of the rest). ``silence_us``, ``beat_us`` are
    the daemon's; ``urgent_us`` and ``dial_us`` are how long dials may take (design decision 11, 12).

    ``discovery_us`` None is a network without multicast; else every member that finds itself in a changed network
    hears within that time of ``discovery_peers`` random others (a model of mDNS, where all that answer are heard).
    Neighbors are told of changes among neighbors at most every ``announce_us``; the round trip of a link is known
    ``ping_us`` after it has come up, as in the daemon.
    """

    members: int
    overlay: OverlayConfig = field(default_factory=OverlayConfig)
    spread: SpreadConfig | None = None
    weather: WeatherConfig = field(default_factory=WeatherConfig)
    contacts: int = 2
    double_us: Duration = 3 * SECOND
    silence_us: Duration = 2_500 * MS
    beat_us: Duration = SECOND
    urgent_us: Duration = 500 * MS
    dial_us: Duration = SECOND
    discovery_us: Duration | None = None
    discovery_peers: int = 8
    announce_us: Duration = 100 * MS
    ping_us: Duration = SECOND
    traced: bool = False


@dataclass(slots=True, eq=False)
class Half:
    """One end of a link and the direction that begins here; ``last`` is when what was sent so far will have come.

    ``author`` is the owner's.
    """

    owner: int
    peer: int
    author: AuthorId
    latency_us: Duration
    last: Instant
    open: bool
    ended: bool = False  # the end of the stream was sent
    mute: bool = False  # its path is cut
    token: int = 0  # counts how often that has changed
    other: Half = field(init=False)
    held: list[Item] = field(default_factory=list)
    held_since: Instant = 0


@dataclass(slots=True, eq=False)
class Member:
    """One of the field. ``neighbors`` are those its overlay says it has; ``dials`` which attempts are under way."""

    number: int
    author: AuthorId
    overlay: Overlay
    alive: bool = True
    silent: bool = False
    links: dict[AuthorId, Half] = field(default_factory=dict)
    neighbors: dict[int, None] = field(default_factory=dict)
    dials: dict[AuthorId, int] = field(default_factory=dict)
    wakes: dict[TimerKey, Instant] = field(default_factory=dict)
    attempts: int = 0
    neighbors_max: int = 0
    announcing: bool = False


@dataclass(slots=True)
class Counters:
    """What has happened so far, in the whole field."""

    told: int = 0
    lost: int = 0
    dials: int = 0
    dials_failed: int = 0
    links: int = 0
    releases: int = 0
    silences: int = 0
    announcements: int = 0
    kinds: dict[type[OverlayMessage], int] = field(default_factory=dict)
