"""Our own chain: stored before it leaves, guarded after a start, kept short by checkpoints."""

from __future__ import annotations

import pytest

from protocol.clock import MINUTE, SECOND
from protocol.effects import EventAccepted, EventWritten, ForkProven, StoreEvents, WriteRefused
from protocol.errors import Reason
from protocol.inputs import WriteEvent
from protocol.ledger.values import LedgerConfig, Spread
from protocol.limits import NAMED_MAX
from protocol.wire import contents
from protocol.wire.events import (
    CHECKPOINT,
    FOR_SELF,
    OPENING,
    PROFILE,
    STOLEN,
    STORY,
    WITHDRAWAL,
)
from tests.unit.protocol.ledger_rig import ADA, BOB, CYD, DAY, SALT, Author, Hub, Net
from tests.unit.protocol.people import person


def refused(hub: Hub) -> list[Reason]:
    """Why writes were refused."""
    return [effect.reason for effect in hub.seen if isinstance(effect, WriteRefused)]


def kinds(hub: Hub) -> list[int]:
    """The kinds of our own events, oldest first."""
    return [event.kind for event in hub.events()]


def test_an_event_of_ours_leaves_and_counts_only_after_it_is_stored() -> None:
    ada = Hub(ADA, answers=False)
    request = ada.tell("it rained")
    assert [type(effect) for effect in ada.seen if not isinstance(effect, EventWritten)][-1] is not Spread
    assert ada.of(Spread) == []
    assert ada.ledger.frontier() == ()
    assert ada.events() == []
    assert [order.own for order in ada.orders] == [True]
    ada.answer()
    (event,) = ada.events()
    assert EventWritten(request, event) in ada.seen
    assert EventAccepted(event, own=True) in ada.seen
    assert [head.event for head in ada.ledger.frontier()] == [event.id]
    assert [effect.record for effect in ada.seen if isinstance(effect, Spread)] == [event]


def test_what_is_written_while_the_disk_is_busy_goes_there_as_one_batch() -> None:
    ada = Hub(ADA, answers=False)
    for number in range(4):
        ada.tell(f"story {number}")
    assert len(ada.orders) == 1
    first = ada.orders.pop()
    ada.disk.do(first)
    ada.do(ada.ledger.stored(first.ticket, 0))
    assert [len(order.events) for order in ada.orders] == [3]
    ada.answer()
    assert [event.seq for event in ada.events()] == [1, 2, 3, 4]


def test_a_full_disk_refuses_with_a_sentence_and_writing_goes_on_when_there_is_room() -> None:
    ada, bob = Hub(ADA), Hub(BOB)
    net = Net(ada, bob)
    net.link(ada, bob)
    ada.tell("before")
    ada.full = True
    ada.tell("lost")
    assert refused(ada) == [Reason.STORE_FAILED]
    ada.tell("too soon")
    assert refused(ada) == [Reason.STORE_FAILED, Reason.STORE_FAILED]
    ada.full = False
    ada.pass_time(6 * SECOND)
    ada.tell("after")
    net.run()
    assert kinds(ada) == [STORY, OPENING, STORY] == [event.kind for event in bob.events(ada.author)]
    assert [event.incarnation for event in ada.events()] == [1, 2, 2]
    assert ada.of(ForkProven) == bob.of(ForkProven) == []
    assert len(ada.disk.events) == 3, "what was refused is not on the disk either"


def test_a_disk_that_fails_again_and_again_never_makes_two_openings_from_one_event() -> None:
    ada = Hub(ADA)
    ada.tell("before")
    every: dict[bytes, None] = {}
    for number in range(1, 6):
        ada.seen.clear()
        ada.full = True
        ada.tell(f"try {number}")
        every |= {one.signed: None for o in ada.seen if isinstance(o, StoreEvents) for one in o.events}
        ada.full = False
        ada.pass_time(number * 10 * SECOND)
    assert len(every) == 2, "the story that failed first, and one and the same opening"


def test_the_very_first_event_of_a_new_author_waits_for_nobody() -> None:
    ada = Hub(ADA)
    ada.tell("hello")
    assert kinds(ada) == [STORY]
    assert ada.events()[0].prev is None


def test_after_a_restart_nothing_is_signed_before_somebody_was_asked() -> None:
    ada = Hub(ADA)
    ada.tell("one")
    bob = Hub(BOB)
    again = Hub(ADA, disk=ada.disk, boot=2)
    net = Net(again, bob)
    again.tell("two")
    assert len(again.events()) == 1
    assert again.ledger.statistics().guarded
    net.link(again, bob)
    net.run(3 * SECOND)
    assert kinds(again) == [STORY, STORY], "bob knew of nothing later, so the same incarnation goes on"
    assert [event.incarnation for event in again.events()] == [1, 1]


