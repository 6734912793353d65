"""What the Node itself remembers of a link: part of the Node, in a room of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol import limits
from protocol.clock import Instant
from protocol.gossip.lane import Lane
from protocol.ids import AuthorId, LinkId
from protocol.membership.liveness import Liveness
from protocol.statistics import LinkStatistics
from protocol.wire import messages as wire
from protocol.wire.messages import Message


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
    control: dict[str, Message] = field(default_factory=dict)


def control_bytes(control: list[Message]) -> int:
    """An upper bound of the encoded size of control messages."""
    size = 0
    for message in control:
        if type(message) is wire.Peers:
            size += sum(len(r.key_state) + len(r.signed) + 80 for r in message.records)
        elif type(message) is wire.Neighbors:
            size += 34 * len(message.authors)
        elif type(message) is wire.Hello:
            size += limits.ADDRESSES_BYTES_MAX + 256
        else:
            size += 16
    return size


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
    )
