"""The reference hub: threads and sockets around :class:`~.hub_core.Core`.

``python -m tests.conformance.reference.hub --listen HOST:PORT --mesh NAME [--publish] [--mutation NAME]`` runs one
until it is interrupted. It keeps events in memory, stores nothing and discovers nobody; it exists so that the kit can
be tried on something that conforms, and on something that does not.
"""

from __future__ import annotations

import argparse
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from tests.conformance.reference.codec import Refused
from tests.conformance.reference.hub_core import Core
from tests.conformance.reference.hub_state import Link
from tests.conformance.reference.keystates import Identity
from tests.conformance.reference.meshes import open_mesh
from tests.conformance.reference.messages import Bye, Clock, VectorMessage, encode_frame
from tests.conformance.reference.mutations import NONE, Mutation, Mutations
from tests.conformance.reference.sessions import Session, initiate, respond
from tests.conformance.reference.stream import Closed, Late, Stream, dial
from tests.conformance.reference.weather import entropy, now

TICK_SECONDS: Final = 0.02
CONNECTIONS_MAX: Final = 128
LINGER_SECONDS: Final = 0.3
MESSAGES_PER_FRAME: Final = 16
"""Far below 128: sixteen of the longest messages still fit into one frame."""


class Hub:
    """A hub on a TCP port; a context manager that leaves no thread and no socket behind."""

    def __init__(self, host: str, port: int, mesh_name: str, *, mutations: Mutations = NONE, publishes: bool = False):
        mesh = open_mesh(mesh_name)
        self.core = Core(mesh, Identity(mesh.mesh_id, [entropy(32), entropy(32)]), mutations=mutations)
        self.core.publishes = publishes
        self.mutations = mutations
        self._listener = socket.create_server((host, port), backlog=128)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self.core.listens = (self.address,)
        self._lock = threading.Lock()
        self._sessions: dict[int, Session] = {}
        self._streams: set[Stream] = set()
        self._loops: list[threading.Thread] = []
        self._connections: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._count = 0

    def __enter__(self) -> Hub:
        self._loops = [threading.Thread(target=target, daemon=True) for target in (self._accept, self._tick)]
        for thread in self._loops:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._loops:
            thread.join()
        with self._lock:
            talking = {session.stream for session in self._sessions.values()}
            for link in self.core.links.values():
                link.bye = 0
            self._flush(now())
            for stream in self._streams - talking:
                stream.abort()
        for thread in self._connections:
            thread.join()
        self._listener.close()

    def _connect(self, target: Callable[[], None]) -> None:
        """Run a connection in a thread of its own."""
        self._connections = [thread for thread in self._connections if thread.is_alive()]
        thread = threading.Thread(target=target, daemon=True)
        self._connections.append(thread)
        thread.start()

    def _accept(self) -> None:
        self._listener.settimeout(0.1)
        while not self._stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except TimeoutError:
                continue
            if len(self._streams) >= CONNECTIONS_MAX:
                sock.close()
                continue
            stream = Stream(sock)
            stream.skips_empty = Mutation.ZERO_LENGTH in self.mutations
            self._connect(partial(self._serve, stream, None))

    def _dial(self, host: str, port: int, author: bytes) -> None:
        try:
            stream = dial(host, port, 1.0)
        except OSError:
            return
        self._serve(stream, author)

    def _serve(self, stream: Stream, expected: bytes | None) -> None:
        """One connection from its first byte to its last."""
        with self._lock:
            self._streams.add(stream)
        try:
            session = self._handshake(stream, expected)
            self._talk(session)
        except (Refused, Closed, Late):
            pass
        finally:
            stream.finish()
            stream.close(linger=LINGER_SECONDS)
            with self._lock:
                self._streams.discard(stream)

    def _handshake(self, stream: Stream, expected: bytes | None) -> Session:
        if expected is None:
            return respond(stream, self.core.mesh, self.core.identity, mutations=self.mutations)
        return initiate(stream, self.core.mesh, self.core.identity, expected=expected, mutations=self.mutations)

    def _talk(self, session: Session) -> None:
        with self._lock:
            self._count += 1
            number = self._count
            self._sessions[number] = session
            self.core.up(number, session.peer, dialled=session.initiator, now=now())
            link = self.core.links[number]
            self._flush(now())
        try:
            while link.open and not self._stopping.is_set():
                self._hear(session, link)
        finally:
            with self._lock:
                self.core.down(link)
                self._sessions.pop(number, None)
                self._flush(now())

    def _hear(self, session: Session, link: Link) -> None:
        try:
            body = session.stream.receive_frame(now() + 0.1)
        except Late:
            return
        try:
            plaintext = session.channel.receiving.unseal(body)
        except Refused:
            if Mutation.TAMPERED_FRAMES not in self.mutations:
                raise
            return
        with self._lock:
            self.core.hear(link, plaintext, now())
            self.core.push_all(now())
            self._flush(now())

    def _tick(self) -> None:
        while not self._stopping.wait(TICK_SECONDS):
            with self._lock:
                self.core.tick(now())
                self._flush(now())
                dials, self.core.dials = self.core.dials, []
            for host, port, author in dials:
                self._connect(partial(self._dial, host, port, author))

    def _flush(self, at: float) -> None:
        """Send what waits; called with the lock held."""
        for link in list(self.core.links.values()):
            session = self._sessions.get(link.number)
            if session is None:
                continue
            messages, link.outbox = link.outbox, []
            if link.bye is not None:
                messages.append(Bye(link.bye))
            try:
                for start in range(0, len(messages), MESSAGES_PER_FRAME):
                    part = messages[start : start + MESSAGES_PER_FRAME]
                    first = next((n for n, message in enumerate(part) if isinstance(message, VectorMessage)), None)
                    if first is not None and Mutation.NO_CLOCK not in self.core.mutations:
                        part.insert(first, Clock(int((at - link.up_at) * 1_000)))  # R75; HELLO left as it came up
                    plaintext = encode_frame(part)
                    session.stream.send_frame(session.channel.sending.seal(plaintext))
                    link.said_at = at
            except Closed:
                link.bye = 0
            if link.bye is not None:
                del self._sessions[link.number]
                session.stream.finish()


def main() -> int:
    """Run one hub until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.reference.hub", description=__doc__)
    parser.add_argument("--listen", required=True, metavar="HOST:PORT")
    parser.add_argument("--mesh", required=True, metavar="NAME", help="name of an open mesh")
    parser.add_argument("--publish", action="store_true", help="send own vectors once a second")
    parser.add_argument("--mutation", choices=[mutation.name for mutation in Mutation], help="remove one check")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    mutations = frozenset({Mutation[options.mutation]}) if options.mutation else NONE
    with Hub(host.strip("[]"), int(port), options.mesh, mutations=mutations, publishes=options.publish) as hub:
        sys.stdout.write(f"listening on {hub.address[0]}:{hub.address[1]}\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
