"""One authenticated link: plaintext messages in, sealed frames on a socket out, and back.

``send`` seals into an outbox that the driver has written with one system call when it has nothing else to do
(``flush``); only what the kernel did not take waits for a task. Invariant: the outbox holds at most ``OUTBOX_BYTES``
and one frame (in a rehearsed cut or bad weather ``BUFFER_BYTES_MAX``), and nothing is added to what the kernel has
refused: what comes later coalesces in the Node. What weather holds back is heard and said late, in order, and at once
when it ends.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Container
from typing import Protocol

import trio

from meshnode.clock import boot_us
from meshnode.transport.lab import BUFFER_BYTES_MAX, Lab
from meshnode.transport.poller import Poller
from meshnode.transport.tcp import local_host, remote_host
from meshnode.transport.weather import HELD_BYTES_MAX, Flights, Weather
from protocol.clock import SECOND, Instant
from protocol.errors import CloseCode, Reason, RemoteProtocolError
from protocol.ids import AuthorId, LinkId
from protocol.inputs import FrameReceived, Input, LinkDown, LinkWritable
from protocol.link.channel import Channel
from protocol.wire.framing import FrameReader, frame
from protocol.wire.messages import Bye, Message, encode_frame

READ_BYTES = 16_384
OUTBOX_BYTES = 16_384
SLOW_S = 10.0
LINGER_S = 0.5


class Feeder(Protocol):
    """What a link tells its driver."""

    def feed(self, *inputs: Input) -> None: ...

    def count(self, reason: Reason) -> None: ...


class Link:
    """Owned by the driver; ``run`` is its only task."""

    def __init__(
        self,
        link: LinkId,
        peer: AuthorId,
        sock: socket.socket,
        channel: Channel,
        reader: FrameReader,
        driver: Feeder,
        lab: Lab | None,
        poller: Poller | None = None,
    ) -> None:
        self.link = link
        self.peer = peer
        self.writable = LinkWritable(link)
        self._sock = sock
        self._local = local_host(sock)
        self.remote = remote_host(sock)
        self._channel = channel
        self._reader = reader
        self._driver = driver
        self._lab = Lab() if lab is None else lab
        self._poller = poller
        self._blocked = False
        self._weather: Weather | None = None
        self._leaving = Flights()  # of what is unsent
        self._coming = Flights()  # of what is unheard
        self._unheard = b""
        self._reading = trio.CancelScope()
        self._unsent = b""
        self._stuck = False  # the kernel has refused some of it
        self._owed = False  # the driver waits to hear that it may send again
        self._wake = trio.Event()
        self._scope = trio.CancelScope()
        self._code: int | None = None
        self._closed = False
        self.bytes_out = 0
        self.bytes_in = 0

    # --- sending ------------------------------------------------------------------------------------------------

    def send(self, messages: tuple[Message, ...]) -> bool:
        """Seal into the outbox; True if more may follow at once. The driver calls this only on a writable link."""
        if self._closed:
            return False
        try:
            sealed = self._channel.seal(encode_frame(messages))
        except RemoteProtocolError as fault:
            self._driver.count(fault.reason)
            self._end(None)
            return False
        self._unsent += frame(sealed)
        self._owed = self._stuck or len(self._unsent) >= self._room()
        return not self._owed

    def flush(self) -> bool:
        """Write the outbox; True if the driver waited for this and may send again."""
        if self._closed or self._stuck or self._blocked:
            return False
        if self._weather is not None:
            self._post(self._weather)
            return False
        self._write()
        if self._unsent:
            self._stuck = True
            self._wake.set()
            return False
        owed, self._owed = self._owed, False
        return owed

    def _room(self) -> int:
        return OUTBOX_BYTES if self._weather is None and not self._blocked else BUFFER_BYTES_MAX

    def _turned(self) -> None:
        """The rehearsal's fault port has changed."""
        self._blocked = self._lab.blocks(self.peer)
        self._weather = self._lab.weather(self.peer)
        self._leaving = Flights()
        if self._weather is not None:
            self._leaving.add(len(self._unsent), 0)  # what the kernel has refused until now has left already
        self._wake.set()
        self._reading.cancel()

    def _post(self, weather: Weather) -> None:
        """What is new in the outbox leaves now and arrives later."""
        size = len(self._unsent) - self._leaving.size
        if size:
            self._leaving.add(size, boot_us() + weather.late_us(size))
            self._wake.set()

    def _ripe(self) -> int:
        """How much of the outbox may be written now."""
        return len(self._unsent) if self._weather is None else self._leaving.due(boot_us())

    def _next_departure(self) -> Instant | None:
        return None if self._blocked or self._weather is None else self._leaving.next_at()

    def _write(self) -> None:
        ripe = self._unsent if self._weather is None else self._unsent[: self._ripe()]
        try:
            sent = self._sock.send(ripe)
        except BlockingIOError:
            return
        except OSError:
            self._end(None)
            return
        self.bytes_out += sent
        self._unsent = self._unsent[sent:]
        if self._weather is not None:
            self._leaving.take(sent)

    def strand(self, hosts: Container[str]) -> None:
        """End if this host has lost the address that the connection hangs on: nothing can come or leave any more."""
        if self._local is not None and self._local not in hosts:
            self._end(None)

    def disconnect(self, code: CloseCode) -> None:
        """Say BYE if the link can take it now, and end."""
        if self._closed:
            return
        if not self._stuck:
            self.send((Bye(int(code)),))
            self.flush()
        self._end(int(code))

    def _end(self, code: int | None) -> None:
        if not self._closed:
            self._closed = True
            self._code = code
            self._scope.cancel()

    # --- the task -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read, and write what is left over, until the link ends; then tell the driver."""
        with self._lab.follow(self._turned):
            try:
                with self._scope:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._write_rest)
                        await self._read()
                        nursery.cancel_scope.cancel()
            finally:
                self._closed = True
                self._driver.feed(LinkDown(self.link, self._code))
                with trio.CancelScope(shield=True):
                    await self._close()

    async def _close(self) -> None:
        if self._blocked:
            self._lab.bury(self._sock)
            return
        with contextlib.suppress(OSError):
            if self._weather is not None and self._unsent:
                self._sock.send(self._unsent)  # a last word that was to arrive late arrives early, rather than never
            # Let BYE arrive: closing with unread bytes would reset the connection and lose it.
            self._sock.shutdown(socket.SHUT_WR)
            with trio.move_on_after(LINGER_S):
                while True:
                    await trio.lowlevel.wait_readable(self._sock)
                    if not self._sock.recv(READ_BYTES):
                        break
        self._sock.close()

    def _take(self, data: bytes) -> None:
        """Feed what the stream says; a fault ends the link after what came whole before it."""
        reader, channel, link = self._reader, self._channel, self.link
        fault: RemoteProtocolError | None = None
        inputs: list[Input] = []
        reader.push(data)
        try:
            while (body := reader.pop()) is not None:
                inputs.append(FrameReceived(link, channel.open(body)))
        except RemoteProtocolError as found:
            fault = found
        if inputs:
            self._driver.feed(*inputs)
        if fault is not None:
            self._driver.count(fault.reason)
            self._end(None)

    def _receive(self) -> int:
        """Read once from a socket that is readable; returns how many bytes it held."""
        data = self._received()
        if data:
            self._take(data)
            return len(data)
        if data is not None:
            self._end(None)
        return 0

    async def _read(self) -> None:
        self._take(b"")  # what the handshake's last read brought along
        while not self._closed:
            with trio.CancelScope() as self._reading:
                await self._read_on()
            unheard, self._unheard, self._coming = self._unheard, b"", Flights()
            if unheard:
                self._take(unheard)

    async def _read_on(self) -> None:
        """Read as one can in this weather, until it changes."""
        if self._blocked:
            await trio.sleep_forever()
        if self._weather is not None:
            await self._read_late(self._weather)
        if self._poller is not None:
            with self._poller.serving(self._sock, self._receive):
                await trio.sleep_forever()
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            self._receive()

    async def _read_late(self, weather: Weather) -> None:
        """Take what comes from the socket at once, and hear it when it is due."""
        ended = False
        while True:
            with trio.CancelScope(deadline=_deadline(self._coming.next_at())):
                if ended or self._coming.size >= HELD_BYTES_MAX:
                    await trio.sleep_forever()
                await trio.lowlevel.wait_readable(self._sock)
                data = self._received()
                if data is not None:
                    ended = not data
                    self._unheard += data
                    self._coming.add(len(data), boot_us() + weather.late_us(len(data)))
            due = self._coming.due(boot_us())
            if due:
                heard, self._unheard = self._unheard[:due], self._unheard[due:]
                self._coming.take(due)
                self._take(heard)
            if ended and not self._unheard:
                self._end(None)

    def _received(self) -> bytes | None:
        """What a readable socket holds: nothing at the stream's end, None if it was readable for no reason."""
        try:
            data = self._sock.recv(READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""
        self.bytes_in += len(data)
        return data

    async def _write_rest(self) -> None:
        """Write what the kernel refused, or what a rehearsal has held back, as soon as that is possible."""
        while True:
            with trio.CancelScope(deadline=_deadline(self._next_departure())):
                await self._wake.wait()
            self._wake = trio.Event()
            while not self._blocked and self._ripe():
                with trio.move_on_after(SLOW_S) as patience:
                    await trio.lowlevel.wait_writable(self._sock)
                if patience.cancelled_caught:
                    self._driver.count(Reason.LINK_SLOW)
                    self._end(None)
                    return
                self._write()
            if self._blocked or self._closed:
                continue
            self._stuck = False
            if self._weather is not None:
                self._post(self._weather)
            if self._owed and len(self._unsent) < self._room():
                self._owed = False
                self._driver.feed(self.writable)


def _deadline(at: Instant | None) -> float:
    """An instant on Trio's clock."""
    return float("inf") if at is None else trio.current_time() + (at - boot_us()) / SECOND
