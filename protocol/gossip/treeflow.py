"""What the trees have to say on each link, in order, until the link can take it.

Unlike vectors, messages of the trees do not supersede one another, so they wait in a queue; and unlike there a slow
link is let go when its queue is full, as a stream that nobody reads: what it missed comes over the next one.
Invariant: at most ``TREE_QUEUE_BYTES_MAX`` wait for one neighbor.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from protocol import limits
from protocol.ids import AuthorId
from protocol.wire.messages import Gossip, IHave, TreeGraft, TreeMessage

_HEAD_BYTES = 48
"""More than any message of the trees weighs beside its id, payload, entries or ids."""


@dataclass(slots=True)  # state: changes in place
class _Queue:
    messages: deque[TreeMessage] = field(default_factory=deque)
    size: int = 0


class TreeFlow:
    """One queue for each neighbor."""

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        self._queues: dict[AuthorId, _Queue] = {}

    def push(self, peer: AuthorId, message: TreeMessage) -> bool:
        """Let ``message`` wait; False if there is no room for it: then the link is too slow and must go."""
        queue = self._queues.setdefault(peer, _Queue())
        size = weight(message)
        if queue.size + size > limits.TREE_QUEUE_BYTES_MAX:
            return False
        queue.messages.append(message)
        queue.size += size
        return True

    def waits(self, peer: AuthorId) -> bool:
        """Whether there is something for ``peer``."""
        return peer in self._queues

    def collect(self, peer: AuthorId, room: int, count: int) -> list[TreeMessage]:
        """What may leave now, in order: at most ``count`` messages within ``room`` bytes."""
        queue = self._queues.get(peer)
        if queue is None:
            return []
        taken: list[TreeMessage] = []
        while queue.messages and len(taken) < count:
            size = weight(queue.messages[0])
            if size > room:
                break
            room -= size
            queue.size -= size
            taken.append(queue.messages.popleft())
        if not queue.messages:
            del self._queues[peer]
        return taken

    def forget(self, peer: AuthorId) -> None:
        """The link is gone."""
        self._queues.pop(peer, None)


def weight(message: TreeMessage) -> int:
    """An upper bound of the encoded size."""
    if type(message) is Gossip:
        return _HEAD_BYTES + 2 * limits.GOSSIP_ID_BYTES_MAX + len(message.payload)
    if type(message) is IHave:
        return _HEAD_BYTES + len(message.entries)
    if isinstance(message, TreeGraft):
        return _HEAD_BYTES + len(message.ids)
    return _HEAD_BYTES
