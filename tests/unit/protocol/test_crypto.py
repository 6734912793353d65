"""The one door to the cryptographic libraries: published vectors, and keys that no honest hub owns."""

from __future__ import annotations

import hashlib
import hmac

import nacl.bindings as sodium
import pytest

from protocol.crypto import Aead, DhKey, SigningKey, admit_key, digest, hkdf, hmac_sha256, sha256, verify
from protocol.errors import LocalProtocolError, Reason, SignatureError
from tests.unit.link.weak_keys import ed25519_small_order, malleated, x25519_small_order
from tests.unit.protocol.people import ANN, secret

P = 2**255 - 19
WEAK = ed25519_small_order()

# RFC 8032, section 7.1, tests 1, 2 and 3: secret key, public key, message, signature.
RFC_8032 = (
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2"
            "4655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302ae"
            "eb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28"
            "dc027beceea1ec40a"
        ),
    ),
)


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_signing_gives_the_published_signatures(seed: str, public: str, message: str, signature: str) -> None:
    key = SigningKey(bytes.fromhex(seed))
    said = bytes.fromhex(message)
    assert key.public.hex() == public
    assert key(said).hex() == signature
    assert verify(key.public, said, bytes.fromhex(signature))


@pytest.mark.parametrize("position", [0, 31, 32, 63])
def test_one_flipped_bit_of_a_signature_is_one_too_many(position: int) -> None:
    signature = bytearray(ANN.sign(b"hello"))
    signature[position] ^= 1
    assert verify(ANN.key_state.key, b"hello", ANN.sign(b"hello"))
    assert not verify(ANN.key_state.key, b"hello", bytes(signature))
    assert not verify(ANN.key_state.key, b"hellp", ANN.sign(b"hello"))


@pytest.mark.parametrize("size", [0, 1, 31, 33, 64])
def test_keys_and_signatures_of_another_length_are_refused_before_the_library_sees_them(size: int) -> None:
    assert not verify(bytes(size), b"", bytes(64))
    assert not verify(ANN.key_state.key, b"hello", bytes(size if size != 64 else 65))
    with pytest.raises(SignatureError) as refused:
        admit_key(bytes(size))
    assert refused.value.reason is Reason.BAD_KEY


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_seed_of_another_length_makes_no_key(size: int) -> None:
    with pytest.raises(SignatureError) as refused:
        SigningKey(bytes(size))
    assert refused.value.reason is Reason.BAD_KEY


def test_another_form_of_a_good_signature_is_refused() -> None:
    assert not verify(ANN.key_state.key, b"hello", malleated(ANN.sign(b"hello")))


def test_there_are_fourteen_encodings_of_small_order() -> None:
    assert len(set(WEAK.values())) == 14


@pytest.mark.parametrize("name", sorted(WEAK))
def test_a_key_of_small_order_is_not_admitted(name: str) -> None:
    with pytest.raises(SignatureError) as refused:
        admit_key(WEAK[name])
    assert refused.value.reason is Reason.BAD_KEY


@pytest.mark.parametrize("name", sorted(WEAK))
def test_nothing_verifies_under_a_key_of_small_order(name: str) -> None:
    scalar = 5
    own_point = sodium.crypto_scalarmult_ed25519_base_noclamp(scalar.to_bytes(32, "little"))
    forgeries = [own_point + scalar.to_bytes(32, "little")]  # S B = R + h A holds whenever h A is the identity
    forgeries += [point + bytes(32) for point in WEAK.values()]  # and with S = 0 whenever R = -h A
    accepted = [
        (number, forgery[:4])
        for number in range(64)
        for forgery in forgeries
        if verify(WEAK[name], b"message %d" % number, forgery)
    ]
    assert accepted == []


@pytest.mark.parametrize("excess", range(19))
def test_an_encoding_beyond_the_field_is_not_admitted(excess: int) -> None:
    for number in (P + excess, (P + excess) | 1 << 255):
        with pytest.raises(SignatureError):
            admit_key(number.to_bytes(32, "little"))


def test_a_point_with_a_part_of_small_order_is_not_admitted() -> None:
    eight = WEAK["first of order 8"]
    mixed = sodium.crypto_core_ed25519_add(ANN.key_state.key, eight)
    with pytest.raises(SignatureError):
        admit_key(mixed)
    assert admit_key(ANN.key_state.key) == ANN.key_state.key


def test_numbers_that_are_no_point_are_not_admitted() -> None:
    refused = 0
    for number in range(2, 40):
        key = number.to_bytes(32, "little")
        try:
            admit_key(key)
        except SignatureError:
            refused += 1
    assert refused > 19, "half of all numbers are no point, and seven of eight points are outside the group"


