"""The primitives of docs/protocol.md, section 1: thin names for library calls.

Ed25519 by libsodium (R1, R2), the rest by ``cryptography`` and the standard library.
"""

from __future__ import annotations

import hashlib
import hmac

import nacl.bindings as sodium
import nacl.exceptions
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from tests.conformance.reference import edwards
from tests.conformance.reference.codec import Refused
from tests.conformance.reference.mutations import NONE, Mutation, Mutations


def blake(data: bytes, *, size: int = 32, person: bytes = b"", key: bytes = b"") -> bytes:
    """``H_n(x; person, key)``."""
    return hashlib.blake2b(data, digest_size=size, person=person, key=key).digest()


def sha256(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


def hkdf(chaining_key: bytes, material: bytes, outputs: int) -> list[bytes]:
    """The HKDF of Noise: ``outputs`` times 32 bytes."""
    secret = hmac.digest(chaining_key, material, "sha256")
    out = [b""]
    for index in range(1, outputs + 1):
        out.append(hmac.digest(secret, out[-1] + bytes([index]), "sha256"))
    return out[1:]


def public_from_seed(seed: bytes) -> bytes:
    """The Ed25519 public key of a 32-byte seed."""
    public, _secret = sodium.crypto_sign_seed_keypair(seed)
    return public


def sign(seed: bytes, message: bytes) -> bytes:
    """The 64-byte Ed25519 signature of RFC 8032."""
    _public, secret = sodium.crypto_sign_seed_keypair(seed)
    return sodium.crypto_sign(message, secret)[:64]


def sign_with_nonce(seed: bytes, message: bytes, salt: bytes) -> bytes:
    """Another valid signature of the same message: the nonce comes from ``salt`` (never do this twice elsewhere)."""
    scalar = edwards.scalar_from_seed(seed)
    return edwards.sign(scalar, public_from_seed(seed), message, salt)


def verify(public: bytes, message: bytes, signature: bytes, mutations: Mutations = NONE) -> bool:
    """Whether the signature is good (R1)."""
    if Mutation.SMALL_ORDER_KEYS in mutations:
        return _verify_leniently(public, message, signature)
    try:
        sodium.crypto_sign_open(signature + message, public)
    except (nacl.exceptions.BadSignatureError, ValueError):
        return False
    return True


def _verify_leniently(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def admit(public: bytes, mutations: Mutations = NONE) -> bytes:
    """The key, if it is a point of the prime-order subgroup (R2).

    Raises:
        Refused: it is not.
    """
    if sodium.crypto_core_ed25519_is_valid_point(public):
        return public
    if Mutation.MIXED_ORDER_KEYS in mutations:
        return public
    if Mutation.SMALL_ORDER_KEYS in mutations and edwards.is_small_order(public):
        return public
    raise Refused("a key outside the prime-order subgroup")


def x25519_public(secret: bytes) -> bytes:
    """The X25519 public key of 32 secret bytes."""
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def x25519(secret: bytes, public: bytes, mutations: Mutations = NONE) -> bytes:
    """The shared secret.

    Raises:
        Refused: it is all zero (R3).
    """
    try:
        return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        if Mutation.ZERO_SECRET in mutations:
            return bytes(32)
        raise Refused("an all-zero X25519 result") from None


def seal(key: bytes, nonce: int, plaintext: bytes, associated: bytes = b"") -> bytes:
    """ChaCha20-Poly1305 with the nonce layout of Noise."""
    return ChaCha20Poly1305(key).encrypt(bytes(4) + nonce.to_bytes(8, "little"), plaintext, associated)


def unseal(key: bytes, nonce: int, body: bytes, associated: bytes = b"") -> bytes:
    """The inverse of :func:`seal`.

    Raises:
        Refused: it does not decrypt.
    """
    try:
        return ChaCha20Poly1305(key).decrypt(bytes(4) + nonce.to_bytes(8, "little"), body, associated)
    except InvalidTag:
        raise Refused("does not decrypt") from None
