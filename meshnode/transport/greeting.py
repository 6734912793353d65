"""Drives one protocol.link.Handshake over a socket. The caller bounds the time; this bounds the bytes."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

import trio

from protocol.errors import TransportError
from protocol.ids import AuthorId
from protocol.limits import FRAME_BYTES_MAX, HANDSHAKE_BYTES_MAX
from protocol.link.handshake import Established, Handshake
from protocol.wire.framing import FrameReader, frame

READ_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Greeted:
    """An established link and its reader, which may already hold bytes that came after the handshake."""

    established: Established
    reader: FrameReader


async def greet(
    sock: socket.socket, handshake: Handshake, *, initiator: bool, blocks: Callable[[AuthorId], bool]
) -> Greeted:
    """Run the handshake to its end; with somebody whom a rehearsal ``blocks`` it has none.

    Raises:
        RemoteProtocolError: refused (HandshakeError, or a frame length); only handshake bytes were sent.
        TransportError: the stream ended first.
    """
    reader = FrameReader(HANDSHAKE_BYTES_MAX)
    if initiator:
        await send_all(sock, frame(handshake.start()))
    while True:
        body = reader.pop()
        while body is None:
            data = await receive(sock, READ_BYTES)
            if not data:
                raise TransportError("closed during the handshake")
            reader.push(data)
            body = reader.pop()
        progress = handshake.receive(body)
        if progress.established is not None and blocks(progress.established.peer):
            await trio.sleep_forever()
        if progress.reply is not None:
            await send_all(sock, frame(progress.reply))
        if progress.established is not None:
            reader.limit = FRAME_BYTES_MAX
            return Greeted(progress.established, reader)


async def send_all(sock: socket.socket, data: bytes) -> None:
    """Write everything.

    Raises:
        TransportError: the stream is gone.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[sock.send(view) :]
        except BlockingIOError:
            await trio.lowlevel.wait_writable(sock)
        except OSError as fault:
            raise TransportError(str(fault)) from fault


async def receive(sock: socket.socket, count: int) -> bytes:
    """At most ``count`` bytes, as soon as there are any; nothing at the stream's end.

    Raises:
        TransportError: the stream is gone.
    """
    while True:
        try:
            return sock.recv(count)
        except BlockingIOError:
            await trio.lowlevel.wait_readable(sock)
        except OSError as fault:
            raise TransportError(str(fault)) from fault
