"""Vectors and addresses (docs/protocol.md, sections 5.2 and 5.3), read and made."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from tests.conformance.reference.codec import Refused, Value, decode, encode
from tests.conformance.reference.keystates import RECORD_VERSION, ROTATIONS_MAX, header
from tests.conformance.reference.mutations import NONE, Mutation, Mutations
from tests.conformance.reference.shape import binary, elements, integer, listed, text

VECTOR: Final = "trio.vector"
ADDRESSES: Final = "trio.addresses"
COUNTER_MAX: Final = 2**53 - 1
VECTOR_BYTES_MAX: Final = 2_048
ADDRESSES_BYTES_MAX: Final = 512
UNKNOWN_VALUE: Final = -32_768
FULL_SCALE: Final = 32_767
UNKNOWN_DEVIATION: Final = 255
MAY_RELAY: Final = 1

DIMENSIONS: Final[dict[int, tuple[str, float, float]]] = {
    0: ("arousal", -1, 1),
    1: ("valence", -1, 1),
    2: ("dominance", -1, 1),
    3: ("heart_rate", 20, 240),
    4: ("respiration_rate", 2, 60),
    5: ("respiration_phase", 0, 2 * math.pi),
    6: ("skin_conductance", 0, 100),
}
"""Dimension id to (name, low, high)."""

Number: TypeAlias = tuple[int, int, int]
"""(rotation, boot, seq): the order of one author's records."""


class Ignored(Exception):
    """A vector that this version does not know how to read: dropped, not relayed, and the link is kept (R24, R26)."""


@dataclass(frozen=True, slots=True)
class Block:
    """The samples of a vector as they lie on the wire."""

    dt_ms: int
    dims: tuple[int, ...]
    k: int
    quality: int
    method: int
    blob: bytes

    def values(self) -> list[list[float | None]]:
        """k rows of d values in the unit of their dimension; None is unknown."""
        raw = struct.unpack_from(f"<{self.k * len(self.dims)}h", self.blob)
        rows = [raw[row * len(self.dims) : (row + 1) * len(self.dims)] for row in range(self.k)]
        return [[_value(dim, number) for dim, number in zip(self.dims, row, strict=True)] for row in rows]

    def deviations(self) -> list[float | None]:
        """d standard deviations in the unit of their dimension; None is unknown."""
        found: list[float | None] = []
        for dim, byte in zip(self.dims, self.blob[-len(self.dims) :], strict=True):
            _, low, high = DIMENSIONS[dim]
            found.append(None if byte == UNKNOWN_DEVIATION else byte / 254 * (high - low))
        return found


def _value(dim: int, number: int) -> float | None:
    _, low, high = DIMENSIONS[dim]
    return None if number == UNKNOWN_VALUE else low + (number + FULL_SCALE) / (2 * FULL_SCALE) * (high - low)


@dataclass(frozen=True, slots=True)
class Vector:
    """The fields of a vector; the defaults are those of an ordinary one."""

    author: bytes
    rotation: int = 0
    boot: int = 1
    seq: int = 1
    hlc: int = 0
    audience: int = 0
    terms: int = 7
    lease_ms: int = 10_000
    cadence_ms: int = 1_000
    block: Block = Block(250, (0,), 1, 200, 0, b"\x00\x10\x20")

    @property
    def number(self) -> Number:
        """By what vectors of one author are ordered."""
        return (self.rotation, self.boot, self.seq)

    def items(self, mesh_id: bytes) -> list[Value]:
        """The elements of ``signed``."""
        block = self.block
        dims: list[Value] = list(block.dims)
        body: list[Value] = [block.dt_ms, dims, block.k, block.quality, block.method, block.blob]
        head: list[Value] = [VECTOR, mesh_id, RECORD_VERSION, self.author, self.rotation, self.boot, self.seq]
        return [*head, self.hlc, self.audience, self.terms, self.lease_ms, self.cadence_ms, body]

    def signed(self, mesh_id: bytes) -> bytes:
        """The bytes to sign."""
        return encode(self.items(mesh_id))

    def after(self, seq: int) -> Vector:
        """The same with another sequence number."""
        return replace(self, seq=seq)


