"""Makes tests/conformance/vectors/noise_link.json: one whole link with every input, for other implementations.

``python -m tests.unit.link.make_vector > tests/conformance/vectors/noise_link.json`` after a deliberate change of the
wire; a test holds the file and the code together.
"""

from __future__ import annotations

import json
import sys

from protocol.crypto import SigningKey
from protocol.identity import LocalIdentity, next_key_digest
from protocol.link import Channel
from protocol.wire.codec import encode
from tests.unit.link.peers import (
    INITIATOR,
    MESH,
    OTHER_MESH,
    RESPONDER,
    Attacker,
    PresentedKey,
    Proof,
    answer_to,
    hub,
    reply_of,
    run,
    secret,
    to_sign,
)

Json = str | int | dict[str, "Json"] | list["Json"]

FRAMES = (0, 1, 65_535, 65_536, 65_537)
"""The first, and those around the first rekey."""


def side(identity: LocalIdentity, first: int, static: int, ephemeral: int) -> dict[str, Json]:
    """All inputs of one side."""
    return {
        "seed": secret(first).hex(),
        "next_digest": next_key_digest(SigningKey(secret(first + 1)).public).hex(),
        "author": identity.author.hex(),
        "key_state": identity.key_state.encoded.hex(),
        "static_secret": secret(static).hex(),
        "ephemeral_secret": secret(ephemeral).hex(),
    }


def transport(sender: str, channel: Channel) -> list[Json]:
    """Some frames of one direction; all others carry an empty plaintext."""
    rows: list[Json] = []
    for frame in range(FRAMES[-1] + 1):
        plaintext = b"frame %d" % frame if frame in FRAMES else b""
        body = channel.seal(plaintext)
        if frame in FRAMES:
            rows.append({"from": sender, "frame": frame, "plaintext": plaintext.hex(), "body": body.hex()})
    return rows


def signed_for_role(role: bytes, identity: LocalIdentity) -> Proof:
    """A proof that is right but for the role it was signed for."""

    def make(_true_role: bytes, bound_hash: bytes, static: bytes) -> bytes:
        return encode((identity.key_state.encoded, identity.sign(to_sign(role, bound_hash, static))))

    return make


def row(message: int, requirement: str, why: str, body: bytes, *after: bytes) -> Json:
    """One rejected body; ``after`` is what that side was sent before."""
    return {
        "message": message,
        "requirement": requirement,
        "why": why,
        "after": [earlier.hex() for earlier in after],
        "body": body.hex(),
    }


def rejected(opening: bytes) -> list[Json]:
    """Bodies that the side with the keys above must refuse, and the requirement that says so."""
    stranger = Attacker(initiator=True, psk=OTHER_MESH.psk)
    small = Attacker(initiator=True, ephemeral=PresentedKey(bytes(32)))
    liar = Attacker(initiator=True)
    wrong_answer = answer_to(
        hub(initiator=True).handshake, Attacker(initiator=False), signed_for_role(b"\x00", RESPONDER)
    )
    liars_opening = liar.opening()
    liar.read(reply_of(hub(initiator=False).handshake, liars_opening))
    wrong_closing = liar.prove(signed_for_role(b"\x01", INITIATOR))
    return [
        row(1, "R13", "version 2", b"\x02" + opening[1:]),
        row(1, "R14", "another mesh secret", stranger.opening()),
        row(1, "R14", "one bit of the tag changed", opening[:-1] + bytes([opening[-1] ^ 1])),
        row(1, "R3", "an ephemeral key of small order", small.opening()),
        row(2, "R15", "signed for the other role", wrong_answer),
        row(3, "R15", "signed for the other role", wrong_closing, liars_opening),
    ]


def document() -> dict[str, Json]:
    """The whole file."""
    done = run(hub(initiator=True).handshake, hub(initiator=False).handshake)
    return {
        "source": "made by tests/unit/link/make_vector.py",
        "licence": "Apache-2.0",
        "note": "docs/link.md. Keys and bodies in hex; bodies without their u16 length. Frames that are not listed "
        "carry an empty plaintext. Rejected bodies are for the side with the same keys in a new handshake.",
        "mesh": {"secret": bytes(range(32)).hex(), "mesh_id": MESH.mesh_id.hex(), "psk": MESH.psk.hex()},
        "initiator": side(INITIATOR, 1, 11, 21),
        "responder": side(RESPONDER, 3, 12, 22),
        "messages": [done.opening.hex(), done.answer.hex(), done.closing.hex()],
        "handshake_hash": done.at_initiator.binding.hex(),
        "transport": [
            *transport("initiator", done.at_initiator.channel),
            *transport("responder", done.at_responder.channel),
        ],
        "rejected": rejected(done.opening),
    }


if __name__ == "__main__":
    json.dump(document(), sys.stdout, indent=1)
    sys.stdout.write("\n")
