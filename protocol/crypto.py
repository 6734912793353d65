"""The only door to the cryptographic libraries.

Ed25519 by libsodium (PyNaCl): it refuses small-order public keys, which ``cryptography`` accepts, and verifies
1.9 times as fast (RFC 8032; security research section 0.1). X25519, ChaCha20-Poly1305 and HKDF by ``cryptography``
(RFC 7748, 8439, 5869). One verifier in the whole mesh, so that all implementations of ours give one verdict.
Invariant: nothing here draws randomness; secrets arrive as bytes.
"""

from __future__ import annotations

import hashlib
from typing import Final, Protocol

import nacl.bindings as sodium
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from nacl import _sodium

from protocol.errors import LocalProtocolError, Reason, SignatureError

# The two calls of every vector go straight to PyNaCl's compiled module: its Python layer copies the whole message once
# more and costs a tenth of the overhead allowed on the receive path. What that layer checks, lengths, is checked here.
_lib: Final = _sodium.lib
_ffi: Final = _sodium.ffi
_NULL: Final = _ffi.NULL
_new_bytes: Final = _ffi.new_allocator(should_clear_after_alloc=False)

SEED_BYTES: Final = 32
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
TAG_BYTES: Final = 16
SHA256_BLOCK_BYTES: Final = 64
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))
_NONCE_HEAD: Final = bytes(4)


class Verifier(Protocol):
    """Port: says whether an Ed25519 signature is good. Counted model or real library."""

    def __call__(self, key: bytes, message: bytes, signature: bytes) -> bool: ...


class Signer(Protocol):
    """Port: signs with the hub's current Ed25519 key."""

    def __call__(self, message: bytes) -> bytes: ...


class SigningKey:
    """An Ed25519 key pair from a 32-byte seed (RFC 8032, section 5.1.5)."""

    __slots__ = ("_secret", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise SignatureError(Reason.BAD_KEY, f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
        self.public, self._secret = sodium.crypto_sign_seed_keypair(seed)

    def __call__(self, message: bytes) -> bytes:
        """The 64-byte signature of ``message``."""
        size = len(message)
        signed = _new_bytes("unsigned char[]", SIGNATURE_BYTES + size)
        if _lib.crypto_sign(signed, _NULL, message, size, self._secret) != 0:
            raise SignatureError(Reason.BAD_KEY, "libsodium could not sign")
        return bytes(_ffi.buffer(signed, SIGNATURE_BYTES))

    def dh(self) -> DhKey:
        """The X25519 key of the same seed, for what others seal to this one."""
        return DhKey(sodium.crypto_sign_ed25519_sk_to_curve25519(self._secret))

    def __repr__(self) -> str:
        return f"SigningKey({self.public.hex()[:10]}…)"


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` is by ``key`` over ``message``; False for any malformed or small-order input."""
    if len(key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    signed = signature + message
    opened: int = _lib.crypto_sign_open(_NULL, _NULL, signed, len(signed), key)
    return opened == 0


def admit_key(key: bytes) -> bytes:
    """Return ``key`` if it is a point of the prime-order group.

    Raises:
        SignatureError: ``BAD_KEY`` for a wrong length, an invalid encoding or a point outside the main subgroup.
    """
    if len(key) != KEY_BYTES or not sodium.crypto_core_ed25519_is_valid_point(key):
        raise SignatureError(Reason.BAD_KEY, "not a point of the prime-order group")
    return key


def dh_public(key: bytes) -> bytes:
    """The X25519 public key of an Ed25519 key that was admitted (RFC 7748, section 4.1, the birational map)."""
    public: bytes = sodium.crypto_sign_ed25519_pk_to_curve25519(key)
    return public


def aead_seal(key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """ChaCha20-Poly1305 (RFC 8439) under a nonce of 12 bytes that this key is used with once."""
    return ChaCha20Poly1305(key).encrypt(nonce, plaintext, associated)


def aead_open(key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes | None:
    """What was sealed so, or None if the tag does not fit."""
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, ciphertext, associated)
    except InvalidTag:
        return None


def digest(data: bytes, *, size: int = 32, person: bytes = b"", key: bytes = b"") -> bytes:
    """BLAKE2b of ``data`` (RFC 7693) with an optional personalisation (<= 16 bytes) and key (<= 64 bytes)."""
    return hashlib.blake2b(data, digest_size=size, person=person, key=key).digest()


def sha256(data: bytes) -> bytes:
    """SHA-256 (FIPS 180-4), the hash of the Noise suite."""
    return hashlib.sha256(data).digest()


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104, section 2) under a key of at most 64 bytes.

    Spelt out, because a call of the library's costs more than twice as much and a handshake makes 44 of them.

    Raises:
        LocalProtocolError: the key is longer than a block.
    """
    if len(key) > SHA256_BLOCK_BYTES:
        raise LocalProtocolError("an HMAC key has at most 64 bytes here")
    padded = key.ljust(SHA256_BLOCK_BYTES, b"\0")
    inner = hashlib.sha256(padded.translate(_INNER_PAD) + data).digest()
    return hashlib.sha256(padded.translate(_OUTER_PAD) + inner).digest()


def hkdf(chaining_key: bytes, material: bytes, outputs: int) -> tuple[bytes, ...]:
    """Noise HKDF (Noise rev. 34, section 4.3): ``outputs`` values of 32 bytes, 1..3."""
    secret = hmac_sha256(chaining_key, material)
    out: list[bytes] = []
    block = b""
    for index in range(1, outputs + 1):
        block = hmac_sha256(secret, block + bytes([index]))
        out.append(block)
    return tuple(out)


class DhKey:
    """An X25519 key pair from 32 secret bytes (RFC 7748)."""

    __slots__ = ("_secret", "public")

    def __init__(self, secret: bytes) -> None:
        self._secret = X25519PrivateKey.from_private_bytes(secret)
        self.public = self._secret.public_key().public_bytes_raw()

    def exchange(self, public: bytes) -> bytes:
        """The shared secret.

        Raises:
            SignatureError: ``HANDSHAKE_LOW_ORDER`` if the result is all zero, or the key has a wrong length.
        """
        try:
            return self._secret.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError as fault:
            raise SignatureError(Reason.HANDSHAKE_LOW_ORDER, "X25519 result is zero") from fault

    def __repr__(self) -> str:
        return f"DhKey({self.public.hex()[:10]}…)"


class Aead:
    """ChaCha20-Poly1305 under one key with the Noise nonce layout: 4 zero bytes, then u64 little-endian."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        self._cipher = ChaCha20Poly1305(key)

    def encrypt(self, nonce: int, plaintext: bytes, associated: bytes) -> bytes:
        """Ciphertext with its 16-byte tag appended."""
        return self._cipher.encrypt(_NONCE_HEAD + nonce.to_bytes(8, "little"), plaintext, associated)

    def decrypt(self, nonce: int, ciphertext: bytes, associated: bytes) -> bytes | None:
        """Plaintext, or None if the tag does not fit (also for anything shorter than a tag)."""
        try:
            return self._cipher.decrypt(_NONCE_HEAD + nonce.to_bytes(8, "little"), ciphertext, associated)
        except InvalidTag:
            return None
