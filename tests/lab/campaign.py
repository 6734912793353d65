"""The campaign: eight real hubs in two halls, what is done to them, and how long they take to be whole again.

A moment is taken when all hubs have said so over their control sockets, so every figure includes the asking (about
0.1 s). Time counts from before the command that gives the path back. Nothing in a hub is set or replaced.
Invariants: a run has its own namespaces, keys and mesh; what is not seen within ``LIMIT_S`` is None, and not met.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import trio

from tests.daemon.processes import Running
from tests.lab import words
from tests.lab.stage import (
    TRUNK,
    Stage,
    Status,
    is_complete,
    is_fresh,
    is_whole,
    newest,
    own_marks,
    two_halls,
    without_old,
)
from tests.lab.switch import Weather

HUBS = 8
CUT_S = 60.0
AWAY_S = 10.0
OUTLIVED_S = 30.0
START_S = 60.0
LIMIT_S = 60.0
LOOK_S = 0.05
SETTLED_S = 2.0
LOSS = 0.2
WEATHER = Weather(latency_ms=100, jitter_ms=40)


@dataclass(slots=True)
class Run:
    """One run's figures, in seconds from when the path was back; ``noticed_s`` from the cut. ``forks`` counts (hub,
    author) pairs for which a hub says that the author's chain has forked, twins excepted."""

    part: str
    seed: int
    whole_s: float | None = None
    fresh_s: float | None = None
    complete_s: float | None = None
    events_s: float | None = None
    events_told: int = 0
    events_lost: int = 0
    proven_s: float | None = None
    owner_told_s: float | None = None
    forks: int = 0
    noticed_s: float | None = None
    went_back: int = 0
    restarted: int = 0
    faults: int = 0
    load: float = 0.0

    def done(self) -> bool:
        """Whether everything that was awaited has been seen."""
        return None not in (self.whole_s, self.fresh_s, self.complete_s)


@dataclass(slots=True)
class Witness:
    """Looks at a stage again and again and counts what must never happen."""

    stage: Stage
    told: list[str] = field(default_factory=list)
    went_back: int = 0
    _shown: dict[int, dict[str, tuple[int, int]]] = field(default_factory=dict)

    async def look(self) -> list[Status]:
        """All statuses; a value that went back to an older one is counted."""
        statuses = await self.stage.look()
        for status in statuses:
            shown = newest(status)
            before = self._shown.get(status["pid"], {})  # a hub that was killed has forgotten what it showed
            self.went_back += sum(shown.get(author, mark) < mark for author, mark in before.items())
            self._shown[status["pid"]] = shown
        return statuses

    async def until(self, condition: Callable[[list[Status]], bool], seconds: float) -> float | None:
        """Look until the condition holds; the seconds it took."""
        begin = trio.current_time()
        while trio.current_time() - begin < seconds:
            if condition(await self.look()):
                return trio.current_time() - begin
            await trio.sleep(LOOK_S)
        return None


class NotReady(Exception):
    """The hubs did not find each other to begin with; the message holds what one of them says."""


Trouble = Callable[[Witness, Run], Awaitable[float]]
"""Does something to the crowd; returns the trio time at which the path was back."""


