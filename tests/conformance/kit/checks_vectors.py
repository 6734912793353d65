"""Checks of how vectors are received and sent on: R20, R32, R34 to R39, R41 to R43, R75."""

from __future__ import annotations

from typing import Final

from tests.conformance.kit.peers import Peer
from tests.conformance.kit.registry import check
from tests.conformance.kit.results import Failed
from tests.conformance.kit.workbench import QUIET_SECONDS, Kit
from tests.conformance.reference.crypto import sign_with_nonce
from tests.conformance.reference.keystates import Identity
from tests.conformance.reference.messages import Clock, Graft, Keys, Prune, VectorMessage, WantKeys
from tests.conformance.reference.records import Vector
from tests.conformance.reference.weather import now, sleep, utc_ms

PENDING_SECONDS: Final = 2.0
LATE_MS: Final = 2_000
PENDING_PER_LINK: Final = 64
SPACING_SECONDS: Final = 0.05
SPACING_SLACK: Final = 0.7
"""Two arrivals may lie closer than their departures."""
BAD_SIGNATURE: Final = 4
NO_RELAY_TERMS: Final = 6


def must_come(kit: Kit, peer: Peer, author: Identity, seq: int, what: str) -> VectorMessage:
    """The vector as it arrives; raises if it does not."""
    message = kit.get(peer, author, seq)
    if message is None:
        raise Failed(f"{what} was not relayed")
    return message


@check("R20", links=3)
def signed_bytes_travel_unchanged(kit: Kit) -> str:
    """What goes in comes out, for a peer's own vector and for a third author's."""
    author = kit.identity()
    with kit.links(3) as (sender, one, two):
        own, third = kit.vector(sender.identity, 3), kit.vector(author, 5)
        sender.send(own, Keys(author.key_state), third)
        for peer in (one, two):
            for who, sent in ((sender.identity, own), (author, third)):
                came = must_come(kit, peer, who, kit.number(sent)[1][2], "a vector")
                if came.signed != sent.signed:
                    raise Failed("a relayed vector has other signed bytes")
    return "two vectors left the hub on two links with the bytes they came with"


@check("R20", links=3)
def named_by_content(kit: Kit) -> str:
    """The same signed bytes under another valid signature are the same record: a duplicate, so pruned (R44)."""
    author = kit.identity()
    with kit.links(3) as (sender, other, witness):
        kit.introduce(sender, author)
        came = must_come(kit, witness, author, 1, "a vector")
        again = VectorMessage(came.signed, sign_with_nonce(author.seed, came.signed, b"another nonce"), 0)
        if again.signature == came.signature:
            raise Failed("the two signatures are equal")
        other.send(Keys(author.key_state), again)
        if other.wait(Prune, lambda prune: author.tag in prune.tags) is None:
            raise Failed("a record under a second valid signature was not taken for a duplicate")
        if kit.of(author, witness) != [1]:
            raise Failed("a record under a second valid signature was relayed again")
    return "a second valid signature made no second record"


@check("R32", links=2)
def held_already(kit: Kit) -> str:
    """Three times the same: relayed once. Again with a wrong signature: dropped, unverified."""
    with kit.links(2) as (sender, witness):
        vector = kit.vector(sender.identity)
        for _ in range(3):
            sender.send(vector)
        if not sender.alive():
            raise Failed("a repeated vector closed the link")
        must_come(kit, witness, sender.identity, 1, "a vector")
        sleep(QUIET_SECONDS)
        count = len(kit.of(sender.identity, witness))
        if count != 1:
            raise Failed(f"a vector that came three times was relayed {count} times")
        sender.send(VectorMessage(vector.signed, kit.forged(sender.identity, 1).signature, 0))
        if not sender.alive():
            raise Failed("a repeated vector was verified again, and its wrong signature closed the link")
    return "relayed once, the link kept"


