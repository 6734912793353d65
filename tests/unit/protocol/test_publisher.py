"""From readings to blocks: nothing that is not finite, nothing that is not granted, unknown stays unknown."""

from __future__ import annotations

import dataclasses
from math import inf, nan, sqrt

import pytest

from protocol.errors import Reason
from protocol.gossip.publisher import STALE_US, Publisher, coarsen, grid_for
from protocol.inputs import CommonsGrant, Estimate, Publish, Reading, SetGrant
from protocol.wire.block import Block, parse_block
from protocol.wire.registry import AROUSAL, DIMENSIONS, HEART_RATE, VALENCE
from tests.unit.protocol.hub import GRANT, START, Hub, drops, reading, shown

NOW = START
STEP = 2 / 65_534
"""One step of the wire's resolution of arousal."""


def block_of(*readings: Reading, grant: CommonsGrant = GRANT, now: int = NOW) -> Block:
    """The block that readings make."""
    publisher = Publisher()
    for one in readings:
        assert publisher.add(one) is None
    return publisher.block(grant, now)


def of(dim: int, value: float | None, sd: float | None = 0.1, *, at: int = NOW, quality: float = 1.0) -> Reading:
    """A reading of one dimension."""
    return Reading(at, (Estimate(dim, value, sd),), quality, 1)


@pytest.mark.parametrize("bad", [nan, inf, -inf])
@pytest.mark.parametrize("where", ["value", "sd", "quality"])
def test_what_is_not_finite_is_refused_at_the_border_and_counted(bad: float, where: str) -> None:
    hub = Hub()
    made = Reading(
        NOW,
        (Estimate(AROUSAL, bad if where == "value" else 0.1, bad if where == "sd" else 0.1),),
        bad if where == "quality" else 1.0,
        1,
    )
    assert drops(hub.act(Publish(made))) == [Reason.NOT_FINITE]
    assert hub.statistics().drops == {Reason.NOT_FINITE: 1}
    hub.act(SetGrant(GRANT))
    hub.advance(300_000)
    (line,) = hub.statistics().authors
    assert line.values == (("arousal", None, None),)


def test_one_number_that_is_not_finite_refuses_the_whole_reading() -> None:
    publisher = Publisher()
    mixed = Reading(NOW, (Estimate(AROUSAL, 0.1, 0.1), Estimate(VALENCE, nan, 0.1)), 1.0, 1)
    assert publisher.add(mixed) is Reason.NOT_FINITE
    assert publisher.newest(NOW) is None
    assert publisher.refused == 1


@pytest.mark.parametrize("dim", [-1, 7, 255, 256])
def test_a_reading_of_an_unregistered_dimension_is_refused(dim: int) -> None:
    hub = Hub()
    assert drops(hub.act(Publish(of(dim, 0.1)))) == [Reason.UNKNOWN_DIMENSION]


@pytest.mark.parametrize("value", [1e308, -1e308, 1.7976931348623157e308, 5e-324, -0.0])
def test_an_absurd_value_is_clamped_into_its_range(value: float) -> None:
    newest = block_of(of(AROUSAL, value)).newest(AROUSAL)
    assert newest == pytest.approx(max(-1.0, min(1.0, value)), abs=STEP)


@pytest.mark.parametrize("sd", [-1e308, -0.3, -5e-324])
def test_a_negative_standard_deviation_is_refused_at_the_border(sd: float) -> None:
    hub = Hub()
    assert drops(hub.act(Publish(of(AROUSAL, 0.1, sd)))) != []


@pytest.mark.parametrize("sd", [1e155, 1.7e308])
def test_an_absurd_standard_deviation_becomes_the_widest_there_is(sd: float) -> None:
    hub = Hub()
    hub.act(Publish(of(AROUSAL, 0.1, sd)))
    hub.act(SetGrant(GRANT))
    assert shown(hub.advance(300_000)) != []


@pytest.mark.parametrize("method", [-1, 65_536])
def test_a_method_that_cannot_be_said_on_the_wire_is_refused_at_the_border(method: int) -> None:
    hub = Hub()
    assert drops(hub.act(Publish(Reading(NOW, (Estimate(AROUSAL, 0.1, 0.1),), 1.0, method)))) != []


def test_a_block_covers_the_last_four_seconds_at_four_hertz() -> None:
    readings = [of(AROUSAL, (at - 16) / 20, at=NOW - (16 - at) * 250_000) for at in range(17)]
    made = block_of(*readings)
    assert (made.dt_ms, made.k) == (250, 16)
    assert made.series(AROUSAL) == pytest.approx([(at - 16) / 20 for at in range(1, 17)], abs=STEP)


@pytest.mark.parametrize(
    ("cadence_ms", "dt_ms", "k"),
    [(50, 250, 16), (1_000, 250, 16), (2_000, 500, 8), (4_000, 1_000, 4), (16_000, 4_000, 1), (60_000, 15_000, 4)],
)
def test_the_grid_follows_the_cadence(cadence_ms: int, dt_ms: int, k: int) -> None:
    grid = grid_for(cadence_ms)
    assert (grid.dt_ms, grid.k) == (dt_ms, k)


@pytest.mark.parametrize("cadence_ms", [*range(50, 60_001, 333), 60_000])
def test_every_grid_makes_a_block_that_may_travel(cadence_ms: int) -> None:
    made = block_of(of(AROUSAL, 0.1), grant=dataclasses.replace(GRANT, cadence_ms=cadence_ms))
    assert parse_block(made.to_value()) == made


