"""Plays a recording as if it happened now: samples at their due instants, readings on the output grid.

Source: none; the parts are a clock (two linear maps), a player (samples that are due) and a replay (player and
estimator, one reading per grid instant). All of that is pure; ``play`` is the only coroutine and only sleeps.
Deviations: readings lie on multiples of the cadence in boot time however fast the recording runs, and a late
loop yields the missed ones too, computed from the samples due at *their* instant: jitter of the machine never
changes a value. Invariants: work and memory per call are bounded (``CATCH_UP_*``); signal time never goes back.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from operator import attrgetter
from typing import Final

import trio

from meshnode.sensing.estimator.arousal import Estimator
from meshnode.sensing.recordings import KILOSECOND, Recording, Signal
from meshnode.sensing.samples import Channel, Sample
from protocol.clock import MS, SECOND
from protocol.errors import ConfigError
from protocol.inputs import Reading

SPEED_MIN: Final = 0.1
SPEED_MAX: Final = 1_000.0
"""At a thousand a quarter of a second holds four minutes of signal, about 10 ms of work."""
CADENCE_US: Final = 250 * MS
PREROLL_S: Final = 300.0
"""What the estimator is shown at once before a replay that starts in the middle: one full baseline."""
CATCH_UP_US: Final = 600 * SECOND
"""Signal time delivered by one ``due`` at most; after a suspend the rest is skipped."""
CATCH_UP_READINGS: Final = 16
"""Missed grid instants made up for: the four seconds that a vector's block covers."""

_AT: Final = attrgetter("at")


