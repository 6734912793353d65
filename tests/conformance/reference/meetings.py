"""Sealed words and meetings (docs/protocol.md, sections 12.4 and 15), written down as plainly as it goes."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha512
from typing import Any, Final, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from tests.conformance.reference.codec import Refused, Value, decode, encode
from tests.conformance.reference.crypto import blake, x25519, x25519_public
from tests.conformance.reference.shape import binary, boolean, elements, integer, listed

INFO: Final = b"trio-mesh/1 sealed word"
KEM: Final = b"KEM\x00\x20"
SUITE: Final = b"HPKE\x00\x20\x00\x01\x00\x03"


@dataclass(frozen=True, slots=True)
class Meet:
    commitment: bytes


@dataclass(frozen=True, slots=True)
class MeetReveal:
    nonce: bytes


@dataclass(frozen=True, slots=True)
class MeetConfirm:
    same: bool


Meeting: TypeAlias = Meet | MeetReveal | MeetConfirm
MEETING: Final[dict[int, tuple[Callable[..., Meeting], tuple[Callable[[Value], Any], ...]]]] = {
    44: (Meet, (binary(32),)),
    45: (MeetReveal, (binary(32),)),
    46: (MeetConfirm, (boolean,)),
}


def commitment(nonce: bytes, author: bytes, peer: bytes) -> bytes:
    """What MEET says (R62)."""
    return blake(nonce + author + peer, person=b"trio-mesh meet")


def card_nonce(secret: bytes, reader: bytes, shower: bytes) -> bytes:
    """The number of whoever has read a card (R63)."""
    return blake(secret + reader + shower, person=b"trio-mesh card")


def code(one: bytes, nonce: bytes, other: bytes, other_nonce: bytes) -> str:
    """The six digits that both people see (R62)."""
    if other < one:
        one, nonce, other, other_nonce = other, other_nonce, one, nonce
    drawn = int.from_bytes(blake(one + other + nonce + other_nonce, person=b"trio-mesh code"), "big")
    return str(drawn % 1_000_000).rjust(6, "0")


def reading_key(seed: bytes) -> bytes:
    """The X25519 secret that belongs to an Ed25519 seed."""
    return sha512(seed).digest()[:32]


def hpke(secret: bytes, ephemeral: bytes, reader: bytes) -> tuple[bytes, bytes]:
    """Key and nonce of a box, from the X25519 result and both public keys (RFC 9180)."""
    shared = _expand(KEM, _extract(KEM, b"", b"eae_prk", secret), b"shared_secret", ephemeral + reader, 32)
    context = b"\0" + _extract(SUITE, b"", b"psk_id_hash", b"") + _extract(SUITE, b"", b"info_hash", INFO)
    scheduled = _extract(SUITE, shared, b"secret", b"")
    return _expand(SUITE, scheduled, b"key", context, 32), _expand(SUITE, scheduled, b"base_nonce", context, 12)


def _extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    return hmac.digest(salt, b"HPKE-v1" + suite + label + material, "sha256")


def _expand(suite: bytes, key: bytes, label: bytes, info: bytes, size: int) -> bytes:
    return hmac.digest(key, size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info + b"\x01", "sha256")[:size]


def box(mesh_id: bytes, author: bytes, padded: bytes, reader: bytes, ephemeral_secret: bytes) -> bytes:
    """One box, for the X25519 key ``reader``."""
    key, nonce = hpke(x25519(ephemeral_secret, reader), x25519_public(ephemeral_secret), reader)
    return ChaCha20Poly1305(key).encrypt(nonce, padded, mesh_id + author)


def padded(word: bytes) -> bytes:
    """A word as it lies in a box."""
    return bytes([len(word)]) + word.ljust(63, b"\0")


def sealed(ephemeral: bytes, boxes: list[bytes]) -> bytes:
    """The payload of a sealed event."""
    listed_boxes: list[Value] = [*sorted(boxes)]
    return encode([ephemeral, listed_boxes])


def opened(mesh_id: bytes, author: bytes, payload: bytes, seed: bytes) -> bytes | None:
    """What a sealed event says to whoever has the Ed25519 seed (R60).

    Raises:
        Refused: it is no such payload.
    """
    first, boxes = elements(decode(payload), 2)
    ephemeral, secret = binary(32)(first), reading_key(seed)
    for each in listed(binary(80), 1, 34, distinct=True)(boxes):
        try:
            key, nonce = hpke(x25519(secret, ephemeral), ephemeral, x25519_public(secret))
            said = ChaCha20Poly1305(key).decrypt(nonce, each, mesh_id + author)
        except (InvalidTag, Refused):
            continue
        if said[0] > 63 or any(said[1 + said[0] :]):
            raise Refused("a word that is not padded with zeros")
        return said[1 : 1 + said[0]]
    return None


def attestation(word: bytes) -> tuple[bytes, int]:
    """Subject and strength.

    Raises:
        Refused: it is none.
    """
    if word[:1] != b"\x01":
        raise Refused("a word of another type")
    subject, strength = elements(decode(word[1:]), 2)
    return binary(32)(subject), integer(-100, 100)(strength)
