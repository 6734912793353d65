"""One task reads all links, and lets the others have their turn."""

from __future__ import annotations

import select
import socket
from contextlib import ExitStack

import pytest
import trio
import trio.testing

from meshnode.transport.poller import TURN_BYTES, Poller

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")


async def _turns_seen(sizes: list[int]) -> list[int]:
    """For each link that brings so many bytes at once, how many turns another task had before it was read."""
    poller, turns, seen = Poller(), 0, []
    with ExitStack() as stack:
        async with trio.open_nursery() as nursery:
            for size in sizes:
                ours, theirs = (stack.enter_context(sock) for sock in socket.socketpair())
                ours.setblocking(False)
                theirs.send(bytes(size))

                def read(sock: socket.socket = ours) -> int:
                    seen.append(turns)
                    return len(sock.recv(1 << 20))

                stack.enter_context(poller.serving(ours, read))
            nursery.start_soon(poller.run)
            while len(seen) < len(sizes):
                turns += 1
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    return seen


async def test_all_that_is_readable_is_read_in_one_turn() -> None:
    assert len(set(await _turns_seen([300] * 20))) == 1


async def test_others_have_their_turn_after_so_many_bytes_and_no_link_is_left_out() -> None:
    seen = await _turns_seen([TURN_BYTES // 2] * 8)  # who comes first within a turn is chance, so two may look like one
    assert len(seen) == 8
    assert max(seen.count(turn) for turn in seen) <= 4


async def test_a_link_that_begins_as_the_poller_ends_is_no_fault() -> None:
    poller = Poller()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    ours, theirs = socket.socketpair()
    with ours, theirs, poller.serving(ours, lambda: 0):
        pass