@check("R34", links=2)
def older_numbers(kit: Kit) -> str:
    """Lower seq, lower boot with higher seq, the same number with another content."""
    with kit.links(2) as (sender, witness):
        me = sender.identity
        vectors = {
            "the same number": Vector(me.author, boot=5, seq=10, terms=3),
            "a lower seq": Vector(me.author, boot=5, seq=9),
            "a lower boot": Vector(me.author, boot=4, seq=99),
        }
        sender.send(kit.signed(me, Vector(me.author, boot=5, seq=10)))
        must_come(kit, witness, me, 10, "a vector")
        for name, vector in vectors.items():
            sender.send(kit.signed(me, vector))
            if not sender.alive():
                raise Failed(f"{name} closed the link")
        sleep(QUIET_SECONDS)
        if kit.of(me, witness) != [10]:
            raise Failed(f"after seq 10 of boot 5 came {kit.of(me, witness)[1:]}")
        sender.send(kit.signed(me, Vector(me.author, boot=6, seq=1)))
        must_come(kit, witness, me, 1, "a higher boot with a lower seq")
    return f"{', '.join(vectors)} dropped, the link kept; a higher boot won"


@check("R35", links=2)
def past_the_lease(kit: Kit) -> str:
    """Age equal to the lease and above it; one below it passes. Dates, if this hub is known to have one."""
    with kit.links(2) as (sender, witness):
        me, lease = sender.identity, 10_000
        for seq, age in ((11, lease), (12, lease + 1), (13, 120_000)):
            sender.send(kit.vector(me, seq, age))
            if not sender.alive():
                raise Failed(f"a vector of {age} ms with a lease of {lease} ms closed the link")
        sender.send(kit.vector(me, 4, lease - 3_000))
        must_come(kit, witness, me, 4, "a vector within its lease, after higher numbers whose lease was over,")
        if kit.of(me, witness) != [4]:
            raise Failed(f"vectors {kit.of(me, witness)} were relayed although their lease was over")
        dated = _undated_by(kit, sender, witness)
    return f"ages of {lease} ms and more dropped, the link kept; {dated}"


def _undated_by(kit: Kit, sender: Peer, witness: Peer) -> str:
    """Stamps far in the past and in the future. Only a hub that knows the date can refuse them."""
    me, shift = sender.identity, 16
    wrong = {5: utc_ms() - 600_000, 6: utc_ms() + 600_000}
    for seq, stamp in wrong.items():
        sender.send(kit.signed(me, Vector(me.author, seq=seq, hlc=stamp << shift)))
        if not sender.alive():
            raise Failed("a vector out of its time closed the link")
    sender.send(kit.signed(me, Vector(me.author, seq=7, hlc=utc_ms() << shift)))
    must_come(kit, witness, me, 7, "a vector with a date of now")
    relayed = [seq for seq in wrong if seq in kit.of(me, witness)]
    if relayed and kit.watch.dated:
        raise Failed("the hub vouches for a date and relayed a vector that is out of its time by 10 minutes")
    return "it does not know the date" if relayed else "dates 10 minutes off dropped as well"


@check("R36", links=3)
def unknown_author(kit: Kit) -> str:
    """A vector without keys: nothing leaves, WANT_KEYS comes, and with the keys the highest number leaves."""
    author = kit.identity()
    with kit.links(3) as (sender, other, witness):
        for seq in (5, 9, 7):
            sender.send(kit.vector(author, seq))
        if sender.wait(WantKeys, lambda want: author.author in want.authors) is None:
            raise Failed("a vector of an unknown author was not answered with WANT_KEYS")
        kit.stays_out(witness, author, 9, "a vector was relayed before the keys of its author had come")
        other.send(Keys(author.key_state))
        must_come(kit, witness, author, 9, "the highest pending vector, after its keys,")
        if kit.of(author, witness) != [9]:
            raise Failed(f"of pending vectors 5, 9 and 7 the hub relayed {kit.of(author, witness)}")
    return "WANT_KEYS came, and the highest of three pending vectors left after KEYS"


