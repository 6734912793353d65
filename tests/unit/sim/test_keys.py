"""The crypto port: both lanes accept what was signed and nothing else, and authors are the same in both."""

from __future__ import annotations

from typing import get_args

import pytest

from protocol import crypto
from protocol.identity import open_mesh
from protocol.ids import AuthorId
from protocol.rng import Rng
from sim.keys import Keys, Lane

MESH = open_mesh("keys")
LANES: tuple[Lane, ...] = get_args(Lane)


def keys(lane: Lane) -> tuple[Keys, list[tuple[AuthorId, bytes]]]:
    told: list[tuple[AuthorId, bytes]] = []
    return Keys(lane, lambda author, message: told.append((author, message))), told


@pytest.mark.parametrize("lane", LANES)
def test_a_signature_holds_for_its_key_and_message_only(lane: Lane) -> None:
    port, _ = keys(lane)
    ada, ben = port.identity(MESH, Rng(1)), port.identity(MESH, Rng(2))
    signature = ada.sign(b"message")
    assert len(signature) == crypto.SIGNATURE_BYTES
    assert port.verify(ada.key_state.key, b"message", signature)
    assert not port.verify(ada.key_state.key, b"Message", signature)
    assert not port.verify(ben.key_state.key, b"message", signature)
    assert not port.verify(ada.key_state.key, b"message", bytes(64))
    assert not port.verify(ada.key_state.key, b"message", signature[:-1])
    assert not port.verify(bytes(32), b"message", signature)


@pytest.mark.parametrize("lane", LANES)
def test_a_forger_who_knows_everything_public_still_fails(lane: Lane) -> None:
    port, _ = keys(lane)
    ada = port.identity(MESH, Rng(1))
    public = ada.key_state.key
    forged = crypto.digest(b"message", size=64, key=public, person=b"trio-sim stub")
    assert not port.verify(public, b"message", forged)


@pytest.mark.parametrize("lane", LANES)
def test_everything_that_is_signed_is_told_and_counted(lane: Lane) -> None:
    port, told = keys(lane)
    ada = port.identity(MESH, Rng(1))
    ada.sign(b"one")
    port.verify(ada.key_state.key, b"one", ada.sign(b"two"))
    assert told == [(ada.author, b"one"), (ada.author, b"two")]
    assert (port.signatures, port.verifications) == (2, 1)


def test_authors_and_key_states_do_not_depend_on_the_lane() -> None:
    stub, real = (keys(lane)[0].identity(MESH, Rng(9)) for lane in ("stub", "real"))
    assert stub.key_state == real.key_state
    assert stub.sign(b"m") != real.sign(b"m")
    assert crypto.verify(real.key_state.key, b"m", real.sign(b"m"))


@pytest.mark.parametrize("lane", LANES)
def test_a_rotated_author_signs_with_the_next_key_and_with_no_other(lane: Lane) -> None:
    port, told = keys(lane)
    first = port.identity(MESH, Rng(1))
    second = port.rotated(MESH, first)
    third = port.rotated(MESH, second)
    assert [each.key_state.rotation for each in (first, second, third)] == [0, 1, 2]
    assert {each.author for each in (first, second, third)} == {first.author}
    signature = third.sign(b"message")
    assert told == [(first.author, b"message")]
    assert port.verify(third.key_state.key, b"message", signature)
    assert not port.verify(second.key_state.key, b"message", signature)
