"""The state plane: receive, verify, keep and pass on the newest vector of every author.

Source: latest-value gossip on Plumtree's eager and lazy links (Leitao, Pereira, Rodrigues 2007) with one bit per
(link, author), so that a mesh in which everybody sends has a tree for each. Deviations: no message-id cache (a
vector is its own id and supersedes), digests once a second instead of IHAVE per message, repair by GRAFT after one
cadence. Requirements R32-R47 of docs/protocol.md.
Invariants: nothing unverified is kept or passed on; a bad signature costs its link and changes nothing else;
memory is bounded by authors and links.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol import limits
from protocol.clock import MS, SECOND, Instant, hlc_utc_ms
from protocol.crypto import Verifier
from protocol.effects import Disconnect, Drop, Effect, Emit, SetTimer, StoreBoot, StoreKeyState, ValueShown
from protocol.errors import CloseCode, Reason, RemoteProtocolError
from protocol.gossip.keys import KeyBook, Learnt
from protocol.gossip.lane import Lane, Offer, Pending
from protocol.gossip.outflow import Gate, Outflow
from protocol.gossip.scope import Scope, ScopeConfig
from protocol.gossip.shelf import Held, Shelf
from protocol.ids import AuthorId, LinkId, MeshId
from protocol.wire.messages import (
    Digest,
    Graft,
    Keys,
    Message,
    Prune,
    Vector,
    WantKeys,
)
from protocol.wire.records import VectorRecord, decode_vector

PENDING_TIMER = ("gossip", "pending")
_KEPT_LINK = (Reason.UNKNOWN_AUDIENCE, Reason.UNKNOWN_DIMENSION)
_NEVER = -(1 << 62)
KEY_RECORD_BYTES = 256
"""An inception is shorter, and each rotation adds about as much: so many bytes cost one check of a signature."""
PRUNE_AGAIN_US = 2 * SECOND
"""A PRUNE and a GRAFT may cross: whoever still pushes two seconds later is told again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorsConfig:
    """``spacing_us``: least time between two vectors of one author on one link (0..1 s; decision record 0003
    says why 50 ms). ``verify_per_second`` and ``verify_burst``: signatures one link may make us check."""

    spacing_us: int = limits.SPACING_US
    verify_per_second: int = limits.VERIFY_PER_SECOND
    verify_burst: int = limits.VERIFY_BURST
    scope: ScopeConfig = field(default_factory=ScopeConfig)


