"""What a crowd needs and once lacked: each test names the seed that showed it."""

from __future__ import annotations

from protocol.clock import SECOND
from sim.checkers import Safety, linked
from sim.discovery import Hints
from sim.world import World, WorldConfig


def test_two_crowds_that_grew_apart_merge_when_they_meet() -> None:
    world = World(1, WorldConfig(hints=Hints(again_every_us=10 * SECOND)))
    hosts = [world.add() for _ in range(24)]
    world.cut(hosts[:12], hosts[12:])
    world.run(10 * SECOND)
    world.heal()
    assert world.wait(lambda: linked(world, hosts), 120 * SECOND) is not None


def test_a_hub_that_lost_its_boot_number_is_heard_again() -> None:
    world = World(5, WorldConfig(dated=0.0))
    hosts = [world.add() for _ in range(5)]
    world.run(5 * SECOND)
    ada = hosts[0]
    for boot in (5, 0):
        world.crash(ada)
        ada.storage.boot = boot
        world.restart(ada)
        world.run(world.now + 5 * SECOND)
    world.run(world.now + 30 * SECOND)
    for host in hosts[1:]:
        assert any(line.author == ada.author for line in world.statistics(host).authors)


def test_a_hub_that_slept_shows_no_old_value_as_fresh() -> None:
    world = World(6, WorldConfig())
    hosts = [world.add() for _ in range(5)]
    safety = Safety(world, every_us=None)
    world.run(5 * SECOND)
    world.starve(hosts[0], 60 * SECOND)
    world.run(world.now + 60 * SECOND + 1_000)
    safety.sweep()


def test_presence_does_not_depend_on_who_asked_before() -> None:
    ages = []
    for asks in (False, True):
        world = World(3, WorldConfig())
        hosts = [world.add() for _ in range(6)]
        for _ in range(60):
            world.run(world.now + SECOND)
            if asks:
                world.statistics(hosts[0])
        world.cut(hosts[:3], hosts[3:])
        world.run(world.now + 6 * SECOND)
        seen = world.statistics(hosts[0])
        ages.append([(seen.at - at) // SECOND for _, at in seen.out_of_reach])
    assert ages[0] == ages[1]


def test_the_round_trip_of_busy_links_is_known() -> None:
    world = World(3, WorldConfig())
    hosts = [world.add() for _ in range(6)]
    world.run(30 * SECOND)
    assert all(link.rtt_us is not None for host in hosts for link in world.statistics(host).links)
