"""Meshes, authors and key states: what is proven, and what is refused whole (R22, R23 and section 5.1)."""

from __future__ import annotations

import unicodedata

import pytest

from protocol.crypto import SigningKey, digest
from protocol.errors import LocalProtocolError, Reason
from protocol.identity import (
    DOMAIN_INCEPTION,
    DOMAIN_ROTATION,
    KeyStateError,
    decode_key_state,
    identity_from_seed,
    invite_mesh,
    mesh_tag,
    new_identity,
    next_key_digest,
    open_mesh,
    rotate,
)
from protocol.limits import KEY_STATE_BYTES_MAX
from protocol.wire.codec import Value, decode, encode
from tests.unit.link.weak_keys import ed25519_small_order, mixed_order_key_state, small_order_key_state
from tests.unit.protocol.people import ANN, BEN, MESH, OTHER_MESH, person, secret

ZERO = bytes(32)


def reason_of(encoded: bytes) -> Reason:
    """Why a key state is refused."""
    with pytest.raises(KeyStateError) as refused:
        decode_key_state(encoded, MESH.mesh_id)
    return refused.value.reason


def inception(key: SigningKey, *changed: tuple[int, Value], signer: SigningKey | None = None) -> tuple[bytes, bytes]:
    """An inception record, some of whose elements are replaced before it is signed."""
    elements: list[Value] = [DOMAIN_INCEPTION, MESH.mesh_id, 1, key.public, next_key_digest(NEXT.public)]
    for position, value in changed:
        elements[position] = value
    signed = encode(tuple(elements))
    return signed, (signer or key)(signed)


def rotation(*changed: tuple[int, Value], key: SigningKey | None = None) -> tuple[bytes, bytes]:
    """The first rotation of the author below, some of whose elements are replaced before it is signed."""
    elements: list[Value] = [DOMAIN_ROTATION, MESH.mesh_id, 1, AUTHOR, 1, NEXT.public, ZERO]
    for position, value in changed:
        elements[position] = value
    signed = encode(tuple(elements))
    return signed, (key or NEXT)(signed)


FIRST, NEXT, STRANGE = SigningKey(secret(70)), SigningKey(secret(71)), SigningKey(secret(72))
AUTHOR = digest(inception(FIRST)[0])


def test_an_author_is_named_by_the_hash_of_its_inception() -> None:
    state = decode_key_state(encode((inception(FIRST),)), MESH.mesh_id)
    assert state.author == AUTHOR
    assert (state.key, state.rotation, state.next_digest) == (FIRST.public, 0, next_key_digest(NEXT.public))


def test_the_same_seed_gives_the_same_author_again() -> None:
    again = identity_from_seed(MESH.mesh_id, secret(1), next_key_digest(SigningKey(secret(1, 1)).public))
    assert again.key_state == ANN.key_state
    assert new_identity(OTHER_MESH.mesh_id, secret(1), secret(1, 1)).author != ANN.author


def test_a_rotation_keeps_the_author_and_changes_the_key() -> None:
    state = decode_key_state(encode((inception(FIRST), rotation())), MESH.mesh_id)
    assert (state.author, state.key, state.rotation) == (AUTHOR, NEXT.public, 1)


@pytest.mark.parametrize("rotations", [0, 1, 2, 3])
def test_every_allowed_number_of_rotations_fits_and_decodes(rotations: int) -> None:
    who = person(1, rotations)
    assert who.author == ANN.author
    assert len(who.key_state.encoded) <= KEY_STATE_BYTES_MAX
    assert decode_key_state(who.key_state.encoded, MESH.mesh_id) == who.key_state
    assert who.key_state.rotation == rotations


def test_a_full_key_state_rotates_no_further() -> None:
    full = person(1, 3)
    with pytest.raises(LocalProtocolError):
        rotate(MESH.mesh_id, full.key_state, secret(1, 4), ZERO)


def test_only_the_key_committed_to_can_follow() -> None:
    with pytest.raises(LocalProtocolError):
        rotate(MESH.mesh_id, ANN.key_state, secret(2, 1), ZERO)


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ((inception(FIRST, (0, "trio.rotation")),), Reason.WRONG_DOMAIN),
        ((inception(FIRST, (1, OTHER_MESH.mesh_id)),), Reason.WRONG_MESH),
        ((inception(FIRST, (2, 0)),), Reason.WRONG_VERSION),
        ((inception(FIRST, (2, 2)),), Reason.WRONG_VERSION),
        ((inception(FIRST, (2, True)),), Reason.WRONG_VERSION),
        ((inception(FIRST, (3, bytes(31))),), Reason.OUT_OF_RANGE),
        ((inception(FIRST, (3, "x" * 32)),), Reason.WRONG_TYPE),
        ((inception(FIRST, (4, bytes(33))),), Reason.OUT_OF_RANGE),
        ((inception(FIRST, signer=STRANGE),), Reason.BAD_SIGNATURE),
        ((inception(FIRST), rotation((0, DOMAIN_INCEPTION))), Reason.WRONG_DOMAIN),
        ((inception(FIRST), rotation((1, OTHER_MESH.mesh_id))), Reason.WRONG_MESH),
        ((inception(FIRST), rotation((2, 2))), Reason.WRONG_VERSION),
        ((inception(FIRST), rotation((3, BEN.author))), Reason.BAD_KEY_STATE),
        ((inception(FIRST), rotation((4, 0))), Reason.OUT_OF_RANGE),
        ((inception(FIRST), rotation((4, 2))), Reason.OUT_OF_RANGE),
        ((inception(FIRST), rotation((4, 2**64 - 1))), Reason.OUT_OF_RANGE),
        ((inception(FIRST), rotation((5, STRANGE.public), key=STRANGE)), Reason.BAD_KEY_STATE),
        ((inception(FIRST), rotation((6, bytes(31)))), Reason.OUT_OF_RANGE),
        ((inception(FIRST), rotation(key=FIRST)), Reason.BAD_SIGNATURE),
        ((inception(FIRST), rotation(), rotation()), Reason.OUT_OF_RANGE),
        ((inception(FIRST), inception(FIRST)), Reason.WRONG_DOMAIN),
        ((rotation(),), Reason.WRONG_DOMAIN),
        ((), Reason.OUT_OF_RANGE),
        ((inception(FIRST)[:1],), Reason.WRONG_ARITY),
        (((*inception(FIRST), b""),), Reason.WRONG_ARITY),
        (((inception(FIRST)[0], bytes(63)),), Reason.OUT_OF_RANGE),
        (((b"", bytes(64)),), Reason.OUT_OF_RANGE),
        ((b"",), Reason.WRONG_TYPE),
    ],
)
def test_a_key_state_with_one_wrong_part_is_refused_whole(records: Value, reason: Reason) -> None:
    assert reason_of(encode(records)) is reason


