"""A terminal frame as an SVG picture, for documents: ``meshnode demo --picture FILE`` writes what the screen showed."""

from __future__ import annotations

from html import escape

_LINE = 18
_CHARACTER = 8.43
_COLOURS = (("●", "#7ee787"), ("○", "#79c0ff"), ("■", "#d2a8ff"), ("x", "#ff7b72"))


def svg(frame: str) -> str:
    """``frame`` as monospaced text on a dark ground."""
    lines = frame.splitlines()
    width = round(max(len(line) for line in lines) * _CHARACTER + 32)
    height = len(lines) * _LINE + 32
    rows = [
        f'<text x="16" y="{16 + _LINE * (number + 1) - 4}" xml:space="preserve">{_coloured(line)}</text>'
        for number, line in enumerate(lines)
    ]
    style = "font: 14px 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #e6edf3; white-space: pre"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>',
            f'<g style="{style}">',
            *rows,
            "</g>",
            "</svg>",
            "",
        ]
    )


def _coloured(line: str) -> str:
    out = escape(line)
    for mark, colour in _COLOURS:
        if mark == "x":
            out = out.replace(" x", f' <tspan fill="{colour}">x</tspan>')
        else:
            out = out.replace(mark, f'<tspan fill="{colour}">{mark}</tspan>')
    return out