@check("R36", links=2)
def pending_ends(kit: Kit) -> str:
    """Keys that come a second after the 2 s find nothing to check, although other vectors began to wait meanwhile."""
    author = kit.identity()
    with kit.links(2) as (sender, witness):
        sender.send(kit.vector(author, 5))
        for _ in range(6):
            sleep((PENDING_SECONDS + 1.0) / 6)
            sender.send(kit.vector(kit.identity()))
        sender.send(Keys(author.key_state))
        if not sender.alive():
            raise Failed("KEYS of an author without a vector closed the link")
        kit.stays_out(witness, author, 5, f"a vector was still pending after {PENDING_SECONDS + 1:.0f} s")
        sender.send(kit.vector(author, 6))
        must_come(kit, witness, author, 6, "a vector after the keys had come")
    return "a vector that had waited 3 s for its keys was gone"


@check("R36", links=2)
def pending_is_bounded(kit: Kit) -> str:
    """Eighty unknown authors on one link: at most 64 of their vectors may wait."""
    authors = [kit.identity() for _ in range(80)]
    wanted = {author.author for author in authors}
    with kit.links(2) as (sender, witness):
        for start in range(0, len(authors), 16):
            sender.send(*(kit.vector(author) for author in authors[start : start + 16]))
        if not sender.alive():
            raise Failed("vectors of 80 unknown authors closed the link")
        for start in range(0, len(authors), 16):
            sender.send(*(Keys(author.key_state) for author in authors[start : start + 16]))
        if not sender.alive():
            raise Failed("80 key states closed the link")
        last = kit.identity()
        kit.introduce(sender, last)
        must_come(kit, witness, last, 1, "a vector after all of them")
        sleep(QUIET_SECONDS)
        came = {kit.number(message)[0] for _, message in witness.all(VectorMessage)} & wanted
    if not 1 <= len(came) <= PENDING_PER_LINK:
        raise Failed(f"{len(came)} of {len(authors)} vectors had waited, at most {PENDING_PER_LINK} may")
    return f"{len(came)} of {len(authors)} waited"


@check("R36", links=2)
def rotations_of_pending(kit: Kit) -> str:
    """A higher rotation than known waits for its keys; a lower one is dropped."""
    author = kit.identity(rotations=1)
    turned = author.rotated()
    other = kit.identity(rotations=1)
    with kit.links(2) as (sender, witness):
        kit.introduce(sender, author)
        must_come(kit, witness, author, 1, "a vector")
        sender.send(kit.vector(turned, 2))
        if sender.wait(WantKeys, lambda want: author.author in want.authors) is None:
            raise Failed("a vector under an unknown rotation was not answered with WANT_KEYS")
        sender.send(Keys(turned.key_state))
        must_come(kit, witness, author, 2, "a vector under a new rotation, after its keys,")
        sender.send(Keys(other.rotated().key_state), kit.vector(other, 7))
        if not sender.alive():
            raise Failed("a vector under a lower rotation closed the link")
        kit.stays_out(witness, other, 7, "a vector under a lower rotation than the known key state was relayed")
    return "a higher rotation waited for its keys, a lower one was dropped"


@check("R37", links=4)
def forged_vectors(kit: Kit) -> str:
    """A forged high number of a known author: that link ends with BYE 4, the author is not silenced."""
    author = kit.identity()
    with kit.links(3) as (sender, forger, witness):
        kit.introduce(sender, author)
        must_come(kit, witness, author, 1, "a vector")
        forger.send(kit.forged(author, 2**40))
        if not forger.closes():
            raise Failed("a forged vector left its link open")
        if forger.bye != BAD_SIGNATURE:
            raise Failed(f"the link of a forged vector ended with {forger.bye}, not with BYE 4")
        sender.send(kit.vector(author, 2))
        must_come(kit, witness, author, 2, "a vector of an author in whose name a higher number was forged")
        if 2**40 in kit.of(author, witness):
            raise Failed("a forged vector was relayed")
        if not sender.alive():
            raise Failed("the honest link was closed")
    return "BYE 4, and the author's next number was relayed"


