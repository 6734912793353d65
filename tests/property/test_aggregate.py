"""How the crowd feels, whoever is in it: bounded, the same in every order, and silent about fewer than five."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from random import Random  # noqa: TID251 - the type of what Hypothesis hands out

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.collective.aggregate import CONTRIBUTORS_MIN, QUALITY_MIN, Contribution, aggregate
from protocol.ids import AuthorId

SETTINGS = settings(deadline=None, derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
values = st.floats(-1, 1)
contributions = st.builds(
    Contribution,
    author=st.just(AuthorId(bytes(32))),
    value=values,
    sd=st.one_of(st.none(), st.floats(1e-6, 2)),
    quality=st.one_of(st.floats(0, 1), st.just(1.0)),
)


def of_different_people(people: list[Contribution]) -> list[Contribution]:
    """The same contributions, each by an author of its own."""
    return [
        Contribution(AuthorId(number.to_bytes(32, "big")), one.value, one.sd, one.quality)
        for number, one in enumerate(people)
    ]


crowds = st.lists(contributions, max_size=40).map(of_different_people)


@given(crowds)
@SETTINGS
def test_a_crowd_is_described_if_and_only_if_five_people_count(crowd: list[Contribution]) -> None:
    counted = [one for one in crowd if one.quality >= QUALITY_MIN]
    picture = aggregate(crowd)
    assert (picture.n, picture.left_out) == (len(counted), len(crowd) - len(counted))
    described = [picture.mean, picture.mean_se, picture.spread]
    if len(counted) < CONTRIBUTORS_MIN:
        assert described == [None, None, None]
        assert picture.reason
    else:
        assert all(number is not None and isfinite(number) for number in described)
        assert not picture.reason


@given(crowds, st.randoms(use_true_random=False))
@SETTINGS
def test_no_order_of_arrival_changes_a_bit(crowd: list[Contribution], chance: Random) -> None:
    shuffled = list(crowd)
    chance.shuffle(shuffled)
    assert aggregate(shuffled) == aggregate(crowd)


@given(crowds)
@SETTINGS
def test_the_mean_lies_among_the_people_and_its_error_and_spread_are_not_negative(crowd: list[Contribution]) -> None:
    picture = aggregate(crowd)
    if picture.mean is None or picture.mean_se is None or picture.spread is None:
        return
    counted = [one.value for one in crowd if one.quality >= QUALITY_MIN]
    assert min(counted) - 1e-12 <= picture.mean <= max(counted) + 1e-12
    assert picture.mean_se > 0
    assert picture.spread >= 0


@given(st.lists(values, min_size=5, max_size=40), st.data())
@SETTINGS
def test_up_to_a_fifth_of_liars_cannot_push_the_mean_beyond_the_honest_people(
    honest: list[float], data: st.DataObject
) -> None:
    liars = data.draw(st.integers(0, (len(honest)) // 4))
    lies = data.draw(st.lists(st.floats(-1e6, 1e6), min_size=liars, max_size=liars))
    people = [Contribution(AuthorId(bytes(32)), value, 0.1, 1.0) for value in [*honest, *lies]]
    picture = aggregate(of_different_people(people))
    assert picture.mean is not None
    assert min(honest) - 1e-12 <= picture.mean <= max(honest) + 1e-12


@given(st.lists(values, min_size=5, max_size=30))
@SETTINGS
def test_a_crowd_turned_around_feels_the_opposite(feelings: list[float]) -> None:
    people = of_different_people([Contribution(AuthorId(bytes(32)), value, 0.1, 1.0) for value in feelings])
    turned = [Contribution(one.author, -one.value, one.sd, one.quality) for one in people]
    mean, opposite = aggregate(people).mean, aggregate(turned).mean
    assert mean is not None
    assert opposite is not None
    assert abs(mean + opposite) < 1e-12


@given(st.lists(values, min_size=5, max_size=30), st.integers(0, 29), st.integers(2, 5))
@SETTINGS
def test_one_person_under_many_names_that_share_its_weight_changes_nothing(
    feelings: list[float], which: int, names: int
) -> None:
    people = of_different_people([Contribution(AuthorId(bytes(32)), value, 0.1, 1.0) for value in feelings])
    one = people[which % len(people)]
    parts = [
        replace(one, author=AuthorId(bytes([255]) * 31 + bytes([name])), weight=1 / 2 ** min(name + 1, names - 1))
        for name in range(names)
    ]
    assert sum(part.weight for part in parts) == 1.0
    whole = aggregate(people)
    split = aggregate([*(person for person in people if person is not one), *parts])
    assert split.mean == pytest.approx(whole.mean, abs=1e-12)
    assert split.spread == pytest.approx(whole.spread, abs=1e-12)
    assert split.mean_se == pytest.approx(whole.mean_se, rel=1e-9)


@given(st.lists(values, min_size=5, max_size=30), st.lists(st.floats(-1e6, 1e6), max_size=40), st.data())
@SETTINGS
def test_however_many_lie_what_they_weigh_together_bounds_what_they_can_do(
    honest: list[float], lies: list[float], data: st.DataObject
) -> None:
    most = len(honest) / 4 - 1e-9  # a fifth of all
    weight = data.draw(st.floats(0.01, 1)) * most / max(1, len(lies))
    people = of_different_people([Contribution(AuthorId(bytes(32)), value, 0.1, 1.0) for value in [*honest, *lies]])
    liars = [replace(one, weight=min(weight, 1.0)) for one in people[len(honest) :]]
    picture = aggregate([*people[: len(honest)], *liars])
    total = len(honest) + sum(one.weight for one in liars)
    if int(0.2 * total) >= sum(one.weight for one in liars):
        assert picture.mean is not None
        assert min(honest) - 1e-12 <= picture.mean <= max(honest) + 1e-12
