"""The form of proof: every measured claim is a bar with our figure, a reference and whether it is met.

Every command whose figures are claims prints ``report(...)`` with ``--json`` and exits 0 only if all bars are met.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

Measured = TypeVar("Measured", int, float)


@dataclass(frozen=True, slots=True)
class Bar:
    """``ours`` against ``bar`` in ``unit``; ``reference`` is the same work done by somebody else, if measured.

    ``at_most`` says which side is good; ``ours`` None means that it could not be measured, which is not met.
    """

    name: str
    ours: float | None
    bar: float
    unit: str
    reference: float | None = None
    at_most: bool = True

    @property
    def met(self) -> bool:
        """Whether the claim holds."""
        if self.ours is None:
            return False
        return self.ours <= self.bar if self.at_most else self.ours >= self.bar


def percentile(values: Sequence[Measured], share: float) -> Measured | None:
    """The value below or at which ``share`` of the values lie (nearest rank); None without values."""
    if not values:
        return None
    rank = math.ceil(share * len(values) - 1e-9)  # 0.07 of 100 is the seventh, whatever the product is in binary
    return sorted(values)[max(0, rank - 1)]


def report(bars: list[Bar], **more: object) -> dict[str, object]:
    """The JSON object of a proof: ``bars``, ``met`` and whatever else belongs to it."""
    listed = [{**asdict(bar), "met": bar.met} for bar in bars]
    return {"bars": listed, "met": all_met(bars), **more}


def all_met(bars: list[Bar]) -> bool:
    """Whether every bar is met; no bars at all prove nothing."""
    return bool(bars) and all(bar.met for bar in bars)


def text(bars: list[Bar]) -> str:
    """One line a bar, for people."""
    lines = []
    for bar in bars:
        ours = "not measured" if bar.ours is None else f"{bar.ours:.4g}"
        sign = "<=" if bar.at_most else ">="
        beside = "" if bar.reference is None else f"; reference {bar.reference:.4g}"
        verdict = "met   " if bar.met else "MISSED"
        lines.append(f"{verdict} {bar.name}: {ours} {bar.unit} ({sign} {bar.bar:.4g}{beside})")
    return "\n".join(lines)


def emit(bars: list[Bar], *, as_json: bool, **more: object) -> str:
    """What a command prints."""
    return json.dumps(report(bars, **more)) if as_json else text(bars)
