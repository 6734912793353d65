"""One scenario over many settings and seeds: every combination is a run, every run a row.

``--over quality.loss=0,0.05`` sets a field of the scenario, of whatever lies inside it, or of a swarm's draw. Rows
stand in the order of settings and seeds and hold nothing that depends on the machine, so the same sweep gives the same
bytes, however many processes or which cluster did the work. A run that fails is a row with its ``error``.
"""

from __future__ import annotations

import csv
import json
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, Final, Literal, TextIO, TypeVar, Union, get_args, get_origin, get_type_hints

import click

from sim import draws, swarm
from sim.executors import Cluster, Executor, Processes
from sim.papers import Cell, Row, table
from sim.scenarios import SCENARIOS

T = TypeVar("T")

SWARM: Final = "swarm"
TARGETS: Final = (*SCENARIOS, SWARM)
SUFFIXES: Final = (".csv", ".parquet")
PARQUET_EXTRA: Final = "parquet"
CLUSTER_EXTRA: Final = "sweep"
ITEMS = "+"
"""Between the items of a list in a setting, because a comma is between two settings."""
FIXED: Final = ("scenario", "seed", "error", "met")
BAR_WIDTH: Final = 30
LINES: Final = 20

Setting = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Job:
    """One run: what, with which settings, from which seed."""

    target: str
    settings: tuple[Setting, ...]
    seed: int

    def again(self) -> str:
        """The command that does it once more."""
        over = "".join(f" --over {key}={value}" for key, value in self.settings)
        return f"python -m sim sweep {self.target}{over} --seeds 1 --first {self.seed}"


# --- settings -------------------------------------------------------------------------------------------------------


def parse_over(text: str) -> tuple[str, tuple[str, ...]]:
    """``KEY=V1,V2`` as key and values.

    Raises:
        ValueError: it has another form.
    """
    key, equals, values = text.partition("=")
    if not key or not equals or not all(values.split(",")):
        raise ValueError(f"{text!r} is not KEY=V1,V2,...")
    return key, tuple(values.split(","))


def jobs_of(target: str, over: Sequence[tuple[str, tuple[str, ...]]], seeds: Iterable[int]) -> list[Job]:
    """Every combination of settings with every seed.

    Raises:
        ValueError: a key is no field of the target, is given twice, or a value does not fit it.
    """
    keys = [key for key, _ in over]
    if len(dict.fromkeys(keys)) < len(keys):
        raise ValueError("a key is given twice")
    points = [tuple(zip(keys, values, strict=True)) for values in product(*(values for _, values in over))]
    listed = list(seeds)
    for point in points:
        _prepare(target, point, listed[0] if listed else 1)
    return [Job(target, point, seed) for point in points for seed in listed]


def changed(value: T, path: str, text: str) -> T:
    """``value``, a dataclass, with the field at the dotted ``path`` as ``text`` says.

    Raises:
        ValueError: there is no such field, or the text is none of its values.
    """
    name, _, rest = path.partition(".")
    assert is_dataclass(value)
    assert not isinstance(value, type)
    known = [each.name for each in fields(value)]
    if name not in known:
        raise ValueError(f"{type(value).__name__} has no {name!r}; it has {', '.join(known)}")
    inner = getattr(value, name)
    if rest and not is_dataclass(inner):
        raise ValueError(f"{name!r} has no parts, so {path!r} is no setting")
    new = changed(inner, rest, text) if rest else _read(get_type_hints(type(value))[name], text, path)
    return replace(value, **{name: new})


