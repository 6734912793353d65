"""Crowds of overlays in a field: that they gather however they were told of each other, and become one again."""

from __future__ import annotations

import pytest

from protocol.clock import MINUTE, MS, SECOND
from protocol.ids import AuthorId
from protocol.membership.overlay_values import OverlayConfig
from sim import graph
from sim.field import Field
from sim.members import FieldConfig
from sim.weather import WeatherConfig
from tests.unit.protocol.overlay_net import name


def pieces(field: Field) -> list[int]:
    """Sizes of the pieces, the largest first."""
    return [len(piece) for piece in graph.pieces(field.graph())]


@pytest.mark.parametrize("double_us", [1, 100 * MS])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_crowd_that_joins_at_once_under_loss_is_one_piece_within_seconds(seed: int, double_us: int) -> None:
    field = Field(seed, FieldConfig(members=60, double_us=double_us, weather=WeatherConfig(loss=0.05)))
    field.populate()
    assert field.wait(lambda: len(pieces(field)) == 1, 5 * SECOND, 250 * MS) is not None
    field.run(20 * SECOND)
    found = graph.figures(field.graph(), field.members[0].overlay._rng)
    assert found.pieces == 1
    assert found.degree_max <= field.config.overlay.active_max
    assert found.degree_min >= 3


def apart(one: int, other: int, overlay: OverlayConfig) -> Field:
    """Two crowds that have never heard of each other."""
    field = Field(4, FieldConfig(members=one + other, overlay=overlay))
    for first, size in ((0, one), (one, other)):
        for number in range(first + 1, first + size):
            for contact in (first, first + (number - first) // 2):
                member = field.members[number]
                field.apply(member, member.overlay.join(field.members[contact].author, field.now))
            field.run(100 * MS)
    field.run(20 * SECOND)
    assert pieces(field) == [max(one, other), min(one, other)]
    return field


def introduce(field: Field, first: int, count: int) -> None:
    """Everybody before ``first`` hears of ``count`` of those from there on, and of nobody else."""
    for number in range(first):
        member = field.members[number]
        for step in range(count):
            stranger = field.members[first + (7 * number + step) % (len(field.members) - first)]
            field.apply(member, member.overlay.met(stranger.author, field.now))


def test_an_island_of_nine_that_hears_of_a_full_crowd_becomes_a_part_of_it() -> None:
    field = apart(9, 40, OverlayConfig(mix=0, outbound=0, passive=12))
    introduce(field, 9, 10)
    assert any(member.overlay.is_island() for member in field.members[:9])
    assert field.wait(lambda: len(pieces(field)) == 1, MINUTE, 250 * MS) is not None


def test_two_full_crowds_that_know_of_each_other_become_one_because_hubs_mix() -> None:
    field = apart(25, 30, OverlayConfig(outbound=0))
    introduce(field, 25, 4)
    assert not any(member.overlay.is_island() for member in field.members)
    assert field.wait(lambda: len(pieces(field)) == 1, MINUTE, 250 * MS) is not None


class Partings:
    """Counts neighbors that had to go."""

    count = 0

    def neighbor_up(self, number: int, peer: AuthorId) -> None:
        """Nothing."""

    def neighbor_parting(self, number: int, peer: AuthorId) -> None:
        """One more."""
        self.count += 1

    def neighbor_down(self, number: int, peer: AuthorId) -> None:
        """Nothing."""


def test_a_settled_mesh_leaves_its_links_alone_until_somebody_new_is_seen() -> None:
    field = Field(7, FieldConfig(members=120))
    field.populate()
    field.run(70 * SECOND)
    partings = Partings()
    field.listeners.append(partings)
    field.run(MINUTE)
    settled = partings.count
    for member in field.members:
        field.apply(member, member.overlay.met(name(1_000), field.now))
    field.run(MINUTE)
    assert settled <= 4, "120 looks"
    assert partings.count - settled > 3 * settled + 4


def test_a_hub_has_an_idea_of_how_many_there_are() -> None:
    for members in (60, 1_000):
        field = Field(8, FieldConfig(members=members))
        field.populate()
        field.run(70 * SECOND)
        found = sorted(member.overlay._company.estimate() for member in field.members)
        assert members / 2 < found[members // 2] < 2 * members


def nearest_ms(seed: int, probe_us: int) -> tuple[float, int]:
    """The mean over members of the shortest round trip to a neighbor, and how many have one in the near slot."""
    overlay = OverlayConfig(probe_us=probe_us, probe_calm_us=probe_us, shuffle_us=30 * SECOND)
    field = Field(seed, FieldConfig(members=40, overlay=overlay, weather=WeatherConfig(latency_us_min=MS)))
    field.populate()
    field.run(30 * SECOND)
    total = 0
    for number, view in enumerate(field.graph()):
        total += min(2 * field.weather.latency_us(number, other) for other in view or ())
    near = [one for member in field.members for one in member.overlay.active.values() if one.near]
    assert all(sum(one.near for one in member.overlay.active.values()) <= 1 for member in field.members)
    return total / len(field.members) / MS, len(near)


def test_looking_around_fills_the_low_latency_slot_and_brings_the_nearest_neighbor_nearer() -> None:
    without = [nearest_ms(seed, 0) for seed in (5, 6, 7)]
    with_looks = [nearest_ms(seed, 2 * SECOND) for seed in (5, 6, 7)]
    assert all(near == 0 for _, near in without)
    assert all(near > 0 for _, near in with_looks)
    assert sum(ms for ms, _ in with_looks) < sum(ms for ms, _ in without)
