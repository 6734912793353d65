"""A naive model of what must always hold, compared from outside with what every hub says of itself.

It knows the truth (:mod:`sim.ledger`) and the public statistics of each Node, and nothing of how Nodes work.
Safety (always): what is shown is what the author made, and what the author felt; numbers never go back; nothing is
shown past its lease; an author's numbers grow through crashes; what waits on a link is bounded.
Liveness (once faults have ended): everybody in reach, everybody's newest value everywhere.
Known residue: CLOCK counts the time that a vector spent in the network or a starved hub's buffers, but for what the
quickest frame of that link took (docs/protocol.md, sections 7.4 and 8), so a true age may pass the lease by
``residue_us``. On a new link that frame may be a HELLO whose segment was lost four times (3 s at a time-out of 200 ms,
one HELLO in 600 at 20 % loss); every further hop adds its latency, or such a HELLO of its own.
"""

from __future__ import annotations

from protocol.clock import MS, SECOND, Duration
from protocol.ids import AuthorId
from protocol.inputs import CommonsGrant, Reading
from protocol.limits import KNOWN_PEERS_MAX, LINKS_MAX
from protocol.statistics import AuthorStatistics, NodeStatistics
from protocol.wire.registry import DIMENSIONS
from sim.host import MILLION, Host
from sim.ledger import Ledger, Made
from sim.world import World

QUANTUM = 1 / 32_767


class Safety:
    """Raises :class:`~sim.world.SafetyViolation` from inside the world. ``understated_us`` is the largest difference
    found between a true age and the one shown; ``sweeps`` counts the rounds through all hubs. Hubs whose clocks run
    fast may show an age that is too large by as much."""

    def __init__(
        self, world: World, *, every_us: Duration | None = 250 * MS, residue_us: Duration = 5 * SECOND
    ) -> None:
        self.world = world
        self.ledger = Ledger(world)
        self.residue_us = residue_us
        self.understated_us = 0
        self.sweeps = 0
        self._drift_ppm = 2 * world.config.drift_ppm_max
        world.signed.append(self._on_signed)
        if every_us is not None:
            world.every(every_us, self.sweep)

    def sweep(self) -> None:
        """Compare every living hub with the truth."""
        self.sweeps += 1
        for host in self.world.living():
            if host.starved_until is None:
                self.check(host, self.world.statistics(host))

    def check(self, host: Host, seen: NodeStatistics) -> None:
        """Compare one hub's statistics with the truth."""
        violation = self.world.violation
        if seen.boot < host.storage.boot:
            raise violation("boot", f"boot {seen.boot} is below the stored {host.storage.boot}", host)
        told = {link.link: link.peer for link in seen.links}
        true = {link: end.peer.host.author for link, end in host.ends.items()}
        if told != true:
            raise violation("links", f"has links {sorted(told)} where {sorted(true)} are, or other peers", host)
        for link in seen.links:
            if link.waiting > len(self.world.hosts):
                raise violation("waiting", f"{link.waiting} vectors wait on link {link.link}", host)
        outside = {author for author, _ in seen.out_of_reach}
        if seen.author not in seen.in_reach or outside.intersection(seen.in_reach):
            raise violation("reach", "somebody is in reach and out of it at once, or it is not in its own", host)
        if seen.known_peers > KNOWN_PEERS_MAX or len(seen.links) > LINKS_MAX:
            raise violation("bounds", f"{seen.known_peers} known peers, {len(seen.links)} links", host)
        for line in seen.authors:
            self._check_line(host, line)

    def _check_line(self, host: Host, line: AuthorStatistics) -> None:
        violation, number = self.world.violation, (line.boot, line.seq)
        short = line.author[:5].hex()
        several = self.ledger.made.get(line.author, {}).get(number)
        if several is None or all(made.rotation != line.rotation for made in several):
            raise violation("authentic", f"holds number {number} of {short}, which nobody made", host)
        alike = [made for made in several if made.values == line.values]
        if not alike:
            raise violation("authentic", f"shows {line.values} where {several[-1].values} was made", host)
        if self.ledger.shown.get((host.index, line.author)) != number:
            raise violation("news", f"holds {number} of {short} and has not said so", host)
        self._check_age(host, line, alike)

    def _check_age(self, host: Host, line: AuthorStatistics, alike: list[Made]) -> None:
        made = alike[-1]
        true_age = self.world.now - alike[0].at
        if line.age_us > true_age + self._drift_us(true_age):
            raise self.world.violation("age", f"an age of {line.age_us} us shown, {true_age} us is true", host)
        true_age = self.world.now - made.at
        self.understated_us = max(self.understated_us, true_age - line.age_us)
        if true_age > made.lease_us + self.residue_us:
            what = f"shown {true_age} us after it was made, leased for {made.lease_us} us"
            raise self.world.violation("lease", what, host)

    def _drift_us(self, age_us: Duration) -> Duration:
        """How much older than it is something may look to hubs whose clocks run fast; each of them rounds."""
        return age_us * self._drift_ppm // MILLION + len(self.world.hosts) if self._drift_ppm else 0

    def _on_signed(self, host: Host, _: bytes) -> None:
        """What an author says is what its person was read to feel, as coarse as the grant wants it."""
        made = self.ledger.newest.get(host.author)
        if made is None or made.at != self.world.now or host.person is None or host.told is None:
            return
        last = host.person.last
        for name, value, _sd in made.values:
            if value is not None and not _agrees(name, value, last, host.told):
                raise self.world.violation("person", f"made {name} {value} of {last}", host)


def _agrees(name: str, value: float, last: Reading | None, grant: CommonsGrant) -> bool:
    for estimate in () if last is None else last.estimates:
        dimension = DIMENSIONS[estimate.dim]
        if dimension.name == name and estimate.value is not None:
            step = 0.0 if grant.levels == 0 else dimension.width / (grant.levels - 1)
            return abs(estimate.value - value) <= step / 2 + dimension.width * QUANTUM
    return False


def sides_right(world: World, groups: list[list[Host]]) -> list[Host]:
    """The living hubs whose own picture of who is in reach is not exactly the living of their group."""
    wrong: list[Host] = []
    for group in groups:
        living = {host.author for host in group if host.alive}
        wrong += [host for host in group if host.alive and not reaches(world, host, living)]
    return wrong


def reaches(world: World, host: Host, authors: set[AuthorId]) -> bool:
    """Whether ``host`` has exactly these authors in reach."""
    return set(world.statistics(host).in_reach) == authors


def linked(world: World, hosts: list[Host]) -> bool:
    """Whether every one of these hubs has an open link, and all hang together by open links."""
    if not hosts:
        return True
    wanted = {host.author for host in hosts}
    seen: dict[AuthorId, tuple[AuthorId, ...]] = {}
    for host in hosts:
        peers = tuple(link.peer for link in world.statistics(host).links if link.open and link.peer in wanted)
        if not peers and len(hosts) > 1:
            return False
        seen[host.author] = peers
    reached, front = {hosts[0].author}, [hosts[0].author]
    while front:
        for peer in seen[front.pop()]:
            if peer not in reached:
                reached.add(peer)
                front.append(peer)
    return reached == wanted
