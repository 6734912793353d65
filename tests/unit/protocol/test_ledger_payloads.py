"""Payloads to 2 MiB: gathered in chunks that prove themselves, from several at once, and from others when one fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.clock import SECOND
from protocol.effects import LoadPayload, PayloadKept
from protocol.errors import Reason, RemoteProtocolError
from protocol.ids import AuthorId
from protocol.inputs import PayloadLoaded
from protocol.ledger.kept import chunks_of
from protocol.ledger.serving import ASKED_MAX, CHUNKS_A_READING
from protocol.ledger.values import LedgerConfig
from protocol.limits import CHUNK_BYTES, CHUNKS_ASKED_MAX, PAYLOAD_BYTES_MAX
from protocol.rng import Rng
from protocol.wire.events import FOR_SELF, Chunk, EventMessage, EventRecord, Payload, WantPayload
from protocol.wire.parts import chunk_count
from tests.unit.protocol.ledger_rig import ADA, BOB, CYD, DAY, SALT, Author, Hub, Net
from tests.unit.protocol.people import person


def content_of(size: int) -> bytes:
    """Bytes of which no two chunks are alike."""
    return b"".join(number.to_bytes(4, "big") for number in range(-(-size // 4)))[:size]


def wanting(size: int, **more: object) -> tuple[Hub, EventRecord, bytes]:
    """Bob, who has an event of Ada's and lacks its payload; Cyd is his only neighbor."""
    bob = Hub(BOB, **more)  # type: ignore[arg-type]
    bob.meet(ADA)
    bob.do(bob.ledger.link_up(CYD.author, 0))
    bob.sent.clear()
    ada, content = Author(ADA), content_of(size)
    event = ada.event(77, content)
    bob.hears(CYD.author, ada.message(event, whole=False))
    return bob, event, content


def chunk(event: EventRecord, content: bytes, index: int) -> Chunk:
    """One chunk as it should be."""
    return chunks_of(event.id, Payload(SALT, content))[index]


def questions(hub: Hub) -> list[WantPayload]:
    """What was asked, and forget it."""
    asked = [message for _, message in hub.sent if isinstance(message, WantPayload) and message.count]
    hub.sent.clear()
    return asked


def asked_of(hub: Hub) -> dict[AuthorId, list[int]]:
    """Which chunks were asked of whom, and forget it."""
    found: dict[AuthorId, list[int]] = {}
    for peer, message in hub.sent:
        if isinstance(message, WantPayload):
            found.setdefault(peer, []).extend(range(message.first, message.first + message.count))
    hub.sent.clear()
    return found


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 300_000, PAYLOAD_BYTES_MAX])
def test_a_payload_is_gathered_whatever_order_its_chunks_come_in(size: int) -> None:
    bob, event, content = wanting(size)
    rng = Rng(size)
    chunks = chunks_of(event.id, Payload(SALT, content))
    open_ = []
    while asked := questions(bob):
        assert all(question.count <= CHUNKS_ASKED_MAX for question in asked)
        open_ += [index for question in asked for index in range(question.first, question.first + question.count)]
        rng.shuffle(open_)
        while open_ and not any(isinstance(message, WantPayload) for _, message in bob.sent):
            bob.hears(CYD.author, chunks[open_.pop()])
    assert bob.held(ADA.author) == [event.id]
    assert bob.of(PayloadKept) == [PayloadKept(event)]
    stored = bob.disk.events[event.id].payload
    assert stored is not None
    assert stored.content == content
    assert bob.ledger.wanted_payloads() == []


def test_two_hubs_bring_a_long_story_across_a_link() -> None:
    ada, bob = Hub(ADA), Hub(BOB)
    net = Net(ada, bob)
    net.link(ada, bob)
    ada.write(77, content_of(PAYLOAD_BYTES_MAX))
    net.run(5 * SECOND)
    assert bob.held(ADA.author) == [event.id for event in ada.events()]


