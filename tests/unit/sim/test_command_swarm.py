"""``swarm`` and ``replay``: what they print, keep and demand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from protocol.clock import SECOND
from sim.__main__ import main
from sim.draws import draw
from sim.search import KINDS, PROVEN_FROM, Broken, bars
from sim.swarm import Played


def test_the_swarm_says_how_many_seeds_hold_and_what_has_gone_wrong_in_them(tmp_path: Path) -> None:
    plot = tmp_path / "whole.svg"
    done = CliRunner().invoke(main, ["swarm", "--seeds", "2", "--first", "13", "--plot", str(plot)])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "2 of 2 seeds hold"
    assert "cut: " in done.stdout
    assert any(line.startswith("whole_after_heal_s: ") for line in lines)
    assert "<svg" in plot.read_text(encoding="utf-8")


def test_a_swarm_in_one_object_has_every_kind_and_demands_them_of_many_seeds_only() -> None:
    done = CliRunner().invoke(main, ["swarm", "--seeds", "1", "--first", "13", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["seeds"], told["first"], told["broken"]) == (1, 13, [])
    assert [bar["name"] for bar in told["bars"]] == ["worlds that broke a rule"]
    assert set(told["fired"]) == set(KINDS)
    results = [Played(seed, 2, SECOND, SECOND, 1, 1, 1, {}, "") for seed in range(PROVEN_FROM)]
    assert [bar.met for bar in bars(results)] == [True] + [False] * len(KINDS)
    everything = replace(results[0], fired=dict.fromkeys(KINDS, 1))
    assert all(bar.met for bar in bars([everything, *results[1:]]))


def test_a_seed_that_breaks_a_rule_is_said_in_one_line_and_kept_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept" / "seed-13.json"

    def broken(seed: int, *, shrinks: bool, profile: str) -> Broken:
        assert shrinks
        assert profile == "live"
        return Broken(seed, "lease", "shown too long", draw(seed), "ab" * 16, 7)

    monkeypatch.setattr("sim.search.one", broken)
    done = CliRunner().invoke(main, ["swarm", "--seeds", "1", "--first", "13", "--json", "--keep", str(path.parent)])
    assert done.exit_code == 1
    assert done.stderr.splitlines() == ["broken: shown too long", f"again: python -m sim replay {path}"]
    [told] = json.loads(done.stdout)["broken"]
    assert (told["seed"], told["rule"], told["worlds_tried"]) == (13, "lease", 7)
    again = CliRunner().invoke(main, ["replay", str(path), "--trace", str(tmp_path / "trace.jsonl")])
    assert again.exit_code == 0
    assert again.stdout == "every rule holds (not as it was kept: something has changed since)\n"
    assert (tmp_path / "trace.jsonl").stat().st_size > 10_000
    told = json.loads(CliRunner().invoke(main, ["replay", str(path), "--json"]).stdout)
    assert (told["violation"], told["same"]) == (None, False)


def test_a_file_that_holds_no_world_is_refused(tmp_path: Path) -> None:
    for text in ("[]", "{}", '{"world": {"seed": "one"}}', "no json"):
        path = tmp_path / "world.json"
        path.write_text(text, encoding="utf-8")
        assert CliRunner().invoke(main, ["replay", str(path)]).exit_code == 2
