"""What a vector's age gains on its way: CLOCK says when a frame was made, and how late it came (section 7.4)."""

from __future__ import annotations

import pytest

from protocol.clock import MS, SECOND, Duration, Instant
from protocol.effects import Send
from protocol.limits import AGE_MS_MAX, COUNTER_MAX
from protocol.rng import Rng
from protocol.transit import Transit
from protocol.wire import messages as wire
from tests.unit.protocol.hub import START, Hub, drops, shown, vectors_sent
from tests.unit.protocol.people import ANN, BEN, CAT, DAN, Made, keys, vector


def test_the_first_frame_is_not_late_and_the_quickest_sets_the_base() -> None:
    transit = Transit()
    assert transit.late_ms(0, START) == 0
    assert transit.late_ms(100, START + 400 * MS) == 298, "300 ms, less rounding and creep"
    assert transit.late_ms(500, START + 450 * MS) == 0, "quicker than HELLO"
    assert transit.late_ms(600, START + 850 * MS) == 298


@pytest.mark.parametrize("ppm", [-500, 0, 500])
@pytest.mark.parametrize("peer_ppm", [-500, 0, 500])
def test_lateness_is_never_more_than_the_delay_and_little_less(ppm: int, peer_ppm: int) -> None:
    rng = Rng(7)
    transit, at, arrived = Transit(), 0, 0
    quickest: Duration | None = None
    for _ in range(2_000):
        at += rng.between(1, 2 * SECOND)
        delay = 20 * MS + (rng.below(8 * SECOND) if rng.chance(0.2) else rng.below(5 * MS))
        arrived = max(arrived, at + delay)
        late = transit.late_ms(_clock(at, peer_ppm) // MS, START + _clock(arrived, ppm)) * MS
        true = arrived - at
        quickest = true if quickest is None else min(quickest, true)
        assert late <= true + true * 500 // 1_000_000, "our own clock counts it, and may be fast"
        if true > 8 * SECOND:
            assert late >= true - quickest - 150 * MS


def _clock(at: Instant, ppm: int) -> Instant:
    return at + at * ppm // 1_000_000


def linked() -> Hub:
    """A hub with Ann and Ben, whose keys it has of Cat."""
    hub = Hub()
    hub.join(1, ANN)
    hub.join(2, BEN)
    hub.say(1, keys(CAT), keys(DAN))
    hub.drain()
    return hub


def test_every_frame_with_vectors_says_when_it_was_made_and_no_other() -> None:
    hub = linked()
    hub.advance(1_500 * MS, beats=True)
    effects = hub.say(1, vector(CAT, 1)) + hub.drain() + hub.say(1, wire.Ping(3)) + hub.drain()
    frames = [effect.messages for effect in effects if isinstance(effect, Send)]
    for frame in frames:
        kinds = [type(message) for message in frame]
        assert kinds.count(wire.Clock) == (wire.Vector in kinds)
        if wire.Vector in kinds:
            assert kinds.index(wire.Clock) < kinds.index(wire.Vector)
    clocks = [message for frame in frames for message in frame if isinstance(message, wire.Clock)]
    assert clocks == [wire.Clock((hub.now - START) // MS)]


def test_a_vector_is_as_much_older_as_its_frame_was_late_here_and_for_others() -> None:
    hub = linked()
    hub.now += 3 * SECOND
    effects = hub.say(1, wire.Clock(1_000), vector(CAT, 1, age_ms=5))
    line = hub.held(CAT)
    assert line is not None
    late_ms = 1_996  # 2 s but for what clocks may part by in 3 s and for rounding
    assert line.age_us == (5 + late_ms) * MS
    assert [message.age_ms for message in vectors_sent(effects, 2)] == [5 + late_ms]


def test_lateness_ends_with_its_frame() -> None:
    hub = linked()
    hub.now += 3 * SECOND
    hub.say(1, wire.Clock(1_000), vector(CAT, 1))
    hub.say(1, vector(DAN, 1))
    line = hub.held(DAN)
    assert line is not None
    assert line.age_us == 0


def test_a_vector_that_outlived_its_lease_on_the_way_is_not_shown() -> None:
    hub = linked()
    hub.now += 4 * SECOND
    late = hub.say(1, wire.Clock(0), vector(CAT, 1, Made(lease_ms=3_000)))
    assert shown(late) == []
    assert [reason.value for reason in drops(late)] == ["lease_expired"]
    assert shown(hub.say(1, wire.Clock(4_000), vector(CAT, 1, Made(lease_ms=3_000)))) == [(CAT.author, 1)]


@pytest.mark.parametrize("sent_ms", [0, COUNTER_MAX])
def test_a_clock_that_lies_makes_nothing_younger_than_it_says_it_is(sent_ms: int) -> None:
    hub = linked()
    hub.say(1, wire.Clock(sent_ms))
    hub.now += 2 * SECOND
    hub.say(1, wire.Clock(2_000), vector(CAT, 1, Made(lease_ms=60_000), age_ms=30))
    line = hub.held(CAT)
    assert line is None or 30 * MS <= line.age_us <= AGE_MS_MAX * MS
