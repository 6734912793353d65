"""Clogs, which hold and lose nothing, and hubs that take another address."""

from __future__ import annotations

from protocol.clock import MS, SECOND
from protocol.inputs import DialFailed, InterfaceChanged, LinkDown, LinkUp, LinkWritable, MessagesReceived, PeerSeen
from protocol.wire.messages import Ping
from sim.stream import SEND_BUFFER_BYTES
from tests.unit.sim.scripted import Stage, bulk


def pings(stage: Stage, name: str) -> list[tuple[int, int]]:
    came = stage.machines[name].of(MessagesReceived)
    return [(at, message.token) for at, got in came for message in got.messages if isinstance(message, Ping)]


def test_what_comes_to_a_clog_waits_and_goes_on_in_order_at_its_release() -> None:
    stage = Stage("ada", "ben")
    ada, ben = stage.link("ada", "ben")
    stage.world.clog(stage.host("ada"), stage.host("ben"))
    for token in (1, 2, 3):
        stage.send("ada", ada, Ping(token))
        stage.run(100 * MS)
    stage.send("ben", ben, Ping(9))
    stage.run(SECOND)
    assert pings(stage, "ben") == []
    assert [token for _, token in pings(stage, "ada")] == [9]
    stage.world.release(stage.host("ada"), stage.host("ben"))
    released_at = stage.world.now
    stage.run(SECOND)
    assert pings(stage, "ben") == [(released_at, 1), (released_at, 2), (released_at, 3)]
    assert stage.world.network.seen["frames held by a clog"] == 3


def test_a_heal_releases_clogs_as_well() -> None:
    stage = Stage("ada", "ben")
    ada, _ = stage.link("ada", "ben")
    stage.world.clog(stage.host("ada"), stage.host("ben"))
    stage.send("ada", ada, Ping(1))
    stage.run(SECOND)
    stage.world.heal()
    stage.run(SECOND)
    assert [token for _, token in pings(stage, "ben")] == [1]


def test_behind_a_clog_the_send_buffer_fills() -> None:
    stage = Stage("ada", "ben")
    ada, _ = stage.link("ada", "ben")
    stage.world.clog(stage.host("ada"), stage.host("ben"))
    taken = -1
    while len(stage.machines["ada"].of(LinkWritable)) > taken:
        taken = len(stage.machines["ada"].of(LinkWritable))
        stage.send("ada", ada, bulk(1_000))
        stage.run(SECOND)
    assert SEND_BUFFER_BYTES // 1_100 <= taken <= SEND_BUFFER_BYTES // 1_000
    stage.world.release(stage.host("ada"), stage.host("ben"))
    stage.run(SECOND)
    assert len(stage.machines["ada"].of(LinkWritable)) == taken + 1


def test_a_clog_on_the_way_back_holds_the_answer_to_a_dial() -> None:
    stage = Stage("ada", "ben")
    stage.world.clog(stage.host("ben"), stage.host("ada"))
    stage.dial("ada", stage.host("ben").address, timeout_us=3 * SECOND)
    stage.run(2 * SECOND)
    assert stage.machines["ada"].of(LinkUp) == []
    stage.world.release(stage.host("ben"), stage.host("ada"))
    stage.run(100 * MS)
    assert [at for at, _ in stage.machines["ada"].of(LinkUp)] == [2 * SECOND]


def test_a_dial_that_waits_in_a_clog_ends_with_its_time_out() -> None:
    stage = Stage("ada", "ben")
    stage.world.clog(stage.host("ada"), stage.host("ben"))
    stage.dial("ada", stage.host("ben").address, timeout_us=SECOND)
    stage.run(2 * SECOND)
    stage.world.release(stage.host("ada"), stage.host("ben"))
    stage.run(SECOND)
    assert stage.machines["ada"].of(DialFailed) == [(SECOND, DialFailed(1, "timeout"))]
    assert stage.machines["ben"].of(LinkUp) == []


def test_a_hub_with_another_address_is_told_of_it_and_its_links_fall_silent() -> None:
    stage = Stage("ada", "ben")
    ada, ben = stage.link("ada", "ben")
    old = stage.host("ben").address
    stage.send("ada", ada, Ping(1))
    stage.run(1 * MS)  # it is in flight
    stage.world.move(stage.host("ben"))
    new = stage.host("ben").address
    stage.send("ada", ada, Ping(2))
    stage.send("ben", ben, Ping(3))
    stage.run(10 * SECOND)
    assert new != old
    assert stage.machines["ben"].of(InterfaceChanged)[0][1] == InterfaceChanged((new,))
    assert pings(stage, "ada") == pings(stage, "ben") == []
    assert stage.machines["ada"].of(LinkDown) == stage.machines["ben"].of(LinkDown) == []


def test_a_hub_that_has_moved_is_found_at_its_new_address_only() -> None:
    stage = Stage("ada", "ben")
    old = stage.host("ben").address
    stage.world.move(stage.host("ben"))
    stage.dial("ada", old, timeout_us=SECOND, dial=1)
    stage.dial("ada", stage.host("ben").address, timeout_us=SECOND, dial=2)
    stage.run(2 * SECOND)
    assert [failed.dial for _, failed in stage.machines["ada"].of(DialFailed)] == [1]
    assert [up.dial for _, up in stage.machines["ada"].of(LinkUp)] == [2]
    assert stage.machines["ada"].of(PeerSeen) == []  # this stage has no discovery