def test_a_record_of_three_elements_too_few_or_many_is_refused() -> None:
    key = FIRST.public
    for elements in ((DOMAIN_INCEPTION, MESH.mesh_id, 1, key), (DOMAIN_INCEPTION, MESH.mesh_id, 1, key, ZERO, ZERO)):
        signed = encode(elements)
        assert reason_of(encode(((signed, FIRST(signed)),))) is Reason.WRONG_ARITY


@pytest.mark.parametrize("data", [b"", b"\xc0", b"\x90", b"\x91", b"\x91\xc0", b"\x80", b"\xc1"])
def test_bytes_that_are_no_key_state_are_refused(data: bytes) -> None:
    with pytest.raises(KeyStateError):
        decode_key_state(data, MESH.mesh_id)


def test_a_key_state_beyond_its_size_is_refused_before_it_is_decoded() -> None:
    assert reason_of(bytes(KEY_STATE_BYTES_MAX + 1)) is Reason.BAD_KEY_STATE


def test_four_rotations_are_refused_even_if_they_would_fit() -> None:
    whole = decode(person(1, 3).key_state.encoded)
    assert isinstance(whole, tuple)
    small = encode((*whole, (b"x", bytes(64))))
    assert len(small) <= KEY_STATE_BYTES_MAX
    assert reason_of(small) is Reason.OUT_OF_RANGE


def test_a_key_state_cut_short_anywhere_is_refused() -> None:
    encoded = person(1, 1).key_state.encoded
    for size in range(len(encoded)):
        with pytest.raises(KeyStateError):
            decode_key_state(encoded[:size], MESH.mesh_id)


def test_a_key_state_with_one_bit_flipped_anywhere_is_refused() -> None:
    encoded = ANN.key_state.encoded
    for position in range(len(encoded)):
        bad = bytearray(encoded)
        bad[position] ^= 0x10
        with pytest.raises(KeyStateError):
            decode_key_state(bytes(bad), MESH.mesh_id)


@pytest.mark.parametrize("name", sorted(ed25519_small_order()))
def test_a_key_state_under_a_key_of_small_order_is_refused(name: str) -> None:
    assert reason_of(small_order_key_state(ed25519_small_order()[name])) is Reason.BAD_KEY


def test_a_key_state_under_a_key_of_mixed_order_is_refused_though_its_signature_verifies() -> None:
    assert reason_of(mixed_order_key_state()) is Reason.BAD_KEY


def test_a_rotation_to_a_key_of_small_order_is_refused() -> None:
    weak = ed25519_small_order()["identity"]
    signed, signature = inception(FIRST, (4, next_key_digest(weak)))
    turned = encode((DOMAIN_ROTATION, MESH.mesh_id, 1, digest(signed), 1, weak, ZERO))
    assert reason_of(encode(((signed, signature), (turned, FIRST(turned))))) is Reason.BAD_KEY


def test_an_open_mesh_is_named_by_its_normalised_name() -> None:
    composed, decomposed = "caf\u00e9", unicodedata.normalize("NFD", "caf\u00e9")
    assert composed != decomposed
    assert open_mesh(composed) == open_mesh(decomposed)
    assert open_mesh("café").mesh_id != open_mesh("cafe").mesh_id
    assert open_mesh("x").admission == "open"


def test_mesh_id_and_psk_follow_from_the_secret_as_the_document_says() -> None:
    given = bytes(range(32))
    mesh = invite_mesh(given)
    assert mesh.mesh_id == digest(given, size=16, person=b"trio-mesh id")
    assert mesh.psk == digest(given, person=b"trio-mesh psk")
    assert mesh.admission == "invite"
    named = open_mesh("plaza")
    assert named.mesh_id == digest(digest(b"plaza", person=b"trio-mesh open"), size=16, person=b"trio-mesh id")


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_mesh_secret_has_exactly_32_bytes(size: int) -> None:
    with pytest.raises(LocalProtocolError):
        invite_mesh(bytes(size))


def test_a_tag_is_recognised_by_members_only() -> None:
    assert mesh_tag(MESH, "instance") == digest(b"instance", size=8, key=MESH.psk, person=b"trio-mesh tag").hex()
    assert mesh_tag(MESH, "instance") != mesh_tag(OTHER_MESH, "instance")
    assert mesh_tag(MESH, "instance") != mesh_tag(MESH, "another")


def test_what_is_printed_of_a_mesh_or_an_identity_is_no_secret() -> None:
    assert MESH.psk.hex() not in repr(MESH)
    assert secret(1).hex() not in repr(ANN)
