"""Published experiments at small sizes: that they run, say what they measured, and can fail."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from click.testing import CliRunner

from protocol.bars import Bar
from protocol.clock import SECOND
from protocol.membership.overlay_values import OverlayConfig
from protocol.rng import Rng
from sim import graph, papers
from sim.__main__ import main
from sim.papers import Curve, Found, Picture, Plan, hyparview, plumtree, remerge
from sim.plot import svg


def run(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and what was printed."""
    done = CliRunner().invoke(main, ["papers", *arguments, "--json"])
    assert done.stdout, done.output
    return done.exit_code, json.loads(done.stdout)


def ours(told: dict[str, Any], name: str) -> float:
    """Our figure of the bar of that name."""
    [bar] = [bar for bar in told["bars"] if bar["name"] == name]
    value: float = bar["ours"]
    return value


def double(number: int) -> int:
    """Work for the plan."""
    return 2 * number


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_of_the_work_in_one_process_or_in_two(jobs: int) -> None:
    said: list[str] = []
    plan = Plan(jobs=jobs, say=said.append)
    assert plan.each("doubling", double, range(5)) == [0, 2, 4, 6, 8]
    assert said == [f"doubling: {number} of 5" for number in range(1, 6)]


def test_a_plan_runs_the_seeds_and_parts_that_it_was_told() -> None:
    assert list(Plan(first=7).seed_range(3)) == [7, 8, 9]
    assert list(Plan(seeds=2).seed_range(20)) == [1, 2]
    assert Plan().wants("anything")
    assert not Plan(parts=("reach",)).wants("healing")


def test_a_median_with_something_unmeasured_is_not_measured() -> None:
    assert papers.middle([3.0, 1.0, 2.0]) == 2.0
    assert papers.middle([3.0, None]) is None
    assert papers.middle([]) is None


def test_a_table_is_aligned_and_shows_what_is_missing() -> None:
    assert papers.table([{"dead": 60, "ours": 0.5}, {"dead": 70, "ours": None}]) == (
        "dead  ours\n  60   0.5\n  70     -"
    )


def test_a_picture_is_valid_and_has_every_curve_and_its_name() -> None:
    curves = [Curve("ours & theirs", [(60, 1.0), (80, 0.9)]), Curve("flat", [(60, 0.5), (80, 0.5)]), Curve("none", [])]
    drawn = Xml.fromstring(svg(Picture("First <broadcast>", "dead", "reached", curves)))
    texts = ["".join(node.itertext()) for node in drawn.iter() if node.tag.endswith("text")]
    assert {"First <broadcast>", "dead", "reached", "ours & theirs", "flat"} <= set(texts)
    assert "none" not in texts
    assert len([node for node in drawn.iter() if node.tag.endswith("circle")]) == 4


def test_a_strike_kills_the_share_and_the_same_ones_each_time() -> None:
    field = hyparview.grown(3, 40, OverlayConfig(), shuffles=1, spread=False)
    copy = field.fork()()
    survivors = hyparview.strike(field, 60, silent=False)
    assert sorted(survivors) == field.living()
    assert len(survivors) == 16
    assert hyparview.strike(copy, 60, silent=True) == survivors


