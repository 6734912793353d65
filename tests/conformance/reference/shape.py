"""Checks of decoded values, put together like the tables of docs/protocol.md.

A check takes a value and returns it with its type known, or raises :class:`~.codec.Refused`. A boolean is never an
integer (R7).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from tests.conformance.reference.codec import Refused, Value

T = TypeVar("T")
Check: TypeAlias = Callable[[Value], T]


def integer(low: int, high: int) -> Check[int]:
    """An integer in low..high."""

    def check(value: Value) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise Refused("not an integer")
        if not low <= value <= high:
            raise Refused(f"an integer outside {low}..{high}")
        return value

    return check


def boolean(value: Value) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise Refused("not a boolean")
    return value


def binary(low: int, high: int | None = None) -> Check[bytes]:
    """A byte string of low..high bytes, or of exactly ``low``."""
    top = low if high is None else high

    def check(value: Value) -> bytes:
        if not isinstance(value, bytes):
            raise Refused("not a byte string")
        if not low <= len(value) <= top:
            raise Refused(f"a byte string outside {low}..{top} bytes")
        return value

    return check


def text(high: int) -> Check[str]:
    """A string of at most ``high`` bytes."""

    def check(value: Value) -> str:
        if not isinstance(value, str):
            raise Refused("not a string")
        if len(value.encode()) > high:
            raise Refused(f"a string of more than {high} bytes")
        return value

    return check


def elements(value: Value, low: int, high: int | None = None) -> list[Value]:
    """An array of low..high elements, or of exactly ``low``."""
    top = low if high is None else high
    if not isinstance(value, list):
        raise Refused("not an array")
    if not low <= len(value) <= top:
        raise Refused(f"an array outside {low}..{top} elements")
    return value


def listed(item: Check[T], low: int, high: int, *, distinct: bool = False) -> Check[tuple[T, ...]]:
    """An array of low..high elements that all pass ``item``."""

    def check(value: Value) -> tuple[T, ...]:
        items = tuple(item(element) for element in elements(value, low, high))
        if distinct and len(set(items)) != len(items):
            raise Refused("an element twice")
        return items

    return check
