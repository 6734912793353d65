"""The only place where the daemon draws randomness: the operating system's generator, with a health test.

Source: ``os.urandom`` (getrandom(2), which blocks until the pool is seeded). The health test is the repetition
test of NIST SP 800-90B, section 4.4.1, in its coarsest form: it cannot prove that output is random, but it does
catch a stubbed, zeroed or stuck source before a key is made of it.
Invariant: no key byte leaves this module unchecked.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from protocol.errors import MeshError

Source = Callable[[int], bytes]

CHECKED_BYTES_MIN: Final = 8
"""Shorter draws may honestly be constant (one draw of 8 is, once in 2**56), so they are not judged."""

_PROBE_BYTES: Final = 32


class EntropyError(MeshError):
    """The random source repeats itself; the hub must not make keys or names from it."""


class Entropy:
    """Draws checked bytes from ``source``; the first draw runs the self-test.

    Raises:
        EntropyError: when called, if the source is short, constant, or gives one block twice.
    """

    __slots__ = ("_source", "_tested")

    def __init__(self, source: Source) -> None:
        self._source = source
        self._tested = False

    def __call__(self, count: int) -> bytes:
        """``count`` random bytes, ``count`` >= 1."""
        if count < 1:
            raise ValueError("count must be at least 1")
        if not self._tested:
            self._self_test()
        return self._draw(count)

    def _self_test(self) -> None:
        if self._draw(_PROBE_BYTES) == self._draw(_PROBE_BYTES):
            raise EntropyError("the random source gave the same 32 bytes twice")
        self._tested = True

    def _draw(self, count: int) -> bytes:
        block = self._source(count)
        if len(block) != count:
            raise EntropyError(f"the random source gave {len(block)} bytes instead of {count}")
        if count >= CHECKED_BYTES_MIN and block == block[:1] * count:
            raise EntropyError("the random source gives constant output")
        return block


entropy: Final = Entropy(os.urandom)
"""Random bytes of the operating system; the daemon injects this into ``protocol``."""


def fresh_seed() -> int:
    """64 random bits, to seed a ``protocol.rng.Rng``; for choices, never for keys."""
    return int.from_bytes(entropy(8), "little")
