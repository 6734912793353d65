"""Clocks that drift."""

from __future__ import annotations

import pytest

from protocol.clock import MINUTE, MS, SECOND
from protocol.effects import SetTimer
from protocol.inputs import TimerFired
from sim.checkers import Safety
from sim.world import World, WorldConfig
from tests.unit.sim.scripted import Stage


@pytest.mark.parametrize("ppm", [-500, -50, 0, 50, 500])
def test_a_drifting_clock_never_stands_and_its_instants_are_found_again(ppm: int) -> None:
    host = Stage("ada").host("ada")
    host.drift_ppm, host.offset_us = ppm, 12_345
    told = [host.clock(now) for now in range(0, 10 * MINUTE, 777_777)]
    assert told == sorted(set(told))
    assert host.clock(10 * MINUTE) - host.clock(0) - 10 * MINUTE == 600 * ppm
    for at in range(20_000, 5 * MINUTE, 1_234_567):
        now = host.world_at(at)
        assert host.clock(now) >= at > host.clock(now - 1)


def test_a_timer_of_a_fast_clock_fires_early_by_the_worlds_time_and_never_by_its_own() -> None:
    stage = Stage("ada")
    host = stage.host("ada")
    host.drift_ppm = 100_000
    stage.do("ada", SetTimer(("a",), host.clock(stage.world.now) + 1_100 * MS))
    stage.run(2 * SECOND)
    assert stage.machines["ada"].of(TimerFired) == [(1_100 * MS, TimerFired(("a",)))]
    assert stage.world.fired == {}


def test_hubs_whose_clocks_drift_agree_on_ages_within_the_drift() -> None:
    world = World(4, WorldConfig(drift_ppm_max=500))
    safety = Safety(world)
    for _ in range(4):
        world.add()
    world.run(20 * SECOND)
    assert len({host.drift_ppm for host in world.hosts}) > 1
    assert safety.ledger.deliveries > 100
