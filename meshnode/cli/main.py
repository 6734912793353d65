"""The ``meshnode`` command. Exit codes: 0 done, 1 a bar was missed or the hub is unwell, 2 a setting or argument is
wrong, 3 no hub is running.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from meshnode.cli.client import ask
from meshnode.cli.groups import glitch, story, trust
from meshnode.cli.options import CONFIG, JSON, STATE, load, state_dir_of


class _Group(click.Group):
    """Turns our own errors into one clear line and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        from protocol.errors import MeshError

        try:
            return super().invoke(ctx)
        except MeshError as fault:
            _fail(str(fault))
        except BaseExceptionGroup as group:
            faults = _leaves(group)
            if faults and all(isinstance(fault, MeshError) for fault in faults):
                _fail(str(faults[0]))
            raise


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    out: list[BaseException] = []
    for fault in group.exceptions:
        out.extend(_leaves(fault) if isinstance(fault, BaseExceptionGroup) else [fault])
    return out


def _fail(message: str) -> None:
    click.echo(f"meshnode: {message}", err=True)
    sys.exit(2)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="meshnode")
def main() -> None:
    """A mesh that lets a crowd feel together, on each person's own terms."""


for _group in (story, glitch, trust):
    main.add_command(_group)


@main.command()
@CONFIG
@STATE
@click.option("--listen", metavar="HOST:PORT", help="Where to listen; port 0 lets the system pick.")
@click.option("--peer", "peers", multiple=True, metavar="HOST:PORT[/AUTHOR]", help="A hub to dial; may be repeated.")
@click.option("--mesh", metavar="NAME", help="The open mesh of this name.")
@click.option("--secret-file", type=click.Path(path_type=Path), help="The invite mesh whose secret is in this file.")
@click.option("--replay", type=click.Path(path_type=Path), help="Play this recording as if it were live.")
@click.option("--speed", type=float, help="How fast to play it (1 is real time).")
@click.option("--offset-s", type=float, help="Where in the recording to begin.")
@click.option("--share/--no-share", default=None, help="Let every hub of the mesh read your coarse vector.")
@click.option("--cadence-ms", type=int, help="How often a vector is sent.")
@click.option("--max-links", type=int, help="How many links to seek.")
@click.option("--mdns/--no-mdns", default=None, help="Find other hubs by multicast DNS.")
@click.option("--interface", "interfaces", multiple=True, help="Discover on this interface or address only.")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="How log lines look.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="Least level to log.")
@click.option("--with-parent", is_flag=True, hidden=True, help="End when standard input does.")
@click.option("--lab", is_flag=True, help="Open the rehearsal's fault port on the control socket.")
@JSON
def run(
    config_path: Path | None, state_dir: Path | None, lab: bool, with_parent: bool, as_json: bool, **options: Any
) -> None:
    """Run this hub until it is told to stop."""
    from meshnode.cli.run import run_command

    run_command(config_path, state_dir, lab=lab, with_parent=with_parent, as_json=as_json, options=options)


