"""A rehearsal's stranger: a process of our own that joins this hub under an identity made for the day and misbehaves.

It is a process, so that what it costs is not the hub's, and so that it ends with its standard input, however its hub
ends. What it says is refused by every hub: values that were there before, values of nobody, bytes that mean nothing.
Invariants: it speaks of no person, keeps nothing of what it hears, writes no file, dials the one address it was given
and says BYE when it goes; the mesh's secret reaches it through a pipe.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import trio

from meshnode.entropy import entropy
from meshnode.transport.greeting import Greeted, greet, send_all
from meshnode.transport.tcp import Tcp
from protocol.crypto import DhKey
from protocol.errors import CloseCode, RemoteProtocolError, TransportError
from protocol.identity import LocalIdentity, Mesh, new_identity
from protocol.ids import AUTHOR_BYTES, AuthorId, MeshId
from protocol.inputs import Address
from protocol.link.handshake import Handshake
from protocol.wire.block import make_block
from protocol.wire.framing import frame
from protocol.wire.messages import Beat, Bye, Hello, Message, Ping, Pong, Vector, decode_frame, encode_frame
from protocol.wire.records import COMMONS, VectorRecord, encode_vector
from protocol.wire.registry import AROUSAL

AGENT: Final = "meshnode rehearsal"
TURN_S: Final = 0.05
AT_ONCE: Final = 40
"""Messages each ``TURN_S``: 800 a second, where a hub has one of each author."""
KEPT: Final = 256
PAUSE_S: Final = 0.5
END_S: Final = 2.5
FAREWELL_S: Final = 1.5
REPORT_BYTES_MAX: Final = 4_096
SIGNATURE_BYTES: Final = 64
RUBBISH_BYTES: Final = 64
READ_BYTES: Final = 65_536
LEASE_MS: Final = 1_000


# --- in the hub -------------------------------------------------------------------------------------------------------


async def run_rogue(mesh: Mesh, listen: Address, conduct: str, told: dict[str, object]) -> None:
    """Run the stranger until cancelled, or it ends; then ``told["rogue"]`` is what it counted."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "meshnode.rogue"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches the hub, which then ends it
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        secret = {"mesh": mesh.mesh_id.hex(), "psk": mesh.psk.hex(), "admission": mesh.admission}
        order = secret | {"host": _loopback(listen[0]), "port": listen[1], "conduct": conduct}
        await process.stdin.send_all(json.dumps(order).encode() + b"\n")
        await process.wait()
    except trio.BrokenResourceError:
        pass  # it has ended already
    finally:
        with trio.CancelScope(shield=True):
            await process.stdin.aclose()
            with trio.move_on_after(END_S):
                told["rogue"] = _counted(await _all_of(process.stdout))
                await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()
            await process.stdout.aclose()


def _loopback(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - what a listener is bound to


async def _all_of(stream: trio.abc.ReceiveStream) -> bytes:
    out = b""
    while len(out) < REPORT_BYTES_MAX and (part := await stream.receive_some(REPORT_BYTES_MAX)):
        out += part
    return out


def _counted(said: bytes) -> dict[str, object]:
    try:
        counted = json.loads(said)
    except ValueError:
        return {}
    return counted if isinstance(counted, dict) else {}


# --- the process ------------------------------------------------------------------------------------------------------


class _Stranger:
    """Who joins; ``counts`` says how often, what it said, and how often it was thrown out."""

    def __init__(self, mesh: Mesh, address: Address, conduct: str) -> None:
        self._mesh = mesh
        self._address = address
        self._conduct = conduct
        self._identity: LocalIdentity = new_identity(mesh.mesh_id, entropy(32), entropy(32))
        self._heard: deque[Vector] = deque(maxlen=KEPT)
        self.counts = {"joined": 0, "said": 0, "thrown_out": 0, "left": 0}

    async def live(self) -> None:
        """Join again and again, until cancelled; then leave as a guest does, so that nobody looks for it."""
        try:
            while True:
                await self._try_visit(self._conduct)
                await trio.sleep(PAUSE_S)
        finally:
            if self.counts["joined"] > self.counts["left"]:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + FAREWELL_S):
                    await self._try_visit("farewell")

    async def _try_visit(self, conduct: str) -> None:
        try:
            await self._visit(conduct)
        except (TransportError, RemoteProtocolError):
            pass  # not let in, or thrown out

    async def _visit(self, conduct: str) -> None:
        sock = await Tcp().dial(self._address)
        with sock:
            handshake = Handshake(
                initiator=True,
                mesh=self._mesh,
                identity=self._identity,
                static=DhKey(entropy(32)),
                ephemeral=DhKey(entropy(32)),
            )
            greeted = await greet(sock, handshake, initiator=True, blocks=lambda _: False)
            self.counts["joined"] += 1
            visit = _Visit(sock, greeted, conduct, self._heard, self._mesh, self.counts)
            try:
                await visit.stay()
            finally:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + PAUSE_S):
                    await visit.leave()


