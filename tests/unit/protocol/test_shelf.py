"""The shelf of newest vectors and its marks: what is kept, by whom it is found, and what is forgotten first."""

from __future__ import annotations

import dataclasses

import pytest

from protocol.gossip.shelf import MARKS_MAX, Held, Shelf
from protocol.ids import AuthorId, LinkId
from protocol.limits import AUTHORS_MAX
from protocol.wire.records import VectorRecord
from tests.unit.protocol.people import ANN, BEN, Made, record

LEASE_US = 10_000_000


def held(author: bytes, seq: int = 1, *, made_at: int = 0, rotation: int = 0) -> Held:
    """A vector of an author, whose signed bytes are as distinct as its number."""
    one: VectorRecord = dataclasses.replace(record(ANN, seq, Made()), author=AuthorId(author), rotation=rotation)
    return Held(one, b"%s %d %d" % (author, rotation, seq), bytes(64), made_at, LinkId(1))


def author(number: int) -> AuthorId:
    """Any author."""
    return AuthorId(number.to_bytes(8, "big") + bytes(24))


def test_a_vector_is_found_by_author_bytes_and_tag() -> None:
    shelf = Shelf()
    one = held(ANN.author)
    shelf.put(one)
    assert (shelf.get(ANN.author), shelf.same(one.signed), shelf.author_of(ANN.author[:8])) == (one, one, ANN.author)
    assert (shelf.get(BEN.author), shelf.same(b"other"), shelf.author_of(BEN.author[:8])) == (None, None, None)
    assert (len(shelf), shelf.authors(), shelf.mark(ANN.author)) == (1, [ANN.author], (0, 1, 1))


def test_a_newer_vector_replaces_the_older_everywhere() -> None:
    shelf = Shelf()
    old, new = held(ANN.author, 1), held(ANN.author, 2)
    shelf.put(old)
    shelf.put(new)
    assert (len(shelf), shelf.get(ANN.author), shelf.same(old.signed)) == (1, new, None)
    assert shelf.mark(ANN.author) == (0, 1, 2)


def test_what_is_removed_leaves_its_mark() -> None:
    shelf = Shelf()
    one = held(ANN.author, 7)
    shelf.put(one)
    shelf.remove(ANN.author)
    shelf.remove(ANN.author)
    assert (len(shelf), shelf.get(ANN.author), shelf.same(one.signed)) == (0, None, None)
    assert shelf.author_of(ANN.author[:8]) is None
    assert shelf.mark(ANN.author) == (0, 1, 7)


def test_a_lease_ends_at_its_last_microsecond() -> None:
    shelf = Shelf()
    shelf.put(held(ANN.author, made_at=500))
    assert shelf.expire(500 + LEASE_US - 1) == []
    assert shelf.expire(500 + LEASE_US) == [ANN.author]
    assert shelf.expire(500 + LEASE_US) == []


def test_age_and_lease_are_counted_from_when_the_value_was_made() -> None:
    one = held(ANN.author, made_at=1_000)
    assert (one.age_us(1_500), one.lease_left_us(1_500)) == (500, LEASE_US - 500)


def test_a_full_shelf_has_room_for_those_it_holds_and_for_others_only_when_leases_end() -> None:
    shelf = Shelf()
    for number in range(AUTHORS_MAX):
        assert shelf.room_for(author(number))
        shelf.put(held(author(number), made_at=number))
    assert shelf.room_for(author(5))
    shelf.expire(LEASE_US - 1)
    assert not shelf.room_for(author(AUTHORS_MAX))
    shelf.expire(LEASE_US)
    assert shelf.room_for(author(AUTHORS_MAX))
    assert len(shelf) == AUTHORS_MAX - 1


def test_two_authors_with_the_same_tag_are_not_confused() -> None:
    shelf = Shelf()
    shelf.put(held(ANN.author))
    twin = AuthorId(ANN.author[:8] + bytes(24))
    assert not shelf.tag_is_free(twin)
    shelf.remove(ANN.author)
    assert shelf.tag_is_free(twin)


@pytest.mark.parametrize("extra", [1, 100])
def test_marks_are_bounded_and_the_oldest_is_forgotten_first(extra: int) -> None:
    shelf = Shelf()
    for number in range(MARKS_MAX + extra):
        shelf.put(held(author(number)))
        shelf.remove(author(number))
    assert len(shelf._marks) == MARKS_MAX
    assert shelf.mark(author(extra - 1)) == (-1, 0, 0)
    assert shelf.mark(author(extra)) == (0, 1, 1)
    assert shelf.mark(author(MARKS_MAX + extra - 1)) == (0, 1, 1)


def test_the_mark_of_a_held_author_is_not_forgotten_for_strangers_that_come_and_go() -> None:
    shelf = Shelf()
    for number in range(MARKS_MAX + 100):
        shelf.put(held(author(number)))
        shelf.remove(author(number))
        if number % 1_000 == 0:
            shelf.put(held(ANN.author, number + 1))
    assert shelf.get(ANN.author) is not None
    assert shelf.mark(ANN.author) == (0, 1, 4_001)


def test_the_mark_of_an_author_that_comes_back_is_the_youngest_again() -> None:
    shelf = Shelf()
    for number in range(MARKS_MAX):
        shelf.put(held(author(number)))
        shelf.remove(author(number))
    shelf.put(held(author(0), 2))
    shelf.remove(author(0))
    shelf.put(held(ANN.author))
    assert shelf.mark(author(0)) == (0, 1, 2)
    assert shelf.mark(author(1)) == (-1, 0, 0)
