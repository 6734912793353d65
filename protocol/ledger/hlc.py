"""The hybrid logical clock that dates our own events.

Source: Kulkarni et al., "Logical Physical Clocks", OPODIS 2014: 48 bits of milliseconds, 16 of counter. Where we
deviate: a stamp more than a minute ahead of our own date does not move us, because one hostile clock would drag
everybody along; without a date of our own nothing does, and our events say 0.
Invariant: what is ticked while the date is known grows, and is never more than a minute ahead of it unless it was
when the date went back.
"""

from __future__ import annotations

from typing import Final

from protocol.clock import hlc_pack, hlc_utc_ms

AHEAD_MS_MAX: Final = 60_000
HLC_MAX: Final = (1 << 64) - 1


class Hlc:
    """``last`` is the highest stamp given or believed."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0

    def tick(self, utc_ms: int | None) -> int:
        """The stamp of an event made now; 0 without a date."""
        if utc_ms is None:
            return 0
        stamp = max(hlc_pack(utc_ms, 0), min(self.last + 1, HLC_MAX))
        if hlc_utc_ms(stamp) > utc_ms + AHEAD_MS_MAX:  # our date has gone back a long way: the old one was wrong
            stamp = hlc_pack(utc_ms, 0)
        self.last = stamp
        return stamp

    def observe(self, stamp: int, utc_ms: int | None) -> None:
        """Somebody's event is dated ``stamp``."""
        if utc_ms is not None and self.last < stamp and hlc_utc_ms(stamp) <= utc_ms + AHEAD_MS_MAX:
            self.last = stamp
