"""The messages by which two people who stand together meet (docs/protocol.md, section 15): types 44 to 46."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from protocol.wire import fields
from protocol.wire.codec import Value

COMMITMENT_BYTES: Final = 32
NONCE_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Meet:
    """My person wants to meet yours; ``commitment`` binds the sender to a number that it does not show yet."""

    commitment: bytes


@dataclass(frozen=True, slots=True)
class MeetReveal:
    """The number; said only to whoever has bound itself as well."""

    nonce: bytes


@dataclass(frozen=True, slots=True)
class MeetConfirm:
    """My person has compared the codes: they are the ``same``, or not."""

    same: bool


MeetingMessage: TypeAlias = Meet | MeetReveal | MeetConfirm

MEET, MEET_REVEAL, MEET_CONFIRM = range(44, 47)


def to_value(message: MeetingMessage) -> Value:
    """The array that stands for ``message`` on the wire."""
    match message:
        case Meet(commitment):
            return (MEET, commitment)
        case MeetReveal(nonce):
            return (MEET_REVEAL, nonce)
        case MeetConfirm(same):
            return (MEET_CONFIRM, same)


PARSERS: Final[dict[int, tuple[int, Callable[[tuple[Value, ...]], MeetingMessage]]]] = {
    MEET: (2, lambda item: Meet(fields.binary(item[1], "commitment", COMMITMENT_BYTES, COMMITMENT_BYTES))),
    MEET_REVEAL: (2, lambda item: MeetReveal(fields.binary(item[1], "nonce", NONCE_BYTES, NONCE_BYTES))),
    MEET_CONFIRM: (2, lambda item: MeetConfirm(fields.boolean(item[1], "same"))),
}
"""Type to the number of elements and the reader of the array."""
