"""Skin conductance split into its slow level and its quick responses.

Source: level (tonic) and responses (phasic) as in Boucsein 2012 and the guide of Braithwaite et al. 2015;
responses are counted trough to peak above 0.03 uS, inside the usual 0.01-0.05 uS; plausibility rules after
Kleckner et al. 2018 (IEEE TBME 65:1460): 0-60 uS and at most 10 uS/s. Deviations: the level is the median of
one-second minima over 30 s, which needs no future (a deconvolution does); Kleckner's lower bound of 0.05 uS is
left to ``contact``, because dry-skinned people live there.
Invariants: memory is bounded; a non-finite value never gets here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from meshnode.sensing.estimator.median import RunningMedian

US: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectrodermalConfig:
    """Windows and thresholds; conductances in microsiemens."""

    conductance_max: float = 60.0
    slope_max: float = 10.0
    """uS per second; more is a loose electrode, not a gland."""
    smooth_s: float = 0.5
    """Time constant of the low pass: two samples of a 4 Hz wristband."""
    level_s: int = 30
    """Window of the level: longer than a response with its recovery (5-15 s)."""
    stale_us: int = 3_000_000
    """Twelve missed samples at 4 Hz: the signal counts as gone."""
    response_min: float = 0.03
    """Smallest rise that is a response."""
    retrace: float = 0.01
    """A fall of this much ends a rise: ten steps of the wristband's converter."""
    rise_s_max: float = 8.0
    """A slower rise is drift of the level."""
    rate_s: float = 300.0
    """Exponential window of the response rate: long, so that it tells a skin from another, not a mood."""
    rate_usual: float = 1.0
    """Responses per minute taken for granted at first; 1-3 are usual at rest (Braithwaite et al. 2015)."""
    rate_full: float = 0.5
    """Responses per minute from which the skin counts fully."""
    mute_trust: float = 0.6
    """Quality of a skin that never responds, as about one in ten does not: its level may still move. Guess."""

    error: tuple[float, float] = (0.01, 0.02)
    """Standard deviation of the value: uS, and share of it. Guess: makers publish resolution, not accuracy."""


class Electrodermal:
    """One skin conductance signal, sample by sample, with a tick each second."""

    __slots__ = (
        "_at", "_config", "_keep_rate", "_levels", "_lowest", "_peak", "_peak_at", "_rate", "_smooth",
        "_trough", "_trough_at", "rejected", "responses",
    )  # fmt: skip

    def __init__(self, config: ElectrodermalConfig) -> None:
        self._config = config
        self._levels = RunningMedian(config.level_s)
        self._keep_rate = math.exp(-1.0 / config.rate_s)
        self._at: int | None = None
        self._lowest = math.inf
        self._smooth = 0.0
        self._trough = self._peak = 0.0
        self._trough_at = self._peak_at = 0
        self._rate = config.rate_usual
        self.responses = self.rejected = 0

    def push(self, at: int, conductance: float) -> bool:
        """Take in a sample; False if it is impossible (and counted)."""
        config = self._config
        if not 0.0 <= conductance <= config.conductance_max:
            self.rejected += 1
            return False
        if self._at is None or at - self._at > config.stale_us:
            self._restart(at, conductance)
            return True
        passed = max(1, at - self._at) * US
        self._at = at
        if abs(conductance - self._smooth) > config.slope_max * max(passed, config.smooth_s):
            self.rejected += 1
            self._restart(at, conductance)
            return False
        self._smooth += (1.0 - math.exp(-passed / config.smooth_s)) * (conductance - self._smooth)
        self._lowest = min(self._lowest, self._smooth)
        self._follow(at)
        return True

    def tick(self) -> None:
        """One second is over: its minimum joins the level."""
        self._rate *= self._keep_rate
        if self._lowest < math.inf:
            self._levels.push(self._lowest)
            self._lowest = math.inf

    def fresh(self, now: int) -> bool:
        """Whether the signal is there at all."""
        return self._at is not None and now - self._at <= self._config.stale_us

    @property
    def conductance(self) -> float:
        """The smoothed signal, uS."""
        return self._smooth

    @property
    def sd(self) -> float:
        """Standard deviation of ``conductance``, uS."""
        absolute, share = self._config.error
        return absolute + share * self._smooth

    @property
    def level(self) -> float:
        """Tonic level, uS; the signal itself before the first second is over."""
        return self._levels.median() if len(self._levels) else self._smooth

    @property
    def phasic(self) -> float:
        """What stands out of the level now, uS."""
        return self._smooth - self.level

    @property
    def responses_per_min(self) -> float:
        """Rate of responses over about the last five minutes."""
        return self._rate

    def quality(self, now: int) -> float:
        """0 without a signal, 1 with a responsive skin, between for one that has been mute for minutes."""
        if not self.fresh(now):
            return 0.0
        config = self._config
        return config.mute_trust + (1.0 - config.mute_trust) * min(1.0, self._rate / config.rate_full)

    def _restart(self, at: int, conductance: float) -> None:
        """The signal (re)appears or breaks: what came before says nothing about slopes."""
        self._at = at
        self._smooth = self._trough = self._peak = conductance
        self._trough_at = self._peak_at = at

    def _follow(self, at: int) -> None:
        """Walk from trough to peak to trough; a rise counts when it ends."""
        config, value = self._config, self._smooth
        if value > self._peak:
            self._peak, self._peak_at = value, at
        elif self._peak > self._trough and value < self._peak - config.retrace:
            height, rise_s = self._peak - self._trough, (self._peak_at - self._trough_at) * US
            if height >= config.response_min and rise_s <= config.rise_s_max:
                self.responses += 1
                self._rate += 60.0 / config.rate_s
            self._trough = self._peak = value
        if value < self._trough:
            self._trough = self._peak = value
        if value < self._trough + config.retrace:
            self._trough_at = at  # still resting: the rise has not begun
