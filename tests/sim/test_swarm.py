"""Worlds with misfortunes drawn from their seed; rules broken on purpose; and every seed that ever showed a fault.

The long search is ``python -m sim swarm --seeds 1000``; here a few seeds show that it works.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from protocol.clock import SECOND, Instant
from protocol.effects import Connect, Effect
from protocol.errors import Reason
from protocol.gossip.shelf import Number
from protocol.ids import AuthorId
from protocol.inputs import Input
from protocol.node import Node
from protocol.wire.records import VectorRecord
from sim.draws import draw
from sim.faults import Cut, Flap
from sim.search import Broken, one, read, replay, write
from sim.shrink import shrink
from sim.swarm import Draw, Hub, Played, play
from sim.world import MakeNode, SafetyViolation, WorldConfig

REGRESSIONS = tomllib.loads(Path(__file__).with_name("regressions.toml").read_text(encoding="utf-8"))
FEW_TRIES = 40


class Generous(Node):
    """Lets everything out, whoever asks."""

    def _gate(self, purpose: str, record: VectorRecord, lease_left_us: int, *, own: bool) -> Reason | None:
        return None


class Forgetful(Node):
    """Does not remember which number it has shown."""

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self._vectors.shelf.mark = _no_mark  # type: ignore[method-assign]


def _no_mark(author: AuthorId) -> Number:
    return (-1, 0, 0)


class Renewing(Node):
    """Takes half of the age off whatever it holds, again and again, so that no lease ends."""

    def handle(self, input: Input, now: Instant) -> list[Effect]:
        shelf = self._vectors.shelf
        for author in shelf.authors():
            held = shelf.get(author)
            if held is not None and held.source is not None and held.age_us(now) > SECOND:
                held.made_at = now - held.age_us(now) // 2
        return super().handle(input, now)


def breaks_with(make_node: MakeNode, drawn: Draw) -> SafetyViolation | None:
    try:
        play(drawn, make_node=make_node)
    except SafetyViolation as violation:
        return violation
    return None


def first_broken(make_node: MakeNode, seeds: range) -> tuple[Draw, SafetyViolation]:
    for seed in seeds:
        drawn = draw(seed)
        violation = breaks_with(make_node, drawn)
        if violation is not None:
            return drawn, violation
    raise AssertionError(f"no seed of {seeds} finds it")


@pytest.mark.parametrize("seed", range(1, 7))
def test_whatever_happens_the_crowd_is_safe_and_its_core_whole_again_in_the_end(seed: int) -> None:
    played = one(seed)
    assert isinstance(played, Played), played
    assert played.steps > 1_000
    assert played.digest


def known_world(known: dict[str, str]) -> object:
    """A world that once failed; one that is not mended yet must still fail."""
    marks = [pytest.mark.xfail(strict=True, reason=known["until"])] if "until" in known else []
    return pytest.param(known["file"], known["shows"], marks=marks, id=known["file"].removesuffix(".json"))


@pytest.mark.parametrize(("file", "shows"), [known_world(known) for known in REGRESSIONS["world"]])
def test_what_once_showed_a_fault_does_not_show_it_again(file: str, shows: str) -> None:
    again = replay(Path(__file__).with_name("regressions") / file)
    assert again.violation is None, shows


@pytest.mark.parametrize(
    ("make_node", "rule"),
    [(Generous, "consent"), (Forgetful, "monotone")],
)
def test_a_rule_broken_on_purpose_is_found_within_fifty_seeds_and_shrunk(
    make_node: Callable[..., Node], rule: str
) -> None:
    drawn, violation = first_broken(make_node, range(1, 51))
    assert violation.rule == rule
    small = shrink(drawn, violation, partial(breaks_with, make_node), FEW_TRIES)
    assert small.violation.rule == rule
    assert small.tries <= FEW_TRIES
    assert len(small.draw.hubs) <= len(drawn.hubs)
    assert len(small.draw.plan) <= len(drawn.plan)
    before = (len(drawn.hubs), len(drawn.plan), drawn.faults_us)
    assert (len(small.draw.hubs), len(small.draw.plan), small.draw.faults_us) < before
    again = breaks_with(make_node, small.draw)
    assert again is not None
    assert (str(again), again.digest) == (str(small.violation), small.violation.digest)


def test_a_lease_that_never_ends_is_found_within_fifty_seeds() -> None:
    _, violation = first_broken(Renewing, range(1, 51))
    assert violation.rule == "lease"


class Recluse(Node):
    """Dials nobody after a few seconds, so that it stays lost once it is."""

    def handle(self, input: Input, now: Instant) -> list[Effect]:
        effects = super().handle(input, now)
        return [each for each in effects if not isinstance(each, Connect) or now < 3 * SECOND]


def test_a_world_that_fails_is_kept_in_a_file_and_fails_alike_when_it_is_played_again(tmp_path: Path) -> None:
    hubs = (Hub("ada"), Hub("ben"))
    config = WorldConfig(grant=None, offset_us_max=0)
    cut = Cut((("ada",), ("ben",)), 6 * SECOND)
    hopeless = Draw(seed=3, hubs=hubs, config=config, faults_us=12 * SECOND, plan=((4 * SECOND, cut),))
    violation = breaks_with(Recluse, hopeless)
    assert violation is not None
    assert (violation.rule, violation.seed) == ("whole", 3)
    assert "the links do not hang together" in violation.what
    path = tmp_path / "world.json"
    write(path, Broken(3, violation.rule, str(violation), hopeless, violation.digest, 0))
    assert read(path)[0] == hopeless
    again = replay(path, make_node=Recluse)
    assert again.same
    assert str(again.violation) == str(violation)
    mended = replay(path)
    assert (mended.violation, mended.same) == (None, False)


def test_faults_that_are_due_after_the_heal_do_not_happen() -> None:
    late = (
        (2 * SECOND, Flap((("ada",), ("ben",)), 2 * SECOND, 20)),
        (9 * SECOND, Cut((("ada",), ("ben",)))),
    )
    hubs = (Hub("ada"), Hub("ben"))
    played = play(Draw(seed=3, hubs=hubs, config=WorldConfig(grant=None), faults_us=8 * SECOND, plan=late))
    assert played.fired["flap"] == 1
    assert "cut" not in played.fired


def test_a_seed_always_draws_the_same_world() -> None:
    assert draw(5) == draw(5)
    assert draw(5) != draw(6)


def test_the_seeds_draw_every_misfortune_every_lane_and_crowds_of_many_sizes() -> None:
    drawn = [draw(seed) for seed in range(1, 61)]
    kinds = {type(fault).__name__ for each in drawn for _, fault in each.plan}
    assert kinds == {
        *("Cut", "CutOneWay", "Flap", "Clog", "Reset", "Worsen", "Starve", "Move", "JumpDate", "LoseDate", "Regrant"),
        *("Crash", "CrashInside", "CrashMany", "LosePower", "RestoreBackup", "RotateKey"),
    }
    assert {each.config.lane for each in drawn} == {"object", "wire"}
    sizes = {len(each.hubs) for each in drawn}
    assert (min(sizes), max(sizes)) == (2, 24)
    assert {each.limits.small_mesh for each in drawn} >= {0, 16}
    assert any(each.away for each in drawn)
