"""One seed gives one digest: under every hash salt, in every lane, and on every Python that is found.

Each run is a process of its own. Interpreters other than this one have none of our packages, so they get the
stand-ins of ``tests/sim/shim``; which of them took part is in the test's output.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.sim.digest_run import pure_chance

ROOT: Final = Path(__file__).resolve().parent.parent.parent
SHIM: Final = ROOT / "tests" / "sim" / "shim"
SEED: Final = 7
PYTHONS: Final = ((3, 11), (3, 12), (3, 13))
OWN: Final = (sys.version_info.major, sys.version_info.minor)
PURE_CHANCE: Final = "c157d2124bdf9ca8a07cec3c1c6ba606"


@dataclass(frozen=True, slots=True)
class Run:
    """One process: its interpreter, hash salt, and lanes."""

    python: str
    salt: int
    lane: str = "object"
    crypto: str = "stub"
    shim: bool = False
    hubs: int = 100


def find_python(version: tuple[int, int]) -> str | None:
    """An interpreter of this version that really starts: on the path, or among pyenv's."""
    name = f"python{version[0]}.{version[1]}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(name), *sorted(map(str, pyenv.glob(f"{version[0]}.{version[1]}.*/bin/{name}")))]
    for candidate in filter(None, candidates):
        asked = [candidate, "-c", "import sys; print(*sys.version_info[:2])"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=30)
        if answer.stdout.split() == [str(part) for part in version]:
            return candidate
    return None


def run(wanted: Run) -> dict[str, Any]:
    """What one process says."""
    path = f"{ROOT}{os.pathsep}{SHIM}" if wanted.shim else str(ROOT)
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": path,
        "PYTHONHASHSEED": str(wanted.salt),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [wanted.python, "-W", "error", "-m", "tests.sim.digest_run", "--seed", str(SEED)]
    command += ["--lane", wanted.lane, "--crypto", wanted.crypto, "--hubs", str(wanted.hubs)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def run_all(wanted: list[Run]) -> Iterator[dict[str, Any]]:
    """All of them, two at a time, in order."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield from pool.map(run, wanted)


@pytest.mark.slow
def test_a_hundred_hubs_with_loss_and_a_cut_have_one_digest_under_five_salts_and_on_every_python() -> None:
    """The lanes take turns with the salts: neither may show."""
    lanes = [("object", "stub"), ("wire", "real"), ("object", "real"), ("wire", "stub"), ("object", "stub")]
    wanted = [Run(sys.executable, salt, lane, crypto) for salt, (lane, crypto) in enumerate(lanes)]
    missing = []
    for version in PYTHONS:
        python = find_python(version)
        if version == OWN:
            continue
        if python is None:
            missing.append(version)
        else:
            wanted.append(Run(python, 11, shim=True))
    told = list(run_all(wanted))
    found = {tuple(each["python"]) for each in told}
    print(f"ran on {sorted(found)}; not found: {missing}; {sum(each['cpu_s'] for each in told):.0f} s CPU")
    assert found == set(PYTHONS) - set(missing) | {OWN}
    assert len({each["salt"] for each in told[: len(lanes)]}) == len(lanes)
    assert {each["digest"] for each in told} == {told[0]["digest"]}
    assert {json.dumps(each["drops"]) for each in told} == {json.dumps(told[0]["drops"])}
    assert told[0]["shown"] > 2_000
    assert told[0]["drops"]["link_silent"] > 100
    assert {each["chance"] for each in told} == {PURE_CHANCE}


def test_a_dozen_hubs_have_one_digest_under_two_salts_and_in_both_lanes() -> None:
    first, second = run_all([Run(sys.executable, 1, hubs=20), Run(sys.executable, 2, "wire", "real", hubs=20)])
    assert first["salt"] != second["salt"]
    assert first["digest"] == second["digest"]
    assert first["shown"] > 100


@pytest.mark.parametrize("version", [version for version in PYTHONS if version != OWN])
def test_another_python_agrees_on_a_small_crowd(version: tuple[int, int]) -> None:
    python = find_python(version)
    if python is None:
        pytest.skip(f"no Python {version[0]}.{version[1]} found")
    ours, theirs = run_all([Run(sys.executable, 3, hubs=20), Run(python, 4, shim=True, hubs=20)])
    assert tuple(theirs["python"]) == version
    assert ours["digest"] == theirs["digest"]


def test_another_seed_is_another_world() -> None:
    assert pure_chance(SEED, 1_000) == PURE_CHANCE
    assert pure_chance(SEED + 1, 1_000) != PURE_CHANCE
