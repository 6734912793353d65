"""What ``meshnode trust`` does and prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from meshnode.cli.client import ask

WRITE_S = 35.0
MEET_S = 135.0
"""A little longer than the hub itself waits for the other person."""


def list_command(state_dir: Path, *, as_json: bool) -> None:
    """Everybody this hub has heard of, best standing first."""
    answer = ask(state_dir, {"cmd": "trust.list"})
    if as_json:
        click.echo(json.dumps(answer))
        return
    people: Any = answer["people"]
    for line in people:
        click.echo(f"{line['author'][:10]}  {line['value']:+.2f}  {_marks(line)}")
    if not people:
        click.echo("nobody was heard yet")
    waiting: Any = answer["want_to_meet"]
    for peer in waiting:
        click.echo(f"{peer[:10]} wants to meet you: meshnode trust vouch {peer[:10]} --code")


def why_command(state_dir: Path, author: str, *, as_json: bool) -> None:
    """Why somebody stands as it does, in words."""
    answer = ask(state_dir, {"cmd": "trust.why", "author": author})
    words: Any = answer["words"]
    click.echo(json.dumps(answer) if as_json else "\n".join(words))


def badge_command(state_dir: Path, *, as_json: bool) -> None:
    """A card that lasts: whoever reads it vouches alone."""
    answer = ask(state_dir, {"cmd": "trust.card"})
    click.echo(json.dumps(answer) if as_json else answer["card"])


def card_command(state_dir: Path, *, as_json: bool) -> None:
    """Show a card until the other person has read it, and both have said yes."""
    shown = ask(state_dir, {"cmd": "trust.show"})
    click.echo(json.dumps(shown) if as_json else shown["card"])
    click.echo("waiting for the other person to read it ...", err=True)
    read = ask(state_dir, {"cmd": "trust.read"}, timeout_s=MEET_S)
    _tell_code(read, as_json=as_json)
    same = click.confirm("Does the other hub show the same code?", err=True)
    _finish(state_dir, read["author"], same=same, as_json=as_json)


def vouch_command(state_dir: Path, whom: str, strength: int, *, as_json: bool) -> None:
    """Vouch for the hub whose card this is; with a strength of 0 or less a name will do."""
    key = "card" if ":" in whom else "author"
    answer = ask(state_dir, {"cmd": "trust.vouch", key: whom, "strength": strength}, timeout_s=WRITE_S)
    if as_json:
        click.echo(json.dumps(answer))
        return
    said = "you vouch for" if strength > 0 else "you have taken back what you said of" if not strength else "against"
    circle = f", and to {answer['circle']} of your circle" if answer["circle"] else ""
    click.echo(f"written, sealed to it and to you{circle}: {said} {str(answer['author'])[:10]}")


def meet_command(state_dir: Path, whom: str, *, as_json: bool) -> None:
    """Both people run this about each other, and compare the code; or one has read the other's card, and says yes."""
    key = "card" if ":" in whom else "author"
    click.echo("waiting for the other hub ...", err=True)
    met = ask(state_dir, {"cmd": "trust.meet", key: whom}, timeout_s=MEET_S)
    _tell_code(met, as_json=as_json)
    if key == "card":
        click.echo("show it to the other person, who must say yes as well ...", err=True)
        same = True
    else:
        same = click.confirm("Does the other hub show the same code?", err=True)
    _finish(state_dir, met["author"], same=same, as_json=as_json)


def circle_command(state_dir: Path, author: str | None, *, on: bool, as_json: bool) -> None:
    """The circle, after somebody was put in or taken out."""
    change: dict[str, object] = {} if author is None else {"author": author, "on": on}
    answer = ask(state_dir, {"cmd": "trust.circle", **change})
    if as_json:
        click.echo(json.dumps(answer))
        return
    circle: Any = answer["circle"]
    for line in circle:
        click.echo(f"{line['author'][:10]}  {'reads' if line['reads'] else 'does not read now'}")
    if not circle:
        click.echo("nobody: what you say of somebody is sealed to that person and to you alone")


def _tell_code(met: dict[str, object], *, as_json: bool) -> None:
    code = str(met["code"])
    click.echo(json.dumps(met) if as_json else f"{str(met['author'])[:10]}: the code is  {code[:3]} {code[3:]}")


def _finish(state_dir: Path, author: object, *, same: bool, as_json: bool) -> None:
    done = ask(state_dir, {"cmd": "trust.confirm", "author": author, "same": same}, timeout_s=MEET_S)
    click.echo(json.dumps(done) if as_json else f"you vouch for {str(done['author'])[:10]}, and it for you")


def regard_command(state_dir: Path, what: str, author: str, *, on: bool, as_json: bool) -> None:
    """Block or mute somebody, or no longer."""
    answer = ask(state_dir, {"cmd": f"trust.{what}", "author": author, "on": on})
    click.echo(json.dumps(answer) if as_json else f"{str(answer['author'])[:10]}  {_marks(answer)}")


def _marks(line: dict[str, Any]) -> str:
    marks = [name for name in ("contact", "blocked", "muted") if line[name]]
    if line["proven"]:
        marks.append("proven malicious, not settled")
    return f"{line['attention']:<8}" + ", ".join(marks)
