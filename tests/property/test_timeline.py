"""Records follow from the set of observations alone: in whatever order they come, whoever holds them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.crypto import digest
from protocol.errors import DecodeError
from protocol.glitch.timeline import OF_ONE_MAX, Seen, Timeline
from protocol.ids import AuthorId, EventId
from protocol.rng import Rng
from protocol.wire.observations import Observation, decode_observation, encode_observation, tags

HUBS = [AuthorId(digest(str(number).encode())) for number in range(16)]


def drawn(seed: int) -> list[Seen]:
    """Observations of a few splits of one crowd, some without a date, some of which name others."""
    rng = Rng(seed)
    seen: list[Seen] = []
    for number in range(rng.between(1, 12)):
        size = rng.choice([3, 5, 8, 11])
        sides = (HUBS[:size], HUBS[size:]) if rng.chance(0.5) else (HUBS[size:], HUBS[:size])
        mine, theirs = tags(sides[0]), tags(sides[1])
        same = {rng.choice(seen).event for _ in range(rng.below(3))} if seen else set()
        began = rng.choice([0, 1_000_000, 1_010_000, 2_000_000])
        times = (began, rng.below(20_000), rng.below(500))
        what = Observation(*times, len(mine), len(theirs), mine, theirs, rng.between(1, 4), tuple(sorted(same)))
        seen.append(Seen(EventId(digest(b"event" + bytes([number]))), HUBS[number % 16], what))
    return seen


SEEDS = st.integers(0, 1 << 32)


@given(SEEDS)
def test_hubs_that_hold_the_same_tell_the_same(seed: int) -> None:
    seen = drawn(seed)
    one, other = Timeline(64), Timeline(64)
    shuffled = list(seen)
    Rng(seed).shuffle(shuffled)
    for each in seen:
        one.add(each, 0)
    for each in shuffled:
        other.add(each, 7)
        other.add(each, 8)
    assert one.records() == other.records()


@given(SEEDS)
def test_every_observation_is_in_exactly_one_record(seed: int) -> None:
    seen = drawn(seed)
    timeline = Timeline(64)
    for each in seen:
        timeline.add(each, 0)
    told = [one.event for record in timeline.records() for one in record.seen]
    assert sorted(told) == sorted(one.event for one in seen)


@given(SEEDS)
def test_what_is_forgotten_leaves_no_trace(seed: int) -> None:
    seen = drawn(seed)
    gone = seen[:: 1 + seed % 3]
    one, other = Timeline(64), Timeline(64)
    for each in seen:
        one.add(each, 0)
    for each in gone:
        one.forget(each.event)
    for each in seen:
        if each not in gone:
            other.add(each, 0)
    assert one.records() == other.records()


@given(SEEDS)
def test_at_most_so_many_are_held(seed: int) -> None:
    seen = drawn(seed)
    timeline = Timeline(4)
    for each in seen:
        timeline.add(each, 0)
        assert len(timeline) <= 4


@given(SEEDS)
def test_an_observation_survives_the_wire(seed: int) -> None:
    for each in drawn(seed):
        assert decode_observation(encode_observation(each.what)) == each.what


@given(st.binary(max_size=300))
def test_garbage_is_refused_and_nothing_worse(content: bytes) -> None:
    try:
        decode_observation(content)
    except DecodeError:
        return
    assert encode_observation(decode_observation(content)) == content


@settings(max_examples=20)
@given(SEEDS)
def test_nobody_crowds_out_what_others_saw(seed: int) -> None:
    timeline = Timeline(4 * OF_ONE_MAX)
    honest = drawn(seed)[0]
    loud = [
        Seen(EventId(digest(bytes([number]))), HUBS[1 + number % 15], replace(honest.what, began_ms=9_000_000))
        for number in range(8 * OF_ONE_MAX)
    ]
    timeline.add(honest, 0)
    Rng(seed).shuffle(loud)
    gone = [one for one in (timeline.add(one, 0) for one in loud) if one is not None]
    assert honest.event in timeline
    assert len(timeline) == 4 * OF_ONE_MAX
    assert len(gone) == 4 * OF_ONE_MAX + 1
    assert not any(one.event in timeline for one in gone)


@given(SEEDS)
def test_what_gives_way_does_not_depend_on_the_order_either(seed: int) -> None:
    seen = [one for number in range(3) for one in drawn(seed + number)]
    seen = [replace(one, event=EventId(digest(bytes([number])))) for number, one in enumerate(seen)]
    one, other = Timeline(8), Timeline(8)
    for each in seen:
        one.add(each, 0)
    Rng(seed).shuffle(seen)
    for each in seen:
        other.add(each, 0)
    assert one.records() == other.records()


def test_one_author_has_a_small_share_however_much_room_there_is() -> None:
    timeline = Timeline(512)
    seen = next(one for seed in range(99) for one in drawn(seed))
    for number in range(3 * OF_ONE_MAX):
        timeline.add(replace(seen, event=EventId(digest(b"more" + bytes([number])))), 0)
    assert len(timeline) == OF_ONE_MAX


def test_one_voice_is_one_voice_however_often_it_speaks() -> None:
    timeline = Timeline(64)
    seen = next(one for seed in range(99) for one in drawn(seed))
    for number in range(9):
        timeline.add(replace(seen, event=EventId(digest(b"again" + bytes([number])))), 0)
    same, _ = timeline.like(seen.what.mine, seen.what.theirs, 0)
    assert len(same) == 1
