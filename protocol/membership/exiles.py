"""Exiles: peers once known, now lost, that are never given up (design decision 11).

Why: plain HyParView cannot heal a mesh that has split, because each half forgets the other. Nobody here is ever
dead, so nothing can block the dial that would prove somebody alive. Exiles that were neighbors are dialled for a
minute, one a second; after that, as all others from the beginning, a few at a time in turn, 5..30 s apart. A hub with
fewer than two neighbors dials all of them at once, and from then on ``dials_alone`` in each turn, every turn twice as
long after the last as that was, up to 30 s: nobody is given up, and a hub that stays alone does not dial without end.
Invariants: at most ``config.exiles`` entries; those that were never neighbors give way first, then the one lost
longest ago; an entry leaves otherwise only when its peer is back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from protocol.clock import SECOND, Duration, Instant
from protocol.ids import AuthorId
from protocol.membership.overlay_values import OverlayConfig
from protocol.rng import Rng

_NEVER: Instant = 1 << 62
_BACK_WITHIN: Duration = 2 * SECOND
_BACK_TOGETHER = 32
"""So many exiles are dialled at once because one of them is back: enough that some of them are, too; all 512 in every
hub of two crowds that meet would be a storm."""


@dataclass(slots=True)  # state: changes in place
class Exile:
    """One lost peer. ``was_neighbor``: a link broke; else it only did not answer. ``missed``: it is tried each second
    for a minute. ``hurry``: due by itself at
    ``next_at`` and not in turn. ``known_at``: since when it is known, kept across its absence. ``tried_at``: when its
    absence was last confirmed."""

    lost_at: Instant
    known_at: Instant
    was_neighbor: bool
    missed: bool
    next_at: Instant
    hurry: bool
    tried_at: Instant
    dials: int = 0


class Exiles:
    """The table; a mapping in the order in which their turn comes."""

    def __init__(self, config: OverlayConfig, rng: Rng) -> None:
        self._config = config
        self._rng = rng
        self._table: dict[AuthorId, Exile] = {}
        self._turn_at: Instant = 0
        self._again: Instant = 0
        self._alone = False
        self._alone_at: Instant = -_NEVER
        self._rest: Duration = 0
        self._back_at: Instant = -_NEVER

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, peer: object) -> bool:
        return peer in self._table

    def __iter__(self) -> Iterator[AuthorId]:
        return iter(self._table)

    def items(self) -> Iterable[tuple[AuthorId, Exile]]:
        """All exiles, the next in turn first."""
        return self._table.items()

    def add(self, peer: AuthorId, known_at: Instant, now: Instant, *, was_neighbor: bool, missed: bool = False) -> None:
        """``peer`` is lost; a lost neighbor is tried again within 200 ms, somebody else who is missed in a second."""
        config = self._config
        if not config.exiles or peer in self._table:
            return
        if len(self._table) >= config.exiles and not self._give_way(was_neighbor=was_neighbor):
            return
        self._again = 0
        missed = missed or was_neighbor
        wait = self._rng.jitter(config.retry_us if missed else config.redial_us_min, 20)
        if was_neighbor:
            wait = self._rng.below(config.retry_us // 5) + 1
        self._table[peer] = Exile(now, known_at, was_neighbor, missed, now + wait, missed, now)

    def restore(self, peer: AuthorId, now: Instant) -> None:
        """``peer`` was lost when this hub last stopped: known, and worth a dial soon."""
        self.add(peer, now, now, was_neighbor=True)

    def _give_way(self, *, was_neighbor: bool) -> bool:
        victim = next((peer for peer, exile in self._table.items() if not exile.was_neighbor), None)
        if victim is None and was_neighbor:
            victim = min(self._table, key=lambda peer: (self._table[peer].lost_at, peer))
        if victim is None:
            return False
        del self._table[victim]
        return True

    def back(self, peer: AuthorId) -> Exile | None:
        """``peer`` has a link again: no exile any more."""
        return self._table.pop(peer, None)

    def dialled(self, peer: AuthorId) -> None:
        """Its turn has come: it moves to the end."""
        exile = self._table.pop(peer, None)
        if exile is not None:
            exile.dials += 1
            exile.next_at = _NEVER  # until the dial has failed
            self._table[peer] = exile

    def failed(self, peer: AuthorId, known: int, now: Instant) -> None:
        """The dial came to nothing; with ``known`` peers in all the next is due later."""
        exile = self._table.get(peer)
        if exile is None:
            return
        fresh = exile.missed and now - exile.lost_at < self._config.retry_for_us
        exile.hurry = fresh
        exile.tried_at = now
        self._again = 0
        wait = self.pace(known)
        if fresh:  # one path that is back shows the others: one dial a second finds it, however many are lost
            wait = min(wait, self._config.retry_us * sum(other.hurry for other in self._table.values()))
        exile.next_at = now + self._rng.jitter(wait, 20)

    def hurry(self, peer: AuthorId, now: Instant, within: Duration = _BACK_WITHIN) -> bool:
        """The path to ``peer`` may be back; False if it is under way already."""
        exile = self._table.get(peer)
        if exile is None or exile.next_at == _NEVER or (exile.hurry and exile.next_at <= now + within):
            return False
        exile.hurry = True
        self._again = 0
        exile.next_at = now + 1 + self._rng.below(within)
        return True

    def hurry_all(self, now: Instant) -> None:
        """The network has changed: everybody is worth a dial soon."""
        within = min(_BACK_WITHIN, len(self._table) * self._config.retry_us // 5)
        for peer in self._table:
            self.hurry(peer, now, within)

    def path_is_back(self, now: Instant) -> None:
        """Somebody who was lost for long is back, or heard of: others may be as well."""
        if now - self._back_at >= self._config.redial_us_min:
            self._back_at = now
            for peer in list(self._table)[:_BACK_TOGETHER]:
                self.hurry(peer, now)

    def pace(self, known: int) -> Duration:
        """Microseconds between two turns: with few known peers each of them matters more."""
        config = self._config
        return min(config.redial_us_max, max(config.redial_us_min, 30 * SECOND * known // 64))

    def due(self, free: int, known: int, now: Instant, *, alone: bool) -> tuple[list[AuthorId], Instant | None]:
        """Up to ``free`` that are to be dialled now, and when to ask again (None: when a dial has ended)."""
        if not self._table:
            return [], None
        if alone != self._alone:
            self._alone = alone
            if alone:
                self._left_alone(known, now)
        if free <= 0:
            return [], None
        if now < self._again:
            return [], self._again
        due = [peer for peer, exile in self._table.items() if exile.next_at <= now and self._is_urgent(exile)]
        due += self._turn(known, now)
        again = self._turn_at
        for exile in self._table.values():
            if now < exile.next_at < again and self._is_urgent(exile):
                again = exile.next_at
        self._again = 0 if len(due) > free else again
        return due[:free], again if now < self._again else None

    def _left_alone(self, known: int, now: Instant) -> None:
        """Everybody is due; but whoever is left alone every few seconds does not begin anew each time."""
        if now - self._alone_at >= self._config.redial_us_max:
            self._alone_at = now
            self._rest = self.pace(known)
            self._again = 0
            for exile in self._table.values():
                if exile.next_at != _NEVER and self._is_urgent(exile):
                    exile.next_at = min(exile.next_at, now + 1 + self._rng.below(self._config.retry_us // 5))

    def _is_urgent(self, exile: Exile) -> bool:
        return exile.hurry or (self._alone and exile.tried_at + self._config.redial_us_min <= self._alone_at)

    def _turn(self, known: int, now: Instant) -> list[AuthorId]:
        if now < self._turn_at:
            return []
        first = self._turn_at == 0
        pace = self.pace(known)
        if self._alone:
            pace = self._rest
            self._rest = min(2 * pace, self._config.redial_us_max)
        self._turn_at = now + self._rng.jitter(pace, 20)
        if first:  # the pace begins with the first loss, and must not begin everywhere at once
            self._turn_at = now + 1 + self._rng.below(pace)
            return []
        slow = [peer for peer, exile in self._table.items() if exile.next_at <= now and not self._is_urgent(exile)]
        return slow[: self._config.dials_alone if self._alone else min(4, 1 + len(slow) // 32)]
