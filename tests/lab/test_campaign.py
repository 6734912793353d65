"""The campaign, in short: eight hubs in two halls are cut apart and whole again; and how figures are judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from protocol.bars import all_met
from tests.lab.__main__ import FRESH_S, REFUSED, WHOLE_S, bars_of, main
from tests.lab.campaign import PARTS, Run, cut, one_run
from tests.lab.stage import is_complete, is_fresh, is_whole, without_old

CUT_S = 4.0
"""Longer than it takes to notice; the campaign itself cuts for a minute."""


@pytest.mark.namespaces
@pytest.mark.usefixtures("namespaces", "nothing_left")
async def test_two_halls_that_were_cut_apart_are_one_crowd_again(tmp_path: Path) -> None:
    run = await one_run(tmp_path, Run("cut", 1), cut(CUT_S), hubs=8, foul=False, listen=False)
    print(f"noticed after {run.noticed_s} s; whole {run.whole_s} s, fresh {run.fresh_s} s after the path was back")
    assert run.noticed_s is not None
    assert run.whole_s is not None
    assert run.whole_s <= WHOLE_S
    assert run.fresh_s is not None
    assert run.fresh_s <= FRESH_S
    assert (run.went_back, run.restarted, run.faults) == (0, 0, 0)


def status(author: str, links: dict[str, float], shown: dict[str, int], in_reach: int) -> dict[str, Any]:
    """As much of a status as is judged."""
    return {
        "author": author,
        "boot": 1,
        "seq": shown[author],
        "links": [{"peer": peer, "state": "open", "up_s": up_s} for peer, up_s in links.items()],
        "authors": [{"author": other, "boot": 1, "seq": seq} for other, seq in shown.items()],
        "crowd": {"in_reach": in_reach},
    }


SHOWN = {"a": 5, "b": 6, "c": 7}
CHAIN = [
    status("a", {"b": 9.0}, SHOWN, 3),
    status("b", {"a": 9.0, "c": 1.0}, SHOWN, 3),
    status("c", {"b": 1.0}, SHOWN, 3),
]


def test_a_chain_of_links_is_whole_and_not_complete() -> None:
    assert is_whole(CHAIN)
    assert not is_complete(CHAIN)


def test_a_link_that_one_end_alone_holds_joins_nobody() -> None:
    assert not is_whole([*CHAIN[:2], status("c", {}, SHOWN, 3)])


def test_a_hub_that_counts_too_few_is_not_whole() -> None:
    assert not is_whole([*CHAIN[:2], status("c", {"b": 1.0}, SHOWN, 2)])


def test_a_link_from_before_the_change_does_not_count() -> None:
    assert is_whole(without_old(CHAIN, "c", 2.0))
    assert not is_whole(without_old(CHAIN, "a", 2.0))


def test_the_crowd_is_fresh_when_every_hub_shows_news_of_every_author() -> None:
    marks = {"a": (1, 4), "b": (1, 5), "c": (1, 6)}
    assert is_fresh(CHAIN, marks)
    assert not is_fresh([*CHAIN[:2], status("c", {}, {"a": 4, "b": 6, "c": 7}, 3)], marks)
    assert not is_fresh([*CHAIN[:2], status("c", {}, {"b": 6, "c": 7}, 3)], marks)
    assert is_fresh([*CHAIN[:2], status("c", {}, {"a": 6, "b": 6, "c": 7}, 3)], marks)  # a moment later
    assert not is_fresh([*CHAIN[:2], status("c", {}, {"a": 9, "b": 6, "c": 7}, 3)], marks)  # left over from before


def good(part: str, whole_s: float | None = 1.0) -> Run:
    """A run without a fault."""
    run = Run(part, 1, whole_s=whole_s, fresh_s=2.0, complete_s=3.0, events_s=4.0, events_told=200)
    run.proven_s, run.owner_told_s = 2.0, 3.0
    return run


def test_runs_without_a_fault_meet_their_bars() -> None:
    for part in PARTS:
        assert all_met(bars_of(part, [good(part)] * 20, told=True))


@pytest.mark.parametrize(
    "run",
    [
        good("cut", 5.1),
        good("cut", None),
        Run("cut", 1, whole_s=1.0, fresh_s=4.1, events_s=1.0),
        Run("cut", 1, whole_s=1.0, fresh_s=1.0, events_s=10.1),
        Run("cut", 1, whole_s=1.0, fresh_s=1.0, events_s=1.0, events_lost=1),
        Run("cut", 1, whole_s=1.0, fresh_s=1.0, events_s=1.0, went_back=1),
        Run("cut", 1, whole_s=1.0, fresh_s=1.0, events_s=1.0, restarted=1),
        Run("cut", 1, whole_s=1.0, fresh_s=1.0, events_s=1.0, faults=1),
    ],
)
def test_one_thing_that_is_wrong_misses_a_bar(run: Run) -> None:
    assert not all_met(bars_of("cut", [run], told=True))


def test_an_accusation_misses_a_bar_unless_it_is_the_twins_own() -> None:
    accused = good("clone")
    accused.forks = 1
    assert not all_met(bars_of("clone", [accused], told=True))
    assert not all_met(bars_of("twins", [Run("twins", 1, owner_told_s=1.0)], told=True))


def test_one_of_twenty_foul_runs_may_be_late_and_none_may_never_arrive() -> None:
    rest = [good("loss")] * 19
    assert all_met(bars_of("loss", [good("loss", 16.0), *rest], told=True))
    assert not all_met(bars_of("loss", [good("loss", 16.0)] * 2 + rest[1:], told=True))
    assert not all_met(bars_of("loss", [good("loss", None), *rest], told=True))


def test_a_machine_that_cannot_is_told_why(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["--part", "cut", "--json"]) == REFUSED
    assert capsys.readouterr().err == "not here: not installed: unshare, nsenter, ip, mount\n"