async def one_run(folder: Path, run: Run, trouble: Trouble, *, hubs: int, foul: bool, listen: bool) -> Run:
    """A whole run: start, trouble, and the watch until all is well; ``foul`` is loss and latency from the first frame
    on, ``listen`` waits for what was told as well."""
    run.load = os.getloadavg()[0]
    weather, loss = (WEATHER, LOSS) if foul else (None, 0.0)
    async with two_halls(folder, hubs, weather, loss, run.seed) as stage:
        try:
            await stage.crowd(*stage.rooms, start=stage.play)
        except BaseExceptionGroup as group:
            if group.split(AssertionError)[1] is not None:
                raise
            raise NotReady(f"{run.part}: {group.exceptions[0]}") from group
        told: list[str] = []
        witness = Witness(stage, told)
        if await witness.until(lambda now: is_complete(now) and is_whole(now), START_S) is None:
            raise NotReady(f"{run.part}: not linked within {START_S:.0f} s: {(await stage.look())[0]}")
        started = {hub.pid: hub for hub in stage.hubs}
        async with trio.open_nursery() as nursery:
            if listen and run.part in TALKED:
                nursery.start_soon(words.tell_all, stage, told, 2 * words.TOLD_PER_SIDE)
            back = await trouble(witness, run)
        await (prove if run.part == "twins" else recover)(witness, run, back)
        run.went_back = witness.went_back
        run.restarted = sum(hub.process.returncode is not None for hub in started.values()) - AWAY.get(run.part, 0)
        run.faults = sum(faults_of(hub) for hub in stage.hubs)
    return run


async def recover(witness: Witness, run: Run, back: float) -> None:
    """Watch until everything is as it should be, then for a little longer."""
    marks = own_marks(await witness.look())

    async def links() -> None:
        while not run.done() and trio.current_time() - back < LIMIT_S:
            statuses = await witness.look()
            since = round(trio.current_time() - back, 3)
            if run.part == "address":  # a link with the address that is gone only looks open
                statuses = without_old(statuses, witness.stage.hubs[-1].author, since)
            if run.whole_s is None and is_whole(statuses):
                run.whole_s = since
            if run.fresh_s is None and is_fresh(statuses, marks):
                run.fresh_s = since
            if run.complete_s is None and is_complete(statuses):
                run.complete_s = since
            await trio.sleep(LOOK_S)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(links)
        if witness.told:
            nursery.start_soon(events, witness.stage, run, back, witness.told)
    end = trio.current_time() + SETTLED_S
    while trio.current_time() < end:
        run.forks = sum(len(status["durable"]["forked"]) for status in await witness.look())
        await trio.sleep(LOOK_S)


async def prove(witness: Witness, run: Run, back: float) -> None:
    """Watch until every honest hub holds the proof against the twins' author, and one of their owners has been told."""
    author = witness.stage.hubs[-1].author
    while None in (run.proven_s, run.owner_told_s) and trio.current_time() - back < LIMIT_S:
        statuses = await witness.stage.look()  # what is shown of the twins goes back and forth, and may
        honest = [status for status in statuses if status["author"] != author]
        since = round(trio.current_time() - back, 3)
        if run.proven_s is None and all(status["durable"]["forked"] == [author] for status in honest):
            run.proven_s = since
        if run.owner_told_s is None and all(status["notices"] for status in statuses if status["author"] == author):
            run.owner_told_s = since
        run.forks = sum(other != author for status in statuses for other in status["durable"]["forked"])
        await trio.sleep(LOOK_S)


async def events(stage: Stage, run: Run, back: float, told: list[str]) -> None:
    """Watch until every hub holds all that was told."""
    if run.part == "clone":
        await words.say(stage, -1, "told after the return", told)
    run.events_told = len(told)
    while trio.current_time() - back < LIMIT_S:
        run.events_lost = await words.missing(stage, told)
        if not run.events_lost:
            run.events_s = round(trio.current_time() - back, 3)
            return


def faults_of(hub: Running) -> int:
    """Lines in a hub's log that no trouble on the network may cause."""
    lines = hub.log.read_text(errors="replace").splitlines()
    return sum(line.startswith("Traceback") or " ERROR " in line for line in lines)


# --- troubles -------------------------------------------------------------------------------------------------------


async def watch_for(witness: Witness, seconds: float) -> None:
    """Look once a second."""
    end = trio.current_time() + seconds
    while trio.current_time() < end:
        await witness.look()
        await trio.sleep(1)


