"""``python -m tests.crash [--kills N] [--power-images N] [--faults] [--erasure N] [--seed S]
[--json]``: whether the store keeps its word.

Exit 0 only if every bar is met: nothing acknowledged is lost, no database is damaged, nothing erased can be read, and
after a full or failing disk everything is stored again. ``make crash``: 500 kills, 2,000 power cuts, every fault.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Final

import trio

from protocol import Bar
from protocol.bars import all_met, emit
from tests.crash import erasure, faults, kills, power, vfs

MEMORY: Final = Path("/dev/shm")  # a replayed cut needs no disk
SEED: Final = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description="Kill, cut and fill, and look.")
    parser.add_argument("--kills", type=int, default=0, metavar="N", help="kill -9 the writer so many times")
    parser.add_argument("--power-images", type=int, default=0, metavar="N", help="replay so many power cuts")
    parser.add_argument("--faults", action="store_true", help="ENOSPC and EIO at every write, truncation and sync")
    parser.add_argument("--erasure", type=int, default=0, metavar="N", help="tell N stories on four hubs, withdraw all")
    parser.add_argument("--step", type=int, default=1, metavar="N", help="with --faults: only every N-th index")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    given = parser.parse_args(arguments)
    if not (given.kills or given.power_images or given.faults or given.erasure):
        parser.error("say how many --kills or --power-images, --faults, or how many words for --erasure")
    hidden = vfs.available()
    if hidden is not None and (given.power_images or given.faults):
        parser.error(hidden)
    bars: list[Bar] = []
    found: dict[str, object] = {"seed": given.seed}
    if given.kills:
        bars += _kills(given.kills, given.seed, found)
    if given.power_images:
        bars += _power(given.power_images, given.seed, found)
    if given.faults:
        bars += _faults(given.seed, given.step, found)
    if given.erasure:
        bars += _erasure(given.erasure, given.seed, found)
    print(emit(bars, as_json=given.json, **found))
    if not given.json:
        for name, figures in found.items():
            print(f"    {name}: {figures}")
    return 0 if all_met(bars) else 1


def _none(name: str, count: int) -> Bar:
    return Bar(name, count, 0, "events")


def _kills(count: int, seed: int, found: dict[str, object]) -> list[Bar]:
    tally = kills.KillTally()
    with _private(None) as folder:
        kills.kill_again_and_again(count, seed, Path(folder), tally)
    found["kills"] = asdict(tally)
    return [
        Bar("kills survived", tally.kills - tally.damaged, count, "databases", at_most=False),
        _none("acknowledged lost by kills", tally.lost),
        _none("erased but readable after kills", tally.canaries),
    ]


def _power(count: int, seed: int, found: dict[str, object]) -> list[Bar]:
    tally = power.Tally()
    with _private(MEMORY) as folder:
        power.campaign(count, seed, Path(folder), tally)
    found["power"] = asdict(tally)
    return [
        Bar("power cuts survived", tally.images - tally.damaged, count, "databases", at_most=False),
        _none("acknowledged lost by power cuts", tally.lost),
        _none("erased but readable after power cuts", tally.canaries),
    ]


def _faults(seed: int, step: int, found: dict[str, object]) -> list[Bar]:
    tally = faults.FaultTally()
    with _private(MEMORY) as folder:
        faults.fail_everywhere(faults.small_script(seed), Path(folder), tally, step=step)
    found["faults"] = asdict(tally)
    return [
        Bar("operations that failed once and lastingly", tally.runs, 1, "runs", at_most=False),
        _none("acknowledged lost by faults", tally.lost),
        Bar("not recovered when the disk was well again", tally.not_recovered, 0, "runs"),
        Bar("other complaints", len(tally.faults), 0, "runs"),
    ]


def _erasure(count: int, seed: int, found: dict[str, object]) -> list[Bar]:
    tally = erasure.Tally()
    with _private(None) as folder:
        trio.run(erasure.perform, count, seed, Path(folder), tally)
    found["erasure"] = asdict(tally)
    everywhere = count * erasure.HUBS
    return [
        Bar("words found on all hubs before", tally.readable_before, everywhere, "words", at_most=False),
        Bar("words found in databases and logs after", tally.readable_running, 0, "words"),
        Bar("words found in backups made after", tally.readable_in_backups, 0, "words"),
        Bar("words found when the hubs had ended", tally.readable_stopped, 0, "words"),
        Bar("signatures that verify", tally.events_verified, erasure.HUBS, "events", at_most=False),
        Bar("faults in the chains", len(tally.faults), 0, "faults"),
    ]


def _private(where: Path | None) -> AbstractContextManager[str]:
    return tempfile.TemporaryDirectory(prefix="meshnode-crash-", dir=where if where and where.is_dir() else None)


if __name__ == "__main__":
    sys.exit(main())
