"""What others send: placed behind its parent, kept waiting, refused with a reason; and proofs of forks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.clock import MINUTE
from protocol.effects import EventAccepted, ForkProven, StoreEvents
from protocol.errors import DecodeError, Reason, RemoteProtocolError, SignatureError
from protocol.ledger.values import Frontier, LedgerConfig, NeedKeys, Spread
from protocol.limits import HEADS_MAX
from protocol.rng import Rng
from protocol.wire.events import (
    OPENING,
    AuthorHeads,
    Event,
    EventRecord,
    Fork,
    Payload,
    WantEvents,
)
from tests.unit.protocol.ledger_rig import ADA, BOB, CYD, SALT, Author, Hub, reader, state
from tests.unit.protocol.people import person


def proof(one: EventRecord, other: EventRecord) -> Fork:
    """The two as a proof."""
    return Fork((one.signed, one.sig), (other.signed, other.sig))


def test_an_event_is_passed_on_at_once_and_counts_when_it_is_stored() -> None:
    bob = reader(answers=False)
    ada = Author(ADA)
    bob.hears(CYD.author, ada.message(ada.story()))
    assert len(bob.of(Spread)) == 1
    assert bob.ledger.frontier() == ()
    assert bob.of(EventAccepted) == bob.of(Frontier) == []
    bob.answer()
    assert len(bob.ledger.frontier()) == len(bob.of(Frontier)) == len(bob.of(EventAccepted)) == 1


def test_a_later_event_stored_before_its_parent_is_not_in_the_frontier() -> None:
    bob = reader(answers=False)
    ada = Author(ADA)
    for _ in range(2):
        bob.hears(CYD.author, ada.message(ada.story()))
    first, second = bob.orders
    bob.orders.clear()
    bob.do(bob.ledger.stored(second.ticket, 0))
    assert bob.ledger.frontier() == ()
    bob.do(bob.ledger.stored(first.ticket, 0))
    assert [head.event for head in bob.ledger.frontier()] == [second.events[0].id]


def test_an_event_whose_parent_is_missing_waits_and_the_parent_is_asked_for_once() -> None:
    bob = reader()
    ada = Author(ADA)
    first, second, third = ada.story("1"), ada.story("2"), ada.story("3")
    bob.hears(CYD.author, ada.message(third))
    bob.hears(CYD.author, ada.message(second))
    asked = [message for _, message in bob.sent if isinstance(message, WantEvents)]
    assert asked == [WantEvents((AuthorHeads(ADA.author, ()),))]
    assert bob.events(ADA.author) == []
    assert bob.ledger.statistics().waiting == 2
    bob.hears(CYD.author, ada.message(first))
    assert bob.events(ADA.author) == [first, second, third]
    assert bob.ledger.statistics().waiting == 0


def test_what_waits_for_a_parent_that_never_comes_goes_after_a_minute() -> None:
    bob = reader()
    ada = Author(ADA)
    ada.story("never sent")
    bob.hears(CYD.author, ada.message(ada.story()))
    bob.pass_time(2 * MINUTE)
    assert bob.ledger.statistics().waiting == 0
    assert bob.refusals() == [Reason.PENDING_LIMIT]


def test_the_waiting_room_is_bounded_by_author_and_by_peer() -> None:
    bob = reader(config=LedgerConfig(waiting_author_max=5, waiting_peer_max=8))
    cyd = Author(CYD)
    bob.meet(CYD)
    for who in (Author(ADA), cyd):
        who.story("never sent")
        for number in range(9):
            bob.hears(CYD.author, who.message(who.story(f"{number}")))
    assert bob.ledger.statistics().waiting == 8
    bob.hears(BOB.author, cyd.message(cyd.story("another peer has room")))
    assert bob.ledger.statistics().waiting == 9


def test_an_event_of_an_unknown_author_waits_for_the_key() -> None:
    bob = Hub(BOB)
    ada = Author(ADA)
    event = ada.story()
    bob.hears(CYD.author, ada.message(event))
    assert bob.of(NeedKeys) == [NeedKeys(CYD.author, ADA.author)]
    assert bob.events(ADA.author) == []
    bob.meet(ADA)
    bob.do(bob.ledger.keys_learnt(ADA.author, 0))
    assert bob.events(ADA.author) == [event]


def test_a_wrong_signature_found_when_the_key_comes_is_refused_then() -> None:
    bob = Hub(BOB)
    ada = Author(ADA)
    event = ada.story()
    bob.hears(CYD.author, Event(event.signed, bytes(64), None))
    bob.meet(ADA)
    bob.do(bob.ledger.keys_learnt(ADA.author, 0))
    assert bob.refusals() == [Reason.BAD_SIGNATURE]
    assert bob.events(ADA.author) == []


def test_more_unknown_events_than_a_peer_may_leave_here_are_refused() -> None:
    bob = Hub(BOB, config=LedgerConfig(waiting_peer_max=2))
    ada = Author(ADA)
    for number in range(3):
        bob.hears(CYD.author, ada.message(ada.story(f"{number}")))
    assert bob.refusals() == [Reason.UNKNOWN_AUTHOR]


def test_a_bad_signature_or_anothers_payload_is_the_peers_fault_and_changes_nothing() -> None:
    bob = reader()
    ada = Author(ADA)
    event = ada.story()
    with pytest.raises(SignatureError) as forged:
        bob.ledger.receive(CYD.author, Event(event.signed, bytes(64), None), 0)
    assert forged.value.reason is Reason.BAD_SIGNATURE
    with pytest.raises(RemoteProtocolError) as mixed:
        bob.ledger.receive(CYD.author, Event(event.signed, event.sig, Payload(SALT, b"other")), 0)
    assert mixed.value.reason is Reason.PAYLOAD_MISMATCH
    assert bob.events(ADA.author) == []
    assert bob.disk.events == {}


def test_an_event_of_another_mesh_is_no_event() -> None:
    bob = reader()
    event = Author(ADA).story()
    other = event.signed.replace(b"trio.event", b"trio.other")
    with pytest.raises(DecodeError) as refused:
        bob.ledger.receive(CYD.author, Event(other, event.sig, None), 0)
    assert refused.value.reason is Reason.WRONG_DOMAIN


@pytest.mark.parametrize(
    "changed",
    [
        {"seq": 3},
        {"incarnation": 2},
        {"kind": OPENING, "content": None},
        {"rotation": 0, "last": "rotated"},
    ],
)
def test_an_event_that_does_not_follow_its_parent_is_refused(changed: dict[str, object]) -> None:
    bob = reader()
    rotated = person(11, 1)
    bob.meet(rotated)
    ada = Author(rotated if changed.pop("last", None) else ADA)
    bob.hears(CYD.author, ada.message(ada.story()))
    wrong = Author(ADA, ada.last)
    event = wrong.event(**({"kind": 77} | changed))  # type: ignore[arg-type]
    bob.hears(CYD.author, wrong.message(event))
    assert bob.refusals() == [Reason.CHAIN_BROKEN]


def test_the_same_event_again_changes_nothing() -> None:
    bob = reader()
    ada = Author(ADA)
    message = ada.message(ada.story())
    bob.hears(CYD.author, message)
    before = state(bob, ADA.author)
    bob.seen.clear()
    bob.hears(CYD.author, message)
    bob.hears(CYD.author, replace(message, payload=None))
    assert state(bob, ADA.author) == before
    assert bob.of(StoreEvents) == bob.of(Spread) == []
    assert bob.refusals() == [Reason.PAYLOAD_UNWANTED, Reason.DUPLICATE]


# --- forks --------------------------------------------------------------------------------------------------------


def test_two_events_of_one_seq_are_a_proof_that_spreads_and_both_branches_are_kept() -> None:
    bob = reader()
    ada = Author(ADA)
    root = ada.story("root")
    one = ada.story("one")
    clone = Author(ADA, root)
    other = clone.story("other")
    for author, event in ((ada, root), (ada, one), (clone, other)):
        bob.hears(CYD.author, author.message(event))
    (proven,) = bob.of(ForkProven)
    assert isinstance(proven, ForkProven)
    assert proven.author == ADA.author
    assert (CYD.author, proven.fork) in bob.sent
    assert len(bob.disk.forks) == 1
    assert len(bob.ledger.frontier()) == 2
    assert bob.ledger.has_forked(ADA.author)
    cyd = Hub(CYD)
    cyd.meet(ADA)
    cyd.hears(BOB.author, proven.fork)
    assert cyd.of(ForkProven) == [proven]
    assert cyd.events(ADA.author) == []
    cyd.hears(BOB.author, proven.fork)
    assert cyd.refusals() == [Reason.DUPLICATE]
    merged = ada.story("both are mine", heads=(other.id,))
    bob.hears(CYD.author, ada.message(merged))
    assert not bob.ledger.has_forked(ADA.author)
    assert len(bob.ledger.frontier()) == 1


def test_two_openings_from_one_event_are_a_proof_and_an_opening_beside_a_lost_tail_is_none() -> None:
    bob = reader()
    ada = Author(ADA)
    root, tail = ada.story("root"), ada.story("tail")
    restored, again = Author(ADA, root), Author(ADA, root)
    opening = restored.event(OPENING, None, incarnation=2)
    for event in (root, tail, opening):
        bob.hears(CYD.author, ada.message(event))
    assert bob.of(ForkProven) == []
    bob.hears(CYD.author, again.message(again.event(OPENING, None, incarnation=3)))
    assert len(bob.of(ForkProven)) == 1


def test_a_proof_that_proves_nothing_is_the_peers_fault() -> None:
    bob = reader()
    ada, cyd = Author(ADA), Author(CYD)
    bob.meet(CYD)
    one, two = ada.story("one"), ada.story("two")
    for fork in (proof(one, one), proof(one, two), proof(one, cyd.story("another author"))):
        with pytest.raises(RemoteProtocolError) as refused:
            bob.ledger.receive(CYD.author, fork, 0)
        assert refused.value.reason is Reason.NOT_A_FORK
    with pytest.raises(SignatureError):
        bob.ledger.receive(CYD.author, Fork((one.signed, one.sig), (two.signed, bytes(64))), 0)


def test_a_proof_about_somebody_unknown_is_asked_after_and_blames_nobody() -> None:
    bob = Hub(BOB)
    one, two = Author(ADA).story("one"), Author(ADA).story("two")
    bob.hears(CYD.author, proof(one, two))
    assert bob.refusals() == [Reason.UNKNOWN_AUTHOR]
    assert bob.of(NeedKeys) != []


def test_proofs_outlive_a_restart_and_whoever_asks_about_the_author_is_told() -> None:
    bob = reader()
    one, two = Author(ADA), Author(ADA)
    for author in (one, two):
        bob.hears(CYD.author, author.message(author.story(str(id(author)))))
    again = Hub(BOB, disk=bob.disk, boot=2, known=bob.known)
    assert again.ledger.has_forked(ADA.author)
    again.do(again.ledger.link_up(CYD.author, 0))
    again.hears(CYD.author, WantEvents((AuthorHeads(ADA.author, ()),)))
    assert any(isinstance(message, Fork) for _, message in again.sent)


def test_no_more_than_eight_branches_are_kept_and_hubs_that_kept_others_say_the_same() -> None:
    branches = [Author(ADA) for _ in range(HEADS_MAX + 3)]
    messages = [author.message(author.story(f"{number}")) for number, author in enumerate(branches)]
    frontiers = []
    for seed in range(3):
        bob = reader()
        Rng(seed).shuffle(messages)
        for message in messages:
            bob.hears(CYD.author, message)
        assert len(bob.events(ADA.author)) == HEADS_MAX
        assert bob.refusals() == [Reason.BRANCH_LIMIT] * 3
        frontiers.append(bob.ledger.frontier())
    assert frontiers[0] == frontiers[1] == frontiers[2] != ()
