"""A few overlays and the links between them: latency, deaths and cuts, and nothing else.

One heap of what is under way, ties by insertion. A dial takes a round trip and a half; to somebody dead or behind a
cut it fails after a round trip (``silent``: after a second). A link that breaks is noticed by both after a hop.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from protocol.clock import MS, SECOND, Duration, Instant
from protocol.effects import SetTimer
from protocol.ids import AuthorId
from protocol.inputs import TimerKey
from protocol.membership.overlay import Overlay
from protocol.membership.overlay_values import (
    Dial,
    NeighborDown,
    NeighborParting,
    NeighborUp,
    OverlayConfig,
    OverlayEffect,
    Release,
    Tell,
)
from protocol.rng import Rng


def name(index: int) -> AuthorId:
    """An author id for tests."""
    return AuthorId(b"%032d" % index)


@dataclass
class Net:
    """``peers`` by author; ``links`` are pairs, in order of ids, with who dialled."""

    seed: int = 1
    silent: bool = False
    now: Instant = 1_000
    peers: dict[AuthorId, Overlay] = field(default_factory=dict)
    links: dict[tuple[AuthorId, AuthorId], int] = field(default_factory=dict)
    dials: dict[AuthorId, int] = field(default_factory=dict)
    neighbors: dict[AuthorId, dict[AuthorId, None]] = field(default_factory=dict)
    largest: int = 0
    effects_max: int = 0
    bridges: int = 0
    side: dict[AuthorId, int] = field(default_factory=dict)
    _heap: list[tuple[Instant, int, Callable[[], object]]] = field(default_factory=list)
    _count: int = 0
    _timers: dict[tuple[AuthorId, TimerKey], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rng = Rng(self.seed)

    # --- what is arranged -------------------------------------------------------------------------------------------

    def add(self, index: int, config: OverlayConfig | None = None) -> Overlay:
        """A new peer, knowing nobody."""
        author = name(index)
        overlay = Overlay(author, config or OverlayConfig(), self._rng.child(f"peer {index}"))
        self.peers[author] = overlay
        self.neighbors[author] = {}
        return overlay

    def crowd(self, size: int, config: OverlayConfig | None = None, every: Duration = 20 * MS) -> None:
        """``size`` peers, one joining after the other through an earlier one."""
        for index in range(size):
            self.add(index, config)
            if index:
                contact = name(self._rng.below(index))
                self.join(name(index), contact)
            self.run(every)

    def join(self, author: AuthorId, contact: AuthorId) -> None:
        """``author`` enters through ``contact``."""
        self.do(author, lambda o: o.join(contact, self.now))

    def do(self, author: AuthorId, act: Callable[[Overlay], list[OverlayEffect]]) -> list[OverlayEffect]:
        """One input; its effects are performed."""
        overlay = self.peers.get(author)
        if overlay is None:
            return []
        effects = act(overlay)
        self.largest = max(self.largest, len(overlay.active))
        self.effects_max = max(self.effects_max, len(effects))
        for effect in effects:
            self._perform(author, effect)
        return effects

    def kill(self, author: AuthorId) -> None:
        """Gone, and its links with it."""
        del self.peers[author]
        for pair in [pair for pair in self.links if author in pair]:
            self._break(pair)

    def cut(self, sides: dict[AuthorId, int]) -> None:
        """Nothing passes between different sides."""
        self.side = sides
        for pair in [(a, b) for a, b in self.links if not self._reach(a, b)]:
            self._break(pair)

    def heal(self) -> None:
        """The cut ends; nobody is told."""
        self.side = {}

    def run(self, duration: Duration) -> None:
        """Let time pass."""
        until = self.now + duration
        while self._heap and self._heap[0][0] <= until:
            self.now, _, act = heapq.heappop(self._heap)
            act()
        self.now = until

    # --- what is seen -----------------------------------------------------------------------------------------------

    def components(self) -> list[int]:
        """Sizes of the connected parts of the neighbor graph, largest first."""
        left = dict.fromkeys(self.peers)
        sizes = []
        while left:
            queue = [next(iter(left))]
            del left[queue[0]]
            for author in queue:
                for other in self.peers[author].active:
                    if other in left:
                        del left[other]
                        queue.append(other)
            sizes.append(len(queue))
        return sorted(sizes, reverse=True)

    def one_sided(self) -> list[tuple[AuthorId, AuthorId]]:
        """Neighbors that do not know it of each other."""
        return [
            (author, other)
            for author, overlay in self.peers.items()
            for other in overlay.active
            if other in self.peers and author not in self.peers[other].active
        ]

    # --- the network ------------------------------------------------------------------------------------------------

    def _reach(self, one: AuthorId, other: AuthorId) -> bool:
        return one in self.peers and other in self.peers and self.side.get(one) == self.side.get(other)

    def _at(self, delay: Duration, act: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (self.now + delay, self._count, act))

    def latency(self, one: AuthorId, other: AuthorId) -> Duration:
        """One way, 10..50 ms, fixed for a pair."""
        return 10 * MS + Rng(hash_of(one, other)).below(40 * MS)

    def _perform(self, author: AuthorId, effect: OverlayEffect) -> None:
        match effect:
            case Dial(peer):
                self.dials[author] = self.dials.get(author, 0) + 1
                self._dial(author, peer)
            case Tell(peer, message):
                link = self.links.get(pair(author, peer))  # None: it has broken, and nobody has noticed
                hop = self.latency(author, peer)

                def deliver() -> None:
                    if link is not None and self.links.get(pair(author, peer)) == link:
                        self.do(peer, lambda o: o.receive(author, message, self.now))

                self._at(hop, deliver)
            case NeighborParting(peer):
                del self.neighbors[author][peer]
            case Release(peer):
                link = self.links.get(pair(author, peer))

                def closed() -> None:
                    if link is not None and self.links.get(pair(author, peer)) == link:
                        del self.links[pair(author, peer)]
                        self.do(peer, lambda o: o.link_down(author, True, self.now))

                self._at(self.latency(author, peer), closed)
            case NeighborUp(peer, bridge):
                assert peer not in self.neighbors[author]
                self.neighbors[author][peer] = None
                self.bridges += bridge
            case NeighborDown(peer):
                self.neighbors[author].pop(peer, None)
            case SetTimer(key, at):
                assert at > self.now
                self._count += 1
                mark = self._timers[(author, key)] = self._count
                self._at(at - self.now, lambda: self._fire(author, key, mark))

    def _fire(self, author: AuthorId, key: TimerKey, mark: int) -> None:
        if self._timers.get((author, key)) == mark:
            self.do(author, lambda o: o.timer(key, self.now))

    def _dial(self, author: AuthorId, peer: AuthorId) -> None:
        hop = self.latency(author, peer)

        def arrive() -> None:
            if not self._reach(author, peer):
                wait = SECOND if self.silent else 0
                self._at(wait, lambda: self.do(author, lambda o: o.dial_failed(peer, self.now)))
                return
            if pair(author, peer) in self.links:  # the other one's dial has won, or a link that is closing is left
                self.do(author, lambda o: o.dial_failed(peer, self.now))
                return
            self._count += 1
            self.links[pair(author, peer)] = self._count
            self.do(author, lambda o: o.link_up(peer, True, self.now))
            self.do(peer, lambda o: o.link_up(author, False, self.now))

        self._at(3 * hop, arrive)

    def _break(self, ends: tuple[AuthorId, AuthorId]) -> None:
        link = self.links.pop(ends)
        assert link
        for one, other in (ends, ends[::-1]):
            self._at(self.latency(one, other), partial(self._lost, one, other))

    def _lost(self, one: AuthorId, other: AuthorId) -> None:
        self.do(one, lambda o: o.link_down(other, False, self.now))


def pair(one: AuthorId, other: AuthorId) -> tuple[AuthorId, AuthorId]:
    """Both in order."""
    return (one, other) if one < other else (other, one)


def hash_of(one: AuthorId, other: AuthorId) -> int:
    """A number for a pair, the same either way and in every run."""
    low, high = pair(one, other)
    return int(low) * 1_000_003 + int(high)
