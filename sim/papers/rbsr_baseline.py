"""Range-based set reconciliation, to stand beside ours: both sides split the range in which they differ.

Source: Meyer, "Range-Based Set Reconciliation" (2022, arXiv 2212.13567), with the settings of negentropy version 1: 16
ranges a split, lists below 32 items, 16-byte fingerprints (sums of hashes), ids of 32 bytes, bounds cut to the shortest
prefix that tells neighbors apart. Deviations, all in its favor: ids are spread evenly and there are no timestamps,
each kind of range costs one byte, a message has 21 bytes of frame like ours; ids may be as short as 8 bytes. In
negentropy one side alone learns what differs; here the last message tells the other, as ours does.
Costs of memory and time are not modelled: fingerprints of ranges come from prefix sums.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final, TypeAlias

SPLIT: Final = 16
LIST_MAX: Final = 32
FINGERPRINT_BYTES: Final = 16
FRAME_BYTES: Final = 21
LOW: Final = b""

Range: TypeAlias = tuple[bytes, bytes | None]
"""Lower bound (included) and upper bound (excluded, None: no end)."""


class Side:
    """One side's sorted ids. Their hashes are the ids themselves, which are random."""

    def __init__(self, ids: Sequence[bytes]) -> None:
        self.ids = sorted(ids)
        self._sums = [0, *accumulate(int.from_bytes(one[-16:], "big") for one in self.ids)]

    def span(self, part: Range) -> tuple[int, int]:
        """Where the range lies in ``ids``."""
        low, high = part
        return bisect_left(self.ids, low), len(self.ids) if high is None else bisect_left(self.ids, high)

    def fingerprint(self, part: Range) -> tuple[int, int]:
        """Sum and count; they stand for the 16 bytes that travel."""
        start, end = self.span(part)
        return self._sums[end] - self._sums[start], end - start

    def split(self, part: Range) -> list[Range]:
        """Sixteen ranges of about equally many items."""
        start, end = self.span(part)
        count = end - start
        cuts = [start + count * n // SPLIT for n in range(1, SPLIT)]
        bounds: list[bytes | None] = [part[0]]
        bounds += [_bound(self.ids[cut - 1], self.ids[cut]) for cut in cuts]
        return [(low or LOW, high) for low, high in pairwise([*bounds, part[1]])]


def _bound(left: bytes, right: bytes) -> bytes:
    """The shortest prefix of ``right`` that is above ``left``."""
    size = next((n for n, (a, b) in enumerate(zip(left, right, strict=True), 1) if a != b), len(right))
    return right[:size]


@dataclass(slots=True)
class Talk:
    """What a reconciliation took: bytes with headers, messages one way, and ids that either side was missing."""

    size: int = 0
    messages: int = 0
    found: int = 0


def reconcile(one: Side, other: Side, id_bytes: int) -> Talk:
    """Let ``one`` begin; ends when both know what differs."""
    talk = Talk()
    mine, theirs = one, other
    asked: list[tuple[Range, tuple[int, int] | None]] = [((LOW, None), one.fingerprint((LOW, None)))]
    talk.messages, talk.size = 1, FRAME_BYTES + 2 + FINGERPRINT_BYTES
    told = 0
    while asked:
        mine, theirs = theirs, mine  # ``mine`` reads what ``theirs`` has said
        answer: list[tuple[Range, tuple[int, int] | None]] = []
        size, ended, listed = 0, None, 0
        for part, said in asked:
            if said is not None and mine.fingerprint(part) == said:
                continue
            if ended != part[0]:
                size += _bound_bytes(part[0]) + 1  # a gap: what lies before is skipped
            ended = part[1]
            start, end = mine.span(part)
            if said is None:  # a list: what differs is known here now
                known, held = theirs.span(part), set(mine.ids[start:end])
                differ = held.symmetric_difference(theirs.ids[known[0] : known[1]])
                talk.found += len(differ)
                listed += len(differ)
                continue
            if end - start <= LIST_MAX:
                size += _bound_bytes(part[1]) + 2 + id_bytes * (end - start)
                answer.append((part, None))
                continue
            for piece in mine.split(part):
                size += _bound_bytes(piece[1]) + 1 + FINGERPRINT_BYTES
                answer.append((piece, mine.fingerprint(piece)))
        size += listed * id_bytes  # the other side is told what it has said that differs
        told += listed
        if size:
            talk.messages += 1
            talk.size += FRAME_BYTES + size
        asked = answer
    return talk


def _bound_bytes(bound: bytes | None) -> int:
    return 1 + len(bound or b"")
