"""The timer table against the simplest model that could be right."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.timers import TimerTable

SETTINGS = settings(deadline=None, derandomize=True, max_examples=100, suppress_health_check=[HealthCheck.too_slow])

KEYS = [("a",), ("b",), ("c", "1"), ("c", "2"), ()]
operations = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.sampled_from(KEYS), st.integers(0, 50)),
        st.tuples(st.just("cancel"), st.sampled_from(KEYS), st.just(0)),
        st.tuples(st.just("pop"), st.sampled_from(KEYS), st.integers(0, 60)),
    ),
    max_size=120,
)


class Model:
    """A list of (at, order of setting, key), searched from end to end."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, int, tuple[str, ...]]] = []
        self.count = 0

    def cancel(self, key: tuple[str, ...]) -> None:
        """Forget a key."""
        self.entries = [entry for entry in self.entries if entry[2] != key]

    def set(self, key: tuple[str, ...], at: int) -> None:
        """Set a key, instead of before."""
        self.cancel(key)
        self.count += 1
        self.entries.append((at, self.count, key))

    def pop_due(self, now: int) -> tuple[str, ...] | None:
        """The earliest that is due."""
        due = sorted(entry for entry in self.entries if entry[0] <= now)
        if not due:
            return None
        self.entries.remove(due[0])
        return due[0][2]


@given(operations)
@SETTINGS
def test_the_table_and_the_model_agree_after_every_operation(steps: list[tuple[str, tuple[str, ...], int]]) -> None:
    table, model = TimerTable(), Model()
    for kind, key, number in steps:
        if kind == "set":
            table.set(key, number)
            model.set(key, number)
        elif kind == "cancel":
            table.cancel(key)
            model.cancel(key)
        else:
            assert table.pop_due(number) == model.pop_due(number)
        assert len(table) == len(model.entries)
        assert table.next_at() == min((entry[0] for entry in model.entries), default=None)


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, 10**6)), max_size=500))
@settings(SETTINGS, max_examples=60)
def test_setting_never_lets_the_table_outgrow_twice_the_live_timers(steps: list[tuple[tuple[str, ...], int]]) -> None:
    table = TimerTable()
    for key, at in steps:
        table.set(key, at)
        assert len(table._heap) <= 2 * len(table) + 64
