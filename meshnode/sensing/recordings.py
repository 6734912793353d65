"""Readers for recorded signals: Empatica E4 folders and files of beat intervals.

Source: the E4 export (each file opens with its start in unix seconds and its rate in Hz; IBI.csv opens with the
start and then has rows "seconds since the start, interval in seconds"); pyHRV interval files (a header line,
then one interval in ms per line); Welltory ``RR.txt`` (one line of intervals in ms). Every file may be gzipped.
Deviations: the first sensor to start is the zero of signal time; a NaN or infinity *inside* a signal is passed
on, because a sensor may say so and the estimator counts it.
Invariants: everything wrong with a file is one ``ConfigError`` of one line that names the file and the line;
memory is bounded by ``FILE_BYTES_MAX``; nothing is resampled.
"""

from __future__ import annotations

import gzip
import math
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshnode.sensing.samples import Channel
from protocol.errors import ConfigError

US: Final = 1_000_000
KILOSECOND: Final = 1_000 * US
"""The unit in which rates are whole numbers, in us."""
FILE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Unpacked size of one file: a day of the fastest E4 channel. A gzip bomb must not fill a hub's memory."""
DURATION_US_MIN: Final = US
"""A loop over less would be all seams."""
BLOCK_BYTES: Final = 64 * 1024
LINE_BYTES_MAX: Final = 1024 * 1024
"""Longest line; Welltory keeps a whole recording on one."""
RATE_HZ_MAX: Final = 1_000.0
START_SPREAD_S_MAX: Final = 3_600.0
"""Files of one recording start within seconds of each other; an hour apart they are different recordings."""
GRAVITY_COUNTS: Final = 64.0
"""The E4 stores acceleration in 1/64 g."""
INTERVAL_MS_LEAST: Final = 10.0
"""A file whose intervals are all below this is in seconds, not in milliseconds."""

