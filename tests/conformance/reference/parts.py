"""The tree over the chunks of a content (docs/protocol.md, section 12.5, R113), written down as RFC 9162 defines it."""

from __future__ import annotations

from tests.conformance.reference.crypto import blake

CHUNK_BYTES = 4_096


def pieces(content: bytes) -> list[bytes]:
    """The chunks of a content."""
    return [content[at : at + CHUNK_BYTES] for at in range(0, max(1, len(content)), CHUNK_BYTES)]


def leaf(salt: bytes, piece: bytes) -> bytes:
    """The hash of one chunk."""
    return blake(salt + piece, person=b"trio-payload")


def top(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162, section 2.1.1."""
    if len(leaves) == 1:
        return leaves[0]
    half = _half(len(leaves))
    return blake(top(leaves[:half]) + top(leaves[half:]), person=b"trio-parts")


def path(leaves: list[bytes], index: int) -> bytes:
    """PATH of RFC 9162, section 2.1.3.1."""
    if len(leaves) == 1:
        return b""
    half = _half(len(leaves))
    if index < half:
        return path(leaves[:half], index) + top(leaves[half:])
    return path(leaves[half:], index - half) + top(leaves[:half])


def proves(hashed: bytes, index: int, count: int, proof: bytes, root: bytes) -> bool:
    """Whether a proof leads from a leaf to the root."""
    return _root(hashed, index, count, proof) == root


def _root(hashed: bytes, index: int, count: int, proof: bytes) -> bytes | None:
    if count == 1:
        return None if proof else hashed
    if len(proof) < 32:
        return None
    half, sibling = _half(count), proof[-32:]
    left = index < half
    under = _root(hashed, index if left else index - half, half if left else count - half, proof[:-32])
    if under is None:
        return None
    return blake(under + sibling if left else sibling + under, person=b"trio-parts")


def _half(count: int) -> int:
    return 1 << (count - 1).bit_length() - 1
