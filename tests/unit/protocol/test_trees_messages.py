"""The four messages of the trees: their bytes, and every field at and beyond its bounds (section 10)."""

from __future__ import annotations

import pytest

from protocol import limits
from protocol.errors import DecodeError, Reason
from protocol.flow import weight
from protocol.ids import AuthorId
from protocol.wire import messages as wire
from protocol.wire.codec import Value, encode
from protocol.wire.messages import TreeMessage, decode_frame, encode_frame

A = AuthorId(b"a" * 32)
ID = b"i" * 16

EXAMPLES: dict[str, tuple[TreeMessage, str]] = {
    "gossip": (
        wire.Gossip(ID, A, 255, 2, b"p"),
        "9196 14 c410" + "69" * 16 + "c420" + "61" * 32 + "ccff 02 c40170",
    ),
    "ihave": (wire.IHave(b"abcd\x01"), "9192 15 c4056162636401"),
    "graft of messages": (wire.TreeGraft(None, b"abcdefgh"), "9193 16 c0 c4086162636465666768"),
    "graft of a tree": (wire.TreeGraft(A, b""), "9193 16 c420" + "61" * 32 + "c400"),
    "graft of the shared tree": (wire.TreeGraft(None, b""), "9193 16 c0 c400"),
    "prune of a tree": (wire.TreePrune(A), "9192 17 c420" + "61" * 32),
    "prune of the shared tree": (wire.TreePrune(None), "9192 17 c0"),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_tree_message_has_the_bytes_of_the_document(name: str) -> None:
    message, encoded = EXAMPLES[name]
    assert encode_frame([message]).hex() == encoded.replace(" ", "")
    assert decode_frame(bytes.fromhex(encoded)) == (message,)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_weight_of_a_tree_message_is_no_less_than_its_bytes(name: str) -> None:
    message, encoded = EXAMPLES[name]
    assert len(encoded.replace(" ", "")) // 2 - 1 <= weight(message)


def reason_of(*item: Value) -> Reason:
    """Why a frame with this one message is refused."""
    with pytest.raises(DecodeError) as refused:
        decode_frame(encode((item,)))
    return refused.value.reason


def taken(*item: Value) -> bool:
    """Whether a frame with this one message is taken."""
    try:
        decode_frame(encode((item,)))
    except DecodeError:
        return False
    return True


@pytest.mark.parametrize("size", [0, 15, 17, 31, 33])
def test_an_id_has_16_or_32_bytes(size: int) -> None:
    assert taken(20, b"i" * 16, A, 1, 0, b"p")
    assert taken(20, b"i" * 32, A, 1, 0, b"p")
    assert reason_of(20, b"i" * size, A, 1, 0, b"p") is Reason.OUT_OF_RANGE


def test_the_fields_of_gossip_have_bounds() -> None:
    assert taken(20, ID, A, 1, 0, b"p" * limits.GOSSIP_BYTES_MAX)
    assert reason_of(20, ID, A, 1, 0, b"p" * (limits.GOSSIP_BYTES_MAX + 1)) is Reason.OUT_OF_RANGE
    assert reason_of(20, ID, A, 1, 0, b"") is Reason.OUT_OF_RANGE
    assert reason_of(20, ID, A, 0, 0, b"p") is Reason.OUT_OF_RANGE
    assert reason_of(20, ID, A, 256, 0, b"p") is Reason.OUT_OF_RANGE
    assert reason_of(20, ID, A, 1, 3, b"p") is Reason.OUT_OF_RANGE
    assert reason_of(20, ID, A[1:], 1, 0, b"p") is Reason.OUT_OF_RANGE


@pytest.mark.parametrize("place", range(1, 6))
def test_the_fields_of_gossip_have_types(place: int) -> None:
    item: list[Value] = [20, ID, A, 1, 0, b"p"]
    for wrong in (None, "x", True, ()):
        item[place] = wrong
        assert reason_of(*item) is Reason.WRONG_TYPE


def test_ihave_has_1_to_256_entries_of_five_bytes() -> None:
    assert taken(21, b"x" * 5 * 256)
    assert reason_of(21, b"x" * 5 * 257) is Reason.OUT_OF_RANGE
    assert reason_of(21, b"") is Reason.OUT_OF_RANGE
    assert reason_of(21, b"x" * 6) is Reason.OUT_OF_RANGE
    assert reason_of(21, None) is Reason.WRONG_TYPE


def test_a_graft_names_up_to_64_messages_or_one_tree() -> None:
    assert taken(22, None, b"x" * 4 * 64)
    assert reason_of(22, None, b"x" * 4 * 65) is Reason.OUT_OF_RANGE
    assert reason_of(22, None, b"x" * 5) is Reason.OUT_OF_RANGE
    assert reason_of(22, A, b"x" * 4) is Reason.OUT_OF_RANGE
    assert reason_of(22, A[1:], b"") is Reason.OUT_OF_RANGE
    assert reason_of(22, 0, b"") is Reason.WRONG_TYPE
    assert reason_of(22, None, None) is Reason.WRONG_TYPE


def test_a_prune_names_an_author_or_nobody() -> None:
    assert reason_of(23, A + b"a") is Reason.OUT_OF_RANGE
    assert reason_of(23, 0) is Reason.WRONG_TYPE


@pytest.mark.parametrize(("kind", "arity"), [(20, 6), (21, 2), (22, 3), (23, 2)])
def test_a_tree_message_with_an_element_too_few_or_many_is_refused(kind: int, arity: int) -> None:
    assert reason_of(kind, *(None,) * arity) is Reason.WRONG_ARITY
    assert reason_of(kind, *(None,) * (arity - 2)) is Reason.WRONG_ARITY
