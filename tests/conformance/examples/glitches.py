"""Observations of glitches and the records that sets of them make, section 12.7: R110 and R111."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.conformance.examples.shared import Case, Example, bad, good, seed, written
from tests.conformance.reference.codec import Refused, Value, decode, encode
from tests.conformance.reference.glitches import read_observation, records, told
from tests.conformance.reference.shape import elements

NAMES = sorted(seed(f"glitch {number}") for number in range(6))
TAGS = sorted(seed(f"member {number}")[:8] for number in range(12))
BEGAN = 1_780_000_000_000


def _content(
    change: dict[int, Value] | None = None, *, cross: bool = False, began: int = BEGAN, **same: bytes
) -> bytes:
    left, right = b"".join(TAGS[:7]), b"".join(TAGS[7:])
    sides: list[Value] = [5, 7, right, left] if cross else [7, 5, left, right]
    items: list[Value] = [began, 12_000, 140, *sides, 1, b"".join(sorted(same.values()))]
    for index, value in (change or {}).items():
        items[index] = value
    return encode(items)


def observations() -> list[Example]:
    """Contents of events of kind 8."""
    return written([*_good(), *_bad()], lambda data: told(read_observation(data)))


def _good() -> Iterator[Case]:
    many = b"".join(sorted(seed(f"many {number}")[:8] for number in range(128)))
    yield good("seven and five for twelve seconds", "R110", _content())
    yield good("from the other side", "R110", _content(cross=True))
    yield good("without a date", "R110", _content(began=0))
    yield good("four others named", "R110", _content({8: b"".join(NAMES[:4])}))
    yield good("a side of 128", "R110", _content({3: 128, 5: many}))
    yield good("a side of 1,000 of which 128 are listed", "R110", _content({3: 1_000, 5: many}))
    yield good("the largest numbers", "R110", _content({0: 2**48 - 1, 1: 2**40, 2: 2**40, 7: 4}))


def _bad() -> Iterator[Case]:
    changes: list[tuple[str, int, Value]] = [
        ("began -1", 0, -1),
        ("began 2^48", 0, 2**48),
        ("began nil", 0, None),
        ("lasted 2^40 + 1", 1, 2**40 + 1),
        ("doubt true", 2, True),
        ("nobody here", 3, 0),
        ("65,536 beyond", 4, 65_536),
        ("one more than listed", 3, 8),
        ("no tags", 5, b""),
        ("a tag cut off", 5, b"".join(TAGS[:7])[:-1]),
        ("tags out of order", 6, b"".join(reversed(TAGS[7:]))),
        ("a tag twice", 6, b"".join(TAGS[7:11]) + TAGS[10]),
        ("somebody on both sides", 6, b"".join(TAGS[6:11])),
        ("healed in a fifth way", 7, 5),
        ("healed in no way", 7, 0),
        ("five others named", 8, b"".join(NAMES[:5])),
        ("another named with 31 bytes", 8, NAMES[0][:31]),
        ("others named nil", 8, None),
    ]
    for name, index, value in changes:
        yield bad(name, "R110", _content({index: value}))
    yield bad("eight elements", "R110", encode([*elements(decode(_content()), 9)][:8]))


def timelines() -> list[Example]:
    """Sets of observations, ``[[event, content], ...]``, and the records that they make."""
    return written(_sets(), read_set)


def read_set(data: bytes) -> Any:
    """The records of a set."""
    found = {}
    for pair in elements(decode(data), 1, 64):
        name, content = elements(pair, 2)
        if not isinstance(name, bytes) or not isinstance(content, bytes):
            raise Refused("not a name and a content")
        found[name] = read_observation(content)
    return records(found)


def _set(*contents: bytes) -> bytes:
    pairs: list[Value] = [[name, content] for name, content in zip(NAMES, contents, strict=False)]
    return encode(pairs)


def _sets() -> Iterator[Case]:
    other: dict[int, Value] = {3: 5, 4: 7, 5: b"".join(TAGS[0:10:2]), 6: b"".join([*TAGS[1:10:2], *TAGS[10:]])}
    yield good("one observation", "R111", _set(_content()))
    yield good("both sides of one", "R111", _set(_content(), _content(cross=True, began=BEGAN + 300)))
    yield good("the same sides an hour later", "R111", _set(_content(), _content(began=BEGAN + 3_600_000)))
    yield good("5 s after its end", "R111", _set(_content(), _content(began=BEGAN + 17_000)))
    yield good("a millisecond later", "R111", _set(_content(), _content(began=BEGAN + 17_001)))
    yield good("a chain of overlaps", "R111", _set(*(_content(began=BEGAN + 15_000 * step) for step in range(3))))
    yield good("other sides at the same time", "R111", _set(_content(), _content(other)))
    yield good("without dates, unnamed", "R111", _set(_content(began=0), _content(began=0, cross=True)))
    yield good("without dates, named", "R111", _set(_content(began=0), _content(began=0, cross=True, a=NAMES[0])))
    yield good("one date, named", "R111", _set(_content(), _content(began=0, a=NAMES[0])))
    yield good("named, and the dates say no", "R111", _set(_content(), _content(began=BEGAN + 60_000, a=NAMES[0])))
    yield good(
        "one that names two which do not know each other",
        "R111",
        _set(_content(began=0), _content(began=0, cross=True), _content(began=0, a=NAMES[0], b=NAMES[1])),
    )
    yield bad("a set with something else in it", "R110", _set(_content(), _content({7: 9})))
