"""Any two frontiers: both sides learn exactly what the other holds and they do not, however much that is."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.clock import SECOND
from protocol.reconcile import sketch
from protocol.reconcile.frontier import Frontier
from protocol.reconcile.values import Outcome, ReconcileConfig
from tests.unit.protocol.test_reconcile_sessions import ADA, BEN, Pair, entry

SETTINGS = settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
NUMBERS = st.frozensets(st.integers(0, 400), max_size=60)


@given(common=st.integers(0, 120), mine=NUMBERS, theirs=NUMBERS, bridge=st.booleans())
@SETTINGS
def test_both_sides_learn_what_they_lack_and_nothing_else(
    common: int, mine: frozenset[int], theirs: frozenset[int], bridge: bool
) -> None:
    here = [entry(1_000 + number) for number in sorted(mine)]
    there = [entry(1_000 + number) for number in sorted(theirs)]
    pair = Pair(common, here, there, ReconcileConfig(every_us=3_600 * SECOND)).link(bridge=bridge).wait(5)
    assert sorted(one.packed for one in pair.learned[ADA]) == sorted(one.packed for one in there if one not in here)
    assert sorted(one.packed for one in pair.learned[BEN]) == sorted(one.packed for one in here if one not in there)
    assert {outcome for _, outcome in pair.ended} <= {Outcome.EQUAL, Outcome.FOUND}
    assert len([1 for _ in pair.said]) <= 32


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=40))
@SETTINGS
def test_the_mark_is_that_of_the_set_whatever_came_and_went(changes: list[tuple[bool, int]]) -> None:
    moved = Frontier()
    held: dict[int, None] = {}
    for comes, number in changes:
        if comes:
            moved.add(entry(number))
            held[number] = None
        else:
            moved.discard(entry(number))
            held.pop(number, None)
    made = Frontier()
    for number in sorted(held):
        made.add(entry(number))
    assert moved.mark(b"saltsalt") == made.mark(b"saltsalt")
    assert len(moved) == len(made)


@given(st.lists(st.integers(0, (1 << 56) - 1), min_size=1, max_size=80), st.integers(0, 40))
@SETTINGS
def test_no_symbols_keep_the_decoder_from_coming_to_an_end(cells: list[int], own: int) -> None:
    words = sketch.words([entry(number).packed for number in range(own)], bytes(16))
    decoder = sketch.Decoder(words)
    for at in range(0, len(cells), 16):
        decoder.extend(cells[at : at + 16])
    assert len(decoder) == len(cells)
    mine, theirs = decoder.difference(set(words))
    assert len(mine) + len(theirs) <= 4 * len(cells) + 64
