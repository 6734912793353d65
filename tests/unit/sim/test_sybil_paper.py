"""The attack of the sybil paper at a small size, and that its measure can fail."""

from __future__ import annotations

import json

from click.testing import CliRunner

from protocol.rng import Rng
from sim.__main__ import main
from sim.papers import Plan, sybil


def test_the_paper_runs_small_and_meets_its_bars() -> None:
    done = CliRunner().invoke(
        main, ["papers", "sybil", "--nodes", "60", "--seeds", "1", "--quick", "--part", "star", "--json"]
    )
    told = json.loads(done.stdout)
    assert done.exit_code == 0, done.output
    assert {bar["name"] for bar in told["bars"]} == {
        "star: weight of all false names for each attack edge",
        "star: seats for each attack edge",
        "honest contacts who are here weigh one whole",
    }
    assert told["tables"]["worst of all seeds, judges and places"][0]["weight an edge"] > 0.5


def test_plain_visits_would_miss_the_bar() -> None:
    found = sybil.run(Plan(seeds=1, nodes=60, quick=True, parts=("clique",)))
    weight = found.bars[0]
    assert weight.met
    assert weight.reference is not None
    assert weight.reference > weight.bar


def test_there_are_as_many_attack_edges_as_said_and_near_ones_begin_with_the_judge() -> None:
    honest = sybil.small_world(60, Rng(1))
    own = sybil.honest_hub(7)
    for place in sybil.PLACES:
        graph = sybil.attacked(honest, sybil.crowd("chain", 10), 10, own, 20, place, Rng(2))
        edges = [(host, name) for host in honest for name in graph[host] if name not in honest]
        assert len(edges) == 20
        assert (own in dict(edges)) or place == "anywhere"
    assert all(name in honest for out in honest.values() for name in out)


def test_crowds_have_their_shapes() -> None:
    names = [sybil.sybil(number) for number in range(5)]
    assert all(set(out) == set(names) for out in sybil.crowd("clique", 5).values())
    assert set(sybil.crowd("star", 5)[names[0]]) == set(names[1:])
    assert [next(iter(out)) for out in sybil.crowd("chain", 5).values()] == names[1:]
