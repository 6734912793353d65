"""Noise_XXpsk0_25519_ChaChaPoly_SHA256 written out message by message (docs/protocol.md, section 4.1).

Both sides are straight lines through the pattern instead of an engine, so that a slip in one engine cannot hide in the
other. ``hash`` read before a payload is the ``h`` that a proof signs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.conformance.reference.channel import Channel
from tests.conformance.reference.codec import Refused
from tests.conformance.reference.crypto import hkdf, seal, sha256, unseal, x25519, x25519_public
from tests.conformance.reference.meshes import Mesh
from tests.conformance.reference.mutations import NONE, Mutation, Mutations

VERSION: Final = 1
NAME: Final = b"Noise_XXpsk0_25519_ChaChaPoly_SHA256"
FIRST_BYTES: Final = 1 + 32 + 16


class Symmetric:
    """The hash, chaining key and handshake cipher of one side."""

    def __init__(self, mesh: Mesh) -> None:
        self.hash = sha256(NAME)  # the name is longer than 32 bytes
        self.chaining_key = self.hash
        self.key = b""
        self.nonce = 0
        self.mix_hash(b"trio-mesh" + bytes([VERSION]) + mesh.mesh_id)
        self.mix_psk(mesh.psk)

    def mix_hash(self, data: bytes) -> None:
        """MixHash."""
        self.hash = sha256(self.hash + data)

    def mix_key(self, material: bytes) -> None:
        """MixKey."""
        self.chaining_key, self.key = hkdf(self.chaining_key, material, 2)
        self.nonce = 0

    def mix_psk(self, psk: bytes) -> None:
        """MixKeyAndHash, token ``psk``."""
        self.chaining_key, into_hash, self.key = hkdf(self.chaining_key, psk, 3)
        self.mix_hash(into_hash)
        self.nonce = 0

    def mix_ephemeral(self, public: bytes) -> None:
        """Token ``e`` of a pattern with a psk."""
        self.mix_hash(public)
        self.mix_key(public)

    def encrypt(self, plaintext: bytes) -> bytes:
        """EncryptAndHash."""
        body = seal(self.key, self.nonce, plaintext, self.hash)
        self.nonce += 1
        self.mix_hash(body)
        return body

    def decrypt(self, body: bytes) -> bytes:
        """DecryptAndHash."""
        plaintext = unseal(self.key, self.nonce, body, self.hash)
        self.nonce += 1
        self.mix_hash(body)
        return plaintext

    def split(self) -> tuple[bytes, bytes]:
        """The keys initiator to responder and back."""
        forward, backward = hkdf(self.chaining_key, b"", 2)
        return forward, backward


class Initiator:
    """The dialling side: ``first``, ``second``, ``third``, then ``channel``."""

    def __init__(self, mesh: Mesh, static: bytes, ephemeral: bytes) -> None:
        self.symmetric = Symmetric(mesh)
        self.static = static
        self.ephemeral = ephemeral
        self.static_public = x25519_public(static)
        self.remote_ephemeral = b""
        self.remote_static = b""
        self.bound_hash = b""

    def first(self, version: int = VERSION) -> bytes:
        """The body of message 1."""
        public = x25519_public(self.ephemeral)
        self.symmetric.mix_ephemeral(public)
        return bytes([version]) + public + self.symmetric.encrypt(b"")

    def second(self, body: bytes) -> bytes:
        """Read message 2; returns its payload.

        Raises:
            Refused: it is too short or does not decrypt, or a key is of small order.
        """
        if len(body) < 32 + 48 + 16:
            raise Refused("message 2 cut short")
        self.remote_ephemeral = body[:32]
        self.symmetric.mix_ephemeral(self.remote_ephemeral)
        self.symmetric.mix_key(x25519(self.ephemeral, self.remote_ephemeral))
        self.remote_static = self.symmetric.decrypt(body[32:80])
        self.symmetric.mix_key(x25519(self.ephemeral, self.remote_static))
        self.bound_hash = self.symmetric.hash
        return self.symmetric.decrypt(body[80:])

    def third(self, payload: Callable[[bytes, bytes], bytes]) -> bytes:
        """The body of message 3; ``payload`` is made of the hash it signs and our static public key."""
        sealed_static = self.symmetric.encrypt(self.static_public)
        self.symmetric.mix_key(x25519(self.static, self.remote_ephemeral))
        return sealed_static + self.symmetric.encrypt(payload(self.symmetric.hash, self.static_public))

    def channel(self, mutations: Mutations = NONE) -> Channel:
        """The channel after message 3."""
        forward, backward = self.symmetric.split()
        return Channel(forward, backward, mutations)


class Responder:
    """The accepting side: ``first``, ``second``, ``third``, then ``channel``."""

    def __init__(self, mesh: Mesh, static: bytes, ephemeral: bytes, mutations: Mutations = NONE) -> None:
        self.symmetric = Symmetric(mesh)
        self.static = static
        self.ephemeral = ephemeral
        self.static_public = x25519_public(static)
        self.mutations = mutations
        self.remote_ephemeral = b""
        self.remote_static = b""
        self.bound_hash = b""

    def first(self, body: bytes) -> None:
        """Read message 1.

        Raises:
            Refused: another version or length, or it does not decrypt.
        """
        if body[:1] != bytes([VERSION]) and Mutation.ANY_VERSION not in self.mutations:
            raise Refused("another version")
        if len(body) != FIRST_BYTES:
            raise Refused("message 1 has another length")
        self.remote_ephemeral = body[1:33]
        self.symmetric.mix_ephemeral(self.remote_ephemeral)
        try:
            self.symmetric.decrypt(body[33:])
        except Refused:
            if Mutation.UNCHECKED_SECRET not in self.mutations:
                raise

    def second(self, payload: Callable[[bytes, bytes], bytes]) -> bytes:
        """The body of message 2."""
        public = x25519_public(self.ephemeral)
        self.symmetric.mix_ephemeral(public)
        self.symmetric.mix_key(x25519(self.ephemeral, self.remote_ephemeral, self.mutations))
        sealed_static = self.symmetric.encrypt(self.static_public)
        self.symmetric.mix_key(x25519(self.static, self.remote_ephemeral, self.mutations))
        return public + sealed_static + self.symmetric.encrypt(payload(self.symmetric.hash, self.static_public))

    def third(self, body: bytes) -> bytes:
        """Read message 3; returns its payload.

        Raises:
            Refused: it is too short or does not decrypt, or the static key is of small order.
        """
        if len(body) < 48 + 16:
            raise Refused("message 3 cut short")
        self.remote_static = self.symmetric.decrypt(body[:48])
        self.symmetric.mix_key(x25519(self.ephemeral, self.remote_static, self.mutations))
        self.bound_hash = self.symmetric.hash
        return self.symmetric.decrypt(body[48:])

    def channel(self, mutations: Mutations = NONE) -> Channel:
        """The channel after message 3."""
        forward, backward = self.symmetric.split()
        return Channel(backward, forward, mutations)
