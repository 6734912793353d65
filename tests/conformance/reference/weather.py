"""The only place of the conformance kit where clocks and chance come in."""

from __future__ import annotations

import os
import time  # noqa: TID251 - the kit shares no code with the product, so it has a clock of its own


def now() -> float:
    """Seconds that never run backwards."""
    return time.monotonic()


def utc_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def sleep(seconds: float) -> None:
    """Wait; nothing at all if ``seconds`` is negative."""
    time.sleep(max(0.0, seconds))


def entropy(count: int) -> bytes:
    """Unpredictable bytes."""
    return os.urandom(count)  # noqa: TID251 - see above
