"""On the wrist or not, at rest or not."""

from __future__ import annotations

import math

import pytest

from meshnode.sensing.estimator.contact import Contact, ContactConfig, ramp

SECOND = 1_000_000


def with_temperature(celsius: float) -> Contact:
    contact = Contact(ContactConfig())
    assert contact.push_temperature(0, celsius)
    return contact


def test_a_ramp_runs_either_way_and_stays_within_zero_and_one() -> None:
    assert [ramp(value, (2.0, 4.0)) for value in (1.0, 2.0, 3.0, 4.0, 5.0)] == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert [ramp(value, (4.0, 2.0)) for value in (1.0, 3.0, 5.0)] == [1.0, 0.5, 0.0]


def test_a_conducting_warm_band_is_worn() -> None:
    assert with_temperature(32.0).worn(0, 1.0, 1.0) == 1.0


@pytest.mark.parametrize("celsius", [22.0, 27.0, 33.9])
def test_a_band_that_has_stopped_conducting_is_off_however_warm_it_still_is(celsius: float) -> None:
    assert with_temperature(celsius).worn(0, 0.02, 1.0) == 0.0


def test_a_wearer_known_to_have_dry_skin_keeps_some_trust_while_warm() -> None:
    assert with_temperature(32.0).worn(0, 0.02, 0.08) == pytest.approx(ContactConfig().dry_trust)
    assert with_temperature(25.0).worn(0, 0.02, 0.08) == 0.0


def test_a_band_just_put_on_counts_less_until_it_is_warm() -> None:
    assert with_temperature(22.0).worn(0, 1.0, None) == pytest.approx(ContactConfig().cold_trust)


def test_without_conductance_warmth_decides_and_without_both_nothing_speaks_against_contact() -> None:
    assert with_temperature(20.0).worn(0, None, None) == 0.0
    assert with_temperature(33.0).worn(0, None, None) == 1.0
    assert Contact(ContactConfig()).worn(0, None, None) == 1.0


def test_an_old_temperature_says_nothing() -> None:
    assert with_temperature(20.0).worn(60 * SECOND, None, None) == 1.0


def swing(amplitude_g: float, seconds: int = 20) -> tuple[Contact, int]:
    """A wrist that swings once a second, at 32 Hz."""
    contact, at = Contact(ContactConfig()), 0
    for index in range(seconds * 32):
        at = index * SECOND // 32
        assert contact.push_acceleration(at, amplitude_g * math.sin(2 * math.pi * index / 32), 0.0, 1.0)
    return contact, at


def test_a_resting_wrist_is_still_in_any_position() -> None:
    contact, now = swing(0.0)
    assert (contact.motion(now), contact.stillness(now)) == (0.0, 1.0)


def test_motion_is_the_mean_distance_from_gravity_and_lowers_trust() -> None:
    contact, now = swing(0.5)
    assert contact.motion(now) == pytest.approx(0.5 * 2 / math.pi, rel=0.1)  # mean of |sin|
    assert contact.stillness(now) < 0.45
    wild, _ = swing(2.0)
    assert wild.stillness(now) < 0.06


def test_a_silent_accelerometer_says_nothing_about_motion() -> None:
    contact, now = swing(2.0)
    assert contact.stillness(now + 60 * SECOND) == 1.0


def test_values_beyond_any_wrist_are_refused_and_counted() -> None:
    contact = Contact(ContactConfig())
    assert not contact.push_temperature(0, 400.0)
    assert not contact.push_acceleration(0, 0.0, 1e200, 0.0)
    assert contact.rejected == 2
    assert contact.worn(0, None, None) == 1.0
