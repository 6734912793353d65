"""What the state plane costs: the arithmetic, the counting, and one small crowd measured whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol import NodeConfig
from protocol.clock import MS, SECOND
from protocol.gossip.scope import ScopeConfig
from protocol.gossip.vectors import VectorsConfig
from protocol.ids import AuthorId
from protocol.wire.messages import Beat, Prune, WantKeys
from sim.papers import state_plane
from sim.papers.state_plane import Cost, Counts, Work, play
from sim.stream import FRAME_OVERHEAD_BYTES, frame_bytes


def cost(hubs: int, covered: float, factor: float = 1.0, age_us: int = SECOND) -> Cost:
    """Vectors cost what they must, everything else ``factor`` less one of it."""
    sent = dict.fromkeys(state_plane.KINDS, 0.0)
    sent["vectors"] = covered * 200 * (hubs - 1) / hubs
    sent["repair and keys"] = (factor - 1) * sent["vectors"]
    return Cost(
        hubs=hubs,
        covered=covered,
        sampled=covered,
        share=1.0,
        linked=8.0,
        hops=5,
        sent=sent,
        sent_worst=0.0,
        frames=0.0,
        verified=covered,
        vector_bytes=200.0,
        age_p50_us=500 * MS,
        age_p99_us=age_us,
        absent=0.0,
    )


def met(rows: list[Cost]) -> dict[str, bool]:
    return {bar.name: bar.met for bar in state_plane._bars(rows)}


def test_the_limit_is_every_covered_vector_once() -> None:
    one = cost(100, 99.0)
    assert one.checks_limit == 99.0
    assert one.bytes == pytest.approx(one.bytes_limit)


def test_a_plane_that_costs_twice_its_limit_or_more_is_told() -> None:
    assert all(met([cost(100, 99.0, 1.9), cost(1_000, 320.0, 1.8)]).values())
    missed = [name for name, held in met([cost(100, 99.0, 2.1)]).items() if not held]
    assert missed == ["100 hubs: bytes sent, times the limit"]


def test_a_cost_that_outgrows_what_is_covered_is_told() -> None:
    missed = [name for name, held in met([cost(100, 99.0, 1.2), cost(1_000, 320.0, 1.5)]).items() if not held]
    assert missed == ["from 100 to 1000 hubs, growth by growth of the covered set: bytes"]


def test_values_older_than_their_cadence_and_the_way_are_told() -> None:
    assert all(met([cost(100, 99.0, age_us=1_500 * MS)]).values())
    assert not all(met([cost(100, 99.0, age_us=1_501 * MS)]).values())


def test_what_is_sent_is_counted_by_what_it_is_for() -> None:
    counts = Counts()
    messages = (Beat(), Prune((bytes(8),)), WantKeys((AuthorId(bytes(32)),)))
    counts.add(messages)
    assert sum(counts.bytes.values()) == FRAME_OVERHEAD_BYTES + frame_bytes(messages)
    assert counts.bytes["liveness"] == frame_bytes((Beat(),)) - frame_bytes(())
    assert counts.bytes["vectors"] == counts.bytes["shuffle"] == 0


def test_a_small_crowd_checks_every_vector_once_and_shows_it_in_time() -> None:
    found = play(Work(1, 8, 3 * SECOND, 3 * SECOND))
    assert (found.covered, found.share, found.absent) == (7.0, 1.0, 0.0)
    assert found.verified == pytest.approx(found.checks_limit, rel=0.1)
    assert found.bytes > found.sent["vectors"] >= 0.9 * found.bytes_limit
    assert 0 < found.age_p50_us < found.age_p99_us <= SECOND + found.hops * 100 * MS
    assert play(Work(1, 8, 3 * SECOND, 3 * SECOND)) == found


def test_a_crowd_above_its_bound_relays_a_sample_and_says_so() -> None:
    scope = ScopeConfig(whole_max=6, sample_min=4, growth_us=SECOND)
    config = replace(NodeConfig(), vectors=VectorsConfig(scope=scope))
    found = play(Work(1, 12, 4 * SECOND, 2 * SECOND, config))
    assert found.share < 1.0
    assert found.sampled <= 6
