"""The baseline behaves as memberlist does, starved processes starve, and the paper counts what it says it counts."""

from __future__ import annotations

import pytest

from protocol.clock import MS, SECOND, Instant
from protocol.effects import Effect
from protocol.ids import LinkId
from protocol.inputs import Input, LinkWritable, LoopLagged, TimerFired
from sim.papers import Plan, lifeguard
from sim.papers.lifeguard import Outcome, Slow, Work, play
from sim.papers.swim_baseline import Swim, SwimConfig
from sim.paths import Quality

FAIR = Quality()


# --- memberlist -----------------------------------------------------------------------------------------------------


def test_nobody_is_declared_dead_in_fair_weather() -> None:
    swim = Swim(30, 1, FAIR)
    swim.kernel.run(60 * SECOND)
    assert swim.verdicts == []


def test_a_death_is_known_everywhere_after_a_probe_and_the_whole_suspicion() -> None:
    swim = Swim(100, 1, FAIR)
    swim.kernel.run(10 * SECOND)
    swim.kill(7)
    swim.kernel.run(30 * SECOND)
    assert {observer for _, observer, _ in swim.verdicts} == {index for index in range(100) if index != 7}
    assert {subject for _, _, subject in swim.verdicts} == {7}
    first = min(at for at, _, _ in swim.verdicts) - 10 * SECOND
    assert 9 * SECOND <= first <= 12 * SECOND  # up to 1 s until probed, 1 s of probing, 4 * log10(100) s of suspicion


def test_a_member_that_reads_in_time_refutes_and_is_not_declared_dead() -> None:
    swim = Swim(20, 1, FAIR)
    swim.kernel.run(SECOND)
    accuser = swim.members[3]
    swim._suspect(accuser, 5, 0)
    swim.kernel.run(30 * SECOND)
    assert swim.verdicts == []
    assert swim.members[5].incarnation == 1
    assert all(member.known[5].incarnation == 1 for member in swim.members)


def test_a_message_is_transmitted_so_often_and_no_more() -> None:
    swim = Swim(100, 1, FAIR, SwimConfig(probe_us=3_600 * SECOND))
    member = swim.members[0]
    swim._suspect(member, 5, 0)
    sent = sum(len(swim._rumors(member, 1_400)) for _ in range(50))
    assert sent == 4 * 3  # 4 * ceil(log10(101))
    assert member.queue == {}


