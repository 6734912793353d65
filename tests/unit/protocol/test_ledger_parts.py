"""Parts of a large payload go round before it is whole: owners, patience, offers, and what is kept for others."""

from __future__ import annotations

import pytest

from protocol.clock import SECOND
from protocol.effects import PayloadKept
from protocol.errors import Reason, RemoteProtocolError
from protocol.ids import AuthorId, EventId
from protocol.ledger.kept import KEPT_BYTES_MAX, Kept, chunks_of
from protocol.ledger.payloads import HEDGE_US
from protocol.ledger.serving import AHEAD_US, ASKED_MAX
from protocol.ledger.values import Spread
from protocol.limits import CHUNK_BYTES, CHUNKS_ASKED_MAX, PAYLOAD_BYTES_MAX
from protocol.wire import parts
from protocol.wire.events import CHECKPOINT, Chunk, EventRecord, Offer, Payload, WantPayload
from tests.unit.protocol.ledger_rig import ADA, BOB, CYD, SALT, Author, Hub
from tests.unit.protocol.people import person
from tests.unit.protocol.test_ledger_payloads import asked_of, chunk, content_of

DAN = person(44)


def hub_of(*neighbors: AuthorId, ada: tuple[AuthorId, ...] = ()) -> Hub:
    """Bob with these neighbors; Ada has named hers."""
    bob = Hub(BOB)
    bob.meet(ADA)
    bob.neighbors[ADA.author] = ada
    for peer in neighbors:
        bob.do(bob.ledger.link_up(peer, 0))
    bob.sent.clear()
    return bob


