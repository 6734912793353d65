"""A small deterministic generator for choices (never for keys).

Source: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), whose output is pinned by vectors in tests/unit. Why not
``random.Random``: the standard library promises stable streams for ``random()`` only and costs 2.9 kB an instance.
Invariant: one seed, one stream, on every Python version; ``child`` gives a stream that extra draws of the parent
do not shift.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from hashlib import blake2b
from typing import Final, TypeVar

T = TypeVar("T")

_MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15


class Rng:
    """SplitMix64 stream; ``seed`` is any integer, taken modulo 2**64."""

    __slots__ = ("_seed", "_state")

    def __init__(self, seed: int) -> None:
        self._seed = seed & _MASK
        self._state = self._seed

    def u64(self) -> int:
        """The next 64 bits."""
        self._state = z = (self._state + _GOLDEN) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def below(self, bound: int) -> int:
        """An unbiased integer in [0, bound); ``bound`` >= 1."""
        limit = (1 << 64) - ((1 << 64) % bound)
        while True:
            draw = self.u64()
            if draw < limit:
                return draw % bound

    def between(self, low: int, high: int) -> int:
        """An integer in [low, high], both included."""
        return low + self.below(high - low + 1)

    def fraction(self) -> float:
        """A float in [0, 1) with 53 bits."""
        return (self.u64() >> 11) / (1 << 53)

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.fraction() < probability

    def jitter(self, duration: int, percent: int) -> int:
        """``duration`` moved by up to +-``percent`` %, at least 1."""
        spread = duration * percent // 100
        return max(1, duration - spread + self.below(2 * spread + 1))

    def choice(self, items: Sequence[T]) -> T:
        """One element of a non-empty sequence."""
        return items[self.below(len(items))]

    def shuffle(self, items: MutableSequence[T]) -> None:
        """Fisher-Yates, in place."""
        for index in range(len(items) - 1, 0, -1):
            other = self.below(index + 1)
            items[index], items[other] = items[other], items[index]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """Up to ``count`` distinct elements, in random order."""
        pool = list(items)
        self.shuffle(pool)
        return pool[:count]

    def child(self, label: str) -> Rng:
        """An independent stream named ``label``; the same whatever this one has drawn."""
        digest = blake2b(label.encode(), digest_size=8, key=self._seed.to_bytes(8, "big")).digest()
        return Rng(int.from_bytes(digest, "big"))
