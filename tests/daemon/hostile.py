"""A peer that speaks the link by the book until a test tells it not to; its bytes travel over real sockets.

It holds the mesh secret and a valid identity, because everything else ends in the handshake. Vectors and key states
are made here from plain values, so that any field can be wrong.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from meshnode.entropy import entropy
from protocol.crypto import DhKey, SigningKey, digest
from protocol.errors import RemoteProtocolError
from protocol.identity import LocalIdentity, Mesh, new_identity, next_key_digest, rotate
from protocol.ids import AuthorId
from protocol.inputs import Address
from protocol.limits import HANDSHAKE_BYTES_MAX
from protocol.link.channel import Channel
from protocol.link.handshake import Established, Handshake
from protocol.wire.block import make_block
from protocol.wire.codec import Value, encode
from protocol.wire.framing import FrameReader, frame
from protocol.wire.messages import Beat, Bye, Hello, Keys, Message, Ping, Pong, Vector, decode_frame, encode_frame
from protocol.wire.registry import AROUSAL

NOBODY = b"\x00" * 64


def an_identity(mesh: Mesh, *, rotations: int = 0) -> LocalIdentity:
    """A new author, rotated that many times."""
    seeds = [entropy(32) for _ in range(rotations + 2)]
    who = new_identity(mesh.mesh_id, seeds[0], seeds[1])
    for number in range(1, rotations + 1):
        following = next_key_digest(SigningKey(seeds[number + 1]).public)
        who = rotate(mesh.mesh_id, who.key_state, seeds[number], following)
    return who


def vector_fields(mesh: Mesh, author: AuthorId, *, boot: int = 1, seq: int = 1, arousal: float = 0.5) -> list[Value]:
    """The thirteen elements of a vector in order, for a test to change."""
    block = make_block((AROUSAL,), [(arousal,)], (0.1,), dt_ms=250, quality=1.0, method=0)
    return ["trio.vector", mesh.mesh_id, 1, author, 0, boot, seq, 0, 0, 7, 15_000, 1_000, block.to_value()]


def signed_by(who: LocalIdentity, fields: list[Value], age_ms: int = 0) -> Vector:
    """A VECTOR with a good signature over whatever these fields are."""
    signed = encode(tuple(fields))
    return Vector(signed, who.sign(signed), age_ms)


def a_vector(mesh: Mesh, who: LocalIdentity, **chosen: Any) -> Vector:
    """A good vector of that author; ``rotation`` follows the identity."""
    fields = vector_fields(mesh, who.author, **chosen)
    fields[4] = who.key_state.rotation
    return signed_by(who, fields)


def weak_key_state(mesh: Mesh, key: bytes) -> bytes:
    """A key state whose key nobody can own the secret of; its signature is nothing."""
    signed = encode(("trio.inception", mesh.mesh_id, 1, key, digest(b"next")))
    return encode(((signed, NOBODY),))


@dataclass
class Hostile:
    """One connection to a hub. ``heard`` are the messages that came; ``ended`` is set when the hub has closed."""

    stream: trio.SocketStream
    identity: LocalIdentity
    channel: Channel
    reader: FrameReader
    peer: AuthorId
    heard: list[Message] = field(default_factory=list)
    ended: trio.Event = field(default_factory=trio.Event)
    bye: int | None = None
    _turn: trio.Lock = field(default_factory=trio.Lock)

    async def say(self, *messages: Message) -> None:
        """Send one frame."""
        await self.say_plain(encode_frame(messages))

    async def say_plain(self, plaintext: bytes) -> None:
        """Send one well-sealed frame with that plaintext."""
        async with self._turn:
            await self._write(frame(self.channel.seal(plaintext)))

    async def say_many(self, plaintext: bytes, count: int) -> None:
        """Send the same plaintext in that many frames, at one go."""
        async with self._turn:
            await self._write(b"".join([frame(self.channel.seal(plaintext)) for _ in range(count)]))

    async def say_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        async with self._turn:
            await self._write(data)

    async def _write(self, data: bytes) -> None:
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.ended.set()  # the hub has closed already, which tests ask for by this event

    async def vouch(self, *authors: LocalIdentity) -> None:
        """Send the key states of others."""
        await self.say(*[Keys(author.key_state.encoded) for author in authors])

    async def listen(self) -> None:
        """Take what comes and answer pings until the hub closes; a task of the test's nursery."""
        try:
            while True:
                data = await self.stream.receive_some(65_536)
                if not data:
                    break
                for body in self.reader.feed(data):
                    await self._take(decode_frame(self.channel.open(body)))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self.ended.set()

    async def _take(self, messages: tuple[Message, ...]) -> None:
        for message in messages:
            self.heard.append(message)
            if isinstance(message, Ping):
                await self.say(Pong(message.token))
            elif isinstance(message, Bye):
                self.bye = message.code

    async def beat(self) -> None:
        """Stay alive; a task of the test's nursery."""
        while not self.ended.is_set():
            await self.say(Beat())
            await trio.sleep(0.5)

    def held(self, kind: type[Message]) -> list[Message]:
        """The messages of one kind that came."""
        return [message for message in self.heard if type(message) is kind]


