"""What the Node itself remembers of its links, and what leaves on them: part of the Node, in a room of its own."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field

from protocol import limits
from protocol.clock import MS, Instant
from protocol.effects import Disconnect, Effect, Send, SetTimer
from protocol.flow import Flow
from protocol.gossip.lane import Lane
from protocol.gossip.vectors import Vectors
from protocol.ids import AuthorId, LinkId
from protocol.membership.liveness import Liveness
from protocol.membership.pulses import slot
from protocol.statistics import LinkStatistics
from protocol.transit import Transit
from protocol.wire import joining
from protocol.wire import messages as wire
from protocol.wire.messages import Message

_FLOW_ROOM = limits.PLAINTEXT_BYTES_MAX - limits.SEND_BYTES_MAX - 64
"""What is left of a frame beside control messages and vectors; a chunk of a payload always fits."""
assert limits.CHUNK_BYTES + limits.PROOF_BYTES_MAX + 128 < _FLOW_ROOM


@dataclass(slots=True)  # state: changes in place
class Port:
    """Whether a link may write, and what must go out first.

    ``control`` is keyed by kind, so it cannot grow: a newer message of a kind replaces the older.
    """

    peer: AuthorId
    initiator: bool
    up_at: Instant
    writable: bool = True
    open: bool = False
    agent: str = ""
    neighbors: tuple[AuthorId, ...] = ()
    introduced_at: Instant = -(1 << 62)
    announced: tuple[AuthorId, ...] | None = None
    records_due: Instant = -(1 << 62)
    control: dict[str, Message] = field(default_factory=dict)
    transit: Transit = field(default_factory=Transit)


class Outbox:
    """All links, and when something may leave on each. Effects are appended to the list that is passed in."""

    def __init__(self, vectors: Vectors, liveness: Liveness) -> None:
        self.ports: dict[LinkId, Port] = {}
        self.sent: dict[type[Message], int] = {}
        self.flow = Flow()
        self.members: Container[AuthorId] | None = None  # who counts as a neighbor; None: every open link's peer
        self.changed = False  # who counts as one may not be the same any more
        self._vectors = vectors
        self._liveness = liveness
        self._wake: dict[LinkId, Instant] = {}

    def forget(self, link: LinkId) -> Port | None:
        """The link is gone; returns what was known of it."""
        self._wake.pop(link, None)
        self.changed = True
        return self.ports.pop(link, None)

    def shut(self, link: LinkId) -> None:
        """The link is about to be closed: nothing leaves on it any more."""
        port = self.ports.get(link)
        if port is not None:
            port.writable = False

    def has_nothing_for(self, link: LinkId) -> bool:
        """Mark a link writable; True if that changes nothing else."""
        port = self.ports.get(link)
        if port is None:
            return True
        port.writable = True
        lane = self._vectors.lanes.get(link)
        return not port.control and (lane is None or lane.idle()) and not self.flow.waits(port.peer)

    def writable(self, link: LinkId, now: Instant) -> list[Effect]:
        """The driver can take another frame."""
        effects: list[Effect] = []
        if not self.has_nothing_for(link):
            self.flush(link, now, effects)
        return effects

    def woken(self, link: LinkId, now: Instant, effects: list[Effect]) -> None:
        """What had to wait on this link is due."""
        self._wake.pop(link, None)
        self.flush(link, now, effects)

    def announce(self, now: Instant, effects: list[Effect]) -> None:
        """Tell all neighbors who our neighbors are, where they do not know it already."""
        members = self.members
        peers = (port.peer for port in self.ports.values() if port.open)
        authors = tuple(sorted(peer for peer in peers if members is None or peer in members)[: limits.NEIGHBORS_MAX])
        for link, port in self.ports.items():
            if port.open and port.announced != authors:
                port.announced = authors
                port.control["neighbors"] = wire.Neighbors(authors)
                self.flush(link, now, effects)

    def broadcast(self, kind: str, message: Message, now: Instant, effects: list[Effect]) -> None:
        """Say the same on every open link."""
        for link, port in self.ports.items():
            if port.open:
                port.control[kind] = message
                self.flush(link, now, effects)

    def tell(self, told: Sequence[tuple[LinkId, Message]], now: Instant) -> list[Effect]:
        """What the failure detector has to say."""
        effects: list[Effect] = []
        for link, message in told:
            port = self.ports.get(link)
            if port is not None and port.open and (port.writable or type(message) is not wire.Beat):
                port.control[slot(message)] = message  # a full link needs no BEAT
        for link in dict.fromkeys(link for link, _ in told):
            self.flush(link, now, effects)
        return effects

    def flush(self, link: LinkId, now: Instant, effects: list[Effect]) -> None:
        """Send what is due on a writable link; remember when to come back for the rest."""
        port = self.ports.get(link)
        if port is None or not port.writable:
            return
        first: list[Message] = []
        room = limits.SEND_BYTES_MAX
        if port.control:
            first.extend(port.control.values())
            port.control.clear()
            room -= control_bytes(first)
        out = first
        if port.open and (self.members is None or port.peer in self.members):
            out, due = self._vectors.collect(link, room, now)
            if out and type(out[-1]) is wire.Vector:
                out.insert(0, wire.Clock((now - port.up_at) // MS))
            if first:
                out = first + out
            if due is not None and self._wake.get(link) != due:
                self._wake[link] = due
                effects.append(SetTimer(("flush", str(link)), due))
            if self.flow.waits(port.peer):
                out = [*out, *self.flow.collect(port.peer, _FLOW_ROOM, limits.MESSAGES_PER_FRAME_MAX - len(out))]
        if not out:
            return
        port.writable = False
        self._liveness.sent(link, now)
        sent = self.sent
        for message in out:
            kind = type(message)
            sent[kind] = sent.get(kind, 0) + 1
        effects.append(Send(link, tuple(out)))


def control_bytes(control: list[Message]) -> int:
    """An upper bound of the encoded size of control messages."""
    size = 0
    for message in control:
        if type(message) is wire.Peers:
            size += record_bytes(message.records)
        elif type(message) is joining.ForwardJoin:
            size += 48 + record_bytes((message.peer,))
        elif type(message) is joining.Shuffle:
            size += 48 + record_bytes((message.origin, *message.peers))
        elif type(message) is joining.ShuffleAnswer:
            size += 48 + record_bytes(message.peers)
        elif type(message) is wire.Neighbors:
            size += 34 * len(message.authors)
        elif type(message) is wire.Hello:
            size += limits.ADDRESSES_BYTES_MAX + 256
        else:
            size += 48
    return size


def record_bytes(records: Iterable[wire.PeerRecord]) -> int:
    """An upper bound of the encoded size of peer records."""
    return sum(len(record.key_state) + len(record.signed) + 80 for record in records)


def link_statistics(link: LinkId, port: Port, pulse: Liveness, lane: Lane | None, now: Instant) -> LinkStatistics:
    """One link's line."""
    return LinkStatistics(
        link,
        port.peer,
        port.initiator,
        port.open,
        now - port.up_at,
        pulse.silent_us(link, now),
        pulse.rtt_us(link),
        port.agent,
        0 if lane is None else len(lane.dirty),
        0 if lane is None else len(lane.lazy),
        port.neighbors,
    )


def closes(effects: list[Effect], link: LinkId) -> bool:
    """Whether one of these ends ``link``."""
    for effect in effects:  # noqa: SIM110 - three times as fast as any(), on the receive path
        if type(effect) is Disconnect and effect.link == link:
            return True
    return False
