"""How the crowd feels: robust, the same on every hub, and silent about fewer than five people."""

from __future__ import annotations

import itertools
from math import sqrt
from statistics import fmean, median

import pytest

from protocol.collective.aggregate import CONTRIBUTORS_MIN, QUALITY_MIN, Contribution, Crowd, aggregate
from protocol.ids import AuthorId
from protocol.wire.block import make_block
from protocol.wire.registry import VALENCE
from tests.unit.protocol.hub import GRANT, Hub
from tests.unit.protocol.people import ANN, BEN, CAT, EVE, Made, keys, one_sample, person, vector


def given(*values: float, sd: float | None = 0.1, quality: float = 1.0) -> list[Contribution]:
    """One contribution for each value, by different people."""
    return [Contribution(AuthorId(bytes([number]) * 32), value, sd, quality) for number, value in enumerate(values)]


@pytest.mark.parametrize("count", range(CONTRIBUTORS_MIN))
def test_fewer_than_five_people_give_nothing_but_their_number(count: int) -> None:
    crowd = aggregate(given(*[0.5] * count))
    assert (crowd.n, crowd.mean, crowd.mean_se, crowd.spread) == (count, None, None, None)
    assert crowd.reason == f"{count} of at least 5 contributors"


def test_five_people_give_a_mean() -> None:
    crowd = aggregate(given(0.1, 0.2, 0.3, 0.4, 0.5))
    assert crowd.n == 5
    assert crowd.mean == pytest.approx(0.3)
    assert crowd.reason == ""


def test_poor_quality_does_not_count_towards_the_five() -> None:
    poor = Contribution(AuthorId(b"z" * 32), 1.0, 0.1, QUALITY_MIN - 0.001)
    crowd = aggregate([*given(0.1, 0.2, 0.3, 0.4), poor])
    assert (crowd.n, crowd.left_out, crowd.mean) == (4, 1, None)
    enough = Contribution(AuthorId(b"z" * 32), 0.5, 0.1, QUALITY_MIN)
    assert aggregate([*given(0.1, 0.2, 0.3, 0.4), enough]).n == 5


def test_the_mean_leaves_out_a_fifth_at_each_end() -> None:
    values = [-1.0, -0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.9, 1.0]
    assert aggregate(given(*values)).mean == pytest.approx(fmean(values[2:8]))


def test_the_standard_error_is_that_of_tukey_and_mclaughlin_and_of_the_measurements() -> None:
    values = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    crowd = aggregate(given(*values, sd=0.2))
    winsorised = [0.2, 0.2, *values[2:8], 0.7, 0.7]
    centre = fmean(winsorised)
    variance = sum((value - centre) ** 2 for value in winsorised) / 9
    expected = sqrt(variance / (0.6**2 * 10) + 0.2**2 / 10)
    assert crowd.mean_se == pytest.approx(expected)


def test_an_unknown_deviation_counts_as_a_wide_one() -> None:
    known, unknown = aggregate(given(*[0.5] * 6, sd=0.1)), aggregate(given(*[0.5] * 6, sd=None))
    assert known.mean_se == pytest.approx(sqrt(0.01 / 6))
    assert unknown.mean_se == pytest.approx(sqrt(1 / 6))


def test_the_spread_is_the_scaled_median_distance_from_the_median() -> None:
    values = [0.0, 0.1, 0.2, 0.3, 0.9, -1.0, 0.25]
    middle = median(values)
    assert aggregate(given(*values)).spread == pytest.approx(1.4826 * median(abs(v - middle) for v in values))


def test_the_order_of_arrival_changes_no_bit() -> None:
    people = given(0.1, 0.2, 0.3, 1e-17, -0.7, 1 / 3)
    assert {aggregate(list(order)) for order in itertools.permutations(people)} == {aggregate(people)}


