"""Hubs in this process, as the daemon's tests start, watch and stop them; nothing of ours is replaced.

Invariants: every wait has a deadline; a :class:`Crew` ends what it started, in the end all of it.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from meshnode.clock import boot_us
from meshnode.config import HubConfig, load_config
from meshnode.config_keys import Value
from meshnode.daemon import Hub, RunOptions, open_hub
from meshnode.entropy import entropy
from protocol.inputs import Address, Estimate, Publish, Reading
from protocol.statistics import AuthorStatistics
from protocol.wire.registry import AROUSAL

WAIT_S = 10.0
"""Longer than anything here takes on a busy machine, shorter than anybody's patience."""
CADENCE_MS = 100
PLAIN = RunOptions()


async def until(condition: Callable[[], bool], seconds: float = WAIT_S, what: str = "") -> float:
    """Wait for a condition that has no event; returns the seconds it took, fails saying ``what`` did not come."""
    begin = trio.current_time()
    try:
        with trio.fail_after(seconds):
            while not condition():
                await trio.sleep(0.005)
    except trio.TooSlowError:
        raise AssertionError(f"not within {seconds} s: {what or condition}") from None
    return trio.current_time() - begin


async def never(condition: Callable[[], bool], seconds: float) -> None:
    """Watch for as long as that: the condition must not come true."""
    with trio.move_on_after(seconds):
        while True:
            assert not condition(), "it must not happen, and did"
            await trio.sleep(0.01)


def mesh_name() -> str:
    """A mesh that nobody else is in, so that tests can run beside each other."""
    return entropy(16).hex()


def hub_config(folder: Path, name: str, settings: Mapping[str, Value]) -> HubConfig:
    """The settings of one hub: loopback, no multicast DNS, sharing at a quick cadence; ``settings`` go before."""
    chosen: dict[str, Value] = {
        "hub.state_dir": str(folder / name),
        "listen.host": "127.0.0.1",
        "discovery.mdns": False,
        "share.enabled": True,
        "share.levels": 0,
        "share.cadence_ms": CADENCE_MS,
    }
    return load_config(environ={"HOME": str(folder)}, overrides={**chosen, **settings})


@dataclass
class Member:
    """One running hub; ``stop`` makes it say BYE and go."""

    name: str
    hub: Hub
    leave: trio.Event
    gone: trio.Event

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self.hub.listen

    @property
    def at(self) -> str:
        """The same, as a static peer is written."""
        return f"{self.hub.listen[0]}:{self.hub.listen[1]}"

    @property
    def author(self) -> bytes:
        """Its author id."""
        return self.hub.opened.identity.author

    def shows(self, author: bytes) -> AuthorStatistics | None:
        """What it shows of an author now."""
        return next((line for line in self.hub.statistics().authors if line.author == author), None)

    def linked(self, other: Member) -> bool:
        """Whether both have an open link with each other, and each exactly one."""
        return self.links_with(other.author) == [True] and other.links_with(self.author) == [True]

    def links_with(self, author: bytes) -> list[bool]:
        """For each of its links with an author, whether it is open."""
        return [link.open for link in self.hub.statistics().links if link.peer == author]

    def dropped(self, reason: str) -> int:
        """A counter as ``meshnode status --json`` shows it."""
        from meshnode import view

        counters: Any = view.status(self.hub)["counters"]
        return int(counters["dropped"].get(reason, 0))

    def feel(self, arousal: float) -> None:
        """Tell the hub what its sensors say now."""
        self.hub.driver.feed(Publish(Reading(boot_us(), (Estimate(AROUSAL, arousal, 0.1),), 1.0, 0)))

    def arousal_of(self, author: bytes) -> float | None:
        """The arousal it shows of an author."""
        line = self.shows(author)
        return None if line is None else next(value for name, value, _ in line.values if name == "arousal")


@dataclass
class Crew:
    """The hubs of one test, all of one open mesh unless they are told otherwise."""

    nursery: trio.Nursery
    folder: Path
    mesh: str = field(default_factory=mesh_name)

    async def start(self, name: str, options: RunOptions = PLAIN, **settings: Value) -> Member:
        """A new hub; ``settings`` are ``section__key``. The same name again is the same hub after a restart."""
        given = {key.replace("__", ".", 1): value for key, value in settings.items()}
        config = hub_config(self.folder, name, {"mesh.name": self.mesh, **given})
        member: Member = await self.nursery.start(self._live, name, config, options)
        return member

    async def stop(self, member: Member) -> None:
        """Let one hub leave; returns when all of it has ended."""
        member.leave.set()
        await member.gone.wait()

    async def _live(
        self, name: str, config: HubConfig, options: RunOptions, *, task_status: trio.TaskStatus[Member]
    ) -> None:
        leave, gone = trio.Event(), trio.Event()
        try:
            async with open_hub(config, options) as hub:
                task_status.started(Member(name, hub, leave, gone))
                await leave.wait()
        finally:
            gone.set()

    async def feeling(self, member: Member, arousal: float) -> None:
        """Keep telling a hub the same reading; a task that runs until the crew ends."""
        while not member.gone.is_set():
            member.feel(arousal)
            await trio.sleep(0.1)


@asynccontextmanager
async def crew_in(folder: Path) -> AsyncIterator[Crew]:
    """A crew whose hubs end with the block."""
    async with trio.open_nursery() as nursery:
        yield Crew(nursery, folder)
        nursery.cancel_scope.cancel()


def lab() -> RunOptions:
    """With the rehearsal's fault port."""
    return RunOptions(lab=True)


def only_fault(group: BaseException) -> BaseException:
    """The one fault at the bottom of nested groups: what a person is told of."""
    while isinstance(group, BaseExceptionGroup):
        (group,) = group.exceptions
    return group


@dataclass(frozen=True)
class Footprint:
    """What this process has open and running."""

    files: int
    threads: tuple[str, ...]
    children: tuple[int, ...]

    @staticmethod
    def now() -> Footprint:
        """Trio's cached worker threads are left out: they end by themselves after ten idle seconds."""
        named = tuple(
            thread.name
            for thread in threading.enumerate()
            if thread is not threading.main_thread() and "Trio thread" not in thread.name
        )
        return Footprint(len(os.listdir("/proc/self/fd")), named, children())


def children() -> tuple[int, ...]:
    """Process ids of this process's children, dead ones that nobody waited for included."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        try:
            found += [int(pid) for pid in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue  # that thread has just ended
    return tuple(sorted(found))


def process_tree(root: int) -> list[int]:
    """``root``'s descendants by process id."""
    out: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and parent_of(int(entry.name)) == root:
            out += [int(entry.name), *process_tree(int(entry.name))]
    return out


def parent_of(pid: int) -> int | None:
    """The parent's process id (proc(5), field 4), None if the process is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def resident_kb(pid: int | str = "self") -> int:
    """Resident set size of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("the kernel does not tell")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def can_bind(host: str) -> bool:
    """Whether this machine has the address."""
    with socket.socket() as sock:
        try:
            sock.bind((host, 0))
        except OSError:
            return False
    return True


async def ask_control(hub: Hub, line: bytes) -> bytes:
    """One raw line to the control socket, and the line that comes back (empty if the hub hangs up)."""
    stream = await trio.open_unix_socket(str(Path(hub.config.hub.state_dir) / "control.sock"))
    async with stream:
        await stream.send_all(line)
        answer = b""
        while not answer.endswith(b"\n"):
            part = await stream.receive_some(65_536)
            if not part:
                break
            answer += part
        return answer
