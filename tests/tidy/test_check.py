"""The one command runs what is there, says what failed, and ends what hangs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.check import FULL_TESTS, TIMED_OUT, Outcome, Stage, run, stages, verdict

HANGS = "import os, signal; print(os.getpid(), file=open('pid', 'w'), flush=True); signal.pause()"
STUBBORN = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); {HANGS}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small repository: one package, two fast test folders, one slow one, one empty one."""
    for name in ("protocol/a.py", "tests/unit/test_a.py", "tests/tidy/test_b.py", "tests/e2e/test_c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "tests" / "property").mkdir()
    return tmp_path


def test_the_fast_check_takes_the_fast_tests_that_exist(tree: Path) -> None:
    style, lint, types, tests = stages(full=False, root=tree)
    assert style.command[1:] == ("-m", "ruff", "format", "--check", ".")
    assert lint.command[1:] == ("-m", "ruff", "check", ".")
    assert types.command[1:] == ("-m", "mypy", "--strict", "protocol", "tests")
    assert tests.command[1:] == ("-m", "pytest", "-q", "-m", "not slow", "tests/unit", "tests/tidy")


def test_the_full_check_takes_every_test_in_one_run(tree: Path) -> None:
    assert stages(full=True, root=tree)[-1].command[2:] == ("pytest", "-q", "tests/unit", "tests/tidy", "tests/e2e")
    for name in FULL_TESTS:
        (tree / "tests" / name).mkdir(exist_ok=True)
        (tree / "tests" / name / "test_x.py").touch()
    assert stages(full=True, root=tree)[-1].command[4:] == tuple(f"tests/{name}" for name in FULL_TESTS)


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
    ("outcomes", "text"),
    [
        ([Outcome("lint", 0, 1.0), Outcome("tests", 0, 2.5)], "check: good, 3.5 s"),
        ([Outcome("lint", 1, 1.0), Outcome("tests", 5, 2.0)], "check: FAILED in lint, tests, 3.0 s"),
        ([Outcome("tests", 0, 61.0)], "check: good, 61.0 s; slower than its budget of 60 s"),
    ],
)
def test_the_verdict_names_what_failed_and_what_is_slow(outcomes: list[Outcome], text: str) -> None:
    assert verdict(outcomes, 60) == text
