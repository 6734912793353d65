"""The public surface of protocol is sorted, importable and the one that is committed."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import Enum
from types import ModuleType

import pytest

import protocol
from tests.tidy.surface import RENEW, SNAPSHOT, describe, faults


class Colour(Enum):
    """A sample of an enumeration."""

    RED = 1
    BLUE = 2


@dataclass(frozen=True, slots=True)
class Step:
    """A sample of a message."""

    height_mm: int
    _hidden: int = 0

    @property
    def tall(self) -> bool:
        """A sample of a property."""
        return self.height_mm > 200


class Walker:
    """A sample of a machine."""

    def __init__(self, seed: int, *, fast: bool = False) -> None:
        self.seed = seed

    def handle(self, step: Step, now: int = 0) -> list[Step]:
        """A sample of a method."""
        return [step]

    def _private(self) -> None:
        return


def measure(step: Step) -> int:
    """A sample of a function."""
    return step.height_mm


def sample_module(names: list[str]) -> ModuleType:
    """A module that offers the samples above under ``names``."""
    module = ModuleType("sample")
    for value in (Colour, Step, Walker, measure):
        setattr(module, value.__name__, value)
    module.__dict__.update(LIMIT=3, __all__=names)
    return module


def test_every_public_name_of_protocol_is_there_and_in_order() -> None:
    assert faults(protocol) == []


def test_the_surface_of_protocol_is_the_committed_one() -> None:
    committed = SNAPSHOT.read_text(encoding="utf-8") if SNAPSHOT.exists() else ""
    difference = "\n".join(
        difflib.unified_diff(
            committed.splitlines(), describe(protocol).splitlines(), "committed", "now", lineterm="", n=1
        )
    )
    assert not difference, f"the public surface moved; if that is meant: {RENEW}\n{difference}"


def test_a_surface_shows_what_callers_lean_on_and_hides_the_rest() -> None:
    assert describe(sample_module(["LIMIT", "Colour", "Step", "Walker", "measure"])) == (
        "value LIMIT\n"
        "enum Colour: RED BLUE\n"
        "class Step\n"
        "    height_mm: int\n"
        "    property tall\n"
        "class Walker\n"
        "    def __init__(self, seed: int, *, fast: bool = ...) -> None\n"
        "    def handle(self, step: Step, now: int = ...) -> list[Step]\n"
        "def measure(step: Step) -> int\n"
    )


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        ([], "has no __all__"),
        (["Step", "Colour"], "not sorted"),
        (["Step", "Step"], "twice"),
        (["Colour", "Ghost"], "names Ghost, which is not there"),
        (["_rank"], "private"),
    ],
)
def test_a_faulty_list_of_public_names_is_caught(names: list[str], fault: str) -> None:
    assert any(fault in text for text in faults(sample_module(names)))


def test_a_faultless_list_of_public_names_is_left_alone() -> None:
    assert faults(sample_module(["LIMIT", "Colour", "Step", "Walker", "measure"])) == []
