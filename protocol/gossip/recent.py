"""The duplicate cache of the trees: what was seen lately, and the messages themselves a while shorter.

Source: receivedMsgs of Plumtree (Leitao, Pereira, Rodrigues 2007, section 3.7), which the paper leaves unbounded.
Deviation: generations. Everything seen since the last turn is one generation; a turn comes with age or with count,
whichever is first. Messages are kept for the youngest two generations, ids for four.
Invariants: at most twice ``count_max`` messages and four times as many ids, whatever arrives; an id outlives its
message by two generations, so that what a neighbor may still offer is still known here.
"""

from __future__ import annotations

from typing import TypeAlias

from protocol.clock import Duration, Instant
from protocol.ids import AuthorId
from protocol.limits import GOSSIP_TAG_BYTES
from protocol.wire.messages import Gossip

Kept: TypeAlias = tuple[Gossip, AuthorId | None]
"""A message as it came here, and who brought it (None: made here)."""
_ID_GENERATIONS = 4


class Recent:
    """``generation_us`` and ``count_max`` end a generation; a message is found by the end of its id."""

    __slots__ = ("_aging", "_count_max", "_fresh", "_generation_us", "_ids", "_turned_at")

    def __init__(self, generation_us: Duration, count_max: int) -> None:
        self._generation_us = generation_us
        self._count_max = count_max
        self._fresh: dict[bytes, Kept] = {}
        self._aging: dict[bytes, Kept] = {}
        self._ids: list[set[bytes]] = [set()]  # membership only: no order reaches an effect
        self._turned_at: Instant = 0

    def __len__(self) -> int:
        return sum(len(ids) for ids in self._ids)

    def knows(self, id: bytes) -> bool:
        """Whether this message was seen."""
        for ids in self._ids:  # noqa: SIM110 - half the time of any(), and asked for every message
            if id in ids:
                return True
        return False

    def get(self, tag: bytes) -> Kept | None:
        """The message whose id ends with ``tag``."""
        return self._fresh.get(tag) or self._aging.get(tag)

    def keep(self, message: Gossip, source: AuthorId | None, now: Instant) -> None:
        """A message was seen for the first time."""
        if not self._ids[0]:
            self._turned_at = now
        elif now - self._turned_at >= self._generation_us or len(self._ids[0]) >= self._count_max:
            self._turn(now)
        self._fresh[message.id[-GOSSIP_TAG_BYTES:]] = (message, source)
        self._ids[0].add(message.id)

    def _turn(self, now: Instant) -> None:
        self._turned_at = now
        self._aging = self._fresh
        self._fresh = {}
        self._ids.insert(0, set())
        del self._ids[_ID_GENERATIONS:]

    def turn_at(self) -> Instant | None:
        """When the next generation is due by age; None if nothing is left to forget."""
        return self._turned_at + self._generation_us if any(self._ids) else None

    def expire(self, now: Instant) -> bool:
        """Turn if age says so; whether it did."""
        due = self.turn_at()
        if due is None or now < due:
            return False
        self._turn(now)
        return True

    def newest(self, count: int) -> list[Gossip]:
        """Up to ``count`` messages, the newest last."""
        messages = [message for message, _ in self._fresh.values()]
        if len(messages) < count:
            messages = [message for message, _ in self._aging.values()] + messages
        return messages[-count:]
