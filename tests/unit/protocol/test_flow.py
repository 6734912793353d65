"""What waits for a neighbor: small before large, nobody for ever, bounded."""

from __future__ import annotations

from protocol.flow import Flow, weight
from protocol.ids import AuthorId, EventId
from protocol.limits import CHUNK_BYTES, FLOW_BYTES_MAX
from protocol.wire.events import Chunk, WantPayload
from protocol.wire.messages import FlowMessage

PEER = AuthorId(bytes(32))
EVENT = EventId(bytes(32))
FRAME = CHUNK_BYTES + 8_192


def chunk(index: int, size: int = CHUNK_BYTES) -> Chunk:
    """A chunk of a large payload."""
    return Chunk(EVENT, index, bytes(16), bytes(size))


def filled(*messages: FlowMessage) -> Flow:
    """A flow in which these wait, in this order."""
    flow = Flow()
    for message in messages:
        assert flow.push(PEER, message)
    return flow


def test_a_question_passes_the_chunks_that_waited_before_it() -> None:
    question = WantPayload(EVENT, 0, 4)
    flow = filled(chunk(0), chunk(1), chunk(2), question)
    assert flow.collect(PEER, FRAME, 128) == [question, chunk(0)]
    assert flow.collect(PEER, FRAME, 128) == [chunk(1)]
    assert flow.collect(PEER, FRAME, 128) == [chunk(2)]
    assert not flow.waits(PEER)


def test_a_chunk_leaves_after_as_many_bytes_as_its_own_however_much_is_small() -> None:
    flow = filled(chunk(0), *(chunk(index, 4_096) for index in range(10)))
    left = [one for _ in range(4) for one in flow.collect(PEER, 8_192 + 256, 128)]
    assert [len(one.data or b"") for one in left if isinstance(one, Chunk)] == [4_096] * 8
    assert flow.collect(PEER, FRAME, 128)[0] == chunk(0)
    assert [one for one in flow.collect(PEER, FRAME, 128) if isinstance(one, Chunk)] == [chunk(9, 4_096)]


def test_small_messages_keep_their_order_and_so_do_chunks() -> None:
    questions = [WantPayload(EVENT, index, 1) for index in range(5)]
    flow = filled(chunk(0), questions[0], chunk(1), *questions[1:])
    left = [one for _ in range(3) for one in flow.collect(PEER, FRAME, 128)]
    assert left == [*questions, chunk(0), chunk(1)]


def test_both_queues_share_one_bound() -> None:
    flow = filled(*(chunk(index) for index in range(5)))
    waiting = 5 * weight(chunk(0))
    assert flow.room(PEER) == FLOW_BYTES_MAX - waiting
    assert not flow.push(PEER, chunk(5))
    assert flow.push(PEER, WantPayload(EVENT, 0, 4))
    flow.forget(PEER)
    assert flow.room(PEER) == FLOW_BYTES_MAX
