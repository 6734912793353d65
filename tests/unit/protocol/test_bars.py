"""The form of proof: bars, and the percentiles that they judge."""

from __future__ import annotations

import json

from protocol.bars import Bar, all_met, emit, percentile


def test_percentiles_are_values_that_occurred() -> None:
    assert percentile([7], 0.99) == 7
    assert [percentile(list(range(1, 101)), share) for share in (0.0, 0.07, 0.5, 0.99, 1.0)] == [1, 7, 50, 99, 100]
    values = [30.5, 10.5, 20.5, 40.5]
    assert [percentile(values, share) for share in (0.01, 0.25, 0.5, 0.51, 1.0)] == [10.5, 10.5, 20.5, 30.5, 40.5]


def test_nothing_has_no_percentile() -> None:
    assert percentile([], 0.5) is None


def test_a_bar_says_which_side_is_good_and_what_was_not_measured_is_not_met() -> None:
    assert Bar("few", 1.0, 1.0, "of them").met
    assert not Bar("few", 1.1, 1.0, "of them").met
    assert Bar("many", 2.0, 1.0, "of them", at_most=False).met
    assert not Bar("unknown", None, 1.0, "of them").met


def test_no_bars_prove_nothing() -> None:
    assert not all_met([])
    assert json.loads(emit([], as_json=True))["met"] is False
