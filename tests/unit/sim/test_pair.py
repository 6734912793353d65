"""The pair: what it offers to the unit tests of others."""

from __future__ import annotations

from dataclasses import replace

from protocol.clock import SECOND
from protocol.effects import Drop
from protocol.errors import Reason
from protocol.inputs import Estimate, Publish, Reading
from protocol.wire.registry import AROUSAL
from sim.pair import Pair
from sim.paths import Quality
from sim.world import DEFAULT_GRANT


def test_a_pair_is_linked_from_the_start_and_shows_what_is_published() -> None:
    pair = Pair(seed=11, left="ada", right="ben")
    assert pair.linked()
    pair.publish("ada", 0.5)
    pair.advance(2 * SECOND)
    line = pair.shown("ben", "ada")
    assert line is not None
    [(name, value, sd)] = line.values
    assert name == "arousal"
    assert value is not None
    assert abs(value - 0.5) < 1e-4
    assert sd is not None
    assert sd >= 0.1


def test_a_node_can_be_handed_an_input_that_nobody_performs() -> None:
    pair = Pair(seed=11)
    nonsense = Publish(Reading(pair.now, (Estimate(AROUSAL, float("nan"), 0.1),), 1.0, 1))
    assert pair.left.handle(nonsense, pair.now) == [Drop(None, Reason.NOT_FINITE)]
    assert pair.right.author == pair.host("right").author


def test_time_passes_to_the_microsecond() -> None:
    pair = Pair(seed=11)
    began = pair.now
    pair.advance(1_234_567)
    assert pair.now == began + 1_234_567


def test_a_cut_is_noticed_by_silence_and_a_heal_by_dialling() -> None:
    pair = Pair(seed=11)
    pair.cut()
    pair.advance(2 * SECOND)
    assert pair.linked()
    pair.advance(2 * SECOND)
    assert not pair.linked()
    pair.heal()
    pair.advance(3 * SECOND)
    assert pair.linked()


def test_one_deaf_direction_is_enough_to_lose_the_link() -> None:
    pair = Pair(seed=12, left="ada", right="ben")
    pair.cut_from("ben")
    pair.advance(4 * SECOND)
    assert not pair.linked()
    pair.heal()
    pair.advance(5 * SECOND)
    assert pair.linked()


def test_a_reset_is_mended_within_a_second() -> None:
    pair = Pair(seed=13)
    pair.reset()
    assert not pair.linked()
    pair.advance(SECOND)
    assert pair.linked()


def test_a_crashed_side_comes_back_as_the_same_author_with_a_higher_boot() -> None:
    pair = Pair(seed=14, left="ada", right="ben")
    pair.publish("ada", 0.1)
    pair.advance(2 * SECOND)
    pair.crash("ada")
    pair.advance(SECOND)
    assert not pair.linked()
    pair.restart("ada")
    pair.advance(3 * SECOND)
    pair.publish("ada", -0.4)
    pair.advance(1_500_000)
    line = pair.shown("ben", "ada")
    assert line is not None
    assert line.boot == 2
    assert line.values[0][1] is not None
    assert abs(line.values[0][1] + 0.4) < 1e-4


def test_a_withdrawn_grant_ends_at_the_other_side_with_its_lease() -> None:
    pair = Pair(seed=15, left="ada", right="ben", grant=replace(DEFAULT_GRANT, lease_ms=3_000))
    pair.publish("ada", 0.2)
    pair.advance(2 * SECOND)
    assert pair.shown("ben", "ada") is not None
    pair.grant("ada", None)
    pair.advance(3 * SECOND)
    assert pair.shown("ben", "ada") is None
    assert pair.shown("ada", "ada") is None


def test_a_starved_side_keeps_its_link_and_catches_up() -> None:
    pair = Pair(seed=16, left="ada", right="ben", quality=Quality(jitter_us=0))
    pair.publish("ada", 0.2)
    pair.advance(2 * SECOND)
    pair.starve("ben", 1_500_000)
    pair.advance(3 * SECOND)
    assert pair.linked()
    line = pair.shown("ben", "ada")
    assert line is not None
    assert line.age_us < 1_100_000


def test_a_pair_can_begin_apart() -> None:
    pair = Pair(seed=17, joined=False)
    pair.advance(3 * SECOND)
    assert not pair.linked()
    pair.meet()
    assert pair.linked()
