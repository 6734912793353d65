"""Announcements that wait: a bit for each neighbor, taken back when it need not be told (section 10)."""

from __future__ import annotations

from protocol.clock import SECOND
from protocol.gossip.announcements import Announcements
from protocol.gossip.recent import Recent
from protocol.wire.messages import Gossip
from tests.unit.protocol.test_trees_links import ANN, DAN, name, told


def tag(number: int) -> bytes:
    """What an announcement calls a message."""
    return name(number)[-4:]


def recent(*messages: Gossip) -> Recent:
    """A cache that holds these."""
    held = Recent(15 * SECOND, 512)
    for message in messages:
        held.keep(message, ANN, 0)
    return held


def test_every_neighbor_has_a_bit_of_its_own_and_the_lowest_free_one_is_given_again() -> None:
    waiting = Announcements()
    assert [waiting.take_bit() for _ in range(4)] == [1, 2, 4, 8]
    waiting.give_back(2)
    assert [waiting.take_bit(), waiting.take_bit()] == [2, 16]


def test_what_waits_is_taken_once_with_one_hop_more_than_it_came() -> None:
    waiting = Announcements()
    waiting.add(tag(1), 1)
    waiting.add(tag(1), 4)
    waiting.add(tag(2), 2)
    assert len(waiting) == 3
    held = recent(told(1, hops=3), told(2, hops=255))
    assert waiting.take(held) == [(5, tag(1) + b"\x04"), (2, tag(2) + b"\xff")]
    assert (waiting.take(held), len(waiting)) == ([], 0)


def test_whoever_holds_a_message_is_not_told_of_it() -> None:
    waiting = Announcements()
    waiting.add(tag(1), 3)
    waiting.drop(tag(1), 2)
    waiting.drop(tag(1), 2)  # it says so twice
    waiting.drop(tag(9), 1)  # and of something that nobody waits for
    assert waiting.take(recent(told(1))) == [(1, tag(1) + b"\x04")]


def test_what_waited_for_a_neighbor_that_has_gone_does_not_wait_for_the_one_that_has_its_bit_next() -> None:
    waiting = Announcements()
    bit = waiting.take_bit()
    waiting.add(tag(1), bit)
    waiting.give_back(bit)
    assert waiting.take_bit() == bit
    assert waiting.take(recent(told(1))) == []


def test_what_is_no_longer_held_is_not_announced() -> None:
    waiting = Announcements()
    waiting.add(tag(1), 1)
    assert waiting.take(recent(told(2))) == []


def test_an_id_is_known_even_after_another_message_has_taken_its_tag() -> None:
    first, second = (Gossip(letter * 12 + b"same", DAN, 1, 0, b"p") for letter in (b"a", b"b"))
    held = recent(first, second)
    assert held.get(b"same") == (second, ANN)
    assert held.knows(first.id)
    assert held.knows(second.id)
    for turn in (1, 2, 3, 4):
        assert held.knows(first.id)
        assert held.expire(turn * 15 * SECOND)
    assert not held.knows(first.id)
    assert len(held) == 0


def test_messages_with_one_tag_end_a_generation_by_their_number_like_all_others() -> None:
    held = Recent(15 * SECOND, 10)
    for number in range(1_000):
        held.keep(Gossip(number.to_bytes(12, "big") + b"same", DAN, 1, 0, b"p"), ANN, 0)
        assert len(held) <= 40
