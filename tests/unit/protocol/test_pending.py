"""Vectors whose author's key is not known yet, and forged numbers among them (R31, R36, R37)."""

from __future__ import annotations

import pytest

from protocol.effects import Drop, Effect, SetTimer, StoreKeyState
from protocol.errors import CloseCode, Reason
from protocol.ids import LinkId
from protocol.inputs import LinkDown, Started, TimerFired
from protocol.limits import COUNTER_MAX, PENDING_PER_LINK_MAX
from protocol.wire import messages as wire
from tests.unit.link.weak_keys import ed25519_small_order, mixed_order_key_state, small_order_key_state
from tests.unit.protocol.hub import Hub, closed, drops, sent, shown, timers, vectors_sent
from tests.unit.protocol.people import ANN, BEN, CAT, DAN, EVE, Made, forged, keys, person, vector

FORGED_NUMBERS = [(1, COUNTER_MAX), (COUNTER_MAX, 1), (COUNTER_MAX, COUNTER_MAX), (2, 1)]
HELD_BACK = ("gossip", "pending")


def linked(count: int = 3) -> Hub:
    """A hub with links 1 (Ann), 2 (Ben) and 3 (Eve); nobody has spoken of Cat."""
    hub = Hub()
    for link, who in enumerate((ANN, BEN, EVE)[:count], start=1):
        hub.join(link, who)
    return hub


def test_a_vector_of_an_unknown_author_waits_and_its_key_is_asked_for_on_that_link() -> None:
    hub = linked()
    effects = hub.say(1, vector(CAT, 1))
    assert shown(effects) == []
    assert sent(effects, 1) == [wire.WantKeys((CAT.author,))]
    assert sent(effects, 2) + sent(effects, 3) == []
    assert SetTimer(HELD_BACK, hub.now + 2_000_000) in effects


def test_the_key_lets_what_waited_be_shown_and_relayed_with_its_age() -> None:
    hub = linked(2)
    hub.say(1, vector(CAT, 1, age_ms=100))
    hub.drain()
    hub.now += 250_000
    effects = hub.say(1, keys(CAT))
    assert shown(effects) == [(CAT.author, 1)]
    assert [one.age_ms for one in vectors_sent(effects, 2)] == [350]


def test_an_age_that_passed_the_lease_while_waiting_is_noticed() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1, Made(lease_ms=1_000), age_ms=900))
    hub.now += 100_000
    assert drops(hub.say(1, keys(CAT))) == [Reason.LEASE_EXPIRED]
    assert hub.held(CAT) is None


def test_what_has_waited_two_seconds_is_dropped_and_the_link_kept() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1))
    assert drops(hub.advance(1_900_000)) == []
    effects = hub.advance(200_000)
    assert [effect for effect in effects if isinstance(effect, Drop)] == [Drop(LinkId(1), Reason.UNKNOWN_AUTHOR)]
    assert closed(effects) == []
    assert shown(hub.say(1, keys(CAT))) == []


def test_each_waits_its_own_two_seconds() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1))
    hub.now += 500_000
    hub.say(2, vector(DAN, 1))
    hub.now += 1_500_000
    effects = hub.act(TimerFired(HELD_BACK))
    assert drops(effects) == [Reason.UNKNOWN_AUTHOR]
    assert timers(effects) == {HELD_BACK: hub.now + 500_000}


def test_more_unknown_authors_do_not_put_off_the_end_of_waiting() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1))
    effects = []
    for number in range(4):
        effects += hub.advance(1_000_000)
        effects += hub.say(2, vector(person(100 + number), 1))
    assert Drop(LinkId(1), Reason.UNKNOWN_AUTHOR) in effects


def test_only_the_highest_number_of_an_author_waits_on_a_link() -> None:
    hub = linked(2)
    for seq in (3, 9, 5):
        assert drops(hub.say(1, vector(CAT, seq))) == []
    effects = hub.say(1, keys(CAT))
    assert (shown(effects), drops(effects)) == ([(CAT.author, 9)], [])


