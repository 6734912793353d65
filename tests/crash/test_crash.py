"""A small sample of every campaign, and proof that the checks find what they look for; ``make crash`` runs the rest."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshnode.storage.database import open_database
from protocol.rng import Rng
from tests.crash import erasure, faults, kills, power, vfs
from tests.crash.__main__ import MEMORY
from tests.crash.script import MESH, Stage, make_script
from tests.crash.vfs import Fault, Sync, Trace, Write, recorded

needs_vfs = pytest.mark.skipif(vfs.available() is not None, reason=str(vfs.available()))


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder without a disk, where there is one: the recorder knows what was synced, a disk adds only time."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def folders(memory: Path) -> tuple[Path, Path]:
    stage, cut = memory / "stage", memory / "cut"
    for folder in (stage, cut):
        folder.mkdir(mode=0o700)
    return stage, cut


def test_what_was_acknowledged_outlives_kill_9(tmp_path: Path) -> None:
    tally = kills.KillTally()
    kills.kill_again_and_again(4, 1, tmp_path, tally)
    assert tally.faults == []
    assert tally.kills == 4
    assert tally.acknowledged > 50


@needs_vfs
def test_what_was_acknowledged_outlives_a_power_cut(memory: Path) -> None:
    stage, cut = folders(memory)
    tally = power.Tally()
    power.replay(power.record(1, stage, groups=10), Rng(1), 42, cut, tally)
    assert tally.faults == []
    assert tally.images == 42
    assert tally.acknowledged > 500


@needs_vfs
@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_a_store_that_does_not_sync_is_found_out(memory: Path, synchronous: str) -> None:
    stage, cut = folders(memory)
    tally = power.Tally()
    power.replay(power.record(1, stage, groups=10, synchronous=synchronous), Rng(1), 42, cut, tally)
    assert tally.lost > 0


@needs_vfs
def test_a_disk_that_fails_anywhere_costs_nothing_that_was_acknowledged(memory: Path) -> None:
    tally = faults.FaultTally()
    faults.fail_everywhere(make_script(5, groups=4), memory, tally, step=19)
    assert tally.faults == []
    assert tally.runs > 20
    assert tally.refused > 0
    assert tally.opens_refused > 0


@needs_vfs
def test_the_recorder_sees_the_sync_before_each_answer(memory: Path) -> None:
    with recorded(Trace()) as trace:
        stage = Stage(memory / "x.db", on_answers=lambda: trace.mark("answer"))
        with contextlib.closing(stage):
            begin = len(trace.operations)
            stage.give(make_script(1, groups=1)[0])
    kinds = [type(operation) for operation in trace.operations[begin:]]
    answer = kinds.index(vfs.Mark)
    assert Write in kinds[:answer]
    assert Sync in kinds[:answer]
    assert Write not in kinds[max(place for place in range(answer) if kinds[place] is Sync) : answer]


@needs_vfs
@pytest.mark.parametrize("fault", list(Fault))
def test_the_writer_names_the_fault_and_recovers_by_itself(memory: Path, fault: Fault) -> None:
    first, second = make_script(1, groups=2)
    with recorded(Trace()) as trace:
        stage = Stage(memory / "x.db")
        with contextlib.closing(stage):
            trace.failing = lambda _: fault
            stage.give(first)
            trace.failing = lambda _: None
            stage.give(second)
    performance = stage.performance
    assert (performance.failed, performance.stored) == (list(first), list(second))
    assert ("the disk is full" if fault is Fault.NO_SPACE else "SQLITE_IOERR") in performance.reasons[0]


@needs_vfs
def test_the_recorder_is_gone_when_its_block_ends(memory: Path) -> None:
    with recorded(Trace()) as trace:
        open_database(memory / "x.db", MESH).close()
    before = len(trace.operations)
    open_database(memory / "y.db", MESH).close()
    assert before > 0
    assert len(trace.operations) == before


async def test_what_four_hubs_take_back_is_in_no_file_and_no_backup(tmp_path: Path) -> None:
    tally = erasure.Tally()
    await erasure.perform(10, 20, tmp_path, tally)
    assert tally.readable_before == 40
    assert (tally.readable_running, tally.readable_in_backups, tally.readable_stopped) == (0, 0, 0)
    assert tally.faults == []
    assert tally.events_verified >= 4 * 13
