"""Who has been quiet is served at once; who is busy is served by the batch."""

from __future__ import annotations

from meshnode.moderation import BURST, SPACING_US, Moderation
from protocol.clock import SECOND

START = 100 * SECOND


def turns(moderation: Moderation, arrivals: list[int]) -> list[int]:
    """When the loop turns if something comes at each of these instants."""
    made: list[int] = []
    for at in arrivals:
        if made and at <= made[-1]:
            continue  # served with others
        made.append(at + moderation.wait_us(at))
        moderation.turned(made[-1])
    return made


def test_a_burst_after_a_quiet_time_is_served_without_waiting() -> None:
    arrivals = [START + number * 500 for number in range(BURST)]
    assert turns(Moderation(), arrivals) == arrivals


def test_what_comes_seldom_never_waits() -> None:
    arrivals = [START + number * SPACING_US for number in range(1_000)]
    assert turns(Moderation(), arrivals) == arrivals


def test_a_stream_is_served_once_a_spacing_and_nothing_waits_longer() -> None:
    arrivals = [START + number * 1_000 for number in range(5_000)]
    made = turns(Moderation(), arrivals)
    assert len(made) <= BURST + 5_000 * 1_000 // SPACING_US + 1
    served = iter(made)
    turn = next(served)
    for at in arrivals:
        while turn < at:
            turn = next(served, at)
        assert turn - at <= SPACING_US


def test_quiet_gives_the_allowance_back_but_never_more() -> None:
    moderation = Moderation()
    turns(moderation, [START + number * 1_000 for number in range(1_000)])
    later = START + 3_600 * SECOND
    made = turns(moderation, [later + number for number in range(2 * BURST)])
    assert made[:BURST] == [later + number for number in range(BURST)]
    assert made[BURST] > later + 2 * BURST
