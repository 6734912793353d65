"""What is true in a world, kept apart from what any Node believes: who signed what and when, and who shows it.

Fed by signatures (``World.signed``) and news (``World.observers``) only, never by asking a Node. A hub that lost its
boot number, or was given an old one back, may sign a number twice until it learns better: then a number has several
vectors, and each of them is true.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.clock import MS, Duration, Instant
from protocol.effects import Event, ValueShown
from protocol.ids import AuthorId
from protocol.wire.codec import decode
from protocol.wire.records import DOMAIN_VECTOR, VectorRecord, decode_vector
from protocol.wire.registry import DIMENSIONS
from sim.host import Host
from sim.world import World

Number = tuple[int, int]
"""(boot, seq), as Nodes tell it; under a rotated key it may begin anew."""

KEPT: int = 512
"""Made vectors remembered per author: more than a minute at the fastest pace."""


@dataclass(frozen=True, slots=True)
class Made:
    """One vector as its author signed it. ``values`` as in ``AuthorStatistics.values``."""

    author: AuthorId
    at: Instant
    rotation: int
    number: Number
    lease_us: Duration
    cadence_us: Duration
    terms: int
    dims: tuple[int, ...]
    signed: bytes
    values: tuple[tuple[str, float | None, float | None], ...]


class Ledger:
    """The truth about vectors. ``shown`` maps (hub index, author) to the number shown last in the hub's life."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.made: dict[AuthorId, dict[Number, tuple[Made, ...]]] = {}
        self.by_bytes: dict[bytes, Made] = {}
        self.newest: dict[AuthorId, Made] = {}
        self.shown: dict[tuple[int, AuthorId], Number] = {}
        self._order: dict[tuple[int, AuthorId], tuple[int, int, int]] = {}
        self.deliveries = 0
        self._lives: dict[int, int] = {}
        world.signed.append(self._on_signed)
        world.observers.append(self._on_event)
        world.rewound.append(self._on_rewound)

    def _on_signed(self, host: Host, message: bytes) -> None:
        items = decode(message)
        assert isinstance(items, tuple)
        if items[0] != DOMAIN_VECTOR:
            return
        record = decode_vector(host.mesh.mesh_id, message)
        made = Made(
            record.author,
            self.world.now,
            record.rotation,
            (record.boot, record.seq),
            record.lease_ms * MS,
            record.cadence_ms * MS,
            record.terms,
            record.block.dims,
            message,
            _values(record),
        )
        self._check_made(host, record, made)
        mine = self.made.setdefault(host.author, {})
        mine[made.number] = (*mine.get(made.number, ()), made)
        self.by_bytes[message] = made
        if len(mine) > KEPT:
            for old in mine.pop(next(iter(mine))):
                self.by_bytes.pop(old.signed, None)
        self.newest[host.author] = made

    def _on_rewound(self, host: Host) -> None:
        """Its numbers may go back, until somebody shows it what it has forgotten."""
        self.newest.pop(host.author, None)

    def _check_made(self, host: Host, record: VectorRecord, made: Made) -> None:
        before = self.newest.get(host.author)
        if record.author != host.author:
            raise self.world.violation("author", "signed a vector of another author", host)
        if before is not None and (made.rotation, made.number) <= (before.rotation, before.number):
            raise self.world.violation("number", f"signed number {made.number} after {before.number}", host)

    def _on_event(self, host: Host, event: Event) -> None:
        if not isinstance(event, ValueShown):
            return
        self._forget_past_lives(host)
        number = (event.boot, event.seq)
        key = (host.index, event.author)
        several = self.made.get(event.author, {}).get(number)
        if several is None:
            what = f"shows number {number} of {_short(event)}, which nobody made"
            raise self.world.violation("authentic", what, host)
        order = (max(made.rotation for made in several), *number)
        before = self._order.get(key)
        if before is not None and order <= before:
            raise self.world.violation("monotone", f"shows number {order} of {_short(event)} after {before}", host)
        self._order[key] = order
        self.shown[key] = number
        if event.author != host.author:
            self.deliveries += 1

    def _forget_past_lives(self, host: Host) -> None:
        if self._lives.get(host.index) != host.life:
            self._lives[host.index] = host.life
            for key in [key for key in self.shown if key[0] == host.index]:
                del self.shown[key]
                del self._order[key]

    def age_us(self, host: Host, author: AuthorId) -> Duration | None:
        """How old what ``host`` shows of ``author`` truly is; None if it shows nothing, or its lease is over."""
        made = self.made_of(host, author)
        return None if made is None or self.world.now - made.at >= made.lease_us else self.world.now - made.at

    def made_of(self, host: Host, author: AuthorId) -> Made | None:
        """What ``host`` has shown last of ``author`` in this life (the newest of that number), if it is remembered."""
        number = self.shown.get((host.index, author))
        if number is None or self._lives.get(host.index) != host.life:
            return None
        made = self.made.get(author, {}).get(number)
        return None if made is None else made[-1]

    def behind(self, hosts: list[Host], targets: dict[AuthorId, Number]) -> int:
        """How many pairs of a hub and an author have not reached that author's target number."""
        never = (0, 0)
        return sum(
            self.shown.get((host.index, author), never) < number for host in hosts for author, number in targets.items()
        )

    def targets(self, hosts: list[Host]) -> dict[AuthorId, Number]:
        """What each of these authors has made last."""
        return {host.author: self.newest[host.author].number for host in hosts if host.author in self.newest}


def _values(record: VectorRecord) -> tuple[tuple[str, float | None, float | None], ...]:
    block = record.block
    return tuple((DIMENSIONS[dim].name, block.newest(dim), block.sd(dim)) for dim in block.dims)


def _short(event: ValueShown) -> str:
    return event.author[:5].hex()
