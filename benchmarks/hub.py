"""One hub in a process of its own, run by a benchmark: the daemon itself, with ears and a few commands.

``python -m benchmarks.hub SPEC`` opens a hub with ``meshnode.daemon.open_hub``, exactly as ``meshnode run`` does, says
READY as one JSON line, and then answers one JSON line per command on standard input; it ends when that ends, so
nothing outlives the benchmark. Three things differ from ``meshnode run``: an observer
notes (author, boot, seq, boot time) of every value shown, in memory; ``RunOptions`` may widen what the Node allows a
single link; and ``RunOptions.transport`` may restrict whom it dials, or tell when a socket is full.
"""

from __future__ import annotations

import errno
import json
import math
import os
import resource
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from benchmarks.sampler import Sampler
from meshnode.cli.run import overrides_of  # loads what the command loads, so that the memory measured is the hub's
from meshnode.clock import boot_us
from meshnode.config import load_config
from meshnode.daemon import AGENT, Hub, RunOptions, open_hub
from meshnode.observe import set_up_logging
from meshnode.transport.tcp import Tcp
from protocol import MeshError, NodeConfig, VectorsConfig, ViewsConfig
from protocol.effects import Event, ValueShown
from protocol.errors import TransportError
from protocol.inputs import Address, Estimate, PeerSeen, Publish, Reading, TimerFired
from protocol.voice import PUBLISH
from protocol.wire.registry import AROUSAL

BURST = 4
EIGHT = tuple(TimerFired(PUBLISH) for _ in range(8))
SENSE_S = 0.25
UNLIMITED = 10_000_000


@dataclass(frozen=True, slots=True)
class Spec:
    """How the hub is to be; ``cadence_ms`` None shares nothing; ``pour`` lifts the limits that a link has for
    vectors, so that one author can be pushed as fast as a link carries; ``deaf`` leaves the ears off, where
    nobody counts what this hub shows; ``profile`` names the file for the stacks sampled from the first mark on."""

    state_dir: str
    secret_file: str
    cadence_ms: int | None = None
    max_links: int = 8
    mdns: bool = True
    pour: bool = False
    deaf: bool = False
    profile: str = ""


class Network(Tcp):
    """TCP that dials nobody until it is told whom (``ports``; None for everybody), and knows when a socket is full."""

    def __init__(self) -> None:
        self.ports: frozenset[int] | None = frozenset()
        self.dialled: list[Watched] = []

    async def dial(self, address: Address) -> socket.socket:
        """A connection, if it is to be."""
        if self.ports is not None and address[1] not in self.ports:
            await trio.lowlevel.checkpoint()
            raise TransportError(f"{address[0]}:{address[1]}: {errno.errorcode[errno.EHOSTUNREACH]}")
        sock = Watched(await super().dial(address))
        self.dialled = [kept for kept in self.dialled if kept.fileno() >= 0] + [sock]
        return sock


