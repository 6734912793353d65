"""What others send: placed behind its parent, kept waiting, refused with a reason; forks, erasure, quotas, bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.clock import MINUTE, SECOND
from protocol.effects import EventAccepted, ForkProven, PayloadErased, StoreEvents
from protocol.errors import DecodeError, Reason, RemoteProtocolError, SignatureError
from protocol.ids import EventId
from protocol.ledger.values import QUOTAS, Frontier, LedgerConfig, NeedKeys, Quota, Say, Spread, Standing
from protocol.limits import HEADS_MAX
from protocol.rng import Rng
from protocol.wire.events import (
    OPENING,
    STOLEN,
    AuthorHeads,
    Event,
    EventRecord,
    Fork,
    Heads,
    Payload,
    WantEvents,
)
from tests.unit.protocol.ledger_rig import ADA, BOB, CYD, DAY, SALT, Author, Hub, Net, state
from tests.unit.protocol.people import person


def reader(**more: object) -> Hub:
    """Bob's hub, which knows Ada's key and has Cyd as a neighbor."""
    bob = Hub(BOB, **more)  # type: ignore[arg-type]
    bob.meet(ADA)
    bob.do(bob.ledger.link_up(CYD.author, 0))
    bob.sent.clear()
    return bob


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


# --- erasure ------------------------------------------------------------------------------------------------------


def test_a_withdrawal_erases_payload_and_salt_and_what_is_erased_never_comes_back() -> None:
    bob = reader()
    ada = Author(ADA)
    story = ada.story("regretted")
    withdrawal = ada.withdraw(story)
    bob.hears(CYD.author, ada.message(story))
    assert bob.held(ADA.author) == [story.id]
    bob.hears(CYD.author, ada.message(withdrawal))
    assert bob.held(ADA.author) == [withdrawal.id]
    assert bob.of(PayloadErased) == [PayloadErased(story)]
    bob.hears(CYD.author, ada.message(story))
    assert bob.refusals() == [Reason.PAYLOAD_UNWANTED]
    assert bob.disk.events[story.id].payload is None
    assert len(bob.ledger.frontier()) == 1
    assert bob.ledger.wanted_payloads() == []
    again = Hub(BOB, disk=bob.disk, boot=2, known=bob.known)
    again.hears(CYD.author, ada.message(story))
    assert again.disk.events[story.id].payload is None
    assert again.refusals() == [Reason.PAYLOAD_UNWANTED]


def test_a_withdrawal_that_comes_before_its_story_holds_as_well() -> None:
    bob = reader()
    ada = Author(ADA)
    root, story = ada.story("root"), ada.story("regretted")
    withdrawal = Author(ADA, root)
    early = withdrawal.withdraw(story)
    for author, event in ((ada, root), (withdrawal, early), (ada, story)):
        bob.hears(CYD.author, author.message(event))
    assert story.id not in bob.held(ADA.author)
    assert bob.disk.events[story.id].payload is None


def test_an_erasure_that_the_disk_refuses_is_tried_until_it_is_done() -> None:
    bob = reader()
    ada = Author(ADA)
    story = ada.story("regretted")
    bob.hears(CYD.author, ada.message(story))
    bob.utc_offset_ms = DAY * 1_000
    withdrawal = ada.message(ada.withdraw(story))
    bob.full = True
    bob.hears(CYD.author, withdrawal)
    assert bob.disk.events[story.id].payload is not None
    bob.pass_time(20 * SECOND)
    bob.full = False
    bob.pass_time(40 * SECOND)
    assert bob.disk.events[story.id].payload is None


def test_nobody_takes_back_what_another_has_told() -> None:
    bob = reader()
    bob.meet(CYD)
    ada, cyd = Author(ADA), Author(CYD)
    story = ada.story()
    bob.hears(CYD.author, ada.message(story))
    bob.hears(CYD.author, cyd.message(cyd.withdraw(story)))
    assert bob.held(ADA.author) == [story.id]


def test_without_a_date_what_may_have_expired_is_neither_shown_nor_erased() -> None:
    bob = reader()
    ada = Author(ADA)
    story = ada.story(expires=DAY)
    bob.hears(CYD.author, ada.message(story))
    (entry,) = bob.ledger.entries(ADA.author)
    assert entry.held
    assert not bob.ledger.may_show(entry)
    bob.do(bob.ledger.dated((DAY - 10) * 1_000, 0))
    assert bob.ledger.may_show(entry)
    bob.do(bob.ledger.dated((DAY + 10) * 1_000, 0))
    assert bob.held(ADA.author) == []
    assert bob.disk.events[story.id].payload is None


# --- bases --------------------------------------------------------------------------------------------------------


def test_a_checkpoint_stands_without_its_parents_and_counts_when_all_that_it_keeps_is_here() -> None:
    bob = reader()
    ada = Author(ADA)
    kept, lost = ada.story("kept"), ada.story("let go")
    base, after = ada.checkpoint(kept), ada.story("after")
    bob.hears(CYD.author, ada.message(after))
    bob.hears(CYD.author, ada.message(base))
    assert bob.events(ADA.author) == [base, after]
    assert bob.ledger.frontier() == ()
    bob.hears(CYD.author, ada.message(lost))
    assert bob.refusals() == [Reason.BEFORE_BASE]
    bob.hears(CYD.author, ada.message(kept))
    assert [head.event for head in bob.ledger.frontier()] == [after.id]


def test_a_checkpoint_lets_go_what_it_does_not_keep_on_disk_as_well() -> None:
    bob = reader()
    ada = Author(ADA)
    stories = [ada.story(f"{number}") for number in range(4)]
    base = ada.checkpoint(stories[1])
    for event in (*stories, base):
        bob.hears(CYD.author, ada.message(event))
    assert bob.events(ADA.author) == [stories[1], base]
    assert sorted(bob.disk.events) == sorted([stories[1].id, base.id])
    assert bob.ledger.statistics().bytes == stories[1].payload_size + base.payload_size


def test_a_checkpoint_without_its_payload_is_asked_for_and_a_broken_one_is_refused() -> None:
    bob = reader()
    ada = Author(ADA)
    base = ada.checkpoint()
    bob.hears(CYD.author, ada.message(base, whole=False))
    assert [type(message) for _, message in bob.sent] == [WantEvents]
    assert bob.events(ADA.author) == []
    broken = ada.event(5, b"\x92\xc4\x01\x00\xc4\x00")
    bob.hears(CYD.author, ada.message(broken))
    early = ada.checkpoint(kind=STOLEN)
    bob.hears(CYD.author, ada.message(early))
    assert bob.refusals() == [Reason.BAD_CONTENT, Reason.BAD_CONTENT]


def test_a_restart_gives_the_same_ledger() -> None:
    bob = reader()
    ada = Author(ADA)
    events = [ada.story(f"{number}") for number in range(3)]
    events += [ada.withdraw(events[2]), ada.checkpoint(events[0], events[1]), ada.story("after")]
    clone = Author(ADA, ada.last)
    events += [ada.story("one"), clone.story("other")]
    for event in events:
        bob.hears(CYD.author, Author(ADA, payloads=ada.payloads | clone.payloads).message(event))
    again = Hub(BOB, disk=bob.disk, boot=2, known=bob.known)
    assert state(again, ADA.author) == state(bob, ADA.author)
    assert again.ledger.statistics().bytes == bob.ledger.statistics().bytes


def test_what_has_rotted_on_the_disk_is_left_out_and_comes_again_from_a_neighbor() -> None:
    bob = reader()
    ada = Author(ADA)
    events = [ada.story(f"{number}") for number in range(3)]
    for event in events:
        bob.hears(CYD.author, ada.message(event))
    rotten = bob.disk.events[events[1].id]
    bob.disk.events[events[1].id] = replace(rotten, signed=rotten.signed[:-1] + b"\x09")
    bob.disk.forks[b"rotten"] = None
    again = Hub(BOB, disk=bob.disk, boot=2, known=bob.known)
    assert again.events(ADA.author) == events[:1]
    assert again.refusals() == [Reason.MALFORMED]
    for event in events:
        again.hears(CYD.author, ada.message(event))
    assert again.events(ADA.author) == events


# --- quotas and bounds --------------------------------------------------------------------------------------------

SMALL = {
    Standing.CONTACT: Quota(events=40, events_all=100, bytes=4_000, bytes_all=9_000, burst=40, per_minute=60),
    Standing.ADMITTED: Quota(events=20, events_all=60, bytes=2_000, bytes_all=5_000, burst=20, per_minute=60),
    Standing.UNKNOWN: Quota(events=5, events_all=12, bytes=100, bytes_all=300, burst=3, per_minute=60),
}


@pytest.mark.parametrize(("standing", "count"), [(Standing.CONTACT, 40), (Standing.ADMITTED, 20)])
def test_an_author_may_fill_its_quota_and_not_one_event_more(standing: Standing, count: int) -> None:
    bob = reader(config=LedgerConfig(quotas=SMALL), standing={ADA.author: standing})
    ada = Author(ADA)
    for number in range(count + 3):
        bob.hears(CYD.author, ada.message(ada.event(77, b"", seq=number + 1)))
    assert len(bob.events(ADA.author)) == count
    assert bob.refusals()[0] is Reason.QUOTA_EVENTS
    (head,) = bob.ledger.frontier()
    assert not bob.ledger.wants(replace(head, event=EventId(bytes(31) + b"\x01")), 0)


def test_an_author_who_is_too_fast_is_heard_later() -> None:
    bob = reader(config=LedgerConfig(quotas=SMALL), standing={ADA.author: Standing.UNKNOWN})
    ada = Author(ADA)
    messages = [ada.message(ada.event(77, b"")) for _ in range(5)]
    for message in messages:
        bob.hears(CYD.author, message)
    assert len(bob.events(ADA.author)) == 3
    assert Reason.QUOTA_RATE in bob.refusals()
    bob.pass_time(3 * SECOND)
    for message in messages:
        bob.hears(CYD.author, message)
    assert len(bob.events(ADA.author)) == 5


def test_a_hundred_unknown_authors_fill_their_own_corner_and_nobody_elses() -> None:
    strangers = {person(number).author: Standing.UNKNOWN for number in range(100, 200)}
    bob = reader(config=LedgerConfig(quotas=SMALL), standing={**strangers, ADA.author: Standing.CONTACT})
    for number in range(100, 200):
        bob.meet(person(number))
        stranger = Author(person(number))
        for _ in range(2):
            bob.hears(CYD.author, stranger.message(stranger.event(77, bytes(50))))
    assert bob.ledger.statistics().events == 12
    assert bob.ledger.statistics().bytes <= 300
    ada = Author(ADA)
    regretted = ada.story("regretted")
    for event in (regretted, ada.withdraw(regretted)):
        bob.hears(CYD.author, ada.message(event))
    assert len(bob.events(ADA.author)) == 2
    assert regretted.id not in bob.held(ADA.author)


def test_a_payload_beyond_the_quota_is_not_held_and_the_event_is() -> None:
    bob = reader(config=LedgerConfig(quotas=SMALL))
    ada = Author(ADA)
    event = ada.event(77, bytes(3_000))
    bob.hears(CYD.author, ada.message(event))
    assert bob.events(ADA.author) == [event]
    assert bob.held(ADA.author) == []
    assert bob.refusals() == [Reason.QUOTA_BYTES]
    assert bob.disk.events[event.id].payload is None
    (passed_on,) = [effect for effect in bob.seen if isinstance(effect, Spread)]
    assert passed_on.event.payload is None


def test_every_standing_has_a_quota_in_which_an_honest_chain_fits() -> None:
    config = LedgerConfig()
    for standing in (Standing.CONTACT, Standing.ADMITTED):
        assert QUOTAS[standing].events > 448 + config.checkpoint_count + 64


def test_a_store_that_does_not_answer_or_fails_stops_the_intake_and_nothing_is_lost() -> None:
    bob = reader()
    ada = Author(ADA)
    events = [ada.story(f"{number}") for number in range(3)]
    bob.hears(CYD.author, ada.message(events[0]))
    bob.full = True
    bob.hears(CYD.author, ada.message(events[1]))
    assert bob.events(ADA.author) == events[:1]
    bob.hears(CYD.author, ada.message(events[1]))
    assert bob.refusals() == [Reason.STORE_FAILED]
    bob.full = False
    bob.pass_time(6 * SECOND)
    for event in events[1:]:
        bob.hears(CYD.author, ada.message(event))
    assert bob.events(ADA.author) == events
    assert len(bob.disk.events) == 3


# --- what is asked of us ------------------------------------------------------------------------------------------


def test_whoever_asks_is_told_our_heads_and_then_what_it_lacks_in_order() -> None:
    bob = reader()
    ada = Author(ADA)
    events = [ada.story(f"{number}") for number in range(5)]
    for event in events:
        bob.hears(CYD.author, ada.message(event))
    bob.seen.clear()
    bob.hears(CYD.author, WantEvents((AuthorHeads(ADA.author, ((1, events[1].id),)),)))
    said = [effect.message for effect in bob.seen if isinstance(effect, Say)]
    assert said[0] == Heads((AuthorHeads(ADA.author, ((1, events[4].id),)),))
    assert said[1:] == [ada.message(event, whole=False) for event in events[2:]]


def test_questions_without_end_are_refused() -> None:
    bob = reader()
    many = tuple(AuthorHeads(person(number).author, ()) for number in range(16))
    for _ in range(70):
        bob.hears(CYD.author, WantEvents(many))
    assert set(bob.refusals()) == {Reason.QUOTA_RATE}
    assert len(bob.refusals()) == 6


def test_a_link_that_is_slow_gets_no_more_than_it_takes() -> None:
    ada = Hub(ADA)
    for number in range(100):
        ada.tell(f"{number}")
    ada.do(ada.ledger.link_up(CYD.author, 0))
    ada.seen.clear()
    ada.hears(CYD.author, WantEvents((AuthorHeads(ADA.author, ()),)))
    first = len(ada.of(Say))
    assert first < 100
    assert ada.ledger.statistics().queued == 101 - first
    ada.pass_time(SECOND)
    assert len(ada.of(Say)) == 101
    assert ada.ledger.statistics().queued == 0


def test_two_hubs_that_were_apart_hold_the_same_after_asking_each_other() -> None:
    ada, bob = Hub(ADA), Hub(BOB)
    net = Net(ada, bob)
    for number in range(20):
        ada.tell(f"a{number}")
        bob.tell(f"b{number}")
    net.link(ada, bob)
    net.reconcile()
    net.run(5 * SECOND)
    assert ada.ledger.frontier() == bob.ledger.frontier()
    assert len(ada.ledger.frontier()) == 2
    assert len(ada.held(BOB.author)) == len(bob.held(ADA.author)) == 20
