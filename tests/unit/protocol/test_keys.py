"""The book of key states: what counts, what is on probation, and what is remembered for good (R23)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from protocol.crypto import SigningKey
from protocol.errors import Reason, RemoteProtocolError
from protocol.gossip.keys import KeyBook
from protocol.identity import KeyStateError, new_identity, next_key_digest, rotate
from protocol.ids import LinkId
from protocol.limits import AUTHORS_MAX, KEYS_REMEMBERED_MAX, UNUSED_KEYS_PER_LINK_MAX
from tests.unit.protocol.people import ANN, BEN, MESH, OTHER_MESH, person

ONE, TWO = LinkId(1), LinkId(2)


def encoded(number: int, rotations: int = 0) -> bytes:
    """Somebody's key state."""
    return person(number, rotations).key_state.encoded


def strangers(count: int, rotations: int = 0) -> Iterator[bytes]:
    """Key states of so many different people."""
    for number in range(count):
        first, second = (b"%d %d" % (number, which) for which in (0, 1))
        who = new_identity(MESH.mesh_id, first.ljust(32), second.ljust(32))
        if rotations:
            who = rotate(MESH.mesh_id, who.key_state, second.ljust(32), next_key_digest(SigningKey(bytes(32)).public))
        yield who.key_state.encoded


def test_a_key_state_that_is_learnt_is_known() -> None:
    book = KeyBook(MESH.mesh_id)
    assert book.get(ANN.author) is None
    learnt = book.learn(ANN.key_state.encoded, ONE)
    assert (learnt.given, learnt.current, learnt.news) == (ANN.key_state, ANN.key_state, True)
    assert book.get(ANN.author) == ANN.key_state
    assert not book.learn(ANN.key_state.encoded, TWO).news


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (2, 2, 0)])
def test_the_highest_rotation_counts_in_whatever_order_they_come(order: tuple[int, ...]) -> None:
    book = KeyBook(MESH.mesh_id)
    highest = -1
    for rotations in order:
        learnt = book.learn(encoded(1, rotations), ONE)
        assert learnt.given.rotation == rotations
        assert learnt.news is (rotations > highest)
        highest = max(highest, rotations)
        assert learnt.current.rotation == highest
    assert book.get(ANN.author) == person(1, highest).key_state


def test_an_invalid_key_state_changes_nothing() -> None:
    book = KeyBook(MESH.mesh_id)
    book.learn(encoded(1), ONE)
    foreign = new_identity(OTHER_MESH.mesh_id, bytes(32), bytes(32)).key_state.encoded
    for bad in (b"", b"\xc0", encoded(1)[:-1] + b"\0", foreign):
        with pytest.raises(KeyStateError):
            book.learn(bad, ONE)
        with pytest.raises(KeyStateError):
            book.remember(bad)
    assert len(book) == 1


def test_what_a_link_brought_and_nobody_used_goes_with_it() -> None:
    book = KeyBook(MESH.mesh_id)
    book.learn(encoded(1), ONE)
    book.learn(encoded(2), ONE)
    book.use(ANN.author)
    book.link_down(ONE)
    assert (book.get(ANN.author), book.get(BEN.author)) == (ANN.key_state, None)
    book.link_down(ONE)


def test_one_link_has_64_key_states_on_probation_and_the_first_gives_way() -> None:
    book = KeyBook(MESH.mesh_id)
    book.learn(encoded(1), TWO)
    for one in strangers(UNUSED_KEYS_PER_LINK_MAX + 10):
        book.learn(one, ONE)
    assert len(book) == UNUSED_KEYS_PER_LINK_MAX + 1
    assert book.get(ANN.author) == ANN.key_state, "another link is not concerned"


def test_a_full_book_takes_nobody_new_and_still_knows_the_others() -> None:
    book = KeyBook(MESH.mesh_id)
    book.learn(encoded(1), None)
    for one in strangers(2 * AUTHORS_MAX - 1):
        book.use(book.learn(one, None).current.author)
    with pytest.raises(RemoteProtocolError) as refused:
        book.learn(encoded(2), ONE)
    assert refused.value.reason is Reason.AUTHOR_LIMIT
    assert book.learn(encoded(1, 1), ONE).news
    book.forget(ANN.author)
    assert book.learn(encoded(2), ONE).news


def test_only_the_first_use_of_a_rotated_key_state_is_worth_storing() -> None:
    book = KeyBook(MESH.mesh_id)
    book.learn(encoded(1), ONE)
    assert book.use(ANN.author) is None
    book.learn(encoded(1, 2), ONE)
    assert book.use(ANN.author) == person(1, 2).key_state
    assert book.use(ANN.author) is None
    assert book.use(BEN.author) is None


@pytest.mark.parametrize("first", [0, 1])
def test_a_rotation_that_was_used_is_remembered_when_its_author_is_forgotten(first: int) -> None:
    book = KeyBook(MESH.mesh_id)
    book.learn(encoded(1, 2), ONE)
    book.use(ANN.author)
    book.forget(ANN.author)
    assert book.get(ANN.author) is None
    learnt = book.learn(encoded(1, first), TWO)
    assert (learnt.given.rotation, learnt.current.rotation) == (first, 2)


def test_a_rotation_out_of_our_own_store_refuses_the_older_key_from_the_start() -> None:
    book = KeyBook(MESH.mesh_id)
    book.remember(encoded(1, 2))
    book.remember(encoded(1, 1))
    assert len(book) == 0
    assert book.learn(encoded(1), ONE).current.rotation == 2


def test_remembered_rotations_are_bounded_and_the_longest_known_is_forgotten_first() -> None:
    book = KeyBook(MESH.mesh_id)
    book.remember(encoded(1, 1))
    book.remember(encoded(2, 1))
    for one in strangers(KEYS_REMEMBERED_MAX - 1, rotations=1):
        book.remember(one)
    assert book.learn(encoded(1), ONE).current.rotation == 0
    assert book.learn(encoded(2), ONE).current.rotation == 1