def test_a_packet_holds_no_more_than_its_room_and_the_least_transmitted_go_first() -> None:
    swim = Swim(100, 1, FAIR)
    member = swim.members[0]
    for subject in range(1, 60):
        swim._suspect(member, subject, 0)
    first, second = swim._rumors(member, 1_400), swim._rumors(member, 1_400)
    assert len(first) == len(second) == 1_400 // 39
    again = set(first) & set(second)
    assert len(again) == 2 * (1_400 // 39) - 59  # only once nothing fresh was left


def test_a_starved_member_does_nothing_between_slices_and_then_its_timers_first() -> None:
    swim = Swim(10, 1, FAIR)
    swim.kernel.run(5 * SECOND)
    swim.starve(0)
    swim.kernel.run(7 * SECOND)
    member = swim.members[0]
    assert member.timers
    assert member.inputs
    waiting = len(member.inputs)
    swim.run_slice(0, 50 * len(member.timers))
    assert (member.timers, len(member.inputs)) == ([], waiting)
    swim.run_slice(0, 10 * SECOND)
    assert member.inputs == []


# --- ours -----------------------------------------------------------------------------------------------------------


class _Record:
    """Stands for a Node and notes what it is told."""

    def __init__(self) -> None:
        self.came: list[Input] = []

    def handle(self, input: Input, _now: Instant) -> list[Effect]:
        self.came.append(input)
        return []


def test_what_does_not_fit_into_a_slice_waits_for_the_next_in_order() -> None:
    record = _Record()
    slow = Slow(record)
    inputs = [LinkWritable(LinkId(number)) for number in range(100)]
    for one in inputs:
        slow.handle(one, 0)
    fit = lifeguard.SLICE_US // lifeguard.ITEM_US
    assert record.came == inputs[:fit]
    slow.handle(LoopLagged(SECOND), 1)
    slow.handle(TimerFired(("tick",)), 1)
    assert record.came == [*inputs[:fit], TimerFired(("tick",)), *inputs[fit:]]


# --- the paper ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", ["memberlist", "ours"])
def test_a_run_is_the_same_each_time_and_finds_its_deaths(system: str) -> None:
    work = Work(system, 1, 10, 0, 0.0, 30 * SECOND)
    outcome = play(work)
    assert play(work) == outcome
    assert len(work.deaths) == 2
    assert sum(outcome.false.values()) == 0
    assert outcome.missed == 0
    assert outcome.detected_s
    low, high = (4.0, 9.0) if system == "memberlist" else (1.4, 3.5)
    assert all(low <= took <= high for took in outcome.detected_s)


def test_verdicts_are_counted_by_who_is_starved_and_those_about_the_dead_not_at_all() -> None:
    work = Work("ours", 1, 10, 2, 0.0, 30 * SECOND)
    (subject, died_at), *_ = work.deaths.items()
    at = lifeguard.WARM_US
    verdicts = [
        *((at - 1, 5, 6), (at, 5, 6), (at, 5, 1), (at, 1, 6), (at, 1, 0)),
        *((died_at - 1, 5, subject), (died_at, 5, subject)),
    ]
    counted = lifeguard._tally(work, verdicts)
    assert counted == {(False, False): 2, (False, True): 1, (True, False): 1, (True, True): 1}


def test_a_baseline_without_alarms_proves_nothing() -> None:
    def outcome(system: str, alarms: int) -> Outcome:
        work = Work(system, 1, 10, 1, 0.0, SECOND)
        return Outcome(work, {(False, False): alarms}, [2.0], [2.0], 0, 50, 1.0, 1.0)

    empty = lifeguard._bars([1], [outcome("ours", 0), outcome("memberlist", 0)])
    assert [bar.met for bar in empty] == [False, False, True]
    good = lifeguard._bars([1], [outcome("ours", 0), outcome("memberlist", 9)])
    assert [bar.met for bar in good] == [True, True, True]
    bad = lifeguard._bars([1], [outcome("ours", 1), outcome("memberlist", 9)])
    assert [bar.met for bar in bad] == [False, False, True]


def test_probes_must_save_every_second_link_that_loss_would_cost() -> None:
    def bar(flat: int, ours: int) -> bool:
        counts = {"ours, no probes": flat, "ours": ours}
        works = {system: Work(system, 1, 10, 0, lifeguard.LOSSES[-1], SECOND) for system in counts}
        outcomes = [
            Outcome(works[system], {(False, False): count}, [], [], 0, 50, 1.0, 1.0) for system, count in counts.items()
        ]
        return lifeguard._loss_bar(outcomes).met

    assert bar(10, 5)
    assert not bar(10, 6)
    assert not bar(0, 0)


def test_the_same_members_starve_at_the_same_gaps_in_every_system() -> None:
    ours, theirs = (Work(system, 3, 10, 2, 0.0, SECOND).gaps(1) for system in ("ours", "memberlist"))
    gaps = [next(ours) for _ in range(200)]
    assert gaps == [next(theirs) for _ in range(200)]
    assert 128 * MS <= min(gaps) < 512 * MS
    assert 4_096 * MS < max(gaps) <= 16_384 * MS


@pytest.mark.slow
def test_the_paper_prints_every_table_at_a_small_size() -> None:
    found = lifeguard.run(Plan(seeds=1, nodes=12, quick=True))
    assert set(found.tables) == {"published", "starved", "loss"}
    assert [row["system"] for row in found.tables["starved"]] == ["memberlist", "memberlist, inputs in time", "ours"]
    detection = next(bar for bar in found.bars if bar.name == "median detection, 1 starved")
    assert detection.met
