"""The life of a link as the Node sees it: HELLO, PING, BEAT, silence, BYE, and inputs out of order (R27 to R30)."""

from __future__ import annotations

import itertools

import pytest

from protocol.effects import Disconnect, Drop, Emit, LinkNews, SetTimer
from protocol.errors import CloseCode, LocalProtocolError, Reason
from protocol.identity import LocalIdentity
from protocol.ids import LinkId
from protocol.inputs import (
    FrameReceived,
    Input,
    InterfaceChanged,
    Leave,
    LinkDown,
    LinkUp,
    LinkWritable,
    LoopLagged,
    MessagesReceived,
    PeerSeen,
    SetGrant,
    Started,
    TimerFired,
    UtcObserved,
)
from protocol.node import Node
from protocol.rng import Rng
from protocol.wire import messages as wire
from protocol.wire.messages import encode_frame
from protocol.wire.reconciling import ReconOpen
from tests.unit.protocol.hub import START, Hub, closed, drops, news, sent, shown, timers
from tests.unit.protocol.people import ANN, BEN, CAT, EVE, ME, MESH, Made, forged, keys, listening, vector

SECOND = 1_000_000
HELLO = wire.Hello(1, None, "test")


def opened() -> Hub:
    """A hub with one open link to Ann."""
    hub = Hub()
    hub.join(1, ANN)
    return hub


# --- the first and the last input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "input",
    [
        TimerFired(("tick",)),
        LinkUp(LinkId(1), ANN.author, ANN.key_state.encoded, True),
        SetGrant(None),
        Leave(),
        UtcObserved(0, 1),
        InterfaceChanged(()),
    ],
)
def test_started_is_the_first_input(input: Input) -> None:
    with pytest.raises(LocalProtocolError):
        Node(MESH, ME, Rng(1)).handle(input, START)


def test_started_comes_once_and_sets_the_tick() -> None:
    node = Node(MESH, ME, Rng(1))
    *_, tick = node.handle(Started(1), START)
    assert isinstance(tick, SetTimer)
    assert tick.key == ("tick",)
    assert START < tick.at <= START + 1_200_000
    with pytest.raises(LocalProtocolError):
        node.handle(Started(2), START)


def test_the_tick_comes_back_each_second() -> None:
    hub = Hub()
    at = hub.timers.next_at()
    assert at is not None
    hub.now = at
    assert timers(hub.act(TimerFired(("tick",)))) == {("tick",): at + SECOND}


@pytest.mark.parametrize(
    "input",
    [
        LinkWritable(LinkId(7)),
        LinkDown(LinkId(7), None),
        TimerFired(("flush", "7")),
        TimerFired(("nobody's",)),
        TimerFired(("publish",)),
        LoopLagged(5 * SECOND),
        PeerSeen("", ()),
    ],
)
def test_an_input_about_nothing_asks_for_nothing(input: Input) -> None:
    assert Hub().act(input) == []


# --- hello ------------------------------------------------------------------------------------------------------


def test_a_new_link_is_news_and_says_hello_at_once() -> None:
    hub = Hub()
    effects = hub.up(1, ANN, initiator=True)
    assert Emit(LinkNews(LinkId(1), ANN.author, up=True)) in effects
    assert [type(message) for message in sent(effects, 1)] == [wire.Hello]
    assert not hub.statistics().links[0].open


def test_the_other_hello_opens_the_link_and_tells_the_neighbors() -> None:
    hub = opened()
    hub.up(2, BEN)
    effects = hub.hello(2) + hub.drain()
    both = tuple(sorted((ANN.author, BEN.author)))
    assert wire.Neighbors(both) in sent(effects, 1)
    assert wire.Neighbors(both) in sent(effects, 2)
    line = next(line for line in hub.statistics().links if line.link == 2)
    assert (line.open, line.agent, line.peer) == (True, "test", BEN.author)


@pytest.mark.parametrize(
    "message",
    [
        wire.Beat(),
        wire.Ping(1),
        wire.Pong(1),
        keys(CAT),
        wire.WantKeys((CAT.author,)),
        vector(ANN, 1),
        wire.Digest((wire.DigestEntry(b"t" * 8, 0, 1, 1),)),
        wire.Prune((b"t" * 8,)),
        wire.Graft((b"t" * 8,)),
        wire.Neighbors(()),
    ],
)
def test_anything_before_hello_closes_the_link(message: wire.Message) -> None:
    hub = Hub()
    hub.up(1, ANN)
    effects = hub.say(1, message, HELLO)
    assert (drops(effects), closed(effects)) == ([Reason.HELLO_EXPECTED], [(1, CloseCode.PROTOCOL)])
    assert hub.statistics().links == ()


