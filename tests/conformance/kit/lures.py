"""Getting the hub under test to dial us: authors offered in PEERS, each with a listener of ours as its address.

Nothing obliges a hub to dial, so what needs this is not testable on a hub that does not.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from tests.conformance.kit.peers import Peer
from tests.conformance.kit.results import Failed, Untestable, describe
from tests.conformance.kit.workbench import Kit
from tests.conformance.reference.codec import Refused
from tests.conformance.reference.keystates import Identity
from tests.conformance.reference.messages import Hello
from tests.conformance.reference.sessions import ProofMaker, respond
from tests.conformance.reference.stream import Closed, Late, Stream
from tests.conformance.reference.weather import now

DIAL_SECONDS: Final = 6.0


class Lures:
    """Listeners, one for each author that was offered."""

    def __init__(self, kit: Kit, listeners: Sequence[tuple[Identity, socket.socket]]) -> None:
        self._kit = kit
        self._listeners = list(listeners)
        self._deadline = now() + DIAL_SECONDS

    def next(self) -> tuple[Identity, Stream] | None:
        """The next connection and for which author it is meant; None when no more come in time."""
        while self._listeners:
            sockets = [listener for _, listener in self._listeners]
            ready, _, _ = select.select(sockets, [], [], max(0.0, self._deadline - now()))
            if not ready:
                return None
            index = sockets.index(ready[0])
            identity, listener = self._listeners.pop(index)
            connection, _ = listener.accept()
            return identity, Stream(connection)
        return None


@contextmanager
def lured(kit: Kit, identities: Sequence[Identity]) -> Iterator[Lures]:
    """Offer these authors to the hub for the length of a block."""
    address = kit.own_address()
    with ExitStack() as stack:
        offers = []
        for identity in identities:
            listener = stack.enter_context(socket.create_server((address, 0), family=_family(address)))
            offers.append((identity, listener))
        peer = stack.enter_context(kit.link())
        peer.send(kit.peers_message([(identity, listener.getsockname()[:2]) for identity, listener in offers]))
        if not peer.alive():
            raise Failed("PEERS with valid records closed the link")
        yield Lures(kit, offers)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def answer(kit: Kit, identity: Identity, stream: Stream, proof: ProofMaker | None = None) -> Peer:
    """Accept the hub's connection as ``identity``; both HELLOs have passed.

    Raises:
        Failed: the handshake did not end in a link.
    """
    try:
        session = respond(stream, kit.mesh, identity, proof=proof)
    except (Refused, Closed, Late) as fault:
        stream.close()
        raise Failed(f"the hub dialled and went away: {describe(fault)}") from None
    peer = Peer(session, identity, kit.watch, kit.seconds)
    peer.send(Hello(1, None, "conformance"))
    if peer.wait(Hello, lambda _: True) is None:
        peer.leave()
        raise Failed("the hub dialled and did not say HELLO")
    return peer


def nobody_dialled() -> Untestable:
    """What to say when no connection came."""
    return Untestable(f"the hub did not dial the addresses offered to it in PEERS within {DIAL_SECONDS:.0f} s")
