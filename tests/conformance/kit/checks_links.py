"""Checks of links as such: R15 and R19 on the hub's own dials, R17 to R19, R30, R31."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.conformance.kit.checks_handshake import flipped
from tests.conformance.kit.lures import answer, lured, nobody_dialled
from tests.conformance.kit.peers import Peer
from tests.conformance.kit.registry import check
from tests.conformance.kit.results import Failed
from tests.conformance.kit.workbench import Kit
from tests.conformance.reference.codec import Refused, encode
from tests.conformance.reference.keystates import RESPONDER_ROLE, Identity, make_proof, proof_message
from tests.conformance.reference.messages import Beat, Hello, Keys, Peers, Ping, Pong, WantKeys, encode_frame
from tests.conformance.reference.records import Addresses
from tests.conformance.reference.sessions import ProofMaker, respond
from tests.conformance.reference.stream import Closed, Late
from tests.conformance.reference.weather import entropy, now, sleep

TOKEN: Final = 0x7E57
REKEY_FRAMES: Final = 65_536
BEAT_SLACK_SECONDS: Final = 1.0
DUPLICATE: Final = 1
BAD_SIGNATURE: Final = 4
TWO_IN_TIME: Final = "a link that the hub dialled met one of ours within 3 s"


@check("R15")
def wrong_proofs_when_dialled(kit: Kit) -> str:
    """The hub dials us: a wrong proof, and a right one by another author than it dialled, must get no message 3."""
    liar, double, other = kit.identity(), kit.identity(), kit.identity()
    proofs: dict[bytes, tuple[str, ProofMaker]] = {
        liar.author: ("a wrong signature", _signed_by(liar, other)),
        double.author: ("another author", lambda bound, static: make_proof(other, RESPONDER_ROLE, bound, static)),
    }
    names = []
    with lured(kit, [liar, double]) as lures:
        while (call := lures.next()) is not None:
            identity, stream = call
            name, proof = proofs[identity.author]
            try:
                respond(stream, kit.mesh, identity, proof=proof)
            except Closed:
                names.append(name)
            except (Refused, Late):
                raise Failed(f"{name} in message 2 did not close the connection") from None
            else:
                raise Failed(f"{name} in message 2 was answered with message 3")
            finally:
                stream.close()
    if not names:
        raise nobody_dialled()
    return f"dialling, it closed without message 3 on {' and on '.join(names)}"


def _signed_by(identity: Identity, other: Identity) -> ProofMaker:
    return lambda bound, static: encode([identity.key_state, other.sign(proof_message(RESPONDER_ROLE, bound, static))])


@check("R17")
def tampered_bodies(kit: Kit) -> str:
    """One bit changed, cut short, the same body twice."""
    ping = encode_frame([Ping(TOKEN)])
    changes: list[tuple[str, Callable[[bytes], bytes]]] = [
        ("a changed bit", lambda body: flipped(body, 3)),
        ("a changed tag", lambda body: flipped(body, len(body) - 1)),
        ("a byte less", lambda body: body[:-1]),
        ("15 bytes", lambda body: body[:15]),
        ("zeros", lambda body: bytes(len(body))),
    ]
    for name, change in changes:
        with kit.link() as peer:
            peer.send_body(change, ping)
            if not peer.closes():
                raise Failed(f"{name}: the link stayed open")
            if peer.all(Pong):
                raise Failed(f"{name}: the frame was acted on")
    with kit.link() as peer:
        beat = encode_frame([Beat()])
        _twice(peer, beat)
        if not peer.closes():
            raise Failed("a repeated body left the link open")
    return f"closed on {', '.join(name for name, _ in changes)} and a repeated body"


def _twice(peer: Peer, plaintext: bytes) -> None:
    """Send one sealed body two times."""
    body = peer.session.channel.sending.seal(plaintext)
    framed = len(body).to_bytes(2, "big") + body
    peer.send_raw(framed + framed)


@check("R18", alone=True)
def rekey_after_many_frames(kit: Kit) -> str:
    """65,536 beats and then PING: only a hub that rekeyed at the same frame can read it."""
    with kit.link() as peer:
        begun = now()
        sent = peer.session.channel.sending
        peer.send_many(encode_frame([Beat()]), REKEY_FRAMES - sent.frames - 1)
        if not peer.alive(30.0):
            raise Failed(f"no PONG to the {REKEY_FRAMES}th frame, the last under the first key")
        if not peer.alive():
            raise Failed(f"no PONG to the {REKEY_FRAMES + 1}th frame, the first under the second key")
        seconds = now() - begun
    seen = f"frames {REKEY_FRAMES} and {REKEY_FRAMES + 1} of one link were both read ({seconds:.1f} s)"
    return f"{seen}; the other direction was not driven that far"


@check("R19", links=3)
def second_link_of_an_author(kit: Kit) -> str:
    """Two links that we dialled as one author: the newer stays, the older ends with BYE 1."""
    identity = kit.identity()
    with kit.link() as witness:
        older = kit.greet(identity)
        newer = kit.greet(identity)
        try:
            if not newer.alive():
                raise Failed("the newer of two links with one initiator was closed")
            if not older.closes():
                raise Failed("both links of one author stayed open")
            if older.bye != DUPLICATE:
                raise Failed(f"the older link ended with {_bye(older)}, not with BYE 1")
        finally:
            older.leave()
            newer.leave()
        if not witness.alive():
            raise Failed("a link of another author did not survive")
    return "the older of two links we dialled ended with BYE 1, the newer stayed"


def _bye(peer: Peer) -> str:
    return "no BYE" if peer.bye is None else f"BYE {peer.bye}"


@check("R19", links=5)
def links_dialled_by_both(kit: Kit) -> str:
    """The hub dials us and we dial it: the link whose initiator has the smaller author id stays."""
    with kit.link() as probe:
        hub = probe.hub
    smaller, larger = _on_both_sides(kit, hub)
    kept = []
    with lured(kit, [smaller, larger]) as lures:
        while (call := lures.next()) is not None:
            identity, stream = call
            theirs = answer(kit, identity, stream)
            ours = kit.late(identity)  # it may be closed before a HELLO
            ours.send(Hello(1, None, "conformance"))
            stays, goes = (ours, theirs) if identity.author < hub else (theirs, ours)
            try:
                if not stays.alive():
                    raise Failed(f"{TWO_IN_TIME} and that of the smaller initiator was closed")
                if not goes.closes():
                    raise Failed(f"{TWO_IN_TIME} and both stayed open")
                if goes.bye not in (None, DUPLICATE):
                    raise Failed(f"{TWO_IN_TIME} and ended with {_bye(goes)}")
            finally:
                theirs.leave()
                ours.leave()
            kept.append("ours" if stays is ours else "its own")
    if not kept:
        raise nobody_dialled()
    return f"{TWO_IN_TIME}: the smaller initiator's stayed ({', '.join(kept)})"


def _on_both_sides(kit: Kit, hub: bytes) -> tuple[Identity, Identity]:
    """An author below the hub's id and one above it."""
    found: dict[bool, Identity] = {}
    while len(found) < 2:
        identity = kit.identity()
        found[identity.author < hub] = identity
    return found[True], found[False]


