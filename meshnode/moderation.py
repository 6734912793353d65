"""Wake-up moderation: a busy hub looks at the outside once in a while and not at every frame.

Source: interrupt mitigation of network drivers (Salim, Olsson and Kuznetsov, "Beyond Softnet", 2001); the account of
turns is the generic cell rate algorithm (ITU-T I.371). To wake up costs a hub more than the frame that woke it, because
caches, branch predictors and the interpreter are cold (decision record 0005). The loop has an allowance of ``BURST``
turns that grows by one every ``SPACING_US``; only when it is used up does a turn wait, and then everything that has
come is served at once.
Deviation: it is the loop that waits and not a task, because a task that sleeps costs a turn of its own. Nothing else
could run at that instant: the loop asks for events with a time-out only when no task is ready.
Invariant: nothing is noticed more than ``SPACING_US`` later for this reason.
"""

from __future__ import annotations

from typing import Final

import trio

from meshnode.clock import boot_us, pause_us
from protocol.clock import MS, Duration, Instant

SPACING_US: Final[Duration] = 14 * MS
"""At 150 vectors a second two or three come in one turn, and the median waits half of this."""
BURST: Final = 16
"""Turns that never wait: a handshake takes four, an answer on the control socket three."""


class Moderation(trio.abc.Instrument):
    """The moderation of one Trio loop; add it with ``trio.lowlevel.add_instrument``."""

    def __init__(self) -> None:
        self._due: Instant = 0

    def before_io_wait(self, timeout: float) -> None:
        """No task is ready: wait until another turn is allowed."""
        if timeout > 0:
            wait_us = self.wait_us(boot_us())
            if wait_us > 0:
                pause_us(wait_us)

    def after_io_wait(self, timeout: float) -> None:
        """The loop has seen what there is."""
        if timeout > 0:
            self.turned(boot_us())

    def wait_us(self, now: Instant) -> Duration:
        """How long the next turn has to wait at ``now``; never more than ``SPACING_US``."""
        return min(SPACING_US, max(0, self._due - now))

    def turned(self, now: Instant) -> None:
        """A turn was made at ``now``."""
        self._due = max(self._due, now - (BURST - 1) * SPACING_US) + SPACING_US
