"""The kit against the product: the hub as it is passes, and each hub with one check taken out is caught."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conformance.broken_hub import MUTATIONS
from tests.conformance.kit.runner import run_checks

MESH = "conformance"
WAIT_S = 20.0


@contextmanager
def hub(folder: Path, mutation: str) -> Iterator[int]:
    """A hub process with one check taken out; gives its port."""
    command = [sys.executable, "-m", "tests.conformance.broken_hub", mutation, "run", "--json", "--with-parent"]
    command += ["--state-dir", str(folder / "state"), "--mesh", MESH, "--listen", "127.0.0.1:0", "--no-mdns"]
    # A hub that shares speaks once a second anyway, which would hide that it never beats.
    command += ["--no-share" if mutation == "never-beats" else "--share", "--log-level", "error"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(json.loads(process.stdout.readline())["port"])
        finally:
            process.stdin.close()
            try:
                process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def verdict(folder: Path, mutation: str, requirement: str) -> tuple[str, str]:
    """What the kit says of one requirement, and what it saw."""
    folder.mkdir()
    with hub(folder, mutation) as port:
        (result,) = run_checks("127.0.0.1", port, MESH, only=requirement)
    return result.outcome, result.seen


def test_the_hub_as_it_is_passes_every_requirement(tmp_path: Path) -> None:
    with hub(tmp_path, "none") as port:
        results = run_checks("127.0.0.1", port, MESH)
    failed = [f"{result.requirement}: {result.seen}" for result in results if result.outcome == "fail"]
    assert not failed
    assert sum(result.outcome == "pass" for result in results) >= 65


def test_every_hub_with_one_check_taken_out_is_caught(tmp_path: Path) -> None:
    with ThreadPoolExecutor(max_workers=3) as pool:
        jobs = {
            name: pool.submit(verdict, tmp_path / name, name, requirement)
            for name, (requirement, _) in MUTATIONS.items()
        }
        missed = {name: job.result()[1] for name, job in jobs.items() if job.result()[0] != "fail"}
    assert not missed
    assert len(jobs) >= 10


@pytest.mark.parametrize("requirement", sorted({requirement for requirement, _ in MUTATIONS.values()}))
def test_every_broken_requirement_is_one_the_kit_tests(requirement: str) -> None:
    from tests.conformance.kit.requirements import REQUIREMENTS

    assert requirement in REQUIREMENTS
