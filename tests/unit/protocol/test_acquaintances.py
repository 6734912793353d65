"""Who counts as one of the mesh: neighbors, and so many of those whom each of them names."""

from __future__ import annotations

from protocol.clock import SECOND
from protocol.ids import AuthorId
from protocol.ledger.acquaintances import (
    ACQUAINTANCES_MAX,
    INTRODUCED_BURST,
    INTRODUCED_EVERY_S,
    Acquaintances,
)

ANN, BEN = AuthorId(b"a" * 32), AuthorId(b"b" * 32)


def author(number: int) -> AuthorId:
    """Somebody."""
    return AuthorId(number.to_bytes(32, "big"))


def test_a_neighbor_introduces_a_crowd_at_once_and_then_one_in_a_while() -> None:
    known = Acquaintances()
    for number in range(INTRODUCED_BURST + 10):
        known.introduce(ANN, author(number), 0)
    assert len(known) == INTRODUCED_BURST
    assert author(INTRODUCED_BURST) not in known
    known.introduce(ANN, author(INTRODUCED_BURST), INTRODUCED_EVERY_S * SECOND)
    assert author(INTRODUCED_BURST) in known
    known.introduce(ANN, author(INTRODUCED_BURST + 1), INTRODUCED_EVERY_S * SECOND)
    assert author(INTRODUCED_BURST + 1) not in known


def test_whom_one_neighbor_has_no_room_to_name_another_introduces() -> None:
    known = Acquaintances()
    for number in range(INTRODUCED_BURST + 1):
        known.introduce(ANN, author(number), 0)
    known.introduce(BEN, author(INTRODUCED_BURST), 0)
    assert author(INTRODUCED_BURST) in known


def test_a_mesh_of_ten_thousand_is_known_at_once_to_whoever_has_five_neighbors() -> None:
    known = Acquaintances()
    for number in range(10_000):
        known.introduce(author(1_000_000 + number % 5), author(number), 0)
    assert len(known) == 10_000


def test_however_many_are_stored_there_is_a_bound_and_who_is_gone_makes_room() -> None:
    known = Acquaintances()
    for number in range(ACQUAINTANCES_MAX + 5):
        known.keep(author(number))
    assert len(known) == ACQUAINTANCES_MAX
    known.add(BEN)
    known.introduce(ANN, ANN, 0)
    known.keep(ANN)
    assert BEN not in known
    assert ANN not in known
    known.remove(author(0))
    known.add(BEN)
    assert BEN in known
    assert len(known) == ACQUAINTANCES_MAX


def test_names_of_whom_nothing_ever_comes_keep_nobody_out() -> None:
    known = Acquaintances()
    known.introduce(ANN, author(0), 0)
    known.keep(author(0))
    for number in range(1, ACQUAINTANCES_MAX + 5):
        known.introduce(author(10**6 + number // 1_000), author(number), 0)
    known.introduce(BEN, BEN, 0)
    assert BEN in known
    assert author(0) in known
    assert author(1) not in known
    assert len(known) == ACQUAINTANCES_MAX


def test_a_neighbor_that_comes_again_is_no_longer_the_oldest_name() -> None:
    known = Acquaintances()
    known.add(ANN)
    known.add(BEN)
    known.add(ANN)
    for number in range(ACQUAINTANCES_MAX - 1):
        known.keep(author(number))
    assert ANN in known
    assert BEN not in known
