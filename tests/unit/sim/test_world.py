"""Worlds: lives, timers, discovery, faults as values, and what people feel."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.clock import MS, SECOND
from protocol.effects import CancelTimer, Event, LinkNews, SetTimer, StoreBoot, StoreKeyState
from protocol.ids import AuthorId
from protocol.inputs import LoopLagged, PeerSeen, Publish, Started, TimerFired, UtcObserved
from protocol.rng import Rng
from sim.checkers import linked
from sim.discovery import Hints
from sim.faults import Crash, Cut, CutOneWay, Fault, Heal, Reset, Restart, Starve, Worsen, schedule
from sim.host import Host
from sim.metrics import when_each
from sim.paths import Quality
from sim.persons import Person
from sim.world import World, WorldConfig
from tests.unit.sim.scripted import Scripted, Stage, always


def fired(stage: Stage, name: str) -> list[tuple[int, tuple[str, ...]]]:
    return [(at, timer.key) for at, timer in stage.machines[name].of(TimerFired)]


def test_a_timer_fires_once_at_its_instant_and_a_newer_one_of_its_name_replaces_it() -> None:
    stage = Stage("ada")
    stage.do("ada", SetTimer(("a",), 5_000), SetTimer(("b",), 9_000), SetTimer(("a",), 7_500))
    stage.run(SECOND)
    assert fired(stage, "ada") == [(8_000, ("a",)), (9_000, ("b",))]


def test_a_timer_moved_forward_fires_early_and_a_cancelled_one_never() -> None:
    stage = Stage("ada")
    stage.do("ada", SetTimer(("a",), 500_000), SetTimer(("b",), 400_000))
    stage.run(10_000)
    stage.do("ada", SetTimer(("a",), 20_000), CancelTimer(("b",)), CancelTimer(("never set",)))
    stage.run(SECOND)
    assert fired(stage, "ada") == [(20_000, ("a",))]


def test_timers_leave_nothing_behind() -> None:
    stage = Stage("ada")
    host = stage.host("ada")
    for step in range(2_000):
        stage.do("ada", SetTimer(("a",), stage.world.now + 500_000), SetTimer(("b",), stage.world.now + 1_000))
        stage.run(1_000)
        assert len(host.timers) == 1 + (step >= 0 and len(host.timers) == 2)
    stage.run(SECOND)
    assert len(host.timers) == 0
    assert stage.world.kernel.waiting() == 0


def test_timers_of_a_life_that_has_ended_do_not_fire() -> None:
    stage = Stage("ada")
    stage.do("ada", SetTimer(("a",), 5_000))
    stage.world.crash(stage.host("ada"))
    stage.world.restart(stage.host("ada"))
    stage.run(SECOND)
    assert fired(stage, "ada") == []


def test_each_life_starts_one_boot_higher_with_what_was_stored() -> None:
    stage = Stage("ada")
    ada = stage.host("ada")
    author = AuthorId(bytes(32))
    stage.do("ada", StoreKeyState(author, b"key state"), StoreBoot(9))
    before = ada.author
    stage.world.crash(ada)
    stage.world.crash(ada)  # nothing more can die
    stage.world.restart(ada)
    stage.world.restart(ada)  # runs already
    started = [got for _, got in stage.machines["ada"].of(Started)]
    assert [(s.boot, s.key_states) for s in started] == [(1, ()), (10, (b"key state",))]
    assert (ada.author, ada.life, ada.alive) == (before, 2, True)


def test_starved_timers_fire_late_after_the_hub_was_told_of_its_lag() -> None:
    stage = Stage("ada")
    stage.do("ada", SetTimer(("a",), 100_000))
    stage.world.starve(stage.host("ada"), 300_000)
    stage.run(SECOND)
    assert stage.machines["ada"].came[-2:] == [(300_000, LoopLagged(300_000)), (300_000, TimerFired(("a",)))]


def test_hubs_hear_of_each_other_late_and_never_across_a_cut() -> None:
    hints = Hints(delay_us_min=50 * MS, delay_us_max=90 * MS, loss=0.0, again_every_us=None)
    world = World(1, WorldConfig(grant=None, hints=hints, offset_us_max=0, dated=0.0))
    machines = {name: Scripted() for name in ("ada", "ben", "eve")}
    for name in machines:
        world.add(name, person=False, wrap=lambda _node, host: machines[host.name])
    world.cut([world.names["ada"], world.names["ben"]], [world.names["eve"]])
    world.run(SECOND)
    assert [seen.addresses for _, seen in machines["ada"].of(PeerSeen)] == [(world.names["ben"].address,)]
    assert [seen.addresses for _, seen in machines["ben"].of(PeerSeen)] == [(world.names["ada"].address,)]
    assert machines["eve"].of(PeerSeen) == []
    assert all(50 * MS <= at <= 90 * MS for at, _ in machines["ada"].of(PeerSeen))


def test_a_hub_announces_itself_again_and_a_new_life_has_a_new_name() -> None:
    hints = Hints(loss=0.0, again_every_us=SECOND)
    world = World(1, WorldConfig(grant=None, hints=hints))
    machine = Scripted()
    world.add("ada", person=False, wrap=always(machine))
    ben = world.add("ben", person=False)
    world.run(3 * SECOND)
    world.crash(ben)
    world.restart(ben)
    world.run(5 * SECOND)
    names = [seen.name for _, seen in machine.of(PeerSeen)]
    assert names.count("ben-1") >= 2
    assert names[-1] == "ben-2"


def test_hubs_have_clocks_of_their_own() -> None:
    world = World(1, WorldConfig(offset_us_max=600 * SECOND))
    machines = {name: Scripted() for name in ("ada", "ben")}
    for name in machines:
        world.add(name, wrap=lambda _node, host: machines[host.name])
    world.run(SECOND)
    began = {name: machine.of(Started)[0][0] for name, machine in machines.items()}
    assert began == {name: world.names[name].offset_us for name in machines}
    assert began["ada"] != began["ben"]


def test_a_share_of_the_hubs_knows_the_date() -> None:
    world = World(3, WorldConfig(dated=0.5, hints=Hints(enabled=False)))
    machines = [Scripted() for _ in range(60)]
    for machine in machines:
        world.add(wrap=always(machine))
    world.run(1_000)
    dated = sum(bool(machine.of(UtcObserved)) for machine in machines)
    assert 15 < dated < 45


def test_faults_are_values_that_happen_at_their_instants() -> None:
    world = World(5)
    hosts = [world.add(name) for name in ("a", "b", "c", "d")]
    went: list[tuple[int, str]] = []

    def note(_host: Host, event: Event) -> None:
        if isinstance(event, LinkNews) and not event.up and event.reason != "link_duplicate":
            went.append((world.now // SECOND, event.reason))

    world.observers.append(note)
    plan: list[tuple[int, Fault]] = [
        (2 * SECOND, Reset("a", "b")),
        (5 * SECOND, Cut((("a", "b"), ("c", "d")))),
        (10 * SECOND, Heal()),
        (13 * SECOND, CutOneWay("a", "c")),
        (17 * SECOND, Heal()),
        (20 * SECOND, Crash("d")),
        (21 * SECOND, Restart("d")),
        (24 * SECOND, Starve("b", SECOND)),
        (26 * SECOND, Worsen(Quality(latency_us=40 * MS))),
    ]
    schedule(world, plan)
    world.run(30 * SECOND)
    seconds = {when for when, _ in went}  # links that crossed and were sorted out are left out
    expected = [{2}, {6, 7, 8}, {17, 18}, {20, 21}]  # 1.5 to 3 s after the cut; 5 s where others still hear it
    assert all(seconds & window for window in expected)
    assert seconds <= set().union(*expected)
    assert linked(world, hosts)
    assert world.names["d"].storage.boot == 2
    assert world.paths.between(0, 1).latency_us == 40 * MS


def test_one_hub_more_does_not_change_what_another_person_feels() -> None:
    feelings = []
    for names in (("ada",), ("eve", "ada")):
        world = World(11)
        machine = Scripted()
        for name in names:
            if name == "ada":
                world.add(name, wrap=always(machine))
            else:
                world.add(name)
        world.run(5 * SECOND)
        feelings.append([publish.reading.estimates for _, publish in machine.of(Publish)])
    assert feelings[0] == feelings[1]
    assert len(feelings[0]) >= 4


def test_people_stay_within_the_range_and_wander() -> None:
    person = Person(Rng(1), mood=0.9)
    values = [person.read(at).estimates[0].value for at in range(5_000)]
    assert all(value is not None and -1.0 <= value <= 1.0 for value in values)
    assert len(set(values)) > 1_000
    assert person.last == replace(person.last, at=4_999) if person.last else False


def test_two_hubs_cannot_have_one_name() -> None:
    world = World(1)
    world.add("ada")
    with pytest.raises(AssertionError, match="two hubs named ada"):
        world.add("ada")


def test_waiting_says_how_long_it_took_or_that_it_never_came() -> None:
    world = World(1)
    assert world.wait(lambda: world.now >= 250 * MS, SECOND) == 300 * MS
    assert world.wait(lambda: False, SECOND) is None
    hosts = [world.add("ada"), world.add("ben")]
    taken = when_each(world, hosts, lambda host: host.name == "ada" and world.now > 2 * SECOND, SECOND)
    assert taken == {"ada": 800 * MS, "ben": None}
