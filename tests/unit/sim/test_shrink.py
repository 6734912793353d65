"""The shrinker, on failures that are functions of the plan, so that no world has to be played."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from protocol.clock import SECOND
from protocol.inputs import CommonsGrant
from sim.draws import draw
from sim.faults import Clog, Crash, CrashMany, Cut, CutOneWay, Fault, Flap, Heal, Reset, Worsen, without
from sim.paths import Quality
from sim.shrink import Breaks, ddmin, shrink
from sim.swarm import Draw, Hub, Limits
from sim.world import SafetyViolation, WorldConfig

GRANT = CommonsGrant((0,), 5, 500, 3_000, True, True, False)
HUBS = tuple(Hub(f"n{number}", GRANT) for number in range(12))
PLAN = tuple((number * SECOND, Crash(f"n{number % 12}", False, SECOND)) for number in range(1, 40))
LARGE = Draw(
    seed=1,
    hubs=HUBS,
    config=WorldConfig(quality=Quality(loss=0.1, latency_us=60_000), lane="wire", drift_ppm_max=500, grant=None),
    limits=Limits(links_target=3, links_max=6, small_mesh=0, passive=6),
    faults_us=60 * SECOND,
    plan=PLAN,
    away=("n9", "n10"),
)


def violation(rule: str = "odd", now: int = 30 * SECOND) -> SafetyViolation:
    return SafetyViolation("it broke", 1, now, "n3", rule)


def fails_if(holds: Callable[[Draw], bool]) -> Breaks:
    return lambda drawn: violation() if holds(drawn) else None


def test_of_many_items_only_those_that_matter_are_left() -> None:
    tried: list[list[int]] = []

    def still(items: list[int]) -> bool:
        tried.append(items)
        return {3, 17, 18} <= set(items)

    assert ddmin(range(40), still) == [3, 17, 18]
    assert len(tried) < 120


def test_if_nothing_matters_nothing_is_left_and_if_all_does_all_is() -> None:
    assert ddmin(range(8), lambda _: True) == []
    assert ddmin(range(8), lambda items: len(items) == 8) == list(range(8))
    assert ddmin([], lambda _: True) == []


def test_one_crash_of_one_hub_is_all_that_is_left_of_a_large_world() -> None:
    def holds(drawn: Draw) -> bool:
        return any(fault == Crash("n7", False, SECOND) for _, fault in drawn.plan)

    small = shrink(LARGE, violation(), fails_if(holds))
    assert small.draw.hubs == (Hub("n7", None),)
    assert [fault for _, fault in small.draw.plan] == [Crash("n7", False, SECOND)]
    assert small.draw.faults_us < LARGE.faults_us
    assert small.draw.away == ()
    assert small.draw.limits == Limits()
    assert small.draw.config == WorldConfig(grant=None, dated=1.0, offset_us_max=0)
    assert small.tries < 200


def test_a_setting_that_matters_stays() -> None:
    small = shrink(LARGE, violation(), fails_if(lambda drawn: drawn.config.quality.loss > 0 and len(drawn.hubs) > 2))
    assert small.draw.config.quality == Quality(loss=0.1)
    assert small.draw.config.lane == "object"
    assert len(small.draw.hubs) == 3


def test_another_rule_is_another_fault_and_not_followed() -> None:
    small = shrink(LARGE, violation("odd"), lambda _: violation("even"))
    assert small.draw == LARGE
    assert small.violation.rule == "odd"


def test_no_more_worlds_are_played_than_allowed() -> None:
    played: list[Draw] = []

    def breaks(drawn: Draw) -> SafetyViolation:
        played.append(drawn)
        return violation()

    assert shrink(LARGE, violation(), breaks, tries_max=7).tries == 7
    assert len(played) == 7


def test_the_same_failure_shrinks_to_the_same_world() -> None:
    def holds(drawn: Draw) -> bool:
        return len(drawn.hubs) + len(drawn.plan) > 9

    assert shrink(LARGE, violation(), fails_if(holds)).draw == shrink(LARGE, violation(), fails_if(holds)).draw


@pytest.mark.parametrize(
    ("fault", "left"),
    [
        (Cut((("a", "b"), ("c",))), Cut((("b",), ("c",)))),
        (Cut((("a",),)), None),
        (Flap((("a",), ("c",)), 5, 2), Flap((("c",),), 5, 2)),
        (CrashMany(("a", "b"), True, 5), CrashMany(("b",), True, 5)),
        (CrashMany(("a",), True, 5), None),
        (CutOneWay("a", "b"), None),
        (CutOneWay("b", "c"), CutOneWay("b", "c")),
        (Clog("b", "a", 5), None),
        (Reset("b", "a"), None),
        (Crash("a"), None),
        (Crash("b"), Crash("b")),
        (Heal(), Heal()),
        (Worsen(Quality()), Worsen(Quality())),
    ],
)
def test_a_fault_without_a_hub_is_a_fault_of_the_others_or_none(fault: Fault, left: Fault | None) -> None:
    assert without(fault, "a") == left


def test_a_drawn_plan_without_any_of_its_hubs_names_the_others_only() -> None:
    drawn = draw(2)
    for hub in drawn.hubs:
        plan = [left for _, fault in drawn.plan if (left := without(fault, hub.name)) is not None]
        assert f"'{hub.name}'" not in repr(plan)
