"""Traces: what moves the digest, what must not, and where two of them part."""

from __future__ import annotations

import io
import json

from protocol.effects import Drop, Effect, Emit, Send, SetTimer, ValueShown
from protocol.errors import Reason
from protocol.ids import AuthorId, LinkId
from protocol.inputs import FrameReceived, Input, LinkUp, LinkWritable, MessagesReceived, TimerFired
from protocol.wire.messages import (
    Beat,
    Digest,
    DigestEntry,
    Graft,
    Hello,
    Message,
    Neighbors,
    PeerRecord,
    Peers,
    Ping,
    Prune,
    Vector,
)
from sim.trace import Difference, Trace, diff, words

AUTHOR = AuthorId(bytes(range(32)))
LINK = LinkId(3)
VARIED: list[tuple[Message, Message]] = [
    (Ping(1), Ping(2)),
    (Hello(1, (b"signed", bytes(64)), "a"), Hello(1, (b"other", bytes(64)), "a")),
    (Vector(bytes(40), bytes(64), 0), Vector(bytes(41), bytes(64), 0)),
    (Vector(bytes(40), bytes(64), 0), Vector(bytes(40), bytes(64), 1)),
    (Digest((DigestEntry(bytes(8), 0, 1, 1),)), Digest((DigestEntry(bytes(8), 0, 1, 2),))),
    (Prune((bytes(8),)), Graft((bytes(8),))),
    (Neighbors((AUTHOR,)), Neighbors(())),
    (Peers((PeerRecord(b"k", b"s", bytes(64)),)), Peers((PeerRecord(b"k", b"t", bytes(64)),))),
    (Beat(), Ping(0)),
]


def test_every_kind_of_message_shows_in_the_digest() -> None:
    for one, other in VARIED:
        digests = set()
        for message in (one, other):
            trace = Trace()
            trace.record(1, "ada", MessagesReceived(LINK, (message,)), [Send(LINK, (message,))])
            digests.add(trace.digest())
        assert len(digests) == 2, (one, other)


def test_time_node_input_effects_and_their_order_show_in_the_digest() -> None:
    timer, drop = SetTimer(("a",), 5), Drop(LINK, Reason.DUPLICATE)
    runs: list[tuple[int, str, Input, list[Effect]]] = [
        (1, "ada", LinkWritable(LINK), [timer, drop]),
        (2, "ada", LinkWritable(LINK), [timer, drop]),
        (1, "ben", LinkWritable(LINK), [timer, drop]),
        (1, "ada", TimerFired(("a",)), [timer, drop]),
        (1, "ada", LinkWritable(LINK), [drop, timer]),
        (1, "ada", LinkWritable(LINK), [timer]),
    ]
    digests = set()
    for now, node, came, effects in runs:
        trace = Trace()
        trace.record(now, node, came, effects)
        digests.add(trace.digest())
    assert len(digests) == len(runs)


def test_signatures_are_left_out_so_that_both_crypto_lanes_agree() -> None:
    left = MessagesReceived(LINK, (Vector(b"same", bytes(64), 3), Hello(1, (b"same", bytes(64)), "a")))
    right = MessagesReceived(LINK, (Vector(b"same", b"\1" * 64, 3), Hello(1, (b"same", b"\2" * 64), "a")))
    assert words(left) == words(right)
    peers = [Peers((PeerRecord(b"k", b"s", bytes([fill]) * 64),)) for fill in (0, 1)]
    assert words(peers[0]) == words(peers[1])


def test_words_say_what_a_reader_needs() -> None:
    assert words(SetTimer(("flush", "3"), 5)) == "SetTimer(flush/3,5)"
    assert words(Drop(None, Reason.DUPLICATE, "why")) == "Drop(-,DUPLICATE,why)"
    assert words(Emit(ValueShown(AUTHOR, 1, 2))) == f"Emit(Shown({AUTHOR.hex()},1,2))"
    assert words(FrameReceived(LINK, b"\x01\x02")) == "FrameReceived(3,0102)"
    assert words(LinkUp(LINK, AUTHOR, b"k", True, ("h", 1), 4)).startswith("LinkUp(3,#")


def test_a_trace_can_be_written_down_and_two_of_them_compared() -> None:
    texts = []
    for token in (1, 2):
        out = io.StringIO()
        trace = Trace(out)
        trace.record(1, "ada", LinkWritable(LINK), [])
        trace.note(2, "heal")
        trace.record(3, "ada", MessagesReceived(LINK, (Ping(token),)), [])
        texts.append(out.getvalue().splitlines(keepends=True))
    assert json.loads(texts[0][1]) == {"now": 2, "node": "", "input": "heal", "effects": []}
    assert diff(texts[0], texts[0]) is None
    assert diff(*texts) == Difference(3, texts[0][2], texts[1][2])
    assert diff(texts[0], texts[0][:2]) == Difference(3, texts[0][2], None)


def test_asking_for_the_digest_does_not_end_the_trace() -> None:
    trace = Trace()
    trace.note(1, "a")
    before = trace.digest()
    assert trace.digest() == before
    trace.note(1, "a")
    assert trace.digest() != before
