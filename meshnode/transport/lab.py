"""The fault port between links and the Node: cuts and bad weather as a network has them, without root.

Every hub has one, and it does nothing until a rehearsal asks (``meshnode glitch inject``, or ``--lab`` for a crowd on
one machine). A blocked peer's bytes are neither read nor written (they wait, as they would for a retransmission), dials
to it hang until their time-out, its own dials are not answered, its announcements are hidden, and closing a blocked
link is not seen by the other side until the path is back. With ``--lab`` both ends are told, as a cable has two; a
rehearsal tells one hub, which then shuts its own door both ways.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import trio

from meshnode.transport.base import OnAccept, Transport
from meshnode.transport.weather import Weather
from protocol.clock import SECOND
from protocol.inputs import Address

BUFFER_BYTES_MAX = 32_768
HELD_MAX = 256
"""Strangers' connections that are held without an answer; they give up after a second or so by themselves."""
HANDSHAKE_TRIPS = 3
DIAL_TRIPS = 2


class Lab:
    """Which peers are beyond the cut, and what weather there is; followers are told of each change."""

    def __init__(self) -> None:
        self._authors: frozenset[bytes] = frozenset()
        self._ports: frozenset[int] = frozenset()
        self._hosts: frozenset[str] = frozenset()
        self._everybody = False
        self._weather: Weather | None = None
        self._under: frozenset[bytes] | None = None
        self._changed = trio.Event()
        self._followers: dict[int, Callable[[], None]] = {}
        self._followed = 0
        self._zombies: list[socket.socket] = []
        self._held: deque[socket.socket] = deque()

    # --- what is wrong ------------------------------------------------------------------------------------------

    def cut(
        self, authors: Iterable[bytes], ports: Iterable[int], hosts: Iterable[str] = (), *, everybody: bool = False
    ) -> None:
        """Nothing passes between this hub and these authors, known by id, listening port or host, or anybody."""
        self._authors = frozenset(authors)
        self._ports = frozenset(ports)
        self._hosts = frozenset(hosts)
        self._everybody = everybody
        self._signal()

    def brew(self, weather: Weather, under: Iterable[bytes] | None) -> None:
        """Links to these authors (None: to anybody) are late from now on."""
        self._weather = weather
        self._under = None if under is None else frozenset(under)
        self._signal()

    def heal(self) -> None:
        """The path is back and the weather fine; links that were closed meanwhile become visible as closed."""
        self._authors = frozenset()
        self._ports = frozenset()
        self._hosts = frozenset()
        self._everybody = False
        self._weather = self._under = None
        for sock in (*self._zombies, *self._held):
            sock.close()
        self._zombies.clear()
        self._held.clear()
        self._signal()

    def close(self) -> None:
        """Release what a cut still holds."""
        self.heal()

    def _signal(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
        for follower in list(self._followers.values()):
            follower()

    # --- who asks -----------------------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether anything is cut."""
        return bool(self._authors or self._ports or self._everybody)

    def blocks(self, author: bytes) -> bool:
        """Whether ``author`` is beyond the cut."""
        return self._everybody or author in self._authors

    def blocks_address(self, address: Address) -> bool:
        """Whether a dial to ``address`` vanishes."""
        return self._everybody or address[1] in self._ports

    def blocks_host(self, host: str) -> bool:
        """Whether a connection from ``host`` is not answered."""
        return self._everybody or host in self._hosts

    def weather(self, author: bytes) -> Weather | None:
        """What makes a link to ``author`` late."""
        return self._weather if self._under is None or author in self._under else None

    def hides(self, _name: str, addresses: tuple[Address, ...]) -> bool:
        """Whether discovery must not tell of these addresses."""
        return any(self.blocks_address(address) for address in addresses)

    async def changed(self) -> None:
        """Wait for the next change."""
        await self._changed.wait()

    async def passage(self, expected: bytes | None) -> None:
        """What a dial to ``expected`` has to wait for before it begins: the weather, or the end of a cut."""
        while expected is not None and self.blocks(expected):
            await self.changed()
        await self._trips(DIAL_TRIPS)

    async def greeting(self) -> None:
        """The trips of a handshake."""
        await self._trips(HANDSHAKE_TRIPS)

    async def _trips(self, count: int) -> None:
        if self._weather is not None:
            await trio.sleep(sum(self._weather.late_us(1) for _ in range(count)) / SECOND)

    @contextmanager
    def follow(self, follower: Callable[[], None]) -> Iterator[None]:
        """Call ``follower`` now and at each change inside the block; it must not wait."""
        self._followed += 1
        number = self._followed
        self._followers[number] = follower
        follower()
        try:
            yield
        finally:
            del self._followers[number]

    def bury(self, sock: socket.socket) -> None:
        """Keep a blocked link's socket open, so that its end is not seen before the heal."""
        self._zombies.append(sock)

    def part(self, sock: socket.socket) -> None:
        """Be done with a connection that became no link; across a cut the other side must not see it."""
        if not self.active:
            sock.close()
            return
        if len(self._held) == HELD_MAX:
            self._held.popleft().close()
        self._held.append(sock)


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
