"""Crowds that are cut, crash, and flow together again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.clock import MS, SECOND
from protocol.inputs import CommonsGrant
from protocol.wire.registry import AROUSAL
from sim.checkers import Safety, linked, sides_right
from sim.discovery import Hints
from sim.host import Host
from sim.paths import Quality
from sim.world import DEFAULT_GRANT, World, WorldConfig

SEEDS = (1, 2)


def plaza(seed: int, quality: Quality | None = None) -> tuple[World, Safety, list[Host], list[Host]]:
    """Twelve hubs that know each other, in two groups of 7 and 5; discovery tells them nothing more."""
    config = WorldConfig(quality=quality or Quality(), hints=Hints(again_every_us=None))
    world = World(seed, config)
    safety = Safety(world, every_us=SECOND)
    hosts = [world.add(at=index * 20 * MS) for index in range(12)]
    world.run(6 * SECOND)
    assert linked(world, hosts)
    return world, safety, hosts[:7], hosts[7:]


def heal_and_wait(world: World, safety: Safety, hosts: list[Host]) -> int | None:
    """End all cuts; how long until every hub shows everybody's newest value of that moment, or a newer one."""
    targets = safety.ledger.targets(hosts)
    world.heal()
    return world.wait(lambda: safety.ledger.behind(hosts, targets) == 0, 20 * SECOND, 50 * MS)


@pytest.mark.parametrize("seed", SEEDS)
def test_both_halves_know_within_four_seconds_that_they_are_halves_and_go_on(seed: int) -> None:
    world, safety, left, right = plaza(seed)
    world.cut(left, right)
    world.run(world.now + 4 * SECOND)
    assert sides_right(world, [left, right]) == []
    world.run(world.now + 8 * SECOND)
    assert sides_right(world, [left, right]) == []
    for group, others in ((left, right), (right, left)):
        for host in group:
            seen = world.statistics(host)
            assert {author for author, _ in seen.out_of_reach} == {other.author for other in others}
            assert seen.crowd.n == len(group)
            ages = [safety.ledger.age_us(host, mate.author) for mate in group]
            assert all(age is not None and age <= 1_300 * MS for age in ages)


@pytest.mark.parametrize(("seed", "cut_s"), [(1, 5), (2, 5), (3, 8), (1, 20), (2, 45)])
def test_within_four_seconds_of_the_heal_everybody_has_everybodys_newest(seed: int, cut_s: int) -> None:
    world, safety, left, right = plaza(seed)
    world.cut(left, right)
    world.run(world.now + cut_s * SECOND)
    taken = heal_and_wait(world, safety, left + right)
    assert taken is not None
    assert taken <= 4 * SECOND
    world.run(world.now + 2 * SECOND)
    assert sides_right(world, [left + right]) == []
    crowds = [world.statistics(host).crowd for host in left + right]
    assert {crowd.n for crowd in crowds} == {12}


def test_a_cut_too_short_for_any_time_out_costs_no_link() -> None:
    world, safety, left, right = plaza(4)
    before = {host.name: sorted(host.ends) for host in world.hosts}
    world.cut(left, right)
    world.run(world.now + 700 * MS)
    taken = heal_and_wait(world, safety, left + right)
    assert taken is not None
    assert taken <= 2 * SECOND
    assert {host.name: sorted(host.ends) for host in world.hosts} == before


def test_a_cut_into_three_heals_as_well() -> None:
    world, safety, left, right = plaza(5)
    world.cut(left[:4], left[4:], right)
    world.run(world.now + 6 * SECOND)
    assert sides_right(world, [left[:4], left[4:], right]) == []
    taken = heal_and_wait(world, safety, left + right)
    assert taken is not None
    assert taken <= 4 * SECOND


def test_a_crowd_on_a_bad_network_heals_in_time() -> None:
    world, safety, left, right = plaza(6, Quality(latency_us=20 * MS, jitter_us=20 * MS, loss=0.03))
    world.cut(left, right)
    world.run(world.now + 10 * SECOND)
    taken = heal_and_wait(world, safety, left + right)
    assert taken is not None
    assert taken <= 4 * SECOND


def test_a_crash_in_the_cut_is_part_of_the_heal() -> None:
    world, safety, left, right = plaza(7)
    world.cut(left, right)
    world.run(world.now + 3 * SECOND)
    world.crash(left[0], power=True)
    world.run(world.now + 2 * SECOND)
    world.restart(left[0])
    world.run(world.now + 3 * SECOND)
    taken = heal_and_wait(world, safety, left + right)
    assert taken is not None
    assert taken <= 4 * SECOND


