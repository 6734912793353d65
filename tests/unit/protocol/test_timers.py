"""The table of named timers that daemon and simulator share."""

from __future__ import annotations

from protocol.timers import TimerTable


def test_an_empty_table_has_nothing_due() -> None:
    table = TimerTable()
    assert table.next_at() is None
    assert table.pop_due(10**18) is None
    assert len(table) == 0


def test_a_timer_is_due_at_its_instant_and_not_before() -> None:
    table = TimerTable()
    table.set(("a",), 100)
    assert table.pop_due(99) is None
    assert table.next_at() == 100
    assert table.pop_due(100) == ("a",)
    assert table.pop_due(100) is None


def test_setting_a_timer_again_replaces_it_in_both_directions() -> None:
    table = TimerTable()
    table.set(("a",), 100)
    table.set(("a",), 200)
    assert table.pop_due(150) is None
    table.set(("a",), 50)
    assert table.pop_due(60) == ("a",)
    assert table.pop_due(1_000) is None
    assert len(table) == 0


def test_a_cancelled_timer_does_not_fire_and_cancelling_is_always_safe() -> None:
    table = TimerTable()
    table.cancel(("never", "set"))
    table.set(("a",), 100)
    table.cancel(("a",))
    table.cancel(("a",))
    assert table.next_at() is None
    assert table.pop_due(1_000) is None


def test_a_timer_set_again_after_it_was_cancelled_fires_once() -> None:
    table = TimerTable()
    table.set(("a",), 100)
    table.cancel(("a",))
    table.set(("a",), 100)
    assert table.pop_due(100) == ("a",)
    assert table.pop_due(100) is None


def test_equal_instants_fire_in_the_order_in_which_they_were_set() -> None:
    table = TimerTable()
    for name in ("c", "a", "b"):
        table.set((name,), 100)
    table.set(("c",), 100)  # set anew: it goes to the end of the line
    assert [table.pop_due(100) for _ in range(4)] == [("a",), ("b",), ("c",), None]


def test_earlier_instants_fire_first_whatever_the_order_of_setting() -> None:
    table = TimerTable()
    for at in (300, 100, 200):
        table.set((str(at),), at)
    assert [table.pop_due(1_000) for _ in range(3)] == [("100",), ("200",), ("300",)]


def test_one_timer_set_over_and_over_does_not_fill_the_table() -> None:
    table = TimerTable()
    for at in range(10_000):
        table.set(("a",), at)
    assert len(table) == 1
    assert len(table._heap) <= 2 * 1 + 65
    assert table.pop_due(10_000) == ("a",)


def test_cancelled_timers_do_not_stay_in_the_table() -> None:
    table = TimerTable()
    for number in range(1_000):
        table.set((str(number),), number)
    for number in range(1_000):
        table.cancel((str(number),))
    assert len(table._heap) <= 2 * len(table) + 64
