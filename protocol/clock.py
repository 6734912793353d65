"""Time as the protocol knows it: integer microseconds of boot time, delivered with every input.

``now`` comes from the driver (CLOCK_BOOTTIME in the daemon, virtual time in the simulator). It never goes back
and runs on in suspend. Wall time is an input (:class:`protocol.inputs.UtcObserved`) and may be unknown.
"""

from __future__ import annotations

from typing import Final

Instant = int
"""Microseconds of boot time."""

Duration = int
"""Microseconds."""

MS: Final = 1_000
SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND


def hlc_pack(utc_ms: int, counter: int) -> int:
    """Pack a hybrid logical clock value: 48 bits of UTC milliseconds, 16 bits of counter (Kulkarni 2014)."""
    return (utc_ms << 16) | counter


def hlc_utc_ms(hlc: int) -> int:
    """The UTC milliseconds of a packed hybrid logical clock; 0 means that the author had no date."""
    return hlc >> 16
