"""Words for few: sealed to the keys of those who may read them, so that everybody can carry them and nobody else open.

Source: HPKE base mode, one shot (RFC 9180, sections 4.1, 5.1 and 6.1), with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and
ChaCha20-Poly1305. A reader's key is the X25519 form of its Ed25519 key, as in libsodium and age: key states travel
already. Deviations: the ephemeral secret is injected, as all key bytes are (design decision 1), and one of them serves
all boxes of a word (Bellare, Boldyreva, Staddon, PKC 2003: as strong as one each, since every box has a key of its own,
derived from its reader's as well), so that whoever carries it tries them all with one X25519 operation and nobody needs
a hint in the clear of whom it is for.
What is sealed is padded to one size, the boxes stand in the order of their bytes, and made-up ones fill up their
number: who carries a word learns neither for whom it is, nor what it is, nor how large the circle of its author is.
Invariant: a box opens only under the author and mesh that it was sealed for, so nobody can pass it off as his own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from protocol.crypto import KEY_BYTES, TAG_BYTES, DhKey, aead_open, aead_seal, dh_public, digest, hmac_sha256
from protocol.errors import DecodeError, LocalProtocolError, Reason, SignatureError
from protocol.ids import AuthorId, MeshId
from protocol.limits import CIRCLE_MAX
from protocol.wire import fields
from protocol.wire.codec import decode, encode

WORD_BYTES: Final = 64
"""What a box holds: a length, what is said, and zeros."""
BOX_BYTES: Final = WORD_BYTES + TAG_BYTES
BOXES: Final = (2, 10, CIRCLE_MAX + 2)
"""So many boxes a word has: for the author and the subject alone, with a small circle, with any."""
BOXES_MAX: Final = BOXES[-1]
SEALED_BYTES_MAX: Final = BOXES_MAX * (BOX_BYTES + 2) + KEY_BYTES + 16

_KEM: Final = b"KEM\x00\x20"
_SUITE: Final = b"HPKE\x00\x20\x00\x01\x00\x03"
_INFO: Final = b"trio-mesh/1 sealed word"


def seal_word(mesh: MeshId, author: AuthorId, word: bytes, readers: Iterable[bytes], seed: bytes) -> bytes:
    """The payload of a sealed event, for these Ed25519 keys; ``seed`` are 32 fresh random bytes.

    Raises:
        LocalProtocolError: the word is too long, or there are no readers or too many.
    """
    different = list(dict.fromkeys(readers))
    if len(word) >= WORD_BYTES or not 1 <= len(different) <= BOXES_MAX:
        raise LocalProtocolError(f"a sealed word has less than {WORD_BYTES} bytes and 1..{BOXES_MAX} readers")
    padded = bytes([len(word)]) + word.ljust(WORD_BYTES - 1, b"\0")
    ephemeral = DhKey(digest(b"ephemeral", key=seed))
    boxes = [aead_seal(*sending(ephemeral, dh_public(reader), _INFO), padded, mesh + author) for reader in different]
    count = next(size for size in BOXES if size >= len(boxes))
    boxes += [_made_up(number, seed) for number in range(len(boxes), count)]
    return encode((ephemeral.public, tuple(sorted(boxes))))


def open_word(mesh: MeshId, author: AuthorId, payload: bytes, keys: Iterable[DhKey]) -> bytes | None:
    """What the payload of a sealed event of ``author`` says to whoever has these keys; None if it is for none of them.

    Raises:
        DecodeError: it is no such payload, or what was sealed is not padded as it must be.
    """
    first, listed = fields.array(decode(payload), "sealed word", 2, 2)
    ephemeral = fields.binary(first, "ephemeral key", KEY_BYTES, KEY_BYTES)
    boxes = fields.binaries(listed, "boxes", BOX_BYTES, BOXES_MAX)
    for own in keys:
        try:
            key, nonce = receiving(own, ephemeral, _INFO)
        except SignatureError:
            return None  # of low order: no box opens
        for box in boxes:
            padded = aead_open(key, nonce, box, mesh + author)
            if padded is not None:
                return _unpadded(padded)
    return None


def _unpadded(padded: bytes) -> bytes:
    size = padded[0]
    if size >= WORD_BYTES or any(padded[1 + size :]):
        raise DecodeError(Reason.BAD_CONTENT, "a sealed word is not padded with zeros")
    return padded[1 : 1 + size]


def _made_up(number: int, seed: bytes) -> bytes:
    """A box that nobody can open."""
    halves = (digest(b"box %d.%d" % (number, half), size=BOX_BYTES // 2, key=seed) for half in range(2))
    return b"".join(halves)


def sending(ephemeral: DhKey, reader: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Key and nonce of the only message to the X25519 key ``reader``."""
    return _schedule(ephemeral.exchange(reader), ephemeral.public + reader, info)


def receiving(own: DhKey, ephemeral: bytes, info: bytes) -> tuple[bytes, bytes]:
    """The same on the other side.

    Raises:
        SignatureError: the ephemeral key is of low order.
    """
    return _schedule(own.exchange(ephemeral), ephemeral + own.public, info)


def _schedule(secret: bytes, keys: bytes, info: bytes) -> tuple[bytes, bytes]:
    shared = _expand(_KEM, _extract(_KEM, b"", b"eae_prk", secret), b"shared_secret", keys, 32)
    context = b"\0" + _extract(_SUITE, b"", b"psk_id_hash", b"") + _extract(_SUITE, b"", b"info_hash", info)
    scheduled = _extract(_SUITE, shared, b"secret", b"")
    return _expand(_SUITE, scheduled, b"key", context, 32), _expand(_SUITE, scheduled, b"base_nonce", context, 12)


def _extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    return hmac_sha256(salt, b"HPKE-v1" + suite + label + material)


def _expand(suite: bytes, secret: bytes, label: bytes, info: bytes, size: int) -> bytes:
    """At most one block of HKDF is ever needed."""
    return hmac_sha256(secret, size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info + b"\x01")[:size]
