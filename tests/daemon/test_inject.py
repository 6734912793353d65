"""A glitch rehearsed on living hubs: weather to others, bounded, undone, reported, and refused when not as asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trio

from meshnode.clock import utc_ms
from meshnode.daemon import RunOptions
from protocol.inputs import UtcObserved
from tests.daemon.processes import LOCAL, MESHNODE, end, environ, meshnode, running
from tests.daemon.rig import Crew, Member, ask_control, crew_in, mesh_name, until

pytestmark = pytest.mark.usefixtures("nothing_left")


async def ask(member: Member, **request: object) -> dict[str, Any]:
    """One question on the control socket."""
    answer: dict[str, Any] = json.loads(await ask_control(member.hub, json.dumps(request).encode() + b"\n"))
    return answer


async def keep_asking(*members: Member) -> None:
    """What the command does, until the test ends."""
    while True:
        for member in members:
            await ask(member, cmd="glitch.rehearsal")
        await trio.sleep(0.2)


async def over(member: Member, seconds: float = 10.0) -> dict[str, Any]:
    """The report, when there is one."""
    await until(lambda: member.hub.rehearsals.now is None, seconds)
    return await ask(member, cmd="glitch.rehearsal")


async def all_linked(crew: Crew, count: int, options: RunOptions | None = None) -> list[Member]:
    """So many hubs, each with an open link to each and a value of each."""
    hubs: list[Member] = []
    for number in range(count):
        chosen = options if options is not None else RunOptions()
        hubs.append(await crew.start(f"hub{number}", chosen, peers__static=tuple(hub.at for hub in hubs)))
    await until(lambda: all(one.linked(two) for one in hubs for two in hubs if one is not two))
    await until(lambda: all(one.shows(two.author) is not None for one in hubs for two in hubs))
    return hubs


async def test_a_rehearsed_split_is_a_glitch_to_both_sides_and_nothing_of_it_stays(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one, two, three, four = hubs = await all_linked(crew, 4)
        crew.nursery.start_soon(keep_asking, one, two)
        beyond = [three.author.hex(), four.author.hex()]
        for hub in (one, two):  # a cable with two ends on this side
            begun = await ask(hub, cmd="glitch.inject", fault="split", peers=beyond, for_s=30)
            assert begun["peers"] == beyond
        again = await ask(one, cmd="glitch.inject", fault="delay")
        assert "a rehearsal (split) is going on" in again["error"]
        assert (await ask(one, cmd="status"))["rehearsal"]["fault"] == "split"
        assert (await ask(three, cmd="status"))["rehearsal"] is None  # to others it is weather
        await until(lambda: all(hub.hub.statistics().glitch.now is not None for hub in hubs))
        for hub in hubs:
            torn = hub.hub.statistics().glitch.now
            assert torn is not None
            mine = {one.author, two.author} if hub in (one, two) else {three.author, four.author}
            assert set(torn.mine) == mine
        listed = await ask(one, cmd="glitch.list")
        assert listed["now"]["crowds"] == [2, 2]
        for hub in (one, two):
            assert "error" not in await ask(hub, cmd="glitch.stop")
        reports = [await over(hub) for hub in (one, two)]
        await until(lambda: all(a.linked(b) for a in hubs for b in hubs if a is not b))
        for report in reports:
            assert report["ended"] == "it was stopped"
            assert [glitch["sides_right"] for glitch in report["glitches"]] == [True]
            assert abs(report["glitches"][0]["began_off_s"]) < 2
            assert len(report["links"]["lost"]) >= 2
            assert report["whole_after_s"] is not None
        assert [line["rehearsed"] for line in (await ask(one, cmd="glitch.list"))["here"]] == ["split"]
        assert [line["rehearsed"] for line in (await ask(three, cmd="glitch.list"))["here"]] == [None]
        assert not one.hub.faults.active
        assert not any(hub.hub.statistics().exiles for hub in hubs)


async def test_late_links_stay_and_everything_arrives_in_order(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one, other = await all_linked(crew, 2)
        crew.nursery.start_soon(keep_asking, one)
        before = other.hub.statistics().seq
        await ask(one, cmd="glitch.inject", fault="delay", delay_ms=150, jitter_ms=60, for_s=1.5)
        await until(lambda: (one.hub.statistics().links[0].rtt_us or 0) >= 300_000 or one.hub.rehearsals.now is None)
        report = await over(one)
        assert report["links"]["lost"] == []
        assert report["age_ms"]["most"] >= 150
        assert report["glitches"] == []
        assert report["ended"] == "its time was up"
        assert "bad_signature" not in report["dropped"]
        assert "channel_tampered" not in report["dropped"]
        await until(lambda: (line := one.shows(other.author)) is not None and line.seq > before + 10)


async def test_loss_is_lateness_and_is_counted(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one, other = await all_linked(crew, 2)
        crew.nursery.start_soon(keep_asking, one)
        await ask(one, cmd="glitch.inject", fault="loss", share=0.3, for_s=1.2)
        report = await over(one)
        assert report["segments_lost"] > 0
        assert report["whole_after_s"] is not None
        assert "channel_tampered" not in report["dropped"]
        assert one.linked(other)


async def test_a_rehearsal_ends_when_nobody_asks_after_it_any_more(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one, _ = await all_linked(crew, 2)
        await ask(one, cmd="glitch.inject", fault="starvation", burst_ms=50, awake_ms=500, for_s=60)
        report = await over(one)
        assert report["ended"] == "whoever had asked for it was gone"
        assert 0 < report["stood_still_s"] < report["lasted_s"] < 5


async def test_a_date_that_is_behind_is_undone_and_without_a_date_there_is_none_to_falsify(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        plain = await crew.start("plain", RunOptions(date=lambda: UtcObserved(utc_ms(), None)))
        assert "nothing vouches" in (await ask(plain, cmd="glitch.inject", fault="clock"))["error"]
        options = RunOptions(date=lambda: UtcObserved(utc_ms(), 5))
        one, other = await all_linked(crew, 2, options)
        crew.nursery.start_soon(keep_asking, one)
        await ask(one, cmd="glitch.inject", fault="clock", behind_s=600, for_s=20)
        await until(lambda: one.dropped("from_the_future") > 0)
        await until(lambda: other.dropped("lease_expired") > 0)
        await ask(one, cmd="glitch.stop")
        report = await over(one)
        assert report["dropped"]["from_the_future"] > 0
        mark = other.hub.statistics().seq
        await until(lambda: (line := one.shows(other.author)) is not None and line.seq > mark)
        assert abs(one.hub.rehearsals.date().utc_ms - utc_ms()) < 1_000


@pytest.mark.parametrize("conduct", ["replay", "flood", "garbage"])
async def test_a_rogue_peer_comes_is_refused_and_goes(tmp_path: Path, conduct: str) -> None:
    async with crew_in(tmp_path) as crew:
        one, other = await all_linked(crew, 2)
        crew.nursery.start_soon(keep_asking, one)
        before = {line.author for line in one.hub.statistics().authors}
        await ask(one, cmd="glitch.inject", fault="rogue", conduct=conduct, for_s=20)
        if conduct == "garbage":
            # It comes a second time when it knows that it was thrown out the first time.
            await until(lambda: sum(not entry["up"] for entry in one.hub.events.recent) >= 2)
        else:
            await until(lambda: one.dropped({"replay": "own_record", "flood": "pending_limit"}[conduct]) > 20)
        await ask(one, cmd="glitch.stop")
        report = await over(one)
        assert report["rogue"]["joined"] >= 1
        assert report["rogue"]["said"] >= 1
        assert (report["rogue"]["thrown_out"] > 0) == (conduct == "garbage")
        assert {line.author for line in one.hub.statistics().authors} == before
        assert one.linked(other)
        assert len(one.hub.statistics().links) == 1


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({}, "fault is one of"),
        ({"fault": "reboot"}, "fault is one of"),
        ({"fault": "loss", "share": 0.9}, "share is a number from 0.01 to 0.6"),
        ({"fault": "loss", "share": float("nan")}, "share is a number"),
        ({"fault": "loss", "share": True}, "share is a number"),
        ({"fault": "delay", "delay_ms": "long"}, "delay_ms is a number from 1 to 1000"),
        ({"fault": "delay", "for_s": 3_600}, "for_s is a number from 1 to 120"),
        ({"fault": "starvation", "burst_ms": 60_000}, "burst_ms is a number from 10 to 3000"),
        ({"fault": "clock", "behind_s": -60}, "behind_s is a number from 0"),
        ({"fault": "rogue", "conduct": "politics"}, "conduct is one of replay, flood, garbage"),
        ({"fault": "rogue", "peers": ["abcd"]}, "has no 'peers'"),
        ({"fault": "split", "peers": []}, "peers is a list"),
        ({"fault": "split", "peers": [7]}, "at least 4 digits"),
        ({"fault": "split", "peers": ["abcd"]}, "no hub in reach begins with 'abcd'"),
        ({"fault": "split", "share": 0.5}, "nobody is in reach"),
        ({"fault": "split", "share": 0.5, "peers": ["abcd"]}, "not both"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(tmp_path: Path, request_: dict[str, Any], says: str) -> None:
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one")
        for command in ("glitch.plan", "glitch.inject"):
            answer = await ask(one, cmd=command, **request_)
            assert says in answer["error"]
        assert one.hub.rehearsals.now is None
        assert "nothing was injected" in (await ask(one, cmd="glitch.stop"))["error"]


async def test_the_command_asks_first_reports_and_may_be_interrupted_or_killed(tmp_path: Path) -> None:
    async with running(tmp_path, "one", "--mesh", mesh_name(), *LOCAL) as one:
        state = ("--state-dir", str(one.state))
        unasked = await meshnode(tmp_path, "glitch", "inject", "split", *state)
        assert unasked.code == 2
        assert "--yes" in unasked.err
        wrong = await meshnode(tmp_path, "glitch", "inject", "loss", "--share", "2", "--yes", *state)
        assert wrong.code == 2
        assert "--share" in wrong.err
        done = await meshnode(tmp_path, "glitch", "inject", "split", "--for", "1", "--yes", "--json", *state)
        assert done.code == 0
        assert "cannot reach each other" in done.err
        assert done.json()["ended"] == "its time was up"
        for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
            began = await begun(tmp_path, state)
            try:
                await one.until(lambda status: status["rehearsal"] is not None)
                os.kill(began.pid, number)
                with trio.fail_after(10):
                    assert await began.wait() == code
                await one.until(lambda status: status["rehearsal"] is None)
            finally:
                await end(began)
        last = await one.ask(cmd="glitch.rehearsal")
        assert last["ended"] == "whoever had asked for it was gone"


async def begun(folder: Path, state: tuple[str, ...]) -> trio.Process:
    """The command with a long rehearsal."""
    return await trio.lowlevel.open_process(
        [*MESHNODE, "glitch", "inject", "delay", "--for", "100", "--yes", *state],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environ(folder),
        cwd=folder,
    )
