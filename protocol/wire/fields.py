"""Exact checks of decoded fields; each raises :class:`~protocol.errors.DecodeError` naming the field.

``type(x) is int`` and not ``isinstance``: a boolean is not a number on the wire.
"""

from __future__ import annotations

from protocol.errors import DecodeError, Reason
from protocol.wire.codec import Value


def integer(value: Value, name: str, low: int, high: int) -> int:
    """An integer in [low, high]."""
    if type(value) is not int:
        raise DecodeError(Reason.WRONG_TYPE, f"{name} is not an integer")
    if not low <= value <= high:
        raise DecodeError(Reason.OUT_OF_RANGE, f"{name} is not in [{low}, {high}]")
    return value


def binary(value: Value, name: str, low: int, high: int) -> bytes:
    """A byte string of low..high bytes."""
    if type(value) is not bytes:
        raise DecodeError(Reason.WRONG_TYPE, f"{name} is not a byte string")
    if not low <= len(value) <= high:
        raise DecodeError(Reason.OUT_OF_RANGE, f"{name} has not {low}..{high} bytes")
    return value


def text(value: Value, name: str, high: int) -> str:
    """A string of 0..high UTF-8 bytes without control characters."""
    if type(value) is not str:
        raise DecodeError(Reason.WRONG_TYPE, f"{name} is not a string")
    if len(value.encode()) > high or not value.isprintable():
        raise DecodeError(Reason.OUT_OF_RANGE, f"{name} is too long or has control characters")
    return value


def boolean(value: Value, name: str) -> bool:
    """True or false."""
    if type(value) is not bool:
        raise DecodeError(Reason.WRONG_TYPE, f"{name} is not a boolean")
    return value


def array(value: Value, name: str, low: int, high: int) -> tuple[Value, ...]:
    """An array of low..high elements."""
    if type(value) is not tuple:
        raise DecodeError(Reason.WRONG_TYPE, f"{name} is not an array")
    if not low <= len(value) <= high:
        raise DecodeError(
            Reason.WRONG_ARITY if low == high else Reason.OUT_OF_RANGE,
            f"{name} has not {low}..{high} elements",
        )
    return value


def binaries(value: Value, name: str, size: int, high: int) -> tuple[bytes, ...]:
    """An array of 1..high distinct byte strings of ``size`` bytes each."""
    items = tuple(binary(item, name, size, size) for item in array(value, name, 1, high))
    if len(set(items)) != len(items):
        raise DecodeError(Reason.OUT_OF_RANGE, f"{name} has repeated elements")
    return items
