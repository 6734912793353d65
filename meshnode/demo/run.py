"""``meshnode demo``: the script, its figures and its bars.

The cut is real to the protocol: bytes vanish without a word in both directions, dials hang, announcements are
hidden (``meshnode.transport.lab``). What is judged was recorded by the hubs themselves every 100 ms.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import trio

from meshnode.clock import boot_us, utc_ms
from meshnode.demo.crowd import Crowd, pss_mb, started_us
from meshnode.demo.folder import private_folder
from meshnode.demo.judge import (
    Ages,
    Records,
    Timeline,
    hops_between,
    judge_ages,
    noticed_s,
    past_lease,
    recovered_s,
    side_means,
    unaccounted,
    wrong_values,
)
from meshnode.demo.screen import CLEAR, picture
from meshnode.demo.svg import svg
from meshnode.entropy import entropy
from meshnode.sensing.excerpts import list_people
from protocol.bars import Bar, all_met, emit, percentile
from protocol.clock import SECOND
from protocol.rng import Rng

CADENCE_MS = 1_000
LINKED_WAIT_S = 20.0
SETTLE_S = 2.0
RECOVER_S = 8.0
CUT_S = (10, 20)
SIDE_MIN = 5
CROWD_MIN = 3
"""So many at least on each side make two crowds of one; fewer who vanish have left, as far as others can tell."""
SETTLED_S = 12.0
TIMELINE_S = 30.0
FRAME_S = 0.5
INTO_TASK_S = 30.0
INTO_TASK_OF = {"S13": 90.0, "S21": 45.0, "S25": 45.0}
"""Everybody's recording begins half a minute into their Stroop test, or a little later where the wristband slipped just
then: for two minutes from there every person's arousal is known, so both halves of a cut have a figure to show."""


@dataclass(slots=True)
class Story:
    """What happened, as it happens."""

    hubs: int
    seconds: int
    seed: int
    groups: list[list[int]] = field(default_factory=list)
    cut_s: float = 0.0
    command: int = 0
    last_ready: int = 0
    linked: int | None = None
    first_picture: int = 0
    cut: int = 0
    heal_begin: int = 0
    heal: int = 0
    end: int = 0
    phase: str = "starting"
    sides_right: list[bool] = field(default_factory=list)
    side_means: list[float | None] = field(default_factory=list)
    whole_means: list[float | None] = field(default_factory=list)
    same_picture: bool = False
    told: list[list[int] | None] = field(default_factory=list)
    timelines: list[list[dict[str, Any]]] = field(default_factory=list)
    timeline_s: float | None = None
    links: list[set[int]] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    pss: list[float | None] = field(default_factory=list)
    dumps: list[dict[str, Any]] = field(default_factory=list)
    picture: Path | None = None
    stopped: bool = False


