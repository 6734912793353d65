"""Executors: what one run does to the others. (That they agree is shown with sweeps.)"""

from __future__ import annotations

import os

from sim.executors import Processes


def half(item: int) -> int:
    if item == 3:
        os._exit(9)
    if item == 4:
        raise ValueError("four")
    return item // 2


def test_a_run_that_fails_or_kills_its_process_costs_itself_only() -> None:
    outcomes = dict(Processes(2).run(half, [3, 4, 8]))
    assert outcomes[2] == 4
    assert str(outcomes[1]) == "four"
    assert isinstance(outcomes[0], Exception)


def test_nothing_to_do_starts_nothing() -> None:
    assert list(Processes(2).run(half, [])) == []
