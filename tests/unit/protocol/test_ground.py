"""Ids, clock, limits and errors: small facts that everything else leans on."""

from __future__ import annotations

import inspect

import pytest

from protocol import errors, limits
from protocol.clock import MINUTE, MS, SECOND, hlc_pack, hlc_utc_ms
from protocol.errors import CloseCode, Reason, RemoteProtocolError, SignatureError
from protocol.ids import short


def test_instants_are_whole_microseconds() -> None:
    assert (MS, SECOND, MINUTE) == (1_000, 1_000_000, 60_000_000)


@pytest.mark.parametrize("utc_ms", [0, 1, 1_700_000_000_000, (1 << 48) - 1])
@pytest.mark.parametrize("counter", [0, 1, 65_535])
def test_a_hybrid_clock_gives_back_its_milliseconds(utc_ms: int, counter: int) -> None:
    packed = hlc_pack(utc_ms, counter)
    assert hlc_utc_ms(packed) == utc_ms
    assert packed < 1 << 64


def test_a_hybrid_clock_orders_by_time_and_then_by_counter() -> None:
    assert hlc_pack(5, 9) < hlc_pack(5, 10) < hlc_pack(6, 0)


def test_a_short_name_is_ten_hex_digits() -> None:
    assert short(bytes(range(32))) == "0001020304"


def test_the_close_codes_are_those_of_the_document() -> None:
    named = [
        "SHUTDOWN",
        "DUPLICATE_LINK",
        "SELF_CONNECT",
        "PROTOCOL",
        "SIGNATURE",
        "TIMEOUT",
        "TOO_MANY_LINKS",
        "SLOW",
        "REHEARSAL",
    ]
    assert [(code.name, code.value) for code in CloseCode] == [(name, number) for number, name in enumerate(named)]


def test_the_bounds_that_travel_are_those_of_the_document() -> None:
    stated = {
        "FRAME_BYTES_MAX": 65_535,
        "PLAINTEXT_BYTES_MAX": 65_519,
        "HANDSHAKE_BYTES_MAX": 1_400,
        "MESSAGES_PER_FRAME_MAX": 128,
        "DEPTH_MAX": 8,
        "ITEMS_MAX": 256,
        "STRING_BYTES_MAX": 255,
        "VECTOR_BYTES_MAX": 2_048,
        "KEY_STATE_BYTES_MAX": 1_024,
        "ADDRESSES_BYTES_MAX": 512,
        "ROTATIONS_MAX": 3,
        "COUNTER_MAX": 2**53 - 1,
        "LEASE_MS_MIN": 1_000,
        "LEASE_MS_MAX": 60_000,
        "CADENCE_MS_MIN": 50,
        "CADENCE_MS_MAX": 60_000,
        "AGE_MS_MAX": 120_000,
        "BLOCK_SAMPLES_MAX": 128,
        "DIMENSIONS_MAX": 8,
        "WANTED_KEYS_MAX": 64,
        "DIGEST_ENTRIES_MAX": 256,
        "TAGS_MAX": 256,
        "NEIGHBORS_MAX": 32,
        "PEERS_MAX": 8,
        "ADDRESSES_MAX": 4,
        "PENDING_PER_LINK_MAX": 64,
        "PENDING_US": 2_000_000,
        "SPACING_US": 50_000,
    }
    assert {name: getattr(limits, name) for name in stated} == stated


def test_a_fault_of_a_peer_names_its_reason_and_the_field() -> None:
    fault = RemoteProtocolError(Reason.OUT_OF_RANGE, "boot is not in [1, 2]")
    assert fault.reason is Reason.OUT_OF_RANGE
    assert fault.close_code is CloseCode.PROTOCOL
    assert str(fault) == "out_of_range: boot is not in [1, 2]"
    assert str(RemoteProtocolError(Reason.DUPLICATE)) == "duplicate"
    assert SignatureError(Reason.BAD_KEY).close_code is CloseCode.SIGNATURE


def test_every_error_descends_from_the_one_base() -> None:
    classes = [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, Exception)]
    assert len(classes) >= 10
    assert all(issubclass(value, errors.MeshError) for value in classes)


def test_reasons_are_spelled_as_counters() -> None:
    assert all(reason.value == reason.name.lower() for reason in Reason)
