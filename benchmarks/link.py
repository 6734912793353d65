"""One link: what a handshake and a record through it cost at both ends together, over real TCP on loopback.

Both ends run in this process, so its CPU time is theirs. The classes are the daemon's own: ``Tcp``, ``greet`` and
``Link``. A record goes from a message at one end to a decoded message at the other: encode, seal, write, read, cut,
open, decode. Limits, in turns with ours: the bare cryptographic operations of a handshake, and bare AEAD plus blocking
socket calls for the same bytes. Two whole hubs in processes of their own are measured in :mod:`benchmarks.pair`.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Final

import nacl.bindings as sodium
import trio
import trio.testing
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from benchmarks import pair
from benchmarks.measure import Outcome, Plan, alternate
from benchmarks.people import MESH, Style, handshakes, person, secret, shake, vector
from meshnode.entropy import entropy
from meshnode.transport.greeting import Greeted, greet
from meshnode.transport.link import Link
from meshnode.transport.tcp import Tcp, tune
from protocol import Bar, LocalIdentity, Reason
from protocol.crypto import DhKey
from protocol.ids import AuthorId, LinkId
from protocol.inputs import Address, FrameReceived, Input, LinkWritable
from protocol.link.handshake import Handshake
from protocol.wire.framing import FrameReader
from protocol.wire.messages import Vector, decode_frame, encode_frame

HANDSHAKE_MS: Final = 2.5
RECORD_US: Final = 10.0
RECORD_BYTES: Final = 300
COALESCED: Final = 32
ANN, BEN = person(0), person(1)


def record() -> Vector:
    """A signed vector whose message has about 300 bytes."""
    k = 16
    while len(encode_frame((vector(ANN, 1, Style(k=k)),))) < RECORD_BYTES:
        k += 1
    return vector(ANN, 1, Style(k=k))


# --- handshake ------------------------------------------------------------------------------------------------------


def _fresh(who: LocalIdentity, static: DhKey, *, initiator: bool) -> Handshake:
    return Handshake(initiator=initiator, mesh=MESH, identity=who, static=static, ephemeral=DhKey(entropy(32)))


def _nobody(_peer: AuthorId) -> bool:
    return False


async def _handshakes(count: int) -> float:
    """CPU seconds of one dial, accept and handshake at both ends, the sockets' closing included."""
    statics = DhKey(secret("static ann")), DhKey(secret("static ben"))
    network = Tcp()
    done: list[Greeted] = []
    accepted = trio.Event()

    async def answer(sock: socket.socket) -> None:
        nonlocal accepted
        with sock:
            done.append(await greet(sock, _fresh(BEN, statics[1], initiator=False), initiator=False, blocks=_nobody))
        accepted.set()

    async with trio.open_nursery() as nursery:
        address: Address = await nursery.start(
            network.listen, "127.0.0.1", 0, lambda sock, _host: nursery.start_soon(answer, sock)
        )
        start = time.process_time()
        for _ in range(count):
            accepted = trio.Event()
            with await network.dial(address) as sock:
                done.append(await greet(sock, _fresh(ANN, statics[0], initiator=True), initiator=True, blocks=_nobody))
                await accepted.wait()
        spent = time.process_time() - start
        nursery.cancel_scope.cancel()
    if {greeted.established.peer for greeted in done} != {ANN.author, BEN.author} or len(done) != 2 * count:
        raise AssertionError(f"{len(done)} of {2 * count} sides were established")
    return spent / count


def _handshakes_in_memory(count: int) -> float:
    statics = DhKey(secret("static ann")), DhKey(secret("static ben"))
    start = time.process_time()
    for _ in range(count):
        shake(_fresh(ANN, statics[0], initiator=True), _fresh(BEN, statics[1], initiator=False))
    return (time.process_time() - start) / count


def _bare_handshake(count: int) -> float:
    """CPU seconds of what no XX handshake with two signed identities can do without: two X25519 key pairs, six
    exchanges, two Ed25519 signatures, and a proof and a key state verified at each end."""
    public, key = sodium.crypto_sign_seed_keypair(secret("bare"))
    signed = sodium.crypto_sign(b"x" * 96, key)
    other = X25519PrivateKey.generate().public_key()
    start = time.process_time()
    for _ in range(count):
        for _ in range(2):
            ephemeral = X25519PrivateKey.from_private_bytes(os.urandom(32))
            ephemeral.public_key().public_bytes_raw()
            for _ in range(3):
                ephemeral.exchange(other)
            sodium.crypto_sign(b"x" * 96, key)
            sodium.crypto_sign_open(signed, public)
            sodium.crypto_sign_open(signed, public)
    return (time.process_time() - start) / count


# --- records --------------------------------------------------------------------------------------------------------


