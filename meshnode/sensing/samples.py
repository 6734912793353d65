"""One measured sample, as every sensor and every recording delivers it.

Times are *signal time*: integer microseconds on the sensor's own time line. A live sensor uses boot time; a
replay at N times speed runs N times faster than boot time, so that the estimator's windows always count the
person's seconds and not the machine's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, unique


@unique
class Channel(IntEnum):
    """What was measured. Where samples share an instant they are delivered in this order."""

    EDA = 0
    """Skin conductance, microsiemens."""
    TEMPERATURE = 1
    """Skin temperature, degrees Celsius."""
    INTERVAL = 2
    """Time between two heart beats, seconds; the sample's time is that of the second beat."""
    HEART_RATE = 3
    """Heart rate as the device itself computed it, beats per minute."""
    ACCELERATION = 4
    """Acceleration of the wrist, three axes, g."""
    PULSE = 5
    """Raw pulse wave, device units. Kept by recordings, not used by the estimator."""


@dataclass(slots=True)
class Sample:
    """One sample of ``channel`` at signal time ``at`` (us). ``value`` is the x axis of an acceleration.

    Not frozen: a hub makes about forty of these a second, and freezing triples their cost. Nobody changes them.
    """

    at: int
    channel: Channel
    value: float
    y: float = 0.0
    z: float = 0.0
