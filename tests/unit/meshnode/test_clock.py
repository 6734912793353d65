"""The daemon's clocks."""

from __future__ import annotations

import time  # noqa: TID251 - the test compares with the clock itself

from meshnode.clock import boot_us, utc_ms


def test_boot_time_is_whole_microseconds_between_two_readings_of_the_kernels_clock() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    now = boot_us()
    after = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert isinstance(now, int)
    assert before * 1e6 - 1 <= now <= after * 1e6 + 1


def test_boot_time_never_goes_back() -> None:
    readings = [boot_us() for _ in range(1_000)]
    assert readings == sorted(readings)


def test_wall_time_is_whole_milliseconds_since_1970() -> None:
    before = time.time()
    now = utc_ms()
    after = time.time()
    assert isinstance(now, int)
    assert int(before * 1e3) <= now <= int(after * 1e3) + 1
