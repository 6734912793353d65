"""A venue: bridges, each one multicast domain, and rooms, each a network namespace with one cable to a bridge.

Everything lives in a network and mount namespace of its own, held open by one child process that ends when its
standard input does: nothing here can outlive the tests, or be seen by the rest of the machine. Without root the same
is done in a user namespace. A cable is a veth pair or, if there is weather on it, a pair of TAP devices with
``switch.py`` between them. Source of the commands: ip-netns(8), unshare(1), nsenter(1), nft(8).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from tests.lab.switch import CALM, Weather, order, why_no_tap

TOOLS = ("unshare", "nsenter", "ip", "mount")
HOLD = "mount -t tmpfs tmpfs /run && ip link set lo up && echo ready && exec cat"
"""A /run of its own, because that is where namespaces are listed; then wait for the end of standard input."""


ROOT = Path(__file__).resolve().parents[2]


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
    switch: trio.Process | None = None
    _cables: dict[str, tuple[str, str]] = field(default_factory=dict)

    async def run(self, *command: str) -> str:
        """Run a command in the venue itself; its output."""
        done = await trio.run_process(
            [*self.prefix, *command], capture_stdout=True, capture_stderr=True, check=False, stdin=b""
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode().strip()}")
        return done.stdout.decode()

    async def start(self, *command: str) -> trio.Process:
        """Start a process in the venue that talks over its standard input and output, and ends with the former."""
        return await trio.lowlevel.open_process(
            [*self.prefix, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )

    async def bridge(self, name: str) -> None:
        """A multicast domain."""
        await self.run("ip", "link", "add", name, "type", "bridge", "mcast_snooping", "0")
        await self.run("ip", "link", "set", name, "up")

    async def trunk(self, name: str, bridge: str, other: str) -> None:
        """Join two bridges by a cable that can be cut and healed under its name."""
        await self.run("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}-far")
        await self.run("ip", "link", "set", f"{name}-far", "master", other, "up")
        await self.run("ip", "link", "set", name, "master", bridge, "up")
        self._cables[name] = (name, bridge)

    async def room(self, name: str, bridge: str, address: str, weather: Weather | None = None) -> None:
        """A namespace with the interface ``eth0``, its cable plugged into ``bridge``; ``address`` as 10.88.0.1/24.

        ``weather`` is on what the room sends; what it receives has been through that of the sender's cable.
        """
        port = f"to-{name}"
        await self.run("ip", "netns", "add", name)
        if weather is None:
            await self.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
        else:
            await self._tap_cable(name, port, weather)
        await self.run("ip", "link", "set", port, "master", bridge, "up")
        await self.run("ip", "-n", name, "link", "set", "lo", "up")
        await self.run("ip", "-n", name, "link", "set", "eth0", "up")
        self._cables[name] = (port, bridge)
        await self.address(name, address)

    async def _tap_cable(self, name: str, port: str, weather: Weather) -> None:
        assert self.switch is not None
        assert self.switch.stdin is not None
        assert self.switch.stdout is not None
        await self.switch.stdin.send_all(order(name, f"at-{name}", port, weather, CALM))
        answer = (await self.switch.stdout.receive_some(256)).decode().strip()
        if answer != "ready":
            raise RuntimeError(f"a TAP device for {name}: {answer or 'the switch has ended'}")
        await self.run("ip", "link", "set", f"at-{name}", "netns", name)
        await self.run("ip", "-n", name, "link", "set", f"at-{name}", "name", "eth0")

    async def lose(self, share: float) -> None:
        """From now on lose this share of all that any room sends to any other, each way by itself."""
        await self.run("nft", "add", "table", "bridge", "weather")
        await self.run("nft", "flush", "table", "bridge", "weather")
        chain = "{ type filter hook forward priority 0 ; }"
        await self.run("nft", "add", "chain", "bridge", "weather", "rooms", chain)
        rule = ("iifname", "to-*", "numgen", "random", "mod", "1000", "<", str(round(share * 1000)), "drop")
        await self.run("nft", "add", "rule", "bridge", "weather", "rooms", *rule)

    async def address(self, room: str, address: str) -> None:
        """Replace every address of the room's ``eth0``, link-local ones included, by this one."""
        await self.run("ip", "-n", room, "address", "flush", "dev", "eth0")
        six = ":" in address
        broadcast = () if six else ("brd", "+")
        await self.run("ip", "-n", room, "address", "add", address, *broadcast, "dev", "eth0")
        await self.run("ip", "-n", room, *(("-6",) if six else ()), "route", "replace", "default", "dev", "eth0")

    async def settled(self, *rooms: str, seconds: float = 10.0) -> None:
        """Wait until no address of these rooms is tentative (RFC 4862, duplicate address detection)."""
        with trio.fail_after(seconds):
            for room in rooms:
                while "tentative" in await self.run("ip", "-n", room, "address", "show", "dev", "eth0"):
                    await trio.sleep(0.05)

    async def cut(self, cable: str) -> None:
        """Take the cable of a room, or a trunk, off its bridge: bytes vanish, and the carrier stays."""
        await self.run("ip", "link", "set", self._cables[cable][0], "nomaster")

    async def heal(self, cable: str) -> None:
        """Plug it in again."""
        port, bridge = self._cables[cable]
        await self.run("ip", "link", "set", port, "master", bridge)

    async def pull(self, room: str) -> None:
        """Pull the cable out of the bridge: the room sees its carrier go; ``plug`` puts it back."""
        await self.run("ip", "link", "set", self._cables[room][0], "down")

    async def plug(self, room: str, bridge: str) -> None:
        """Carry the cable to another bridge; the room sees its carrier go and come."""
        port, _ = self._cables[room]
        await self.run("ip", "link", "set", port, "down")
        await self.run("ip", "link", "set", port, "master", bridge, "up")
        self._cables[room] = (port, bridge)

    def inside(self, room: str) -> list[str]:
        """What goes before a command that shall run in the room; its process id stays the one that was started."""
        return [*self.prefix, "ip", "netns", "exec", room]


def why_no_weather() -> str | None:
    """Why this machine cannot have loss and latency, None if it can."""
    return why_no_tap() if shutil.which("nft") else "not installed: nft"


@asynccontextmanager
async def venue(seed: int | None = None) -> AsyncIterator[Venue]:
    """An empty venue, gone with the block; with a ``seed`` for its weather, if there is to be any.

    Raises:
        NoVenue: this machine cannot have one.
    """
    reason = await trio.to_thread.run_sync(why_not)
    if reason is None and seed is not None:
        reason = why_no_weather()
    if reason is not None:
        raise NoVenue(reason)
    holder = await trio.lowlevel.open_process(_unshare(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    async with _ending(holder):
        assert holder.stdout is not None
        with trio.fail_after(20):
            if await holder.stdout.receive_some(64) != b"ready\n":
                raise NoVenue("the holder of the namespaces did not start")
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        place = Venue(["nsenter", "--target", str(holder.pid), *user, "--net", "--mount", f"--wd={ROOT}"])
        if seed is None:
            yield place
            return
        place.switch = await place.start(sys.executable, "-m", "tests.lab.switch", str(seed))
        async with _ending(place.switch):
            yield place


@asynccontextmanager
async def _ending(process: trio.Process) -> AsyncIterator[None]:
    """With the block ends a process that ends with its standard input, or else is killed after a while."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield
    finally:
        with trio.CancelScope(shield=True):
            await process.stdin.aclose()
            with trio.move_on_after(5):
                await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()
            await process.stdout.aclose()