@check("R37", links=4)
def forged_while_pending(kit: Kit) -> str:
    """A forged and an honest vector wait for the same keys, on two links."""
    author = kit.identity()
    with kit.links(4) as (sender, forger, keeper, witness):
        forger.send(kit.forged(author, 100))
        sender.send(kit.vector(author, 5))
        if not (forger.alive() and sender.alive()):
            raise Failed("a vector of an unknown author closed the link")
        keeper.send(Keys(author.key_state))
        must_come(kit, witness, author, 5, "the honest pending vector behind a forged one")
        if not forger.closes():
            raise Failed("the link of a forged pending vector stayed open")
        if forger.bye != BAD_SIGNATURE:
            raise Failed(f"the link of a forged pending vector ended with {forger.bye}, not with BYE 4")
        if not (sender.alive() and keeper.alive()):
            raise Failed("an honest link was closed")
    return "the forger's link ended with BYE 4, the honest pending vector was relayed"


@check("R38", links=3)
def nothing_unverified_leaves(kit: Kit) -> str:
    """Forged vectors of a known and of an unknown author never leave."""
    known, unknown = kit.identity(), kit.identity()
    with kit.links(3) as (sender, forger, witness):
        kit.introduce(sender, known)
        must_come(kit, witness, known, 1, "a vector")
        sender.send(kit.vector(unknown, 3))
        forger.send(kit.forged(known, 2))
        kit.stays_out(witness, known, 2, "a forged vector of a known author was relayed")
        kit.stays_out(witness, unknown, 3, "a vector was relayed without a key to verify it")
    return "neither a forged vector nor one without keys was relayed"


@check("R39", links=3)
def leave_to_relay(kit: Kit) -> str:
    """Terms without bit 0: not to links that are up, not to one that comes up, not on GRAFT."""
    with kit.links(2) as (sender, witness):
        me = sender.identity
        sender.send(kit.signed(me, Vector(me.author, seq=1, terms=NO_RELAY_TERMS)))
        if not sender.alive():
            raise Failed("a vector without may-relay closed the link")
        why = "a vector without may-relay was passed on"
        kit.stays_out(witness, me, 1, why)
        with kit.link() as late:
            kit.stays_out(late, me, 1, f"{why} to a link that came up later")
            late.send(Graft((me.tag,)))
            if not late.alive():
                raise Failed("GRAFT for an author without may-relay closed the link")
            kit.stays_out(late, me, 1, f"{why} on GRAFT")
        sender.send(kit.signed(me, Vector(me.author, seq=2, terms=1)))
        must_come(kit, witness, me, 2, "a vector with nothing but may-relay")
    return "kept from links that were up, that came up, and that grafted; with bit 0 alone it left"


@check("R41", links=3)
def keys_before_vectors(kit: Kit) -> str:
    """KEYS of a third author, of a peer, and of a new rotation, each before the first vector that needs them."""
    author = kit.identity(rotations=1)
    turned = author.rotated()
    with kit.links(2) as (sender, witness):
        me = sender.identity
        sender.send(kit.vector(me))
        kit.introduce(sender, author)
        must_come(kit, witness, author, 1, "a vector")
        must_come(kit, witness, me, 1, "a peer's own vector")
        kit.introduce(sender, turned, 2)
        must_come(kit, witness, author, 2, "a vector under a new rotation")
        states = {"a third author": author.key_state, "a peer": me.key_state, "a new rotation": turned.key_state}
        for name, state in states.items():
            if not witness.all(Keys, lambda keys, state=state: keys.key_state == state):  # type: ignore[misc]
                raise Failed(f"a vector came without the keys of {name}")
        with kit.link() as late:
            must_come(kit, late, author, 2, "the newest vector, to a link that came up later,")
    faults = [what for requirement, what in list(kit.watch.faults) if requirement == "R41"]
    if faults:
        raise Failed(faults[0])
    return f"keys came first for {', '.join(states)}"