def test_64_authors_wait_on_a_link_and_no_more() -> None:
    hub = linked()
    for number in range(PENDING_PER_LINK_MAX):
        assert drops(hub.say(1, vector(person(100 + number), 1))) == []
    assert drops(hub.say(1, vector(CAT, 1))) == [Reason.PENDING_LIMIT]
    assert drops(hub.say(1, vector(person(100), 2))) == []
    effects = hub.say(2, keys(CAT), vector(CAT, 1))
    assert shown(effects) == [(CAT.author, 1)], "another link is not concerned"


def test_a_key_is_asked_for_at_most_once_a_second_and_author() -> None:
    hub = linked(1)
    asked = sent(hub.say(1, vector(CAT, 1)))
    for seq in range(2, 12):
        asked += sent(hub.drain())
        hub.now += 90_000
        asked += sent(hub.say(1, vector(CAT, seq)))
    assert asked == [wire.WantKeys((CAT.author,))]
    hub.now += 200_000
    hub.drain()
    assert sent(hub.say(1, vector(CAT, 20))) == [wire.WantKeys((CAT.author,))]


# --- forged numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("boot", "seq"), FORGED_NUMBERS)
def test_a_forged_high_number_closes_the_hostile_link_only_and_silences_nobody(boot: int, seq: int) -> None:
    hub = linked()
    hub.say(1, keys(CAT), vector(CAT, 1))
    hub.drain()
    effects = hub.say(3, keys(CAT), forged(CAT, seq, Made(boot=boot)))
    assert closed(effects) == [(3, CloseCode.SIGNATURE)]
    for number in (2, 3, 4):
        assert shown(hub.say(1, vector(CAT, number))) == [(CAT.author, number)]
    assert [line.link for line in hub.statistics().links] == [1, 2]


@pytest.mark.parametrize(("boot", "seq"), FORGED_NUMBERS)
@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 3, 1)])
def test_a_forged_number_among_those_that_wait_for_a_key_falls_alone(
    boot: int, seq: int, order: tuple[int, ...]
) -> None:
    hub = linked()
    messages = {1: vector(CAT, 1), 2: vector(CAT, 2), 3: forged(CAT, seq, Made(boot=boot))}
    for link in order:
        assert shown(hub.say(link, messages[link])) == []
    hub.drain()
    effects = hub.say(1, keys(CAT))
    assert shown(effects) == [(CAT.author, 2)]
    assert closed(effects) == [(3, CloseCode.SIGNATURE)]
    assert drops(effects) == [Reason.BAD_SIGNATURE, Reason.SUPERSEDED]
    assert [line.link for line in hub.statistics().links] == [1, 2]


def test_several_hostile_links_fall_one_after_the_other_and_the_honest_one_wins() -> None:
    hub = Hub()
    hub.join(1, ANN)
    hostile = range(2, 8)
    for link in hostile:
        hub.join(link, person(50 + link))
        hub.say(link, forged(CAT, COUNTER_MAX - link))
    hub.say(1, vector(CAT, 1))
    hub.drain()
    effects = hub.say(2, keys(CAT))
    assert shown(effects) == [(CAT.author, 1)]
    assert sorted(closed(effects)) == [(link, CloseCode.SIGNATURE) for link in hostile]
    assert [line.link for line in hub.statistics().links] == [1]


@pytest.mark.parametrize("rotation", [1, 2, 3])
def test_a_forged_rotation_waits_alone_and_silences_nobody(rotation: int) -> None:
    hub = linked()
    hub.say(1, keys(CAT), vector(CAT, 1))
    hub.drain()
    turned = vector(person(3, rotation), 1)
    bad = wire.Vector(turned.signed, bytes(64), 0)
    assert sent(hub.say(3, bad), 3) == [wire.WantKeys((CAT.author,))]
    assert shown(hub.say(1, vector(CAT, 2))) == [(CAT.author, 2)]
    assert Drop(LinkId(3), Reason.UNKNOWN_AUTHOR) in hub.advance(2_100_000)
    assert shown(hub.say(1, vector(CAT, 3))) == [(CAT.author, 3)]


