"""Frames on a byte stream: a big-endian u16 length, then that many bytes.

Invariant: the length is known before anything is allocated for the body, and the buffer never holds more than
``limit`` + 2 bytes of an unfinished frame plus what one read delivered.
"""

from __future__ import annotations

from protocol.errors import DecodeError, Reason
from protocol.limits import FRAME_BYTES_MAX


def frame(body: bytes) -> bytes:
    """``body`` with its length in front; ``body`` has 1..65,535 bytes."""
    return len(body).to_bytes(2, "big") + body


class FrameReader:
    """Cuts a stream into frames.

    ``limit`` is the longest body accepted now: small before authentication, 65,535 after.
    """

    __slots__ = ("_at", "_buffer", "limit")

    def __init__(self, limit: int = FRAME_BYTES_MAX) -> None:
        self._buffer = b""
        self._at = 0
        self.limit = limit

    @property
    def unfinished(self) -> int:
        """Bytes held that do not make a whole frame yet."""
        return len(self._buffer) - self._at

    def push(self, data: bytes) -> None:
        """Add bytes without looking at them."""
        if self._at:
            self._buffer, self._at = self._buffer[self._at :], 0
        self._buffer += data

    def pop(self) -> bytes | None:
        """The next whole frame of what was pushed, or None.

        Raises:
            DecodeError: as :meth:`feed`.
        """
        buffer, at = self._buffer, self._at
        size = self._size(buffer, at) if len(buffer) - at >= 2 else 0
        if size == 0 or len(buffer) - at - 2 < size:
            if at:
                self._buffer, self._at = buffer[at:], 0
            return None
        self._at = at + 2 + size
        return buffer[at + 2 : at + 2 + size]

    def _size(self, buffer: bytes, at: int) -> int:
        size = (buffer[at] << 8) | buffer[at + 1]
        if size == 0:
            raise DecodeError(Reason.FRAME_EMPTY)
        if size > self.limit:
            raise DecodeError(Reason.FRAME_TOO_LARGE, f"{size} > {self.limit}")
        return size

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that ``data`` completes, in order.

        Raises:
            DecodeError: ``FRAME_EMPTY`` or ``FRAME_TOO_LARGE``; the stream is then useless.
        """
        self.push(data)
        frames: list[bytes] = []
        while (body := self.pop()) is not None:
            frames.append(body)
        return frames
