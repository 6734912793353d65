"""Observations of glitches and the records they make (docs/protocol.md, section 12.7), read independently."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

from tests.conformance.reference.codec import Refused, Value, decode
from tests.conformance.reference.crypto import blake
from tests.conformance.reference.shape import binary, elements, integer

TAG: Final = 8
LISTED: Final = 128
SLACK_MS: Final = 5_000


@dataclass(frozen=True, slots=True)
class Observation:
    """What one hub saw; tags and ids as sets."""

    began: int
    lasted: int
    doubt: int
    counts: tuple[int, int]
    mine: frozenset[bytes]
    theirs: frozenset[bytes]
    how: int
    same: frozenset[bytes]


def _names(value: Value, size: int, low: int, high: int) -> frozenset[bytes]:
    raw = binary(low * size, high * size)(value)
    names = [raw[at : at + size] for at in range(0, len(raw), size)]
    if sorted(set(names)) != names or len(raw) % size:
        raise Refused("names out of order, twice, or cut off")
    return frozenset(names)


def read_observation(content: bytes) -> Observation:
    """The payload of an event of kind 8.

    Raises:
        Refused: it breaks R110.
    """
    items = elements(decode(content), 9)
    began = integer(0, 2**48 - 1)(items[0])
    lasted, doubt = (integer(0, 2**40)(items[at]) for at in (1, 2))
    counts = (integer(1, 65_535)(items[3]), integer(1, 65_535)(items[4]))
    mine, theirs = (_names(items[at], TAG, 1, LISTED) for at in (5, 6))
    if (len(mine), len(theirs)) != (min(counts[0], LISTED), min(counts[1], LISTED)):
        raise Refused("a side of another size")
    if mine & theirs:
        raise Refused("somebody on both sides")
    return Observation(began, lasted, doubt, counts, mine, theirs, integer(1, 4)(items[7]), _names(items[8], 32, 0, 4))


def told(observation: Observation) -> dict[str, Any]:
    """As JSON."""
    return {
        "began_ms": observation.began,
        "lasted_ms": observation.lasted,
        "doubt_ms": observation.doubt,
        "sizes": list(observation.counts),
        "mine": [tag.hex() for tag in sorted(observation.mine)],
        "theirs": [tag.hex() for tag in sorted(observation.theirs)],
        "how": observation.how,
        "same": [name.hex() for name in sorted(observation.same)],
    }


def _agree(one: frozenset[bytes], other: frozenset[bytes]) -> bool:
    return 2 * len(one & other) > len(one | other)


def is_one(names: tuple[bytes, bytes], seen: tuple[Observation, Observation]) -> bool:
    """Whether two observations are of one glitch (R111)."""
    a, b = seen
    straight = _agree(a.mine, b.mine) and _agree(a.theirs, b.theirs)
    crossed = _agree(a.mine, b.theirs) and _agree(a.theirs, b.mine)
    if not (straight or crossed):
        return False
    if a.began and b.began:
        first, last = sorted((a, b), key=lambda one: one.began)
        return last.began <= first.began + first.lasted + SLACK_MS
    return names[0] in b.same or names[1] in a.same


def records(observations: dict[bytes, Observation]) -> list[dict[str, Any]]:
    """The records of a set of observations by event id, in the order of their ids."""
    group = {name: {name} for name in observations}
    for one, other in combinations(observations, 2):
        if group[one] is not group[other] and is_one((one, other), (observations[one], observations[other])):
            group[one] |= group[other]
            for name in group[other]:
                group[name] = group[one]
    found = {tuple(sorted(names)) for names in group.values()}
    made = sorted((blake(b"".join(names), size=16, person=b"trio-glitch"), names) for names in found)
    return [{"id": name.hex(), "events": [event.hex() for event in names]} for name, names in made]
