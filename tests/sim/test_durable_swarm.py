"""A few worlds in which people tell things; the long search is ``python -m sim swarm --profile durable``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from protocol.clock import SECOND
from protocol.wire.events import STORY, WITHDRAWAL, Payload
from sim.draws import CROWD, CROWD_EVERY, draw_durable
from sim.faults import Crash, Cut, Tell
from sim.search import bars, one, words
from sim.swarm import Draw, Hub, Played, play
from sim.words import Words, take_back, tell
from sim.world import SafetyViolation, World, WorldConfig

PAIR = (Hub("ada"), Hub("ben"))


def small(seed: int) -> Draw:
    """A drawn world with fewer stories at the end."""
    return replace(draw_durable(seed), calm=5)


@pytest.mark.parametrize("seed", [9])
def test_whatever_happens_no_word_is_lost(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.search.DRAWS", {"durable": small})
    played = one(seed, profile="durable", shrinks=False)
    assert isinstance(played, Played), played
    told = words([played])
    assert told["acknowledged"] > 200
    assert len(played.told.delays_us) == 5 * played.hubs
    named = {bar.name: bar.met for bar in bars([played], "durable")}
    assert named["worlds that broke a rule"]
    assert len(named) == 2
    assert told["learnt_after_heal_s"]["crowds"]["p99"] is None
    crowd = replace(played, hubs=CROWD)
    assert len(bars([played, crowd], "durable")) == 3
    assert words([played, crowd])["learnt_after_heal_s"]["crowds"]["max"] == played.told.learnt_us / SECOND


def test_every_fiftieth_world_is_a_crowd_that_is_torn_in_two() -> None:
    drawn = draw_durable(CROWD_EVERY)
    assert len(drawn.hubs) == CROWD
    (cut,) = [fault for _, fault in drawn.plan if isinstance(fault, Cut)]
    assert sorted(name for side in cut.groups for name in side) == sorted(hub.name for hub in drawn.hubs)
    told = [at for at, fault in drawn.plan if isinstance(fault, Tell)]
    assert cut.for_us is not None
    assert sum(at > drawn.faults_us - cut.for_us for at in told) > len(told) // 2
    assert len(draw_durable(CROWD_EVERY + 1).hubs) <= 10


def test_what_was_told_on_both_sides_of_a_long_cut_is_everywhere_after_it() -> None:
    plan = (
        (2 * SECOND, Cut((("ada",), ("ben",)), 1_700 * SECOND)),
        (60 * SECOND, Tell("ada", 20, SECOND, 300, False)),
        (61 * SECOND, Tell("ben", 20, SECOND, 300, True)),
        (90 * SECOND, Crash("ben", True, SECOND)),
    )
    drawn = Draw(seed=4, hubs=PAIR, config=WorldConfig(grant=None), faults_us=1_000 * SECOND, plan=plan)
    played = play(drawn)
    assert played.told.words == 40
    assert played.told.learnt_us <= 30 * SECOND


def forget(world: World) -> None:
    ben = world.names["ben"]
    world.crash(ben)
    ben.storage.disk.events.clear()
    world.restart(ben)


def damage(world: World) -> None:
    disk = world.names["ben"].storage.disk
    disk.payloads.update({name: Payload(payload.salt, b"else") for name, payload in disk.payloads.items()})


def keep(world: World) -> None:
    """Ben holds on to what Ada takes back."""
    ada, ben = world.names["ada"], world.names["ben"]
    kept = dict(ben.storage.disk.payloads)
    take_back(world, ada, 0)
    world.run(world.now + 2 * SECOND)
    ben.storage.disk.payloads.update(kept)


@pytest.mark.parametrize(("spoil", "rule"), [(forget, "lost"), (damage, "corrupted"), (keep, "lost")])
def test_the_model_finds_what_it_is_there_for(spoil: Callable[[World], None], rule: str) -> None:
    world = World(1, WorldConfig(grant=None))
    model = Words(world)
    ada, ben = world.add("ada"), world.add("ben")
    world.run(3 * SECOND)
    for _ in range(3):
        tell(world, ada, 60)
    world.run(5 * SECOND)
    assert [word.kind for word in model.words.values()] == [STORY] * 3
    assert all(set(word.reached) == {0, 1} for word in model.words.values())

    def spoilt() -> None:
        spoil(world)
        model.play_out([ada, ben], world.now, 0)

    with pytest.raises(SafetyViolation) as found:
        spoilt()
    assert found.value.rule == rule
    assert WITHDRAWAL not in (word.kind for word in model.words.values()) or "withdrawn" in found.value.what


def test_a_seed_always_draws_the_same_world_of_words() -> None:
    assert draw_durable(5) == draw_durable(5)
    assert draw_durable(5) != draw_durable(6)