def test_what_was_not_asked_for_is_refused() -> None:
    bob, event, content = wanting(20 * CHUNK_BYTES)
    for message in (
        chunk(event, content, 19),
        replace(chunk(event, content, 0), event=Author(ADA).story("other").id),
    ):
        bob.hears(CYD.author, message)
    bob.hears(BOB.author, chunk(event, content, 0))
    bob.hears(CYD.author, chunk(event, content, 0))
    bob.hears(CYD.author, chunk(event, content, 0))
    assert bob.refusals() == [Reason.PAYLOAD_UNWANTED] * 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"data": bytes(CHUNK_BYTES - 1)},
        {"data": bytes(CHUNK_BYTES)},
        {"salt": bytes(16)},
        {"proof": bytes(64)},
        {"proof": b""},
        {"index": 1},
    ],
)
@pytest.mark.parametrize("chunks", [1, 3])
def test_a_wrong_chunk_is_the_fault_of_who_brought_it(chunks: int, wrong: dict[str, object]) -> None:
    bob, event, content = wanting(chunks * CHUNK_BYTES)
    message = replace(chunk(event, content, 0), **wrong)  # type: ignore[arg-type]
    if message == chunk(event, content, 0) or (chunks == 1 and message.index):
        return
    with pytest.raises(RemoteProtocolError) as refused:
        bob.ledger.receive(CYD.author, message, bob.now)
    assert refused.value.reason is Reason.PAYLOAD_MISMATCH
    bob.sent.clear()
    bob.do(bob.ledger.link_up(ADA.author, bob.now))
    assert list(asked_of(bob)) == [CYD.author, ADA.author], "no more of the one, all of the other"
    for index in range(chunks):
        bob.hears(ADA.author, chunk(event, content, index))
    assert bob.held(ADA.author) == [event.id]


def test_what_one_peer_has_brought_is_not_asked_of_the_next() -> None:
    bob, event, content = wanting(5 * CHUNK_BYTES)
    for index in range(4):
        bob.hears(CYD.author, chunk(event, content, index))
    bob.do(bob.ledger.link_up(ADA.author, bob.now))
    bob.sent.clear()
    bob.do(bob.ledger.link_down(CYD.author, bob.now))
    bob.do(bob.ledger.timer(bob.now))
    assert asked_of(bob) == {ADA.author: [4]}
    bob.hears(ADA.author, chunk(event, content, 4))
    assert bob.held(ADA.author) == [event.id]


def test_a_peer_that_lacks_it_or_stalls_is_followed_by_another_and_all_are_asked_again_later() -> None:
    bob, event, content = wanting(10)
    bob.do(bob.ledger.link_up(ADA.author, 0))
    questions(bob)
    bob.hears(CYD.author, Chunk(event.id, 0, SALT, None))
    assert list(asked_of(bob)) == [ADA.author]
    bob.pass_time(4 * SECOND)
    assert len(questions(bob)) == 1, "ada has stalled, and nobody else is left: perhaps she is only slow"
    bob.pass_time(60 * SECOND)
    assert len(questions(bob)) >= 1
    bob.do(bob.ledger.link_down(ADA.author, bob.now))
    bob.do(bob.ledger.timer(bob.now))
    questions(bob)
    for _ in range(30):  # its patience has doubled
        bob.pass_time(bob.now + SECOND)
        if questions(bob):
            break
    bob.hears(CYD.author, chunk(event, content, 0))
    assert bob.held(ADA.author) == [event.id]


def test_whoever_says_that_it_has_it_is_asked_first() -> None:
    bob, event, _ = wanting(10)
    bob.hears(CYD.author, Chunk(event.id, 0, SALT, None))
    others = [person(number).author for number in range(40, 45)]
    for other in others:
        bob.do(bob.ledger.link_up(other, bob.now))
    bob.sent.clear()
    bob.do(bob.ledger.offered(others[3], bob.now))
    assert [peer for peer, message in bob.sent if isinstance(message, WantPayload)] == [others[3]]


