"""Method 1, ``hr-scl-z/1``: arousal from heart rate and skin conductance against the person's own baseline.

Source: the formula, its windows, what it was checked on and what it must not be used for are in docs/method.md.
In short: robust z of heart rate and of the logarithm of the skin conductance level, each against the running
baseline; their quality-weighted mean through tanh(z / 2). The standard deviation adds
measurement, age of the baseline, disagreement of the channels and what a channel never tells about arousal, and
goes to that of knowing nothing (uniform on [-1, 1]) as quality goes to 0. Valence and dominance are not estimated:
no autonomic fingerprint of them exists (Siegel et al. 2018), they belong to the person's own report.
Invariants: pure and deterministic in the samples; bounded memory; nothing non-finite gets in or out; a value is
None, never 0, when it is not known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from meshnode.sensing.estimator.baseline import BaselineConfig, RunningBaseline
from meshnode.sensing.estimator.beats import Beats, BeatsConfig, HeartRate
from meshnode.sensing.estimator.contact import Contact, ContactConfig
from meshnode.sensing.estimator.electrodermal import Electrodermal, ElectrodermalConfig
from meshnode.sensing.samples import Channel, Sample
from protocol.inputs import Estimate, Reading
from protocol.wire.registry import AROUSAL, HEART_RATE, SKIN_CONDUCTANCE

METHOD: Final = 1
"""Registered as ``hr-scl-z/1``."""
SECOND_US: Final = 1_000_000
UNKNOWING_SD: Final = 0.5774
"""Standard deviation of a uniform on [-1, 1]: what one knows of arousal without a signal."""
CONDUCTANCE_LEAST: Final = 0.01
"""uS; the logarithm of less is the logarithm of noise."""


_ACCELERATION: Final = Channel.ACCELERATION
_HEART: Final = BaselineConfig(floor=3.0)
"""Beats/min: slow breathing alone moves the 10 s rate by this."""
_LEVEL: Final = BaselineConfig(floor=0.10)
"""Log units, so 10 %: what an undisturbed level wanders in minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatorConfig:
    """All settings of one estimator; the parts have their own."""

    beats: BeatsConfig = field(default_factory=BeatsConfig)
    electrodermal: ElectrodermalConfig = field(default_factory=ElectrodermalConfig)
    contact: ContactConfig = field(default_factory=ContactConfig)
    heart_baseline: BaselineConfig = _HEART
    level_baseline: BaselineConfig = _LEVEL
    heart_weight: float = 0.5
    skin_weight: float = 0.5
    """Shares in the quality of a reading; equal, so that either alone can just carry one."""
    model_sd: float = 2.0
    """What one channel's z does not tell about arousal, in z: what the two channels disagree by, over sqrt(2),
    measured on 18 people (docs/method.md)."""
    quality_min: float = 0.3
    """Below this every value is unknown."""
    learn_quality_min: float = 0.5
    """Baselines learn only from seconds at least this good."""
    reworn_s: int = 300
    """Off the wrist for longer: the skin's baseline starts anew."""
    late_us_max: int = 2 * SECOND_US
    """A sample late by no more than this counts as of now: radios deliver beats in small heaps."""
    gap_us_max: int = 60 * SECOND_US
    """After a longer silence the missing seconds are skipped instead of walked through."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What was taken in and what was refused, since the start."""

    samples: int
    refused_not_finite: int
    refused_out_of_order: int
    refused_range: int
    beats_accepted: int
    beats_rejected_jump: int
    responses: int
    baseline_age_s: int


@dataclass(slots=True)
class _Part:
    """One channel's say: z, the standard error of measuring it, and the weight it has. Short-lived, so not frozen."""

    z: float
    sd: float
    weight: float


