"""The live picture in a terminal: the crowd as each hub sees it, and one hub's view of everybody in full."""

from __future__ import annotations

from typing import Any

from meshnode.cli.glitch import now_text
from meshnode.cli.show import author_row, crowd_text, gauge

CLEAR = "\x1b[H\x1b[J"


def picture(statuses: list[dict[str, Any]], names: list[str], phase: str, elapsed_s: float, focus: int) -> str:
    """One frame: rows are hubs, columns are the authors they see."""
    order = [status["author"] for status in statuses]
    lines = [f"meshnode demo   {elapsed_s:5.1f} s   {phase}", ""]
    head = " ".join(f"{number:>3}" for number in range(len(order)))
    lines.append(f"hub person   {'calm    arousal   stirred':<30}   {head}   its crowd")
    for number, status in enumerate(statuses):
        lines.append(_row(number, status, names[number], order))
    lines.append("")
    lines.append("cells: seconds since the value was made; ● linked, ○ relayed, x out of reach, - nothing held")
    shown = statuses[focus % len(statuses)]
    torn = now_text(shown["glitch"])
    lines += [] if torn is None else [f"hub {focus % len(statuses)} says: {torn}"]
    lines.append(f"hub {focus % len(statuses)} in full: {crowd_text(shown['crowd'])}")
    lines += ["  " + author_row(line) for line in shown["authors"]]
    return "\n".join(lines)


def _row(number: int, status: dict[str, Any], name: str, order: list[str]) -> str:
    seen = {line["author"]: line for line in status["authors"]}
    own = seen.get(status["author"])
    arousal = {"value": None, "sd": None} if own is None else own["values"].get("arousal", {"value": None, "sd": None})
    value = "unknown" if arousal["value"] is None else f"{arousal['value']:+.2f}"
    crowd = status["crowd"]
    mean = f"arousal {crowd['mean']:+.3f} ± {crowd['mean_se']:.2f}" if crowd["mean"] is not None else crowd["reason"]
    out = len(crowd["out_of_reach"])
    where = f"{crowd['in_reach']} here" + (f", {out} out of reach" if out else "")
    if status["glitch"]["crowds"] is not None:
        where = "two crowds, {} and {}".format(*status["glitch"]["crowds"])
    cells = " ".join(_cell(seen.get(author)) for author in order)
    return f"{number:>3} {name[:8]:<8} {gauge(arousal['value'], arousal['sd'])} {value:>8}   {cells}   {where}: {mean}"


def _cell(line: dict[str, Any] | None) -> str:
    if line is None:
        return "  -"
    if line["own"]:
        return "  ■"
    mark = "x" if not line["in_reach"] else "●" if line["linked"] else "○"
    age = line["age_ms"] / 1000
    return f"{mark}{age:2.0f}" if age >= 9.95 else f"{mark}.{int(age * 10)}" if age < 1 else f"{mark}{age:2.0f}"
