"""Hubs and people that do not keep the rules: most wrap an honest Node and change what leaves it, the others act in
the world as people and weather do.

They hold their own keys and the mesh secret and nothing else; what they forge, they forge without the victim's key.
Hostile relays are :func:`forger`, :func:`boaster`, :func:`understater`, :func:`mute`; a cold boot is a crowd of
:func:`sybils` that is there before anybody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from protocol.clock import Duration, Instant
from protocol.crypto import digest
from protocol.effects import Effect, Send
from protocol.ids import AuthorId, MeshId
from protocol.inputs import Attest, FrameReceived, Input, MessagesReceived, UtcObserved
from protocol.limits import MESSAGES_PER_FRAME_MAX, SALT_BYTES
from protocol.node import Node
from protocol.rng import Rng
from protocol.wire.contents import Story, encode_story
from protocol.wire.events import (
    STORY,
    AuthorHeads,
    Event,
    EventFields,
    Fork,
    Payload,
    WantEvents,
    author_of,
    event_bytes,
)
from protocol.wire.messages import Beat, Bye, Digest, Gossip, Hello, Message, Ping, Vector, decode_frame
from protocol.wire.records import decode_vector, encode_vector
from sim.host import Host, Machine
from sim.world import World

Rewrite = Callable[[Message], list[Message]]
Wrap = Callable[[Node, Host], Machine]


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
        for message in _messages(input):
            if isinstance(message, Vector):
                self._heard[decode_vector(self._mesh_id, message.signed).author] = message
        return [self._spoiled(effect) for effect in self._node.handle(input, now)]

    def _spoiled(self, effect: Effect) -> Effect:
        if not isinstance(effect, Send) or isinstance(effect.messages[0], Hello | Bye):
            return effect
        forged = [_forged(self._mesh_id, self._heard[v], self._ahead) for v in self._victims() if v in self._heard]
        return replace(effect, messages=(*effect.messages, *forged))


def forger(victims: Callable[[], list[AuthorId]], ahead: int = 1_000_000) -> Wrap:
    """A :class:`Forger`; ``victims`` is asked at every frame, so that it can begin later."""
    return lambda node, host: Forger(node, host.mesh.mesh_id, victims, ahead)


def _forged(mesh_id: MeshId, message: Vector, ahead: int) -> Vector:
    record = decode_vector(mesh_id, message.signed)
    signed = encode_vector(mesh_id, replace(record, seq=record.seq + ahead))
    return Vector(signed, bytes(reversed(message.signature)), 0)


def boaster(ahead: int = 1_000_000) -> Wrap:
    """Says in its digests that it holds far newer vectors than it does, and never sends any."""

    def rewrite(message: Message) -> list[Message]:
        if isinstance(message, Digest):
            return [Digest(tuple(replace(entry, seq=entry.seq + ahead) for entry in message.entries))]
        return [] if isinstance(message, Vector) else [message]

    return lambda node, _host: Rewriter(node, rewrite)


def mute() -> Wrap:
    """Keeps its links alive and passes on nobody's vectors, not even its own."""

    def rewrite(message: Message) -> list[Message]:
        return [] if isinstance(message, Vector) else [message]

    return lambda node, _host: Rewriter(node, rewrite)


def understater() -> Wrap:
    """Says of everything that it passes on that it was made this moment."""

    def rewrite(message: Message) -> list[Message]:
        return [replace(message, age_ms=0)] if isinstance(message, Vector) else [message]

    return lambda node, _host: Rewriter(node, rewrite)


def dropper() -> Wrap:
    """Keeps its links alive, speaks for itself, and passes on nothing of anybody else: no vector, no event."""

    def make(node: Node, host: Host) -> Machine:
        def rewrite(message: Message) -> list[Message]:
            if isinstance(message, Vector):
                author: AuthorId | None = decode_vector(host.mesh.mesh_id, message.signed).author
            elif isinstance(message, Event | Fork):
                author = author_of(message)
            elif isinstance(message, Gossip):
                author = message.author
            else:
                author = host.author
            return [message] if author == host.author else []

        return Rewriter(node, rewrite)

    return make


def when(begun: Callable[[], bool], bad: Wrap) -> Wrap:
    """Honest until ``begun``, then as ``bad``: the covert flash of Vyzovitis et al. (2020), or on and off again."""

    def make(node: Node, host: Host) -> Machine:
        return _Turncoat(node, bad(node, host), begun)

    return make


class _Turncoat:
    """Two faces of one Node."""

    def __init__(self, honest: Machine, hostile: Machine, begun: Callable[[], bool]) -> None:
        self._honest = honest
        self._hostile = hostile
        self._begun = begun

    def handle(self, input: Input, now: Instant) -> list[Effect]:
        """As the face that it shows now."""
        return (self._hostile if self._begun() else self._honest).handle(input, now)


