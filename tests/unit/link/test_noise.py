"""The engine against published vectors and against another library, and its transition table step by step."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TypedDict, cast

import pytest

from protocol.crypto import DhKey
from protocol.errors import HandshakeError, LimitExceeded, LocalProtocolError, Reason
from protocol.link.noise import (
    MESSAGE_BYTES_MAX,
    NONCE_END,
    PATTERNS,
    TRANSITIONS,
    Action,
    CipherState,
    HandshakeState,
    PayloadMaker,
    Stage,
    TagError,
    Token,
)
from tests.unit.link.oracle import Oracle
from tests.unit.link.peers import PresentedKey, secret

VECTORS = Path(__file__).parents[2] / "conformance" / "vectors"
PSK = secret(77)


class Message(TypedDict):
    """One message of a published vector, in hex."""

    payload: str
    ciphertext: str


class Vector(TypedDict, total=False):
    """A published vector, in hex."""

    protocol_name: str
    init_prologue: str
    init_psks: list[str]
    init_static: str
    init_ephemeral: str
    resp_prologue: str
    resp_psks: list[str]
    resp_static: str
    resp_ephemeral: str
    handshake_hash: str
    messages: list[Message]


def published(name: str) -> Vector:
    """The one vector of that file."""
    return cast("Vector", json.loads((VECTORS / f"{name}.json").read_text())["vector"])


def sides_of(vector: Vector) -> tuple[HandshakeState, HandshakeState]:
    """Initiator and responder with the keys of the vector."""
    pattern = vector["protocol_name"].split("_")[1]
    assert vector["protocol_name"] == f"Noise_{pattern}_25519_ChaChaPoly_SHA256"
    return (
        HandshakeState(
            pattern,
            initiator=True,
            prologue=bytes.fromhex(vector["init_prologue"]),
            static=DhKey(bytes.fromhex(vector["init_static"])),
            ephemeral=DhKey(bytes.fromhex(vector["init_ephemeral"])),
            psk=bytes.fromhex(vector["init_psks"][0]) if "init_psks" in vector else None,
        ),
        HandshakeState(
            pattern,
            initiator=False,
            prologue=bytes.fromhex(vector["resp_prologue"]),
            static=DhKey(bytes.fromhex(vector["resp_static"])),
            ephemeral=DhKey(bytes.fromhex(vector["resp_ephemeral"])),
            psk=bytes.fromhex(vector["resp_psks"][0]) if "resp_psks" in vector else None,
        ),
    )


def constant(payload: bytes) -> PayloadMaker:
    """That payload whatever the transcript."""
    return lambda _bound_hash: payload


@pytest.mark.parametrize("name", ["noise_xx", "noise_xxpsk3"])
def test_every_message_of_a_published_vector_comes_out_byte_for_byte(name: str) -> None:
    vector = published(name)
    initiator, responder = sides_of(vector)
    messages = [(bytes.fromhex(m["payload"]), bytes.fromhex(m["ciphertext"])) for m in vector["messages"]]
    writer, reader = initiator, responder
    for payload, wire in messages[:3]:
        assert writer.write(constant(payload)) == wire
        assert reader.read(wire).payload == payload
        writer, reader = reader, writer
    for side in (initiator, responder):
        assert side.handshake_hash == bytes.fromhex(vector["handshake_hash"])
    initiator_sends, initiator_receives = initiator.split()
    responder_sends, responder_receives = responder.split()
    assert len(messages) == 6
    directions = itertools.cycle([(responder_sends, initiator_receives), (initiator_sends, responder_receives)])
    for (payload, wire), (sends, receives) in zip(messages[3:], directions, strict=False):
        assert sends.encrypt(payload) == wire
        assert receives.decrypt(wire) == payload


def engine(
    *,
    initiator: bool,
    pattern: str = "XXpsk0",
    prologue: bytes = b"prologue",
    psk: bytes | None = PSK,
    static: DhKey | None = None,
    ephemeral: DhKey | None = None,
) -> HandshakeState:
    """One of our sides."""
    first = 1 if initiator else 2
    return HandshakeState(
        pattern,
        initiator=initiator,
        prologue=prologue,
        static=static or DhKey(secret(first)),
        ephemeral=ephemeral or DhKey(secret(first + 10)),
        psk=psk if "psk" in pattern else None,
    )


def oracle(*, initiator: bool, pattern: str = "XXpsk0") -> Oracle:
    """The library's side."""
    first = 1 if initiator else 2
    return Oracle(
        f"Noise_{pattern}_25519_ChaChaPoly_SHA256",
        initiator=initiator,
        prologue=b"prologue",
        static=secret(first),
        ephemeral=secret(first + 10),
        psk=PSK if "psk" in pattern else None,
    )