class Estimator:
    """Samples in at any pace, readings out at any instant."""

    __slots__ = (
        "_beats", "_config", "_contact", "_heart", "_level", "_not_finite", "_now", "_off_s", "_out_of_order",
        "_samples", "_skin", "_takers", "_tick_at",
    )  # fmt: skip

    def __init__(self, config: EstimatorConfig | None = None) -> None:
        self._config = config = config or EstimatorConfig()
        self._beats = Beats(config.beats)
        self._skin = Electrodermal(config.electrodermal)
        self._contact = Contact(config.contact)
        self._heart = RunningBaseline(config.heart_baseline)
        self._level = RunningBaseline(config.level_baseline)
        self._takers: dict[Channel, Callable[[int, float], bool]] = {
            Channel.EDA: self._skin.push,
            Channel.TEMPERATURE: self._contact.push_temperature,
            Channel.HEART_RATE: self._beats.push_rate,
            Channel.INTERVAL: self._beats.push_interval,
        }
        self._now = -1
        self._tick_at = 0
        self._off_s = 0
        self._samples = self._not_finite = self._out_of_order = 0

    def push(self, sample: Sample) -> bool:
        """Take in one sample; False if it was refused (and counted): not finite, impossible, or
        older than the newest instant already seen by more than ``late_us_max``. Refused samples change no estimate."""
        self._samples += 1
        at, value, y, z = sample.at, sample.value, sample.y, sample.z
        if not math.isfinite(value + y + z):  # one test for three: a sum with NaN or infinity in it is not finite
            self._not_finite += 1
            return False
        if at < self._now:
            if at < self._now - self._config.late_us_max:
                self._out_of_order += 1
                return False
            at = self._now
        if at - self._tick_at >= SECOND_US or self._now < 0:
            self._advance(at)
        self._now = at
        if sample.channel is _ACCELERATION:
            return self._contact.push_acceleration(at, value, y, z)
        take = self._takers.get(sample.channel)
        return take is None or take(at, value)

    def read(self, now: int, at: int | None = None) -> Reading:
        """The reading at signal time ``now`` (us, not before the newest sample), stamped with boot time ``at``."""
        self._advance(now)
        heart = self._beats.read(now)
        quality, parts = self._weigh(now, heart)
        known = quality >= self._config.quality_min
        return Reading(
            now if at is None else at,
            (
                self._arousal(quality, parts) if known else Estimate(AROUSAL, None, None),
                self._heart_rate(now, heart) if known else Estimate(HEART_RATE, None, None),
                self._conductance(now) if known else Estimate(SKIN_CONDUCTANCE, None, None),
            ),
            quality,
            METHOD,
        )

    def statistics(self) -> Statistics:
        """A snapshot of the counters."""
        beats, skin = self._beats, self._skin
        return Statistics(
            samples=self._samples,
            refused_not_finite=self._not_finite,
            refused_out_of_order=self._out_of_order,
            refused_range=beats.rejected_range + skin.rejected + self._contact.rejected,
            beats_accepted=beats.accepted,
            beats_rejected_jump=beats.rejected_jump,
            responses=skin.responses,
            baseline_age_s=max(self._heart.seconds, self._level.seconds),
        )

    def _advance(self, now: int) -> None:
        """Walk through the whole seconds up to ``now``; a long silence is stepped over."""
        if self._now < 0 or now - self._tick_at > self._config.gap_us_max:
            self._tick_at = now
        while now - self._tick_at >= SECOND_US:
            self._tick_at += SECOND_US
            self._tick(self._tick_at)
        self._now = max(self._now, now)

    def _tick(self, now: int) -> None:
        """One second is over: the level moves on, and good seconds are learnt."""
        config = self._config
        self._skin.tick()
        worn = self._worn(now)
        self._off_s = 0 if worn >= config.quality_min else self._off_s + 1
        if self._off_s == config.reworn_s:
            self._level.forget()
        if worn * self._contact.stillness(now) < config.learn_quality_min:
            return
        heart = self._beats.read(now)
        if heart is not None and heart.quality >= config.beats.unbacked_trust:
            self._heart.update(heart.rate)
        if self._skin.fresh(now):
            self._level.update(self._log_level())

    def _log_level(self) -> float:
        return math.log(max(CONDUCTANCE_LEAST, self._skin.level))

    def _worn(self, now: int) -> float:
        conductance = self._skin.conductance if self._skin.fresh(now) else None
        usual = math.exp(self._level.centre) if self._level.ready else None
        return self._contact.worn(now, conductance, usual)

    def _weigh(self, now: int, heart: HeartRate | None) -> tuple[float, list[_Part]]:
        """Quality of the whole reading, and what each channel with a baseline has to say."""
        config = self._config
        trust = self._worn(now) * self._contact.stillness(now)
        heart_quality = heart.quality if heart is not None else 0.0
        skin_quality = self._skin.quality(now)
        shares = config.heart_weight * heart_quality + config.skin_weight * skin_quality
        quality = trust * shares / (config.heart_weight + config.skin_weight)
        parts: list[_Part] = []
        if heart is not None and self._heart.ready:
            sd = math.hypot(heart.sd / self._heart.scale, self._heart.uncertainty())
            parts.append(_Part(self._heart.z(heart.rate), sd, config.heart_weight * heart_quality))
        if skin_quality and self._level.ready:
            z = self._level.z(self._log_level())
            parts.append(_Part(z, self._level.uncertainty(), config.skin_weight * skin_quality))
        return quality, parts

    def _arousal(self, quality: float, parts: Sequence[_Part]) -> Estimate:
        total = sum(part.weight for part in parts)
        if total <= 0.0:
            return Estimate(AROUSAL, None, None)
        model = self._config.model_sd**2
        if len(parts) == 2:  # what they disagree by now says as much as what they usually disagree by
            model = (model + (parts[0].z - parts[1].z) ** 2 / 2) / 2
        z = sum(part.weight * part.z for part in parts) / total
        variance = sum(part.weight**2 * (part.sd**2 + model) for part in parts) / total**2
        spread = math.sqrt(variance)
        informed = min(UNKNOWING_SD, (math.tanh((z + spread) / 2) - math.tanh((z - spread) / 2)) / 2)
        sd = math.sqrt(quality * informed**2 + (1.0 - quality) * UNKNOWING_SD**2)
        return Estimate(AROUSAL, math.tanh(z / 2), sd)

    def _heart_rate(self, now: int, heart: HeartRate | None) -> Estimate:
        if heart is None:
            return Estimate(HEART_RATE, None, None)
        trust = max(self._config.quality_min, self._contact.stillness(now))
        return Estimate(HEART_RATE, heart.rate, heart.sd / trust)

    def _conductance(self, now: int) -> Estimate:
        if not self._skin.fresh(now):
            return Estimate(SKIN_CONDUCTANCE, None, None)
        return Estimate(SKIN_CONDUCTANCE, self._skin.conductance, self._skin.sd)
