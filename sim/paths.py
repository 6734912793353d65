"""What lies between two hubs: how long a byte takes, and whether it passes at all.

A *cut* is silent, as a dead cable or a hub out of radio range: nothing tells either side. Cuts have a direction, so
that a one-way cut can be had, and a name, so that several can be on at once and end one by one. The sides of a cut
may overlap: a hub on both sides reaches both. A *clog* holds what is under way and lets it go when it is released.
Invariant: ``passes`` and ``flows`` are pure functions of the calls that cut, clog, heal and switch power; they draw
nothing. A path's own latency depends on the two hubs and the world's seed, not on who asks first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from protocol.clock import MS, Duration
from protocol.rng import Rng

Way = tuple[int, int]
"""From one hub to another, by their index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """One direction of a path. ``latency_us`` is the one-way delay, to which 0..``jitter_us`` is added; ``loss`` in
    [0, 1) is the share of segments lost; ``bytes_per_s`` None means as fast as wanted.

    The default is a Wi-Fi network in one room (guess, to be measured beside the daemon's own round trips).
    """

    latency_us: Duration = 2 * MS
    jitter_us: Duration = 2 * MS
    loss: float = 0.0
    bytes_per_s: int | None = None


class Paths:
    """Paths between hubs, known by their index. Each pair is up to ``spread_us`` farther apart than ``quality`` says,
    both ways alike, drawn from ``rng``."""

    def __init__(self, quality: Quality, spread_us: Duration = 0, rng: Rng | None = None) -> None:
        self._quality = quality
        self._spread_us = spread_us
        self._rng = rng if rng is not None else Rng(0)
        self._farther: dict[Way, Quality] = {}
        self._special: dict[Way, Quality] = {}
        self._cuts: dict[str, tuple[dict[int, int], int]] = {}
        self._one_way: dict[str, Way] = {}
        self._dark: dict[int, None] = {}
        self.clogs: dict[Way, None] = {}

    def between(self, source: int, target: int) -> Quality:
        """How good the path from ``source`` to ``target`` is."""
        special = self._special.get((source, target))
        if special is not None or not self._spread_us:
            return special or self._quality
        pair = (min(source, target), max(source, target))
        farther = self._farther.get(pair)
        if farther is None:
            extra_us = self._rng.child(f"path {pair[0]} {pair[1]}").below(self._spread_us + 1)
            farther = self._farther[pair] = replace(self._quality, latency_us=self._quality.latency_us + extra_us)
        return farther

    def set_all(self, quality: Quality) -> None:
        """Every path that was not set by itself has this quality from now on, besides its own distance."""
        self._quality = quality
        self._farther.clear()

    def set_one(self, source: int, target: int, quality: Quality) -> None:
        """The path from ``source`` to ``target`` has this quality from now on."""
        self._special[source, target] = quality

    def passes(self, source: int, target: int) -> bool:
        """Whether a segment sent from ``source`` now gets on its way to ``target``."""
        if self._cuts:
            for sides, rest in self._cuts.values():
                if not sides.get(source, rest) & sides.get(target, rest):
                    return False
        if self._dark and (source in self._dark or target in self._dark):
            return False
        return not self._one_way or (source, target) not in self._one_way.values()

    def flows(self, source: int, target: int) -> bool:
        """Whether it reaches ``target`` now, too: it passes, and nothing holds it on its way."""
        return self.passes(source, target) and (source, target) not in self.clogs

    def cut(self, groups: Sequence[Iterable[int]], name: str = "") -> None:
        """Nothing passes between hubs that have no group in common; whoever is in none is in a group of the others.

        Replaces the cut of that name.
        """
        sides: dict[int, int] = {}
        for number, group in enumerate(groups):
            for member in group:
                sides[member] = sides.get(member, 0) | 1 << number
        self._cuts[name] = (sides, 1 << len(groups))

    def cut_one_way(self, source: int, target: int, name: str | None = None) -> None:
        """Nothing passes from ``source`` to ``target``; the other direction is as it was."""
        self._one_way[name if name is not None else f"{source}>{target}"] = (source, target)

    def heal(self, name: str | None = None) -> None:
        """The cut of that name ends; without a name all cuts end."""
        if name is None:
            self._cuts.clear()
            self._one_way.clear()
        else:
            self._cuts.pop(name, None)
            self._one_way.pop(name, None)

    def cuts(self) -> int:
        """How many cuts are on."""
        return len(self._cuts) + len(self._one_way)

    def power(self, hub: int, *, on: bool) -> None:
        """A machine without power takes and gives nothing."""
        if on:
            self._dark.pop(hub, None)
        else:
            self._dark[hub] = None
