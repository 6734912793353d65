"""Meshes and authors: how a mesh gets its id and secret, and how an author proves who it is.

Source: pre-rotation after KERI (Smith 2019): the inception commits to the digest of the next key, whose secret is
not on the hub, so that a thief of the hub cannot rotate. An *author id* is BLAKE2b-256 of the inception's signed
bytes. A *key state* is the inception and up to three rotations, at most 1,024 bytes encoded.
Invariants: a decoded key state is whole or refused; every key in it is a point of the prime-order group.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from protocol import limits
from protocol.crypto import KEY_BYTES, DhKey, SigningKey, admit_key, digest, verify
from protocol.errors import LocalProtocolError, Reason, RemoteProtocolError
from protocol.ids import AUTHOR_BYTES, MESH_BYTES, AuthorId, MeshId
from protocol.wire import fields
from protocol.wire.codec import Value, decode, encode
from protocol.wire.records import RECORD_VERSION, header

DOMAIN_INCEPTION: Final = "trio.inception"
DOMAIN_ROTATION: Final = "trio.rotation"
MESH_SECRET_BYTES: Final = 32

Admission = Literal["open", "invite"]
Opener: TypeAlias = Callable[[], DhKey]
"""Makes the X25519 key that belongs to a signing key."""


class KeyStateError(RemoteProtocolError):
    """A key state that does not prove what it says."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """One mesh: its id (inside every signature), the link psk, and who may enter."""

    mesh_id: MeshId
    psk: bytes
    admission: Admission

    def __repr__(self) -> str:
        return f"Mesh({self.mesh_id.hex()}, {self.admission})"


def open_mesh(name: str) -> Mesh:
    """The mesh that everybody who knows its public name can join and read (Unicode NFC, UTF-8)."""
    secret = digest(unicodedata.normalize("NFC", name).encode(), person=b"trio-mesh open")
    return _mesh(secret, "open")


def invite_mesh(secret: bytes) -> Mesh:
    """The mesh of those who were given the 32-byte secret.

    Raises:
        LocalProtocolError: the secret has not 32 bytes.
    """
    if len(secret) != MESH_SECRET_BYTES:
        raise LocalProtocolError(f"a mesh secret has {MESH_SECRET_BYTES} bytes, not {len(secret)}")
    return _mesh(secret, "invite")


def _mesh(secret: bytes, admission: Admission) -> Mesh:
    mesh_id = MeshId(digest(secret, size=MESH_BYTES, person=b"trio-mesh id"))
    return Mesh(mesh_id, digest(secret, person=b"trio-mesh psk"), admission)


def mesh_tag(mesh: Mesh, instance: str) -> str:
    """What an mDNS instance of this mesh says of itself: 16 hex digits that only members can recognise."""
    return digest(instance.encode(), size=8, key=mesh.psk, person=b"trio-mesh tag").hex()


@dataclass(frozen=True, slots=True)
class KeyState:
    """A checked key state: ``key`` is the author's current Ed25519 key, ``next_digest`` commits to the next, ``keys``
    has one key for each rotation, the first of them the inception's."""

    author: AuthorId
    key: bytes
    rotation: int
    next_digest: bytes
    encoded: bytes
    keys: tuple[bytes, ...]


class LocalIdentity:
    """This hub's author: its key state and the current signing key. ``openers`` open what was sealed to this author:
    the current key's first, then those of its earlier keys that the hub still has."""

    __slots__ = ("_key", "key_state", "openers")

    def __init__(self, key_state: KeyState, sign: Callable[[bytes], bytes], openers: tuple[Opener, ...] = ()) -> None:
        self.key_state = key_state
        self._key = sign
        self.openers = openers

    @property
    def author(self) -> AuthorId:
        """The author id, the same through all rotations."""
        return self.key_state.author

    def sign(self, message: bytes) -> bytes:
        """64-byte signature by the current key."""
        return self._key(message)

    def __repr__(self) -> str:
        return f"LocalIdentity({self.author.hex()[:10]})"


def next_key_digest(key: bytes) -> bytes:
    """The commitment to a public key that is not in use yet."""
    return digest(key, person=b"trio-mesh next")


def new_identity(mesh_id: MeshId, seed: bytes, next_seed: bytes) -> LocalIdentity:
    """An author made of 32 secret bytes; of ``next_seed`` only the digest of its public key is kept."""
    return identity_from_seed(mesh_id, seed, next_key_digest(SigningKey(next_seed).public))


