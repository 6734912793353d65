"""The crypto port of a simulation: real Ed25519, or a counted stub a hundred times as fast.

Identities and key states are always real, so author ids, and with them every choice that compares ids, are the same
in both lanes. A stub signature is BLAKE2b of the message under a secret that only this object knows by public key:
whoever has not the signer cannot make one, so forgeries fail as they would in the real lane.
Invariant: ``signed`` is told of every byte string that any hub has signed, before the hub can send it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from protocol import crypto
from protocol.identity import LocalIdentity, Mesh, new_identity, next_key_digest, rotate
from protocol.ids import AuthorId
from protocol.rng import Rng

Lane = Literal["stub", "real"]
OnSigned = Callable[[AuthorId, bytes], None]

_STUB_PERSON: Final = b"trio-sim stub"


class Keys:
    """Makes identities and verifies; ``signatures`` and ``verifications`` count what the world has spent."""

    def __init__(self, lane: Lane, signed: OnSigned) -> None:
        self.lane = lane
        self.signatures = 0
        self.verifications = 0
        self._signed = signed
        self._secrets: dict[bytes, bytes] = {}
        self._next: dict[AuthorId, tuple[bytes, Rng]] = {}

    def identity(self, mesh: Mesh, rng: Rng) -> LocalIdentity:
        """A new author whose key bytes come from ``rng`` (a simulation has no secrets to keep)."""
        seed, next_seed = _bytes32(rng), _bytes32(rng)
        real = new_identity(mesh.mesh_id, seed, next_seed)
        self._next[real.author] = (next_seed, rng)
        return self._signing(real, seed)

    def rotated(self, mesh: Mesh, identity: LocalIdentity) -> LocalIdentity:
        """The same author under its next key."""
        seed, rng = self._next[identity.author]
        next_seed = _bytes32(rng)
        self._next[identity.author] = (next_seed, rng)
        digest = next_key_digest(crypto.SigningKey(next_seed).public)
        return self._signing(rotate(mesh.mesh_id, identity.key_state, seed, digest, identity.openers), seed)

    def _signing(self, real: LocalIdentity, seed: bytes) -> LocalIdentity:
        self._secrets[real.key_state.key] = seed
        sign = real.sign if self.lane == "real" else self._stub_signer(seed)
        return LocalIdentity(real.key_state, self._announced(real.author, sign), real.openers)

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """The Verifier port."""
        self.verifications += 1
        if self.lane == "real":
            return crypto.verify(key, message, signature)
        secret = self._secrets.get(key)
        return secret is not None and signature == _stub(secret, message)

    def _announced(self, author: AuthorId, sign: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        def signer(message: bytes) -> bytes:
            self.signatures += 1
            self._signed(author, message)
            return sign(message)

        return signer

    @staticmethod
    def _stub_signer(secret: bytes) -> Callable[[bytes], bytes]:
        return lambda message: _stub(secret, message)


def _stub(secret: bytes, message: bytes) -> bytes:
    return crypto.digest(message, size=crypto.SIGNATURE_BYTES, key=secret, person=_STUB_PERSON)


def _bytes32(rng: Rng) -> bytes:
    return b"".join(rng.u64().to_bytes(8, "big") for _ in range(4))
