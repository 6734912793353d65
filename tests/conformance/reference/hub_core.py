"""What a hub does with what it hears: sections 4.3, 6 and 7 of docs/protocol.md, without sockets or threads.

The owner calls ``up``, ``hear``, ``down`` and ``tick`` one at a time with the seconds now, then sends every link's
``outbox`` and closes those with a ``bye``. Each removable check asks ``Mutation.X in self.mutations``.
"""

from __future__ import annotations

from typing import Final

from tests.conformance.reference.codec import Refused
from tests.conformance.reference.crypto import blake, verify
from tests.conformance.reference.hub_probes import Probes
from tests.conformance.reference.hub_state import Held, Link, Pending
from tests.conformance.reference.keystates import KeyState, decode_key_state
from tests.conformance.reference.meetings import Meet, MeetConfirm, MeetReveal
from tests.conformance.reference.messages import (
    Bye,
    Clock,
    Digest,
    ForwardJoin,
    Graft,
    Hello,
    Join,
    Joining,
    Keys,
    Message,
    Nack,
    Neighbor,
    NeighborAnswer,
    Neighbors,
    PeerRecord,
    Peers,
    Ping,
    PingReq,
    Pong,
    ProbeAck,
    Prune,
    Refute,
    Shuffle,
    ShuffleAnswer,
    Suspect,
    VectorMessage,
    WantKeys,
    decode_frame,
)
from tests.conformance.reference.mutations import Mutation
from tests.conformance.reference.records import (
    MAY_RELAY,
    Addresses,
    Ignored,
    Number,
    Vector,
    decode_addresses,
    decode_vector,
)
from tests.conformance.reference.weather import utc_ms

DUPLICATE, PROTOCOL, SIGNATURE, TIMEOUT = 1, 3, 4, 5
DUPLICATE_SECONDS: Final = 3.0
PENDING_SECONDS: Final = 2.0
PENDING_PER_LINK: Final = 64
KEYS_MAX: Final = 4_096
LEASE_SLACK_MS: Final = 5_000
FUTURE_MS: Final = 120_000
AGE_MS_MAX: Final = 120_000
RECORDS_MAX: Final = 64


