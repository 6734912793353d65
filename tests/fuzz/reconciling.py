"""One hub that reconciles with a neighbor that lies: honest answers mixed with forged, repeated and endless ones.

``python -m tests.fuzz --target reconciling --rounds 110000 --seconds 100000`` makes a million exchanges: a round has
about ten exchanges (sessions that either side began and the other did not refuse at once), and ends when the neighbor
has fallen silent and the hub's timers have fired.
"""

from __future__ import annotations

from functools import cache
from hashlib import blake2b

from protocol import limits
from protocol.clock import SECOND
from protocol.effects import SetTimer
from protocol.errors import RemoteProtocolError
from protocol.ids import AuthorId, EventId
from protocol.reconcile.frontier import Frontier
from protocol.reconcile.reconciler import Reconciler
from protocol.reconcile.sessions import Answering, Opening
from protocol.reconcile.values import Fault, Learned, ReconcileConfig, ReconcileEffect, Tell
from protocol.rng import Rng
from protocol.wire import reconciling as wire
from protocol.wire.codec import encode
from protocol.wire.reconciling import Entry, ReconcileMessage

HUB, LIAR = AuthorId(b"h" * 32), AuthorId(b"l" * 32)
FRONTIERS = ((0, 0), (0, 1), (0, 10), (0, 34), (0, 40), (6, 42), (20, 40), (0, 64))
"""First and last number of the entries; any two of them may meet."""
BYTES_MAX = 4 << 20
STEPS = 48
CONFIG = ReconcileConfig()


@cache
def frontier(first: int, last: int) -> Frontier:
    """A frontier of numbered entries."""
    made = Frontier()
    for number in range(first, last):
        author = AuthorId(blake2b(b"%d" % number, digest_size=32).digest())
        made.add(Entry(author, 1, EventId(author)), urgent=number % 7 == 0)
    return made


