"""``python -m tests.lab [--part NAME] [--runs N] [--json]``: real hubs in namespaces are cut, shaken and killed.

Exit 0 only if every bar is met; 1: one is missed; 2: wrong arguments; 3: this machine cannot make namespaces.
docs/lab.md says what each part does and what each figure counts.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Final

import trio

from protocol.bars import Bar, all_met, emit
from tests.lab import words
from tests.lab.campaign import CUT_S, FOUL, PARTS, TALKED, NotReady, Run, measure
from tests.lab.netns import why_no_weather, why_not

RUNS: Final = {"cut": 5, "loss": 20, "address": 5, "kill": 5, "clone": 5, "twins": 5}
"""Unless ``--runs`` says otherwise."""
WHOLE_S: Final = 5.0
FRESH_S: Final = 4.0
EVENTS_S: Final = 10.0
FOUL_WHOLE_S: Final = 15.0
FOUL_EVENTS_S: Final = 30.0
REFUSED: Final = 3


def p95(values: Sequence[float | None]) -> float | None:
    """The nearest-rank percentile; None if any run did not get there."""
    known = sorted(value for value in values if value is not None)
    return known[ceil(0.95 * len(known)) - 1] if known and len(known) == len(values) else None


def bars_of(part: str, runs: Sequence[Run], *, told: bool) -> list[Bar]:
    """What the runs of one part must show."""
    foul = part in FOUL
    name = f"{part}, p95 of {len(runs)}" if len(runs) > 1 else part
    if part == "twins":
        return [
            Bar(f"{name}: the proof on all others after", p95([run.proven_s for run in runs]), EVENTS_S, "s"),
            Bar(f"{name}: both owners told after", p95([run.owner_told_s for run in runs]), EVENTS_S, "s"),
            *_never(part, runs),
        ]
    whole = [run.whole_s for run in runs]
    bars = [Bar(f"{name}: overlay whole after", p95(whole), FOUL_WHOLE_S if foul else WHOLE_S, "s")]
    if not foul:
        bars.append(Bar(f"{name}: every value fresh after", p95([run.fresh_s for run in runs]), FRESH_S, "s"))
    if told and part in TALKED | {"clone"}:
        events = [run.events_s for run in runs]
        bars.append(Bar(f"{name}: every event everywhere after", p95(events), FOUL_EVENTS_S if foul else EVENTS_S, "s"))
        bars.append(Bar(f"{part}: events lost", float(sum(run.events_lost for run in runs)), 0.0, "events"))
    return bars + _never(part, runs)


def _never(part: str, runs: Sequence[Run]) -> list[Bar]:
    """What no trouble may cause."""
    return [
        Bar(f"{part}: values that went back", float(sum(run.went_back for run in runs)), 0.0, "values"),
        Bar(f"{part}: forks laid to the innocent", float(sum(run.forks for run in runs)), 0.0, "forks"),
        Bar(f"{part}: hubs restarted", float(sum(run.restarted for run in runs)), 0.0, "hubs"),
        Bar(f"{part}: errors in logs", float(sum(run.faults for run in runs)), 0.0, "lines"),
    ]


def unmeasured_of(parts: Sequence[str], *, told: bool) -> list[str]:
    """What these parts are meant to show and this build cannot."""
    return [] if told or not TALKED & {*parts} else [f"events: this build has no verb {words.VERB!r}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the person asked for."""

    parts: Sequence[str]
    runs: int | None
    seed: int
    at_once: int
    cut_s: float
    keep: Path | None

    def all_runs(self) -> list[tuple[str, int]]:
        """Every run: its part and its seed."""
        return [(part, self.seed + number) for part in self.parts for number in range(self.runs or RUNS[part])]


async def perform(plan: Plan, *, told: bool) -> list[Run]:
    """All runs, some at a time; those that were done if the person has lost patience."""
    limit = trio.CapacityLimiter(plan.at_once)
    done: list[Run] = []

    async def one(part: str, seed: int) -> None:
        async with limit:
            done.append(await perform_one(plan, part, seed, told=told))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop_on_signal, nursery.cancel_scope)
        async with trio.open_nursery() as working:
            for part, seed in plan.all_runs():
                working.start_soon(one, part, seed)
        nursery.cancel_scope.cancel()
    return done


async def perform_one(plan: Plan, part: str, seed: int, *, told: bool) -> Run:
    """One run in a folder of its own; one whose hubs did not even start has no figures."""
    folder = Path(tempfile.mkdtemp(prefix="meshnode-lab-"))
    try:
        run = await measure(part, folder, seed, plan.cut_s, listen=told)
    except NotReady as fault:
        print(fault, file=sys.stderr)
        run = Run(part, seed)
    finally:
        if plan.keep is not None:
            shutil.copytree(folder, plan.keep / f"{part}-{seed}", ignore=shutil.ignore_patterns("*.sock"))
        shutil.rmtree(folder, ignore_errors=True)
    print(line(run), file=sys.stderr, flush=True)
    return run


async def stop_on_signal(scope: trio.CancelScope) -> None:
    """Ctrl-C ends what runs; what is done is still judged."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


def line(run: Run) -> str:
    """One run for a person who waits."""

    def said(seconds: float | None) -> str:
        return "never" if seconds is None else f"{seconds:.1f} s"

    if run.part == "twins":
        return f"twins {run.seed}: proven after {said(run.proven_s)}, owners told after {said(run.owner_told_s)}"
    return (
        f"{run.part} {run.seed}: whole after {said(run.whole_s)}, fresh after {said(run.fresh_s)}, "
        f"all pairs linked after {said(run.complete_s)}; load {run.load:.1f}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=PARTS, help="only this one; may be repeated")
    parser.add_argument("--runs", type=int, help="runs of each part (default: 20 of loss, 5 of the others)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first run's weather; the next have the next")
    parser.add_argument("--at-once", type=int, default=1, help="runs at a time; each has eight hubs")
    parser.add_argument("--cut-s", type=float, default=CUT_S, help="how long a cut lasts; claims are made for 60")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep every hub's state and log there")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    given = parser.parse_args(arguments)
    if (given.runs is not None and given.runs < 1) or given.at_once < 1:
        parser.error("--runs and --at-once: at least 1")
    parts = list(dict.fromkeys(given.part or PARTS))
    reason = why_not() or (why_no_weather() if FOUL & {*parts} else None)
    if reason is not None:
        print(f"not here: {reason}", file=sys.stderr)
        return REFUSED
    told = words.can_tell()
    plan = Plan(
        parts=parts, runs=given.runs, seed=given.seed, at_once=given.at_once, cut_s=given.cut_s, keep=given.keep
    )
    runs = trio.run(partial(perform, plan, told=told))
    bars = [bar for part in parts for bar in bars_of(part, [run for run in runs if run.part == part], told=told)]
    bars.append(Bar("runs done", float(len(runs)), float(len(plan.all_runs())), "runs", at_most=False))
    unmeasured = unmeasured_of(parts, told=told)
    rows = [asdict(run) for run in sorted(runs, key=lambda run: (parts.index(run.part), run.seed))]
    print(emit(bars, as_json=given.json, runs=rows, not_measured=unmeasured, load=list(os.getloadavg())))
    if not given.json:
        print("\n".join(f"not measured: {what}" for what in unmeasured))
    return 0 if all_met(bars) else 1


if __name__ == "__main__":
    sys.exit(main())
