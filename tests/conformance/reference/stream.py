"""Frames on a TCP connection, blocking, with deadlines (docs/protocol.md, section 4).

A socket's timeout counts for sending only; receiving waits with ``select``, so that one thread may send while another
waits for the other side.
"""

from __future__ import annotations

import select
import socket
from typing import Final

from tests.conformance.reference.codec import Refused
from tests.conformance.reference.weather import now

HANDSHAKE_BYTES_MAX: Final = 1_400
FRAME_BYTES_MAX: Final = 65_535
SEND_SECONDS: Final = 5.0


class Closed(Exception):
    """The connection has ended."""


class Late(Exception):
    """The deadline passed before a whole frame had come; what has come is kept."""


class Stream:
    """One connection: bytes in, frames out, and back."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(SEND_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = sock
        self.buffer = b""
        self.at = 0
        self.received_bytes = 0
        self.skips_empty = False

    def send(self, data: bytes) -> None:
        """Send bytes as they are.

        Raises:
            Closed: the connection has ended, or the other side does not read.
        """
        try:
            self.socket.sendall(data)
        except OSError:
            raise Closed from None

    def send_frame(self, body: bytes) -> None:
        """Send ``body`` with its length in front."""
        self.send(len(body).to_bytes(2, "big") + body)

    def receive_frame(self, deadline: float, limit: int = FRAME_BYTES_MAX) -> bytes:
        """The next frame body, at the latest at ``deadline``.

        Raises:
            Closed: the connection has ended.
            Late: not in time; call again to go on.
            Refused: a length of 0 or above ``limit`` (R11), before any of the body is read.
        """
        while True:
            held = len(self.buffer) - self.at
            if held >= 2:
                length = int.from_bytes(self.buffer[self.at : self.at + 2], "big")
                if length == 0 and not self.skips_empty:
                    raise Refused("a frame of length 0")
                if length > limit:
                    raise Refused(f"a frame of more than {limit} bytes")
                if held >= 2 + length:
                    self.at += 2 + length
                    if length:
                        return self.buffer[self.at - length : self.at]
                    continue
            data = self._read(deadline)
            self.buffer = self.buffer[self.at :] + data
            self.at = 0

    def _read(self, deadline: float) -> bytes:
        try:
            ready, _, _ = select.select([self.socket], [], [], max(0.0, deadline - now()))
            if not ready:
                raise Late
            data = self.socket.recv(65_536)
        except (OSError, ValueError):
            raise Closed from None
        if not data:
            raise Closed
        self.received_bytes += len(data)
        return data

    def ends(self, deadline: float) -> bool:
        """Whether the other side closes until ``deadline``; whatever comes before that is only counted."""
        try:
            while True:
                self._read(deadline)
        except Closed:
            return True
        except Late:
            return False

    def finish(self) -> None:
        """Send no more; what was sent still arrives."""
        self._shut(socket.SHUT_WR)

    def abort(self) -> None:
        """End both directions; a waiting reader wakes up."""
        self._shut(socket.SHUT_RDWR)

    def _shut(self, how: int) -> None:
        try:
            self.socket.shutdown(how)
        except OSError:
            return

    def close(self, linger: float = 0.0) -> None:
        """Give the socket back, after up to ``linger`` seconds for the other side to close first.

        Closing while bytes wait unread resets the connection, and the other side may then lose what was sent last.
        """
        if linger:
            self.ends(now() + linger)
        self.socket.close()


def dial(host: str, port: int, seconds: float) -> Stream:
    """A new connection.

    Raises:
        OSError: nobody answers there.
    """
    return Stream(socket.create_connection((host, port), timeout=seconds))
