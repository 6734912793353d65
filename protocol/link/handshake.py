"""Our handshake: ``Noise_XXpsk0_25519_ChaChaPoly_SHA256`` with an identity proof in messages 2 and 3.

Source: The Noise Protocol Framework, revision 34, by way of :mod:`protocol.link.noise`; docs/protocol.md,
section 4.1, and docs/link.md. Our additions: a version byte before message 1; the mesh id in the prologue and
the mesh secret as psk, so that a stranger gets no answer at all; a proof that binds the author to the session
by signing the transcript, the role and the static key. Invariants: every check of a peer precedes every
result, so a refused handshake has yielded nothing; the initiator checks the responder before it shows itself;
whatever a peer sends, ``receive`` returns or raises :class:`~protocol.errors.HandshakeError`, and after that
only that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.crypto import KEY_BYTES, SIGNATURE_BYTES, TAG_BYTES, DhKey, verify
from protocol.errors import DecodeError, HandshakeError, LocalProtocolError, Reason
from protocol.identity import KeyState, KeyStateError, LocalIdentity, Mesh, decode_key_state
from protocol.ids import AuthorId
from protocol.limits import HANDSHAKE_BYTES_MAX, KEY_STATE_BYTES_MAX
from protocol.link.channel import Channel
from protocol.link.noise import HandshakeState, PayloadMaker, Received, Stage, TagError
from protocol.wire import fields
from protocol.wire.codec import decode, encode

LINK_VERSION: Final = 1
PATTERN: Final = "XXpsk0"
PROLOGUE: Final = b"trio-mesh" + bytes([LINK_VERSION])
"""Followed by the 16 bytes of the mesh id."""
PROOF_DOMAIN: Final = b"trio-mesh/1 link proof"
INITIATOR_ROLE: Final = b"\x00"
RESPONDER_ROLE: Final = b"\x01"
OPENING_BYTES: Final = 1 + KEY_BYTES + TAG_BYTES
"""Message 1 in full: version byte, ephemeral key, and the tag of the empty payload."""

_PROOF_BYTES_MAX: Final = 1 + 3 + KEY_STATE_BYTES_MAX + 2 + SIGNATURE_BYTES
_ANSWER_BYTES_MAX: Final = KEY_BYTES + KEY_BYTES + TAG_BYTES + _PROOF_BYTES_MAX + TAG_BYTES
assert OPENING_BYTES < _ANSWER_BYTES_MAX <= HANDSHAKE_BYTES_MAX, "the largest honest message fits"


@dataclass(frozen=True, slots=True)
class Established:
    """An authenticated link: who is there, and the channel to them.

    ``binding`` is the 32-byte hash of the whole handshake, equal at both ends and unique to this link.
    """

    peer: AuthorId
    key_state: KeyState
    channel: Channel
    binding: bytes
    initiator: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """What one received message led to: a body to send, an established link, or (initiator) both, in that order."""

    reply: bytes | None
    established: Established | None


class Handshake:
    """One side of one handshake; bodies go in and out without their u16 length.

    ``static`` lives as long as the hub runs, ``ephemeral`` must be fresh for each handshake. ``expected`` is the
    author that must be at the other end, if one is expected.
    """

    __slots__ = ("_expected", "_identity", "_initiator", "_mesh", "_noise", "_refused", "_static")

    def __init__(
        self,
        *,
        initiator: bool,
        mesh: Mesh,
        identity: LocalIdentity,
        static: DhKey,
        ephemeral: DhKey,
        expected: AuthorId | None = None,
    ) -> None:
        self._initiator = initiator
        self._mesh = mesh
        self._identity = identity
        self._static = static
        self._expected = expected
        self._refused: Reason | None = None
        self._noise = HandshakeState(
            PATTERN,
            initiator=initiator,
            prologue=PROLOGUE + mesh.mesh_id,
            static=static,
            ephemeral=ephemeral,
            psk=mesh.psk,
        )

    def start(self) -> bytes:
        """The initiator's first body.

        Raises:
            LocalProtocolError: we are the responder, have started before, or were refused.
        """
        if self._refused is not None:
            raise LocalProtocolError("a handshake that was refused is not started")
        return bytes([LINK_VERSION]) + self._noise.write(_no_payload)

    def receive(self, body: bytes) -> Progress:
        """Take the peer's next body.

        Raises:
            HandshakeError: the peer was refused; nothing is to be sent, and every later call raises the same reason.
        """
        if self._refused is not None:
            raise HandshakeError(self._refused, "the handshake is over")
        try:
            return self._advance(body)
        except HandshakeError as fault:
            self._refused = fault.reason
            raise

    def _advance(self, body: bytes) -> Progress:
        if not 0 < len(body) <= HANDSHAKE_BYTES_MAX:
            raise _bad_message(f"{len(body)} bytes, not 1..{HANDSHAKE_BYTES_MAX}")
        match self._noise.stage:
            case Stage.RESPONDER_READS_1:
                return self._answer_opening(body)
            case Stage.INITIATOR_READS_2:
                return self._conclude(self._noise.read(body))
            case Stage.RESPONDER_READS_3:
                return Progress(None, self._establish(self._check_proof(self._noise.read(body))))
            case stage:
                raise _bad_message(f"a message in stage '{stage.value}'")

    def _answer_opening(self, body: bytes) -> Progress:
        """Responder, message 1: silence unless the peer holds the mesh secret."""
        if body[0] != LINK_VERSION:
            raise HandshakeError(Reason.HANDSHAKE_BAD_VERSION, f"version {body[0]}, not {LINK_VERSION}")
        if len(body) != OPENING_BYTES:
            raise _bad_message(f"an opening of {len(body)} bytes, not {OPENING_BYTES}")
        try:
            self._noise.read(body[1:])
        except TagError as fault:
            raise HandshakeError(Reason.HANDSHAKE_WRONG_SECRET, "another mesh, or changed") from fault
        return Progress(self._noise.write(self._proof(RESPONDER_ROLE)), None)

    def _conclude(self, received: Received) -> Progress:
        """Initiator, message 2: only a responder that has passed every check is shown who we are."""
        peer = self._check_proof(received)
        reply = self._noise.write(self._proof(INITIATOR_ROLE))
        return Progress(reply, self._establish(peer))

    def _establish(self, peer: KeyState) -> Established:
        binding = self._noise.handshake_hash
        channel = Channel(*self._noise.split())
        return Established(peer.author, peer, channel, binding, self._initiator)

    def _proof(self, role: bytes) -> PayloadMaker:
        """Makes our proof once the transcript before it is known."""

        def make(bound_hash: bytes) -> bytes:
            signature = self._identity.sign(_to_sign(role, bound_hash, self._static.public))
            return encode((self._identity.key_state.encoded, signature))

        return make

    def _check_proof(self, received: Received) -> KeyState:
        """The key state of an authentic, admissible peer; :func:`decode_key_state` admits prime-order keys only."""
        encoded, signature = _decode_proof(received.payload)
        try:
            peer = decode_key_state(encoded, self._mesh.mesh_id)
        except KeyStateError as fault:
            raise HandshakeError(Reason.HANDSHAKE_BAD_IDENTITY, str(fault)) from fault
        role = RESPONDER_ROLE if self._initiator else INITIATOR_ROLE
        if not verify(peer.key, _to_sign(role, received.bound_hash, self._noise.remote_static), signature):
            raise HandshakeError(Reason.HANDSHAKE_BAD_IDENTITY, "the proof's signature")
        if peer.author == self._identity.author:
            # Not we ourselves: our own static key would have ended the handshake before.
            raise HandshakeError(Reason.HANDSHAKE_TWIN, "another hub that holds our keys")
        if self._expected is not None and peer.author != self._expected:
            raise HandshakeError(Reason.HANDSHAKE_WRONG_IDENTITY, "not the author that was dialled")
        return peer


def _to_sign(role: bytes, bound_hash: bytes, static: bytes) -> bytes:
    return PROOF_DOMAIN + role + bound_hash + static


def _decode_proof(payload: bytes) -> tuple[bytes, bytes]:
    """(key state, signature); canonical, because a proof has one encoding."""
    try:
        key_state, signature = fields.array(decode(payload), "proof", 2, 2)
        return (
            fields.binary(key_state, "key state", 1, KEY_STATE_BYTES_MAX),
            fields.binary(signature, "signature", SIGNATURE_BYTES, SIGNATURE_BYTES),
        )
    except DecodeError as fault:
        raise HandshakeError(Reason.HANDSHAKE_BAD_MESSAGE, str(fault)) from fault


def _no_payload(_bound_hash: bytes) -> bytes:
    return b""


def _bad_message(detail: str) -> HandshakeError:
    return HandshakeError(Reason.HANDSHAKE_BAD_MESSAGE, detail)
