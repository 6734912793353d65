"""What has to be said to each neighbor in order, until the link can take it: trees, durable events, reconciliation.

Unlike vectors, these messages do not supersede one another, so they wait in a queue; and unlike there a slow link is
let go when its queue is full, as a stream that nobody reads: what it missed comes over the next one.
Chunks of large payloads let everything else pass, which is small and often asks for more. As many bytes may pass a
chunk as it has itself (deficit round robin of two queues, Shreedhar and Varghese 1995), so neither starves; and a frame
takes two of them at most, a fifth of a second at 40 kB/s, because what is in a frame cannot be overtaken. Nothing that
passes says anything about a chunk, so their order means nothing.
Invariant: at most ``FLOW_BYTES_MAX`` wait for one neighbor.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from protocol import limits
from protocol.ids import AuthorId
from protocol.wire import events, reconciling
from protocol.wire.messages import FlowMessage, Gossip, IHave, TreeGraft

FRAME_CHUNKS = 1
_HEAD_BYTES = 48
"""More than any of these messages weighs beside its byte strings and lists."""


@dataclass(slots=True)  # state: changes in place
class _Queue:
    """``passed`` counts bytes that have left while a chunk waited."""

    small: deque[FlowMessage] = field(default_factory=deque)
    bulk: deque[FlowMessage] = field(default_factory=deque)
    size: int = 0
    passed: int = 0

    def next(self) -> deque[FlowMessage]:
        """From where the next message is taken; empty if there is none."""
        if self.bulk and (not self.small or self.passed >= limits.CHUNK_BYTES):
            return self.bulk
        return self.small


class Flow:
    """Two queues for each neighbor."""

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        self._queues: dict[AuthorId, _Queue] = {}

    def room(self, peer: AuthorId) -> int:
        """How many bytes more may wait for ``peer``."""
        queue = self._queues.get(peer)
        return limits.FLOW_BYTES_MAX - (0 if queue is None else queue.size)

    def push(self, peer: AuthorId, message: FlowMessage) -> bool:
        """Let ``message`` wait; False if there is no room for it: then the link is too slow and must go."""
        size = weight(message)
        if size > self.room(peer):
            return False
        queue = self._queues.setdefault(peer, _Queue())
        (queue.bulk if is_bulk(message) else queue.small).append(message)
        queue.size += size
        return True

    def waits(self, peer: AuthorId) -> bool:
        """Whether there is something for ``peer``."""
        return peer in self._queues

    def collect(self, peer: AuthorId, room: int, count: int) -> list[FlowMessage]:
        """What may leave now: at most ``count`` messages within ``room`` bytes."""
        queue = self._queues.get(peer)
        if queue is None:
            return []
        taken: list[FlowMessage] = []
        chunks = 0
        while (messages := queue.next()) and len(taken) < count:
            if messages is queue.bulk:
                chunks += 1
                if chunks > FRAME_CHUNKS:
                    break
            size = weight(messages[0])
            if size > room:
                break
            room -= size
            queue.size -= size
            queue.passed = queue.passed + size if queue.bulk and messages is queue.small else 0
            taken.append(messages.popleft())
        if not queue.next():
            del self._queues[peer]
        return taken

    def forget(self, peer: AuthorId) -> None:
        """The link is gone."""
        self._queues.pop(peer, None)


def is_bulk(message: FlowMessage) -> bool:
    """Whether it lets others pass: a chunk of a payload that has more than one. A small payload goes with the words."""
    return isinstance(message, events.Chunk) and bool(message.proof)


def weight(message: FlowMessage) -> int:
    """An upper bound of the encoded size."""
    match message:
        case Gossip():
            return _HEAD_BYTES + 2 * limits.GOSSIP_ID_BYTES_MAX + len(message.payload)
        case IHave():
            return _HEAD_BYTES + len(message.entries)
        case TreeGraft():
            return _HEAD_BYTES + len(message.ids)
        case events.Offer(signed, _):
            return 128 + len(signed)
        case events.Event(signed, _, payload):
            return 128 + len(signed) + (0 if payload is None else limits.SALT_BYTES + len(payload.content))
        case events.WantEvents(authors) | events.Heads(authors):
            return _HEAD_BYTES + sum(48 + 48 * len(one.heads) for one in authors)
        case events.Chunk(_, _, _, data, proof):
            return 2 * _HEAD_BYTES + len(proof) + (0 if data is None else len(data))
        case events.Fork(one, other):
            return 256 + len(one[0]) + len(other[0])
        case reconciling.ReconSymbols(_, symbols):
            return _HEAD_BYTES + len(symbols)
        case reconciling.ReconPage(fingerprints, _):
            return _HEAD_BYTES + len(fingerprints)
        case reconciling.ReconEntries(entries, asked, _):
            return _HEAD_BYTES + len(entries) + len(asked)
        case _:
            return 2 * _HEAD_BYTES
