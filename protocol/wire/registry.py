"""The dimensions a vector can have: id, name, range, unit and what EmotionML calls them.

Source: EmotionML 1.0 (W3C 2014), vocabulary ``pad-dimensions``, scale values (x + 1) / 2. A dimension that is not
listed here is denied and dropped, never passed on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Dimension:
    """One quantity; ``low`` and ``high`` in ``unit`` are what -32767 and +32767 stand for on the wire."""

    id: int
    name: str
    low: float
    high: float
    unit: str
    emotionml: str | None = None

    @property
    def width(self) -> float:
        """``high - low``, in the dimension's unit."""
        return self.high - self.low


AROUSAL: Final = 0
VALENCE: Final = 1
DOMINANCE: Final = 2
HEART_RATE: Final = 3
RESPIRATION_RATE: Final = 4
RESPIRATION_PHASE: Final = 5
SKIN_CONDUCTANCE: Final = 6

DIMENSIONS: Final[dict[int, Dimension]] = {
    dimension.id: dimension
    for dimension in (
        Dimension(AROUSAL, "arousal", -1.0, 1.0, "", "arousal"),
        Dimension(VALENCE, "valence", -1.0, 1.0, "", "pleasure"),
        Dimension(DOMINANCE, "dominance", -1.0, 1.0, "", "dominance"),
        Dimension(HEART_RATE, "heart_rate", 20.0, 240.0, "bpm"),
        Dimension(RESPIRATION_RATE, "respiration_rate", 2.0, 60.0, "1/min"),
        Dimension(RESPIRATION_PHASE, "respiration_phase", 0.0, 6.283185307179586, "rad"),
        Dimension(SKIN_CONDUCTANCE, "skin_conductance", 0.0, 100.0, "uS"),
    )
}

BY_NAME: Final[dict[str, Dimension]] = {dimension.name: dimension for dimension in DIMENSIONS.values()}

METHODS: Final[dict[int, str]] = {0: "unstated", 1: "hr-scl-z/1"}
"""Registered estimation methods; an unknown method id is shown as its number."""
