"""Many small worlds with misfortunes drawn from their seed; a seed that fails belongs here for ever."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.clock import SECOND
from sim import swarm
from sim.faults import Crash, Cut, CutOneWay, Heal, Reset, Restart, Starve
from sim.world import SafetyViolation


@pytest.mark.parametrize("seed", range(1, 21))
def test_whatever_happens_the_crowd_is_safe_and_whole_again_in_the_end(seed: int) -> None:
    safety = swarm.play(swarm.draw(seed))
    assert safety.sweeps >= 40
    assert safety.ledger.deliveries > 0


def test_a_seed_always_draws_the_same_world() -> None:
    assert swarm.draw(5) == swarm.draw(5)
    assert swarm.draw(5) != swarm.draw(6)


def test_the_seeds_draw_every_misfortune_and_every_lane() -> None:
    drawn = [swarm.draw(seed) for seed in range(1, 21)]
    kinds = {type(fault) for draw in drawn for _, fault in draw.plan}
    assert kinds == {Cut, CutOneWay, Heal, Crash, Restart, Starve, Reset}
    assert {draw.config.lane for draw in drawn} == {"object", "wire"}
    assert any(draw.config.quality.loss > 0 for draw in drawn)


def test_a_crowd_that_cannot_become_whole_is_reported_with_its_seed() -> None:
    drawn = swarm.draw(3)
    names = tuple(f"n{index}" for index in range(len(drawn.grants)))
    late = swarm.GATHER_US + swarm.FAULTS_US + SECOND
    hopeless = replace(drawn, plan=(*drawn.plan, (late, Cut((names[:1], names[1:])))))
    with pytest.raises(SafetyViolation, match="not whole") as caught:
        swarm.play(hopeless)
    assert caught.value.seed == 3
