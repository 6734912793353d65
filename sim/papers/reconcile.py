"""Bytes and round trips until two hubs know and hold what the other has, beside range-based reconciliation.

Sources: Yang, Gilad, Alizadeh, "Practical Rateless Set Reconciliation" (SIGCOMM 2024); Meyer, "Range-Based Set
Reconciliation" (2022). Both sides of ours are the product's own, over encoded messages; every message counts as a frame
of its own: 2 bytes of length, 16 of authentication, 1 of array. Of d differences half are on either side.

What is counted. An entry has 72 bytes (author, incarnation, head), of which nobody can spare the other the 32 random
ones: ten entries take 320 bytes by any method. So there are two figures, and both have the bar. *known*: until each
side can name every entry that the other lacks or holds: all messages, with entries that are given away counted as the 5
bytes that name them. *held*: until both sides hold all entries: all messages, without the 72 bytes of the entries
themselves; *all* is the same with them. Round trips are until both sides hold them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from statistics import fmean, median
from typing import Final

from protocol.bars import Bar
from protocol.ids import AuthorId, EventId
from protocol.reconcile.frontier import Frontier
from protocol.reconcile.sessions import Answering, Opening, Stage
from protocol.reconcile.values import ReconcileConfig
from protocol.rng import Rng
from protocol.wire import reconciling as wire
from protocol.wire.codec import encode
from protocol.wire.reconciling import ENTRY_BYTES, FINGERPRINT_BYTES, SALT_BYTES, Entry, ReconcileMessage
from sim.papers import Cell, Curve, Found, Picture, Plan, Row
from sim.papers.rbsr_baseline import Side, reconcile

ABOUT = "bytes and round trips of reconciling frontiers, beside range-based reconciliation and the optimum"
PARTS: Sequence[str] = ("1000", "10000", "100000")
"""Entries on each side; ``--nodes`` asks for another number."""

DIFFERENCES: Final = (0, 1, 10, 100, 1_000)
SEEDS: Final = 5
SESSIONS: Final = {1_000: 40, 10_000: 40, 100_000: 1}
"""Of each seed with ten differences; with others a quarter of it."""
CLAIMED: Final = (10_000, 10)
MEAN_BAR: Final = 330
HIGH_BAR: Final = 520
TRIPS_BAR: Final = 2
EQUAL_BAR: Final = 40
MANY_BAR: Final = 1.5 * 17 * 1_000
FRAME_BYTES: Final = 2 + 16
OPENER, ANSWERER = AuthorId(b"o" * 32), AuthorId(b"a" * 32)


@dataclass(frozen=True, slots=True)
class Work:
    """All sessions of one seed at one size."""

    count: int
    seed: int
    sessions: int


@dataclass(slots=True)
class Session:
    """One reconciliation of ours: bytes, messages that had to wait for another, differences that were missed."""

    known: int = 0
    all: int = 0
    flights: int = 0
    missed: int = 0
    entries: int = 0

    @property
    def held(self) -> int:
        """Bytes without the entries themselves."""
        return self.all - ENTRY_BYTES * self.entries


@dataclass(slots=True)
class Outcome:
    """By number of differences."""

    work: Work
    ours: dict[int, list[Session]] = field(default_factory=dict)
    ranges: dict[tuple[int, int], list[tuple[int, int]]] = field(default_factory=dict)
    """By id size as well: bytes and messages one way."""


def _entry(name: str) -> Entry:
    return Entry(
        AuthorId(blake2b(name.encode(), digest_size=32).digest()),
        1,
        EventId(blake2b(name.encode(), digest_size=32, person=b"head").digest()),
    )


def play(work: Work) -> Outcome:
    """One seed at one size, with every number of differences."""
    rng = Rng(work.seed).child(f"reconcile {work.count}")
    outcome = Outcome(work)
    common = [_entry(f"{work.seed} {number}") for number in range(work.count)]
    left, right = Frontier(), Frontier()
    for entry in common:
        left.add(entry)
        right.add(entry)
    for count in DIFFERENCES:
        if count * 4 > work.count and count != DIFFERENCES[-1]:
            continue
        for number in range(work.sessions if count == CLAIMED[1] else -(-work.sessions // 4)):
            extra = [_entry(f"{work.seed} {count} {number} {which}") for which in range(count)]
            mine, theirs = extra[: count // 2], extra[count // 2 :]
            outcome.ours.setdefault(count, []).append(_session(left, right, mine, theirs, rng))
            if number < 4:
                _ranges(outcome, common, mine, theirs)
    return outcome


def _session(left: Frontier, right: Frontier, mine: list[Entry], theirs: list[Entry], rng: Rng) -> Session:
    for entry in mine:
        left.add(entry)
    for entry in theirs:
        right.add(entry)
    session = _talk(left, right, rng, len(mine) + len(theirs))
    for entry in mine:
        left.discard(entry)
    for entry in theirs:
        right.discard(entry)
    return session


def _talk(left: Frontier, right: Frontier, rng: Rng, differences: int) -> Session:
    session, config = Session(), ReconcileConfig(differ_max=1_024)
    opening = Opening(left, rng.u64().to_bytes(SALT_BYTES, "big"), OPENER, ANSWERER, config)
    _count(session, [opening.first])
    if right.mark(opening.first.mark[:SALT_BYTES]) == opening.first.mark:
        return session
    answering = Answering(right, opening.first, ANSWERER, OPENER, config)
    said: Sequence[ReconcileMessage] = [answering.first]
    _count(session, said)
    learned = 0
    while said:
        back: list[ReconcileMessage] = []
        for message in said:
            step = opening.receive(message)
            learned += len(step.learned)
            back += step.messages
        _count(session, back)
        said = []
        for message in back:
            step = answering.receive(message)
            learned += len(step.learned)
            said = [*said, *step.messages]
        _count(session, said, asked=True)
    session.missed = differences - learned
    if opening.stage is not Stage.DONE:
        raise AssertionError("an honest session did not end")
    return session


def _count(session: Session, messages: Sequence[ReconcileMessage], *, asked: bool = False) -> None:
    """Count one flight. Entries that were ``asked`` for had been named before."""
    session.flights += 1 if messages else 0
    for message in messages:
        size = FRAME_BYTES + len(encode((wire.to_value(message),)))
        session.all += size
        entries = len(message.entries) // ENTRY_BYTES if isinstance(message, wire.ReconEntries) else 0
        session.entries += entries
        if not (entries and asked):
            session.known += size - entries * (ENTRY_BYTES - FINGERPRINT_BYTES)


def _ranges(outcome: Outcome, common: list[Entry], mine: list[Entry], theirs: list[Entry]) -> None:
    for size in (32, 8):
        one, other = (Side([entry.head for entry in [*common, *extra]]) for extra in (mine, theirs))
        talk = reconcile(one, other, size)
        if talk.found != len(mine) + len(theirs):
            raise AssertionError("the reference has missed a difference")
        outcome.ranges.setdefault((len(mine) + len(theirs), size), []).append((talk.size, talk.messages))


def run(plan: Plan) -> Found:
    """All sizes that were asked for."""
    counts = [int(part) for part in PARTS if plan.wants(part)] if plan.nodes is None else [plan.nodes]
    works = [
        Work(count, seed, 2 if plan.quick else SESSIONS.get(count, 4))
        for count in counts
        for seed in plan.seed_range(SEEDS)
    ]
    outcomes = plan.each("reconcile", play, works)
    rows = [row for count in counts for row in _rows(count, [one for one in outcomes if one.work.count == count])]
    bars = [bar for count in counts for bar in _bars(count, [one for one in outcomes if one.work.count == count])]
    conditions: dict[str, Cell] = {
        "seeds": len(plan.seed_range(SEEDS)),
        "quick": plan.quick,
        "counted": "length, authentication and encoding of every message; see the head of sim/papers/reconcile.py",
        "split": "half of the differences on either side",
    }
    return Found(bars, {"ours beside range-based": rows}, conditions, _picture(rows))


def _ours(outcomes: Sequence[Outcome], differences: int) -> list[Session]:
    return [session for one in outcomes for session in one.ours.get(differences, ())]


def _high(values: Sequence[int]) -> float:
    """The 95th percentile: the smallest value that 95 % do not exceed."""
    return sorted(values)[-(-len(values) * 95 // 100) - 1]


def _rows(count: int, outcomes: Sequence[Outcome]) -> list[Row]:
    rows: list[Row] = []
    for differences in DIFFERENCES:
        sessions = _ours(outcomes, differences)
        if not sessions:
            continue
        row: dict[str, float | int | None] = {"n": count, "d": differences, "sessions": len(sessions)}
        known, held = [one.known for one in sessions], [one.held for one in sessions]
        row |= {"known mean": fmean(known), "known median": median(known), "known p95": _high(known)}
        row |= {"held mean": fmean(held), "held p95": _high(held), "all median": median(one.all for one in sessions)}
        trips = [one.flights for one in sessions]
        row |= {
            "round trips": median(trips) / 2,
            "p95": _high(trips) / 2,
            "missed": sum(one.missed for one in sessions),
        }
        row |= {"optimum known": differences * FINGERPRINT_BYTES, "optimum all": differences * ENTRY_BYTES}
        for size in (32, 8):
            ranges = [pair for one in outcomes for pair in one.ranges.get((differences, size), ())]
            row[f"ranges known, {size} B ids"] = median(pair[0] for pair in ranges)
            row["ranges round trips"] = median(pair[1] for pair in ranges) / 2
        rows.append(row)
    return rows


def _bars(count: int, outcomes: Sequence[Outcome]) -> list[Bar]:
    equal = _ours(outcomes, 0)
    bars = [Bar(f"equal frontiers of {count}", max(one.all for one in equal), EQUAL_BAR, "B")]
    if count == CLAIMED[0]:
        ten, name = _ours(outcomes, CLAIMED[1]), f"{CLAIMED[1]} differences of {count}"
        reference = median(pair[0] for one in outcomes for pair in one.ranges[CLAIMED[1], 8])
        bars += [
            Bar(f"{name}, known, mean", fmean(one.known for one in ten), MEAN_BAR, "B", reference),
            Bar(f"{name}, known, p95", _high([one.known for one in ten]), HIGH_BAR, "B"),
            Bar(f"{name}, held (without entries), mean", fmean(one.held for one in ten), MEAN_BAR, "B"),
            Bar(f"{name}, held (without entries), p95", _high([one.held for one in ten]), HIGH_BAR, "B"),
            Bar(f"{name}, round trips, p95", _high([one.flights for one in ten]) / 2, TRIPS_BAR, ""),
        ]
    many = _ours(outcomes, DIFFERENCES[-1])
    if count >= 10 * DIFFERENCES[-1]:
        reference = median(pair[0] for one in outcomes for pair in one.ranges[DIFFERENCES[-1], 8])
        name = f"{DIFFERENCES[-1]} differences of {count}"
        bars.append(Bar(f"{name}, known, mean", fmean(one.known for one in many), MANY_BAR, "B", reference))
        bars.append(Bar(f"{name}, held (without entries), mean", fmean(one.held for one in many), MANY_BAR, "B"))
    bars.append(Bar(f"differences missed, of {count}", sum(one.missed for one in _all(outcomes)), 0, ""))
    return bars


def _all(outcomes: Sequence[Outcome]) -> list[Session]:
    return [session for one in outcomes for sessions in one.ours.values() for session in sessions]


def _picture(rows: Sequence[Row]) -> Picture:
    def points(count: object, name: str) -> list[tuple[float, float]]:
        return [(float(str(row["d"])), float(str(row[name]))) for row in rows if row["n"] == count and row["d"] != 0]

    counts = list(dict.fromkeys(row["n"] for row in rows))
    curves = [Curve(f"ours, {count}", points(count, "known median")) for count in counts]
    curves += [Curve(f"ranges, {count}", points(count, "ranges known, 8 B ids")) for count in counts]
    return Picture("Bytes until both sides know what differs", "differences", "bytes", curves)
