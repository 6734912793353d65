"""The only place where the daemon reads a clock, or waits for one outside Trio.

Boot time is CLOCK_BOOTTIME (Linux), because it runs on while a hub sleeps: a lease that is a minute old after a
night in suspend would otherwise still look fresh. Elsewhere the monotonic clock stands in; the kernel of macOS
stops it in suspend, and leases then end late by the time slept (design decision 17 covers this through hlc).
Invariant: ``boot_us`` never goes back within one boot; ``utc_ms`` may jump and is only ever an input.
"""

from __future__ import annotations

import time
from typing import Final

from protocol.clock import SECOND, Duration, Instant

_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_us() -> Instant:
    """Microseconds of boot time, suspend included where the platform counts it."""
    return time.clock_gettime_ns(_CLOCK) // 1_000


def utc_ms() -> int:
    """Milliseconds since 1970-01-01 UTC as the wall clock has it; a hub without a battery clock may be years off."""
    return time.time_ns() // 1_000_000


def pause_us(duration: Duration) -> None:
    """Let the whole thread wait: only for a loop that has nothing to do."""
    time.sleep(duration / SECOND)
