"""Chunks of the payloads that were last gathered, told or read, with their proofs: so neighbors need no disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from protocol.ids import EventId
from protocol.wire import parts
from protocol.wire.events import Chunk, EventRecord, Payload

KEPT_BYTES_MAX: Final = 4 << 20
"""Twice the largest payload."""


def chunks_of(name: EventId, payload: Payload) -> list[Chunk]:
    """All chunks of a payload as they travel."""
    pieces = parts.split(payload.content)
    tree = parts.levels([parts.leaf(payload.salt, piece) for piece in pieces])
    return [Chunk(name, index, payload.salt, piece, parts.proof(tree, index)) for index, piece in enumerate(pieces)]


def is_signed(event: EventRecord, chunks: Sequence[Chunk]) -> bool:
    """Whether these are all the chunks of what the event's author signed; they come of one tree."""
    first = chunks[0]
    right = sum(len(chunk.data or b"") for chunk in chunks) == event.payload_size
    hashed = parts.leaf(first.salt, first.data or b"")
    return right and parts.root(hashed, 0, len(chunks), first.proof) == event.payload_hash


class Kept:
    """Payloads of more than one chunk, the one last used last; at most ``KEPT_BYTES_MAX`` and one payload."""

    def __init__(self) -> None:
        self._payloads: dict[EventId, tuple[Chunk, ...]] = {}
        self._bytes = 0

    def __contains__(self, name: EventId) -> bool:
        return name in self._payloads

    @property
    def bytes(self) -> int:
        """Content and proofs."""
        return self._bytes

    def keep(self, name: EventId, chunks: Sequence[Chunk]) -> None:
        """Keep all chunks of a payload; a small one is read from the disk as easily."""
        self.drop(name)
        if len(chunks) < 2:
            return
        size = _bytes(chunks)
        for oldest in list(self._payloads):
            if self._bytes + size <= KEPT_BYTES_MAX:
                break
            self.drop(oldest)
        self._payloads[name] = tuple(chunks)
        self._bytes += size

    def get(self, name: EventId, index: int) -> Chunk | None:
        """A chunk, if its payload is kept."""
        chunks = self._payloads.pop(name, None)
        if chunks is None:
            return None
        self._payloads[name] = chunks
        return chunks[index] if index < len(chunks) else None

    def drop(self, name: EventId) -> None:
        """It is not to be given any more."""
        chunks = self._payloads.pop(name, None)
        if chunks is not None:
            self._bytes -= _bytes(chunks)


def _bytes(chunks: Sequence[Chunk]) -> int:
    return sum(len(chunk.data or b"") + len(chunk.proof) for chunk in chunks)