@pytest.mark.parametrize("pattern", PATTERNS)
def test_as_initiator_we_agree_with_the_library(pattern: str) -> None:
    ours, theirs = engine(initiator=True, pattern=pattern), oracle(initiator=False, pattern=pattern)
    assert theirs.read(ours.write(lambda _: b"one")) == b"one"
    assert ours.read(theirs.write(b"two")).payload == b"two"
    assert theirs.read(ours.write(lambda _: b"three")) == b"three"
    assert_transport_agrees(ours, theirs)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_as_responder_we_agree_with_the_library(pattern: str) -> None:
    ours, theirs = engine(initiator=False, pattern=pattern), oracle(initiator=True, pattern=pattern)
    assert ours.read(theirs.write(b"one")).payload == b"one"
    assert theirs.read(ours.write(lambda _: b"two")) == b"two"
    assert ours.read(theirs.write(b"three")).payload == b"three"
    assert_transport_agrees(ours, theirs)


def assert_transport_agrees(ours: HandshakeState, theirs: Oracle) -> None:
    """Hash, both directions, and both directions again after a rekey."""
    assert ours.handshake_hash == theirs.handshake_hash
    sending, receiving = ours.split()
    for _ in range(2):
        for size in (0, 1, 300, 65_519):
            assert theirs.open(sending.encrypt(bytes(size))) == bytes(size)
            assert receiving.decrypt(theirs.seal(bytes(size))) == bytes(size)
        sending.rekey()
        theirs.rekey_receiving()
        receiving.rekey()
        theirs.rekey_sending()


def test_writer_and_reader_see_the_same_hash_before_a_payload() -> None:
    initiator, responder = engine(initiator=True), engine(initiator=False)
    seen: list[bytes] = []

    def remember(bound_hash: bytes) -> bytes:
        seen.append(bound_hash)
        return b"payload"

    for writer, reader in ((initiator, responder), (responder, initiator), (initiator, responder)):
        assert reader.read(writer.write(remember)).bound_hash == seen[-1]
    assert len({*seen, initiator.handshake_hash}) == 4


def test_the_remote_static_key_is_known_once_it_has_been_read() -> None:
    initiator, responder = engine(initiator=True), engine(initiator=False)
    responder.read(initiator.write(lambda _: b""))
    assert (initiator.remote_static, responder.remote_static) == (b"", b"")
    initiator.read(responder.write(lambda _: b""))
    assert initiator.remote_static == DhKey(secret(2)).public
    responder.read(initiator.write(lambda _: b""))
    assert responder.remote_static == DhKey(secret(1)).public


def at(stage: Stage) -> HandshakeState:
    """A handshake state brought to that stage by allowed steps alone."""
    initiator, responder = engine(initiator=True), engine(initiator=False)
    if stage is Stage.FAILED:
        with pytest.raises(HandshakeError):
            responder.read(b"")
        return responder
    wire = b""
    for side, action in [
        (initiator, Action.WRITE),
        (responder, Action.READ),
        (responder, Action.WRITE),
        (initiator, Action.READ),
        (initiator, Action.WRITE),
        (responder, Action.READ),
        (responder, Action.SPLIT),
    ]:
        for candidate in (initiator, responder):
            if candidate.stage is stage:
                return candidate
        if action is Action.WRITE:
            wire = side.write(lambda _: b"")
        elif action is Action.READ:
            side.read(wire)
        else:
            side.split()
    assert responder.stage is stage
    return responder


def act(state: HandshakeState, action: Action) -> None:
    """Take that step with an input that is as good as any."""
    if action is Action.WRITE:
        state.write(lambda _: b"")
    elif action is Action.READ:
        state.read(bytes(200))
    else:
        state.split()


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("action", Action)
def test_a_step_outside_the_table_is_refused_for_good(stage: Stage, action: Action) -> None:
    if (stage, action) in TRANSITIONS:
        assert at(stage).stage is stage, "reachable; the steps themselves are tested above"
        return
    state = at(stage)
    fault = HandshakeError if action is Action.READ else LocalProtocolError
    with pytest.raises(fault, match=stage.value):
        act(state, action)
    assert state.stage is Stage.FAILED
    for later in Action:
        with pytest.raises((HandshakeError, LocalProtocolError)):
            act(state, later)


def test_every_message_step_of_the_table_leads_to_its_stage() -> None:
    initiator, responder = engine(initiator=True), engine(initiator=False)
    stages = {initiator.stage, responder.stage}
    for writer, reader in ((initiator, responder), (responder, initiator), (initiator, responder)):
        following = (TRANSITIONS[writer.stage, Action.WRITE], TRANSITIONS[reader.stage, Action.READ])
        reader.read(writer.write(lambda _: b""))
        assert (writer.stage, reader.stage) == following
        stages |= set(following)
    for side in (initiator, responder):
        side.split()
        stages.add(side.stage)
    assert stages == set(Stage) - {Stage.FAILED}


def test_a_state_that_failed_while_reading_never_continues() -> None:
    initiator, responder = engine(initiator=True), engine(initiator=False)
    opening = initiator.write(lambda _: b"")
    with pytest.raises(TagError):
        responder.read(opening[:-1] + b"\x00")
    with pytest.raises(HandshakeError):
        responder.read(opening)
    with pytest.raises(LocalProtocolError):
        responder.write(lambda _: b"")


