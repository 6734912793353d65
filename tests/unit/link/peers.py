"""Two honest hubs, and attackers of every kind, for the tests of the link.

An attacker holds the mesh secret (unless a test takes it away) and follows Noise to the letter; what it can choose
freely is each key it presents and each payload. Nothing here is random: every key comes from a number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from protocol.crypto import DhKey, SigningKey
from protocol.identity import (
    KeyState,
    LocalIdentity,
    Mesh,
    invite_mesh,
    new_identity,
    next_key_digest,
    rotate,
)
from protocol.ids import AuthorId
from protocol.link import Established, Handshake
from protocol.link.noise import CipherState, HandshakeState, Received
from protocol.wire.codec import encode

MESH = invite_mesh(bytes(range(32)))
OTHER_MESH = invite_mesh(bytes(range(1, 33)))

DOMAIN = b"trio-mesh/1 link proof"
INITIATOR_ROLE = b"\x00"
RESPONDER_ROLE = b"\x01"


def secret(number: int) -> bytes:
    """32 bytes that are different for each number."""
    return number.to_bytes(32, "big")


INITIATOR = new_identity(MESH.mesh_id, secret(1), secret(2))
RESPONDER = new_identity(MESH.mesh_id, secret(3), secret(4))
STRANGER = new_identity(MESH.mesh_id, secret(5), secret(6))
STRANGER_KEY = SigningKey(secret(5))
ROTATED = rotate(MESH.mesh_id, STRANGER.key_state, secret(6), next_key_digest(SigningKey(secret(7)).public))

INITIATOR_STATIC = DhKey(secret(11))
RESPONDER_STATIC = DhKey(secret(12))
STRANGER_STATIC = DhKey(secret(13))
INITIATOR_EPHEMERAL = DhKey(secret(21))
RESPONDER_EPHEMERAL = DhKey(secret(22))
STRANGER_EPHEMERAL = DhKey(secret(23))
ANOTHER_EPHEMERAL = DhKey(secret(24))
FURTHER_EPHEMERAL = DhKey(secret(25))


@dataclass
class Hub:
    """One honest side, and every signature it has made: what it has not signed, nobody can have been shown."""

    handshake: Handshake
    signatures: list[bytes] = field(default_factory=list)


def hub(
    *,
    initiator: bool,
    mesh: Mesh = MESH,
    identity: LocalIdentity | None = None,
    static: DhKey | None = None,
    ephemeral: DhKey | None = None,
    expected: AuthorId | None = None,
) -> Hub:
    """An honest hub with the keys of its role, or the given ones."""
    who = identity or (INITIATOR if initiator else RESPONDER)
    signatures: list[bytes] = []

    def sign(message: bytes) -> bytes:
        signatures.append(message)
        return who.sign(message)

    handshake = Handshake(
        initiator=initiator,
        mesh=mesh,
        identity=LocalIdentity(who.key_state, sign),
        static=static or (INITIATOR_STATIC if initiator else RESPONDER_STATIC),
        ephemeral=ephemeral or (INITIATOR_EPHEMERAL if initiator else RESPONDER_EPHEMERAL),
        expected=expected,
    )
    return Hub(handshake, signatures)


def reply_of(handshake: Handshake, body: bytes) -> bytes:
    """The reply to a body that must have one."""
    reply = handshake.receive(body).reply
    assert reply is not None
    return reply


def link_of(handshake: Handshake, body: bytes) -> Established:
    """The link that a body must have established."""
    established = handshake.receive(body).established
    assert established is not None
    return established


@dataclass(frozen=True)
class Run:
    """An honest handshake from its first byte to its last."""

    opening: bytes
    answer: bytes
    closing: bytes
    at_initiator: Established
    at_responder: Established


def run(initiator: Handshake, responder: Handshake) -> Run:
    """Let two handshakes complete."""
    opening = initiator.start()
    first = responder.receive(opening)
    assert first.reply is not None
    assert first.established is None
    second = initiator.receive(first.reply)
    assert second.reply is not None
    assert second.established is not None
    third = responder.receive(second.reply)
    assert third.reply is None
    assert third.established is not None
    return Run(opening, first.reply, second.reply, second.established, third.established)


Proof = Callable[[bytes, bytes, bytes], bytes]
"""(role byte, transcript hash, static public key) -> payload."""


def to_sign(role: bytes, bound_hash: bytes, static: bytes) -> bytes:
    """The signed bytes of a proof, spelled out once more so that the tests do not trust the code."""
    return DOMAIN + role + bound_hash + static


def proof_by(identity: LocalIdentity, key_state: KeyState | bytes | None = None) -> Proof:
    """An honest proof by ``identity``, or the same signature beside another key state."""
    state = key_state if key_state is not None else identity.key_state
    encoded = state if isinstance(state, bytes) else state.encoded

    def make(role: bytes, bound_hash: bytes, static: bytes) -> bytes:
        return encode((encoded, identity.sign(to_sign(role, bound_hash, static))))

    return make


HONEST = proof_by(STRANGER)


class PresentedKey(DhKey):
    """Any 32 bytes in place of a public key; what the attacker computes with it is all zero."""

    __slots__ = ()

    def __init__(self, public: bytes) -> None:
        super().__init__(secret(99))
        self.public = public

    def exchange(self, public: bytes) -> bytes:
        """What a small-order key gives with any other."""
        return bytes(32)


class Attacker:
    """Speaks the handshake with chosen keys, secret, prologue and payloads."""

    def __init__(
        self,
        *,
        initiator: bool,
        pattern: str = "XXpsk0",
        prologue: bytes = b"trio-mesh\x01" + MESH.mesh_id,
        psk: bytes | None = MESH.psk,
        static: DhKey = STRANGER_STATIC,
        ephemeral: DhKey = STRANGER_EPHEMERAL,
    ) -> None:
        self._static = static
        self._role = INITIATOR_ROLE if initiator else RESPONDER_ROLE
        self.noise = HandshakeState(
            pattern, initiator=initiator, prologue=prologue, static=static, ephemeral=ephemeral, psk=psk
        )

    def opening(self, payload: bytes = b"", version: bytes = b"\x01") -> bytes:
        """Message 1."""
        return version + self.noise.write(lambda _bound_hash: payload)

    def read(self, body: bytes) -> Received:
        """Take a message of the victim."""
        return self.noise.read(body)

    def prove(self, proof: Proof = HONEST) -> bytes:
        """Message 2 or 3 with that proof."""
        return self.noise.write(lambda bound_hash: proof(self._role, bound_hash, self._static.public))

    def split(self) -> tuple[CipherState, CipherState]:
        """The attacker's transport ciphers."""
        return self.noise.split()


def answer_to(victim: Handshake, attacker: Attacker, proof: Proof = HONEST) -> bytes:
    """What ``attacker`` answers to the opening of ``victim``."""
    attacker.read(victim.start()[1:])
    return attacker.prove(proof)


def closing_to(victim: Handshake, attacker: Attacker, proof: Proof = HONEST) -> bytes:
    """How ``attacker`` closes a handshake it opened with ``victim``."""
    attacker.read(reply_of(victim, attacker.opening()))
    return attacker.prove(proof)