def test_alone_a_restarted_hub_opens_a_new_incarnation_after_a_while() -> None:
    ada = Hub(ADA)
    ada.tell("one")
    again = Hub(ADA, disk=ada.disk, boot=2)
    again.tell("two")
    again.pass_time(9 * SECOND)
    assert kinds(again) == [STORY]
    again.pass_time(11 * SECOND)
    assert kinds(again) == [STORY, OPENING, STORY]


def test_a_hub_that_has_lost_everything_takes_its_own_words_back_from_its_neighbor() -> None:
    ada, bob = Hub(ADA), Hub(BOB)
    net = Net(ada, bob)
    net.link(ada, bob)
    backup = ada.disk.copy()
    for number in range(5):
        ada.tell(f"story {number}")
        if number == 1:
            backup = ada.disk.copy()
    net.run()
    restored = Hub(ADA, disk=backup, boot=3, restored=True, now=ada.now)
    bob.do(bob.ledger.link_down(ada.author, bob.now))
    second = Net(restored, bob)
    restored.tell("after the restore")
    second.link(restored, bob)
    second.run(5 * SECOND)
    assert kinds(restored) == [STORY] * 5 + [OPENING, STORY]
    assert restored.events() == bob.events(ada.author)
    assert restored.of(ForkProven) == bob.of(ForkProven) == [], "an honest restore is not punished"
    assert len(restored.held(ada.author)) == 6, "the payloads came back as well"


def test_what_was_lost_and_comes_back_late_is_taken_in_and_is_no_fork() -> None:
    ada, bob, cyd = Hub(ADA), Hub(BOB), Hub(CYD)
    net = Net(ada, bob)
    net.link(ada, bob)
    ada.tell("one")
    backup = ada.disk.copy()
    ada.tell("two, which only bob has")
    net.run()
    restored = Hub(ADA, disk=backup, boot=2, now=ada.now)
    apart = Net(restored, cyd)
    restored.tell("two, told anew")
    restored.pass_time(restored.now + 11 * SECOND)
    bob.do(bob.ledger.link_down(ada.author, bob.now))
    later = Net(restored, bob, cyd)
    later.link(restored, bob)
    later.reconcile()
    restored.tell("three, after both")
    later.run()
    assert [event.seq for event in restored.events()] == [1, 2, 2, 3, 4]
    assert len(restored.ledger.frontier()) == 1, "the last event has taken the other branch in"
    assert restored.ledger.frontier() == bob.ledger.frontier()
    assert restored.of(ForkProven) == bob.of(ForkProven) == []
    assert apart is not later


def test_a_chain_that_grows_long_is_cut_by_a_checkpoint_that_keeps_what_counts() -> None:
    config = LedgerConfig(checkpoint_count=20)
    ada, bob = Hub(ADA, config=config), Hub(BOB, config=config)
    net = Net(ada, bob)
    net.link(ada, bob)
    for number in range(8):
        ada.write(PROFILE, contents.encode_profile(contents.Profile(f"ada {number}", "")))
        ada.tell(f"story {number}")
    withdrawn = ada.events()[1]
    ada.write(WITHDRAWAL, contents.encode_withdrawal((withdrawn.id,)))
    for number in range(8, 14):
        ada.tell(f"story {number}")
    net.run()
    events = ada.events()
    assert [event.kind for event in events].count(CHECKPOINT) == 1
    assert [event.kind for event in events].count(PROFILE) == 1, "only the newest profile is kept"
    assert withdrawn.id not in [event.id for event in events]
    assert events == bob.events(ada.author)
    assert ada.ledger.frontier() == bob.ledger.frontier()
    assert len(ada.held(ada.author)) == 15 == len(bob.held(ada.author))
    fresh = Hub(CYD, config=config, now=ada.now)
    late = Net(ada, fresh)
    late.link(ada, fresh)
    late.reconcile()
    assert fresh.events(ada.author) == events, "whoever comes later gets the checkpoint and what it keeps"


def test_a_person_is_told_before_a_checkpoint_could_not_name_everything() -> None:
    ada = Hub(ADA)
    for number in range(NAMED_MAX + 5):
        ada.tell(f"{number}")
    assert refused(ada) == [Reason.LEDGER_FULL] * 5
    ada.seen.clear()
    ada.write(WITHDRAWAL, contents.encode_withdrawal((ada.events()[-1].id,)))
    ada.tell("there is room again")
    assert refused(ada) == []


