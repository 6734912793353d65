"""How everything here is measured: CPU time, in turns with a limit, medians.

A machine that other programs share changes its speed from second to second. So a figure and its limit are measured
alternately (ours, limit, ours, limit, ...), each turn long enough to dwarf the clock's resolution, and a ratio is the
median of the ratios of neighbours: what slows both down cancels out. CPU time is user and system time of the process,
from ``time.process_time`` (all threads, nanoseconds), so waiting for other programs is not counted.
Deviation from the usual: the garbage collector stays on, because it is on in a hub.
"""

from __future__ import annotations

import gc
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TypeVar

from protocol import Bar

LIBRARIES = ("trio", "zeroconf", "msgpack", "cryptography", "PyNaCl", "click")
US = 1e6

Item = TypeVar("Item")

Figure = float | int | str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure: ``repeats`` (>= 5) turns of every contestant; ``quick`` shortens turns and windows.

    ``profile`` names a directory that gets the sampled stacks of every hub process, see :mod:`benchmarks.sampler`;
    ``ratings`` is a file for :mod:`benchmarks.trust`.
    """

    repeats: int = 9
    quick: bool = False
    profile: Path | None = None
    ratings: Path | None = None

    def count(self, full: int) -> int:
        """Operations in a turn."""
        return max(20, full // 4) if self.quick else full

    def seconds(self, full: float) -> float:
        """Length of a window."""
        return full / 4 if self.quick else full


@dataclass(frozen=True, slots=True)
class Outcome:
    """One benchmark's bars, and the figures beside them that no bar judges."""

    bars: list[Bar]
    figures: Mapping[str, Figure] = field(default_factory=dict)


Turn = Callable[[], float]
"""Does its work and returns the CPU seconds of one operation."""


@dataclass(frozen=True, slots=True)
class Turns:
    """The turns of every contestant, in the order in which they were taken."""

    taken: Mapping[str, Sequence[float]]

    def median_us(self, name: str) -> float:
        """The median CPU time of one operation in microseconds."""
        return median(self.taken[name]) * US

    def ratio(self, name: str, limit: str) -> float:
        """How many times ``limit`` costs ``name``: the median over neighbouring turns."""
        return median(ours / bare for ours, bare in zip(self.taken[name], self.taken[limit], strict=True))


def alternate(contestants: Mapping[str, Turn], repeats: int) -> Turns:
    """Every contestant in turn, ``repeats`` times, after one round that only warms up."""
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in contestants.values():
        turn()
    for _ in range(repeats):
        for name, turn in contestants.items():
            gc.collect()
            taken[name].append(turn())
    return Turns(taken)


def per_item(items: Sequence[Item], work: Callable[[Item], object]) -> float:
    """CPU seconds of one ``work(item)``, the loop included."""
    start = time.process_time()
    for item in items:
        work(item)
    return (time.process_time() - start) / len(items)


def environment() -> dict[str, Figure]:
    """What the figures depend on: interpreter, libraries, cores and how busy they are now."""
    said: dict[str, Figure] = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": load(),
    }
    said.update({name: version(name) for name in LIBRARIES})
    if sys.flags.optimize or sys.flags.dev_mode:
        said["flags"] = str(sys.flags)
    return said


def load() -> str:
    """The load averages of 1, 5 and 15 minutes."""
    return " ".join(f"{figure:.2f}" for figure in os.getloadavg())


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()
