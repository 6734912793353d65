"""``meshnode glitch inject``: asks, confirms, watches, reports; Ctrl-C ends the rehearsal at once.

The hub does everything; this command only keeps asking it how it goes, and the hub ends the rehearsal if it does not.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

import click

from meshnode.cli.client import ask
from meshnode.cli.options import CONFIG, JSON, STATE, state_dir_of

F = TypeVar("F", bound=Callable[..., Any])

EVERY_S = 0.25
"""The hub ends what nobody has asked after for 2.5 s."""
PATIENCE_S = 15.0
"""For one answer: a starved hub answers late."""
INTERRUPTED = 130
NOT_WHOLE = 1


@click.group()
def inject() -> None:
    """Rehearse a glitch on this living hub: bounded in time, always undone, reported at the end.

    It ends by itself, with Ctrl-C, with `meshnode glitch inject stop`, and with this command or the hub, however they
    end. Exit codes: 0 all was as before in the end, 1 it was not within a minute, 130 it was interrupted.
    """


def _shared(command: F) -> F:
    seconds = click.FloatRange(1, 120)
    for option in (
        click.option("--yes", is_flag=True, help="Do not ask; needed where nobody can answer."),
        click.option("--for", "for_s", type=seconds, default=10.0, show_default=True, help="Seconds."),
        JSON,
        STATE,
        CONFIG,
    ):
        command = option(command)
    return command


_PEERS = click.option("--peer", "peers", multiple=True, metavar="ID", help="Only this hub; may be repeated.")


@inject.command("loss")
@click.option("--share", type=click.FloatRange(0.01, 0.6), default=0.2, show_default=True, help="Of what passes.")
@_PEERS
@_shared
def inject_loss(**options: Any) -> None:
    """Lose a share of what passes on links, both ways: on a stream that is lateness, and silence in the end."""
    _rehearse("loss", options)


@inject.command("delay")
@click.option("--delay-ms", type=click.FloatRange(1, 1_000), default=200.0, show_default=True, help="Each way.")
@click.option(
    "--jitter-ms", type=click.FloatRange(0, 1_000), default=50.0, show_default=True, help="Up to so much more."
)
@_PEERS
@_shared
def inject_delay(**options: Any) -> None:
    """Hear and say everything later."""
    _rehearse("delay", options)


@inject.command("split")
@click.option("--share", type=click.FloatRange(0.01, 1), help="Of the hubs in reach, drawn anew (default: everybody).")
@_PEERS
@_shared
def inject_split(**options: Any) -> None:
    """Cut this hub off from everybody, a share of them, or those named: silence and hanging dials, both ways."""
    if options["share"] is not None and options["peers"]:
        raise click.UsageError("--share and --peer exclude each other")
    _rehearse("split", options)


@inject.command("clock")
@click.option(
    "--behind-s", type=click.FloatRange(0, 86_400), default=300.0, show_default=True, help="0: no date at all."
)
@_shared
def inject_clock(**options: Any) -> None:
    """Let this hub read a date that is behind, or none; the machine's clock is not touched."""
    _rehearse("clock", options)


@inject.command("starvation")
@click.option(
    "--burst-ms", type=click.FloatRange(10, 3_000), default=1_000.0, show_default=True, help="Standing still."
)
@click.option("--awake-ms", type=click.FloatRange(500, 10_000), default=1_000.0, show_default=True, help="In between.")
@_shared
def inject_starvation(**options: Any) -> None:
    """Give this hub no processor time, in bursts."""
    _rehearse("starvation", options)


@inject.command("rogue")
@click.option("--conduct", type=click.Choice(["replay", "flood", "garbage"]), default="replay", show_default=True)
@_shared
def inject_rogue(**options: Any) -> None:
    """Let a stranger of this hub's own making join it and misbehave; the stranger hears what any hub may hear."""
    _rehearse("rogue", options)


