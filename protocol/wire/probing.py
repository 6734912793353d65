"""The messages by which neighbors look after each other (docs/protocol.md, section 9): types 24 to 28.

Source: SWIM (Das, Gupta, Motivala, DSN 2002) for the indirect probe, Lifeguard (DSN-W 2018) for the nack and for
telling the suspect. They have a room of their own because one file would be too long; ``messages`` holds the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from protocol import limits
from protocol.ids import AUTHOR_BYTES, AuthorId
from protocol.wire import fields
from protocol.wire.codec import Value


@dataclass(frozen=True, slots=True)
class PingReq:
    """Is ``target`` there? With ``hops`` 1 a hub that has no link with it may ask a neighbor that has."""

    token: int
    target: AuthorId
    hops: int


@dataclass(frozen=True, slots=True)
class ProbeAck:
    """Something came from the target after the PING_REQ with this token."""

    token: int


@dataclass(frozen=True, slots=True)
class Nack:
    """Nothing came in time, but I am here; ``tested`` says that the target had been asked over a link."""

    token: int
    tested: bool


@dataclass(frozen=True, slots=True)
class Suspect:
    """The sender hears nothing of ``author``, whose highest refutation number it knows is ``number``."""

    author: AuthorId
    number: int


@dataclass(frozen=True, slots=True)
class Refute:
    """``author`` is here and says so for the ``number``-th time."""

    author: AuthorId
    number: int


ProbeMessage: TypeAlias = PingReq | ProbeAck | Nack | Suspect | Refute

PING_REQ, PROBE_ACK, NACK, SUSPECT, REFUTE = range(24, 29)
U32_MAX: Final = 0xFFFFFFFF


def to_value(message: ProbeMessage) -> Value:
    """The array that stands for ``message`` on the wire."""
    match message:
        case PingReq(token, target, hops):
            return (PING_REQ, token, target, hops)
        case ProbeAck(token):
            return (PROBE_ACK, token)
        case Nack(token, tested):
            return (NACK, token, tested)
        case Suspect(author, number):
            return (SUSPECT, author, number)
        case Refute(author, number):
            return (REFUTE, author, number)


def _token(value: Value) -> int:
    return fields.integer(value, "token", 0, U32_MAX)


def _author(value: Value) -> AuthorId:
    return AuthorId(fields.binary(value, "author", AUTHOR_BYTES, AUTHOR_BYTES))


def _ping_req(item: tuple[Value, ...]) -> PingReq:
    return PingReq(_token(item[1]), _author(item[2]), fields.integer(item[3], "hops", 0, limits.PROBE_HOPS_MAX))


def _nack(item: tuple[Value, ...]) -> Nack:
    return Nack(_token(item[1]), fields.boolean(item[2], "tested"))


def _number(value: Value) -> int:
    return fields.integer(value, "number", 0, U32_MAX)


PARSERS: Final[dict[int, tuple[int, Callable[[tuple[Value, ...]], ProbeMessage]]]] = {
    PING_REQ: (4, _ping_req),
    PROBE_ACK: (2, lambda item: ProbeAck(_token(item[1]))),
    NACK: (3, _nack),
    SUSPECT: (3, lambda item: Suspect(_author(item[1]), _number(item[2]))),
    REFUTE: (3, lambda item: Refute(_author(item[1]), _number(item[2]))),
}
"""Type to the number of elements and the reader of the array."""
