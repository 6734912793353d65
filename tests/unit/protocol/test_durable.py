"""Durable events through whole Nodes: told, spread, cut off, made up for, restarted, refused."""

from __future__ import annotations

import pytest

from protocol import limits
from protocol.clock import SECOND
from protocol.crypto import digest
from protocol.effects import Disconnect, EventWritten, KeepKeyState, PayloadKept, StoreEvents, WriteRefused
from protocol.errors import CloseCode, Reason
from protocol.identity import LocalIdentity
from protocol.ids import AuthorId, EventId
from protocol.inputs import Stored, WriteEvent
from protocol.ledger.acquaintances import INTRODUCED_BURST, INTRODUCED_EVERY_S
from protocol.ledger.values import Standing
from protocol.wire import messages as wire
from protocol.wire.contents import Story, encode_story, encode_withdrawal
from protocol.wire.events import (
    STORY,
    WITHDRAWAL,
    AuthorHeads,
    Chunk,
    Event,
    EventFields,
    EventRecord,
    Payload,
    WantEvents,
    WantPayload,
    decode_event,
    event_bytes,
    gossip_payload,
)
from sim.pair import Pair
from tests.unit.protocol.hub import Hub, closed, drops, sent
from tests.unit.protocol.people import ANN, BEN, CAT, EVE, MESH, keys


def tell(pair: Pair, who: str, number: int, text: str = "") -> None:
    """A short story."""
    salt = number.to_bytes(16, "big")
    pair.give(who, WriteEvent(number, STORY, salt, encode_story(Story(text or f"story {number}", "en"))))


def same(pair: Pair, events: int) -> bool:
    """Whether both hubs hold so many events with all their payloads."""
    held = [pair.statistics(who).durable for who in ("left", "right")]
    return all(one.events == events and not one.wanted and not one.waiting for one in held)


def signed(
    who: LocalIdentity, kind: int, payload: Payload, prev: EventRecord | None = None
) -> tuple[EventRecord, Event]:
    """An event of somebody's chain: the first, or the one after ``prev``."""
    made = event_bytes(
        MESH.mesh_id,
        EventFields(
            author=who.author,
            rotation=0,
            incarnation=1,
            seq=1 if prev is None else prev.seq + 1,
            prev=None if prev is None else prev.id,
            kind=kind,
            payload_hash=payload.hash(),
            payload_size=len(payload.content),
        ),
    )
    signature = who.sign(made)
    return decode_event(MESH.mesh_id, made, signature), Event(made, signature, payload)


def event(who: LocalIdentity, number: int = 1, text: str = "hello") -> tuple[EventRecord, Event]:
    """A story, the first event of somebody's chain."""
    return signed(who, STORY, Payload(number.to_bytes(16, "big"), encode_story(Story(text, ""))))


def gossip(record: EventRecord, carried: Event) -> wire.Gossip:
    """The event as a tree brings it."""
    payload = gossip_payload(carried)
    assert payload is not None
    return wire.Gossip(record.id, record.author, 1, 0, payload)


def joined(*people: LocalIdentity) -> Hub:
    """A hub with open links, 1 and up, to these; everything that was said at the beginning has left."""
    hub = Hub()
    for link, who in enumerate(people, 1):
        hub.join(link, who)
    hub.advance(SECOND)
    return hub


