"""Playing a recording: what is due when, laps, grids, late loops, and the task that sleeps between."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from meshnode.sensing.estimator.arousal import Estimator
from meshnode.sensing.excerpts import list_beats
from meshnode.sensing.recordings import load_recording
from meshnode.sensing.replay import CATCH_UP_READINGS, CATCH_UP_US, Player, Replay, ReplayClock, play
from meshnode.sensing.samples import Channel, Sample
from protocol.errors import ConfigError
from protocol.inputs import Reading
from protocol.wire.registry import AROUSAL, HEART_RATE, SKIN_CONDUCTANCE
from tests.unit.sensing.signals import QUARTER, SECOND, one, ramp_recording


def skin_of(samples: list[Sample]) -> list[tuple[int, float]]:
    return [(sample.at, sample.value) for sample in samples if sample.channel is Channel.EDA]


@given(
    start=st.integers(0, 10**12),
    milli=st.integers(100, 1_000_000),
    offset=st.integers(0, 10_000),
    passed=st.integers(0, 10**9),
)
def test_boot_time_is_the_first_instant_at_which_signal_time_is_reached(
    start: int, milli: int, offset: int, passed: int
) -> None:
    clock = ReplayClock(start, speed=milli / 1_000, offset_s=offset / 1_000)
    signal = clock.offset_us + passed
    boot = clock.boot(signal)
    assert clock.signal(boot) >= signal
    assert boot == start or clock.signal(boot - 1) < signal


@pytest.mark.parametrize("speed", [0.0, 0.09, -1.0, 1000.1, float("nan"), float("inf")])
def test_a_speed_out_of_bounds_is_a_config_error(speed: float) -> None:
    with pytest.raises(ConfigError, match="speed"):
        ReplayClock(0, speed=speed)


@pytest.mark.parametrize("offset_s", [-1.0, float("nan"), float("inf"), 10.0, 11.0])
def test_an_offset_that_is_not_inside_the_recording_is_a_config_error(offset_s: float) -> None:
    with pytest.raises(ConfigError, match="offset"):
        Player(ramp_recording(), 0, offset_s=offset_s)


def test_samples_are_handed_out_once_at_their_instant_and_in_order() -> None:
    player = Player(ramp_recording(), 5 * SECOND)
    assert skin_of(player.due(5 * SECOND)) == [(0, 0.0)]
    assert player.due(5 * SECOND) == []
    assert player.due(5 * SECOND + QUARTER - 1) == []
    later = player.due(6 * SECOND)
    assert skin_of(later) == [(250_000, 1.0), (500_000, 2.0), (750_000, 3.0), (1_000_000, 4.0)]
    assert [sample.channel for sample in later if sample.at == 500_000] == [Channel.EDA, Channel.INTERVAL]


@pytest.mark.parametrize("speed", [0.1, 0.5, 1.0, 2.0, 10.0])
def test_at_n_times_speed_the_same_samples_come_n_times_sooner(speed: float) -> None:
    player = Player(ramp_recording(), 0, speed=speed)
    until = round(3 * SECOND / speed)
    assert skin_of(player.due(until)) == [(index * QUARTER, float(index)) for index in range(13)]


def test_before_its_start_nothing_is_due() -> None:
    assert len(Player(ramp_recording(), 5 * SECOND).due(SECOND)) == 1  # signal time stands at the first sample


def test_an_offset_starts_in_the_middle_and_the_past_is_history() -> None:
    player = Player(ramp_recording(), 0, offset_s=5.0)
    assert skin_of(player.history(1.0)) == [(4_000_000 + index * QUARTER, 16.0 + index) for index in range(4)]
    assert len(skin_of(player.history(100.0))) == 20
    assert skin_of(player.due(0)) == [(5_000_000, 20.0)]


def test_a_recording_that_ends_is_over() -> None:
    player = Player(ramp_recording(), 0)
    assert len(skin_of(player.due(10 * SECOND))) == 40
    assert player.due(100 * SECOND) == []
    assert (player.ended(10 * SECOND - 1), player.ended(10 * SECOND)) == (False, True)
    assert player.next_due() is None


def test_a_loop_begins_again_where_it_ended_and_time_goes_on() -> None:
    player = Player(ramp_recording(), 0, loop=True)
    got = skin_of(player.due(25 * SECOND))
    assert [value for _, value in got] == [float(index % 40) for index in range(101)]
    assert [at - got[0][0] for at, _ in got] == [index * QUARTER for index in range(101)]
    assert not player.ended(10**12)


def test_a_loop_has_a_past_before_its_first_sample() -> None:
    player = Player(ramp_recording(), 0, loop=True)
    assert [value for _, value in skin_of(player.history(1.0))] == [36.0, 37.0, 38.0, 39.0]
    assert player.history(1.0)[-1].at < player.due(0)[0].at


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("speed", [0.3, 1.0, 7.0])
def test_waiting_until_the_next_due_instant_misses_nothing_and_never_wakes_in_vain(loop: bool, speed: float) -> None:
    player = Player(ramp_recording(), 0, speed=speed, loop=loop)
    got: list[Sample] = []
    while len(got) < 50 and (due := player.next_due()) is not None:
        fresh = player.due(due)
        assert fresh
        got += fresh
    assert got == Player(ramp_recording(), 0, speed=speed, loop=loop).due(round(50e6 / speed))[: len(got)]


def test_after_a_night_in_suspend_only_the_last_minutes_are_delivered() -> None:
    player = Player(ramp_recording(), 0, loop=True)
    player.due(0)
    got = player.due(8 * 3600 * SECOND)
    assert len(skin_of(got)) == CATCH_UP_US // QUARTER
    assert player.skipped_us == 8 * 3600 * SECOND - CATCH_UP_US
    assert got == sorted(got, key=lambda sample: sample.at)


@pytest.mark.parametrize("speed", [0.1, 1.0, 20.0])
def test_readings_lie_on_the_grid_of_boot_time_however_fast_the_replay(speed: float) -> None:
    replay = Replay(Player(ramp_recording(), 100_001, speed=speed, loop=True), Estimator(), 100_001)
    ats = [reading.at for now in range(0, 2 * SECOND, 33_333) for reading in replay.readings(now)]
    assert ats == [QUARTER, 2 * QUARTER, 3 * QUARTER, SECOND, 5 * QUARTER, 6 * QUARTER, 7 * QUARTER]


def beats_replay(*, offset_s: float = 0.0, speed: float = 1.0, loop: bool = False) -> Replay:
    """A real person's beat intervals, five minutes of them."""
    (beats,) = list_beats()
    player = Player(load_recording(beats.path), 0, offset_s=offset_s, speed=speed, loop=loop)
    return Replay(player, Estimator(), 0)


