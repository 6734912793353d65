"""What ``meshnode story`` does and prints."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from meshnode.cli.client import ask

TELL_S = 35.0
"""A little longer than the hub itself waits."""
_STATES = {
    "here": "",
    "missing": "its words have not come yet",
    "erased": "withdrawn or expired: its words are gone",
    "private": "its author keeps the words",
    "unreadable": "its author has signed something that is no story",
}
_BIDI = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
_UNSAFE = {
    code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(0x7F, 0xA0), *_BIDI) if code not in (9, 10)
}
"""Controls, which would let a stranger's words command the terminal, and orders to turn the line around."""


def tell_command(
    state_dir: Path, text: str | None, *, language: str, audience: str, days: float | None, as_json: bool
) -> None:
    """Tell a story; without words on the command line they are read from standard input."""
    words = sys.stdin.read().strip() if text is None or text == "-" else text
    request: dict[str, object] = {"cmd": "story.tell", "text": words, "language": language, "audience": audience}
    if days is not None:
        request["days"] = days
    answer = ask(state_dir, request, timeout_s=TELL_S)
    if as_json:
        click.echo(json.dumps(answer))
        return
    whom = "everybody in this mesh can read it" if audience == "mesh" else "only this hub has its words"
    click.echo(f"told {str(answer['event'])[:10]}; {whom}")
    click.echo(f"take it back with: meshnode story withdraw {str(answer['event'])[:10]}")


def list_command(state_dir: Path, *, as_json: bool) -> None:
    """All stories that this hub knows of, oldest first."""
    answer = ask(state_dir, {"cmd": "story.list"}, timeout_s=TELL_S)
    if as_json:
        click.echo(json.dumps(answer))
        return
    stories = _stories(answer)
    for story in stories:
        click.echo(_line(story))
    if not stories:
        click.echo('no story yet: meshnode story tell "..."')


def show_command(state_dir: Path, event: str, *, as_json: bool) -> None:
    """One story, whole."""
    answer = ask(state_dir, {"cmd": "story.show", "event": event}, timeout_s=TELL_S)
    if as_json:
        click.echo(json.dumps(answer))
        return
    story = answer["story"]
    assert isinstance(story, dict)
    click.echo(f"{story['event']}\n{_who(story)}, {_when(story)}, for {story['audience']}{_until(story)}")
    click.echo(f"\n{story['text'].translate(_UNSAFE)}" if story["text"] is not None else f"({_STATES[story['state']]})")


def withdraw_command(state_dir: Path, event: str, *, as_json: bool) -> None:
    """Take one's own story back."""
    answer = ask(state_dir, {"cmd": "story.withdraw", "event": event}, timeout_s=TELL_S)
    if as_json:
        click.echo(json.dumps(answer))
        return
    click.echo(
        f"withdrawn {str(answer['withdrawn'])[:10]}: its words are erased here, and on every hub that hears of it"
    )


def _stories(answer: dict[str, object]) -> list[dict[str, Any]]:
    stories = answer["stories"]
    assert isinstance(stories, list)
    return stories


def _who(story: dict[str, Any]) -> str:
    return "you" if story["own"] else str(story["author"])[:10]


def _when(story: dict[str, Any]) -> str:
    if not story["utc_ms"]:
        return "date unknown"
    return datetime.fromtimestamp(story["utc_ms"] / 1_000, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def _until(story: dict[str, Any]) -> str:
    end = story["expires_utc_s"]
    return "" if end is None else f", until {datetime.fromtimestamp(end, UTC).astimezone():%Y-%m-%d %H:%M}"


def _line(story: dict[str, Any]) -> str:
    text = story["text"]
    if text is None:
        words = f"({_STATES[story['state']]})"
    else:
        first = " ".join(str(text).split()).translate(_UNSAFE)
        words = first if len(first) <= 72 else f"{first[:71]}…"
    return f"{str(story['event'])[:10]}  {_when(story):<16}  {_who(story):<10}  {words}"