def test_a_story_is_with_the_other_hub_at_once_and_says_so_when_it_is_on_the_disk() -> None:
    pair = Pair(seed=1)
    seen: list[tuple[str, object]] = []
    pair.world.observers.append(lambda host, news: seen.append((host.name, news)))
    tell(pair, "left", 1)
    pair.advance(SECOND // 10)
    assert same(pair, 1)
    assert [name for name, news in seen if isinstance(news, EventWritten)] == ["left"]
    assert [name for name, news in seen if isinstance(news, PayloadKept)] == ["right"]
    assert pair.right.of_kind(STORY) == pair.left.of_kind(STORY)


def test_what_both_sides_told_while_they_were_apart_is_with_both_soon_after_the_heal() -> None:
    pair = Pair(seed=2)
    pair.cut()
    pair.advance(20 * SECOND)
    for number in range(10):
        tell(pair, "left", number)
        tell(pair, "right", 100 + number)
        pair.advance(SECOND)
    assert [pair.statistics(who).durable.events for who in ("left", "right")] == [10, 10]
    pair.heal()
    took = pair.world.wait(lambda: same(pair, 20), 10 * SECOND)
    assert took is not None


def test_a_large_payload_crosses_in_chunks_while_the_link_lives_on() -> None:
    pair = Pair(seed=3)
    pair.give("left", WriteEvent(1, 200, bytes(16), bytes(range(256)) * 4_000))
    assert pair.world.wait(lambda: same(pair, 1), 30 * SECOND) is not None
    assert pair.linked()
    assert pair.statistics("right").drops == {}


def test_a_hub_that_starts_again_has_what_it_had_and_goes_on_in_the_same_chain() -> None:
    pair = Pair(seed=4)
    tell(pair, "left", 1)
    pair.advance(SECOND)
    pair.crash("left", power=True)
    pair.advance(5 * SECOND)
    pair.restart("left")
    pair.advance(SECOND // 10)
    assert pair.statistics("left").durable.events == 1
    assert pair.statistics("left").durable.guarded, "it asks for its own last word before it signs"
    tell(pair, "left", 2)
    assert pair.world.wait(lambda: same(pair, 2), 20 * SECOND) is not None
    assert not pair.statistics("left").durable.guarded
    assert pair.statistics("right").durable.frontier == 1, "one chain, not two"


def test_what_is_withdrawn_is_erased_on_both_disks() -> None:
    pair = Pair(seed=5)
    tell(pair, "left", 1, "the canary")
    pair.advance(SECOND)
    (story,) = pair.left.of_kind(STORY)
    pair.give("left", WriteEvent(2, WITHDRAWAL, bytes(16), encode_withdrawal((story.event,))))
    pair.advance(SECOND)
    for who, node in (("left", pair.left), ("right", pair.right)):
        assert [one.state for one in node.of_kind(STORY)] == ["erased"]
        disk = pair.host(who).storage.disk
        assert disk.erased == 1
        assert all(b"canary" not in payload.content for payload in disk.payloads.values())


def test_a_full_disk_refuses_words_and_lets_vectors_live_until_there_is_room() -> None:
    pair = Pair(seed=6)
    disk = pair.host("left").storage.disk
    disk.refuses = "the disk is full"
    refused: list[WriteRefused] = []
    pair.world.observers.append(lambda _host, news: refused.append(news) if isinstance(news, WriteRefused) else None)
    tell(pair, "left", 1)
    pair.publish("left", 0.5)
    pair.advance(10 * SECOND)
    assert [(one.request, one.reason) for one in refused] == [(1, Reason.STORE_FAILED)]
    assert pair.shown("right", "left") is not None
    disk.refuses = ""
    pair.advance(30 * SECOND)
    tell(pair, "left", 2)
    told = pair.world.wait(lambda: [one.state for one in pair.right.of_kind(STORY)] == ["here"], 10 * SECOND)
    assert told is not None


# --- what peers may do ------------------------------------------------------------------------------------------


def test_a_withdrawal_that_had_to_wait_is_passed_on_with_what_it_names() -> None:
    hub = joined(ANN, BEN)
    story, told = event(ANN)
    record, carried = signed(ANN, WITHDRAWAL, Payload(bytes(16), encode_withdrawal((story.id,))), prev=story)
    hub.say(1, gossip(record, carried))
    hub.advance(SECOND // 100)
    effects = hub.say(1, gossip(story, told)) + hub.drain()
    passed = {one.id: one.payload for one in sent(effects, 2) if isinstance(one, wire.Gossip)}
    assert passed[record.id] == gossip_payload(carried)


def test_an_event_is_passed_on_once_it_is_verified_and_only_once() -> None:
    hub = joined(ANN, BEN)
    record, carried = event(ANN)
    effects = hub.say(1, gossip(record, carried)) + hub.drain()
    assert [message.id for message in sent(effects, 2) if isinstance(message, wire.Gossip)] == [record.id]
    assert [effect.author for effect in effects if isinstance(effect, KeepKeyState)] == [ANN.author]
    (order,) = [effect for effect in effects if isinstance(effect, StoreEvents)]
    hub.act(Stored(order.ticket))
    again = hub.say(2, gossip(record, carried)) + hub.drain()
    assert drops(again) == [Reason.DUPLICATE]
    assert [message for message in sent(again) if isinstance(message, wire.Gossip)] == []


def test_an_old_event_that_a_neighbor_says_again_goes_no_further() -> None:
    hub = joined(ANN, BEN)
    record, carried = event(ANN)
    for effect in hub.say(1, gossip(record, carried)):
        if isinstance(effect, StoreEvents):
            hub.act(Stored(effect.ticket))
    hub.advance(120 * SECOND)
    assert not hub.node._durable.trees.knows(record.id)
    again = hub.say(1, gossip(record, carried)) + hub.drain()
    assert drops(again) == [Reason.PAYLOAD_UNWANTED]
    assert [message for message in sent(again, 2) if isinstance(message, wire.Gossip)] == []


def test_an_event_of_an_unknown_author_waits_until_its_keys_have_come() -> None:
    hub = joined(ANN, BEN)
    record, carried = event(CAT)
    effects = hub.say(1, gossip(record, carried)) + hub.drain()
    assert [message.authors for message in sent(effects, 1) if isinstance(message, wire.WantKeys)] == [(CAT.author,)]
    assert [message for message in sent(effects, 2) if isinstance(message, wire.Gossip)] == []
    effects = hub.say(1, keys(CAT)) + hub.drain()
    assert [message.id for message in sent(effects, 2) if isinstance(message, wire.Gossip)] == [record.id]


@pytest.mark.parametrize("forgery", ["signature", "id", "author", "payload", "garbage"])
def test_a_forged_event_closes_the_link_that_brought_it_and_goes_no_further(forgery: str) -> None:
    hub = joined(EVE, BEN)
    record, carried = event(EVE)
    said = gossip(record, carried)
    assert carried.payload is not None
    if forgery == "signature":
        said = gossip(record, Event(carried.signed, bytes(64), carried.payload))
    elif forgery == "id":
        said = wire.Gossip(digest(b"another"), EVE.author, 1, 0, said.payload)
    elif forgery == "author":
        said = wire.Gossip(record.id, BEN.author, 1, 0, said.payload)
    elif forgery == "payload":
        said = gossip(record, Event(carried.signed, carried.sig, Payload(bytes(16), b"other words")))
    else:
        said = wire.Gossip(record.id, EVE.author, 1, 0, b"\x01")
    effects = hub.say(1, said) + hub.drain()
    assert [link for link, _ in closed(effects)] == [1]
    assert [message for message in sent(effects, 2) if isinstance(message, wire.Gossip)] == []
    if forgery in ("id", "author"):
        assert Reason.GOSSIP_MISMATCH in drops(effects)


def test_events_from_a_link_that_is_not_open_to_a_neighbor_are_refused() -> None:
    hub = joined(ANN)
    hub.node._durable._links.clear()  # as while a larger mesh counts others as neighbors
    record, carried = event(ANN)
    assert drops(hub.say(1, gossip(record, carried))) == [Reason.NOT_A_NEIGHBOR]


def test_a_neighbor_that_asks_and_does_not_read_is_let_go() -> None:
    hub = joined(ANN)
    hub.say(1, wire.Ping(1))  # the link is busy from here on
    asked = 0
    reasons: list[Reason | None] = []
    gone: list[tuple[int, CloseCode]] = []
    while not gone and asked < 10_000:
        effects = hub.say(1, WantPayload(record_id(asked), 0, 1), WantEvents((wants(asked),)))
        gone = closed(effects)
        reasons = [effect.reason for effect in effects if isinstance(effect, Disconnect)]
        asked += 1
        hub.now += 10_000
    assert gone == [(1, CloseCode.SLOW)]
    assert reasons == [Reason.LINK_SLOW]


def record_id(number: int) -> EventId:
    """The id of an event that nobody has made."""
    return EventId(digest(number.to_bytes(4, "big")))


def wants(number: int) -> AuthorHeads:
    """A question about an author of whom nobody has heard."""
    return AuthorHeads(AuthorId(number.to_bytes(32, "big")), ())


def test_chunks_that_nobody_asked_for_change_nothing() -> None:
    hub = joined(ANN)
    effects = hub.say(1, Chunk(event(ANN)[0].id, 0, bytes(16), bytes(limits.CHUNK_BYTES)))
    assert drops(effects) == [Reason.PAYLOAD_UNWANTED]
    assert closed(effects) == []


def test_whom_nobody_had_room_to_introduce_is_only_heard_of() -> None:
    hub = joined(ANN)
    durable = hub.node._durable
    for number in range(INTRODUCED_BURST):
        durable.acquaintances.introduce(ANN.author, AuthorId(number.to_bytes(32, "big")), hub.now)
    record, carried = event(CAT)
    hub.say(1, keys(CAT), gossip(record, carried))
    assert durable._standing(CAT.author) is Standing.UNKNOWN
    assert [entry.event for entry in durable.ledger.entries(CAT.author)] == [record], "it has a corner all the same"
    assert durable._standing(ANN.author) is Standing.ADMITTED
    hub.advance(INTRODUCED_EVERY_S * SECOND)
    hub.say(1, carried)
    assert durable._standing(CAT.author) is Standing.ADMITTED
