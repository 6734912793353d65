"""Made signals for tests whose expectation is worked out by hand; real ones come with ``meshnode.sensing.excerpts``."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Iterator

from meshnode.sensing.estimator.arousal import Estimator
from meshnode.sensing.recordings import Intervals, Recording, Signal
from meshnode.sensing.samples import Channel, Sample
from protocol.inputs import Estimate, Reading

SECOND = 1_000_000
QUARTER = 250_000


def calm_second(second: int, *, eda: float = 1.0, bpm: float = 60.0, celsius: float = 32.0) -> Iterator[Sample]:
    """One second of a person at rest with a wristband: 4 Hz skin, one temperature, beats, a device rate, stillness.

    Heart and skin wander a little, each with its own slow period, so that the baselines have a width.
    """
    start = second * SECOND
    rate = bpm + 2.0 * math.sin(second / 7.0)
    level = eda * (1.0 + 0.05 * math.sin(second / 11.0))
    for quarter in range(4):
        yield Sample(start + quarter * QUARTER, Channel.EDA, level)
    yield Sample(start + 750_000, Channel.TEMPERATURE, celsius)
    yield Sample(start + 800_000, Channel.INTERVAL, 60.0 / rate)
    yield Sample(start + 900_000, Channel.HEART_RATE, rate)
    yield Sample(start + 900_000, Channel.ACCELERATION, 0.0, 0.0, 1.0)


def one(reading: Reading, dim: int) -> Estimate:
    """The estimate of one dimension; there is exactly one."""
    (found,) = [estimate for estimate in reading.estimates if estimate.dim == dim]
    return found


def ramp_recording(seconds: int = 10, rate_hz: int = 4) -> Recording:
    """A recording whose skin conductance is the number of its sample, with a beat every second, at the half."""
    values = array("d", (float(index) for index in range(seconds * rate_hz)))
    ends = array("q", (second * SECOND + 500_000 for second in range(seconds)))
    intervals = Intervals(ends, array("d", [1.0] * seconds))
    signal = Signal(Channel.EDA, 0, rate_hz * 1_000, 1, values)
    return Recording("ramp", (signal,), intervals, seconds * SECOND)


def digest_of_minutes(minutes: int) -> str:
    """One line for everything a resting person's estimator says in so many minutes, read once a second."""
    estimator = Estimator()
    said = hashlib.sha256()
    for second in range(minutes * 60):
        for sample in calm_second(second):
            estimator.push(sample)
        said.update(repr(estimator.read((second + 1) * SECOND)).encode())
    return said.hexdigest()