_NUMBERS: Final = (
    ("rotation", integer(0, ROTATIONS_MAX)),
    ("boot", integer(1, COUNTER_MAX)),
    ("seq", integer(1, COUNTER_MAX)),
    ("hlc", integer(0, 2**64 - 1)),
    ("audience", integer(0, 2**64 - 1)),
    ("terms", integer(0, 7)),
    ("lease_ms", integer(1_000, 60_000)),
    ("cadence_ms", integer(50, 60_000)),
)


def decode_vector(signed: bytes, mesh_id: bytes, mutations: Mutations = NONE) -> Vector:
    """Check the signed bytes of a vector; the signature is another matter.

    Raises:
        Refused: they break section 5.2.
        Ignored: another audience, or an unregistered dimension.
    """
    if len(signed) > VECTOR_BYTES_MAX:
        raise Refused("a vector of more than 2,048 bytes")
    items = header(decode(signed, mutations), VECTOR, mesh_id, 13, mutations)
    author = binary(32)(items[3])
    rotation, boot, seq, hlc, audience, terms, lease_ms, cadence_ms = (
        _named(name, check, item) for (name, check), item in zip(_NUMBERS, items[4:12], strict=True)
    )
    if audience != 0 and Mutation.ANY_AUDIENCE not in mutations:
        raise Refused("closes") if Mutation.AUDIENCE_CLOSES in mutations else Ignored("another audience")
    block = _block(items[12], mutations)
    return Vector(author, rotation, boot, seq, hlc, audience, terms, lease_ms, cadence_ms, block)


def _named(name: str, check: object, item: Value) -> int:
    assert callable(check)
    try:
        number = check(item)
    except Refused as fault:
        raise Refused(f"{name}: {fault}") from None
    assert isinstance(number, int)
    return number


def _block(value: Value, mutations: Mutations) -> Block:
    dt_ms, dims, k, quality, method, blob = elements(value, 6)
    block = Block(
        integer(10, 60_000)(dt_ms),
        listed(integer(0, 255), 1, 8)(dims),
        integer(1, 128)(k),
        integer(0, 255)(quality),
        integer(0, 65_535)(method),
        binary(0, VECTOR_BYTES_MAX)(blob),
    )
    count = len(block.dims)
    if any(low >= high for low, high in zip(block.dims, block.dims[1:], strict=False)):
        raise Refused("dimensions that do not ascend")
    if len(block.blob) != 2 * block.k * count + count:
        raise Refused("a blob of another length than its samples need")
    if 0 in block.blob[-count:] and Mutation.ZERO_DEVIATION not in mutations:
        raise Refused("a standard deviation of 0")
    if any(dim not in DIMENSIONS for dim in block.dims) and Mutation.ANY_DIMENSION not in mutations:
        raise Refused("closes") if Mutation.DIMENSION_CLOSES in mutations else Ignored("an unregistered dimension")
    return block


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where an author's hub listens."""

    author: bytes
    rotation: int
    boot: int
    seq: int
    addresses: tuple[tuple[str, int], ...]

    def signed(self, mesh_id: bytes) -> bytes:
        """The bytes to sign."""
        pairs: list[Value] = [[host, port] for host, port in self.addresses]
        return encode([ADDRESSES, mesh_id, RECORD_VERSION, self.author, self.rotation, self.boot, self.seq, pairs])


def decode_addresses(signed: bytes, mesh_id: bytes, mutations: Mutations = NONE) -> Addresses:
    """Check the signed bytes of an addresses record; the signature is another matter.

    Raises:
        Refused: they break section 5.3.
    """
    if len(signed) > ADDRESSES_BYTES_MAX:
        raise Refused("addresses of more than 512 bytes")
    _, _, _, author, rotation, boot, seq, pairs = header(decode(signed, mutations), ADDRESSES, mesh_id, 8, mutations)
    found: list[tuple[str, int]] = []
    for pair in elements(pairs, 0, 4):
        host, port = elements(pair, 2)
        found.append((text(64)(host), integer(1, 65_535)(port)))
    return Addresses(
        binary(32)(author),
        integer(0, ROTATIONS_MAX)(rotation),
        integer(1, COUNTER_MAX)(boot),
        integer(1, COUNTER_MAX)(seq),
        tuple(found),
    )
