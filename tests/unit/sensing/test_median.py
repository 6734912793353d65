"""The running median against the standard library's."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.sensing.estimator.median import RunningMedian

VALUES = st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, 2.0]), min_size=1, max_size=40)


@given(values=VALUES, size=st.integers(1, 12))
def test_it_equals_the_median_of_the_last_values(values: list[float], size: int) -> None:
    window = RunningMedian(size)
    for value in values:
        window.push(value)
    assert len(window) == min(size, len(values))
    assert window.median() == pytest.approx(statistics.median(values[-size:]))


@given(values=VALUES, size=st.integers(1, 12))
def test_its_spread_is_the_lower_median_of_the_absolute_deviations(values: list[float], size: int) -> None:
    window = RunningMedian(size)
    for value in values:
        window.push(value)
    kept = values[-size:]
    centre = window.median()
    assert window.spread() == pytest.approx(statistics.median_low([abs(value - centre) for value in kept]))


def test_after_clear_it_starts_anew() -> None:
    window = RunningMedian(3)
    for value in (5.0, 6.0, 7.0, 8.0):
        window.push(value)
    window.clear()
    window.push(1.0)
    assert (len(window), window.median(), window.spread()) == (1, 1.0, 0.0)


def test_an_empty_window_has_no_median() -> None:
    with pytest.raises(IndexError):
        RunningMedian(3).median()
