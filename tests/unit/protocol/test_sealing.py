"""Words for few: opened by whom they are for, and telling nobody else anything."""

from __future__ import annotations

import pytest

from protocol.crypto import DhKey, SigningKey, dh_public
from protocol.errors import DecodeError, LocalProtocolError, Reason
from protocol.ids import AuthorId
from protocol.sealing import BOX_BYTES, WORD_BYTES, open_sealed, open_word, seal, seal_word
from protocol.wire.codec import decode, encode
from tests.unit.protocol.people import MESH

ANN, BEN, EVE = (SigningKey(bytes([number]) * 32) for number in (1, 2, 3))
AUTHOR = AuthorId(bytes(range(32)))
SECRETS = (bytes([7]) * 32, bytes([8]) * 32)


def sealed(word: bytes = b"hello") -> bytes:
    """A word of AUTHOR for Ann and Ben."""
    return seal_word(MESH.mesh_id, AUTHOR, word, (ANN.public, BEN.public), SECRETS)


def opened(payload: bytes, who: SigningKey, author: AuthorId = AUTHOR) -> bytes | None:
    """What it says to somebody."""
    return open_word(MESH.mesh_id, author, payload, who.dh())


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
    assert open_sealed(own, b"info", b"", made) == b"a word from elsewhere"


def test_a_key_and_its_x25519_form_belong_together() -> None:
    assert dh_public(ANN.public) == ANN.dh().public


def test_boxes_say_neither_how_long_the_word_is_nor_which_reader_is_which() -> None:
    (boxes,) = (decode(sealed(b"")),)
    assert len(sealed(b"")) == len(sealed(b"x" * (WORD_BYTES - 1)))
    assert isinstance(boxes, tuple)
    listed = boxes[0]
    assert isinstance(listed, tuple)
    assert list(listed) == sorted(listed)  # type: ignore[type-var]
    assert all(isinstance(box, bytes) and len(box) == BOX_BYTES for box in listed)


def test_a_box_passed_off_as_the_word_of_somebody_else_does_not_open() -> None:
    assert opened(sealed(), ANN, author=AuthorId(bytes(32))) is None


def test_a_changed_box_does_not_open() -> None:
    payload = bytearray(sealed())
    payload[-1] ^= 1
    payload[-1 - BOX_BYTES - 2] ^= 1
    assert opened(bytes(payload), ANN) is None
    assert opened(bytes(payload), BEN) is None


def test_a_box_with_a_key_of_low_order_does_not_open() -> None:
    assert opened(encode(((bytes(BOX_BYTES),),)), ANN) is None


@pytest.mark.parametrize(
    "payload",
    [b"", encode(()), encode(((),)), encode(((b"short",),)), encode(((bytes(BOX_BYTES), bytes(BOX_BYTES)),))],
)
def test_what_is_no_such_payload_is_refused(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        opened(payload, ANN)


@pytest.mark.parametrize("padded", [bytes([WORD_BYTES]) + bytes(63), b"\x01ab" + bytes(61)])
def test_a_word_that_is_not_padded_with_zeros_is_refused(padded: bytes) -> None:
    box = seal(ANN.dh().public, b"trio-mesh/1 sealed word", MESH.mesh_id + AUTHOR, padded, DhKey(SECRETS[0]))
    with pytest.raises(DecodeError) as caught:
        opened(encode(((box,),)), ANN)
    assert caught.value.reason is Reason.BAD_CONTENT


def test_a_word_that_is_too_long_or_for_nobody_is_our_own_fault() -> None:
    with pytest.raises(LocalProtocolError):
        sealed(bytes(WORD_BYTES))
    with pytest.raises(LocalProtocolError):
        seal_word(MESH.mesh_id, AUTHOR, b"", (), ())
