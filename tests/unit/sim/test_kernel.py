"""The clock of a world: order, rounding, and that it forgets what it has run."""

from __future__ import annotations

from sim.kernel import Kernel


def test_actions_run_in_the_order_of_tick_and_insertion() -> None:
    kernel, ran = Kernel(), list[str]()
    for at, name in ((2_000, "c"), (1_000, "a"), (2_000, "d"), (1_000, "b")):
        kernel.at(at, ran.append, name)
    kernel.run(5_000)
    assert ran == ["a", "b", "c", "d"]


def test_nothing_happens_before_it_is_due_and_ticks_are_whole_milliseconds() -> None:
    kernel, seen = Kernel(), list[int]()
    for at in (1, 999, 1_000, 1_001):
        kernel.at(at, lambda: seen.append(kernel.now))
    kernel.run(10_000)
    assert seen == [1_000, 1_000, 1_000, 2_000]


def test_what_is_added_to_a_running_tick_runs_in_it_last() -> None:
    kernel, ran = Kernel(), list[str]()

    def first() -> None:
        ran.append("first")
        kernel.at(kernel.now, ran.append, "added")
        kernel.at(0, ran.append, "added for the past")

    kernel.at(3_000, first)
    kernel.at(3_000, ran.append, "second")
    kernel.run(3_000)
    assert ran == ["first", "second", "added", "added for the past"]


def test_now_is_where_the_run_was_asked_to_end_and_never_goes_back() -> None:
    kernel = Kernel()
    kernel.run(1_500)
    assert kernel.now == 1_500
    seen: list[int] = []
    kernel.at(0, lambda: seen.append(kernel.now))
    kernel.run(1_700)
    assert (seen, kernel.now) == ([], 1_700)
    kernel.run(2_000)
    assert seen == [2_000]


def test_what_lies_beyond_the_end_of_a_run_waits_for_the_next() -> None:
    kernel, ran = Kernel(), list[int]()
    kernel.at(5_000, ran.append, 1)
    kernel.run(4_999)
    assert (ran, kernel.waiting()) == ([], 1)
    kernel.run(5_000)
    assert (ran, kernel.waiting(), kernel.events) == ([1], 0, 1)


def test_ten_thousand_steps_leave_nothing_behind() -> None:
    kernel = Kernel()

    def again(left: int) -> None:
        if left:
            kernel.at(kernel.now + 1_000, again, left - 1)

    kernel.at(0, again, 10_000)
    kernel.run(20_000_000)
    assert (kernel.waiting(), kernel.events) == (0, 10_001)
