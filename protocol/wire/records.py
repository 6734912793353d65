"""Signed records: vector, addresses, inception and rotation.

``record = [signed, signature]``: the signature covers exactly the bytes that are sent, never a re-encoding; the
domain string and the mesh id are inside; a record's name is BLAKE2b-256 of ``signed``. Layouts are in
docs/protocol.md, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NoReturn

from protocol import limits
from protocol.errors import DecodeError, Reason
from protocol.ids import AUTHOR_BYTES, MESH_BYTES, AuthorId, MeshId
from protocol.limits import COUNTER_MAX
from protocol.wire import fields
from protocol.wire.block import Block, parse_block
from protocol.wire.codec import Value, decode, decode_for_schema, encode, inspect

RECORD_VERSION: Final = 1
DOMAIN_VECTOR: Final = "trio.vector"
DOMAIN_ADDRESSES: Final = "trio.addresses"

COMMONS: Final = 0
"""Audience 0: every admitted hub."""

MAY_RELAY: Final = 1
MAY_AGGREGATE: Final = 2
MAY_RECORD: Final = 4
TERMS_MAX: Final = MAY_RELAY | MAY_AGGREGATE | MAY_RECORD


@dataclass(slots=True)  # not frozen: made once per received vector
class VectorRecord:
    """A decoded vector; vectors of one author are ordered by ``number``."""

    author: AuthorId
    rotation: int
    boot: int
    seq: int
    hlc: int
    audience: int
    terms: int
    lease_ms: int
    cadence_ms: int
    block: Block

    @property
    def number(self) -> tuple[int, int, int]:
        """(rotation, boot, seq)."""
        return (self.rotation, self.boot, self.seq)


def encode_vector(mesh: MeshId, record: VectorRecord) -> bytes:
    """The bytes to sign."""
    return encode(
        (
            DOMAIN_VECTOR,
            mesh,
            RECORD_VERSION,
            record.author,
            record.rotation,
            record.boot,
            record.seq,
            record.hlc,
            record.audience,
            record.terms,
            record.lease_ms,
            record.cadence_ms,
            record.block.to_value(),
        )
    )


def decode_vector(mesh: MeshId, signed: bytes) -> VectorRecord:
    """Check and decode the signed bytes of a vector; the signature is the caller's business.

    Raises:
        DecodeError: names the field; ``WRONG_MESH``, ``WRONG_VERSION``, ``UNKNOWN_AUDIENCE`` and
            ``UNKNOWN_DIMENSION`` have reasons of their own.
    """
    if len(signed) > limits.VECTOR_BYTES_MAX:
        raise DecodeError(Reason.OUT_OF_RANGE, "vector too long")
    value = decode_for_schema(signed)
    try:
        return _vector(mesh, value)
    except DecodeError:
        inspect(value)  # what may not travel at all is the better reason
        raise


def _vector(mesh: MeshId, value: Value) -> VectorRecord:
    items = header(value, DOMAIN_VECTOR, mesh, 13)
    _, _, _, author, rotation, boot, seq, hlc, audience, terms, lease_ms, cadence_ms, body = items
    if (
        type(author) is bytes
        and len(author) == AUTHOR_BYTES
        and type(rotation) is type(boot) is type(seq) is type(hlc) is type(audience) is type(terms) is int
        and type(lease_ms) is type(cadence_ms) is int
        and 0 <= rotation <= limits.ROTATIONS_MAX
        and 1 <= boot <= COUNTER_MAX
        and 1 <= seq <= COUNTER_MAX
        and 0 <= hlc < 1 << 64
        and audience == COMMONS
        and 0 <= terms <= TERMS_MAX
        and limits.LEASE_MS_MIN <= lease_ms <= limits.LEASE_MS_MAX
        and limits.CADENCE_MS_MIN <= cadence_ms <= limits.CADENCE_MS_MAX
    ):
        return VectorRecord(
            AuthorId(author), rotation, boot, seq, hlc, audience, terms, lease_ms, cadence_ms, parse_block(body)
        )
    return _refused_vector(items)


def _refused_vector(items: tuple[Value, ...]) -> NoReturn:
    """Name the field at fault: the quick check above has found one."""
    _, _, _, author, rotation, boot, seq, hlc, audience, terms, lease_ms, cadence_ms, _ = items
    fields.binary(author, "author", AUTHOR_BYTES, AUTHOR_BYTES)
    fields.integer(rotation, "rotation", 0, limits.ROTATIONS_MAX)
    fields.integer(boot, "boot", 1, COUNTER_MAX)
    fields.integer(seq, "seq", 1, COUNTER_MAX)
    fields.integer(hlc, "hlc", 0, (1 << 64) - 1)
    fields.integer(terms, "terms", 0, TERMS_MAX)
    fields.integer(lease_ms, "lease_ms", limits.LEASE_MS_MIN, limits.LEASE_MS_MAX)
    fields.integer(cadence_ms, "cadence_ms", limits.CADENCE_MS_MIN, limits.CADENCE_MS_MAX)
    fields.integer(audience, "audience", 0, (1 << 64) - 1)
    raise DecodeError(Reason.UNKNOWN_AUDIENCE)


@dataclass(frozen=True, slots=True)
class AddressesRecord:
    """Where an author's hub listens; ordered like vectors by (rotation, boot, seq)."""

    author: AuthorId
    rotation: int
    boot: int
    seq: int
    addresses: tuple[tuple[str, int], ...]

    @property
    def number(self) -> tuple[int, int, int]:
        """(rotation, boot, seq)."""
        return (self.rotation, self.boot, self.seq)


