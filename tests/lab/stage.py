"""A venue with hubs in it, and what their statuses say: who is linked, what is shown, whether the crowd is whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from meshnode.clock import boot_us
from meshnode.demo.judge import hops_between
from meshnode.demo.run import links_of
from meshnode.sensing.excerpts import list_people
from protocol.clock import SECOND
from tests.daemon.processes import Running, running
from tests.daemon.rig import mesh_name
from tests.lab.netns import Venue, venue
from tests.lab.switch import Weather

Status = dict[str, Any]
INTO_TASK_S = "90"
"""Where the recordings begin to be played: everybody's arousal is known there."""
TRUNK = "way"


@dataclass
class Stage:
    """A venue with hubs in it; ``hubs`` are those of :meth:`crowd`, in the order of ``rooms``."""

    venue: Venue
    folder: Path
    stack: AsyncExitStack
    rooms: tuple[str, ...] = ()
    mesh: str = field(default_factory=mesh_name)
    hubs: list[Running] = field(default_factory=list)

    async def hub(self, room: str, *arguments: str, name: str = "", mesh: str = "") -> Running:
        """Start ``meshnode run`` in a room, with the settings that a person has who has set nothing."""
        here = ("--mesh", mesh or self.mesh, "--share", *arguments)
        return await self.stack.enter_async_context(
            running(self.folder, name or room, *here, prefix=self.venue.inside(room))
        )

    async def both(self, *arguments: str) -> list[Running]:
        """Start the hubs of rooms a and b at once."""
        return await self.crowd("a", "b", start=lambda room: self.hub(room, *arguments))

    async def crowd(self, *rooms: str, start: Callable[[str], Awaitable[Running]] | None = None) -> list[Running]:
        """Start a hub in each room, all at once."""
        begin = start or self.hub
        started: dict[str, Running] = {}

        async def one(room: str) -> None:
            started[room] = await begin(room)

        async with trio.open_nursery() as nursery:
            for room in rooms:
                nursery.start_soon(one, room)
        self.hubs = [started[room] for room in rooms]
        return self.hubs

    async def play(self, room: str) -> Running:
        """Start the hub of a room with the recording that is its own, which tells something each second."""
        people = list_people()
        person = people[self.rooms.index(room) % len(people)]
        return await self.hub(room, "--replay", str(person.path), "--offset-s", INTO_TASK_S)

    async def look(self) -> list[Status]:
        """The statuses of all hubs, asked at once."""
        answers: dict[int, Status] = {}

        async def one(index: int, hub: Running) -> None:
            answers[index] = await hub.status()

        async with trio.open_nursery() as nursery:
            for index, hub in enumerate(self.hubs):
                nursery.start_soon(one, index, hub)
        return [answers[index] for index in range(len(self.hubs))]


@asynccontextmanager
async def stage(folder: Path, *rooms: str) -> AsyncIterator[Stage]:
    """Rooms on one bridge, their addresses in use; 10.88.0.1 is the first room's, and so on."""
    async with venue() as place:
        await place.bridge("hall")
        for number, room in enumerate(rooms, start=1):
            await place.room(room, "hall", f"10.88.0.{number}/24")
        await place.settled(*rooms)
        async with _peopled(place, folder, rooms) as made:
            yield made


@asynccontextmanager
async def two_halls(
    folder: Path, count: int, weather: Weather | None = None, loss: float = 0.0, seed: int = 1
) -> AsyncIterator[Stage]:
    """Rooms r1, r2, ... on two bridges, half on each, with a trunk between these; one subnet, as with two switches."""
    rooms = tuple(f"r{number}" for number in range(1, count + 1))
    async with venue(None if weather is None else seed) as place:
        await place.bridge("hall")
        await place.bridge("yard")
        await place.trunk(TRUNK, "hall", "yard")
        for number, room in enumerate(rooms, start=1):
            bridge = "hall" if number <= count // 2 else "yard"
            await place.room(room, bridge, f"10.88.0.{number}/24", weather)
        if loss:
            await place.lose(loss)
        await place.settled(*rooms)
        async with _peopled(place, folder, rooms) as made:
            yield made


@asynccontextmanager
async def _peopled(place: Venue, folder: Path, rooms: tuple[str, ...]) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        made = Stage(place, folder, stack, rooms)
        try:
            yield made
        finally:
            for hub in made.hubs:  # all at once; the stack then waits for each
                hub.process.terminate()


def is_linked(status: Status, *peers: str) -> bool:
    """Whether exactly these are linked, and all open."""
    open_links = sorted(link["peer"] for link in status["links"] if link["state"] == "open")
    return open_links == sorted(peers) and len(status["links"]) == len(peers)


def newest(status: Status) -> dict[str, tuple[int, int]]:
    """The number of the newest value shown of each author."""
    return {line["author"]: (line["boot"], line["seq"]) for line in status["authors"]}


def seq_of(status: Status, author: str) -> tuple[int, int]:
    """The number of the newest value shown of an author."""
    return newest(status).get(author, (0, 0))


async def linked_at(hub: Running, peer: str) -> int:
    """Boot time (us) at which the link with ``peer`` came up; waits for it."""
    status = await hub.until(lambda status: is_linked(status, peer), 10, "the link")
    up_s: float = status["links"][0]["up_s"]
    return boot_us() - round(up_s * SECOND)


def gone(status: Status, peer: str) -> bool:
    """Whether the peer is known to be out of reach and no link pretends otherwise."""
    out = [entry["author"] for entry in status["crowd"]["out_of_reach"]]
    return status["links"] == [] and out == [peer] and status["crowd"]["in_reach"] == 1


def without_old(statuses: Sequence[Status], author: str, seconds: float) -> list[Status]:
    """The statuses as if the links with ``author`` that are older than that were not there."""

    def holds(status: Status, link: Status) -> bool:
        return author not in (status["author"], link["peer"]) or link["up_s"] < seconds

    return [status | {"links": [link for link in status["links"] if holds(status, link)]} for status in statuses]


def is_whole(statuses: Sequence[Status]) -> bool:
    """Whether the links that both ends hold open join all hubs, and each counts them all in reach."""
    links = links_of(list(statuses))
    mutual = [{peer for peer in peers if index in links[peer]} for index, peers in enumerate(links)]
    everybody = len(statuses)
    joined = max(hops_between(mutual)[0]) < everybody
    return joined and all(status["crowd"]["in_reach"] == everybody for status in statuses)


def is_complete(statuses: Sequence[Status]) -> bool:
    """Whether every pair of hubs is linked."""
    return all(len(peers) == len(statuses) - 1 for peers in links_of(list(statuses)))


def is_fresh(statuses: Sequence[Status], marks: dict[str, tuple[int, int]]) -> bool:
    """Whether every hub shows of every author something newer than the mark, and not from beyond what it has made."""
    made = {author: (boot, seq + 1) for author, (boot, seq) in own_marks(statuses).items()}  # one since it was asked
    return all(
        mark < shown.get(author, (0, 0)) <= made[author]
        for shown in (newest(status) for status in statuses)
        for author, mark in marks.items()
    )


def own_marks(statuses: Sequence[Status]) -> dict[str, tuple[int, int]]:
    """What each hub has published last."""
    return {status["author"]: (status["boot"], status["seq"]) for status in statuses}
