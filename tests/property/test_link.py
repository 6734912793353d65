"""Whatever reaches a link: it is the honest peer's next message, byte for byte, or it is refused and that was it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from protocol.crypto import DhKey
from protocol.errors import HandshakeError, RemoteProtocolError
from protocol.identity import invite_mesh, new_identity
from protocol.limits import HANDSHAKE_BYTES_MAX
from protocol.link import Channel, Handshake
from protocol.link.noise import CipherState
from tests.unit.link.peers import HONEST, STRANGER, Attacker, Proof, answer_to, closing_to, hub, reply_of
from tests.unit.link.refusing import HONEST_RUN

MESSAGES = (HONEST_RUN.opening, HONEST_RUN.answer, HONEST_RUN.closing)
KEY = st.binary(min_size=32, max_size=32)


@dataclass(frozen=True)
class Mutation:
    """One change of one place of a byte string."""

    kind: str
    place: int
    data: bytes

    def apply(self, body: bytes) -> bytes:
        """``body`` changed; places count from the front and wrap."""
        place = self.place % (len(body) + 1)
        if self.kind == "insert":
            return body[:place] + self.data + body[place:]
        if self.kind == "overwrite":
            return (body[:place] + self.data + body[place + len(self.data) :])[: len(body)]
        if self.kind == "delete":
            return body[:place] + body[place + len(self.data) :]
        if self.kind == "truncate":
            return body[:place]
        if self.kind == "repeat":
            return body[:place] + body
        flipped = bytes(byte ^ mask for byte, mask in zip(body[place:], self.data, strict=False))
        return body[:place] + flipped + body[place + len(flipped) :]


mutations = st.builds(
    Mutation,
    kind=st.sampled_from(["flip", "overwrite", "insert", "delete", "truncate", "repeat"]),
    place=st.integers(0, HANDSHAKE_BYTES_MAX),
    data=st.binary(min_size=1, max_size=40),
)


def awaiting(message: int) -> Handshake:
    """An honest hub with the usual keys that waits for this message."""
    victim = hub(initiator=message == 2).handshake
    if message == 2:
        victim.start()
    elif message == 3:
        reply_of(victim, HONEST_RUN.opening)
    return victim


def assert_refused_for_good(victim: Handshake, body: bytes) -> None:
    """Nothing but a HandshakeError, and the same reason for the honest messages that follow."""
    with pytest.raises(HandshakeError) as refused:
        victim.receive(body)
    for later in MESSAGES:
        with pytest.raises(HandshakeError) as again:
            victim.receive(later)
        assert again.value.reason is refused.value.reason


@settings(max_examples=400, deadline=None)
@given(message=st.integers(1, 3), mutation=mutations)
@example(message=1, mutation=Mutation("flip", 32, b"\x80"))  # the bit of an X25519 key that X25519 ignores
@example(message=2, mutation=Mutation("flip", 31, b"\x80"))
def test_a_mutated_message_is_refused(message: int, mutation: Mutation) -> None:
    honest = MESSAGES[message - 1]
    changed = mutation.apply(honest)
    assume(changed != honest)
    assert_refused_for_good(awaiting(message), changed)


@settings(max_examples=200, deadline=None)
@given(message=st.integers(1, 3), body=st.binary(max_size=HANDSHAKE_BYTES_MAX + 10))
def test_noise_from_the_wire_is_refused(message: int, body: bytes) -> None:
    assert_refused_for_good(awaiting(message), body)


@settings(max_examples=200, deadline=None)
@given(message=st.integers(1, 3), other=st.integers(1, 3), mutation=mutations)
def test_any_other_message_is_refused_even_mutated(message: int, other: int, mutation: Mutation) -> None:
    assume(message != other)
    assert_refused_for_good(awaiting(message), mutation.apply(MESSAGES[other - 1]))


def mutated(mutation: Mutation) -> Proof:
    """An honest proof changed before it is encrypted, so that only the proof's own checks can notice."""

    def make(role: bytes, bound_hash: bytes, static: bytes) -> bytes:
        honest = HONEST(role, bound_hash, static)
        changed = mutation.apply(honest)
        assume(changed != honest)
        return changed

    return make


@settings(max_examples=400, deadline=None)
@given(initiator=st.booleans(), mutation=mutations)
def test_a_mutated_proof_from_an_admitted_peer_is_refused(initiator: bool, mutation: Mutation) -> None:
    victim = hub(initiator=initiator).handshake
    build = answer_to if initiator else closing_to
    assert_refused_for_good(victim, build(victim, Attacker(initiator=not initiator), mutated(mutation)))


