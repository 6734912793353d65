"""``meshnode watch``: who is linked with whom, as one hub sees it, drawn in characters.

This hub stands in the middle, its neighbors on the ring around it, and on the outer ring whom they have told of. Lines
are dots of Braille letters, two by four to a character. Below the drawing every neighbor has a line of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from meshnode.cli import inject
from meshnode.cli.glitch import now_text

WIDTH_MAX: Final = 100
WIDTH_MIN: Final = 40
HEIGHT_MAX: Final = 30
HEIGHT_MIN: Final = 11
INNER: Final = 0.5
OUTER: Final = 0.97
BRAILLE: Final = 0x2800
DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
SELF_MARK: Final = "■"
BEYOND_MARK: Final = "○"
LOST_MARK: Final = "✗"
LOST_LINES: Final = 3
LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
KEYS: Final = ("author", "up_s", "mesh")

Point = tuple[float, float]


def graph(status: Mapping[str, Any]) -> dict[str, Any]:
    """Hubs and links as this hub knows them.

    A hub is ``self``, ``neighbor``, ``beyond`` (a neighbor has told of it) or ``lost``. A link is ``here`` or ``told``.
    """
    me = status["author"]
    states = {line["peer"]: line for line in status["opinions"]}
    views = status["overlay"]
    whys = {} if views["small"] else {line["peer"]: line["why"] for line in views["neighbors"]}
    hubs: dict[str, dict[str, Any]] = {me: {"author": me, "where": "self"}}
    links: dict[tuple[str, str], dict[str, Any]] = {}
    for line in status["links"]:
        peer = line["peer"]
        opinion = states.get(peer, {"state": "alive"})
        hubs[peer] = {
            "author": peer,
            "where": "neighbor",
            "state": opinion["state"],
            "rtt_ms": line["rtt_ms"],
            "silent_ms": line["silent_ms"],
            "why": whys.get(peer),
            "tells": len(line["neighbors"]),
        }
        links[_pair(me, peer)] = {"one": me, "other": peer, "seen": "here", "rtt_ms": line["rtt_ms"]}
    for line in status["links"]:
        for other in line["neighbors"]:
            hubs.setdefault(other, {"author": other, "where": "beyond"})
            one, two = _pair(line["peer"], other)
            links.setdefault((one, two), {"one": one, "other": two, "seen": "told", "rtt_ms": None})
    lost = {line["peer"]: line for line in views["exiles"]}
    for peer in status["exiles"]:
        why = lost.get(peer, {"why": "lost", "lost_s": None})
        found = hubs.setdefault(peer, {"author": peer, "where": "lost"})
        found |= {"lost_why": why["why"], "lost_s": why["lost_s"]}
    picture: dict[str, Any] = {"hubs": list(hubs.values()), "links": list(links.values())}
    picture["torn"] = now_text(status["glitch"])
    picture["rehearsal"] = inject.now_text(status.get("rehearsal"))
    return {key: status[key] for key in KEYS} | {"in_reach": status["crowd"]["in_reach"]} | picture


def _pair(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)


def draw(picture: Mapping[str, Any], width: int, height: int) -> str:
    """The drawing and its legend, at most ``width`` wide; ``height`` is of the whole terminal."""
    width = max(WIDTH_MIN, min(WIDTH_MAX, width - 1))
    hubs = {hub["author"]: hub for hub in picture["hubs"]}
    near = [author for author, hub in hubs.items() if hub["where"] == "neighbor"]
    names = dict(zip(near, LETTERS, strict=False))
    legend = _legend(picture, hubs, names, width)
    room = min(HEIGHT_MAX, height - len(legend) - 2, width // 2, HEIGHT_MIN + 2 * len(hubs))
    canvas = _Canvas(width, max(HEIGHT_MIN, room))
    places = _places(picture, hubs, near)
    for link in picture["links"]:
        if link["one"] in places and link["other"] in places:
            canvas.line(places[link["one"]], places[link["other"]])
    for author, place in places.items():
        canvas.mark(place, _mark(hubs[author], names.get(author, "*")))
    return "\n".join([*canvas.lines(), "", *legend])


def _mark(hub: Mapping[str, Any], name: str) -> str:
    match hub["where"]:
        case "self":
            return SELF_MARK
        case "neighbor":
            return f"({name})" if hub["state"] == "alive" else f"?{name}?"
        case "beyond":
            return BEYOND_MARK if "lost_s" not in hub else LOST_MARK
        case _:
            return LOST_MARK


def _places(picture: Mapping[str, Any], hubs: Mapping[str, Mapping[str, Any]], near: Sequence[str]) -> dict[str, Point]:
    """Where each hub stands, in [-1, 1]: whoever is farther out stands near those who have told of it."""
    far = [author for author, hub in hubs.items() if hub["where"] in ("beyond", "lost")]
    places = {author: (0.0, 0.0) for author, hub in hubs.items() if hub["where"] == "self"}
    radius = INNER if far else OUTER
    angles = {author: 2 * math.pi * number / max(1, len(near)) for number, author in enumerate(near)}
    places |= {author: _on(radius, angle) for author, angle in angles.items()}
    around: dict[str, list[float]] = {author: [] for author in far}
    for link in picture["links"]:
        for one, other in ((link["one"], link["other"]), (link["other"], link["one"])):
            if one in around and other in angles:
                around[one].append(angles[other])
    wished = {author: _mean(told) if told else 2 * math.pi for author, told in around.items()}
    for number, author in enumerate(sorted(far, key=lambda author: (wished[author], author))):
        places[author] = _on(OUTER, 2 * math.pi * number / len(far) + 0.1)
    return places


def _mean(angles: Sequence[float]) -> float:
    """The direction between several; 0..2 pi."""
    return math.atan2(sum(map(math.sin, angles)), sum(map(math.cos, angles))) % (2 * math.pi)


def _on(radius: float, angle: float) -> Point:
    return radius * math.sin(angle), -radius * math.cos(angle)


class _Canvas:
    """Characters of dots; marks are written over them."""

    def __init__(self, width: int, height: int) -> None:
        self._width = width
        self._height = height
        self._dots = [[0] * width for _ in range(height)]
        self._marks: dict[tuple[int, int], str] = {}

    def _dot(self, place: Point) -> Point:
        """Where a place lies in dots; three characters are left free at either side, for the marks."""
        x, y = place
        return (self._width - 1 + x * (self._width - 8), (1 + y) * (2 * self._height - 2) + 1.5)

    def line(self, one: Point, other: Point) -> None:
        """Dots from one place to another."""
        (x0, y0), (x1, y1) = self._dot(one), self._dot(other)
        steps = max(1, round(max(abs(x1 - x0), abs(y1 - y0))))
        for step in range(steps + 1):
            x, y = round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps)
            self._dots[y // 4][x // 2] |= DOTS[y % 4][x % 2]

    def mark(self, place: Point, text: str) -> None:
        """A mark with its middle at a place; it may cover another."""
        x, y = self._dot(place)
        left = round(x / 2) - len(text) // 2
        for number, letter in enumerate(text):
            self._marks[round(y) // 4, left + number] = letter

    def lines(self) -> list[str]:
        """The rows, without what would be blank at their ends."""
        rows = []
        for y, dots in enumerate(self._dots):
            row = [self._marks.get((y, x), chr(BRAILLE + dot) if dot else " ") for x, dot in enumerate(dots)]
            rows.append("".join(row).rstrip())
        return rows


def _legend(
    picture: Mapping[str, Any], hubs: Mapping[str, Mapping[str, Any]], names: Mapping[str, str], width: int
) -> list[str]:
    counts = {where: sum(hub["where"] == where for hub in hubs.values()) for where in ("neighbor", "beyond", "lost")}
    mesh = f" of mesh {picture['mesh']['name']!r}" if picture["mesh"]["name"] else ""
    lines = [f"{SELF_MARK} this hub {picture['author'][:10]}; {picture['in_reach']} people{mesh} in reach"]
    lines += [line for line in (picture["torn"], picture["rehearsal"]) if line]
    sights = [f"{counts['neighbor']} neighbors", f"{BEYOND_MARK} {counts['beyond']} more that they tell of"]
    lines.append(", ".join(sights[: 1 + bool(counts["beyond"])]))
    lines = [line[:width] for line in lines]
    told: dict[str, list[str]] = {author: [] for author in hubs}
    for link in picture["links"]:
        told[link["one"]].append(link["other"])
        told[link["other"]].append(link["one"])
    for author, name in names.items():
        lines.append(_neighbor_line(hubs[author], name, told[author], names)[:width])
    unnamed = counts["neighbor"] - len(names)
    if unnamed:
        lines.append(f"(*) {unnamed} more neighbors")
    gone = [hub for hub in hubs.values() if "lost_s" in hub]
    lines += _lost_lines(gone, width)
    return lines


def _neighbor_line(hub: Mapping[str, Any], name: str, linked: Sequence[str], names: Mapping[str, str]) -> str:
    rtt = "     ? ms" if hub["rtt_ms"] is None else f"{hub['rtt_ms']:6.1f} ms"
    letters = "".join(sorted((names[peer] for peer in linked if peer in names), key=LETTERS.index))
    others = hub["tells"] - 1 - len(letters)
    farther = f"{others} farther out" if others > 0 else ""
    if not hub["tells"]:
        company = "has told of nobody yet"
    elif len(letters) == len(names) - 1 and letters:
        company = "linked with all the others" + (f" and {farther}" if farther else "")
    else:
        company = "linked with " + (" and ".join(part for part in (letters, farther) if part) or "nobody else")
    doubt = "" if hub["state"] == "alive" else f"{hub['state']}, silent {hub['silent_ms'] / 1000:.1f} s; "
    why = f" ({hub['why']})" if hub["why"] else ""
    return f"({name}) {hub['author'][:10]} {rtt}  {doubt}{company}{why}"


def _lost_lines(gone: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """The lost, as many to a line as fit, on a few lines."""
    lines: list[str] = []
    for number, hub in enumerate(gone):
        item = f"{hub['author'][:10]} {_since(hub)}"
        if lines and len(lines[-1]) + len(item) + 2 <= width:
            lines[-1] += f", {item}"
        elif len(lines) == LOST_LINES:
            return [*lines, f"  and {len(gone) - number} more"]
        else:
            lines.append(f"  {item}" if lines else f"{LOST_MARK} looked for: {item}")
    return lines


def _since(hub: Mapping[str, Any]) -> str:
    return str(hub["lost_why"]) if hub["lost_s"] is None else f"{hub['lost_why']} {hub['lost_s']:.0f} s ago"
