"""What is noticed of streams and moods; it is a note, and nothing follows from it."""

from __future__ import annotations

import re
from pathlib import Path

from protocol.clock import SECOND
from protocol.glitch.dissonance import NOTES_MAX, Dissonance, Note
from protocol.ids import AuthorId

PROTOCOL = Path(__file__).parents[3] / "protocol"
ADA = AuthorId(b"a" * 32)


def hear(*values: float | None, sd: float | None = 0.1, quality: float = 0.9, step: int = 1) -> list[Note]:
    """What is noted of a stream of one vector a second."""
    dissonance = Dissonance()
    for second, value in enumerate(values):
        dissonance.hear(ADA, (1, second * step), value, sd, quality, second * SECOND)
    return [one.note for one in dissonance.notes]


def test_a_leap_beyond_what_the_value_itself_claims_is_noted_once() -> None:
    assert hear(-0.8, 0.8) == [Note.JUMPED]
    assert hear(-0.8, 0.8, -0.8, 0.8) == [Note.JUMPED]


def test_a_leap_that_its_own_deviation_allows_is_none() -> None:
    assert hear(-0.8, 0.8, sd=0.4) == []


def test_a_leap_over_vectors_that_did_not_come_is_none() -> None:
    assert hear(-0.8, 0.8, step=2) == []


def test_a_number_that_does_not_change_is_noted_after_twenty_seconds() -> None:
    assert hear(*[0.3] * 20) == []
    assert hear(*[0.3] * 22) == [Note.FROZEN]


def test_a_sure_value_of_poor_quality_is_noted() -> None:
    assert hear(0.1, 0.2, sd=0.05, quality=0.1) == [Note.CONTRADICTS]
    assert hear(0.1, 0.2, sd=0.5, quality=0.1) == []


def test_who_says_nothing_is_not_noted() -> None:
    assert hear(*[None] * 40) == []


def test_the_moods_of_two_halves_drift_apart_and_come_together() -> None:
    dissonance = Dissonance()
    for mine, theirs in ((0.1, 0.1), (0.2, None), (0.5, -0.3), (0.2, 0.1)):
        dissonance.compare(1, mine, theirs)
    drift = dissonance.drifts[1]
    assert (drift.at_parting, drift.most) == (0.0, 0.8)
    assert drift.last is not None
    assert round(drift.last, 6) == 0.1


def test_notes_are_bounded() -> None:
    dissonance = Dissonance()
    for number in range(3 * NOTES_MAX):
        author = AuthorId(number.to_bytes(32, "big"))
        dissonance.hear(author, (1, 1), -0.9, 0.0, 0.9, 0)
        dissonance.hear(author, (1, 2), 0.9, 0.0, 0.9, SECOND)
        dissonance.compare(number, 0.0, 0.1)
    assert len(dissonance.notes) == len(dissonance.drifts) == NOTES_MAX


def test_nothing_but_the_composition_and_the_picture_for_outsiders_reads_it() -> None:
    imported = re.compile(r"^(from|import) .*\bdissonance\b", re.MULTILINE)
    readers = [path.name for path in PROTOCOL.rglob("*.py") if imported.search(path.read_text(encoding="utf-8"))]
    assert sorted(readers) == ["rifts.py", "statistics.py"]
