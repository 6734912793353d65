"""Key states: no change of any kind makes another one that is accepted for the same author."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.crypto import SigningKey
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.identity import (
    KeyState,
    KeyStateError,
    decode_key_state,
    new_identity,
    next_key_digest,
    open_mesh,
    rotate,
)
from protocol.wire.codec import Value, decode, encode
from tests.unit.protocol.people import MESH, OTHER_MESH, person

SETTINGS = settings(deadline=None, derandomize=True, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
seeds = st.binary(min_size=32, max_size=32)
states = st.sampled_from([person(1, rotations).key_state for rotations in range(4)])


@given(st.lists(seeds, min_size=3, max_size=5, unique=True))
@SETTINGS
def test_an_author_keeps_its_name_through_all_rotations(secrets: list[bytes]) -> None:
    who = new_identity(MESH.mesh_id, secrets[0], secrets[1])
    names = {who.author}
    for number in range(1, len(secrets) - 1):
        following = next_key_digest(SigningKey(secrets[number + 1]).public)
        who = rotate(MESH.mesh_id, who.key_state, secrets[number], following)
        assert decode_key_state(who.key_state.encoded, MESH.mesh_id) == who.key_state
        assert who.key_state.rotation == number
        names.add(who.author)
    assert len(names) == 1
    with pytest.raises(KeyStateError):
        decode_key_state(who.key_state.encoded, OTHER_MESH.mesh_id)


@given(seeds, seeds, seeds)
@SETTINGS
def test_no_other_secret_than_the_one_committed_to_can_rotate(first: bytes, committed: bytes, thief: bytes) -> None:
    who = new_identity(MESH.mesh_id, first, committed)
    if thief == committed:
        return
    with pytest.raises(LocalProtocolError):
        rotate(MESH.mesh_id, who.key_state, thief, bytes(32))


@given(states, st.data())
@settings(SETTINGS, max_examples=200)
def test_a_damaged_key_state_is_refused(state: KeyState, data: st.DataObject) -> None:
    bad = bytearray(state.encoded)
    for _ in range(data.draw(st.integers(1, 3))):
        bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.integers(0, 255))
    if bytes(bad) == state.encoded:
        return
    with pytest.raises(KeyStateError):
        decode_key_state(bytes(bad), MESH.mesh_id)


@given(st.binary(max_size=1_100))
@SETTINGS
def test_any_bytes_as_a_key_state_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(KeyStateError):
        decode_key_state(data, MESH.mesh_id)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=4))
@settings(SETTINGS, max_examples=200)
def test_records_of_several_key_states_make_one_only_in_their_own_order(parts: list[tuple[int, int]]) -> None:
    sources = [records_of(person(1 + who, 3).key_state.encoded) for who in range(4)]
    chosen = tuple(sources[who][place] for who, place in parts)
    honest = all(who == parts[0][0] and place == at for at, (who, place) in enumerate(parts))
    try:
        state = decode_key_state(encode(chosen), MESH.mesh_id)
    except RemoteProtocolError:
        assert not honest
    else:
        assert honest
        assert state.author == person(1 + parts[0][0]).author


def records_of(encoded: bytes) -> tuple[Value, ...]:
    """The records of a key state."""
    records = decode(encoded)
    assert isinstance(records, tuple)
    return records


@given(st.text(max_size=30))
@SETTINGS
def test_a_mesh_has_one_name_whatever_its_unicode_form(name: str) -> None:
    forms = {open_mesh(unicodedata.normalize(form, name)).mesh_id for form in ("NFC", "NFD")}
    assert forms == {open_mesh(name).mesh_id}
