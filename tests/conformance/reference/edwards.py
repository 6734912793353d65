"""Edwards25519 in integers (RFC 8032, section 5.1), to make the keys that no library wants to make.

Slow and not constant-time: it serves hostile examples (small order, mixed order, non-canonical) and a second valid
signature of one message, never a real secret.
"""

from __future__ import annotations

import hashlib
from typing import Final, TypeAlias

import nacl.bindings as sodium

P: Final = 2**255 - 19
L: Final = 2**252 + 27742317777372353535851937790883648493
D: Final = -121665 * pow(121666, -1, P) % P
ROOT: Final = pow(2, (P - 1) // 4, P)

Point: TypeAlias = tuple[int, int]
NEUTRAL: Final[Point] = (0, 1)


def add(a: Point, b: Point) -> Point:
    """The sum of two points."""
    (x1, y1), (x2, y2) = a, b
    cross = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + cross, -1, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - cross, -1, P) % P
    return (x, y)


def multiply(scalar: int, point: Point) -> Point:
    """``scalar`` times ``point``."""
    result = NEUTRAL
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def compress(point: Point) -> bytes:
    """The canonical 32 bytes of a point."""
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decompress(data: bytes) -> Point | None:
    """The point, also of an encoding with y >= p; None if there is none."""
    number = int.from_bytes(data, "little")
    y = (number & ((1 << 255) - 1)) % P
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P:
        return None
    if (x & 1) != number >> 255:
        x = -x % P
    return (x, y)


def is_small_order(data: bytes) -> bool:
    """Whether 32 bytes encode, canonically or not, a point whose order divides 8."""
    point = decompress(data)
    return point is not None and multiply(8, point) == NEUTRAL


def _base() -> Point:
    y = 4 * pow(5, -1, P) % P
    point = decompress(y.to_bytes(32, "little"))
    assert point is not None
    return point


def _torsion() -> list[Point]:
    """The 8 points whose order divides 8, neutral point first, as multiples of one point of order 8."""
    y = 2
    while True:
        point = decompress(y.to_bytes(32, "little"))
        if point is not None:
            candidate = multiply(L, point)
            if multiply(4, candidate) != NEUTRAL:
                return [multiply(index, candidate) for index in range(8)]
        y += 1


BASE: Final = _base()
TORSION: Final = _torsion()


def small_order_encodings() -> list[bytes]:
    """All 14 encodings, canonical or not, of points whose order divides 8, in ascending order of their bytes."""
    found = {compress(point) for point in TORSION}
    for y in range(P, 1 << 255):
        for sign_bit in (0, 1):
            data = (y | sign_bit << 255).to_bytes(32, "little")
            if is_small_order(data):
                found.add(data)
    for y in (1, P - 1):  # x is 0 and the sign bit is set all the same
        found.add((y | 1 << 255).to_bytes(32, "little"))
    return sorted(found)


def scalar_from_seed(seed: bytes) -> int:
    """The secret scalar of RFC 8032, section 5.1.5."""
    number = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little")
    return (number & ((1 << 254) - 8)) | 1 << 254


def challenge(nonce_point: bytes, public: bytes, message: bytes) -> int:
    """The hash of RFC 8032, section 5.1.6, step 4, as a scalar."""
    return int.from_bytes(hashlib.sha512(nonce_point + public + message).digest(), "little") % L


def sign(scalar: int, public: bytes, message: bytes, salt: bytes) -> bytes:
    """A signature by ``scalar`` under ``public`` with a nonce made of ``salt`` and the message.

    ``public`` may be the scalar's point plus a point of small order: the signature then holds for a cofactorless
    verifier if the challenge is a multiple of 8, so nonces are tried until it is.
    """
    attempt = 0
    mixed = decompress(public) != multiply(scalar, BASE)
    while True:
        nonce = int.from_bytes(hashlib.sha512(salt + attempt.to_bytes(4, "big") + message).digest(), "little") % L
        nonce_point = sodium.crypto_scalarmult_ed25519_base_noclamp(nonce.to_bytes(32, "little"))
        number = challenge(nonce_point, public, message)
        if not mixed or number % 8 == 0:
            return nonce_point + ((nonce + number * scalar) % L).to_bytes(32, "little")
        attempt += 1


def mixed_order_key(seed: bytes) -> bytes:
    """The public key of ``seed`` moved off the prime-order subgroup by a point of order 8."""
    return compress(add(multiply(scalar_from_seed(seed), BASE), TORSION[1]))


def sign_mixed(seed: bytes, message: bytes) -> bytes:
    """A signature under :func:`mixed_order_key` that libsodium finds good."""
    return sign(scalar_from_seed(seed), mixed_order_key(seed), message, seed)


def forge_small_order(public: bytes, message: bytes) -> bytes | None:
    """A signature with S = 0 that a verifier without the check of R1 finds good; None if no try fits."""
    key = decompress(public)
    assert key is not None
    for point in TORSION:
        nonce_point = compress(point)
        number = challenge(nonce_point, public, message)
        if add(point, multiply(number, key)) == NEUTRAL:
            return nonce_point + bytes(32)
    return None
