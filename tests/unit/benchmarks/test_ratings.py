"""Ratings are read in order, nothing is predicted from the future, and the measure of a ranking is right."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from benchmarks.ratings import Past, Rating, ranking, read_ratings
from benchmarks.trust import compared, predict
from protocol.errors import ConfigError


def history(last: int = 5) -> list[Rating]:
    """120 ratings among 12 people, of whom 11 is disliked; the very last one says ``last``."""
    made = [
        Rating(turn % 11, 11 if turn % 3 == 0 else (turn * 5 + 1) % 11, -8 if turn % 3 == 0 else 6, 1_000_000 * turn)
        for turn in range(1, 140)
    ]
    kept = [one for one in made if one.rater != one.subject][:119]
    return [*kept, Rating(0, 11, last, 1_000_000_000)]


def test_a_file_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    rows = "\n".join(f"{one.rater + 7},{one.subject + 7},{one.rating},{one.utc_ms / 1000}" for one in history()[::-1])
    for name, content in (
        ("a.csv", rows.encode()),
        ("a.csv.gz", gzip.compress(b"FROM,TO,TRUST,TIME\n" + rows.encode())),
    ):
        (tmp_path / name).write_bytes(content)
        found = read_ratings(tmp_path / name)
        assert [(one.rating, one.utc_ms) for one in found] == [(one.rating, one.utc_ms) for one in history()]


@pytest.mark.parametrize("content", [b"", b"1,2,3,4\n" * 99, b"1,2,0,4\n" * 200, b"1,2,x,4\n" * 200, b"\xff" * 9])
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    with pytest.raises(ConfigError):
        read_ratings(tmp_path / "bad.csv")


def test_no_prediction_knows_what_it_predicts() -> None:
    one, other = predict(history(5)), predict(history(-5))
    assert one.scores == other.scores
    assert one.right[:-1] == other.right[:-1]
    assert one.right[-1] != other.right[-1]


def test_ours_and_all_others_are_compared_on_the_same_cases() -> None:
    predicted = predict(history())
    assert len(predicted.right) == 60
    assert {len(scores) for scores in predicted.scores.values()} == {60}
    ours, differences, intervals = compared(predicted)
    assert ours > 0.9  # 11 is disliked by everybody
    assert all(low <= differences[method] <= high for method, (low, high) in intervals.items())


def test_auc_counts_pairs_and_ties_half() -> None:
    right = np.array([True, True, False, False])
    assert ranking(np.array([0.9, 0.5, 0.5, 0.1]), right).auc(np.ones(4)) == pytest.approx(3.5 / 4)
    assert ranking(np.array([0.9, 0.5, 0.5, 0.1]), right).auc(np.array([1.0, 3, 1, 1])) == pytest.approx(6.5 / 8)
    assert ranking(np.zeros(4), right).auc(np.ones(4)) == 0.5


def test_fairness_and_goodness_settle_where_their_definition_says() -> None:
    past = Past([Rating(0, 2, 10, 1), Rating(1, 2, -10, 2), Rating(0, 3, 10, 3)])
    for one in (Rating(0, 2, 10, 1), Rating(1, 2, -10, 2), Rating(0, 3, 10, 3)):
        past.learn(one)
    for _ in range(60):
        past.fair_and_good()
    fair, good = past.fairness, past.goodness
    assert good[2] == pytest.approx((fair[0] - fair[1]) / 2)
    assert good[3] == pytest.approx(fair[0])
    assert fair[0] == pytest.approx(1 - ((1 - good[2]) / 2 + (1 - good[3]) / 2) / 2)
    assert fair[1] == pytest.approx(1 - (1 + good[2]) / 2)


def test_pagerank_is_a_walk_that_restarts_and_follows_praise_alone() -> None:
    said = [Rating(0, 1, 10, 1), Rating(0, 2, -10, 2), Rating(1, 3, 5, 3)]
    past = Past(said)
    for one in said:
        past.learn(one)
    at = past.pagerank(0, 0.2)
    assert at.sum() == pytest.approx(1)
    assert at[2] == 0
    assert at[1] == pytest.approx(0.8 * at[0], abs=0.02)
    assert past.opinions(2, at) == pytest.approx(-at[0])
    assert list(past.pagerank(3, 0.2)) == [0, 0, 0, 1]
