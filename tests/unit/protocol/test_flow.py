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
    return Chunk(EVENT, index, bytes(16), bytes(size), bytes(32))


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
    words = [Chunk(EVENT, number, bytes(16), bytes(1_000)) for number in range(10)]
    flow = filled(chunk(0), *words)
    left = [one for _ in range(2) for one in flow.collect(PEER, 2_300, 128)]
    assert left == words[:4], "a chunk for which there is no room lets words pass"
    left = flow.collect(PEER, FRAME + 8_192, 128)
    assert left == [chunk(0), *words[4:]], "and then it goes first"
    assert not flow.waits(PEER)


def test_a_frame_holds_one_chunk() -> None:
    flow = filled(chunk(0), chunk(1), chunk(2))
    assert [flow.collect(PEER, 60_000, 128) for _ in range(3)] == [[chunk(0)], [chunk(1)], [chunk(2)]]


def test_small_messages_keep_their_order_and_so_do_chunks() -> None:
    questions = [WantPayload(EVENT, index, 1) for index in range(5)]
    flow = filled(chunk(0), questions[0], chunk(1), *questions[1:])
    left = [one for _ in range(3) for one in flow.collect(PEER, FRAME, 128)]
    assert left == [*questions, chunk(0), chunk(1)]


def test_both_queues_share_one_bound() -> None:
    count = (FLOW_BYTES_MAX - weight(WantPayload(EVENT, 0, 4))) // weight(chunk(0))
    flow = filled(*(chunk(index) for index in range(count)))
    assert flow.room(PEER) == FLOW_BYTES_MAX - count * weight(chunk(0))
    assert not flow.push(PEER, chunk(count))
    assert flow.push(PEER, WantPayload(EVENT, 0, 4))
    flow.forget(PEER)
    assert flow.room(PEER) == FLOW_BYTES_MAX
