"""Nothing stays: however the harness ends, its processes, namespaces, interfaces and tables end with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.lab.netns import ROOT, why_no_weather

SCRIPT = """
import json, os, sys
from pathlib import Path
import trio
from tests.lab.stage import two_halls
from tests.lab.switch import Weather

async def main():
    async with two_halls(Path(sys.argv[1]), 2, Weather(latency_ms=5), 0.1) as stage:
        await stage.crowd(stage.rooms[0])
        pids = [os.getpid(), stage.venue.switch.pid, *(hub.pid for hub in stage.hubs)]
        spaces = [os.readlink(f"/proc/{pid}/ns/{kind}") for pid in pids[1:] for kind in ("net", "mnt")]
        print(json.dumps({"pids": pids, "spaces": spaces}), flush=True)
        if sys.argv[2] == "fails":
            raise AssertionError("as a test that fails")
        await trio.sleep_forever()

trio.run(main)
"""
ENDS = {"fails": None, "is interrupted": signal.SIGINT, "is terminated": signal.SIGTERM, "is killed": signal.SIGKILL}
GONE_S = 10.0


def spaces_in_use() -> set[str]:
    """The network and mount namespaces of every process that we may look at."""
    found: set[str] = set()
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            for kind in ("net", "mnt"):
                try:
                    found.add(os.readlink(process / "ns" / kind))
                except OSError:  # it has ended, or is somebody else's
                    continue
    return found


async def made_and_ended(folder: Path, how: str) -> dict[str, Any]:
    """What a harness made that was then ended in that way; returns when the harness itself is gone."""
    folder.mkdir()
    harness = await trio.lowlevel.open_process(
        [sys.executable, "-c", SCRIPT, str(folder), how],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        start_new_session=True,
    )
    assert harness.stdout is not None
    try:
        said = b""
        with trio.fail_after(40):
            while not said.endswith(b"\n"):
                part = await harness.stdout.receive_some(65_536)
                assert part, f"the harness that {how} did not start"
                said += part
            number = ENDS[how]
            if number is not None:
                harness.send_signal(number)
            await harness.wait()
    finally:
        with trio.CancelScope(shield=True):
            if harness.returncode is None:
                harness.kill()
                await harness.wait()
            await harness.stdout.aclose()
    made: dict[str, Any] = json.loads(said)
    return made


@pytest.mark.namespaces
@pytest.mark.usefixtures("namespaces", "nothing_left")
async def test_nothing_stays_however_the_harness_ends(tmp_path: Path) -> None:
    reason = why_no_weather()
    if reason is not None:
        pytest.skip(reason)
    made: dict[str, dict[str, Any]] = {}

    async def one(number: int, how: str) -> None:
        made[how] = await made_and_ended(tmp_path / str(number), how)

    async with trio.open_nursery() as nursery:
        for number, how in enumerate(ENDS):
            nursery.start_soon(one, number, how)
    assert len({space for what in made.values() for space in what["spaces"]}) >= 3 * len(ENDS)
    with trio.move_on_after(GONE_S):
        while any(left(what) for what in made.values()):
            await trio.sleep(0.05)
    assert {how: left(what) for how, what in made.items()} == {how: [] for how in ENDS}


def left(what: dict[str, Any]) -> list[str]:
    """Processes that still run and namespaces that are still in use."""
    used = spaces_in_use()
    running = [f"process {pid}" for pid in what["pids"] if Path(f"/proc/{pid}").exists()]
    return running + [space for space in dict.fromkeys(what["spaces"]) if space in used]


def test_a_machine_that_cannot_is_told_apart_in_the_summary_of_the_tests() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/lab/test_venue.py"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PATH": "/nowhere"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    skipped = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    assert skipped
    assert all(line.endswith("not installed: unshare, nsenter, ip, mount") for line in skipped)
    assert "passed" not in done.stdout
