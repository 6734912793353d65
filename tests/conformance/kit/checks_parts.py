"""Checks of payloads that come in chunks: R113 and R114."""

from __future__ import annotations

from functools import partial
from typing import Final

from tests.conformance.kit.events import Told, must_close, must_hold, must_pass, must_stay, ready, story, tell
from tests.conformance.kit.peers import Peer
from tests.conformance.kit.registry import check
from tests.conformance.kit.results import Failed
from tests.conformance.kit.workbench import Kit
from tests.conformance.reference.lasting import Chunk, EventMessage, Offer, WantPayload
from tests.conformance.reference.messages import Keys
from tests.conformance.reference.parts import leaf, path, pieces, proves

LONG: Final = story(bytes(number % 251 for number in range(10_000)))
"""Three chunks."""


def _bare(told: Told) -> EventMessage:
    return EventMessage(told.message.signed, told.message.signature, None, None)


def _chunks(told: Told) -> list[Chunk]:
    """The payload as it travels."""
    salt, content = told.message.salt, told.message.content
    assert salt is not None
    assert content is not None
    found = pieces(content)
    leaves = [leaf(salt, piece) for piece in found]
    return [Chunk(told.name, at, salt, piece, path(leaves, at)) for at, piece in enumerate(found)]


def _give(peer: Peer, told: Told, chunks: list[Chunk]) -> None:
    """Answer what the hub asks for of a payload until it has asked for all.

    Raises:
        Failed: it does not.
    """
    answered: dict[WantPayload, None] = {}
    given: dict[int, None] = {}
    while len(given) < len(chunks):
        asked = peer.wait(WantPayload, lambda want: want.event == told.name and want not in answered)
        if asked is None:
            raise Failed("a payload that is not here was not asked for whole from who showed its event")
        answered[asked] = None
        for at in range(asked.first, min(asked.first + asked.count, len(chunks))):
            given[at] = None
            peer.send(chunks[at])


def _is_chunk(name: bytes, index: int, chunk: Chunk) -> bool:
    return (chunk.event, chunk.index) == (name, index)


def _must_get(peer: Peer, told: Told, since: int = 0) -> None:
    """Raise unless every chunk comes, with a proof."""
    count = len(_chunks(told))
    for index in range(count):
        chunk = peer.wait(Chunk, partial(_is_chunk, told.name, index), since=since)
        if chunk is None or chunk.data is None:
            raise Failed(f"chunk {index} of a payload was not given")
        root = told.event.payload_hash
        assert root is not None
        if not proves(leaf(chunk.salt, chunk.data), index, count, chunk.proof, root):
            raise Failed(f"chunk {index} does not prove that it belongs to its event")


@check("R113", links=3)
def chunks_prove_themselves(kit: Kit) -> str:
    """One that proves nothing closes the link; right ones are taken, and given with their proofs."""
    author = kit.identity()
    with kit.link() as peer, kit.link() as asker:
        told = tell(author, content=LONG)
        peer.send(Keys(author.key_state), _bare(told))
        _give(peer, told, _chunks(told))
        must_hold(peer, author, told)
        since = asker.mark()
        asker.send(WantPayload(told.name, 0, 3))
        _must_get(asker, told, since)
    forger = kit.identity()
    with kit.link() as peer:
        told = tell(forger, content=LONG)
        first, *_ = _chunks(told)
        peer.send(Keys(forger.key_state), _bare(told))
        if peer.wait(WantPayload, lambda want: want.event == told.name) is None:
            raise Failed("a payload that is not here was not asked for from who showed its event")
        wrong = bytes([first.proof[0] ^ 1]) + first.proof[1:]
        peer.send(Chunk(first.event, first.index, first.salt, first.data, wrong))
        if not peer.closes():
            raise Failed("a chunk that proves nothing left the link open")
    return "three chunks taken and given with their proofs; one with another proof closed the link"


@check("R114", links=4)
def parts_go_round(kit: Kit) -> str:
    """A patient question waits for what is on its way; an offer is its author's alone, and a tree passes it on."""
    author = kit.identity()
    with kit.link() as peer, kit.link() as asker:
        ready(peer, asker)
        told = tell(author, content=LONG)
        since = asker.mark()
        asker.send(WantPayload(told.name, 0, 3, patient=True))
        ready(asker)
        peer.send(Keys(author.key_state), told.message)
        _must_get(asker, told, since)
    me = kit.identity()
    with kit.link(me) as peer, kit.link() as witness:
        ready(peer, witness)
        mine = tell(me, content=LONG)
        peer.send(Offer(mine.message.signed, mine.message.signature))
        must_hold(peer, me, mine)
        must_stay(witness, mine, "an offered event that no tree had brought")
        bare = Told(mine.event, _bare(mine), mine.name)
        peer.send(bare.gossip())
        must_pass(witness, mine, "an offered event that a tree had brought")
    other = kit.identity()
    stolen = tell(other, content=LONG)
    offer = Offer(stolen.message.signed, stolen.message.signature)
    must_close(kit, offer, "an offer of somebody else's event", Keys(other.key_state))
    return (
        "chunks on their way were given as they came; an offer went on with the tree, somebody else's closed the link"
    )