def test_a_state_whose_payload_could_not_be_made_never_continues() -> None:
    state = engine(initiator=True)

    def fail(_bound_hash: bytes) -> bytes:
        raise ArithmeticError("the signer is gone")

    with pytest.raises(ArithmeticError):
        state.write(fail)
    assert state.stage is Stage.FAILED


def test_the_longest_message_that_noise_allows_is_read_and_a_longer_one_is_refused() -> None:
    """The first message of XX is in the clear: nothing but its length could be wrong with it."""
    longest = DhKey(secret(9)).public + bytes(MESSAGE_BYTES_MAX - 32)
    assert len(engine(initiator=False, pattern="XX").read(longest).payload) == MESSAGE_BYTES_MAX - 32
    with pytest.raises(HandshakeError) as refused:
        engine(initiator=False, pattern="XX").read(longest + b"\x00")
    assert refused.value.reason is Reason.HANDSHAKE_BAD_MESSAGE


def test_a_message_longer_than_noise_allows_is_not_written() -> None:
    longest = constant(bytes(MESSAGE_BYTES_MAX - 32))
    assert len(engine(initiator=True, pattern="XX").write(longest)) == MESSAGE_BYTES_MAX
    state = engine(initiator=True, pattern="XX")
    with pytest.raises(LocalProtocolError, match=str(MESSAGE_BYTES_MAX)):
        state.write(constant(bytes(MESSAGE_BYTES_MAX - 31)))
    assert state.stage is Stage.FAILED


def test_a_small_order_key_is_refused_when_it_meets_ours() -> None:
    responder = engine(initiator=False)
    responder.read(engine(initiator=True, ephemeral=PresentedKey(bytes(32))).write(lambda _: b""))
    with pytest.raises(HandshakeError) as refused:
        responder.write(lambda _: b"")
    assert refused.value.reason is Reason.HANDSHAKE_LOW_ORDER
    assert responder.stage is Stage.FAILED


@pytest.mark.parametrize("pattern", ["IK", "", "XXpsk1", "xx"])
def test_an_unknown_pattern_is_our_mistake(pattern: str) -> None:
    with pytest.raises(LocalProtocolError, match="no such pattern"):
        engine(initiator=True, pattern=pattern)


@pytest.mark.parametrize(
    ("pattern", "psk"), [("XX", PSK), ("XXpsk0", None), ("XXpsk3", PSK[:31]), ("XXpsk0", PSK + b"\x00")]
)
def test_a_secret_that_does_not_suit_the_pattern_is_our_mistake(pattern: str, psk: bytes | None) -> None:
    with pytest.raises(LocalProtocolError, match="psk"):
        HandshakeState(
            pattern,
            initiator=True,
            prologue=b"",
            static=DhKey(secret(1)),
            ephemeral=DhKey(secret(2)),
            psk=psk,
        )


def test_where_the_secret_stands_is_data() -> None:
    assert PATTERNS["XXpsk0"] == ((Token.PSK, *PATTERNS["XX"][0]), *PATTERNS["XX"][1:])
    assert PATTERNS["XXpsk3"] == (*PATTERNS["XX"][:2], (*PATTERNS["XX"][2], Token.PSK))


def test_a_nonce_advances_only_when_the_tag_fits() -> None:
    sending, receiving = CipherState(PSK), CipherState(PSK)
    body = sending.encrypt(b"text", b"associated")
    assert receiving.decrypt(body, b"something else") is None
    assert receiving.decrypt(body[:-1], b"associated") is None
    assert receiving.decrypt(b"", b"associated") is None
    assert receiving.nonce == 0
    assert receiving.decrypt(body, b"associated") == b"text"
    assert (sending.nonce, receiving.nonce) == (1, 1)


def test_the_last_nonce_is_never_used() -> None:
    sending, receiving = CipherState(PSK, NONCE_END - 1), CipherState(PSK, NONCE_END - 1)
    assert receiving.decrypt(sending.encrypt(b"the last")) == b"the last"
    for _ in range(2):
        with pytest.raises(LimitExceeded) as refused:
            sending.encrypt(b"one more")
        assert refused.value.reason is Reason.CHANNEL_EXHAUSTED
        with pytest.raises(LimitExceeded) as refused:
            receiving.decrypt(bytes(16))
        assert refused.value.reason is Reason.CHANNEL_EXHAUSTED
    assert (sending.nonce, receiving.nonce) == (NONCE_END, NONCE_END)


def test_without_a_key_bytes_pass_and_nothing_is_counted() -> None:
    state = CipherState()
    assert state.encrypt(b"clear", b"ad") == b"clear"
    assert state.decrypt(b"clear", b"ad") == b"clear"
    assert (state.nonce, state.has_key) == (0, False)
    with pytest.raises(LocalProtocolError):
        state.rekey()


def test_a_rekey_changes_the_key_and_keeps_the_nonce() -> None:
    old, new = CipherState(PSK), CipherState(PSK)
    old.encrypt(b"")
    new.encrypt(b"")
    new.rekey()
    assert (old.nonce, new.nonce) == (1, 1)
    assert old.encrypt(b"text") != new.encrypt(b"text")
