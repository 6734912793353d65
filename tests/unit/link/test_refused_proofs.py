"""Proofs that do not prove: the attacker is admitted, follows Noise to the letter, and lies about who it is.

Every case runs in both roles: as the answer to an initiator and as the closing to a responder.
"""

from __future__ import annotations

import msgpack
import pytest

from protocol.errors import Reason
from protocol.identity import new_identity
from protocol.ids import AuthorId
from protocol.limits import KEY_STATE_BYTES_MAX
from protocol.wire.codec import decode, encode
from tests.unit.link.peers import (
    DOMAIN,
    INITIATOR,
    INITIATOR_ROLE,
    MESH,
    OTHER_MESH,
    RESPONDER,
    RESPONDER_ROLE,
    RESPONDER_STATIC,
    ROTATED,
    STRANGER,
    STRANGER_KEY,
    Attacker,
    Hub,
    Proof,
    answer_to,
    closing_to,
    hub,
    proof_by,
    reply_of,
    secret,
    to_sign,
)
from tests.unit.link.refusing import assert_refuses
from tests.unit.link.weak_keys import (
    ed25519_small_order,
    malleated,
    mixed_order_key_state,
    small_order_key_state,
)

BAD = Reason.HANDSHAKE_BAD_MESSAGE
IDENTITY = Reason.HANDSHAKE_BAD_IDENTITY
STATE = STRANGER.key_state.encoded
ELSEWHERE = new_identity(OTHER_MESH.mesh_id, secret(5), secret(6))
BYSTANDER = new_identity(MESH.mesh_id, secret(61), secret(62))


def payload(data: bytes) -> Proof:
    """That payload whatever the transcript."""
    return lambda _role, _bound_hash, _static: data


def signed_over(
    *,
    domain: bytes = DOMAIN,
    role: bytes | None = None,
    bound_hash: bytes | None = None,
    static: bytes | None = None,
) -> Proof:
    """A good signature by the right key over something else."""

    def make(true_role: bytes, true_hash: bytes, true_static: bytes) -> bytes:
        message = domain + (true_role if role is None else role)
        message += true_hash if bound_hash is None else bound_hash
        message += true_static if static is None else static
        return encode((STATE, STRANGER.sign(message)))

    return make


def other_role(role: bytes, bound_hash: bytes, static: bytes) -> bytes:
    """Signed as if it stood at the other end."""
    swapped = INITIATOR_ROLE if role == RESPONDER_ROLE else RESPONDER_ROLE
    return encode((STATE, STRANGER.sign(to_sign(swapped, bound_hash, static))))


def with_signature(change: str) -> Proof:
    """The right signature, changed after it was made."""

    def make(role: bytes, bound_hash: bytes, static: bytes) -> bytes:
        signature = STRANGER.sign(to_sign(role, bound_hash, static))
        changed = {
            "first bit": bytes([signature[0] ^ 1]) + signature[1:],
            "last bit": signature[:-1] + bytes([signature[-1] ^ 1]),
            "malleated": malleated(signature),
            "zero": bytes(64),
            "short": signature[:-1],
            "long": signature + b"\x00",
            "empty": b"",
        }[change]
        return encode((STATE, changed))

    return make


def packed(change: str) -> Proof:
    """The right values in a wrong shape or another encoding."""

    def make(role: bytes, bound_hash: bytes, static: bytes) -> bytes:
        signature = STRANGER.sign(to_sign(role, bound_hash, static))
        pair = encode((STATE, signature))
        assert decode(pair) == (STATE, signature)
        wide_state = b"\xc5" + len(STATE).to_bytes(2, "big") + STATE
        wide_signature = b"\xc5\x00\x40" + signature
        return {
            "wide array": b"\xdc\x00\x02" + pair[1:],
            "wide key state": b"\x92" + wide_state + pair[-66:],
            "wide signature": pair[:-66] + wide_signature,
            "trailing": pair + b"\xc0",
            "cut": pair[:-1],
            "twice": pair + pair,
            "map": b"\x81" + pair[1:],
            "only one": encode((STATE,)),
            "three": encode((STATE, signature, None)),
            "swapped": encode((signature, STATE)),
            "nested": encode(((STATE, signature),)),
            "bare": STATE + signature,
            "decoded key state": encode((decode(STATE), signature)),
            "signature as string": b"\x92" + encode(STATE) + b"\xd9\x40" + b"a" * 64,
            "extension": b"\x92" + encode(STATE) + bytes(msgpack.packb(msgpack.ExtType(1, signature))),
        }[change]

    return make