@settings(max_examples=200, deadline=None)
@given(initiator=st.booleans(), payload=st.binary(max_size=1_200))
def test_any_other_payload_from_an_admitted_peer_is_refused(initiator: bool, payload: bytes) -> None:
    victim = hub(initiator=initiator).handshake
    build = answer_to if initiator else closing_to
    body = build(victim, Attacker(initiator=not initiator), lambda *_: payload)
    assert_refused_for_good(victim, body)


@settings(max_examples=50, deadline=None)
@given(mesh=KEY, seeds=st.lists(KEY, min_size=4, max_size=4, unique=True), keys=st.lists(KEY, min_size=4, max_size=4))
def test_any_two_hubs_of_a_mesh_link_and_agree(mesh: bytes, seeds: list[bytes], keys: list[bytes]) -> None:
    of_mesh = invite_mesh(mesh)
    own = [DhKey(key) for key in keys]
    assume(len({key.public for key in own}) == 4)  # X25519 ignores five bits of a secret
    left = new_identity(of_mesh.mesh_id, seeds[0], seeds[1])
    right = new_identity(of_mesh.mesh_id, seeds[2], seeds[3])
    initiator = Handshake(initiator=True, mesh=of_mesh, identity=left, static=own[0], ephemeral=own[1])
    responder = Handshake(
        initiator=False, mesh=of_mesh, identity=right, static=own[2], ephemeral=own[3], expected=left.author
    )
    progress = initiator.receive(reply_of(responder, initiator.start()))
    assert progress.reply is not None
    assert progress.established is not None
    established = responder.receive(progress.reply).established
    assert established is not None
    assert (progress.established.peer, established.peer) == (right.author, left.author)
    assert progress.established.binding == established.binding


def ends(rekey_frames: int, nonce: int) -> tuple[Channel, Channel]:
    """Both ends of a link in the middle of its life."""
    forward, backward = bytes(32), bytes([1]) * 32
    return (
        Channel(CipherState(forward, nonce), CipherState(backward, nonce), rekey_frames=rekey_frames),
        Channel(CipherState(backward, nonce), CipherState(forward, nonce), rekey_frames=rekey_frames),
    )


@settings(max_examples=200, deadline=None)
@given(
    interval=st.integers(1, 9),
    nonce=st.integers(0, 2**63),
    frames=st.lists(st.tuples(st.booleans(), st.binary(max_size=64)), max_size=40),
)
def test_a_channel_carries_everything_both_ways_across_any_rekey(
    interval: int, nonce: int, frames: list[tuple[bool, bytes]]
) -> None:
    left, right = ends(interval, nonce)
    for leftwards, plaintext in frames:
        sender, receiver = (right, left) if leftwards else (left, right)
        assert receiver.open(sender.seal(plaintext)) == plaintext


@settings(max_examples=400, deadline=None)
@given(
    interval=st.integers(1, 6),
    plaintexts=st.lists(st.binary(max_size=32), min_size=1, max_size=12),
    deliveries=st.lists(st.tuples(st.integers(0, 11), st.none() | mutations), max_size=24),
)
def test_what_opens_is_a_prefix_of_what_was_sealed(
    interval: int, plaintexts: list[bytes], deliveries: list[tuple[int, Mutation | None]]
) -> None:
    """However frames are reordered, replayed, dropped and changed: in order, once, unchanged, then silence."""
    left, right = ends(interval, 0)
    sealed = [left.seal(plaintext) for plaintext in plaintexts]
    opened: list[bytes] = []
    broken = False
    for position, mutation in deliveries:
        frame = position % len(sealed)
        body = sealed[frame] if mutation is None else mutation.apply(sealed[frame])
        honest = not broken and len(opened) < len(sealed) and body == sealed[len(opened)]
        try:
            opened.append(right.open(body))
        except RemoteProtocolError:
            broken = True
            assert not honest
        else:
            assert honest
    assert opened == plaintexts[: len(opened)]


@settings(max_examples=200, deadline=None)
@given(
    interval=st.integers(1, 4),
    delivered=st.integers(0, 8),
    skipped=st.integers(1, 4),
)
def test_a_dropped_frame_ends_the_direction_also_across_a_rekey(interval: int, delivered: int, skipped: int) -> None:
    left, right = ends(interval, 0)
    for number in range(delivered):
        assert right.open(left.seal(b"%d" % number)) == b"%d" % number
    for _ in range(skipped):
        left.seal(b"lost")
    with pytest.raises(RemoteProtocolError):
        right.open(left.seal(b"after the gap"))


def test_the_attacker_of_these_properties_is_admitted_when_it_changes_nothing() -> None:
    for initiator in (True, False):
        victim = hub(initiator=initiator).handshake
        build = answer_to if initiator else closing_to
        established = victim.receive(build(victim, Attacker(initiator=not initiator))).established
        assert established is not None
        assert established.peer == STRANGER.author