class _Sink:
    """What a Link tells its driver, as far as this benchmark needs it: records are decoded and counted."""

    def __init__(self) -> None:
        self.records = 0
        self.faults: list[Reason] = []
        self.writable = trio.Event()

    def feed(self, *inputs: Input) -> None:
        """Take what the link says."""
        for given in inputs:
            if type(given) is FrameReceived:
                self.records += len(decode_frame(given.frame))
            elif type(given) is LinkWritable:
                self.writable.set()

    def count(self, reason: Reason) -> None:
        """Take a refusal: there must be none."""
        self.faults.append(reason)


async def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets, tuned as a hub's are."""
    network = Tcp()
    arrived: list[socket.socket] = []
    async with trio.open_nursery() as nursery:
        address: Address = await nursery.start(network.listen, "127.0.0.1", 0, lambda sock, _host: arrived.append(sock))
        dialled = await network.dial(address)
        while not arrived:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    return dialled, arrived[0]


async def _records(frames: int, together: int) -> float:
    """CPU seconds of one record at both ends, ``together`` in a frame; the reader runs after every frame."""
    left, right = await _tcp_pair()
    ours, theirs = shake(*handshakes(ANN, BEN, "records"))
    source, sink = _Sink(), _Sink()
    sender = Link(LinkId(1), BEN.author, left, ours.channel, FrameReader(), source, None)
    receiver = Link(LinkId(2), ANN.author, right, theirs.channel, FrameReader(), sink, None)
    group = (record(),) * together
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.run)
        nursery.start_soon(receiver.run)
        await trio.testing.wait_all_tasks_blocked()
        start = time.process_time()
        for _ in range(frames):
            source.writable = trio.Event()
            more = sender.send(group)
            if not (sender.flush() or more):
                await source.writable.wait()
            await trio.lowlevel.checkpoint()
        while sink.records < frames * together and not sink.faults:
            await trio.lowlevel.checkpoint()
        spent = time.process_time() - start
        nursery.cancel_scope.cancel()
    if sink.faults or sink.records != frames * together:
        raise AssertionError(f"{sink.records} of {frames * together} records arrived: {sink.faults}")
    return spent / (frames * together)


def _bare_records(frames: int, together: int) -> float:
    """CPU seconds of a record's share of: seal, send, receive and open one frame, with blocking sockets."""
    cipher = ChaCha20Poly1305(secret("bare"))
    plaintext = encode_frame((record(),) * together)
    nonce = bytes(12)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        left = socket.create_connection(listener.getsockname())
        right, _ = listener.accept()
    with left, right:
        tune(left)
        left.setblocking(True)
        size = len(plaintext) + 16
        start = time.process_time()
        for _ in range(frames):
            left.sendall(cipher.encrypt(nonce, plaintext, b""))
            cipher.decrypt(nonce, right.recv(size, socket.MSG_WAITALL), b"")
        return (time.process_time() - start) / (frames * together)


def _in_trio(work: Callable[..., Awaitable[float]], *arguments: int) -> Callable[[], float]:
    return lambda: trio.run(work, *arguments)


# --- all ------------------------------------------------------------------------------------------------------------


def measure(plan: Plan) -> Outcome:
    """Handshake, records through a link, then two hubs."""
    shakes, frames, single = plan.count(60), plan.count(400), plan.count(2_000)
    turns = alternate(
        {
            "handshake": _in_trio(_handshakes, shakes),
            "handshake in memory": lambda: _handshakes_in_memory(shakes),
            "bare handshake": lambda: _bare_handshake(shakes),
            "record": _in_trio(_records, frames, COALESCED),
            "bare record": lambda: _bare_records(frames, COALESCED),
            "record alone": _in_trio(_records, single, 1),
            "bare record alone": lambda: _bare_records(single, 1),
        },
        plan.repeats,
    )
    hubs = pair.measure(plan)
    bars = [
        Bar("handshake over TCP, CPU of both ends", turns.median_us("handshake") / 1e3, HANDSHAKE_MS, "ms"),
        Bar("300-byte record through a link, 32 a frame, CPU of both ends", turns.median_us("record"), RECORD_US, "us"),
        *hubs.bars,
    ]
    figures = {
        "handshake in memory, ms": round(turns.median_us("handshake in memory") / 1e3, 3),
        "bare cryptography of a handshake, ms": round(turns.median_us("bare handshake") / 1e3, 3),
        "handshake over TCP against that": round(turns.ratio("handshake", "bare handshake"), 2),
        "record message, bytes": len(encode_frame((record(),))),
        "bare AEAD and sockets, 32 a frame, us": round(turns.median_us("bare record"), 2),
        "record, one a frame, us": round(turns.median_us("record alone"), 2),
        "bare AEAD and sockets, one a frame, us": round(turns.median_us("bare record alone"), 2),
        **hubs.figures,
    }
    return Outcome(bars, figures)
