"""Every misfortune does what it says, is counted, and ends when it should."""

from __future__ import annotations

import pytest

from protocol.clock import MS, SECOND
from protocol.inputs import CommonsGrant, SetGrant, Started, UtcObserved
from sim.discovery import Hints
from sim.faults import (
    FAULT_KINDS,
    Clog,
    Crash,
    CrashInside,
    CrashMany,
    Cut,
    CutOneWay,
    Fault,
    Flap,
    JumpDate,
    LoseDate,
    LosePower,
    Move,
    Regrant,
    RestoreBackup,
    RotateKey,
    Starve,
    Worsen,
    apply,
)
from sim.host import Storage
from sim.paths import Quality
from sim.world import EPOCH_UTC_MS, World, WorldConfig
from tests.unit.sim.scripted import Scripted, always

GRANT = CommonsGrant((0,), 5, 500, 3_000, True, True, False)


def world_of(*names: str, dated: float = 1.0) -> World:
    world = World(3, WorldConfig(dated=dated, date_error_ms_max=0))
    for name in names:
        world.add(name)
    world.run(2 * SECOND)
    return world


def one(fault: Fault, kind: str) -> World:
    """Two hubs two seconds old, to which it happens now."""
    world = world_of("ada", "ben")
    apply(world, fault)
    assert kind in FAULT_KINDS
    assert world.fired == {kind: 1}
    return world


def pass_time(world: World, us: int) -> None:
    world.run(world.now + us)


def test_a_cut_ends_by_itself_and_not_the_one_that_overlaps_it() -> None:
    world = one(Cut((("ada",), ("ben",)), 2 * SECOND), "cut")
    pass_time(world, SECOND)
    apply(world, Cut((("ada",),), 4 * SECOND))
    assert world.fired == {"cut": 1, "cut during a cut": 1}
    pass_time(world, 2 * SECOND)
    assert not world.paths.passes(0, 1)
    pass_time(world, 3 * SECOND)
    assert world.paths.passes(0, 1)


def test_a_one_way_cut_a_clog_and_bad_weather_end_by_themselves() -> None:
    world = one(CutOneWay("ada", "ben", SECOND), "one-way cut")
    apply(world, Clog("ben", "ada", SECOND))
    apply(world, Worsen(Quality(loss=0.5), SECOND))
    assert (world.paths.passes(0, 1), world.paths.flows(1, 0), world.paths.passes(1, 0)) == (False, False, True)
    assert world.paths.between(0, 1).loss == 0.5
    pass_time(world, SECOND)
    assert (world.paths.passes(0, 1), world.paths.flows(1, 0)) == (True, True)
    assert world.paths.between(0, 1) == world.config.quality


def test_a_flap_is_on_and_off_as_often_as_it_says() -> None:
    world = one(Flap((("ada",), ("ben",)), 500 * MS, 3), "flap")
    seen = []
    for _ in range(8):
        pass_time(world, 250 * MS)
        seen.append(world.paths.passes(0, 1))
        pass_time(world, 250 * MS)
    assert seen == [False, True] * 3 + [True, True]


@pytest.mark.parametrize(("power", "kind"), [(False, "crash"), (True, "power loss")])
def test_a_crashed_hub_comes_back_when_its_time_is_over(power: bool, kind: str) -> None:
    world = one(Crash("ada", power, SECOND), kind)
    ada = world.names["ada"]
    assert not ada.alive
    assert world.paths.passes(0, 1) is not power
    pass_time(world, SECOND)
    assert (ada.alive, ada.life, ada.storage.boot) == (True, 2, 2)


def test_a_hub_that_somebody_else_has_started_is_not_started_again() -> None:
    world = one(Crash("ada", False, SECOND), "crash")
    world.restart(world.names["ada"])
    apply(world, Crash("ada", False, 5 * SECOND))
    pass_time(world, 2 * SECOND)
    assert not world.names["ada"].alive


def test_a_crash_inside_comes_between_two_effects_of_one_input() -> None:
    world = world_of("ada", "ben")
    ada = world.names["ada"]
    performed: list[int] = []
    apply(world, CrashInside("ada", 5, 2 * SECOND))
    world.stepped.append(lambda host, _input, effects: performed.append(len(effects)) if host is ada else None)
    while ada.alive:
        pass_time(world, MS)
    assert world.fired == {"crash between effects": 1}
    assert performed[-1] >= 2
    assert sum(performed) > 5
    pass_time(world, 3 * SECOND)
    assert (ada.alive, ada.life, ada.fuse) == (True, 2, None)


def test_mass_restarts_take_all_of_them_at_once() -> None:
    world = one(CrashMany(("ada", "ben"), True, SECOND), "mass restart")
    assert world.living() == []
    pass_time(world, SECOND)
    assert [host.life for host in world.living()] == [2, 2]


