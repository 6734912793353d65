"""The newest verified vector of every author, with bounds: latest value wins, leases end, numbers never go back.

The high-water mark of an author outlives the vector, so that a record replayed after its lease (its age is
unsigned, RFC-style freshness cannot be proven) does not return. Invariant: at most ``AUTHORS_MAX`` vectors and four
times as many marks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from protocol.clock import MS, Duration, Instant
from protocol.ids import AuthorId, LinkId
from protocol.limits import AUTHORS_MAX, TAG_AUTHOR_BYTES
from protocol.wire.records import VectorRecord

Number = tuple[int, int, int]
"""(rotation, boot, seq)."""

MARKS_MAX: Final = 4 * AUTHORS_MAX


@dataclass(slots=True)  # state: changes in place
class Held:
    """One verified vector; ``made_at`` is when it was made, in our boot time, as far as its age says.

    ``source`` is the link it came by, None for our own; ``got_at`` is when it first came: it cannot have been made
    later.
    """

    record: VectorRecord
    signed: bytes
    signature: bytes
    made_at: Instant
    source: LinkId | None
    got_at: Instant = 0

    def age_us(self, now: Instant) -> Duration:
        """How old the newest sample is."""
        return now - self.made_at

    def lease_left_us(self, now: Instant) -> Duration:
        """How long it may still be shown; <= 0 means not at all."""
        return self.record.lease_ms * MS - (now - self.made_at)


class Shelf:
    """Held vectors by author, by their exact bytes and by tag."""

    def __init__(self) -> None:
        self._held: dict[AuthorId, Held] = {}
        self._by_bytes: dict[bytes, AuthorId] = {}
        self._by_tag: dict[bytes, AuthorId] = {}
        self._marks: dict[AuthorId, Number] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[AuthorId]:
        return iter(self._held)

    def authors(self) -> list[AuthorId]:
        """Authors of held vectors, in order of arrival."""
        return list(self._held)

    def get(self, author: AuthorId) -> Held | None:
        """The newest vector of ``author``."""
        return self._held.get(author)

    def same(self, signed: bytes) -> Held | None:
        """The held vector that has exactly these bytes."""
        author = self._by_bytes.get(signed)
        return None if author is None else self._held[author]

    def author_of(self, tag: bytes) -> AuthorId | None:
        """The author whose id begins with ``tag``."""
        return self._by_tag.get(tag)

    def mark(self, author: AuthorId) -> Number:
        """The highest number ever held of ``author``; (-1, 0, 0) if none."""
        return self._marks.get(author, (-1, 0, 0))

    def room_for(self, author: AuthorId) -> bool:
        """Whether ``author`` can be held without anybody else giving way."""
        return author in self._held or len(self._held) < AUTHORS_MAX

    def tag_is_free(self, author: AuthorId) -> bool:
        """Whether no other author with the same tag is held."""
        return self._by_tag.get(author[:TAG_AUTHOR_BYTES], author) == author

    def who_gives_way(self, source: LinkId, linked: Collection[AuthorId], *, own: bool) -> AuthorId | None:
        """Whose vector leaves a full shelf for a new author that ``source`` brings; None if nobody's.

        The link that brought most gives up its oldest, unless that is ``source`` itself or only just ahead: one
        link that makes authors up cannot crowd out the others. A peer's ``own`` vector always finds room, and those
        of ``linked`` authors never give way.
        """
        counts: dict[LinkId, int] = {}
        for held in self._held.values():
            if held.source is not None:
                counts[held.source] = counts.get(held.source, 0) + 1
        if not counts:
            return None
        most = max(counts, key=lambda link: (counts[link], -link))
        if not own and counts[most] <= counts.get(source, 0) + 1:
            return None
        giving = (author for author, held in self._held.items() if held.source == most and author not in linked)
        return next(giving, None)

    def put(self, held: Held) -> None:
        """Keep ``held`` as the newest of its author."""
        record = held.record
        author = record.author
        old = self._held.get(author)
        if old is not None:
            del self._by_bytes[old.signed]
        else:
            # A new author, or one that comes back: its mark becomes the youngest.
            self._by_tag[author[:TAG_AUTHOR_BYTES]] = author
            self._marks.pop(author, None)
            if len(self._marks) >= MARKS_MAX:
                # Never that of somebody who is held: only strangers that came and went are forgotten.
                del self._marks[next(known for known in self._marks if known not in self._held)]
        self._held[author] = held
        self._by_bytes[held.signed] = author
        self._marks[author] = (record.rotation, record.boot, record.seq)

    def remove(self, author: AuthorId) -> None:
        """Forget the vector of ``author`` (not its mark)."""
        held = self._held.pop(author, None)
        if held is not None:
            del self._by_bytes[held.signed]
            del self._by_tag[author[:TAG_AUTHOR_BYTES]]

    def expire(self, now: Instant) -> list[AuthorId]:
        """Remove what may no longer be shown; returns whose."""
        ended = [author for author, held in self._held.items() if held.lease_left_us(now) <= 0]
        for author in ended:
            self.remove(author)
        return ended
