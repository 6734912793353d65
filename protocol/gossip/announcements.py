"""Announcements that have not left yet, and which neighbors are to hear each of them.

Source: the lazy push queue of Plumtree (Leitao, Pereira, Rodrigues 2007, section 3.7), one for all neighbors instead
of one for each: a message is announced to four or five of them, and a bit for each is quicker to set, to take back and
to look through than as many queues.
Invariants: a bit belongs to one neighbor; nobody is told what it has told us; a message is there once, and only while
the cache of recent messages holds it or until everything leaves, which is within half a second.
"""

from __future__ import annotations

from protocol import limits
from protocol.gossip.recent import Recent

_NEXT = [bytes((min(limits.GOSSIP_HOPS_MAX, hops + 1),)) for hops in range(limits.GOSSIP_HOPS_MAX + 1)]


class Announcements:
    """``masks`` are the bits by tag, open to whoever spreads a message or hears of many."""

    __slots__ = ("_used", "masks")

    def __init__(self) -> None:
        self.masks: dict[bytes, int] = {}
        self._used = 0

    def __len__(self) -> int:
        return sum(mask.bit_count() for mask in self.masks.values())

    def take_bit(self) -> int:
        """A bit that nobody has, for a neighbor that is new."""
        bit = ~self._used & (self._used + 1)
        self._used |= bit
        return bit

    def give_back(self, bit: int) -> None:
        """The neighbor is gone, and nothing waits for it."""
        self._used &= ~bit
        for tag, mask in self.masks.items():
            self.masks[tag] = mask & ~bit

    def add(self, tag: bytes, bit: int) -> None:
        """Whoever has this bit is to hear of a message as well."""
        self.masks[tag] = self.masks.get(tag, 0) | bit

    def drop(self, tag: bytes, bit: int) -> None:
        """Whoever has this bit need not hear of a message."""
        mask = self.masks.get(tag)
        if mask is not None and mask & bit:
            self.masks[tag] = mask ^ bit

    def waiting(self, bit: int) -> list[bytes]:
        """What whoever has this bit is to hear of."""
        return [tag for tag, mask in self.masks.items() if mask & bit]

    def take(self, recent: Recent) -> list[tuple[int, bytes]]:
        """All that waits and is still held, as entries of IHAVE: nothing waits any more."""
        ready = []
        for tag, mask in self.masks.items():
            kept = recent.get(tag) if mask else None
            if kept is not None:
                ready.append((mask, tag + _NEXT[kept[0].hops]))
        self.masks.clear()
        return ready