def test_a_power_loss_takes_what_was_written_of_late() -> None:
    world = world_of("ada", "ben")
    ada = world.names["ada"]
    apply(world, Crash("ada", False, 100 * MS))
    pass_time(world, SECOND)
    assert ada.storage.boot == 2
    apply(world, LosePower("ada", SECOND, ("boot",), 5 * SECOND))
    assert (ada.alive, ada.storage.boot) == (False, 1)
    assert world.fired["writes lost: boot"] == 1
    assert "writes lost: peers" not in world.fired


def test_a_restored_backup_is_everything_as_it_was() -> None:
    world = world_of("ada", "ben")
    ada = world.names["ada"]
    ada.storage.put_key_state(world.names["ben"].author, b"state", world.now)
    rewound: list[str] = []
    world.rewound.append(lambda host: rewound.append(host.name))
    apply(world, Crash("ada", False, 100 * MS))
    pass_time(world, SECOND)
    apply(world, RestoreBackup("ada", world.now - MS, SECOND))
    assert (ada.storage.boot, ada.storage.key_states, ada.storage.peers) == (1, {}, ())
    assert (world.fired, rewound) == ({"crash": 1, "backup restored": 1}, ["ada"])
    pass_time(world, SECOND)
    assert (ada.alive, ada.storage.boot) == (True, 2)


def test_a_rotated_key_is_learnt_by_the_others_and_what_they_stored_of_it_can_be_lost() -> None:
    world = one(RotateKey("ada", 500 * MS), "key rotated")
    ada, ben = world.names["ada"], world.names["ben"]
    began = world.now
    pass_time(world, 5 * SECOND)
    assert (ada.identity.key_state.rotation, ada.storage.boot) == (1, 2)
    assert any(line.rotation == 1 for line in world.statistics(ben).authors if line.author == ada.author)
    assert ben.storage.key_states[ada.author] == ada.identity.key_state.encoded
    apply(world, LosePower("ben", world.now - began, ("key_states",), SECOND))
    assert ada.author not in ben.storage.key_states
    assert world.fired["writes lost: key_states"] == 1


def test_a_starved_hub_is_starved_once_and_a_moved_one_has_another_address() -> None:
    world = one(Starve("ada", SECOND), "starved")
    apply(world, Starve("ada", SECOND))
    assert world.fired == {"starved": 1}
    apply(world, Move("ben"))
    assert world.names["ben"].address[0].startswith("172.16.")
    assert world.fired["other address"] == 1


def dated_by(world: World, machine: Scripted) -> list[tuple[int, int | None]]:
    """How far off each date was that it was told, and the error that was named."""
    return [(told.utc_ms - EPOCH_UTC_MS - at // MS, told.error_ms) for at, told in machine.of(UtcObserved)]


def scripted(dated: float) -> tuple[World, Scripted]:
    world = World(1, WorldConfig(dated=dated, date_error_ms_max=0, offset_us_max=0, hints=Hints(enabled=False)))
    machine = Scripted()
    world.add("ada", person=False, wrap=always(machine))
    world.run(SECOND)
    return world, machine


def test_a_date_jumps_and_is_put_right() -> None:
    world, machine = scripted(1.0)
    apply(world, JumpDate("ada", -5_000, SECOND))
    pass_time(world, 2 * SECOND)
    assert dated_by(world, machine) == [(0, 0), (-5_000, 0), (0, 0)]
    assert world.fired == {"date jumps": 1}


def test_a_hub_without_a_date_loses_the_wrong_one_again() -> None:
    world, machine = scripted(0.0)
    apply(world, JumpDate("ada", 9_000, SECOND))
    apply(world, LoseDate("ada", SECOND))
    pass_time(world, 2 * SECOND)
    assert dated_by(world, machine) == [(9_000, 0), (0, None), (0, None), (0, None)]


def test_a_grant_that_changes_is_told_and_kept_for_the_next_life() -> None:
    world, machine = scripted(1.0)
    apply(world, Regrant("ada", GRANT))
    apply(world, Crash("ada", False, SECOND))
    pass_time(world, 2 * SECOND)
    assert [told.grant for _, told in machine.of(SetGrant)][-2:] == [GRANT, GRANT]
    assert len(machine.of(Started)) == 2
    apply(world, Regrant("ada", None))
    assert world.names["ada"].told is None
    assert world.fired == {"grant changed": 1, "crash": 1, "grant withdrawn": 1}


@pytest.mark.parametrize("fault", [Crash("ada"), Starve("ada", SECOND), Move("ada"), LoseDate("ada", SECOND)])
def test_nothing_happens_to_who_does_not_run(fault: Fault) -> None:
    world = world_of("ada", "ben")
    world.crash(world.names["ada"])
    apply(world, fault)
    assert world.fired == {}


def test_storage_goes_back_part_by_part() -> None:
    storage = Storage()
    storage.put_boot(1, 10)
    storage.put_boot(2, 20)
    storage.put_peers((), 25)
    storage.put_boot(3, 30)
    assert storage.rewind(20, ("boot",)) == {"boot": 1}
    assert storage.boot == 2
    assert storage.rewind(5) == {"peers": 1, "boot": 2}
    assert storage.boot == 0
    assert storage.rewind(0) == {}
