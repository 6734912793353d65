"""The rehearsal's fault port: cuts a crowd on one machine as a dead cable would, without root.

Off unless the hub runs with ``--lab``. A blocked peer's bytes are neither read nor written (they wait, as they would
for a retransmission), dials to it hang until their time-out, its announcements are hidden, and closing a blocked
link is not seen by the other side until the path is back. Both ends must be told, as a cable has two ends.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

import trio

from meshnode.transport.base import OnAccept, Transport
from protocol.inputs import Address

BUFFER_BYTES_MAX = 32_768


class Lab:
    """Which peers are beyond the cut; ``version`` changes with each cut or heal."""

    def __init__(self) -> None:
        self._authors: frozenset[bytes] = frozenset()
        self._ports: frozenset[int] = frozenset()
        self._changed = trio.Event()
        self._zombies: list[socket.socket] = []

    def cut(self, authors: Iterable[bytes], ports: Iterable[int]) -> None:
        """Nothing passes between this hub and these authors, known by id or by listening port."""
        self._authors = frozenset(authors)
        self._ports = frozenset(ports)
        self._signal()

    def heal(self) -> None:
        """The path is back; links that were closed meanwhile become visible as closed."""
        self._authors = frozenset()
        self._ports = frozenset()
        for sock in self._zombies:
            sock.close()
        self._zombies.clear()
        self._signal()

    def close(self) -> None:
        """Release what a cut still holds."""
        self.heal()

    def _signal(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    @property
    def active(self) -> bool:
        """Whether anything is cut."""
        return bool(self._authors or self._ports)

    def blocks(self, author: bytes) -> bool:
        """Whether ``author`` is beyond the cut."""
        return author in self._authors

    def blocks_address(self, address: Address) -> bool:
        """Whether a dial to ``address`` vanishes."""
        return address[1] in self._ports

    def hides(self, _name: str, addresses: tuple[Address, ...]) -> bool:
        """Whether discovery must not tell of these addresses."""
        return any(self.blocks_address(address) for address in addresses)

    async def changed(self) -> None:
        """Wait for the next cut or heal."""
        await self._changed.wait()

    def bury(self, sock: socket.socket) -> None:
        """Keep a blocked link's socket open, so that its end is not seen before the heal."""
        self._zombies.append(sock)


class LabTransport:
    """A transport whose dials vanish across the cut."""

    def __init__(self, inner: Transport, lab: Lab) -> None:
        self._inner = inner
        self._lab = lab

    async def dial(self, address: Address) -> socket.socket:
        """Like the inner transport's, but never answers across the cut."""
        while self._lab.blocks_address(address):
            await self._lab.changed()
        return await self._inner.dial(address)

    async def listen(
        self,
        host: str,
        port: int,
        on_accept: OnAccept,
        *,
        task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """As the inner transport."""
        await self._inner.listen(host, port, on_accept, task_status=task_status)
