"""The commands about what lasts: ``meshnode story``, ``meshnode glitch`` and ``meshnode trust``."""

from __future__ import annotations

from pathlib import Path

import click

from meshnode.cli.inject import inject
from meshnode.cli.options import CONFIG, JSON, STATE, state_dir_of


@click.group()
def story() -> None:
    """What people tell: stories that last, spread through the mesh, and can be taken back."""


@story.command("tell")
@CONFIG
@STATE
@JSON
@click.argument("text", required=False)
@click.option("--language", default="", help="The language of the words, as a BCP 47 tag such as de or pt-BR.")
@click.option(
    "--for", "audience", type=click.Choice(["mesh", "self", "circle"]), default="mesh", help="Who may read it."
)
@click.option("--days", type=click.FloatRange(0, 36_500, min_open=True), help="Erase the words after so many days.")
def story_tell(
    config_path: Path | None,
    state_dir: Path | None,
    as_json: bool,
    text: str | None,
    language: str,
    audience: str,
    days: float | None,
) -> None:
    """Tell a story (TEXT, or standard input); returns when it is signed and on the disk."""
    from meshnode.cli.story import tell_command

    place = state_dir_of(config_path, state_dir)
    tell_command(place, text, language=language, audience=audience, days=days, as_json=as_json)


