"""How late what comes on one link is, beyond what its path always takes: the part of a vector's age nobody held it for.

A sender cannot know how long its bytes will lie in a socket, a queue or a retransmission (on a lossy line seconds), so
every frame with vectors says in CLOCK when it was made, on a clock that began with the sender's HELLO. What the two
clocks differ by is at least as large as with the quickest frame yet; what is more than that is delay, and age.
Source: one-way delay above a base delay as in LEDBAT (RFC 6817, section 3.4). Deviations: instead of the minima of
some minutes, the base creeps up as fast as two clocks can part; its beginning is HELLO, which is sent at 0.
Invariants: never more than the true delay of the frame, as long as no clock is off by more than 500 ppm; what is
missing to it is what the quickest frame took, 2 ms of rounding, and 1 ms for each second since that frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.clock import MS, Duration, Instant

CREEP: Final = 1_000
"""The base gains a microsecond in so many: 500 ppm each, the most by which NTP slews a clock (RFC 5905)."""


@dataclass(slots=True)  # state: changes in place
class Transit:
    """``base_us`` is the least by which our clock was ahead of the sender's, ``at`` is when; None before HELLO."""

    base_us: Duration | None = None
    at: Instant = 0

    def late_ms(self, sent_ms: int, now: Instant) -> int:
        """How much longer a frame made at ``sent_ms`` was on its way than the quickest."""
        ahead_us = now - sent_ms * MS
        if self.base_us is None or ahead_us <= (base_us := self.base_us + (now - self.at) // CREEP):
            self.base_us, self.at = ahead_us, now
            return 0
        return max(0, (ahead_us - base_us) // MS - 1)  # sent_ms was rounded down
