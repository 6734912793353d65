"""Draws a whole world of the swarm from a seed: who takes part, over what, and which misfortunes come when.

Each seed has its own mix of misfortunes and leaves some kinds out (see :mod:`sim.swarm`). How long a world lasts is
drawn as well, and bounded by what it costs: a large crowd that shares much lives for fewer seconds, so that a thousand
worlds fit into an hour of one core. In a ``durable`` world people tell about a thousand stories, few share vectors, and
some worlds of few hubs last for more than an hour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from protocol.clock import MINUTE, MS, SECOND, Duration, Instant
from protocol.inputs import CommonsGrant
from protocol.rng import Rng
from protocol.wire.registry import AROUSAL
from sim.discovery import Hints
from sim.faults import (
    Clog,
    Crash,
    CrashInside,
    CrashMany,
    Cut,
    CutOneWay,
    Fault,
    Flap,
    JumpDate,
    LoseDate,
    LosePower,
    Move,
    RefuseDisk,
    Regrant,
    Reset,
    RestoreBackup,
    RotateKey,
    Starve,
    TakeBack,
    Tell,
    Worsen,
)
from sim.host import PARTS
from sim.paths import Quality
from sim.swarm import STARVED_US_MAX, Draw, Hub, Limits
from sim.words import SIZES
from sim.world import WorldConfig

GATHER_US: Final = 3 * SECOND
WORDS: Final = 1_160
"""Stories told in one world, about; of a thousand worlds a million are acknowledged."""
CROWD: Final = 50
"""Hubs in every fiftieth durable world; it is torn in two while half of its stories are told."""
CROWD_EVERY: Final = 50
WORK: Final = 2_000
"""Values shown and heartbeats heard in one world, about: what a second of CPU can do."""

Entry = tuple[Instant, Fault]


def draw(seed: int) -> Draw:
    """The world of this seed."""
    rng = Rng(seed).child("swarm")
    count = rng.between(*rng.choice(((2, 6), (3, 9), (3, 9), (8, 16), (12, 24))))
    hubs = tuple(Hub(f"n{index}", _grant(rng, count)) for index in range(count))
    limits = _limits(rng)
    per_s = sum(1_000 / hub.grant.cadence_ms for hub in hubs if hub.grant is not None)
    cost_per_s = count * (per_s + min(count, limits.links_target))
    faults_us = GATHER_US + int(min(100.0, max(8.0, WORK / cost_per_s * (0.5 + rng.fraction())))) * SECOND
    away = rng.sample([hub.name for hub in hubs], rng.below(count // 2)) if rng.chance(0.4) and count > 3 else []
    return Draw(
        seed=seed,
        hubs=hubs,
        config=_config(rng),
        limits=limits,
        faults_us=faults_us,
        plan=_plan(rng, [hub.name for hub in hubs], faults_us),
        away=tuple(away),
        away_alive=rng.chance(0.5),
    )


def draw_durable(seed: int) -> Draw:
    """The world of this seed in which people tell things."""
    if seed % CROWD_EVERY == 0:
        return _draw_crowd(seed)
    rng = Rng(seed).child("durable swarm")
    lasting = rng.chance(0.2)
    count = rng.between(*((2, 4) if lasting else rng.choice(((2, 4), (3, 6), (3, 6), (5, 10)))))
    names = [f"n{index}" for index in range(count)]
    faults_us = GATHER_US + (rng.between(20, 80) * MINUTE if lasting else rng.between(15, 60) * SECOND)
    away = rng.sample(names, rng.below(count // 2)) if rng.chance(0.3) and count > 3 else []
    hubs = tuple(Hub(name, _grant(rng, 24) if rng.chance(0.1) and not lasting else None) for name in names)
    config = replace(_config(rng), quality=_quality(rng, 60, (0.0, 0.01, 0.02, 0.1)), reading_every_us=5 * SECOND)
    limits = _limits(rng)
    plan = _durable_plan(rng, names, faults_us, lasting=lasting)
    if _loses_itself(plan):
        config = replace(config, hints=replace(config.hints, again_every_us=10 * SECOND))
    return Draw(
        seed=seed,
        hubs=hubs,
        config=config,
        limits=limits,
        faults_us=faults_us,
        plan=plan,
        away=tuple(away),
        away_alive=rng.chance(0.5),
        calm=WORDS // 2 // count // (4 if lasting else 1),
    )


def _draw_crowd(seed: int) -> Draw:
    """A crowd of ``CROWD`` that is torn in two for a minute or so, and goes on telling."""
    rng = Rng(seed).child("durable crowd")
    names = [f"n{index}" for index in range(CROWD)]
    cut_us = rng.between(30, 90) * SECOND
    faults_us = 10 * SECOND + cut_us
    plan: list[Entry] = [(faults_us - cut_us, Cut(_sides(rng, names), cut_us))]
    for _ in range(rng.between(1, 6)):
        plan += rng.choice((_crash, _lose_power, _starve, _reset, _clogs, _take_back))(
            rng, names, GATHER_US + rng.below(faults_us // MS - 3_000) * MS
        )
    told = 0
    while told < WORDS // 2:
        burst = Tell(rng.choice(names), rng.between(1, 8), rng.between(0, 500) * MS, rng.choice(SIZES), False)
        told += burst.count
        plan.append((GATHER_US + rng.below((faults_us - 2 * GATHER_US) // MS) * MS, burst))
    config = replace(_config(rng), quality=_quality(rng, 60, (0.0, 0.01, 0.02, 0.1)), reading_every_us=5 * SECOND)
    return Draw(
        seed=seed,
        hubs=tuple(Hub(name) for name in names),
        config=config,
        limits=Limits(),
        faults_us=faults_us,
        plan=tuple(sorted(((at, _since_first_start(at, fault)) for at, fault in plan), key=lambda entry: entry[0])),
        calm=WORDS // 2 // CROWD,
    )


def _durable_plan(rng: Rng, names: list[str], until: Instant, *, lasting: bool) -> tuple[Entry, ...]:
    mix = rng.sample(DURABLE_KINDS, rng.between(3, len(DURABLE_KINDS)))
    span_ms = (until - GATHER_US) // MS
    entries: list[Entry] = []
    for _ in range(rng.between(3, 14)):
        entries += rng.choice(mix)(rng, names, GATHER_US + rng.below(span_ms) * MS)
    entries = [(at, _since_first_start(at, fault)) for at, fault in entries]
    if lasting:
        cut = Cut(_sides(rng, names), rng.between(span_ms // 4, span_ms) * MS)
        entries.append((GATHER_US + rng.below(span_ms // 2) * MS, cut))
    told = 0
    while told < WORDS // 2:
        burst = Tell(
            rng.choice(names), rng.between(1, 20), rng.between(0, 500) * MS, rng.choice(SIZES), rng.chance(0.1)
        )
        told += burst.count
        entries.append((GATHER_US // 2 + rng.below(span_ms) * MS, burst))
    return tuple(sorted(entries, key=lambda entry: entry[0]))


def _loses_itself(plan: tuple[Entry, ...]) -> bool:
    """Whether somebody moves and is set back to when it knew nobody: then only discovery brings them together."""
    moved = {fault.name for _, fault in plan if isinstance(fault, Move)}
    return any(isinstance(fault, RestoreBackup | LosePower) and fault.name in moved for _, fault in plan)


def _since_first_start(at: Instant, fault: Fault) -> Fault:
    """A backup holds at least one start, without which a hub takes itself for new."""
    oldest_us = at - SECOND
    if isinstance(fault, RestoreBackup):
        return replace(fault, age_us=min(fault.age_us, oldest_us))
    if isinstance(fault, LosePower):
        return replace(fault, unsynced_us=min(fault.unsynced_us, oldest_us))
    return fault


def _grant(rng: Rng, count: int) -> CommonsGrant | None:
    if rng.chance(0.15 if count <= 9 else 0.5):
        return None
    cadence_ms = rng.choice((250, 500, 1_000) if count <= 6 else (500, 1_000, 2_000))
    lease_ms = rng.choice((3_000, 15_000, 60_000))
    return CommonsGrant((AROUSAL,), rng.choice((0, 5, 21)), cadence_ms, lease_ms, rng.chance(0.85), True, False)


def _limits(rng: Rng) -> Limits:
    target, most = rng.choice(((8, 16), (8, 16), (6, 10), (4, 8), (3, 6)))
    return Limits(
        links_target=target,
        links_max=most,
        small_mesh=rng.choice((most, most // 2, 0)),
        passive=rng.choice((48, 16, 6)),
    )


def _config(rng: Rng) -> WorldConfig:
    wire = rng.chance(0.3)
    return WorldConfig(
        quality=_quality(rng, 60, (0.0, 0.0, 0.01, 0.05, 0.1)),
        lane="wire" if wire else "object",
        hints=Hints(loss=rng.choice((0.02, 0.3)), again_every_us=rng.choice((60 * SECOND, 10 * SECOND, None))),
        grant=None,
        dated=rng.choice((0.0, 0.5, 1.0)),
        date_error_ms_max=rng.choice((100, 1_000)),
        drift_ppm_max=rng.choice((0, 50, 500)),
        spread_us=rng.choice((0, 20, 80)) * MS,
    )


def _quality(rng: Rng, latency_ms_max: int, losses: tuple[float, ...]) -> Quality:
    return Quality(
        latency_us=rng.between(1, latency_ms_max) * MS,
        jitter_us=rng.between(0, 30) * MS,
        loss=rng.choice(losses),
        bytes_per_s=rng.choice((None, 1_250_000, 125_000, 40_000)),
    )


def _plan(rng: Rng, names: list[str], until: Instant) -> tuple[Entry, ...]:
    mix = rng.sample(KINDS, rng.between(3, len(KINDS)))
    entries: list[Entry] = []
    for _ in range(rng.between(2, 4 + until // (8 * SECOND))):
        at = GATHER_US // 2 + rng.below((until - GATHER_US // 2) // MS) * MS
        entries += rng.choice(mix)(rng, names, at)
    return tuple(sorted(entries, key=lambda entry: entry[0]))


def _for(rng: Rng) -> Duration:
    """How long something lasts: often shorter than any time-out, sometimes much longer."""
    return rng.choice((rng.between(50, 900), rng.between(900, 6_000), rng.between(3_000, 20_000))) * MS


def _sides(rng: Rng, names: list[str]) -> tuple[tuple[str, ...], ...]:
    members = rng.sample(names, rng.between(1, len(names) - 1))
    return tuple(members), tuple(name for name in names if name not in members)


def _cut(rng: Rng, names: list[str], at: Instant) -> list[Entry]:
    one, other = _sides(rng, names)
    if rng.chance(0.3):  # somebody stands between both sides and reaches either
        one = (*one, rng.choice(other))
    return [(at, Cut((one, other), _for(rng)))]


def _cut_twice(rng: Rng, names: list[str], at: Instant) -> list[Entry]:
    return [
        (at, Cut(_sides(rng, names), _for(rng) + SECOND)),
        (at + rng.between(0, 1_000) * MS, Cut(_sides(rng, names), _for(rng))),
    ]


def _one_way(rng: Rng, names: list[str], at: Instant) -> list[Entry]:
    deaf = rng.choice(names)
    others = [name for name in names if name != deaf]
    return [(at, CutOneWay(name, deaf, _for(rng))) for name in rng.sample(others, rng.between(1, 3))]


def _clogs(rng: Rng, names: list[str], at: Instant) -> list[Entry]:
    """Ways of a random part of the crowd clog one by one and are released in another order (FoundationDB's swizzle)."""
    ways = [tuple(rng.sample(names, 2)) for _ in range(rng.between(1, 6))]
    return [(at + number * 100 * MS, Clog(way[0], way[1], _for(rng))) for number, way in enumerate(ways)]


def _flap(rng: Rng, names: list[str], at: Instant) -> list[Entry]:
    return [(at, Flap(_sides(rng, names), rng.between(100, 3_000) * MS, rng.between(2, 8)))]


def _crash(rng: Rng, names: list[str], at: Instant) -> list[Entry]:
    return [(at, Crash(rng.choice(names), rng.chance(0.5), _for(rng)))]


def _crash_inside(rng: Rng, names: list[str], at: Instant) -> list[Entry]:
    return [(at, CrashInside(name, rng.below(40), _for(rng))) for name in rng.sample(names, rng.between(1, 3))]


def _lose_power(rng: Rng, names: list[str], at: Instant) -> list[Entry]:
    parts = rng.sample(PARTS, rng.between(1, len(PARTS)))
    unsynced_us = rng.choice((rng.between(1, 5_000), rng.between(5_000, 40_000))) * MS
    return [(at, LosePower(rng.choice(names), unsynced_us, tuple(parts), _for(rng)))]


def _backup(rng: Rng, names: list[str], at: Instant) -> list[Entry]:
    """A hub that has restarted a few times gets back what it had before."""
    name, entries = rng.choice(names), []
    for _ in range(rng.below(3)):
        entries.append((at, Crash(name, False, 200 * MS)))
        at += rng.between(500, 3_000) * MS
    return [*entries, (at, RestoreBackup(name, rng.between(100, 30_000) * MS, _for(rng)))]


def _rotate(rng: Rng, names: list[str], at: Instant) -> list[Entry]:
    """Often somebody else loses power soon, so that what it has stored of the new key is lost."""
    name, other = rng.sample(names, 2)
    entries: list[Entry] = [(at, RotateKey(name, rng.between(50, 2_000) * MS))]
    if rng.chance(0.5):
        after_us = rng.between(2_500, 8_000) * MS
        entries.append((at + after_us, LosePower(other, after_us, ("key_states",), _for(rng))))
    return entries


def _crash_many(rng: Rng, names: list[str], at: Instant) -> list[Entry]:
    some = rng.sample(names, rng.between(2, len(names)))
    return [(at, CrashMany(tuple(some), rng.chance(0.5), _for(rng)))]


def _starve(rng: Rng, names: list[str], at: Instant) -> list[Entry]:
    lasting = rng.choice((rng.between(50, 2_000), rng.between(2_000, STARVED_US_MAX // MS))) * MS
    return [(at, Starve(name, lasting)) for name in rng.sample(names, rng.between(1, 3))]


def _move(rng: Rng, names: list[str], at: Instant) -> list[Entry]:
    return [(at, Move(rng.choice(names)))]


def _date(rng: Rng, names: list[str], at: Instant) -> list[Entry]:
    name = rng.choice(names)
    if rng.chance(0.3):
        return [(at, LoseDate(name, _for(rng)))]
    by_ms = rng.choice((1_000, 10_000, 3_600_000, 30 * 86_400_000, 1_500_000_000_000)) * rng.choice((1, -1))
    return [(at, JumpDate(name, by_ms, _for(rng)))]


def _regrant(rng: Rng, names: list[str], at: Instant) -> list[Entry]:
    name = rng.choice(names)
    entries: list[Entry] = [(at, Regrant(name, None if rng.chance(0.6) else _grant(rng, len(names))))]
    if rng.chance(0.7):
        entries.append((at + _for(rng), Regrant(name, _grant(rng, len(names)))))
    return entries


def _reset(rng: Rng, names: list[str], at: Instant) -> list[Entry]:
    pairs = [rng.sample(names, 2) for _ in range(rng.between(1, 4))]
    return [(at, Reset(one, other)) for one, other in pairs]


def _worsen(rng: Rng, _names: list[str], at: Instant) -> list[Entry]:
    return [(at, Worsen(_quality(rng, 400, (0.1, 0.2, 0.4)), _for(rng)))]


def _take_back(rng: Rng, names: list[str], at: Instant) -> list[Entry]:
    return [(at + number * SECOND, TakeBack(rng.choice(names), rng.below(100))) for number in range(rng.between(1, 12))]


def _refuse_disk(rng: Rng, names: list[str], at: Instant) -> list[Entry]:
    return [(at, RefuseDisk(rng.choice(names), _for(rng)))]


def _twice_back(rng: Rng, names: list[str], at: Instant) -> list[Entry]:
    """One copy is put back again and again, each time the hub writes on, and it may be alone with that."""
    name = rng.choice(names)
    entries: list[Entry] = []
    if rng.chance(0.5):
        entries.append((at, Cut(((name,), tuple(other for other in names if other != name)), 40 * SECOND)))
    for number in range(rng.between(1, 3)):
        at += rng.between(1, 15) * SECOND
        entries += [
            (at, RestoreBackup(name, rng.between(1, 20) * SECOND, 200 * MS)),
            (at + SECOND, Tell(name, 3, SECOND, 60 + number, False)),
        ]
    return entries


KINDS: Final[tuple[Callable[[Rng, list[str], Instant], list[Entry]], ...]] = (
    _cut,
    _cut_twice,
    _one_way,
    _clogs,
    _flap,
    _crash,
    _crash_inside,
    _lose_power,
    _backup,
    _rotate,
    _crash_many,
    _starve,
    _move,
    _date,
    _regrant,
    _reset,
    _worsen,
)
DURABLE_KINDS: Final = (*KINDS, _take_back, _take_back, _refuse_disk, _twice_back)