def draw(story: Story) -> None:
    """Groups and lengths from the seed; both sides keep enough people for a crowd figure if there are enough."""
    rng = Rng(story.seed)
    indices = list(range(story.hubs))
    rng.shuffle(indices)
    low = min(SIDE_MIN, story.hubs // 2)
    size = rng.between(low, story.hubs - low)
    story.groups = [sorted(indices[:size]), sorted(indices[size:])]
    spare = story.seconds - 8 - RECOVER_S - SETTLE_S
    story.cut_s = float(rng.between(CUT_S[0], max(CUT_S[0], min(CUT_S[1], int(spare) - 2))))


def links_of(statuses: list[dict[str, Any]]) -> list[set[int]]:
    """The link graph by hub index, open links only."""
    index = {status["author"]: number for number, status in enumerate(statuses)}
    return [
        {index[link["peer"]] for link in status["links"] if link["state"] == "open" and link["peer"] in index}
        for status in statuses
    ]


def all_linked(statuses: list[dict[str, Any]]) -> bool:
    """One connected graph in which everybody has at least three links (or all there are)."""
    links = links_of(statuses)
    least = min(3, len(statuses) - 1)
    return all(len(peers) >= least for peers in links) and max(hops_between(links)[0]) < 1_000


class Show:
    """Draws frames if somebody is looking."""

    def __init__(self, crowd: Crowd, story: Story, *, live: bool, tty: bool) -> None:
        self._crowd = crowd
        self._story = story
        self._live = live
        self._tty = tty
        self._frames = 0

    async def run(self) -> None:
        """Ask every hub and draw, until cancelled."""
        while True:
            statuses = await self._crowd.ask_all({"cmd": "status"})
            self._story.statuses = statuses
            if all(len(status["authors"]) == len(statuses) for status in statuses) and not self._story.first_picture:
                self._story.first_picture = boot_us()
            if self._live:
                self._draw(statuses)
            await trio.sleep(FRAME_S if self._story.linked else 0.1)

    def _draw(self, statuses: list[dict[str, Any]]) -> None:
        story = self._story
        elapsed = (boot_us() - story.command) / SECOND
        names = [hub.name for hub in self._crowd.hubs]
        if self._tty:
            frame = picture(statuses, names, story.phase, elapsed, int(elapsed // 4))
            click.echo(CLEAR + frame)
        elif self._frames % 10 == 0:
            sizes = sorted({status["crowd"]["in_reach"] for status in statuses}, reverse=True)
            click.echo(f"{elapsed:5.1f} s  {story.phase}; crowds seen: {' and '.join(map(str, sizes))}")
        self._frames += 1


async def perform(crowd: Crowd, story: Story, show: Show) -> None:
    """The script: start, link, cut, look at both sides, heal, look again, collect."""
    await crowd.start_all()
    story.last_ready = max(hub.ready_us for hub in crowd.hubs)
    story.phase = "linking"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(show.run)
        with trio.move_on_after(LINKED_WAIT_S):
            while not all_linked(await crowd.ask_all({"cmd": "status"})):
                await trio.sleep(0.05)
            story.linked = boot_us()
        while not story.first_picture and boot_us() - story.command < 30 * SECOND:
            await trio.sleep(0.05)
        story.phase = "whole"
        end = story.command + story.seconds * SECOND
        cut_at = end - round((story.cut_s + RECOVER_S) * SECOND)
        await sleep_until(max(boot_us() + round(SETTLE_S * SECOND), (story.last_ready + cut_at) // 2))
        story.links = links_of(await crowd.ask_all({"cmd": "status"}))
        story.phase = f"cut: {len(story.groups[0])} and {len(story.groups[1])} cannot hear each other"
        story.cut = await crowd.cut(story.groups)
        await sleep_until(story.cut + round(story.cut_s * SECOND) - SECOND // 2)
        sides = await crowd.ask_all({"cmd": "status"})
        _see_sides(story, sides, [hub.author for hub in crowd.hubs])
        if story.picture is not None:
            names = [hub.name for hub in crowd.hubs]
            frame = picture(sides, names, story.phase, (boot_us() - story.command) / SECOND, 0)
            story.picture.write_text(svg(frame), encoding="utf-8")
        await sleep_until(story.cut + round(story.cut_s * SECOND))
        story.heal_begin = boot_us()
        story.heal = await crowd.heal()
        story.phase = "healed: one crowd again"
        await _see_timeline(crowd, story)
        await sleep_until(max(end - SECOND, story.heal + round(RECOVER_S * SECOND)))
        await _see_whole(crowd, story)
        story.end = boot_us()
        story.pss = [pss_mb(hub.pid) for hub in crowd.hubs]
        nursery.cancel_scope.cancel()
    story.dumps = await crowd.ask_all({"cmd": "lab.record"})


async def sleep_until(at: int) -> None:
    """Sleep to a boot time in us."""
    await trio.sleep(max(0, at - boot_us()) / SECOND)


def _see_sides(story: Story, statuses: list[dict[str, Any]], authors: list[str]) -> None:
    for hub, status in enumerate(statuses):
        side = next(group for group in story.groups if hub in group)
        gone = {entry["author"] for entry in status["crowd"]["out_of_reach"]}
        beyond = {authors[other] for other in range(len(authors)) if other not in side}
        story.told.append(status["glitch"]["crowds"])
        story.sides_right.append(gone == beyond and status["crowd"]["in_reach"] == len(side))


async def _see_timeline(crowd: Crowd, story: Story) -> None:
    """Look until all hubs tell the same of the cut, if it was one of two crowds."""
    while min(len(group) for group in story.groups) >= CROWD_MIN and boot_us() - story.heal < TIMELINE_S * SECOND:
        answers = await crowd.ask_all({"cmd": "glitch.list"})
        story.timelines = [answer["glitches"] for answer in answers]
        if story.timelines[0] and all(timeline == story.timelines[0] for timeline in story.timelines):
            since_s = (boot_us() - story.heal) / SECOND
            story.timeline_s = since_s if story.timeline_s is None else story.timeline_s
            if since_s >= SETTLED_S:  # all who write have written
                return
        else:
            story.timeline_s = None
        await trio.sleep(0.2)


async def _see_whole(crowd: Crowd, story: Story) -> None:
    """Look until all hubs hold the very same vectors, then compare their means bit by bit."""
    for _ in range(40):
        statuses = await crowd.ask_all({"cmd": "status"})
        held = {tuple(sorted((a["author"], a["boot"], a["seq"]) for a in s["authors"])) for s in statuses}
        story.statuses = statuses
        story.links = links_of(statuses)
        if len(held) == 1:
            story.whole_means = [status["crowd"]["mean"] for status in statuses]
            story.same_picture = len(set(story.whole_means)) == 1 and story.whole_means[0] is not None
            return
        await trio.sleep(0.037)


def judge(story: Story, authors: list[str]) -> tuple[list[Bar], dict[str, Any]]:
    """Bars and details of a finished story."""
    records = Records(story.dumps, authors)
    hops = hops_between(story.links)
    linked = story.linked or 0
    timeline = Timeline(story.command, story.last_ready, linked, story.first_picture, story.cut, story.heal, story.end)
    recovered = recovered_s(records, hops, story.heal, CADENCE_MS)
    healed_at = story.end if recovered is None else story.heal + round(recovered * SECOND)
    whole = [(max(story.first_picture, linked) + 2 * SECOND, story.cut), (healed_at, story.end)]
    ages = judge_ages(records, whole, hops, CADENCE_MS)
    noticed = noticed_s(records, story.groups, story.cut, story.heal_begin)
    slowest = None if any(n is None for n in noticed) else max(n for n in noticed if n is not None)
    bars = [
        Bar("all linked after the last hub was ready", _since(story.linked, story.last_ready), 2.0, "s"),
        Bar("first picture of everybody after the command", _since(story.first_picture, story.command), 8.0, "s"),
        Bar("age above cadence + 100 ms x hops, p99 while whole", ages.p99_excess_ms, 0.0, "ms"),
        Bar("pairs without a value while whole", float(ages.missing), 0.0, "samples"),
        Bar("the cut is known to every hub", slowest, 4.0, "s"),
        Bar(
            "hubs with both sides right during the cut", float(sum(story.sides_right)), story.hubs, "hubs", None, False
        ),
        Bar("every hub fresh of every author after the heal", recovered, 4.0, "s"),
        Bar("values shown that their author did not say", float(wrong_values(records)), 0.0, "samples"),
        Bar("values shown past their lease", float(past_lease(records)), 0.0, "samples"),
    ]
    if story.hubs >= SIDE_MIN:  # fewer have no crowd mean, and are told so
        bars.append(
            Bar("hubs whose crowd mean agrees bit by bit afterwards", _agreeing(story), story.hubs, "hubs", None, False)
        )
    if min(len(group) for group in story.groups) >= SIDE_MIN:
        bars.append(Bar("difference of the halves' crowd means", _difference(story), 1e-9, "arousal", None, False))
    if min(len(group) for group in story.groups) >= CROWD_MIN:
        bars += _glitch_bars(story)
    return bars, _details(story, timeline, ages, noticed, records)


def _glitch_bars(story: Story) -> list[Bar]:
    """What hubs said while the crowd was two, and what they tell afterwards."""
    said = sum(
        told == [len(group), story.hubs - len(group)]
        for hub, told in enumerate(story.told)
        for group in story.groups
        if hub in group
    )
    sizes = sorted((len(group) for group in story.groups), reverse=True)
    first = story.timelines[0] if story.timelines else []
    right = len(first) == 1 and first[0]["sizes"] == sizes
    same = sum(timeline == first for timeline in story.timelines) if right else 0
    return [
        Bar("hubs that said two crowds of the right sizes", float(said), story.hubs, "hubs", None, False),
        Bar("hubs that tell the one glitch alike afterwards", float(same), story.hubs, "hubs", None, False),
        Bar("one timeline after the heal", story.timeline_s, TIMELINE_S, "s"),
    ]


def _since(at: int | None, start: int) -> float | None:
    return None if not at else (at - start) / SECOND


def _agreeing(story: Story) -> float:
    if not story.whole_means or story.whole_means[0] is None:
        return 0.0
    return float(sum(mean == story.whole_means[0] for mean in story.whole_means))


def _difference(story: Story) -> float | None:
    left, right = story.side_means or (None, None)
    return None if left is None or right is None else abs(left - right)


def _details(
    story: Story, timeline: Timeline, ages: Ages, noticed: list[float | None], records: Records
) -> dict[str, Any]:
    span = (story.end - story.last_ready) / SECOND
    cpu = [status["cpu_s"] for status in story.statuses]
    return {
        "hubs": story.hubs,
        "seconds": story.seconds,
        "seed": story.seed,
        "groups": story.groups,
        "cut_s": story.cut_s,
        "timeline_us": {name: getattr(timeline, name) for name in Timeline.__slots__},
        "ages": {name: getattr(ages, name) for name in Ages.__slots__},
        "samples_not_accounted_for": unaccounted(records),
        "noticed_s": noticed,
        "in_reach_changes": [
            [
                [round((at - story.cut) / SECOND, 3), sorted(inside)]
                for at, inside in changes
                if story.cut <= at <= story.heal
            ]
            for changes in records.reach
        ],
        "crowds_said": story.told,
        "timeline": story.timelines[0] if story.timelines else [],
        "side_means": story.side_means,
        "whole_mean": story.whole_means[0] if story.whole_means else None,
        "links_per_hub": [len(links) for links in story.links],
        "cpu_s_per_hub": cpu,
        "cpu_percent_of_a_core_per_hub": [round(100 * used / span, 2) for used in cpu],
        "pss_shares_the_program": True,
        "pss_mb_per_hub": [None if mb is None else round(mb, 1) for mb in story.pss],
        "dropped": _sum([status["counters"]["dropped"] for status in story.statuses]),
        "method": "true ages from one boot clock, every (hub, author) pair every 100 ms",
    }


def _sum(counters: list[dict[str, int]]) -> dict[str, int]:
    out: dict[str, int] = {}
    for counter in counters:
        for key, value in counter.items():
            out[key] = out.get(key, 0) + value
    return dict(sorted(out.items()))


def summary(story: Story, bars: list[Bar], details: dict[str, Any]) -> str:
    """What happened, in sentences and bars."""
    left, right = story.groups
    pss = [mb for mb in story.pss if mb is not None]
    cpu = details["cpu_percent_of_a_core_per_hub"]
    means = " and ".join("unknown" if mean is None else f"{mean:+.3f}" for mean in story.side_means)
    lines = [
        "",
        f"{story.hubs} hubs, each a process of its own, replayed {story.hubs} people's recordings (seed {story.seed}).",
        f"For {story.cut_s:.0f} s hubs {left} and hubs {right} could not hear each other; both sides went on.",
        f"Crowd arousal on the two sides: {means}; afterwards one figure on all hubs: {details['whole_mean']}.",
        f"CPU per hub: median {percentile(cpu, 0.5):.1f} % of a core, all work and measuring included; "
        + (
            f"memory (PSS, the program shared by all): median {percentile(pss, 0.5):.0f} MB."
            if pss
            else "memory: this kernel does not tell."
        ),
        "",
        emit(bars, as_json=False),
    ]
    return "\n".join(lines)


async def _main(story: Story, folder: Path, *, live: bool, max_links: int) -> None:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MESHNODE_")}
    environ |= {"XDG_CONFIG_HOME": str(folder / "config"), "MESHNODE_SHARE_LEVELS": "0"}
    crowd = Crowd(folder, entropy(32), environ)
    people = list_people()
    for number in range(story.hubs):
        person = people[number % len(people)]
        begin = person.task_start_s + INTO_TASK_OF.get(person.name, INTO_TASK_S)
        more = ("--max-links", str(max(4, max_links)), "--cadence-ms", str(CADENCE_MS), "--offset-s", f"{begin:.1f}")
        crowd.add(person.name, person.path, *more)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(_obey, story, nursery.cancel_scope)
            await perform(crowd, story, Show(crowd, story, live=live, tty=sys.stdout.isatty()))
            nursery.cancel_scope.cancel()
    finally:
        await crowd.stop()


async def _obey(
    story: Story, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Ctrl-C, kill and a closed terminal all end the demonstration in the same tidy way."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            story.stopped = True
            scope.cancel()


def demo_command(
    *, as_json: bool, hubs: int, seconds: int, seed: int | None, max_links: int, keep: bool, picture: Path | None
) -> int:
    """Run it all; returns the exit code."""
    story = Story(
        hubs, seconds, utc_ms() % 1_000_000 if seed is None else seed, command=started_us(os.getpid()), picture=picture
    )
    draw(story)
    folder = private_folder()
    try:
        trio.run(lambda: _main(story, folder, live=not as_json, max_links=max_links))
    except* KeyboardInterrupt:  # before the signals were watched
        story.stopped = True
    finally:
        if keep:
            click.echo(f"logs and state: {folder}", err=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if story.stopped:
        click.echo("stopped; no hub is left running", err=True)
        return 130
    story.side_means = list(side_means(story.dumps, story.groups, story.cut, story.heal_begin))
    bars, details = judge(story, [status["author"] for status in story.statuses])
    click.echo(emit(bars, as_json=True, **details) if as_json else summary(story, bars, details))
    return 0 if all_met(bars) else 1
