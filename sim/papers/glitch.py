"""Telling a torn crowd from everything else that makes hubs vanish: sides, onset, false alarms, equal records.

Nobody publishes such figures: Akka's split brain resolver and ringpop act on partitions and do not say how often they
were none; Rapid reports that a cut of many subjects is found whole. Here real Nodes live in a weather drawn from the
seed: splits in two or three, bursts of loss, single and double departures, people who walk off and come back, reboots
with and without power, starvation, sleep, each by itself or on top of a split.

A *true split* leaves at least three hubs on every side for at least 12 s: to the others two that vanish are two
departures. Hubs that another fault touches from 25 s before a split to its end, until 25 s after that fault, are
counted on no side and not asked. A *false glitch* is any announcement of two crowds that is noticed while no true split
lasts (or 3 s after it), also if it is taken back later. Hubs whose sets of observations are compared are those that no
fault of their own has touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from protocol.bars import Bar, percentile
from protocol.clock import MINUTE, MS, SECOND, Duration, Instant
from protocol.effects import Event, GlitchNews
from protocol.ids import AuthorId
from protocol.rng import Rng
from sim.faults import Crash, CrashMany, Cut, Fault, Starve, Worsen, schedule
from sim.host import Host
from sim.papers import Cell, Found, Plan, Row
from sim.papers.state_plane import Untraced
from sim.paths import Quality
from sim.world import World, WorldConfig

ABOUT: Final = "when a crowd is torn: who is on which side and since when, false alarms, and one record afterwards"
PARTS: Final = ("mixed",)
SEEDS: Final = 1_000
HUBS: Final = (6, 16)
WARM_US: Final = 40 * SECOND
SLOTS: Final = 5
SLOTS_QUICK: Final = 2
SPLIT_US: Final = (12 * SECOND, 40 * SECOND)
REST_US: Final = (40 * SECOND, 60 * SECOND)
TOUCHED_US: Final = 25 * SECOND
SIDE_MIN: Final = 3
EQUAL_US: Final = 30 * SECOND
MONTH_S: Final = 30 * 86_400
BENIGN: Final = ("loss", "departure", "walk", "reboot", "power", "starved", "sleep", "two reboots", "two walk")


@dataclass(frozen=True, slots=True)
class Tear:
    """One true split: hub indices by side."""

    at: Instant
    until: Instant
    sides: tuple[tuple[int, ...], ...]


@dataclass(slots=True)
class Weather:
    """A drawn plan: faults, true splits, and (from, until, hub) of everything else that touches a hub."""

    hubs: int
    dated: float
    quality: Quality
    faults: list[tuple[Instant, Fault]] = field(default_factory=list)
    tears: list[Tear] = field(default_factory=list)
    touched: list[tuple[Instant, Instant, int]] = field(default_factory=list)
    gone: dict[int, Instant] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    end: Instant = 0

    def is_touched(self, hub: int, since: Instant, until: Instant) -> bool:
        """Whether another fault touches a hub in this time."""
        return any(hub == name and first < until and since < last for first, last, name in self.touched)


def draw(seed: int, *, quick: bool = False) -> Weather:
    """The weather of a seed."""
    rng = Rng(seed).child("glitch")
    quality = Quality(loss=rng.choice([0.0, 0.01, 0.05]), latency_us=rng.choice([2, 10, 40]) * MS)
    weather = Weather(rng.between(*HUBS), rng.choice([0.0, 0.5, 1.0]), quality)
    at = WARM_US
    for _ in range(SLOTS_QUICK if quick else SLOTS):
        lasted = 0
        if rng.chance(0.5):
            lasted = rng.between(*SPLIT_US)
            _tear(weather, rng, at, lasted)
        if not lasted or rng.chance(0.4):
            _benign(weather, rng, at + rng.below(max(1, lasted)))
        at += lasted + rng.between(*REST_US)
    weather.end = at
    return weather


def _present(weather: Weather) -> list[int]:
    return [hub for hub in range(weather.hubs) if hub not in weather.gone]


def _tear(weather: Weather, rng: Rng, at: Instant, lasted: Duration) -> None:
    hubs = _present(weather)
    rng.shuffle(hubs)
    three = len(hubs) >= 3 * SIDE_MIN and rng.chance(0.15)
    first = rng.between(SIDE_MIN, len(hubs) - (2 * SIDE_MIN if three else SIDE_MIN))
    rest = hubs[first:]
    second = rng.between(SIDE_MIN, len(rest) - SIDE_MIN) if three else len(rest)
    sides = tuple(tuple(sorted(side)) for side in (hubs[:first], rest[:second], rest[second:]) if side)
    weather.tears.append(Tear(at, at + lasted, sides))
    names = tuple(tuple(f"n{hub}" for hub in side) for side in sides)
    weather.faults.append((at, Cut(names, lasted)))
    weather.kinds["split"] = weather.kinds.get("split", 0) + 1


def _benign(weather: Weather, rng: Rng, at: Instant) -> None:
    kind = rng.choice(list(BENIGN))
    hubs = _present(weather)
    rng.shuffle(hubs)
    one, other = hubs[0], hubs[1]
    for_us = rng.between(4 * SECOND, 25 * SECOND)
    if kind == "departure" and len(hubs) <= 2 * SIDE_MIN + 1:
        kind = "reboot"
    weather.kinds[kind] = weather.kinds.get(kind, 0) + 1
    faults: list[tuple[Duration, Fault]]
    touched = [one]
    match kind:
        case "loss":
            worse = Quality(loss=0.1 + 0.3 * rng.fraction(), latency_us=weather.quality.latency_us)
            faults, touched = [(0, Worsen(worse, for_us))], []
        case "departure":
            faults, for_us = [(0, Crash(f"n{one}", power=rng.chance(0.5)))], 1 << 50
            weather.gone[one] = at
        case "walk":
            faults = [(0, Cut(((f"n{one}",),), for_us))]
        case "two walk":
            faults = [(0, Cut(((f"n{one}",),), for_us)), (rng.below(4 * SECOND), Cut(((f"n{other}",),), for_us))]
            touched = [one, other]
        case "reboot" | "power":
            faults = [(0, Crash(f"n{one}", power=kind == "power", for_us=for_us))]
        case "two reboots":
            faults, touched = [(0, CrashMany((f"n{one}", f"n{other}"), power=True, for_us=for_us))], [one, other]
        case _:
            for_us = rng.between(15 * SECOND, 40 * SECOND) if kind == "sleep" else rng.between(SECOND, 8 * SECOND)
            faults = [(0, Starve(f"n{one}", for_us))]
    weather.faults += [(at + later, fault) for later, fault in faults]
    weather.touched += [(at, at + for_us + TOUCHED_US, hub) for hub in touched]


@dataclass(frozen=True, slots=True)
class _Job:
    seed: int
    quick: bool


@dataclass(slots=True)
class Outcome:
    """What one seed came to. ``equal_s`` is None where sets still differed after 30 s."""

    seed: int
    hub_us: Duration = 0
    asked: int = 0
    right: int = 0
    unseen: int = 0
    onset_us: list[Duration] = field(default_factory=list)
    noticed_us: list[Duration] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    equal_s: list[float | None] = field(default_factory=list)
    unlike: int = 0
    records: list[int] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)


class _Play:
    def __init__(self, job: _Job) -> None:
        self.weather = weather = draw(job.seed, quick=job.quick)
        self.out = Outcome(job.seed, kinds=dict(weather.kinds))
        self.world = world = World(job.seed, WorldConfig(dated=weather.dated, quality=weather.quality))
        world.trace = Untraced()
        for index in range(weather.hubs):
            world.add(at=index * 200 * MS)
        world.observers.append(self._news)
        schedule(world, weather.faults)

    def play(self) -> Outcome:
        """Run it once."""
        for tear in self.weather.tears:
            self._until(tear.until - 1)
            self._judge(tear)
            self._compare(tear)
        self._until(self.weather.end)
        return self.out

    def _until(self, at: Instant) -> None:
        while self.world.now < at:
            step = min(SECOND, at - self.world.now)
            self.world.run(self.world.now + step)
            self.out.hub_us += step * len(self.world.living())

    def _news(self, host: Host, event: Event) -> None:
        if not isinstance(event, GlitchNews) or event.over or event.alone:
            return
        now = self.world.now
        tear = next((tear for tear in self.weather.tears if tear.at <= now <= tear.until + 3 * SECOND), None)
        if tear is None:
            self.out.false.append(f"seed {self.out.seed} {host.name} {now / SECOND:.1f} s {event.mine}|{event.theirs}")
        elif self._counts(tear, host.index):
            self.out.noticed_us.append(now - tear.at)

    def _counts(self, tear: Tear, hub: int) -> bool:
        return not self.weather.is_touched(hub, tear.at - TOUCHED_US, tear.until)

    def _judge(self, tear: Tear) -> None:
        world, out = self.world, self.out
        sure = {
            host.author: number
            for number, side in enumerate(tear.sides)
            for host in (world.hosts[hub] for hub in side)
            if self._counts(tear, host.index)
        }
        for host in world.living():
            if host.author not in sure:
                continue
            out.asked += 1
            split = world.statistics(host).glitch.now
            if split is None:
                out.unseen += 1
                continue
            out.onset_us.append(abs(split.began - host.clock(tear.at)))
            out.right += _sides_right(sure, sure[host.author], split.mine, split.theirs)

    def _compare(self, tear: Tear) -> None:
        """Until when the sets of observations differ, looked at each second for 30 s."""
        world = self.world
        steady = [
            host
            for host in world.living()
            if not self.weather.is_touched(host.index, tear.at - TOUCHED_US, tear.until + EQUAL_US)
        ]
        last: float | None = 0.0
        seconds = EQUAL_US // SECOND
        for second in range(1, seconds + 1):
            self._until(tear.until + second * SECOND)
            by_set: dict[tuple[bytes, ...], set[object]] = {}
            for host in steady:
                assert host.node is not None
                records = host.node.glitches()
                names = tuple(sorted(seen.event for record in records for seen in record.seen))
                by_set.setdefault(names, set()).add(records)
            self.out.unlike += sum(len(kinds) > 1 for kinds in by_set.values())
            if len(by_set) > 1 or not all(by_set):
                last = None if second == seconds else float(second)
        self.out.equal_s.append(last)
        if steady and steady[0].node is not None:
            self.out.records.append(len(steady[0].node.glitches()))


def _sides_right(sure: dict[AuthorId, int], own: int, mine: Sequence[AuthorId], theirs: Sequence[AuthorId]) -> bool:
    """Exactly those who surely are here on this side, and exactly those who surely are not on the other."""
    here = {author for author, side in sure.items() if side == own}
    return here == {a for a in mine if a in sure} and sure.keys() - here == {a for a in theirs if a in sure}


def _play(job: _Job) -> Outcome:
    return _Play(job).play()


def run(plan: Plan) -> Found:
    """All seeds."""
    seeds = plan.seed_range(SEEDS)
    found = plan.each("mixed", _play, [_Job(seed, plan.quick) for seed in seeds])
    months = sum(one.hub_us for one in found) / SECOND / MONTH_S
    asked = sum(one.asked for one in found)
    onset = [us / SECOND for one in found for us in one.onset_us]
    noticed = [us / SECOND for one in found for us in one.noticed_us]
    false = [line for one in found for line in one.false]
    equal = [value for one in found for value in one.equal_s]
    differ = sum(value is None for value in equal)
    bars = [
        Bar("sides right", sum(o.right for o in found) / asked if asked else None, 0.95, "share", None, at_most=False),
        Bar("onset error, median", median(onset) if onset else None, 2.0, "s"),
        Bar("false glitches", len(false) / months if months else None, 1.0, "a hub-month"),
        Bar("equal sets that gave unequal records", float(sum(o.unlike for o in found)), 0.0, "times"),
        Bar("splits whose sets differed 30 s after the heal", float(differ) if equal else None, 0.0, "splits"),
    ]
    known = [value for value in equal if value is not None]
    rows: list[Row] = [
        {
            "seeds": len(found),
            "splits": len(equal),
            "hub-splits": asked,
            "unseen": sum(one.unseen for one in found),
            "hub-months": months,
            "false": len(false),
            "onset p95 s": percentile(onset, 0.95),
            "noticed p50 s": percentile(noticed, 0.5),
            "noticed p95 s": percentile(noticed, 0.95),
            "equal p50 s": percentile(known, 0.5),
            "equal worst s": max(known, default=None),
        }
    ]
    kinds: dict[str, int] = {}
    for one in found:
        for kind, count in one.kinds.items():
            kinds[kind] = kinds.get(kind, 0) + count
    alarms: list[Row] = [{"false glitch": line} for line in false[:50]]
    return Found(bars, {"mixed weather": rows, "what happened": [dict(kinds)], "false": alarms}, _conditions(plan))


def _conditions(plan: Plan) -> dict[str, Cell]:
    return {
        "hubs": f"{HUBS[0]} to {HUBS[1]}, all or half or none with a date",
        "splits": f"{SPLIT_US[0] // SECOND} to {SPLIT_US[1] // SECOND} s, two sides, or three (15 %), of >= {SIDE_MIN}",
        "virtual time": f"about {(SLOTS_QUICK if plan.quick else SLOTS) * 70 * SECOND // MINUTE + 1} min a seed",
        "paths": "2, 10 or 40 ms, loss 0, 1 or 5 %; bursts of 10 to 40 % for up to 25 s",
        "other faults": ", ".join(BENIGN),
    }
