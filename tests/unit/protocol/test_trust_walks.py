"""Stored walks: where they are found, and that repair leaves them as if they had just been drawn."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt

import pytest

from protocol.rng import Rng
from protocol.trust.walks import Walks
from tests.unit.protocol.trust_rig import hub

A, B, C, D, E = map(hub, range(5))


def walks(count: int = 4_000, seed: int = 1) -> Walks:
    """Walks from A, not drawn yet."""
    return Walks(A, count, 0.2, 42, Rng(seed))


def assert_sound(found: Walks) -> None:
    """The index is exact, every step is an edge, nobody comes home."""
    met: dict[bytes, dict[int, None]] = {}
    for number, walk in enumerate(found.walks):
        assert walk[0] == A
        assert A not in walk[1:]
        assert len(walk) <= 43
        assert all(head in found.edges[tail] for tail, head in pairwise(walk))
        for name in walk:
            met.setdefault(name, {})[number] = None
    assert {name: set(numbers) for name, numbers in found.visits.items()} == {
        name: set(numbers) for name, numbers in met.items()
    }


def share(found: Walks, name: bytes) -> float:
    """How many of the walks meet ``name``."""
    return len(found.visits.get(hub(int.from_bytes(name, "big")), {})) / len(found.walks)


def test_walks_go_on_with_four_in_five_and_divide_by_weight() -> None:
    found = walks()
    for head, weight in ((B, 3.0), (C, 1.0)):
        found.set_edge(A, head, weight)
    found.set_edge(B, D, 1.0)
    found.draw()
    assert_sound(found)
    assert share(found, B) == pytest.approx(0.6, abs=0.03)
    assert share(found, C) == pytest.approx(0.2, abs=0.03)
    assert share(found, D) == pytest.approx(0.48, abs=0.03)


def test_a_walk_that_had_nowhere_to_go_goes_on_when_there_is_an_edge() -> None:
    found = walks()
    found.draw()
    assert share(found, B) == 0
    found.set_edge(A, B, 1.0)
    found.set_edge(B, C, 1.0)
    assert_sound(found)
    assert share(found, B) == pytest.approx(0.8, abs=0.03)
    assert share(found, C) == pytest.approx(0.64, abs=0.03)


def test_an_edge_that_goes_takes_its_walks_along() -> None:
    found = walks()
    for tail, head in ((A, B), (B, C), (B, D)):
        found.set_edge(tail, head, 1.0)
    found.draw()
    found.set_edge(B, C, 0.0)
    assert_sound(found)
    assert share(found, C) == 0
    assert share(found, D) == pytest.approx(0.64, abs=0.03)
    found.set_edge(B, D, 0.0)
    assert_sound(found)
    assert share(found, D) == 0
    found.set_edge(B, E, 1.0)
    assert share(found, E) == pytest.approx(0.64, abs=0.03)


def test_a_weight_that_changes_moves_just_its_share() -> None:
    found = walks()
    for head in (B, C, D):
        found.set_edge(A, head, 1.0)
    found.draw()
    found.set_edge(A, B, 4.0)
    assert share(found, B) == pytest.approx(0.8 * 4 / 6, abs=0.03)
    found.set_edge(A, B, 0.5)
    assert_sound(found)
    assert share(found, B) == pytest.approx(0.8 * 0.5 / 2.5, abs=0.03)
    assert share(found, C) == pytest.approx(0.8 * 1 / 2.5, abs=0.03)


def test_after_many_changes_walks_are_where_new_ones_would_be() -> None:
    rng = Rng(7)
    names = [hub(number) for number in range(12)]
    kept = walks(3_000, 2)
    kept.draw()
    for _ in range(400):
        kept.set_edge(rng.choice(names), rng.choice(names), rng.choice((0.0, 0.5, 1.0, 3.0)))
    assert_sound(kept)
    new = walks(3_000, 3)
    new.edges.update(kept.edges)
    new.draw()
    for name in names[1:]:
        one, other = share(kept, name), share(new, name)
        assert abs(one - other) <= 4 * sqrt((one * (1 - one) + other * (1 - other) + 1e-6) / 3_000)


def test_an_edge_home_to_itself_or_unchanged_is_no_change() -> None:
    found = walks(50)
    found.set_edge(A, B, 1.0)
    found.draw()
    before = [list(walk) for walk in found.walks]
    found.set_edge(B, A, 1.0)
    found.set_edge(B, B, 1.0)
    found.set_edge(A, B, 1.0)
    found.set_edge(A, B, 8.0)
    assert found.walks == before
