"""Dials: what they cost, how they fail, and what comes of two at once."""

from __future__ import annotations

import pytest

from protocol.clock import SECOND
from protocol.effects import Connect
from protocol.errors import Reason
from protocol.identity import open_mesh
from protocol.inputs import Address, DialFailed, LinkDown, LinkUp
from sim.paths import Quality
from tests.unit.sim.scripted import STEADY, Stage

ROUND_TRIP = 2 * STEADY.latency_us


def failures(stage: Stage, name: str) -> list[tuple[int, str]]:
    return [(at, failed.reason) for at, failed in stage.machines[name].of(DialFailed)]


def test_the_dialling_side_is_up_after_two_round_trips_and_the_other_half_a_trip_later() -> None:
    stage = Stage("ada", "ben")
    stage.dial("ada", stage.host("ben").address, dial=7)
    stage.run(SECOND)
    [(ada_at, ada)] = stage.machines["ada"].of(LinkUp)
    [(ben_at, ben)] = stage.machines["ben"].of(LinkUp)
    assert (ada_at, ben_at) == (2 * ROUND_TRIP, 2 * ROUND_TRIP + ROUND_TRIP // 2)
    assert (ada.peer, ada.initiator, ada.address, ada.dial) == (
        stage.host("ben").author,
        True,
        stage.host("ben").address,
        7,
    )
    assert (ben.peer, ben.initiator, ben.address, ben.dial) == (stage.host("ada").author, False, None, None)
    assert ben.key_state == stage.host("ada").identity.key_state.encoded


def test_a_dial_to_nobody_ends_with_its_time_out() -> None:
    stage = Stage("ada")
    stage.dial("ada", ("10.9.9.9", 1), timeout_us=300_000, dial=4)
    stage.run(SECOND)
    assert stage.machines["ada"].of(DialFailed) == [(300_000, DialFailed(4, "timeout"))]


def test_a_dial_into_a_cut_ends_with_its_time_out_even_if_the_path_comes_back() -> None:
    stage = Stage("ada", "ben")
    stage.world.cut([stage.host("ada")], [stage.host("ben")])
    stage.dial("ada", stage.host("ben").address, timeout_us=500_000)
    stage.run(100_000)
    stage.world.heal()
    stage.run(SECOND)
    assert failures(stage, "ada") == [(500_000, "timeout")]
    assert stage.machines["ben"].of(LinkUp) == []


@pytest.mark.parametrize("cut_at", [5_000, 15_000, 25_000, 35_000])
def test_a_cut_in_the_middle_of_a_handshake_is_silence_too(cut_at: int) -> None:
    stage = Stage("ada", "ben")
    stage.dial("ada", stage.host("ben").address)
    stage.run(cut_at)
    stage.world.cut([stage.host("ada")], [stage.host("ben")])
    stage.run(3 * SECOND)
    assert failures(stage, "ada") == [(SECOND, "timeout")]
    assert stage.machines["ben"].of(LinkUp) == []


def test_a_hub_whose_process_is_gone_refuses_within_two_round_trips() -> None:
    stage = Stage("ada", "ben")
    stage.world.crash(stage.host("ben"))
    stage.dial("ada", stage.host("ben").address)
    stage.run(SECOND)
    assert failures(stage, "ada") == [(2 * ROUND_TRIP, "refused")]


def test_a_hub_without_power_does_not_even_refuse() -> None:
    stage = Stage("ada", "ben")
    stage.world.crash(stage.host("ben"), power=True)
    stage.dial("ada", stage.host("ben").address)
    stage.run(2 * SECOND)
    assert failures(stage, "ada") == [(SECOND, "timeout")]


def test_a_hub_that_dials_itself_is_told_so() -> None:
    stage = Stage("ada")
    stage.dial("ada", stage.host("ada").address)
    stage.run(SECOND)
    assert failures(stage, "ada") == [(2 * ROUND_TRIP, Reason.HANDSHAKE_SELF)]


def test_another_mesh_and_another_author_than_expected_end_the_handshake() -> None:
    stage = Stage("ada", "ben")
    stage.world.add("eve", person=False, mesh=open_mesh("elsewhere"))
    stage.run(1_000)
    stage.dial("ada", stage.host("eve").address, dial=1)
    stage.dial("ada", stage.host("ben").address, expected=stage.host("ada").author, dial=2)
    stage.run(SECOND)
    reasons = [failed for _, failed in stage.machines["ada"].of(DialFailed)]
    assert reasons == [DialFailed(1, Reason.HANDSHAKE_WRONG_SECRET), DialFailed(2, Reason.HANDSHAKE_WRONG_IDENTITY)]
    assert stage.machines["ben"].of(LinkUp) == []


def test_addresses_are_tried_in_turn() -> None:
    stage = Stage("ada", "ben")
    gone: Address = ("10.9.9.9", 1)
    stage.dial("ada", gone, stage.host("ben").address, timeout_us=200_000)
    stage.run(SECOND)
    [(at, up)] = stage.machines["ada"].of(LinkUp)
    assert (at, up.address) == (200_000 + 2 * ROUND_TRIP, stage.host("ben").address)


def test_two_hubs_that_dial_each_other_at_once_have_two_links() -> None:
    stage = Stage("ada", "ben")
    stage.dial("ada", stage.host("ben").address)
    stage.dial("ben", stage.host("ada").address)
    stage.run(SECOND)
    for name in ("ada", "ben"):
        assert sorted(up.initiator for _, up in stage.machines[name].of(LinkUp)) == [False, True]
        assert len(stage.host(name).ends) == 2


def test_a_lost_segment_of_the_tcp_handshake_costs_a_second() -> None:
    slowest = 0
    for seed in range(40):
        stage = Stage("ada", "ben", quality=Quality(latency_us=10_000, jitter_us=0, loss=0.2), seed=seed)
        stage.dial("ada", stage.host("ben").address, timeout_us=60 * SECOND)
        stage.run(60 * SECOND)
        [(at, _)] = stage.machines["ada"].of(LinkUp)
        late = at - 2 * ROUND_TRIP
        assert late % 200_000 == 0
        slowest = max(slowest, late)
    assert slowest >= SECOND


def test_a_starved_hub_answers_when_it_has_time_again() -> None:
    stage = Stage("ada", "ben")
    stage.world.starve(stage.host("ben"), 600_000)
    stage.dial("ada", stage.host("ben").address)
    stage.run(SECOND)
    [(at, _)] = stage.machines["ada"].of(LinkUp)
    assert 600_000 < at <= 600_000 + ROUND_TRIP


def test_a_handshake_whose_last_message_comes_after_five_seconds_is_reset() -> None:
    stage = Stage("ada", "ben")
    stage.dial("ada", stage.host("ben").address)
    stage.run(2 * ROUND_TRIP + 1_000)
    stage.world.cut([stage.host("ada")], [stage.host("ben")])
    stage.run(6 * SECOND)
    assert [up.initiator for _, up in stage.machines["ada"].of(LinkUp)] == [True]
    stage.world.heal()
    stage.run(20 * SECOND)
    assert stage.machines["ben"].of(LinkUp) == []
    assert [down.code for _, down in stage.machines["ada"].of(LinkDown)] == [None]


def test_a_dial_of_a_life_that_has_ended_tells_nobody() -> None:
    stage = Stage("ada", "ben")
    stage.do("ada", Connect(1, (stage.host("ben").address,), None, SECOND))
    stage.world.crash(stage.host("ada"))
    stage.world.restart(stage.host("ada"))
    stage.run(3 * SECOND)
    assert stage.machines["ada"].of(LinkUp) == []
    assert failures(stage, "ada") == []
    assert stage.machines["ben"].of(LinkUp) == []
