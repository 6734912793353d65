"""Shuffles: how passive views stay a fresh random sample of the mesh.

Source: HyParView, section 4.4. Deviation: the answer goes back the way the shuffle came and not straight to its
origin, so that a shuffle that names somebody else as its origin makes nobody dial a victim.
Invariants: at most ``_WALKS_MAX`` ways back are remembered, each for one answer; a message is taken for no more peers
than an honest one names.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

from protocol.ids import AuthorId
from protocol.membership.overlay_values import OverlayConfig, Shuffle, ShuffleAnswer, Tell
from protocol.membership.pool import Pool
from protocol.rng import Rng

_WALKS_MAX = 64


class Shuffles:
    """The machine; ``active`` is passed in, ``pool`` is shared with the overlay."""

    def __init__(self, author: AuthorId, config: OverlayConfig, pool: Pool, rng: Rng) -> None:
        self._author = author
        self._config = config
        self._pool = pool
        self._rng = rng
        self._walks: dict[AuthorId, AuthorId] = {}
        self._offered: tuple[AuthorId, ...] = ()

    def sample(self, active: Mapping[AuthorId, object], but: AuthorId) -> tuple[AuthorId, ...]:
        """A few of both views."""
        config = self._config
        near = self._rng.sample([peer for peer in active if peer != but], config.shuffle_active)
        return (*near, *self._pool.sample(config.shuffle_passive, (but,)))

    def look(self, active: Mapping[AuthorId, object], peer: AuthorId) -> Tell:
        """A shuffle with ``peer`` alone, which sends it no further."""
        self._offered = self.sample(active, peer)
        return Tell(peer, Shuffle(self._author, 1, self._offered))

    def offer(self, active: Mapping[AuthorId, object]) -> Tell:
        """Begin a shuffle with a neighbor at random."""
        first = self._rng.choice(list(active))
        self._offered = self.sample(active, first)
        return Tell(first, Shuffle(self._author, self._config.shuffle_ttl, self._offered))

    def received(
        self, sender: AuthorId, shuffle: Shuffle, active: Mapping[AuthorId, object], not_new: Container[AuthorId]
    ) -> Tell | None:
        """Pass it on, or answer where the walk ends; ``not_new`` are those that the pool does not want."""
        origin, ttl = shuffle.origin, min(shuffle.ttl, self._config.shuffle_ttl)
        if origin == self._author:
            return None
        others = [other for other in active if other not in (sender, origin)]
        if ttl > 1 and others:
            self._walks.pop(origin, None)
            self._walks[origin] = sender
            if len(self._walks) > _WALKS_MAX:
                del self._walks[next(iter(self._walks))]
            return Tell(self._rng.choice(others), Shuffle(origin, ttl - 1, shuffle.peers))
        wanted = min(len(shuffle.peers) + 1, self._bound)
        given = (*self._pool.sample(wanted, (origin,)), *self._rng.sample(others, wanted))[:wanted]
        self._learn((origin, *shuffle.peers), given, not_new)
        return Tell(sender, ShuffleAnswer(origin, given)) if given else None

    def answered(self, answer: ShuffleAnswer, linked: Container[AuthorId], not_new: Container[AuthorId]) -> Tell | None:
        """Take what is for us, pass back what is not."""
        if answer.origin == self._author:
            self._learn(answer.peers, self._offered, not_new)
            return None
        before = self._walks.pop(answer.origin, None)
        return Tell(before, answer) if before is not None and before in linked else None

    @property
    def _bound(self) -> int:
        return self._config.shuffle_active + self._config.shuffle_passive

    def _learn(self, peers: tuple[AuthorId, ...], given: tuple[AuthorId, ...], not_new: Container[AuthorId]) -> None:
        for peer in peers[: self._bound + 1]:
            self._pool.named(peer, given, known=peer in not_new)