def cut(seconds: float) -> Trouble:
    """Nothing passes between the halls for that long, and nobody is told."""

    async def trouble(witness: Witness, run: Run) -> float:
        venue = witness.stage.venue
        began = trio.current_time()
        await venue.cut(TRUNK)
        half = len(witness.stage.hubs) // 2
        took = await witness.until(lambda now: all(one["crowd"]["in_reach"] == half for one in now), seconds)
        run.noticed_s = None if took is None else round(trio.current_time() - began, 3)
        await watch_for(witness, seconds - (trio.current_time() - began))
        back = trio.current_time()
        await venue.heal(TRUNK)
        return back

    return trouble


async def address(witness: Witness, run: Run) -> float:
    """The last hub gets another address and loses the one it had, as after a new lease."""
    stage = witness.stage
    back = trio.current_time()
    await stage.venue.address(stage.rooms[-1], f"10.88.0.{100 + len(stage.rooms)}/24")
    return back


async def kill(witness: Witness, run: Run) -> float:
    """The last hub is killed without a last word, is away for a while, and is started again."""
    stage = witness.stage
    lost = stage.hubs.pop()
    await lost.kill()
    began = trio.current_time()
    everybody = len(stage.hubs)
    took = await witness.until(lambda now: all(one["crowd"]["in_reach"] == everybody for one in now), AWAY_S)
    run.noticed_s = None if took is None else round(took, 3)
    await watch_for(witness, AWAY_S - (trio.current_time() - began))
    stage.hubs.append(await stage.play(stage.rooms[-1]))
    return trio.current_time()


async def clone(witness: Witness, run: Run) -> float:
    """The last hub is stopped and comes back from a copy of its state that it has outlived."""
    stage = witness.stage
    room, copy = stage.rooms[-1], stage.folder / "copy"
    await words.say(stage, -1, "told before the copy", witness.told)
    lost = stage.hubs.pop()
    await lost.stop()
    shutil.copytree(lost.state, copy, ignore=shutil.ignore_patterns("*.sock"))
    stage.hubs.append(await stage.play(room))
    await words.say(stage, -1, "told in the life that is lost", witness.told)
    await watch_for(witness, OUTLIVED_S)
    await stage.hubs.pop().stop()
    shutil.rmtree(lost.state)
    shutil.move(copy, lost.state)
    stage.hubs.append(await stage.play(room))
    return trio.current_time()


async def twins(witness: Witness, run: Run) -> float:
    """The last hub is copied, runs twice, in its own room and in its neighbor's, and a word is told in each."""
    stage = witness.stage
    await words.say(stage, -1, "told by the one there was", witness.told)
    one, gives_way = stage.hubs.pop(), stage.hubs.pop()
    await one.stop()
    await gives_way.stop()
    shutil.rmtree(gives_way.state)
    shutil.copytree(one.state, gives_way.state, ignore=shutil.ignore_patterns("*.sock"))
    stage.hubs += [await stage.play(room) for room in stage.rooms[-2:]]
    async with trio.open_nursery() as nursery:
        for hub in stage.hubs[-2:]:
            nursery.start_soon(hub.until, lambda status: not status["durable"]["guarded"], START_S, "its own last word")
    async with trio.open_nursery() as nursery:
        for index in (-2, -1):
            nursery.start_soon(words.say, stage, index, f"told by twin {-index}", witness.told)
    return trio.current_time()


PARTS = ("cut", "loss", "address", "kill", "clone", "twins")


AWAY = {"kill": 1, "clone": 1, "twins": 2}
"""Parts in which hubs are ended on purpose, and of how many that were there at the beginning."""
FOUL = frozenset({"loss"})
"""Parts with loss and latency on every cable from the first frame on."""
TALKED = frozenset({"cut", "loss"})
"""Parts in which people tell things meanwhile, if the build can."""


async def measure(part: str, folder: Path, seed: int, cut_s: float = CUT_S, *, listen: bool) -> Run:
    """One run of one part of the campaign."""
    trouble = {"address": address, "kill": kill, "clone": clone, "twins": twins}.get(part) or cut(cut_s)
    return await one_run(folder, Run(part, seed), trouble, hubs=HUBS, foul=part in FOUL, listen=listen)
