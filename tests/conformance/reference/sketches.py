"""Frontiers: marks, fingerprints and symbols (docs/protocol.md, section 13), written down as plainly as it goes."""

from __future__ import annotations

import hashlib
import math

from tests.conformance.reference.codec import Refused
from tests.conformance.reference.crypto import blake

U64 = 2**64
ENTRY_BYTES = 72


def entries_of(data: bytes) -> list[bytes]:
    """The entries that ``data`` consists of; incarnation 0 stands for eight branches and has no head (R84).

    Raises:
        Refused: it does not, or an incarnation is out of range (R90).
    """
    if len(data) % ENTRY_BYTES:
        raise Refused("not made of entries")
    found = [data[at : at + ENTRY_BYTES] for at in range(0, len(data), ENTRY_BYTES)]
    if not all(1 <= int.from_bytes(entry[32:40], "big") < 2**53 or not any(entry[32:]) for entry in found):
        raise Refused("an incarnation out of range")
    return found


def mark(entries: list[bytes], salt: bytes) -> bytes:
    """What RECON_OPEN says (R91)."""
    lanes = [0] * 1_024
    for entry in entries:
        spread = hashlib.shake_128(b"trio-mesh entry" + entry).digest(2_048)
        for lane in range(1_024):
            lanes[lane] = (lanes[lane] + int.from_bytes(spread[2 * lane : 2 * lane + 2], "little")) % 2**16
    state = b"".join(lane.to_bytes(2, "little") for lane in lanes)
    return salt + blake(state, size=8, person=b"trio-mesh mark", key=salt)


def fingerprints(entries: list[bytes], salt: bytes, opener: bytes, answerer: bytes) -> list[bytes]:
    """The fingerprint of each entry in a session (R93)."""
    key = blake(salt + opener + answerer, size=16, person=b"trio-mesh recon")
    return [blake(entry, size=5, person=b"trio-mesh finger", key=key) for entry in entries]


def symbols(prints: list[bytes], count: int) -> list[bytes]:
    """The first ``count`` symbols of a set of fingerprints (R93)."""
    found = [0] * count
    for one in prints:
        f = int.from_bytes(one, "big")
        z = (f + 0x9E3779B97F4A7C15) % U64
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % U64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % U64
        z ^= z >> 31
        word = f * 2**16 + z // 2**48
        s, i = z | 1, 0
        while i < count:
            found[i] ^= word
            s = s * 0xDA942042E4DD58B5 % U64
            r = math.isqrt(s // 2**14 | 1)
            above, below = (2 * i + 3) * (2**25 - r), 2 * r
            i += above // below + (above % below > 0)
    return [symbol.to_bytes(7, "big") for symbol in found]
