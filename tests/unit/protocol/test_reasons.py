"""Every reason for which the protocol refuses something is asserted by some test: none can vanish unseen."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from protocol.errors import Reason

ROOT = Path(__file__).resolve().parents[3]


def reasons_in(tree: ast.AST) -> Iterator[str]:
    """The names of all ``Reason.NAME`` in a piece of code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason":
            yield node.attr


@cache
def produced(*folders: str) -> frozenset[str]:
    """The reasons that the code of some folders names outside of their definition."""
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if path.name != "errors.py"]
    return frozenset(name for path in paths for name in reasons_in(ast.parse(path.read_text(encoding="utf-8"))))


def checks_in(node: ast.AST) -> list[ast.AST]:
    """The parts of a node that check something: an assertion, a helper that asserts, cases, a table of cases."""
    match node:
        case ast.Assert() | ast.Assign():
            return [node]
        case ast.Call(func=ast.Name(id=name)) if name.startswith("assert_"):
            return [node]
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return [*node.decorator_list]
        case _:
            return []


def asserted() -> set[str]:
    """The reasons that stand in an assertion, or in the cases given to one, of any test under tests/."""
    names: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        if path == Path(__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for part in checks_in(node):
                names.update(reasons_in(part))
    return names


def test_every_reason_that_the_protocol_produces_is_asserted_somewhere() -> None:
    assert sorted(produced("protocol") - asserted()) == []


def test_the_protocol_names_only_reasons_that_exist() -> None:
    assert produced("protocol") <= {reason.name for reason in Reason}


def test_the_search_sees_asserted_reasons_and_not_those_that_are_merely_named() -> None:
    tree = ast.parse("def test_x():\n    act(Reason.TRUNCATED)\n    assert y is Reason.MALFORMED")
    assert list(reasons_in(tree)) == ["TRUNCATED", "MALFORMED"]
    found = [name for node in ast.walk(tree) for part in checks_in(node) for name in reasons_in(part)]
    assert found == ["MALFORMED"]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_place_in_the_product(reason: Reason) -> None:
    assert reason.name in produced("protocol", "meshnode")
