"""Liars, turncoats and forkers: whether standing follows the truth all the same, and how soon a proof is everywhere.

Source: the attacks are those of Hoffman, Zage and Nita-Rotaru's survey (ACM Computing Surveys 2009): bad-mouthing,
whitewashing, on-off. ``liars``: people know some others, and say what these are worth; 30 % turn everything around.
What a hub then thinks of each person it has heard of is compared with the truth (Spearman's rank correlation), for
every honest hub. ``turncoats``: what somebody hostile gains by a new name, or by being honest by turns, in what
standing gives: weight and seats, beside those of an honest newcomer and of somebody honest all the time. ``farmers``:
what somebody gains by starting glitches (farming.py). ``forks``: a
hub signs twice; a round is the time between two reconciliations, counted from the first proof anywhere.
The words of third persons come to a hub by their circles; in ``liars`` everybody is in everybody's circle.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from protocol.bars import Bar
from protocol.clock import MS, SECOND, Instant
from protocol.effects import Event, ForkProven
from protocol.ids import AuthorId
from protocol.rng import Rng
from protocol.trust.trust import Trust
from protocol.trust.values import DAY_MS, STRENGTH_MAX, Attestation, TrustConfig, TrustState
from sim.adversaries import forker
from sim.host import Host
from sim.papers import Cell, Found, Plan, Row
from sim.papers.farming import WAYS, FarmJob, farmed
from sim.papers.state_plane import Untraced
from sim.world import World, WorldConfig

ABOUT: Final = "whether standing follows the truth among liars, what turncoats gain, how soon a fork is known to all"
PARTS: Final = ("liars", "turncoats", "farmers", "forks")
PEOPLE: Final = 100
KNOWN: Final = 20
"""People that each has dealt with and speaks of."""
LIARS: Final = 0.3
ERROR: Final = 0.2
"""How wrong an honest opinion is, at most."""
SEEDS: Final = 20
FORK_HUBS: Final = 40
FORK_SEEDS: Final = 5
FARM_SEEDS: Final = 10
FARM_NOISE: Final = 1e-6
"""Words that took another way are a few milliseconds older."""
ROUND_US: Final = 10 * SECOND
ROUNDS_AT_MOST: Final = 2.0
NOW_MS: Final = 20_000 * DAY_MS
CORRELATION: Final = 0.9


@dataclass(frozen=True, slots=True)
class _Job:
    part: str
    seed: int
    people: int


def _name(number: int) -> AuthorId:
    return AuthorId(number.to_bytes(32, "big"))


def _hub(own: int, words: list[Attestation], seed: int) -> Trust:
    trust = Trust(_name(own), TrustConfig(), Rng(seed))
    trust.start(TrustState(), words, NOW_MS)
    return trust


def _strength(opinion: float) -> int:
    return max(-STRENGTH_MAX, min(STRENGTH_MAX, round(STRENGTH_MAX * opinion)))


def ranks(values: list[float]) -> list[float]:
    """Ranks from 0, the mean rank for equal values."""
    order = sorted(range(len(values)), key=lambda at: values[at])
    found = [0.0] * len(values)
    starts = [
        0,
        *(at for at, (one, other) in enumerate(pairwise(order), 1) if values[one] != values[other]),
        len(order),
    ]
    for first, last in pairwise(starts):
        for at in order[first:last]:
            found[at] = (first + last - 1) / 2
    return found


def spearman(one: list[float], other: list[float]) -> float:
    """The correlation of the ranks; 0 where one of them is constant."""
    pairs = list(zip(ranks(one), ranks(other), strict=True))
    mean = (len(pairs) - 1) / 2
    above = sum((left - mean) * (right - mean) for left, right in pairs)
    below = sum((left - mean) ** 2 for left, _ in pairs) * sum((right - mean) ** 2 for _, right in pairs)
    return above / below**0.5 if below else 0.0


def _liars(job: _Job) -> float:
    """The mean correlation over all honest judges."""
    rng = Rng(job.seed)
    people = range(job.people)
    liars = frozenset(rng.sample(list(people), round(LIARS * job.people)))
    worth = [-(0.2 + 0.8 * rng.fraction()) if one in liars else 0.2 + 0.8 * rng.fraction() for one in people]
    words = []
    for one in people:
        for turn, other in enumerate(rng.sample([each for each in people if each != one], min(KNOWN, job.people - 1))):
            opinion = worth[other] + ERROR * (2 * rng.fraction() - 1)
            said = -opinion if one in liars else opinion
            words.append(Attestation(_name(one), _name(other), _strength(said), NOW_MS, (1, turn + 1)))
    found = []
    for judge in people:
        if judge not in liars:
            trust = _hub(judge, words, job.seed)
            others = [one for one in people if one != judge]
            standing = [trust.standing(_name(one), NOW_MS).value for one in others]
            found.append(spearman(standing, [worth[one] for one in others]))
    return sum(found) / len(found)


def _worth(trust: Trust, name: int, present: list[AuthorId]) -> float:
    """What standing gives somebody: weight and a seat."""
    return trust.weights(present, NOW_MS).get(_name(name), 0.0) + (_name(name) in trust.seats(present, NOW_MS))


def _turncoats(job: _Job) -> list[float]:
    """What is gained by a new name, over an honest newcomer; and by turns, over somebody always honest."""
    rng = Rng(job.seed)
    friends = list(range(1, 11))
    bad, again, newcomer, steady = 20, 21, 22, 23
    words = [Attestation(_name(0), _name(one), 100, NOW_MS, (1, one)) for one in friends]
    words += [
        Attestation(_name(one), _name(bad), -_strength(0.5 + rng.fraction() / 2), NOW_MS, (1, 1)) for one in friends
    ]
    present = [_name(one) for one in (*friends[5:], bad, again, newcomer, steady)]
    trust = _hub(0, words, job.seed)
    washed = _worth(trust, again, present) - _worth(trust, newcomer, present)
    turns = []
    for turn in range(2, 12):  # each turn: all friends speak of both, of the one by turns against it
        said = 100 if turn % 2 else -100
        for one in friends:
            trust.learn(Attestation(_name(one), _name(bad), said, NOW_MS, (1, 2 * turn)), NOW_MS)
            trust.learn(Attestation(_name(one), _name(steady), 100, NOW_MS, (1, 2 * turn + 1)), NOW_MS)
        turns.append(_worth(trust, bad, present) - _worth(trust, steady, present))
    return [washed, sum(turns) / len(turns)]


def _forks(job: _Job) -> float | None:
    """Rounds from the first proof anywhere until every honest hub has it; None if one has not within a minute."""
    world = World(job.seed, WorldConfig(grant=None))
    world.trace = Untraced()
    honest = [world.add(f"honest{number}", person=False) for number in range(job.people)]
    world.run(30 * SECOND)
    proven: dict[int, Instant] = {}

    def observe(host: Host, event: Event) -> None:
        if isinstance(event, ForkProven):
            proven.setdefault(host.index, world.now)

    world.observers.append(observe)
    world.add("forker", person=False, wrap=forker())
    world.wait(lambda: all(host.index in proven for host in honest), 60 * SECOND, 100 * MS)
    if any(host.index not in proven for host in honest):
        return None
    return (max(proven[host.index] for host in honest) - min(proven.values())) / ROUND_US


def run(plan: Plan) -> Found:
    """Each part."""
    bars: list[Bar] = []
    rows: list[Row] = []
    people = plan.nodes or PEOPLE
    seeds = plan.seed_range(2 if plan.quick else SEEDS)
    if plan.wants("liars"):
        found = plan.each("crowds of liars", _liars, [_Job("liars", seed, people) for seed in seeds])
        bars.append(Bar("liars: rank correlation, mean", sum(found) / len(found), CORRELATION, "", at_most=False))
        rows.append({"part": "liars", "worst": min(found), "mean": sum(found) / len(found), "runs": len(found)})
    if plan.wants("turncoats"):
        gains = plan.each("turncoats", _turncoats, [_Job("turncoats", seed, people) for seed in seeds])
        for at, what in enumerate(("whitewashing", "on and off")):
            most = max(gain[at] for gain in gains)
            bars.append(Bar(f"{what}: gain in weight and seats", most, 0.0, "contacts"))
            rows.append({"part": what, "worst": most, "mean": sum(gain[at] for gain in gains) / len(gains)})
    if plan.wants("farmers"):
        lives = [FarmJob(way, seed) for way in WAYS for seed in plan.seed_range(1 if plan.quick else FARM_SEEDS)]
        harvest = list(zip(lives, plan.each("farmers", farmed, lives), strict=True))
        for way in WAYS:
            runs_of_way = [one for job, one in harvest if job.way == way]
            gained = [gain for one in runs_of_way for gain in one.gains]
            bars.append(Bar(f"farmer who {way}: gain in standing", max(gained), FARM_NOISE, "", at_most=True))
            given = sum(one.amnesties for one in runs_of_way)
            row: Row = {"part": f"farmer who {way}", "worst": max(gained), "mean": sum(gained) / len(gained)}
            rows.append({**row, "runs": len(runs_of_way), "amnesties": given})
    if plan.wants("forks"):
        hubs = plan.nodes or FORK_HUBS
        runs = plan.seed_range(1 if plan.quick else FORK_SEEDS)
        took = plan.each("forks", _forks, [_Job("forks", seed, hubs) for seed in runs])
        worst = None if None in took else max(each for each in took if each is not None)
        bars.append(Bar("forks: rounds until all honest hubs have the proof", worst, ROUNDS_AT_MOST, "rounds"))
        rows.append({"part": "forks", "worst": worst, "runs": len(took)})
    conditions: dict[str, Cell] = {
        "people": people,
        "liars": f"{LIARS:.0%}",
        "spoken of by each": KNOWN,
        "error of an honest opinion": f"up to {ERROR}",
        "hubs in forks": plan.nodes or FORK_HUBS,
    }
    return Found(bars, {"worst and mean over the runs": rows}, conditions)
