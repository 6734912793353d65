"""A small world for Trees alone: a random regular graph, links with delays, loss as delay, deaths, and what came."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from protocol.clock import MS, Instant
from protocol.effects import SetTimer
from protocol.gossip.trees import Deliver, Push, Trees, TreesConfig, TreesEffect
from protocol.ids import AuthorId
from protocol.rng import Rng
from protocol.wire.messages import Gossip, TreeMessage, encode_frame

RETRANSMISSION_US = 200 * MS


def regular(count: int, degree: int, rng: Rng) -> list[list[int]]:
    """A random graph in which nearly every node has ``degree`` neighbors (pairs that clash are left out)."""
    stubs = [node for node in range(count) for _ in range(degree)]
    rng.shuffle(stubs)
    linked: list[dict[int, None]] = [{} for _ in range(count)]
    for left, right in zip(stubs[::2], stubs[1::2], strict=True):
        if left != right and right not in linked[left]:
            linked[left][right] = None
            linked[right][left] = None
    return [list(neighbors) for neighbors in linked]


@dataclass(slots=True)
class Story:
    """What became of one broadcast; hops and delays by node."""

    origin: int
    at: Instant
    hops: dict[int, int] = field(default_factory=dict)
    last_at: Instant = 0
    payloads: int = 0

    @property
    def redundancy(self) -> float:
        """The paper's relative message redundancy: payloads sent per node reached, less one."""
        return self.payloads / max(1, len(self.hops)) - 1

    @property
    def last_hop(self) -> int:
        """The paper's last delivery hop."""
        return max(self.hops.values(), default=0)


class Forest:
    """``delay`` draws the one-way delay of a link; ``loss`` is the chance that a message waits for a retransmission."""

    def __init__(
        self,
        graph: list[list[int]],
        config: TreesConfig,
        seed: int,
        delay: Callable[[Rng], int] = lambda rng: rng.between(10 * MS, 50 * MS),
        loss: float = 0.0,
    ) -> None:
        self.rng = Rng(seed)
        self.now: Instant = 0
        self.loss = loss
        self.draw = delay
        self.names = [AuthorId(node.to_bytes(32, "big")) for node in range(len(graph))]
        self.numbers = {name: node for node, name in enumerate(self.names)}
        self.trees = [Trees(config, self.rng.child(f"trees {node}")) for node in range(len(graph))]
        self.linked: list[dict[int, int]] = [{} for _ in graph]
        self.alive = [True] * len(graph)
        self.stories: dict[bytes, Story] = {}
        self.control_bytes = 0
        self.control_counts: dict[str, int] = {}
        self.twice = 0
        self._free: dict[tuple[int, int], Instant] = {}
        self._queue: list[tuple[Instant, int, int, int, TreeMessage | None]] = []
        self._count = 0
        self._wakes: dict[int, Instant] = {}
        for left, neighbors in enumerate(graph):
            for right in neighbors:
                if left < right:
                    self.join(left, right)

    # --- the world ----------------------------------------------------------------------------------------------

    def join(self, left: int, right: int) -> None:
        """Link two nodes."""
        delay = self.draw(self.rng)
        self.linked[left][right] = self.linked[right][left] = delay
        self._do(left, self.trees[left].neighbor_up(self.names[right], self.now))
        self._do(right, self.trees[right].neighbor_up(self.names[left], self.now))

    def part(self, left: int, right: int) -> None:
        """Cut a link; what travels on it is lost."""
        for here, there in ((left, right), (right, left)):
            self.linked[here].pop(there, None)
            self._free.pop((here, there), None)
            if self.alive[here]:
                self._do(here, self.trees[here].neighbor_down(self.names[there], self.now))

    def die(self, node: int) -> None:
        """A node is gone and its links are reset; those who lost one find another at once."""
        self.alive[node] = False
        bereft = list(self.linked[node])
        for neighbor in bereft:
            self.part(node, neighbor)
        self.rng.shuffle(bereft)
        for left, right in zip(bereft[::2], bereft[1::2], strict=False):
            if right not in self.linked[left] and left != right:
                self.join(left, right)

    # --- what happens -------------------------------------------------------------------------------------------

    def broadcast(self, node: int, size: int = 200) -> Story:
        """One message of a node to everybody."""
        name = len(self.stories).to_bytes(16, "big")
        story = self.stories[name] = Story(node, self.now)
        self._do(node, self.trees[node].broadcast(name, self.names[node], bytes(size), self.now))
        return story

    def run(self, until: Instant) -> None:
        """Everything that happens up to an instant."""
        while self._queue and self._queue[0][0] <= until:
            self.now, _, node, source, message = heapq.heappop(self._queue)
            if not self.alive[node]:
                continue
            if message is None:
                if self._wakes.get(node) != self.now:
                    continue  # was replaced
                del self._wakes[node]
                self._do(node, self.trees[node].timer(("trees",), self.now))
            elif source in self.linked[node]:
                self._do(node, self.trees[node].receive(self.names[source], message, self.now))
        self.now = until

    def _do(self, node: int, effects: list[TreesEffect]) -> None:
        for effect in effects:
            if type(effect) is Push:
                self._send(node, self.numbers[effect.peer], effect.message)
            elif type(effect) is Deliver:
                story = self.stories[effect.id]
                self.twice += node in story.hops
                story.hops[node] = effect.hops
                story.last_at = self.now
            elif type(effect) is SetTimer:
                self._wakes[node] = effect.at
                self._put(effect.at, node, -1, None)

    def _send(self, node: int, peer: int, message: TreeMessage) -> None:
        if type(message) is Gossip:
            self.stories[message.id].payloads += 1
        else:
            self.control_bytes += len(encode_frame([message])) - 1
            kind = type(message).__name__
            self.control_counts[kind] = self.control_counts.get(kind, 0) + 1
        at = self.now + self.linked[node][peer]
        while self.loss and self.rng.chance(self.loss):
            at += RETRANSMISSION_US
        at = max(at, self._free.get((node, peer), 0))
        self._free[node, peer] = at
        self._put(at, peer, node, message)

    def _put(self, at: Instant, node: int, source: int, message: TreeMessage | None) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at, self._count, node, source, message))

    # --- measures -----------------------------------------------------------------------------------------------

    def flood_us(self, origin: int) -> int:
        """When a flood from ``origin`` would have reached everybody: the longest of all shortest ways."""
        reached: dict[int, int] = {}
        queue = [(0, origin)]
        while queue:
            at, node = heapq.heappop(queue)
            if node not in reached:
                reached[node] = at
                for peer, delay in self.linked[node].items():
                    if peer not in reached:
                        heapq.heappush(queue, (at + delay, peer))
        return max(reached.values())
