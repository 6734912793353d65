"""The duplicate cache of the trees: what was seen lately, and the messages themselves a while shorter.

Source: receivedMsgs of Plumtree (Leitao, Pereira, Rodrigues 2007, section 3.7), which the paper leaves unbounded.
Deviation: generations. Everything seen since the last turn is one generation; a turn comes with age or with count,
whichever is first. Messages are kept for the youngest two generations, ids for four.
Invariants: at most twice ``count_max`` messages and four times as many ids, whatever arrives; an id outlives its
message by two generations, so that what a neighbor may still offer is still known here; an id whose tag another
message has taken is known all the same.
"""

from __future__ import annotations

from typing import TypeAlias

from protocol.clock import Duration, Instant
from protocol.ids import AuthorId
from protocol.limits import GOSSIP_TAG_BYTES
from protocol.wire.messages import Gossip

Kept: TypeAlias = tuple[Gossip, AuthorId | None]
"""A message as it came here, and who brought it (None: made here)."""
_GENERATIONS = 2
"""Turns after which a message is forgotten; its id is twice as many."""


class Recent:
    """``generation_us`` and ``count_max`` end a generation; a message is found by its *tag*, the end of its id.

    ``fresh`` and ``aging`` are the messages by tag: to be read, and not changed, by whoever asks all the time.
    """

    __slots__ = ("_count", "_count_max", "_generation_us", "_leaving", "_older", "_turned_at", "aging", "fresh")

    def __init__(self, generation_us: Duration, count_max: int) -> None:
        self._generation_us = generation_us
        self._count_max = count_max
        self.fresh: dict[bytes, Kept] = {}
        self.aging: dict[bytes, Kept] = {}
        self._count = 0
        self._older: set[bytes] = set()  # membership only: no order reaches an effect
        self._leaving: list[list[bytes]] = [[] for _ in range(2 * _GENERATIONS)]  # of those: the last at the next turn
        self._turned_at: Instant = 0

    def __len__(self) -> int:
        return len(self.fresh) + len(self.aging) + len(self._older)

    def knows(self, id: bytes) -> bool:
        """Whether this message was seen."""
        tag = id[-GOSSIP_TAG_BYTES:]
        kept = self.fresh.get(tag)
        if kept is not None and kept[0].id == id:
            return True
        kept = self.aging.get(tag)
        return (kept is not None and kept[0].id == id) or id in self._older

    def get(self, tag: bytes) -> Kept | None:
        """The message whose id ends with ``tag``."""
        return self.fresh.get(tag) or self.aging.get(tag)

    def keep(self, message: Gossip, source: AuthorId | None, now: Instant) -> None:
        """A message was seen for the first time."""
        if not self._count:
            self._turned_at = now
        elif now - self._turned_at >= self._generation_us or self._count >= self._count_max:
            self._turn(now)
        self._count += 1
        tag = message.id[-GOSSIP_TAG_BYTES:]
        if tag in self.fresh:
            hidden = self.fresh[tag][0].id
            self._older.add(hidden)
            self._leaving[0].append(hidden)
        self.fresh[tag] = (message, source)

    def _turn(self, now: Instant) -> None:
        self._turned_at = now
        self._older.difference_update(self._leaving.pop())
        self._leaving.insert(0, [])
        retired = [message.id for message, _ in self.aging.values()]
        self._older.update(retired)
        self._leaving[_GENERATIONS] += retired
        self.aging = self.fresh
        self.fresh = {}
        self._count = 0

    def turn_at(self) -> Instant | None:
        """When the next generation is due by age; None if nothing is left to forget."""
        return self._turned_at + self._generation_us if self.fresh or self.aging or self._older else None

    def expire(self, now: Instant) -> bool:
        """Turn if age says so; whether it did."""
        due = self.turn_at()
        if due is None or now < due:
            return False
        self._turn(now)
        return True

    def newest(self, count: int) -> list[Gossip]:
        """Up to ``count`` messages, the newest last."""
        messages = [message for message, _ in self.fresh.values()]
        if len(messages) < count:
            messages = [message for message, _ in self.aging.values()] + messages
        return messages[-count:]
