"""What lies between two hubs: how long a byte takes, and whether it passes at all.

A *cut* is silent, as a dead cable or a hub out of radio range: nothing tells either side. Cuts have a direction, so
that a one-way cut can be had. Invariant: ``passes`` is a pure function of the last ``cut``, ``cut_one_way``,
``heal`` and ``power`` calls; it draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocol.clock import MS, Duration


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
    """Paths between hubs, known by their index."""

    def __init__(self, quality: Quality) -> None:
        self._quality = quality
        self._special: dict[tuple[int, int], Quality] = {}
        self._group: dict[int, int] = {}
        self._one_way: dict[tuple[int, int], None] = {}
        self._dark: dict[int, None] = {}

    def between(self, source: int, target: int) -> Quality:
        """How good the path from ``source`` to ``target`` is."""
        return self._special.get((source, target), self._quality)

    def set_all(self, quality: Quality) -> None:
        """Every path that was not set by itself has this quality from now on."""
        self._quality = quality

    def set_one(self, source: int, target: int, quality: Quality) -> None:
        """The path from ``source`` to ``target`` has this quality from now on."""
        self._special[source, target] = quality

    def passes(self, source: int, target: int) -> bool:
        """Whether a segment sent from ``source`` now reaches ``target``."""
        group = self._group
        if group and group.get(source, -1) != group.get(target, -1):
            return False
        if self._dark and (source in self._dark or target in self._dark):
            return False
        return not self._one_way or (source, target) not in self._one_way

    def cut(self, groups: Sequence[Iterable[int]]) -> None:
        """Nothing passes between different groups; whoever is in none of them is in a group of the others."""
        self._group = {member: number for number, group in enumerate(groups) for member in group}

    def cut_one_way(self, source: int, target: int) -> None:
        """Nothing passes from ``source`` to ``target``; the other direction is as it was."""
        self._one_way[source, target] = None

    def heal(self) -> None:
        """All cuts end."""
        self._group = {}
        self._one_way = {}

    def power(self, hub: int, *, on: bool) -> None:
        """A machine without power takes and gives nothing."""
        if on:
            self._dark.pop(hub, None)
        else:
            self._dark[hub] = None
