"""What leaves, on which link, when, and in which order (R41, R42, R43 and section 7.2)."""

from __future__ import annotations

import pytest

from protocol.effects import Effect, Send, SetTimer
from protocol.gossip.vectors import VectorsConfig
from protocol.ids import LinkId
from protocol.inputs import LinkWritable, Started, TimerFired
from protocol.limits import DIMENSIONS_MAX, PLAINTEXT_BYTES_MAX, SEND_BYTES_MAX, SPACING_US
from protocol.node import NodeConfig
from protocol.wire import messages as wire
from protocol.wire.block import make_block
from protocol.wire.messages import encode_frame
from protocol.wire.records import decode_vector
from protocol.wire.registry import DIMENSIONS
from tests.unit.protocol.hub import START, Couple, Hub, sent, shown, vectors_sent
from tests.unit.protocol.people import ANN, BEN, CAT, DAN, EVE, ME, MESH, Made, keys, peer_record, person, tag, vector


def linked() -> Hub:
    """A hub with links 1 (Ann) and 2 (Ben), who both have Cat's key state, and 90 ms of quiet."""
    hub = Hub()
    hub.join(1, ANN)
    hub.join(2, BEN)
    hub.say(1, keys(CAT))
    hub.say(2, keys(CAT))
    return hub


def seqs(effects: list[Effect], link: int) -> list[int]:
    """The numbers of the vectors that leave on a link."""
    return [decode_vector(MESH.mesh_id, message.signed).seq for message in vectors_sent(effects, link)]


# --- keys -------------------------------------------------------------------------------------------------------


def test_keys_precede_the_first_vector_of_an_author_and_no_later_one() -> None:
    hub = Hub()
    hub.join(1, ANN)
    hub.join(2, BEN)
    first = hub.say(1, keys(CAT), vector(CAT, 1)) + hub.drain()
    assert sent(first, 2) == [keys(CAT), vector(CAT, 1)]
    hub.now += 1_000_000
    assert sent(hub.say(1, vector(CAT, 2)), 2) == [vector(CAT, 2)]


def test_a_new_rotation_is_carried_before_its_first_vector() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1))
    hub.drain()
    hub.now += 1_000_000
    turned = person(3, 1)
    effects = hub.say(1, keys(turned), vector(turned, 2))
    assert sent(effects, 2) == [keys(turned), vector(turned, 2)]


def test_keys_that_the_peer_itself_has_carried_are_not_sent_back() -> None:
    hub = linked()
    assert sent(hub.say(1, vector(CAT, 1)), 2) == [vector(CAT, 1)]


def test_the_handshake_counts_as_having_carried_our_own_keys() -> None:
    hub = linked()
    assert [type(message) for message in sent(hub.share(), 1)] == [wire.Vector]


def test_the_handshake_does_not_count_for_a_third_hub() -> None:
    hub = linked()
    effects = hub.say(1, vector(ANN, 1))
    assert sent(effects, 2) == [keys(ANN), vector(ANN, 1)]


def test_keys_of_an_older_rotation_do_not_count_as_having_carried_the_newer() -> None:
    hub = Hub()
    hub.join(1, ANN)
    turned = person(3, 1)
    hub.say(1, keys(turned))
    hub.join(2, BEN)
    hub.say(2, keys(CAT))
    effects = hub.say(1, vector(turned, 1)) + hub.drain()
    assert sent(effects, 2) == [keys(turned), vector(turned, 1)]


