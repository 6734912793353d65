"""The demonstration as a person runs it: judged by itself, and gone without a trace however it ends."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.daemon.processes import MESHNODE, environ
from tests.daemon.rig import alive, process_tree

pytestmark = pytest.mark.usefixtures("nothing_left")

HUBS = 6
SECONDS = 24
EXACT = (
    "hubs with both sides right during the cut",
    "values shown that their author did not say",
    "values shown past their lease",
    "hubs whose crowd mean agrees bit by bit afterwards",
)
"""The bars that no load of the machine excuses; the others are times."""
GONE_S = 12.0
"""Longer than the demonstration gives its hubs to leave."""


@dataclass
class Demo:
    """A running demonstration: its process, and the folder that it may use for temporary files."""

    process: trio.Process
    temporary: Path
    hubs: list[int]
    """Process ids of everything it had started when it was looked at last."""

    async def started(self, hubs: int) -> None:
        """Wait until that many hubs answer."""
        with trio.fail_after(20):
            while len(list(self.temporary.glob("*/h*/control.sock"))) < hubs:
                assert self.process.returncode is None
                await trio.sleep(0.05)
        self.look()

    def look(self) -> None:
        """Remember whom it has started."""
        self.hubs = sorted({*self.hubs, *process_tree(self.process.pid)})

    async def all_gone(self) -> None:
        """Wait until nothing that it started runs."""
        with trio.move_on_after(GONE_S):
            while any(alive(pid) for pid in self.hubs):
                await trio.sleep(0.05)
        left = [pid for pid in self.hubs if alive(pid)]
        assert left == [], f"still running: {left}"


@asynccontextmanager
async def demo(folder: Path, *arguments: str) -> AsyncIterator[Demo]:
    """``meshnode demo``; what it leaves behind is ended by process id after the test has looked."""
    temporary = folder / "t"  # the path of a Unix socket has 107 bytes at most
    temporary.mkdir()
    command = [*MESHNODE, "demo", *arguments]
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = await trio.lowlevel.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=environ(folder, TMPDIR=str(temporary)),
            cwd=folder,
            start_new_session=True,
        )
    shown = Demo(process, temporary, [])
    try:
        yield shown
    finally:
        with trio.CancelScope(shield=True):
            shown.look()
            if process.returncode is None:
                process.kill()
            await process.wait()
            for pid in shown.hubs:
                if alive(pid):
                    subprocess.run(["kill", "-9", str(pid)], check=False)


async def test_the_demonstration_is_right_and_leaves_nothing(tmp_path: Path) -> None:
    async with demo(tmp_path, "--hubs", str(HUBS), "--seconds", str(SECONDS), "--seed", "7", "--json") as shown:
        await shown.started(HUBS)
        with trio.fail_after(SECONDS + 20):
            code = await shown.process.wait()
        await shown.all_gone()
        assert len(shown.hubs) >= HUBS
        assert list(shown.temporary.iterdir()) == []
    assert (tmp_path / "err").read_text() == ""
    (line,) = (tmp_path / "out").read_text().splitlines()
    report: dict[str, Any] = json.loads(line)
    bars = {bar["name"]: bar for bar in report["bars"]}
    for bar in report["bars"]:
        print(f"{'met' if bar['met'] else 'MISSED'}: {bar['name']}: {bar['ours']} {bar['unit']} (bar {bar['bar']})")
        assert set(bar) >= {"name", "ours", "reference", "bar", "unit", "met"}
    for name in EXACT:
        assert bars[name]["met"], bars[name]
    assert len(report["bars"]) >= 10
    assert report["met"] == all(bar["met"] for bar in report["bars"])
    assert code == (0 if report["met"] else 1)
    assert report["hubs"] == HUBS
    assert len(report["pss_mb_per_hub"]) == len(report["cpu_s_per_hub"]) == HUBS
    assert 5 <= report["cut_s"] <= 20
    assert sorted(hub for group in report["groups"] for hub in group) == list(range(HUBS))


async def once(shown: Demo, number: signal.Signals) -> None:
    shown.process.send_signal(number)


async def impatiently(shown: Demo, number: signal.Signals) -> None:
    """As a person does who thinks that nothing happens."""
    for _ in range(3):
        shown.process.send_signal(number)
        with trio.move_on_after(0.15):
            await shown.process.wait()
            return


Ending = Callable[[Demo, signal.Signals], Awaitable[None]]
ENDINGS: dict[str, tuple[Ending, signal.Signals]] = {
    "Ctrl-C": (once, signal.SIGINT),
    "Ctrl-C three times": (impatiently, signal.SIGINT),
    "a closed terminal": (once, signal.SIGHUP),
    "kill": (once, signal.SIGTERM),
    "kill -9": (once, signal.SIGKILL),
}
STOPPED = "stopped; no hub is left running\n"
XFAIL = {
    "kill": "SIGTERM raises in the midst of trio, which ends with tracebacks",
    "a closed terminal": "the temporary folder stays, and the keys of the hubs in it",
}


def ending(name: str) -> object:
    """The case of that name, marked if it is known to fail."""
    return pytest.param(name, marks=pytest.mark.xfail(strict=True, reason=XFAIL[name]) if name in XFAIL else ())


@pytest.mark.parametrize("name", [ending(name) for name in ENDINGS])
async def test_however_the_demonstration_ends_no_hub_is_left(tmp_path: Path, name: str) -> None:
    how, number = ENDINGS[name]
    async with demo(tmp_path, "--hubs", "2", "--seconds", "30") as shown:
        await shown.started(2)
        assert len(shown.hubs) == 2
        await how(shown, number)
        with trio.fail_after(GONE_S):
            code = await shown.process.wait()
        await shown.all_gone()
        said = (tmp_path / "err").read_text()
        assert "Traceback" not in said
        if number is not signal.SIGKILL:
            assert list(shown.temporary.iterdir()) == []
        if name == "Ctrl-C":
            assert (code, said) == (130, STOPPED)


async def test_ctrl_c_while_the_hubs_start_leaves_nothing_either(tmp_path: Path) -> None:
    async with demo(tmp_path, "--hubs", "2", "--seconds", "30") as shown:
        with trio.fail_after(20):
            while not process_tree(shown.process.pid):
                await trio.sleep(0.01)
        shown.look()
        shown.process.send_signal(signal.SIGINT)
        while shown.process.returncode is None:
            shown.look()
            with trio.move_on_after(0.02):
                await shown.process.wait()
        await shown.all_gone()
        assert list(shown.temporary.iterdir()) == []
        assert (tmp_path / "err").read_text() == STOPPED