class Watched(socket.socket):
    """A socket that knows whether the kernel took all of the last write; ``room`` is unparked when it did again."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self.setblocking(False)
        self.full = False
        self.room = trio.lowlevel.ParkingLot()

    def send(self, data: bytes, flags: int = 0, /) -> int:  # type: ignore[override]
        """Write, and notice what was left over."""
        try:
            sent = super().send(data, flags)
        except BlockingIOError:
            self.full = True
            raise
        if sent < len(data):
            self.full = True
        elif self.full:
            self.full = False
            self.room.unpark_all()
        return sent


class Ears:
    """Everything shown, and when; kept as it comes, because listening must cost next to nothing."""

    def __init__(self) -> None:
        self._shown: list[tuple[ValueShown, int]] = []

    def __call__(self, event: Event) -> None:
        """Take one piece of news."""
        if type(event) is ValueShown:
            self._shown.append((event, boot_us()))

    def __len__(self) -> int:
        return len(self._shown)

    def dump(self, path: Path) -> None:
        """Write all of it as JSON: authors, then rows of author index, boot, seq and boot time (us)."""
        authors: dict[bytes, int] = {}
        rows = [
            (authors.setdefault(event.author, len(authors)), event.boot, event.seq, at) for event, at in self._shown
        ]
        path.write_text(json.dumps({"authors": [a.hex() for a in authors], "rows": rows}), encoding="utf-8")


class Runner:
    """Answers the commands of one running hub."""

    def __init__(self, spec: Spec, hub: Hub, network: Network, nursery: trio.Nursery) -> None:
        self.sampler = Sampler()
        self._sampled = bool(spec.profile)
        self._hub = hub
        self._network = network
        self._nursery = nursery
        self._pouring = trio.CancelScope()
        self.ears = Ears()
        if not spec.deaf:
            hub.events.listeners.append(self.ears)

    def answer(self, request: dict[str, Any]) -> dict[str, object]:
        """Do as asked.

        Raises:
            KeyError: there is no such command, or something is missing in it.
        """
        return {"meet": self._meet, "state": self._state, "mark": self._mark, "pour": self._pour, "dump": self._dump}[
            request["cmd"]
        ](request)

    def _meet(self, request: dict[str, Any]) -> dict[str, object]:
        """Tell the hub of others; dial only ``ports`` of them if that is given."""
        self._network.ports = None if request["ports"] is None else frozenset(request["ports"])
        for port, author in request["peers"]:
            address = ("127.0.0.1", port)
            self._hub.driver.feed(PeerSeen(f"static {port}", (address,), bytes.fromhex(author)))  # type: ignore[arg-type]
        return {}

    def _state(self, _request: dict[str, Any]) -> dict[str, object]:
        statistics = self._hub.statistics()
        return {
            "links": sum(1 for link in statistics.links if link.open),
            "known": statistics.known_peers,
            "drops": {**statistics.drops, **self._hub.driver.counters},
            "seq": statistics.seq,
        }

    def _mark(self, _request: dict[str, Any]) -> dict[str, object]:
        if self._sampled:
            self.sampler.start()  # the first mark opens the measured window
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "at": boot_us(),
            "cpu_s": time.process_time(),
            "system_s": usage.ru_stime,
            "shown": len(self.ears),
            "switches": usage.ru_nvcsw,
            "links": len(self._hub.driver.links),
        }

    def _pour(self, request: dict[str, Any]) -> dict[str, object]:
        self._pouring.cancel()
        if request["on"]:
            self._pouring = trio.CancelScope()
            self._nursery.start_soon(pour, self._hub, self._network.dialled[-1], self._pouring)
        return {}

    def _dump(self, request: dict[str, Any]) -> dict[str, object]:
        self.ears.dump(Path(request["path"]))
        return {}


async def pour(hub: Hub, sock: Watched, scope: trio.CancelScope) -> None:
    """Publish whenever the link can take it: the timer that publishes fires as often as the socket has room.

    The timer's own deadline only moves further away, so every record is one that this loop asked for. Eight in a turn
    of the driver leave in one write, each in a frame of its own.
    """
    driver = hub.driver
    with scope:
        while True:
            for _ in range(BURST):
                if sock.full:
                    break
                driver.feed_in_turn(*EIGHT)
            if sock.full:
                await sock.room.park()
            else:
                await trio.lowlevel.checkpoint()


async def sense(hub: Hub) -> None:
    """A reading four times a second, as a person's sensors give; slow waves that differ from hub to hub."""
    pace = 0.1 + hub.opened.identity.author[0] / 1_000
    while True:
        now = boot_us()
        value = math.sin(now / 1e6 * pace)
        hub.driver.feed(Publish(Reading(now, (Estimate(AROUSAL, value, 0.2),), 0.9, 1)))
        await trio.sleep(SENSE_S)


def options_of(spec: Spec, network: Network) -> RunOptions:
    """How this hub differs from one that ``meshnode run`` starts."""
    limits = VectorsConfig()
    if spec.pour:
        limits = VectorsConfig(spacing_us=0, verify_per_second=UNLIMITED, verify_burst=UNLIMITED)
    views = ViewsConfig(links_target=spec.max_links, links_max=max(16, spec.max_links))
    return RunOptions(transport=network, node=NodeConfig(agent=AGENT, views=views, vectors=limits))


async def serve(spec: Spec) -> None:
    """Run the hub until standard input ends."""
    given = dict.fromkeys(
        ("listen", "mesh", "secret_file", "replay", "peers", "interfaces", "log_format", "log_level", "max_links"), None
    )
    given |= dict.fromkeys(("mdns", "share", "cadence_ms", "speed", "offset_s"), None)
    chosen: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "secret_file": Path(spec.secret_file),
        "peers": (),
        "interfaces": ("127.0.0.1",),
        "max_links": spec.max_links,
        "mdns": spec.mdns,
        "share": spec.cadence_ms is not None,
        "cadence_ms": spec.cadence_ms,
        "log_format": "json",
        "log_level": "warning",
    }
    overrides = overrides_of({**given, **chosen}, Path(spec.state_dir))
    kept = {key: value for key, value in overrides.items() if value is not None}
    config = load_config(None, environ={"HOME": spec.state_dir}, overrides=kept)
    set_up_logging(config.hub.log_format, config.hub.log_level)
    network = Network()
    async with (
        open_hub(config, options_of(spec, network)) as hub,
        trio.open_nursery() as nursery,
        trio.lowlevel.FdStream(os.dup(0)) as commands,
    ):
        runner = Runner(spec, hub, network, nursery)
        if spec.cadence_ms is not None:
            nursery.start_soon(sense, hub)
        say({"ready": True, "author": hub.opened.identity.author.hex(), "port": hub.listen[1]})
        buffer = b""
        while chunk := await commands.receive_some(1 << 16):
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                say(runner.answer(json.loads(line)))
        if spec.profile:
            runner.sampler.stop(Path(spec.profile))
        nursery.cancel_scope.cancel()


def say(value: dict[str, object]) -> None:
    """One line to the benchmark."""
    print(json.dumps(value), flush=True)


def main() -> int:
    """Run one hub as the first argument says."""
    spec = Spec(**json.loads(sys.argv[1]))
    try:
        trio.run(serve, spec)
    except MeshError as fault:
        print(f"benchmarks.hub: {fault}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
