"""The kit's table of requirements is that of the document, its checks are complete, and it shares no code."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

from tests.conformance.kit import NOT_TESTABLE, REQUIREMENTS, run_checks
from tests.conformance.kit.registry import CHECKS
from tests.conformance.reference.mutations import Mutation

HERE: Final = Path(__file__).parent
DOCUMENTS: Final = HERE.parents[1] / "docs"
PRODUCT: Final = frozenset({"protocol", "meshnode", "sim"})
BRIDGE: Final = "broken_hub"
"""The one module beside the tests that may import the product: it is the product, run with a check taken out."""
REQUIREMENT: Final = re.compile(r"\[(R\d+)\]")


def imported(source: str) -> set[str]:
    """The top-level packages that a module imports, wherever the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level if node.level else (node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("path", sorted(HERE.rglob("*.py")), ids=lambda path: str(path.relative_to(HERE)))
def test_nothing_but_tests_imports_the_product(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    packages = imported(text)
    assert "." not in packages, "write imports in full, so that this test can read them"
    if not path.name.startswith("test_") and path.stem != BRIDGE:
        assert not packages & PRODUCT
        assert BRIDGE not in text


def test_an_import_of_the_product_would_be_noticed() -> None:
    assert imported("def f():\n    from protocol.wire import codec\n") & PRODUCT
    assert imported("import protocol.crypto as c\n") & PRODUCT


def test_the_table_lists_the_requirements_of_the_document_and_no_others() -> None:
    text = (DOCUMENTS / "protocol.md").read_text(encoding="utf-8")
    assert set(REQUIREMENT.findall(text)) == set(REQUIREMENTS)


def test_other_documents_name_no_requirement_that_does_not_exist() -> None:
    for name in ("link.md", "conformance.md"):
        named = re.findall(r"\bR\d+\b", (DOCUMENTS / name).read_text(encoding="utf-8"))
        assert set(named) <= set(REQUIREMENTS)


def test_each_requirement_is_checked_or_has_a_reason_why_not() -> None:
    checked = {check.requirement for check in CHECKS}
    assert checked | set(NOT_TESTABLE) == set(REQUIREMENTS)
    assert not checked & set(NOT_TESTABLE)
    assert all(len(reason.split()) > 5 for reason in NOT_TESTABLE.values())


def test_each_requirement_that_is_checked_on_a_link_has_a_mutation() -> None:
    checked = {check.requirement for check in CHECKS} - {"R8", "R9"}  # the reference hub announces nothing
    assert {mutation.requirement for mutation in Mutation} == checked


def test_a_requirement_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="R99"):
        run_checks("127.0.0.1", 9, "nowhere", only="R99")
