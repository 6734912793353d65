"""The one command runs what is there, says what failed, and ends what hangs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.check import ROOT, TIMED_OUT, Outcome, Stage, counted, run, stages, verdict

HANGS = "import os, signal; print(os.getpid(), file=open('pid', 'w'), flush=True); signal.pause()"
STUBBORN = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); {HANGS}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small repository: one package, two fast test folders, two of them, and an empty one."""
    for name in ("protocol/a.py", "tests/unit/protocol/test_a.py", "tests/tidy/test_b.py", "tests/unit/sim/test_c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "tests" / "property").mkdir()
    return tmp_path


def test_the_fast_check_takes_the_fast_tests_that_exist(tree: Path) -> None:
    (style, lint, types, tests), beside = stages(full=False, reports=tree, root=tree)
    assert style.command[1:] == ("-m", "ruff", "format", "--check", ".")
    assert lint.command[1:] == ("-m", "ruff", "check", ".")
    assert types.command[1:] == ("-m", "mypy", "--strict", "protocol", "tests")
    assert tests.command[1:4] == beside.command[1:4] == ("-m", "pytest", "-q")
    assert tests.command[5:] == ("-m", "not slow", "tests/tidy", "tests/unit/sim")
    assert beside.command[5:] == ("-m", "not slow", "tests/unit/protocol")


def test_the_full_check_takes_every_test_once(tree: Path) -> None:
    in_order, beside = stages(full=True, reports=tree)
    taken = [*in_order[-1].command[5:], *beside.command[5:]]
    every = {path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py")}
    found = [path.relative_to(ROOT) for folder in taken for path in (ROOT / folder).rglob("test_*.py")]
    assert len(found) == len(set(found))
    assert set(found) == every


def test_the_total_is_counted_over_all_reports(tmp_path: Path) -> None:
    for name, numbers in (("a", 'tests="9" failures="0" errors="0" skipped="2"'), ("b", 'tests="4" failures="1"')):
        (tmp_path / name).write_text(f"<testsuites><testsuite {numbers}/></testsuites>", encoding="utf-8")
    reports = [tmp_path / "a", tmp_path / "absent"]
    assert counted(reports) == "7 passed, 2 skipped"
    assert counted([*reports, tmp_path / "b"]) == "1 failed, 10 passed, 2 skipped"


@pytest.mark.parametrize("status", [0, 1, 5])
def test_a_stage_reports_the_status_of_its_tool(status: int, tmp_path: Path) -> None:
    outcome = run(Stage("tool", (sys.executable, "-c", f"raise SystemExit({status})")), tmp_path)
    assert (outcome.name, outcome.status) == ("tool", status)


@pytest.mark.parametrize("program", [HANGS, STUBBORN], ids=["that_stops", "that_does_not_stop"])
def test_a_stage_that_hangs_is_ended_at_its_limit(
    program: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = run(Stage("tool", (sys.executable, "-c", program)), tmp_path, limit_s=2.0, grace_s=0.1)
    assert outcome.status == TIMED_OUT
    assert "tool: ended after 2 s, its time limit" in capfd.readouterr().out
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text(encoding="utf-8")), 0)


@pytest.mark.parametrize(
    ("statuses", "took_s", "text"),
    [
        ((0, 0), 3.5, "check: good in 3.5 s"),
        ((1, 5), 3.0, "check: FAILED in lint, tests in 3.0 s"),
        ((0, 0), 61.0, "check: good in 61.0 s; slower than its budget of 60 s"),
    ],
)
def test_the_verdict_names_what_failed_and_what_is_slow(statuses: tuple[int, int], took_s: float, text: str) -> None:
    outcomes = [Outcome(name, status, 1.0) for name, status in zip(("lint", "tests"), statuses, strict=True)]
    assert verdict(outcomes, took_s, 60) == text