class Core(Probes):
    """One hub; :class:`Outflow` sends, :class:`Frontiers` keeps events, :class:`Probes` looks after neighbors."""

    def up(self, number: int, peer: KeyState, *, dialled: bool, now: float) -> None:
        """A handshake has ended."""
        initiator = self.identity.author if dialled else peer.author
        link = Link(number, peer, initiator, now, now, now)
        twin = next((other for other in self.links.values() if other.open and other.peer.author == peer.author), None)
        self.links[number] = link
        self.learn(link, peer)
        link.carried[self.identity.author] = self.identity.rotation
        link.outbox.append(Hello(self.boot, self.addresses_record(), "reference"))
        if peer.rotation < self.keys[peer.author].rotation and Mutation.SUPERSEDED_LINK not in self.mutations:
            link.bye = SIGNATURE
            return
        if twin is not None and Mutation.BOTH_LINKS not in self.mutations:
            loser = self._loser(twin, link)
            loser.bye = DUPLICATE
        for author in self.held:
            if author != peer.author:
                link.waiting[author] = None

    def _loser(self, older: Link, newer: Link) -> Link:
        if Mutation.OLDER_LINK in self.mutations:
            return newer
        if newer.up_at - older.up_at < DUPLICATE_SECONDS and older.initiator != newer.initiator:
            return max(older, newer, key=lambda link: link.initiator)
        return older

    def hear(self, link: Link, plaintext: bytes, now: float) -> None:
        """A frame has come."""
        link.heard_at = now
        link.late_ms = 0
        self.spoke(link)
        try:
            messages = decode_frame(plaintext, self.mutations)
        except Refused:
            link.bye = PROTOCOL
            return
        for message in messages:
            if not link.open:
                return
            self._on_message(link, message, now)

    def _on_message(self, link: Link, message: Message, now: float) -> None:  # noqa: C901 - one line for each kind
        if isinstance(message, Hello):
            self._on_hello(link, message, now)
            return
        if not link.greeted and Mutation.BEFORE_HELLO not in self.mutations:
            link.bye = PROTOCOL
            return
        match message:
            case Bye():
                link.bye = 0
            case Clock(sent_ms):
                self._on_clock(link, sent_ms, now)
            case Ping(token):
                if Mutation.NO_PONG not in self.mutations:
                    link.outbox.append(Pong(token))
            case Keys(encoded):
                self._on_keys(link, encoded, now)
            case WantKeys(authors):
                self._on_want_keys(link, authors)
            case VectorMessage():
                self._on_vector(link, message, now)
            case Digest(entries):
                self._on_digest(link, entries, now)
            case Prune(tags):
                link.lazy.update(dict.fromkeys(tags))
            case Graft(tags):
                self._on_graft(link, tags, now)
            case Neighbors(authors):
                link.neighbors = authors
            case PingReq() | ProbeAck() | Nack() | Suspect() | Refute():
                self.on_probe(link, message, now)
            case Meet() | MeetReveal() | MeetConfirm():
                if Mutation.MEETS_ALONE in self.mutations:
                    link.outbox.append(MeetReveal(bytes(32)))
            case Join() | ForwardJoin() | Neighbor() | NeighborAnswer() | Shuffle() | ShuffleAnswer():
                self._on_joining(link, message)
            case Peers(records):
                for key_state, signed, signature in records:
                    self._on_addresses(link, signed, signature, key_state)
            case _:
                self.on_lasting(link, message, now)

    def _on_joining(self, link: Link, message: Joining) -> None:
        match message:
            case Join() | Neighbor():
                left_out = Mutation.NO_JOIN_ANSWER if isinstance(message, Join) else Mutation.NO_NEIGHBOR_ANSWER
                if left_out not in self.mutations:
                    link.outbox.append(NeighborAnswer(True))
            case ForwardJoin(_, peer):
                self._on_walk(link, (peer,))
            case Shuffle(_, origin, peers):
                self._on_walk(link, (origin, *peers))
                self._end_shuffle(link, origin)
            case ShuffleAnswer(_, peers):
                self._on_walk(link, peers)
            case NeighborAnswer():
                return

    def _on_walk(self, link: Link, records: tuple[PeerRecord, ...]) -> None:
        """Records that a walk or a shuffle names (R54)."""
        if Mutation.UNCHECKED_WALKS not in self.mutations:
            for key_state, signed, signature in records:
                self._on_addresses(link, signed, signature, key_state)

    def _end_shuffle(self, link: Link, first: PeerRecord) -> None:
        """Every walk ends here: name others in return, if any are known (R53)."""
        if link.bye is not None or Mutation.NO_SHUFFLE_ANSWER in self.mutations:
            return
        try:
            origin = decode_key_state(first[0], self.mesh.mesh_id, self.mutations).author
        except Refused:
            return  # a hub that does not check does not know whom to answer
        named = tuple(record for who, record in self.records.items() if who not in (origin, link.peer.author))
        if named:
            link.outbox.append(ShuffleAnswer(origin, named[-8:]))

    def _on_hello(self, link: Link, message: Hello, now: float) -> None:
        if link.greeted and Mutation.SECOND_HELLO not in self.mutations:
            link.bye = PROTOCOL
            return
        link.greeted = True
        self._on_clock(link, 0, now)
        if message.addresses is not None:
            self._on_addresses(link, *message.addresses, link.peer.encoded)
        self.open_talk(link, now)

    def _on_addresses(self, link: Link, signed: bytes, signature: bytes, encoded: bytes) -> None:
        try:
            state = decode_key_state(encoded, self.mesh.mesh_id, self.mutations)
            record = decode_addresses(signed, self.mesh.mesh_id, self.mutations)
            if (record.author, record.rotation) != (state.author, state.rotation):
                raise Refused("addresses of another author or rotation")
            good = verify(state.key, signed, signature, self.mutations)
            if not good and Mutation.UNCHECKED_ADDRESSES not in self.mutations:
                raise Refused("addresses with a wrong signature")
        except Refused:
            link.bye = PROTOCOL
            return
        self.records.pop(record.author, None)
        self.records[record.author] = (encoded, signed, signature)
        if len(self.records) > RECORDS_MAX:
            del self.records[next(iter(self.records))]
        self._may_dial(record)

    def _may_dial(self, record: Addresses) -> None:
        linked = any(link.open and link.peer.author == record.author for link in self.links.values())
        if not linked and record.author != self.identity.author and len(self.dials) < 16:
            self.dials.extend((host, port, record.author) for host, port in record.addresses)

    def _on_keys(self, link: Link, encoded: bytes, now: float) -> None:
        try:
            state = decode_key_state(encoded, self.mesh.mesh_id, self.mutations)
        except Refused:
            if Mutation.BAD_KEYS_KEPT not in self.mutations:
                link.bye = PROTOCOL
            return
        self.learn(link, state)
        self._try_pending(state.author, now)
        self.look_again(state.author)

    def learn(self, link: Link, state: KeyState) -> None:
        """Take a valid key state that ``link`` has carried (R23)."""
        link.carried[state.author] = max(state.rotation, link.carried.get(state.author, 0))
        known = self.keys.get(state.author)
        if known is None and len(self.keys) >= KEYS_MAX:
            return
        if known is None or state.rotation > known.rotation or Mutation.ROLLED_BACK in self.mutations:
            self.keys[state.author] = state
            self._close_superseded(state)

    def _close_superseded(self, state: KeyState) -> None:
        """R48, for links that were up before the higher rotation was heard of."""
        for link in self.links.values():
            lower = link.peer.author == state.author and link.peer.rotation < state.rotation
            if link.open and lower and Mutation.SUPERSEDED_LINK not in self.mutations:
                link.bye = SIGNATURE

    def _on_want_keys(self, link: Link, authors: tuple[bytes, ...]) -> None:
        if Mutation.NO_KEYS_ANSWER in self.mutations:
            return
        for author in authors:
            if author in self.keys:
                self.send_keys(link, self.keys[author])

    def _on_clock(self, link: Link, sent_ms: int, now: float) -> None:
        """R75."""
        ahead = now - sent_ms / 1_000
        base = ahead if link.base is None else link.base + (now - link.base_at) / 1_000
        if link.base is None or ahead <= base:
            link.base, link.base_at = ahead, now
        if Mutation.LATENESS_IS_NOTHING not in self.mutations:
            link.late_ms = max(0, int((ahead - base) * 1_000) - 1)

    def _on_vector(self, link: Link, message: VectorMessage, now: float) -> None:
        message = VectorMessage(message.signed, message.signature, min(message.age_ms + link.late_ms, AGE_MS_MAX))
        author = self.names.get(blake(message.signed))
        if author is not None and Mutation.RELAYED_TWICE not in self.mutations:
            checks = Mutation.DUPLICATES_VERIFIED in self.mutations
            if checks and not verify(self.keys[author].key, message.signed, message.signature):
                link.bye = SIGNATURE
            self._on_duplicate(link, author)
            return
        try:
            vector = decode_vector(message.signed, self.mesh.mesh_id, self.mutations)
        except Ignored:
            return
        except Refused:
            if Mutation.BAD_VECTOR_KEPT not in self.mutations:
                link.bye = PROTOCOL
            return
        if vector.author == self.identity.author:
            self._on_own(vector, message)
            return
        if not self._is_new(vector):
            if vector.author in self.held:
                self._on_duplicate(link, vector.author)
            return
        if not self._is_due(vector, message):
            return
        pending = Pending(vector, message.signed, message.signature, message.age_ms, now)
        state = self.keys.get(vector.author)
        if state is None or state.rotation < vector.rotation:
            self._pend(link, pending)
        elif state.rotation == vector.rotation or Mutation.OLD_ROTATION in self.mutations:
            self._judge(link, pending, state)

    def _on_own(self, vector: Vector, message: VectorMessage) -> None:
        """R40: a copy of us has been further than we are."""
        own = self.keys[self.identity.author]
        further = (vector.boot, vector.seq) > (self.boot, self.seq) and vector.rotation == own.rotation
        if further and verify(own.key, message.signed, message.signature):
            self.boot = vector.boot + 1

    def _is_new(self, vector: Vector) -> bool:
        """R34."""
        held = self.held.get(vector.author)
        floor = max(held.vector.number if held else (0, 0, 0), self.poisoned.get(vector.author, (0, 0, 0)))
        twice = Mutation.RELAYED_TWICE in self.mutations and floor == vector.number
        return vector.number > floor or Mutation.LOWER_NUMBERS in self.mutations or twice

    def _is_due(self, vector: Vector, message: VectorMessage) -> bool:
        """R35."""
        if message.age_ms >= vector.lease_ms and Mutation.ANY_AGE not in self.mutations:
            return False
        stamp = vector.hlc >> 16
        return not stamp or stamp - FUTURE_MS <= utc_ms() <= stamp + vector.lease_ms + LEASE_SLACK_MS

    def _pend(self, link: Link, pending: Pending) -> None:
        """R36."""
        author = pending.vector.author
        others = link.pending.get(author, [])
        endless = Mutation.PENDING_WITHOUT_END in self.mutations
        if not others and len(link.pending) >= PENDING_PER_LINK and not endless:
            return
        if others and pending.vector.number <= others[0].vector.number:
            return
        link.pending[author] = [pending]
        if Mutation.PENDING_RENEWED in self.mutations:
            for waiting in link.pending.values():
                waiting[0].at = pending.at
        if Mutation.KEYS_NOT_WANTED not in self.mutations:
            link.outbox.append(WantKeys((author,)))
        if Mutation.RELAYS_UNVERIFIED in self.mutations:
            self._relay_anyway(link, pending)

    def _try_pending(self, author: bytes, now: float) -> None:
        state = self.keys[author]
        waiting = [(link, each) for link in self.links.values() for each in link.pending.get(author, [])]
        waiting.sort(key=lambda pair: pair[1].vector.number, reverse=True)
        for link, pending in waiting:
            if pending.vector.rotation > state.rotation:
                continue
            link.pending.pop(author, None)
            held = self.held.get(author)
            newer = held is None or pending.vector.number > held.vector.number
            if link.open and newer and pending.vector.rotation == state.rotation:
                good = self._judge(link, pending, state)
                if not good and Mutation.FORGERY_ENDS_PENDING in self.mutations:
                    for other in self.links.values():
                        other.pending.pop(author, None)
                    return

    def _judge(self, link: Link, pending: Pending, state: KeyState) -> bool:
        """R37: a vector that is due meets the keys it needs. Nothing has changed if the answer is False."""
        old = Mutation.OLD_ROTATION in self.mutations and pending.vector.rotation < state.rotation
        if not old and not verify(state.key, pending.signed, pending.signature, self.mutations):
            if Mutation.FORGER_KEPT not in self.mutations:
                link.bye = SIGNATURE
            if Mutation.SILENCED_BY_FORGERY in self.mutations:
                self.poisoned[pending.vector.author] = pending.vector.number
            if Mutation.RELAYS_UNVERIFIED in self.mutations:
                self._relay_anyway(link, pending)
            return False
        self._accept(link, pending)
        return True

    def _accept(self, link: Link, pending: Pending) -> None:
        author = pending.vector.author
        before = self.held.get(author)
        if before is not None:
            self.names.pop(blake(before.signed), None)
        held = Held(pending.vector, pending.signed, pending.signature, pending.age_ms, pending.at, link.number)
        self.held[author] = held
        self.names[blake(held.signed)] = author
        for other in self.links.values():
            other.behind.pop(author[:8], None)
            if other is not link and other.peer.author != author:
                other.waiting[author] = None

    def _relay_anyway(self, link: Link, pending: Pending) -> None:
        for other in self.links.values():
            if other is not link and other.open:
                other.outbox.append(VectorMessage(pending.signed, pending.signature, pending.age_ms))

    def _on_duplicate(self, link: Link, author: bytes) -> None:
        """R44."""
        held = self.held[author]
        if link.number == held.source or Mutation.NO_PRUNE in self.mutations:
            return
        pruned: Link | None = link
        if link.peer.author == author and Mutation.PRUNES_THE_AUTHOR not in self.mutations:
            pruned = self.links.get(held.source) if held.source is not None else None
            held.source = link.number
        if pruned is not None and pruned.open:
            pruned.lazy[author[:8]] = None
            pruned.outbox.append(Prune((author[:8],)))

    def _on_digest(self, link: Link, entries: tuple[tuple[bytes, int, int, int], ...], now: float) -> None:
        """R47, first half."""
        if Mutation.NO_GRAFT in self.mutations:
            return
        unknown: dict[bytes, None] = {}
        for tag, *number in entries:
            held = self.held_by_tag(tag)
            told: Number = (number[0], number[1], number[2])
            if tag == self.identity.tag:
                continue
            if held is None:
                unknown[tag] = None
            elif told > held.vector.number:
                since = link.behind[tag][1] if tag in link.behind else now
                link.behind[tag] = (told, since)
        if unknown:
            link.outbox.append(Graft(tuple(unknown)))

    def _on_graft(self, link: Link, tags: tuple[bytes, ...], now: float) -> None:
        for tag in tags:
            link.lazy.pop(tag, None)
            held = self.held_by_tag(tag)
            if held is not None and Mutation.IGNORES_GRAFT not in self.mutations:
                link.left_at.pop(held.vector.author, None)
                link.waiting[held.vector.author] = None
        self.push(link, now)

    def down(self, link: Link) -> None:
        """A link has gone; what came by it is asked for on another (R47, second half)."""
        self.links.pop(link.number, None)
        if Mutation.NO_GRAFT_ON_LOSS in self.mutations:
            return
        lost = [author for author, held in self.held.items() if held.source == link.number]
        for author in lost:
            self.held[author].source = None
            other = next((each for each in self.links.values() if each.open and each.greeted), None)
            if other is not None and self.held[author].vector.terms & MAY_RELAY:
                other.outbox.append(Graft((author[:8],)))

    def tick(self, now: float) -> None:
        """Time has passed; to be called every few tens of milliseconds."""
        self.publish(now)
        self.nack_due(now)
        self.graft_due(now)
        for link in self.links.values():
            if not link.open:
                continue
            self._age_pending(link, now)
            self._graft_behind(link, now)
            self.digest(link, now)
            self.push(link, now)
            self.beat(link, now)

    def _age_pending(self, link: Link, now: float) -> None:
        if Mutation.PENDING_FOR_EVER in self.mutations:
            return
        for author, waiting in list(link.pending.items()):
            if now - waiting[0].at >= PENDING_SECONDS:
                del link.pending[author]

    def _graft_behind(self, link: Link, now: float) -> None:
        for tag, (told, since) in list(link.behind.items()):
            held = self.held_by_tag(tag)
            if held is None or held.vector.number >= told:
                del link.behind[tag]
            elif now - since > held.vector.cadence_ms / 1_000:
                del link.behind[tag]
                link.outbox.append(Graft((tag,)))
