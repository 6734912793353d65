"""The weather of the glitch paper is drawn from the seed, and its judge can tell right from wrong."""

from __future__ import annotations

from protocol.clock import SECOND
from protocol.ids import AuthorId
from sim.papers.glitch import BENIGN, SIDE_MIN, TOUCHED_US, _sides_right, draw

ADA, BEN, CYD, DAN = (AuthorId(name * 32) for name in (b"a", b"b", b"c", b"d"))
SURE = {ADA: 0, BEN: 0, CYD: 1}


def test_one_seed_is_one_weather() -> None:
    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_every_kind_of_weather_comes_in_a_few_hundred_seeds() -> None:
    kinds: dict[str, int] = {}
    for seed in range(200):
        for kind, count in draw(seed).kinds.items():
            kinds[kind] = kinds.get(kind, 0) + count
    assert set(kinds) == {"split", *BENIGN}
    assert kinds["split"] > 400


def test_every_true_split_leaves_enough_on_every_side_and_nobody_twice() -> None:
    for seed in range(200):
        weather = draw(seed)
        for tear in weather.tears:
            everybody = [hub for side in tear.sides for hub in side]
            assert len(everybody) == len(set(everybody))
            assert min(len(side) for side in tear.sides) >= SIDE_MIN
            assert tear.until - tear.at >= 12 * SECOND


def test_whoever_has_left_is_touched_for_ever() -> None:
    weather = next(found for found in map(draw, range(100)) if found.gone)
    hub, at = next(iter(weather.gone.items()))
    assert weather.is_touched(hub, at + 10**12, at + 2 * 10**12)
    assert not weather.is_touched(hub, 0, at - TOUCHED_US)


def test_sides_are_right_only_if_everybody_who_is_sure_stands_where_it_should() -> None:
    assert _sides_right(SURE, 0, [ADA, BEN], [CYD])
    assert _sides_right(SURE, 0, [ADA, BEN, DAN], [CYD])
    assert not _sides_right(SURE, 0, [ADA], [CYD])
    assert not _sides_right(SURE, 0, [ADA, BEN], [])
    assert not _sides_right(SURE, 0, [ADA, BEN, CYD], [])
