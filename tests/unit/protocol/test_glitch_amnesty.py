"""What is forgiven because of a glitch, and that there is an end to it."""

from __future__ import annotations

from protocol.clock import MINUTE, SECOND
from protocol.glitch.amnesty import Amnesty
from protocol.glitch.values import DAY_US, HOUR, GlitchConfig, Pardon
from protocol.ids import AuthorId
from protocol.limits import AUTHORS_MAX

CONFIG = GlitchConfig()
SLACK = CONFIG.slack_us
BEN, CYD = AuthorId(b"b" * 32), AuthorId(b"c" * 32)
NOW = 10 * DAY_US


def test_an_amnesty_begins_before_the_glitch_and_is_corrected_when_it_ends() -> None:
    amnesty = Amnesty(CONFIG)
    (first,) = amnesty.begin([BEN], NOW, NOW + 5 * SECOND)
    assert first == Pardon(BEN, NOW - SLACK, NOW - SLACK + CONFIG.amnesty_us_max)
    (second,) = amnesty.end(NOW + MINUTE, NOW + MINUTE + SECOND)
    assert second == Pardon(BEN, NOW - SLACK, NOW + MINUTE + SLACK)
    assert amnesty.spent(NOW + MINUTE) == ((BEN, 1, MINUTE + 2 * SLACK),)


def test_one_subject_is_forgiven_two_hours_a_day_and_no_more() -> None:
    amnesty = Amnesty(CONFIG)
    total = 0
    for turn in range(4):
        began = NOW + turn * HOUR
        given = amnesty.settle([BEN], began, began + 50 * MINUTE, began + 51 * MINUTE)
        total = sum(us for _, _, us in amnesty.spent(began + 51 * MINUTE))
        assert total <= CONFIG.amnesty_us_max
        assert bool(given) == (turn < 3)
    assert total == CONFIG.amnesty_us_max
    assert amnesty.refused == 1


def test_another_subject_has_its_own_budget() -> None:
    amnesty = Amnesty(CONFIG)
    amnesty.settle([BEN], NOW, NOW + 3 * HOUR, NOW + 3 * HOUR)
    assert amnesty.settle([CYD], NOW, NOW + MINUTE, NOW + 3 * HOUR) == [Pardon(CYD, NOW - SLACK, NOW + MINUTE + SLACK)]


def test_short_glitches_without_end_are_forgiven_twelve_times_a_day() -> None:
    amnesty = Amnesty(CONFIG)
    given = [
        amnesty.settle([BEN], NOW + turn * MINUTE, NOW + turn * MINUTE + SECOND, NOW + turn * MINUTE + SECOND)
        for turn in range(100)
    ]
    assert sum(map(len, given)) == CONFIG.amnesties_max


def test_a_day_later_the_budget_is_whole_again() -> None:
    amnesty = Amnesty(CONFIG)
    amnesty.settle([BEN], NOW, NOW + 3 * HOUR, NOW + 3 * HOUR)
    later = NOW + DAY_US + MINUTE
    assert amnesty.spent(later) == ()
    assert amnesty.begin([BEN], later, later) == [Pardon(BEN, later - SLACK, later - SLACK + CONFIG.amnesty_us_max)]


def test_only_so_many_subjects_are_remembered() -> None:
    amnesty = Amnesty(CONFIG)
    for number in range(AUTHORS_MAX + 10):
        amnesty.settle(
            [AuthorId(number.to_bytes(32, "big"))], NOW + number, NOW + number + SECOND, NOW + number + SECOND
        )
    assert len(amnesty.spent(NOW + MINUTE)) == AUTHORS_MAX


def test_who_is_back_before_the_others_is_forgiven_no_longer() -> None:
    amnesty = Amnesty(CONFIG)
    amnesty.begin([CYD, BEN], NOW, NOW)
    (back,) = amnesty.begin([BEN], NOW, NOW + MINUTE)
    assert back == Pardon(CYD, NOW - SLACK, NOW + MINUTE + SLACK)


def test_a_beginning_that_is_known_better_later_leaves_no_window_open() -> None:
    amnesty = Amnesty(CONFIG)
    amnesty.begin([CYD], NOW, NOW)
    assert amnesty.begin([CYD], NOW + 2 * SECOND, NOW + 3 * SECOND) == []
    (given,) = amnesty.end(NOW + MINUTE, NOW + MINUTE)
    assert given == Pardon(CYD, NOW - SLACK, NOW + MINUTE + SLACK)
    assert amnesty.spent(NOW + MINUTE)[0][1:] == (1, MINUTE + 2 * SLACK)
