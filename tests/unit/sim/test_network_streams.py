"""Links as ordered streams: delay, loss, bandwidth, buffers, and how they end."""

from __future__ import annotations

import pytest

from protocol.clock import SECOND
from protocol.effects import Disconnect, Send
from protocol.errors import CloseCode
from protocol.ids import LinkId
from protocol.inputs import FrameReceived, LinkDown, LinkWritable, LoopLagged, MessagesReceived, Started
from protocol.wire.messages import Bye, Ping, decode_frame
from sim.paths import Quality
from sim.stream import RECEIVE_BUFFER_BYTES, SEND_BUFFER_BYTES, bytes_on_line
from tests.unit.sim.scripted import STEADY, Stage, bulk


def tokens(stage: Stage, name: str) -> list[int]:
    """The tokens of the PINGs that came, in order."""
    received = stage.machines[name].of(MessagesReceived)
    return [message.token for _, came in received for message in came.messages if isinstance(message, Ping)]


def send_many(stage: Stage, name: str, link: LinkId, count: int, size: int = 0, patience_us: int = 1_000) -> int:
    """Send numbered frames, each when its patience is over; returns how many left their line by then."""
    for token in range(count):
        before = len(stage.machines[name].of(LinkWritable))
        messages = (Ping(token), bulk(size)) if size else (Ping(token),)
        stage.send(name, link, *messages)
        stage.run(patience_us)
        if len(stage.machines[name].of(LinkWritable)) == before:
            return token
    return count


def test_a_frame_arrives_after_the_latency_and_its_link_is_writable_at_once() -> None:
    stage = Stage("ada", "ben")
    ada, ben = stage.link("ada", "ben")
    sent_at = stage.world.now
    stage.send("ada", ada, Ping(1))
    stage.run(SECOND)
    assert stage.machines["ben"].of(MessagesReceived) == [(sent_at + 10_000, MessagesReceived(ben, (Ping(1),)))]
    assert stage.machines["ada"].of(LinkWritable) == [(sent_at, LinkWritable(ada))]


def test_the_wire_lane_carries_the_same_as_bytes_at_the_same_times() -> None:
    quality = Quality(latency_us=10_000, jitter_us=3_000, loss=0.1, bytes_per_s=50_000)
    came: dict[str, list[tuple[int, object]]] = {}
    stage = Stage("ada", "ben", quality=quality, lane="wire")
    ada, _ = stage.link("ada", "ben")
    send_many(stage, "ada", ada, 40, patience_us=10_000)
    stage.run(10 * SECOND)
    came["wire"] = [(at, decode_frame(got.frame)) for at, got in stage.machines["ben"].of(FrameReceived)]
    stage = Stage("ada", "ben", quality=quality, lane="object")
    ada, _ = stage.link("ada", "ben")
    send_many(stage, "ada", ada, 40, patience_us=10_000)
    stage.run(10 * SECOND)
    came["object"] = [(at, got.messages) for at, got in stage.machines["ben"].of(MessagesReceived)]
    assert len(came["object"]) == 40
    assert came["wire"] == came["object"]


def test_loss_is_delay_and_never_changes_the_order() -> None:
    stage = Stage("ada", "ben", quality=Quality(latency_us=10_000, jitter_us=8_000, loss=0.2))
    ada, _ = stage.link("ada", "ben")
    began = stage.world.now
    assert send_many(stage, "ada", ada, 300) == 300
    stage.run(60 * SECOND)
    assert tokens(stage, "ben") == list(range(300))
    late = [at - began - token * 1_000 for token, (at, _) in enumerate(stage.machines["ben"].of(MessagesReceived))]
    assert min(late) <= 20_000
    assert max(late) >= 200_000


def test_without_loss_and_jitter_nothing_is_late() -> None:
    stage = Stage("ada", "ben")
    ada, _ = stage.link("ada", "ben")
    began = stage.world.now
    send_many(stage, "ada", ada, 50)
    stage.run(SECOND)
    times = [at for at, _ in stage.machines["ben"].of(MessagesReceived)]
    assert times == [began + 10_000 + token * 1_000 for token in range(50)]


def test_a_narrow_line_is_writable_only_after_the_frame_has_left() -> None:
    stage = Stage("ada", "ben", quality=Quality(latency_us=10_000, jitter_us=0, bytes_per_s=10_000))
    ada, _ = stage.link("ada", "ben")
    sent_at = stage.world.now
    stage.send("ada", ada, bulk(1_000))
    stage.run(5 * SECOND)
    [(writable_at, _)] = stage.machines["ada"].of(LinkWritable)
    [(came_at, _)] = stage.machines["ben"].of(MessagesReceived)
    size = 18 + 1 + 72 + 1_000  # tag and length, array, vector, its bytes
    left_us = bytes_on_line(size) * SECOND // 10_000
    assert 0 <= writable_at - sent_at - left_us < 1_000
    assert 0 <= came_at - sent_at - left_us - 10_000 < 1_000


