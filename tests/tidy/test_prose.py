"""Documents lead somewhere, commands they name exist, and nothing ties the repository to one machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tidy import prose
from tests.tidy.supply import read_lock
from tests.tidy.tree import ROOT, documents, listing, texts

TARGETS = {"venv", "demo", "test", "check", "bench", "lab", "crash", "lock", "clean", "help"}
# Put together here, so that this file does not carry what it forbids.
FORBIDDEN = [
    "see /wo" + "rk/main/README",
    "cp x /t" + "mp/x",
    "in /ro" + "ot/.cache",
    "from https://py" + "pi.org/simple",
    "https://files.py" + "thonhosted.org/packages/x",
    "--find-" + "links=/opt/x",
    "--extra-" + "index-url file:///x",
    "as iss" + "ue #2 asks",
    "sha" + "red/research says",
]
ALLOWED = [
    "https://example.org/wo" + "rk/x",
    "docs/wo" + "rk/x",
    "$HOME/t" + "mp/x",
    "the issue is open",
    "artwork/roots/",
]


def tools() -> frozenset[str]:
    """The modules of locked packages that a document may tell people to run."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return frozenset(name.replace("-", "_") for name in read_lock(lock))


def test_every_relative_link_leads_somewhere() -> None:
    found = [finding for path, text in documents() for finding in prose.broken_links(path, text)]
    assert not found, listing(found)


def test_every_command_that_a_document_names_exists() -> None:
    targets = prose.make_targets((ROOT / "Makefile").read_text(encoding="utf-8"))
    known = tools()
    found = [
        finding
        for path, text in documents()
        for finding in prose.missing_commands(path, text, targets, lambda module: prose.can_be_run(module, known))
    ]
    assert not found, listing(found)


def test_every_document_that_code_names_exists() -> None:
    code = [(path, text) for path, text in texts() if path.endswith((".py", ".toml", "Makefile"))]
    found = [
        finding
        for path, text in code
        if not path.startswith("tests/tidy/")
        for finding in prose.unknown_documents(path, text)
    ]
    assert not found, listing(found)


def test_nothing_ties_the_repository_to_one_machine() -> None:
    found = [finding for path, text in texts() for finding in prose.places(path, text)]
    assert not found, listing(found)


def test_the_makefile_has_the_targets_that_people_know() -> None:
    assert prose.make_targets((ROOT / "Makefile").read_text(encoding="utf-8")) == TARGETS


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small repository with two documents."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(
        "# A Crowd, felt\n## Twice\n## Twice\n```\n# no heading\n```\n", encoding="utf-8"
    )
    (tmp_path / "docs" / "a.md").write_text("text\n", encoding="utf-8")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "check.py").write_text('if __name__ == "__main__":\n    main()\n', encoding="utf-8")
    (tmp_path / "tests" / "quiet.py").write_text("x = 1\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "link",
    [
        "[x](b.md)",
        "![x](picture.png)",
        "[x](../README.md#no-such-heading)",
        "[x](../README.md#no-heading)",
        "[x](#here)",
        "[x]: ../gone.md",
        '<img src="gone.svg">',
        "[x](../../outside)",
        "[x](<gone.md>)",
        '[x](gone.md "title")',
    ],
)
def test_a_broken_link_is_caught(link: str, tree: Path) -> None:
    (tree.parent / "outside").touch()
    assert list(prose.broken_links("docs/a.md", f"First line.\n{link}\n", tree))


@pytest.mark.parametrize(
    "link",
    [
        "[x](a.md)",
        "[x](../README.md#a-crowd-felt)",
        "[x](../README.md#twice-1)",
        "[x](https://example.org/gone)",
        "`[x](gone.md)`",
        "```\n[x](gone.md)\n```",
        "[x]: a.md",
    ],
)
def test_a_good_link_is_left_alone(link: str, tree: Path) -> None:
    assert list(prose.broken_links("docs/a.md", f"{link}\n", tree)) == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Type `make tests`.", 1),
        ("```\nmake -j2 dmeo\n```", 1),
        ("`python -m tests.chekc --full`", 1),
        ("`python3.11 -X importtime -m tests.quiet`", 1),
        ("`python -m tests`", 1),
        ("`python -m nosuchtool`", 1),
        ("```\nmake demo && make PYTHON=python3.13 test\n.venv/bin/python -m tests.check\n```", 0),
        ("`python -m venv x` and `python3 -m pytest -q`", 0),
        ("We make haste; `cmake files`, `make help`.", 0),
    ],
)
def test_a_command_that_does_not_exist_is_caught(text: str, count: int, tree: Path) -> None:
    found = prose.missing_commands(
        "README.md", text, TARGETS, lambda module: prose.can_be_run(module, frozenset({"pytest"}), tree)
    )
    assert len(list(found)) == count


def test_a_document_that_is_not_there_is_caught(tree: Path) -> None:
    text = "# as docs/gone.md says\n# as docs/a.md and README.md say\n"
    assert [finding.line for finding in prose.unknown_documents("sim/x.py", text, tree)] == [1]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_what_ties_a_file_to_one_machine_is_caught(text: str) -> None:
    assert list(prose.places("docs/a.md", text))


@pytest.mark.parametrize("text", ALLOWED)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert list(prose.places("docs/a.md", text)) == []


def test_every_pattern_of_places_has_a_bad_sample() -> None:
    unseen = [what for what, pattern in prose.PLACES.items() if not any(re.search(pattern, text) for text in FORBIDDEN)]
    assert unseen == []
