"""The handshake between honest hubs: what it yields, what it shows, and when."""

from __future__ import annotations

import pytest

from protocol.crypto import SigningKey
from protocol.errors import HandshakeError, LocalProtocolError, Reason
from protocol.identity import new_identity, next_key_digest, open_mesh, rotate
from protocol.limits import HANDSHAKE_BYTES_MAX, KEY_STATE_BYTES_MAX
from tests.unit.link.peers import (
    ANOTHER_EPHEMERAL,
    INITIATOR,
    INITIATOR_STATIC,
    MESH,
    RESPONDER,
    RESPONDER_STATIC,
    ROTATED,
    STRANGER,
    Attacker,
    answer_to,
    closing_to,
    hub,
    link_of,
    reply_of,
    run,
    secret,
)


def test_two_hubs_of_one_mesh_learn_who_the_other_is() -> None:
    done = run(hub(initiator=True).handshake, hub(initiator=False).handshake)
    assert done.at_initiator.peer == RESPONDER.author
    assert done.at_initiator.key_state == RESPONDER.key_state
    assert done.at_initiator.initiator
    assert done.at_responder.peer == INITIATOR.author
    assert done.at_responder.key_state == INITIATOR.key_state
    assert not done.at_responder.initiator


def test_both_ends_hold_the_same_binding_and_another_session_holds_another() -> None:
    first = run(hub(initiator=True).handshake, hub(initiator=False).handshake)
    again = run(hub(initiator=True).handshake, hub(initiator=False, ephemeral=ANOTHER_EPHEMERAL).handshake)
    assert first.at_initiator.binding == first.at_responder.binding
    assert len(first.at_initiator.binding) == 32
    assert first.at_initiator.binding != again.at_initiator.binding


def test_the_channels_of_both_ends_fit_together() -> None:
    done = run(hub(initiator=True).handshake, hub(initiator=False).handshake)
    left, right = done.at_initiator.channel, done.at_responder.channel
    for number in range(3):
        assert right.open(left.seal(b"to the responder %d" % number)) == b"to the responder %d" % number
        assert left.open(right.seal(b"to the initiator %d" % number)) == b"to the initiator %d" % number


def test_the_expected_author_may_be_named_on_both_sides() -> None:
    initiator = hub(initiator=True, expected=RESPONDER.author).handshake
    responder = hub(initiator=False, expected=INITIATOR.author).handshake
    assert run(initiator, responder).at_responder.peer == INITIATOR.author


def test_hubs_of_an_open_mesh_link_by_its_name_alone() -> None:
    mesh = open_mesh("a square in spring")
    done = run(
        hub(initiator=True, mesh=mesh, identity=new_identity(mesh.mesh_id, secret(31), secret(32))).handshake,
        hub(
            initiator=False,
            mesh=open_mesh("a square in spring"),
            identity=new_identity(mesh.mesh_id, secret(33), secret(34)),
        ).handshake,
    )
    assert done.at_initiator.binding == done.at_responder.binding


def test_a_rotated_author_proves_itself_by_its_current_key() -> None:
    done = run(hub(initiator=True, identity=ROTATED).handshake, hub(initiator=False).handshake)
    assert done.at_responder.peer == STRANGER.author
    assert done.at_responder.key_state.rotation == 1
    assert done.at_responder.key_state.key == SigningKey(secret(6)).public


def test_the_largest_key_state_fits_the_largest_message() -> None:
    identity = new_identity(MESH.mesh_id, secret(41), secret(42))
    for number in (42, 43, 44):
        following = next_key_digest(SigningKey(secret(number + 1)).public)
        identity = rotate(MESH.mesh_id, identity.key_state, secret(number), following)
    assert identity.key_state.rotation == 3
    done = run(hub(initiator=True).handshake, hub(initiator=False, identity=identity).handshake)
    assert len(done.answer) <= HANDSHAKE_BYTES_MAX
    assert 32 + 48 + 1 + 3 + KEY_STATE_BYTES_MAX + 2 + 64 + 16 <= HANDSHAKE_BYTES_MAX


