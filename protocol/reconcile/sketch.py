"""Rateless symbols of a set: as many as it takes, and no guess beforehand how much differs.

Source: Yang, Gilad, Alizadeh, "Practical Rateless Set Reconciliation" (SIGCOMM 2024, arXiv 2402.02668), alpha = 1/2:
an item is in symbol i with probability 1 / (1 + i/2). Deviations, all for size (7 bytes and not 17): the hash that an
item is checked by is part of the item, so that a symbol is one XOR of 56-bit *words* (40 bits fingerprint, 16 bits
check); there is no count, because the decoding side finds out from its own set on whose side a word is; a word that is
found in symbol i must map to i, which makes up for part of the shorter check. The map is made of integers alone, so
that every machine finds the same one.
What 40 bits are enough for: fingerprints are keyed with a fresh salt, so colliding ones cannot be looked for; by chance
one differing entry of n hides with probability n / 2^40 (10^-8 at 10,000), and for that one session.
Invariants: decoding ends after at most two peels for each symbol, whatever the symbols are; symbols of a set depend on
neither order nor what was asked before.
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterable
from hashlib import blake2b
from math import isqrt
from typing import Final

from protocol.crypto import digest
from protocol.ids import AuthorId
from protocol.wire.reconciling import FINGERPRINT_BYTES, SYMBOL_BYTES

_MASK: Final = (1 << 64) - 1
_STEP: Final = 0xDA942042E4DD58B5
"""Multiplier of the stream of draws (Steele, Vigna 2021, table 5); the authors' own code has the same one."""
_ONE: Final = 1 << 25
_PEELS_SPARE: Final = 16
_PRY_MAX: Final = 64
_PRIED: Final = 3
"""Prying costs about 1 us for each cell and own word, so it is done for few symbols, at three cells."""
KEY_BYTES: Final = 16

Words = array  # of type code Q: 8 bytes an entry, where a list of integers takes 40


def session_key(salt: bytes, opener: AuthorId, answerer: AuthorId) -> bytes:
    """What fingerprints of a session are made with; nobody knows it before the opener has drawn the salt."""
    return digest(salt + opener + answerer, size=KEY_BYTES, person=b"trio-mesh recon")


def _mix(fingerprint: int) -> int:
    """SplitMix64's finalizer, moved on by one step so that 0 is nothing special."""
    z = (fingerprint + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def word(fingerprint: bytes) -> int:
    """The word of a fingerprint: it and its check."""
    number = int.from_bytes(fingerprint, "big")
    return number << 16 | _mix(number) >> 48


def fingerprint(of: int) -> bytes:
    """The fingerprint in a word."""
    return (of >> 16).to_bytes(FINGERPRINT_BYTES, "big")


def words(entries: Iterable[bytes], key: bytes) -> Words[int]:
    """The words of packed entries under the key of a session, in their order."""
    start = blake2b(digest_size=FINGERPRINT_BYTES, person=b"trio-mesh finger", key=key)
    found = array("Q")
    for entry in entries:
        hashed = start.copy()
        hashed.update(entry)
        number = int.from_bytes(hashed.digest(), "big")
        found.append(number << 16 | _mix(number) >> 48)
    return found


def indexes(of: int, end: int) -> list[int]:
    """The symbols below ``end`` that a word is in, ascending, 0 always among them."""
    found = []
    state = _mix(of >> 16) | 1
    index = 0
    while index < end:
        found.append(index)
        state = state * _STEP & _MASK
        root = isqrt(state >> 14 | 1)
        index -= (2 * index + 3) * (root - _ONE) // (2 * root)  # minus the floor of minus: rounded up
    return found


def symbols(items: Iterable[int], first: int, count: int) -> list[int]:
    """Symbols ``first`` to ``first + count`` of a set of words."""
    end = first + count
    cells = [0] * end
    mask, step, one, root_of = _MASK, _STEP, _ONE, isqrt
    for item in items:  # ``indexes`` spelt out: the hot loop of a session
        state = _mix(item >> 16) | 1
        index = 0
        while index < end:
            cells[index] ^= item
            state = state * step & mask
            root = root_of(state >> 14 | 1)
            index -= (2 * index + 3) * (root - one) // (2 * root)
    return cells[first:]


def pack(cells: Iterable[int]) -> bytes:
    """Symbols as they travel, 7 bytes each."""
    return b"".join([cell.to_bytes(SYMBOL_BYTES, "big") for cell in cells])


def unpack(packed: bytes) -> list[int]:
    """The symbols in a message."""
    return [int.from_bytes(packed[at : at + SYMBOL_BYTES], "big") for at in range(0, len(packed), SYMBOL_BYTES)]


class Decoder:
    """Takes the other side's symbols as they come; ``own`` are the words of one's own set."""

    __slots__ = ("_cells", "_found", "_own", "_peels")

    def __init__(self, own: Words[int]) -> None:
        self._own = own
        self._cells: list[int] = []
        self._found: dict[int, None] = {}
        self._peels = 0

    def __len__(self) -> int:
        return len(self._cells)

    def extend(self, theirs: list[int]) -> bool:
        """Take the next symbols; True once all that differs is found.

        A set of symbols that no set of words could have made is never found complete.
        """
        first, count = len(self._cells), len(theirs)
        ours = symbols(self._own, first, count)
        known = symbols(self._found, first, count)
        self._cells += [a ^ b ^ c for a, b, c in zip(theirs, ours, known, strict=True)]
        self._peel(list(range(first, first + count)))
        return not any(self._cells) or (len(self._cells) <= _PRY_MAX and self._pry())

    def _peel(self, waiting: list[int]) -> None:
        cells = self._cells
        while waiting and self._peels < 2 * len(cells) + _PEELS_SPARE:
            index = waiting.pop()
            item = cells[index]
            if not item or item & 0xFFFF != _mix(item >> 16) >> 48:
                continue
            places = indexes(item, len(cells))
            if index in places:
                self._peels += 1
                self._toggle(item, places)
                waiting += places

    def _toggle(self, item: int, places: list[int]) -> None:
        """Take a word out of its cells. One that is found twice was none of the set: a chance hit of the check."""
        if item in self._found:
            del self._found[item]
        else:
            self._found[item] = None
        for place in places:
            self._cells[place] ^= item

    def _pry(self) -> bool:
        """Where peeling is stuck with few cells, try whether one holds just one of our own words beside another.

        It saves a round trip in nine of ten cases in which ten words did not come out of 24 symbols. A guess counts
        only if it leaves every cell empty.
        """
        stuck = [index for index, cell in enumerate(self._cells) if cell]
        for index in stuck[: -_PRIED - 1 : -1]:
            cell = self._cells[index]
            for one in self._own:
                other = cell ^ one
                if other & 0xFFFF == _mix(other >> 16) >> 48 and self._settles(index, one, other):
                    return True
        return False

    def _settles(self, index: int, one: int, other: int) -> bool:
        end = len(self._cells)
        places, others = indexes(one, end), indexes(other, end)
        if index not in places or index not in others or one == other:
            return False
        before = self._cells.copy(), self._found.copy(), self._peels
        self._toggle(one, places)
        self._toggle(other, others)
        self._peel(places + others)
        if not any(self._cells):
            return True
        self._cells, self._found, self._peels = before
        return False

    def difference(self, own: Container[int]) -> tuple[list[int], list[int]]:
        """The words that only this side has, and those that only the other has; ``own`` as in ``__init__``."""
        mine = [item for item in self._found if item in own]
        return mine, [item for item in self._found if item not in own]