def test_a_second_hello_closes_the_link() -> None:
    hub = opened()
    effects = hub.say(1, HELLO)
    assert (drops(effects), closed(effects)) == ([Reason.HELLO_REPEATED], [(1, CloseCode.PROTOCOL)])


def test_what_follows_hello_in_the_same_frame_counts() -> None:
    hub = Hub()
    hub.up(1, ANN)
    assert shown(hub.say(1, HELLO, vector(ANN, 1))) == [(ANN.author, 1)]


def test_what_precedes_a_fault_in_the_same_frame_counts_and_what_follows_does_not() -> None:
    hub = opened()
    effects = hub.say(1, vector(ANN, 1), HELLO, vector(ANN, 2))
    assert shown(effects) == [(ANN.author, 1)]
    assert drops(effects) == [Reason.HELLO_REPEATED]


def test_a_link_whose_key_state_is_invalid_does_not_come_up() -> None:
    hub = Hub()
    effects = hub.act(LinkUp(LinkId(1), ANN.author, b"\xc0", True))
    assert (drops(effects), closed(effects), news(effects)) == ([Reason.WRONG_TYPE], [(1, CloseCode.PROTOCOL)], [])


def test_a_lease_that_ends_between_handshake_and_hello_does_not_end_the_hub() -> None:
    hub = opened()
    hub.say(1, vector(ANN, 1, Made(lease_ms=1_000)))
    hub.act(LinkDown(LinkId(1), None))
    hub.up(2, ANN)
    hub.advance(2_400_000)
    hub.hello(2, addresses=listening(ANN, ("10.0.0.1", 1)))
    assert hub.statistics().links[0].open


# --- frames -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", Reason.FRAME_EMPTY),
        (b"\x90", Reason.FRAME_EMPTY),
        (bytes(65_520), Reason.FRAME_TOO_LARGE),
        (b"\x91", Reason.TRUNCATED),
        (b"\xc1", Reason.MALFORMED),
        (b"\x91\x91\xcc\x04", Reason.NOT_CANONICAL),
        (b"\x91" * 9 + b"\xc0", Reason.TOO_DEEP),
        (b"\xdc\x01\x01", Reason.TOO_MANY_ITEMS),
        (b"\xdc\x00\x81" + b"\x91\x04" * 129, Reason.TOO_MANY_ITEMS),
        (b"\x91\x80", Reason.FORBIDDEN_TYPE),
        (b"\x91\xcb" + bytes(8), Reason.FORBIDDEN_TYPE),
        (b"\x91\x91\x2a", Reason.UNKNOWN_MESSAGE),
        (b"\x91\x92\x04\x00", Reason.WRONG_ARITY),
        (b"\x91\x92\x02\xc3", Reason.WRONG_TYPE),
        (b"\x91\x92\x02\xff", Reason.OUT_OF_RANGE),
        (b"\xc0", Reason.WRONG_TYPE),
    ],
)
def test_a_frame_that_breaks_a_rule_closes_its_link_and_is_counted(frame: bytes, reason: Reason) -> None:
    hub = opened()
    hub.join(2, BEN)
    effects = hub.act(FrameReceived(LinkId(1), frame))
    assert drops(effects) == [reason]
    assert closed(effects) == [(1, CloseCode.PROTOCOL)]
    assert Disconnect(LinkId(1), CloseCode.PROTOCOL, reason) in effects
    assert news(effects) == [(1, False)]
    assert hub.statistics().drops == {reason: 1}
    assert shown(hub.say(2, keys(CAT), vector(CAT, 1))) == [(CAT.author, 1)]


def test_a_frame_of_which_one_message_is_bad_is_refused_whole() -> None:
    hub = opened()
    good = encode_frame([vector(ANN, 1)])
    effects = hub.act(FrameReceived(LinkId(1), b"\x92" + good[1:] + b"\x92\x02\xff"))
    assert (drops(effects), shown(effects)) == ([Reason.OUT_OF_RANGE], [])


@pytest.mark.parametrize("frame", [encode_frame([wire.Beat()]), b"\xc1", b""])
def test_frames_of_a_link_that_is_not_there_are_counted_and_nothing_else(frame: bytes) -> None:
    hub = Hub()
    assert hub.act(FrameReceived(LinkId(9), frame)) == [Drop(LinkId(9), Reason.UNKNOWN_LINK)]