def moved_by(liars: int, honest: int, lie: float) -> float:
    """How far liars move the mean of an honest crowd that is spread evenly over [-0.5, 0.5]."""
    truth = [-0.5 + at / (honest - 1) for at in range(honest)]
    before, after = aggregate(given(*truth)).mean, aggregate(given(*truth, *[lie] * liars)).mean
    assert before is not None
    assert after is not None
    return abs(after - before)


@pytest.mark.parametrize("lie", [-1.0, 1.0])
@pytest.mark.parametrize(("liars", "moved"), [(5, 0.027), (10, 0.056), (20, 0.127), (30, 0.287)])
def test_liars_at_the_end_of_the_range_move_the_mean_by_no_more_than_these_figures(
    liars: int, moved: float, lie: float
) -> None:
    # Of 100 people whose honest part is spread evenly over [-0.5, 0.5]; a plain mean moves by liars / 100.
    assert moved_by(liars, 100 - liars, lie) == pytest.approx(moved, abs=0.002)
    assert moved_by(liars, 100 - liars, lie) <= liars / 100


@pytest.mark.parametrize("lie", [1e3, 1e300])
def test_the_size_of_a_lie_does_not_matter_while_the_liars_are_at_most_a_fifth(lie: float) -> None:
    assert moved_by(20, 80, lie) <= 0.15
    assert moved_by(20, 80, lie) == moved_by(20, 80, 1.0)


# --- on a hub ---------------------------------------------------------------------------------------------------


def crowd_of(count: int, made: Made | None = None) -> Hub:
    """A hub linked with so many people, each of whom has sent a vector of 0.25."""
    hub = Hub()
    for number in range(count):
        who = person(100 + number)
        hub.join(10 + number, who)
        hub.say(10 + number, vector(who, 1, made))
    return hub


@pytest.mark.parametrize("count", [0, 1, 4, 5, 8])
def test_a_hub_says_how_its_crowd_feels_from_five_people_on(count: int) -> None:
    picture: Crowd = crowd_of(count).statistics().crowd
    assert picture.n == count
    assert picture.mean == (pytest.approx(0.25, abs=1e-4) if count >= 5 else None)


def test_our_own_vector_counts_like_anybody_elses() -> None:
    hub = crowd_of(4)
    hub.share(GRANT, arousal=0.25)
    assert hub.statistics().crowd.n == 5


@pytest.mark.parametrize(
    "made",
    [
        Made(terms=0),
        Made(terms=5),
        Made(block=one_sample(None)),
        Made(block=make_block((VALENCE,), [(0.1,)], (0.1,), dt_ms=250, quality=1.0, method=1)),
    ],
)
def test_who_may_not_be_counted_or_says_nothing_of_arousal_is_not_counted(made: Made) -> None:
    assert crowd_of(6, made).statistics().crowd == aggregate([])


def test_poor_quality_is_left_out_and_said() -> None:
    picture = crowd_of(6, Made(block=one_sample(quality=0.2))).statistics().crowd
    assert (picture.n, picture.left_out, picture.mean) == (0, 6, None)


def test_a_value_counts_no_longer_than_its_lease() -> None:
    hub = crowd_of(6, Made(lease_ms=2_000, cadence_ms=60_000))
    hub.now += 1_999_999
    assert hub.statistics().crowd.n == 6
    hub.now += 1
    assert hub.statistics().crowd.n == 0


def test_two_hubs_that_hold_the_same_vectors_compute_the_same_bits() -> None:
    first, second = Hub(ANN), Hub(BEN)
    people = [person(100 + number) for number in range(9)]
    for hub, order in ((first, people), (second, people[::-1])):
        hub.join(1, CAT if hub is first else EVE)
        for number, who in enumerate(order):
            value = (people.index(who) - 4) / 7
            hub.say(1, keys(who), vector(who, 1, Made(block=one_sample(value, sd=0.1 + people.index(who) / 50))))
            assert number >= 0
    assert first.statistics().crowd == second.statistics().crowd
    assert first.statistics().crowd.n == 9
