"""Events of our own making, and what a hub has made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from tests.conformance.kit.peers import Peer
from tests.conformance.kit.results import Failed
from tests.conformance.kit.workbench import QUIET_SECONDS, Kit
from tests.conformance.reference.codec import Value, encode
from tests.conformance.reference.crypto import blake
from tests.conformance.reference.events import Event
from tests.conformance.reference.keystates import Identity
from tests.conformance.reference.lasting import Chunk, EventMessage, Gossip, Heads, WantEvents, WantPayload
from tests.conformance.reference.messages import Message
from tests.conformance.reference.weather import entropy, now, sleep

POLL_SECONDS: Final = 0.05
STORY: Final = 2


@dataclass(frozen=True, slots=True)
class Told:
    """An event and the message that carries it whole."""

    event: Event
    message: EventMessage
    name: bytes

    @property
    def head(self) -> tuple[int, bytes]:
        """As HEADS says it."""
        return self.event.incarnation, self.name

    @property
    def entry(self) -> bytes:
        """Its entry in a frontier."""
        return self.event.author + self.event.incarnation.to_bytes(8, "big") + self.name

    def gossip(self) -> Gossip:
        """The event as a tree carries it."""
        message = self.message
        items: list[Value] = [message.signed, message.signature, message.salt, message.content]
        return Gossip(self.name, self.event.author, 1, 0, encode(items))


def tell(
    author: Identity, event: Event | None = None, content: bytes | None = None, signer: Identity | None = None
) -> Told:
    """Sign an event, the author's first if none is given, in the name of ``author``."""
    salt = entropy(16)
    event = replace(event or Event(author.author), author=author.author, rotation=author.rotation)
    if content is not None:
        event = event.saying(salt, content)
    signed = event.signed(author.mesh_id)
    signature = (signer or author).sign(signed)
    message = EventMessage(signed, signature, None if content is None else salt, content)
    return Told(event, message, blake(signed))


def after(
    author: Identity, parent: Told, content: bytes | None = None, kind: int = STORY, heads: tuple[bytes, ...] = ()
) -> Told:
    """The next event of a chain; two calls with other contents make a fork."""
    event = Event(author.author, seq=parent.event.seq + 1, prev=parent.name, kind=kind, heads=heads)
    return tell(author, replace(event, incarnation=parent.event.incarnation), content)


def story(text: bytes) -> bytes:
    """The content of a story."""
    return encode([text, "en"])


def carries(told: Told) -> Callable[[Message], bool]:
    """Whether a message brings this event, in one way or the other."""

    def fits(message: Message) -> bool:
        if isinstance(message, Gossip):
            return message.id == told.name
        return isinstance(message, EventMessage) and message.signed == told.message.signed

    return fits


def ready(*peers: Peer) -> None:
    """Return when the hub has heard our HELLO on these links: what it passes on before that goes elsewhere."""
    for peer in peers:
        if not peer.alive():
            raise Failed("a PING was not answered")


def must_pass(peer: Peer, told: Told, what: str, since: int = 0) -> None:
    """Raise unless the event comes on a link."""
    if peer.wait_any(carries(told), since=since) is None:
        raise Failed(f"{what} was not passed on")


def must_stay(peer: Peer, told: Told, what: str) -> None:
    """Raise if the event comes on a link within a little while."""
    if peer.wait_any(carries(told), QUIET_SECONDS) is not None:
        raise Failed(f"{what} was passed on")


def must_close(kit: Kit, message: Message, what: str, *before: Message) -> None:
    """Raise unless the link on which this is said is closed."""
    with kit.link() as peer:
        peer.send(*before)
        if not peer.alive():
            raise Failed(f"what came before {what} closed the link")
        peer.send(message)
        if not peer.closes():
            raise Failed(f"{what} left the link open")


def heads_of(peer: Peer, *authors: bytes) -> list[tuple[tuple[int, bytes], ...]]:
    """What the hub says that it holds of these authors.

    Raises:
        Failed: it says nothing, or speaks of others.
    """
    since = peer.mark()
    peer.send(WantEvents(tuple((author, ()) for author in authors)))
    said = peer.wait(Heads, lambda heads: tuple(author for author, _ in heads.authors) == authors, since=since)
    if said is None:
        raise Failed("WANT_EVENTS was not answered with HEADS of the same authors in the same order")
    return [heads for _, heads in said.authors]


def must_hold(peer: Peer, author: Identity, *told: Told) -> None:
    """Raise unless these become the heads of an author: a hub says so only once it has stored them."""
    wanted = tuple(sorted(each.head for each in told))
    deadline = now() + peer.seconds
    while (shown := heads_of(peer, author.author)[0]) != wanted:
        if now() > deadline:
            raise Failed(f"HEADS shows {len(shown)} heads of an author, not the {len(wanted)} that were given")
        sleep(POLL_SECONDS)


def payload_of(peer: Peer, told: Told) -> Chunk:
    """What comes when an event's payload is asked for."""
    since = peer.mark()
    peer.send(WantPayload(told.name, 0, 1))
    chunk = peer.wait(Chunk, lambda chunk: chunk.event == told.name, since=since)
    if chunk is None:
        raise Failed("WANT_PAYLOAD was not answered")
    return chunk
