"""A person's own running baseline: what is usual for them, so that a reading can say how unusual now is.

Source: baseline reduction against one's own rest is the most useful single normalisation of wearable arousal
(Siirtola 2023 on WESAD); median and MAD instead of mean and standard deviation because artefacts are common
(Leys et al. 2013, J. Exp. Soc. Psychol. 49:764). Deviations: there is no separate calibration session; the first
five minutes are the baseline, and after them the reference follows the last five minutes slowly, so that a
tense quarter of an hour is neither forgotten at once nor taken for the person for ever.
Invariants: memory is bounded by the window; the scale never falls below its floor; values are finite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from meshnode.sensing.estimator.median import RunningMedian

MAD_TO_SD: Final = 1.4826
"""MAD of a normal distribution times this is its standard deviation."""
MEDIAN_SE: Final = 1.2533
"""Standard error of a median over that of a mean, normal distribution: sqrt(pi / 2)."""
Z_MAX: Final = 6.0
"""Beyond six robust deviations nothing more is learnt, and one artefact must not outshout all else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineConfig:
    """Windows in seconds of good signal."""

    window_s: int = 300
    """Length of the window; 2-5 min of rest is the usual baseline."""
    ready_s: int = 60
    """Below this there is no z at all. Guess; the error of the median is in ``uncertainty`` anyway."""
    drift_s: float = 600.0
    """Time constant with which the reference follows the window once it is full. Guess, see docs/method.md."""
    independent_s: float = 30.0
    """Seconds between two values that tell independent things: tonic signals change over tens of seconds. Guess."""
    floor: float
    """Smallest scale, in the signal's unit: noise and ordinary wobble must not count as excitement."""


class RunningBaseline:
    """One signal's baseline, fed once per second of good signal."""

    __slots__ = ("_centre", "_config", "_follow", "_scale", "_seconds", "_window")

    def __init__(self, config: BaselineConfig) -> None:
        self._config = config
        self._window = RunningMedian(config.window_s)
        self._follow = 1.0 - math.exp(-1.0 / config.drift_s)
        self._centre = 0.0
        self._scale = config.floor
        self._seconds = 0

    @property
    def ready(self) -> bool:
        """Whether enough has been seen to say what is usual."""
        return self._seconds >= self._config.ready_s

    @property
    def seconds(self) -> int:
        """Seconds of good signal learnt from."""
        return self._seconds

    @property
    def centre(self) -> float:
        """What is usual, in the signal's unit; 0.0 before the first value."""
        return self._centre

    @property
    def scale(self) -> float:
        """One robust standard deviation of the usual, in the signal's unit, never below the floor."""
        return self._scale

    def update(self, value: float) -> None:
        """Learn one second of good signal."""
        window = self._window
        window.push(value)
        full = self._seconds >= self._config.window_s
        self._seconds += 1
        rate = self._follow if full else 1.0
        self._centre += rate * (window.median() - self._centre)
        self._scale += rate * (max(self._config.floor, MAD_TO_SD * window.spread()) - self._scale)

    def forget(self) -> None:
        """Start anew: the sensor was taken off and put on again, so its level means something else now."""
        self._window.clear()
        self._centre, self._scale, self._seconds = 0.0, self._config.floor, 0

    def z(self, value: float) -> float:
        """How unusual ``value`` is, in robust standard deviations, within +-6."""
        return max(-Z_MAX, min(Z_MAX, (value - self._centre) / self._scale))

    def uncertainty(self) -> float:
        """Standard error of the reference in z units: falls as the baseline grows older, 0.4 when it is full."""
        independent = min(self._seconds, self._config.window_s) / self._config.independent_s
        return MEDIAN_SE / math.sqrt(max(1.0, independent))
