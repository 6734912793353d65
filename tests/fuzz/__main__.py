"""Fuzz for a while: `python -m tests.fuzz --seconds 60 --seed 7`; a failure prints the command that repeats it."""

from __future__ import annotations

import argparse
import sys
import time  # noqa: TID251 - says when to stop; what is tried follows from the seed alone
import traceback
from collections.abc import Iterator, Sequence

from tests.fuzz.targets import TARGETS, Failed, round_of


def rounds(names: Sequence[str], seed: int) -> Iterator[tuple[str, int]]:
    """Targets with their seeds, each as often as its share says."""
    number = seed
    while True:
        for name in names:
            for _ in range(TARGETS[name][1] if len(names) > 1 else 1):
                yield name, number
                number += 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz; the exit status is 0 only if every round was good."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="when to stop")
    parser.add_argument("--rounds", type=int, default=None, help="when to stop, whatever the time")
    parser.add_argument("--seed", type=int, default=0, help="the first seed; round n has this plus n")
    parser.add_argument("--target", choices=sorted(TARGETS), action="append", help="only these (default: all)")
    chosen = parser.parse_args(arguments)
    names: list[str] = chosen.target or list(TARGETS)
    counts = dict.fromkeys(names, 0)
    until = time.monotonic() + chosen.seconds
    for total, (name, seed) in enumerate(rounds(names, chosen.seed)):
        if time.monotonic() >= until or total == chosen.rounds:
            break
        try:
            round_of(name, seed)
        except Failed as fault:
            traceback.print_exception(fault)
            print(f"failed; to repeat: {fault}")
            return 1
        counts[name] += 1
    print("good: " + ", ".join(f"{count} rounds of {name}" for name, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
