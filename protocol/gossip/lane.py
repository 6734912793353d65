"""What is remembered of one link by the state plane: what waits, what the peer has, who is pushed here.

Everything is a map keyed by author and never a queue, so that a slow link gets fewer values and never stale ones,
and memory is bounded by the authors held.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol.clock import SECOND, Instant
from protocol.gossip.scope import Bucket
from protocol.gossip.shelf import Number
from protocol.ids import AuthorId
from protocol.limits import KEYS_REMEMBERED_MAX, PENDING_PER_LINK_MAX, WANTED_KEYS_MAX
from protocol.wire.messages import Vector
from protocol.wire.records import VectorRecord


@dataclass(slots=True)  # state: changes in place
class Pending:
    """A vector whose author's key state has been asked for: ``at`` its author began to wait, at ``got_at`` it came."""

    record: VectorRecord
    message: Vector
    at: Instant
    got_at: Instant


@dataclass(slots=True)  # state: changes in place
class Offer:
    """What a digest said: the number, and when we first saw it while behind it."""

    number: Number
    since: Instant


@dataclass(slots=True)  # state: changes in place
class Lane:
    """State of one link; dicts with None values are ordered sets. ``lazy`` says when we last sent PRUNE."""

    peer: AuthorId
    tokens: float
    tokens_at: Instant
    dirty: dict[AuthorId, None] = field(default_factory=dict)
    sent_at: dict[AuthorId, Instant] = field(default_factory=dict)
    lazy: dict[AuthorId, Instant] = field(default_factory=dict)
    digested: dict[AuthorId, tuple[Number, Instant]] = field(default_factory=dict)
    offers: dict[AuthorId, Offer] = field(default_factory=dict)
    keys: dict[AuthorId, int] = field(default_factory=dict)
    answers: dict[AuthorId, None] = field(default_factory=dict)
    answered: dict[AuthorId, Instant] = field(default_factory=dict)
    wants: dict[AuthorId, Instant] = field(default_factory=dict)
    asked: dict[AuthorId, Instant] = field(default_factory=dict)
    prunes: dict[bytes, None] = field(default_factory=dict)
    grafts: dict[bytes, None] = field(default_factory=dict)
    grafted: dict[AuthorId, Instant] = field(default_factory=dict)
    digest_due: bool = False
    bucket: Bucket | None = None
    pending: dict[AuthorId, Pending] = field(default_factory=dict)

    def forget(self, author: AuthorId) -> None:
        """Drop everything about an author whose vector is gone."""
        self.dirty.pop(author, None)
        self.sent_at.pop(author, None)
        self.digested.pop(author, None)
        self.lazy.pop(author, None)
        self.offers.pop(author, None)
        self.grafted.pop(author, None)

    def idle(self) -> bool:
        """Whether there is nothing to say."""
        return not (self.dirty or self.digest_due or self.prunes or self.grafts or self.answers or self.wants)

    def learn_key(self, author: AuthorId, rotation: int) -> None:
        """The peer has this key state now; the longest known is forgotten first."""
        self.keys[author] = max(rotation, self.keys.get(author, 0))
        if len(self.keys) > KEYS_REMEMBERED_MAX:
            del self.keys[next(iter(self.keys))]

    def sweep(self, now: Instant) -> None:
        """Forget when we asked and answered, once it no longer matters."""
        for table in (self.asked, self.answered):
            for author in [author for author, at in table.items() if now - at >= SECOND]:
                del table[author]

    def spend(self, now: Instant, per_second: int, burst: int, checks: int = 1) -> bool:
        """Take signature checks from the budget of this link; False if it has not got as many."""
        self.tokens = min(float(burst), self.tokens + (now - self.tokens_at) * per_second / SECOND)
        self.tokens_at = now
        if self.tokens < checks:
            return False
        self.tokens -= checks
        return True

    def hold(self, pending: Pending) -> bool:
        """Keep a vector until its key comes: the highest number of its author, at most 64 authors."""
        author = pending.record.author
        old = self.pending.get(author)
        if old is not None:
            if pending.record.number > old.record.number:
                self.pending[author] = Pending(pending.record, pending.message, old.at, pending.got_at)
            return True
        if len(self.pending) >= PENDING_PER_LINK_MAX:
            return False
        self.pending[author] = pending
        return True

    def want(self, author: AuthorId, now: Instant) -> None:
        """Ask for a key state, at most once per second and author."""
        asked = self.asked.get(author)
        if asked is not None and now - asked < SECOND:
            return
        if len(self.wants) < WANTED_KEYS_MAX:
            self.wants[author] = now
            self.asked[author] = now
