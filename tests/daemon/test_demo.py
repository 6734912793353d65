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
        self.hubs = sorted({*self.hubs, *filter(is_hub, process_tree(self.process.pid))})

    async def all_gone(self) -> list[int]:
        """Wait until nothing that it started runs; returns the process ids of what still does."""
        with trio.move_on_after(GONE_S):
            while any(alive(pid) for pid in self.hubs):
                await trio.sleep(0.05)
        return [pid for pid in self.hubs if alive(pid)]


def is_hub(pid: int) -> bool:
    """Whether this process is a hub or what starts them; a child not replaced yet bears its parent's words."""
    try:
        return b"meshnode.demo.brood" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


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
        assert await shown.all_gone() == []
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
    """When the hubs answer."""
    await shown.started(2)
    shown.process.send_signal(number)


async def impatiently(shown: Demo, number: signal.Signals) -> None:
    """As a person does who thinks that nothing happens."""
    await shown.started(2)
    for _ in range(3):
        shown.process.send_signal(number)
        with trio.move_on_after(0.15):
            await shown.process.wait()
            return


async def early(shown: Demo, number: signal.Signals) -> None:
    """While the first hub starts."""
    with trio.fail_after(20):
        while not shown.hubs:  # a child that is no hub may come first: importing trio asks ldconfig for a library
            await trio.sleep(0.01)
            shown.look()
    shown.process.send_signal(number)


Ending = Callable[[Demo, signal.Signals], Awaitable[None]]


async def at_once(shown: Demo, number: signal.Signals) -> None:
    """While the command is still being loaded."""
    with trio.fail_after(20):
        while not process_tree(shown.process.pid):
            await trio.sleep(0.01)
    shown.process.send_signal(number)


ENDINGS: dict[str, tuple[Ending, signal.Signals]] = {
    "Ctrl-C": (once, signal.SIGINT),
    "Ctrl-C three times": (impatiently, signal.SIGINT),
    "Ctrl-C while the hubs start": (early, signal.SIGINT),
    "Ctrl-C before there is a hub": (at_once, signal.SIGINT),
    "a closed terminal": (once, signal.SIGHUP),
    "kill": (once, signal.SIGTERM),
    "kill -9": (once, signal.SIGKILL),
}
STOPPED = "stopped; no hub is left running\n"


@dataclass(frozen=True)
class Aftermath:
    """What was left of a demonstration that was ended."""

    code: int
    said: str
    started: int
    running: list[int]
    files: list[str]


@pytest.fixture(scope="module")
def aftermaths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Aftermath]:
    """Every way to end a demonstration, all at once: they wait more than they work."""
    found: dict[str, Aftermath] = {}

    async def one(name: str) -> None:
        how, number = ENDINGS[name]
        folder = tmp_path_factory.mktemp("ending")
        async with demo(folder, "--hubs", "2", "--seconds", "60") as shown:
            await how(shown, number)
            with trio.fail_after(GONE_S):
                while shown.process.returncode is None:
                    shown.look()  # a hub may still be on its way
                    with trio.move_on_after(0.02):
                        await shown.process.wait()
            left = await shown.all_gone()
            files = [path.name for path in shown.temporary.iterdir()]
            code = await shown.process.wait()
        found[name] = Aftermath(code, (folder / "err").read_text(), len(shown.hubs), left, files)

    async def everything() -> None:
        async with trio.open_nursery() as nursery:
            for name in ENDINGS:
                nursery.start_soon(one, name)

    trio.run(everything)
    return found


@pytest.mark.parametrize("name", ENDINGS)
def test_however_the_demonstration_ends_no_hub_is_left(aftermaths: dict[str, Aftermath], name: str) -> None:
    assert aftermaths[name].started >= (0 if "before" in name else 1 if "start" in name else 2)
    assert aftermaths[name].running == []


def asked(name: str) -> object:
    """The case of that name, marked if it is known to fail."""
    return pytest.param(name)


@pytest.mark.parametrize("name", [asked(name) for name in ENDINGS if name != "kill -9"])
def test_a_demonstration_that_is_asked_to_end_tidies_up(aftermaths: dict[str, Aftermath], name: str) -> None:
    assert aftermaths[name].files == []
    assert "Traceback" not in aftermaths[name].said


def test_ctrl_c_is_answered_with_a_sentence_and_status_130(aftermaths: dict[str, Aftermath]) -> None:
    assert (aftermaths["Ctrl-C"].code, aftermaths["Ctrl-C"].said) == (130, STOPPED)
    assert aftermaths["Ctrl-C while the hubs start"].said == STOPPED
    assert (aftermaths["Ctrl-C before there is a hub"].code, aftermaths["Ctrl-C before there is a hub"].said) == (
        130,
        STOPPED,
    )