# --- age --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("age_ms", [0, 1, 5_000])
@pytest.mark.parametrize("held_us", [0, 999, 1_000, 1_999, 4_000_000])
def test_the_age_sent_is_the_age_received_and_the_time_held_here(age_ms: int, held_us: int) -> None:
    hub = linked()
    hub.say(2, wire.Ping(1))
    hub.say(1, vector(CAT, 1, age_ms=age_ms))
    hub.now += held_us
    assert vectors_sent(hub.drain(), 2) == [vector(CAT, 1, age_ms=age_ms + held_us // 1_000)]


@pytest.mark.parametrize(("held_us", "count"), [(999_999, 1), (1_000_000, 0), (5_000_000, 0)])
def test_a_vector_whose_age_has_reached_its_lease_does_not_leave(held_us: int, count: int) -> None:
    hub = linked()
    hub.say(2, wire.Ping(1))
    hub.say(1, vector(CAT, 1, Made(lease_ms=1_000)))
    hub.now += held_us
    assert len(vectors_sent(hub.drain(), 2)) == count


# --- coalescing -------------------------------------------------------------------------------------------------


def test_a_link_that_cannot_write_gets_only_the_newest_when_it_can() -> None:
    hub = linked()
    hub.say(2, wire.Ping(1))
    for seq in range(1, 101):
        hub.now += 10_000
        assert hub.say(1, vector(CAT, seq))[-1:] != []
    assert seqs(hub.drain(), 2) == [100]


def test_a_link_that_cannot_write_keeps_one_entry_per_author() -> None:
    hub = linked()
    hub.say(2, wire.Ping(1))
    for seq in range(1, 21):
        for number in range(10):
            who = person(100 + number)
            hub.say(1, keys(who), vector(who, seq))
    line = next(line for line in hub.statistics().links if line.link == 2)
    assert line.waiting == 10
    assert len(vectors_sent(hub.drain(), 2)) == 10


def test_vectors_of_one_author_leave_fifty_milliseconds_apart_and_the_first_at_once() -> None:
    hub = linked()
    assert seqs(hub.say(1, vector(CAT, 1)), 2) == [1]
    hub.drain()
    hub.now += 30_000
    effects = hub.say(1, vector(CAT, 2))
    assert seqs(effects, 2) == []
    assert SetTimer(("flush", "2"), START + SPACING_US) in effects
    hub.now = START + SPACING_US - 1
    assert seqs(hub.say(1, vector(CAT, 3)) + hub.drain(), 2) == []
    hub.now = START + SPACING_US
    assert seqs(hub.act(TimerFired(("flush", "2"))), 2) == [3]


def test_a_stream_faster_than_the_spacing_leaves_at_the_spacing_and_ends_with_the_newest() -> None:
    hub = linked()
    left: list[tuple[int, int]] = []
    for seq in range(1, 101):
        effects = hub.say(1, vector(CAT, seq)) + hub.advance(7_000, beats=False)
        left += [(hub.now, number) for number in seqs(effects, 2)]
    left += [(hub.now, number) for number in seqs(hub.advance(200_000, beats=False), 2)]
    assert left[-1][1] == 100
    assert 13 <= len(left) <= 16
    assert [number for _, number in left] == sorted({number for _, number in left})


def test_the_spacing_of_one_author_does_not_hold_up_another() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1), keys(DAN))
    hub.drain()
    assert [type(m) for m in sent(hub.say(1, vector(CAT, 2), vector(DAN, 1)), 2)] == [wire.Keys, wire.Vector]


def test_a_spacing_of_zero_lets_everything_pass() -> None:
    hub = Hub(config=NodeConfig(vectors=VectorsConfig(spacing_us=0)))
    hub.join(1, ANN)
    hub.join(2, BEN)
    hub.say(1, keys(CAT))
    for seq in range(1, 6):
        assert len(vectors_sent(hub.say(1, vector(CAT, seq)) + hub.drain(), 2)) == 1


def test_repeated_grafts_do_not_draw_vectors_faster_than_the_spacing() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1))
    hub.drain()
    drawn = []
    for _ in range(20):
        hub.now += 1_000
        drawn += vectors_sent(hub.say(2, wire.Graft((tag(CAT),))) + hub.drain(), 2)
    assert len(drawn) <= 1


# --- a link that comes up ---------------------------------------------------------------------------------------


def test_a_new_link_gets_the_newest_of_every_author_but_its_own() -> None:
    hub = linked()
    hub.share()
    hub.say(1, vector(CAT, 1), vector(CAT, 2), keys(DAN), vector(DAN, 7))
    hub.drain()
    hub.up(3, DAN)
    effects = hub.say(3, wire.Hello(2, None, "")) + hub.drain()
    assert len(vectors_sent(effects, 3)) == 2
    assert vector(CAT, 2) in vectors_sent(effects, 3)
    assert vector(DAN, 7) not in vectors_sent(effects, 3)


@pytest.mark.parametrize(("boot", "count"), [(1, 1), (4, 1), (5, 1), (6, 0)])
def test_a_peer_that_may_have_lost_its_count_is_shown_its_own_vector(boot: int, count: int) -> None:
    hub = linked()
    mine = vector(DAN, 9, Made(boot=5))
    hub.say(1, keys(DAN), mine)
    hub.drain()
    hub.up(3, DAN)
    effects = hub.say(3, wire.Hello(boot, None, "")) + hub.drain()
    assert vectors_sent(effects, 3) == [mine] * count
    assert [type(message) for message in sent(effects, 3)].count(wire.Keys) == 0


