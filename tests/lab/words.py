"""What people tell while a path is cut, by the commands that they would type: the durable part of a campaign.

The one place to add to when hubs learn new verbs. Each command is run in the namespace of its hub. A build that lacks
the verb is told apart from one that fails: the campaign then says that the part was not measured.
"""

from __future__ import annotations

import subprocess

import trio

from tests.daemon.processes import MESHNODE, Running, environ
from tests.lab.stage import Stage

VERB = "story"
TOLD_PER_SIDE = 100
AT_ONCE = 2
"""Commands under way at a time: each is a process, and the hubs need the machine as well."""


def tell(text: str) -> tuple[str, ...]:
    """The arguments that tell everybody something."""
    return (VERB, "tell", "--language", "en", text)


LISTING = (VERB, "list", "--json")
"""The arguments that print everything a hub holds; a text that was told stands in it somewhere."""


def can_tell() -> bool:
    """Whether this build has the verb."""
    asked = [*MESHNODE, VERB, "--help"]
    done = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    if done.returncode not in (0, 2):
        raise RuntimeError(f"{' '.join(asked)}: {done.stderr.decode(errors='replace').strip()}")
    return done.returncode == 0


async def command(stage: Stage, room: str, hub: Running, *arguments: str) -> str:
    """Run a ``meshnode`` command beside the hub of a room; its output.

    Raises:
        RuntimeError: it failed; says what it printed.
    """
    verb = [*stage.venue.inside(room), *MESHNODE, *arguments, "--state-dir", str(hub.state)]
    with trio.fail_after(60):
        done = await trio.run_process(
            verb, capture_stdout=True, capture_stderr=True, check=False, env=environ(stage.folder), stdin=b""
        )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise RuntimeError(f"{' '.join(arguments[:2])} in {room}: exit status {done.returncode}, {said or 'no word'}")
    return done.stdout.decode()


async def say(stage: Stage, index: int, text: str, told: list[str]) -> None:
    """Tell one text through the hub of that index; it is in ``told`` once that hub has acknowledged it."""
    await command(stage, stage.rooms[index], stage.hubs[index], *tell(text))
    told.append(text)


async def tell_all(stage: Stage, told: list[str], count: int) -> None:
    """Tell ``count`` texts through every hub in turn; each is in ``told`` as soon as its hub has acknowledged it."""
    limit = trio.CapacityLimiter(AT_ONCE)

    async def one(number: int) -> None:
        index = number % len(stage.hubs)
        text = f"word {number} of {stage.rooms[index]}, told while the path was cut"
        async with limit:
            await command(stage, stage.rooms[index], stage.hubs[index], *tell(text))
        told.append(text)

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(one, number)


async def missing(stage: Stage, told: list[str]) -> int:
    """How many (hub, text) pairs are lacking now."""
    lacking = 0
    for room, hub in zip(stage.rooms, stage.hubs, strict=True):
        held = await command(stage, room, hub, *LISTING)
        lacking += sum(f'"{text}"' not in held for text in told)
    return lacking