def test_a_link_may_not_be_sent_on_before_it_is_writable() -> None:
    stage = Stage("ada", "ben")
    ada, _ = stage.link("ada", "ben")
    with pytest.raises(AssertionError, match="without LinkWritable"):
        stage.do("ada", Send(ada, (Ping(1),)), Send(ada, (Ping(2),)))


def test_a_frame_larger_than_the_send_buffer_is_writable_when_most_of_it_is_acknowledged() -> None:
    stage = Stage("ada", "ben")
    ada, _ = stage.link("ada", "ben")
    sent_at = stage.world.now
    stage.send("ada", ada, bulk(SEND_BUFFER_BYTES))
    stage.run(SECOND)
    assert [at - sent_at for at, _ in stage.machines["ada"].of(LinkWritable)] == [20_000]


def test_a_silent_cut_takes_frames_until_the_send_buffer_is_full() -> None:
    stage = Stage("ada", "ben")
    ada, _ = stage.link("ada", "ben")
    stage.world.cut([stage.host("ada")], [stage.host("ben")])
    taken = send_many(stage, "ada", ada, 100, size=1_000)
    assert taken == SEND_BUFFER_BYTES // 1_100
    stage.run(30 * SECOND)
    assert tokens(stage, "ben") == []
    assert len(stage.machines["ada"].of(LinkWritable)) == taken
    assert stage.machines["ada"].of(LinkDown) == stage.machines["ben"].of(LinkDown) == []


def test_a_link_that_survives_a_cut_delivers_late_complete_and_in_order() -> None:
    stage = Stage("ada", "ben")
    ada, ben = stage.link("ada", "ben")
    stage.send("ada", ada, Ping(0))  # in flight when the cable is pulled
    stage.world.cut([stage.host("ada")], [stage.host("ben")])
    stage.run(1_000)
    taken = send_many(stage, "ada", ada, 100, size=1_000)
    stage.run(3 * SECOND)
    stage.world.heal()
    healed_at = stage.world.now
    stage.run(10 * SECOND)
    assert tokens(stage, "ben") == [0, *range(taken + 1)]
    came = [at for at, _ in stage.machines["ben"].of(MessagesReceived)]
    assert healed_at < came[0] <= healed_at + 4 * SECOND
    assert len(stage.machines["ada"].of(LinkWritable)) == taken + 2
    stage.send("ben", ben, Ping(77))
    stage.run(SECOND)
    assert tokens(stage, "ada") == [77]


def test_what_is_sent_after_the_heal_waits_for_what_was_lost_before() -> None:
    stage = Stage("ada", "ben")
    ada, _ = stage.link("ada", "ben")
    stage.world.cut([stage.host("ada")], [stage.host("ben")])
    stage.send("ada", ada, Ping(1))
    stage.run(SECOND)
    stage.world.heal()
    stage.send("ada", ada, Ping(2))
    healed_at = stage.world.now
    stage.run(5 * SECOND)
    assert tokens(stage, "ben") == [1, 2]
    times = [at for at, _ in stage.machines["ben"].of(MessagesReceived)]
    assert times[0] == times[1] > healed_at + 100_000


def test_with_the_way_back_cut_bytes_arrive_and_the_buffer_fills_all_the_same() -> None:
    stage = Stage("ada", "ben")
    ada, ben = stage.link("ada", "ben")
    stage.world.cut_one_way(stage.host("ben"), stage.host("ada"))
    taken = send_many(stage, "ada", ada, 100, size=1_000)
    stage.send("ben", ben, Ping(500))
    stage.run(SECOND)
    assert taken == SEND_BUFFER_BYTES // 1_100
    assert tokens(stage, "ben") == list(range(taken + 1))
    assert tokens(stage, "ada") == []
    stage.world.heal()
    stage.run(5 * SECOND)
    assert len(stage.machines["ada"].of(LinkWritable)) == taken + 1
    assert tokens(stage, "ada") == [500]


def test_a_disconnect_says_bye_after_everything_that_was_sent() -> None:
    stage = Stage("ada", "ben", quality=Quality(latency_us=10_000, jitter_us=9_000, loss=0.3))
    ada, ben = stage.link("ada", "ben")
    assert send_many(stage, "ada", ada, 20) == 20
    stage.do("ada", Disconnect(ada, CloseCode.SHUTDOWN))
    assert stage.machines["ada"].came[-1][1] == LinkDown(ada, 0)
    stage.run(30 * SECOND)
    assert tokens(stage, "ben") == list(range(20))
    assert [got for _, got in stage.machines["ben"].came[-2:]] == [
        MessagesReceived(ben, (Bye(0),)),
        LinkDown(ben, None),
    ]
    assert stage.host("ada").ends == stage.host("ben").ends == {}


