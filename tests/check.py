"""The one command that says whether the tree is good: `python -m tests.check`, and `--full` before a change lands.

Format, lint, types, then one run of pytest, so that its closing line is the total. Every stage runs even if an
earlier one failed: one round shows all that is wrong. A stage that passes its time limit is ended together with
everything it started, because a hung test must not hold a machine for an hour.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time  # noqa: TID251 - measures the stages; nothing here is part of a protocol
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CODE = ("protocol", "meshnode", "sim", "benchmarks", "tests")
FAST_TESTS = ("unit", "property", "tidy")
FULL_TESTS = (*FAST_TESTS, "conformance", "fuzz", "sim", "daemon", "lab", "crash", "e2e")
FAST_BUDGET_S = 60
FULL_BUDGET_S = 600
LIMIT_S = 20 * 60  # per stage: twice the whole budget, so that only what hangs is ended
GRACE_S = 10
TIMED_OUT = 124  # the exit status that timeout(1) gives


@dataclass(frozen=True, slots=True)
class Stage:
    """One tool with its arguments, run from the root of the repository."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one stage ended: its exit status (0 is good) and how long it took."""

    name: str
    status: int
    took_s: float


def with_python(folders: Iterable[str], root: Path) -> list[str]:
    """Those of ``folders`` under ``root`` that hold Python files: tools object to being given none."""
    return [folder for folder in folders if any((root / folder).rglob("*.py"))]


def stages(full: bool, root: Path = ROOT) -> list[Stage]:
    """What a check runs, in order; the tests come last so that their total closes the output."""
    python = sys.executable
    folders = with_python((f"tests/{name}" for name in (FULL_TESTS if full else FAST_TESTS)), root)
    selection = () if full else ("-m", "not slow")
    return [
        Stage("format", (python, "-m", "ruff", "format", "--check", ".")),
        Stage("lint", (python, "-m", "ruff", "check", ".")),
        Stage("types", (python, "-m", "mypy", "--strict", *with_python(CODE, root))),
        Stage("tests", (python, "-m", "pytest", "-q", *selection, *folders)),
    ]


def run(stage: Stage, root: Path = ROOT, limit_s: float = LIMIT_S, grace_s: float = GRACE_S) -> Outcome:
    """Run one stage, its output passed through, in a process group of its own that ends with it."""
    started = time.monotonic()
    with subprocess.Popen(stage.command, cwd=root, start_new_session=True) as process:
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            print(f"{stage.name}: ended after {limit_s:.0f} s, its time limit", flush=True)
            status = TIMED_OUT
        finally:
            _end(process, grace_s)
    return Outcome(stage.name, status, time.monotonic() - started)


def _end(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """End the stage's process group: first as Ctrl-C does, so that tests clean up, then for certain."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def verdict(outcomes: Sequence[Outcome], budget_s: float) -> str:
    """One line: whether all is good, else which stages failed; and whether the loop has become too slow."""
    total_s = sum(outcome.took_s for outcome in outcomes)
    failed = [outcome.name for outcome in outcomes if outcome.status != 0]
    slow = f"; slower than its budget of {budget_s:.0f} s" if total_s > budget_s else ""
    state = f"FAILED in {', '.join(failed)}" if failed else "good"
    return f"check: {state}, {total_s:.1f} s{slow}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; the exit status is 0 only if every stage was good."""
    parser = argparse.ArgumentParser(prog="python -m tests.check", description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="every test folder, slow tests too (under ten minutes)")
    full: bool = parser.parse_args(arguments).full
    outcomes: list[Outcome] = []
    for stage in stages(full):
        print(f"== {stage.name}", flush=True)
        outcomes.append(run(stage))
    print()
    for outcome in outcomes:
        print(f"{outcome.name:8} {'good' if outcome.status == 0 else 'FAILED':8} {outcome.took_s:7.1f} s")
    print(verdict(outcomes, FULL_BUDGET_S if full else FAST_BUDGET_S))
    return 1 if any(outcome.status != 0 for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
