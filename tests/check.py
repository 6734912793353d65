"""The one command that says whether the tree is good: `python -m tests.check`, and `--full` before a change lands.

Format, lint, types and the tests that compute, one after the other; beside them, in the second half of the machine,
the tests that mostly wait (real hubs, real sockets), whose output follows when both are done. Every stage runs even
if an earlier one failed: one round shows all that is wrong. A stage that passes its time limit is ended together
with everything it started, because a hung test must not hold a machine for an hour. The last line is the total.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time  # noqa: TID251 - measures the stages; nothing here is part of a protocol
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
CODE = ("protocol", "meshnode", "sim", "benchmarks", "tests")
FAST_TESTS = ("property", "tidy", "unit/benchmarks", "unit/link", "unit/meshnode", "unit/sensing", "unit/sim")
FAST_BESIDE = ("unit/protocol",)
FULL_TESTS = (*FAST_TESTS, *FAST_BESIDE, "fuzz", "sim")
FULL_BESIDE = ("daemon", "lab", "crash", "conformance", "e2e")
FAST_BUDGET_S = 60
FULL_BUDGET_S = 600
LIMIT_S = 20 * 60  # per stage: twice the whole budget, so that only what hangs is ended
GRACE_S = 10
TIMED_OUT = 124  # the exit status that timeout(1) gives


@dataclass(frozen=True, slots=True)
class Stage:
    """One tool with its arguments, run from the root of the repository; ``report`` is the file of a test run."""

    name: str
    command: tuple[str, ...]
    report: Path | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one stage ended: its exit status (0 is good) and how long it took."""

    name: str
    status: int
    took_s: float


def with_python(folders: Iterable[str], root: Path) -> list[str]:
    """Those of ``folders`` under ``root`` that hold Python files: tools object to being given none."""
    return [folder for folder in folders if any((root / folder).rglob("*.py"))]


def stages(full: bool, reports: Path, root: Path = ROOT) -> tuple[list[Stage], Stage]:
    """What a check runs: the stages in order, and the one beside them."""
    python = sys.executable

    def tests(name: str, folders: Iterable[str]) -> Stage:
        report = reports / f"{name}.xml"
        selection = () if full else ("-m", "not slow")
        found = with_python((f"tests/{folder}" for folder in folders), root)
        return Stage(name, (python, "-m", "pytest", "-q", f"--junit-xml={report}", *selection, *found), report)

    return [
        Stage("format", (python, "-m", "ruff", "format", "--check", ".")),
        Stage("lint", (python, "-m", "ruff", "check", ".")),
        Stage("types", (python, "-m", "mypy", "--strict", *with_python(CODE, root))),
        tests("tests", FULL_TESTS if full else FAST_TESTS),
    ], tests("beside", FULL_BESIDE if full else FAST_BESIDE)


def run(stage: Stage, root: Path = ROOT, limit_s: float = LIMIT_S, grace_s: float = GRACE_S) -> Outcome:
    """Run one stage, its output passed through, in a process group of its own that ends with it."""
    with started(stage, root, None, grace_s) as finish:
        return finish(limit_s)


@contextlib.contextmanager
def started(
    stage: Stage, root: Path = ROOT, output: IO[bytes] | None = None, grace_s: float = GRACE_S
) -> Iterator[Callable[[float], Outcome]]:
    """A stage that runs; what is given waits for its end. Whatever happens, nothing of it is left afterwards."""
    began = time.monotonic()
    with subprocess.Popen(stage.command, cwd=root, stdout=output, stderr=output, start_new_session=True) as process:

        def finish(limit_s: float) -> Outcome:
            try:
                status = process.wait(limit_s)
            except subprocess.TimeoutExpired:
                print(f"{stage.name}: ended after {limit_s:.0f} s, its time limit", flush=True)
                status = TIMED_OUT
            return Outcome(stage.name, status, time.monotonic() - began)

        try:
            yield finish
        finally:
            _end(process, grace_s)


def _end(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """End the stage's process group: first as Ctrl-C does, so that tests clean up, then for certain."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def counted(reports: Iterable[Path]) -> str:
    """How many tests passed, failed and were skipped in these reports of pytest."""
    total = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for report in reports:
        if report.exists():
            for suite in ElementTree.parse(report).getroot().iter("testsuite"):
                for name in total:
                    total[name] += int(suite.get(name, 0))
    bad = total["failures"] + total["errors"]
    failed = f"{bad} failed, " if bad else ""
    return f"{failed}{total['tests'] - bad - total['skipped']} passed, {total['skipped']} skipped"


def verdict(outcomes: Sequence[Outcome], took_s: float, budget_s: float) -> str:
    """One line: whether all is good, else which stages failed; and whether the loop has become too slow."""
    failed = [outcome.name for outcome in outcomes if outcome.status != 0]
    slow = f"; slower than its budget of {budget_s:.0f} s" if took_s > budget_s else ""
    state = f"FAILED in {', '.join(failed)}" if failed else "good"
    return f"check: {state} in {took_s:.1f} s{slow}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; the exit status is 0 only if every stage was good."""
    parser = argparse.ArgumentParser(prog="python -m tests.check", description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="every test folder, slow tests too (under ten minutes)")
    full: bool = parser.parse_args(arguments).full
    began = time.monotonic()
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        in_order, beside = stages(full, Path(folder))
        with started(beside, output=output) as finish:
            for stage in in_order:
                print(f"== {stage.name}", flush=True)
                outcomes.append(run(stage))
            outcomes.append(finish(LIMIT_S))
        output.seek(0)
        print(f"== {beside.name}\n{output.read().decode(errors='replace')}")
        total = counted(stage.report for stage in (*in_order, beside) if stage.report is not None)
    for outcome in outcomes:
        print(f"{outcome.name:8} {'good' if outcome.status == 0 else 'FAILED':8} {outcome.took_s:7.1f} s")
    took_s = time.monotonic() - began
    print(verdict(outcomes, took_s, FULL_BUDGET_S if full else FAST_BUDGET_S))
    print(f"{total} in {took_s:.2f}s")
    return 1 if any(outcome.status != 0 for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
