"""One task reads all links: an epoll of our own inside trio's, because an epoll descriptor can itself be waited for.

Source: epoll(7), questions 3 and 4. Waiting for every socket on its own costs, for each frame, a task switch, a new
registration and two system calls. Here a socket is registered once and level-triggered; when any is readable, one task
wakes and serves all that are. Systems without epoll read each link in a task of its own.
Invariants: what is called may find its socket no longer readable, because others had a turn since it was; a socket is
forgotten before it is closed.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

READY_MAX = 64
TURN_BYTES = 16_384
"""Read before other tasks have their turn: some dozens of frames, 10 ms of work. Who asks how the hub is waits so
long."""


class Poller:
    """Calls what was registered with a socket whenever that socket is readable; the call must read and not wait, and
    says how many bytes it has read."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[], int]] = {}

    @contextmanager
    def serving(self, sock: socket.socket, on_readable: Callable[[], int]) -> Iterator[None]:
        """Serve ``sock`` inside the block; it must be open at both ends of it."""
        number = sock.fileno()
        self._calls[number] = on_readable
        if not self._epoll.closed:  # a link may begin just as the hub ends
            self._epoll.register(number, select.EPOLLIN)
        try:
            yield
        finally:
            del self._calls[number]
            if not self._epoll.closed:
                self._epoll.unregister(number)

    async def run(self) -> None:
        """Serve until cancelled, then close."""
        with self._epoll as ready:
            while True:
                await trio.lowlevel.wait_readable(ready.fileno())
                count = 0
                for number, _ in ready.poll(0, READY_MAX):
                    call = self._calls.get(number)  # an earlier call may have ended this link
                    if call is not None:
                        count += call()
                    if count >= TURN_BYTES:
                        count = 0
                        await trio.lowlevel.checkpoint()


def poller() -> Poller | None:
    """A poller where the system can have one."""
    return Poller() if hasattr(select, "epoll") else None
