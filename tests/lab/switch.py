"""Cables with weather: a process that copies Ethernet frames between pairs of TAP devices, late or not at all.

For kernels without sch_netem. Each cable has two directions, each with a latency, a jitter and a loss of its own; as
in netem a frame may overtake another. Source: Linux Documentation/networking/tuntap.rst.
``python -m tests.lab.switch SEED`` reads one JSON object a line from standard input (``{"name", "room", "port",
"out", "back"}``: a cable between two TAP devices that are made for it), answers each with a line, and ends with its
standard input; the devices end with it.
Invariants: what happens to the n-th frame of a direction depends on the seed, the cable's name and n alone; at most
``WAITING_MAX`` frames wait, and more are lost, as in any switch.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import json
import os
import selectors
import signal
import struct
import sys
from dataclasses import asdict, dataclass
from typing import Any

from meshnode.clock import boot_us
from protocol.clock import MS, SECOND, Instant
from protocol.rng import Rng

TUN = "/dev/net/tun"
FRAME_BYTES_MAX = 2_048
WAITING_MAX = 8_192
TURN_FRAMES = 64
"""Read from one device before the others have their turn."""
_TUNSETIFF = 0x400454CA
_IFF_TAP_NO_PI = 0x1002


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """One direction: every frame takes ``latency_ms`` +- ``jitter_ms`` (uniform), a share ``loss`` never arrives."""

    latency_ms: int = 0
    jitter_ms: int = 0
    loss: float = 0.0


CALM = Weather()


class Lane:
    """One direction of a cable; decides and does nothing else."""

    def __init__(self, weather: Weather, rng: Rng) -> None:
        self.weather = weather
        self._rng = rng

    def arrives(self, now: Instant) -> Instant | None:
        """When a frame that enters now comes out; None if never. Draws twice, whatever the weather."""
        lost = self._rng.chance(self.weather.loss)
        jitter_us = self.weather.jitter_ms * MS
        late_us = self.weather.latency_ms * MS - jitter_us + self._rng.below(2 * jitter_us + 1)
        return None if lost else now + max(0, late_us)


@dataclass(slots=True)
class _End:
    """Where a lane begins: ``into`` is the device at its other end."""

    lane: Lane
    into: int


class Switch:
    """All cables of one venue."""

    def __init__(self, seed: int) -> None:
        self._rng = Rng(seed)
        self._selector = selectors.DefaultSelector()
        self._waiting: list[tuple[Instant, int, int, bytes]] = []
        self._count = 0

    def cable(self, order: dict[str, Any]) -> None:
        """Make two devices and copy between them from now on.

        Raises:
            OSError: the system refuses.
        """
        room, port = _tap(order["room"]), _tap(order["port"])
        for begin, end, way in ((room, port, "out"), (port, room, "back")):
            lane = Lane(Weather(**order[way]), self._rng.child(f"{order['name']} {way}"))
            self._selector.register(begin, selectors.EVENT_READ, _End(lane, end))

    def run(self) -> None:
        """Copy until standard input ends."""
        self._selector.register(0, selectors.EVENT_READ, None)
        orders = b""
        while True:
            due = self._waiting[0][0] if self._waiting else None
            wait = None if due is None else max(0, due - boot_us()) / SECOND
            for key, _ in self._selector.select(wait):
                if key.data is not None:
                    self._read(key.fd, key.data)
                    continue
                said = os.read(0, 65_536)
                if not said:
                    return
                *lines, orders = (orders + said).split(b"\n")
                for line in lines:
                    self._obey(line)
            self._deliver()

    def _obey(self, line: bytes) -> None:
        try:
            self.cable(json.loads(line))
            answer = "ready"
        except OSError as fault:
            answer = f"{fault.strerror or fault}"
        os.write(1, f"{answer}\n".encode())  # at once and whole, whatever the buffering is

    def _read(self, device: int, end: _End) -> None:
        for _ in range(TURN_FRAMES):
            try:
                frame = os.read(device, FRAME_BYTES_MAX)
            except OSError:  # nothing more, or the device is down: its frames are lost
                return
            at = end.lane.arrives(boot_us())
            if at is not None and len(self._waiting) < WAITING_MAX:
                self._count += 1
                heapq.heappush(self._waiting, (at, self._count, end.into, frame))

    def _deliver(self) -> None:
        now = boot_us()
        while self._waiting and self._waiting[0][0] <= now:
            _, _, device, frame = heapq.heappop(self._waiting)
            with contextlib.suppress(OSError):  # the device is down, full or being moved: lost, as on a real cable
                os.write(device, frame)


def _tap(name: str) -> int:
    """A new TAP device that lives as long as its descriptor."""
    descriptor = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP_NO_PI))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def why_no_tap() -> str | None:
    """Why this machine cannot have such cables, None if it can."""
    try:
        os.close(os.open(TUN, os.O_RDWR))
    except OSError as fault:
        return f"{TUN}: {fault.strerror}"
    return None


def order(name: str, room: str, port: str, out: Weather, back: Weather) -> bytes:
    """The line that asks for a cable."""
    asked = {"name": name, "room": room, "port": port, "out": asdict(out), "back": asdict(back)}
    return json.dumps(asked).encode() + b"\n"


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches whoever started us, who then closes our input
    Switch(int(sys.argv[1])).run()