def identity_from_seed(mesh_id: MeshId, seed: bytes, next_digest: bytes) -> LocalIdentity:
    """The same author again from what the hub has kept: its seed and the digest of the next public key."""
    key = SigningKey(seed)
    signed = encode((DOMAIN_INCEPTION, mesh_id, RECORD_VERSION, key.public, next_digest))
    encoded = encode(((signed, key(signed)),))
    return LocalIdentity(decode_key_state(encoded, mesh_id), key, (key.dh,))


def rotate(
    mesh_id: MeshId, state: KeyState, revealed_seed: bytes, next_next_digest: bytes, earlier: tuple[Opener, ...] = ()
) -> LocalIdentity:
    """The same author under its next key. ``earlier`` are its openers until now, if they were not lost: what others
    sealed before they heard of the new key must still be read.

    Raises:
        LocalProtocolError: the seed is not the one committed to, or the key state is full.
    """
    key = SigningKey(revealed_seed)
    if next_key_digest(key.public) != state.next_digest:
        raise LocalProtocolError("this is not the next key that the identity committed to")
    if state.rotation >= limits.ROTATIONS_MAX:
        raise LocalProtocolError(f"an identity rotates at most {limits.ROTATIONS_MAX} times")
    signed = encode(
        (
            DOMAIN_ROTATION,
            mesh_id,
            RECORD_VERSION,
            state.author,
            state.rotation + 1,
            key.public,
            next_next_digest,
        )
    )
    records = decode(state.encoded)
    assert type(records) is tuple
    encoded = encode((*records, (signed, key(signed))))
    return LocalIdentity(decode_key_state(encoded, mesh_id), key, (key.dh, *earlier))


def decode_key_state(data: bytes, mesh_id: MeshId) -> KeyState:
    """Check a key state whole: lengths, mesh, every key, every digest, every signature.

    Raises:
        KeyStateError: ``BAD_KEY_STATE``, ``BAD_KEY``, ``BAD_SIGNATURE``, ``WRONG_MESH`` or a codec reason.
    """
    if len(data) > limits.KEY_STATE_BYTES_MAX:
        raise KeyStateError(Reason.BAD_KEY_STATE, f"more than {limits.KEY_STATE_BYTES_MAX} bytes")
    try:
        return _decode_key_state(data, mesh_id)
    except KeyStateError:
        raise
    except RemoteProtocolError as fault:
        raise KeyStateError(fault.reason, str(fault)) from fault


def _decode_key_state(data: bytes, mesh_id: MeshId) -> KeyState:
    records = fields.array(decode(data), "key state", 1, 1 + limits.ROTATIONS_MAX)
    signed, signature = _record(records[0])
    items = header(decode(signed), DOMAIN_INCEPTION, mesh_id, 5)
    key = admit_key(fields.binary(items[3], "key", KEY_BYTES, KEY_BYTES))
    next_digest = fields.binary(items[4], "next digest", 32, 32)
    _check(key, signed, signature)
    keys = [key]
    author = AuthorId(digest(signed))
    for number, record in enumerate(records[1:], start=1):
        signed, signature = _record(record)
        items = header(decode(signed), DOMAIN_ROTATION, mesh_id, 7)
        if fields.binary(items[3], "author", AUTHOR_BYTES, AUTHOR_BYTES) != author:
            raise KeyStateError(Reason.BAD_KEY_STATE, "rotation of another author")
        fields.integer(items[4], "rotation", number, number)
        key = admit_key(fields.binary(items[5], "key", KEY_BYTES, KEY_BYTES))
        if next_key_digest(key) != next_digest:
            raise KeyStateError(Reason.BAD_KEY_STATE, "not the key committed to")
        next_digest = fields.binary(items[6], "next digest", 32, 32)
        _check(key, signed, signature)
        keys.append(key)
    return KeyState(author, key, len(records) - 1, next_digest, data, tuple(keys))


def _record(value: Value) -> tuple[bytes, bytes]:
    signed, signature = fields.array(value, "record", 2, 2)
    return (
        fields.binary(signed, "signed", 1, limits.KEY_STATE_BYTES_MAX),
        fields.binary(signature, "signature", limits.SIGNATURE_BYTES, limits.SIGNATURE_BYTES),
    )


def _check(key: bytes, signed: bytes, signature: bytes) -> None:
    if not verify(key, signed, signature):
        raise KeyStateError(Reason.BAD_SIGNATURE, "key state")