def _read(kind: Any, text: str, path: str) -> object:
    """``text`` as a value of a type hint."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if type(None) in inside and text == "none":
            return None
        kinds = [each for each in inside if each is not type(None)]
        return _read(kinds[0], text, path)
    if origin is Literal and text in inside:
        return text
    if origin is tuple and inside[-1] is Ellipsis:
        return tuple(_read(inside[0], item, path) for item in text.split(ITEMS))
    try:
        if kind is bool:
            return {"true": True, "false": False}[text]
        if kind in (int, float, str):
            return kind(text)
    except (KeyError, ValueError):
        pass
    raise ValueError(f"{path}={text}: not a value of {getattr(kind, '__name__', kind)}")


# --- one run --------------------------------------------------------------------------------------------------------


def _prepare(target: str, settings: Iterable[Setting], seed: int) -> Any:
    world: Any = draws.draw(seed) if target == SWARM else SCENARIOS[target]
    for key, text in settings:
        world = changed(world, key, text)
    return world


def play(job: Job) -> Row:
    """Do one run and say what came of it; runs wherever an executor puts it.

    Raises:
        SafetyViolation: an invariant does not hold.
    """
    world = _prepare(job.target, job.settings, job.seed)
    row = _begun(job)
    if job.target == SWARM:
        row |= {"error": None, "met": True, **_flat(swarm.play(world))}
    else:
        played = world.play(job.seed)
        row |= {"error": None, "met": all(bar.met for bar in played.bars)}
        row |= {f"{bar.name} ({bar.unit})": bar.ours for bar in played.bars}
        row |= _flat(played.figures)
        row |= {"events": played.events, "steps": played.steps, "digest": played.digest}
    return row


def _begun(job: Job) -> dict[str, Cell]:
    return {"scenario": job.target, **dict(job.settings), "seed": job.seed}


def _flat(value: object, name: str = "") -> dict[str, Cell]:
    """Figures as one line of cells; what is inside another is named after it, with a dot."""
    if is_dataclass(value) and not isinstance(value, type):
        value = {each.name: getattr(value, each.name) for each in fields(value) if each.name != "seed"}
    if isinstance(value, Mapping):
        cells: dict[str, Cell] = {}
        for key, item in value.items():
            cells |= _flat(item, f"{name}.{key}" if name else str(key))
        return cells
    return {name: value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value)}


def collect(jobs: Sequence[Job], executor: Executor, done: Callable[[Job, Row], None]) -> tuple[list[Row], bool]:
    """The rows in the order of the jobs, and whether all were done; after Ctrl-C those that had ended."""
    rows: dict[int, Row] = {}
    whole = True
    outcomes = executor.run(play, jobs)
    try:
        for number, outcome in outcomes:
            if isinstance(outcome, BaseException):
                outcome = _begun(jobs[number]) | {"error": _said(outcome), "met": False}
            rows[number] = outcome
            done(jobs[number], outcome)
    except KeyboardInterrupt:
        whole = False
    return [rows[number] for number in sorted(rows)], whole


def _said(fault: BaseException) -> str:
    first = str(fault).strip().partition("\n")[0]
    return f"{type(fault).__name__}: {first}" if first else type(fault).__name__


# --- what is made of the rows ---------------------------------------------------------------------------------------


def columns(rows: Sequence[Row]) -> list[str]:
    """The names of all cells, in the order in which they came up."""
    return list(dict.fromkeys(name for row in rows for name in row))


def summary(rows: Sequence[Row], keys: Sequence[str]) -> list[Row]:
    """One row a setting: how many ran, failed and met their bars, and the medians of what is a number."""
    points: dict[tuple[Cell, ...], list[Row]] = {}
    for row in rows:
        points.setdefault(tuple(row[key] for key in keys), []).append(row)
    return [_point(dict(zip(keys, point, strict=True)), mine) for point, mine in points.items()]


def _point(settings: dict[str, Cell], rows: Sequence[Row]) -> Row:
    ran = [row for row in rows if row["error"] is None]
    point = settings | {
        "runs": len(rows),
        "failed": len(rows) - len(ran),
        "met": sum(row["met"] is True for row in ran),
    }
    for name in columns(ran):
        if name in point or name in FIXED:
            continue
        numbers = [cell for row in ran if isinstance(cell := row.get(name), int | float) and not isinstance(cell, bool)]
        if numbers:
            point[name] = median(numbers)
    return point


def text(points: Sequence[Row], keys: Sequence[str]) -> str:
    """A summary for people: a line a figure, a column a setting."""
    heads = [" ".join(f"{key}={_plain(point[key])}" for key in keys) or "all" for point in points]
    lines = [name for name in columns(points) if name not in keys]
    return table(
        [{"": name, **{head: point.get(name) for head, point in zip(heads, points, strict=True)}} for name in lines]
    )


def check(path: Path) -> None:
    """See before the work begins that :func:`write` will be able to.

    Raises:
        ImportError: Parquet was asked for and pyarrow is not installed.
        OSError: the file cannot be written.
    """
    if path.suffix == ".parquet":
        import pyarrow  # noqa: F401
    with path.open("ab"):
        pass


def needs(fault: ImportError) -> str:
    """What to install when a module is missing."""
    extra = PARQUET_EXTRA if (fault.name or "").partition(".")[0] == "pyarrow" else CLUSTER_EXTRA
    return f"install it with: pip install 'meshnode[{extra}]'"


def write(rows: Sequence[Row], path: Path) -> None:
    """The rows as CSV or Parquet, as the name of the file says."""
    if path.suffix == ".parquet":
        _write_parquet(rows, path)
        return
    with path.open("w", encoding="utf-8", newline="") as out:
        write_csv(rows, out)


def write_csv(rows: Sequence[Row], out: TextIO) -> None:
    """Lines end with a line feed; None is empty, numbers are as Python writes them."""
    names = columns(rows)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[_plain(row.get(name)) for name in names] for row in rows])


def _plain(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return "" if cell is None else str(cell)


def _write_parquet(rows: Sequence[Row], path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({name: _column(rows, name) for name in columns(rows)}), path)


def _column(rows: Sequence[Row], name: str) -> list[Cell]:
    """One type a column: whole numbers become floats beside floats, and everything text beside text."""
    cells = [row.get(name) for row in rows]
    kinds = dict.fromkeys(type(cell) for cell in cells if cell is not None)
    if len(kinds) <= 1:
        return cells
    if all(kind in (int, float) for kind in kinds):
        return [None if cell is None else float(cell) for cell in cells]
    return [None if cell is None else _plain(cell) for cell in cells]


class Progress:
    """A bar on a terminal, else a line now and then; what has failed is always said."""

    def __init__(self, total: int, out: TextIO) -> None:
        self._total = total
        self._out = out
        self._live = out.isatty()
        self.done = 0
        self.failed = 0

    def step(self, job: Job, row: Row) -> None:
        """One run has ended."""
        self.done += 1
        if row["error"] is not None:
            self.failed += 1
            self._say(f"failed: {row['error']}\nagain: {job.again()}")
        share = f"{self.done} of {self._total}" + (f", {self.failed} failed" if self.failed else "")
        if self._live:
            full = BAR_WIDTH * self.done // self._total
            self._out.write(f"\r\x1b[K[{'#' * full}{'.' * (BAR_WIDTH - full)}] {share}")
            self._out.write("\n" if self.done == self._total else "")
            self._out.flush()
        elif LINES * self.done // self._total > LINES * (self.done - 1) // self._total:
            self._say(share)

    def _say(self, line: str) -> None:
        self._out.write(("\r\x1b[K" if self._live else "") + line + "\n")
        self._out.flush()


@click.command("sweep")
@click.argument("target", type=click.Choice(TARGETS))
@click.option("--over", multiple=True, metavar="KEY=V1,V2", help="A field and its values; may be repeated.")
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="How many seeds for each setting.")
@click.option("--first", type=int, default=1, show_default=True, help="The first of them.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Runs in so many processes.")
@click.option("--scheduler", metavar="ADDRESS", help="Runs on the dask.distributed cluster of this scheduler instead.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write a row a run: .csv or .parquet.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    target: str,
    over: tuple[str, ...],
    seeds: int,
    first: int,
    jobs: int,
    scheduler: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Play TARGET at every combination of settings and seeds; exit 1 if a run failed, 130 after Ctrl-C."""
    if out is not None and out.suffix not in SUFFIXES:
        raise click.BadParameter(f"{out.name} ends in none of {', '.join(SUFFIXES)}", param_hint="--out")
    try:
        varied = [parse_over(item) for item in over]
        jobs_listed = jobs_of(target, varied, range(first, first + seeds))
    except ValueError as fault:
        raise click.BadParameter(str(fault), param_hint="--over") from fault
    progress = Progress(len(jobs_listed), sys.stderr)
    rows, whole = _work(jobs_listed, Processes(jobs) if scheduler is None else Cluster(scheduler), progress, out)
    keys = [key for key, _ in varied]
    points = summary(rows, keys)
    if as_json:
        counts = {"runs": len(jobs_listed), "done": len(rows), "failed": progress.failed}
        click.echo(
            json.dumps({"target": target, "over": keys, "first": first, "seeds": seeds, **counts, "points": points})
        )
    else:
        click.echo(text(points, keys))
    if not whole:
        click.echo(f"stopped after {len(rows)} of {len(jobs_listed)} runs", err=True)
        sys.exit(130)
    sys.exit(1 if progress.failed else 0)


def _work(jobs: Sequence[Job], executor: Executor, progress: Progress, out: Path | None) -> tuple[list[Row], bool]:
    """Run it all and write it down.

    Raises:
        ClickException: something is not installed, nobody answers at the scheduler, or the file cannot be written.
    """
    try:
        if out is not None:
            check(out)
        rows, whole = collect(jobs, executor, progress.step)
        if out is not None:
            write(rows, out)
    except ImportError as fault:
        raise click.ClickException(f"{fault}; {needs(fault)}") from fault
    except OSError as fault:
        raise click.ClickException(str(fault)) from fault
    return rows, whole
