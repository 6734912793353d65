"""What is usual for a person: learnt, followed slowly, doubted while young."""

from __future__ import annotations

import pytest

from meshnode.sensing.estimator.baseline import MEDIAN_SE, Z_MAX, BaselineConfig, RunningBaseline

CONFIG = BaselineConfig(window_s=20, ready_s=5, drift_s=100.0, independent_s=5.0, floor=1.0)


def taught(values: list[float]) -> RunningBaseline:
    baseline = RunningBaseline(CONFIG)
    for value in values:
        baseline.update(value)
    return baseline


def test_it_is_ready_after_its_least_seconds_and_not_before() -> None:
    assert not taught([60.0] * 4).ready
    assert taught([60.0] * 5).ready


def test_the_centre_is_the_median_and_the_scale_the_robust_deviation() -> None:
    baseline = taught([60.0, 62.0, 64.0, 66.0, 1000.0])
    assert baseline.centre == 64.0
    assert baseline.scale == pytest.approx(1.4826 * 2.0)
    assert baseline.z(64.0 + 1.4826 * 2.0) == pytest.approx(1.0)


def test_a_signal_that_does_not_move_has_the_scale_of_the_floor() -> None:
    assert taught([60.0] * 20).scale == 1.0
    assert taught([60.0] * 20).z(62.0) == 2.0


def test_z_is_bounded_on_both_sides() -> None:
    baseline = taught([60.0] * 20)
    assert (baseline.z(1e6), baseline.z(-1e6)) == (Z_MAX, -Z_MAX)


def test_a_full_baseline_follows_a_new_level_slowly_but_does_follow() -> None:
    soon = taught([60.0] * 20 + [80.0] * 20)
    late = taught([60.0] * 20 + [80.0] * 1000)
    assert 60.0 < soon.centre < 64.0
    assert late.centre == pytest.approx(80.0, abs=0.1)


def test_its_uncertainty_falls_with_age_to_that_of_a_full_window() -> None:
    ages = [taught([60.0] * seconds).uncertainty() for seconds in (1, 5, 10, 20, 200)]
    assert ages == [pytest.approx(MEDIAN_SE / root) for root in (1.0, 1.0, 2**0.5, 2.0, 2.0)]


def test_forgetting_starts_anew() -> None:
    baseline = taught([60.0] * 20)
    baseline.forget()
    assert (baseline.ready, baseline.seconds, baseline.scale) == (False, 0, 1.0)
    for _ in range(5):
        baseline.update(90.0)
    assert baseline.centre == 90.0
