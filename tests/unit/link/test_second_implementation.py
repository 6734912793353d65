"""A hub written from docs/link.md alone, on other libraries, links with ours in both roles.

It uses noiseprotocol, nacl.signing and msgpack and spells every constant of the document out, so that a mistake made
twice in protocol/link would be seen here.
"""

from __future__ import annotations

import msgpack
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from nacl.signing import SigningKey, VerifyKey

from protocol.wire.codec import encode
from tests.unit.link.oracle import Oracle
from tests.unit.link.peers import (
    INITIATOR,
    INITIATOR_STATIC,
    MESH,
    RESPONDER,
    RESPONDER_STATIC,
    STRANGER,
    hub,
    link_of,
    reply_of,
    secret,
)

SIGNER = SigningKey(secret(5))
STATIC = secret(13)


def other_hub(*, initiator: bool) -> Oracle:
    """The stranger, in the other implementation."""
    return Oracle(
        "Noise_XXpsk0_25519_ChaChaPoly_SHA256",
        initiator=initiator,
        prologue=b"trio-mesh" + b"\x01" + MESH.mesh_id,
        static=STATIC,
        ephemeral=secret(23),
        psk=MESH.psk,
    )


def static_public() -> bytes:
    """The public half of the other hub's static key."""
    return X25519PrivateKey.from_private_bytes(STATIC).public_key().public_bytes_raw()


def proof(role: bytes, bound_hash: bytes) -> bytes:
    """[key state, signature] as the document has it."""
    message = b"trio-mesh/1 link proof" + role + bound_hash + static_public()
    return bytes(msgpack.packb([STRANGER.key_state.encoded, SIGNER.sign(message).signature]))


def assert_proves(payload: bytes, role: bytes, oracle: Oracle, our_static: bytes, key_state: bytes) -> None:
    """Our proof, checked the way the document says."""
    carried, signature = msgpack.unpackb(payload)
    assert carried == key_state
    inception = msgpack.unpackb(msgpack.unpackb(carried)[0][0])
    message = b"trio-mesh/1 link proof" + role + oracle.bound_hash + our_static
    assert VerifyKey(inception[3]).verify(message, signature) == message


def test_our_initiator_links_to_it() -> None:
    ours, theirs = hub(initiator=True).handshake, other_hub(initiator=False)
    opening = ours.start()
    assert opening[0] == 1
    assert theirs.read(opening[1:]) == b""
    answer = theirs.write(lambda bound_hash: proof(b"\x01", bound_hash))
    progress = ours.receive(answer)
    assert progress.established is not None
    assert progress.reply is not None
    payload = theirs.read(progress.reply)
    assert_proves(payload, b"\x00", theirs, INITIATOR_STATIC.public, INITIATOR.key_state.encoded)
    assert progress.established.peer == STRANGER.author
    assert progress.established.binding == theirs.handshake_hash
    assert theirs.open(progress.established.channel.seal(b"from us")) == b"from us"
    assert progress.established.channel.open(theirs.seal(b"to us")) == b"to us"


def test_it_links_to_our_responder() -> None:
    ours, theirs = hub(initiator=False).handshake, other_hub(initiator=True)
    payload = theirs.read(reply_of(ours, b"\x01" + theirs.write(b"")))
    assert_proves(payload, b"\x01", theirs, RESPONDER_STATIC.public, RESPONDER.key_state.encoded)
    established = link_of(ours, theirs.write(lambda bound_hash: proof(b"\x00", bound_hash)))
    assert established.peer == STRANGER.author
    assert established.binding == theirs.handshake_hash
    assert theirs.open(established.channel.seal(b"from us")) == b"from us"
    assert established.channel.open(theirs.seal(b"to us")) == b"to us"


def test_the_proof_has_one_encoding_and_the_other_library_agrees() -> None:
    payload = proof(b"\x00", bytes(32))
    carried, signature = msgpack.unpackb(payload)
    assert encode((carried, signature)) == payload
