"""A venue: bridges, each one multicast domain, and rooms, each a network namespace with one cable to a bridge.

Everything lives in a network and mount namespace of its own, held open by one child process that ends when its
standard input does: nothing here can outlive the tests, or be seen by the rest of the machine. Without root the same
is done in a user namespace. Source of the commands: ip-netns(8), unshare(1), nsenter(1).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

TOOLS = ("unshare", "nsenter", "ip", "mount")
HOLD = "mount -t tmpfs tmpfs /run && ip link set lo up && echo ready && exec cat"
"""A /run of its own, because that is where namespaces are listed; then wait for the end of standard input."""


class NoVenue(Exception):
    """This machine cannot make namespaces; the message says why."""


def _unshare() -> list[str]:
    kind = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *kind, "--net", "--mount", "--propagation", "private", "sh", "-c", HOLD]


def why_not() -> str | None:
    """Why this machine cannot have a venue, None if it can."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    done = subprocess.run(_unshare(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=20)
    return None if done.stdout == "ready\n" else f"no namespaces here: {done.stderr.strip() or 'refused'}"


@dataclass
class Venue:
    """The commands of one venue; ``prefix`` goes before whatever shall run in it."""

    prefix: list[str]
    _cables: dict[str, tuple[str, str]] = field(default_factory=dict)

    async def run(self, *command: str) -> str:
        """Run a command in the venue itself; its output."""
        done = await trio.run_process(
            [*self.prefix, *command], capture_stdout=True, capture_stderr=True, check=False, stdin=b""
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode().strip()}")
        return done.stdout.decode()

    async def bridge(self, name: str) -> None:
        """A multicast domain."""
        await self.run("ip", "link", "add", name, "type", "bridge", "mcast_snooping", "0")
        await self.run("ip", "link", "set", name, "up")

    async def room(self, name: str, bridge: str, address: str) -> None:
        """A namespace with the interface ``eth0``, its cable plugged into ``bridge``; ``address`` as 10.88.0.1/24."""
        port = f"to-{name}"
        await self.run("ip", "netns", "add", name)
        await self.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
        await self.run("ip", "link", "set", port, "master", bridge, "up")
        await self.run("ip", "-n", name, "link", "set", "lo", "up")
        await self.run("ip", "-n", name, "link", "set", "eth0", "up")
        self._cables[name] = (port, bridge)
        await self.address(name, address)

    async def address(self, room: str, address: str) -> None:
        """Replace every address of the room's ``eth0``, link-local ones included, by this one."""
        await self.run("ip", "-n", room, "address", "flush", "dev", "eth0")
        await self.run("ip", "-n", room, "address", "add", address, "brd", "+", "dev", "eth0")
        await self.run("ip", "-n", room, "route", "replace", "default", "dev", "eth0")

    async def settled(self, *rooms: str, seconds: float = 10.0) -> None:
        """Wait until no address of these rooms is tentative (RFC 4862, duplicate address detection)."""
        with trio.fail_after(seconds):
            for room in rooms:
                while "tentative" in await self.run("ip", "-n", room, "address", "show", "dev", "eth0"):
                    await trio.sleep(0.05)

    async def cut(self, room: str) -> None:
        """Take the cable off the bridge: bytes vanish, and the room's own carrier stays."""
        await self.run("ip", "link", "set", self._cables[room][0], "nomaster")

    async def heal(self, room: str) -> None:
        """Plug it in again."""
        port, bridge = self._cables[room]
        await self.run("ip", "link", "set", port, "master", bridge)

    async def plug(self, room: str, bridge: str) -> None:
        """Carry the cable to another bridge; the room sees its carrier go and come."""
        port, _ = self._cables[room]
        await self.run("ip", "link", "set", port, "down")
        await self.run("ip", "link", "set", port, "master", bridge, "up")
        self._cables[room] = (port, bridge)

    def inside(self, room: str) -> list[str]:
        """What goes before a command that shall run in the room; its process id stays the one that was started."""
        return [*self.prefix, "ip", "netns", "exec", room]


@asynccontextmanager
async def venue() -> AsyncIterator[Venue]:
    """An empty venue, gone with the block.

    Raises:
        NoVenue: this machine cannot have one.
    """
    reason = await trio.to_thread.run_sync(why_not)
    if reason is not None:
        raise NoVenue(reason)
    holder = await trio.lowlevel.open_process(_unshare(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        with trio.fail_after(20):
            if await holder.stdout.receive_some(64) != b"ready\n":
                raise NoVenue("the holder of the namespaces did not start")
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        yield Venue(["nsenter", "--target", str(holder.pid), *user, "--net", "--mount", "--wd=/"])
    finally:
        with trio.CancelScope(shield=True):
            await holder.stdin.aclose()
            with trio.move_on_after(5):
                await holder.wait()
            if holder.returncode is None:
                holder.kill()
                await holder.wait()
            await holder.stdout.aclose()