def test_a_link_that_ends_takes_what_waits_on_it_along() -> None:
    hub = linked()
    hub.say(3, vector(CAT, 9))
    hub.act(LinkDown(LinkId(3), None))
    effects = hub.say(1, keys(CAT), vector(CAT, 1))
    assert shown(effects) == [(CAT.author, 1)]


# --- key states -------------------------------------------------------------------------------------------------


def test_a_higher_rotation_ends_the_older_key_and_is_stored_once_it_was_used() -> None:
    hub = linked()
    hub.say(1, keys(CAT), vector(CAT, 5, Made(boot=9)))
    turned = person(3, 1)
    assert hub.say(1, keys(turned)) == []
    assert drops(hub.say(2, vector(CAT, 6, Made(boot=9)))) == [Reason.STALE_KEY_STATE]
    effects = hub.say(2, vector(turned, 1))
    assert shown(effects) == [(CAT.author, 1)]
    assert stored(effects) == [StoreKeyState(CAT.author, turned.key_state.encoded)]
    assert stored(hub.say(2, vector(turned, 2))) == []
    assert drops(hub.say(2, vector(CAT, COUNTER_MAX, Made(boot=COUNTER_MAX)))) == [Reason.SUPERSEDED]


def stored(effects: list[Effect]) -> list[StoreKeyState]:
    """The key states that are to be persisted."""
    return [effect for effect in effects if isinstance(effect, StoreKeyState)]


def test_the_rotated_key_state_of_a_linked_peer_is_stored() -> None:
    hub = Hub()
    turned = person(3, 1)
    effects = hub.join(1, turned) + hub.say(1, vector(turned, 1))
    assert stored(effects) == [StoreKeyState(CAT.author, turned.key_state.encoded)]


def test_a_thief_with_the_older_key_does_not_keep_the_newer_one_from_being_stored() -> None:
    hub = linked()
    turned = person(3, 1)
    hub.say(1, keys(CAT), vector(CAT, 1))
    hub.say(1, keys(turned))
    refused = hub.up(4, CAT)
    assert drops(refused) == [Reason.STALE_KEY_STATE]
    effects = refused + hub.say(1, vector(turned, 1))
    assert stored(effects) == [StoreKeyState(CAT.author, turned.key_state.encoded)]


def test_a_key_state_that_was_never_rotated_is_not_stored() -> None:
    hub = linked()
    assert stored(hub.say(1, keys(CAT), vector(CAT, 1))) == []


def test_a_link_under_a_key_that_was_rotated_away_is_closed() -> None:
    hub = linked()
    hub.say(1, keys(person(3, 1)))
    effects = hub.up(4, CAT)
    assert (drops(effects), closed(effects)) == ([Reason.STALE_KEY_STATE], [(4, CloseCode.SIGNATURE)])
    assert closed(hub.up(5, person(3, 1))) == []


def test_a_lower_rotation_does_not_take_back_a_higher_one() -> None:
    hub = linked()
    hub.say(1, keys(person(3, 2)))
    assert hub.say(2, keys(person(3, 1))) == []
    assert hub.say(2, keys(CAT)) == []
    assert drops(hub.say(2, vector(CAT, 1))) == [Reason.STALE_KEY_STATE]
    assert drops(hub.say(2, vector(person(3, 1), 1))) == [Reason.STALE_KEY_STATE]
    assert shown(hub.say(2, vector(person(3, 2), 1))) == [(CAT.author, 1)]


def test_a_vector_that_waited_under_an_older_rotation_is_stale_once_the_newer_is_known() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1))
    assert drops(hub.say(2, keys(person(3, 1)))) == [Reason.STALE_KEY_STATE]


def test_a_vector_of_a_later_rotation_still_waits_when_an_earlier_key_comes() -> None:
    hub = linked()
    hub.say(1, vector(person(3, 2), 1))
    assert shown(hub.say(1, keys(CAT))) == []
    assert shown(hub.say(1, keys(person(3, 1)))) == []
    assert shown(hub.say(1, keys(person(3, 2)))) == [(CAT.author, 1)]


