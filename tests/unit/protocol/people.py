"""One mesh, and as many authors as a test wants; every key comes from a number, so nothing here is random."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from protocol.crypto import SigningKey
from protocol.identity import LocalIdentity, invite_mesh, new_identity, next_key_digest, rotate
from protocol.wire import messages as wire
from protocol.wire.block import Block, make_block
from protocol.wire.codec import Value, encode
from protocol.wire.records import (
    COMMONS,
    DOMAIN_VECTOR,
    RECORD_VERSION,
    TERMS_MAX,
    AddressesRecord,
    VectorRecord,
    encode_addresses,
    encode_vector,
)
from protocol.wire.registry import AROUSAL

MESH = invite_mesh(bytes(range(32)))
OTHER_MESH = invite_mesh(bytes(range(1, 33)))


def secret(person_number: int, rotation: int = 0) -> bytes:
    """The 32 secret bytes behind one person's key of one rotation."""
    return (person_number * 8 + rotation + 1).to_bytes(32, "big")


@cache
def person(number: int, rotations: int = 0) -> LocalIdentity:
    """An author of the mesh, after so many rotations of its key."""
    if rotations == 0:
        return new_identity(MESH.mesh_id, secret(number), secret(number, 1))
    before = person(number, rotations - 1)
    following = next_key_digest(SigningKey(secret(number, rotations + 1)).public)
    return rotate(MESH.mesh_id, before.key_state, secret(number, rotations), following)


ME = person(0)
ANN = person(1)
BEN = person(2)
CAT = person(3)
DAN = person(4)
EVE = person(5)
"""Eve is hostile wherever she appears."""


def keys(who: LocalIdentity) -> wire.Keys:
    """The message that carries an author's key state."""
    return wire.Keys(who.key_state.encoded)


def tag(who: LocalIdentity) -> bytes:
    """The eight bytes by which digests, prunes and grafts name an author."""
    return who.author[:8]


def one_sample(arousal: float | None = 0.25, *, sd: float | None = 0.1, quality: float = 1.0) -> Block:
    """A block of a single arousal sample."""
    return make_block((AROUSAL,), [(arousal,)], (sd,), dt_ms=250, quality=quality, method=1)


@dataclass(frozen=True, kw_only=True)
class Made:
    """What an author says besides its number; the defaults are an ordinary vector of the commons."""

    boot: int = 1
    hlc: int = 0
    audience: int = COMMONS
    terms: int = TERMS_MAX
    lease_ms: int = 10_000
    cadence_ms: int = 1_000
    block: Block | None = None


def record(who: LocalIdentity, seq: int = 1, made: Made | None = None) -> VectorRecord:
    """An author's vector before it is signed."""
    how = made or Made()
    return VectorRecord(
        who.author,
        who.key_state.rotation,
        how.boot,
        seq,
        how.hlc,
        how.audience,
        how.terms,
        how.lease_ms,
        how.cadence_ms,
        how.block or one_sample(),
    )


def vector(who: LocalIdentity, seq: int = 1, made: Made | None = None, *, age_ms: int = 0) -> wire.Vector:
    """An author's signed vector as a message."""
    signed = encode_vector(MESH.mesh_id, record(who, seq, made))
    return wire.Vector(signed, who.sign(signed), age_ms)


def forged(who: LocalIdentity, seq: int = 1, made: Made | None = None, *, age_ms: int = 0) -> wire.Vector:
    """The same, signed by somebody else."""
    signed = encode_vector(MESH.mesh_id, record(who, seq, made))
    return wire.Vector(signed, EVE.sign(signed), age_ms)


FIELDS = (
    *("domain", "mesh", "version", "author", "rotation", "boot", "seq", "hlc"),
    *("audience", "terms", "lease_ms", "cadence_ms", "body"),
)
"""The elements of a vector's signed bytes, in order."""


def raw_fields(who: LocalIdentity, **changed: Value) -> dict[str, Value]:
    """The elements of an ordinary vector by name, some of them replaced by anything that msgpack can say."""
    body = one_sample().to_value()
    usual: tuple[Value, ...] = (
        *(DOMAIN_VECTOR, MESH.mesh_id, RECORD_VERSION, who.author, who.key_state.rotation, 1, 1, 0),
        *(COMMONS, TERMS_MAX, 10_000, 1_000, body),
    )
    named = dict(zip(FIELDS, usual, strict=True))
    assert changed.keys() <= named.keys()
    return named | changed


def raw_vector(who: LocalIdentity, **changed: Value) -> wire.Vector:
    """A truly signed vector, some of whose elements are replaced."""
    signed = encode(tuple(raw_fields(who, **changed).values()))
    return wire.Vector(signed, who.sign(signed), 0)


def listening(
    who: LocalIdentity, *addresses: tuple[str, int], boot: int = 1, seq: int = 1, rotation: int | None = None
) -> tuple[bytes, bytes]:
    """An author's signed addresses and their signature."""
    number = who.key_state.rotation if rotation is None else rotation
    signed = encode_addresses(MESH.mesh_id, AddressesRecord(who.author, number, boot, seq, addresses))
    return signed, who.sign(signed)


def peer_record(who: LocalIdentity, *addresses: tuple[str, int], boot: int = 1, seq: int = 1) -> wire.PeerRecord:
    """The same as PEERS carries it."""
    return wire.PeerRecord(who.key_state.encoded, *listening(who, *addresses, boot=boot, seq=seq))
