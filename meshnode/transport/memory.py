"""The in-memory twin of TCP for tests: socket pairs instead of connections, same non-blocking behaviour."""

from __future__ import annotations

import socket

import trio

from meshnode.transport.base import OnAccept
from meshnode.transport.tcp import tune
from protocol.errors import TransportError
from protocol.inputs import Address


class Memory:
    """One network; hubs that share the object can reach each other."""

    def __init__(self) -> None:
        self._listeners: dict[Address, OnAccept] = {}
        self._next_port = 1

    async def dial(self, address: Address) -> socket.socket:
        """One end of a new pair; the other goes to whoever listens at ``address``.

        Raises:
            TransportError: nobody listens there.
        """
        await trio.lowlevel.checkpoint()
        accept = self._listeners.get(address)
        if accept is None:
            raise TransportError(f"{address[0]}:{address[1]}: refused")
        ours, theirs = socket.socketpair()
        tune(ours)
        tune(theirs)
        accept(theirs, "memory")
        return ours

    async def listen(
        self,
        host: str,
        port: int,
        on_accept: OnAccept,
        *,
        task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Be reachable until cancelled."""
        if port == 0:
            port = self._next_port
            self._next_port += 1
        address = (host, port)
        if address in self._listeners:
            raise TransportError(f"cannot listen on {host}:{port}: in use")
        self._listeners[address] = on_accept
        try:
            task_status.started(address)
            await trio.sleep_forever()
        finally:
            del self._listeners[address]