def test_a_graph_that_nobody_repairs_is_in_pieces_and_the_overlay_joins_them() -> None:
    field = hyparview.grown(3, 150, OverlayConfig(), shuffles=2, spread=False)
    hyparview.strike(field, 90, silent=False)
    assert len(graph.pieces(field.graph())) > 1
    took = field.wait(lambda: len(graph.pieces(field.graph())) == 1, 20 * SECOND, SECOND // 4)
    assert took is not None


def test_reach_after_deaths_is_judged_and_drawn(tmp_path: Path) -> None:
    plot = tmp_path / "reach.svg"
    code, told = run("hyparview", "--nodes", "120", "--seeds", "1", "--quick", "--part", "reach", "--plot", str(plot))
    share = ours(told, "60 % die: reached within 2 s")
    assert 0.8 < share <= 1.0
    assert code == (0 if told["met"] else 1)
    rows = told["tables"]["the first broadcast after the deaths, share of survivors reached"]
    assert [(row["dead %"], row["silent"]) for row in rows] == [(d, s) for s in (False, True) for d in (60, 70, 80)]
    assert told["conditions"]["members"] == 120
    assert "resets, 2 s" in plot.read_text(encoding="utf-8")


def test_a_bar_that_is_missed_ends_with_exit_code_1_and_the_line_to_see_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad = Found([Bar("impossible", 1.0, 0.5, "s")], {"rows": [{"a": 1}]}, {"members": 4})
    monkeypatch.setattr(hyparview, "run", lambda _plan: bad)
    done = CliRunner().invoke(main, ["papers", "hyparview"])
    assert done.exit_code == 1
    assert "MISSED impossible" in done.stdout
    assert done.stderr.startswith("again: python -m sim papers ")
    good = replace(bad, bars=[Bar("easy", 1.0, 2.0, "s")])
    monkeypatch.setattr(hyparview, "run", lambda _plan: good)
    assert CliRunner().invoke(main, ["papers", "hyparview"]).exit_code == 0


def test_an_unknown_paper_or_part_is_exit_code_2() -> None:
    assert CliRunner().invoke(main, ["papers", "nowhere"]).exit_code == 2
    assert CliRunner().invoke(main, ["papers", "remerge", "--part", "nowhere"]).exit_code == 2


def test_the_reproduction_is_judged_by_how_far_it_is_from_what_was_published() -> None:
    lines = [hyparview._Paper(dead, 0.5, hyparview.PAPER_REACHED[dead] - 0.03, 1.0, SECOND) for dead in (30, 40, 50)]
    assert all(bar.met for bar in hyparview._paper_bars(lines))
    assert not any(bar.met for bar in hyparview._paper_bars([replace(line, largest=0.5) for line in lines]))


def test_healing_is_judged_by_the_worst_seed_and_never_is_a_miss() -> None:
    healed = [hyparview._Healed(dead, 5 * SECOND, 1, 8) for dead in (90, 95) for _ in range(3)]
    assert [(bar.ours, bar.met) for bar in hyparview._healing_bars(healed)] == [(1, True), (1, True)]
    late = [*healed, hyparview._Healed(90, 21 * SECOND, 1, 8), hyparview._Healed(95, None, 4, 8)]
    assert [(bar.ours, bar.met) for bar in hyparview._healing_bars(late)] == [(3, False), (None, False)]


def test_ten_members_that_were_cut_in_two_are_whole_again() -> None:
    code, told = run("remerge", "--seeds", "2", "--quick", "--part", "small")
    assert code == 0
    assert 0 < ours(told, "small, without discovery: whole again") <= 15
    rows = told["tables"]["whole again after the path is back"]
    assert [(row["discovery"], row["never"], row["pieces while apart"]) for row in rows] == [
        (False, 0, 1),
        (True, 0, 1),
    ]


def test_sides_are_drawn_from_the_seed_and_links_across_are_counted_once() -> None:
    field = hyparview.grown(2, 30, OverlayConfig(), shuffles=1, spread=False)
    side = remerge.sides(field, 90)
    assert (side, side.count(0)) == (remerge.sides(field, 90), 27)
    pairs = {(one, other) for one, view in enumerate(field.graph()) for other in view or () if side[one] != side[other]}
    assert remerge.crossing(field, side) == len(pairs) // 2 > 0


def test_flaps_are_judged_by_dials_during_and_after() -> None:
    calm = remerge._Flapped(False, 0.5, 1.0, 1.2, 0.1, 0.02, SECOND, 8)
    assert all(bar.met for bar in remerge._bars([], [calm]))
    storm = remerge._bars([], [replace(calm, mean=5.0, calm=1.0, whole_us=None)])
    assert [bar.met for bar in storm] == [False, False, False, True]


def test_rounds_of_iroh_reach_everybody_with_its_trees_and_with_ours() -> None:
    code, told = run("plumtree", "--nodes", "20", "--seeds", "1", "--quick", "--part", "iroh")
    rows = told["tables"]["the scenarios of iroh-gossip"]
    assert [(row["senders"], row["trees"]) for row in rows] == [
        (senders, trees) for senders in ("one", "random", "all") for trees in ("ours", "iroh")
    ]
    assert [row["missed"] for row in rows] == [0] * 6
    assert code == (0 if told["met"] else 1)


def test_busy_authors_are_compared_with_a_flood_over_the_same_links() -> None:
    found = plumtree._authors(plumtree._Job(1, 60, quick=True))
    assert found.slower is not None
    assert 1.0 <= found.slower[0] <= found.slower[1] <= found.slower[2]
    assert found.missed == 0
    assert 0 < found.control_share < 1


def test_missed_deliveries_under_churn_are_counted_among_those_that_live() -> None:
    churned = plumtree._churn(plumtree._Job(1, 60, quick=True))
    assert churned.survivors == 60 - 5
    assert churned.due == sum(60 - cycle for cycle in range(1, 6))
    [bar] = plumtree._churn_bars([churned, replace(churned, missed=1)])
    assert bar.ours is not None
    assert bar.ours < 1
    assert not bar.met


def test_the_trees_of_each_name_are_those_of_the_paper_or_ours() -> None:
    assert plumtree.config_of("ours").own_max > 0
    assert plumtree.config_of("threshold 3").swap_shared_hops == 3
    assert plumtree.config_of("not optimised").swap_shared_hops is None
    assert plumtree.config_of("iroh").graft_us == 80_000


def test_a_sample_of_members_gives_distances_like_all_of_them() -> None:
    field = hyparview.grown(4, 100, OverlayConfig(), shuffles=2, spread=False)
    some, every = (graph.figures(field.graph(), Rng(1), samples) for samples in (30, 100))
    assert abs(some.path - every.path) < 0.2
    assert (some.sampled, every.sampled) == (30, 100)
