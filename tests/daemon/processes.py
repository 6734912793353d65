"""Hubs and commands as processes of their own; each is ended by its process id, whatever the test does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from protocol.inputs import Address

READY_S = 60.0
STOP_S = 10.0
MESHNODE = (sys.executable, "-m", "meshnode")


def environ(folder: Path, **more: str) -> dict[str, str]:
    """An environment in which nothing of the person who runs the tests is found."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MESHNODE_", "XDG_"))}
    return kept | {"HOME": str(folder), "PYTHONUNBUFFERED": "1"} | more


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Its standard output, which must be one JSON object on one line."""
        (line,) = self.out.splitlines()
        return json.loads(line)

    @property
    def lines(self) -> list[str]:
        """The lines on standard error."""
        return self.err.splitlines()


async def meshnode(folder: Path, *arguments: str, seconds: float = 20.0, env: dict[str, str] | None = None) -> Ended:
    """Run one ``meshnode`` command to its end."""
    chosen = environ(folder) if env is None else env
    with trio.fail_after(seconds):
        done = await trio.run_process(
            [*MESHNODE, *arguments], capture_stdout=True, capture_stderr=True, check=False, env=chosen, cwd=folder
        )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


@dataclass
class Running:
    """A ``meshnode run`` that has said that it is ready."""

    process: trio.Process
    state: Path
    author: str
    port: int
    log: Path

    @property
    def address(self) -> Address:
        """Where it listens."""
        return ("127.0.0.1", self.port)

    @property
    def pid(self) -> int:
        """Its process id; we started it."""
        return self.process.pid

    async def ask(self, **request: object) -> dict[str, Any]:
        """One question over the control socket."""
        with trio.fail_after(10):
            stream = await trio.open_unix_socket(str(self.state / "control.sock"))
            async with stream:
                await stream.send_all(json.dumps(request).encode() + b"\n")
                answer = b""
                while not answer.endswith(b"\n"):
                    part = await stream.receive_some(1 << 18)
                    assert part, "the hub hung up"
                    answer += part
        told: dict[str, Any] = json.loads(answer)
        return told

    async def status(self) -> dict[str, Any]:
        """What ``meshnode status --json`` would print."""
        return await self.ask(cmd="status")

    async def until(self, condition: Any, seconds: float = 10.0, what: str = "") -> dict[str, Any]:
        """Ask for the status until it meets the condition; returns that status."""
        status: dict[str, Any] = {}
        with trio.move_on_after(seconds):
            while True:
                status = await self.status()
                if condition(status):
                    return status
                await trio.sleep(0.02)
        raise AssertionError(f"not within {seconds} s: {what}; the status was {status}")

    async def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        with trio.fail_after(STOP_S):
            return await self.process.wait()

    async def kill(self) -> None:
        """SIGKILL: no last word to anybody."""
        os.kill(self.pid, signal.SIGKILL)
        await self.process.wait()


@asynccontextmanager
async def running(
    folder: Path,
    name: str,
    *arguments: str,
    prefix: Sequence[str] = (),
    env: dict[str, str] | None = None,
) -> AsyncIterator[Running]:
    """``meshnode run`` with a state directory of its own under ``folder``; ``prefix`` goes before the command."""
    state, log = folder / name, folder / f"{name}.log"
    command = [*prefix, *MESHNODE, "run", "--json", "--with-parent", "--state-dir", str(state), *arguments]
    with log.open("ab") as file:
        process = await trio.lowlevel.open_process(
            command,
            stdin=subprocess.PIPE,  # it ends with us, even if we are killed
            stdout=subprocess.PIPE,
            stderr=file,
            env=environ(folder) if env is None else env,
            cwd=folder,
            start_new_session=True,  # Ctrl-C reaches the tests, which then end it; its share of a core is its own
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = b""
        with trio.move_on_after(READY_S):
            while not line.endswith(b"\n"):
                part = await process.stdout.receive_some(4_096)
                if not part:
                    break
                line += part
        assert line.endswith(b"\n"), f"{name} did not start: {log.read_text()}"
        said = json.loads(line)
        yield Running(process, state, said["author"], said["port"], log)
    finally:
        with trio.CancelScope(shield=True):
            await end(process)
            await process.stdin.aclose()
            await process.stdout.aclose()


async def end(process: trio.Process) -> None:
    """End a process that we started: gently, and after a while for certain."""
    if process.returncode is None:
        process.terminate()
        with trio.move_on_after(STOP_S):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()


LOCAL = ("--listen", "127.0.0.1:0", "--no-mdns")
"""On loopback and by written-down peers only."""
