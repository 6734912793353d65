"""Starts hubs as processes of their own, asks them, and ends them by process id."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from meshnode.clock import boot_us
from meshnode.demo.brood import Brood, Forked
from protocol.errors import MeshError

READY_S = 30.0
STOP_S = 5.0


class DemoError(MeshError):
    """The demonstration could not be carried out."""


@dataclass(slots=True)
class HubProcess:
    """One running hub. ``author`` and ``port`` are known once it is ready."""

    index: int
    name: str
    state_dir: Path
    arguments: list[str]
    log: Path
    process: Forked | None = None
    author: str = ""
    port: int = 0
    ready_us: int = 0

    @property
    def pid(self) -> int:
        """Process id; the process was started by us."""
        assert self.process is not None
        return self.process.pid


class Crowd:
    """All hubs of one demonstration."""

    def __init__(self, folder: Path, secret: bytes, environ: dict[str, str]) -> None:
        self.folder = folder
        self.hubs: list[HubProcess] = []
        self._brood = Brood(environ)
        self._secret_file = folder / "mesh.secret"
        descriptor = os.open(self._secret_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secret.hex() + "\n")

    def add(self, name: str, recording: Path | None, *more: str) -> HubProcess:
        """Prepare one hub; ``more`` are further arguments of ``meshnode run``."""
        index = len(self.hubs)
        state = self.folder / f"h{index}"
        arguments = [
            "run",
            "--state-dir",
            str(state),
            "--secret-file",
            str(self._secret_file),
            "--lab",
            "--json",
            "--with-parent",
        ]
        arguments += ["--listen", "127.0.0.1:0", "--interface", "127.0.0.1", "--log-format", "json", "--share", *more]
        if recording is not None:
            arguments += ["--replay", str(recording)]
        hub = HubProcess(index, name, state, arguments, self.folder / f"h{index}.log")
        self.hubs.append(hub)
        return hub

    async def start(self, hub: HubProcess) -> None:
        """Start the process and wait until it says that it is ready.

        Raises:
            DemoError: it ended or stayed silent; the message carries its last log line.
        """
        with hub.log.open("ab") as log:
            hub.process = await self._brood.start(hub.arguments, log.fileno())
        line = b""
        with trio.move_on_after(READY_S):
            while b"\n" not in line:
                part = await hub.process.stdout.receive_some(4_096)
                if not part:
                    break
                line += part
        try:
            said = json.loads(line)
        except ValueError:
            raise DemoError(f"hub {hub.index} did not start: {last_line(hub.log)}") from None
        hub.author, hub.port, hub.ready_us = said["author"], said["port"], boot_us()

    async def start_all(self) -> None:
        """Start every hub that is not running, all at once."""
        async with trio.open_nursery() as nursery:
            for hub in self.hubs:
                if hub.process is None:
                    nursery.start_soon(self.start, hub)

    async def ask(self, hub: HubProcess, request: dict[str, Any]) -> dict[str, Any]:
        """One question over the hub's control socket.

        Raises:
            DemoError: the hub does not answer or refuses.
        """
        try:
            with trio.fail_after(20):
                stream = await trio.open_unix_socket(str(hub.state_dir / "control.sock"))
                async with stream:
                    await stream.send_all(json.dumps(request).encode() + b"\n")
                    parts: list[bytes] = []
                    while not (parts and parts[-1].endswith(b"\n")):
                        part = await stream.receive_some(1 << 18)
                        if not part:
                            raise DemoError(f"hub {hub.index} hung up")
                        parts.append(part)
        except (OSError, trio.TooSlowError, trio.BrokenResourceError) as fault:
            why = f"{type(fault).__name__} {fault}; {last_line(hub.log)}"
            raise DemoError(f"hub {hub.index} does not answer: {why}") from fault
        answer: dict[str, Any] = json.loads(b"".join(parts))
        if "error" in answer:
            raise DemoError(f"hub {hub.index}: {answer['error']}")
        return answer

    async def ask_all(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        """The same question to every running hub at once; answers in hub order."""
        running = [hub for hub in self.hubs if hub.process is not None]
        answers: dict[int, dict[str, Any]] = {}

        async def one(hub: HubProcess) -> None:
            answers[hub.index] = await self.ask(hub, request)

        async with trio.open_nursery() as nursery:
            for hub in running:
                nursery.start_soon(one, hub)
        return [answers[hub.index] for hub in running]

    async def cut(self, groups: list[list[int]]) -> int:
        """Cut between groups of hub indices; returns the boot time (us) at which the first hub was told."""
        at = boot_us()
        async with trio.open_nursery() as nursery:
            for group in groups:
                beyond = [hub for hub in self.hubs if hub.index not in group]
                request = {
                    "cmd": "lab.cut",
                    "authors": [hub.author for hub in beyond],
                    "ports": [hub.port for hub in beyond],
                }
                for index in group:
                    nursery.start_soon(self.ask, self.hubs[index], request)
        return at

    async def heal(self) -> int:
        """Restore every path; returns the boot time (us) at which the last hub was told."""
        await self.ask_all({"cmd": "lab.heal"})
        return boot_us()

    async def kill(self, hub: HubProcess) -> None:
        """``kill -9`` of one hub that we started."""
        assert hub.process is not None
        hub.process.kill()
        await hub.process.wait()
        hub.process = None

    async def stop(self) -> None:
        """End every hub, gently first; nothing is left running."""
        with trio.CancelScope(shield=True):
            running = [hub.process for hub in self.hubs if hub.process is not None]
            for process in running:
                process.terminate()
            with trio.move_on_after(STOP_S):
                for process in running:
                    await process.wait()
            for process in running:
                process.kill()
                await process.wait()
                await process.stdout.aclose()
                await process.stdin.aclose()
            await self._brood.close()


def last_line(log: Path) -> str:
    """The last line that a hub logged, for an error message."""
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        return "no log"
    return lines[-1][:300] if lines else "it logged nothing"


def pss_mb(pid: int) -> float | None:
    """Proportional set size in MB; None where the kernel does not tell."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return None


def started_us(pid: int) -> int:
    """Boot time (us) at which a process was started (proc(5), field 22)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) * 1_000_000 // os.sysconf("SC_CLK_TCK")
