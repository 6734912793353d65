"""Keys that no honest hub owns: X25519 and Ed25519 points of small order, and Ed25519 keys with a torsion part.

Source: the small-order encodings follow from the curves (RFC 7748 section 6.1, RFC 8032 section 5.1); the list of the
X25519 ones is checked here against the library, so it is not merely believed.
"""

from __future__ import annotations

import hashlib

import nacl.bindings as sodium

from protocol.crypto import SigningKey, verify
from protocol.identity import DOMAIN_INCEPTION, next_key_digest
from protocol.wire.codec import encode
from protocol.wire.records import RECORD_VERSION
from tests.unit.link.peers import MESH, secret

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_SIGN_BIT = 1 << 255

_X_SMALL = {
    "zero": 0,
    "one": 1,
    "first of order 8": 325606250916557431795983626356110631294008115727848805560023387167927233504,
    "second of order 8": 39382357235489614581723060781553021112529911719440698176882885853963445705823,
    "p - 1": _P - 1,
    "p": _P,
    "p + 1": _P + 1,
}


def x25519_small_order() -> dict[str, bytes]:
    """All 14 encodings with which X25519 gives zero; the top bit is ignored, so each comes twice."""
    keys = {name: number.to_bytes(32, "little") for name, number in _X_SMALL.items()}
    keys |= {f"{name}, top bit set": (number | _SIGN_BIT).to_bytes(32, "little") for name, number in _X_SMALL.items()}
    return keys


_EIGHT = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
"""y of two points of order 8; the other two have p - y."""


def ed25519_small_order() -> dict[str, bytes]:
    """All 14 encodings of the eight points of small order, canonical or not."""
    eight = int.from_bytes(_EIGHT, "little")
    numbers = {
        "identity": 1,
        "order 2": _P - 1,
        "order 4": 0,
        "first of order 8": eight,
        "second of order 8": _P - eight,
        "identity as p + 1": _P + 1,
        "order 4 as p": _P,
    }
    keys = {name: number.to_bytes(32, "little") for name, number in numbers.items()}
    keys |= {f"{name}, sign bit set": (number | _SIGN_BIT).to_bytes(32, "little") for name, number in numbers.items()}
    return keys


def _base(scalar: int) -> bytes:
    return sodium.crypto_scalarmult_ed25519_base_noclamp(scalar.to_bytes(32, "little"))


def _number(data: bytes) -> int:
    return int.from_bytes(hashlib.sha512(data).digest(), "little") % _ORDER


def _inception(key: bytes) -> bytes:
    following = next_key_digest(SigningKey(secret(6)).public)
    return encode((DOMAIN_INCEPTION, MESH.mesh_id, RECORD_VERSION, key, following))


def small_order_key_state(key: bytes) -> bytes:
    """An inception under a small-order key, with the signature that a lax library accepts without any secret."""
    return encode(((_inception(key), _base(5) + (5).to_bytes(32, "little")),))


def mixed_order_key_state() -> bytes:
    """An inception under a key with a torsion part; its signature verifies, so only key admission can refuse it."""
    own = _number(b"mixed order")
    key = sodium.crypto_core_ed25519_add(_base(own), _EIGHT)
    signed = _inception(key)
    for attempt in range(1_000):
        nonce = _number(b"attempt %d" % attempt)
        challenge = _number(_base(nonce) + key + signed)
        if challenge % 8 == 0:
            answer = (nonce + challenge * own) % _ORDER
            signature = _base(nonce) + answer.to_bytes(32, "little")
            assert verify(key, signed, signature), "otherwise the test would not test what it says"
            return encode(((signed, signature),))
    raise AssertionError("one challenge in eight is a multiple of eight")


def malleated(signature: bytes) -> bytes:
    """The same signature with S + L in place of S: the same equation, other bytes."""
    number = int.from_bytes(signature[32:], "little") + _ORDER
    return signature[:32] + number.to_bytes(32, "little")
