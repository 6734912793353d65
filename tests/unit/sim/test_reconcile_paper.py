"""The paper on reconciliation: what it counts, and the reference that stands beside it."""

from __future__ import annotations

from hashlib import blake2b

import pytest

from sim.papers.rbsr_baseline import FRAME_BYTES, Side, reconcile
from sim.papers.reconcile import Outcome, Work, _bars, _rows, play


def ids(numbers: range) -> list[bytes]:
    """Random ids of numbered things."""
    return [blake2b(b"%d" % number, digest_size=32).digest() for number in numbers]


@pytest.mark.parametrize(
    ("common", "mine", "theirs"), [(0, 0, 0), (500, 0, 0), (500, 1, 0), (2_000, 7, 9), (10, 90, 3)]
)
def test_the_reference_finds_exactly_what_differs(common: int, mine: int, theirs: int) -> None:
    one = Side(ids(range(common)) + ids(range(10_000, 10_000 + mine)))
    other = Side(ids(range(common)) + ids(range(20_000, 20_000 + theirs)))
    talk = reconcile(one, other, 8)
    assert talk.found == mine + theirs
    assert (talk.messages == 1) == (mine + theirs == 0)
    assert talk.size >= FRAME_BYTES * talk.messages + 8 * (mine + theirs)


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """One small seed."""
    return play(Work(100, 1, 4))


def test_every_difference_is_learned_and_no_figure_is_below_the_optimum(outcome: Outcome) -> None:
    rows = {row["d"]: row for row in _rows(100, [outcome])}
    assert set(rows) == {0, 1, 10, 1_000}
    for row in rows.values():
        known, everything = row["known mean"], row["all median"]
        assert isinstance(known, float)
        assert isinstance(everything, float | int)
        assert row["missed"] == 0
        assert known >= int(str(row["optimum known"]))
        assert everything >= int(str(row["optimum all"]))


def test_equal_frontiers_cost_39_bytes_and_ten_differences_two_round_trips(outcome: Outcome) -> None:
    assert {session.all for session in outcome.ours[0]} == {39}
    ten = outcome.ours[10]
    assert min(session.flights for session in ten) == 4
    assert all(session.entries == 10 for session in ten)
    assert all(session.known < session.all for session in ten)
    assert all(bar.met for bar in _bars(100, [outcome]))
