"""Faults as values: what goes wrong in a world and when, so that a plan can be drawn, printed and run again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from protocol.clock import Duration, Instant
from sim.paths import Quality
from sim.world import World


@dataclass(frozen=True, slots=True)
class Cut:
    """Nothing passes between the groups of hubs (by name); whoever is in none is with the others who are in none."""

    groups: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class CutOneWay:
    """Nothing passes from ``source`` to ``target``."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Heal:
    """All cuts end."""


@dataclass(frozen=True, slots=True)
class Crash:
    """The process ends between two inputs; with ``power`` its machine goes dark, too."""

    name: str
    power: bool = False


@dataclass(frozen=True, slots=True)
class Restart:
    """A crashed hub starts again."""

    name: str


@dataclass(frozen=True, slots=True)
class Starve:
    """The process gets no time for a while."""

    name: str
    duration_us: Duration


@dataclass(frozen=True, slots=True)
class Reset:
    """Every link between two hubs breaks."""

    one: str
    other: str


@dataclass(frozen=True, slots=True)
class Worsen:
    """Every path has this quality from now on."""

    quality: Quality


Fault: TypeAlias = Cut | CutOneWay | Heal | Crash | Restart | Starve | Reset | Worsen
Plan: TypeAlias = tuple[tuple[Instant, Fault], ...]


def schedule(world: World, plan: Iterable[tuple[Instant, Fault]]) -> None:
    """Let each fault happen at its instant of the world's time."""
    for at, fault in plan:
        world.kernel.at(at, apply, world, fault)


def apply(world: World, fault: Fault) -> None:
    """Let one fault happen now."""
    names = world.names
    match fault:
        case Cut(groups):
            world.cut(*[[names[name] for name in group] for group in groups])
        case CutOneWay(source, target):
            world.cut_one_way(names[source], names[target])
        case Heal():
            world.heal()
        case Crash(name, power):
            world.crash(names[name], power=power)
        case Restart(name):
            world.restart(names[name])
        case Starve(name, duration_us):
            world.starve(names[name], duration_us)
        case Reset(one, other):
            world.reset(names[one], names[other])
        case Worsen(quality):
            world.paths.set_all(quality)
        case _:
            assert_never(fault)
