"""What the benchmarks count: each delivery once, at the right hub, and only inside the window."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.hubs import BenchmarkError
from benchmarks.mesh import deliveries, first_shown
from benchmarks.pair import _check_distinct

OWN = ["aa", "bb", "cc"]


def dump(*rows: tuple[str, int, int]) -> dict[str, Any]:
    """What a hub's ears noted: (author, seq, at)."""
    return {"authors": OWN, "rows": [[OWN.index(author), 1, seq, at] for author, seq, at in rows]}


def test_a_record_counts_when_it_was_shown_first() -> None:
    assert first_shown(dump(("aa", 1, 50), ("aa", 1, 70), ("aa", 2, 60))) == {("aa", 1, 1): 50, ("aa", 1, 2): 60}


def test_every_record_is_due_at_every_other_hub() -> None:
    came = deliveries(
        OWN,
        [
            dump(("aa", 1, 100), ("bb", 1, 140)),
            dump(("bb", 1, 120), ("aa", 1, 109)),
            dump(("cc", 1, 130), ("aa", 1, 117)),
        ],
        since=100,
        until=200,
    )
    assert came.published == 3
    assert came.due == 6
    assert sorted(came.latencies_us) == [9, 17, 20]
    assert came.share == pytest.approx(0.5)


def test_what_was_published_outside_the_window_is_neither_due_nor_counted() -> None:
    late = [dump(("aa", 1, 99), ("aa", 2, 200)), dump(("aa", 1, 101), ("aa", 2, 201)), dump()]
    came = deliveries(OWN, late, since=100, until=200)
    assert (came.published, came.due, list(came.latencies_us), came.share) == (0, 0, [], 0.0)


def test_what_is_published_at_the_end_and_comes_after_it_was_delivered() -> None:
    came = deliveries(OWN[:2], [dump(("aa", 1, 199)), dump(("aa", 1, 260))], since=100, until=200)
    assert list(came.latencies_us) == [61]
    assert came.share == 1.0


def test_a_record_that_is_shown_twice_spoils_the_measurement() -> None:
    _check_distinct([[0, 1, 1, 5], [0, 1, 2, 5], [0, 2, 1, 5]])
    with pytest.raises(BenchmarkError, match="twice"):
        _check_distinct([[0, 1, 1, 5], [0, 1, 1, 9]])