def test_a_disconnect_on_a_link_that_is_not_writable_says_nothing() -> None:
    stage = Stage("ada", "ben", quality=Quality(latency_us=10_000, jitter_us=0, bytes_per_s=1_000))
    ada, ben = stage.link("ada", "ben")
    stage.send("ada", ada, Ping(1))
    stage.do("ada", Disconnect(ada, CloseCode.SHUTDOWN))
    stage.run(SECOND)
    got = [came for _, came in stage.machines["ben"].came[-2:]]
    assert got == [MessagesReceived(ben, (Ping(1),)), LinkDown(ben, None)]


def test_the_end_of_a_link_is_not_seen_across_a_cut_before_the_heal() -> None:
    stage = Stage("ada", "ben")
    ada, ben = stage.link("ada", "ben")
    stage.world.cut([stage.host("ada")], [stage.host("ben")])
    stage.do("ada", Disconnect(ada, CloseCode.TIMEOUT))
    stage.run(5 * SECOND)
    assert stage.machines["ben"].of(LinkDown) == []
    stage.world.heal()
    stage.run(10 * SECOND)
    assert [down for _, down in stage.machines["ben"].of(LinkDown)] == [LinkDown(ben, None)]


def test_a_reset_ends_both_sides_at_once() -> None:
    stage = Stage("ada", "ben")
    ada, ben = stage.link("ada", "ben")
    at = stage.world.now
    stage.world.reset(stage.host("ada"), stage.host("ben"))
    stage.run(SECOND)
    assert stage.machines["ada"].of(LinkDown) == [(at, LinkDown(ada, None))]
    assert stage.machines["ben"].of(LinkDown) == [(at, LinkDown(ben, None))]


def test_a_process_that_dies_is_noticed_after_the_latency() -> None:
    stage = Stage("ada", "ben")
    _, ben = stage.link("ada", "ben")
    at = stage.world.now
    stage.world.crash(stage.host("ada"))
    stage.run(SECOND)
    assert stage.machines["ben"].of(LinkDown) == [(at + STEADY.latency_us, LinkDown(ben, None))]


def test_a_machine_that_loses_power_is_noticed_only_when_it_is_back() -> None:
    stage = Stage("ada", "ben")
    _, ben = stage.link("ada", "ben")
    stage.world.crash(stage.host("ada"), power=True)
    stage.send("ben", ben, Ping(1))
    stage.run(20 * SECOND)
    assert stage.machines["ben"].of(LinkDown) == []
    stage.world.restart(stage.host("ada"))
    stage.run(40 * SECOND)
    assert [down for _, down in stage.machines["ben"].of(LinkDown)] == [LinkDown(ben, None)]
    assert [started.boot for _, started in stage.machines["ada"].of(Started)] == [1, 2]
    assert tokens(stage, "ada") == []


def test_a_starved_hub_is_told_of_its_lag_first_and_then_of_everything_in_order() -> None:
    stage = Stage("ada", "ben")
    ada, _ = stage.link("ada", "ben")
    stage.world.starve(stage.host("ben"), 500_000)
    send_many(stage, "ada", ada, 5)
    stage.run(400_000)
    assert tokens(stage, "ben") == []
    stage.run(200_000)
    assert tokens(stage, "ben") == [0, 1, 2, 3, 4]
    kinds = [type(came) for _, came in stage.machines["ben"].came[-6:]]
    assert kinds == [LoopLagged] + [MessagesReceived] * 5
    assert stage.machines["ben"].of(LoopLagged)[0][1].lag_us == 500_000


def test_a_hub_that_does_not_read_stops_its_sender() -> None:
    stage = Stage("ada", "ben")
    ada, _ = stage.link("ada", "ben")
    stage.world.starve(stage.host("ben"), 20 * SECOND)
    sent = 0
    for _ in range(40):
        before = len(stage.machines["ada"].of(LinkWritable))
        stage.send("ada", ada, Ping(sent), bulk(4_000))
        sent += 1
        stage.run(100_000)
        if len(stage.machines["ada"].of(LinkWritable)) == before:
            break
    assert (sent - 1) * 4_100 > RECEIVE_BUFFER_BYTES
    assert sent * 4_100 < RECEIVE_BUFFER_BYTES + 2 * SEND_BUFFER_BYTES
    stage.run(30 * SECOND)
    assert tokens(stage, "ben") == list(range(sent))
    assert len(stage.machines["ada"].of(LinkWritable)) == sent


def test_what_is_sent_on_a_link_that_has_just_gone_is_lost_without_noise() -> None:
    stage = Stage("ada", "ben")
    ada, _ = stage.link("ada", "ben")
    stage.world.reset(stage.host("ada"), stage.host("ben"))
    stage.send("ada", ada, Ping(1))
    stage.do("ada", Disconnect(ada, CloseCode.SHUTDOWN))
    stage.run(SECOND)
    assert tokens(stage, "ben") == []
