"""The record, its messages, its contents and its clock: what is read back is what was written, the rest is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from protocol.clock import hlc_pack
from protocol.errors import ConfigError, DecodeError, Reason
from protocol.ids import EventId
from protocol.ledger.hlc import AHEAD_MS_MAX, HLC_MAX, Hlc
from protocol.limits import EVENT_BYTES_MAX, GOSSIP_BYTES_MAX, HEADS_MAX, INLINE_BYTES_MAX, NAMED_MAX, WITHDRAWN_MAX
from protocol.wire import contents
from protocol.wire import events as wire
from protocol.wire.codec import Value, decode, encode
from protocol.wire.events import Event, EventMessage, Fork, Payload, decode_event
from tests.unit.protocol.ledger_rig import ADA, SALT, Author
from tests.unit.protocol.people import MESH

NAMES = [EventId(bytes([number]) * 32) for number in range(64)]
STORY = Author(ADA).story()
RECORD = (STORY.signed, STORY.sig)
MESSAGES: list[EventMessage] = [
    Event(*RECORD, None),
    Event(*RECORD, Payload(SALT, b"")),
    Event(*RECORD, Payload(SALT, bytes(INLINE_BYTES_MAX))),
    wire.WantEvents((wire.AuthorHeads(ADA.author, ()),)),
    wire.Heads((wire.AuthorHeads(ADA.author, tuple((number + 1, NAMES[number]) for number in range(8))),)),
    wire.WantPayload(NAMES[1], 511, 16, patient=True),
    wire.WantPayload(NAMES[1], 0, 0),
    wire.Chunk(NAMES[1], 511, SALT, bytes(4_096), bytes(288)),
    wire.Chunk(NAMES[1], 0, SALT, None),
    wire.Offer(*RECORD),
    Fork(RECORD, RECORD),
]


def read(data: bytes) -> EventMessage:
    """What a frame's reader makes of one message."""
    item = decode(data)
    assert type(item) is tuple
    assert type(item[0]) is int
    arity, parse = wire.PARSERS[item[0]]
    assert len(item) == arity
    return parse(item)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_message_is_read_back_as_it_was_written(message: EventMessage) -> None:
    assert read(encode(wire.to_value(message))) == message


@pytest.mark.parametrize(
    "value",
    [
        (29, STORY.signed, STORY.sig, SALT, None),
        (29, STORY.signed, STORY.sig, None, b""),
        (29, STORY.signed, STORY.sig[:63], None, None),
        (29, bytes(EVENT_BYTES_MAX + 1), STORY.sig, None, None),
        (29, STORY.signed, STORY.sig, SALT, bytes(INLINE_BYTES_MAX + 1)),
        (30, ()),
        (30, tuple((bytes([number]) * 32, ()) for number in range(17))),
        (30, ((ADA.author, ()), (ADA.author, ()))),
        (30, ((ADA.author, ((0, NAMES[0]),)),)),
        (30, ((ADA.author, ((2, NAMES[0]), (1, NAMES[0]))),)),
        (30, ((ADA.author, tuple((number + 1, NAMES[0]) for number in range(9))),)),
        (32, NAMES[0], 512, 1, False),
        (32, NAMES[0], 0, 17, False),
        (32, NAMES[0], 0, 1, 0),
        (33, NAMES[0], 0, SALT, bytes(4_097), b""),
        (33, NAMES[0], 512, SALT, b"", b""),
        (33, NAMES[0], 0, SALT, b"", bytes(289)),
        (33, NAMES[0], 0, SALT, b"", None),
        (33, NAMES[0], 0, SALT[:15], b"", b""),
        (33, NAMES[0][:31], 0, SALT, b"", b""),
        (41, STORY.signed, STORY.sig[:63]),
        (34, RECORD, (STORY.signed,)),
        (34, RECORD, b""),
    ],
)
def test_a_message_out_of_its_bounds_is_refused(value: Value) -> None:
    with pytest.raises(DecodeError):
        read(encode(value))


def items(**changed: Value) -> bytes:
    """An ordinary event's signed bytes with some of the elements replaced."""
    names = (
        *("domain", "mesh", "version", "author", "rotation", "incarnation", "seq", "prev", "heads", "hlc"),
        *("kind", "audience", "expires", "payload_hash", "payload_size"),
    )
    usual = decode(STORY.signed)
    assert type(usual) is tuple
    return encode(tuple((dict(zip(names, usual, strict=True)) | changed).values()))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"domain": "trio.vector"}, Reason.WRONG_DOMAIN),
        ({"mesh": bytes(16)}, Reason.WRONG_MESH),
        ({"version": 2}, Reason.WRONG_VERSION),
        ({"rotation": 4}, Reason.OUT_OF_RANGE),
        ({"incarnation": 0}, Reason.OUT_OF_RANGE),
        ({"seq": 0}, Reason.OUT_OF_RANGE),
        ({"seq": 2}, Reason.OUT_OF_RANGE),
        ({"seq": 2**53, "prev": bytes(32)}, Reason.OUT_OF_RANGE),
        ({"prev": bytes(32)}, Reason.OUT_OF_RANGE),
        ({"prev": bytes(31), "seq": 2}, Reason.OUT_OF_RANGE),
        ({"heads": tuple(NAMES[: HEADS_MAX + 1])}, Reason.OUT_OF_RANGE),
        ({"heads": (NAMES[1], NAMES[1])}, Reason.OUT_OF_RANGE),
        ({"hlc": -1}, Reason.OUT_OF_RANGE),
        ({"kind": 65_536}, Reason.OUT_OF_RANGE),
        ({"audience": None}, Reason.WRONG_TYPE),
        ({"expires": True}, Reason.WRONG_TYPE),
        ({"payload_hash": None}, Reason.OUT_OF_RANGE),
        ({"payload_size": 2_097_153}, Reason.OUT_OF_RANGE),
    ],
)
def test_an_event_out_of_its_bounds_is_refused(changed: dict[str, Value], reason: Reason) -> None:
    with pytest.raises(DecodeError) as refused:
        decode_event(MESH.mesh_id, items(**changed), STORY.sig)
    assert refused.value.reason is reason


