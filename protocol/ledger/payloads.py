"""Payloads that are wanted: gathered in chunks from several neighbors at once, and passed on while they come.

Sources: Cohen 2003 (BitTorrent) for parts from whoever has them; super-seeding (BEP 16) for a source that gives each
neighbor another part; BLAKE3's Bao for parts that can be checked one by one. Deviation: nobody says what it has.
Of a payload whose author is a neighbor, each chunk has one owner among the author's neighbors, whom all of them know
(R40's NEIGHBORS): the owner asks the author, everybody else asks the owner, who gives it as soon as it has it. Who has
no link to the author asks those who have; who knows none of those asks who showed it the event. So a payload leaves its
author's lines about once, however many want it, and takes as long as its part does. After a heal hundreds are wanted:
small ones are asked of the peer of whom the fewest bytes are awaited. A peer answers in order, and a slow line may owe
many answers: it stalls only if no answer at all comes from it, or one to a later question.
Invariants: at most ``gathered_bytes_max`` and one payload are held while they are gathered, and ``KEPT_BYTES_MAX``
after; each chunk is asked of one peer at a time; nothing is taken that was not asked for or is not what was signed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from protocol.clock import SECOND, Instant
from protocol.errors import Reason, RemoteProtocolError
from protocol.ids import AuthorId, EventId
from protocol.ledger.kept import Kept
from protocol.ledger.serving import SMALL_BYTES, Bucket
from protocol.ledger.values import LedgerConfig, Say
from protocol.limits import CHUNK_BYTES, CHUNKS_ASKED_MAX
from protocol.rng import Rng
from protocol.wire import parts
from protocol.wire.events import Chunk, EventRecord, Payload, WantPayload

LATER_US: Final = 60 * SECOND
"""After everybody has said that it is not there, at most; a second at first."""
PAUSE_US: Final = SECOND // 16
"""After as much was asked for as a peer gives in a while."""
LONG_AGO: Final[Instant] = -(1 << 62)
NEVER: Final[Instant] = 1 << 62
STALLS_MAX: Final = 4
"""Doublings of the time in which an answer is expected: 48 s at most."""
OWED_US: Final = 30 * SECOND
"""So long a peer may bring other things before what it was asked for: four windows of large payloads at 20 kB/s."""
PATIENCE_US: Final = 10 * SECOND
"""And so long if it may have to wait for that itself."""
NEAR_BYTES: Final = 16 * CHUNK_BYTES
"""So much more may be awaited of the author, or of who has shown the event, than of others: it need not be found out
whether they have it."""
HEDGE_US: Final = SECOND * 2 // 5
"""After so long without anything an idle neighbor is asked for the same (hedged requests, Dean and Barroso 2013)."""
AGAIN_MAX: Final = 4
"""Of what nobody had so many are asked for at once: what can be had must not wait for what cannot."""
LOOKED_AT: Final = 128
"""Chunks that are looked through for what to ask next."""
STRIPES: Final = 16
"""Into so many runs of chunks a payload is divided among the owners, if it has as many."""

Neighbors = Callable[[AuthorId], tuple[AuthorId, ...]]
"""Port: whom a neighbor has named as its own neighbors."""


_Sort = tuple[bool, bool]
"""Whether a payload is small, and whether nobody had it when it was asked for."""


@dataclass(slots=True)  # state: changes in place
class _Want:
    event: EventRecord
    shown: AuthorId | None  # who brought the event
    offered: bool = False  # its author gives us unasked what we own
    hint: AuthorId | None = None  # who may have everything
    not_before: Instant = 0
    stalls: int = 0  # how often nobody answered in time
    absent: int = 0  # how often nobody had it


@dataclass(slots=True)  # state: changes in place
class _Line:
    """When a peer last answered, and when it was asked what it has answered, of small payloads (True) and of others."""

    heard: Instant
    answered: dict[bool, Instant] = field(default_factory=dict)


@dataclass(slots=True)  # state: changes in place
class _Ask:
    """What one peer is to bring of one payload."""

    patient: bool
    at: Instant  # when it was asked, or brought something
    asked_at: Instant
    waiting: dict[int, None] = field(default_factory=dict)
    hedged: bool = False


@dataclass(slots=True)  # state: changes in place
class _Assembly:
    want: _Want
    todo: dict[int, None]  # neither here nor asked for
    chunks: dict[int, Chunk] = field(default_factory=dict)
    asks: dict[AuthorId, _Ask] = field(default_factory=dict)
    asked: dict[AuthorId, dict[int, None]] = field(default_factory=dict)  # and has not brought: it may answer late
    lack: dict[AuthorId, bool] = field(default_factory=dict)  # who has said that it is not there (True), or stalled

    @property
    def count(self) -> int:
        return parts.chunk_count(self.want.event.payload_size)

    def unask(self, peer: AuthorId) -> None:
        """What ``peer`` has not brought is to be asked of others."""
        ask = self.asks.pop(peer, None)
        if ask is not None:
            elsewhere = {index: None for other in self.asks.values() for index in other.waiting}
            self.todo = dict.fromkeys((*(index for index in ask.waiting if index not in elsewhere), *self.todo))


def _is_small(want: _Want) -> bool:
    return want.event.payload_size <= SMALL_BYTES


def _sort(want: _Want) -> _Sort:
    return _is_small(want), want.absent > 0


@dataclass(slots=True)  # state: changes in place
class _Queue:
    """What is wanted of one sort; nothing of it may begin before ``begin_at``, so that it is not looked through."""

    wanted: dict[EventId, _Want] = field(default_factory=dict)
    begin_at: Instant = NEVER


class Gathering:
    """``peers`` are those who can be asked now, in the order in which they came; ``kept`` takes what is complete."""

    def __init__(self, own: AuthorId, config: LedgerConfig, rng: Rng, neighbors: Neighbors, kept: Kept) -> None:
        self._own = own
        self._config = config
        self._rng = rng
        self._neighbors = neighbors
        self._kept = kept
        self.peers: dict[AuthorId, None] = {}
        sorts: tuple[_Sort, ...] = ((True, False), (False, False), (True, True), (False, True))
        self._queues = {sort: _Queue() for sort in sorts}
        self._active: dict[EventId, _Assembly] = {}
        self._lines: dict[AuthorId, _Line] = {}
        self._cancelled: list[Say] = []  # to those from whom nothing more is wanted
        self._soonest: Instant = NEVER  # no ask is late, or to be hedged, before
        self._pace = Bucket(max(1, config.pace_max * 3 // 32), max(1, config.pace_max // 16))

    def __len__(self) -> int:
        return sum(len(queue.wanted) for queue in self._queues.values()) + len(self._active)

    def __contains__(self, name: EventId) -> bool:
        return name in self._active or any(name in queue.wanted for queue in self._queues.values())

    @property
    def active(self) -> int:
        """How many are being gathered."""
        return len(self._active)

    def wanted(self) -> list[EventId]:
        """Everything that is wanted, what is being gathered first."""
        return [*self._active, *(name for queue in self._queues.values() for name in queue.wanted)]

    def chunk(self, name: EventId, index: int) -> Chunk | None:
        """A chunk of what is being gathered, if it has come."""
        assembly = self._active.get(name)
        return None if assembly is None else assembly.chunks.get(index)

    def want(self, event: EventRecord, shown: AuthorId | None, *, offered: bool = False) -> None:
        """Gather the payload of ``event``; ``shown`` is who brought the event, and ``offered`` says that it is its
        author, who gives us unasked what we own."""
        if event.id not in self:
            self._wait(_Want(event, shown, offered))

    def owned(self, event: EventRecord, peer: AuthorId) -> list[tuple[int, int]]:
        """What of a payload of our own ``peer`` is given unasked, as (first, count)."""
        count = parts.chunk_count(event.payload_size)
        owners = sorted(self._neighbors(self._own))
        if peer not in owners:
            return []
        indices = [
            at for at in range(min(count, LOOKED_AT)) if owners[_turn(event.id, at, count) % len(owners)] == peer
        ]
        return _joined(indices[:CHUNKS_ASKED_MAX])

    def _wait(self, want: _Want) -> None:
        queue = self._queues[_sort(want)]
        queue.wanted[want.event.id] = want
        queue.begin_at = min(queue.begin_at, want.not_before)

    def offered(self, peer: AuthorId) -> None:
        """``peer`` may have every payload that is wanted."""
        for queue in self._queues.values():
            for want in queue.wanted.values():
                want.hint, want.not_before = peer, 0
            if queue.wanted:
                queue.begin_at = 0

    def drop(self, name: EventId) -> None:
        """It is not wanted any more, or it is here."""
        for queue in self._queues.values():
            queue.wanted.pop(name, None)
        self._active.pop(name, None)

    def link_down(self, peer: AuthorId) -> None:
        """Nobody waits for ``peer`` any more; what it brought stays."""
        self.peers.pop(peer, None)
        self._lines.pop(peer, None)
        for assembly in self._active.values():
            if peer in assembly.asks:
                assembly.asks[peer].at = LONG_AGO
                self._soonest = LONG_AGO

    # --- asking ---------------------------------------------------------------------------------------------------

    def pump(self, now: Instant) -> list[Say]:
        """Begin what can be begun, and ask others where somebody has stalled."""
        said, self._cancelled = self._cancelled, []
        for name, assembly in list(self._active.items()) if now >= self._soonest else ():
            late = [peer for peer, ask in assembly.asks.items() if now >= self._stalls_at(peer, ask, assembly)]
            for peer in late:
                assembly.lack.setdefault(peer, False)
                assembly.unask(peer)
                if peer in self.peers:
                    said.append(_cancel(peer, name))
            if late:
                said += self._ask(name, assembly, now)
            if not _is_small(assembly.want):
                for ask in [ask for ask in assembly.asks.values() if not ask.hedged and now >= ask.at + HEDGE_US]:
                    said += self._hedge(name, assembly, ask, now)
        if now >= self._soonest:
            self._soonest = min(
                (self._due(peer, ask, each) for each in self._active.values() for peer, ask in each.asks.items()),
                default=NEVER,
            )
        if self.peers:
            for sort, queue in self._queues.items():
                room = self._room(sort) if now >= queue.begin_at else 0
                if room > 0:
                    said += self._begin(queue, room, now)
        return said

    def _begin(self, queue: _Queue, room: int, now: Instant) -> list[Say]:
        said: list[Say] = []
        begun, later = 0, NEVER
        queue.begin_at = NEVER  # until something is put back
        for name, want in list(queue.wanted.items()):
            if want.not_before > now:
                later = min(later, want.not_before)
            elif begun == room or self._is_full():
                later = now
                break
            elif not self._pace.take(1, now):
                later = now + PAUSE_US
                break
            else:
                begun += 1
                del queue.wanted[name]
                count = parts.chunk_count(want.event.payload_size)
                assembly = self._active[name] = _Assembly(want, dict.fromkeys(range(count)))
                said += self._ask(name, assembly, now)
        queue.begin_at = min(queue.begin_at, later)
        return said

    def _is_full(self) -> bool:
        """Whether as much is being gathered as may be held."""
        return sum(each.want.event.payload_size for each in self._active.values()) >= self._config.gathered_bytes_max

    def next_at(self) -> Instant | None:
        """When :meth:`pump` will have something to do, if nothing comes."""
        due = [self._soonest]
        if self.peers:
            due += [queue.begin_at for sort, queue in self._queues.items() if self._room(sort) > 0]
        return min((at for at in due if at < NEVER), default=None)

    def _stalls_at(self, peer: AuthorId, ask: _Ask, assembly: _Assembly) -> Instant:
        """Twice as long each time, or a slow line would carry nothing but answers that come too late. A neighbor that
        has to wait for it itself is given half of that: whoever it waits for has it sooner."""
        line, since = self._lines.get(peer), ask.at
        if ask.patient:
            since = since if line is None else max(since, min(line.heard, since + PATIENCE_US))
            return since + (self._config.stall_us << assembly.want.stalls)
        if line is not None and line.answered.get(_is_small(assembly.want), LONG_AGO) <= ask.asked_at:
            since = max(since, min(line.heard, since + OWED_US))
        return since + (self._config.stall_us << assembly.want.stalls)

    def _due(self, peer: AuthorId, ask: _Ask, assembly: _Assembly) -> Instant:
        stalls_at = self._stalls_at(peer, ask, assembly)
        return stalls_at if ask.hedged or _is_small(assembly.want) else min(stalls_at, ask.at + HEDGE_US)

    def _hedge(self, name: EventId, assembly: _Assembly, slow: _Ask, now: Instant) -> list[Say]:
        """Ask somebody with nothing else to do for the same, while the first may still bring it."""
        slow.hedged = True
        busy = {peer: None for each in self._active.values() for peer in each.asks}
        idle = [peer for peer in self.peers if peer not in assembly.lack and peer not in busy]
        if not idle:
            return []
        author = assembly.want.event.author
        peer = author if author in idle else self._rng.choice(idle)
        assembly.asks[peer] = _Ask(False, now, now, dict(slow.waiting), hedged=True)
        assembly.asked.setdefault(peer, {}).update(slow.waiting)
        return [Say(peer, WantPayload(name, first, count)) for first, count in _joined(sorted(slow.waiting))]

    def _room(self, sort: _Sort) -> int:
        """How many payloads of that sort may be begun."""
        if self._is_full():
            return 0
        small, again = sort
        alike = [each.want.absent > 0 for each in self._active.values() if _is_small(each.want) is small]
        room = (self._config.small_max if small else self._config.assemblies_max) - len(alike)
        return min(room, AGAIN_MAX - sum(alike)) if again else room

    def _ask(self, name: EventId, assembly: _Assembly, now: Instant) -> list[Say]:
        """Ask for what is neither here nor asked for, as far as anybody's window reaches."""
        ways = self._ways(assembly)
        if not ways:
            return [] if assembly.asks else self._ask_again(name, assembly, now)
        offered, assembly.want.offered = assembly.want.offered, False
        runs: dict[tuple[AuthorId, bool], list[int]] = {}
        for index in list(islice(assembly.todo, LOOKED_AT)):
            peer, patient, mine = ways[_turn(name, index, assembly.count) % len(ways)]
            ask = assembly.asks.get(peer)
            if ask is None:
                ask = assembly.asks[peer] = _Ask(patient, now, now)
                self._soonest = min(self._soonest, now + min(HEDGE_US, self._config.stall_us))
            if len(ask.waiting) < CHUNKS_ASKED_MAX:
                del assembly.todo[index]
                ask.waiting[index] = None
                ask.asked_at = now
                assembly.asked.setdefault(peer, {})[index] = None
                if not (offered and mine):
                    runs.setdefault((peer, patient), []).append(index)
        return [
            Say(peer, WantPayload(name, first, count, patient))
            for (peer, patient), indices in runs.items()
            for first, count in _joined(indices)
        ]

    def _ways(self, assembly: _Assembly) -> list[tuple[AuthorId, bool, bool]]:
        """Whom to ask, chunk by chunk in turn, whether to wait until they have it, and whether it is ours to ask the
        author for; see the head of this file.

        Nobody may wait for somebody who waits for it: owners are waited for, and an owner asks the author or, where the
        author itself has lost it, others without patience; who showed us an event has asked for its payload before, or
        it has lost the event since, so it is waited for only once.
        """
        able = {peer: None for peer in self.peers if peer not in assembly.lack}
        want = assembly.want
        if not able:
            return []
        author = want.event.author
        if not _is_small(want) and author != self._own:
            if author in able:
                owners = sorted(self._neighbors(author)) or [self._own]
                return [
                    (owner, True, False) if owner in able else (author, False, owner == self._own) for owner in owners
                ]
            near = [] if author in self.peers else sorted(peer for peer in able if author in self._neighbors(peer))
            if near:
                return [(peer, True, False) for peer in near]
        nearest = self._nearest(want, able)
        fresh = nearest == want.shown and author != self._own and not (assembly.lack or want.stalls or want.absent)
        return [(nearest, fresh and not _is_small(want), False)]

    def _nearest(self, want: _Want, peers: dict[AuthorId, None]) -> AuthorId:
        """Of whom the least is awaited."""
        awaited = dict.fromkeys(peers, 0)
        for assembly in self._active.values():
            for peer, ask in assembly.asks.items():
                if peer in awaited:
                    awaited[peer] += min(len(ask.waiting) * CHUNK_BYTES, assembly.want.event.payload_size)
        for near in dict.fromkeys((want.event.author, None if want.absent else want.shown, want.hint)):
            if near is not None and near in awaited:
                awaited[near] -= NEAR_BYTES
        least = min(awaited.values())
        return self._rng.choice([peer for peer, count in awaited.items() if count == least])

    def _ask_again(self, name: EventId, assembly: _Assembly, now: Instant) -> list[Say]:
        """Nobody is left: the same peers again if they have only been slow, or everybody later."""
        want = assembly.want
        slow = [peer for peer in self.peers if not assembly.lack.get(peer, False)]
        if slow and want.stalls < STALLS_MAX:
            want.stalls += 1
            assembly.lack = {peer: said for peer, said in assembly.lack.items() if said}
            return self._ask(name, assembly, now)
        del self._active[name]
        want.not_before = now + min(LATER_US, SECOND << min(want.absent, 6)) if self.peers else now
        want.stalls = min(want.stalls + 1, STALLS_MAX) if slow else want.stalls
        want.absent += 1
        want.hint = None
        self._wait(want)
        return []

    # --- receiving ------------------------------------------------------------------------------------------------

    def take(self, peer: AuthorId, chunk: Chunk, now: Instant) -> tuple[EventRecord, Payload] | list[Say] | Reason:
        """A chunk has come: the whole payload, or what to ask next, or why it is refused.

        Raises:
            RemoteProtocolError: ``PAYLOAD_MISMATCH``: this is not what the author signed.
        """
        assembly = self._active.get(chunk.event)
        if assembly is None or chunk.index not in assembly.asked.get(peer, ()):
            return Reason.PAYLOAD_UNWANTED
        ask = assembly.asks.get(peer)
        if chunk.data is None:
            if ask is None:
                return Reason.PAYLOAD_UNWANTED
            assembly.lack[peer] = True
            assembly.unask(peer)
            return self._ask(chunk.event, assembly, now)
        assembly.asked[peer].pop(chunk.index)
        if chunk.index in assembly.chunks:
            return Reason.PAYLOAD_UNWANTED
        if ask is not None and chunk.index in ask.waiting:
            line = self._lines.setdefault(peer, _Line(now))
            line.heard = now
            small = _is_small(assembly.want)
            line.answered[small] = max(ask.asked_at, line.answered.get(small, LONG_AGO))
        self._check(peer, assembly, chunk, chunk.data)
        assembly.chunks[chunk.index] = chunk
        assembly.todo.pop(chunk.index, None)
        for other, awaiting in list(assembly.asks.items()):
            awaiting.waiting.pop(chunk.index, None)
            if not awaiting.waiting:
                del assembly.asks[other]
        if ask is not None:
            ask.at = now
        if len(assembly.chunks) == assembly.count:
            return self._finish(assembly)
        if assembly.todo and (ask is None or len(ask.waiting) <= CHUNKS_ASKED_MAX // 2):
            return self._ask(chunk.event, assembly, now)
        return []

    def _check(self, peer: AuthorId, assembly: _Assembly, chunk: Chunk, data: bytes) -> None:
        event, count = assembly.want.event, assembly.count
        size = event.payload_size - chunk.index * CHUNK_BYTES if chunk.index == count - 1 else CHUNK_BYTES
        hashed = parts.leaf(chunk.salt, data)
        if len(data) == size and parts.root(hashed, chunk.index, count, chunk.proof) == event.payload_hash:
            return
        assembly.lack[peer] = True
        if peer in assembly.asks:
            assembly.asks[peer].at = self._soonest = LONG_AGO  # the next pump asks somebody else
        raise RemoteProtocolError(Reason.PAYLOAD_MISMATCH, "not what the author signed")

    def _finish(self, assembly: _Assembly) -> tuple[EventRecord, Payload]:
        event = assembly.want.event
        del self._active[event.id]
        owing = (peer for peer, asked in assembly.asked.items() if asked and peer in self.peers)
        self._cancelled += [_cancel(peer, event.id) for peer in owing]
        chunks = [assembly.chunks[index] for index in range(assembly.count)]
        self._kept.keep(event.id, chunks)
        return event, Payload(chunks[0].salt, b"".join(chunk.data or b"" for chunk in chunks))


def _cancel(peer: AuthorId, name: EventId) -> Say:
    """Nothing more of this is wanted of ``peer``: its answers would only delay others."""
    return Say(peer, WantPayload(name, 0, 0, patient=False))


def _turn(name: EventId, index: int, count: int) -> int:
    """Whose turn chunk ``index`` is: runs of chunks go round, and each payload begins with another owner."""
    return index // max(1, count // STRIPES) + name[0]


def _joined(indices: list[int]) -> list[tuple[int, int]]:
    """Runs of neighboring numbers of an ascending list, as (first, count)."""
    runs: list[tuple[int, int]] = []
    for index in indices:
        first, count = runs[-1] if runs else (-1, 0)
        if count and first + count == index and count < CHUNKS_ASKED_MAX:
            runs[-1] = first, count + 1
        else:
            runs.append((index, 1))
    return runs
