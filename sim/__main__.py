"""``python -m sim``: play a scenario, run a published experiment again, search many seeds, compare two traces."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TextIO, cast

import click

from protocol.bars import all_met, report, text
from sim import keys, network, papers, search, swarm, sweep
from sim.plot import svg
from sim.scenarios import SCENARIOS
from sim.scenarios.crowd import Crowd, Played
from sim.scenarios.office import Office
from sim.trace import diff
from sim.world import SafetyViolation

PROGRESS_LINES = 50
"""How many lines a long search says on its way; one of fewer seeds says none."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The mesh in virtual time."""


@main.command("list")
def list_scenarios() -> None:
    """Say which scenarios there are."""
    for scenario in SCENARIOS.values():
        click.echo(f"{scenario.name:10} {scenario.about}")


@main.command()
@click.argument("scenario")
@click.option("--seed", type=int, default=1, show_default=True, help="Everything is drawn from it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--lane", type=click.Choice(["object", "wire"]), default="object", show_default=True)
@click.option("--crypto", type=click.Choice(["stub", "real"]), default="stub", show_default=True)
@click.option("--trace", type=click.Path(path_type=Path, dir_okay=False), help="Write every step, one JSON a line.")
def run(scenario: str, seed: int, as_json: bool, lane: str, crypto: str, trace: Path | None) -> None:
    """Play SCENARIO once; exit 1 if a bar is missed or an invariant broken."""
    if scenario not in SCENARIOS:
        raise click.BadParameter(f"{scenario} is none of {', '.join(SCENARIOS)}", param_hint="SCENARIO")
    crowd = SCENARIOS[scenario]
    if isinstance(crowd, Crowd):  # a field of machines has no lanes
        crowd = replace(crowd, lane=cast(network.Lane, lane), crypto=cast(keys.Lane, crypto))
    again = f"python -m sim run {scenario} --seed {seed} --lane {lane} --crypto {crypto}"
    began = _cpu_s()
    try:
        with _opened(trace) as out:
            played = crowd.play(seed, out)
    except SafetyViolation as broken:
        _print_broken(broken, again, as_json)
        sys.exit(1)
    _print_played(crowd, played, seed, _cpu_s() - began, as_json)
    if not all_met(played.bars):
        click.echo(f"again: {again}", err=True)
        sys.exit(1)


def _print_played(crowd: Crowd | Office, played: Played, seed: int, cpu_s: float, as_json: bool) -> None:
    speed = {
        "events": played.events,
        "steps": played.steps,
        "cpu_s": round(cpu_s, 2),
        "events_per_cpu_s": round(played.events / max(cpu_s, 0.01)),
    }
    if as_json:
        more = {"scenario": crowd.name, "seed": seed, "digest": played.digest, "figures": played.figures, **speed}
        click.echo(json.dumps(report(played.bars, **more)))
        return
    click.echo(text(played.bars))
    for name, figure in [*played.figures.items(), *speed.items(), ("digest", played.digest)]:
        click.echo(f"{name}: {figure}")


def _print_broken(broken: SafetyViolation, again: str, as_json: bool) -> None:
    if as_json:
        told = {"seed": broken.seed, "now_us": broken.now, "node": broken.node, "violation": broken.what}
        click.echo(json.dumps(report([], **told, again=again)))
    click.echo(f"broken: {broken}\nagain: {again}", err=True)


@main.command("papers")
@click.argument("name", type=click.Choice(sorted(papers.PAPERS)))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--seeds", type=click.IntRange(1), help="How many seeds (default: as many as the claim asks for).")
@click.option("--first", type=int, default=1, show_default=True, help="The first of them.")
@click.option("--nodes", type=click.IntRange(4), help="How many members (default: as many as the claim asks for).")
@click.option("--part", "parts", multiple=True, help="Only this part of the paper; may be repeated.")
@click.option("--quick", is_flag=True, help="Shorter rounds: for trying things, not for claims.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Seeds run in so many processes.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw the figures as SVG.")
def run_paper(
    name: str,
    as_json: bool,
    seeds: int | None,
    first: int,
    nodes: int | None,
    parts: tuple[str, ...],
    quick: bool,
    jobs: int,
    plot: Path | None,
) -> None:
    """Run the published experiment NAME again, ours beside theirs; exit 1 if a bar is missed."""
    paper = papers.load(name)
    unknown = [part for part in parts if part not in paper.PARTS]
    if unknown:
        raise click.BadParameter(f"{unknown[0]} is none of {', '.join(paper.PARTS)}", param_hint="--part")
    began = _cpu_s()
    plan = papers.Plan(
        seeds=seeds,
        first=first,
        nodes=nodes,
        quick=quick,
        jobs=jobs,
        parts=parts,
        say=lambda line: click.echo(f"{_cpu_s() - began:7.1f} s CPU  {line}", err=True),
    )
    found = paper.run(plan)
    if plot is not None and found.picture is not None:
        plot.write_text(svg(found.picture), encoding="utf-8")
    asked = " ".join(sys.argv[2:] or [name])
    if as_json:
        more = {"paper": name, "conditions": found.conditions, "tables": found.tables, "again": asked}
        click.echo(json.dumps(report(found.bars, **more, cpu_s=round(_cpu_s() - began, 1))))
    else:
        for title, rows in found.tables.items():
            click.echo(f"{title}\n{papers.table(rows)}\n")
        click.echo("\n".join(f"{what}: {value}" for what, value in found.conditions.items()))
        click.echo(text(found.bars))
    if not all_met(found.bars):
        click.echo(f"again: python -m sim papers {asked}", err=True)
        sys.exit(1)


