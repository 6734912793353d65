"""Messages that do not come from an honest holder of the mesh secret in this very session: all are refused.

Each case is one named row: what arrives, and why it is refused. Proofs that are wrong inside a well-formed message
are in test_refused_proofs.py.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from protocol.crypto import DhKey
from protocol.errors import HandshakeError, Reason
from protocol.identity import Mesh
from protocol.limits import HANDSHAKE_BYTES_MAX
from protocol.link import Handshake
from tests.unit.link.peers import (
    ANOTHER_EPHEMERAL,
    FURTHER_EPHEMERAL,
    INITIATOR,
    INITIATOR_EPHEMERAL,
    INITIATOR_STATIC,
    MESH,
    OTHER_MESH,
    RESPONDER_EPHEMERAL,
    RESPONDER_STATIC,
    STRANGER_EPHEMERAL,
    STRANGER_STATIC,
    Attacker,
    PresentedKey,
    answer_to,
    hub,
    reply_of,
    run,
)
from tests.unit.link.refusing import HONEST_RUN, assert_refuses
from tests.unit.link.weak_keys import x25519_small_order

BAD = Reason.HANDSHAKE_BAD_MESSAGE
SECRET = Reason.HANDSHAKE_WRONG_SECRET
VERSION = Reason.HANDSHAKE_BAD_VERSION
SELF = Reason.HANDSHAKE_SELF
LOW_ORDER = Reason.HANDSHAKE_LOW_ORDER

OPENING, ANSWER, CLOSING = HONEST_RUN.opening, HONEST_RUN.answer, HONEST_RUN.closing
EARLIER = run(
    hub(initiator=True, ephemeral=ANOTHER_EPHEMERAL).handshake,
    hub(initiator=False, ephemeral=FURTHER_EPHEMERAL).handshake,
)
"""Another session of the same two hubs, recorded by somebody who now replays it."""


GUESSED_MESH = Mesh(MESH.mesh_id, bytes(32), "invite")


def flipped(body: bytes, index: int) -> bytes:
    """``body`` with one bit of one byte changed."""
    changed = bytearray(body)
    changed[index] ^= 0x10
    return bytes(changed)


def opened(
    *,
    psk: bytes | None = MESH.psk,
    prologue: bytes = b"trio-mesh\x01" + MESH.mesh_id,
    pattern: str = "XXpsk0",
    ephemeral: DhKey = ANOTHER_EPHEMERAL,
    payload: bytes = b"",
    version: bytes = b"\x01",
) -> bytes:
    """Message 1 of an attacker."""
    attacker = Attacker(initiator=True, pattern=pattern, prologue=prologue, psk=psk, ephemeral=ephemeral)
    return attacker.opening(payload, version)


OPENINGS: dict[str, tuple[Reason, bytes]] = {
    "nothing at all": (BAD, b""),
    "a version and nothing else": (BAD, b"\x01"),
    "version zero": (VERSION, opened(version=b"\x00")),
    "version two": (VERSION, opened(version=b"\x02")),
    "version 255": (VERSION, opened(version=b"\xff")),
    "no version byte": (VERSION, opened(version=b"")),
    "a web browser": (VERSION, b"GET / HTTP/1.1\r\nHost: hub.local\r\n\r\n"),
    "a TLS client": (VERSION, b"\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03" + bytes(32)),
    "another mesh": (SECRET, opened(psk=OTHER_MESH.psk, prologue=b"trio-mesh\x01" + OTHER_MESH.mesh_id)),
    "another mesh secret": (SECRET, opened(psk=OTHER_MESH.psk)),
    "another mesh id": (SECRET, opened(prologue=b"trio-mesh\x01" + OTHER_MESH.mesh_id)),
    "an all-zero secret": (SECRET, opened(psk=bytes(32))),
    "a prologue of another version": (SECRET, opened(prologue=b"trio-mesh\x02" + MESH.mesh_id)),
    "an empty prologue": (SECRET, opened(prologue=b"")),
    "plain XX without a secret": (BAD, opened(pattern="XX", psk=None)),
    "plain XX padded to length": (SECRET, opened(pattern="XX", psk=None) + bytes(16)),
    "the secret only in message 3": (SECRET, opened(pattern="XXpsk3")),
    "a payload": (BAD, opened(payload=b"hello")),
    "a changed ephemeral key": (SECRET, flipped(OPENING, 1)),
    "a changed last byte of the ephemeral key": (SECRET, flipped(OPENING, 32)),
    "a changed tag": (SECRET, flipped(OPENING, 33)),
    "a changed last byte": (SECRET, flipped(OPENING, 48)),
    "a cut tag": (BAD, OPENING[:48]),
    "no tag": (BAD, OPENING[:33]),
    "a byte too many": (BAD, OPENING + b"\x00"),
    "itself twice": (BAD, OPENING + OPENING),
    "more than the bound": (BAD, OPENING + bytes(HANDSHAKE_BYTES_MAX + 1 - len(OPENING))),
    "as much as the bound": (BAD, OPENING + bytes(HANDSHAKE_BYTES_MAX - len(OPENING))),
    "a whole frame": (BAD, bytes([1]) * 65_535),
    "an answer (roles swapped)": (VERSION, ANSWER),
    "a closing (out of order)": (VERSION, CLOSING),
    "an answer behind a version byte": (BAD, b"\x01" + ANSWER),
    "our own ephemeral key": (SELF, opened(ephemeral=PresentedKey(RESPONDER_EPHEMERAL.public))),
}
OPENINGS |= {
    f"a small-order ephemeral key: {name}": (LOW_ORDER, opened(ephemeral=PresentedKey(key)))
    for name, key in x25519_small_order().items()
}


@pytest.mark.parametrize("case", OPENINGS)
def test_a_responder_refuses_as_message_1(case: str) -> None:
    reason, body = OPENINGS[case]
    victim = hub(initiator=False)
    assert_refuses(victim, body, reason)
    assert victim.signatures == []


def answered(*, static: DhKey = STRANGER_STATIC, ephemeral: DhKey = STRANGER_EPHEMERAL) -> Callable[[Handshake], bytes]:
    """Message 2 of an attacker with an honest proof and these keys."""
    return lambda victim: answer_to(victim, Attacker(initiator=False, static=static, ephemeral=ephemeral))


def blind_answer(victim: Handshake) -> bytes:
    """Message 2 by somebody without the mesh secret, who took the ephemeral key and guessed the rest."""
    presented = PresentedKey(victim.start()[1:33])
    guessing = Attacker(initiator=True, psk=bytes(32), ephemeral=presented)
    return reply_of(hub(initiator=False, mesh=GUESSED_MESH).handshake, guessing.opening())


def instead(body: bytes) -> Callable[[Handshake], bytes]:
    """The victim has opened; this arrives instead of the answer."""

    def build(victim: Handshake) -> bytes:
        victim.start()
        return body

    return build


STATIC_END = 32 + 32 + 16

ANSWERS: dict[str, tuple[Reason, Callable[[Handshake], bytes]]] = {
    "an answer before it has opened": (BAD, lambda _victim: ANSWER),
    "an opening before it has opened": (BAD, lambda _victim: OPENING),
    "nothing at all": (BAD, instead(b"")),
    "one byte": (BAD, instead(b"\x01")),
    "its own opening reflected": (BAD, instead(OPENING)),
    "its own opening without the version": (SELF, instead(OPENING[1:])),
    "an opening by another (both dialled)": (BAD, instead(EARLIER.opening)),
    "a closing (out of order)": (BAD, instead(CLOSING)),
    "the answer of an earlier session": (BAD, instead(EARLIER.answer)),
    "a changed ephemeral key": (BAD, instead(flipped(ANSWER, 0))),
    "a changed static key": (BAD, instead(flipped(ANSWER, 32))),
    "a changed tag of the static key": (BAD, instead(flipped(ANSWER, STATIC_END - 1))),
    "a changed proof": (BAD, instead(flipped(ANSWER, STATIC_END))),
    "a changed signature": (BAD, instead(flipped(ANSWER, len(ANSWER) - 17))),
    "a changed tag of the proof": (BAD, instead(flipped(ANSWER, len(ANSWER) - 1))),
    "an ephemeral key alone": (BAD, instead(ANSWER[:32])),
    "a static key without its tag": (BAD, instead(ANSWER[: STATIC_END - 16])),
    "no proof": (BAD, instead(ANSWER[:STATIC_END])),
    "a proof without its tag": (BAD, instead(ANSWER[:-16])),
    "a cut tag": (BAD, instead(ANSWER[:-1])),
    "a byte too many": (BAD, instead(ANSWER + b"\x00")),
    "a version byte before it": (BAD, instead(b"\x01" + ANSWER)),
    "more than the bound": (BAD, instead(ANSWER + bytes(HANDSHAKE_BYTES_MAX + 1 - len(ANSWER)))),
    "all zero": (LOW_ORDER, instead(bytes(len(ANSWER)))),
    "our own ephemeral key, then zeros": (SELF, instead(OPENING[1:33] + bytes(len(ANSWER) - 32))),
    "an answer made without the mesh secret": (BAD, blind_answer),
    "our own static key": (SELF, answered(static=PresentedKey(INITIATOR_STATIC.public))),
}
ANSWERS |= {
    f"a small-order ephemeral key: {name}": (LOW_ORDER, answered(ephemeral=PresentedKey(key)))
    for name, key in x25519_small_order().items()
}
ANSWERS |= {
    f"a small-order static key: {name}": (LOW_ORDER, answered(static=PresentedKey(key)))
    for name, key in x25519_small_order().items()
}


@pytest.mark.parametrize("case", ANSWERS)
def test_an_initiator_refuses_as_message_2(case: str) -> None:
    reason, build = ANSWERS[case]
    victim = hub(initiator=True)
    assert_refuses(victim, build(victim.handshake), reason)
    assert victim.signatures == []


def closed(presented: bytes) -> Callable[[Handshake], bytes]:
    """Message 3 of an attacker with an honest proof and this static key."""

    def build(victim: Handshake) -> bytes:
        static = PresentedKey(STRANGER_STATIC.public)
        attacker = Attacker(initiator=True, static=static)
        attacker.read(reply_of(victim, attacker.opening()))
        static.public = presented  # only now, or the attacker's own engine would see a reflection
        return attacker.prove()

    return build


def at_last(body: bytes) -> Callable[[Handshake], bytes]:
    """The victim has answered an honest opening; this arrives instead of the closing."""

    def build(victim: Handshake) -> bytes:
        reply_of(victim, OPENING)
        return body

    return build


def closing_of_another_session(victim: Handshake) -> bytes:
    """The victim answered a replayed opening; the replayer goes on with the closing it recorded then."""
    reply_of(victim, EARLIER.opening)
    return EARLIER.closing


CLOSINGS: dict[str, tuple[Reason, Callable[[Handshake], bytes]]] = {
    "nothing at all": (BAD, at_last(b"")),
    "the opening again": (BAD, at_last(OPENING)),
    "its own answer reflected": (BAD, at_last(ANSWER)),
    "the closing of an earlier session": (BAD, at_last(EARLIER.closing)),
    "an earlier session replayed from its opening": (BAD, closing_of_another_session),
    "a changed static key": (BAD, at_last(flipped(CLOSING, 0))),
    "a changed tag of the static key": (BAD, at_last(flipped(CLOSING, 47))),
    "a changed proof": (BAD, at_last(flipped(CLOSING, 48))),
    "a changed signature": (BAD, at_last(flipped(CLOSING, len(CLOSING) - 17))),
    "a changed tag of the proof": (BAD, at_last(flipped(CLOSING, len(CLOSING) - 1))),
    "a static key without its tag": (BAD, at_last(CLOSING[:32])),
    "no proof": (BAD, at_last(CLOSING[:48])),
    "a proof without its tag": (BAD, at_last(CLOSING[:-16])),
    "a cut tag": (BAD, at_last(CLOSING[:-1])),
    "a byte too many": (BAD, at_last(CLOSING + b"\x00")),
    "a version byte before it": (BAD, at_last(b"\x01" + CLOSING)),
    "more than the bound": (BAD, at_last(CLOSING + bytes(HANDSHAKE_BYTES_MAX + 1 - len(CLOSING)))),
    "all zero": (BAD, at_last(bytes(len(CLOSING)))),
    "application bytes before the closing": (BAD, at_last(HONEST_RUN.at_initiator.channel.seal(b"hello"))),
    "our own static key": (SELF, closed(RESPONDER_STATIC.public)),
}
CLOSINGS |= {
    f"a small-order static key: {name}": (LOW_ORDER, closed(key)) for name, key in x25519_small_order().items()
}


@pytest.mark.parametrize("case", CLOSINGS)
def test_a_responder_refuses_as_message_3(case: str) -> None:
    reason, build = CLOSINGS[case]
    victim = hub(initiator=False)
    body = build(victim.handshake)
    assert len(victim.signatures) == 1, "its answer, which nobody but the opener can read"
    assert_refuses(victim, body, reason)


@pytest.mark.parametrize("message", [1, 2, 3])
def test_a_message_cut_at_any_byte_is_refused(message: int) -> None:
    whole = (OPENING, ANSWER, CLOSING)[message - 1]
    for cut in range(len(whole)):
        victim = hub(initiator=message == 2).handshake
        if message == 2:
            victim.start()
        elif message == 3:
            reply_of(victim, OPENING)
        with pytest.raises(HandshakeError) as refused:
            victim.receive(whole[:cut])
        assert refused.value.reason is BAD, f"cut to {cut} bytes"


@pytest.mark.parametrize("message", [1, 2, 3])
def test_the_bound_is_checked_before_anything_is_computed(message: int) -> None:
    """A first byte that is no version, and a key of small order, would otherwise be what is found."""
    victim = hub(initiator=message == 2).handshake
    if message == 2:
        victim.start()
    elif message == 3:
        reply_of(victim, OPENING)
    with pytest.raises(HandshakeError, match=f"{HANDSHAKE_BYTES_MAX + 1} bytes") as refused:
        victim.receive(bytes(HANDSHAKE_BYTES_MAX + 1))
    assert refused.value.reason is BAD


def test_a_hub_that_dials_its_own_address_notices_at_message_2() -> None:
    dialling = hub(initiator=True)
    listening = hub(initiator=False, identity=INITIATOR, static=INITIATOR_STATIC, ephemeral=ANOTHER_EPHEMERAL)
    answer = reply_of(listening.handshake, dialling.handshake.start())
    assert_refuses(dialling, answer, SELF)
    assert dialling.signatures == []


def test_a_responder_that_draws_the_ephemeral_key_of_its_peer_refuses() -> None:
    """A broken random source in two hubs: the keys would be known to both, and perhaps to everybody."""
    victim = hub(initiator=False, ephemeral=INITIATOR_EPHEMERAL)
    assert_refuses(victim, OPENING, SELF)
