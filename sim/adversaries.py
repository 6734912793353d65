"""Hubs that do not keep the rules: each wraps an honest Node and changes what leaves it.

They hold their own keys and the mesh secret and nothing else; what they forge, they forge without the victim's key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from protocol.clock import Instant
from protocol.effects import Effect, Send
from protocol.ids import AuthorId, MeshId
from protocol.inputs import Input
from protocol.node import Node
from protocol.wire.messages import Beat, Digest, Message, Vector
from protocol.wire.records import decode_vector, encode_vector
from sim.host import Host, Machine

Rewrite = Callable[[Message], list[Message]]


class Rewriter:
    """Passes every message that leaves through ``rewrite``."""

    def __init__(self, inner: Machine, rewrite: Rewrite) -> None:
        self._inner = inner
        self._rewrite = rewrite

    def handle(self, input: Input, now: Instant) -> list[Effect]:
        """As the wrapped machine, but for what is sent; a frame of which nothing is left says BEAT."""
        effects: list[Effect] = []
        for effect in self._inner.handle(input, now):
            if isinstance(effect, Send):
                messages = tuple(new for message in effect.messages for new in self._rewrite(message))
                effect = replace(effect, messages=messages or (Beat(),))
            effects.append(effect)
        return effects


def forger(victims: Callable[[], list[AuthorId]], ahead: int = 1_000_000) -> Callable[[Node, Host], Machine]:
    """Relays the victims' vectors with a number ``ahead`` of the true one and a signature made up."""

    def wrap(node: Node, host: Host) -> Machine:
        def rewrite(message: Message) -> list[Message]:
            if not isinstance(message, Vector):
                return [message]
            record = decode_vector(host.mesh.mesh_id, message.signed)
            if record.author not in victims():
                return [message]
            return [_forged(host.mesh.mesh_id, message, ahead)]

        return Rewriter(node, rewrite)

    return wrap


def _forged(mesh_id: MeshId, message: Vector, ahead: int) -> Vector:
    record = decode_vector(mesh_id, message.signed)
    signed = encode_vector(mesh_id, replace(record, seq=record.seq + ahead))
    return Vector(signed, bytes(reversed(message.signature)), 0)


def boaster(ahead: int = 1_000_000) -> Callable[[Node, Host], Machine]:
    """Says in its digests that it holds far newer vectors than it does, and never sends any."""

    def rewrite(message: Message) -> list[Message]:
        if isinstance(message, Digest):
            return [Digest(tuple(replace(entry, seq=entry.seq + ahead) for entry in message.entries))]
        return [] if isinstance(message, Vector) else [message]

    return lambda node, _host: Rewriter(node, rewrite)


def mute() -> Callable[[Node, Host], Machine]:
    """Keeps its links alive and passes on nobody's vectors, not even its own."""

    def rewrite(message: Message) -> list[Message]:
        return [] if isinstance(message, Vector) else [message]

    return lambda node, _host: Rewriter(node, rewrite)