@main.command("swarm")
@click.option("--profile", type=click.Choice(["live", "durable"]), default="live", show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=20, show_default=True, help="How many seeds.")
@click.option("--first", type=int, default=1, show_default=True, help="The first of them.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Seeds run in so many processes.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw the times to be whole as SVG.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Shrink each world that breaks a rule and write it into this folder, to be replayed.",
)
def run_swarm(
    profile: search.Profile, seeds: int, first: int, as_json: bool, jobs: int, plot: Path | None, keep: Path | None
) -> None:
    """Draw a crowd and its misfortunes from each seed; exit 1 if one breaks a rule."""
    began = _cpu_s()
    results: list[swarm.Played | search.Broken] = []
    broken: list[dict[str, object]] = []
    for result in search.search(range(first, first + seeds), jobs=jobs, shrinks=keep is not None, profile=profile):
        results.append(result)
        if isinstance(result, search.Broken):
            broken.append(_keep(result, keep, profile))
        if seeds >= PROGRESS_LINES and len(results) % (seeds // PROGRESS_LINES) == 0:
            click.echo(f"{_cpu_s() - began:7.1f} s CPU  {len(results)} of {seeds}, {len(broken)} broken", err=True)
    broken.sort(key=lambda each: int(str(each["seed"])))  # several jobs end in any order
    found = search.bars(results, profile)
    figures = search.figures(results)
    if profile == "durable":
        figures["words"] = search.words(results)
    if plot is not None:
        plot.write_text(svg(search.picture(results)), encoding="utf-8")
    if as_json:
        more = {"seeds": seeds, "first": first, "broken": broken, "fired": search.fired(results, profile)}
        click.echo(json.dumps(report(found, **more, **figures, cpu_s=round(_cpu_s() - began, 1))))
    else:
        click.echo(f"{seeds - len(broken)} of {seeds} seeds hold")
        for name, count in {**search.fired(results, profile), **figures}.items():
            click.echo(f"{name}: {count}")
    sys.exit(0 if all_met(found) else 1)


def _keep(broken: search.Broken, folder: Path | None, profile: search.Profile) -> dict[str, object]:
    """Say what broke and how to see it again, and write the small world down if there is a folder for it."""
    again = f"python -m sim swarm --profile {profile} --seeds 1 --first {broken.seed}"
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"seed-{broken.seed}.json"
        search.write(path, broken)
        again = f"python -m sim replay {path}"
    click.echo(f"broken: {broken.what}\nagain: {again}", err=True)
    size = {"hubs": len(broken.draw.hubs), "faults": len(broken.draw.plan), "worlds_tried": broken.tries}
    return {"seed": broken.seed, "rule": broken.rule, "violation": broken.what, "again": again, **size}


@main.command("replay")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--trace", type=click.Path(path_type=Path, dir_okay=False), help="Write every step, one JSON a line.")
def run_again(file: Path, as_json: bool, trace: Path | None) -> None:
    """Play the world in FILE again; exit 1 if it breaks a rule."""
    try:
        with _opened(trace) as out:
            again = search.replay(file, out)
    except ValueError as fault:
        raise click.BadParameter(str(fault), param_hint="FILE") from fault
    what = None if again.violation is None else str(again.violation)
    if as_json:
        click.echo(json.dumps({"violation": what, "digest": again.digest, "same": again.same}))
    else:
        how = "as it was kept" if again.same else "not as it was kept: something has changed since"
        click.echo(f"{'broken: ' + what if what else 'every rule holds'} ({how})")
    sys.exit(0 if again.violation is None else 1)


main.add_command(sweep.command)


@main.command("diff")
@click.argument("left", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("right", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def compare(left: Path, right: Path) -> None:
    """Find the first difference of two traces written with --trace; exit 1 if there is one."""
    with left.open(encoding="utf-8") as one, right.open(encoding="utf-8") as other:
        found = diff(one, other)
    if found is None:
        click.echo("the same")
        return
    click.echo(f"line {found.line}\n< {(found.left or 'ended').rstrip()}\n> {(found.right or 'ended').rstrip()}")
    sys.exit(1)


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8") as out:
        yield out


def _cpu_s() -> float:
    """CPU seconds of this process and of those that it has waited for; only ever printed."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


if __name__ == "__main__":
    main()
