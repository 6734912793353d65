"""One authenticated link: plaintext messages in, sealed frames on a socket out, and back.

``send`` seals into an outbox that the driver has written with one system call when it has nothing else to do
(``flush``); only what the kernel did not take waits for a task. Invariant: the outbox holds at most ``OUTBOX_BYTES``
and one frame, and nothing is added to what the kernel has refused: what comes later coalesces in the Node.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Container
from typing import Protocol

import trio

from meshnode.transport.lab import BUFFER_BYTES_MAX, Lab
from meshnode.transport.poller import Poller
from meshnode.transport.tcp import local_host
from protocol.errors import CloseCode, Reason, RemoteProtocolError
from protocol.ids import AuthorId, LinkId
from protocol.inputs import FrameReceived, Input, LinkDown, LinkWritable
from protocol.link.channel import Channel
from protocol.wire.framing import FrameReader, frame
from protocol.wire.messages import Bye, Message, encode_frame

READ_BYTES = 65_536
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
        self._channel = channel
        self._reader = reader
        self._driver = driver
        self._lab = lab
        self._poller = None if lab is not None else poller  # a cut must be able to hold back what is readable
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
        self._owed = self._stuck or len(self._unsent) >= (BUFFER_BYTES_MAX if self._cut_off() else OUTBOX_BYTES)
        return not self._owed

    def flush(self) -> bool:
        """Write the outbox; True if the driver waited for this and may send again."""
        if self._closed or self._stuck or self._cut_off():
            return False
        self._write()
        if self._unsent:
            self._stuck = True
            self._wake.set()
            return False
        owed, self._owed = self._owed, False
        return owed

    def _cut_off(self) -> bool:
        return self._lab is not None and self._lab.blocks(self.peer)

    def _write(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            self._end(None)
            return
        self.bytes_out += sent
        self._unsent = self._unsent[sent:]

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
        if self._lab is not None and self._cut_off():
            self._lab.bury(self._sock)
            return
        with contextlib.suppress(OSError):
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

    def _receive(self) -> None:
        """Read once from a socket that is readable."""
        try:
            data = self._sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(None)
            return
        self.bytes_in += len(data)
        self._take(data)

    async def _read(self) -> None:
        self._take(b"")  # what the handshake's last read brought along
        if self._poller is not None:
            with self._poller.serving(self._sock, self._receive):
                await trio.sleep_forever()
        while not self._closed:
            await trio.lowlevel.wait_readable(self._sock)
            while self._lab is not None and self._lab.blocks(self.peer):
                await self._lab.changed()
            self._receive()

    async def _write_rest(self) -> None:
        """Write what the kernel refused, or what a rehearsed cut has held back, as soon as that is possible."""
        while True:
            if self._lab is None:
                await self._wake.wait()
            else:
                await self._wake_or_change(self._lab)
            self._wake = trio.Event()
            while self._unsent and not self._cut_off():
                with trio.move_on_after(SLOW_S) as patience:
                    await trio.lowlevel.wait_writable(self._sock)
                if patience.cancelled_caught:
                    self._driver.count(Reason.LINK_SLOW)
                    self._end(None)
                    return
                self._write()
            if self._unsent or self._closed:
                continue
            self._stuck = False
            owed, self._owed = self._owed, False
            if owed:
                self._driver.feed(self.writable)

    async def _wake_or_change(self, lab: Lab) -> None:
        async with trio.open_nursery() as nursery:

            async def heal() -> None:
                await lab.changed()
                nursery.cancel_scope.cancel()

            nursery.start_soon(heal)
            await self._wake.wait()
            nursery.cancel_scope.cancel()