def test_a_late_loop_yields_the_readings_it_missed_with_the_same_values() -> None:
    punctual, late = beats_replay(offset_s=100.0), beats_replay(offset_s=100.0)
    wanted = [reading for step in range(13) for reading in punctual.readings(step * QUARTER)]
    assert late.readings(12 * QUARTER) == wanted
    assert len(wanted) == 13


def test_a_very_late_loop_makes_up_for_the_last_readings_only() -> None:
    replay = beats_replay()
    got = replay.readings(3600 * SECOND)
    assert [reading.at for reading in got] == [
        3600 * SECOND - back * QUARTER for back in reversed(range(CATCH_UP_READINGS))
    ]
    assert replay.skipped_readings == 3600 * 4 + 1 - CATCH_UP_READINGS


def test_the_speed_of_the_replay_does_not_change_the_person() -> None:
    slow, fast = beats_replay(offset_s=100.0), beats_replay(offset_s=100.0, speed=10.0)
    at_40_s = [reading for now in range(0, 41 * SECOND, SECOND) for reading in slow.readings(now)][160]
    fast_at_40_s = fast.readings(4 * SECOND)[-1]
    assert (at_40_s.at, fast_at_40_s.at) == (40 * SECOND, 4 * SECOND)
    for dim in (AROUSAL, HEART_RATE):
        assert one(at_40_s, dim).value == pytest.approx(one(fast_at_40_s, dim).value)
        assert one(at_40_s, dim).sd == pytest.approx(one(fast_at_40_s, dim).sd)


def test_preroll_gives_the_first_reading_a_baseline_and_a_cold_start_has_none() -> None:
    warm, cold = beats_replay(offset_s=200.0), Replay(
        Player(ramp_recording(), 0, loop=True), Estimator(), 0, preroll_s=0.0
    )  # fmt: skip
    assert one(warm.readings(0)[0], AROUSAL).value is not None
    assert one(cold.readings(0)[0], AROUSAL).value is None


def test_after_the_end_quality_falls_to_nothing_and_every_value_is_unknown() -> None:
    replay = beats_replay(offset_s=280.0)
    readings = [reading for step in range(4 * 60) for reading in replay.readings(step * QUARTER)]
    assert one(readings[0], HEART_RATE).value is not None
    last = readings[-1]
    assert last.quality == 0.0
    assert [one(last, dim).value for dim in (AROUSAL, HEART_RATE, SKIN_CONDUCTANCE)] == [None] * 3
    qualities = [reading.quality for reading in readings[4 * 20 :]]  # the recording ended here
    assert qualities == sorted(qualities, reverse=True)


def test_a_loop_keeps_the_baseline_across_the_seam() -> None:
    replay = beats_replay(offset_s=280.0, loop=True)
    before = replay.estimator.statistics().baseline_age_s
    readings = [reading for step in range(4 * 60) for reading in replay.readings(step * QUARTER)]
    assert replay.estimator.statistics().baseline_age_s > before
    assert all(one(reading, AROUSAL).value is not None for reading in readings)


def test_a_cadence_below_a_millisecond_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="cadence"):
        Replay(Player(ramp_recording(), 0), Estimator(), 0, cadence_us=999)


async def test_the_task_gives_every_reading_when_it_is_due(autojump_clock: trio.testing.MockClock) -> None:
    def now() -> int:
        return round(trio.current_time() * SECOND)

    got: list[tuple[int, Reading]] = []
    replay = Replay(Player(ramp_recording(), now(), loop=True), Estimator(), now())
    with trio.move_on_after(2.1):
        await play(replay, now, lambda reading: got.append((now(), reading)))
    assert [reading.at for _, reading in got] == [step * QUARTER for step in range(9)]
    assert all(0 <= given_at - reading.at <= 1 for given_at, reading in got)
