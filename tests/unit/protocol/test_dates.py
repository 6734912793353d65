"""Wall time as the weather brings it: our own stamps, and what a wrong date may and may not do (T11)."""

from __future__ import annotations

import itertools

import pytest

from protocol.clock import hlc_utc_ms
from protocol.inputs import UtcObserved
from protocol.wire.records import VectorRecord, decode_vector
from tests.unit.protocol.hub import Hub, shown, vectors_sent
from tests.unit.protocol.people import ANN, ME, MESH

SECOND = 1_000_000
UTC_MS = 1_800_000_000_000
YEAR_MS = 365 * 86_400_000


def sharing() -> Hub:
    """A hub with a link to Ann (1) that speaks once a second."""
    hub = Hub()
    hub.join(1, ANN)
    hub.share()
    hub.drain()
    return hub


def said(hub: Hub, duration: int) -> list[VectorRecord]:
    """What a hub says in a while."""
    return [decode_vector(MESH.mesh_id, one.signed) for one in vectors_sent(hub.advance(duration), 1)]


def test_a_hub_without_a_date_vouches_for_none() -> None:
    assert {record.hlc for record in said(sharing(), 3 * SECOND)} == {0}


def test_stamps_follow_the_date_and_never_stand_still() -> None:
    hub = sharing()
    hub.act(UtcObserved(UTC_MS, 10))
    stamps = [record.hlc for record in said(hub, 5 * SECOND)]
    assert len(stamps) == 5
    assert all(earlier < later for earlier, later in itertools.pairwise(stamps))
    assert all(UTC_MS <= hlc_utc_ms(stamp) <= UTC_MS + 5_000 for stamp in stamps)


def test_a_step_back_of_a_second_does_not_turn_stamps_back() -> None:
    hub = sharing()
    hub.act(UtcObserved(UTC_MS, 10))
    before = [record.hlc for record in said(hub, 2 * SECOND)]
    hub.act(UtcObserved(UTC_MS + 1_000, 10))
    after = [record.hlc for record in said(hub, 3 * SECOND)]
    assert max(before) < min(after)


def test_a_hub_that_loses_its_date_vouches_for_none_again() -> None:
    hub = sharing()
    hub.act(UtcObserved(UTC_MS, 10))
    assert all(record.hlc > 0 for record in said(hub, 2 * SECOND))
    hub.act(UtcObserved(UTC_MS, None))
    assert {record.hlc for record in said(hub, 2 * SECOND)} == {0}


@pytest.mark.parametrize("years", [-50, -1, 1, 50])
def test_jumps_of_the_date_every_ten_seconds_stop_nobody(years: int) -> None:
    hub, other = sharing(), Hub(ANN)
    other.join(1, ME)
    for jump in range(6):
        hub.act(UtcObserved(UTC_MS + (jump % 2) * years * YEAR_MS, 10))
        for one in vectors_sent(hub.advance(10 * SECOND), 1):
            assert shown(other.say(1, one)) != []
    assert hub.held(ME) is not None


@pytest.mark.parametrize("ahead_ms", [3_600_000, 50 * YEAR_MS])
def test_a_date_that_was_wrong_once_does_not_silence_us_for_good(ahead_ms: int) -> None:
    hub, other = sharing(), Hub(ANN)
    other.join(1, ME)
    other.act(UtcObserved(UTC_MS, 10))
    hub.act(UtcObserved(UTC_MS + ahead_ms, 10))
    hub.advance(2 * SECOND)
    hub.act(UtcObserved(UTC_MS, 10))
    heard = [shown(other.say(1, one)) for one in vectors_sent(hub.advance(5 * SECOND), 1)]
    assert heard[-1] != []


@pytest.mark.parametrize("utc_ms", [2**48, 2**62])
def test_a_date_that_no_stamp_can_say_ends_nothing(utc_ms: int) -> None:
    hub = sharing()
    hub.act(UtcObserved(utc_ms, 10))
    assert said(hub, 2 * SECOND) != []


@pytest.mark.parametrize("utc_ms", [0, -1, -(10**13), 2**48 - 10**6])
def test_a_date_at_the_ends_of_what_can_be_said_ends_nothing(utc_ms: int) -> None:
    hub = sharing()
    hub.act(UtcObserved(utc_ms, 10))
    assert len(said(hub, 2 * SECOND)) == 2
