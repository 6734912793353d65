"""Proofs that an author's key signed where no honest hub signs twice.

Two records stand alone as a proof if both verify and are by one author, and are different events that either have one
incarnation and one seq, or both open an incarnation from one prev. An honest restore gives neither: it opens one new
incarnation, and what the lost one had written keeps its own. One proof an author is kept, the one with the smallest
ids, so that everybody ends with the same whoever found which.
"""

from __future__ import annotations

from collections.abc import Callable

from protocol.errors import Reason, RemoteProtocolError
from protocol.ids import AuthorId, EventId
from protocol.wire.events import OPENING, EventRecord, Fork, decode_fork, encode_fork


def conflict(one: EventRecord, other: EventRecord) -> bool:
    """Whether no honest hub would have signed both."""
    if one.id == other.id or one.author != other.author:
        return False
    if one.incarnation == other.incarnation and one.seq == other.seq:
        return True
    return one.prev == other.prev and one.kind == other.kind == OPENING


class ForkBook:
    """One proof for each author whose chain has forked. ``read`` decodes a record and checks its signature."""

    def __init__(self, read: Callable[[bytes, bytes], EventRecord], count_max: int) -> None:
        self._read = read
        self._count_max = count_max
        self._proofs: dict[AuthorId, tuple[tuple[EventId, EventId], Fork]] = {}

    def __len__(self) -> int:
        return len(self._proofs)

    def authors(self) -> list[AuthorId]:
        """Against whom there is a proof, in ascending order."""
        return sorted(self._proofs)

    def get(self, author: AuthorId) -> Fork | None:
        """The proof against ``author``, if there is one."""
        found = self._proofs.get(author)
        return None if found is None else found[1]

    def found(self, one: EventRecord, other: EventRecord) -> Fork | None:
        """Two conflicting events were met; the proof, if it is news."""
        first, second = sorted((one, other), key=lambda event: event.id)
        known = self._proofs.get(first.author)
        if known is None and len(self._proofs) >= self._count_max:
            return None
        ids = (first.id, second.id)
        if known is not None and known[0] <= ids:
            return None
        fork = Fork((first.signed, first.sig), (second.signed, second.sig))
        self._proofs[first.author] = (ids, fork)
        return fork if known is None else None

    def told(self, fork: Fork) -> tuple[AuthorId, Fork | None]:
        """Somebody shows a proof; whom it is against, and the proof if it is news.

        Raises:
            RemoteProtocolError: ``NOT_A_FORK``, or what :attr:`read` raises; nothing changed.
        """
        one, other = self._read(*fork.one), self._read(*fork.other)
        if not conflict(one, other):
            raise RemoteProtocolError(Reason.NOT_A_FORK)
        return one.author, self.found(one, other)

    def restore(self, stored: bytes) -> None:
        """Take a proof from our own store.

        Raises:
            RemoteProtocolError: it is none.
        """
        self.told(decode_fork(stored))

    def encoded(self, author: AuthorId) -> bytes:
        """The proof against ``author`` for the store."""
        return encode_fork(self._proofs[author][1])