def test_a_peer_that_lost_its_boot_number_jumps_above_what_it_is_shown_and_is_heard_again() -> None:
    hub, restarted = linked(), Hub(DAN, started=Started(1))
    hub.say(1, keys(DAN), vector(DAN, 9, Made(boot=5)))
    hub.drain()
    hub.up(3, DAN)
    restarted.up(3, ME)
    couple = Couple(hub, restarted, 3)
    hub.hello(3)
    restarted.hello(3)
    couple.settle()
    assert restarted.statistics().boot == 6
    restarted.share()
    couple.settle()
    line = hub.held(DAN)
    assert line is not None
    assert (line.boot, line.seq) == (6, 1)


def test_nothing_but_hello_leaves_before_the_other_hello_has_come() -> None:
    hub = linked()
    hub.share()
    hub.say(1, vector(CAT, 1))
    hub.drain()
    effects = hub.up(3, EVE) + hub.drain() + hub.advance(2_000_000)
    assert [type(message) for message in sent(effects, 3)] == [wire.Hello]


def test_a_crowd_fits_into_frames_of_bounded_size_and_arrives_whole() -> None:
    rows: list[tuple[float | None, ...]] = [(0.0,) * len(DIMENSIONS)] * 128
    large = make_block(tuple(DIMENSIONS), rows, (0.5,) * len(DIMENSIONS), dt_ms=250, quality=1.0, method=1)
    assert len(DIMENSIONS) <= DIMENSIONS_MAX
    hub = Hub()
    hub.join(1, ANN)
    crowd = [person(100 + number, 3 if number % 5 == 0 else 0) for number in range(60)]
    for who in crowd:
        hub.say(1, keys(who), vector(who, 1, Made(block=large)))
    hub.up(2, BEN)
    frames = [effect for effect in hub.hello(2) + hub.drain() if isinstance(effect, Send) and effect.link == 2]
    assert max(len(encode_frame(frame.messages)) for frame in frames) <= SEND_BYTES_MAX
    assert sum(isinstance(m, wire.Vector) for frame in frames for m in frame.messages) == len(crowd)
    other = Hub(BEN)
    other.join(2, ME)
    arrived = [author for frame in frames for author, _ in shown(other.say(2, *frame.messages))]
    assert sorted(arrived) == sorted(who.author for who in crowd)


def test_everything_at_once_fits_into_one_frame() -> None:
    hub = Hub()
    hub.join(1, ANN)
    crowd = [person(100 + number, 3) for number in range(100)]
    lasting = Made(lease_ms=60_000)
    for who in crowd:
        hub.say(1, keys(who), vector(who, 1, lasting))
    hub.say(1, wire.Peers(tuple(peer_record(who, ("x" * 64, 1), ("y" * 64, 2)) for who in crowd[:8])))
    hub.up(2, BEN)  # from here on link 2 is busy
    hub.hello(2)
    hub.say(2, wire.Ping(1))
    hub.say(2, wire.Prune(tuple(tag(who) for who in crowd[:50])))
    hub.say(2, wire.WantKeys(tuple(who.author for who in crowd[:64])))
    hub.say(2, wire.Digest(tuple(wire.DigestEntry(number.to_bytes(8, "big"), 0, 1, 1) for number in range(256))))
    for who in crowd:
        hub.say(2, keys(who), vector(who, 1, lasting))
    for number in range(64):
        hub.say(2, vector(person(500 + number), 1))
    hub.act(TimerFired(("tick",)))
    effects = hub.act(LinkWritable(LinkId(2)))
    (frame,) = [effect for effect in effects if isinstance(effect, Send)]
    assert {type(message) for message in frame.messages} >= {
        *(wire.Pong, wire.Neighbors, wire.Peers, wire.Prune, wire.Graft, wire.WantKeys, wire.Digest, wire.Keys),
    }
    assert len(encode_frame(frame.messages)) <= PLAINTEXT_BYTES_MAX


def test_a_newer_control_message_of_a_kind_takes_the_place_of_the_older() -> None:
    hub = linked()
    hub.say(2, wire.Ping(1))
    for token in range(2, 50):
        hub.say(2, wire.Ping(token))
    assert sent(hub.drain(), 2) == [wire.Pong(49)]


def test_whoever_is_shown_its_own_newest_vector_does_not_ask_to_be_spared_it() -> None:
    hub = linked()
    mine = vectors_sent(hub.share(), 1)[-1]
    effects = hub.say(1, mine) + hub.drain()
    effects += hub.advance(3_000_000)
    assert wire.Prune not in [type(message) for message in sent(effects, 1)]
    assert seqs(effects, 1), "the link carries our values as before"
