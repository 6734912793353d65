"""The whole estimator on made signals: what it says, what it refuses, when it stops saying anything."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshnode.sensing.estimator.arousal import METHOD, UNKNOWING_SD, Estimator, EstimatorConfig
from meshnode.sensing.samples import Channel, Sample
from protocol.inputs import Reading
from protocol.wire.registry import AROUSAL, DIMENSIONS, HEART_RATE, METHODS, SKIN_CONDUCTANCE
from tests.unit.sensing.signals import SECOND, calm_second, digest_of_minutes, one

Change = Callable[[Sample], Sample | None]
ALL = (AROUSAL, HEART_RATE, SKIN_CONDUCTANCE)


def lived(seconds: int, *, start: int = 0, estimator: Estimator | None = None, change: Change | None = None,
          eda: float = 1.0, bpm: float = 60.0, celsius: float = 32.0) -> Estimator:  # fmt: skip
    """An estimator that has watched a resting person, each sample changed or withheld by ``change``."""
    estimator = estimator or Estimator()
    for second in range(start, start + seconds):
        for sample in calm_second(second, eda=eda, bpm=bpm, celsius=celsius):
            changed = sample if change is None else change(sample)
            if changed is not None:
                estimator.push(changed)
    return estimator


def without(*channels: Channel) -> Change:
    return lambda sample: None if sample.channel in channels else sample


def known(reading: Reading, dim: int) -> tuple[float, float]:
    """Value and standard deviation of a dimension that must be known."""
    estimate = one(reading, dim)
    assert estimate.value is not None
    assert estimate.sd is not None
    return estimate.value, estimate.sd


def assert_unknown(reading: Reading) -> None:
    assert [(one(reading, dim).value, one(reading, dim).sd) for dim in ALL] == [(None, None)] * 3


def test_a_resting_person_reads_as_themselves_and_near_zero() -> None:
    reading = lived(400).read(400 * SECOND, at=7)
    assert (reading.at, reading.method, METHODS[reading.method]) == (7, METHOD, "hr-scl-z/1")
    assert [estimate.dim for estimate in reading.estimates] == list(ALL)
    assert reading.quality > 0.9
    assert abs(known(reading, AROUSAL)[0]) < 0.5
    assert known(reading, HEART_RATE)[0] == pytest.approx(60.0, abs=3.0)
    assert known(reading, SKIN_CONDUCTANCE)[0] == pytest.approx(1.0, rel=0.06)


def test_valence_and_dominance_are_never_guessed_from_the_body() -> None:
    assert {estimate.dim for estimate in lived(400).read(400 * SECOND).estimates} == set(ALL)


@pytest.mark.parametrize(("eda", "bpm", "sign"), [(1.5, 60.0, 1), (1.0, 75.0, 1), (0.6, 50.0, -1), (1.6, 80.0, 1)])
def test_more_skin_conductance_or_heart_rate_than_usual_is_more_arousal(eda: float, bpm: float, sign: int) -> None:
    estimator = lived(400)
    before, _ = known(estimator.read(400 * SECOND), AROUSAL)
    lived(60, start=400, estimator=estimator, eda=eda, bpm=bpm)
    after, _ = known(estimator.read(460 * SECOND), AROUSAL)
    assert sign * (after - before) > 0.3


def test_two_people_with_different_rest_both_read_near_zero_at_rest() -> None:
    for eda, bpm in ((0.3, 52.0), (8.0, 88.0)):
        value, _ = known(lived(400, eda=eda, bpm=bpm).read(400 * SECOND), AROUSAL)
        assert abs(value) < 0.5


def test_nothing_is_known_before_the_first_sample() -> None:
    reading = Estimator().read(0)
    assert reading.quality == 0.0
    assert_unknown(reading)


def test_arousal_is_unknown_until_there_is_a_baseline_but_the_heart_rate_is_not() -> None:
    young = lived(30).read(30 * SECOND)
    assert one(young, AROUSAL).value is None
    assert known(young, HEART_RATE)[0] == pytest.approx(60.0, abs=3.0)
    assert one(lived(65).read(65 * SECOND), AROUSAL).value is not None


def test_the_standard_deviation_falls_as_the_baseline_grows_older() -> None:
    young, _ = known(lived(70).read(70 * SECOND), AROUSAL), None
    old = known(lived(400).read(400 * SECOND), AROUSAL)
    assert young[1] > old[1]


def test_missing_beats_raise_the_standard_deviation_and_lower_the_quality() -> None:
    whole = lived(60, start=400, estimator=lived(400)).read(460 * SECOND)
    gone = without(Channel.INTERVAL, Channel.HEART_RATE)
    partial = lived(60, start=400, estimator=lived(400), change=gone).read(460 * SECOND)
    assert partial.quality < 0.6 * whole.quality
    assert known(partial, AROUSAL)[1] > known(whole, AROUSAL)[1]
    assert one(partial, HEART_RATE).value is None


def test_channels_that_disagree_raise_the_standard_deviation() -> None:
    agreeing, disagreeing = lived(400), lived(400)
    lived(40, start=400, estimator=agreeing, eda=1.1, bpm=63.0)
    lived(40, start=400, estimator=disagreeing, eda=1.4, bpm=45.0)
    assert known(disagreeing.read(440 * SECOND), AROUSAL)[1] > known(agreeing.read(440 * SECOND), AROUSAL)[1]


def test_a_band_taken_off_is_unknown_within_seconds_though_it_goes_on_reporting_a_heart_rate() -> None:
    estimator = lived(400)

    def off(sample: Sample) -> Sample | None:
        if sample.channel is Channel.INTERVAL:
            return None
        values = {Channel.EDA: 0.01, Channel.HEART_RATE: 110.0}
        return Sample(sample.at, sample.channel, values.get(sample.channel, sample.value))

    lived(5, start=400, estimator=estimator, change=off)
    reading = estimator.read(405 * SECOND)
    assert reading.quality < 0.3
    assert_unknown(reading)


def test_a_band_off_the_wrist_teaches_the_baseline_nothing() -> None:
    estimator = lived(400)
    age = estimator.statistics().baseline_age_s
    lived(200, start=400, estimator=estimator, eda=0.01, bpm=110.0, celsius=23.0)
    assert estimator.statistics().baseline_age_s <= age + 3


def test_a_band_put_on_again_after_long_warms_up_anew_for_the_skin_and_not_for_the_heart() -> None:
    estimator = lived(400)
    lived(400, start=400, estimator=estimator, eda=0.001, celsius=23.0)
    lived(10, start=800, estimator=estimator, eda=5.0)
    value, _ = known(estimator.read(810 * SECOND), AROUSAL)
    assert abs(value) < 0.6  # a skin five times as moist would read as 0.99 against the old wearing


def test_much_motion_makes_everything_unknown() -> None:
    estimator = lived(400)
    for index in range(20 * 32):
        at = 400 * SECOND + index * SECOND // 32
        if index % 32 == 0:
            for sample in calm_second(at // SECOND):
                if sample.channel is not Channel.ACCELERATION:
                    estimator.push(Sample(at, sample.channel, sample.value))
        estimator.push(Sample(at, Channel.ACCELERATION, 1.0 * math.sin(index), 0.0, 1.0))
    reading = estimator.read(420 * SECOND)
    assert reading.quality < 0.3
    assert_unknown(reading)


@pytest.mark.parametrize("channel", list(Channel))
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_counted_and_changes_nothing(channel: Channel, bad: float) -> None:
    clean, dirty = lived(100), lived(100)
    at = 100 * SECOND - 1
    for sample in (Sample(at, channel, bad), Sample(at, channel, 1.0, bad), Sample(at, channel, 1.0, 0.0, bad)):
        assert not dirty.push(sample)
    assert dirty.statistics().refused_not_finite == 3
    assert dirty.read(100 * SECOND) == clean.read(100 * SECOND)


@settings(max_examples=60, deadline=None)  # each lives through five minutes
@given(
    samples=st.lists(
        st.builds(
            Sample,
            st.integers(0, 200 * SECOND),
            st.sampled_from(Channel),
            st.floats() | st.floats(0.0, 100.0),
            st.floats() | st.just(0.0),
            st.floats() | st.just(0.0),
        ),
        max_size=60,
    )
)
def test_whatever_comes_in_what_goes_out_is_in_range_or_unknown(samples: list[Sample]) -> None:
    estimator = lived(70)
    for sample in samples:
        estimator.push(Sample(70 * SECOND + sample.at, sample.channel, sample.value, sample.y, sample.z))
    reading = estimator.read(270 * SECOND)
    lived(5, start=271, estimator=estimator)
    for checked in (reading, estimator.read(276 * SECOND)):
        assert 0.0 <= checked.quality <= 1.0
        for estimate in checked.estimates:
            assert (estimate.value is None) == (estimate.sd is None)
            if estimate.value is not None and estimate.sd is not None:
                assert DIMENSIONS[estimate.dim].low <= estimate.value <= DIMENSIONS[estimate.dim].high
                assert math.isfinite(estimate.sd)
                assert estimate.sd > 0.0


def test_one_instant_after_another_and_what_is_long_past_is_refused() -> None:
    estimator = lived(100)
    config = EstimatorConfig()
    newest = 99 * SECOND + 900_000
    assert estimator.push(Sample(newest - config.late_us_max, Channel.HEART_RATE, 61.0))
    assert not estimator.push(Sample(newest - config.late_us_max - 1, Channel.HEART_RATE, 61.0))
    assert estimator.statistics().refused_out_of_order == 1


def test_impossible_values_are_counted_by_range() -> None:
    estimator = lived(100)
    at = 100 * SECOND
    impossible = {Channel.EDA: 99.0, Channel.TEMPERATURE: 99.0, Channel.INTERVAL: 9.0, Channel.HEART_RATE: 999.0,
                  Channel.ACCELERATION: 99.0}  # fmt: skip
    assert [estimator.push(Sample(at, channel, value)) for channel, value in impossible.items()] == [False] * 5
    assert estimator.statistics().refused_range == 5


def test_no_reading_says_less_than_knowing_nothing() -> None:
    for seconds in (70, 200, 400):
        assert known(lived(seconds).read(seconds * SECOND), AROUSAL)[1] <= UNKNOWING_SD


def test_how_often_it_is_read_does_not_change_what_it_says() -> None:
    rarely, often = lived(200), Estimator()
    for second in range(200):
        for sample in calm_second(second):
            often.push(sample)
            often.read(sample.at)
    for dim in ALL:
        assert known(rarely.read(200 * SECOND), dim) == pytest.approx(known(often.read(200 * SECOND), dim))


def test_a_silence_of_a_day_is_stepped_over_and_the_baseline_survives() -> None:
    estimator = lived(400)
    day = 86_400
    age = estimator.statistics().baseline_age_s
    assert_unknown(estimator.read((400 + day) * SECOND))
    assert estimator.statistics().baseline_age_s <= age + 3
    lived(40, start=400 + day, estimator=estimator)
    assert one(estimator.read((440 + day) * SECOND), AROUSAL).value is not None


def test_more_hours_need_no_more_memory() -> None:
    estimator = lived(1200)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        lived(1800, start=1200, estimator=estimator)
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert after - before < 4_096


def test_the_same_samples_give_the_same_readings_under_any_hash_salt() -> None:
    here = digest_of_minutes(2)
    program = "from tests.unit.sensing.signals import digest_of_minutes; print(digest_of_minutes(2))"
    for salt in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": salt}
        root = Path(__file__).resolve().parents[3]
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=root, env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == here
