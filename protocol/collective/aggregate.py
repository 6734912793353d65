"""Robust mean and spread of what the crowd shares, never of fewer than five people.

Source: 20 % trimmed mean with the Tukey-McLaughlin standard error from the winsorised variance (Wilcox 2012,
section 3.3.3); spread is the normal-consistent median absolute deviation. Sums are exactly rounded (``fsum``) over
contributions in author order, so two hubs that hold the same vectors compute the same bits.
The same of weighted contributions, where one of weight 1 is one person: it is cut at the same whole number of persons,
the one at the cut in part. With all weights 1 both are the same, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, sqrt
from typing import Final

from protocol.ids import AuthorId

METHOD: Final = "trimmed-mean-20/1"
CONTRIBUTORS_MIN: Final = 5
QUALITY_MIN: Final = 0.3
_TRIM: Final = 0.2
_MAD_TO_SD: Final = 1.4826


@dataclass(frozen=True, slots=True)
class Contribution:
    """One person's newest value of one dimension; ``sd`` in the same unit, None if the person's hub cannot say.
    ``weight`` in (0, 1] is what this hub lets it count for."""

    author: AuthorId
    value: float
    sd: float | None
    quality: float
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Crowd:
    """``mean`` with its standard error ``mean_se``, and ``spread`` (a robust standard deviation between people).

    All None, with ``reason``, if fewer than five contribute. ``n`` contributed, ``left_out`` were too poor in
    quality to count.
    """

    n: int
    left_out: int
    mean: float | None
    mean_se: float | None
    spread: float | None
    method: str
    reason: str


def aggregate(contributions: list[Contribution]) -> Crowd:
    """The crowd's picture of one dimension. Fewer than five whole persons, counted by weight, have none."""
    usable = sorted((c for c in contributions if c.quality >= QUALITY_MIN), key=lambda c: c.author)
    left_out = len(contributions) - len(usable)
    total = fsum(c.weight for c in usable)
    if total < CONTRIBUTORS_MIN:
        count = f"{total:.1f}".removesuffix(".0")
        reason = f"{count} of at least {CONTRIBUTORS_MIN} contributors"
        return Crowd(len(usable), left_out, None, None, None, METHOD, reason)
    ordered = sorted((c.value, c.weight) for c in usable)
    kept = _trimmed(ordered, float(int(_TRIM * total)))
    mean = fsum(value * weight for value, weight in kept) / fsum(weight for _, weight in kept)
    low, high = kept[0][0], kept[-1][0]
    winsorised = [(min(max(value, low), high), weight) for value, weight in ordered]
    centre = fsum(value * weight for value, weight in winsorised) / total
    between = _between(winsorised, centre, total)
    within = fsum(c.weight * (1.0 if c.sd is None else c.sd) ** 2 for c in usable) / (total * total)
    middle = _median(ordered, total)
    spread = _MAD_TO_SD * _median(sorted((abs(value - middle), weight) for value, weight in ordered), total)
    return Crowd(len(usable), left_out, mean, sqrt(between + within), spread, METHOD, "")


def _between(winsorised: list[tuple[float, float]], centre: float, total: float) -> float:
    squares = fsum(weight * (value - centre) ** 2 for value, weight in winsorised)
    return squares / (total - 1) / ((1 - 2 * _TRIM) ** 2 * total)


def _trimmed(ordered: list[tuple[float, float]], cut: float) -> list[tuple[float, float]]:
    """Without ``cut`` persons at either end; whoever stands at the cut counts with the rest of its weight."""
    return _cut(_cut(ordered, cut)[::-1], cut)[::-1]


def _cut(ordered: list[tuple[float, float]], cut: float) -> list[tuple[float, float]]:
    for at, (value, weight) in enumerate(ordered):
        if weight > cut:
            return [(value, weight - cut), *ordered[at + 1 :]]
        cut -= weight
    return []


def _median(ordered: list[tuple[float, float]], total: float) -> float:
    """The value on which half of the weight falls; between two of them, the middle."""
    passed = 0.0
    for at, (value, weight) in enumerate(ordered):
        passed += weight
        if passed > total / 2:
            return value
        if passed == total / 2:
            return (value + ordered[at + 1][0]) / 2
    return ordered[-1][0]
