"""The list of checks, filled by the ``checks_*`` modules as they are imported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from tests.conformance.kit.workbench import Kit

Run: TypeAlias = Callable[[Kit], str]
"""Returns what was seen; raises Failed or Untestable."""


@dataclass(frozen=True, slots=True)
class Check:
    """One part of one requirement; ``links`` is how many are up at once, ``alone`` that nothing else may go on."""

    requirement: str
    run: Run
    links: int
    alone: bool


CHECKS: Final[list[Check]] = []


def check(requirement: str, *, links: int = 1, alone: bool = False) -> Callable[[Run], Run]:
    """Register a function as a check of ``requirement``."""

    def register(run: Run) -> Run:
        CHECKS.append(Check(requirement, run, links, alone))
        return run

    return register
