"""Sweeps: settings into worlds, runs into rows, the same bytes from every executor."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import pytest
from click.testing import CliRunner

from sim import sweep
from sim.executors import Cluster, Executor, Processes
from sim.papers import Row

Work = TypeVar("Work")
Result = TypeVar("Result")
SMALL = (("sizes", ("2+1",)), ("whole_us", ("400000",)), ("cut_us", ("300000",)))
"""A plaza of three hubs for a second or two."""


@dataclass(frozen=True)
class Inner:
    share: float = 0.5
    lane: Literal["left", "right"] = "left"


@dataclass(frozen=True)
class Outer:
    count: int = 3
    most: int | None = None
    on: bool = False
    sizes: tuple[int, ...] = (1, 2)
    inner: Inner = field(default_factory=Inner)


@pytest.mark.parametrize(
    ("path", "text", "wanted"),
    [
        ("count", "7", Outer(count=7)),
        ("most", "7", Outer(most=7)),
        ("most", "none", Outer()),
        ("on", "true", Outer(on=True)),
        ("sizes", "4+5+6", Outer(sizes=(4, 5, 6))),
        ("inner.share", "0.25", Outer(inner=Inner(0.25))),
        ("inner.lane", "right", Outer(inner=Inner(lane="right"))),
    ],
)
def test_a_setting_changes_one_field(path: str, text: str, wanted: Outer) -> None:
    assert sweep.changed(Outer(), path, text) == wanted


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("weight", "1", "Outer has no 'weight'; it has count"),
        ("inner.weight", "1", "Inner has no 'weight'"),
        ("count.more", "1", "'count' has no parts"),
        ("count", "many", "count=many: not a value of int"),
        ("on", "1", "not a value of bool"),
        ("inner.lane", "middle", "not a value of"),
        ("inner", "1", "not a value of Inner"),
        ("sizes", "1+x", "not a value of int"),
    ],
)
def test_what_does_not_fit_a_field_is_refused_by_name(path: str, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        sweep.changed(Outer(), path, text)


def test_every_setting_meets_every_seed_in_order() -> None:
    jobs = sweep.jobs_of("plaza", [("quality.loss", ("0", "0.1")), ("sharing", ("none", "2"))], range(3, 5))
    assert [(job.settings[0][1], job.settings[1][1], job.seed) for job in jobs] == [
        (loss, sharing, seed) for loss in ("0", "0.1") for sharing in ("none", "2") for seed in (3, 4)
    ]
    assert jobs[-1].again() == (
        "python -m sim sweep plaza --over quality.loss=0.1 --over sharing=2 --seeds 1 --first 4"
    )


def test_a_key_that_is_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        sweep.jobs_of("plaza", [("cut_us", ("1",)), ("cut_us", ("2",))], [1])


def test_a_key_of_a_swarm_reaches_into_what_was_drawn() -> None:
    assert sweep.jobs_of("swarm", [("limits.links_target", ("4", "5"))], [1])[1].settings == (
        ("limits.links_target", "5"),
    )


def csv_of(executor: Executor, jobs: Sequence[sweep.Job]) -> str:
    rows, whole = sweep.collect(jobs, executor, lambda _job, _row: None)
    assert whole
    out = io.StringIO()
    sweep.write_csv(rows, out)
    return out.getvalue()


class Here:
    """In this process, the last item first."""

    def run(
        self, work: Callable[[Work], Result], items: Sequence[Work]
    ) -> Iterator[tuple[int, Result | BaseException]]:
        for number in reversed(range(len(items))):
            yield number, work(items[number])


def test_processes_write_the_same_bytes_as_one_process() -> None:
    jobs = sweep.jobs_of("plaza", [*SMALL, ("quality.loss", ("0", "0.2"))], [1])
    alone = csv_of(Here(), jobs)
    rows = list(csv.DictReader(io.StringIO(alone)))
    assert [row["quality.loss"] for row in rows] == ["0", "0.2"]
    assert all(row["error"] == "" and row["digest"] for row in rows)
    assert csv_of(Processes(2), jobs) == alone


def test_a_dask_cluster_writes_the_same_bytes_as_one_process() -> None:
    distributed = pytest.importorskip("distributed", reason="the extra 'sweep' is not installed")
    jobs = sweep.jobs_of("plaza", SMALL, [1, 2])
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp"
    ) as cluster:
        assert csv_of(Cluster(cluster.scheduler_address), jobs) == csv_of(Here(), jobs)


class Failing:
    """The first item fails, the second works, then somebody presses Ctrl-C."""

    def run(
        self, work: Callable[[Work], Result], items: Sequence[Work]
    ) -> Iterator[tuple[int, Result | BaseException]]:
        yield 0, ValueError("no luck\nand more")
        yield 1, work(items[1])
        raise KeyboardInterrupt


def test_a_failed_run_is_a_row_and_ctrl_c_keeps_what_was_done() -> None:
    jobs = sweep.jobs_of("plaza", SMALL, [1, 2, 3])
    said = io.StringIO()
    progress = sweep.Progress(len(jobs), said)
    rows, whole = sweep.collect(jobs, Failing(), progress.step)
    assert not whole
    assert [row["error"] for row in rows] == ["ValueError: no luck", None]
    assert (progress.done, progress.failed) == (2, 1)
    assert f"again: {jobs[0].again()}" in said.getvalue()
    assert "2 of 3, 1 failed" in said.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_a_bar() -> None:
    said = Terminal()
    progress = sweep.Progress(2, said)
    job = sweep.Job("plaza", (), 1)
    progress.step(job, {"error": None})
    progress.step(job, {"error": None})
    first, last = said.getvalue().split("\r\x1b[K")[1:]
    assert first == f"[{'#' * 15}{'.' * 15}] 1 of 2"
    assert last == f"[{'#' * 30}] 2 of 2\n"


ROWS: list[Row] = [
    {"a": "1", "seed": 1, "error": None, "met": True, "x": 2, "y": 0.5},
    {"a": "1", "seed": 2, "error": None, "met": False, "x": 4, "z": "word"},
    {"a": "2", "seed": 1, "error": "ValueError: no", "met": False},
]


def test_a_summary_has_medians_of_what_ran() -> None:
    assert sweep.summary(ROWS, ["a"]) == [
        {"a": "1", "runs": 2, "failed": 0, "met": 1, "x": 3, "y": 0.5},
        {"a": "2", "runs": 1, "failed": 1, "met": 0},
    ]


def test_csv_leaves_empty_what_a_run_did_not_have() -> None:
    out = io.StringIO()
    sweep.write_csv(ROWS, out)
    assert out.getvalue() == (
        "a,seed,error,met,x,y,z\n1,1,,true,2,0.5,\n1,2,,false,4,,word\n2,1,ValueError: no,false,,,\n"
    )


def test_parquet_holds_the_same_rows(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra 'parquet' is not installed")
    path = tmp_path / "rows.parquet"
    sweep.write(ROWS, path)
    names = sweep.columns(ROWS)
    assert parquet.read_table(path).to_pylist() == [{name: row.get(name) for name in names} for row in ROWS]


def asked(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(sweep.command, arguments)
    return result.exit_code, result.output


def small(*more: str) -> list[str]:
    return ["plaza", *(f"--over={key}={values[0]}" for key, values in SMALL), "--seeds=1", *more]


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, said = asked(*small(f"--out={tmp_path / 'rows.parquet'}"))
    assert code == 1
    assert "pip install 'meshnode[parquet]'" in said


def test_a_scheduler_without_dask_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    code, said = asked(*small("--scheduler=tcp://127.0.0.1:1"))
    assert code == 1
    assert "pip install 'meshnode[sweep]'" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--over=loss=1"], "Crowd has no 'loss'"),
        (["--over=cut_us"], "is not KEY=V1,V2"),
        (["--out=rows.txt"], "ends in none of .csv, .parquet"),
    ],
)
def test_wrong_usage_is_exit_code_2(more: list[str], said: str) -> None:
    code, output = asked("plaza", *more)
    assert code == 2
    assert said in output


def test_a_sweep_writes_its_rows_and_prints_a_summary(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    code, said = asked(*small(f"--out={path}", "--json"))
    assert code == 0
    summary = json.loads(said[said.index("{") :])
    assert (summary["runs"], summary["done"], summary["failed"]) == (1, 1, 0)
    assert summary["points"][0]["sizes"] == "2+1"
    assert len(path.read_text().splitlines()) == 2