@check("R48", links=3)
def superseded_links(kit: Kit) -> str:
    """The keys of rotation 1 are known: a handshake that proves rotation 0 is right in itself, and comes too late."""
    author = kit.identity(rotations=1)
    with kit.link() as teller:
        teller.send(Keys(author.rotated().key_state))
        teller.send(kit.vector(author.rotated()))
        if not teller.alive():
            raise Failed("a rotated key state closed the link that brought it")
        old = kit.late(author)
        old.send(Hello(1, None, "conformance"))
        if not old.closes():
            old.leave()
            raise Failed("a link under rotation 0 stayed open although rotation 1 is known")
        old.leave()
        if old.bye != BAD_SIGNATURE:
            raise Failed(f"a link under rotation 0 ended with {_bye(old)}, not with BYE 4")
        with kit.link(author.rotated()) as new:
            if not new.alive():
                raise Failed("the link under rotation 1 was closed")
    return "a link under rotation 0 ended with BYE 4 once rotation 1 was known, one under rotation 1 stayed"


@check("R30", alone=True)
def beats_on_a_quiet_link(kit: Kit) -> str:
    """Nothing happens for 3.4 s: the hub must be heard each second, and must keep a link that beats."""
    with kit.link() as peer:
        begun, times = now(), [now()]
        sleep(3.4)
        times += [arrival.at for arrival in list(peer.arrivals) if arrival.at > begun]
        longest = max(later - earlier for earlier, later in zip(times, [*times[1:], now()], strict=True))
        if longest > 1.0 + BEAT_SLACK_SECONDS:
            raise Failed(f"silent for {longest:.2f} s")
        if not peer.alive():
            raise Failed("a link that beats each 0.7 s was closed")
    return f"the longest silence was {longest:.2f} s"


