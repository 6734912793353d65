"""What requests over the control socket share: refusals for the person, and things named by their first digits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

T = TypeVar("T")

ID_DIGITS_MIN: Final = 4


class Refused(Exception):
    """A request was not done; the message is for the person who made it."""


def named(wanted: object, known: Iterable[tuple[bytes, T]], one: str, many: str, none: str) -> T:
    """The one thing of ``known``, pairs of id and thing, whose id begins with the hex digits that were asked for.

    Raises:
        Refused: too few digits, or not exactly one begins so; ``one``, ``many`` and ``none`` say of what.
    """
    if not isinstance(wanted, str) or len(wanted) < ID_DIGITS_MIN:
        raise Refused(f"name a {one} by at least {ID_DIGITS_MIN} digits of its id")
    found = [thing for name, thing in known if name.hex().startswith(wanted.lower())]
    if not found:
        raise Refused(f"{none} {wanted[:64]!r}")
    if len(found) > 1:
        raise Refused(f"{len(found)} {many} begin with {wanted[:64]!r}: give more digits")
    return found[0]
