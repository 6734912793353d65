"""Golden behaviour on the real people that come with the program.

What is asserted is what held with room to spare when it was measured (docs/method.md has the figures, and those that
were not significant). The Stroop test says what people were asked to do; nobody here reported how they felt.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from meshnode.sensing.estimator.arousal import Estimator
from meshnode.sensing.excerpts import Excerpt, list_people
from meshnode.sensing.recordings import load_recording
from meshnode.sensing.replay import Player
from meshnode.sensing.samples import Channel, Sample
from protocol.inputs import Reading
from protocol.wire.registry import AROUSAL, HEART_RATE, SKIN_CONDUCTANCE
from tests.unit.sensing.signals import SECOND, one


@dataclass(frozen=True)
class Watched:
    """One person, read once a second."""

    person: Excerpt
    readings: list[Reading]

    def mean(self, start_s: float, end_s: float, dim: int = AROUSAL) -> float:
        """Mean of the known values of a stretch."""
        values = [
            one(reading, dim).value for reading in self.readings if start_s * SECOND < reading.at <= end_s * SECOND
        ]
        return statistics.fmean(value for value in values if value is not None)


def seconds_of(person: Excerpt, until_s: int) -> Iterator[tuple[int, list[Sample]]]:
    """The samples of each second of a recording, with the end of that second (us)."""
    player = Player(load_recording(person.path), 0)
    for second in range(1, until_s + 1):
        yield second * SECOND, player.due(second * SECOND)


@pytest.fixture(scope="module")
def crowd() -> list[Watched]:
    """Everybody, watched to the end of the task."""
    out = []
    for person in list_people():
        estimator = Estimator()
        readings = []
        for now, samples in seconds_of(person, int(person.task_end_s)):
            for sample in samples:
                estimator.push(sample)
            readings.append(estimator.read(now))
        out.append(Watched(person, readings))
    return out


def test_most_people_read_higher_during_the_task_than_before_it(crowd: list[Watched]) -> None:
    higher = 0
    for watched in crowd:
        start, end = watched.person.task_start_s, watched.person.task_end_s
        higher += watched.mean(start, end) > watched.mean(start - 240, start)
    assert higher >= 10  # of 12; 12 when measured, one of them a tie; coins give 10 or more once in 52 times


def test_most_of_the_time_there_is_something_to_say(crowd: list[Watched]) -> None:
    for watched in crowd:
        after_warm_up = watched.readings[60:]
        share = sum(one(reading, AROUSAL).value is not None for reading in after_warm_up) / len(after_warm_up)
        assert share > 0.7, watched.person.name


def test_the_doubt_is_honest_it_is_never_small_and_never_more_than_knowing_nothing(crowd: list[Watched]) -> None:
    for watched in crowd:
        sds = [sd for reading in watched.readings if (sd := one(reading, AROUSAL).sd) is not None]
        assert 0.3 < statistics.median(sds) < 0.5775, watched.person.name


def test_heart_rate_and_skin_conductance_are_those_of_people(crowd: list[Watched]) -> None:
    for watched in crowd:
        assert 55 < watched.mean(60, 900, HEART_RATE) < 110, watched.person.name
        assert 0.05 < watched.mean(60, 900, SKIN_CONDUCTANCE) < 10, watched.person.name


def test_low_quality_and_unknown_are_the_same_thing(crowd: list[Watched]) -> None:
    for watched in crowd:
        for reading in watched.readings:
            values = [estimate.value for estimate in reading.estimates]
            if reading.quality < 0.3:
                assert values == [None, None, None]
            else:
                assert values[1:] != [None, None]


def still() -> Excerpt:
    """The person whose beats cover most of the time."""
    (person,) = [person for person in list_people() if person.name == "S31"]
    return person


def test_a_real_person_who_takes_the_band_off_is_unknown_within_ten_seconds_and_known_again_after() -> None:
    off_s, on_s = 400, 460
    estimator = Estimator()
    qualities: dict[int, float] = {}
    for now, samples in seconds_of(still(), 520):
        for sample in samples:
            off = off_s * SECOND < sample.at <= on_s * SECOND
            if off and sample.channel is Channel.INTERVAL:
                continue
            value = 0.01 if off and sample.channel is Channel.EDA else sample.value
            estimator.push(Sample(sample.at, sample.channel, value, sample.y, sample.z))
        reading = estimator.read(now)
        qualities[now // SECOND] = reading.quality
        if off_s + 10 <= now // SECOND <= on_s:
            assert [estimate.value for estimate in reading.estimates] == [None, None, None]
    assert qualities[off_s] > 0.5
    assert max(qualities[second] for second in range(off_s + 10, on_s + 1)) < 0.3
    assert max(qualities[second] for second in range(on_s + 10, 521)) > 0.5


def test_a_real_person_whose_beats_are_lost_is_known_less_well() -> None:
    whole, lossy = Estimator(), Estimator()
    for _, samples in seconds_of(still(), 460):
        for sample in samples:
            whole.push(sample)
            if sample.at < 400 * SECOND or sample.channel not in (Channel.INTERVAL, Channel.HEART_RATE):
                lossy.push(sample)
    good, poor = whole.read(460 * SECOND), lossy.read(460 * SECOND)
    good_sd, poor_sd = one(good, AROUSAL).sd, one(poor, AROUSAL).sd
    assert good_sd is not None
    assert poor_sd is None or poor_sd > good_sd
    assert poor.quality < 0.7 * good.quality


def test_a_sensor_that_says_nan_now_and_then_changes_nothing_of_what_is_said() -> None:
    clean, dirty = Estimator(), Estimator()
    for now, samples in seconds_of(still(), 200):
        for sample in samples:
            clean.push(sample)
            dirty.push(Sample(sample.at, sample.channel, float("nan"), sample.y, sample.z))
            dirty.push(sample)
        assert dirty.read(now) == clean.read(now)
    assert dirty.statistics().refused_not_finite == clean.statistics().samples
