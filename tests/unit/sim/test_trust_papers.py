"""The papers on trust at their smallest, and that their measures can fail."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from sim.__main__ import main
from sim.papers import malice


def told(*words: str) -> dict[str, Any]:
    """What a paper says with ``--json``."""
    done = CliRunner().invoke(main, ["papers", *words, "--json", "--seeds", "1"])
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def bars(answer: dict[str, Any]) -> dict[str, bool]:
    """Which claims hold."""
    return {bar["name"]: bar["met"] for bar in answer["bars"]}


def test_a_restart_lowers_no_standing() -> None:
    answer = told("benign", "--part", "reboot")
    assert list(bars(answer).values()) == [True]
    assert answer["conditions"]["standing in the calm twins, mean"] > 0.8
    assert answer["tables"]["faults"][0]["times"] > 0


def test_standing_follows_the_truth_and_turncoats_gain_nothing() -> None:
    answer = told("malice", "--nodes", "60", "--part", "liars", "--part", "turncoats")
    assert set(bars(answer).values()) == {True}


def test_ranks_share_a_place_and_their_correlation_knows_its_sign() -> None:
    assert malice.ranks([3.0, 1.0, 3.0, 2.0]) == [2.5, 0.0, 2.5, 1.0]
    assert malice.spearman([1.0, 2.0, 3.0], [2.0, 4.0, 9.0]) == pytest.approx(1.0)
    assert malice.spearman([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]) == pytest.approx(-1.0)
    assert malice.spearman([1.0, 1.0], [3.0, 2.0]) == 0.0
