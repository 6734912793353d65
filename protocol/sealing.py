"""Words for few: sealed to the keys of those who may read them, so that everybody can carry them and nobody else open.

Source: HPKE base mode, one shot (RFC 9180, sections 4.1, 5.1 and 6.1), with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and
ChaCha20-Poly1305. A reader's key is the X25519 form of its Ed25519 key, as in libsodium and age: key states travel
already. Deviation: the ephemeral secret is injected, as all key bytes are (design decision 1).
What is sealed is padded to one size, and every word of an author has as many boxes as it has readers, in the order of
their bytes: who carries it learns neither for whom it is nor what it is. Invariant: a box opens only under the author
and mesh that it was sealed for, so nobody can pass it off as his own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from protocol.crypto import KEY_BYTES, TAG_BYTES, DhKey, aead_open, aead_seal, dh_public, hmac_sha256
from protocol.errors import DecodeError, LocalProtocolError, Reason, SignatureError
from protocol.ids import AuthorId, MeshId
from protocol.wire import fields
from protocol.wire.codec import decode, encode

WORD_BYTES: Final = 64
"""What a box holds: a length, what is said, and zeros."""
BOX_BYTES: Final = KEY_BYTES + WORD_BYTES + TAG_BYTES
BOXES_MAX: Final = 34
"""The subject, the author itself, and a circle."""

_KEM: Final = b"KEM\x00\x20"
_SUITE: Final = b"HPKE\x00\x20\x00\x01\x00\x03"
_INFO: Final = b"trio-mesh/1 sealed word"


def seal_word(mesh: MeshId, author: AuthorId, word: bytes, readers: Sequence[bytes], secrets: Sequence[bytes]) -> bytes:
    """The payload of a sealed event: one box for each Ed25519 key of ``readers``, under as many secrets of 32 bytes.

    Raises:
        LocalProtocolError: the word is too long, or there are no readers, too many, or not as many secrets.
    """
    if len(word) >= WORD_BYTES or not 1 <= len(readers) <= BOXES_MAX or len(secrets) != len(readers):
        raise LocalProtocolError(f"a sealed word has less than {WORD_BYTES} bytes and 1..{BOXES_MAX} readers")
    padded = bytes([len(word)]) + word.ljust(WORD_BYTES - 1, b"\0")
    boxes = [
        seal(dh_public(reader), _INFO, mesh + author, padded, DhKey(secret))
        for reader, secret in zip(readers, secrets, strict=True)
    ]
    return encode((tuple(sorted(boxes)),))


def open_word(mesh: MeshId, author: AuthorId, payload: bytes, own: DhKey) -> bytes | None:
    """What the payload of a sealed event of ``author`` says to whoever has this key; None if it is not for it.

    Raises:
        DecodeError: it is no such payload, or what was sealed is not padded as it must be.
    """
    (listed,) = fields.array(decode(payload), "sealed word", 1, 1)
    for box in fields.binaries(listed, "boxes", BOX_BYTES, BOXES_MAX):
        padded = open_sealed(own, _INFO, mesh + author, box)
        if padded is not None:
            size = padded[0]
            if size >= WORD_BYTES or any(padded[1 + size :]):
                raise DecodeError(Reason.BAD_CONTENT, "a sealed word is not padded with zeros")
            return padded[1 : 1 + size]
    return None


def seal(reader: bytes, info: bytes, associated: bytes, plaintext: bytes, ephemeral: DhKey) -> bytes:
    """``enc || ciphertext`` for the X25519 key ``reader``."""
    shared = _shared(ephemeral.exchange(reader), ephemeral.public + reader)
    return ephemeral.public + aead_seal(*_schedule(shared, info), plaintext, associated)


def open_sealed(own: DhKey, info: bytes, associated: bytes, sealed: bytes) -> bytes | None:
    """What was sealed, or None if it was not for this key, or not so."""
    ephemeral = sealed[:KEY_BYTES]
    try:
        shared = _shared(own.exchange(ephemeral), ephemeral + own.public)
    except SignatureError:
        return None
    return aead_open(*_schedule(shared, info), sealed[KEY_BYTES:], associated)


def _shared(secret: bytes, context: bytes) -> bytes:
    return _expand(_KEM, _extract(_KEM, b"", b"eae_prk", secret), b"shared_secret", context, 32)


def _schedule(shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Key and nonce of the only message."""
    context = b"\0" + _extract(_SUITE, b"", b"psk_id_hash", b"") + _extract(_SUITE, b"", b"info_hash", info)
    secret = _extract(_SUITE, shared, b"secret", b"")
    return _expand(_SUITE, secret, b"key", context, 32), _expand(_SUITE, secret, b"base_nonce", context, 12)


def _extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    return hmac_sha256(salt, b"HPKE-v1" + suite + label + material)


def _expand(suite: bytes, secret: bytes, label: bytes, info: bytes, size: int) -> bytes:
    """At most one block of HKDF is ever needed."""
    return hmac_sha256(secret, size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info + b"\x01")[:size]
