"""Checks of eager and lazy links: R44 to R47."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.conformance.kit.checks_vectors import must_come
from tests.conformance.kit.peers import Peer
from tests.conformance.kit.registry import check
from tests.conformance.kit.results import Failed
from tests.conformance.kit.workbench import QUIET_SECONDS, Kit
from tests.conformance.reference.keystates import Identity
from tests.conformance.reference.messages import Digest, Graft, Keys, Prune
from tests.conformance.reference.records import Vector
from tests.conformance.reference.weather import entropy, now, sleep

DIGEST_SECONDS: Final = 1.0
SLACK_SECONDS: Final = 1.5


def _prunes(author: Identity) -> Callable[[Prune], bool]:
    return lambda prune: author.tag in prune.tags


def _grafts(tag: bytes) -> Callable[[Graft], bool]:
    return lambda graft: tag in graft.tags


def _tells(author: Identity, seq: int) -> Callable[[Digest], bool]:
    return lambda digest: any(entry[0] == author.tag and entry[3] == seq for entry in digest.entries)


@check("R44", links=3)
def duplicates_are_pruned(kit: Kit) -> str:
    """A vector that comes back on a second link: PRUNE there, and nothing more of that author."""
    author = kit.identity()
    with kit.links(3) as (sender, second, witness):
        kit.introduce(sender, author)
        second.send(must_come(kit, second, author, 1, "a vector"))
        if second.wait(Prune, _prunes(author)) is None:
            raise Failed("a duplicate from a second link was not answered with PRUNE")
        if sender.all(Prune, _prunes(author)):
            raise Failed("the link by which the vector came first was pruned")
        sender.send(kit.vector(author, 2))
        must_come(kit, witness, author, 2, "a vector, to a link that is eager,")
        kit.stays_out(second, author, 2, "the hub pruned a link and went on pushing on it")
    return "PRUNE came on the second link, and no more of that author"


@check("R44", links=3)
def the_author_is_not_pruned(kit: Kit) -> str:
    """The author's own copy comes second: the other link is pruned."""
    with kit.links(3) as (author, relay, witness):
        me = author.identity
        vector = kit.vector(me)
        relay.send(Keys(me.key_state), vector)
        must_come(kit, witness, me, 1, "a vector")
        author.send(vector)
        if relay.wait(Prune, _prunes(me)) is None:
            raise Failed("the link that had been faster than the author was not pruned")
        if not author.alive() or author.all(Prune, _prunes(me)):
            raise Failed("the author's own link was pruned")
    return "the relay's link was pruned, not the author's"


@check("R44", links=3)
def superseded_vectors_are_pruned(kit: Kit) -> str:
    """An older number than the one held, from a second link: PRUNE there as well."""
    author = kit.identity()
    with kit.links(3) as (sender, second, witness):
        kit.introduce(sender, author, 5)
        must_come(kit, witness, author, 5, "a vector")
        second.send(Keys(author.key_state), kit.vector(author, 4))
        if second.wait(Prune, _prunes(author)) is None:
            raise Failed("a superseded vector from a second link was not answered with PRUNE")
    return "PRUNE came for a superseded number too"


@check("R45", links=2)
def prune_and_graft(kit: Kit) -> str:
    """PRUNE ends the pushing, GRAFT begins it again with the newest at once."""
    with kit.links(2) as (sender, receiver):
        me = sender.identity
        sender.send(kit.vector(me, 1))
        must_come(kit, receiver, me, 1, "a vector")
        receiver.send(Prune((me.tag, entropy(8))))
        if not receiver.alive():
            raise Failed("PRUNE closed the link")
        sender.send(kit.vector(me, 2))
        if not sender.alive():
            raise Failed("a vector closed the link")
        kit.stays_out(receiver, me, 2, "the hub went on pushing after PRUNE")
        receiver.send(Graft((me.tag, entropy(8))))
        begun = now()
        if not kit.comes(receiver, me, 2):
            raise Failed("GRAFT was not answered with the newest vector")
        seconds = now() - begun
        sleep(0.15)
        sender.send(kit.vector(me, 3))
        must_come(kit, receiver, me, 3, "a vector after GRAFT")
    return f"nothing after PRUNE, the newest {seconds * 1_000:.0f} ms after GRAFT, and pushing again"


