"""The house itself: packages are packages, no test folder is forgotten, records and fragments are well named."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.check import FULL_BESIDE, FULL_TESTS
from tests.tidy.tree import CODE, ROOT, files, relative

FRAGMENT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\.(added|changed|fixed|removed|security|wire)\.md")
RECORD = re.compile(r"(\d{4})-[a-z0-9]+(-[a-z0-9]+)*\.md")
SECTIONS = ("## Situation", "## Decision", "## Evidence", "## Consequences")


def folders_without_init(paths: Iterable[str]) -> list[str]:
    """Folders that hold Python files, or packages that do, and are no package themselves."""
    python = {Path(path) for path in paths if path.endswith(".py")}
    folders = {folder for path in python for folder in path.parents if folder != Path()}
    return sorted(folder.as_posix() for folder in folders if folder / "__init__.py" not in python)


def forgotten_tests(paths: Iterable[str]) -> list[str]:
    """Test files outside the folders that a full check runs."""
    tests = [path for path in paths if path.rpartition("/")[2].startswith("test_") and path.endswith(".py")]
    taken = tuple(f"tests/{folder}/" for folder in (*FULL_TESTS, *FULL_BESIDE))
    return [path for path in tests if not path.startswith(taken)]


def fragment_faults(name: str, text: str) -> list[str]:
    """What is wrong with a change fragment."""
    faults = [] if FRAGMENT.fullmatch(name) else [f"{name} is not called NAME.KIND.md"]
    return faults if len(text.split()) >= 5 and text.rstrip().endswith(".") else [*faults, f"{name} says nothing"]


def record_faults(records: dict[str, str]) -> list[str]:
    """What is wrong with the decision records, given as text by name."""
    faults = [f"{name} is not called NNNN-title.md" for name in records if not RECORD.fullmatch(name)]
    numbers = [int(match.group(1)) for name in sorted(records) if (match := RECORD.fullmatch(name))]
    if numbers != list(range(1, len(numbers) + 1)):
        faults.append("the records are not numbered from 0001 without gaps")
    for name, text in records.items():
        faults.extend(f"{name} lacks {section}" for section in SECTIONS if section not in text.splitlines())
        if not text.startswith(f"# {name[:4]}: "):
            faults.append(f"{name} does not open with its number and title")
    return faults


def markdown_in(folder: str) -> dict[str, str]:
    """The documents of a folder, without its README, as text by name."""
    found = (path for path in files(folder) if path.suffix == ".md" and path.name != "README.md")
    return {path.name: path.read_text(encoding="utf-8") for path in found}


def test_every_folder_of_code_is_a_package() -> None:
    assert folders_without_init(relative(path) for path in files(*CODE)) == []


def test_every_test_lies_in_a_folder_that_the_check_runs() -> None:
    assert forgotten_tests(relative(path) for path in files(*CODE)) == []


def test_every_change_fragment_is_well_named_and_says_something() -> None:
    assert [fault for name, text in markdown_in("docs/changes").items() for fault in fragment_faults(name, text)] == []


def test_every_decision_record_is_numbered_and_complete() -> None:
    assert record_faults(markdown_in("docs/decisions")) == []


def test_what_a_change_must_pass_can_be_executed() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").splitlines()[0] == "#!/usr/bin/env bash"


def test_a_folder_that_is_no_package_is_caught() -> None:
    paths = ["sim/__init__.py", "sim/a.py", "sim/papers/__init__.py", "tests/unit/link/__init__.py", "sim/data/x.json"]
    assert folders_without_init(paths) == ["tests", "tests/unit"]


@pytest.mark.parametrize("path", ["tests/test_x.py", "tests/stray/test_x.py", "sim/test_x.py", "meshnode/a/test_b.py"])
def test_a_test_that_no_check_runs_is_caught(path: str) -> None:
    assert forgotten_tests([path, "tests/unit/link/test_y.py", "tests/unit/peers.py"]) == [path]


@pytest.mark.parametrize(
    ("name", "text", "good"),
    [
        ("faster-heal.changed.md", "A mesh heals in four seconds.", True),
        ("faster-heal.md", "A mesh heals in four seconds.", False),
        ("Faster.changed.md", "A mesh heals in four seconds.", False),
        ("faster-heal.better.md", "A mesh heals in four seconds.", False),
        ("faster-heal.changed.md", "Faster.", False),
    ],
)
def test_a_poor_change_fragment_is_caught(name: str, text: str, good: bool) -> None:
    assert (fragment_faults(name, text) == []) is good


def test_a_poor_decision_record_is_caught() -> None:
    body = "\n".join(SECTIONS)
    good = {"0001-one-door.md": f"# 0001: One door\n{body}", "0002-two-keys.md": f"# 0002: Two keys\n{body}"}
    assert record_faults(good) == []
    assert record_faults({"0002-two-keys.md": good["0002-two-keys.md"]})
    assert record_faults({"one-door.md": good["0001-one-door.md"]})
    assert record_faults({"0001-one-door.md": "# 0001: One door\n## Situation\n"})
    assert record_faults({"0001-one-door.md": f"# One door\n{body}"})