@check("R31")
def wanted_keys(kit: Kit) -> str:
    """The hub's own key state, a peer's, and a stranger's among them."""
    stranger = kit.identity()
    with kit.links(2) as (asker, other):
        asker.send(WantKeys((stranger.author, asker.hub, other.identity.author)))
        for name, state in (("its own", None), ("a peer's", other.identity.key_state)):
            wanted = asker.session.peer.encoded if state is None else state
            if asker.wait(Keys, lambda keys, wanted=wanted: keys.key_state == wanted) is None:  # type: ignore[misc]
                raise Failed(f"WANT_KEYS for {name} key state was not answered")
        asker.send(WantKeys((stranger.author,)))
        if not asker.alive():
            raise Failed("WANT_KEYS for a stranger closed the link")
        if any(keys.key_state == stranger.key_state for _, keys in asker.all(Keys)):  # others' may come unasked
            raise Failed("WANT_KEYS for a stranger was answered")
    return "its own and a peer's key state came, a stranger's was left out in silence"


@check("R31")
def invalid_records_close(kit: Kit) -> str:
    """Addresses with a wrong signature, of another mesh or out of range, in HELLO and in PEERS; a broken KEYS."""
    names = []
    for name, change in _bad_addresses(kit):
        identity = kit.identity()
        signed, signature = change(identity)
        _closes(kit, identity, Hello(1, (signed, signature), "conformance"), f"HELLO with addresses {name}")
        third = kit.identity()
        signed, signature = change(third)
        with kit.link() as peer:
            peer.send(Peers(((third.key_state, signed, signature),)))
            if not peer.closes():
                raise Failed(f"PEERS with addresses {name} left the link open")
        names.append(name)
    third = kit.identity()
    with kit.link() as peer:
        peer.send(Keys(flipped(third.key_state, len(third.key_state) - 1)))
        if not peer.closes():
            raise Failed("KEYS with a wrong signature left the link open")
    return f"closed by addresses {', '.join(names)} in HELLO and in PEERS, and by KEYS with a wrong signature"


def _closes(kit: Kit, identity: Identity, hello: Hello, name: str) -> None:
    peer = kit.greet(identity, hello)
    closed = peer.closes()
    peer.leave()
    if not closed:
        raise Failed(f"{name} left the link open")


Signed = tuple[bytes, bytes]


def _bad_addresses(kit: Kit) -> list[tuple[str, Callable[[Identity], Signed]]]:
    def sign(identity: Identity, mesh_id: bytes, *pairs: tuple[str, int]) -> Signed:
        signed = Addresses(identity.author, identity.rotation, 1, 1, pairs).signed(mesh_id)
        return signed, identity.sign(signed)

    def forge(identity: Identity) -> Signed:
        signed, signature = sign(identity, kit.mesh.mesh_id, ("192.0.2.1", 9))
        return signed, flipped(signature, 40)

    def another(identity: Identity) -> Signed:
        signed, _ = sign(identity, kit.mesh.mesh_id, ("192.0.2.1", 9))
        return signed, kit.identity().sign(signed)

    return [
        ("with a changed signature", forge),
        ("signed by another", another),
        ("of another mesh", lambda identity: sign(identity, entropy(16), ("192.0.2.1", 9))),
        ("with port 0", lambda identity: sign(identity, kit.mesh.mesh_id, ("192.0.2.1", 0))),
        ("five times", lambda identity: sign(identity, kit.mesh.mesh_id, *(("192.0.2.1", 9 + n) for n in range(5)))),
    ]


@check("R31")
def valid_addresses_are_kept(kit: Kit) -> str:
    """HELLO with a good record."""
    identity = kit.identity()
    signed = Addresses(identity.author, 0, 1, 1, ()).signed(kit.mesh.mesh_id)
    peer = kit.greet(identity, Hello(1, (signed, identity.sign(signed)), "conformance"))
    alive = peer.alive()
    peer.leave()
    if not alive:
        raise Failed("HELLO with a valid addresses record closed the link")
    return "HELLO with a valid record of no addresses was accepted"
