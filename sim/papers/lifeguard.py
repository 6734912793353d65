"""False alarms where some members are starved of CPU: our liveness beside memberlist with Lifeguard off.

Source: Lifeguard (Dadgar, Phillips, Currey, DSN-W 2018), which starves 1 to 32 of about 100 members and counts, at the
healthy ones, how often a healthy member is declared failed. Here a starved process gets a slice of 4 ms after gaps of
128 ms to 16 s (log-uniform); in a slice it first fires the timers that are due and then reads, as far as 50 us an item
and 20 us a message go. Both systems live in the same weather, with the same members starved and the same deaths.
Deviations: gaps are drawn and not measured on a loaded machine; five healthy members lose power while it lasts, so that
alarms and detection are measured in one run. Ours are the real Nodes on simulated TCP; they learn of their own lateness
by late timers alone. memberlist probes one member a second, of all; a hub beats each second on each of its about eight
links, so "the same probe rate" means the same period, and verdicts are given per watched pair as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from protocol import LivenessConfig, NodeConfig
from protocol.bars import Bar
from protocol.clock import MS, SECOND, Duration, Instant
from protocol.effects import Effect, Event, LinkNews
from protocol.errors import Reason
from protocol.inputs import Input, LoopLagged, MessagesReceived, Started, TimerFired
from protocol.rng import Rng
from sim.host import Host, Machine
from sim.papers import Cell, Curve, Found, Picture, Plan, Row, middle
from sim.papers.swim_baseline import Swim, SwimConfig
from sim.paths import Quality
from sim.world import World, WorldConfig

ABOUT = "false alarms and detection time with starved members, beside memberlist with Lifeguard off"
PARTS: Sequence[str] = ("starved", "loss")

MEMBERS: Final = 100
STARVED: Final = (1, 10, 40)
LOSSES: Final = (0.05, 0.2)
SEEDS: Final = 5
WARM_US: Final = 15 * SECOND
WATCH_US: Final = 120 * SECOND
SLICE_US: Final = 4 * MS
GAP_US: Final = (128 * MS, 16_384 * MS)
ITEM_US: Final = 50
MESSAGE_US: Final = 20
DEATHS: Final = 5
ALARM_SHARE_BAR: Final = 0.01
DETECTION_S_BAR: Final = 5.0
PROBED_SHARE_BAR: Final = 0.5
"""Probes must save at least every second link that silence alone would give up (our own bar)."""
FLAT: Final = LivenessConfig(relays=0, patience_us=2_500 * MS)
"""Ours without probes: 2.5 s of silence close a link."""
KINDER: Final = "memberlist, inputs in time"
"""A starved process of theirs that does what is due in the order of its instants, not its timers first."""
UNPROBED: Final = "ours, no probes"
SYSTEMS: Final = {"starved": ("memberlist", KINDER, "ours"), "loss": ("memberlist", UNPROBED, "ours")}


@dataclass(frozen=True, slots=True)
class Work:
    """One run. ``loss`` is the share of packets or segments lost."""

    system: str
    seed: int
    members: int
    starved: int
    loss: float
    watch_us: Duration

    @property
    def deaths(self) -> dict[int, Instant]:
        """Which healthy members lose power, and when: spread over the middle of the watch."""
        last = self.members - 1
        count = min(DEATHS, (self.members - self.starved) // 4)
        return {last - n: WARM_US + (n + 1) * self.watch_us // (count + 2) for n in range(count)}

    def gaps(self, index: int) -> Iterator[Duration]:
        """How long a starved member waits for each slice: the same in every system."""
        rng = Rng(self.seed).child(f"gaps {index}")
        low, high = GAP_US
        while True:
            yield int(low * (high / low) ** rng.fraction())


@dataclass(frozen=True, slots=True)
class Outcome:
    """Verdicts in the watch by (observer starved, subject starved); ``detected_s`` by healthy members that watched
    one that died, ``first_s`` by the first of them; ``pairs`` of healthy members of which one watches the other."""

    work: Work
    false: dict[tuple[bool, bool], int]
    detected_s: list[float]
    first_s: list[float]
    missed: int
    pairs: int
    packets_per_s: float
    bytes_per_s: float


class Slow:
    """A Node of a starved process: what does not fit into a slice waits for the next one."""

    def __init__(self, node: Machine) -> None:
        self._node = node
        self._waiting: deque[Input] = deque()
        self._left_us: Duration = SLICE_US

    def handle(self, input: Input, now: Instant) -> list[Effect]:
        """Do it, or keep it; the end of a gap is where the next slice begins."""
        if type(input) is LoopLagged:
            self._left_us = SLICE_US
            return []
        if type(input) is TimerFired or type(input) is Started:
            return self._do(input, now) + self._catch_up(now)
        self._waiting.append(input)
        return self._catch_up(now)

    def _catch_up(self, now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        while self._waiting and self._left_us > 0:
            effects += self._do(self._waiting.popleft(), now)
        return effects

    def _do(self, input: Input, now: Instant) -> list[Effect]:
        self._left_us -= ITEM_US
        if type(input) is MessagesReceived:
            self._left_us -= MESSAGE_US * len(input.messages)
        return self._node.handle(input, now)


def play(work: Work) -> Outcome:
    """One run of one system."""
    return _play_ours(work) if work.system.startswith("ours") else _play_memberlist(work)


def _tally(work: Work, verdicts: list[tuple[Instant, int, int]]) -> dict[tuple[bool, bool], int]:
    """Verdicts about the living, by who is starved."""
    false = {(observer, subject): 0 for observer in (False, True) for subject in (False, True)}
    deaths = work.deaths
    for at, observer, subject in verdicts:
        if at >= WARM_US and at < deaths.get(subject, at + 1):
            false[observer < work.starved, subject < work.starved] += 1
    return false


def _outcome(
    work: Work,
    verdicts: list[tuple[Instant, int, int]],
    watchers: dict[int, list[int]],
    pairs: int,
    packets: int,
    size: int,
) -> Outcome:
    detected: list[float] = []
    first: list[float] = []
    missed = 0
    for subject, died_at in work.deaths.items():
        took: list[float] = []
        for watcher in watchers[subject]:
            when = [
                at for at, observer, about in verdicts if about == subject and observer == watcher and at >= died_at
            ]
            if when:
                took.append((when[0] - died_at) / SECOND)
            else:
                missed += 1
        detected += took
        if took:
            first.append(min(took))
    seconds = work.members * (WARM_US + work.watch_us) / SECOND
    return Outcome(work, _tally(work, verdicts), detected, first, missed, pairs, packets / seconds, size / seconds)


# --- memberlist -----------------------------------------------------------------------------------------------------


def _play_memberlist(work: Work) -> Outcome:
    quality = Quality(loss=work.loss)
    config = SwimConfig(item_us=ITEM_US, rumor_us=MESSAGE_US)
    swim = Swim(work.members, work.seed, quality, config, timers_first=work.system != KINDER)

    def starve(index: int) -> None:
        gaps = work.gaps(index)

        def again() -> None:
            swim.run_slice(index, SLICE_US)
            swim.kernel.at(swim.kernel.now + SLICE_US + next(gaps), again)

        swim.starve(index)
        again()

    for index in range(work.starved):
        swim.kernel.at(WARM_US, starve, index)
    for index, at in work.deaths.items():
        swim.kernel.at(at, swim.kill, index)
    swim.kernel.run(WARM_US + work.watch_us)
    healthy = [index for index in range(work.starved, work.members) if index not in work.deaths]
    watchers = dict.fromkeys(work.deaths, healthy)
    pairs = len(healthy) * (len(healthy) - 1)
    return _outcome(work, swim.verdicts, watchers, pairs, swim.packets, swim.bytes)


# --- ours -----------------------------------------------------------------------------------------------------------


class _Hubs:
    """A world of hubs that only watch each other."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.world = World(work.seed, WorldConfig(quality=Quality(loss=work.loss), grant=None, dated=0.0))
        self.verdicts: list[tuple[Instant, int, int]] = []
        self.watchers: dict[int, list[int]] = {}
        config = NodeConfig(liveness=FLAT) if work.system == UNPROBED else NodeConfig()
        for index in range(work.members):
            self.world.add(
                at=index * 20 * MS,
                person=False,
                node_config=config,
                wrap=(lambda node, _host: Slow(node)) if index < work.starved else None,
            )
        self.world.observers.append(self._note)

    def _note(self, host: Host, event: Event) -> None:
        if isinstance(event, LinkNews) and not event.up and event.reason == Reason.LINK_SILENT:
            self.verdicts.append((self.world.now, host.index, self.world.authors[event.peer].index))

    def starve(self, host: Host) -> None:
        """Gaps and slices from now on."""
        gaps = self.work.gaps(host.index)

        def again() -> None:
            gap = next(gaps)
            self.world.starve(host, gap)
            self.world.kernel.at(self.world.now + gap + SLICE_US, again)

        again()

    def neighbors(self, host: Host) -> list[int]:
        """Healthy hubs that have a link with it."""
        linked = [self.world.authors[link.peer].index for link in self.world.statistics(host).links if link.open]
        return [index for index in linked if index >= self.work.starved and self.world.hosts[index].alive]

    def kill(self, host: Host) -> None:
        """Without power, and nobody is told."""
        self.watchers[host.index] = self.neighbors(host)
        self.world.crash(host, power=True)


