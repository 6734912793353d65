"""Checks of section 14: R49, R53, R54."""

from __future__ import annotations

from typing import Final

from tests.conformance.kit.registry import check
from tests.conformance.kit.results import Failed
from tests.conformance.kit.workbench import Kit
from tests.conformance.reference.codec import Refused
from tests.conformance.reference.crypto import verify
from tests.conformance.reference.keystates import Identity, decode_key_state
from tests.conformance.reference.messages import (
    ForwardJoin,
    Hello,
    Join,
    Message,
    Neighbor,
    NeighborAnswer,
    PeerRecord,
    Shuffle,
    ShuffleAnswer,
)
from tests.conformance.reference.records import Addresses, decode_addresses

NOWHERE: Final = (("192.0.2.7", 9),)
"""An address of TEST-NET-1: whoever is dialled there does not answer."""


def _record(kit: Kit, who: Identity) -> PeerRecord:
    signed = Addresses(who.author, who.rotation, 1, 1, NOWHERE).signed(kit.mesh.mesh_id)
    return who.key_state, signed, who.sign(signed)


def _broken(record: PeerRecord) -> PeerRecord:
    key_state, signed, signature = record
    return key_state, signed, bytes([signature[0] ^ 1]) + signature[1:]


@check("R49")
def requests_are_answered(kit: Kit) -> str:
    """NEIGHBOR with both priorities and JOIN, each on a link of its own; the verdict is the hub's."""
    requests: tuple[Message, ...] = (Neighbor(False), Neighbor(True), Join())
    verdicts = []
    for request in requests:
        with kit.link() as peer:
            peer.send(request)
            answer = peer.wait(NeighborAnswer, lambda _: True)
            if answer is None:
                raise Failed(f"{request} was not answered")
            verdicts.append("yes" if answer.accepted else "no")
    return f"answered: {', '.join(verdicts)}"


@check("R53", links=2, alone=True)
def a_shuffle_that_ends_is_answered(kit: Kit) -> str:
    """One peer has told where it is; another shuffles, and hears of somebody, with records that are right.

    Alone, because peers of other checks have not told where they are, and cannot be named.
    """
    known = kit.identity()
    first = kit.greet(known, Hello(1, _record(kit, known)[1:], "conformance"))
    try:
        with kit.link() as asker:
            if not first.alive() or not asker.alive():
                raise Failed("a PING was not answered")
            origin = asker.identity
            asker.send(Shuffle(1, _record(kit, origin), ()))
            answer = asker.wait(ShuffleAnswer, lambda said: said.origin == origin.author)
            if answer is None:
                raise Failed("no SHUFFLE_ANSWER, although the hub has another neighbor that told where it is")
            for record in answer.peers:
                _right(kit, record)
    finally:
        first.leave()
    return f"an answer with {len(answer.peers)} records, all of them right"


def _right(kit: Kit, record: PeerRecord) -> None:
    key_state, signed, signature = record
    try:
        state = decode_key_state(key_state, kit.mesh.mesh_id)
        addresses = decode_addresses(signed, kit.mesh.mesh_id)
    except Refused as fault:
        raise Failed(f"a record in SHUFFLE_ANSWER is invalid: {fault}") from fault
    if addresses.author != state.author or not verify(state.key, signed, signature):
        raise Failed("a record in SHUFFLE_ANSWER is not signed by its author")


@check("R54")
def invalid_records_in_walks_close(kit: Kit) -> str:
    """A record with a wrong signature, as the joiner, as the origin, among the peers and in an answer."""
    for place in ("FORWARD_JOIN", "SHUFFLE, origin", "SHUFFLE, peers", "SHUFFLE_ANSWER"):
        bad = _broken(_record(kit, kit.identity()))
        with kit.link() as peer:
            own = _record(kit, peer.identity)
            messages: dict[str, Message] = {
                "FORWARD_JOIN": ForwardJoin(1, bad),
                "SHUFFLE, origin": Shuffle(1, bad, ()),
                "SHUFFLE, peers": Shuffle(1, own, (bad,)),
                "SHUFFLE_ANSWER": ShuffleAnswer(peer.hub, (bad,)),
            }
            peer.send(messages[place])
            if not peer.closes():
                raise Failed(f"a wrong signature in {place} left the link open")
    return "closed by a wrong signature in each of four places"
