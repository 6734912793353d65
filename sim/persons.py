"""People to simulate: each has a slowly wandering arousal, and a sensor that reads it now and then.

A mean-reverting random walk (the AR(1) process, Box and Jenkins 1970), in plain IEEE arithmetic without library
functions, so that every machine computes the same bits.
"""

from __future__ import annotations

from typing import Final

from protocol.clock import Instant
from protocol.inputs import Estimate, Reading
from protocol.rng import Rng
from protocol.wire.registry import AROUSAL

MEMORY: Final = 0.97
STEP: Final = 0.2
SENSOR_SD: Final = 0.1
METHOD: Final = 1


class Person:
    """One wearer; readings are drawn from ``rng`` alone. ``mood`` in [-1, 1] is the level wandered around; ``last`` is
    what the sensor said last."""

    __slots__ = ("_level", "_rng", "last", "mood")

    def __init__(self, rng: Rng, mood: float | None = None) -> None:
        self._rng = rng
        self.mood = 1.6 * rng.fraction() - 0.8 if mood is None else mood
        self._level = self.mood
        self.last: Reading | None = None

    def read(self, now: Instant) -> Reading:
        """What the sensor says at ``now`` (the hub's own boot time)."""
        step = STEP * (self._rng.fraction() - 0.5)
        self._level = min(1.0, max(-1.0, self.mood + MEMORY * (self._level - self.mood) + step))
        quality = 0.7 + 0.3 * self._rng.fraction()
        self.last = Reading(now, (Estimate(AROUSAL, self._level, SENSOR_SD),), quality, METHOD)
        return self.last
