"""A crowd that is torn and heals: what its hubs say meanwhile, and what they tell of it afterwards."""

from __future__ import annotations

from protocol.clock import MS, SECOND
from protocol.effects import EventAccepted
from protocol.glitch.timeline import Record
from protocol.wire.events import GLITCH, WITHDRAWAL
from sim.host import Host
from sim.world import World, WorldConfig

DAY_MS = 86_400_000


def torn(seed: int, dated: float) -> World:
    """Four and three hubs that could not hear each other for 10 s, 12 s later. While they could not, each of them
    shared a session with each other one, by what it has been told."""
    world = World(seed, WorldConfig(dated=dated))
    hubs = [world.add(at=index * 100 * MS) for index in range(7)]
    world.run(12 * SECOND)
    world.cut(hubs[:4], hubs[4:])
    world.run(22 * SECOND)
    for host in hubs:
        split = world.statistics(host).glitch.now
        assert split is not None
        sides = [{mate.author for mate in side} for side in (hubs[:4], hubs[4:])]
        assert [set(split.mine), set(split.theirs)] == (sides if host in hubs[:4] else sides[::-1])
        assert abs(split.began - host.clock(12 * SECOND)) <= SECOND
        assert host.node is not None
        for other in hubs:
            if other is not host:
                host.node.session_shared(other.author, host.clock(world.now))
    world.heal()
    world.run(34 * SECOND)
    return world


def told(host: Host) -> tuple[Record, ...]:
    """The timeline of a hub."""
    assert host.node is not None
    return host.node.glitches()


def forgiven(world: World) -> None:
    """Sessions within the amnesty count for nothing with those whom it is about, and for something with all others."""
    for host in world.hosts:
        glitch = world.statistics(host).glitch
        subjects = {author for author, _, _ in glitch.amnesty}
        assert subjects == (set(glitch.past[0].theirs) if glitch.past[0].grounded else set())
        assert all(us <= 45 * SECOND for _, _, us in glitch.amnesty)
        assert host.node is not None
        for other in world.hosts:
            if other is not host:
                void = host.node.standing(other.author, host.clock(world.now)) == 0
                assert void == (other.author in subjects)
    assert any(world.statistics(host).glitch.amnesty for host in world.hosts), "nobody had dialled enough of the others"


def test_both_halves_of_a_crowd_without_dates_tell_one_glitch_alike_until_its_authors_take_it_back() -> None:
    world = torn(3, 0.0)
    first = world.hosts[0]
    (before,) = told(first)
    assert (before.sizes, before.disputed, len(before.seen), before.began_ms) == ((4, 3), 0, 7, 0)
    assert abs(before.lasted_ms - 11_000) <= 3_000
    assert all(told(host) == (before,) for host in world.hosts)
    forgiven(world)
    for _ in range(2):
        world.crash(first)
        world.run(world.now + SECOND)
        world.restart(first)
        world.run(world.now + 15 * SECOND)
    (after,) = told(world.hosts[1])
    assert {one.author for one in before.seen} - {one.author for one in after.seen} == {first.author}
    assert first.node is not None
    assert len(first.node.of_kind(WITHDRAWAL)) == 1
    assert [one.state for one in first.node.of_kind(GLITCH)] == ["erased"] * 7
    on_disk = first.storage.disk.ledger(fresh=False).events
    assert sum(stored.payload is not None for stored in on_disk if stored.indexed) == 1, "the withdrawal itself"


def test_a_crowd_of_which_half_know_the_date_tells_one_glitch_alike() -> None:
    world = torn(3, 0.5)
    (record,) = told(world.hosts[0])
    assert record.began_ms
    assert all(told(host) == (record,) for host in world.hosts)


def test_what_was_told_survives_a_restart_and_is_erased_two_weeks_later() -> None:
    world = torn(3, 1.0)
    first = world.hosts[0]
    forgiven(world)
    before = told(first)
    assert len(before) == 1
    world.crash(first, power=True)
    world.run(world.now + SECOND)
    world.restart(first)
    world.run(world.now + 4 * SECOND)
    assert told(first) == before
    for days, left in ((13, True), (15, False)):
        for host in world.hosts:
            world.tell_date(host, wrong_by_ms=days * DAY_MS)
        world.run(world.now + 2 * SECOND)
        assert all(bool(told(host)) == left for host in world.hosts)
    for host in world.hosts:
        assert all(stored.payload is None for stored in host.storage.disk.ledger(fresh=False).events if stored.indexed)


def test_one_hub_that_reboots_is_no_glitch() -> None:
    world = World(5, WorldConfig())
    hubs = [world.add(at=index * 100 * MS) for index in range(7)]
    written: list[object] = []
    world.observers.append(
        lambda _host, event: (
            written.append(event) if isinstance(event, EventAccepted) and event.event.kind == GLITCH else None
        )
    )
    world.run(12 * SECOND)
    world.crash(hubs[2], power=True)
    world.run(18 * SECOND)
    world.restart(hubs[2])
    world.run(24 * SECOND)
    assert all(world.statistics(host).glitch.now is None for host in hubs)
    assert not any(world.statistics(host).glitch.past for host in hubs)
    assert not written
