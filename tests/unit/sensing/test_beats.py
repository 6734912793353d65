"""Heart rate from intervals: what is rejected, how gaps show, what the device's own rate is worth."""

from __future__ import annotations

import math

import pytest

from meshnode.sensing.estimator.beats import Beats, BeatsConfig, HeartRate

SECOND = 1_000_000


def beating(interval_s: float, count: int, start: int = 0) -> tuple[Beats, int]:
    """A heart that has beaten ``count`` times, and when it last did (us)."""
    beats, at = Beats(BeatsConfig()), start
    for _ in range(count):
        at += round(interval_s * SECOND)
        assert beats.push_interval(at, interval_s)
    return beats, at


def rate_of(beats: Beats, now: int) -> HeartRate:
    """The heart rate, which must be known."""
    heart = beats.read(now)
    assert heart is not None
    return heart


def test_a_steady_heart_has_its_rate_and_full_quality() -> None:
    beats, now = beating(0.8, 75)
    heart = rate_of(beats, now)
    assert heart.rate == pytest.approx(75.0)
    assert heart.quality > 0.95
    assert heart.sd == pytest.approx(BeatsConfig().beats_sd_bpm, rel=0.05)


@pytest.mark.parametrize("interval_s", [0.0, -1.0, 0.299, 2.001, 1e9])
def test_impossible_intervals_are_counted_and_change_no_rate(interval_s: float) -> None:
    beats, now = beating(0.8, 75)
    assert not beats.push_interval(now, interval_s)
    assert (beats.rejected_range, beats.accepted) == (1, 75)
    assert rate_of(beats, now).rate == pytest.approx(75.0)


def test_a_jump_of_more_than_a_fifth_is_rejected_and_a_smaller_one_is_not() -> None:
    beats, now = beating(1.0, 20)
    assert not beats.push_interval(now + SECOND, 1.21)
    assert not beats.push_interval(now + 2 * SECOND, 0.79)
    assert beats.push_interval(now + 3 * SECOND, 1.19)
    assert beats.rejected_jump == 2


def test_a_rejected_beat_costs_as_much_as_a_missing_one() -> None:
    clean, now = beating(0.8, 75)
    noisy, missing = beating(0.8, 75)[0], beating(0.8, 75)[0]
    for index in range(1, 13):
        at = now + index * 800_000
        clean.push_interval(at, 0.8)
        if index % 3:
            noisy.push_interval(at, 0.8)
            missing.push_interval(at, 0.8)
        else:
            noisy.push_interval(at, 1.1)
    end = now + 12 * 800_000
    assert noisy.rejected_jump == 4
    assert rate_of(noisy, end) == rate_of(missing, end)
    assert rate_of(noisy, end).quality < 0.85 * rate_of(clean, end).quality


def test_a_wrong_start_does_not_lock_the_true_beats_out() -> None:
    beats, now = beating(1.6, 11)
    taken = [beats.push_interval(now + index * 800_000, 0.8) for index in range(1, 12)]
    assert taken == [False] * 6 + [True] * 5


def test_quality_falls_with_the_age_of_the_last_beat_until_there_is_no_rate() -> None:
    beats, now = beating(0.8, 75)
    known = [heart.quality for late in (0, 5, 10, 20) if (heart := beats.read(now + late * SECOND)) is not None]
    assert len(known) == 4
    assert known == sorted(known, reverse=True)
    assert known[2] == pytest.approx(known[0] / math.e, rel=0.05)
    assert beats.read(now + 40 * SECOND) is None


def test_missing_beats_widen_the_rate() -> None:
    beats, now = beating(0.8, 75)
    sds = [rate_of(beats, now + late * SECOND).sd for late in (0, 10, 20)]
    assert sds[0] < sds[1] < sds[2]


def test_after_a_long_gap_the_first_beats_are_believed_again() -> None:
    beats, now = beating(1.0, 20)
    assert beats.push_interval(now + 60 * SECOND, 0.6)


def test_the_devices_own_rate_stands_in_at_less_quality_and_more_doubt() -> None:
    config = BeatsConfig()
    beats = Beats(config)
    assert beats.push_rate(SECOND, 72.0)
    heart = rate_of(beats, SECOND)
    assert (heart.rate, heart.quality) == (72.0, config.rate_trust)
    assert heart.sd > config.rate_sd_bpm
    assert beats.read(SECOND + config.rate_stale_us + 1) is None


def test_a_rate_that_no_beat_backs_for_a_minute_is_hardly_trusted() -> None:
    config = BeatsConfig()
    beats = Beats(config)
    for second in range(120):
        assert beats.push_rate(second * SECOND, 130.0)
    assert rate_of(beats, 119 * SECOND).quality == pytest.approx(config.unbacked_trust)


@pytest.mark.parametrize("bpm", [0.0, 19.9, 240.1, -5.0])
def test_rates_no_heart_has_are_refused(bpm: float) -> None:
    beats = Beats(BeatsConfig())
    assert not beats.push_rate(0, bpm)
    assert beats.read(0) is None
    assert beats.rejected_range == 1
