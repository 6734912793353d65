"""Payloads that are wanted: gathered chunk by chunk from whoever has them, a few at a time.

Chunks come in any order. While all of one payload came from one peer, a wrong hash is that peer's fault; where several
brought parts, nobody is blamed and it is gathered anew from one.
A heal leaves hundreds to ask for: each goes to the peer of whom the fewest bytes are awaited, so that every link
brings its share. A peer answers in order, and a slow line may owe many answers: it stalls only if no answer at all
comes from it, or one to a later question, and what it then still brings is taken.
Invariants: at most ``gathered_bytes_max`` and one payload are held; for each of them one peer at a time is asked for
one window of chunks; nothing is taken that was not asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NoReturn

from protocol.clock import SECOND, Instant
from protocol.errors import Reason, RemoteProtocolError
from protocol.ids import AuthorId, EventId
from protocol.ledger.serving import SMALL_BYTES, Bucket, chunk_count
from protocol.ledger.values import LedgerConfig, Say
from protocol.limits import CHUNK_BYTES, CHUNKS_ASKED_MAX
from protocol.rng import Rng
from protocol.wire.events import Chunk, EventRecord, Payload, WantPayload

LATER_US: Final = 10 * SECOND
"""After everybody has said that it is not there."""
PAUSE_US: Final = SECOND // 16
"""After as much was asked for as a peer gives in a while."""
LONG_AGO: Final[Instant] = -(1 << 62)
NEVER: Final[Instant] = 1 << 62
STALLS_MAX: Final = 4
"""Doublings of the time in which an answer is expected: 48 s at most."""
OWED_US: Final = 30 * SECOND
"""So long a peer may bring other things before what it was asked for: four windows of large payloads at 20 kB/s."""
NEAR_BYTES: Final = 2 * CHUNK_BYTES
"""So much more may be awaited of the author, or of who has said that it has it, than of others: it need not be found
out whether they have it."""


@dataclass(slots=True)  # state: changes in place
class _Want:
    event: EventRecord
    hint: AuthorId | None  # who showed the event
    not_before: Instant = 0
    stalls: int = 0  # how often nobody answered in time


@dataclass(slots=True)  # state: changes in place
class _Line:
    """When a peer last answered, and when it was asked what it has answered, of small payloads (True) and of others."""

    heard: Instant
    answered: dict[bool, Instant] = field(default_factory=dict)


@dataclass(slots=True)  # state: changes in place
class _Assembly:
    want: _Want
    asked: AuthorId
    at: Instant
    asked_at: Instant = 0
    late: dict[AuthorId, None] = field(default_factory=dict)  # was asked before and may still answer
    salt: bytes = b""
    chunks: dict[int, bytes] = field(default_factory=dict)
    waiting: dict[int, None] = field(default_factory=dict)  # asked for and not here
    sources: dict[AuthorId, None] = field(default_factory=dict)
    lack: dict[AuthorId, bool] = field(default_factory=dict)  # who has said that it is not there (True), or stalled

    @property
    def count(self) -> int:
        return chunk_count(self.want.event.payload_size)

    @property
    def awaited(self) -> int:
        """Bytes that were asked for and are not here, at most."""
        return min(len(self.waiting) * CHUNK_BYTES, self.want.event.payload_size)


def _is_small(want: _Want) -> bool:
    return want.event.payload_size <= SMALL_BYTES


@dataclass(slots=True)  # state: changes in place
class _Queue:
    """What is wanted of one size; nothing of it may begin before ``begin_at``, so that it is not looked through."""

    wanted: dict[EventId, _Want] = field(default_factory=dict)
    begin_at: Instant = NEVER


class Gathering:
    """``peers`` are those who can be asked now, in the order in which they came."""

    def __init__(self, config: LedgerConfig, rng: Rng) -> None:
        self._config = config
        self._rng = rng
        self.peers: dict[AuthorId, None] = {}
        self._queues = {True: _Queue(), False: _Queue()}  # the small ones, and the others
        self._active: dict[EventId, _Assembly] = {}
        self._lines: dict[AuthorId, _Line] = {}
        self._pace = Bucket(max(1, config.pace_max * 3 // 4), max(1, config.pace_max // 2))

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

    def want(self, event: EventRecord, hint: AuthorId | None) -> None:
        """Gather the payload of ``event``; ``hint`` is who may have it."""
        if event.id not in self:
            self._wait(_Want(event, hint))

    def _wait(self, want: _Want) -> None:
        queue = self._queues[_is_small(want)]
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
            if assembly.asked == peer:
                assembly.at = LONG_AGO

    # --- asking ---------------------------------------------------------------------------------------------------

    def pump(self, now: Instant) -> list[Say]:
        """Begin what can be begun, and ask others where somebody has stalled."""
        said: list[Say] = []
        for name, assembly in list(self._active.items()):
            if now >= self._stalls_at(assembly):
                assembly.lack.setdefault(assembly.asked, False)
                said += self._ask_another(name, assembly, now)
        if self.peers:
            room = self._room()
            for small, queue in self._queues.items():
                if room[small] > 0 and now >= queue.begin_at:
                    said += self._begin(queue, room[small], now)
        return said

    def _begin(self, queue: _Queue, room: int, now: Instant) -> list[Say]:
        said: list[Say] = []
        later = NEVER
        for name, want in list(queue.wanted.items()):
            if want.not_before > now:
                later = min(later, want.not_before)
            elif len(said) == room or self._is_full():
                later = now
                break
            elif not self._pace.take(1, now):
                later = now + PAUSE_US
                break
            else:
                del queue.wanted[name]
                assembly = self._active[name] = _Assembly(want, self._nearest(want, list(self.peers)), now)
                said.append(self._ask(assembly, now))
        queue.begin_at = later
        return said

    def _is_full(self) -> bool:
        """Whether as much is being gathered as may be held."""
        return sum(each.want.event.payload_size for each in self._active.values()) >= self._config.gathered_bytes_max

    def next_at(self) -> Instant | None:
        """When :meth:`pump` will have something to do, if nothing comes."""
        due = [self._stalls_at(assembly) for assembly in self._active.values()]
        if self.peers:
            room = self._room()
            due += [queue.begin_at for small, queue in self._queues.items() if room[small] > 0]
        return min((at for at in due if at < NEVER), default=None)

    def _stalls_at(self, assembly: _Assembly) -> Instant:
        """Twice as long each time, or a slow line would carry nothing but answers that come too late."""
        line, since = self._lines.get(assembly.asked), assembly.at
        if line is not None and line.answered.get(_is_small(assembly.want), LONG_AGO) <= assembly.asked_at:
            since = max(since, min(line.heard, since + OWED_US))
        return since + (self._config.stall_us << assembly.want.stalls)

    def _room(self) -> dict[bool, int]:
        """How many small payloads (True), and how many others, may be begun."""
        if self._is_full():
            return {True: 0, False: 0}
        small = sum(_is_small(assembly.want) for assembly in self._active.values())
        others = len(self._active) - small
        return {True: self._config.small_max - small, False: self._config.assemblies_max - others}

    def _nearest(self, want: _Want, peers: list[AuthorId]) -> AuthorId:
        """Of whom the least is awaited."""
        awaited = dict.fromkeys(peers, 0)
        for assembly in self._active.values():
            if assembly.asked in awaited:
                awaited[assembly.asked] += assembly.awaited
        for near in (want.event.author, want.hint):
            if near is not None and near in awaited:
                awaited[near] -= NEAR_BYTES
        least = min(awaited.values())
        return self._rng.choice([peer for peer, count in awaited.items() if count == least])

    def _ask(self, assembly: _Assembly, now: Instant) -> Say:
        first = next(index for index in range(assembly.count) if index not in assembly.chunks)
        window = range(first, min(first + CHUNKS_ASKED_MAX, assembly.count))
        assembly.waiting = {index: None for index in window if index not in assembly.chunks}
        assembly.at = assembly.asked_at = now
        return Say(assembly.asked, WantPayload(assembly.want.event.id, first, len(window)))

    def _ask_another(self, name: EventId, assembly: _Assembly, now: Instant) -> list[Say]:
        """Whoever is left, the same peer again if it has only been slow, or everybody later."""
        others = [peer for peer in self.peers if peer not in assembly.lack]
        want = assembly.want
        if others:
            assembly.late[assembly.asked] = None
            assembly.asked = self._nearest(want, others)
            return [self._ask(assembly, now)]
        slow = [peer for peer in self.peers if not assembly.lack[peer]]
        if slow and want.stalls < STALLS_MAX:
            want.stalls += 1
            assembly.lack = {peer: said for peer, said in assembly.lack.items() if said}
            assembly.late.update(dict.fromkeys(slow))
            assembly.asked = self._nearest(want, slow)
            return [self._ask(assembly, now)]
        del self._active[name]
        want.not_before = now + LATER_US if self.peers else now
        want.stalls = min(want.stalls + 1, STALLS_MAX)
        want.hint = None
        self._wait(want)
        return []

    # --- receiving ------------------------------------------------------------------------------------------------

    def take(self, peer: AuthorId, chunk: Chunk, now: Instant) -> tuple[EventRecord, Payload] | list[Say] | Reason:
        """A chunk has come: the whole payload, or what to ask next, or why it is refused.

        Raises:
            RemoteProtocolError: ``PAYLOAD_MISMATCH``: what this peer alone has brought is not what the author signed.
        """
        assembly = self._active.get(chunk.event)
        if assembly is None or chunk.index not in assembly.waiting:
            return Reason.PAYLOAD_UNWANTED
        if peer != assembly.asked and (peer not in assembly.late or chunk.data is None):
            return Reason.PAYLOAD_UNWANTED
        if peer == assembly.asked:
            line = self._lines.setdefault(peer, _Line(now))
            line.heard = now
            small = _is_small(assembly.want)
            line.answered[small] = max(assembly.asked_at, line.answered.get(small, LONG_AGO))
        if chunk.data is None:
            assembly.lack[peer] = True
            return self._ask_another(chunk.event, assembly, now)
        last = chunk.index == assembly.count - 1
        size = assembly.want.event.payload_size - chunk.index * CHUNK_BYTES if last else CHUNK_BYTES
        if len(chunk.data) != size:
            self._blame(peer, assembly, "a chunk of the wrong size")
        if assembly.sources and chunk.salt != assembly.salt:
            return self._mismatch(peer, assembly, now)
        assembly.salt = chunk.salt
        assembly.sources[peer] = None
        assembly.chunks[chunk.index] = chunk.data
        assembly.at = now
        del assembly.waiting[chunk.index]
        if len(assembly.chunks) == assembly.count:
            return self._finish(peer, assembly, now)
        return [] if assembly.waiting else [self._ask(assembly, now)]

    def _finish(self, peer: AuthorId, assembly: _Assembly, now: Instant) -> tuple[EventRecord, Payload] | list[Say]:
        event = assembly.want.event
        payload = Payload(assembly.salt, b"".join(assembly.chunks[index] for index in range(assembly.count)))
        if payload.belongs_to(event):
            del self._active[event.id]
            return event, payload
        return self._mismatch(peer, assembly, now)

    def _mismatch(self, peer: AuthorId, assembly: _Assembly, now: Instant) -> list[Say]:
        alone = len(assembly.sources) == 1 and peer in assembly.sources
        assembly.chunks, assembly.waiting, assembly.sources = {}, {}, {}
        if alone:
            self._blame(peer, assembly, "not what the author signed")
        return [self._ask(assembly, now)]

    def _blame(self, peer: AuthorId, assembly: _Assembly, detail: str) -> NoReturn:
        assembly.lack[peer] = True
        assembly.at = LONG_AGO  # the next pump asks somebody else
        raise RemoteProtocolError(Reason.PAYLOAD_MISMATCH, detail)