@pytest.mark.parametrize("name", sorted(ed25519_small_order()))
def test_a_key_state_of_small_order_closes_its_link(name: str) -> None:
    hub = linked()
    effects = hub.say(3, wire.Keys(small_order_key_state(ed25519_small_order()[name])))
    assert (drops(effects), closed(effects)) == ([Reason.BAD_KEY], [(3, CloseCode.PROTOCOL)])


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (mixed_order_key_state(), Reason.BAD_KEY),
        (b"\xc0", Reason.WRONG_TYPE),
        (CAT.key_state.encoded[:-1], Reason.TRUNCATED),
        (CAT.key_state.encoded[:-1] + b"\0", Reason.BAD_SIGNATURE),
        (bytes(1_024), Reason.MALFORMED),
    ],
)
def test_an_invalid_key_state_closes_its_link_and_leaves_the_author_alone(encoded: bytes, reason: Reason) -> None:
    hub = linked()
    effects = hub.say(3, wire.Keys(encoded))
    assert (drops(effects), closed(effects)) == ([reason], [(3, CloseCode.PROTOCOL)])
    assert shown(hub.say(1, keys(CAT), vector(CAT, 1))) == [(CAT.author, 1)]


def test_a_wish_for_keys_is_answered_with_those_we_know_and_silence_about_the_rest() -> None:
    hub = linked()
    hub.say(1, keys(CAT))
    wish = wire.WantKeys((DAN.author, CAT.author, person(77).author, ANN.author))
    assert sent(hub.say(2, wish)) == [keys(CAT), keys(ANN)]


def test_at_most_64_wishes_wait_for_their_answer_and_none_is_answered_twice_in_a_second() -> None:
    hub = linked()
    crowd = [person(100 + number) for number in range(64)]
    for who in crowd:
        hub.say(1, keys(who), vector(who, 1))
    hub.drain()
    hub.say(2, wire.Ping(1))
    for start in range(0, 64, 16):
        hub.say(2, wire.WantKeys(tuple(who.author for who in crowd[start : start + 16])))
    hub.say(2, wire.WantKeys((ANN.author, BEN.author)))
    answers = [message for message in sent(hub.drain(), 2) if isinstance(message, wire.Keys)]
    assert answers == [keys(who) for who in crowd]
    assert sent(hub.say(2, wire.WantKeys((crowd[0].author,))) + hub.drain(), 2) == []
    assert sent(hub.say(2, wire.WantKeys((ANN.author,))), 2) == [keys(ANN)]
    hub.advance(2_100_000)
    assert keys(crowd[0]) in sent(hub.say(2, wire.WantKeys((crowd[0].author,))) + hub.drain(), 2)


def test_a_wish_for_nobody_we_know_is_answered_by_nothing() -> None:
    assert linked().say(2, wire.WantKeys((DAN.author,))) == []


def test_stored_key_states_count_from_the_start_and_broken_ones_are_counted() -> None:
    turned = person(3, 1)
    hub = Hub(started=Started(1, key_states=(turned.key_state.encoded, b"\xc0")))
    assert hub.statistics().drops == {Reason.WRONG_TYPE: 1}
    hub.join(1, ANN)
    assert drops(hub.say(1, keys(CAT), vector(CAT, 1))) == [Reason.STALE_KEY_STATE]
    assert shown(hub.say(1, vector(turned, 1))) == [(CAT.author, 1)]


def test_of_two_key_states_the_one_with_more_rotations_wins_for_good() -> None:
    hub = linked()
    hub.say(1, keys(CAT), vector(CAT, 1, Made(lease_ms=1_000)))
    hub.say(1, keys(person(3, 1)))
    hub.advance(3_000_000)
    effects = hub.say(3, keys(CAT), vector(CAT, 1, Made(boot=2)))
    assert (shown(effects), drops(effects)) == ([], [Reason.STALE_KEY_STATE])
