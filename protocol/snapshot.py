"""Builds :class:`~protocol.statistics.NodeStatistics`: part of the Node, in a room of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from protocol.clock import Instant
from protocol.collective.aggregate import CONTRIBUTORS_MIN, METHOD, QUALITY_MIN, Contribution, Crowd, aggregate
from protocol.collective.presence import Presence, Roll
from protocol.consent.policy import Purpose, decide
from protocol.gossip.shelf import Held, Shelf
from protocol.ids import AuthorId, LinkId
from protocol.statistics import AuthorStatistics
from protocol.trust.trust import Trust
from protocol.wire.registry import AROUSAL, DIMENSIONS


class NeighborPort(Protocol):
    """What is read of a link here."""

    peer: AuthorId
    open: bool
    neighbors: tuple[AuthorId, ...]


class Lookout:
    """Remembers who was in reach; everything else is computed when asked for."""

    def __init__(self) -> None:
        self.roll = Roll()

    def presence(self, own: AuthorId, ports: Mapping[LinkId, NeighborPort], now: Instant) -> Presence:
        """Who is in reach now; this hub always is."""
        linked = [own, *(port.peer for port in ports.values())]
        announced = [author for port in ports.values() for author in port.neighbors]
        return self.roll.look(linked, announced, now)


def hops(author: AuthorId, own: AuthorId, ports: Mapping[LinkId, NeighborPort]) -> int | None:
    """0 self, 1 linked, 2 linked with a neighbor, None further or unknown."""
    if author == own:
        return 0
    if any(port.peer == author for port in ports.values()):
        return 1
    return 2 if any(author in port.neighbors for port in ports.values()) else None


def author_statistics(
    held: Held, own: AuthorId, ports: Mapping[LinkId, NeighborPort], attention: str, now: Instant
) -> AuthorStatistics:
    """One author's line."""
    record = held.record
    block = record.block
    return AuthorStatistics(
        record.author,
        record.rotation,
        record.boot,
        record.seq,
        held.age_us(now),
        held.lease_left_us(now),
        record.cadence_ms,
        block.quality / 255,
        block.method,
        record.terms,
        hops(record.author, own, ports),
        record.author == own,
        tuple((DIMENSIONS[dim].name, block.newest(dim), block.sd(dim)) for dim in block.dims),
        attention,
    )


def shown(shelf: Shelf, now: Instant) -> list[Held]:
    """What may be shown now, in author order."""
    every = (shelf.get(author) for author in sorted(shelf.authors()))
    return [held for held in every if held is not None and held.lease_left_us(now) > 0]


def contributions(shelf: Shelf, inside: frozenset[AuthorId], now: Instant, dim: int = AROUSAL) -> list[Contribution]:
    """What everybody in reach says who consents to be counted."""
    found = []
    for held in shown(shelf, now):
        record = held.record
        value = record.block.newest(dim)
        if value is None or record.author not in inside:
            continue
        counted = decide(
            Purpose.AGGREGATE,
            audience=record.audience,
            terms=record.terms,
            dims=(dim,),
            lease_left_us=held.lease_left_us(now),
        )
        if counted.allowed:
            found.append(Contribution(record.author, value, record.block.sd(dim), record.block.quality / 255))
    return found


def trusted_crowd(found: list[Contribution], own: AuthorId, trust: Trust, utc_ms: int) -> Crowd:
    """The picture that this hub's person has of those whom it trusts: weighed, and counted by seats of a quorum. The
    person itself counts as one."""
    names = [one.author for one in found if one.quality >= QUALITY_MIN]
    seats = len(trust.seats(names, utc_ms)) + (own in names)
    if seats < CONTRIBUTORS_MIN:
        reason = f"{seats} of at least {CONTRIBUTORS_MIN} contributors whom you know"
        return Crowd(seats, len(found) - len(names), None, None, None, METHOD, reason)
    weights = {**trust.weights(names, utc_ms), own: 1.0}
    return aggregate([replace(one, weight=weights[one.author]) for one in found if one.author in weights])