@story.command("list")
@CONFIG
@STATE
@JSON
def story_list(config_path: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """The stories that this hub knows of, oldest first."""
    from meshnode.cli.story import list_command

    list_command(state_dir_of(config_path, state_dir), as_json=as_json)


@story.command("show")
@CONFIG
@STATE
@JSON
@click.argument("event")
def story_show(config_path: Path | None, state_dir: Path | None, as_json: bool, event: str) -> None:
    """One story, whole; EVENT is the beginning of its id."""
    from meshnode.cli.story import show_command

    show_command(state_dir_of(config_path, state_dir), event, as_json=as_json)


@story.command("withdraw")
@CONFIG
@STATE
@JSON
@click.argument("event")
def story_withdraw(config_path: Path | None, state_dir: Path | None, as_json: bool, event: str) -> None:
    """Take a story of your own back: its words are erased on every hub that hears of it."""
    from meshnode.cli.story import withdraw_command

    withdraw_command(state_dir_of(config_path, state_dir), event, as_json=as_json)


@click.group()
def glitch() -> None:
    """When the crowd was torn: what lasts now, and what all hubs together saw of it."""


@glitch.command("list")
@CONFIG
@STATE
@JSON
def glitch_list(config_path: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """Whether the crowd is one, and the glitches of the last two weeks, oldest first."""
    from meshnode.cli.glitch import list_command

    list_command(state_dir_of(config_path, state_dir), as_json=as_json)


@glitch.command("show")
@CONFIG
@STATE
@JSON
@click.argument("glitch_id", metavar="GLITCH")
def glitch_show(config_path: Path | None, state_dir: Path | None, as_json: bool, glitch_id: str) -> None:
    """One glitch and what each hub saw of it; GLITCH is the beginning of its id."""
    from meshnode.cli.glitch import show_command

    show_command(state_dir_of(config_path, state_dir), glitch_id, as_json=as_json)


glitch.add_command(inject)


@click.group()
def trust() -> None:
    """Whom this hub trusts and why: its own view, which nobody else sees."""


@trust.command("list")
@CONFIG
@STATE
@JSON
def trust_list(config_path: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """Everybody this hub has heard of, best standing first."""
    from meshnode.cli.trust import list_command

    list_command(state_dir_of(config_path, state_dir), as_json=as_json)


@trust.command("why")
@CONFIG
@STATE
@JSON
@click.argument("author")
def trust_why(config_path: Path | None, state_dir: Path | None, as_json: bool, author: str) -> None:
    """Why somebody stands as it does, every line of it; AUTHOR is the beginning of its id."""
    from meshnode.cli.trust import why_command

    why_command(state_dir_of(config_path, state_dir), author, as_json=as_json)


@trust.command("card")
@CONFIG
@STATE
@JSON
@click.option(
    "--badge", is_flag=True, help="A card that lasts, to wear: whoever reads it vouches, and you are not asked."
)
def trust_card(config_path: Path | None, state_dir: Path | None, as_json: bool, badge: bool) -> None:
    """Show a card to somebody who stands before you; when it was read and both said yes, each vouches."""
    from meshnode.cli.trust import badge_command, card_command

    place = state_dir_of(config_path, state_dir)
    if badge:
        badge_command(place, as_json=as_json)
    else:
        card_command(place, as_json=as_json)


@trust.command("vouch")
@CONFIG
@STATE
@JSON
@click.argument("whom")
@click.option("--code", is_flag=True, help="Both of you run this and compare a code; WHOM is the beginning of an id.")
@click.option("--alone", is_flag=True, help="Vouch without the other hub, which need not be here and is not asked.")
@click.option(
    "--strength", type=click.IntRange(-100, 100), default=100, help="How much; 0 takes it back, below 0 warns."
)
def trust_vouch(
    config_path: Path | None,
    state_dir: Path | None,
    as_json: bool,
    whom: str,
    code: bool,
    alone: bool,
    strength: int,
) -> None:
    """Vouch for somebody who stands before you: WHOM is the card that its hub shows, or use --code.

    By a card that is being shown, or a code, you meet: each of you vouches once both have said yes. By a badge, or with
    --alone or a --strength, only you do.
    """
    from meshnode.cli.trust import meet_command, vouch_command

    place = state_dir_of(config_path, state_dir)
    shown = whom.count(":") == 3 and strength == 100 and not alone
    if code or shown:
        meet_command(place, whom, as_json=as_json)
    else:
        vouch_command(place, whom, strength, as_json=as_json)


@trust.group("circle")
def trust_circle() -> None:
    """The people who may read whom you vouch for and whom you warn of; nobody, until you choose."""


@trust_circle.command("list")
@CONFIG
@STATE
@JSON
def circle_list(config_path: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """Who is in your circle, and who reads what you say now."""
    from meshnode.cli.trust import circle_command

    circle_command(state_dir_of(config_path, state_dir), None, on=True, as_json=as_json)


@trust_circle.command("add")
@CONFIG
@STATE
@JSON
@click.argument("author")
def circle_add(config_path: Path | None, state_dir: Path | None, as_json: bool, author: str) -> None:
    """Let a contact read what you say of others from now on; AUTHOR is the beginning of its id."""
    from meshnode.cli.trust import circle_command

    circle_command(state_dir_of(config_path, state_dir), author, on=True, as_json=as_json)


@trust_circle.command("remove")
@CONFIG
@STATE
@JSON
@click.argument("author")
def circle_remove(config_path: Path | None, state_dir: Path | None, as_json: bool, author: str) -> None:
    """Let somebody read no more; what was read before cannot be taken back."""
    from meshnode.cli.trust import circle_command

    circle_command(state_dir_of(config_path, state_dir), author, on=False, as_json=as_json)


@trust.command("block")
@CONFIG
@STATE
@JSON
@click.argument("author")
def trust_block(config_path: Path | None, state_dir: Path | None, as_json: bool, author: str) -> None:
    """Want nothing to do with somebody: not shown, not heard, no weight; nobody is told."""
    from meshnode.cli.trust import regard_command

    regard_command(state_dir_of(config_path, state_dir), "block", author, on=True, as_json=as_json)


@trust.command("unblock")
@CONFIG
@STATE
@JSON
@click.argument("author")
def trust_unblock(config_path: Path | None, state_dir: Path | None, as_json: bool, author: str) -> None:
    """Take a block back."""
    from meshnode.cli.trust import regard_command

    regard_command(state_dir_of(config_path, state_dir), "block", author, on=False, as_json=as_json)


@trust.command("mute")
@CONFIG
@STATE
@JSON
@click.argument("author")
def trust_mute(config_path: Path | None, state_dir: Path | None, as_json: bool, author: str) -> None:
    """Do not show somebody; nothing else changes."""
    from meshnode.cli.trust import regard_command

    regard_command(state_dir_of(config_path, state_dir), "mute", author, on=True, as_json=as_json)


@trust.command("unmute")
@CONFIG
@STATE
@JSON
@click.argument("author")
def trust_unmute(config_path: Path | None, state_dir: Path | None, as_json: bool, author: str) -> None:
    """Show somebody again."""
    from meshnode.cli.trust import regard_command

    regard_command(state_dir_of(config_path, state_dir), "mute", author, on=False, as_json=as_json)
