"""What is withdrawn or has expired is gone for good; a base lets go what it does not name; a restart alters nothing."""

from __future__ import annotations

from dataclasses import replace

from protocol.clock import SECOND
from protocol.effects import PayloadErased
from protocol.errors import Reason
from protocol.wire.events import (
    GLITCH,
    GLITCH_S,
    STOLEN,
    WantEvents,
)
from tests.unit.protocol.ledger_rig import ADA, BOB, CYD, DAY, Author, Hub, reader, state


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


def test_what_says_who_was_where_goes_two_weeks_after_it_came_though_nobody_knows_the_date() -> None:
    bob = reader()
    ada = Author(ADA)
    undated, dated = ada.event(GLITCH, b"seen"), ada.event(GLITCH, b"seen again", hlc=DAY * 1_000 << 16)
    for event in (undated, dated):
        bob.hears(CYD.author, ada.message(event))
    bob.pass_time(GLITCH_S * SECOND - SECOND)
    assert bob.held(ADA.author) == [undated.id, dated.id]
    bob.pass_time((GLITCH_S + 61) * SECOND)
    assert [bob.disk.events[event.id].payload for event in (undated, dated)] == [None, None]
    assert bob.of(PayloadErased) == [PayloadErased(undated), PayloadErased(dated)]
    assert bob.ledger.wanted_payloads() == []
    bob.hears(CYD.author, ada.message(undated))
    assert bob.disk.events[undated.id].payload is None


def test_what_says_who_was_where_without_a_date_does_not_outlast_a_start_and_is_not_fetched_again() -> None:
    bob = reader()
    ada = Author(ADA)
    undated, dated = ada.event(GLITCH, b"seen"), ada.event(GLITCH, b"seen again", hlc=DAY * 1_000 << 16)
    for event in (undated, dated):
        bob.hears(CYD.author, ada.message(event))
    again = Hub(BOB, disk=bob.disk, boot=2, known=bob.known)
    assert again.held(ADA.author) == [dated.id]
    assert again.disk.events[undated.id].payload is None
    again.do(again.ledger.link_up(CYD.author, 0))
    again.hears(CYD.author, ada.message(undated))
    assert again.ledger.wanted_payloads() == []
    assert again.disk.events[undated.id].payload is None


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
