"""Networks with a property that a test needs: a firewall, a starting line, a tapped wire. All are real TCP."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from meshnode.transport.base import OnAccept
from meshnode.transport.tcp import Tcp
from protocol.errors import TransportError
from protocol.inputs import Address


class Firewalled(Tcp):
    """TCP that only reaches the ports it is told: what keeps the two ends of a chain from meeting."""

    def __init__(self) -> None:
        self.ports: set[int] = set()
        self.refused = 0

    async def dial(self, address: Address) -> socket.socket:
        if address[1] not in self.ports:
            self.refused += 1
            await trio.lowlevel.checkpoint()
            raise TransportError(f"{address[0]}:{address[1]}: not allowed by the test")
        return await super().dial(address)


class StartingLine(Tcp):
    """TCP whose first dials wait until as many hubs as expected stand ready, so that they cross."""

    def __init__(self, expected: int) -> None:
        self._missing = expected
        self._go = trio.Event()
        self.crossed = 0

    async def dial(self, address: Address) -> socket.socket:
        self._missing -= 1
        if self._missing <= 0:
            self._go.set()
        await self._go.wait()
        self.crossed += 1
        return await super().dial(address)


class Counted(Tcp):
    """TCP that notes every dial."""

    def __init__(self) -> None:
        self.dials: list[Address] = []

    async def dial(self, address: Address) -> socket.socket:
        self.dials.append(address)
        return await super().dial(address)


class ManySources(Tcp):
    """TCP that names another source for every connection: a crowd of strangers behind one loopback."""

    def __init__(self) -> None:
        self._count = 0

    async def listen(
        self,
        host: str,
        port: int,
        on_accept: OnAccept,
        *,
        task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        def renamed(sock: socket.socket, _host: str) -> None:
            self._count += 1
            on_accept(sock, f"source-{self._count}")

        await super().listen(host, port, renamed, task_status=task_status)


@dataclass
class Wire:
    """A tapped wire: it passes on what one end sends to the other, and keeps a copy."""

    address: Address
    to_hub: bytearray = field(default_factory=bytearray)
    from_hub: bytearray = field(default_factory=bytearray)
    connections: int = 0
    ended: int = 0


@asynccontextmanager
async def tapped(hub: Address) -> AsyncIterator[Wire]:
    """A wire to the hub at that address; dial ``wire.address`` instead."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        host, port = listener.socket.getsockname()[:2]
        wire = Wire((host, port))

        async def pump(source: trio.SocketStream, target: trio.SocketStream, copy: bytearray) -> None:
            try:
                while data := await source.receive_some(65_536):
                    copy += data
                    await target.send_all(data)
                await target.send_eof()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                await trio.aclose_forcefully(target)

        async def serve(caller: trio.SocketStream) -> None:
            wire.connections += 1
            async with caller, await trio.open_tcp_stream(*hub) as callee, trio.open_nursery() as both:
                both.start_soon(pump, caller, callee, wire.to_hub)
                both.start_soon(pump, callee, caller, wire.from_hub)
            wire.ended += 1

        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield wire
        nursery.cancel_scope.cancel()