@inject.command("stop")
@CONFIG
@STATE
@JSON
def inject_stop(config_path: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """End the rehearsal that goes on, whoever has begun it."""
    answer = ask(state_dir_of(config_path, state_dir), {"cmd": "glitch.stop"}, timeout_s=PATIENCE_S)
    if as_json:
        click.echo(json.dumps(answer))
    else:
        click.echo("nothing is injected any more" if answer["state"] == "over" else f"ended: {answer['fault']}")


def now_text(rehearsal: dict[str, Any] | None) -> str | None:
    """One sentence while a rehearsal goes on on this hub."""
    if rehearsal is None:
        return None
    if rehearsal["state"] == "healing":
        return f"a rehearsal ({rehearsal['fault']}) is over on this hub; it watches how all comes together again"
    left = f"{rehearsal['left_s']:.0f} s left; `meshnode glitch inject stop` ends it"
    return f"a rehearsal: this hub {rehearsal['text']} ({left})"


def _rehearse(fault: str, options: dict[str, Any]) -> None:
    place = state_dir_of(options.pop("config_path"), options.pop("state_dir"))
    as_json, yes = options.pop("as_json"), options.pop("yes")
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked here: say --yes to go on without")
    request = {"fault": fault} | {key: value for key, value in options.items() if value not in (None, ())}
    plan = ask(place, {"cmd": "glitch.plan", **request}, timeout_s=PATIENCE_S)
    click.echo(_asked(plan), err=True)
    if not yes:
        click.confirm("Go on?", abort=True, err=True)
    if fault == "split" and plan["peers"] is not None:
        request = {"fault": fault, "for_s": request["for_s"], "peers": plan["peers"]}  # those that were shown
    number = ask(place, {"cmd": "glitch.inject", **request}, timeout_s=PATIENCE_S)["number"]
    code = 0
    try:
        report = _followed(place, number)
    except KeyboardInterrupt:
        report, code = _ended(place, number), INTERRUPTED
    click.echo(json.dumps(report) if as_json else report_text(report))
    sys.exit(code or (NOT_WHOLE if report["whole_after_s"] is None else 0))


def _followed(place: Path, number: object) -> dict[str, Any]:
    pause = Event()
    while True:
        told = ask(place, {"cmd": "glitch.rehearsal", "number": number}, timeout_s=PATIENCE_S)
        if told["state"] == "over":
            return told
        pause.wait(EVERY_S)


def _ended(place: Path, number: object) -> dict[str, Any]:
    """Stop it, and do not wait for the heal either."""
    for _ in range(2):
        ask(place, {"cmd": "glitch.stop", "number": number}, timeout_s=PATIENCE_S)
        with contextlib.suppress(KeyboardInterrupt):
            Event().wait(EVERY_S)
    return _followed(place, number)


def _asked(plan: dict[str, Any]) -> str:
    return (
        f"For {plan['for_s']:g} s this hub, {plan['hub'][:10]}, {plan['text']}.\n"
        f"It has {plan['links']} links, and {plan['in_reach']} people are in reach. No other hub does anything: "
        "to them it is weather.\n"
        "Nothing stored is lost, nobody is blamed, nothing more is shared. If the crowd is torn, all hubs' timelines\n"
        "tell of it. Ctrl-C, or `meshnode glitch inject stop` elsewhere, ends it at once."
    )


def report_text(report: dict[str, Any]) -> str:
    """What there was, for a terminal."""
    links, reach, age = report["links"], report["in_reach"], report["age_ms"]
    lines = [
        f"rehearsal: this hub {report['text']}; {report['lasted_s']:.1f} s, {report['ended']}",
        f"links: {links['before']}, {len(links['lost'])} lost; silent for {report['longest_silence_s']:.1f} s at most",
        f"people in reach: {reach['before']} before, {reach['least']} at the worst",
    ]
    if age["median"] is not None:
        lines.append(
            f"others' values were {age['median'] / 1000:.1f} s old (median), {age['most'] / 1000:.1f} s at most"
        )
    lines += [_glitch_line(glitch) for glitch in report["glitches"]]
    if not report["glitches"]:
        lines.append("no glitch was noticed here")
    if report.get("segments_lost"):
        lines.append(f"{report['segments_lost']} segments were lost and came again")
    if report["dropped"]:
        lines.append("refused meanwhile: " + ", ".join(f"{why} {count}" for why, count in report["dropped"].items()))
    if report.get("rogue"):
        rogue = report["rogue"]
        lines.append(
            f"the stranger joined {rogue['joined']} times and was thrown out {rogue['thrown_out']} times; "
            f"it said {rogue['said']} things"
        )
    whole = report["whole_after_s"]
    lines.append(
        "not all was as before when the watch ended"
        if whole is None
        else f"all was as before {whole:.1f} s after the end"
    )
    return "\n".join(lines)


def _glitch_line(glitch: dict[str, Any]) -> str:
    sides = {True: ", the sides are right", False: ", the sides are wrong", None: ""}[glitch["sides_right"]]
    return (
        f"glitch ({glitch['kind']}): {glitch['mine']} and {glitch['theirs']}{sides}; noticed after "
        f"{glitch['noticed_after_s']:.1f} s, its beginning off by {glitch['began_off_s']:+.1f} s, "
        f"{'with' if glitch['amnesty'] else 'without'} amnesty"
    )
