"""One direction of a link: what is in flight, what waits for the path, what has overtaken something lost.

An ordered stream as TCP gives it: items arrive in the order of their numbers or not at all, so loss is delay (RFC
9293; retransmission time-outs after RFC 6298: at least 200 ms, as Linux has it, doubling up to 120 s).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, unique
from typing import TYPE_CHECKING, Final, TypeAlias

from protocol.clock import MS, SECOND, Duration, Instant
from protocol.ids import LinkId
from protocol.rng import Rng
from protocol.wire.codec import encode
from protocol.wire.messages import Beat, Clock, Message, Vector, to_value
from sim.paths import Quality

if TYPE_CHECKING:
    from sim.host import Host

SEND_BUFFER_BYTES: Final = 16_384
"""The daemon asks for small send buffers; what the peer has not acknowledged fills them."""
RECEIVE_BUFFER_BYTES: Final = 65_536
SEGMENT_BYTES: Final = 1_448
SEGMENT_OVERHEAD_BYTES: Final = 66
FRAME_OVERHEAD_BYTES: Final = 18
"""Length prefix and authentication tag."""
RTO_MIN_US: Final = 200 * MS
RTO_MAX_US: Final = 120 * SECOND
SYN_RTO_US: Final = SECOND


@unique
class Kind(Enum):
    """What travels in a stream: the handshake's last message, frames, the end."""

    OPEN = "open"
    FRAME = "frame"
    FIN = "fin"


@dataclass(slots=True)
class Item:
    """``frame`` is there in the wire lane only; ``size`` is in bytes on the wire."""

    kind: Kind
    number: int
    size: int
    messages: tuple[Message, ...] = ()
    frame: bytes | None = None


@dataclass(slots=True, eq=False)
class End:
    """One end of a link, and the direction that begins here."""

    host: Host
    life: int
    link: LinkId
    rng: Rng
    initiator: bool
    born_at: Instant
    peer: End = field(init=False)
    open: bool = False
    ended: bool = False  # FIN was sent
    gone: bool = False  # the machine lost power: nothing will be sent again
    severed: bool = False  # one side has another address now: nothing will arrive, and nobody says so
    busy: bool = False  # a frame was handed over and LinkWritable has not been given
    free_at: Instant = 0  # when the line has sent everything so far
    numbers: int = 0
    expected: int = 0  # the number that the far side wants next
    early: dict[int, Item] = field(default_factory=dict)  # arrived before something that was lost
    flight: deque[tuple[Instant, Item]] = field(default_factory=deque)  # when it will be acknowledged, and what
    flight_bytes: int = 0
    held: list[Item] = field(default_factory=list)  # sent into a cut, to be sent again
    held_bytes: int = 0
    held_since: Instant = 0
    unacknowledged: int = 0  # arrived, but the way back is cut
    clogged: int = 0  # sent, and waiting on the way
    unread: int = 0  # arrived here while this hub was starved
    resume_at: Instant | None = None

    def next_number(self) -> int:
        """The number of the next item of this direction."""
        self.numbers += 1
        return self.numbers - 1

    def fly(self, item: Item, acknowledged_at: Instant) -> None:
        """It is on its way."""
        self.flight.append((acknowledged_at, item))
        self.flight_bytes += item.size

    def unacknowledge(self, item: Item) -> None:
        """It will not be acknowledged after all."""
        for entry in self.flight:
            if entry[1] is item:
                self.flight.remove(entry)
                self.flight_bytes -= item.size
                return

    def hold(self, item: Item, now: Instant) -> None:
        """Keep what the path did not take."""
        if not self.held:
            self.held_since = now
        self.held.append(item)
        self.held_bytes += item.size

    def vanish(self) -> None:
        """The machine is without power: its buffers are lost."""
        self.gone = True
        self.held.clear()
        self.held_bytes = 0

    def buffered(self, now: Instant) -> int:
        """Bytes in the sender's buffer: all that the far side has not acknowledged by now."""
        flight = self.flight
        while flight and flight[0][0] <= now:
            self.flight_bytes -= flight.popleft()[1].size
        return self.flight_bytes + self.held_bytes + self.unacknowledged + self.clogged


Pair: TypeAlias = tuple[End, End]


def join(one: End, other: End) -> Pair:
    """Make two ends a link."""
    one.peer, other.peer = other, one
    return one, other


def frame_bytes(messages: Sequence[Message]) -> int:
    """The length of ``encode_frame(messages)``, without encoding the frequent ones."""
    size = 1 if len(messages) < 16 else 3
    for message in messages:
        kind = type(message)
        if kind is Vector:
            assert isinstance(message, Vector)
            signed, age_ms = len(message.signed), message.age_ms
            size += 70 + signed + (0 if signed < 256 else 1)
            size += 1 if age_ms < 128 else 2 if age_ms < 256 else 3 if age_ms < 65_536 else 5
        elif kind is Clock:
            assert isinstance(message, Clock)
            ms = message.sent_ms
            size += 3 if ms < 128 else 4 if ms < 256 else 5 if ms < 65_536 else 7 if ms < 1 << 32 else 11
        elif kind is Beat:
            size += 2
        else:
            size += len(encode(to_value(message)))
    return size


def rto_us(forth: Quality, back: Quality) -> Duration:
    """The first retransmission time-out of a settled connection."""
    return max(RTO_MIN_US, 2 * (forth.latency_us + forth.jitter_us + back.latency_us + back.jitter_us))


def loss_delay(rng: Rng, loss: float, size: int, rto: Duration) -> Duration:
    """How much later ``size`` bytes arrive because some of their segments were lost, perhaps more than once."""
    if loss == 0.0:
        return 0
    worst = 0
    for _ in range(-(-size // SEGMENT_BYTES)):
        wait, step = 0, rto
        while rng.chance(loss):
            wait += step
            step = min(2 * step, RTO_MAX_US)
        worst = max(worst, wait)
    return worst


def next_retransmission(since: Instant, now: Instant, rto: Duration) -> Instant:
    """The first retransmission at or after ``now`` of what was sent first at ``since`` and never acknowledged."""
    at, step = since + rto, rto
    while at < now:
        step = min(2 * step, RTO_MAX_US)
        at += step
    return at


def bytes_on_line(size: int) -> int:
    """With the headers of its segments."""
    return size + SEGMENT_OVERHEAD_BYTES * -(-size // SEGMENT_BYTES)
