"""Hubs forked from one loader: each answers to whoever asked for it, however short it lives."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from meshnode.demo.brood import Brood, Forked
from tests.daemon.processes import environ

pytestmark = pytest.mark.usefixtures("nothing_left")


async def said(hub: Forked) -> str:
    """Everything that it writes, to its end."""
    async with hub.stdin, hub.stdout:
        parts = [bytes(part) async for part in hub.stdout]
    with trio.fail_after(10):
        await hub.wait()
    assert not hub.running
    return b"".join(parts).decode()


@asynccontextmanager
async def brood(folder: Path) -> AsyncIterator[Brood]:
    """A loader that is ended afterwards."""
    loader = Brood(environ(folder))
    try:
        yield loader
    finally:
        with trio.CancelScope(shield=True):
            await loader.close()


async def test_a_hub_that_ends_at_once_is_still_somebodys(tmp_path: Path) -> None:
    async with brood(tmp_path) as loader:
        with (tmp_path / "log").open("wb") as log:
            for _ in range(20):
                hub = await loader.start(["--version"], log.fileno())
                assert "meshnode" in await said(hub)
                hub.terminate()
                hub.kill()  # it has ended, and nobody else is meant


async def test_a_start_that_was_cancelled_answers_nobody_else(tmp_path: Path) -> None:
    async with brood(tmp_path) as loader:
        with (tmp_path / "log").open("wb") as log, trio.fail_after(20):
            begun: list[Forked] = []

            async def begin() -> None:
                begun.append(await loader.start(["--version"], log.fileno()))

            for _ in range(3):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(begin)
                    await trio.testing.wait_all_tasks_blocked()
                    nursery.cancel_scope.cancel()
                assert "Usage" in await said(await loader.start(["--help"], log.fileno()))
            assert len(begun) == 3
            for hub in begun:
                assert "meshnode" in await said(hub)


async def test_a_killed_hub_has_ended(tmp_path: Path) -> None:
    async with brood(tmp_path) as loader:
        with (tmp_path / "log").open("wb") as log:
            hub = await loader.start(["run", "--with-parent", "--state-dir", str(tmp_path / "hub")], log.fileno())
            assert hub.running
            os.kill(hub.pid, 0)
            hub.kill()
            await said(hub)
