"""Whether what people take back is gone: real hubs, real links, real databases, and a search through every byte.

Hubs tell stories that each hold a word found nowhere else, long ones in chunks; once everybody holds everything, all is
withdrawn. Then no such word may stand in any file of any hub (database, log and all that lies beside them), nor in a
backup made afterwards, and every chain must still verify. That the same search finds every word on every hub before
the withdrawal shows that it can find them.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

from meshnode.storage.backup import make_backup, unpacked
from meshnode.storage.database import open_for_reading
from meshnode.storage.verify import Verdict, verify_database
from protocol.ids import EventId
from protocol.rng import Rng
from protocol.wire.contents import Story, encode_story, encode_withdrawal
from protocol.wire.events import STORY, WITHDRAWAL
from tests.daemon.rig import Crew, Member, crew_in, until

HUBS: Final = 4
SIZES: Final = (0, 200, 3_000, 9_000, 70_000)
"""Letters beside the word itself: in the event's own message, asked for in one chunk, in three."""
AT_ONCE: Final = 16
NAMED_AT_ONCE: Final = 16  # a withdrawal names no more
WAIT_S: Final = 300.0
DISK_S: Final = 10.0
"""A log that somebody reads at that moment is cut within two seconds after it; a busy machine is slower."""
_WORD: Final = re.compile(rb"CANARY-[0-9a-f]{16}")


@dataclass(slots=True)
class Tally:
    """(Hub, word) pairs that could be read; ``seconds`` from the last withdrawal until the last hub had erased all."""

    told: int = 0
    readable_before: int = 0
    readable_running: int = 0
    readable_in_backups: int = 0
    readable_stopped: int = 0
    events_verified: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


def words_in(folder: Path) -> set[bytes]:
    """Every word that stands anywhere in the files of a folder."""
    return {word for path in folder.rglob("*") if path.is_file() for word in _WORD.findall(path.read_bytes())}


async def perform(count: int, seed: int, folder: Path, tally: Tally) -> None:
    """The whole show."""
    async with crew_in(folder) as crew:
        hubs = await _gather(crew)
        states = [Path(hub.hub.config.hub.state_dir) for hub in hubs]
        told = await _tell(hubs, count, seed)
        tally.told = sum(map(len, told))
        await until(lambda: all(_count(hub, "here") == tally.told for hub in hubs), WAIT_S, "everything everywhere")
        tally.readable_before = await _come_to(states, len(hubs) * tally.told)
        await _withdraw(hubs, told)
        began = trio.current_time()
        await until(lambda: all(_count(hub, "erased") == _count(hub) for hub in hubs), WAIT_S, "all erased everywhere")
        tally.readable_running = await _come_to(states, 0)
        tally.seconds = round(trio.current_time() - began, 3)
        for number, state in enumerate(states):
            make_backup(state, folder / f"backup-{number}")
            tally.readable_in_backups += len(set(_WORD.findall((folder / f"backup-{number}").read_bytes())))
        for hub in hubs:
            await crew.stop(hub)
    tally.readable_stopped = _readable(states)
    for number in range(len(hubs)):
        _verify(folder / f"backup-{number}", tally)


async def _gather(crew: Crew) -> list[Member]:
    hubs = [await crew.start("hub0")]
    for number in range(1, HUBS):
        hubs.append(await crew.start(f"hub{number}", peers__static=tuple(hub.at for hub in hubs)))
    await until(lambda: all(one.linked(other) for one in hubs for other in hubs if one is not other), WAIT_S, "linked")
    return hubs


async def _tell(hubs: list[Member], count: int, seed: int) -> list[list[EventId]]:
    """Every hub's events, in the order in which they were acknowledged."""
    told: list[list[EventId]] = [[] for _ in hubs]
    limit = trio.CapacityLimiter(AT_ONCE)
    rng = Rng(seed)

    async def one(index: int, text: str) -> None:
        async with limit:
            content = encode_story(Story(text, "en"))
            told[index].append(await hubs[index].hub.pen.write(STORY, content))

    async with trio.open_nursery() as nursery:
        for number in range(count):
            text = f"CANARY-{rng.u64():016x}" + "." * SIZES[number % len(SIZES)]
            nursery.start_soon(one, number % len(hubs), text)
    return told


async def _withdraw(hubs: list[Member], told: list[list[EventId]]) -> None:
    for hub, names in zip(hubs, told, strict=True):
        for first in range(0, len(names), NAMED_AT_ONCE):
            content = encode_withdrawal(tuple(names[first : first + NAMED_AT_ONCE]))
            await hub.hub.pen.write(WITHDRAWAL, content)


def _count(member: Member, state: str = "") -> int:
    """Stories that a hub holds, all or those in one state."""
    return sum(not state or one.state == state for one in member.hub.told(STORY))


async def _come_to(states: list[Path], count: int) -> int:
    """How many words can be read as soon as it is ``count``, or else in the end: hubs know before their disks do."""
    end = trio.current_time() + DISK_S
    while (found := _readable(states)) != count and trio.current_time() < end:
        await trio.sleep(0.1)
    return found


def _readable(states: list[Path]) -> int:
    return sum(len(words_in(state)) for state in states)


def _verify(backup: Path, tally: Tally) -> None:
    with unpacked(backup) as whole:
        for path in whole.databases.values():
            with contextlib.closing(open_for_reading(path)) as connection:
                verdict: Verdict = verify_database(connection, path)
            tally.events_verified += verdict.signatures
            tally.faults += verdict.faults
            if verdict.unchecked or not verdict.events:
                tally.faults.append(f"{verdict.unchecked} authors unchecked, {verdict.events} events")