class _Visit:
    """One link: it hears, stays alive, and misbehaves, until it is thrown out or cancelled."""

    def __init__(
        self,
        sock: socket.socket,
        greeted: Greeted,
        conduct: str,
        heard: deque[Vector],
        mesh: Mesh,
        counts: dict[str, int],
    ) -> None:
        self._sock = sock
        self._channel = greeted.established.channel
        self._reader = greeted.reader
        self._conduct = conduct
        self._heard = heard
        self._mesh = mesh
        self._counts = counts
        self._turn = trio.Lock()
        self._thrown_out = False

    async def stay(self) -> None:
        """Until it is thrown out."""
        await self._say(encode_frame((Hello(1, None, AGENT),)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._until_thrown_out, self._hear, nursery.cancel_scope)
            await self._until_thrown_out(self._misbehave, nursery.cancel_scope)
            nursery.cancel_scope.cancel()

    async def leave(self) -> None:
        """Say BYE, so that nobody looks for it."""
        if self._thrown_out:
            self._counts["thrown_out"] += 1
            return
        with contextlib.suppress(TransportError, OSError):
            await self._say(encode_frame((Bye(int(CloseCode.SHUTDOWN)),)))
            self._sock.shutdown(socket.SHUT_WR)
            self._counts["left"] += 1
            while await self._received():  # closing with unread bytes would reset the connection and lose the BYE
                pass

    async def _until_thrown_out(self, task: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
        try:
            await task()
        except (TransportError, RemoteProtocolError):
            self._thrown_out = True
            scope.cancel()

    async def _say(self, plaintext: bytes) -> None:
        async with self._turn:
            await send_all(self._sock, frame(self._channel.seal(plaintext)))

    async def _hear(self) -> None:
        while True:
            data = await self._received()
            if not data:
                raise TransportError("closed")
            for body in self._reader.feed(data):
                await self._answer(decode_frame(self._channel.open(body)))

    async def _received(self) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                return self._sock.recv(READ_BYTES)
            except BlockingIOError:
                continue
            except OSError as fault:
                raise TransportError(str(fault)) from fault

    async def _answer(self, messages: tuple[Message, ...]) -> None:
        for message in messages:
            if isinstance(message, Ping):
                await self._say(encode_frame((Pong(message.token),)))
            elif isinstance(message, Vector):
                self._heard.append(message)

    async def _misbehave(self) -> None:
        while self._conduct != "farewell":
            messages = self._worthless()
            if self._conduct == "garbage":
                await trio.sleep(PAUSE_S)
                await self._say(entropy(RUBBISH_BYTES))
                self._counts["said"] += 1
            else:
                await self._say(encode_frame((Beat(), *messages)))
                self._counts["said"] += len(messages)
            await trio.sleep(TURN_S)

    def _worthless(self) -> tuple[Message, ...]:
        """As much as is said at once: what was heard, again and as if it were new, or values of nobody."""
        if self._conduct == "replay":
            heard = [replace(vector, age_ms=0) for vector in self._heard]
            return tuple(heard[:AT_ONCE])
        return tuple(self._of_nobody() for _ in range(AT_ONCE)) if self._conduct == "flood" else ()

    def _of_nobody(self) -> Vector:
        block = make_block((AROUSAL,), [(None,)], (None,), dt_ms=1_000, quality=0.0, method=0)
        nobody = AuthorId(entropy(AUTHOR_BYTES))
        record = VectorRecord(nobody, 0, 1, 1, 0, COMMONS, 0, LEASE_MS, LEASE_MS, block)
        return Vector(encode_vector(self._mesh.mesh_id, record), bytes(SIGNATURE_BYTES), 0)


async def _main() -> None:
    """Take the order from standard input, live until that ends, and say what was counted."""
    order = json.loads(sys.stdin.buffer.readline())
    mesh = Mesh(MeshId(bytes.fromhex(order["mesh"])), bytes.fromhex(order["psk"]), order["admission"])
    stranger = _Stranger(mesh, (order["host"], order["port"]), order["conduct"])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stranger.live)
        async with trio.lowlevel.FdStream(os.dup(0)) as stdin:
            while await stdin.receive_some(1_024):
                pass
        nursery.cancel_scope.cancel()
    sys.stdout.write(json.dumps(stranger.counts) + "\n")


if __name__ == "__main__":
    trio.run(_main)
