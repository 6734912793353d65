"""Published experiments, run again with our machines: ``python -m sim papers NAME``.

Each paper is a module of this package with ``ABOUT`` (one line), ``PARTS`` (what can be asked for by itself) and
``run(plan) -> Found``. It prints our figures beside the published ones with the conditions of both; what the project
claims is a :class:`~protocol.bars.Bar`. Figures are medians over the seeds unless a bar says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from statistics import median
from typing import Final, Protocol, TypeVar, cast

from protocol.bars import Bar
from sim.executors import Processes
from sim.kernel import collect_seldom

PAPERS: Final = {
    "benign": "sim.papers.benign",
    "eclipse": "sim.papers.eclipse",
    "gossipsub": "sim.papers.gossipsub",
    "glitch": "sim.papers.glitch",
    "hyparview": "sim.papers.hyparview",
    "lifeguard": "sim.papers.lifeguard",
    "malice": "sim.papers.malice",
    "plumtree": "sim.papers.plumtree",
    "reconcile": "sim.papers.reconcile",
    "remerge": "sim.papers.remerge",
    "state-plane": "sim.papers.state_plane",
    "sybil": "sim.papers.sybil",
}

Cell = float | int | str | bool | None
Row = Mapping[str, Cell]

Work = TypeVar("Work")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a plot; ``points`` are (x, y)."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Picture:
    """What ``--plot`` draws."""

    title: str
    x: str
    y: str
    curves: Sequence[Curve]


@dataclass(frozen=True, slots=True)
class Found:
    """What a paper came to: claims, tables of rows by name, the conditions, and perhaps a picture."""

    bars: list[Bar]
    tables: Mapping[str, Sequence[Row]]
    conditions: Mapping[str, Cell]
    picture: Picture | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much to run. ``seeds`` and ``nodes`` None mean what the claim says; ``parts`` empty means all.

    ``quick`` shortens rounds and waits, for trying things and not for claims; ``jobs`` is the number of processes.
    """

    seeds: int | None = None
    first: int = 1
    nodes: int | None = None
    quick: bool = False
    jobs: int = 1
    parts: Sequence[str] = ()
    say: Callable[[str], None] = field(default=lambda _line: None)

    def wants(self, part: str) -> bool:
        """Whether this part was asked for."""
        return not self.parts or part in self.parts

    def seed_range(self, usual: int) -> range:
        """The seeds to run, ``usual`` of them unless told otherwise."""
        return range(self.first, self.first + (self.seeds or usual))

    def each(self, what: str, work: Callable[[Work], Result], items: Iterable[Work]) -> list[Result]:
        """``work`` of every item, in their order; in processes if there are several jobs. Says what is done."""
        listed = list(items)
        results: dict[int, Result] = {}
        if self.jobs <= 1 or len(listed) < 2:
            collect_seldom()
            for number, item in enumerate(listed):
                results[number] = work(item)
                self.say(f"{what}: {number + 1} of {len(listed)}")
        else:
            for number, outcome in Processes(self.jobs).run(work, listed):
                if isinstance(outcome, BaseException):
                    raise outcome
                results[number] = outcome
                self.say(f"{what}: {len(results)} of {len(listed)}")
        return [results[number] for number in range(len(listed))]


class Paper(Protocol):
    """A module of this package."""

    ABOUT: str
    PARTS: Sequence[str]

    def run(self, plan: Plan) -> Found:
        """Do it."""


def load(name: str) -> Paper:
    """The module that runs a paper."""
    return cast(Paper, import_module(PAPERS[name]))


def middle(values: Iterable[float | None]) -> float | None:
    """The median; None if there is nothing or if one of the values could not be measured."""
    listed = list(values)
    known = [value for value in listed if value is not None]
    return median(known) if known and len(known) == len(listed) else None


def table(rows: Sequence[Row]) -> str:
    """Rows as aligned text, for people."""
    if not rows:
        return "(nothing)"
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([_cell(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)


def _cell(value: Cell) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