def on_off(clock: Callable[[], Instant], period_us: Duration, bad: Wrap) -> Wrap:
    """Honest for one period, hostile for the next, and so on."""
    return when(lambda: clock() // period_us % 2 == 1, bad)


def flooder(messages: int = 100) -> Wrap:
    """Adds questions to every frame, as many as one frame holds: each asks for an answer."""

    def make(node: Node, host: Host) -> Machine:
        ask = WantEvents((AuthorHeads(host.author, ()),))
        return Extender(node, lambda: [Ping(number) if number % 2 else ask for number in range(messages)])

    return make


def replayer(kept_max: int = 64) -> Wrap:
    """Says again, in every frame, the oldest vectors and events that it has heard."""

    def make(node: Node, _host: Host) -> Machine:
        heard: list[Message] = []

        def hear(message: Message) -> None:
            if isinstance(message, Vector | Event | Gossip) and len(heard) < kept_max:
                heard.append(message)

        return Extender(node, lambda: [replace(m, age_ms=0) if isinstance(m, Vector) else m for m in heard], hear)

    return make


class Extender:
    """Adds ``more()`` to every frame but those that begin or end a link; ``hear`` is told of what comes."""

    def __init__(
        self, node: Node, more: Callable[[], list[Message]], hear: Callable[[Message], None] | None = None
    ) -> None:
        self._node = node
        self._more = more
        self._hear = hear

    def handle(self, input: Input, now: Instant) -> list[Effect]:
        """As the wrapped Node, and more."""
        if self._hear is not None:
            for message in _messages(input):
                self._hear(message)
        return [self._extended(effect) for effect in self._node.handle(input, now)]

    def _extended(self, effect: Effect) -> Effect:
        if not isinstance(effect, Send) or isinstance(effect.messages[0], Hello | Bye):
            return effect
        room = MESSAGES_PER_FRAME_MAX - len(effect.messages)
        return replace(effect, messages=(*effect.messages, *self._more()[: max(0, room)]))


def _messages(input: Input) -> tuple[Message, ...]:
    if isinstance(input, FrameReceived):
        return decode_frame(input.frame)
    return input.messages if isinstance(input, MessagesReceived) else ()


def time_traveller(off_ms: int) -> Wrap:
    """Believes, and signs, a date that is wrong by so much."""
    return lambda node, _host: _Traveller(node, off_ms)


class _Traveller:
    def __init__(self, node: Node, off_ms: int) -> None:
        self._node = node
        self._off_ms = off_ms

    def handle(self, input: Input, now: Instant) -> list[Effect]:
        """As the wrapped Node on another day."""
        told = UtcObserved(input.utc_ms + self._off_ms, 0) if isinstance(input, UtcObserved) else input
        return self._node.handle(told, now)


def forker() -> Wrap:
    """Signs two first events of one incarnation, and shows one to every second of its links."""

    def make(node: Node, host: Host) -> Machine:
        branches: list[Message] = [branch(host, number) for number in range(2)]
        return _Forker(node, branches)

    return make


class _Forker:
    def __init__(self, node: Node, branches: list[Message]) -> None:
        self._node = node
        self._branches = branches

    def handle(self, input: Input, now: Instant) -> list[Effect]:
        """As the wrapped Node, with a branch in every frame."""
        effects = self._node.handle(input, now)
        return [
            replace(effect, messages=(*effect.messages, self._branches[effect.link % 2]))
            if isinstance(effect, Send) and not isinstance(effect.messages[0], Hello | Bye)
            else effect
            for effect in effects
        ]


def branch(host: Host, number: int) -> Event:
    """One of the first events that a hub has signed in the place of one."""
    payload = Payload(bytes([number]) * SALT_BYTES, encode_story(Story(f"branch {number}", "")))
    signed = event_bytes(
        host.mesh.mesh_id,
        EventFields(
            author=host.author,
            rotation=host.identity.key_state.rotation,
            incarnation=1,
            seq=1,
            prev=None,
            kind=STORY,
            payload_hash=payload.hash(),
            payload_size=len(payload.content),
        ),
    )
    return Event(signed, host.identity.sign(signed), payload)


# --- people ---------------------------------------------------------------------------------------------------------


def say(world: World, host: Host, about: Iterable[Host], strength: int) -> None:
    """The person of ``host`` says this of each: a bad-mouther 100 below 0, a liar whatever is not so."""
    for subject in about:
        if subject is not host:
            host.requests += 1
            seed = digest(f"{host.name} {host.requests} {world.seed}".encode())
            world.give(host, host.life, Attest(host.requests, subject.author, strength, seed))


def lie(world: World, host: Host, honest: Iterable[Host], friends: Iterable[Host]) -> None:
    """Speak against everybody who is honest, and for one's own kind."""
    say(world, host, honest, -100)
    say(world, host, friends, 100)


def sybils(world: World, count: int, *, name: str = "sybil", wrap: Wrap | None = None) -> list[Host]:
    """So many false names, each with a hub of its own, that hold one hand: see :func:`vouch_around`."""
    return [world.add(f"{name}{number}", person=False, wrap=wrap) for number in range(count)]


def vouch_around(world: World, false: list[Host]) -> None:
    """Every false name vouches for all others, as far as its hub knows them."""
    for host in false:
        say(world, host, false, 100)


def whitewash(world: World, host: Host, *, wrap: Wrap | None = None) -> Host:
    """A hub that has spoilt its name leaves, and the same person comes back under another."""
    world.crash(host)
    return world.add(f"{host.name} again", person=host.person is not None, wrap=wrap)


def eclipse(world: World, victim: Host, hostile: list[Host], honest: list[Host], share: float, rng: Rng) -> None:
    """What discovery tells ``victim`` is hostile in this share of all cases, and all hostile hubs dial it."""
    for other in hostile:
        world.discovery.introduce(other, victim)
    names = round(len(hostile) * (1 - share) / share)
    told = [*hostile, *honest[:names]]
    rng.shuffle(told)
    for about in told:
        world.discovery.introduce(victim, about)


class GlitchFarmer:
    """Breaks its own links every so often, so that others see a glitch with each of its misdeeds."""

    def __init__(self, world: World, host: Host, every_us: Duration) -> None:
        self.broken = 0
        self._world = world
        self._host = host
        world.every(every_us, self._break)

    def _break(self) -> None:
        for other in {end.peer.host.index: end.peer.host for end in self._host.ends.values()}.values():
            self._world.reset(self._host, other)
            self.broken += 1