def test_frames_that_arrive_after_a_link_was_closed_change_nothing() -> None:
    hub = opened()
    hub.say(1, HELLO)
    assert hub.say(1, vector(ANN, 1)) == [Drop(LinkId(1), Reason.UNKNOWN_LINK)]
    assert hub.held(ANN) is None


def test_messages_that_come_decoded_mean_the_same() -> None:
    hub = opened()
    assert shown(hub.act(MessagesReceived(LinkId(1), (vector(ANN, 1),)))) == [(ANN.author, 1)]


# --- heartbeat --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [0, 1, 2**32 - 1])
def test_a_ping_is_answered_with_a_pong_of_the_same_token(token: int) -> None:
    assert sent(opened().say(1, wire.Ping(token))) == [wire.Pong(token)]


def test_an_idle_link_beats_about_once_a_second_and_pings_now_and_then() -> None:
    said = sent(opened().advance(60 * SECOND), 1)
    kinds = [type(message) for message in said]
    assert 45 <= len(said) <= 75
    assert set(kinds) == {wire.Beat, wire.Ping, ReconOpen}, "and asks now and then whether the other holds the same"
    assert kinds.count(wire.Ping) == pytest.approx(len(said) / 10, abs=1)


def test_a_link_on_which_something_was_sent_does_not_beat() -> None:
    hub = opened()
    said = []
    for token in range(40):
        said += sent(hub.say(1, wire.Ping(token)) + hub.advance(250_000), 1)
    assert {type(message) for message in said} == {wire.Pong, wire.Ping}, "a PING in ten seconds, and no BEAT"


def quiet_for(offset_us: int) -> int:
    """The longest time without a word on a link whose last word was sent at an offset to the tick."""
    hub = opened()
    hub.advance(10 * SECOND + offset_us)
    hub.say(1, wire.Ping(1))
    times = [hub.now]
    for _ in range(400):
        times += [hub.now for _ in sent(hub.advance(10_000), 1)]
    return max(later - earlier for earlier, later in itertools.pairwise(times))


OFFSETS = list(range(0, 500_000, 20_000))


def test_no_link_is_left_without_a_word_for_more_than_a_second_and_a_quarter() -> None:
    assert max(quiet_for(offset) for offset in OFFSETS) <= 1_260_000


def test_no_link_is_left_without_a_word_for_more_than_a_second() -> None:
    assert max(quiet_for(offset) for offset in OFFSETS) <= 1_010_000


def test_the_round_trip_is_measured_from_ping_to_pong() -> None:
    hub = opened()
    pings: list[wire.Ping] = []
    while not pings:
        key = hub.timers.pop_due(hub.now)
        if key is None:
            hub.now = hub.timers.next_at() or 0
            continue
        pings = [message for message in sent(hub.act(TimerFired(key)), 1) if isinstance(message, wire.Ping)]
        hub.say(1, wire.Beat())
    assert hub.statistics().links[0].rtt_us is None
    hub.now += 37_000
    hub.say(1, wire.Pong(pings[0].token))
    assert hub.statistics().links[0].rtt_us == 37_000
    hub.now += 1_000
    hub.say(1, wire.Pong(pings[0].token))
    assert hub.statistics().links[0].rtt_us == 37_000, "a PONG that nobody asked for says nothing"


def test_a_pong_of_another_token_says_nothing_of_the_round_trip() -> None:
    hub = opened()
    (ping,) = [message for message in sent(hub.advance(1_100_000), 1) if isinstance(message, wire.Ping)]
    hub.say(1, wire.Pong(ping.token ^ 1))
    assert hub.statistics().links[0].rtt_us is None


def test_a_link_on_which_nothing_comes_is_closed_after_two_and_a_half_seconds() -> None:
    hub = opened()
    assert closed(hub.advance(2_400_000, beats=False)) == []
    effects = hub.advance(700_000, beats=False)
    assert drops(effects) == [Reason.LINK_SILENT]
    assert closed(effects) == [(1, CloseCode.TIMEOUT)]
    assert hub.statistics().exiles == (ANN.author,)


def test_anything_that_comes_is_a_sign_of_life() -> None:
    hub = opened()
    for seq in range(1, 10):
        assert closed(hub.advance(2_000_000, beats=False)) == []
        hub.say(1, vector(ANN, seq))


