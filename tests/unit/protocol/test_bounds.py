"""What a hostile but admitted peer can make us remember or compute (T19 to T21 of the threat model, CVE-2023-40583).

A valid signature is no reason to store. Memory is counted in the entries of all containers that a Node can reach.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Iterable
from types import FunctionType, ModuleType

import pytest

from protocol.effects import Effect
from protocol.errors import CloseCode, Reason
from protocol.ids import LinkId
from protocol.inputs import LinkDown, PeerSeen
from protocol.limits import AUTHORS_MAX, CANDIDATES_MAX, KNOWN_PEERS_MAX, VERIFY_BURST, VERIFY_PER_SECOND
from protocol.membership.overlay_values import OverlayConfig
from protocol.membership.views import ViewsConfig
from protocol.node import NodeConfig
from protocol.wire import messages as wire
from tests.unit.protocol.hub import Hub, closed, drops, news, shown
from tests.unit.protocol.people import ANN, BEN, CAT, EVE, Made, forged, keys, peer_record, person, vector

SHORT = Made(lease_ms=1_000)
LASTING = Made(lease_ms=60_000)


def entries(root: object) -> int:
    """How many entries all containers have that can be reached from an object."""
    seen = {id(root)}
    stack: list[object] = [root]
    count = 0
    while stack:
        one = stack.pop()
        if isinstance(one, dict | list | set | frozenset | deque):
            count += len(one)
        for other in gc.get_referents(one):
            if id(other) not in seen and not isinstance(other, type | ModuleType | FunctionType):
                seen.add(id(other))
                stack.append(other)
    return count


def trusting() -> Hub:
    """A hub with links 1 (Ann) and 2 (Eve) whose verifier is cheap; key states are still checked for real."""
    hub = Hub(verifier=lambda key, message, signature: True)
    hub.join(1, ANN)
    hub.join(2, EVE)
    return hub


def filled(hub: Hub, count: int, made: Made, *, link_count: int = 1) -> list[Effect]:
    """Let Eve's links bring so many authors that she has made up, as fast as the budget of a link allows."""
    for link in range(link_count):
        hub.join(1_000 + link, person(9_000 + link))
    effects = []
    for number in range(count):
        if number % (400 * link_count) == 0 and number > 0:
            hub.now += 1_000_000
        who = person(10_000 + number)
        effects += hub.say(1_000 + number % link_count, keys(who), vector(who, 1, made))
    return effects


def in_frames(messages: Iterable[wire.Message], size: int = 100) -> Iterable[tuple[wire.Message, ...]]:
    """Messages by the frame."""
    batch: list[wire.Message] = []
    for message in messages:
        batch.append(message)
        if len(batch) == size:
            yield tuple(batch)
            batch.clear()
    if batch:
        yield tuple(batch)


def strangers(count: int) -> Iterable[wire.Vector]:
    """Well-formed vectors, each by another author that nobody knows."""
    template = vector(CAT, 1)
    before, after = template.signed.split(CAT.author)
    for number in range(count):
        yield wire.Vector(before + number.to_bytes(32, "big") + after, template.signature, 0)


