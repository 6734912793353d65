"""Ed25519 (RFC 8032, section 5.1) in extended coordinates, remembering what it has verified.

Not constant-time: it holds no secret but a simulation's. Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha512
from typing import Final, TypeAlias

from nacl.exceptions import BadSignatureError

P: Final = 2**255 - 19
L: Final = 2**252 + 27742317777372353535851937790883648493
D: Final = -121665 * pow(121666, -1, P) % P
ROOT: Final = pow(2, (P - 1) // 4, P)
Point: TypeAlias = tuple[int, int, int, int]
NEUTRAL: Final[Point] = (0, 1, 1, 0)


def crypto_sign_seed_keypair(seed: bytes) -> tuple[bytes, bytes]:
    """Public key, and the secret in libsodium's form: seed and public key."""
    public = _compress(_times_base(_scalar(seed)))
    return public, seed + public


def crypto_sign(message: bytes, secret: bytes) -> bytes:
    """Signature, then the message."""
    seed, public = secret[:32], secret[32:]
    nonce = _number(sha512(sha512(seed).digest()[32:] + message).digest()) % L
    commitment = _compress(_times_base(nonce))
    challenge = _number(sha512(commitment + public + message).digest()) % L
    return commitment + ((nonce + challenge * _scalar(seed)) % L).to_bytes(32, "little") + message


@lru_cache(maxsize=1 << 16)
def crypto_sign_open(signed: bytes, public: bytes) -> bytes:
    """The message, if its signature is good.

    Raises:
        BadSignatureError: it is not.
    """
    commitment, share, message = signed[:32], _number(signed[32:64]), signed[64:]
    key = _decompress(public)
    if share >= L or key is None:
        raise BadSignatureError
    challenge = _number(sha512(commitment + public + message).digest()) % L
    x, y, z, t = _times(challenge, key)
    if _compress(_add(_times_base(share), (-x % P, y, z, -t % P))) != commitment:
        raise BadSignatureError
    return message


@lru_cache(maxsize=1 << 16)
def crypto_core_ed25519_is_valid_point(data: bytes) -> bool:
    """Whether these 32 bytes are the canonical encoding of a point of the prime-order group."""
    point = _decompress(data)
    if point is None or _compress(point) != data:
        return False
    return not _is_neutral(point) and _is_neutral(_times(L, point))


def _scalar(seed: bytes) -> int:
    return (_number(sha512(seed).digest()[:32]) & ((1 << 254) - 8)) | 1 << 254


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _add(p: Point, q: Point) -> Point:
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _times(scalar: int, point: Point) -> Point:
    result = NEUTRAL
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _times_base(scalar: int) -> Point:
    result = NEUTRAL
    for power in _BASE_POWERS:
        if scalar & 1:
            result = _add(result, power)
        scalar >>= 1
    return result


def _is_neutral(point: Point) -> bool:
    return point[0] % P == 0 and (point[1] - point[2]) % P == 0


def _compress(point: Point) -> bytes:
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decompress(data: bytes) -> Point | None:
    number = _number(data)
    y = number & ((1 << 255) - 1)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if y >= P or (x * x - square) % P:
        return None
    if (x & 1) != number >> 255:
        x = -x % P
    return (x, y, 1, x * y % P)


def _base_powers() -> list[Point]:
    point = _decompress((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    assert point is not None
    powers = [point]
    for _ in range(254):
        powers.append(_add(powers[-1], powers[-1]))
    return powers


_BASE_POWERS: Final = _base_powers()
