"""When the driver wakes: at a timer's instant, or for housekeeping when it is awake anyway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from meshnode.driver import PATIENCE_US, Driver
from protocol.clock import MS, SECOND, Instant
from protocol.effects import CancelTimer, Effect, SetTimer
from protocol.inputs import Input, Leave, TimerFired, TimerKey
from protocol.node import TICK

EXACT: TimerKey = ("liveness",)


class Noted:
    """In the place of a Node: writes down what it is told and when, and answers with what was laid out for it."""

    def __init__(self) -> None:
        self.told: list[tuple[Input, Instant]] = []
        self.answers: list[list[Effect]] = []

    def handle(self, input: Input, now: Instant) -> list[Effect]:
        """Note it."""
        self.told.append((input, now))
        return self.answers.pop(0) if self.answers else []

    def fired(self) -> list[tuple[TimerKey, Instant]]:
        """The timers that fired, and when."""
        return [(told.key, at) for told, at in self.told if isinstance(told, TimerFired)]


def now_us() -> Instant:
    """The mock clock's time."""
    return round(trio.current_time() * SECOND)


@asynccontextmanager
async def driving(*effects: Effect) -> AsyncIterator[tuple[Noted, Driver]]:
    """A driver whose Node has just asked for ``effects``."""

    def never(*_: object) -> None:
        raise AssertionError("nothing of this is asked for here")

    node = Noted()
    driver = Driver(
        node,  # type: ignore[arg-type]  # handle is all that is called
        now_us,
        dial=never,
        store_boot=never,
        store_key_state=never,
        store_peers=never,
        store_trust=never,
        keep_key_state=never,
        store_events=never,
        load_payload=never,
        observe=never,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(driver.run_timers)
        await trio.testing.wait_all_tasks_blocked()
        node.answers = [list(effects)]
        driver.feed(Leave())
        yield node, driver
        nursery.cancel_scope.cancel()


async def test_a_timer_fires_at_its_instant(autojump_clock: trio.testing.MockClock) -> None:
    begin = now_us()
    async with driving(SetTimer(EXACT, begin + 30 * MS)) as (node, _):
        await trio.sleep(1)
        assert node.fired() == [(EXACT, begin + 30 * MS)]


async def test_housekeeping_comes_late_where_nothing_else_happens(autojump_clock: trio.testing.MockClock) -> None:
    begin = now_us()
    async with driving(SetTimer(TICK, begin + 30 * MS)) as (node, _):
        await trio.sleep(1)
        assert node.fired() == [(TICK, begin + 30 * MS + PATIENCE_US)]


async def test_housekeeping_that_is_due_comes_with_the_next_input(autojump_clock: trio.testing.MockClock) -> None:
    begin = now_us()
    async with driving(SetTimer(TICK, begin + 30 * MS)) as (node, driver):
        await trio.sleep(0.029)
        driver.feed(Leave())
        assert node.fired() == []
        await trio.sleep(0.031)
        driver.feed(Leave())
        assert node.fired() == [(TICK, begin + 60 * MS)]
        await trio.sleep(1)
        assert len(node.fired()) == 1


async def test_housekeeping_that_is_due_comes_with_another_timer(autojump_clock: trio.testing.MockClock) -> None:
    begin = now_us()
    async with driving(SetTimer(TICK, begin + 30 * MS), SetTimer(EXACT, begin + 40 * MS)) as (node, _):
        await trio.sleep(1)
        assert node.fired() == [(EXACT, begin + 40 * MS), (TICK, begin + 40 * MS)]


async def test_housekeeping_that_is_cancelled_or_put_off_does_not_come_before(
    autojump_clock: trio.testing.MockClock,
) -> None:
    begin = now_us()
    async with driving(SetTimer(TICK, begin + 30 * MS)) as (node, driver):
        node.answers = [[SetTimer(TICK, begin + SECOND)]]
        driver.feed(Leave())
        await trio.sleep(0.5)
        driver.feed(Leave())
        assert node.fired() == []
        node.answers = [[CancelTimer(TICK)]]
        driver.feed(Leave())
        await trio.sleep(2)
        assert node.fired() == []
