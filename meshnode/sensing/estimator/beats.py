"""Heart rate from beat intervals, with the device's own rate as a weaker second witness.

Source: rejection of intervals outside 0.3-2.0 s or more than 20 % from the running median, the usual artefact
rule of heart-rate-variability work (Malik's 20 % criterion; Shaffer & Ginsberg 2017, Front. Public Health 5:258).
Deviation: the running median is over all plausible intervals, rejected ones too, or one wrong start would lock
every true beat out for ever. The rate is an exponentially weighted count of beats over the time they cover
(10 s), so that *coverage*, the share of recent time explained by good beats, falls out of the same sums: a
rejected beat and a missing one cost the same.
Invariants: memory is bounded; a non-finite value never gets here; sums only decay between beats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from meshnode.sensing.estimator.median import RunningMedian

US: Final = 1e-6
RATE_BPM_MIN: Final = 20.0
RATE_BPM_MAX: Final = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatsConfig:
    """Limits and windows of the heart-rate tracker."""

    interval_s_min: float = 0.3
    """200 beats/min."""
    interval_s_max: float = 2.0
    """30 beats/min."""
    jump_max: float = 0.20
    """Largest distance from the running median, as a share of it."""
    median_beats: int = 11
    """Odd, so that the median is a measured interval; recovers from a wrong start after six beats."""
    window_s: float = 10.0
    """Time constant of the exponential window."""
    forget_us: int = 30_000_000
    """Silence after which the running median no longer says anything about the next beat."""
    rate_stale_us: int = 5_000_000
    """The device reports its own rate once a second; five missed reports and it does not count."""
    rate_trust: float = 0.5
    """Weight of the device's rate beside full beat coverage: it is smoothed in an unpublished way. Guess."""
    unbacked_us: tuple[int, int] = (10_000_000, 60_000_000)
    """A rate that no good beat has backed up for so long is trusted less, down to ``unbacked_trust``: a wristband
    on a writing hand reports no beats and goes on reporting a rate."""
    unbacked_trust: float = 0.2
    quality_least: float = 0.05
    """Below this there is no rate: the last beat is half a minute old."""
    beats_sd_bpm: float = 1.5
    """Error of a rate from fully covered beats."""
    rate_sd_bpm: float = 6.0
    """Error of the device's own rate: median over 18 people of its rms distance from the beats was 5.5."""


@dataclass(slots=True)
class HeartRate:
    """``rate`` and ``sd`` in beats/min, ``quality`` in [0, 1]. Made at every reading and short-lived: not frozen."""

    rate: float
    sd: float
    quality: float


class Beats:
    """Turns intervals and device rates into one heart rate with its uncertainty."""

    __slots__ = (
        "_accepted_at", "_at", "_beats", "_config", "_covered", "_interval_at", "_median", "_rate", "_rate_at",
        "accepted", "rejected_jump", "rejected_range",
    )  # fmt: skip

    def __init__(self, config: BeatsConfig) -> None:
        self._config = config
        self._median = RunningMedian(config.median_beats)
        self._at = 0
        self._interval_at = self._accepted_at = 0
        self._beats = self._covered = 0.0
        self._rate = 0.0
        self._rate_at: int | None = None
        self.accepted = self.rejected_range = self.rejected_jump = 0

    def push_interval(self, at: int, interval_s: float) -> bool:
        """Take in the interval that ended at ``at`` (us); False if it was rejected (and counted)."""
        config = self._config
        if at - self._interval_at > config.forget_us:
            self._median.clear()
        self._interval_at = at
        self._decay(at)
        if not config.interval_s_min <= interval_s <= config.interval_s_max:
            self.rejected_range += 1
            return False
        jumped = self._jumped(interval_s)
        self._median.push(interval_s)
        if jumped:
            self.rejected_jump += 1
            return False
        self.accepted += 1
        self._accepted_at = at
        self._beats += 1.0
        self._covered += interval_s
        return True

    def push_rate(self, at: int, bpm: float) -> bool:
        """Take in the device's own rate; False if it is outside 20-240 beats/min."""
        if not RATE_BPM_MIN <= bpm <= RATE_BPM_MAX:
            self.rejected_range += 1
            return False
        self._rate, self._rate_at = bpm, at
        return True

    def read(self, now: int) -> HeartRate | None:
        """The heart rate at ``now`` (us), or None if neither witness has said anything of late."""
        config = self._config
        self._decay(now)
        coverage = min(1.0, self._covered / config.window_s)
        second = self._rate_trust(now) * (1.0 - coverage)
        weight = coverage + second
        if weight < config.quality_least or (second == 0.0 and self._covered < config.interval_s_min):
            return None
        from_beats = 60.0 * self._beats / self._covered if self._covered >= config.interval_s_min else self._rate
        rate = (coverage * from_beats + second * self._rate) / weight
        sd = (coverage * config.beats_sd_bpm + second * config.rate_sd_bpm) / weight / math.sqrt(weight)
        return HeartRate(min(RATE_BPM_MAX, max(RATE_BPM_MIN, rate)), sd, weight)

    def _rate_trust(self, now: int) -> float:
        config = self._config
        if self._rate_at is None or now - self._rate_at > config.rate_stale_us:
            return 0.0
        soon, late = config.unbacked_us
        share = min(1.0, max(0.0, (now - self._accepted_at - soon) / (late - soon)))
        return config.rate_trust + share * (config.unbacked_trust - config.rate_trust)

    def _jumped(self, interval_s: float) -> bool:
        if len(self._median) < 3:
            return False
        usual = self._median.median()
        return abs(interval_s - usual) > self._config.jump_max * usual

    def _decay(self, now: int) -> None:
        """Let the exponential window run up to ``now``."""
        if now > self._at:
            keep = math.exp((self._at - now) * US / self._config.window_s)
            self._beats *= keep
            self._covered *= keep
            self._at = now