def test_a_grid_point_takes_the_newest_reading_at_or_before_it_that_is_not_stale() -> None:
    early, late = of(AROUSAL, -1.0, at=NOW - 3_000_000), of(AROUSAL, 1.0, at=NOW - 400_000)
    series = block_of(early, late).series(AROUSAL)
    assert series[-2:] == [1.0, 1.0] or series[-2:] == [None, 1.0]
    known = [index for index, value in enumerate(series) if value is not None]
    # Row i lies (15 - i) * 250 ms back: the early reading holds from 3,000 ms back until it is 2 s old, 1,000 ms back.
    assert [index for index in known if series[index] == -1.0] == list(range(3, 12))
    assert [index for index in known if series[index] == 1.0] == [14, 15]


def test_a_reading_from_the_future_is_not_used_yet() -> None:
    assert block_of(of(AROUSAL, 0.5, at=NOW + 1)).newest(AROUSAL) is None


def test_no_reading_makes_a_block_of_unknowns_without_quality() -> None:
    made = block_of()
    assert set(made.series(AROUSAL)) == {None}
    assert (made.sd(AROUSAL), made.quality, made.method) == (None, 0, 0)


def test_a_stale_reading_is_unknown_and_not_its_last_value() -> None:
    old = of(AROUSAL, 0.5, at=NOW - STALE_US - 1)
    assert block_of(old).newest(AROUSAL) is None
    assert block_of(of(AROUSAL, 0.5, at=NOW - STALE_US)).newest(AROUSAL) == pytest.approx(0.5, abs=STEP)


def test_an_unknown_value_stays_unknown_even_if_its_deviation_is_given() -> None:
    made = block_of(of(AROUSAL, None, 0.1))
    assert (made.newest(AROUSAL), made.sd(AROUSAL)) == (None, None)
    assert block_of(of(AROUSAL, 0.1, None)).sd(AROUSAL) is None


def test_a_dimension_that_was_granted_but_not_measured_is_unknown() -> None:
    grant = dataclasses.replace(GRANT, dimensions=(AROUSAL, VALENCE))
    made = block_of(of(AROUSAL, 0.5), grant=grant)
    assert made.newest(AROUSAL) is not None
    assert (made.newest(VALENCE), made.sd(VALENCE)) == (None, None)


def test_a_dimension_that_was_measured_but_not_granted_does_not_enter() -> None:
    both = Reading(NOW, (Estimate(AROUSAL, 0.5, 0.1), Estimate(HEART_RATE, 61.0, 1.0)), 1.0, 1)
    assert block_of(both).dims == (AROUSAL,)


# --- coarsening -------------------------------------------------------------------------------------------------


def test_zero_levels_leave_a_value_as_it_is() -> None:
    assert coarsen(DIMENSIONS[AROUSAL], 0.12345, 0) == 0.12345


@pytest.mark.parametrize("levels", [2, 3, 5, 100])
def test_a_coarse_value_is_the_nearest_of_evenly_spaced_steps(levels: int) -> None:
    arousal = DIMENSIONS[AROUSAL]
    steps = [-1 + 2 * step / (levels - 1) for step in range(levels)]
    for number in range(-120, 121):
        value = number / 100
        coarse = coarsen(arousal, value, levels)
        assert min(abs(coarse - step) for step in steps) < 1e-12
        assert abs(coarse - max(-1.0, min(1.0, value))) <= 1 / (levels - 1) + 1e-12


@pytest.mark.parametrize("levels", [2, 3, 5, 9])
def test_a_coarse_block_says_no_more_than_its_levels(levels: int) -> None:
    readings = [of(AROUSAL, -1 + 2 * at / 160, at=NOW - (160 - at) * 25_000) for at in range(161)]
    made = block_of(*readings, grant=dataclasses.replace(GRANT, levels=levels))
    assert len(set(made.series(AROUSAL))) <= levels
    assert None not in made.series(AROUSAL)


@pytest.mark.parametrize("levels", [2, 3, 5, 65_535])
@pytest.mark.parametrize("sd", [0.0, 0.01, 0.3])
def test_coarsening_widens_the_standard_deviation_by_that_of_a_uniform_step(levels: int, sd: float) -> None:
    made = block_of(of(AROUSAL, 0.1, sd), grant=dataclasses.replace(GRANT, levels=levels)).sd(AROUSAL)
    step = 2 / (levels - 1)
    expected = sqrt(sd**2 + step**2 / 12)
    assert made is not None
    assert expected <= made <= expected + 2 / 254 + 1e-12


@pytest.mark.parametrize(("quality", "byte"), [(0.0, 0), (0.5, 128), (1.0, 255), (2.0, 255), (-1.0, 0)])
def test_the_quality_is_that_of_the_newest_reading(quality: float, byte: int) -> None:
    assert block_of(of(AROUSAL, 0.1, quality=1.0, at=NOW - 1), of(AROUSAL, 0.1, quality=quality)).quality == byte


def test_the_newest_reading_is_offered_until_it_is_stale() -> None:
    publisher = Publisher()
    publisher.add(reading(NOW))
    assert publisher.newest(NOW + STALE_US) == reading(NOW)
    assert publisher.newest(NOW + STALE_US + 1) is None
