"""How long soft evidence about somebody is void because of a glitch: windows, and a budget that can be seen.

Source: design decision 21; nobody publishes rules for this. Whoever can start glitches at will must gain nothing: an
amnesty voids praise as well as blame, never a proof, needs evidence that the subject could not make alone
(detector.py), and there is only so much of it for one subject in a day.
Invariants: the windows of a subject that began within a day add up to at most ``amnesty_us_max`` and are at most
``amnesties_max``; a window is never made shorter by another; every window that was opened without an end is given one
when its subject is back or the glitch is over; at most ``AUTHORS_MAX`` subjects are remembered.
"""

from __future__ import annotations

from collections.abc import Iterable

from protocol.clock import Duration, Instant
from protocol.glitch.values import DAY_US, GlitchConfig, Pardon
from protocol.ids import AuthorId
from protocol.limits import AUTHORS_MAX


class Amnesty:
    """``spent`` is what has been given; windows are (since, until) in boot time."""

    def __init__(self, config: GlitchConfig) -> None:
        self._config = config
        self._windows: dict[AuthorId, dict[Instant, Instant]] = {}
        self._open: dict[AuthorId, Instant] = {}
        self.refused = 0

    def begin(self, severed: Iterable[AuthorId], began: Instant, now: Instant) -> list[Pardon]:
        """These are severed now, and nobody knows for how long: each gets a window as long as its budget goes. Who has
        one keeps it, whatever is now known of the beginning; who is severed no more has had its own."""
        listed = dict.fromkeys(severed)
        given = self._shut([subject for subject in self._open if subject not in listed], now, now)
        since = began - self._config.slack_us
        new = [subject for subject in listed if subject not in self._open]
        opened = self._give(new, since, since + self._config.amnesty_us_max, now)
        self._open.update((pardon.subject, since) for pardon in opened)
        return given + opened

    def end(self, ended: Instant, now: Instant) -> list[Pardon]:
        """The glitch is over: every open window is corrected to what it was."""
        return self._shut(list(self._open), ended, now)

    def settle(self, subjects: Iterable[AuthorId], began: Instant, ended: Instant, now: Instant) -> list[Pardon]:
        """Windows of something that is over already."""
        slack = self._config.slack_us
        return self._give(subjects, began - slack, ended + slack, now)

    def _shut(self, subjects: Iterable[AuthorId], ended: Instant, now: Instant) -> list[Pardon]:
        until = ended + self._config.slack_us
        return [pardon for one in subjects for pardon in self._give([one], self._open.pop(one), until, now)]

    def _give(self, subjects: Iterable[AuthorId], since: Instant, until: Instant, now: Instant) -> list[Pardon]:
        given = []
        for subject in subjects:
            windows = self._windows.get(subject, {})
            left = self._config.amnesty_us_max - self._spent(windows, since, now)
            used = sum(1 for began in windows if now - began < DAY_US and began != since)
            if left <= 0 or used >= self._config.amnesties_max:
                self.refused += 1
                continue
            self._make_room(subject)
            windows = {began: end for began, end in windows.items() if now - began < DAY_US}
            windows[since] = min(until, since + left)
            self._windows[subject] = windows
            given.append(Pardon(subject, since, windows[since]))
        return given

    def _spent(self, windows: dict[Instant, Instant], but: Instant, now: Instant) -> Duration:
        return sum(end - began for began, end in windows.items() if began != but and now - began < DAY_US)

    def _make_room(self, subject: AuthorId) -> None:
        if subject not in self._windows and len(self._windows) >= AUTHORS_MAX:
            oldest = min(self._windows, key=lambda one: (max(self._windows[one]), one))
            del self._windows[oldest]

    def spent(self, now: Instant) -> tuple[tuple[AuthorId, int, Duration], ...]:
        """Who has had how many windows in the last day, and how much they come to."""
        found = []
        for subject, windows in sorted(self._windows.items()):
            recent = {began: end for began, end in windows.items() if now - began < DAY_US}
            if recent:
                found.append((subject, len(recent), sum(end - began for began, end in recent.items())))
        return tuple(found)