def test_only_a_few_payloads_are_gathered_at_once() -> None:
    bob = Hub(BOB, config=LedgerConfig(assemblies_max=2, small_max=3))
    bob.meet(ADA)
    bob.do(bob.ledger.link_up(CYD.author, 0))
    ada = Author(ADA)
    for number in range(6):
        bob.hears(CYD.author, ada.message(ada.event(77, content_of(5_000 + number)), whole=False))
    assert bob.ledger.statistics().assemblies == 2
    assert bob.ledger.statistics().wanted == 6
    assert len(questions(bob)) == 2
    for number in range(6):
        bob.hears(CYD.author, ada.message(ada.story(f"{number}"), whole=False))
    assert bob.ledger.statistics().assemblies == 2 + 3
    assert bob.ledger.statistics().wanted == 12


def test_nobody_is_asked_for_small_payloads_faster_than_it_gives_them() -> None:
    bob = Hub(BOB, config=LedgerConfig(small_max=64, pace_max=8 * 16))
    bob.meet(ADA)
    bob.do(bob.ledger.link_up(CYD.author, 0))
    ada = Author(ADA)
    for number in range(40):
        bob.hears(CYD.author, ada.message(ada.story(f"{number}"), whole=False))
    assert len(questions(bob)) == 16 // 2
    bob.pass_time(SECOND)
    assert len(questions(bob)) in (16 * 3 // 4 - 1, 16 * 3 // 4)


def test_a_payload_withdrawn_while_it_is_gathered_is_not_taken() -> None:
    bob = Hub(BOB)
    bob.meet(ADA)
    bob.do(bob.ledger.link_up(CYD.author, 0))
    ada, content = Author(ADA), content_of(5 * CHUNK_BYTES)
    event = ada.event(77, content)
    bob.hears(CYD.author, ada.message(event, whole=False))
    bob.hears(CYD.author, chunk(event, content, 0))
    bob.hears(CYD.author, ada.message(ada.withdraw(event)))
    assert bob.ledger.statistics().assemblies == 0
    assert bob.ledger.wanted_payloads() == []
    bob.hears(CYD.author, chunk(event, content, 1))
    assert bob.refusals() == [Reason.PAYLOAD_UNWANTED]


def test_a_payload_that_the_disk_refuses_is_wanted_again() -> None:
    bob, event, content = wanting(10)
    bob.full = True
    bob.hears(CYD.author, chunk(event, content, 0))
    assert bob.held(ADA.author) == []
    assert bob.ledger.statistics().bytes == 0
    bob.full = False
    bob.pass_time(6 * SECOND)
    bob.hears(CYD.author, chunk(event, content, 0))
    assert bob.held(ADA.author) == [event.id]


# --- serving ------------------------------------------------------------------------------------------------------


def telling(text_bytes: int = 100_000, **more: int) -> tuple[Hub, EventRecord]:
    """Ada, who has told something; Cyd is her neighbor."""
    ada = Hub(ADA, utc_offset_ms=DAY * 1_000)
    ada.do(ada.ledger.link_up(CYD.author, 0))
    ada.write(77, content_of(text_bytes), **more)
    ada.sent.clear()
    ada.seen.clear()
    return ada, ada.events()[0]


def answers(hub: Hub, *messages: EventMessage) -> list[Chunk]:
    """What is answered to these."""
    for message in messages:
        hub.hears(CYD.author, message)
    said = [message for _, message in hub.sent if isinstance(message, Chunk)]
    hub.sent.clear()
    return said


def test_chunks_are_served_as_far_as_there_are_so_many() -> None:
    ada, event = telling(100_000)
    assert chunk_count(100_000) == 25
    asked = WantPayload(event.id, 23, 4)
    assert answers(ada, asked) == [chunk(event, content_of(100_000), index) for index in (23, 24)]
    assert answers(ada, WantPayload(event.id, 25, 1)) == [Chunk(event.id, 25, bytes(16), None)]
    assert ada.of(LoadPayload) == [], "what was just told is still in memory"


def test_a_large_payload_is_read_once_for_everybody_and_proves_itself() -> None:
    ada, event = telling(100_000)
    again = Hub(ADA, disk=ada.disk, boot=2)
    again.do(again.ledger.link_up(CYD.author, 0))
    again.do(again.ledger.link_up(BOB.author, 0))
    again.hears(CYD.author, WantPayload(event.id, 0, 16))
    again.hears(BOB.author, WantPayload(event.id, 9, 16))
    again.pass_time(SECOND)
    given = {(peer, said.index): said for peer, said in again.sent if isinstance(said, Chunk)}
    assert [index for peer, index in given if peer == CYD.author] == list(range(16))
    assert [index for peer, index in given if peer == BOB.author] == list(range(9, 25))
    assert all(said == chunk(event, content_of(100_000), said.index) for said in given.values())
    assert again.of(LoadPayload) == [LoadPayload(CYD.author, event.id, 0, 25)]


@pytest.mark.parametrize("disk", ["lost", "rotten"])
def test_a_large_payload_that_the_disk_has_lost_or_spoilt_is_not_there(disk: str) -> None:
    ada, event = telling(100_000)
    again = Hub(ADA, disk=ada.disk, boot=2)
    stored = again.disk.events[event.id]
    spoilt = None if disk == "lost" else Payload(SALT, bytes(100_000))
    again.disk.events[event.id] = replace(stored, payload=spoilt)
    again.do(again.ledger.link_up(CYD.author, 0))
    again.sent.clear()
    again.hears(CYD.author, WantPayload(event.id, 3, 1, patient=True))
    assert again.sent == [(CYD.author, Chunk(event.id, 3, bytes(16), None))]


def test_what_is_for_oneself_or_gone_or_unknown_is_not_there() -> None:
    ada, event = telling(audience=FOR_SELF)
    (answer,) = answers(ada, WantPayload(event.id, 0, 1))
    assert answer.data is None
    assert ada.of(LoadPayload) == []
    other = Author(BOB).story()
    assert answers(ada, WantPayload(other.id, 0, 1))[0].data is None
    ada, event = telling(expires=DAY + 5)
    assert answers(ada, WantPayload(event.id, 0, 1))[0].data is not None
    ada.pass_time(10 * SECOND)
    assert answers(ada, WantPayload(event.id, 0, 1))[0].data is None


def test_what_was_withdrawn_while_the_store_read_it_does_not_leave() -> None:
    ada, event = telling(10)
    loaded = ada.load(LoadPayload(CYD.author, event.id, 0, 1))
    taker = Author(ADA, event)
    ada.hears(CYD.author, taker.message(taker.withdraw(event)))
    ada.sent.clear()
    ada.do(ada.ledger.payload_loaded(loaded, 0))
    assert [message.data for _, message in ada.sent if isinstance(message, Chunk)] == [None]


def test_a_store_that_has_lost_a_payload_says_so() -> None:
    ada, event = telling(10)
    ada.do(ada.ledger.payload_loaded(PayloadLoaded(CYD.author, event.id, 0, None, ()), 0))
    assert ada.sent == [(CYD.author, Chunk(event.id, 0, bytes(16), None))]


def test_a_neighbor_gets_so_many_chunks_a_second_and_what_it_asks_for_sooner_waits() -> None:
    ada, _ = telling(10)
    pace = LedgerConfig().pace_max // CHUNKS_A_READING
    for number in range(180):
        ada.write(77, content_of(number + 1))
    for one in ada.events():
        ada.hears(CYD.author, WantPayload(one.id, 0, 1))
        ada.pass_time(ada.now + 1_000)
    read = len(ada.of(LoadPayload))
    assert pace <= read <= pace * 5 // 4
    ada.pass_time(ada.now + 2 * SECOND)
    assert len(ada.of(LoadPayload)) == len(ada.events())
    assert ada.refusals() == []


def test_a_question_asked_again_while_it_waits_is_answered_once_and_too_many_are_refused() -> None:
    ada, event = telling(10)
    for _ in range(200):
        ada.hears(CYD.author, WantPayload(event.id, 0, 1))
    pace = LedgerConfig().pace_max // CHUNKS_A_READING
    assert len(ada.of(LoadPayload)) == pace
    ada.write(77, content_of(PAYLOAD_BYTES_MAX))
    large = ada.events()[-1]
    for index in range(chunk_count(PAYLOAD_BYTES_MAX)):
        ada.hears(CYD.author, WantPayload(large.id, index, 1))
    assert ada.refusals().count(Reason.QUOTA_RATE) == 1 + chunk_count(PAYLOAD_BYTES_MAX) - ASKED_MAX
