"""One mesh, its authors and their signed vectors, all made of numbers, so that every run measures the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from protocol.clock import Instant
from protocol.crypto import DhKey, digest
from protocol.effects import Effect, Send
from protocol.identity import LocalIdentity, invite_mesh, new_identity
from protocol.ids import LinkId
from protocol.inputs import FrameReceived, LinkUp, LinkWritable
from protocol.link.handshake import Established, Handshake
from protocol.node import Node
from protocol.wire.block import make_block
from protocol.wire.messages import Hello, Vector, encode_frame
from protocol.wire.records import COMMONS, TERMS_MAX, VectorRecord, encode_vector
from protocol.wire.registry import AROUSAL

MESH = invite_mesh(digest(b"benchmarks"))


def secret(text: str) -> bytes:
    """32 bytes that differ for every text."""
    return digest(text.encode(), person=b"benchmarks")


@cache
def person(number: int) -> LocalIdentity:
    """An author of the mesh."""
    return new_identity(MESH.mesh_id, secret(f"key {number}"), secret(f"next {number}"))


@dataclass(frozen=True, slots=True)
class Style:
    """How an author's blocks look: ``k`` samples of arousal, ``dt_ms`` apart, a block every ``cadence_ms``."""

    k: int = 16
    dt_ms: int = 250
    cadence_ms: int = 1_000
    lease_ms: int = 15_000


def vector(who: LocalIdentity, seq: int, style: Style) -> Vector:
    """An author's signed vector, with values that change from one to the next."""
    rows: list[tuple[float | None, ...]] = [((seq * 37 + i * 11) % 200 / 100 - 1,) for i in range(style.k)]
    block = make_block((AROUSAL,), rows, (0.2,), dt_ms=style.dt_ms, quality=0.9, method=1)
    record = VectorRecord(who.author, 0, 1, seq, 0, COMMONS, TERMS_MAX, style.lease_ms, style.cadence_ms, block)
    signed = encode_vector(MESH.mesh_id, record)
    return Vector(signed, who.sign(signed), 0)


def handshakes(left: LocalIdentity, right: LocalIdentity, name: str) -> tuple[Handshake, Handshake]:
    """Both sides of a handshake that has not begun; ``name`` makes the ephemeral keys."""

    def side(who: LocalIdentity, *, initiator: bool) -> Handshake:
        role = "initiator" if initiator else "responder"
        return Handshake(
            initiator=initiator,
            mesh=MESH,
            identity=who,
            static=DhKey(secret(f"static {who.author.hex()}")),
            ephemeral=DhKey(secret(f"ephemeral {name} {role}")),
        )

    return side(left, initiator=True), side(right, initiator=False)


def shake(left: Handshake, right: Handshake) -> tuple[Established, Established]:
    """Run a handshake to its end in memory."""
    answer = right.receive(left.start()).reply
    assert answer is not None
    concluded = left.receive(answer)
    assert concluded.reply is not None
    final = right.receive(concluded.reply).established
    assert concluded.established is not None
    assert final is not None
    return concluded.established, final


def open_link(node: Node, link: LinkId, peer: LocalIdentity, now: Instant) -> None:
    """Tell ``node`` of an open link whose other end has said HELLO."""
    take(node, node.handle(LinkUp(link, peer.author, peer.key_state.encoded, initiator=False), now), now)
    hello = encode_frame((Hello(1, None, "benchmarks"),))
    take(node, node.handle(FrameReceived(link, hello), now), now)


def take(node: Node, effects: list[Effect], now: Instant) -> None:
    """Let everything that ``node`` sends leave at once."""
    for effect in effects:
        if isinstance(effect, Send):
            take(node, node.handle(LinkWritable(effect.link), now), now)
