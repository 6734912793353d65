"""The overlay inside a Node: records on the wire, links that are let go, what is found again after a restart."""

from __future__ import annotations

import pytest

from protocol.clock import MINUTE, SECOND
from protocol.effects import Effect, StorePeers
from protocol.errors import CloseCode, Reason
from protocol.identity import LocalIdentity
from protocol.ids import LinkId
from protocol.inputs import DialFailed, InterfaceChanged, LinkDown, Started
from protocol.limits import RECORDS_BURST
from protocol.membership.overlay_values import OverlayConfig
from protocol.node import NodeConfig
from protocol.wire import joining
from protocol.wire import messages as wire
from protocol.wire.joining import ForwardJoin, Join, Neighbor, NeighborAnswer, Shuffle, ShuffleAnswer
from tests.unit.protocol.hub import Hub, closed, connects, drops, sent, vectors_sent
from tests.unit.protocol.people import ANN, BEN, CAT, DAN, EVE, ME, listening, peer_record, person, vector

LARGE = NodeConfig(overlay=OverlayConfig(small_mesh=0))
HERE = ("10.0.0.9", 7_000)


def at(number: int) -> tuple[str, int]:
    """Where the person of that number listens."""
    return (f"10.0.1.{number}", 7_000)


def large() -> Hub:
    """A hub that is in a large mesh from the beginning."""
    return Hub(config=LARGE, started=Started(1, listen=(HERE,)))


def neighbor(hub: Hub, link: int, who: LocalIdentity, number: int) -> list[Effect]:
    """A link whose peer has told where it is and was taken in."""
    effects = hub.up(link, who) + hub.hello(link, addresses=listening(who, at(number))) + hub.drain()
    effects += hub.say(link, Neighbor(False)) + hub.drain()
    assert NeighborAnswer(True) in sent(effects, link)
    return effects


def neighbors(hub: Hub) -> list[bytes]:
    """Whose links are kept."""
    return [line.peer for line in hub.statistics().overlay.neighbors]


def stored(effects: list[Effect]) -> list[StorePeers]:
    """What is to be persisted of peers."""
    return [effect for effect in effects if isinstance(effect, StorePeers)]


# --- small and large ------------------------------------------------------------------------------------------------


def test_in_a_small_mesh_every_link_is_a_neighbors_without_a_word() -> None:
    hub = Hub()
    effects = hub.join(1, ANN) + hub.join(2, BEN, initiator=True)
    assert not [m for m in sent(effects) if type(m) in joining.JoiningMessage.__args__]
    picture = hub.statistics().overlay
    assert picture.small
    assert [(line.peer, line.why) for line in picture.neighbors] == [(ANN.author, "came"), (BEN.author, "chosen")]


def test_a_mesh_is_large_once_more_than_sixteen_hubs_are_known() -> None:
    hub = Hub(started=Started(1, listen=(HERE,)))
    hub.join(1, EVE)
    for start in (0, 8):
        assert hub.statistics().overlay.small
        hub.now += SECOND
        crowd = [person(200 + start + number) for number in range(8)]
        hub.say(1, wire.Peers(tuple(peer_record(who, at(start + n)) for n, who in enumerate(crowd))))
    assert not hub.statistics().overlay.small
    assert len(hub.statistics().overlay.passive) == 16


def test_in_a_large_mesh_vectors_wait_until_both_sides_have_agreed() -> None:
    hub = large()
    neighbor(hub, 1, ANN, 1)
    hub.say(1, wire.Keys(CAT.key_state.encoded), vector(CAT))
    hub.up(2, BEN)
    assert not vectors_sent(hub.hello(2) + hub.drain())
    agreed = hub.say(2, Neighbor(False)) + hub.drain()
    assert NeighborAnswer(True) in sent(agreed, 2)
    assert len(vectors_sent(agreed, 2)) == 1


def test_neighbors_are_told_of_neighbors_and_not_of_every_link() -> None:
    hub = large()
    neighbor(hub, 1, ANN, 1)
    effects = hub.up(2, BEN) + hub.hello(2) + hub.drain()
    assert wire.Neighbors((ANN.author,)) in sent(effects, 2)
    assert not [m for m in sent(effects, 1) if isinstance(m, wire.Neighbors)]
    effects = hub.say(2, Neighbor(False)) + hub.drain()
    assert wire.Neighbors(tuple(sorted((ANN.author, BEN.author)))) in sent(effects, 1)


