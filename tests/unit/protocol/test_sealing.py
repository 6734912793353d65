"""Words for few: opened by whom they are for, and telling nobody else anything."""

from __future__ import annotations

import pytest

from protocol.crypto import DhKey, SigningKey, aead_open, aead_seal, dh_public
from protocol.errors import DecodeError, LocalProtocolError, Reason
from protocol.ids import AuthorId
from protocol.sealing import BOX_BYTES, BOXES, WORD_BYTES, open_word, receiving, seal_word, sending
from protocol.wire.codec import decode, encode
from tests.unit.protocol.people import MESH

ANN, BEN, EVE = (SigningKey(bytes([number]) * 32) for number in (1, 2, 3))
AUTHOR = AuthorId(bytes(range(32)))
SEED = bytes([7]) * 32
EPHEMERAL = DhKey(bytes([8]) * 32)


def sealed(word: bytes = b"hello", *others: bytes) -> bytes:
    """A word of AUTHOR for Ann and Ben."""
    return seal_word(MESH.mesh_id, AUTHOR, word, (ANN.public, BEN.public, *others), SEED)


def boxes_of(payload: bytes) -> list[bytes]:
    """What lies in it."""
    value = decode(payload)
    assert isinstance(value, tuple)
    assert isinstance(value[1], tuple)
    return [box for box in value[1] if isinstance(box, bytes)]


def opened(payload: bytes, who: SigningKey, author: AuthorId = AUTHOR) -> bytes | None:
    """What it says to somebody."""
    return open_word(MESH.mesh_id, author, payload, (who.dh(),))


def test_each_reader_opens_it_and_nobody_else() -> None:
    assert [opened(sealed(), who) for who in (ANN, BEN, EVE)] == [b"hello", b"hello", None]


def test_it_is_made_of_published_parts() -> None:
    """HPKE base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305: made with the library's own HPKE."""
    own = DhKey(bytes.fromhex("61" * 32))
    made = bytes.fromhex(
        "d264c46cfe5a9f2adb2d843ab6201389c571215f778d5f35e7d73b64de00b574"
        "f92d869e72d82814f43e44637e0fece47e8667b5fcbb6162a8b2fafb834a91bc"
        "cef70ca054"
    )
    assert aead_open(*receiving(own, made[:32], b"info"), made[32:], b"") == b"a word from elsewhere"


def test_a_key_and_its_x25519_form_belong_together() -> None:
    assert dh_public(ANN.public) == ANN.dh().public


def test_whoever_still_has_an_earlier_key_opens_what_was_sealed_to_it() -> None:
    keys = (EVE.dh(), BEN.dh())
    assert open_word(MESH.mesh_id, AUTHOR, sealed(), keys) == b"hello"
    assert open_word(MESH.mesh_id, AUTHOR, sealed(), ()) is None


def test_boxes_say_neither_how_long_the_word_is_nor_which_reader_is_which() -> None:
    assert len(sealed(b"")) == len(sealed(b"x" * (WORD_BYTES - 1)))
    listed = boxes_of(sealed(b""))
    assert listed == sorted(listed)
    assert {len(box) for box in listed} == {BOX_BYTES}


@pytest.mark.parametrize(("circle", "boxes"), [(0, 2), (1, 10), (8, 10), (9, 34), (32, 34)])
def test_boxes_say_of_a_circle_only_whether_it_is_none_small_or_any(circle: int, boxes: int) -> None:
    others = [SigningKey(bytes([100 + number]) * 32) for number in range(circle)]
    payload = sealed(b"hello", *(key.public for key in others))
    assert len(set(boxes_of(payload))) == boxes
    assert all(opened(payload, who) == b"hello" for who in (*others, ANN, BEN))
    assert opened(payload, EVE) is None
    assert boxes in BOXES


def test_a_reader_who_is_named_twice_has_one_box() -> None:
    assert sealed(b"hello", BEN.public) == sealed()


def test_a_box_passed_off_as_the_word_of_somebody_else_does_not_open() -> None:
    assert opened(sealed(), ANN, author=AuthorId(bytes(32))) is None


def test_a_changed_box_does_not_open() -> None:
    payload = bytearray(sealed())
    payload[-1] ^= 1
    payload[-1 - BOX_BYTES - 2] ^= 1
    assert opened(bytes(payload), ANN) is None
    assert opened(bytes(payload), BEN) is None


def test_a_box_with_a_key_of_low_order_does_not_open() -> None:
    assert opened(encode((bytes(32), (bytes(BOX_BYTES),))), ANN) is None


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        encode(()),
        encode((bytes(32), ())),
        encode((bytes(31), (bytes(BOX_BYTES),))),
        encode((bytes(32), (b"short",))),
        encode((bytes(32), (bytes(BOX_BYTES), bytes(BOX_BYTES)))),
    ],
)
def test_what_is_no_such_payload_is_refused(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        opened(payload, ANN)


@pytest.mark.parametrize("padded", [bytes([WORD_BYTES]) + bytes(63), b"\x01ab" + bytes(61)])
def test_a_word_that_is_not_padded_with_zeros_is_refused(padded: bytes) -> None:
    key, nonce = sending(EPHEMERAL, ANN.dh().public, b"trio-mesh/1 sealed word")
    box = aead_seal(key, nonce, padded, MESH.mesh_id + AUTHOR)
    with pytest.raises(DecodeError) as caught:
        opened(encode((EPHEMERAL.public, (box,))), ANN)
    assert caught.value.reason is Reason.BAD_CONTENT


def test_a_word_that_is_too_long_or_for_nobody_is_our_own_fault() -> None:
    with pytest.raises(LocalProtocolError):
        sealed(bytes(WORD_BYTES))
    with pytest.raises(LocalProtocolError):
        seal_word(MESH.mesh_id, AUTHOR, b"", (), SEED)
    with pytest.raises(LocalProtocolError):
        sealed(b"", *(SigningKey(bytes([100 + number]) * 32).public for number in range(33)))