class ReplayClock:
    """Two linear maps between boot time and signal time (both us); exact to the microsecond.

    Raises:
        ConfigError: ``speed`` is not within 0.1-1,000, or the offset is negative.
    """

    __slots__ = ("_milli", "_offset", "_start")

    def __init__(self, start_us: int, *, speed: float = 1.0, offset_s: float = 0.0) -> None:
        if not SPEED_MIN <= speed <= SPEED_MAX:
            raise ConfigError(f"replay speed {speed:g} is not within {SPEED_MIN:g}-{SPEED_MAX:g}")
        if not (math.isfinite(offset_s) and offset_s >= 0.0):
            raise ConfigError(f"replay offset {offset_s:g} s is negative or no number")
        self._start = start_us
        self._milli = round(speed * 1_000)
        self._offset = round(offset_s * SECOND)

    @property
    def offset_us(self) -> int:
        """Signal time at the start."""
        return self._offset

    def signal(self, boot_us: int) -> int:
        """Signal time at a boot time; before the start it stands still."""
        return self._offset + max(0, boot_us - self._start) * self._milli // 1_000

    def boot(self, signal_us: int) -> int:
        """The first boot time at which signal time has come to ``signal_us``."""
        return self._start - (-max(0, signal_us - self._offset) * 1_000 // self._milli)


class Player:
    """Hands out a recording's samples when they are due.

    ``sample.at`` is signal time, growing on and on: with ``loop`` the recording begins again where it ended, one
    duration later; it starts in its second lap, so that there is a past even before the first sample. Without it
    the samples simply end.

    Raises:
        ConfigError: bad speed or offset, or the offset lies behind the end of the recording.
    """

    __slots__ = ("_begin", "_clock", "_done", "_loop", "_marks", "_marks_at", "_recording", "_shift", "skipped_us")

    def __init__(
        self, recording: Recording, start_us: int, *, speed: float = 1.0, offset_s: float = 0.0, loop: bool = False
    ) -> None:
        self._clock = ReplayClock(start_us, speed=speed, offset_s=offset_s)
        if self._clock.offset_us >= recording.duration_us:
            seconds = recording.duration_us / SECOND
            raise ConfigError(f"replay offset {offset_s:g} s is behind the end of {recording.name} ({seconds:.0f} s)")
        self._recording = recording
        self._loop = loop
        self._shift = recording.duration_us if loop else 0
        self._done = self._begin = self._clock.offset_us + self._shift
        self._marks: list[int] = []
        self._marks_at = -1
        self.skipped_us = 0

    def signal_time(self, now_us: int) -> int:
        """Signal time at boot time ``now_us``."""
        return self._clock.signal(now_us) + self._shift

    def ended(self, now_us: int) -> bool:
        """Whether nothing more will come."""
        return not self._loop and self._clock.signal(now_us) >= self._recording.duration_us

    def history(self, seconds: float) -> list[Sample]:
        """The samples of up to ``seconds`` before the start, for an estimator that should not begin cold. With
        ``loop`` they may come from the end of the lap before; without it there are none before the recording."""
        return self._between(max(0, self._begin - round(seconds * SECOND)), self._begin)

    def due(self, now_us: int) -> list[Sample]:
        """Samples whose time has come since the last call, in order of time."""
        until = self.signal_time(now_us) + 1  # a sample is due at its instant, not after it
        since = self._done
        if until <= since:
            return []
        self._done = until
        if until - since > CATCH_UP_US:
            self.skipped_us += until - since - CATCH_UP_US
            since = until - CATCH_UP_US
        return self._between(since, until)

    def next_due(self) -> int | None:
        """Boot time (us) of the next sample that ``due`` has not handed out yet; None when there is none."""
        lap, since = divmod(self._done, self._recording.duration_us) if self._loop else (0, self._done)
        first = self._first_at(since)
        if first is None and self._loop:
            lap, first = lap + 1, self._first_at(0)
        return None if first is None else self._clock.boot(lap * self._recording.duration_us + first - self._shift)

    def _between(self, since: int, until: int) -> list[Sample]:
        """Samples with ``since <= at < until``, across as many laps as that takes."""
        duration = self._recording.duration_us
        out: list[Sample] = []
        lap = since // duration if self._loop else 0
        while lap * duration < until and (self._loop or lap == 0):
            base = lap * duration
            self._collect(max(0, since - base), min(duration, until - base), base, out)
            lap += 1
        return out

    def _collect(self, since: int, until: int, base: int, out: list[Sample]) -> None:
        """Append one lap's samples, in order; sorting is stable, so channels keep their order at one instant."""
        found: list[Sample] = []
        beats = self._recording.intervals
        firsts = self._marks if since == self._marks_at else self._marks_for(since)
        nexts = self._marks_for(until)
        for signal, first, end in zip(self._recording.signals, firsts, nexts, strict=False):  # the last is for beats
            _collect_signal(signal, first, end, base, found)
        found.extend(
            Sample(base + beats.ends_us[index], Channel.INTERVAL, beats.seconds[index])
            for index in range(firsts[-1], nexts[-1])
        )
        found.sort(key=_AT)
        out.extend(found)
        self._marks, self._marks_at = nexts, until

    def _marks_for(self, time_us: int) -> list[int]:
        """The first index at or after a time within the lap, for each signal and last for the beats."""
        marks = [signal.index_at(time_us) for signal in self._recording.signals]
        marks.append(bisect_left(self._recording.intervals.ends_us, time_us))
        return marks

    def _first_at(self, since: int) -> int | None:
        """Signal time within the lap of the first sample at or after ``since``."""
        beats = self._recording.intervals
        firsts = [s.at(i) for s in self._recording.signals if (i := s.index_at(since)) < len(s)]
        if (index := bisect_left(beats.ends_us, since)) < len(beats):
            firsts.append(beats.ends_us[index])
        return min(firsts, default=None)


class Replay:
    """A player and an estimator: readings on the output grid, from samples alone.

    ``preroll_s`` seconds before the offset are shown to the estimator at once, so that it knows the person's
    baseline from the first reading on. Raises what :class:`Player` raises, and ``ConfigError`` for a cadence
    below one millisecond.
    """

    __slots__ = ("_cadence", "_next", "estimator", "player", "skipped_readings")

    def __init__(
        self,
        player: Player,
        estimator: Estimator,
        start_us: int,
        *,
        cadence_us: int = CADENCE_US,
        preroll_s: float = PREROLL_S,
    ) -> None:
        if cadence_us < MS:
            raise ConfigError(f"replay cadence {cadence_us} us is below 1 ms")
        self.player = player
        self.estimator = estimator
        self._cadence = cadence_us
        self._next = -(-start_us // cadence_us) * cadence_us
        self.skipped_readings = 0
        for sample in player.history(preroll_s):
            estimator.push(sample)

    @property
    def next_at(self) -> int:
        """Boot time (us) of the next reading."""
        return self._next

    def readings(self, now_us: int) -> list[Reading]:
        """The readings of every grid instant up to ``now_us`` not yet given, at most the last sixteen."""
        missed = (now_us - self._next) // self._cadence + 1 - CATCH_UP_READINGS
        if missed > 0:
            self.skipped_readings += missed
            self._next += missed * self._cadence
        out: list[Reading] = []
        while self._next <= now_us:
            for sample in self.player.due(self._next):
                self.estimator.push(sample)
            out.append(self.estimator.read(self.player.signal_time(self._next), self._next))
            self._next += self._cadence
        return out


async def play(replay: Replay, now: Callable[[], int], sink: Callable[[Reading], None]) -> None:
    """Give each reading to ``sink`` when it is due, until cancelled; after the recording's end the readings say
    that nothing is known. ``now`` is boot time in us; ``sink`` must not block."""
    while True:
        for reading in replay.readings(now()):
            sink(reading)
        await trio.sleep(max(0, replay.next_at - now()) / SECOND)


def _collect_signal(signal: Signal, first: int, end: int, base: int, out: list[Sample]) -> None:
    values, channel, rate_mhz = signal.values, signal.channel, signal.rate_mhz
    start = base + signal.start_us
    if signal.width == 3:
        for index in range(first, end):
            at, k = start + index * KILOSECOND // rate_mhz, 3 * index
            out.append(Sample(at, channel, values[k], values[k + 1], values[k + 2]))
    else:
        indices = range(first, end)
        out.extend(Sample(start + index * KILOSECOND // rate_mhz, channel, values[index]) for index in indices)