def bomb() -> bytes:
    """Arrays in arrays, as many as fit."""
    return b"\x91" * 1_000 + b"\xc0"


def resigned(signed: bytes) -> bytes:
    """A key state of one record with that content, signed by the stranger."""
    return encode(((signed, STRANGER_KEY(signed)),))


def foreign_rotation() -> bytes:
    """The inception of a bystander followed by the stranger's rotation."""
    inception = decode(BYSTANDER.key_state.encoded)
    rotation = decode(ROTATED.key_state.encoded)
    assert type(inception) is tuple
    assert type(rotation) is tuple
    return encode((inception[0], rotation[1]))


PROOFS: dict[str, tuple[Reason, Proof]] = {
    "empty": (BAD, payload(b"")),
    "nil": (BAD, payload(b"\xc0")),
    "text": (BAD, payload(b"\xa5hello")),
    "a nesting bomb": (BAD, payload(bomb())),
    "an empty array": (BAD, payload(b"\x90")),
    "one element": (BAD, packed("only one")),
    "three elements": (BAD, packed("three")),
    "swapped elements": (BAD, packed("swapped")),
    "a nested pair": (BAD, packed("nested")),
    "no array around it": (BAD, packed("bare")),
    "a map": (BAD, packed("map")),
    "an extension type": (BAD, packed("extension")),
    "a key state that is not a byte string": (BAD, packed("decoded key state")),
    "a signature that is text": (BAD, packed("signature as string")),
    "a non-canonical array": (BAD, packed("wide array")),
    "a non-canonical key state": (BAD, packed("wide key state")),
    "a non-canonical signature": (BAD, packed("wide signature")),
    "a byte behind it": (BAD, packed("trailing")),
    "cut by a byte": (BAD, packed("cut")),
    "sent twice": (BAD, packed("twice")),
    "an empty signature": (BAD, with_signature("empty")),
    "a signature of 63 bytes": (BAD, with_signature("short")),
    "a signature of 65 bytes": (BAD, with_signature("long")),
    "an empty key state": (BAD, proof_by(STRANGER, b"")),
    "a key state over the bound": (BAD, proof_by(STRANGER, STATE + bytes(KEY_STATE_BYTES_MAX + 1 - len(STATE)))),
    "a key state of the bound, padded": (IDENTITY, proof_by(STRANGER, STATE.ljust(KEY_STATE_BYTES_MAX, b"\x00"))),
    "a key state of another mesh": (IDENTITY, proof_by(ELSEWHERE)),
    "a cut key state": (IDENTITY, proof_by(STRANGER, STATE[:-1])),
    "a changed key state": (IDENTITY, proof_by(STRANGER, STATE[:-1] + bytes([STATE[-1] ^ 1]))),
    "a key state that is no array": (IDENTITY, proof_by(STRANGER, b"\x01")),
    "a key state without records": (IDENTITY, proof_by(STRANGER, b"\x90")),
    "a record of another kind": (IDENTITY, proof_by(STRANGER, resigned(encode(("trio.vector", MESH.mesh_id, 1))))),
    "a mixed-order key": (IDENTITY, proof_by(STRANGER, mixed_order_key_state())),
    "a rotation of another author": (IDENTITY, proof_by(ROTATED, foreign_rotation())),
    "another author's key state": (IDENTITY, proof_by(STRANGER, BYSTANDER.key_state)),
    "another author's signature": (IDENTITY, proof_by(BYSTANDER, STRANGER.key_state)),
    "the key before the rotation": (IDENTITY, proof_by(STRANGER, ROTATED.key_state)),
    "the key after the rotation": (IDENTITY, proof_by(ROTATED, STRANGER.key_state)),
    "a zero signature": (IDENTITY, with_signature("zero")),
    "a changed R": (IDENTITY, with_signature("first bit")),
    "a changed S": (IDENTITY, with_signature("last bit")),
    "a signature with S + L": (IDENTITY, with_signature("malleated")),
    "signed for the other role": (IDENTITY, other_role),
    "signed for no role": (IDENTITY, signed_over(role=b"")),
    "signed for a third role": (IDENTITY, signed_over(role=b"\x02")),
    "signed over another transcript": (IDENTITY, signed_over(bound_hash=bytes(32))),
    "signed over no transcript": (IDENTITY, signed_over(bound_hash=b"")),
    "signed over another static key": (IDENTITY, signed_over(static=RESPONDER_STATIC.public)),
    "signed over no static key": (IDENTITY, signed_over(static=b"")),
    "signed under another domain": (IDENTITY, signed_over(domain=b"trio-mesh/2 link proof")),
    "signed under no domain": (IDENTITY, signed_over(domain=b"")),
}
PROOFS |= {
    f"a small-order key: {name}": (IDENTITY, proof_by(STRANGER, small_order_key_state(key)))
    for name, key in ed25519_small_order().items()
}


