"""What every check works with: links to the hub under test, fresh authors, and a modest pace.

Connections are opened at a modest pace, because a hub may limit handshakes per address; the links that may be up at
the same time are counted by the runner.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Final

from tests.conformance.kit.peers import Peer, Watch
from tests.conformance.kit.results import Failed, describe
from tests.conformance.reference.codec import Refused
from tests.conformance.reference.keystates import Identity
from tests.conformance.reference.meshes import open_mesh
from tests.conformance.reference.messages import Hello, Keys, Message, Peers, VectorMessage
from tests.conformance.reference.records import Addresses, Ignored, Number, Vector, decode_vector
from tests.conformance.reference.sessions import ProofMaker, Session, initiate
from tests.conformance.reference.stream import Closed, Late, Stream, dial
from tests.conformance.reference.weather import entropy, now, sleep

CONNECTS_AT_ONCE: Final = 4.0
ATTEMPTS: Final = 5
TOO_MANY_LINKS: Final = 6
QUIET_SECONDS: Final = 0.4
"""For how long nothing must come before we say that nothing comes."""


class Pace:
    """A token bucket that makes its callers wait."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._tokens = CONNECTS_AT_ONCE
        self._at = now()
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when one more connection is due."""
        with self._lock:
            at = now()
            self._tokens = min(CONNECTS_AT_ONCE, self._tokens + (at - self._at) * self._per_second)
            self._at = at
            self._tokens -= 1
            pause = -self._tokens / self._per_second
        sleep(pause)


class Kit:
    """The hub under test and how to reach it.

    ``seconds`` is how long an answer may take, ``pace`` how many connections a second are opened, after a few at once.
    """

    def __init__(self, host: str, port: int, mesh_name: str, seconds: float, pace: float) -> None:
        self.host = host
        self.port = port
        self.mesh = open_mesh(mesh_name)
        self.seconds = seconds
        self.watch = Watch()
        self._pace = Pace(pace)
        self._known: dict[str, list[bytes]] = {}
        self._knowing = threading.Lock()

    def once(self, name: str, find: Callable[[], list[bytes]]) -> list[bytes]:
        """What ``find`` returned the first time it was called under this name."""
        with self._knowing:
            if name not in self._known:
                self._known[name] = find()
            return self._known[name]

    # --- authors and their vectors ------------------------------------------------------------------------------

    def identity(self, rotations: int = 0) -> Identity:
        """An author nobody has met, with keys for as many rotations still to come."""
        return Identity(self.mesh.mesh_id, [entropy(32) for _ in range(rotations + 2)])

    def signed(self, author: Identity, vector: Vector, age_ms: int = 0) -> VectorMessage:
        """``vector`` under the author's name and current key."""
        signed = replace(vector, author=author.author, rotation=author.rotation).signed(self.mesh.mesh_id)
        return VectorMessage(signed, author.sign(signed), age_ms)

    def vector(self, author: Identity, seq: int = 1, age_ms: int = 0) -> VectorMessage:
        """An ordinary vector."""
        return self.signed(author, Vector(author.author, seq=seq), age_ms)

    def forged(self, author: Identity, seq: int) -> VectorMessage:
        """A vector in the author's name that somebody else has signed."""
        honest = self.vector(author, seq)
        return VectorMessage(honest.signed, self.identity().sign(honest.signed), 0)

    def number(self, message: VectorMessage) -> tuple[bytes, Number]:
        """(author, number) of a vector that came; nobody's for one that cannot be read, which the watch has noted."""
        try:
            vector = decode_vector(message.signed, self.mesh.mesh_id)
        except (Refused, Ignored):
            return b"", (0, 0, 0)
        return vector.author, vector.number

    def of(self, author: Identity, peer: Peer, since: int = 0) -> list[int]:
        """The sequence numbers of this author's vectors that have come on a link, in order of arrival."""
        arrived = [arrival.message for arrival in peer.arrivals[since:]]
        numbers = [self.number(message) for message in arrived if isinstance(message, VectorMessage)]
        return [number[2] for who, number in numbers if who == author.author]

    def comes(self, peer: Peer, author: Identity, seq: int, within: float | None = None, since: int = 0) -> bool:
        """Whether that vector comes on a link."""
        return self.get(peer, author, seq, within, since) is not None

    def get(
        self, peer: Peer, author: Identity, seq: int, within: float | None = None, since: int = 0
    ) -> VectorMessage | None:
        """That vector as it comes on a link."""

        def fits(message: VectorMessage) -> bool:
            who, number = self.number(message)
            return who == author.author and number[2] == seq

        return peer.wait(VectorMessage, fits, within, since)

    def stays_out(self, peer: Peer, author: Identity, seq: int, why: str) -> None:
        """Raise :class:`Failed` if that vector comes on a link within a little while."""
        if self.comes(peer, author, seq, QUIET_SECONDS):
            raise Failed(why)

    # --- links --------------------------------------------------------------------------------------------------

    def stream(self) -> Stream:
        """A bare connection."""
        self._pace.wait()
        try:
            return dial(self.host, self.port, self.seconds)
        except OSError as fault:
            raise Failed(f"nobody answers at {self.host}:{self.port}: {fault}") from None

    def session(self, identity: Identity, proof: ProofMaker | None = None) -> Session:
        """One honest handshake, or one with another payload in message 3.

        Raises:
            Refused, Closed, Late: the hub did not go through with it.
        """
        stream = self.stream()
        try:
            return initiate(stream, self.mesh, identity, proof=proof)
        except (Refused, Closed, Late):
            stream.close()
            raise

    def greet(self, identity: Identity | None = None, hello: Message | None = None) -> Peer:
        """A link on which both HELLOs have passed; the caller leaves it. Patient with a hub that is full."""
        identity = identity or self.identity()
        for attempt in range(ATTEMPTS):
            try:
                peer = Peer(self.session(identity), identity, self.watch, self.seconds)
            except (Refused, Closed, Late) as fault:
                if attempt + 1 == ATTEMPTS:
                    raise Failed(f"no handshake: {describe(fault)}") from None
                sleep(0.3)
                continue
            peer.send(hello or Hello(1, None, "conformance"))
            if peer.wait(Hello, lambda _: True) is not None:
                return peer
            peer.leave()
            if peer.bye != TOO_MANY_LINKS:
                break
            sleep(0.5)
        raise Failed("the hub does not say HELLO")

    def late(self, identity: Identity) -> Peer:
        """A link that the hub may close at once; the caller leaves it."""
        try:
            return Peer(self.session(identity), identity, self.watch, self.seconds)
        except (Refused, Closed, Late) as fault:
            raise Failed(f"no handshake: {describe(fault)}") from None

    @contextmanager
    def link(self, identity: Identity | None = None) -> Iterator[Peer]:
        """One link for the length of a block."""
        peer = self.greet(identity)
        try:
            yield peer
        finally:
            peer.leave()

    @contextmanager
    def links(self, count: int) -> Iterator[list[Peer]]:
        """Several links, each as another author."""
        with ExitStack() as stack:
            yield [stack.enter_context(self.link()) for _ in range(count)]

    def introduce(self, peer: Peer, author: Identity, seq: int = 1) -> None:
        """Send an author's keys and a vector."""
        peer.send(Keys(author.key_state), self.vector(author, seq))

    def own_address(self) -> str:
        """Our address as the hub can reach it."""
        with socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((self.host, self.port))
            name: str = probe.getsockname()[0]
            return name

    def peers_message(self, lures: Sequence[tuple[Identity, tuple[str, int]]]) -> Peers:
        """Authors and where each of them listens, signed by themselves."""
        records: list[tuple[bytes, bytes, bytes]] = []
        for identity, address in lures:
            record = Addresses(identity.author, identity.rotation, 1, 1, (address,))
            signed = record.signed(self.mesh.mesh_id)
            records.append((identity.key_state, signed, identity.sign(signed)))
        return Peers(tuple(records))
