"""Checks of durable events: R80 to R82, R84, R85, R87 to R89."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tests.conformance.kit.events import (
    POLL_SECONDS,
    Told,
    after,
    carries,
    heads_of,
    must_close,
    must_hold,
    must_pass,
    must_stay,
    payload_of,
    ready,
    story,
    tell,
)
from tests.conformance.kit.peers import Peer
from tests.conformance.kit.registry import check
from tests.conformance.kit.results import Failed
from tests.conformance.kit.workbench import Kit
from tests.conformance.reference.codec import Refused, encode
from tests.conformance.reference.events import Event, decode_event
from tests.conformance.reference.keystates import Identity
from tests.conformance.reference.lasting import NAME_BYTES, EventMessage, Fork, IHave, TreeGraft, TreePrune, WantEvents
from tests.conformance.reference.messages import Keys, Message, WantKeys
from tests.conformance.reference.weather import entropy, now, sleep

WITHDRAWAL: Final = 4
CHECKPOINT: Final = 5
UNKNOWN_KIND: Final = 40_000


def _known(kit: Kit) -> tuple[Identity, Keys]:
    author = kit.identity()
    return author, Keys(author.key_state)


@check("R80", links=2)
def wrong_events_close(kit: Kit) -> str:
    """A table that is broken, a forged signature, another payload, and tree messages that are not what they say."""
    with kit.link() as witness:
        ready(witness)
        author, keys = _known(kit)
        right = tell(author, content=story(b"right"))
        forged = tell(author, content=story(b"forged"), signer=kit.identity())
        other = replace(right.message, content=story(b"other"))
        cases: dict[str, Message] = {
            "an event with seq 1 and a parent": tell(author, Event(b"", prev=entropy(32))).message,
            "an event of another mesh": tell(Identity(entropy(16), author.seeds)).message,
            "a forged event": forged.message,
            "another payload than the one signed": other,
            "GOSSIP of another id": replace(right.gossip(), id=entropy(32)),
            "GOSSIP of another author": replace(right.gossip(), author=entropy(32)),
            "GOSSIP of no event": replace(right.gossip(), payload=b"\x90"),
        }
        for what, message in cases.items():
            must_close(kit, message, what, keys)
        must_stay(witness, forged, "a forged event")
    return f"closed by {', '.join(cases)}"


@check("R80", links=2)
def events_of_strangers_wait(kit: Kit) -> str:
    """The author is unknown: WANT_KEYS, and on with the event when KEYS have come."""
    with kit.links(2) as (sender, witness):
        ready(sender, witness)
        author, keys = _known(kit)
        told = tell(author, content=story(b"who is it"))
        sender.send(told.message)
        if sender.wait(WantKeys, lambda wanted: author.author in wanted.authors) is None:
            raise Failed("the keys of an event's unknown author were not asked for")
        if witness.wait_any(carries(told), 0.0) is not None:
            raise Failed("an event was passed on unverified")
        sender.send(keys)
        must_pass(witness, told, "an event whose keys came later")
    return "WANT_KEYS came, and the event went on once the keys were known"


@check("R81", links=2)
def what_does_not_follow_is_dropped(kit: Kit) -> str:
    """A seq left out, a higher incarnation without an opening, a first event of incarnation 2: dropped, link kept."""
    with kit.links(2) as (sender, witness):
        ready(sender, witness)
        author, keys = _known(kit)
        first = tell(author, content=story(b"first"))
        sender.send(keys, first.message)
        must_hold(sender, author, first)
        second = after(author, first)
        wrong = {
            "seq 3 after seq 1": tell(author, replace(second.event, seq=3)),
            "incarnation 2 without an opening": tell(author, replace(second.event, incarnation=2)),
            "a first event of incarnation 2": tell(author, Event(b"", incarnation=2)),
        }
        sender.send(*(told.message for told in wrong.values()))
        opening = tell(author, replace(second.event, incarnation=2, kind=6))
        sender.send(opening.message)
        must_pass(witness, opening, "an opening of a higher incarnation")
        for what, told in wrong.items():
            if witness.wait_any(carries(told), 0.0) is not None:
                raise Failed(f"{what} was passed on")
        must_hold(sender, author, opening)
    return f"dropped: {', '.join(wrong)}; an opening of a higher incarnation went on"


@check("R82", links=2)
def events_wait_for_their_parents(kit: Kit) -> str:
    """A child comes first: its parent is asked for; both go on when it has come, and so does a kind nobody knows."""
    with kit.links(2) as (sender, witness):
        ready(sender, witness)
        author, keys = _known(kit)
        parent = tell(author, content=story(b"parent"))
        child = after(author, parent, b"\xc0", UNKNOWN_KIND)
        since = sender.mark()
        sender.send(keys, child.message)
        asks = sender.wait(WantEvents, lambda want: any(who == author.author for who, _ in want.authors), since=since)
        if asks is None:
            raise Failed("the parent of an event was not asked for")
        sender.send(parent.message)
        must_pass(witness, parent, "an event")
        must_pass(witness, child, "an event of an unknown kind that had waited for its parent")
        must_hold(sender, author, child)
    return "WANT_EVENTS came for the parent; both went on, although one is of an unknown kind"


def _forked(author: Identity) -> tuple[Told, Told, Told]:
    """A first event and two that follow it."""
    first = tell(author, content=story(b"first"))
    return first, after(author, first, story(b"left")), after(author, first, story(b"right"))


@check("R84")
def branches_are_kept(kit: Kit) -> str:
    """Two events after one: two heads, until a later event names the other branch."""
    with kit.link() as peer:
        author, keys = _known(kit)
        first, left, right = _forked(author)
        peer.send(keys, first.message, left.message, right.message)
        must_hold(peer, author, left, right)
        merge = after(author, left, story(b"both"), heads=(right.name,))
        peer.send(merge.message)
        must_hold(peer, author, merge)
    return "both heads of a fork were shown, and one after an event had named the other"


@check("R85", links=3)
def forks_are_told(kit: Kit) -> str:
    """Two events of one place: FORK to everybody, to whoever asks, and from whoever shows one first."""
    with kit.links(3) as (sender, witness, later):
        ready(sender, witness)
        author, keys = _known(kit)
        first, left, right = _forked(author)
        sender.send(keys, first.message, left.message, right.message)
        proof = _proof(left, right)
        if witness.wait(Fork, proof) is None:
            raise Failed("FORK did not come on another link although two events of one place had come")
        since = later.mark()
        heads_of(later, author.author)
        if later.wait(Fork, proof, since=since) is None:
            raise Failed("WANT_EVENTS about an author that forked was not answered with FORK")
        other, keys = _known(kit)
        _, left, right = _forked(other)
        sender.send(keys, Fork(_record(left), _record(right)))
        if witness.wait(Fork, _proof(left, right)) is None:
            raise Failed("FORK was not passed on")
    return "FORK came on another link and to whoever asked, and one that was shown went on"


@check("R85")
def forks_are_checked(kit: Kit) -> str:
    """One that proves nothing closes the link; one about a stranger does not."""
    author, keys = _known(kit)
    first, left, right = _forked(author)
    forged = tell(author, right.event, signer=kit.identity())
    must_close(kit, Fork(_record(first), _record(left)), "FORK of parent and child", keys)
    must_close(kit, Fork(_record(left), _record(left)), "FORK of one event", keys)
    must_close(kit, Fork(_record(left), _record(forged)), "FORK with a forged event", keys)
    with kit.link() as peer:
        _, left, right = _forked(kit.identity())
        peer.send(Fork(_record(left), _record(right)))
        if not peer.alive():
            raise Failed("FORK about an author without known keys closed the link")
    return "closed by a pair that is none, by one event twice and by a forged one; kept for a stranger's"


def _record(told: Told) -> tuple[bytes, bytes]:
    return told.message.signed, told.message.signature


def _proof(*pair: Told) -> Callable[[Fork], bool]:
    wanted = {told.message.signed for told in pair}
    return lambda fork: {fork.one[0], fork.other[0]} == wanted


@check("R87")
def bases_let_go(kit: Kit) -> str:
    """A checkpoint that names one of three events: a newcomer gets the base, that one, and what follows; no more."""
    with kit.link() as peer:
        author, keys = _known(kit)
        one = tell(author, content=story(b"one"))
        two = after(author, one, story(b"two"))
        three = after(author, two, story(b"three"))
        peer.send(keys, one.message, two.message, three.message)
        must_hold(peer, author, three)
        base = after(author, three, encode([one.name, b""]), CHECKPOINT)
        four = after(author, base, story(b"four"))
        peer.send(base.message, four.message, three.message)
        must_hold(peer, author, four)
        _must_give(peer, author, [base, one, four])
    return "what the base does not name was gone, and did not come back"


@check("R88")
def withdrawals_erase(kit: Kit) -> str:
    """A payload is given, then withdrawn: no data any more, even after it was offered again."""
    with kit.link() as peer:
        author, keys = _known(kit)
        told = tell(author, content=story(b"something"))
        peer.send(keys, told.message)
        must_hold(peer, author, told)
        if payload_of(peer, told).data != told.message.content:
            raise Failed("a payload that had been given was not there")
        withdrawal = after(author, told, encode([[told.name]]), WITHDRAWAL)
        peer.send(withdrawal.message)
        must_hold(peer, author, withdrawal)
        _must_be_gone(peer, told)
        peer.send(told.message)
        if not peer.alive():
            raise Failed("a withdrawn payload closed the link")
        _must_be_gone(peer, told)
    return "no data after the withdrawal, nor after the payload had been offered again"


def _must_be_gone(peer: Peer, told: Told) -> None:
    deadline = now() + peer.seconds
    while payload_of(peer, told).data is not None:
        if now() > deadline:
            raise Failed("a payload was given although it is withdrawn")
        sleep(POLL_SECONDS)


def _must_give(peer: Peer, author: Identity, wanted: list[Told], *known: Told) -> None:
    """Raise unless an asker that holds ``known`` gets exactly these, in this order."""
    since = peer.mark()
    peer.send(WantEvents(((author.author, tuple(told.head for told in known)),)))
    if peer.wait_any(carries(wanted[-1]), since=since) is None or not peer.alive():
        raise Failed("WANT_EVENTS was not answered with all that the asker lacks")
    places = {told.message.signed: number for number, told in enumerate(wanted)}
    come = [arrival.message for arrival in peer.arrivals[since:]]
    own = [message.signed for message in come if isinstance(message, EventMessage) and _is_of(message, author)]
    given = [places.get(signed, -1) for signed in own]
    if -1 in given:
        raise Failed("WANT_EVENTS was answered with an event that is not held or not lacking")
    if given != sorted(given) or len(given) != len(wanted):
        raise Failed(f"WANT_EVENTS was answered in the order {given}, not base, kept, parents, children")


def _is_of(message: EventMessage, author: Identity) -> bool:
    try:
        return decode_event(message.signed, author.mesh_id).author == author.author
    except Refused:
        return False


@check("R89", links=2)
def events_are_given_to_whoever_asks(kit: Kit) -> str:
    """All of a chain, what follows a head, two authors at once, a payload, and one that is not here."""
    with kit.link() as peer, kit.link() as asker:
        author, keys = _known(kit)
        chain = [tell(author, content=story(b"one"))]
        for text in (b"two", b"three", b"four"):
            chain.append(after(author, chain[-1], story(text)))
        peer.send(keys, *(told.message for told in chain))
        must_hold(peer, author, chain[-1])
        stranger = entropy(32)
        if heads_of(peer, stranger, author.author) != [(), (chain[-1].head,)]:
            raise Failed("HEADS of a stranger and of an author with one head were not that")
        _must_give(asker, author, chain)
        _must_give(asker, author, chain[2:], chain[1])
        chunk = payload_of(asker, chain[0])
        if (chunk.index, chunk.salt, chunk.data) != (0, chain[0].message.salt, chain[0].message.content):
            raise Failed("WANT_PAYLOAD was not answered with the payload")
        if payload_of(asker, replace(chain[0], name=stranger)).data is not None:
            raise Failed("a payload of nothing was given")
    return "HEADS, then the events, parents first; the payload of one, and no data for an unknown one"


@check("R89", links=3)
def trees_carry_events(kit: Kit) -> str:
    """A duplicate is pruned; the pruned link gets word, asks, and gets the event; what we announce is asked for."""
    with kit.links(3) as (sender, second, witness):
        ready(sender, second, witness)
        author, keys = _known(kit)
        one = tell(author, content=story(b"one"))
        sender.send(keys, one.gossip())
        must_pass(witness, one, "an event on a tree")
        second.send(keys, one.gossip())
        if second.wait(TreePrune, lambda prune: prune.author is None) is None:
            raise Failed("an event that came again from another link was not answered with TREE_PRUNE")
        second.send(TreePrune(None))
        two = after(author, one, story(b"two"))
        sender.send(two.gossip())
        must_pass(witness, two, "an event on a tree")
        if second.wait(IHave, lambda ihave: two.name[-NAME_BYTES:] in _names(ihave)) is None:
            raise Failed("no IHAVE on a link that is lazy")
        if second.wait_any(carries(two), 0.0) is not None:
            raise Failed("an event was pushed on a link that is lazy")
        second.send(TreeGraft(None, two.name[-NAME_BYTES:]))
        must_pass(second, two, "an event that was asked for with TREE_GRAFT")
        three = after(author, two, story(b"three"))
        witness.send(IHave(three.name[-NAME_BYTES:] + b"\x01"))
        if witness.wait(TreeGraft, lambda graft: three.name[-NAME_BYTES:] in _parts(graft.names)) is None:
            raise Failed("an unknown event that was announced was not asked for with TREE_GRAFT")
        witness.send(three.gossip())
        must_pass(sender, three, "an event that had been announced")
    return "TREE_PRUNE for a duplicate, then IHAVE; GOSSIP for TREE_GRAFT; TREE_GRAFT for IHAVE of an unknown name"


def _names(ihave: IHave) -> list[bytes]:
    size = NAME_BYTES + 1
    return [ihave.entries[at : at + NAME_BYTES] for at in range(0, len(ihave.entries), size)]


def _parts(names: bytes) -> list[bytes]:
    return [names[at : at + NAME_BYTES] for at in range(0, len(names), NAME_BYTES)]
