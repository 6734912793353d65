"""Values as JSON and back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import pytest

from protocol.inputs import CommonsGrant
from sim.draws import draw
from sim.faults import Clog, Crash, Cut, Fault
from sim.plain import from_plain, to_plain
from sim.swarm import Draw


@dataclass(frozen=True, slots=True)
class Point:
    """Something with all kinds of fields."""

    x: int
    share: float = 0.5
    names: tuple[str, ...] = ()
    pair: tuple[int, str] = (1, "one")
    lane: Literal["left", "right"] = "left"
    inner: Point | None = None


@pytest.mark.parametrize("seed", range(1, 31))
def test_every_world_that_can_be_drawn_comes_back_from_its_text(seed: int) -> None:
    drawn = draw(seed)
    assert from_plain(Draw, json.loads(json.dumps(to_plain(drawn)))) == drawn


def test_what_has_its_default_is_left_out_and_a_dataclass_says_its_kind() -> None:
    assert to_plain(Point(1, inner=Point(2))) == {"kind": "Point", "x": 1, "inner": {"kind": "Point", "x": 2}}


def test_one_of_several_kinds_is_found_by_its_name() -> None:
    faults: tuple[Fault, ...] = (Crash("n1", True), Cut((("a",), ("b",)), 5), Clog("a", "b", 7))
    assert [from_plain(type(fault), to_plain(fault)) for fault in faults] == list(faults)


@pytest.mark.parametrize(
    ("plain", "says"),
    [
        ({"x": 1, "y": 2}, "Point has no y"),
        ({"kind": "Line", "x": 1}, "Point has no Line"),
        ({"x": "1"}, r"Point.x: '1' is not"),
        ({"x": True}, r"Point.x: True is not"),
        ({"x": 1, "names": "ab"}, "Point.names"),
        ({"x": 1, "names": ["a", 2]}, r"Point.names\[1\]: 2 is not"),
        ({"x": 1, "pair": [1]}, "1 items, 2 belong here"),
        ({"x": 1, "lane": "up"}, "Point.lane"),
        ({"x": 1, "inner": {"kind": "Line"}}, "Point.inner: .* is none of Point, NoneType"),
        ({"share": 1}, "Point: .*missing"),
        ([1], "Point: .* is not what belongs here"),
    ],
)
def test_what_is_not_such_a_value_is_refused_and_the_place_is_named(plain: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        from_plain(Point, plain)


def test_a_whole_number_may_stand_for_a_fraction() -> None:
    assert from_plain(Point, {"x": 1, "share": 1}).share == 1.0


def test_what_has_no_plain_form_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes has no plain form"):
        to_plain((b"raw",))


def test_a_grant_is_a_value_as_well() -> None:
    grant = CommonsGrant((0,), 5, 500, 3_000, True, True, False)
    assert from_plain(CommonsGrant, to_plain(grant)) == grant
