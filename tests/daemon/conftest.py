"""What every test of the daemon can ask for."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import trio

from tests.daemon.rig import Footprint

SETTLE_S = 3.0


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """After the test this process has no more files, threads and children than before it."""
    gc.collect()
    before = Footprint.now()
    yield
    trio.run(_settle, before)
    after = Footprint.now()
    assert after.children == before.children, "processes were left behind"
    assert after.threads == before.threads, "threads were left behind"
    assert after.files <= before.files, "files or sockets were left open"


async def _settle(before: Footprint) -> None:
    """A closing socket or thread of the operating system may need a moment; a leak does not go away."""
    with trio.move_on_after(SETTLE_S):
        while True:
            gc.collect()
            now = Footprint.now()
            if (now.children, now.threads) == (before.children, before.threads):
                return
            await trio.sleep(0.02)
