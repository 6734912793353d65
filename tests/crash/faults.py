"""A full or failing disk at every single write, truncation and sync of a scripted scenario.

One run without faults counts the operations. Then every index fails, by ENOSPC and by EIO, once and lastingly (until
the script is over), and each time the same must hold: nothing crashes, the refusals say why, what was acknowledged is
there, what was refused is accepted when the disk is well again, and a power cut right after the last acknowledgement
takes nothing, although a failed fsync may have thrown away what it was given (Rebello et al., USENIX ATC 2020).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from meshnode.storage.database import open_database, remove_database
from protocol.errors import StoreError
from protocol.rng import Rng
from tests.crash.power import Disk
from tests.crash.script import MESH, Group, Stage, State, apply, digest_of, make_script, read_state
from tests.crash.vfs import Fault, Trace, recorded


@dataclass
class FaultTally:
    """What a campaign has found; ``refused`` counts batches answered by StoreFailed and accepted later."""

    operations: int = 0
    runs: int = 0
    refused: int = 0
    opens_refused: int = 0
    not_recovered: int = 0
    lost: int = 0
    faults: list[str] = field(default_factory=list)


def count_operations(script: list[Group], folder: Path) -> int:
    """How many operations the scenario makes when nothing fails."""
    trace = _perform(script, folder, lambda _: None, FaultTally())
    return trace.attempts


def fail_everywhere(script: list[Group], folder: Path, tally: FaultTally, *, step: int = 1) -> None:
    """Every ``step``-th index, with both faults, once and lastingly."""
    tally.operations = count_operations(script, folder)
    for index in range(0, tally.operations, step):
        for fault in Fault:
            for lasting in (False, True):
                tally.runs += 1

                def failing(
                    number: int, index: int = index, fault: Fault = fault, lasting: bool = lasting
                ) -> Fault | None:
                    return fault if number == index or (lasting and number > index) else None

                found = len(tally.faults)
                _perform(script, folder, failing, tally)
                where = f"{fault.value} at {index}{' and after' if lasting else ''}"
                tally.faults[found:] = [f"{where}: {line}" for line in tally.faults[found:]]


def _perform(script: list[Group], folder: Path, failing: Callable[[int], Fault | None], tally: FaultTally) -> Trace:
    path = folder / "ledger.db"
    remove_database(path)
    state: State = {}
    with recorded(Trace(failing=failing)) as trace:
        stage = _open(path, trace, tally)
        with contextlib.closing(stage):
            for group in script:
                stage.give(group)
            trace.failing = lambda _: None  # there is room again
            refused = stage.performance.failed[:]
            tally.refused += len(refused)
            if not all(stage.performance.reasons):
                tally.faults.append("a refusal without a reason")
            for batch in refused:
                stage.give([batch])
            if len(stage.performance.failed) > len(refused):
                tally.not_recovered += 1
                tally.faults.append(f"still refused: {stage.performance.reasons[-1]}")
            trace.mark("over")
    for batch in stage.performance.stored:
        apply(state, batch)
    _compare(path, state, tally, "after closing")
    _cut_after_the_last_word(trace, path, folder, state, tally)
    return trace


def _open(path: Path, trace: Trace, tally: FaultTally) -> Stage:
    """A store that cannot be opened is refused with a clear error, and opens when there is room again."""
    try:
        return Stage(path)
    except StoreError:
        tally.opens_refused += 1
        trace.failing = lambda _: None
        return Stage(path)


def _compare(path: Path, state: State, tally: FaultTally, when: str) -> None:
    try:
        with contextlib.closing(open_database(path, MESH)) as connection:
            found = read_state(connection)
    except StoreError as fault:
        tally.lost += len(state)
        tally.faults.append(f"{when}: {fault}")
        return
    if digest_of(found) != digest_of(state):
        lost = sum(found.get(name) != held for name, held in state.items())
        tally.lost += lost
        tally.faults.append(f"{when}: {lost} acknowledged are not as they were, {len(found)} events in all")


def _cut_after_the_last_word(trace: Trace, path: Path, folder: Path, state: State, tally: FaultTally) -> None:
    disk = Disk(existing=[str(path)])
    for operation in trace.operations:
        disk.follow(operation)
        if disk.marks:
            break
    image = folder / "image"
    image.mkdir(mode=0o700, exist_ok=True)
    disk.cut(Rng(1), image, "nothing")
    _compare(image / path.name, state, tally, "after a power cut")
    remove_database(image / path.name)


def small_script(seed: int) -> list[Group]:
    """The scenario: every kind of batch, and checkpoints after erasures."""
    return make_script(seed, groups=10)