_E4_SIGNALS: Final[tuple[tuple[str, Channel, bool], ...]] = (
    ("EDA", Channel.EDA, True),
    ("TEMP", Channel.TEMPERATURE, True),
    ("HR", Channel.HEART_RATE, True),
    ("ACC", Channel.ACCELERATION, False),
    ("BVP", Channel.PULSE, False),
)
"""Name, channel, and whether a folder without it is no recording."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A regular signal: ``values`` holds ``width`` numbers per sample, the first at ``start_us`` of signal time."""

    channel: Channel
    start_us: int
    rate_mhz: int
    """Samples per 1,000 seconds, so that instants stay integers."""
    width: int
    values: array[float]

    def __len__(self) -> int:
        return len(self.values) // self.width

    def at(self, index: int) -> int:
        """Signal time (us) of a sample."""
        return self.start_us + index * KILOSECOND // self.rate_mhz

    def index_at(self, time_us: int) -> int:
        """The first sample at or after a signal time, at most ``len``."""
        due = -((self.start_us - time_us) * self.rate_mhz // KILOSECOND)
        return max(0, min(len(self), due))


@dataclass(frozen=True, slots=True)
class Intervals:
    """Beat intervals: ``ends_us`` is the signal time of the beat that ends each, ``seconds`` its length."""

    ends_us: array[int]
    seconds: array[float]

    def __len__(self) -> int:
        return len(self.ends_us)


@dataclass(frozen=True, slots=True)
class Recording:
    """One person's signals on one time line that starts at 0; ``duration_us`` is where it ends."""

    name: str
    signals: tuple[Signal, ...]
    intervals: Intervals
    duration_us: int


def load_recording(path: Path, *, pulse: bool = False) -> Recording:
    """Read an E4 folder or a file of beat intervals; ``pulse`` also reads the raw pulse wave, if there is one.

    Raises:
        ConfigError: the recording is missing, empty or garbled; one line that names file and line.
    """
    if path.is_dir():
        recording = _load_e4(path, pulse=pulse)
    elif path.is_file():
        recording = _load_intervals(path)
    else:
        raise ConfigError(f"recording {path}: no such file or folder")
    if recording.duration_us < DURATION_US_MIN:
        raise ConfigError(f"recording {path}: lasts less than a second")
    return recording


def _load_e4(folder: Path, *, pulse: bool) -> Recording:
    found: list[tuple[Channel, float, float, int, array[float]]] = []
    for name, channel, required in _E4_SIGNALS:
        file = _find(folder, name)
        if file is None and required:
            raise ConfigError(f"recording {folder}: {name}.csv (or {name}.csv.gz) is missing")
        if file is not None and (channel is not Channel.PULSE or pulse):
            found.append((channel, *_read_signal(file, 3 if channel is Channel.ACCELERATION else 1)))
    beats_file = _find(folder, "IBI")
    if beats_file is None:
        raise ConfigError(f"recording {folder}: IBI.csv (or IBI.csv.gz) is missing")
    beats_start, beat_at, beat_s = _read_e4_intervals(beats_file)
    starts = [start for _, start, _, _, _ in found] + ([beats_start] if beats_start is not None else [])
    zero = min(starts)
    if max(starts) - zero > START_SPREAD_S_MAX:
        raise ConfigError(f"recording {folder}: its files start more than {START_SPREAD_S_MAX:.0f} s apart")
    signals = tuple(
        Signal(channel, round((start - zero) * US), round(rate * 1_000), width, _scaled(channel, values))
        for channel, start, rate, width, values in found
    )
    shift = round((beats_start - zero) * US) if beats_start is not None else 0
    intervals = Intervals(array("q", (shift + round(at * US) for at in beat_at)), beat_s)
    return Recording(folder.name, signals, intervals, _duration(signals, intervals))


def _duration(signals: tuple[Signal, ...], intervals: Intervals) -> int:
    ends = [signal.at(len(signal)) for signal in signals]
    if len(intervals):
        ends.append(intervals.ends_us[-1] + 1)
    return max(ends)


def _scaled(channel: Channel, values: array[float]) -> array[float]:
    if channel is not Channel.ACCELERATION:
        return values
    return array("d", [value / GRAVITY_COUNTS for value in values])


def _find(folder: Path, name: str) -> Path | None:
    for file in (folder / f"{name}.csv", folder / f"{name}.csv.gz"):
        if file.is_file():
            return file
    return None


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines, as :func:`_blocks` has them."""
    for number, lines in _blocks(file):
        yield from enumerate(lines, number)


def _blocks(file: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Lines without their ends, thousands at once, with the number of the first; blank lines are allowed at the end
    only. What is asked of many lines in one call costs a fraction of asking each."""
    number, total, blank, block, rest = 1, 0, 0, b" ", b""
    try:
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as stream:
            while block:
                block = stream.read(BLOCK_BYTES)
                *whole, rest = (rest + block).split(b"\n")
                total += len(block)
                if total > FILE_BYTES_MAX or len(rest) >= LINE_BYTES_MAX:
                    raise ConfigError(f"recording {file}: line {number + len(whole)}: too large for a recording")
                lines = [line.strip() for line in (whole if block else [rest])]
                filled = lines.index(b"") if b"" in lines else len(lines)
                if filled < len(lines):
                    blank = blank or number + filled
                if blank and any(lines[max(0, blank - number) :]):
                    raise ConfigError(f"recording {file}: line {blank}: empty line inside the data")
                yield number, lines[:filled]
                number += len(lines)
    except (OSError, EOFError, zlib.error) as fault:
        raise ConfigError(f"recording {file}: line {number}: cannot be read ({fault})") from None


def _numbers(file: Path, number: int, line: bytes, width: int) -> list[float]:
    try:
        fields = [float(field) for field in line.split(b",")]
    except ValueError:
        fields = []
    if len(fields) != width:
        raise _unexpected(file, number, line, width)
    return fields


def _unexpected(file: Path, number: int, line: bytes, width: int) -> ConfigError:
    wanted = "one number" if width == 1 else f"{width} numbers"
    return ConfigError(f"recording {file}: line {number}: expected {wanted}, found {_shown(line)}")


def _shown(line: bytes) -> str:
    return repr(line[:40].decode("ascii", "backslashreplace"))


def _read_signal(file: Path, width: int) -> tuple[float, float, int, array[float]]:
    """Start (unix s), rate (Hz), width and values of one E4 file."""
    header: list[float] = []
    values = array("d")
    for number, lines in _blocks(file):
        told = lines[: 2 - len(header)]
        header += [_told(file, number + index, line, width) for index, line in enumerate(told)]
        values += _samples(file, number + len(told), lines[len(told) :], width)
    if len(header) < 2:
        raise ConfigError(f"recording {file}: line {len(header) + 1}: ends before start and rate are told")
    start, rate = header
    if not 0.001 <= rate <= RATE_HZ_MAX:
        raise ConfigError(f"recording {file}: line 2: a rate of {rate:g} Hz is not within 0.001-{RATE_HZ_MAX:g} Hz")
    if not values:
        raise ConfigError(f"recording {file}: line 3: holds no samples")
    return start, rate, width, values


def _told(file: Path, number: int, line: bytes, width: int) -> float:
    """Start or rate."""
    first, *others = _numbers(file, number, line, width)
    if not math.isfinite(first) or any(other != first for other in others):
        raise ConfigError(f"recording {file}: line {number}: start and rate must be numbers, the same for all axes")
    return first


def _samples(file: Path, number: int, lines: list[bytes], width: int) -> array[float]:
    """What lines hold that begin at ``number``: ``width`` numbers each."""
    try:
        values = array("d", map(float, b",".join(lines).split(b","))) if lines else array("d")
    except ValueError:
        values = array("d")
    if len(values) != width * len(lines) or any(line.count(b",") != width - 1 for line in lines):
        for index, line in enumerate(lines):
            _numbers(file, number + index, line, width)  # refuses the one that is wrong
    return values


def _read_e4_intervals(file: Path) -> tuple[float | None, array[float], array[float]]:
    """Start (unix s), beat times (s) and intervals (s). A wristband that found no beat leaves the file empty."""
    start: float | None = None
    times, seconds = array("d"), array("d")
    for number, line in _lines(file):
        if start is None:
            head = line.split(b",")
            start = _numbers(file, number, head[0], 1)[0]
            if not math.isfinite(start) or len(head) != 2 or head[1].strip() != b"IBI":
                raise ConfigError(f'recording {file}: line {number}: expected "start, IBI", found {_shown(line)}')
            continue
        at, interval = _numbers(file, number, line, 2)
        if not 0.0 <= at < 1e9 or (times and at < times[-1]):
            raise ConfigError(f"recording {file}: line {number}: beat times must grow, found {_shown(line)}")
        times.append(at)
        seconds.append(interval)
    return start, times, seconds


def _load_intervals(file: Path) -> Recording:
    """A file of intervals in ms: one per line, or many on a line; the first line may be a header."""
    seconds, ends = array("d"), array("q")
    now = 0
    for number, line in _lines(file):
        for field in line.replace(b",", b" ").split():
            try:
                interval_ms = float(field)
            except ValueError:
                if number == 1 and not seconds:
                    break  # a header such as "nni_ms"
                raise ConfigError(f"recording {file}: line {number}: expected ms, found {_shown(field)}") from None
            if not 0.0 < interval_ms < 600_000.0:
                raise ConfigError(f"recording {file}: line {number}: {_shown(field)} is no interval in ms")
            now += round(interval_ms * 1_000)
            ends.append(now)
            seconds.append(interval_ms / 1_000)
    if not seconds:
        raise ConfigError(f"recording {file}: line 1: holds no beat intervals")
    if max(seconds) * 1_000 < INTERVAL_MS_LEAST:
        raise ConfigError(f"recording {file}: line 1: intervals look like seconds, expected ms")
    name = file.name.removesuffix(".gz")
    return Recording(name.rsplit(".", 1)[0], (), Intervals(ends, seconds), now + 1)
