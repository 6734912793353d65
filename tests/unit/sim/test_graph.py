"""Figures of small graphs that can be worked out by hand."""

from __future__ import annotations

import pytest

from protocol.rng import Rng
from sim import graph

RING = [[1, 4], [0, 2], [1, 3], [2, 4], [3, 0]]
TRIANGLE_AND_TAIL = [[1, 2], [0, 2], [0, 1, 3], [2]]


def test_only_links_on_which_both_agree_count_and_the_dead_have_none() -> None:
    neighbors = [{1: None, 2: None}, {0: None}, {}, {0: None}]
    assert graph.mutual(neighbors, [True, True, True, False]) == [[1], [0], [], None]


def test_pieces_are_found_with_the_largest_first() -> None:
    found = graph.pieces([[1], [0], None, [4, 5], [3], [3], []])
    assert [sorted(piece) for piece in found] == [[3, 4, 5], [0, 1], [6]]


def test_hops_are_those_of_the_shortest_way() -> None:
    assert graph.reached(RING, 0) == {0: 0, 1: 1, 4: 1, 2: 2, 3: 2}


def test_the_flood_takes_the_quickest_ways_and_not_those_of_fewest_hops() -> None:
    slow = {(0, 2): 100, (0, 1): 10, (1, 2): 10, (2, 3): 5}
    took = graph.flood_us(TRIANGLE_AND_TAIL, 0, lambda one, other: slow[min(one, other), max(one, other)])
    assert took == 25


def test_a_flood_does_not_wait_for_those_it_cannot_reach() -> None:
    assert graph.flood_us([[1], [0], []], 0, lambda _one, _other: 7) == 7


def test_figures_of_a_ring_and_of_a_triangle_with_a_tail() -> None:
    ring = graph.figures(RING, Rng(1))
    assert (ring.members, ring.pieces, ring.degree_mean, ring.clustering) == (5, 1, 2.0, 0.0)
    assert (ring.path, ring.farthest) == (1.5, 2.0)
    tail = graph.figures(TRIANGLE_AND_TAIL, Rng(1))
    assert (tail.degree_max, tail.degree_min) == (3, 1)
    assert tail.clustering == pytest.approx((1 + 1 + 1 / 3 + 0) / 4)
