"""One handshake from end to end on a connection, as initiator or responder (docs/protocol.md, section 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from tests.conformance.reference.channel import Channel
from tests.conformance.reference.codec import Refused
from tests.conformance.reference.keystates import (
    INITIATOR_ROLE,
    RESPONDER_ROLE,
    Identity,
    KeyState,
    check_proof,
    make_proof,
)
from tests.conformance.reference.meshes import Mesh
from tests.conformance.reference.mutations import NONE, Mutation, Mutations
from tests.conformance.reference.noise import Initiator, Responder
from tests.conformance.reference.stream import FRAME_BYTES_MAX, HANDSHAKE_BYTES_MAX, Stream
from tests.conformance.reference.weather import entropy, now

HANDSHAKE_SECONDS: Final = 5.0
ProofMaker: TypeAlias = Callable[[bytes, bytes], bytes]
"""Handshake hash and own static public key to payload."""


@dataclass(frozen=True, slots=True)
class Session:
    """A link after its handshake."""

    stream: Stream
    channel: Channel
    peer: KeyState
    initiator: bool


def proof_of(identity: Identity, role: bytes) -> ProofMaker:
    """The payload an honest side sends."""
    return lambda bound_hash, static: make_proof(identity, role, bound_hash, static)


def initiate(
    stream: Stream,
    mesh: Mesh,
    identity: Identity,
    *,
    expected: bytes | None = None,
    proof: ProofMaker | None = None,
    mutations: Mutations = NONE,
) -> Session:
    """Make a link as the dialling side; ``expected`` is the author it must be, ``proof`` replaces the honest payload.

    Raises:
        Refused, Closed, Late: there is no link; nothing of message 3 was sent if the other's proof was wrong.
    """
    deadline = now() + HANDSHAKE_SECONDS
    side = Initiator(mesh, entropy(32), entropy(32))
    stream.send_frame(side.first())
    payload = side.second(stream.receive_frame(deadline, HANDSHAKE_BYTES_MAX))
    peer = check_proof(mesh.mesh_id, payload, RESPONDER_ROLE, side.bound_hash, side.remote_static, mutations)
    if expected not in (None, peer.author) and Mutation.UNEXPECTED_AUTHOR not in mutations:
        raise Refused("another author than the one dialled")
    if peer.author == identity.author:
        raise Refused("our own author")
    stream.send_frame(side.third(proof or proof_of(identity, INITIATOR_ROLE)))
    return Session(stream, side.channel(mutations), peer, True)


def respond(
    stream: Stream, mesh: Mesh, identity: Identity, *, proof: ProofMaker | None = None, mutations: Mutations = NONE
) -> Session:
    """Make a link as the accepting side.

    Raises:
        Refused, Closed, Late: there is no link; nothing was sent if message 1 was wrong.
    """
    patience = 3_600.0 if Mutation.PATIENT_HANDSHAKE in mutations else HANDSHAKE_SECONDS
    limit = FRAME_BYTES_MAX if Mutation.LONG_HANDSHAKE in mutations else HANDSHAKE_BYTES_MAX
    deadline = now() + patience
    side = Responder(mesh, entropy(32), entropy(32), mutations)
    side.first(stream.receive_frame(deadline, limit))
    stream.send_frame(side.second(proof or proof_of(identity, RESPONDER_ROLE)))
    payload = side.third(stream.receive_frame(deadline, limit))
    peer = check_proof(mesh.mesh_id, payload, INITIATOR_ROLE, side.bound_hash, side.remote_static, mutations)
    if peer.author == identity.author:
        raise Refused("our own author")
    return Session(stream, side.channel(mutations), peer, False)
