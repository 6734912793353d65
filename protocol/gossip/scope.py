"""How much of a large mesh one hub hears: everybody up to about 300 authors, then one sample that is the same on all
hubs, and always the neighborhood.

Source: design decision 16; the estimate is that of adaptive sampling (Wegman 1984; Flajolet 1990): hash every author,
keep those below a share, and the mesh is as large as the kept ones divided by the share. Private samples would not
do: a vector that only some hubs want has no way to them.
Every hub relays the authors whose ``H(author, epoch)`` lies below the share, and its own peers' vectors, which so
reach two hops. What is not covered is not pushed and not digested; what comes is accepted, within the bounds of the
shelf and the signature budget. All hubs hear the same sample, so all of them find the same share, which moves in steps
of a quarter octave; two hubs that stand a step apart differ by the few authors in between. The epoch is the hour of
the date, so that everybody is in the sample now and then and nobody can make an author that stays in it. A hub
without a date passes on what its neighbors cover.
Deviation: decision 16 aims at 256 authors; the steps leave between 245 and 300.
Invariants: with at most ``whole_max`` authors everything is covered and no rate is limited; the share never exceeds
one and grows by one step at a time; memory is bounded by ``AUTHORS_MAX``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Protocol

from protocol.clock import SECOND, Duration, Instant
from protocol.ids import AuthorId
from protocol.limits import AUTHORS_MAX

HOUR_MS: Final = 3_600_000
_UNIT: Final = 1 << 64
_PERSON: Final = b"trio-mesh sample"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeConfig:
    """``whole_max``: authors up to which everything is covered (16..1,024; decision 16: about 300).
    ``sample_min``: beyond that, with fewer in the sample than this, the share grows a step (1..0.84 ``whole_max``, or
    it would have to shrink again).
    ``growth_us``: least time between two such steps (1 s..1 h; guess, slow against the seconds a sample takes to come).
    ``settle_us``: after a new epoch the share rests until the new sample has come (0..1 h; above the longest lease).
    ``link_bytes_per_second``, ``link_burst_bytes``: what vectors may use of one link beyond ``whole_max`` authors
    (decision 16: 64 kB/s; burst: two seconds of it).
    """

    whole_max: int = 300
    sample_min: int = 245
    growth_us: Duration = 10 * SECOND
    settle_us: Duration = 90 * SECOND
    link_bytes_per_second: int = 64_000
    link_burst_bytes: int = 128_000


class Authors(Protocol):
    """Who is heard."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[AuthorId]: ...


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is covered: ``whole`` everybody, else authors whose hash lies below ``share``; ``sampled`` of them are
    heard, which makes about ``authors_estimate`` in the mesh. ``epoch`` is None without a date."""

    whole: bool
    share: float
    sampled: int
    authors_estimate: int
    epoch: int | None


class Scope:
    """Whose vectors are passed on. ``whole`` is read on the hot path: while it holds nothing is limited.

    ``linked`` says whose hub has a link here, our own among them. ``shares`` of a link's bandwidth, which add up to 1,
    say who goes first when there is too little; empty: all alike. They withhold nothing.
    """

    __slots__ = (
        "_config",
        "_epoch",
        "_hashes",
        "_heard",
        "_level",
        "_linked",
        "_moved_at",
        "_sampled",
        "_share",
        "shares",
        "whole",
    )

    def __init__(self, config: ScopeConfig, linked: Callable[[AuthorId], bool]) -> None:
        self._config = config
        self._linked = linked
        self._level = 0
        self._share = 1.0
        self._epoch: int | None = None
        self._moved_at: Instant = 0
        self._hashes: dict[AuthorId, int] = {}
        self._heard = 0
        self._sampled = 0
        self.whole = True
        self.shares: Mapping[AuthorId, float] = {}

    def look(self, authors: Authors, utc_ms: int | None, now: Instant) -> bool:
        """Once a second: who is heard now; whether the answer of :meth:`carries` may have changed.

        ``utc_ms`` is the date, None if it is unknown: then the epoch last known goes on until there is a date.
        """
        self._heard = len(authors)
        moved = self._new_epoch(utc_ms, now)
        if self.whole and self._heard <= self._config.whole_max:
            self._sampled = self._heard
            return moved
        self._sampled = sum(map(self._below, authors))
        return self._adjust(now) or moved

    def _new_epoch(self, utc_ms: int | None, now: Instant) -> bool:
        if utc_ms is None or (epoch := utc_ms // HOUR_MS) == self._epoch:
            return False
        if self._epoch is not None:  # the share does not grow until the new sample has come
            self._moved_at = max(self._moved_at, now + self._config.settle_us - self._config.growth_us)
        self._epoch = epoch
        self._hashes.clear()
        return not self.whole

    def _adjust(self, now: Instant) -> bool:
        config = self._config
        count = self._sampled
        if count > config.whole_max:
            while count * _share(self._level) > config.whole_max * self._share:
                self._level += 1
        elif self._level and count < config.sample_min and now - self._moved_at >= config.growth_us:
            self._level -= 1
        else:
            return False
        self._moved_at = now
        self._share = _share(self._level)
        self.whole = self._level == 0
        return True

    def carries(self, author: AuthorId) -> bool:
        """Whether this hub passes ``author`` on: for the whole mesh, or from its author to our neighbors."""
        return self.whole or self._epoch is None or self._below(author) or self._linked(author)

    def _below(self, author: AuthorId) -> bool:
        value = self._hashes.get(author)
        if value is None:
            if len(self._hashes) >= 4 * AUTHORS_MAX:
                self._hashes.clear()
            value = self._hashes[author] = sample_hash(author, self._epoch or 0)
        return value < self._share * _UNIT

    def bucket(self, now: Instant) -> Bucket:
        """A full bucket for one link."""
        return Bucket(self._config.link_bytes_per_second, self._config.link_burst_bytes, now)

    def statistics(self) -> Coverage:
        """An immutable picture, as of the last :meth:`look`."""
        return Coverage(self.whole, self._share, self._sampled, round(self._sampled / self._share), self._epoch)


def _share(level: int) -> float:
    return math.exp2(-level / 4)


def sample_hash(author: AuthorId, epoch: int) -> int:
    """``H_8(author; person "trio-mesh sample", key epoch)`` as a big-endian number, below 2**64."""
    digest = blake2b(author, digest_size=8, key=epoch.to_bytes(8, "big"), person=_PERSON).digest()
    return int.from_bytes(digest, "big")


class Bucket:
    """A token bucket in bytes; may go into debt by one record, so that the largest passes at all."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: int, burst: int, now: Instant) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = self._burst
        self._at = now

    def ready_at(self, now: Instant) -> Instant:
        """``now`` if something may leave, else when."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate / SECOND)
        self._at = now
        if self._tokens > 0:
            return now
        return now + 1 + int((1 - self._tokens) * SECOND / self._rate)

    def spend(self, size: int) -> None:
        """So many bytes have left."""
        self._tokens -= size