@main.command()
@CONFIG
@STATE
@JSON
def status(config_path: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """What the running hub sees: the crowd, every person in it, every refusal counted."""
    answer = ask(state_dir_of(config_path, state_dir), {"cmd": "status"})
    if as_json:
        click.echo(json.dumps(answer))
        return
    from meshnode.cli.show import status_text

    click.echo(status_text(answer))


@main.command()
@CONFIG
@STATE
@JSON
def peers(config_path: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """Links and lost peers."""
    answer = ask(state_dir_of(config_path, state_dir), {"cmd": "status"})
    if as_json:
        click.echo(
            json.dumps({key: answer[key] for key in ("links", "exiles", "overlay", "opinions", "known_peers", "mdns")})
        )
        return
    from meshnode.cli.show import peers_text

    click.echo(peers_text(answer))


@main.command()
@CONFIG
@STATE
@JSON
@click.option("--every", "every_s", type=click.FloatRange(0.1, 60), default=1.0, help="Seconds between pictures.")
@click.option("--count", type=click.IntRange(0), default=0, help="Stop after so many pictures (0: never).")
@click.option("--once", is_flag=True, help="One picture; the same as --count 1.")
def watch(
    config_path: Path | None, state_dir: Path | None, as_json: bool, every_s: float, count: int, once: bool
) -> None:
    """Draw who is linked with whom, again and again: this hub, its neighbors, and whom they tell of."""
    from shutil import get_terminal_size
    from threading import Event

    from meshnode.cli.watch import draw, graph

    place = state_dir_of(config_path, state_dir)
    shown = 0
    pause = Event()
    live = sys.stdout.isatty() and not once
    try:
        while True:
            picture = graph(ask(place, {"cmd": "status"}))
            if as_json:
                click.echo(json.dumps(picture))
            else:
                click.echo(("\x1b[2J\x1b[H" if live else "") + draw(picture, *get_terminal_size()))
            shown += 1
            if once or shown == count:
                return
            pause.wait(every_s)
    except KeyboardInterrupt:
        return


@main.command()
@CONFIG
@STATE
@JSON
def identity(config_path: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """The names under which this hub is known, one for each mesh."""
    from meshnode.cli.show import identity_lines

    lines = identity_lines(state_dir_of(config_path, state_dir))
    if as_json:
        click.echo(json.dumps({"identities": lines}))
        return
    if not lines:
        click.echo("no identity yet: the first `meshnode run --mesh NAME` makes one")
    for line in lines:
        click.echo(f"{line['author']}  {line['admission']} mesh {line['mesh']!r}, key changed {line['rotation']} times")


@main.group()
def config() -> None:
    """The settings: where they are, what they are, and who set them."""


@config.command("show")
@CONFIG
@JSON
@click.option("--origin", is_flag=True, help="Say for each setting where it came from.")
def config_show(config_path: Path | None, as_json: bool, origin: bool) -> None:
    """Every setting as it is now."""
    loaded = load(config_path, {})
    if as_json:
        rows = [{"key": key, "value": value, "origin": where} for key, value, where in loaded.rows()]
        click.echo(json.dumps({"settings": rows, "notices": list(loaded.notices)}))
        return
    for key, value, where in loaded.rows():
        click.echo(f"{key} = {value}" + (f"    # {where}" if origin else ""))
    for notice in loaded.notices:
        click.echo(f"note: {notice}", err=True)


@config.command("path")
@CONFIG
def config_path_command(config_path: Path | None) -> None:
    """Where the settings file is."""
    from meshnode.config import default_config_path

    click.echo(config_path or default_config_path(os.environ))


@config.command("init")
@CONFIG
def config_init(config_path: Path | None) -> None:
    """Write a settings file full of comments, unless there is one."""
    from meshnode.config import default_config_path, write_default_config

    path = config_path or default_config_path(os.environ)
    click.echo(f"wrote {path}" if write_default_config(path) else f"{path} is there already; nothing was changed")


@main.command()
@CONFIG
@STATE
@JSON
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--with-keys", is_flag=True, help="Include the secret keys: whoever has the file is then you.")
def backup(config_path: Path | None, state_dir: Path | None, as_json: bool, file: Path, with_keys: bool) -> None:
    """Write everything this hub holds into one file, while it runs or not."""
    from meshnode.cli.storage import backup_command

    backup_command(state_dir_of(config_path, state_dir), file, with_keys=with_keys, as_json=as_json)


@main.command()
@CONFIG
@STATE
@JSON
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def restore(config_path: Path | None, state_dir: Path | None, as_json: bool, file: Path) -> None:
    """Bring a backup back; the hub must not run."""
    from meshnode.cli.storage import restore_command

    restore_command(state_dir_of(config_path, state_dir), file, as_json=as_json)


@main.command()
@CONFIG
@STATE
@JSON
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
def verify(config_path: Path | None, state_dir: Path | None, as_json: bool, file: Path | None) -> None:
    """Check every page, signature and chain of the databases, or of one database or backup."""
    from meshnode.cli.storage import verify_command

    place = None if file is not None else state_dir_of(config_path, state_dir)
    sys.exit(verify_command(place, file, as_json=as_json))


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what a shell needs to complete meshnode's words, e.g. `eval "$(meshnode completion bash)"`."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "meshnode", "_MESHNODE_COMPLETE").source())


@main.command()
@JSON
@click.option("--hubs", type=click.IntRange(2, 64), default=12, help="How many hubs, each a process of its own.")
@click.option("--seconds", type=click.IntRange(20, 3600), default=60, help="How long, all in all.")
@click.option("--seed", type=int, default=None, help="Draws groups, times and cadences (default: from the clock).")
@click.option("--max-links", type=click.IntRange(2, 16), default=8, help="How many links each hub seeks.")
@click.option("--keep", is_flag=True, help="Keep the logs and state of the hubs and say where.")
@click.option("--picture", type=click.Path(path_type=Path), help="Write the frame of the cut as an SVG file.")
def demo(as_json: bool, **options: Any) -> None:
    """A crowd on this machine: real recordings, real discovery, a scripted glitch, live in the terminal."""
    try:
        from meshnode.demo.run import demo_command

        status = demo_command(as_json=as_json, **options)
    except KeyboardInterrupt:  # before there was a loop to hear of it
        click.echo("stopped; no hub is left running", err=True)
        status = 130
    sys.exit(status)