def test_the_largest_event_fits_and_a_longer_one_is_not_looked_at() -> None:
    largest = items(
        seq=2**53 - 1,
        prev=NAMES[0],
        incarnation=2**53 - 1,
        rotation=3,
        heads=tuple(NAMES[:HEADS_MAX]),
        hlc=HLC_MAX,
        kind=65_535,
        audience=65_535,
        expires=2**53 - 1,
        payload_size=2_097_152,
    )
    assert len(largest) == 454
    assert decode_event(MESH.mesh_id, largest, STORY.sig).seq == 2**53 - 1
    with pytest.raises(DecodeError):
        decode_event(MESH.mesh_id, bytes(EVENT_BYTES_MAX + 1), STORY.sig)


@pytest.mark.parametrize(("size", "whole"), [(0, True), (3_600, True), (5_000, False)])
def test_a_tree_message_carries_the_payload_if_both_fit(size: int, whole: bool) -> None:
    event = Event(*RECORD, Payload(SALT, bytes(size)))
    carried = wire.gossip_payload(event)
    assert len(carried) <= GOSSIP_BYTES_MAX
    assert wire.read_gossip_payload(carried).payload == (event.payload if whole else None)
    with pytest.raises(DecodeError):
        wire.read_gossip_payload(carried[:-1])


def test_a_proof_is_read_back_from_the_store() -> None:
    assert wire.decode_fork(wire.encode_fork(Fork(RECORD, RECORD))) == Fork(RECORD, RECORD)
    with pytest.raises(DecodeError):
        wire.decode_fork(b"\x91\x00")


# --- contents -----------------------------------------------------------------------------------------------------


def test_contents_are_read_back_as_they_were_written() -> None:
    profile = contents.Profile("Ada", "I count.\nA lot.")
    story = contents.Story("Es regnete — sehr.", "de-AT")
    base = contents.Base(tuple(NAMES[:5]), "why")
    assert contents.decode_profile(contents.encode_profile(profile)) == profile
    assert contents.decode_story(contents.encode_story(story)) == story
    assert contents.decode_base(contents.encode_base(base)) == base
    assert contents.decode_withdrawal(contents.encode_withdrawal(tuple(NAMES[:3]))) == tuple(NAMES[:3])


def test_contents_out_of_their_bounds_cannot_be_written() -> None:
    many = tuple(EventId(number.to_bytes(32, "big")) for number in range(NAMED_MAX + 1))
    writes: list[Callable[[], bytes]] = [
        lambda: contents.encode_profile(contents.Profile("a\x00", "")),
        lambda: contents.encode_profile(contents.Profile("a" * 65, "")),
        lambda: contents.encode_profile(contents.Profile("a", "b" * 1_025)),
        lambda: contents.encode_story(contents.Story("", "en")),
        lambda: contents.encode_story(contents.Story("hi", "not a tag")),
        lambda: contents.encode_story(contents.Story("hi", "de--AT")),
        lambda: contents.encode_base(contents.Base(many, "")),
        lambda: contents.encode_base(contents.Base((NAMES[1], NAMES[0]), "")),
        lambda: contents.encode_withdrawal(()),
        lambda: contents.encode_withdrawal(tuple(NAMES[: WITHDRAWN_MAX + 1])),
        lambda: contents.encode_withdrawal((NAMES[0], NAMES[0])),
    ]
    for write in writes:
        with pytest.raises(ConfigError):
            write()


def test_contents_that_are_no_text_are_refused_when_read() -> None:
    wrong: list[tuple[bytes, Callable[[bytes], object]]] = [
        (encode((b"\xff", "en")), contents.decode_story),
        (encode((b"x" * 33, b"")), contents.decode_base),
        (encode(("ada", b"\xc3")), contents.decode_profile),
    ]
    for data, read_it in wrong:
        with pytest.raises(DecodeError) as refused:
            read_it(data)
        assert refused.value.reason is Reason.BAD_CONTENT


# --- the clock ----------------------------------------------------------------------------------------------------


def test_stamps_grow_and_are_never_far_ahead_of_our_own_date() -> None:
    clock = Hlc()
    first, second = clock.tick(1_000), clock.tick(1_000)
    assert hlc_pack(1_000, 0) == first < second
    clock.observe(hlc_pack(1_000 + AHEAD_MS_MAX, 7), 1_000)
    assert clock.tick(1_000) == hlc_pack(1_000 + AHEAD_MS_MAX, 8)


@pytest.mark.parametrize("stamp", [hlc_pack(10_000_000, 0), HLC_MAX, (1 << 63) - 1])
def test_a_stamp_from_the_future_moves_nobody(stamp: int) -> None:
    clock = Hlc()
    clock.observe(stamp, 1_000)
    assert clock.tick(1_000) == hlc_pack(1_000, 0)


def test_without_a_date_an_event_says_zero_and_a_date_that_was_wrong_is_left_behind() -> None:
    clock = Hlc()
    clock.observe(hlc_pack(5, 5), None)
    assert clock.tick(None) == 0
    clock.tick(50 * 365 * 86_400_000)
    assert clock.tick(1_000) == hlc_pack(1_000, 0)
