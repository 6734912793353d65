"""What a check can say, and what is said of a requirement in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Outcome: TypeAlias = Literal["pass", "fail", "not testable"]


class Failed(Exception):
    """The hub under test did something else than the requirement says."""


class Untestable(Exception):
    """This part could not be seen on this hub; the text says why."""


def describe(fault: Exception) -> str:
    """What an exception says, or its name if it says nothing."""
    return str(fault) or type(fault).__name__.lower()


@dataclass(frozen=True, slots=True)
class Result:
    """The verdict on one requirement; ``seen`` is what was observed, or why nothing could be."""

    requirement: str
    summary: str
    outcome: Outcome
    seen: str
    seconds: float
