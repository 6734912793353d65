"""The command line: figures, exit codes, and the line that plays a broken run again."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import pytest
from click.testing import CliRunner

from protocol.clock import SECOND
from sim.__main__ import main
from sim.scenarios import SCENARIOS
from sim.scenarios.crowd import Crowd, Played
from sim.world import SafetyViolation

SMALL = Crowd(
    name="small", about="for tests", sizes=(3, 3), whole_us=2 * SECOND, cut_us=4 * SECOND, sweep_us=SECOND // 2
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken(Crowd):
    """A scenario in which an invariant does not hold."""

    def play(self, seed: int, out: TextIO | None = None) -> Played:
        raise SafetyViolation("numbers go back", seed, 1_234_000, "n3")


@pytest.fixture(autouse=True)
def scenarios(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones beside the real ones."""
    monkeypatch.setitem(SCENARIOS, "small", SMALL)
    monkeypatch.setitem(SCENARIOS, "strict", replace(SMALL, noticed_us_bar=1))
    monkeypatch.setitem(SCENARIOS, "broken", Broken(name="broken", about="", sizes=(1,)))


def test_a_run_prints_one_object_with_bars_and_figures() -> None:
    done = CliRunner().invoke(main, ["run", "small", "--seed", "5", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["met"] is True
    assert {bar["name"] for bar in told["bars"]} >= {"cut noticed by every hub", "age p99 whole"}
    assert told["figures"]["whole"]["pairs_without_value"] == 0
    assert len(told["digest"]) == 32
    assert told["events"] > 1_000


def test_a_run_without_json_is_for_people_and_has_the_same_digest() -> None:
    outputs = [CliRunner().invoke(main, ["run", "small", "--seed", "5", *more]) for more in ([], ["--lane", "wire"])]
    digests = [done.stdout.splitlines()[-1] for done in outputs]
    assert digests[0].startswith("digest: ")
    assert digests[0] == digests[1]
    assert "met    cut noticed by every hub" in outputs[0].stdout


def test_a_missed_bar_ends_with_exit_code_1_and_says_how_to_see_it_again() -> None:
    done = CliRunner().invoke(main, ["run", "strict", "--seed", "5"])
    assert done.exit_code == 1
    assert "MISSED cut noticed by every hub" in done.stdout
    assert done.stderr == "again: python -m sim run strict --seed 5 --lane object --crypto stub\n"


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_broken_invariant_ends_with_exit_code_1_and_says_how_to_see_it_again(more: list[str]) -> None:
    done = CliRunner().invoke(main, ["run", "broken", "--seed", "5", *more])
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        "broken: numbers go back (seed 5, 1234000 us, node n3)",
        "again: python -m sim run broken --seed 5 --lane object --crypto stub",
    ]
    if more:
        told = json.loads(done.stdout)
        assert (told["met"], told["violation"], told["now_us"]) == (False, "numbers go back", 1_234_000)


def test_traces_can_be_written_and_compared(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.jsonl" for number in range(3)]
    for path, seed in zip(paths, ("5", "5", "6"), strict=True):
        assert CliRunner().invoke(main, ["run", "small", "--seed", seed, "--trace", str(path)]).exit_code == 0
    same = CliRunner().invoke(main, ["diff", str(paths[0]), str(paths[1])])
    assert (same.exit_code, same.stdout) == (0, "the same\n")
    other = CliRunner().invoke(main, ["diff", str(paths[0]), str(paths[2])])
    assert other.exit_code == 1
    assert other.stdout.startswith("line 1\n< {")


def test_scenarios_are_listed_and_an_unknown_one_is_exit_code_2() -> None:
    listed = CliRunner().invoke(main, ["list"]).stdout
    assert "plaza" in listed
    assert "hundred" in listed
    assert CliRunner().invoke(main, ["run", "nowhere"]).exit_code == 2
