"""The stand-ins for bare interpreters compute what the real packages compute."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

import nacl.bindings as sodium
import nacl.exceptions
import pytest

from protocol.rng import Rng
from protocol.wire import codec
from tests.conformance.reference.edwards import mixed_order_key, small_order_encodings
from tests.sim.shim import msgpack

SHIM: Final = Path(__file__).with_name("shim")


@pytest.fixture(name="ours", scope="module")
def load_bindings() -> ModuleType:
    """The stand-in for ``nacl.bindings``, beside the real one."""
    spec = importlib.util.spec_from_file_location("shim_bindings", SHIM / "nacl" / "bindings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert "shim_bindings" not in sys.modules
    return module


def seeds(count: int) -> list[bytes]:
    rng = Rng(99)
    return [b"".join(rng.u64().to_bytes(8, "big") for _ in range(4)) for _ in range(count)]


def test_keys_and_signatures_are_the_same_bits(ours: ModuleType) -> None:
    for number, seed in enumerate(seeds(8)):
        message = bytes(number * 37)
        assert ours.crypto_sign_seed_keypair(seed) == sodium.crypto_sign_seed_keypair(seed)
        public, secret = sodium.crypto_sign_seed_keypair(seed)
        signed = sodium.crypto_sign(message, secret)
        assert ours.crypto_sign(message, secret) == signed
        assert ours.crypto_sign_open(signed, public) == message


def test_what_libsodium_refuses_is_refused(ours: ModuleType) -> None:
    public, secret = sodium.crypto_sign_seed_keypair(bytes(32))
    signed = sodium.crypto_sign(b"message", secret)
    for at in (0, 31, 32, 63, 64):
        spoiled = bytearray(signed)
        spoiled[at] ^= 1
        for bindings, refusal in ((ours, ours.BadSignatureError), (sodium, nacl.exceptions.BadSignatureError)):
            with pytest.raises(refusal):
                bindings.crypto_sign_open(bytes(spoiled), public)


def test_points_are_judged_alike(ours: ModuleType) -> None:
    good = [sodium.crypto_sign_seed_keypair(seed)[0] for seed in seeds(4)]
    bad = [*small_order_encodings(), *[mixed_order_key(seed) for seed in seeds(3)], b"\xff" * 32]
    for point in good + bad:
        judged = ours.crypto_core_ed25519_is_valid_point(point)
        assert judged == sodium.crypto_core_ed25519_is_valid_point(point), point.hex()
        assert judged == (point in good)


def test_the_codec_stand_in_packs_and_unpacks_the_same_bytes() -> None:
    values: list[codec.Value] = [
        (0, 127, 128, 255, 256, 65_535, 65_536, 2**32, 2**64 - 1, -1, -32, -33, -(2**63)),
        (True, False, None, "", "text", b"", bytes(300)),
        ((), ((1,), (2, (3,))), tuple(range(40))),
    ]
    for value in values:
        packed = codec.encode(value)
        assert msgpack.Packer(use_bin_type=True).pack(value) == packed
        assert msgpack.unpackb(packed) == value
    with pytest.raises(ValueError, match="after"):
        msgpack.unpackb(b"\x01\x02")
