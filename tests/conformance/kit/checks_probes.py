"""Checks of section 9: R70 to R73."""

from __future__ import annotations

from typing import Final

from tests.conformance.kit.peers import Peer
from tests.conformance.kit.registry import check
from tests.conformance.kit.results import Failed
from tests.conformance.kit.workbench import Kit
from tests.conformance.reference.messages import (
    Beat,
    Nack,
    Neighbors,
    Ping,
    PingReq,
    Pong,
    ProbeAck,
    Refute,
    Suspect,
)
from tests.conformance.reference.weather import entropy, sleep

FAR: Final = 2**32 - 1
STEP: Final = 64
TOKEN: Final = 0x7E57


def _answer(peer: Peer, token: int) -> ProbeAck | Nack:
    for _ in range(20):
        acknowledged = peer.wait(ProbeAck, lambda ack: ack.token == token, 0.05)
        if acknowledged is not None:
            return acknowledged
        refused = peer.wait(Nack, lambda nack: nack.token == token, 0.05)
        if refused is not None:
            return refused
    raise Failed(f"no answer to PING_REQ with token {token} within 2 s")


def _greeted(*peers: Peer) -> None:
    for peer in peers:
        if not peer.alive():
            raise Failed("a PING was not answered")


@check("R70", links=2)
def requests_are_answered_by_who_has_looked(kit: Kit) -> str:
    """About the hub, about us, about a neighbor that speaks, and about nobody it knows."""
    with kit.link() as asker, kit.link() as target:
        _greeted(asker, target)
        for token, author in ((1, asker.hub), (FAR, asker.identity.author)):
            asker.send(PingReq(token, author, 0))
            if not isinstance(_answer(asker, token), ProbeAck):
                raise Failed("NACK for a hub that had just spoken")
        since = target.mark()
        asker.send(PingReq(TOKEN, target.identity.author, 0))
        if target.wait(Ping, lambda _: True, since=since) is None:
            raise Failed("the target was not pinged")
        target.send(Beat())
        if not isinstance(_answer(asker, TOKEN), ProbeAck):
            raise Failed("NACK although the target had spoken")
    return "PROBE_ACK for itself, for us and for a neighbor, which was pinged before"


@check("R71", links=2)
def questions_are_passed_on_once(kit: Kit) -> str:
    """Nobody is linked with the target: a blind NACK, or the question comes to who claims to be, with no hop left."""
    nobody = entropy(32)
    with kit.link() as asker, kit.link() as relay:
        _greeted(asker, relay)
        for token, hops in ((1, 0), (2, 1)):
            asker.send(PingReq(token, nobody, hops))
            answer = _answer(asker, token)
            if not isinstance(answer, Nack) or answer.tested:
                raise Failed(f"{answer} about an author nobody is linked with")
        relay.send(Neighbors((nobody,)))
        _greeted(relay)
        since = relay.mark()
        asker.send(PingReq(3, nobody, 1))
        passed = relay.wait(PingReq, lambda request: request.target == nobody, 0.3, since)
        if passed is None:
            answer = _answer(asker, 3)
            if not isinstance(answer, Nack) or answer.tested:
                raise Failed(f"{answer} although it was not passed on")
            return "answered with a NACK that tested nothing; it does not pass on"
        if passed.hops:
            raise Failed("passed on with a hop left")
        relay.send(Nack(passed.token, True))
        answer = _answer(asker, 3)
        if not isinstance(answer, Nack) or not answer.tested:
            raise Failed(f"{answer} although the relay had tested")
    return "passed on once with its own token, the answer came back"


@check("R72")
def suspicions_of_the_hub_are_refuted(kit: Kit) -> str:
    """A number above ours; a number far ahead is not believed."""
    with kit.link() as peer:
        _greeted(peer)
        peer.send(Suspect(peer.hub, 0))
        first = peer.wait(Refute, lambda refute: refute.author == peer.hub and refute.number > 0)
        if first is None:
            raise Failed("SUSPECT about the hub was not refuted")
        sleep(1.0)
        since = peer.mark()
        peer.send(Suspect(peer.hub, FAR))
        second = peer.wait(Refute, lambda refute: refute.author == peer.hub, since=since)
        if second is None:
            raise Failed("a second SUSPECT a second later was not refuted")
        if not first.number <= second.number <= first.number + STEP:
            raise Failed(f"after REFUTE {first.number}, SUSPECT {FAR} was answered by {second.number}")
    return f"REFUTE {first.number}, and {second.number} after a number far ahead"


@check("R73", links=2)
def suspicions_reach_the_suspect(kit: Kit) -> str:
    """Ours about another of us comes to that one, and its answer back."""
    with kit.link() as doubter, kit.link() as suspect:
        _greeted(doubter, suspect)
        author = suspect.identity.author
        doubter.send(Suspect(author, 0))
        if suspect.wait(Suspect, lambda told: told.author == author) is None:
            raise Failed("the suspect was not told")
        suspect.send(Refute(author, 1), Pong(TOKEN))
        if doubter.wait(Refute, lambda told: told.author == author and told.number == 1) is None:
            raise Failed("the refutation did not come back")
    return "SUSPECT came to the suspect, REFUTE to who suspected"