class Exchange:
    """A seed's worth of lies."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.now = 1
        self.wake: int | None = None
        # either may have the smaller id, which decides who goes on if both begin
        self.me, self.peer = (HUB, LIAR) if rng.chance(0.5) else (LIAR, HUB)
        self.hub = Reconciler(self.me, CONFIG, rng.child("hub"), b"secret".ljust(16))
        self.hub.frontier = frontier(*rng.choice(FRONTIERS))
        self.theirs = frontier(*rng.choice(FRONTIERS))
        self.lies = rng.choice((0.0, 0.05, 0.3, 1.0))
        self.honest: Opening | Answering | None = None
        self.said: list[ReconcileMessage] = []
        self.heard: list[ReconcileMessage] = [wire.ReconMore()]
        self.bytes = 0
        self.taken = 0
        self.opened_at = 0
        self.exchanges = 0

    def run(self) -> None:
        """Talk, then fall silent; check the bounds all the while."""
        self.do(self.hub.neighbor_up(self.peer, self.now, bridge=self.rng.chance(0.3)))
        for _ in range(STEPS):
            said, self.said = self.said, []
            answers = [answer for message in said for answer in self.answer(message)]
            if not answers:
                if self.rng.chance(0.3):
                    answers = [self.begin() if self.rng.chance(0.6) else self.lie(wire.ReconMore())]
                else:
                    self.pass_time(self.rng.choice((1_000, SECOND, 4 * SECOND)))
            for answer in answers:
                self.tell(answer)
        self.pass_time(CONFIG.session_us + 1)
        state = self.hub.statistics(self.now)
        assert state.answered == 0
        assert state.opened == 0 or self.now < self.opened_at + CONFIG.answer_us  # it has just asked again
        assert self.bytes <= BYTES_MAX

    def tell(self, message: ReconcileMessage) -> None:
        """The hub hears something; what it takes in one session is counted."""
        effects = self.hub.receive(self.peer, message, self.now)
        if not any(isinstance(effect, Fault) for effect in effects):
            if isinstance(message, wire.ReconOpen):
                self.taken = 0
                self.exchanges += 1
            else:
                self.taken += 1
                assert self.taken <= CONFIG.rounds_max
        self.do(effects)

    def do(self, effects: list[ReconcileEffect]) -> None:
        """Whatever it says can be sent; what it learned is new and bounded; it wakes in the future."""
        for effect in effects:
            match effect:
                case Tell(_, message):
                    size = len(encode((wire.to_value(message),)))
                    assert size <= limits.SEND_BYTES_MAX
                    self.bytes += size
                    self.said.append(message)
                    if isinstance(message, wire.ReconOpen):
                        self.taken = 0
                        self.opened_at = self.now
                        self.exchanges += 1
                case Learned(_, entries):
                    assert not any(entry in self.hub.frontier for entry in entries)
                    assert len(entries) <= CONFIG.differ_max
                case SetTimer(_, at):
                    assert at > self.now
                    self.wake = at
                case _:
                    pass
        state = self.hub.statistics(self.now)
        assert state.opened + state.answered <= 1

    def pass_time(self, duration: int) -> None:
        """Timers fire when they are due."""
        until = self.now + duration
        while self.wake is not None and self.wake <= until:
            self.now, self.wake = self.wake, None
            self.do(self.hub.timer(self.now))
        self.now = until

    # --- the liar -----------------------------------------------------------------------------------------------

    def begin(self) -> ReconcileMessage:
        """Open a session, with its own frontier or with any mark."""
        salt = self.rng.u64().to_bytes(wire.SALT_BYTES, "big")
        self.honest = Opening(self.theirs, salt, self.peer, self.me, CONFIG)
        return wire.ReconOpen(salt * 2) if self.rng.chance(self.lies) else self.honest.first

    def answer(self, message: ReconcileMessage) -> list[ReconcileMessage]:
        """What an honest neighbor would say, or not."""
        self.heard.append(message)
        honest: list[ReconcileMessage] = []
        if isinstance(message, wire.ReconOpen):
            self.honest = Answering(self.theirs, message, self.peer, self.me, CONFIG)
            honest = [self.honest.first]
        elif self.honest is not None:
            try:
                honest = list(self.honest.receive(message).messages)
            except RemoteProtocolError:
                honest = []
        if not self.rng.chance(self.lies):
            return honest
        if self.rng.chance(0.2):
            return []
        return [self.lie(honest[0] if honest else message) for _ in range(1 + self.rng.below(3))]

    def lie(self, message: ReconcileMessage) -> ReconcileMessage:
        """A message of any kind, or this one damaged; every field stays in the ranges that the codec lets through."""
        rng = self.rng
        match rng.below(10):
            case 0:
                return rng.choice(self.heard)  # its own words
            case 1:
                return wire.ReconMore()
            case 2:
                return wire.ReconTurn(self.noise(5, 1) if rng.chance(0.5) else None)
            case 3:
                heads = rng.choice((0, 1, len(self.hub.frontier), 100, limits.FRONTIER_MAX))
                return wire.ReconSymbols(heads, self.noise(7, 1 + rng.below(64)))
            case 4:
                return wire.ReconPage(b"".join(sorted(wire.split(self.noise(5, rng.below(40)), 5))), rng.chance(0.3))
            case 5:
                entries = self.noise(72, rng.below(4)) if rng.chance(0.5) else b"".join(list(self.theirs)[:3])
                return wire.ReconEntries(entries, self.noise(5, rng.below(3)), rng.chance(0.5))
            case _:
                return self.damage(message)

    def damage(self, message: ReconcileMessage) -> ReconcileMessage:
        """Flip a bit, repeat a part, or leave something out."""
        rng = self.rng
        match message:
            case wire.ReconSymbols(heads, symbols):
                return wire.ReconSymbols(heads + rng.below(2), self.spoil(symbols, 7) or bytes(7))
            case wire.ReconPage(fingerprints, last):
                return wire.ReconPage(self.spoil(fingerprints, 5), last and rng.chance(0.5))
            case wire.ReconEntries(entries, asked, last):
                return wire.ReconEntries(self.spoil(entries, 72), self.spoil(asked, 5), last)
            case _:
                return message

    def spoil(self, packed: bytes, size: int) -> bytes:
        """Damage a list of things of one size."""
        parts = wire.split(packed, size)
        if not parts:
            return packed
        at = self.rng.below(len(parts))
        match self.rng.below(3):
            case 0:
                parts[at] = bytes([parts[at][0] ^ 1]) + parts[at][1:]
            case 1:
                parts.insert(at, parts[at])
            case _:
                del parts[at]
        return b"".join(parts)

    def noise(self, size: int, count: int) -> bytes:
        """Random things of one size."""
        return b"".join(
            blake2b(self.rng.u64().to_bytes(8, "big")).digest()[:size].ljust(size, b"\1") for _ in range(count)
        )
