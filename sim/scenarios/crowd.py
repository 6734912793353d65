"""A crowd that gathers, is cut in two for a while, and flows together again.

Measures what a visitor would notice: how soon all are linked, how old the values are, how soon each hub knows that
it is in one half, how soon after the path is back everybody has everybody's newest value, and what it costs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TextIO

from protocol.bars import Bar, percentile
from protocol.clock import MS, SECOND, Duration
from protocol.inputs import CommonsGrant
from protocol.limits import SPACING_US
from sim import keys, network
from sim.checkers import Safety, linked, reaches, sides_right
from sim.host import Host
from sim.metrics import Ages, Traffic, traffic, when_each
from sim.paths import Quality
from sim.world import DEFAULT_GRANT, World, WorldConfig

GIVE_UP_US = 20 * SECOND
SAMPLE_US = 100 * MS


@dataclass(frozen=True, slots=True)
class Played:
    """What a run has shown; ``figures`` are times in seconds unless their name says otherwise."""

    bars: list[Bar]
    figures: dict[str, object]
    digest: str
    events: int
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """The scenario. ``sizes`` are the parts of the cut; the first ``sharing`` hubs have a grant (None: all)."""

    name: str
    about: str
    sizes: tuple[int, ...]
    quality: Quality = field(default_factory=Quality)
    grant: CommonsGrant = DEFAULT_GRANT
    sharing: int | None = None
    lane: network.Lane = "object"
    crypto: keys.Lane = "stub"
    starts_apart_us: Duration = 20 * MS
    whole_us: Duration = 8 * SECOND
    cut_us: Duration = 10 * SECOND
    linked_us_bar: Duration = 2 * SECOND
    noticed_us_bar: Duration = 4 * SECOND
    healed_us_bar: Duration = 4 * SECOND
    hops_bar: int = 2
    hop_us_bar: Duration = SPACING_US
    sweep_us: Duration = SECOND

    def play(self, seed: int, out: TextIO | None = None) -> Played:
        """Run it once.

        Raises:
            SafetyViolation: an invariant does not hold.
        """
        return _Play(self, seed, out).play()

    @property
    def age_us_bar(self) -> Duration:
        """The cadence and what each hop may add."""
        return self.grant.cadence_ms * MS + self.hops_bar * self.hop_us_bar


class _Play:
    def __init__(self, crowd: Crowd, seed: int, out: TextIO | None) -> None:
        self.crowd = crowd
        config = WorldConfig(quality=crowd.quality, lane=crowd.lane, crypto=crowd.crypto, grant=None)
        self.world = World(seed, config, out)
        self.safety = Safety(self.world, every_us=crowd.sweep_us)
        self.ledger = self.safety.ledger
        self.groups: list[list[Host]] = []
        self.figures: dict[str, object] = {}
        self.bars: list[Bar] = []

    def play(self) -> Played:
        self._gather()
        whole, cost = self._stay(self.crowd.whole_us)
        self._report_whole("whole", whole, cost)
        self._cut()
        self._heal()
        again, cost = self._stay(self.crowd.whole_us)
        self._report_whole("after_heal", again, cost)
        world = self.world
        return Played(self.bars, self.figures, world.trace.digest(), world.kernel.events, world.trace.steps)

    def _gather(self) -> None:
        crowd, world = self.crowd, self.world
        count = 0
        for size in crowd.sizes:
            self.groups.append([])
            for _ in range(size):
                shares = crowd.sharing is None or count < crowd.sharing
                at = count * crowd.starts_apart_us
                self.groups[-1].append(world.add(at=at, grant=crowd.grant if shares else None))
                count += 1
        world.run((count - 1) * crowd.starts_apart_us)
        hosts = world.hosts
        taken = world.wait(lambda: linked(world, hosts), GIVE_UP_US, 50 * MS)
        self._bar("all linked after the last start", taken, crowd.linked_us_bar)
        started = world.now
        if world.wait(self._complete, GIVE_UP_US) is not None:
            self.figures["everybody_shown_after_linked_s"] = _seconds(world.now - started)

    def _complete(self) -> bool:
        """Whether every hub shows something of everybody who shares."""
        first = {host.author: (1, 1) for host in self.world.hosts if host.grant is not None}
        return self.ledger.behind(self.world.hosts, first) == 0

    def _stay(self, duration: Duration) -> tuple[Ages, Traffic]:
        ages, world = Ages(self.ledger), self.world
        before = traffic(world, self.ledger)
        end = world.now + duration
        while world.now < end:
            world.run(world.now + SAMPLE_US)
            ages.sample(world.hosts)
        return ages, traffic(world, self.ledger) - before

    def _report_whole(self, when: str, ages: Ages, cost: Traffic) -> None:
        p99 = percentile(ages.samples, 0.99)
        self._bar(f"age p99 {when}", p99, self.crowd.age_us_bar)
        seconds = cost.at / SECOND
        self.figures[when] = {
            "age_p50_s": _seconds(percentile(ages.samples, 0.5)),
            "age_p99_s": _seconds(p99),
            "pairs_without_value": ages.missing,
            "superfluous_share": round(cost.superfluous / max(1, cost.vectors), 4),
            "verifications_per_delivery": round(cost.verifications / max(1, cost.deliveries), 4),
            "deliveries_per_s": round(cost.deliveries / seconds, 1),
            "frames_per_s": round(cost.frames / seconds, 1),
            "bytes_per_delivery": round(cost.bytes / max(1, cost.deliveries), 1),
            "links_per_hub": round(self._links() / len(self.world.hosts), 2),
        }

    def _links(self) -> int:
        return sum(len(self.world.statistics(host).links) for host in self.world.hosts)

    def _cut(self) -> None:
        world = self.world
        cut_at = world.now
        world.cut(*self.groups)
        authors = {id(host): {mate.author for mate in group} for group in self.groups for host in group}
        taken = when_each(world, world.hosts, lambda host: reaches(world, host, authors[id(host)]), GIVE_UP_US)
        noticed = [us for us in taken.values() if us is not None]
        worst = max(noticed) if len(noticed) == len(taken) else None
        self._bar("cut noticed by every hub", worst, self.crowd.noticed_us_bar)
        self.figures["noticed_s"] = {
            "min": _seconds(min(noticed, default=None)),
            "p50": _seconds(percentile(noticed, 0.5)),
            "max": _seconds(worst),
        }
        world.run(max(world.now, cut_at + self.crowd.cut_us))
        wrong = sides_right(world, self.groups)
        self.bars.append(Bar("hubs with a wrong side at the end of the cut", float(len(wrong)), 0.0, "hubs"))
        self.figures["crowd_means_of_halves"] = [_means(world, group) for group in self.groups]

    def _heal(self) -> None:
        world = self.world
        targets = self.ledger.targets([host for host in world.hosts if host.grant is not None])
        world.heal()
        taken = world.wait(lambda: self.ledger.behind(world.hosts, targets) == 0, GIVE_UP_US, 50 * MS)
        self._bar("everybody's newest value everywhere after the heal", taken, self.crowd.healed_us_bar)
        healed = world.now - (taken or GIVE_UP_US)
        whole = world.wait(lambda: not sides_right(world, [world.hosts]), GIVE_UP_US)
        self.figures["all_in_reach_after_heal_s"] = None if whole is None else _seconds(world.now - healed)
        self.figures["crowd_means_after_heal"] = _means(world, world.hosts)
        self.figures["age_understated_max_s"] = _seconds(self.safety.understated_us)

    def _bar(self, name: str, ours: Duration | None, bar: Duration) -> None:
        self.bars.append(Bar(name, _seconds(ours), bar / SECOND, "s"))


def _means(world: World, hosts: list[Host]) -> dict[str, float | None]:
    means = [world.statistics(host).crowd.mean for host in hosts]
    known = [mean for mean in means if mean is not None]
    return {"least": min(known, default=None), "most": max(known, default=None)}


def _seconds(us: Duration | None) -> float | None:
    return None if us is None else round(us / SECOND, 6)
