"""Payloads that are wanted: gathered chunk by chunk from whoever has them, a few at a time.

Chunks come in any order. While all of one payload came from one peer, a wrong hash is that peer's fault; where several
brought parts, nobody is blamed and it is gathered anew from one.
A heal leaves hundreds of small ones to ask for, so many of these are asked for at once, below the pace at which a peer
would refuse.
Invariants: at most ``assemblies_max`` times 2 MiB, and ``small_max`` times 4 KiB, are held; for each of them one peer
at a time is asked for one window of chunks; nothing is taken that was not asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NoReturn

from protocol.clock import SECOND, Duration, Instant
from protocol.errors import Reason, RemoteProtocolError
from protocol.ids import AuthorId, EventId
from protocol.ledger.serving import Bucket
from protocol.ledger.values import LedgerConfig, Say
from protocol.limits import CHUNK_BYTES, CHUNKS_ASKED_MAX
from protocol.rng import Rng
from protocol.wire.events import Chunk, EventRecord, Payload, WantPayload

LATER_US: Final = 10 * SECOND
"""After everybody has said that it is not there."""
PAUSE_US: Final = SECOND // 16
"""After as much was asked for as a peer gives in a while."""
LONG_AGO: Final[Instant] = -(1 << 62)
SMALL_BYTES: Final = 4_096
STALLS_MAX: Final = 4
"""Doublings of the time in which an answer is expected: 48 s at most."""


@dataclass(slots=True)  # state: changes in place
class _Want:
    event: EventRecord
    hint: AuthorId | None  # who showed the event
    not_before: Instant = 0
    stalls: int = 0  # how often nobody answered in time


@dataclass(slots=True)  # state: changes in place
class _Assembly:
    want: _Want
    asked: AuthorId
    at: Instant
    salt: bytes = b""
    chunks: dict[int, bytes] = field(default_factory=dict)
    waiting: dict[int, None] = field(default_factory=dict)  # asked for and not here
    sources: dict[AuthorId, None] = field(default_factory=dict)
    lack: dict[AuthorId, None] = field(default_factory=dict)  # who has said that it is not there, or stalled

    @property
    def count(self) -> int:
        return chunk_count(self.want.event.payload_size)


def chunk_count(size: int) -> int:
    """In how many chunks a payload of ``size`` bytes travels; an empty one travels in one."""
    return max(1, -(-size // CHUNK_BYTES))


def _is_small(want: _Want) -> bool:
    return want.event.payload_size <= SMALL_BYTES


class Gathering:
    """``peers`` are those who can be asked now, in the order in which they came."""

    def __init__(self, config: LedgerConfig, rng: Rng) -> None:
        self._config = config
        self._rng = rng
        self.peers: dict[AuthorId, None] = {}
        self._wanted: dict[EventId, _Want] = {}
        self._active: dict[EventId, _Assembly] = {}
        self._pace = Bucket(max(1, config.pace_max * 3 // 4), max(1, config.pace_max // 2))
        self._paced_until: Instant = LONG_AGO

    def __len__(self) -> int:
        return len(self._wanted) + len(self._active)

    def __contains__(self, name: EventId) -> bool:
        return name in self._wanted or name in self._active

    @property
    def active(self) -> int:
        """How many are being gathered."""
        return len(self._active)

    def wanted(self) -> list[EventId]:
        """Everything that is wanted, what is being gathered first."""
        return [*self._active, *self._wanted]

    def want(self, event: EventRecord, hint: AuthorId | None) -> None:
        """Gather the payload of ``event``; ``hint`` is who may have it."""
        if event.id not in self:
            self._wanted[event.id] = _Want(event, hint)

    def offered(self, name: EventId, peer: AuthorId) -> None:
        """``peer`` says that it has this payload."""
        want = self._wanted.get(name)
        if want is not None:
            want.hint, want.not_before = peer, 0

    def drop(self, name: EventId) -> None:
        """It is not wanted any more, or it is here."""
        self._wanted.pop(name, None)
        self._active.pop(name, None)

    def link_down(self, peer: AuthorId) -> None:
        """Nobody waits for ``peer`` any more; what it brought stays."""
        self.peers.pop(peer, None)
        for assembly in self._active.values():
            if assembly.asked == peer:
                assembly.at = LONG_AGO

    # --- asking ---------------------------------------------------------------------------------------------------

    def pump(self, now: Instant) -> list[Say]:
        """Begin what can be begun, and ask others where somebody has stalled."""
        said: list[Say] = []
        for name, assembly in list(self._active.items()):
            if now - assembly.at >= self._patience_us(assembly):
                assembly.lack[assembly.asked] = None
                said += self._ask_another(name, assembly, now)
        room = self._room() if self.peers else {}
        for name, want in list(self._wanted.items()) if any(room.values()) else ():
            small = _is_small(want)
            if room[small] and want.not_before <= now:
                if not self._pace.take(1, now):
                    self._paced_until = now + PAUSE_US
                    break
                room[small] -= 1
                del self._wanted[name]
                hint = want.hint
                peer = hint if hint is not None and hint in self.peers else self._rng.choice(list(self.peers))
                assembly = self._active[name] = _Assembly(want, peer, now)
                said.append(self._ask(assembly, now))
        return said

    def next_at(self) -> Instant | None:
        """When :meth:`pump` will have something to do, if nothing comes."""
        due = [assembly.at + self._patience_us(assembly) for assembly in self._active.values()]
        room = self._room() if self.peers else {}
        if any(room.values()):
            ready = (want.not_before for want in self._wanted.values() if room[_is_small(want)])
            due += [max(self._paced_until, at) for at in ready]
        return min(due, default=None)

    def _patience_us(self, assembly: _Assembly) -> Duration:
        """Twice as long each time, or a slow line would carry nothing but answers that come too late."""
        return self._config.stall_us << assembly.want.stalls

    def _room(self) -> dict[bool, int]:
        """How many small payloads (True), and how many others, may be begun."""
        small = sum(_is_small(assembly.want) for assembly in self._active.values())
        others = len(self._active) - small
        return {True: self._config.small_max - small, False: self._config.assemblies_max - others}

    def _ask(self, assembly: _Assembly, now: Instant) -> Say:
        first = next(index for index in range(assembly.count) if index not in assembly.chunks)
        window = range(first, min(first + CHUNKS_ASKED_MAX, assembly.count))
        assembly.waiting = {index: None for index in window if index not in assembly.chunks}
        assembly.at = now
        return Say(assembly.asked, WantPayload(assembly.want.event.id, first, len(window)))

    def _ask_another(self, name: EventId, assembly: _Assembly, now: Instant) -> list[Say]:
        others = [peer for peer in self.peers if peer not in assembly.lack]
        if others:
            assembly.asked = self._rng.choice(others)
            return [self._ask(assembly, now)]
        del self._active[name]
        assembly.want.not_before = now + LATER_US
        assembly.want.stalls = min(assembly.want.stalls + 1, STALLS_MAX)
        assembly.want.hint = None
        self._wanted[name] = assembly.want
        return []

    # --- receiving ------------------------------------------------------------------------------------------------

    def take(self, peer: AuthorId, chunk: Chunk, now: Instant) -> tuple[EventRecord, Payload] | list[Say] | Reason:
        """A chunk has come: the whole payload, or what to ask next, or why it is refused.

        Raises:
            RemoteProtocolError: ``PAYLOAD_MISMATCH``: what this peer alone has brought is not what the author signed.
        """
        assembly = self._active.get(chunk.event)
        if assembly is None or assembly.asked != peer or chunk.index not in assembly.waiting:
            return Reason.PAYLOAD_UNWANTED
        if chunk.data is None:
            assembly.lack[peer] = None
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
        assembly.lack[peer] = None
        assembly.at = LONG_AGO  # the next pump asks somebody else
        raise RemoteProtocolError(Reason.PAYLOAD_MISMATCH, detail)
