"""What the daemon needs of a network: to listen, and to dial. Both give non-blocking stream sockets.

Raw sockets and not trio streams: the link sends at once and awaits only when the kernel's buffer is full, which
makes one small frame three times as cheap (docs/decisions/0002-direct-dispatch.md).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol

import trio

from protocol.inputs import Address

OnAccept = Callable[[socket.socket, str], None]
"""Takes a connected, non-blocking socket and the host it came from; must not block."""


class Transport(Protocol):
    """A network."""

    async def dial(self, address: Address) -> socket.socket:
        """A connected, non-blocking stream socket.

        Raises:
            TransportError: nobody answers there.
        """
        ...

    async def listen(self, host: str, port: int, on_accept: OnAccept, *, task_status: trio.TaskStatus[Address]) -> None:
        """Accept until cancelled; starts with the address that was bound.

        Raises:
            TransportError: the address cannot be bound.
        """
        ...
