"""What one hub saw of a glitch: the payload of an event of kind 8 (docs/protocol.md, section 12.4), read and made.

Authors are named by the first 8 bytes of their ids, as in digests; of a large side only the 128 smallest are, which are
the same wherever the side is. Sizes are those of the whole sides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from protocol import limits
from protocol.errors import ConfigError, DecodeError, Reason
from protocol.ids import EVENT_BYTES, AuthorId, EventId
from protocol.wire import fields
from protocol.wire.codec import Value, decode, encode

LISTED_MAX: Final = 128
NAMED_MAX: Final = 4
HOWS: Final = 4
UTC_MS_MAX: Final = (1 << 48) - 1
LASTED_MS_MAX: Final = 1 << 40
COUNT_MAX: Final = 65_535
assert 2 * LISTED_MAX * limits.TAG_AUTHOR_BYTES + NAMED_MAX * 34 + 64 + limits.EVENT_BYTES_MAX < limits.GOSSIP_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Observation:
    """``began_ms`` is UTC, 0 without a date; ``doubt_ms`` later is as likely. ``mine`` and ``theirs`` are tags, in
    ascending order, of sides of ``mine_count`` and ``theirs_count``; ``how`` it healed: 1 we dialled, 2 they did, 3 we
    heard them, 4 our address changed. ``same`` are observations of others that the writer takes for the same glitch."""

    began_ms: int
    lasted_ms: int
    doubt_ms: int
    mine_count: int
    theirs_count: int
    mine: tuple[bytes, ...]
    theirs: tuple[bytes, ...]
    how: int
    same: tuple[EventId, ...]


def tags(authors: Iterable[AuthorId]) -> tuple[bytes, ...]:
    """How a side is listed."""
    return tuple(sorted({author[: limits.TAG_AUTHOR_BYTES] for author in authors})[:LISTED_MAX])


def encode_observation(seen: Observation) -> bytes:
    """The payload.

    Raises:
        ConfigError: a field is out of range.
    """
    times = (seen.began_ms, seen.lasted_ms, seen.doubt_ms)
    sides = (seen.mine_count, seen.theirs_count, b"".join(seen.mine), b"".join(seen.theirs))
    content = encode((*times, *sides, seen.how, b"".join(seen.same)))
    try:
        decode_observation(content)
    except DecodeError as fault:
        raise ConfigError(str(fault)) from fault
    return content


def decode_observation(content: bytes) -> Observation:
    """What the payload says.

    Raises:
        DecodeError: it is none.
    """
    items = fields.array(decode(content), "observation", 9, 9)
    mine = _packed(items[5], "mine", limits.TAG_AUTHOR_BYTES, 1, LISTED_MAX)
    theirs = _packed(items[6], "theirs", limits.TAG_AUTHOR_BYTES, 1, LISTED_MAX)
    mine_count = fields.integer(items[3], "mine_count", 1, COUNT_MAX)
    theirs_count = fields.integer(items[4], "theirs_count", 1, COUNT_MAX)
    if len(mine) != min(mine_count, LISTED_MAX) or len(theirs) != min(theirs_count, LISTED_MAX):
        raise DecodeError(Reason.BAD_CONTENT, "a side has another size than it says")
    if not set(mine).isdisjoint(theirs):
        raise DecodeError(Reason.BAD_CONTENT, "somebody is on both sides")
    return Observation(
        fields.integer(items[0], "began_ms", 0, UTC_MS_MAX),
        fields.integer(items[1], "lasted_ms", 0, LASTED_MS_MAX),
        fields.integer(items[2], "doubt_ms", 0, LASTED_MS_MAX),
        mine_count,
        theirs_count,
        mine,
        theirs,
        fields.integer(items[7], "how", 1, HOWS),
        tuple(EventId(name) for name in _packed(items[8], "same", EVENT_BYTES, 0, NAMED_MAX)),
    )


def _packed(value: Value, name: str, size: int, low: int, high: int) -> tuple[bytes, ...]:
    """``low`` to ``high`` names of ``size`` bytes each, one after the other in ascending order."""
    raw = fields.binary(value, name, low * size, high * size)
    if len(raw) % size:
        raise DecodeError(Reason.BAD_CONTENT, f"{name} is not made of {size} bytes each")
    found = tuple(raw[at : at + size] for at in range(0, len(raw), size))
    if any(left >= right for left, right in pairwise(found)):
        raise DecodeError(Reason.BAD_CONTENT, f"{name} is not in ascending order")
    return found
