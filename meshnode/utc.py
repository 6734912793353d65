"""Whether the kernel vouches for the wall clock: the error bound that NTP keeps (adjtimex(2)).

A hub without a battery clock boots in 1970 or at its last shutdown; a date nobody vouches for must not judge
anybody's lease (design decision 17).
"""

from __future__ import annotations

import ctypes
from typing import Final

from meshnode.clock import utc_ms
from protocol.inputs import UtcObserved

_ERROR: Final = 5
_UNSYNC: Final = 0x0040


class _Timex(ctypes.Structure):
    """The head of struct timex of Linux; the rest is padding that the kernel may write."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def utc_error_ms() -> int | None:
    """The kernel's bound of the wall clock's error in ms; None if it is not synchronised or cannot tell."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
    timex = _Timex()
    state = adjtimex(ctypes.byref(timex))
    if state < 0 or state == _ERROR or timex.status & _UNSYNC:
        return None
    error_us: int = timex.maxerror
    return error_us // 1_000


def date() -> UtcObserved:
    """The date as this machine has it, and whether anybody vouches for it."""
    return UtcObserved(utc_ms(), utc_error_ms())