@check("R42", links=3)
def age_grows(kit: Kit) -> str:
    """A vector that came with 1,000 ms is older by the time it was held, and gone when its lease ends."""
    with kit.links(2) as (sender, witness):
        me, brief = sender.identity, kit.identity()
        sender.send(kit.vector(me, 1, age_ms=1_000))
        begun = now()
        came = must_come(kit, witness, me, 1, "a vector")
        if not 1_000 <= came.age_ms <= 1_000 + kit.seconds * 1_000:
            raise Failed(f"a vector of 1,000 ms left at once with {came.age_ms} ms")
        sender.send(Keys(brief.key_state), kit.signed(brief, Vector(brief.author, lease_ms=1_000)))
        must_come(kit, witness, brief, 1, "a vector with a lease of 1 s")
        sleep(2.0)
        with kit.link() as late:
            aged = must_come(kit, late, me, 1, "the newest vector, to a link that came up later,")
            held = (now() - begun) * 1_000
            kit.stays_out(late, brief, 1, "a vector was sent after its lease had ended")
            if not 1_000 + 1_800 <= aged.age_ms <= 1_000 + held + 200:
                raise Failed(f"a vector of 1,000 ms held for up to {held:.0f} ms left with {aged.age_ms} ms")
            late.send(Graft((brief.tag,)))
            kit.stays_out(late, brief, 1, "a vector was sent on GRAFT after its lease had ended")
    return f"1,000 ms became {aged.age_ms} ms in {held:.0f} ms; an ended lease was not sent"


@check("R75", links=2)
def lateness_counts(kit: Kit) -> str:
    """A frame that says it was made 2 s before the quickest of its link came that much too late."""
    ahead = 10_000
    with kit.links(2) as (sender, witness):
        one, two = kit.identity(), kit.identity()
        begun = now()
        sender.send(Clock(ahead), Keys(one.key_state), kit.vector(one))
        prompt = must_come(kit, witness, one, 1, "a vector in the quickest frame of a link")
        since_ms = int((now() - begun) * 1_000)
        sender.send(Clock(ahead + since_ms - LATE_MS), Keys(two.key_state), kit.vector(two))
        late = must_come(kit, witness, two, 1, "a vector in a late frame")
        slack = kit.seconds * 1_000
        if prompt.age_ms > slack:
            raise Failed(f"a vector that came at once left with {prompt.age_ms} ms")
        if not LATE_MS - 100 <= late.age_ms <= LATE_MS + slack:
            raise Failed(f"a vector in a frame {LATE_MS} ms late left with {late.age_ms} ms")
    return f"a frame {LATE_MS} ms late made its vector {late.age_ms} ms old; one that was not, {prompt.age_ms} ms"


@check("R43", alone=True)
def newest_waits(kit: Kit) -> str:
    """Twenty numbers within a third of a second: the first leaves at once, the rest is thinned out.

    A busy machine can hold the first arrival back and so bring arrivals closer than departures were, but not three
    times in a row.
    """
    seen = ""
    for _ in range(3):
        with kit.links(2) as (sender, witness):
            arrivals = _twenty(kit, sender, witness)
        span = arrivals[-1] - arrivals[0]
        seen = f"{len(arrivals)} of 20 left within {span * 1_000:.0f} ms"
        if len(arrivals) < 20 and span >= (len(arrivals) - 1) * SPACING_SECONDS * SPACING_SLACK:
            return seen
    raise Failed(f"{seen}, and likewise twice before")


def _twenty(kit: Kit, sender: Peer, witness: Peer) -> list[float]:
    """When those of twenty vectors came that came at all; the newest must be the last of them."""
    me = sender.identity
    for seq in range(1, 21):
        sender.send(kit.vector(me, seq))
        sleep(0.015)
    must_come(kit, witness, me, 20, "the newest of twenty vectors")
    seqs = kit.of(me, witness)
    if seqs != sorted(set(seqs)):
        raise Failed(f"the numbers came as {seqs}")
    return [at for at, message in witness.all(VectorMessage) if kit.number(message)[0] == me.author]
