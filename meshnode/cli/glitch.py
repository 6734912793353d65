"""What ``meshnode glitch`` prints: whether the crowd is one, and how it was when it was not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import click

from meshnode.cli.client import ask

_HOW = {
    "we_dialled": "found the others by dialling",
    "they_dialled": "were found by the others",
    "heard": "heard the others through somebody",
    "moved": "got another address",
}


def now_text(glitch: dict[str, Any]) -> str | None:
    """One sentence while a glitch lasts; None while the crowd is one."""
    if glitch["crowds"] is None:
        return None
    mine, theirs = glitch["crowds"]
    if glitch["alone"]:
        return f"this hub hears nobody of {theirs}, for {glitch['for_s']:.0f} s: it, or its network, is cut off"
    return (
        f"we are two crowds now, {mine} and {theirs}, for {glitch['for_s']:.0f} s (sure to {glitch['confidence']:.2f})"
    )


def list_command(state_dir: Path, *, as_json: bool) -> None:
    """All glitches that this hub holds observations of, oldest first."""
    answer = cast(dict[str, Any], ask(state_dir, {"cmd": "glitch.list"}))
    if as_json:
        click.echo(json.dumps(answer))
        return
    click.echo(now_text(answer["now"]) or "the crowd is one")
    for line in answer["glitches"]:
        click.echo(_line(line) + (", rehearsed on this hub" if line["id"] in answer["rehearsed"] else ""))
    if not answer["glitches"]:
        click.echo("no glitch has been told of in the last two weeks")


def show_command(state_dir: Path, glitch: str, *, as_json: bool) -> None:
    """One glitch, with what each hub saw of it."""
    answer = cast(dict[str, Any], ask(state_dir, {"cmd": "glitch.show", "glitch": glitch}))
    if as_json:
        click.echo(json.dumps(answer))
        return
    record = answer["glitch"]
    click.echo(f"{record['id']}\n{_line(record)}")
    click.echo(
        f"its observers differ by {record['began_spread_ms'] / 1000:.1f} s on when it began and by "
        f"{record['lasted_spread_ms'] / 1000:.1f} s on how long it was; {record['disputed']} saw other sides"
    )
    for rehearsed in sorted({here["rehearsed"] for here in answer["here"] if here["rehearsed"]}):
        click.echo(f"it came of a rehearsal that was begun on this hub: {rehearsed}")
    for how, count in record["healed"].items():
        click.echo(f"{count} {_HOW.get(how, how)}")
    for seen in record["seen"]:
        click.echo(
            f"  {seen['author'][:10]}  {_when(seen['began_utc_ms'])} (+{seen['doubt_ms'] / 1000:.1f} s)  "
            f"{seen['lasted_ms'] / 1000:6.1f} s  {seen['mine']} here, {seen['theirs']} beyond"
        )
    for moods in answer["moods"]:
        if moods["apart_at_most"] is not None:
            click.echo(
                f"as seen here, the halves' mean {moods['dimension']} was up to {moods['apart_at_most']:.2f} apart, "
                f"at last {moods['apart_at_last']:.2f}"
            )
    for note in answer["dissonance"]:
        click.echo(f"as seen here, {note['author'][:10]} {note['what']} after {note['after_s']:.0f} s (no verdict)")


def _when(began_utc_ms: int | None) -> str:
    if began_utc_ms is None:
        return "date unknown"
    return datetime.fromtimestamp(began_utc_ms / 1_000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _line(record: dict[str, Any]) -> str:
    larger, smaller = record["sizes"]
    return (
        f"{record['id'][:10]}  {_when(record['began_utc_ms'])}  {record['lasted_ms'] / 1000:6.1f} s  "
        f"{larger} and {smaller}, told by {record['observers']}"
    )