def test_the_messages_have_the_lengths_of_the_byte_table() -> None:
    done = run(hub(initiator=True).handshake, hub(initiator=False).handshake)
    proof = 1 + 2 + len(RESPONDER.key_state.encoded) + 2 + 64
    assert len(RESPONDER.key_state.encoded) < 256
    assert len(done.opening) == 1 + 32 + 16
    assert len(done.answer) == 32 + (32 + 16) + proof + 16
    assert len(done.closing) == (32 + 16) + proof + 16


def test_nothing_that_names_anybody_travels_in_the_clear() -> None:
    done = run(hub(initiator=True).handshake, hub(initiator=False).handshake)
    wire = done.opening + done.answer + done.closing
    for identity, static in ((INITIATOR, INITIATOR_STATIC), (RESPONDER, RESPONDER_STATIC)):
        for name in (identity.author, identity.key_state.key, static.public, MESH.mesh_id, MESH.psk):
            assert name not in wire
            assert name[:8] not in wire


def test_the_initiator_signs_only_after_the_responder_has_passed() -> None:
    initiator = hub(initiator=True)
    body = answer_to(initiator.handshake, Attacker(initiator=False))
    assert initiator.signatures == []
    assert link_of(initiator.handshake, body).peer == STRANGER.author
    assert len(initiator.signatures) == 1


def test_the_test_attacker_is_admitted_when_it_behaves() -> None:
    """Otherwise every refusal of it would prove nothing."""
    responder = hub(initiator=False)
    attacker = Attacker(initiator=True)
    established = link_of(responder.handshake, closing_to(responder.handshake, attacker))
    sending, receiving = attacker.split()
    assert established.peer == STRANGER.author
    assert established.channel.open(sending.encrypt(b"hello")) == b"hello"
    assert receiving.decrypt(established.channel.seal(b"hello")) == b"hello"


def test_the_same_inputs_give_the_same_bytes() -> None:
    first = run(hub(initiator=True).handshake, hub(initiator=False).handshake)
    again = run(hub(initiator=True).handshake, hub(initiator=False).handshake)
    assert (first.opening, first.answer, first.closing) == (again.opening, again.answer, again.closing)
    assert first.at_initiator.channel.seal(b"x") == again.at_initiator.channel.seal(b"x")


def test_a_replayed_opening_is_answered_with_nothing_the_replayer_can_read() -> None:
    recorded = run(hub(initiator=True).handshake, hub(initiator=False).handshake)
    responder = hub(initiator=False, ephemeral=ANOTHER_EPHEMERAL)
    answer = reply_of(responder.handshake, recorded.opening)
    replayer = Attacker(initiator=True)
    replayer.opening()
    with pytest.raises(HandshakeError):
        replayer.read(answer)
    with pytest.raises(HandshakeError) as refused:
        responder.handshake.receive(recorded.closing)
    assert refused.value.reason is Reason.HANDSHAKE_BAD_MESSAGE


def test_a_responder_does_not_start() -> None:
    with pytest.raises(LocalProtocolError, match="responder reads 1"):
        hub(initiator=False).handshake.start()


def test_an_initiator_starts_once() -> None:
    initiator = hub(initiator=True).handshake
    initiator.start()
    with pytest.raises(LocalProtocolError, match="initiator reads 2"):
        initiator.start()


@pytest.mark.parametrize("side", ["initiator", "responder"])
def test_a_message_too_many_is_refused_and_leaves_the_channel_alone(side: str) -> None:
    initiator, responder = hub(initiator=True).handshake, hub(initiator=False).handshake
    done = run(initiator, responder)
    with pytest.raises(HandshakeError) as refused:
        (initiator if side == "initiator" else responder).receive(done.closing)
    assert refused.value.reason is Reason.HANDSHAKE_BAD_MESSAGE
    sealed = done.at_initiator.channel.seal(b"still here")
    assert done.at_responder.channel.open(sealed) == b"still here"
