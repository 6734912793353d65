"""Hubs inside the mesh that do not keep the rules: they can hurt their own links and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from protocol.clock import MS, SECOND
from protocol.errors import Reason
from protocol.ids import AuthorId
from protocol.node import Node
from sim.adversaries import boaster, forger, mute
from sim.checkers import Safety
from sim.discovery import Hints
from sim.host import Host, Machine
from sim.world import World, WorldConfig

Wrap = Callable[[Node, Host], Machine]


def ages(world: World, safety: Safety, hosts: list[Host], author: Host, seconds: int) -> list[int | None]:
    """The true age of what each of the hubs shows of ``author``, ten times a second."""
    found: list[int | None] = []
    for _ in range(10 * seconds):
        world.run(world.now + 100 * MS)
        found += [safety.ledger.age_us(host, author.author) for host in hosts]
    return found


def crowd(seed: int, wrap: Wrap, hostile: int = 1) -> tuple[World, Safety, list[Host]]:
    """Eight hubs of which the last ones are hostile; returns the honest ones."""
    world = World(seed, WorldConfig())
    safety = Safety(world, every_us=SECOND)
    honest = [world.add() for _ in range(8 - hostile)]
    for _ in range(hostile):
        world.add(wrap=wrap)
    world.run(4 * SECOND)
    return world, safety, honest


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("hostile", [1, 3])
def test_a_relay_that_forges_high_numbers_silences_nobody(seed: int, hostile: int) -> None:
    victim: list[AuthorId] = []
    world, safety, honest = crowd(seed, forger(lambda: victim), hostile)
    victim.append(honest[0].author)
    assert Reason.BAD_SIGNATURE not in world.drops
    found = ages(world, safety, honest[1:], honest[0], 12)
    assert world.drops[Reason.BAD_SIGNATURE] >= hostile
    assert all(age is not None and age <= 1_500 * MS for age in found)
    assert all(sum(end.peer.host in honest for end in host.ends.values()) == len(honest) - 1 for host in honest)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_relay_that_boasts_of_numbers_it_has_not_got_silences_nobody(seed: int) -> None:
    world, safety, honest = crowd(seed, boaster(), 3)
    found = ages(world, safety, honest[1:], honest[0], 12)
    assert all(age is not None and age <= 1_500 * MS for age in found)


@pytest.mark.parametrize("seed", [1, 2])
def test_relays_that_pass_on_nothing_do_not_part_the_crowd(seed: int) -> None:
    """Ada and Eve cannot hear each other; of three that could relay between them, two do not."""
    world = World(seed, WorldConfig(hints=Hints(again_every_us=None)))
    safety = Safety(world)
    ada, eve, honest = world.add("ada"), world.add("eve"), world.add("honest")
    for index in range(2):
        world.add(f"mute{index}", wrap=mute())
    world.cut_one_way(ada, eve)
    world.cut_one_way(eve, ada)
    world.run(8 * SECOND)
    for hearer, author in ((ada, eve), (eve, ada), (honest, ada)):
        found = ages(world, safety, [hearer], author, 10)
        assert all(age is not None and age <= 2_500 * MS for age in found)


def test_a_forger_that_is_the_only_way_can_show_nothing_false() -> None:
    victim: list[AuthorId] = []
    world = World(5, WorldConfig(hints=Hints(enabled=False)))
    safety = Safety(world)
    ada, ben = world.add("ada"), world.add("ben")
    eve = world.add("eve", wrap=forger(lambda: victim))
    victim.append(ada.author)
    world.run(0)
    for host in (ada, ben):
        world.discovery.introduce(host, eve)
    world.cut_one_way(ada, ben)
    world.cut_one_way(ben, ada)
    world.run(20 * SECOND)
    assert safety.sweeps >= 70
    assert safety.ledger.shown.get((ben.index, ada.author), (0, 0)) <= safety.ledger.newest[ada.author].number
    assert ben.drops[Reason.BAD_SIGNATURE] >= 1
    assert safety.ledger.age_us(eve, ada.author) is not None