def _play_ours(work: Work) -> Outcome:
    hubs = _Hubs(work)
    world = hubs.world
    for index in range(work.starved):
        world.kernel.at(WARM_US, hubs.starve, world.hosts[index])
    for index, at in work.deaths.items():
        world.kernel.at(at, hubs.kill, world.hosts[index])
    world.run(WARM_US)
    pairs = sum(len(hubs.neighbors(host)) for host in world.hosts[work.starved :])
    world.run(WARM_US + work.watch_us)
    return _outcome(work, hubs.verdicts, hubs.watchers, pairs, world.network.frames, world.network.bytes)


# --- the paper ------------------------------------------------------------------------------------------------------


def run(plan: Plan) -> Found:
    """All parts that were asked for."""
    members = plan.nodes or MEMBERS
    watch_us = 60 * SECOND if plan.quick else WATCH_US
    seeds = plan.seed_range(SEEDS)
    bars: list[Bar] = []
    tables: dict[str, Sequence[Row]] = {"published": PUBLISHED}
    picture = None
    if plan.wants("starved"):
        counts = [starved for starved in STARVED if starved <= members * 2 // 5]
        works = [Work(s, n, members, k, 0.0, watch_us) for k in counts for s in SYSTEMS["starved"] for n in seeds]
        outcomes = plan.each("starved", play, works)
        tables["starved"] = [_row("starved", k, s, outcomes) for k in counts for s in SYSTEMS["starved"]]
        bars += _bars(counts, outcomes)
        picture = _picture(counts, outcomes)
    if plan.wants("loss"):
        works = [Work(s, n, members, 0, loss, watch_us // 2) for loss in LOSSES for s in SYSTEMS["loss"] for n in seeds]
        outcomes = plan.each("loss", play, works)
        bars.append(_loss_bar(outcomes))
        tables["loss"] = [_row("loss", loss, s, outcomes) for loss in LOSSES for s in SYSTEMS["loss"]]
    conditions: dict[str, Cell] = {
        "members": members,
        "seeds": len(seeds),
        "watched_s": f"{watch_us / SECOND:g}, half of it for loss",
        "slice_ms": SLICE_US / MS,
        "gap_ms": f"{GAP_US[0] // MS} to {GAP_US[1] // MS}, log-uniform",
        "deaths": DEATHS,
        "network": "2 to 4 ms one way",
        "counts": "sums over the seeds of verdicts about members that live; detection: medians over healthy watchers",
    }
    return Found(bars, tables, conditions, picture)


PUBLISHED: Final[Sequence[Row]] = (
    {
        "what": "false alarms at healthy members, Lifeguard to SWIM",
        "figure": "1 to 50..100",
        "conditions": "about 100 one-core machines, 1 to 32 of them starved of CPU",
    },
    {
        "what": "the same with 20 % faster detection (alpha 4)",
        "figure": "1 to 20",
        "conditions": "same",
    },
    {
        "what": "median detection, tuned for speed",
        "figure": "-45 % with a third of the alarms",
        "conditions": "same",
    },
)
"""As its abstract and its readers quote them; the paper's own tables were not at hand."""


def _of(outcomes: Sequence[Outcome], system: str, key: str, value: float) -> list[Outcome]:
    return [one for one in outcomes if one.work.system == system and getattr(one.work, key) == value]


def _row(key: str, value: float, system: str, outcomes: Sequence[Outcome]) -> Row:
    mine = _of(outcomes, system, key, value)
    healthy = [one.false[False, False] for one in mine]
    hours = sum(one.pairs * one.work.watch_us / (3_600 * SECOND) for one in mine)
    return {
        key: value,
        "system": system,
        "healthy about healthy": sum(healthy),
        "median of seeds": middle(healthy),
        "per pair and hour": round(sum(healthy) / hours, 4),
        "healthy about starved": sum(one.false[False, True] for one in mine),
        "starved about healthy": sum(one.false[True, False] for one in mine),
        "starved about starved": sum(one.false[True, True] for one in mine),
        "detected_s": middle([took for one in mine for took in one.detected_s]),
        "first_s": middle([took for one in mine for took in one.first_s]),
        "not detected": sum(one.missed for one in mine),
        "packets/s": round(sum(one.packets_per_s for one in mine) / len(mine), 2),
        "bytes/s": round(sum(one.bytes_per_s for one in mine) / len(mine), 1),
    }


def _alarms(outcomes: Sequence[Outcome]) -> int:
    return sum(one.false[False, False] for one in outcomes)


def _rate(outcomes: Sequence[Outcome]) -> float:
    return _alarms(outcomes) / sum(one.pairs * one.work.watch_us for one in outcomes)


def _bars(counts: Sequence[int], outcomes: Sequence[Outcome]) -> list[Bar]:
    """Where memberlist raised no alarm at all, there is nothing to be a share of: not measured."""
    ours = [one for one in outcomes if one.work.system == "ours"]
    theirs = [one for one in outcomes if one.work.system == "memberlist"]
    measured = _alarms(theirs) > 0
    name = f"false alarms at healthy members, {min(counts)} to {max(counts)} starved, share of memberlist's"
    bars = [
        Bar(name, _alarms(ours) / _alarms(theirs) if measured else None, ALARM_SHARE_BAR, "of 1"),
        Bar(f"{name}, per watched pair", _rate(ours) / _rate(theirs) if measured else None, ALARM_SHARE_BAR, "of 1"),
    ]
    for starved in counts:
        mine = _of(outcomes, "ours", "starved", starved)
        other = _of(outcomes, "memberlist", "starved", starved)
        detected = middle([took for one in mine for took in one.detected_s])
        reference = middle([took for one in other for took in one.detected_s])
        bars.append(Bar(f"median detection, {starved} starved", detected, DETECTION_S_BAR, "s", reference))
    return bars


def _loss_bar(outcomes: Sequence[Outcome]) -> Bar:
    """What looking through others is worth where segments are lost."""
    flat = _alarms(_of(outcomes, UNPROBED, "loss", LOSSES[-1]))
    ours = _alarms(_of(outcomes, "ours", "loss", LOSSES[-1]))
    name = f"healthy links given up at {LOSSES[-1]:.0%} loss, share of those without probes"
    return Bar(name, ours / flat if flat else None, PROBED_SHARE_BAR, "of 1")


def _picture(counts: Sequence[int], outcomes: Sequence[Outcome]) -> Picture:
    curves = [
        Curve(system, [(float(k), float(_alarms(_of(outcomes, system, "starved", k)))) for k in counts])
        for system in SYSTEMS["starved"]
    ]
    return Picture("False alarms at healthy members about healthy members", "starved members", "verdicts", curves)