@pytest.mark.parametrize("power", [False, True])
def test_a_hub_that_comes_back_has_a_higher_boot_and_its_new_values_win(power: bool) -> None:
    world, safety, left, right = plaza(8)
    ada = left[0]
    others = [host for host in world.hosts if host is not ada]
    world.run(world.now + 10 * SECOND)
    world.crash(ada, power=power)
    world.run(world.now + 2 * SECOND)
    assert all(host.alive for host in others)
    world.restart(ada)

    def second_boot_everywhere() -> bool:
        return safety.ledger.behind(world.hosts, {ada.author: (2, 1)}) == 0

    taken = world.wait(second_boot_everywhere, 20 * SECOND)
    assert taken is not None
    assert taken <= 4 * SECOND
    world.run(world.now + 2 * SECOND)
    assert {line.boot for host in others for line in world.statistics(host).authors if line.author == ada.author} == {2}
    assert sides_right(world, [left + right]) == []


def test_a_one_way_cut_ends_the_link_and_the_crowd_goes_round_it() -> None:
    world, safety, left, _ = plaza(9)
    deaf, unheard = left[0], left[1]
    world.cut_one_way(unheard, deaf)
    world.run(world.now + 5 * SECOND)
    for one, other in ((deaf, unheard), (unheard, deaf)):
        assert not [end for end in one.ends.values() if end.peer.host is other]
        age = safety.ledger.age_us(one, other.author)
        assert age is not None
        assert age <= 1_300 * MS
    assert sides_right(world, [world.hosts]) == []
    taken = heal_and_wait(world, safety, world.hosts)
    assert taken is not None
    assert taken <= 4 * SECOND


def test_a_slow_link_carries_fewer_values_and_never_stale_ones() -> None:
    grant = CommonsGrant((AROUSAL,), 0, 100, 15_000, True, True, False)
    seen: dict[str, tuple[int, int]] = {}
    for name, bytes_per_s in (("wide", None), ("narrow", 700)):
        world = World(10, WorldConfig(grant=grant, quality=Quality(jitter_us=0, bytes_per_s=bytes_per_s), dated=0.0))
        safety = Safety(world)
        ada, ben = world.add("ada"), world.add("ben")
        world.run(10 * SECOND)
        before, oldest = safety.ledger.deliveries, 0
        for _ in range(200):
            world.run(world.now + 100 * MS)
            age = safety.ledger.age_us(ben, ada.author)
            assert age is not None
            oldest = max(oldest, age)
        seen[name] = (safety.ledger.deliveries - before, oldest)
    assert seen["narrow"][0] * 2 < seen["wide"][0]
    assert seen["wide"][1] <= 250 * MS
    assert seen["narrow"][1] <= 1_200 * MS


def test_a_hub_that_shares_nothing_is_in_reach_and_shows_the_others() -> None:
    config = WorldConfig(grant=None, hints=Hints(again_every_us=None))
    world = World(11, config)
    safety = Safety(world)
    quiet = world.add("quiet")
    others = [world.add(grant=DEFAULT_GRANT) for _ in range(5)]
    world.run(5 * SECOND)
    assert safety.ledger.behind([quiet], {host.author: (1, 1) for host in others}) == 0
    assert sides_right(world, [[quiet, *others]]) == []
    assert {line.author for line in world.statistics(others[0]).authors} == {host.author for host in others}


def test_terms_without_relay_stay_with_the_neighbors() -> None:
    config = WorldConfig(grant=replace(DEFAULT_GRANT, may_relay=False), hints=Hints(enabled=False))
    world = World(12, config)
    safety = Safety(world)
    ada, ben, eve = (world.add(name) for name in ("ada", "ben", "eve"))
    world.cut_one_way(ada, eve)
    world.cut_one_way(eve, ada)
    world.run(0)
    for host in (ada, eve):
        world.discovery.introduce(host, ben)
    world.run(10 * SECOND)

    def shows(hearer: Host, author: Host) -> bool:
        return safety.ledger.age_us(hearer, author.author) is not None

    assert shows(ben, ada)
    assert shows(ben, eve)
    assert not shows(eve, ada)
    assert not shows(ada, eve)
