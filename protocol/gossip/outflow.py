"""What leaves on a link, in which order: control first, then the newest vectors that are due.

Nothing is kept in a queue: everything is read from the lane's maps and the shelf when the link can write, so what
waits coalesces. Invariant: no vector passes without the gate's word at the moment it leaves.
"""

from __future__ import annotations

from typing import Protocol

from protocol import limits
from protocol.clock import MS, Duration, Instant
from protocol.errors import Reason
from protocol.gossip.keys import KeyBook
from protocol.gossip.lane import Lane
from protocol.gossip.scope import Bucket, Scope
from protocol.gossip.shelf import Held, Shelf
from protocol.ids import AuthorId
from protocol.wire.messages import Digest, DigestEntry, Graft, Keys, Message, Prune, Vector, WantKeys
from protocol.wire.records import VectorRecord

_NEVER = -(1 << 62)


class Gate(Protocol):
    """The consent gate as the state plane sees it: None lets pass, a reason does not."""

    def __call__(self, purpose: str, record: VectorRecord, lease_left_us: int, *, own: bool) -> Reason | None: ...


class Outflow:
    """Reads shelf, keys and lanes; changes lanes only."""

    def __init__(
        self, author: AuthorId, shelf: Shelf, keys: KeyBook, gate: Gate, spacing_us: Duration, scope: Scope
    ) -> None:
        self._author = author
        self._shelf = shelf
        self._keys = keys
        self._gate = gate
        self._spacing_us = spacing_us
        self._scope = scope

    def collect(self, lane: Lane, room: int, now: Instant) -> tuple[list[Message], Instant | None]:
        """What may leave on a writable link now, within ``room`` bytes, and when more falls due (None: on news)."""
        messages: list[Message] = []
        if lane.prunes:
            pruned = tuple(lane.prunes)[: limits.TAGS_MAX]
            messages.append(Prune(pruned))
            for tag in pruned:
                del lane.prunes[tag]
        if lane.grafts:
            messages.append(Graft(tuple(lane.grafts)))
            lane.grafts.clear()
        if lane.wants:
            messages.append(WantKeys(tuple(lane.wants)))
            lane.wants.clear()
        if lane.digest_due:
            lane.digest_due = False
            digest = self._digest(lane, now)
            if digest is not None:
                messages.append(digest)
        room -= 64
        if messages:
            room -= 48 * sum(len(m.entries) for m in messages if type(m) is Digest)
        for author in list(lane.answers):
            if room < limits.KEY_STATE_BYTES_MAX + limits.VECTOR_BYTES_MAX:
                break
            del lane.answers[author]
            room -= self._keys_message(lane, author, messages)
        return messages, self._collect_vectors(lane, room, messages, now)

    def _collect_vectors(self, lane: Lane, room: int, messages: list[Message], now: Instant) -> Instant | None:
        next_due: Instant | None = None
        spacing = self._spacing_us
        bucket = self._bucket(lane, now)
        shares = self._scope.shares
        waiting = list(lane.dirty)
        if bucket is not None and shares:  # a fair queue: whoever has had least for its share goes first
            waiting.sort(key=lambda author: lane.sent_at.get(author, _NEVER) + int(spacing / (shares.get(author) or 1)))
        for author in waiting:
            if bucket is not None and (ready := bucket.ready_at(now)) > now:
                return ready if next_due is None else min(next_due, ready)
            due = lane.sent_at.get(author, _NEVER) + spacing
            if due > now:
                next_due = due if next_due is None else min(next_due, due)
                continue
            held = self._shelf.get(author)
            if held is None or self._refused(held, now):
                del lane.dirty[author]
                continue
            if room < len(held.signed) + 96 + limits.KEY_STATE_BYTES_MAX:
                break
            if len(messages) >= limits.MESSAGES_PER_FRAME_MAX - 9:
                break
            if lane.keys.get(author, -1) < held.record.rotation:
                room -= self._keys_message(lane, author, messages)
            del lane.dirty[author]
            lane.sent_at[author] = now
            messages.append(Vector(held.signed, held.signature, held.age_us(now) // MS))
            room -= len(held.signed) + 96
            if bucket is not None:
                bucket.spend(len(held.signed) + 96)
        return next_due

    def _bucket(self, lane: Lane, now: Instant) -> Bucket | None:
        if self._scope.whole:
            lane.bucket = None
        elif lane.bucket is None:
            lane.bucket = self._scope.bucket(now)
        return lane.bucket

    def _refused(self, held: Held, now: Instant) -> bool:
        author = held.record.author
        if not self._scope.whole and not self._scope.carries(author):
            return True
        own = author == self._author
        purpose = "publish" if own else "relay"
        return self._gate(purpose, held.record, held.lease_left_us(now), own=own) is not None

    def _keys_message(self, lane: Lane, author: AuthorId, messages: list[Message]) -> int:
        state = self._keys.get(author)
        if state is None:
            return 0
        lane.learn_key(author, state.rotation)
        messages.append(Keys(state.encoded))
        return len(state.encoded) + 8

    def _digest(self, lane: Lane, now: Instant) -> Digest | None:
        entries: list[DigestEntry] = []
        for author in list(lane.lazy):
            held = self._shelf.get(author)
            if held is None or author == lane.peer:
                continue
            number = held.record.number
            before = lane.digested.get(author)
            if before is not None and before[0] == number and now - before[1] < held.record.lease_ms * MS // 3:
                continue
            if self._refused(held, now):
                continue
            lane.digested[author] = (number, now)
            lane.lazy[author] = lane.lazy.pop(author)  # to the end: the next digest begins with the others
            entries.append(DigestEntry(author[: limits.TAG_AUTHOR_BYTES], *number))
            if len(entries) == limits.DIGEST_ENTRIES_MAX:
                break
        return Digest(tuple(entries)) if entries else None
