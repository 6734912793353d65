"""What is true in a world, kept apart from what any Node believes: who signed what and when, and who shows it.

Fed by signatures (``World.signed``) and news (``World.observers``) only, never by asking a Node.
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
"""(boot, seq); no author of a world rotates its key yet."""

KEPT: int = 512
"""Made vectors remembered per author: more than a minute at the fastest pace."""


@dataclass(frozen=True, slots=True)
class Made:
    """One vector as its author signed it. ``values`` as in ``AuthorStatistics.values``."""

    at: Instant
    number: Number
    lease_us: Duration
    cadence_us: Duration
    values: tuple[tuple[str, float | None, float | None], ...]


class Ledger:
    """The truth about vectors. ``shown`` maps (hub index, author) to the number shown last in the hub's life."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.made: dict[AuthorId, dict[Number, Made]] = {}
        self.newest: dict[AuthorId, Made] = {}
        self.shown: dict[tuple[int, AuthorId], Number] = {}
        self.deliveries = 0
        self._lives: dict[int, int] = {}
        world.signed.append(self._on_signed)
        world.observers.append(self._on_event)

    def _on_signed(self, host: Host, message: bytes) -> None:
        items = decode(message)
        assert isinstance(items, tuple)
        if items[0] != DOMAIN_VECTOR:
            return
        record = decode_vector(host.mesh.mesh_id, message)
        made = Made(
            self.world.now,
            (record.boot, record.seq),
            record.lease_ms * MS,
            record.cadence_ms * MS,
            _values(record),
        )
        self._check_made(host, record, made)
        mine = self.made.setdefault(host.author, {})
        mine[made.number] = made
        if len(mine) > KEPT:
            del mine[next(iter(mine))]
        self.newest[host.author] = made

    def _check_made(self, host: Host, record: VectorRecord, made: Made) -> None:
        before = self.newest.get(host.author)
        if record.author != host.author:
            raise self.world.violation("signed a vector of another author", host)
        if before is not None and made.number <= before.number:
            raise self.world.violation(f"signed number {made.number} after {before.number}", host)

    def _on_event(self, host: Host, event: Event) -> None:
        if not isinstance(event, ValueShown):
            return
        self._forget_past_lives(host)
        number = (event.boot, event.seq)
        key = (host.index, event.author)
        before = self.shown.get(key)
        if before is not None and number <= before:
            raise self.world.violation(f"shows number {number} of {_short(event)} after {before}", host)
        if number not in self.made.get(event.author, {}):
            raise self.world.violation(f"shows number {number} of {_short(event)}, which nobody made", host)
        self.shown[key] = number
        if event.author != host.author:
            self.deliveries += 1

    def _forget_past_lives(self, host: Host) -> None:
        if self._lives.get(host.index) != host.life:
            self._lives[host.index] = host.life
            for key in [key for key in self.shown if key[0] == host.index]:
                del self.shown[key]

    def age_us(self, host: Host, author: AuthorId) -> Duration | None:
        """How old what ``host`` shows of ``author`` truly is; None if it shows nothing, or its lease is over."""
        number = self.shown.get((host.index, author))
        made = None if number is None else self.made[author].get(number)
        if made is None or self.world.now - made.at >= made.lease_us or self._lives.get(host.index) != host.life:
            return None
        return self.world.now - made.at

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