def test_whoever_is_refused_is_told_and_let_go_with_bye_six_if_it_stays() -> None:
    hub = large()
    for number in range(6):
        neighbor(hub, 1 + number, person(100 + number), number)
    hub.up(9, BEN)
    hub.hello(9)
    hub.drain()
    assert NeighborAnswer(False) in sent(hub.say(9, Neighbor(False)) + hub.drain(), 9)
    assert (9, CloseCode.TOO_MANY_LINKS) in closed(hub.advance(3 * SECOND))
    assert BEN.author not in neighbors(hub)


def test_a_silent_dialler_is_taken_in_after_a_second() -> None:
    hub = large()
    hub.join(1, ANN)
    assert neighbors(hub) == []
    hub.advance(SECOND + 1)
    assert neighbors(hub) == [ANN.author]


def test_somebody_who_is_back_after_long_is_a_bridge_and_all_neighbors_hear_of_it_at_once() -> None:
    hub = large()
    neighbor(hub, 1, ANN, 1)
    neighbor(hub, 2, BEN, 2)
    hub.act(LinkDown(LinkId(1), None))
    hub.drain()
    hub.now += 30 * SECOND
    hub.node._awake_at = hub.now  # nobody slept: this is not about that
    effects = neighbor(hub, 3, ANN, 1)
    assert wire.Neighbors(tuple(sorted((ANN.author, BEN.author)))) in sent(effects, 2)
    assert ForwardJoin(6, peer_record(ANN, at(1))) in sent(effects, 2)
    assert [type(message) for message in sent(effects, 3)].count(Shuffle) == 1
    hood = hub.node._hood
    assert hood.bridges(hub.now) == (ANN.author,)
    assert hood.bridges(hub.now + OverlayConfig().bridge_us) == ()


# --- records on the wire --------------------------------------------------------------------------------------------


def test_a_join_is_passed_on_with_the_joiners_own_record() -> None:
    hub = large()
    neighbor(hub, 1, ANN, 1)
    hub.up(2, BEN)
    hub.hello(2, addresses=listening(BEN, at(2)))
    effects = hub.say(2, Join()) + hub.drain()
    assert NeighborAnswer(True) in sent(effects, 2)
    assert ShuffleAnswer(BEN.author, (peer_record(ANN, at(1)),)) in sent(effects, 2)
    assert ForwardJoin(6, peer_record(BEN, at(2))) in sent(effects, 1)


def test_a_walk_that_ends_here_dials_the_joiner_and_asks_it() -> None:
    hub = large()
    neighbor(hub, 1, ANN, 1)
    (connect,) = connects(hub.say(1, ForwardJoin(0, peer_record(CAT, at(3)))))
    assert (connect.addresses, connect.expected) == ((at(3),), CAT.author)
    effects = hub.up(2, CAT, initiator=True, address=at(3), dial=connect.dial) + hub.hello(2) + hub.drain()
    assert Neighbor(True) in sent(effects, 2)
    hub.say(2, NeighborAnswer(True))
    assert neighbors(hub) == [ANN.author, CAT.author]


def test_a_shuffle_is_answered_where_it_ends_and_makes_its_peers_known() -> None:
    hub = large()
    for number, who in enumerate((ANN, BEN, CAT), start=1):
        neighbor(hub, number, who, number)
    before = connects(hub.advance(SECOND))
    assert before == []
    effects = hub.say(1, Shuffle(1, peer_record(DAN, at(4)), (peer_record(EVE, at(5)),))) + hub.drain()
    (answer,) = [m for m in sent(effects, 1) if isinstance(m, ShuffleAnswer)]
    assert answer.origin == DAN.author
    assert set(answer.peers) <= {peer_record(BEN, at(2)), peer_record(CAT, at(3))}
    assert set(hub.statistics().overlay.passive) >= {DAN.author, EVE.author}


