"""A line chart as SVG, so that ``--plot FILE`` needs no plotting library.

Linear axes from the smallest to the largest value, five ticks each, one colour and one dash a curve (so that the
chart can be read without colours), a legend below. Colours are the Okabe-Ito set, made for colour-blind readers.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from sim.papers import Curve, Picture

WIDTH: Final = 720
HEIGHT: Final = 440
LEFT: Final = 64
RIGHT: Final = 16
TOP: Final = 40
BOTTOM: Final = 52
LEGEND: Final = 18
TICKS: Final = 5
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
DASHES: Final = ("", "6 3", "2 3", "8 3 2 3")


def svg(picture: Picture) -> str:
    """The whole document."""
    curves = [curve for curve in picture.curves if curve.points]
    xs = _range([x for curve in curves for x, _ in curve.points])
    ys = _range([0.0, *(y for curve in curves for _, y in curve.points)])
    height = HEIGHT + LEGEND * len(curves)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif"'
            f' font-size="12"><rect width="100%" height="100%" fill="white"/>'
        ),
        _text(WIDTH / 2, 22, picture.title, anchor="middle", size=15),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, picture.x, anchor="middle"),
        f'<g transform="translate(14,{HEIGHT / 2}) rotate(-90)">{_text(0, 0, picture.y, anchor="middle")}</g>',
    ]
    for step in range(TICKS + 1):
        share = step / TICKS
        x, y = _x(share), _y(share)
        parts.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(_text(x, HEIGHT - BOTTOM + 16, f"{xs[0] + share * (xs[1] - xs[0]):.4g}", anchor="middle"))
        parts.append(_text(LEFT - 6, y + 4, f"{ys[0] + share * (ys[1] - ys[0]):.4g}", anchor="end"))
    for number, curve in enumerate(curves):
        parts.extend(_curve(number, curve, xs, ys))
    return "\n".join([*parts, "</svg>\n"])


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low, low + 1)


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'


def _curve(number: int, curve: Curve, xs: tuple[float, float], ys: tuple[float, float]) -> list[str]:
    colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
    line = f'fill="none" stroke="{colour}" stroke-width="2"' + (f' stroke-dasharray="{dash}"' if dash else "")
    at = [(_x((x - xs[0]) / (xs[1] - xs[0])), _y((y - ys[0]) / (ys[1] - ys[0]))) for x, y in curve.points]
    legend = HEIGHT + LEGEND * number + 4
    return [
        f'<path d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in at)}" {line}/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in at),
        f'<path d="M{LEFT} {legend}h28" {line}/>',
        _text(LEFT + 36, legend + 4, curve.name),
    ]
