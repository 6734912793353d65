"""Plays one world after the other and says what broke: the work behind ``python -m sim swarm`` and ``replay``.

A file that replays a world holds its whole plan (:mod:`sim.plain`), what broke, and the digest of the run, so that
somebody else can see whether it was the same one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal, TextIO, TypedDict

from protocol.bars import Bar, percentile
from protocol.clock import SECOND, Duration
from protocol.node import Node
from sim.draws import CROWD, draw, draw_durable
from sim.executors import Processes
from sim.faults import FAULT_KINDS, WORD_KINDS
from sim.kernel import collect_seldom
from sim.network import WEATHER_KINDS
from sim.papers import Curve, Picture
from sim.plain import from_plain, to_plain
from sim.shrink import shrink
from sim.swarm import CLOCK_KINDS, Draw, Played, play
from sim.world import MakeNode, SafetyViolation

KINDS: Final = (*FAULT_KINDS, *WEATHER_KINDS, *CLOCK_KINDS)
"""Everything that can go wrong in a world of the swarm."""
Profile = Literal["live", "durable"]
"""Worlds of vectors, or of stories that must not be lost."""
DRAWS: Final = {"live": draw, "durable": draw_durable}
KINDS_OF: Final = {"live": KINDS, "durable": (*KINDS, *WORD_KINDS)}
LOSS_SMALL: Final = 0.02
EVERYWHERE_S: Final = 1.0
LEARNT_S: Final = 30.0
PROVEN_FROM: Final = 200
"""Worlds from which on each kind must have been seen: fewer may well draw none of a rare one."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A world that broke a rule; ``draw`` is the smallest found, after ``tries`` others."""

    seed: int
    rule: str
    what: str
    draw: Draw
    digest: str
    tries: int


def breaks(drawn: Draw) -> SafetyViolation | None:
    """What a world breaks."""
    try:
        play(drawn)
    except SafetyViolation as violation:
        return violation
    return None


def one(seed: int, *, shrinks: bool = True, profile: Profile = "live") -> Played | Broken:
    """The world of one seed; if it breaks a rule, the smallest that does."""
    drawn = DRAWS[profile](seed)
    try:
        return play(drawn)
    except SafetyViolation as violation:
        if not shrinks:
            return Broken(seed, violation.rule, str(violation), drawn, violation.digest, 0)
        small = shrink(drawn, violation, breaks)
        return Broken(seed, violation.rule, str(small.violation), small.draw, small.violation.digest, small.tries)


def search(
    seeds: Sequence[int], *, jobs: int = 1, shrinks: bool = True, profile: Profile = "live"
) -> Iterator[Played | Broken]:
    """All of these as they end, in any order; in processes if there are several jobs."""
    work = partial(one, shrinks=shrinks, profile=profile)
    if jobs == 1:
        collect_seldom()
        yield from map(work, seeds)
        return
    for _, outcome in Processes(jobs).run(work, seeds):
        if isinstance(outcome, BaseException):
            raise outcome
        yield outcome


def fired(results: Iterable[Played | Broken], profile: Profile = "live") -> dict[str, int]:
    """How often each kind of misfortune was seen."""
    counts = dict.fromkeys(KINDS_OF[profile], 0)
    for result in results:
        if isinstance(result, Played):
            for kind, count in result.fired.items():
                counts[kind] += count
    return counts


def bars(results: Sequence[Played | Broken], profile: Profile = "live") -> list[Bar]:
    """No rule broken; words in time; and, of enough worlds, every kind of misfortune seen."""
    broken = sum(isinstance(result, Broken) for result in results)
    found = [Bar("worlds that broke a rule", float(broken), 0.0, "worlds")]
    if profile == "durable":
        told = words(results)
        small, learnt = told["everywhere_s"]["loss_small"]["p99"], told["learnt_after_heal_s"]["crowds"]["p99"]
        found.append(Bar("p99 from told to everywhere at a loss of at most 2 %", small, EVERYWHERE_S, "s"))
        if learnt is not None:
            found.append(Bar(f"p99 from the heal until all {CROWD} hubs have everything", learnt, LEARNT_S, "s"))
    if len(results) >= PROVEN_FROM:
        seen = fired(results, profile).items()
        found += [Bar(f"seen: {kind}", float(count), 1.0, "times", at_most=False) for kind, count in seen]
    return found