@pytest.mark.parametrize(
    ("kind", "content", "more", "reason"),
    [
        (STORY, contents.encode_story(contents.Story("hi", "en")), {"audience": 2}, Reason.UNKNOWN_AUDIENCE),
        (STORY, b"", {}, Reason.BAD_CONTENT),
        (STORY, None, {}, Reason.BAD_CONTENT),
        (PROFILE, b"\x90", {}, Reason.BAD_CONTENT),
        (OPENING, None, {}, Reason.BAD_CONTENT),
        (CHECKPOINT, contents.encode_base(contents.Base((), "")), {}, Reason.BAD_CONTENT),
        (WITHDRAWAL, b"\x91\x91\xc4\x20" + bytes(32), {}, Reason.BAD_CONTENT),
        (STOLEN, b"", {}, Reason.BAD_KEY),
        (STORY, contents.encode_story(contents.Story("hi", "en")), {"expires": 5}, Reason.BAD_CONTENT),
        (77, bytes(2_097_153), {}, Reason.BAD_CONTENT),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_changes(
    kind: int, content: bytes | None, more: dict[str, int], reason: Reason
) -> None:
    ada = Hub(ADA, utc_offset_ms=DAY * 1_000)
    ada.write(kind, content, **more)
    assert refused(ada) == [reason]
    assert ada.events() == []
    assert ada.disk.events == {}


def test_only_so_many_writes_wait_for_the_disk() -> None:
    ada = Hub(ADA, answers=False, config=LedgerConfig(writes_max=3))
    for number in range(6):
        ada.tell(f"{number}")
    assert refused(ada) == [Reason.PENDING_LIMIT] * 2


def test_what_is_for_oneself_never_leaves_while_the_chain_is_whole_everywhere() -> None:
    ada, bob = Hub(ADA), Hub(BOB)
    net = Net(ada, bob)
    net.link(ada, bob)
    ada.tell("a secret of mine", audience=FOR_SELF)
    ada.tell("for everybody")
    net.run(20 * SECOND)
    assert len(ada.held(ada.author)) == 2
    assert len(bob.held(ada.author)) == 1
    assert bob.events(ada.author) == ada.events()
    assert bob.ledger.wanted_payloads() == []


def test_a_stolen_statement_takes_back_what_the_thief_wrote_and_needs_the_next_key() -> None:
    ada, bob = Hub(ADA), Hub(BOB)
    net = Net(ada, bob)
    net.link(ada, bob)
    ada.tell("mine")
    good = ada.events()[-1]
    ada.tell("by the thief")
    net.run()
    rotated = person(11, 1)
    bob.meet(rotated)
    owner = Hub(rotated, disk=ada.disk, boot=2, now=ada.now, known=dict(ada.known))
    statement = WriteEvent(1, STOLEN, SALT, b"left in a cab", last_good=good.id)
    owner.do(owner.ledger.write(statement, owner.now))
    owner.tell("mine again")
    owner.pass_time(owner.now + 12 * SECOND)
    for event in owner.events():
        if event.rotation:
            bob.hears(CYD.author, Author(rotated, payloads=payloads(owner)).message(event))
    assert [event.kind for event in bob.events(ada.author)] == [STORY, STOLEN, STORY]
    assert bob.events(ada.author) == owner.events()
    thief = Author(ADA, last=good)
    bob.seen.clear()
    bob.hears(CYD.author, thief.message(thief.story("more lies")))
    bob.hears(CYD.author, thief.message(thief.checkpoint()))
    assert bob.refusals() == [Reason.BEFORE_BASE, Reason.BEFORE_BASE]
    ada.do(ada.ledger.link_up(CYD.author, ada.now))
    ada.meet(rotated)
    for event in owner.events():
        if event.rotation:
            ada.hears(CYD.author, Author(rotated, payloads=payloads(owner)).message(event))
    ada.seen.clear()
    ada.tell("the thief goes on")
    assert refused(ada) == [Reason.STALE_KEY_STATE]


def payloads(hub: Hub) -> dict:  # type: ignore[type-arg]
    """Every payload on a disk."""
    return {one.id: one.payload for one in hub.disk.events.values() if one.payload is not None}


def test_an_expired_story_is_erased_by_everybody_and_stays_in_the_chain() -> None:
    ada, bob = Hub(ADA, utc_offset_ms=DAY * 1_000), Hub(BOB, utc_offset_ms=DAY * 1_000)
    net = Net(ada, bob)
    net.link(ada, bob)
    ada.tell("for a minute", expires=DAY + 60)
    ada.tell("for ever")
    net.run()
    assert len(bob.held(ada.author)) == 2
    net.run(3 * MINUTE)
    assert len(bob.held(ada.author)) == len(ada.held(ada.author)) == 1
    assert [one.payload is None for one in bob.disk.events.values()] == [True, False]
    assert len(bob.events(ada.author)) == 2


def test_an_image_of_a_hub_that_never_ran_asks_for_its_own_head_before_it_signs() -> None:
    image = Hub(ADA, fresh=False)  # the author was made in an earlier run, and another copy may have lived since
    image.tell("hello")
    assert image.ledger.statistics().guarded
    assert image.events() == []
    image.pass_time(11 * SECOND)
    assert kinds(image) == [OPENING, STORY]