async def shake(
    stream: trio.SocketStream,
    mesh: Mesh,
    identity: LocalIdentity,
    *,
    initiator: bool = True,
    expected: AuthorId | None = None,
) -> tuple[Established, FrameReader]:
    """Run an honest handshake.

    Raises:
        RemoteProtocolError: refused by the handshake, or the other end hung up.
    """
    static, ephemeral = DhKey(entropy(32)), DhKey(entropy(32))
    handshake = Handshake(
        initiator=initiator, mesh=mesh, identity=identity, static=static, ephemeral=ephemeral, expected=expected
    )
    reader = FrameReader(HANDSHAKE_BYTES_MAX)
    if initiator:
        await stream.send_all(frame(handshake.start()))
    while True:
        body = reader.pop()
        while body is None:
            data = await stream.receive_some(4_096)
            if not data:
                raise ConnectionError("hung up during the handshake")
            reader.push(data)
            body = reader.pop()
        progress = handshake.receive(body)
        if progress.reply is not None:
            await stream.send_all(frame(progress.reply))
        if progress.established is not None:
            reader.limit = 65_535
            return progress.established, reader


async def connect(
    address: Address, *, source: str = "127.0.0.1", receive_buffer: int | None = None
) -> trio.SocketStream:
    """A TCP connection from ``source`` and nothing more."""
    sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await sock.bind((source, 0))
        await sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


@asynccontextmanager
async def hostile(
    address: Address,
    mesh: Mesh,
    *,
    identity: LocalIdentity | None = None,
    hello: bool = True,
    alive: bool = True,
    source: str = "127.0.0.1",
    receive_buffer: int | None = None,
) -> AsyncIterator[Hostile]:
    """An established link with the hub at ``address``; with ``hello`` it is open, with ``alive`` it listens and
    beats by itself."""
    who = identity if identity is not None else an_identity(mesh)
    stream = await connect(address, source=source, receive_buffer=receive_buffer)
    async with stream:
        established, reader = await shake(stream, mesh, who)
        peer = Hostile(stream, who, established.channel, reader, established.peer)
        async with trio.open_nursery() as nursery:
            if alive:
                nursery.start_soon(peer.listen)
            if hello:
                await peer.say(Hello(1, None, "hostile"))
            if alive:
                nursery.start_soon(peer.beat)
            yield peer
            nursery.cancel_scope.cancel()


async def refused(stream: trio.SocketStream) -> bytes:
    """What the other end still sends until it closes; a reset counts as closing."""
    out = b""
    try:
        while data := await stream.receive_some(4_096):
            out += data
    except trio.BrokenResourceError:
        pass
    return out


__all__ = [
    "Hostile",
    "RemoteProtocolError",
    "a_vector",
    "an_identity",
    "connect",
    "hostile",
    "refused",
    "shake",
    "signed_by",
    "vector_fields",
    "weak_key_state",
]
