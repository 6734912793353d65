"""The drawing of the topology: what it says, and that it stays readable with few hubs and with many."""

from __future__ import annotations

from typing import Any

import pytest

from meshnode.cli.watch import draw, graph
from protocol.rng import Rng


def name(index: int) -> str:
    return f"{index:04x}" * 16


def ring(hubs: int, reach: int, *, lost: int = 0, suspect: int | None = None) -> dict[str, Any]:
    """What hub 0 says where each hub is linked with ``reach`` others on either side of a circle."""
    links = {one: sorted({(one + step) % hubs for step in range(-reach, reach + 1)} - {one}) for one in range(hubs)}
    exiles = [name(hubs + number) for number in range(lost)]
    return {
        "author": name(0),
        "up_s": 12.0,
        "mesh": {"name": "plaza"},
        "crowd": {"in_reach": hubs},
        "glitch": {"crowds": [hubs, lost], "alone": False, "for_s": 12.0, "confidence": 0.9}
        if lost
        else {"crowds": None},
        "opinions": [{"peer": name(peer), "state": "suspect" if peer == suspect else "alive"} for peer in links[0]],
        "overlay": {
            "small": False,
            "neighbors": [{"peer": name(peer), "why": "chosen"} for peer in links[0]],
            "exiles": [{"peer": peer, "why": "lost", "lost_s": 4.0} for peer in exiles],
        },
        "exiles": exiles,
        "links": [
            {
                "peer": name(peer),
                "rtt_ms": 0.5 * peer,
                "silent_ms": 300,
                "neighbors": [name(other) for other in links[peer]],
            }
            for peer in links[0]
        ],
    }


def test_the_graph_has_every_hub_and_every_link_once() -> None:
    seen = graph(ring(12, 2, lost=1))
    where = {hub["author"]: hub["where"] for hub in seen["hubs"]}
    assert {author for author, place in where.items() if place == "neighbor"} == {name(i) for i in (1, 2, 10, 11)}
    assert {author for author, place in where.items() if place == "beyond"} == {name(i) for i in (3, 4, 8, 9)}
    assert (where[name(0)], where[name(12)]) == ("self", "lost")
    pairs = [frozenset((link["one"], link["other"])) for link in seen["links"]]
    assert len(pairs) == len(set(pairs))
    assert sum(link["seen"] == "here" for link in seen["links"]) == 4
    assert frozenset((name(1), name(3))) in pairs


def test_who_is_told_of_and_looked_for_is_both() -> None:
    status = ring(12, 2)
    status["exiles"] = [name(3)]
    found = next(hub for hub in graph(status)["hubs"] if hub["author"] == name(3))
    assert (found["where"], found["lost_why"]) == ("beyond", "lost")


@pytest.mark.parametrize(("hubs", "reach"), [(1, 0), (2, 1), (3, 1), (12, 5), (12, 2), (100, 4), (300, 8), (300, 40)])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 50), (20, 5)])
def test_the_drawing_fits_and_shows_every_neighbor(hubs: int, reach: int, width: int, height: int) -> None:
    seen = graph(ring(hubs, reach, lost=2))
    picture = draw(seen, width, height).split("\n")
    assert all(len(line) <= max(40, width) for line in picture)
    near = [hub["author"] for hub in seen["hubs"] if hub["where"] == "neighbor"]
    legend = next(number for number, line in enumerate(picture) if line.startswith("■ this hub"))
    assert sum("■" in line for line in picture[:legend]) == 1
    listed = [line for line in picture if line.startswith("(")]
    assert len(listed) == min(len(near), 52) + (len(near) > 52)
    assert any("looked for: " in line for line in picture)


def test_suspects_and_the_lost_are_marked() -> None:
    picture = draw(graph(ring(6, 1, lost=9, suspect=1)), 80, 40)
    assert "?a?" in picture
    assert "(a) 0001000100    0.5 ms  suspect, silent 0.3 s; linked with 1 farther out" in picture
    assert picture.count("✗") >= 2
    assert "lost 4 s ago" in picture


def test_a_fully_linked_crowd_says_so_in_words() -> None:
    assert draw(graph(ring(5, 2)), 80, 40).count("linked with all the others") == 4


def test_lines_lie_between_the_hubs() -> None:
    rows = draw(graph(ring(3, 1)), 60, 40).split("\n")
    middle = next(row.index("■") for row in rows if "■" in row)
    above = [row for row in rows if "(a)" in row or "■" in row]
    between = rows[rows.index(above[0]) + 1 : rows.index(above[1])]
    assert between
    assert all(ord(row[middle]) > 0x2800 for row in between)


def test_a_neighbor_that_has_said_nothing_yet_has_no_company() -> None:
    status = ring(2, 1)
    status["links"][0] |= {"neighbors": [], "rtt_ms": None}
    assert "? ms  has told of nobody yet" in draw(graph(status), 80, 24)


def test_places_depend_on_the_graph_alone() -> None:
    status = ring(40, 4)
    first = draw(graph(status), 80, 30)
    Rng(1).shuffle(status["links"][0]["neighbors"])
    assert draw(graph(status), 80, 30) == first
