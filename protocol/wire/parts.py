"""Chunks of a payload that can be checked one by one, and so be taken from anybody and passed on at once.

Source: Merkle 1987; the tree of RFC 9162, section 2.1, over chunks of 4 KiB: a node without a sibling goes up as it is.
The hash of a payload of one chunk is that of its only leaf. Leaves and nodes have different personalisations, and how
many leaves there are is signed (``payload_size``), so no node can be shown as a chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from protocol.crypto import digest
from protocol.limits import CHUNK_BYTES

HASH_BYTES: Final = 32
PERSON_LEAF: Final = b"trio-payload"
PERSON_NODE: Final = b"trio-parts"


def chunk_count(size: int) -> int:
    """In how many chunks a payload of ``size`` bytes travels; an empty one travels in one."""
    return max(1, -(-size // CHUNK_BYTES))


def split(content: bytes) -> list[bytes]:
    """The chunks of a content."""
    return [content[start : start + CHUNK_BYTES] for start in range(0, max(1, len(content)), CHUNK_BYTES)]


def leaf(salt: bytes, chunk: bytes) -> bytes:
    """The hash of one chunk."""
    return digest(salt + chunk, person=PERSON_LEAF)


def levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """The whole tree, the leaves first and the root last."""
    tree = [list(leaves)]
    while len(tree[-1]) > 1:
        below = tree[-1]
        above = [_node(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)]
        tree.append(above + below[len(below) & ~1 :])
    return tree


def proof(tree: Sequence[Sequence[bytes]], index: int) -> bytes:
    """What leads from leaf ``index`` to the root: the siblings on the way, from below."""
    found = []
    for level in tree[:-1]:
        sibling = index ^ 1
        if sibling < len(level):
            found.append(level[sibling])
        index >>= 1
    return b"".join(found)


def root(hashed: bytes, index: int, count: int, proven: bytes) -> bytes | None:
    """The root above leaf ``index`` of ``count``; None if the proof is not as long as it must be."""
    at = 0
    while count > 1:
        if index ^ 1 < count:
            sibling = proven[at : at + HASH_BYTES]
            if len(sibling) < HASH_BYTES:
                return None
            hashed = _node(sibling, hashed) if index & 1 else _node(hashed, sibling)
            at += HASH_BYTES
        index >>= 1
        count = (count + 1) >> 1
    return hashed if at == len(proven) else None


def _node(left: bytes, right: bytes) -> bytes:
    return digest(left + right, person=PERSON_NODE)
