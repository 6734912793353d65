"""Durable events in running hubs: what was told outlives the process, and a broken store costs only itself."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from meshnode import view
from meshnode.storage.database import database_path, open_for_reading
from meshnode.storage.verify import Verdict, verify_database
from protocol.effects import Event, EventWritten, WriteRefused
from protocol.inputs import WriteEvent
from tests.daemon.rig import Crew, Member, crew_in, until

KIND = 900
"""A kind that no hub knows, and every hub keeps."""


async def tell(member: Member, content: bytes) -> Event:
    """What came of telling something."""
    heard: list[Event] = []
    member.hub.events.listeners.append(heard.append)
    member.hub.driver.feed(WriteEvent(7_000, KIND, bytes(16), content))

    def ended() -> bool:
        return any(isinstance(event, EventWritten | WriteRefused) for event in heard)

    await until(ended, what="an answer")
    return next(event for event in heard if isinstance(event, EventWritten | WriteRefused))


def found(crew: Crew, member: Member) -> Verdict:
    path = database_path(crew.folder / member.name, member.hub.opened.mesh.mesh_id)
    with contextlib.closing(open_for_reading(path)) as connection:
        return verify_database(connection, path)


@pytest.mark.usefixtures("nothing_left")
async def test_what_a_hub_has_told_outlives_it_and_can_be_verified(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        ada = await crew.start("ada")
        assert isinstance(await tell(ada, b"the lamps went out"), EventWritten)
        await crew.stop(ada)
        verdict = found(crew, ada)
        assert (verdict.events, verdict.signatures, verdict.payloads, verdict.faults) == (1, 1, 1, [])
        again = await crew.start("ada")
        assert view.status(again.hub)["store"] == {"ok": True, "why": ""}


@pytest.mark.usefixtures("nothing_left")
async def test_a_hub_with_a_damaged_store_goes_on_with_live_vectors(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        ada = await crew.start("ada")
        await crew.stop(ada)
        path = database_path(tmp_path / "ada", ada.hub.opened.mesh.mesh_id)
        path.write_bytes(b"no database, but long enough to be read as one" * 90)
        ada = await crew.start("ada")
        ben = await crew.start("ben", peers__static=(ada.at,))
        crew.nursery.start_soon(crew.feeling, ada, 0.5)
        await until(lambda: ben.arousal_of(ada.author) is not None, what="ada's vector")
        store = view.status(ada.hub)["store"]
        assert isinstance(store, dict)
        assert not store["ok"]
        assert "damaged" in store["why"]