def owners_of(event: EventRecord, count: int, *owners: AuthorId) -> list[AuthorId]:
    """Who owns each chunk, as the document says (R114)."""
    listed = sorted(owners)
    return [listed[(index // max(1, count // 16) + event.id[0]) % len(listed)] for index in range(count)]


# --- the tree of a payload ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 11, 16, 33, 511, 512])
def test_every_chunk_leads_to_the_root_and_to_no_other_place(count: int) -> None:
    leaves = [parts.leaf(SALT, bytes([index % 256, index // 256])) for index in range(count)]
    tree = parts.levels(leaves)
    (root,) = tree[-1]
    for index in range(0, count, max(1, count // 8)):
        proof = parts.proof(tree, index)
        assert parts.root(leaves[index], index, count, proof) == root
        for other in {(index + 1) % count, index ^ 1, count - 1} - {index}:
            if other < count:
                assert parts.root(leaves[index], other, count, proof) != root
        assert parts.root(leaves[index], index, count, proof + bytes(32)) is None
        assert not proof or parts.root(leaves[index], index, count, proof[:-32]) is None


def test_a_payload_of_one_chunk_is_named_by_its_only_leaf() -> None:
    assert Payload(SALT, b"word").hash() == parts.leaf(SALT, b"word")
    assert Payload(SALT, b"").hash() == parts.leaf(SALT, b"")


# --- owners -------------------------------------------------------------------------------------------------------


def test_the_owner_asks_the_author_and_everybody_else_asks_the_owner_patiently() -> None:
    bob = hub_of(ADA.author, CYD.author, ada=(BOB.author, CYD.author, DAN.author))
    ada, content = Author(ADA), content_of(12 * CHUNK_BYTES)
    event = ada.event(77, content)
    bob.hears(CYD.author, ada.message(event, whole=False))
    asked = {
        (peer, index): message.patient
        for peer, message in bob.sent
        if isinstance(message, WantPayload)
        for index in range(message.first, message.first + message.count)
    }
    for index, owner in enumerate(owners_of(event, 12, BOB.author, CYD.author, DAN.author)):
        if owner == CYD.author:
            assert asked.pop((CYD.author, index)) is True
        else:
            assert asked.pop((ADA.author, index)) is False, "ours, or that of somebody who is no neighbor of ours"
    assert asked == {}


def test_who_has_no_link_to_the_author_asks_those_who_have() -> None:
    bob = hub_of(CYD.author, DAN.author)
    bob.neighbors[CYD.author] = (ADA.author, BOB.author)
    ada, content = Author(ADA), content_of(4 * CHUNK_BYTES)
    bob.hears(DAN.author, ada.message(ada.event(77, content), whole=False))
    assert list(asked_of(bob)) == [CYD.author]


def test_a_chunk_is_given_on_while_the_others_are_still_to_come() -> None:
    bob = hub_of(ADA.author, CYD.author, ada=(BOB.author, CYD.author))
    ada, content = Author(ADA), content_of(6 * CHUNK_BYTES)
    event = ada.event(77, content)
    bob.hears(ADA.author, ada.message(event, whole=False))
    mine = owners_of(event, 6, BOB.author, CYD.author).index(BOB.author)
    bob.hears(CYD.author, WantPayload(event.id, mine, 1, patient=True))
    assert [message for _, message in bob.sent if isinstance(message, Chunk)] == []
    bob.hears(ADA.author, chunk(event, content, mine))
    assert [said for said in bob.sent if isinstance(said[1], Chunk)] == [(CYD.author, chunk(event, content, mine))]
    assert bob.of(PayloadKept) == []


def test_who_is_not_patient_is_told_at_once_that_it_is_not_there() -> None:
    bob = hub_of(ADA.author, CYD.author, ada=(BOB.author, CYD.author))
    ada = Author(ADA)
    event = ada.event(77, content_of(6 * CHUNK_BYTES))
    bob.hears(ADA.author, ada.message(event, whole=False))
    bob.sent.clear()
    bob.hears(CYD.author, WantPayload(event.id, 0, 1))
    assert bob.sent == [(CYD.author, Chunk(event.id, 0, bytes(16), None))]


def test_a_patient_question_may_be_ahead_of_its_event_for_a_while() -> None:
    bob = hub_of(ADA.author, CYD.author)
    ada, content = Author(ADA), content_of(3 * CHUNK_BYTES)
    event = ada.event(77, content)
    bob.hears(CYD.author, WantPayload(event.id, 0, 3, patient=True))
    assert bob.sent == []
    bob.hears(ADA.author, ada.message(event))
    assert [said for said in bob.sent if isinstance(said[1], Chunk)] == [
        (CYD.author, chunk(event, content, index)) for index in range(3)
    ]
    stranger = EventId(bytes(32))
    bob.sent.clear()
    bob.hears(CYD.author, WantPayload(stranger, 0, 3, patient=True))
    bob.pass_time(bob.now + AHEAD_US)
    assert bob.sent == [(CYD.author, Chunk(stranger, 0, bytes(16), None))]


def test_questions_ahead_of_their_events_are_bounded() -> None:
    bob = hub_of(CYD.author)
    for number in range(ASKED_MAX + 5):
        bob.hears(CYD.author, WantPayload(EventId(number.to_bytes(32, "big")), 0, 1, patient=True))
    assert len(bob.sent) == 5, "those beyond the bound are answered at once"


def test_nobody_waits_for_what_was_withdrawn_meanwhile() -> None:
    bob = hub_of(ADA.author, CYD.author, ada=(BOB.author, CYD.author))
    ada, content = Author(ADA), content_of(6 * CHUNK_BYTES)
    event = ada.event(77, content)
    bob.hears(ADA.author, ada.message(event, whole=False))
    bob.hears(CYD.author, WantPayload(event.id, 0, 1, patient=True))
    bob.sent.clear()
    bob.hears(ADA.author, ada.message(ada.withdraw(event)))
    assert (CYD.author, Chunk(event.id, 0, bytes(16), None)) in bob.sent
    bob.hears(CYD.author, WantPayload(event.id, 0, 1, patient=True))
    assert [message.data for _, message in bob.sent if isinstance(message, Chunk)] == [None, None]


def test_an_owner_that_does_not_bring_it_is_followed_by_the_author_and_told() -> None:
    bob = hub_of(ADA.author, CYD.author, ada=(BOB.author, CYD.author))
    ada, content = Author(ADA), content_of(8 * CHUNK_BYTES)
    event = ada.event(77, content)
    bob.hears(ADA.author, ada.message(event, whole=False))
    owners = owners_of(event, 8, BOB.author, CYD.author)
    for index, owner in enumerate(owners):
        if owner == BOB.author:
            bob.hears(ADA.author, chunk(event, content, index))
    theirs = [index for index, owner in enumerate(owners) if owner == CYD.author]
    bob.sent.clear()
    bob.pass_time(HEDGE_US)
    assert asked_of(bob) == {ADA.author: theirs}, "she has nothing else to do, and one of them may bring it"
    bob.pass_time(4 * SECOND)
    assert (CYD.author, WantPayload(event.id, 0, 0)) in bob.sent, "no more of it"
    for index in theirs:
        bob.hears(ADA.author, chunk(event, content, index))
    assert bob.held(ADA.author) == [event.id]


def test_who_wants_no_more_of_it_gets_no_more_of_it() -> None:
    ada = Hub(ADA)
    for peer in (BOB, CYD):
        ada.do(ada.ledger.link_up(peer.author, 0))
    ada.write(77, content_of(40 * CHUNK_BYTES))
    ada.pass_time(SECOND)
    ada.sent.clear()
    (event,) = ada.events()
    ada.hears(CYD.author, WantPayload(event.id, 0, 16))
    ada.hears(CYD.author, WantPayload(event.id, 16, 16))
    ada.hears(CYD.author, WantPayload(event.id, 0, 0))
    given = len(ada.sent)
    ada.pass_time(ada.now + 5 * SECOND)
    assert len(ada.sent) == given


def test_who_still_owes_parts_of_what_is_whole_is_told() -> None:
    bob = hub_of(ADA.author, CYD.author, ada=(BOB.author, CYD.author))
    ada, content = Author(ADA), content_of(8 * CHUNK_BYTES)
    event = ada.event(77, content)
    bob.hears(ADA.author, ada.message(event, whole=False))
    owners = owners_of(event, 8, BOB.author, CYD.author)
    for index in [index for index, owner in enumerate(owners) if owner == BOB.author]:
        bob.hears(ADA.author, chunk(event, content, index))
    bob.pass_time(HEDGE_US)
    bob.sent.clear()
    for index in [index for index, owner in enumerate(owners) if owner == CYD.author]:
        bob.hears(ADA.author, chunk(event, content, index))
    assert bob.held(ADA.author) == [event.id]
    assert bob.sent == [(CYD.author, WantPayload(event.id, 0, 0))]


# --- offers -------------------------------------------------------------------------------------------------------


def test_an_author_offers_what_is_large_and_gives_each_neighbor_its_part() -> None:
    ada = Hub(ADA)
    peers = (BOB.author, CYD.author, DAN.author)
    for peer in peers:
        ada.do(ada.ledger.link_up(peer, 0))
    ada.pass_time(SECOND)
    ada.neighbors[ADA.author] = peers
    ada.sent.clear()
    content = content_of(12 * CHUNK_BYTES)
    ada.write(77, content)
    ada.pass_time(2 * SECOND)
    (event,) = ada.events()
    offered = [peer for peer, message in ada.sent if message == Offer(event.signed, event.sig)]
    assert offered == list(peers)
    given = [(message.index, peer) for peer, message in ada.sent if isinstance(message, Chunk)]
    assert sorted(given) == list(enumerate(owners_of(event, 12, *peers)))
    ada.sent.clear()
    ada.write(77, b"a word")
    for number in range(200):
        ada.write(77, bytes([number]))
    assert CHECKPOINT in [one.kind for one in ada.events()]
    assert [message for _, message in ada.sent if isinstance(message, Offer)] == []


def test_what_was_offered_is_not_asked_for_and_goes_on_only_with_the_tree() -> None:
    bob = hub_of(ADA.author, CYD.author, ada=(BOB.author, CYD.author))
    ada, content = Author(ADA), content_of(8 * CHUNK_BYTES)
    event = ada.event(77, content)
    bob.hears(ADA.author, Offer(event.signed, event.sig))
    assert bob.of(Spread) == []
    owners = owners_of(event, 8, BOB.author, CYD.author)
    theirs = [index for index, owner in enumerate(owners) if owner == CYD.author]
    assert asked_of(bob) == {CYD.author: theirs}
    for index, owner in enumerate(owners):
        if owner == BOB.author:
            bob.hears(ADA.author, chunk(event, content, index))
    for index in theirs:
        bob.hears(CYD.author, chunk(event, content, index))
    assert bob.held(ADA.author) == [event.id]
    message = ada.message(event, whole=False)
    assert bob.ledger.is_offered(message)
    assert not bob.ledger.is_offered(message), "once"


def test_nobody_offers_what_somebody_else_has_said() -> None:
    bob = hub_of(CYD.author)
    event = Author(ADA).event(77, content_of(8 * CHUNK_BYTES))
    with pytest.raises(RemoteProtocolError) as refused:
        bob.ledger.receive(CYD.author, Offer(event.signed, event.sig), 0)
    assert refused.value.reason is Reason.GOSSIP_MISMATCH
    assert bob.held(ADA.author) == []


def test_what_an_author_gives_of_an_event_that_nobody_has_shown_is_refused() -> None:
    bob = hub_of(ADA.author)
    content = content_of(8 * CHUNK_BYTES)
    bob.hears(ADA.author, chunk(Author(ADA).event(77, content), content, 0))
    assert bob.refusals() == [Reason.PAYLOAD_UNWANTED]


# --- what is kept -------------------------------------------------------------------------------------------------


def test_what_is_kept_for_others_is_bounded_and_the_one_last_used_stays() -> None:
    kept = Kept()
    names = [EventId(bytes([number]) * 32) for number in range(5)]
    for name in names:
        kept.keep(name, chunks_of(name, Payload(SALT, bytes(PAYLOAD_BYTES_MAX // 2))))
        assert kept.get(names[0], 0) is not None, "it is used all the time"
    assert kept.bytes <= KEPT_BYTES_MAX
    assert [name in kept for name in names] == [True, False, False, True, True]
    kept.drop(names[0])
    assert kept.get(names[0], 0) is None
    kept.keep(names[0], chunks_of(names[0], Payload(SALT, b"small")))
    assert names[0] not in kept


def test_a_window_is_not_wider_than_may_be_asked_for_at_once() -> None:
    bob = hub_of(ADA.author, ada=(BOB.author,))
    ada = Author(ADA)
    bob.hears(ADA.author, ada.message(ada.event(77, content_of(100 * CHUNK_BYTES)), whole=False))
    assert asked_of(bob) == {ADA.author: list(range(CHUNKS_ASKED_MAX))}