class Vectors:
    """The machine. ``boot`` is this hub's own, raised when somebody shows us a higher one of ours."""

    def __init__(self, mesh_id: MeshId, author: AuthorId, verify: Verifier, gate: Gate, config: VectorsConfig) -> None:
        self._mesh_id = mesh_id
        self._author = author
        self._verify = verify
        self._gate = gate
        self._config = config
        self.keys = KeyBook(mesh_id)
        self.shelf = Shelf()
        self.scope = Scope(config.scope, self._linked)
        self._outflow = Outflow(author, self.shelf, self.keys, gate, config.spacing_us, self.scope)
        self.lanes: dict[LinkId, Lane] = {}
        self._peers: dict[LinkId, AuthorId] = {}
        self._eager: dict[AuthorId, tuple[LinkId, ...]] = {}
        self.ready: dict[LinkId, None] = {}
        self.boot = 0
        self._overtake_at: Instant = 0
        self.utc_offset_ms: int | None = None
        self.verified = 0
        self._pending_armed = False

    # --- links --------------------------------------------------------------------------------------------------

    def attach(self, link: LinkId, encoded: bytes) -> tuple[Learnt, list[Effect]]:
        """A handshake has proven a key state: its author's keys stay as long as the link.

        Raises:
            RemoteProtocolError: the key state is invalid or the book is full; nothing changed.
        """
        learnt = self.keys.learn(encoded, None)
        author = learnt.given.author
        self._peers[link] = author
        used = self.keys.use(author) if learnt.current.encoded == encoded else None
        return learnt, [] if used is None else [StoreKeyState(used.author, used.encoded)]

    def link_up(self, link: LinkId, peer: AuthorId, boot: int, now: Instant) -> None:
        """A link is ready for vectors: everything held is due on it, except the peer's own.

        A peer whose vector held here is of the ``boot`` of its HELLO, or of a higher one, may have lost its count:
        it is shown that vector, so that it can go on above it (R40).
        """
        lane = self.lanes[link] = Lane(peer, float(self._config.verify_burst), now)
        self._eager.clear()
        for known in (peer, self._author):
            state = self.keys.get(known)
            if state is not None:
                lane.keys[known] = state.rotation
        for author in self.shelf.authors():
            held = self.shelf.get(author)
            if author != peer or (held is not None and held.record.boot >= boot):
                lane.dirty[author] = None
        self.ready[link] = None

    def link_down(self, link: LinkId, now: Instant) -> None:
        """The link is gone: authors that came by it are asked for elsewhere at once."""
        self.lanes.pop(link, None)
        self._eager.clear()
        self.ready.pop(link, None)
        self.keys.link_down(link)
        peer = self._peers.pop(link, None)
        if peer is not None and self.shelf.get(peer) is None and not self._linked(peer):
            self.keys.forget(peer)
        for author in self.shelf.authors():
            held = self.shelf.get(author)
            if held is not None and held.source == link:
                self._graft_elsewhere(author, now)

    def _graft_elsewhere(self, author: AuthorId, now: Instant) -> None:
        best: tuple[tuple[int, int, int], LinkId] | None = None
        for link in sorted(self.lanes):
            lane = self.lanes[link]
            offer = lane.offers.get(author)
            if author in lane.lazy and offer is not None and (best is None or offer.number > best[0]):
                best = (offer.number, link)
        if best is None:
            candidates = [link for link in sorted(self.lanes) if author in self.lanes[link].lazy]
            if not candidates:
                return
            best = ((0, 0, 0), candidates[0])
        self._graft(best[1], author[: limits.TAG_AUTHOR_BYTES], now)

    # --- our own vectors ----------------------------------------------------------------------------------------

    def publish(self, held: Held) -> list[Effect]:
        """Keep our own newest vector and make it due on every eager link."""
        self.shelf.put(held)
        self._push(held.record.author, None)
        return [Emit(ValueShown(held.record.author, held.record.boot, held.record.seq))]

    def withdraw(self) -> None:
        """Our own vector is no longer shared: nothing of it leaves from here on."""
        self.shelf.remove(self._author)
        self._eager.pop(self._author, None)
        for lane in self.lanes.values():
            lane.forget(self._author)

    def _make_room(self, source: LinkId, now: Instant, *, own: bool) -> bool:
        self._expire(now)
        if len(self.shelf) < limits.AUTHORS_MAX:
            return True
        author = self.shelf.who_gives_way(source, self._peers.values(), own=own)
        if author is None:
            return False
        self.shelf.remove(author)
        self._gone(author)
        return True

    def _expire(self, now: Instant) -> None:
        for author in self.shelf.expire(now):
            self._gone(author)

    def _gone(self, author: AuthorId) -> None:
        if not self._linked(author):
            self.keys.forget(author)
        self._eager.pop(author, None)
        for lane in self.lanes.values():
            lane.forget(author)

    def _pass_on(self, held: Held, source: LinkId, now: Instant) -> None:
        """Make a new vector due on every eager link, if its author lets others relay it."""
        author = held.record.author
        eager = self._eager_links(author)
        if not eager or eager == (source,):
            return
        if self._gate("relay", held.record, held.lease_left_us(now), own=False) is None:
            self._push(author, source)

    def _push(self, author: AuthorId, source: LinkId | None) -> None:
        for link in self._eager_links(author):
            if link != source:
                self.lanes[link].dirty[author] = None
                self.ready[link] = None

    def _eager_links(self, author: AuthorId) -> tuple[LinkId, ...]:
        """The links that ``author``'s vectors are pushed on, remembered until a link or its laziness changes."""
        eager = self._eager.get(author)
        if eager is None:
            eager = self._eager[author] = tuple(
                [link for link, lane in self.lanes.items() if lane.peer != author and author not in lane.lazy]
                if self.scope.whole or self.scope.carries(author)
                else ()
            )
        return eager

    # --- receiving ----------------------------------------------------------------------------------------------

    def receive(self, link: LinkId, message: Vector, now: Instant) -> list[Effect]:
        """One VECTOR; docs/protocol.md section 7.1, step by step."""
        lane = self.lanes[link]
        same = self.shelf.same(message.signed)
        if same is not None:
            # A relay that overstates an age must not make a value look older than an honest one shows it to be.
            same.made_at = min(same.got_at, max(same.made_at, now - message.age_ms * MS))
            self._superfluous(link, lane, same, now)
            return [Drop(link, Reason.DUPLICATE)]
        try:
            record = decode_vector(self._mesh_id, message.signed)
        except RemoteProtocolError as fault:
            if fault.reason in _KEPT_LINK:
                return [Drop(link, fault.reason)]
            return [Drop(link, fault.reason, str(fault)), Disconnect(link, fault.close_code, fault.reason)]
        if record.author == self._author:
            return self._own_record(link, record, message, now)
        if (record.rotation, record.boot, record.seq) <= self.shelf.mark(record.author):
            held = self.shelf.get(record.author)
            if held is not None:
                self._superfluous(link, lane, held, now)
            return [Drop(link, Reason.SUPERSEDED)]
        stale = self._stale(record, message.age_ms, now)
        if stale is not None:
            return [Drop(link, stale)]
        state = self.keys.get(record.author)
        if state is None or state.rotation < record.rotation:
            return self._hold(link, lane, Pending(record, message, now, now), now)
        if record.rotation < state.rotation:
            return [Drop(link, Reason.STALE_KEY_STATE)]
        return self._accept(link, lane, record, message, state.key, now)

    def _accept(
        self, link: LinkId, lane: Lane, record: VectorRecord, message: Vector, key: bytes, now: Instant
    ) -> list[Effect]:
        if not lane.spend(now, self._config.verify_per_second, self._config.verify_burst):
            return [Drop(link, Reason.VERIFY_BUDGET)]
        self.verified += 1
        if not self._verify(key, message.signed, message.signature):
            return [Drop(link, Reason.BAD_SIGNATURE), Disconnect(link, CloseCode.SIGNATURE, Reason.BAD_SIGNATURE)]
        author = record.author
        age_us = message.age_ms * MS
        refusal = self._gate("keep", record, record.lease_ms * MS - age_us, own=False)
        if refusal is not None:
            return [Drop(link, refusal)]
        held = Held(record, message.signed, message.signature, now - age_us, link, now)
        old = self.shelf.get(author)
        effects: list[Effect] = []
        if old is None:
            if not self.shelf.room_for(author) and not self._make_room(link, now, own=lane.peer == author):
                return [Drop(link, Reason.AUTHOR_LIMIT)]
            if not self.shelf.tag_is_free(author):
                return [Drop(link, Reason.AUTHOR_LIMIT, "tag")]
        self.shelf.put(held)
        if old is None or old.record.rotation != record.rotation:
            used = self.keys.use(author)
            if used is not None:
                effects.append(StoreKeyState(used.author, used.encoded))
        if lane.keys.get(author) != record.rotation:
            lane.learn_key(author, record.rotation)
        if author in lane.dirty:
            del lane.dirty[author]
        self._pass_on(held, link, now)
        effects.append(Emit(ValueShown(author, record.boot, record.seq)))
        return effects

    def _superfluous(self, link: LinkId, lane: Lane, held: Held, now: Instant) -> None:
        """R44: this link brings what another brought already."""
        author = held.record.author
        if held.source == link or author == self._author:  # our own comes back to show us how far we were
            return
        lost = held.source is not None and held.source not in self.lanes
        if lost or now - lane.grafted.get(author, _NEVER) < PRUNE_AGAIN_US:
            held.source = link  # its source is gone, or we have just asked this link to be the source
            return
        if lane.peer == author and held.source is not None:
            self._prune(held.source, author, now)
            held.source = link
        elif now - lane.lazy.get(author, _NEVER) >= PRUNE_AGAIN_US:
            self._prune(link, author, now)

    def _prune(self, link: LinkId, author: AuthorId, now: Instant) -> None:
        lane = self.lanes.get(link)
        if lane is not None:
            tag = author[: limits.TAG_AUTHOR_BYTES]
            lane.lazy[author] = now
            self._eager.pop(author, None)
            lane.dirty.pop(author, None)
            lane.grafts.pop(tag, None)
            lane.prunes[tag] = None
            self.ready[link] = None

    def _graft(self, link: LinkId, tag: bytes, now: Instant) -> None:
        lane = self.lanes[link]
        lane.prunes.pop(tag, None)
        if len(lane.grafts) < limits.TAGS_MAX:
            lane.grafts[tag] = None
            author = self.shelf.author_of(tag)
            if author is not None:
                lane.lazy.pop(author, None)
                self._eager.pop(author, None)
                lane.grafted[author] = now
            self.ready[link] = None

    def _stale(self, record: VectorRecord, age_ms: int, now: Instant) -> Reason | None:
        if age_ms >= record.lease_ms:
            return Reason.LEASE_EXPIRED
        if self.utc_offset_ms is None or record.hlc == 0:
            return None
        ahead_ms = hlc_utc_ms(record.hlc) - (now // MS + self.utc_offset_ms)
        if ahead_ms > limits.FUTURE_MS_MAX:
            return Reason.FROM_THE_FUTURE
        if ahead_ms + record.lease_ms + limits.LEASE_SLACK_MS < 0:
            return Reason.LEASE_EXPIRED
        return None

    def _own_record(self, link: LinkId, record: VectorRecord, message: Vector, now: Instant) -> list[Effect]:
        """R40: somebody shows us ourselves; if it is from our future we go on above it."""
        effects: list[Effect] = [Drop(link, Reason.OWN_RECORD)]
        state = self.keys.get(self._author)
        made = max((self.boot, 0), self.shelf.mark(self._author)[1:])
        if state is None or record.rotation != state.rotation or (record.boot, record.seq) <= made:
            return effects
        if not self._verify(state.key, message.signed, message.signature):
            return [Drop(link, Reason.BAD_SIGNATURE), Disconnect(link, CloseCode.SIGNATURE, Reason.BAD_SIGNATURE)]
        return effects + self.overtake(record.boot, now)

    def overtake(self, boot: int, now: Instant) -> list[Effect]:
        """R40: go on above a boot of ours that somebody has shown; a poisoned maximum is cured by rotation."""
        if boot >= limits.COUNTER_MAX or now < self._overtake_at:
            return []
        self._overtake_at = now + limits.OVERTAKE_US
        self.boot = boot + 1
        return [StoreBoot(self.boot)]

    # --- keys ---------------------------------------------------------------------------------------------------

    def _hold(self, link: LinkId, lane: Lane, pending: Pending, now: Instant) -> list[Effect]:
        if not lane.hold(pending):
            return [Drop(link, Reason.PENDING_LIMIT)]
        lane.want(pending.record.author, now)
        self.ready[link] = None
        if self._pending_armed:
            return []
        self._pending_armed = True
        return [SetTimer(PENDING_TIMER, now + limits.PENDING_US)]

    def pending_timer(self, now: Instant) -> list[Effect]:
        """Drop what has waited for a key for two seconds; come back for the rest."""
        effects: list[Effect] = []
        earliest: Instant | None = None
        for link, lane in self.lanes.items():
            for author, pending in list(lane.pending.items()):
                if now - pending.at >= limits.PENDING_US:
                    del lane.pending[author]
                    effects.append(Drop(link, Reason.UNKNOWN_AUTHOR))
                elif earliest is None or pending.at < earliest:
                    earliest = pending.at
        self._pending_armed = earliest is not None
        if earliest is not None:
            effects.append(SetTimer(PENDING_TIMER, earliest + limits.PENDING_US))
        return effects

    def receive_keys(self, link: LinkId, message: Keys, now: Instant) -> list[Effect]:
        """One KEYS: learn it, then try what waited for it, the highest number first."""
        lane = self.lanes[link]
        checks = 1 + len(message.key_state) // KEY_RECORD_BYTES
        if not lane.spend(now, self._config.verify_per_second, self._config.verify_burst, checks):
            return [Drop(link, Reason.VERIFY_BUDGET)]
        try:
            learnt = self.keys.learn(message.key_state, link)
        except RemoteProtocolError as fault:
            effects: list[Effect] = [Drop(link, fault.reason, str(fault))]
            if fault.reason is not Reason.AUTHOR_LIMIT:
                effects.append(Disconnect(link, fault.close_code, fault.reason))
            return effects
        state = learnt.current
        lane.learn_key(state.author, learnt.given.rotation)
        lane.asked.pop(state.author, None)
        if not learnt.news:
            return []
        effects = []
        waiting = [
            (lane.pending[state.author], link) for link, lane in self.lanes.items() if state.author in lane.pending
        ]
        waiting.sort(key=lambda entry: entry[0].record.number, reverse=True)
        for pending, source in waiting:
            if pending.record.rotation <= state.rotation:
                del self.lanes[source].pending[state.author]
                age_ms = min(limits.AGE_MS_MAX, pending.message.age_ms + (now - pending.got_at) // MS)
                again = Vector(pending.message.signed, pending.message.signature, age_ms)
                effects.extend(self.receive(source, again, now))
        return effects

    def receive_want(self, link: LinkId, message: WantKeys, now: Instant) -> None:
        """One WANT_KEYS: answer with what we hold, at most once a second for each author."""
        lane = self.lanes[link]
        for author in message.authors:
            if len(lane.answers) >= limits.WANTED_KEYS_MAX or len(lane.answered) >= limits.KEYS_REMEMBERED_MAX:
                return
            if author not in lane.answered and self.keys.get(author) is not None:
                lane.answered[author] = now
                lane.answers[author] = None
                self.ready[link] = None

    def want_keys(self, link: LinkId, author: AuthorId, now: Instant) -> None:
        """Ask the other end of ``link`` for an author's keys, at most once a second."""
        lane = self.lanes.get(link)
        if lane is not None:
            lane.want(author, now)
            self.ready[link] = None

    def keys_first(self, link: LinkId, author: AuthorId) -> None:
        """Something signed by ``author`` is about to leave on ``link``: the keys go before it, unless it has them."""
        lane, state = self.lanes.get(link), self.keys.get(author)
        if lane is not None and state is not None and lane.keys.get(author, -1) < state.rotation:
            lane.answers[author] = None

    def release_keys(self, author: AuthorId) -> None:
        """No durable event needs the author's keys any more."""
        self.keys.release(author)
        if self.shelf.get(author) is None and not self._linked(author):
            self.keys.forget(author)

    # --- eager and lazy -----------------------------------------------------------------------------------------

    def receive_prune(self, link: LinkId, message: Prune) -> None:
        """R45: stop pushing these authors here."""
        lane = self.lanes[link]
        for tag in message.tags:
            author = self.shelf.author_of(tag)
            if author is not None:
                lane.lazy.setdefault(author, _NEVER)
                self._eager.pop(author, None)
                lane.dirty.pop(author, None)

    def receive_graft(self, link: LinkId, message: Graft) -> None:
        """R45: push these authors here again, the newest at once."""
        lane = self.lanes[link]
        for tag in message.tags:
            author = self.shelf.author_of(tag)
            if author is not None and author != lane.peer:
                lane.lazy.pop(author, None)
                self._eager.pop(author, None)
                lane.dirty[author] = None  # due at once, or a spacing after the last: a peer cannot draw more than that
                self.ready[link] = None

    def receive_digest(self, link: LinkId, message: Digest, now: Instant) -> None:
        """R47: notice that we are behind, and ask if it lasts longer than a cadence."""
        lane = self.lanes[link]
        for entry in message.entries:
            author = self.shelf.author_of(entry.tag)
            if author is None:
                if entry.tag != self._author[: limits.TAG_AUTHOR_BYTES]:
                    self._graft(link, entry.tag, now)
                continue
            number = (entry.rotation, entry.boot, entry.seq)
            held = self.shelf.get(author)
            assert held is not None
            offer = lane.offers.get(author)
            if offer is None:
                lane.offers[author] = Offer(number, now)
            elif self.shelf.mark(author) >= offer.number:
                offer.number, offer.since = number, now
            elif now - offer.since >= held.record.cadence_ms * MS:
                lane.offers[author] = Offer(number, now)
                self._graft(link, entry.tag, now)

    # --- time ---------------------------------------------------------------------------------------------------

    def tick(self, now: Instant) -> list[Effect]:
        """Once a second: end leases, look who is covered, make digests due."""
        self._expire(now)
        utc_ms = None if self.utc_offset_ms is None else now // MS + self.utc_offset_ms
        if self.scope.look(self.shelf, utc_ms, now):
            self._eager.clear()
        for link, lane in self.lanes.items():
            lane.sweep(now)
            if lane.lazy:
                if lane.digest_due:  # nothing has left for a second that it could have gone with
                    self.ready[link] = None
                lane.digest_due = True
        return []

    def _linked(self, author: AuthorId) -> bool:
        return author == self._author or author in self._peers.values()

    def collect(self, link: LinkId, room: int, now: Instant) -> tuple[list[Message], Instant | None]:
        """What may leave on a writable link now, within ``room`` bytes, and when more falls due (None: on news)."""
        return self._outflow.collect(self.lanes[link], room, now)
