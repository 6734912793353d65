"""The thirteen messages: their bytes, and every field at and beyond its bounds (section 6, R7, R27)."""

from __future__ import annotations

import pytest

from protocol.errors import DecodeError, Reason
from protocol.ids import AuthorId
from protocol.limits import PLAINTEXT_BYTES_MAX
from protocol.wire import messages as wire
from protocol.wire.codec import Value, encode
from protocol.wire.messages import Message, decode_frame, encode_frame

A, B = AuthorId(b"a" * 32), AuthorId(b"b" * 32)
TAG = b"t" * 8
SIGNATURE = b"s" * 64
BIG = 2**53 - 1

EXAMPLES: dict[str, tuple[Message, str]] = {
    "hello": (wire.Hello(1, None, "x"), "9194 00 01 c0 a178"),
    "hello with addresses": (
        wire.Hello(BIG, (b"r", SIGNATURE), ""),
        "9194 00 cf001fffffffffffff 92 c40172 c440" + "73" * 64 + "a0",
    ),
    "bye": (wire.Bye(255), "9192 01 ccff"),
    "ping": (wire.Ping(2**32 - 1), "9192 02 ceffffffff"),
    "pong": (wire.Pong(0), "9192 03 00"),
    "beat": (wire.Beat(), "9191 04"),
    "keys": (wire.Keys(b"k"), "9192 05 c4016b"),
    "want keys": (wire.WantKeys((A, B)), "9192 06 92 c420" + "61" * 32 + "c420" + "62" * 32),
    "vector": (wire.Vector(b"v", SIGNATURE, 120_000), "9194 07 c40176 c440" + "73" * 64 + "ce0001d4c0"),
    "clock": (wire.Clock(1_500), "9192 13 cd05dc"),
    "digest": (
        wire.Digest((wire.DigestEntry(TAG, 3, 1, BIG),)),
        "9192 08 91 94 c408" + "74" * 8 + "03 01 cf001fffffffffffff",
    ),
    "prune": (wire.Prune((TAG,)), "9192 09 91 c408" + "74" * 8),
    "graft": (wire.Graft((TAG,)), "9192 0a 91 c408" + "74" * 8),
    "neighbors": (wire.Neighbors((A,)), "9192 0b 91 c420" + "61" * 32),
    "no neighbors": (wire.Neighbors(()), "9192 0b 90"),
    "peers": (
        wire.Peers((wire.PeerRecord(b"k", b"r", SIGNATURE),)),
        "9192 0c 91 93 c4016b c40172 c440" + "73" * 64,
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_message_has_the_bytes_of_the_document(name: str) -> None:
    message, encoded = EXAMPLES[name]
    assert encode_frame([message]).hex() == encoded.replace(" ", "")
    assert decode_frame(bytes.fromhex(encoded)) == (message,)


def reason_of(*items: Value) -> Reason:
    """Why a frame with these messages is refused."""
    with pytest.raises(DecodeError) as refused:
        decode_frame(encode(items))
    return refused.value.reason


def taken(item: Value) -> bool:
    """Whether a frame with this one message is taken."""
    try:
        decode_frame(encode((item,)))
    except DecodeError:
        return False
    return True


INTEGERS: dict[str, tuple[Value, int, int]] = {
    "boot of hello": ((0, None, None, ""), 1, BIG),
    "code of bye": ((1, None), 0, 255),
    "token of ping": ((2, None), 0, 2**32 - 1),
    "token of pong": ((3, None), 0, 2**32 - 1),
    "age of vector": ((7, b"v", SIGNATURE, None), 0, 120_000),
    "rotation of digest": ((8, ((TAG, None, 1, 1),)), 0, 3),
    "boot of digest": ((8, ((TAG, 0, None, 1),)), 1, BIG),
    "seq of digest": ((8, ((TAG, 0, 1, None),)), 1, BIG),
}
# Where None stands for the number itself and for an absent address, the path to the number says which is meant.
PATHS: dict[str, tuple[int, ...]] = {
    "boot of hello": (1,),
    "code of bye": (1,),
    "token of ping": (1,),
    "token of pong": (1,),
    "age of vector": (3,),
    "rotation of digest": (1, 0, 1),
    "boot of digest": (1, 0, 2),
    "seq of digest": (1, 0, 3),
}
EDGES = (
    *(-(2**63), -(2**31), -1, 0, 1, 2, 3, 4, 127, 128, 254, 255, 256, 65_535, 65_536, 119_999, 120_000, 120_001),
    *(2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1, 2**32, 2**53 - 2, 2**53 - 1, 2**53, 2**53 + 1),
    *(2**63 - 1, 2**63, 2**64 - 1),
)


def put(value: Value, path: tuple[int, ...], leaf: Value) -> Value:
    """``value`` with the element at ``path`` replaced."""
    if not path:
        return leaf
    assert isinstance(value, tuple)
    head, *tail = path
    return (*value[:head], put(value[head], tuple(tail), leaf), *value[head + 1 :])


@pytest.mark.parametrize("name", INTEGERS)
def test_every_remote_integer_is_taken_within_its_range_and_nowhere_else(name: str) -> None:
    item, low, high = INTEGERS[name]
    verdicts = {number: taken(put(item, PATHS[name], number)) for number in {*EDGES, low - 1, low, high, high + 1}}
    assert verdicts == {number: low <= number <= high for number in verdicts}


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("other", [None, True, False, b"\x01", "1", (), (1,)])
def test_nothing_but_an_integer_is_an_integer(name: str, other: Value) -> None:
    assert reason_of(put(INTEGERS[name][0], PATHS[name], other)) is Reason.WRONG_TYPE


LISTS: dict[str, tuple[int, int, int, int]] = {
    # message type, least and most elements, bytes of an element
    "want keys": (6, 1, 64, 32),
    "prune": (9, 1, 256, 8),
    "graft": (10, 1, 256, 8),
    "neighbors": (11, 0, 32, 32),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_names_is_taken_within_its_bounds_and_nowhere_else(name: str) -> None:
    kind, low, high, size = LISTS[name]
    for count in (0, 1, 2, 31, 32, 33, 63, 64, 65, 255, 256):
        names = tuple(number.to_bytes(size, "big") for number in range(count))
        assert taken((kind, names)) is (low <= count <= high), count


@pytest.mark.parametrize("name", LISTS)
def test_the_elements_of_a_list_of_names_are_distinct_byte_strings_of_one_size(name: str) -> None:
    kind, _, _, size = LISTS[name]
    good = bytes(size)
    assert taken((kind, (good,)))
    assert reason_of((kind, (good, good))) is Reason.OUT_OF_RANGE
    assert reason_of((kind, (good[1:],))) is Reason.OUT_OF_RANGE
    assert reason_of((kind, (good + b"\0",))) is Reason.OUT_OF_RANGE
    assert reason_of((kind, ("x" * size,))) is Reason.WRONG_TYPE
    assert reason_of((kind, (7,))) is Reason.WRONG_TYPE
    assert reason_of((kind, good)) is Reason.WRONG_TYPE
    assert reason_of((kind, None)) is Reason.WRONG_TYPE


@pytest.mark.parametrize("count", [0, 1, 8, 9, 256])
def test_peers_carries_one_to_eight_records(count: int) -> None:
    assert taken((12, ((b"k", b"r", SIGNATURE),) * count)) is (1 <= count <= 8)


@pytest.mark.parametrize("count", [0, 1, 255, 256])
def test_a_digest_carries_one_to_256_entries(count: int) -> None:
    assert taken((8, tuple((number.to_bytes(8, "big"), 0, 1, 1) for number in range(count)))) is (count > 0)


BINARIES: dict[str, tuple[Value, tuple[int, ...], int, int]] = {
    "signed of hello": ((0, 1, (b"", SIGNATURE), ""), (2, 0), 1, 512),
    "signature of hello": ((0, 1, (b"r", b""), ""), (2, 1), 64, 64),
    "key state of keys": ((5, b""), (1,), 1, 1_024),
    "signed of vector": ((7, b"", SIGNATURE, 0), (1,), 1, 2_048),
    "signature of vector": ((7, b"v", b"", 0), (2,), 64, 64),
    "tag of digest": ((8, ((b"", 0, 1, 1),)), (1, 0, 0), 8, 8),
    "key state of peers": ((12, ((b"", b"r", SIGNATURE),)), (1, 0, 0), 1, 1_024),
    "signed of peers": ((12, ((b"k", b"", SIGNATURE),)), (1, 0, 1), 1, 512),
    "signature of peers": ((12, ((b"k", b"r", b""),)), (1, 0, 2), 64, 64),
}


@pytest.mark.parametrize("name", BINARIES)
def test_every_byte_string_is_taken_within_its_length_and_nowhere_else(name: str) -> None:
    item, path, low, high = BINARIES[name]
    sizes = {0, 1, 7, 8, 9, 63, 64, 65, 511, 512, 513, 1_023, 1_024, 1_025, 2_047, 2_048, 2_049, low, high}
    assert {size: taken(put(item, path, bytes(size))) for size in sizes} == {s: low <= s <= high for s in sizes}
    for other in (None, 1, "x" * low, (), True):
        assert reason_of(put(item, path, other)) is Reason.WRONG_TYPE


def test_the_name_of_a_software_has_at_most_64_bytes_not_letters() -> None:
    assert taken((0, 1, None, "x" * 64))
    assert taken((0, 1, None, "é" * 32))
    assert reason_of((0, 1, None, "x" * 65)) is Reason.OUT_OF_RANGE
    assert reason_of((0, 1, None, "é" * 33)) is Reason.OUT_OF_RANGE
    assert reason_of((0, 1, None, b"x")) is Reason.WRONG_TYPE
    assert reason_of((0, 1, None, None)) is Reason.WRONG_TYPE


@pytest.mark.parametrize("text", ["\n", "\x1b[31m", "a\x00b", "\x7f", "\u202e", "\u200b"])
def test_control_characters_do_not_reach_anybodys_screen(text: str) -> None:
    assert reason_of((0, 1, None, text)) is Reason.OUT_OF_RANGE


@pytest.mark.parametrize("kind", [-1, 42, 255, 2**64 - 1, -(2**63)])
def test_a_message_of_an_unknown_type_is_refused(kind: int) -> None:
    assert reason_of((kind,)) is Reason.UNKNOWN_MESSAGE
    assert reason_of((4,), (kind, 1)) is Reason.UNKNOWN_MESSAGE


@pytest.mark.parametrize("kind", [True, False, None, "4", b"\x04", (4,)])
def test_a_type_that_is_no_integer_is_unknown(kind: Value) -> None:
    assert reason_of((kind,)) is Reason.UNKNOWN_MESSAGE


@pytest.mark.parametrize("kind", range(13))
def test_a_message_with_an_element_too_few_or_many_is_refused(kind: int) -> None:
    message = next(message for message, _ in EXAMPLES.values() if wire.to_value(message)[0] == kind)  # type: ignore[index]
    value = wire.to_value(message)
    assert isinstance(value, tuple)
    assert taken(value)
    assert reason_of((*value, 0)) is Reason.WRONG_ARITY
    if len(value) > 1:
        assert reason_of(value[:-1]) is Reason.WRONG_ARITY


@pytest.mark.parametrize("item", [None, 4, b"\x04", "4", True, ()])
def test_a_message_is_an_array_that_is_not_empty(item: Value) -> None:
    assert reason_of(item) is Reason.WRONG_TYPE


@pytest.mark.parametrize("pair", [(), (b"r",), (b"r", SIGNATURE, 0), b"r", 1, True])
def test_addresses_in_hello_are_a_pair_or_nil(pair: Value) -> None:
    assert not taken((0, 1, pair, ""))


@pytest.mark.parametrize("entry", [(), (TAG, 0, 1), (TAG, 0, 1, 1, 1), TAG, None])
def test_a_digest_entry_has_exactly_four_elements(entry: Value) -> None:
    assert not taken((8, (entry,)))


@pytest.mark.parametrize("entry", [(), (b"k", b"r"), (b"k", b"r", SIGNATURE, 0), b"k", None])
def test_a_peer_record_has_exactly_three_elements(entry: Value) -> None:
    assert not taken((12, (entry,)))


@pytest.mark.parametrize("count", [1, 2, 127, 128])
def test_a_frame_carries_up_to_128_messages(count: int) -> None:
    assert decode_frame(encode(((4,),) * count)) == (wire.Beat(),) * count


def test_a_frame_of_no_or_too_many_messages_is_refused() -> None:
    assert reason_of() is Reason.FRAME_EMPTY
    assert reason_of(*((4,),) * 129) is Reason.TOO_MANY_ITEMS
    assert reason_of(*((4,),) * 256) is Reason.TOO_MANY_ITEMS


@pytest.mark.parametrize("data", ["c0", "04", "c3", "a0", "c400"])
def test_a_frame_is_an_array(data: str) -> None:
    with pytest.raises(DecodeError) as refused:
        decode_frame(bytes.fromhex(data))
    assert refused.value.reason is Reason.WRONG_TYPE


def test_an_empty_and_an_oversized_plaintext_are_refused() -> None:
    with pytest.raises(DecodeError) as empty:
        decode_frame(b"")
    assert empty.value.reason is Reason.FRAME_EMPTY
    with pytest.raises(DecodeError) as large:
        decode_frame(bytes(PLAINTEXT_BYTES_MAX + 1))
    assert large.value.reason is Reason.FRAME_TOO_LARGE


def test_one_bad_message_refuses_the_good_ones_beside_it() -> None:
    assert reason_of((4,), (2, 7), (2, -1)) is Reason.OUT_OF_RANGE