def encode_addresses(mesh: MeshId, record: AddressesRecord) -> bytes:
    """The bytes to sign."""
    listed: Value = tuple((host, port) for host, port in record.addresses)
    return encode(
        (
            DOMAIN_ADDRESSES,
            mesh,
            RECORD_VERSION,
            record.author,
            record.rotation,
            record.boot,
            record.seq,
            listed,
        )
    )


def decode_addresses(mesh: MeshId, signed: bytes) -> AddressesRecord:
    """Check and decode the signed bytes of an addresses record.

    Raises:
        DecodeError: names the field.
    """
    if len(signed) > limits.ADDRESSES_BYTES_MAX:
        raise DecodeError(Reason.OUT_OF_RANGE, "addresses too long")
    _, _, _, author, rotation, boot, seq, listed = header(decode(signed), DOMAIN_ADDRESSES, mesh, 8)
    addresses = []
    for entry in fields.array(listed, "addresses", 0, limits.ADDRESSES_MAX):
        host, port = fields.array(entry, "address", 2, 2)
        addresses.append((fields.text(host, "host", limits.HOST_BYTES_MAX), fields.integer(port, "port", 1, 65_535)))
    return AddressesRecord(
        AuthorId(fields.binary(author, "author", AUTHOR_BYTES, AUTHOR_BYTES)),
        fields.integer(rotation, "rotation", 0, limits.ROTATIONS_MAX),
        fields.integer(boot, "boot", 1, COUNTER_MAX),
        fields.integer(seq, "seq", 1, COUNTER_MAX),
        tuple(addresses),
    )


def header(value: Value, domain: str, mesh: MeshId, arity: int) -> tuple[Value, ...]:
    """The elements of a record whose domain, mesh, version and length are right.

    Raises:
        DecodeError: ``WRONG_DOMAIN``, ``WRONG_MESH``, ``WRONG_VERSION`` or ``WRONG_ARITY``.
    """
    if type(value) is not tuple or len(value) < 3:
        raise DecodeError(Reason.WRONG_TYPE, "a record is an array")
    if value[0] != domain:
        raise DecodeError(Reason.WRONG_DOMAIN)
    if value[1] != mesh or len(mesh) != MESH_BYTES:
        raise DecodeError(Reason.WRONG_MESH)
    if type(value[2]) is not int or value[2] != RECORD_VERSION:
        raise DecodeError(Reason.WRONG_VERSION)
    if len(value) != arity:
        raise DecodeError(Reason.WRONG_ARITY, domain)
    return value
