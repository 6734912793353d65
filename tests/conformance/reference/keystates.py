"""Authors: key states read and made (docs/protocol.md, section 5.1), and the proof that ties one to a link (4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.conformance.reference.codec import Refused, Value, decode, encode
from tests.conformance.reference.crypto import admit, blake, public_from_seed, sign, verify
from tests.conformance.reference.mutations import NONE, Mutation, Mutations
from tests.conformance.reference.shape import binary, elements, integer

INCEPTION: Final = "trio.inception"
ROTATION: Final = "trio.rotation"
RECORD_VERSION: Final = 1
ROTATIONS_MAX: Final = 3
KEY_STATE_BYTES_MAX: Final = 1_024
PROOF_DOMAIN: Final = b"trio-mesh/1 link proof"
INITIATOR_ROLE: Final = b"\x00"
RESPONDER_ROLE: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class KeyState:
    """What a valid key state says: 32-byte author id and current key, how many rotations, the next commitment."""

    author: bytes
    key: bytes
    rotation: int
    next_digest: bytes
    encoded: bytes


def commitment(public: bytes) -> bytes:
    """The digest by which a key state commits to its next key."""
    return blake(public, person=b"trio-mesh next")


def header(value: Value, domain: str, mesh_id: bytes, count: int, mutations: Mutations = NONE) -> list[Value]:
    """The elements of a record with the right domain, mesh, version and number of elements (R21).

    Raises:
        Refused: anything else is there.
    """
    items = elements(value, count)
    if items[0] != domain:
        raise Refused("another domain")
    mesh = binary(16)(items[1])
    if mesh != mesh_id and Mutation.ANY_MESH not in mutations:
        raise Refused("another mesh")
    version = integer(0, 2**64 - 1)(items[2])
    if version != RECORD_VERSION and Mutation.ANY_RECORD_VERSION not in mutations:
        raise Refused("another record version")
    return items


def decode_key_state(data: bytes, mesh_id: bytes, mutations: Mutations = NONE) -> KeyState:
    """Check a key state whole (R22).

    Raises:
        Refused: it is not valid; the text says what.
    """
    if len(data) > KEY_STATE_BYTES_MAX:
        raise Refused("a key state of more than 1,024 bytes")
    records = elements(decode(data, mutations), 1, 1 + ROTATIONS_MAX)
    signed, signature = _record(records[0])
    items = header(decode(signed, mutations), INCEPTION, mesh_id, 5, mutations)
    key = admit(binary(32)(items[3]), mutations)
    _check(key, signed, signature, mutations)
    author = blake(signed)
    next_digest = binary(32)(items[4])
    for number, record in enumerate(records[1:], start=1):
        signed, signature = _record(record)
        items = header(decode(signed, mutations), ROTATION, mesh_id, 7, mutations)
        if binary(32)(items[3]) != author:
            raise Refused("a rotation of another author")
        integer(number, number)(items[4])
        key = admit(binary(32)(items[5]), mutations)
        if commitment(key) != next_digest and Mutation.UNCHECKED_COMMITMENT not in mutations:
            raise Refused("not the key committed to")
        _check(key, signed, signature, mutations)
        next_digest = binary(32)(items[6])
    return KeyState(author, key, len(records) - 1, next_digest, data)


def key_at(state: KeyState, rotation: int) -> bytes:
    """The public key of one rotation of a valid key state."""
    signed, _ = _record(elements(decode(state.encoded), rotation + 1, 1 + ROTATIONS_MAX)[rotation])
    items = elements(decode(signed), 5, 7)
    return binary(32)(items[5 if rotation else 3])


def _record(value: Value) -> tuple[bytes, bytes]:
    signed, signature = elements(value, 2)
    return binary(1, KEY_STATE_BYTES_MAX)(signed), binary(64)(signature)


def _check(key: bytes, signed: bytes, signature: bytes, mutations: Mutations) -> None:
    if not verify(key, signed, signature, mutations) and Mutation.UNCHECKED_KEY_STATE not in mutations:
        raise Refused("a signature in a key state is wrong")


def inception(mesh_id: bytes, public: bytes, next_digest: bytes) -> bytes:
    """The bytes to sign of an inception."""
    return encode([INCEPTION, mesh_id, RECORD_VERSION, public, next_digest])


def rotation(mesh_id: bytes, author: bytes, number: int, public: bytes, next_digest: bytes) -> bytes:
    """The bytes to sign of a rotation."""
    return encode([ROTATION, mesh_id, RECORD_VERSION, author, number, public, next_digest])


class Identity:
    """An author of ours: every seed from the first key to the last, of which the first ``rotation + 1`` are in use."""

    def __init__(self, mesh_id: bytes, seeds: list[bytes], in_use: int = 1) -> None:
        """``seeds`` has at least one element more than ``in_use``: the last key committed to."""
        publics = [public_from_seed(seed) for seed in seeds]
        signed = inception(mesh_id, publics[0], commitment(publics[1]))
        self.author = blake(signed)
        records: list[Value] = [[signed, sign(seeds[0], signed)]]
        for number in range(1, in_use):
            signed = rotation(mesh_id, self.author, number, publics[number], commitment(publics[number + 1]))
            records.append([signed, sign(seeds[number], signed)])
        self.mesh_id = mesh_id
        self.seeds = seeds
        self.rotation = in_use - 1
        self.seed = seeds[in_use - 1]
        self.key_state = encode(records)

    @property
    def tag(self) -> bytes:
        """The first 8 bytes of the author id."""
        return self.author[:8]

    def rotated(self) -> Identity:
        """The same author one rotation on."""
        return Identity(self.mesh_id, self.seeds, self.rotation + 2)

    def sign(self, message: bytes) -> bytes:
        """Sign by the current key."""
        return sign(self.seed, message)


def proof_message(role: bytes, bound_hash: bytes, static: bytes) -> bytes:
    """What the proof of a link signs."""
    return PROOF_DOMAIN + role + bound_hash + static


def make_proof(identity: Identity, role: bytes, bound_hash: bytes, static: bytes) -> bytes:
    """The handshake payload of ``identity``."""
    return encode([identity.key_state, identity.sign(proof_message(role, bound_hash, static))])


def check_proof(
    mesh_id: bytes, payload: bytes, role: bytes, bound_hash: bytes, static: bytes, mutations: Mutations = NONE
) -> KeyState:
    """The key state that a handshake payload proves (R15).

    Raises:
        Refused: it proves nothing.
    """
    encoded, signature = elements(decode(payload, mutations), 2)
    state = decode_key_state(binary(1, KEY_STATE_BYTES_MAX)(encoded), mesh_id, mutations)
    if Mutation.UNCHECKED_PROOF in mutations:
        return state
    roles = (INITIATOR_ROLE, RESPONDER_ROLE) if Mutation.ANY_ROLE in mutations else (role,)
    good = binary(64)(signature)
    if not any(verify(state.key, proof_message(each, bound_hash, static), good, mutations) for each in roles):
        raise Refused("the proof is not by the author's current key")
    return state
