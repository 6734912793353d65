"""Hubs that do not keep the rules: each wraps an honest Node and changes what leaves it.

They hold their own keys and the mesh secret and nothing else; what they forge, they forge without the victim's key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from protocol.clock import Instant
from protocol.effects import Effect, Send
from protocol.ids import AuthorId, MeshId
from protocol.inputs import FrameReceived, Input, MessagesReceived
from protocol.node import Node
from protocol.wire.messages import Beat, Bye, Digest, Hello, Message, Vector, decode_frame
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


class Forger:
    """Adds a forged vector of each victim it has heard of to every frame: a number ``ahead`` of the true one, an age
    of 0, and a signature made up."""

    def __init__(self, node: Node, mesh_id: MeshId, victims: Callable[[], list[AuthorId]], ahead: int) -> None:
        self._node = node
        self._mesh_id = mesh_id
        self._victims = victims
        self._ahead = ahead
        self._heard: dict[AuthorId, Vector] = {}

    def handle(self, input: Input, now: Instant) -> list[Effect]:
        """As the wrapped Node, with forgeries."""
        messages: tuple[Message, ...] = ()
        if isinstance(input, FrameReceived):
            messages = decode_frame(input.frame)
        elif isinstance(input, MessagesReceived):
            messages = input.messages
        for message in messages:
            if isinstance(message, Vector):
                self._heard[decode_vector(self._mesh_id, message.signed).author] = message
        return [self._spoiled(effect) for effect in self._node.handle(input, now)]

    def _spoiled(self, effect: Effect) -> Effect:
        if not isinstance(effect, Send) or isinstance(effect.messages[0], Hello | Bye):
            return effect
        forged = [_forged(self._mesh_id, self._heard[v], self._ahead) for v in self._victims() if v in self._heard]
        return replace(effect, messages=(*effect.messages, *forged))


def forger(victims: Callable[[], list[AuthorId]], ahead: int = 1_000_000) -> Callable[[Node, Host], Machine]:
    """A :class:`Forger`; ``victims`` is asked at every frame, so that it can begin later."""
    return lambda node, host: Forger(node, host.mesh.mesh_id, victims, ahead)


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
