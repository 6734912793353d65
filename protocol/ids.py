"""Names of things: authors, meshes, records and links.

An *author id* is the BLAKE2b-256 digest of the author's signed inception bytes (design decision 8); it outlives
key rotation. A *link id* is a small local number and never travels.
"""

from __future__ import annotations

from typing import Final, NewType

AuthorId = NewType("AuthorId", bytes)
"""32 bytes: BLAKE2b-256 of the inception record's signed bytes."""

MeshId = NewType("MeshId", bytes)
"""16 bytes, derived one-way from the mesh secret."""

RecordId = NewType("RecordId", bytes)
"""32 bytes: BLAKE2b-256 of a record's signed bytes (never of its signature, which is malleable)."""

EventId = NewType("EventId", bytes)
"""32 bytes: the record id of a durable event."""

LinkId = NewType("LinkId", int)
"""Local number of one established link; unique within one run of the hub."""

AUTHOR_BYTES: Final = 32
MESH_BYTES: Final = 16
RECORD_BYTES: Final = 32
EVENT_BYTES: Final = 32


def short(author: bytes) -> str:
    """The first ten hex digits of an id, for people; never used to compare."""
    return author[:5].hex()
