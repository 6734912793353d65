"""Meshes of hubs that want fewer links than there are others: whole, and well linked."""

from __future__ import annotations

import pytest

from protocol import NodeConfig, ViewsConfig
from protocol.clock import MS, SECOND
from sim import graph
from sim.host import Host
from sim.world import World, WorldConfig


def neighbors(world: World, hosts: list[Host]) -> list[list[int]]:
    """Whose neighbors are whose, by number, as far as both say so."""
    number = {host.author: at for at, host in enumerate(hosts)}
    views = [[number[line.peer] for line in world.statistics(host).overlay.neighbors] for host in hosts]
    return [[other for other in view if at in views[other]] for at, view in enumerate(views)]


@pytest.mark.parametrize(("links_target", "links_max"), [(8, 16), (8, 8)])
def test_sixteen_hubs_that_want_few_links_are_one_piece_with_four_neighbors_or_more(
    links_target: int, links_max: int
) -> None:
    config = NodeConfig(views=ViewsConfig(links_target=links_target, links_max=links_max))
    world = World(links_target + links_max, WorldConfig())
    hosts = [world.add(at=index * 20 * MS, node_config=config) for index in range(16)]
    world.run(8 * SECOND)
    views = neighbors(world, hosts)
    assert len(graph.pieces(views)) == 1
    assert min(map(len, views)) >= 4
    assert max(map(len, views)) <= links_max
