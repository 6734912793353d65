"""What we depend on is bounded, locked with hashes, explained, and all that is imported."""

from __future__ import annotations

import pytest

from tests.tidy.supply import lock_faults, read_lock, read_project, reason_faults, unbounded, undeclared_imports
from tests.tidy.tree import ROOT, Finding, listing, parse, sources

PROJECT = read_project(
    """
    [build-system]
    requires = ["builder>=1,<2"]
    [project]
    dependencies = ["trio>=0.30,<0.40", "PyNaCl>=1.6,<2"]
    [project.optional-dependencies]
    dev = ["pytest>=8,<10"]
    ble = ["bleak>=1,<4"]
    """
)
DIGEST = "0" * 64
LOCK = f"""# made by a tool
builder==1.5 \\
    --hash=sha256:{DIGEST} \\
    --hash=sha256:{DIGEST}
pynacl==1.6.2 ; python_full_version < '3.12' \\
    --hash=sha256:{DIGEST}
pynacl==1.7 ; python_full_version >= '3.12' \\
    --hash=sha256:{DIGEST}
pytest==9.2.0 \\
    --hash=sha256:{DIGEST}
    # via sample
trio==0.35.0 \\
    --hash=sha256:{DIGEST}
"""
REASONS = """
| package | bounds | licence | reason |
|---|---|---|---|
| `builder` | `>=1,<2` | MIT | builds |
| `trio` | `>=0.30,<0.40` | MIT | waits |
| `PyNaCl` | `>=1.6,<2` | Apache-2.0 | verifies |
| `pytest` | `>=8,<10` | MIT | tests |
| `bleak` | `>=1,<4` | MIT | listens |
"""


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_every_requirement_is_bounded_on_both_sides() -> None:
    assert list(unbounded(read_project(read("pyproject.toml")))) == []


def test_the_lock_holds_every_requirement_with_hashes_and_no_address() -> None:
    assert list(lock_faults(read_project(read("pyproject.toml")), read("requirements.lock"))) == []


def test_every_requirement_has_its_reason() -> None:
    assert list(reason_faults(read_project(read("pyproject.toml")), read("docs/dependencies.md"))) == []


def test_a_hub_has_what_it_imports() -> None:
    project = read_project(read("pyproject.toml"))
    found = [finding for source in sources() for finding in undeclared_imports(source, project)]
    assert not found, listing(found)


@pytest.mark.parametrize("requirement", ["trio", "trio>=0.30", "trio<1"])
def test_a_requirement_with_an_open_end_is_caught(requirement: str) -> None:
    text = f'[build-system]\nrequires = []\n[project]\ndependencies = ["{requirement}"]'
    assert list(unbounded(read_project(text)))


def test_a_lock_is_read_with_its_versions_and_hashes() -> None:
    assert read_lock(LOCK)["pynacl"] == [("1.6.2", 1), ("1.7", 1)]
    assert read_lock(LOCK)["builder"] == [("1.5", 2)]


def test_a_lock_that_fits_is_left_alone() -> None:
    assert list(lock_faults(PROJECT, LOCK)) == []


@pytest.mark.parametrize(
    ("found", "replaced", "fault"),
    [
        ("trio==0.35.0", "trii==0.35.0", "trio is not in the lock"),
        ("trio==0.35.0", "trio==0.41.0", "outside"),
        ("pynacl==1.7", "pynacl==2.1", "outside"),
        (f"pytest==9.2.0 \\\n    --hash=sha256:{DIGEST}", "pytest==9.2.0", "has no hash"),
        ("# made by a tool", "--index-url x", "an option in the lock"),
        ("# made by a tool", "-f wheels", "an option in the lock"),
        ("trio==0.35.0", "trio @ https://example.org/trio.whl", "an address in the lock"),
    ],
)
def test_a_lock_that_does_not_fit_is_caught(found: str, replaced: str, fault: str) -> None:
    assert found in LOCK
    assert any(fault in text for text in lock_faults(PROJECT, LOCK.replace(found, replaced)))


def test_reasons_that_fit_are_left_alone() -> None:
    assert list(reason_faults(PROJECT, REASONS)) == []


@pytest.mark.parametrize(
    ("found", "replaced", "fault"),
    [
        ("| `bleak` | `>=1,<4` | MIT | listens |", "", "bleak has no reason"),
        ("`>=8,<10`", "`>=8,<9`", "bounded"),
        ("`bleak`", "`bleach`", "nobody asks for it"),
        ("| listens |", "| |", "bleak has no reason"),
    ],
)
def test_reasons_that_do_not_fit_are_caught(found: str, replaced: str, fault: str) -> None:
    assert found in REASONS
    assert any(fault in text for text in reason_faults(PROJECT, REASONS.replace(found, replaced)))


@pytest.mark.parametrize(
    ("path", "text", "lines"),
    [
        ("meshnode/x.py", "import trio\nfrom nacl import bindings\nimport os", []),
        ("meshnode/x.py", "import trio\nimport pytest", [2]),
        ("sim/x.py", "import numpy", [1]),
        ("meshnode/ble.py", "def scan():\n    import bleak", []),
        ("meshnode/ble.py", "import bleak", [1]),
        ("meshnode/x.py", "def scan():\n    import pytest", [2]),
        ("tests/x.py", "import pytest", []),
    ],
)
def test_an_import_that_a_hub_may_lack_is_caught(path: str, text: str, lines: list[int]) -> None:
    found: list[Finding] = list(undeclared_imports(parse(path, text), PROJECT))
    assert [finding.line for finding in found] == lines