def proven(victim: Hub, initiator: bool, proof: Proof) -> bytes:
    """The message in which an attacker presents ``proof`` to the victim."""
    if initiator:
        return answer_to(victim.handshake, Attacker(initiator=False), proof)
    return closing_to(victim.handshake, Attacker(initiator=True), proof)


@pytest.mark.parametrize("initiator", [True, False], ids=["initiator", "responder"])
@pytest.mark.parametrize("case", PROOFS)
def test_a_proof_is_refused_by_an(initiator: bool, case: str) -> None:
    reason, proof = PROOFS[case]
    victim = hub(initiator=initiator)
    assert_refuses(victim, proven(victim, initiator, proof), reason)
    assert len(victim.signatures) == (0 if initiator else 1)


@pytest.mark.parametrize("initiator", [True, False], ids=["initiator", "responder"])
def test_another_than_the_expected_author_is_refused_by_an(initiator: bool) -> None:
    for expected in (BYSTANDER.author, AuthorId(bytes(32)), AuthorId(STRANGER.author[:-1])):
        victim = hub(initiator=initiator, expected=expected)
        body = proven(victim, initiator, proof_by(STRANGER))
        assert_refuses(victim, body, Reason.HANDSHAKE_WRONG_IDENTITY)
        assert len(victim.signatures) == (0 if initiator else 1)


@pytest.mark.parametrize("initiator", [True, False], ids=["initiator", "responder"])
@pytest.mark.parametrize("expected", [True, False], ids=["even if expected", "unasked"])
def test_our_own_author_is_refused_by_an(initiator: bool, expected: bool) -> None:
    """A clone of this hub, or this hub after a restart, with another static key."""
    own = INITIATOR if initiator else RESPONDER
    victim = hub(initiator=initiator, expected=own.author if expected else None)
    assert_refuses(victim, proven(victim, initiator, proof_by(own)), Reason.HANDSHAKE_TWIN)


@pytest.mark.parametrize("initiator", [True, False], ids=["initiator", "responder"])
def test_a_claim_to_be_us_that_is_not_signed_is_a_lie_and_not_ourselves(initiator: bool) -> None:
    own = INITIATOR if initiator else RESPONDER
    victim = hub(initiator=initiator)
    assert_refuses(victim, proven(victim, initiator, proof_by(STRANGER, own.key_state)), IDENTITY)


def proof_of(speaker: Hub, initiator: bool) -> bytes:
    """The payload in which an honest hub of that role proves itself to an attacker."""
    attacker = Attacker(initiator=not initiator)
    opening = answer_to(speaker.handshake, attacker) if initiator else attacker.opening()
    return attacker.read(reply_of(speaker.handshake, opening)).payload


@pytest.mark.parametrize("initiator", [True, False], ids=["initiator", "responder"])
def test_a_proof_relayed_by_an_admitted_man_in_the_middle_is_refused_by_an(initiator: bool) -> None:
    """The attacker links to the hub that the victim expects, and passes that hub's proof on."""
    true_peer = RESPONDER if initiator else INITIATOR
    proof = proof_of(hub(initiator=not initiator), not initiator)
    assert proof.startswith(encode((true_peer.key_state.encoded, bytes(64)))[:-64])
    victim = hub(initiator=initiator, expected=true_peer.author)
    assert_refuses(victim, proven(victim, initiator, payload(proof)), IDENTITY)
    assert len(victim.signatures) == (0 if initiator else 1)


def test_the_same_attacker_with_an_honest_proof_is_admitted_in_both_roles() -> None:
    """Otherwise the cases above would prove nothing."""
    for initiator in (True, False):
        victim = hub(initiator=initiator)
        established = victim.handshake.receive(proven(victim, initiator, proof_by(STRANGER))).established
        assert established is not None
        assert established.peer == STRANGER.author