@check("R46", links=2)
def lazy_authors_are_digested(kit: Kit) -> str:
    """A digest within about a second of a change, and again within a third of the lease of 3 s."""
    with kit.links(2) as (sender, receiver):
        me = sender.identity
        sender.send(kit.signed(me, Vector(me.author, lease_ms=5_400)))
        must_come(kit, receiver, me, 1, "a vector")
        receiver.send(Prune((me.tag,)))
        if not receiver.alive():
            raise Failed("PRUNE closed the link")
        sender.send(kit.signed(me, Vector(me.author, seq=2, lease_ms=5_400)))
        begun = now()
        if receiver.wait(Digest, _tells(me, 2), DIGEST_SECONDS + SLACK_SECONDS) is None:
            raise Failed(f"no DIGEST of a lazy author's new number within {DIGEST_SECONDS + SLACK_SECONDS:.1f} s")
        first, since = now() - begun, receiver.mark()
        begun = now()
        if receiver.wait(Digest, _tells(me, 2), 1.8 + DIGEST_SECONDS + 0.8, since) is None:
            raise Failed("no second DIGEST of the same number although a third of the lease (1.8 s) had passed")
        second = now() - begun
    return f"a digest {first:.1f} s after the change, the same again {second:.1f} s later"


@check("R47", links=2)
def grafts_when_behind(kit: Kit) -> str:
    """A digest of an unknown author, and of a known one with a higher number."""
    with kit.links(2) as (sender, teller):
        me, stranger = sender.identity, kit.identity()
        _tell_until_graft(teller, stranger, 7, "an unknown author")
        sender.send(kit.signed(me, Vector(me.author, cadence_ms=300)))
        must_come(kit, teller, me, 1, "a vector")
        _tell_until_graft(teller, me, 5, "an author it is behind with")
        teller.send(kit.vector(me, 5))
        since = teller.mark()
        teller.send(Digest(((me.tag, 0, 1, 5),)))
        sleep(0.3 + QUIET_SECONDS)
        if teller.wait(Graft, _grafts(me.tag), 0.0, since) is not None:
            raise Failed("it grafted although it is not behind")
    return "GRAFT came for an unknown author and for one with a higher number, and for no equal one"


def _tell_until_graft(teller: Peer, author: Identity, seq: int, what: str) -> None:
    """Repeat the digest as a hub would, each 0.7 s, until GRAFT comes."""
    since = teller.mark()
    for _ in range(6):
        teller.send(Digest(((author.tag, 0, 1, seq),)))
        if teller.wait(Graft, _grafts(author.tag), 0.7, since) is not None:
            return
    raise Failed(f"a digest of {what} was not answered with GRAFT in 4.2 s")


@check("R47", links=2, alone=True)
def grafts_when_the_source_goes(kit: Kit) -> str:
    """The link by which an author came is cut: GRAFT at once on the other, which had been pruned."""
    author = kit.identity()
    with kit.link() as other:
        source = kit.greet()
        kit.introduce(source, author)
        other.send(must_come(kit, other, author, 1, "a vector"))
        if other.wait(Prune, _prunes(author)) is None:
            raise Failed("a duplicate from a second link was not answered with PRUNE")
        begun, since = now(), other.mark()
        source.cut()
        if other.wait(Graft, _grafts(author.tag), since=since) is None:
            raise Failed("the source link of an author went down and no GRAFT came on the other")
        seconds = now() - begun
    return f"GRAFT came {seconds * 1_000:.0f} ms after the source link was cut"