@pytest.mark.parametrize("count", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_records_of_unknown_authors_leave_memory_bounded_and_disturb_nobody(count: int) -> None:
    hub = Hub()
    hub.join(1, ANN)
    hub.join(2, EVE)
    before = entries(hub.node)
    refused: dict[str, int] = {}
    for frame in in_frames(strangers(count)):
        hub.now += 100_000
        for reason in drops(hub.say(2, *frame)):
            refused[reason] = refused.get(reason, 0) + 1
        for reason in drops(hub.advance(0)):
            refused[reason] = refused.get(reason, 0) + 1
        hub.say(1, wire.Beat())
    assert refused.keys() <= {Reason.PENDING_LIMIT, Reason.UNKNOWN_AUTHOR}
    assert entries(hub.node) - before < 1_500
    assert shown(hub.say(1, keys(CAT), vector(CAT, 1))) == [(CAT.author, 1)]


def test_vectors_of_a_stream_of_true_strangers_leave_nothing_behind_but_marks() -> None:
    hub = trusting()
    sizes = []
    for round_number in range(3):
        hub.now += 1_000_000
        for number in range(300):
            who = person(10_000 + 300 * round_number + number)
            hub.say(1 if number % 2 else 2, keys(who), vector(who, 1, SHORT))
        hub.advance(3_000_000)
        sizes.append(len(hub.statistics().authors))
    assert sizes == [0, 0, 0]
    assert len(hub.node._vectors.keys) == 1 + len(hub.node._ports), "our own and those of the links"
    assert len(hub.node._vectors.shelf._marks) == 900


def test_key_states_of_a_stream_of_strangers_are_not_remembered_for_ever() -> None:
    hub = trusting()
    sizes = []
    for round_number in range(5):
        for number in range(900):
            hub.say(2, keys(person(10_000 + 900 * round_number + number)))
        hub.drain()
        hub.advance(3_000_000)
        sizes.append(entries(hub.node))
    assert sizes[4] - sizes[2] < 100


def test_key_states_that_nobody_used_go_with_their_link() -> None:
    hub = trusting()
    before = entries(hub.node)
    hub.join(3, BEN)
    for number in range(500):
        hub.say(3, keys(person(10_000 + number)))
    assert len(hub.node._vectors.keys) <= 4 + 64
    hub.act(LinkDown(LinkId(3), None))
    hub.drain()
    assert entries(hub.node) - before < 40


def test_two_thousand_strangers_that_came_and_went_do_not_keep_an_honest_hub_out() -> None:
    hub = Hub()
    for number in range(2 * AUTHORS_MAX + 10):
        hub.up(10 + number, person(10_000 + number))
        hub.act(LinkDown(LinkId(10 + number), CloseCode.SHUTDOWN))
    assert news(hub.up(9, ANN)) == [(9, True)]


def test_cycles_of_connect_ask_and_drop_leave_what_was_there_before() -> None:
    hub = trusting()
    ask = [wire.WantKeys(tuple(number.to_bytes(32, "big") for number in range(64)))]  # type: ignore[misc]
    digest = wire.Digest(tuple(wire.DigestEntry(number.to_bytes(8, "big"), 0, 1, 1) for number in range(256)))
    sizes = []
    for cycle in range(60):
        hub.join(100 + cycle, BEN)
        hub.say(
            100 + cycle, *ask, digest, *strangers(50), wire.Neighbors(tuple(a for m in ask for a in m.authors[:32]))
        )
        hub.act(LinkDown(LinkId(100 + cycle), CloseCode.SHUTDOWN))
        hub.drain()
        sizes.append(entries(hub.node))
    assert max(sizes[10:]) <= sizes[9]


def test_no_more_than_1024_authors_are_held_and_the_rest_are_counted() -> None:
    hub = trusting()
    refused = drops(filled(hub, AUTHORS_MAX + 20, LASTING))
    assert refused == [Reason.AUTHOR_LIMIT] * 20
    assert len(hub.statistics().authors) == AUTHORS_MAX
    assert shown(hub.say(1, vector(person(10_000), 2, LASTING))) == [(person(10_000).author, 2)]


def test_a_linked_peers_own_vector_finds_room_whatever_a_hostile_link_brings() -> None:
    hub = trusting()
    filled(hub, AUTHORS_MAX, LASTING)
    assert shown(hub.say(1, vector(ANN, 1))) == [(ANN.author, 1)]


def test_a_linked_peers_own_vector_does_not_give_way_to_a_stranger() -> None:
    hub = trusting()
    hub.say(1, vector(ANN, 1, LASTING))
    for number in range(AUTHORS_MAX - 1):
        hub.now += 2_000
        who = person(10_000 + number)
        hub.say(1, keys(who), vector(who, 1, LASTING))
    hub.say(2, keys(person(20_000)), vector(person(20_000), 1, LASTING))
    assert hub.seq_of(ANN) == 1


def test_leases_that_end_to_make_room_take_their_key_states_along() -> None:
    hub = trusting()
    filled(hub, AUTHORS_MAX, SHORT, link_count=5)
    hub.now += 1_000_000
    for number in range(3):
        who = person(20_000 + number)
        hub.say(1, keys(who), vector(who, 1, SHORT))
    hub.advance(3_000_000)
    assert len(hub.node._vectors.keys) == 1 + len(hub.node._ports), "our own and those of the links"


# --- work -------------------------------------------------------------------------------------------------------


def test_one_link_cannot_make_us_check_signatures_without_a_bound() -> None:
    hub = trusting()
    hub.say(1, keys(CAT))
    made = (vector(CAT, seq) for seq in range(1, VERIFY_BURST + 51))
    refused = [reason for frame in in_frames(made) for reason in drops(hub.say(2, *frame))]
    assert refused == [Reason.VERIFY_BUDGET] * 50
    assert shown(hub.say(1, vector(CAT, 5_000))) == [(CAT.author, 5_000)], "another link has a budget of its own"
    hub.now += 1_000_000 * 3 // VERIFY_PER_SECOND
    again = [shown(hub.say(2, vector(CAT, 6_000 + number))) for number in range(4)]
    assert [len(one) for one in again] == [1, 1, 1, 0]


def test_a_forgery_costs_its_link_at_the_first_check() -> None:
    hub = Hub()
    hub.join(2, EVE)
    effects = hub.say(2, keys(CAT), *(forged(CAT, seq) for seq in range(1, 100)))
    assert hub.statistics().verified == 1
    assert closed(effects) == [(2, CloseCode.SIGNATURE)]


def test_key_states_are_checked_within_the_budget_of_their_link() -> None:
    hub = trusting()
    flood = (keys(CAT) for _ in range(VERIFY_BURST + 500))
    refused = [reason for frame in in_frames(flood) for reason in drops(hub.say(2, *frame))]
    assert Reason.VERIFY_BUDGET in refused


def test_a_key_state_with_rotations_costs_as_many_checks_as_it_has_signatures() -> None:
    hub = trusting()
    rotated = wire.Keys(person(9, rotations=3).key_state.encoded)
    flood = [rotated] * (VERIFY_BURST // 4 + 10)
    taken = [reason for frame in in_frames(flood, 50) for reason in drops(hub.say(2, *frame))]
    assert taken == [Reason.VERIFY_BUDGET] * 10


# --- addresses --------------------------------------------------------------------------------------------------


def test_names_from_discovery_are_bounded() -> None:
    hub = Hub()
    for number in range(3 * CANDIDATES_MAX):
        hub.act(PeerSeen(f"name {number}", ((f"10.0.{number // 250}.{number % 250}", 1),)))
    assert len(hub.node._views._names) == CANDIDATES_MAX


def test_a_name_too_many_is_counted_while_all_others_are_being_dialled() -> None:
    hub = Hub(config=NodeConfig(views=ViewsConfig(parallel_alone=CANDIDATES_MAX)))
    for number in range(CANDIDATES_MAX):
        hub.act(PeerSeen(f"name {number}", ((f"10.0.{number // 250}.{number % 250}", 1),)))
    hub.advance(100_000)
    assert drops(hub.act(PeerSeen("one more", (("10.9.9.9", 1),)))) == [Reason.ADDRESS_LIMIT]


def test_addresses_of_peers_are_bounded_and_at_most_one_message_a_second_counts() -> None:
    hub = Hub()
    hub.join(2, EVE)
    assert drops(hub.say(2, wire.Peers((peer_record(ANN, ("10.0.0.1", 1)),)))) == []
    assert drops(hub.say(2, wire.Peers((peer_record(BEN, ("10.0.0.2", 1)),)))) == [Reason.ADDRESS_LIMIT]
    for start in range(0, KNOWN_PEERS_MAX + 80, 8):
        hub.now += 1_000_000
        hub.say(2, wire.Peers(tuple(peer_record(person(10_000 + start + n), ("10.1.0.1", 1 + n)) for n in range(8))))
    assert hub.statistics().known_peers <= KNOWN_PEERS_MAX
    assert len(hub.node._book) <= KNOWN_PEERS_MAX


def test_a_peer_too_many_is_counted_while_all_others_are_being_dialled() -> None:
    many = 2 * KNOWN_PEERS_MAX
    everybody = ViewsConfig(parallel_alone=many, links_target=many, links_max=many)
    all_linked = OverlayConfig(small_mesh=many, small_sought=many, shuffle_small=False)
    hub = Hub(config=NodeConfig(views=everybody, overlay=all_linked))
    for number in range(KNOWN_PEERS_MAX):
        hub.act(PeerSeen("", ((f"10.{number // 250}.0.1", 1 + number),), person(10_000 + number).author))
    hub.advance(100_000)
    assert drops(hub.act(PeerSeen("", (("10.9.9.9", 1),), ANN.author))) == [Reason.ADDRESS_LIMIT]
    assert news(hub.up(1, BEN)) == [(1, True)], "a link counts even if there is no room to remember its peer"
    assert hub.statistics().known_peers == KNOWN_PEERS_MAX


def test_people_that_neighbors_speak_of_are_remembered_up_to_a_bound() -> None:
    hub = Hub()
    hub.join(2, EVE)
    for start in range(0, 3 * AUTHORS_MAX, 32):
        names = tuple((start + number).to_bytes(32, "big") for number in range(32))
        hub.say(2, wire.Neighbors(names))  # type: ignore[arg-type]
        hub.statistics()
    picture = hub.statistics()
    assert len(picture.in_reach) + len(picture.out_of_reach) <= AUTHORS_MAX
