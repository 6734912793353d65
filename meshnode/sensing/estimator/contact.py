"""Is the band on a wrist, and is that wrist moving?

Source: measured on ten people's wristbands before, during and after an exam (docs/method.md): off the wrist the
skin conductance is 0.000-0.030 uS within a minute, while the temperature needs many minutes to fall and may stay
at 26-27 degrees, and the heart rate goes on being reported. So conductance decides. Deviation from the rules of
Kleckner et al. 2018 (IEEE TBME 65:1460; 0.05 uS and 30-40 degrees): people with dry skin, known by their own
baseline, keep contact by warmth alone, at less confidence; cool wrists are common and cost only a little.
Motion is the distance of the acceleration from its own slow mean (gravity), which needs no calibration.
Invariants: every factor is in [0, 1]; memory is a few numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

US: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactConfig:
    """Each pair is a ramp: nothing at the first value, full at the second."""

    conductance: tuple[float, float] = (0.030, 0.050)
    """uS. Ten wristbands off the wrist: 99 % of samples below 0.030."""
    warm: tuple[float, float] = (22.0, 26.0)
    """Degrees. Rooms on one side, cool wrists on the other (lowest settled wrist measured: 24.6)."""
    cold_trust: float = 0.6
    """Factor of a band at room temperature that does conduct: just put on."""
    dry_warm: tuple[float, float] = (29.0, 31.0)
    """Degrees. A dry wrist must at least be clearly warm."""
    dry_usual: tuple[float, float] = (0.20, 0.10)
    """uS, own usual level: who is usually above the first is not dry-skinned."""
    dry_trust: float = 0.7
    celsius: tuple[float, float] = (-20.0, 60.0)
    """Degrees a working thermometer on a person can show."""
    acceleration_max: float = 32.0
    """g, per axis; the widest range of common wearable accelerometers."""
    stale_us: int = 5_000_000
    motion_s: float = 5.0
    """Time constant of the motion level."""
    gravity_s: float = 2.0
    """Time constant of the slow mean."""
    motion_half: float = 0.25
    """g. At this level the signals count half. Measured: seated at a screen 0.01-0.06, talking with one's hands
    0.2-0.5 (docs/method.md)."""


def ramp(value: float, ends: tuple[float, float]) -> float:
    """0 at the first end, 1 at the second, straight between; the ends may be in either order."""
    low, high = ends
    return min(1.0, max(0.0, (value - low) / (high - low)))


class Contact:
    """Temperature and acceleration, read as trust in the other signals."""

    __slots__ = ("_config", "_motion", "_moved_at", "_temperature", "_temperature_at", "_x", "_y", "_z", "rejected")

    def __init__(self, config: ContactConfig) -> None:
        self._config = config
        self._temperature = 0.0
        self._temperature_at: int | None = None
        self._motion = 0.0
        self._moved_at: int | None = None
        self._x = self._y = self._z = 0.0
        self.rejected = 0

    def push_temperature(self, at: int, celsius: float) -> bool:
        """Take in a skin temperature; False if no skin can have it (and counted)."""
        low, high = self._config.celsius
        if not low <= celsius <= high:
            self.rejected += 1
            return False
        self._temperature, self._temperature_at = celsius, at
        return True

    def push_acceleration(self, at: int, x: float, y: float, z: float) -> bool:
        """Take in an acceleration, g; False if it is beyond any wrist (and counted)."""
        config = self._config
        limit = config.acceleration_max
        if not (-limit <= x <= limit and -limit <= y <= limit and -limit <= z <= limit):
            self.rejected += 1
            return False
        if self._moved_at is None or at - self._moved_at > config.stale_us:
            self._x, self._y, self._z, self._motion, self._moved_at = x, y, z, 0.0, at
            return True
        passed = max(0, at - self._moved_at) * US
        self._moved_at = at
        dx, dy, dz = x - self._x, y - self._y, z - self._z
        slow = passed / (config.gravity_s + passed)
        self._x += slow * dx
        self._y += slow * dy
        self._z += slow * dz
        self._motion += passed / (config.motion_s + passed) * (math.sqrt(dx * dx + dy * dy + dz * dz) - self._motion)
        return True

    def motion(self, now: int) -> float:
        """Mean distance from gravity over the last seconds, g; 0.0 when no accelerometer speaks."""
        if self._moved_at is None or now - self._moved_at > self._config.stale_us:
            return 0.0
        return self._motion

    def stillness(self, now: int) -> float:
        """Factor for motion: 1 at rest, 0.5 at ``motion_half``, falling with its square."""
        share = self.motion(now) / self._config.motion_half
        return 1.0 / (1.0 + share * share)

    def worn(self, now: int, conductance: float | None, usual: float | None) -> float:
        """Factor for contact. ``conductance`` (uS) is None without a skin conductance sensor (a chest strap), and
        ``usual`` is the wearer's own level (uS), None while unknown."""
        config = self._config
        celsius = self._warmth(now)
        if conductance is None:
            return 1.0 if celsius is None else ramp(celsius, config.warm)
        warm = 1.0 if celsius is None else ramp(celsius, config.warm)
        by_conductance = ramp(conductance, config.conductance) * (config.cold_trust + (1.0 - config.cold_trust) * warm)
        if celsius is None or usual is None:
            return by_conductance
        by_warmth = config.dry_trust * ramp(celsius, config.dry_warm) * ramp(usual, config.dry_usual)
        return max(by_conductance, by_warmth)

    def _warmth(self, now: int) -> float | None:
        if self._temperature_at is None or now - self._temperature_at > self._config.stale_us:
            return None
        return self._temperature
