"""``python -m benchmarks [NAME...] [--json] [--quick]``: measure, compare with the bars, exit 0 only if all are met.

Names are ``receive``, ``link``, ``mesh``, ``idle``, ``sim``, ``store`` and ``trust``; none means all. Exit 1: a bar is
missed or could not be measured; exit 2: wrong arguments. docs/benchmarks.md says what each figure counts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from benchmarks.measure import Figure, Outcome, Plan, environment, load
from protocol import Bar
from protocol.bars import all_met, emit
from protocol.errors import MeshError

NAMES: Final = ("receive", "link", "mesh", "idle", "sim", "store", "trust")
MODULES: Final = {"sim": "simulator"}
"""Where the module is not called like the benchmark."""
REPEATS_MIN: Final = 5


def measure(name: str, plan: Plan) -> Outcome:
    """Run one benchmark; what cannot be measured is a bar that is not met."""
    try:
        outcome: Outcome = import_module(f"benchmarks.{MODULES.get(name, name)}").measure(plan)
    except MeshError as fault:
        return Outcome([Bar(f"{name}: {fault}", None, 1.0, "measured", at_most=False)])
    return outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure this software beside its limits."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument("--quick", action="store_true", help="shorter turns: for trying things, not for claims")
    parser.add_argument("--repeats", type=int, default=9, help=f"turns of each contestant, at least {REPEATS_MIN}")
    parser.add_argument("--profile", type=Path, metavar="DIR", help="write the stacks sampled in every hub")
    parser.add_argument("--ratings", type=Path, metavar="FILE", help="for trust: rows source,target,rating,seconds")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in NAMES]
    if unknown or given.repeats < REPEATS_MIN:
        parser.error(f"there is no benchmark {unknown[0]!r}" if unknown else f"--repeats: at least {REPEATS_MIN}")
    if given.profile is not None:
        given.profile = given.profile.absolute()
        given.profile.mkdir(parents=True, exist_ok=True)
    plan = Plan(REPEATS_MIN if given.quick else given.repeats, given.quick, given.profile, given.ratings)
    surroundings = environment()
    outcomes: dict[str, Outcome] = {}
    loads: dict[str, Figure] = {}
    for name in dict.fromkeys(given.names or NAMES):
        before = load()
        outcomes[name] = measure(name, plan)
        loads[name] = f"{before} before, {load()} after"
    bars = [bar for outcome in outcomes.values() for bar in outcome.bars]
    figures = {name: dict(outcome.figures) for name, outcome in outcomes.items()}
    more = {"environment": surroundings, "load": loads, "figures": figures, "quick": given.quick}
    if not given.json:
        _explain(surroundings, loads, figures)
    print(emit(bars, as_json=given.json, **more))
    return 0 if all_met(bars) else 1


def _explain(surroundings: dict[str, Figure], loads: dict[str, Figure], figures: dict[str, dict[str, Figure]]) -> None:
    """What stands beside the bars, for people."""
    print("; ".join(f"{name} {value}" for name, value in surroundings.items()))
    for name, listed in figures.items():
        print(f"{name} (load {loads[name]})")
        for what, figure in listed.items():
            print(f"    {what}: {figure}")


if __name__ == "__main__":
    sys.exit(main())