@pytest.mark.parametrize("place", ["walk", "origin", "peer", "answer"])
def test_a_record_that_its_author_did_not_sign_closes_the_link_and_teaches_nothing(place: str) -> None:
    hub = large()
    neighbor(hub, 1, ANN, 1)
    honest = peer_record(CAT, at(3))
    bad = wire.PeerRecord(honest.key_state, honest.signed, DAN.sign(honest.signed))
    messages: dict[str, wire.Message] = {
        "walk": ForwardJoin(0, bad),
        "origin": Shuffle(1, bad, ()),
        "peer": Shuffle(1, peer_record(ANN, at(1)), (bad,)),
        "answer": ShuffleAnswer(ME.author, (bad,)),
    }
    effects = hub.say(1, messages[place])
    assert closed(effects) == [(1, CloseCode.SIGNATURE)]
    assert drops(effects) == [Reason.BAD_SIGNATURE]
    assert CAT.author not in hub.statistics().overlay.passive


def test_records_beyond_the_budget_of_a_link_are_left_unread() -> None:
    hub = large()
    neighbor(hub, 1, ANN, 1)
    read = 0
    for number in range(2 * RECORDS_BURST):
        effects = hub.say(1, ForwardJoin(3, peer_record(person(300 + number), at(number))))
        read += Reason.ADDRESS_LIMIT not in drops(effects)
    assert read == RECORDS_BURST + 1
    assert neighbors(hub) == [ANN.author], "the link is kept"


def test_walking_messages_before_hello_close_the_link() -> None:
    hub = large()
    hub.up(1, ANN)
    assert drops(hub.say(1, Join())) == [Reason.HELLO_EXPECTED]


# --- the lost, and restarts -----------------------------------------------------------------------------------------


def test_a_lost_neighbor_is_an_exile_with_a_reason_and_is_dialled_in_a_fifth_of_a_second() -> None:
    hub = large()
    neighbor(hub, 1, ANN, 1)
    hub.act(LinkDown(LinkId(1), None))
    (line,) = hub.statistics().overlay.exiles
    assert (line.peer, line.why, line.lost_at) == (ANN.author, "lost", hub.now)
    (connect,) = connects(hub.advance(SECOND // 5 + 1))
    assert connect.expected == ANN.author
    hub.act(DialFailed(connect.dial, "refused"))
    assert len(connects(hub.advance(1_200_000))) == 1, "and again a second later"


def test_an_exile_that_never_came_back_is_dialled_at_once_when_the_network_changes() -> None:
    hub = large()
    neighbor(hub, 1, ANN, 1)
    hub.act(LinkDown(LinkId(1), None))
    for _ in range(100):
        for connect in connects(hub.advance(SECOND)):
            hub.act(DialFailed(connect.dial, "refused"))
    hub.act(InterfaceChanged((HERE,)))
    assert [connect.expected for connect in connects(hub.advance(2 * SECOND))] == [ANN.author]


def test_known_hubs_are_stored_and_looked_for_after_a_restart() -> None:
    hub = large()
    neighbor(hub, 1, ANN, 1)
    neighbor(hub, 2, BEN, 2)
    (kept,) = stored(hub.advance(2 * SECOND))
    assert set(kept.peers) == {peer_record(ANN, at(1)), peer_record(BEN, at(2))}
    assert stored(hub.advance(MINUTE)) == [], "not again while nothing changes"
    again = Hub(config=LARGE, started=Started(2, listen=(HERE,), peers=kept.peers))
    dialled = connects(again.advance(SECOND))
    assert {connect.expected for connect in dialled} == {ANN.author, BEN.author}
    assert {line.peer for line in again.statistics().overlay.exiles} == {ANN.author, BEN.author}


def test_peers_are_stored_at_most_twice_a_minute() -> None:
    hub = large()
    count = 0
    for number in range(6):
        neighbor(hub, 1 + number, person(100 + number), number)
        count += len(stored(hub.advance(10 * SECOND)))
    assert count == 2


def test_a_stored_peer_that_is_damaged_is_named_and_the_others_are_kept() -> None:
    broken = wire.PeerRecord(b"\x90", b"\x90", bytes(64))
    hub = Hub()
    hub = Hub(config=LARGE, started=Started(1, peers=(broken, peer_record(ANN, at(1)))))
    assert {line.peer for line in hub.statistics().overlay.exiles} == {ANN.author}