def test_blake2b_is_that_of_the_standard_library() -> None:
    assert digest(b"abc") == hashlib.blake2b(b"abc", digest_size=32).digest()
    expected = hashlib.blake2b(b"abc", digest_size=8, person=b"trio-mesh tag".ljust(16, b"\0"), key=b"k" * 32)
    assert digest(b"abc", size=8, person=b"trio-mesh tag", key=b"k" * 32) == expected.digest()


def test_sha256_and_its_hmac_are_the_published_ones() -> None:
    # FIPS 180-4 example and RFC 4231, test case 2.
    assert sha256(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hmac_sha256(b"Jefe", b"what do ya want for nothing?").hex() == expected


def test_hkdf_is_that_of_rfc_5869_without_info() -> None:
    # RFC 5869, test case 3 (zero-length salt and info), whose first 42 bytes are published.
    published = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    first, second = hkdf(b"", b"\x0b" * 22, 2)
    assert (first + second)[:42].hex() == published


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_hkdf_chains_its_blocks(outputs: int) -> None:
    made = hkdf(b"c" * 32, b"material", outputs)
    inner = hmac.digest(b"c" * 32, b"material", "sha256")
    block, expected = b"", []
    for index in range(1, outputs + 1):
        block = hmac.digest(inner, block + bytes([index]), "sha256")
        expected.append(block)
    assert list(made) == expected


def test_two_key_pairs_share_the_published_secret() -> None:
    # RFC 7748, section 6.1: Bob's private key, both public keys, and what they share.
    bob = DhKey(bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
    alice = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
    assert bob.public.hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    assert bob.exchange(alice).hex() == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert bob.exchange(DhKey(secret(9)).public) == DhKey(secret(9)).exchange(bob.public)


@pytest.mark.parametrize("name", sorted(x25519_small_order()))
def test_an_exchange_that_would_give_zero_is_refused(name: str) -> None:
    with pytest.raises(SignatureError) as refused:
        DhKey(secret(9)).exchange(x25519_small_order()[name])
    assert refused.value.reason is Reason.HANDSHAKE_LOW_ORDER


@pytest.mark.parametrize("size", [0, 31, 33])
def test_an_exchange_with_a_key_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(SignatureError):
        DhKey(secret(9)).exchange(bytes(size))


def test_the_cipher_counts_its_nonce_in_the_last_eight_bytes() -> None:
    # RFC 8439, section 2.8.2, has the nonce 07000000 4041..47, which a Noise counter cannot say; so: round trip,
    # and every change is noticed.
    cipher = Aead(b"k" * 32)
    sealed = cipher.encrypt(7, b"plain", b"with")
    assert len(sealed) == 5 + 16
    assert cipher.decrypt(7, sealed, b"with") == b"plain"
    assert cipher.decrypt(8, sealed, b"with") is None
    assert cipher.decrypt(7, sealed, b"without") is None
    assert cipher.decrypt(7, sealed[:-1], b"with") is None
    assert cipher.decrypt(7, bytes([sealed[0] ^ 1]) + sealed[1:], b"with") is None
    assert Aead(b"j" * 32).decrypt(7, sealed, b"with") is None


@pytest.mark.parametrize("size", [0, 1, 15])
def test_a_text_shorter_than_its_tag_does_not_decrypt(size: int) -> None:
    assert Aead(b"k" * 32).decrypt(0, bytes(size), b"") is None


def test_what_is_printed_of_a_key_is_not_its_secret() -> None:
    key, exchange = SigningKey(secret(9)), DhKey(secret(9))
    assert secret(9).hex() not in repr(key) + repr(exchange)
    assert key.public.hex()[:10] in repr(key)
    assert exchange.public.hex()[:10] in repr(exchange)


def test_signing_and_verifying_are_libsodiums_whatever_the_length() -> None:
    key = SigningKey(secret(7))
    _, theirs = sodium.crypto_sign_seed_keypair(secret(7))
    for size in (0, 1, 63, 64, 65, 200, 2_048, 65_535):
        message = bytes(size)
        signature = key(message)
        assert sodium.crypto_sign(message, theirs) == signature + message
        assert sodium.crypto_sign_open(signature + message, key.public) == message
        assert verify(key.public, message, signature)
        assert not verify(key.public, message + b"\0", signature)
        assert not verify(key.public, message, bytes(64))


def test_an_hmac_key_longer_than_a_block_is_our_own_mistake() -> None:
    assert hmac_sha256(b"k" * 64, b"data") == hmac.digest(b"k" * 64, b"data", "sha256")
    with pytest.raises(LocalProtocolError):
        hmac_sha256(b"k" * 65, b"data")