class Words(TypedDict):
    """What became of all that was told; ``loss_small`` is up to 2 %, ``crowds`` are the worlds of ``CROWD`` hubs, and
    ``few`` the others, in which one slow line may owe all that was told (decision record 0009)."""

    acknowledged: int
    withdrawn: int
    forks_after_restores: int
    everywhere_s: dict[str, dict[str, float | None]]
    learnt_after_heal_s: dict[str, dict[str, float | None]]


def words(results: Sequence[Played | Broken]) -> Words:
    """The figures of the durable profile."""
    held = [result for result in results if isinstance(result, Played)]
    told = [result.told for result in held]
    learnt = {
        "crowds": _shares([result.told.learnt_us for result in held if result.hubs >= CROWD]),
        "few": _shares([result.told.learnt_us for result in held if result.hubs < CROWD]),
    }
    small = [delay for one in told if one.loss <= LOSS_SMALL for delay in one.delays_us]
    large = [delay for one in told if one.loss > LOSS_SMALL for delay in one.delays_us]
    return {
        "acknowledged": sum(one.words for one in told),
        "withdrawn": sum(one.withdrawn for one in told),
        "forks_after_restores": sum(one.forks for one in told),
        "everywhere_s": {"loss_small": _shares(small), "loss_large": _shares(large)},
        "learnt_after_heal_s": learnt,
    }


def _shares(values_us: Sequence[Duration]) -> dict[str, float | None]:
    shares = {
        "p50": percentile(values_us, 0.5),
        "p99": percentile(values_us, 0.99),
        "max": max(values_us, default=None),
    }
    return {name: None if us is None else us / SECOND for name, us in shares.items()}


def figures(results: Sequence[Played | Broken]) -> dict[str, object]:
    """What it took and how large it was."""
    held = [result for result in results if isinstance(result, Played)]
    return {
        "hubs": sum(result.hubs for result in held),
        "virtual_s": sum(result.virtual_us for result in held) // SECOND,
        "hub_s": sum(result.hubs * result.virtual_us for result in held) // SECOND,
        "steps_checked": sum(result.steps for result in held),
        "vectors_checked": sum(result.checked for result in held),
        "values_shown": sum(result.deliveries for result in held),
        "whole_after_heal_s": _shares([result.settled_us for result in held]),
    }


def picture(results: Sequence[Played | Broken]) -> Picture:
    """How many of the cores were whole how long after the heal."""
    settled = sorted(result.settled_us / SECOND for result in results if isinstance(result, Played))
    points = [(us, 100 * (number + 1) / len(settled)) for number, us in enumerate(settled)]
    curve = Curve(f"{len(settled)} worlds", points)
    return Picture("cores that are whole again", "seconds after the heal", "% of worlds", [curve])


def write(path: Path, broken: Broken) -> None:
    """Keep a world in a file."""
    content = {"violation": broken.what, "digest": broken.digest, "world": to_plain(broken.draw)}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Replay:
    """A world played again; ``same`` says whether it went as it did when it was kept."""

    violation: SafetyViolation | None
    digest: str
    same: bool


def read(path: Path) -> tuple[Draw, str]:
    """The world in a file, and the digest of its run.

    Raises:
        ValueError: the file holds no world.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or "world" not in content:
        raise ValueError(f"{path} holds no world")
    return from_plain(Draw, content["world"]), str(content.get("digest", ""))


def replay(path: Path, out: TextIO | None = None, make_node: MakeNode = Node) -> Replay:
    """Play the world in a file once more; ``make_node`` as for :func:`~sim.swarm.play`.

    Raises:
        ValueError: the file holds no world.
    """
    drawn, digest = read(path)
    try:
        played = play(drawn, out=out, make_node=make_node)
    except SafetyViolation as violation:
        return Replay(violation, violation.digest, violation.digest == digest)
    return Replay(None, played.digest, played.digest == digest)
