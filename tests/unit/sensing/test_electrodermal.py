"""Skin conductance: level, responses, and what is not skin."""

from __future__ import annotations

import math

import pytest

from meshnode.sensing.estimator.electrodermal import Electrodermal, ElectrodermalConfig

SECOND = 1_000_000


def feed(skin: Electrodermal, values: list[float], start: int = 0) -> int:
    """Push 4 Hz samples with a tick each second; returns the time of the last sample."""
    at = start
    for index, value in enumerate(values):
        at = start + index * 250_000
        skin.push(at, value)
        if index % 4 == 3:
            skin.tick()
    return at


def response(height: float, rise_s: float = 2.0, fall_s: float = 6.0) -> list[float]:
    """The rise and the slower fall of one skin response, 4 Hz."""
    up = [height * math.sin(math.pi / 2 * step / (rise_s * 4)) for step in range(int(rise_s * 4))]
    return up + [height * math.exp(-step / (fall_s * 2)) for step in range(int(fall_s * 4))]


def test_a_steady_signal_is_all_level_and_no_response() -> None:
    skin = Electrodermal(ElectrodermalConfig())
    feed(skin, [2.0] * 200)
    assert (skin.level, skin.phasic, skin.responses) == (2.0, 0.0, 0)


def test_each_response_is_counted_once_and_stands_out_of_the_level() -> None:
    skin = Electrodermal(ElectrodermalConfig())
    one = [2.0 + extra for extra in response(0.3) + [0.0] * 28]
    feed(skin, [2.0] * 120 + one * 3)
    assert skin.responses == 3
    assert skin.level == pytest.approx(2.0, abs=0.05)
    peak = Electrodermal(ElectrodermalConfig())
    feed(peak, [2.0] * 120 + one[:9])
    assert peak.phasic > 0.2


def test_a_rise_below_the_threshold_is_no_response() -> None:
    skin = Electrodermal(ElectrodermalConfig())
    feed(skin, [2.0] * 120 + [2.0 + extra for extra in response(0.02)])
    assert skin.responses == 0


def test_a_slow_rise_is_drift_and_no_response() -> None:
    skin = Electrodermal(ElectrodermalConfig())
    feed(skin, [2.0 + index / 400 for index in range(400)] + [2.9] * 40)
    assert skin.responses == 0


def test_the_rate_of_responses_is_per_minute() -> None:
    skin = Electrodermal(ElectrodermalConfig())
    minute = [2.0 + extra for extra in (response(0.3) + [0.0] * 48) * 3]  # three in 3 * 80 samples = 60 s
    feed(skin, minute * 25)
    assert skin.responses == pytest.approx(75, abs=1)
    assert skin.responses_per_min == pytest.approx(3.0, abs=0.3)


def test_a_skin_that_stays_mute_is_trusted_less_but_not_ignored() -> None:
    config = ElectrodermalConfig()
    skin = Electrodermal(config)
    fresh = feed(skin, [2.0] * 40)
    assert skin.quality(fresh) == 1.0
    mute = feed(skin, [2.0] * 4 * 1800, fresh + 250_000)
    assert skin.quality(mute) == pytest.approx(config.mute_trust, abs=0.01)
    assert skin.quality(mute + config.stale_us + 1) == 0.0


@pytest.mark.parametrize("conductance", [-0.001, 60.1, 1e12])
def test_impossible_conductances_are_counted_and_leave_the_signal_alone(conductance: float) -> None:
    skin = Electrodermal(ElectrodermalConfig())
    last = feed(skin, [2.0] * 40)
    assert not skin.push(last + 250_000, conductance)
    assert (skin.rejected, skin.conductance, skin.level) == (1, 2.0, 2.0)


def test_a_step_no_gland_can_make_is_counted_and_is_no_response() -> None:
    skin = Electrodermal(ElectrodermalConfig())
    last = feed(skin, [2.0] * 40)
    assert not skin.push(last + 250_000, 20.0)
    assert (skin.rejected, skin.responses) == (1, 0)


def test_after_a_break_the_signal_starts_where_it_is() -> None:
    skin = Electrodermal(ElectrodermalConfig())
    last = feed(skin, [2.0] * 40)
    assert not skin.fresh(last + 10 * SECOND)
    assert skin.push(last + 10 * SECOND, 3.0)
    assert (skin.conductance, skin.responses) == (3.0, 0)
