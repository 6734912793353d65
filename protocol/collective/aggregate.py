"""Robust mean and spread of what the crowd shares, never of fewer than five people.

Source: 20 % trimmed mean with the Tukey-McLaughlin standard error from the winsorised variance (Wilcox 2012,
section 3.3.3); spread is the normal-consistent median absolute deviation. Sums are exactly rounded (``fsum``) over
contributions in author order, so two hubs that hold the same vectors compute the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, sqrt
from statistics import median
from typing import Final

from protocol.ids import AuthorId

METHOD: Final = "trimmed-mean-20/1"
CONTRIBUTORS_MIN: Final = 5
QUALITY_MIN: Final = 0.3
_TRIM: Final = 0.2
_MAD_TO_SD: Final = 1.4826


@dataclass(frozen=True, slots=True)
class Contribution:
    """One person's newest value of one dimension; ``sd`` in the same unit, None if the person's hub cannot say."""

    author: AuthorId
    value: float
    sd: float | None
    quality: float


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
    """The crowd's picture of one dimension."""
    usable = sorted((c for c in contributions if c.quality >= QUALITY_MIN), key=lambda c: c.author)
    left_out = len(contributions) - len(usable)
    n = len(usable)
    if n < CONTRIBUTORS_MIN:
        reason = f"{n} of at least {CONTRIBUTORS_MIN} contributors"
        return Crowd(n, left_out, None, None, None, METHOD, reason)
    values = sorted(c.value for c in usable)
    cut = int(_TRIM * n)
    kept = values[cut : n - cut]
    mean = fsum(kept) / len(kept)
    winsorised = [min(max(value, kept[0]), kept[-1]) for value in values]
    centre = fsum(winsorised) / n
    between = fsum((value - centre) ** 2 for value in winsorised) / (n - 1) / ((1 - 2 * _TRIM) ** 2 * n)
    within = fsum((1.0 if c.sd is None else c.sd) ** 2 for c in usable) / (n * n)
    middle = median(values)
    spread = _MAD_TO_SD * median(abs(value - middle) for value in values)
    return Crowd(n, left_out, mean, sqrt(between + within), spread, METHOD, "")