def test_a_link_whose_hello_never_comes_is_closed() -> None:
    hub = Hub()
    hub.up(1, ANN)
    assert closed(hub.advance(5_600_000)) == [(1, CloseCode.TIMEOUT)]


def test_our_own_lateness_is_not_the_silence_of_others() -> None:
    hub = opened()
    hub.advance(SECOND)
    hub.now += 4 * SECOND
    assert closed(hub.advance(1)) == []
    assert closed(hub.advance(2 * SECOND, beats=False)) == []
    assert closed(hub.advance(1_500_000, beats=False)) == [(1, CloseCode.TIMEOUT)]


@pytest.mark.parametrize("gap_us", [5_000_001, 60 * SECOND, 3_600 * SECOND])
def test_a_hub_that_slept_closes_its_links_and_trusts_nothing_that_lay_in_them(gap_us: int) -> None:
    hub = opened()
    hub.join(2, BEN)
    hub.now += gap_us
    effects = hub.say(1, vector(ANN, 1))
    assert closed(effects) == [(1, CloseCode.TIMEOUT), (2, CloseCode.TIMEOUT)]
    assert {effect.reason for effect in effects if isinstance(effect, Disconnect)} == {Reason.SLEPT}
    assert (drops(effects), shown(effects)) == ([Reason.UNKNOWN_LINK], [])
    assert sorted(news(effects)) == [(1, False), (2, False)]
    assert set(hub.statistics().exiles) == {ANN.author, BEN.author}
    assert shown(hub.join(3, ANN) + hub.say(3, vector(ANN, 1))) == [(ANN.author, 1)]


def test_a_gap_of_five_seconds_is_no_sleep_yet() -> None:
    hub = opened()
    hub.now += 5 * SECOND
    assert shown(hub.say(1, vector(ANN, 1))) == [(ANN.author, 1)]


def test_a_loop_that_says_it_lagged_blames_nobody() -> None:
    hub = opened()
    hub.advance(2 * SECOND, beats=False)
    hub.act(LoopLagged(2 * SECOND))
    assert closed(hub.advance(1_900_000, beats=False)) == []


# --- bye --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 255])
@pytest.mark.parametrize("before_hello", [False, True])
def test_a_bye_ends_the_link_whatever_its_code(code: int, before_hello: bool) -> None:
    hub = Hub()
    hub.up(1, ANN)
    if not before_hello:
        hub.hello(1)
    effects = hub.say(1, wire.Bye(code), HELLO, vector(ANN, 1))
    assert closed(effects) == [(1, CloseCode.SHUTDOWN)]
    assert (news(effects), drops(effects), shown(effects)) == ([(1, False)], [], [])
    assert hub.statistics().links == ()
    assert hub.act(LinkDown(LinkId(1), code)) == []


def test_nothing_is_sent_to_a_link_that_fell_by_a_frame_that_also_says_bye() -> None:
    hub = opened()
    hub.join(2, BEN)
    hub.join(3, EVE)
    hub.say(3, forged(CAT, 9))
    hub.say(2, vector(CAT, 1))
    hub.drain()
    effects = hub.say(1, keys(CAT), wire.Bye(0))  # each hub under test watches that nothing follows a BYE
    assert closed(effects) == [(3, CloseCode.SIGNATURE), (1, CloseCode.SHUTDOWN)]


@pytest.mark.parametrize(("code", "reason"), [(None, "lost"), (0, "closed"), (200, "closed")])
def test_news_of_a_lost_link_say_how_it_ended(code: int | None, reason: str) -> None:
    effects = opened().act(LinkDown(LinkId(1), code))
    assert Emit(LinkNews(LinkId(1), ANN.author, up=False, reason=reason)) in effects


def test_whoever_is_left_hears_who_is_gone() -> None:
    hub = opened()
    hub.join(2, BEN)
    effects = hub.act(LinkDown(LinkId(2), None)) + hub.drain()
    assert sent(effects, 1) == [wire.Neighbors((ANN.author,))]


@pytest.mark.parametrize("who", [ANN, BEN, EVE])
def test_values_stay_until_their_lease_ends_though_their_link_is_gone(who: LocalIdentity) -> None:
    hub = opened()
    hub.say(1, keys(who), vector(who, 1))
    hub.act(LinkDown(LinkId(1), None))
    hub.advance(9 * SECOND)
    assert hub.seq_of(who) == 1
    hub.advance(2 * SECOND)
    assert hub.seq_of(who) is None
