"""Quotas on both sides, a disk that refuses, and what neighbors are given when they ask."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.clock import SECOND
from protocol.crypto import verify
from protocol.errors import Reason, RemoteProtocolError
from protocol.ids import EventId
from protocol.ledger.quotas import Quotas
from protocol.ledger.values import QUOTAS, Frontier, LedgerConfig, Quota, Say, Spread, Standing
from protocol.wire.events import (
    AuthorHeads,
    Fork,
    Heads,
    WantEvents,
)
from tests.unit.protocol.ledger_rig import ADA, BOB, CYD, Author, Hub, Net, reader
from tests.unit.protocol.people import person

SMALL = {
    Standing.CONTACT: Quota(events=40, events_all=100, bytes=4_000, bytes_all=9_000, burst=40, per_minute=60),
    Standing.ADMITTED: Quota(events=20, events_all=60, bytes=2_000, bytes_all=5_000, burst=20, per_minute=60),
    Standing.UNKNOWN: Quota(events=5, events_all=12, bytes=100, bytes_all=300, burst=3, per_minute=60),
}
ROOMY = {standing: replace(quota, events_all=12 * quota.events) for standing, quota in SMALL.items()}


def test_an_author_who_becomes_known_has_the_rate_of_those_who_are() -> None:
    standing = {ADA.author: Standing.UNKNOWN}
    quotas = Quotas(ROOMY, lambda author: standing[author])
    assert [quotas.admit(ADA.author, 0) for _ in range(4)] == [None, None, None, Reason.QUOTA_RATE]
    standing[ADA.author] = Standing.ADMITTED
    assert [quotas.admit(ADA.author, 0) for _ in range(17)] == [None] * 17
    assert quotas.admit(ADA.author, 0) in (Reason.QUOTA_RATE, Reason.QUOTA_EVENTS)
    standing[ADA.author] = Standing.UNKNOWN
    quotas.count(ADA.author, -20, 0)
    assert quotas.admit(ADA.author, 0) is Reason.QUOTA_RATE


@pytest.mark.parametrize(("standing", "count"), [(Standing.CONTACT, 40), (Standing.ADMITTED, 20)])
def test_an_author_may_fill_its_quota_and_not_one_event_more(standing: Standing, count: int) -> None:
    bob = reader(config=LedgerConfig(quotas=ROOMY), standing={ADA.author: standing})
    ada = Author(ADA)
    for number in range(count + 3):
        bob.hears(CYD.author, ada.message(ada.event(77, b"", seq=number + 1)))
    assert len(bob.events(ADA.author)) == count
    assert bob.refusals()[0] is Reason.QUOTA_EVENTS
    (head,) = bob.ledger.frontier()
    assert not bob.ledger.wants(replace(head, event=EventId(bytes(31) + b"\x01")), 0)


def test_a_few_who_take_all_they_can_leave_room_for_what_takes_back() -> None:
    greedy = [person(number) for number in range(100, 130)]
    bob = reader(config=LedgerConfig(quotas=SMALL))
    ada = Author(ADA)
    regretted = ada.story("regretted")
    bob.hears(CYD.author, ada.message(regretted))
    for who in greedy:
        bob.meet(who)
        author = Author(who)
        for number in range(20):
            bob.hears(CYD.author, author.message(author.event(77, b"", seq=number + 1)))
    assert bob.ledger.statistics().events <= 60 - 60 // 8
    bob.hears(CYD.author, ada.message(ada.withdraw(regretted)))
    assert regretted.id not in bob.held(ADA.author)


def test_an_author_who_is_too_fast_is_heard_later() -> None:
    bob = reader(config=LedgerConfig(quotas=ROOMY), standing={ADA.author: Standing.UNKNOWN})
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
    assert 0 < bob.ledger.statistics().events <= 12
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


def test_what_was_stored_after_a_batch_that_failed_does_not_stay_on_the_disk_without_its_parent() -> None:
    bob = reader(answers=False)
    ada = Author(ADA)
    one, two = ada.story("one"), ada.story("two")
    bob.hears(CYD.author, ada.message(one))
    bob.hears(CYD.author, ada.message(two))
    first, second = bob.orders
    bob.orders.clear()
    bob.do(bob.ledger.store_failed(first.ticket, "no space left on device", bob.now))
    bob.disk.do(second)
    bob.do(bob.ledger.stored(second.ticket, bob.now))
    assert bob.events(ADA.author) == []
    bob.answers = True
    bob.pass_time(6 * SECOND)
    assert bob.disk.events == {}
    for event in (one, two):
        bob.hears(CYD.author, ada.message(event))
    assert [head.event for head in bob.ledger.frontier()] == [two.id]
    assert len(bob.disk.events) == 2


def test_an_author_whose_only_events_were_not_stored_is_said_to_be_gone() -> None:
    bob = reader()
    bob.full = True
    ada = Author(ADA)
    bob.hears(CYD.author, ada.message(ada.story("one")))
    assert [effect.gone for effect in bob.of(Frontier) if isinstance(effect, Frontier)] == [(ADA.author,)]
    assert not bob.ledger.holds(ADA.author)


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


def test_a_neighbor_makes_us_check_so_many_signatures_and_others_have_their_own_budget() -> None:
    bob = reader(config=LedgerConfig(checks_burst=3, checks_per_second=1))
    ada = Author(ADA)
    events = [ada.story(f"story {number}") for number in range(6)]
    for event in events[:4]:
        bob.hears(CYD.author, ada.message(event))
    assert bob.refusals() == [Reason.VERIFY_BUDGET]
    for event in events[3:6]:
        bob.hears(ADA.author, ada.message(event))
    assert len(bob.events(ADA.author)) == 6, "what one neighbor could not bring, another does"


def test_a_replay_of_what_is_refused_costs_its_sender_its_own_budget_and_no_more() -> None:
    checks = [0]

    def counted(key: bytes, signed: bytes, sig: bytes) -> bool:
        checks[0] += 1
        return verify(key, signed, sig)

    bob = reader(config=LedgerConfig(checks_burst=10, checks_per_second=2), verifier=counted)
    ada = Author(ADA)
    first = ada.story("first")
    bob.hears(CYD.author, ada.message(first))
    broken = Author(ADA, first).story("of an earlier incarnation", incarnation=7)
    fork = Fork((first.signed, first.sig), (broken.signed, broken.sig))
    for _ in range(50):
        bob.hears(CYD.author, ada.message(broken))
    assert (checks[0], bob.refusals().count(Reason.VERIFY_BUDGET)) == (10, 41)
    bob.hears(CYD.author, fork)
    assert checks[0] == 10
    bob.pass_time(bob.now + SECOND)
    with pytest.raises(RemoteProtocolError):
        bob.ledger.receive(CYD.author, fork, bob.now)
    assert checks[0] == 12
    bob.pass_time(bob.now + 10 * SECOND)
    bob.hears(CYD.author, ada.message(Author(ADA, first).story("second")))
    assert len(bob.events(ADA.author)) == 2, "an honest word is heard as soon as there is room again"
