"""The frontier: every end of every author's chain, with a digest that follows each change in constant time.

Source of the digest: LtHash, Bellare and Micciancio, "A New Paradigm for Collision-Free Hashing" (EUROCRYPT 1997), with
the parameters of Lewi, Kim, Maykov, Weis (2019): 1,024 lanes of 16 bits, each entry expanded by SHAKE128 (FIPS 202) and
added lane by lane. Why so wide: authors choose their heads, so they may try as many as they like. With XOR two sets of
one sum follow from linear algebra, with one sum mod 2^128 from Wagner's generalized birthday (2^40 work or less); for
LtHash the best attack known costs about 2^200. What travels is 8 bytes of a hash of the lanes under a fresh salt, so
nobody can look for two sets that agree beforehand, and chance hides a difference once in 2^64 sessions, until the next.
Invariants: the digest depends on the set of entries alone and not on the order in which they came.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import shake_128
from typing import Final

from protocol.crypto import digest
from protocol.errors import LocalProtocolError
from protocol.limits import FRONTIER_MAX
from protocol.wire.reconciling import MARK_BYTES, SALT_BYTES, Entry

LANES: Final = 1_024
STATE_BYTES: Final = 2 * LANES
_EVEN: Final = int.from_bytes(b"\xff\xff\x00\x00" * (LANES // 2), "little")
_ODD: Final = _EVEN << 16
_WRAP: Final = 1 << (16 * LANES)
_PERSON: Final = b"trio-mesh mark"
_LANE_PERSON: Final = b"trio-mesh entry"


def _expand(packed: bytes) -> int:
    return int.from_bytes(shake_128(_LANE_PERSON + packed).digest(STATE_BYTES), "little")


def _add(left: int, right: int) -> int:
    """Lane by lane, mod 2^16: even and odd lanes apart, so that a carry falls into a gap and is cut off."""
    even = ((left & _EVEN) + (right & _EVEN)) & _EVEN
    odd = ((left & _ODD) + (right & _ODD)) & _ODD
    return even | odd


def _subtract(left: int, right: int) -> int:
    """Lane by lane, mod 2^16: each lane borrows from a one that is set above it."""
    even = ((left & _EVEN | _ODD) - (right & _EVEN)) & _EVEN
    odd = ((left & _ODD | _EVEN | _WRAP) - (right & _ODD)) & _ODD
    return even | odd


class Frontier:
    """A set of entries. What is urgent in a chain (consent, revocations) makes its entry go first."""

    __slots__ = ("_entries", "_lanes", "version")

    def __init__(self) -> None:
        self._entries: dict[bytes, bool] = {}
        self._lanes = 0
        self.version = 0
        """Grows with every change of the set."""

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[bytes]:
        """The entries, packed, in the order in which they came."""
        return iter(self._entries)

    def __contains__(self, entry: Entry) -> bool:
        return entry.packed in self._entries

    def add(self, entry: Entry, *, urgent: bool = False) -> None:
        """Hold ``entry``; adding it again changes at most whether it is urgent.

        Raises:
            LocalProtocolError: the frontier is full; quotas must have kept it from growing so far.
        """
        packed = entry.packed
        if packed not in self._entries:
            if len(self._entries) >= FRONTIER_MAX:
                raise LocalProtocolError(f"a frontier has at most {FRONTIER_MAX} entries")
            self._lanes = _add(self._lanes, _expand(packed))
            self.version += 1
        self._entries[packed] = urgent

    def discard(self, entry: Entry) -> None:
        """Hold ``entry`` no more; always safe."""
        packed = entry.packed
        if self._entries.pop(packed, None) is not None:
            self._lanes = _subtract(self._lanes, _expand(packed))
            self.version += 1

    def urgent(self, packed: bytes) -> bool:
        """Whether a packed entry goes before others."""
        return self._entries.get(packed, False)

    def mark(self, salt: bytes) -> bytes:
        """The 16 bytes that open a session: ``salt`` and the digest under it."""
        state = self._lanes.to_bytes(STATE_BYTES, "little")
        return salt + digest(state, size=MARK_BYTES - SALT_BYTES, person=_PERSON, key=salt)
