"""Vectors and addresses as they are signed: the layout, and every field at and beyond its bounds (section 5)."""

from __future__ import annotations

import pytest

from protocol.errors import DecodeError, Reason
from protocol.limits import ADDRESSES_BYTES_MAX, VECTOR_BYTES_MAX
from protocol.wire.block import make_block
from protocol.wire.codec import Value, encode
from protocol.wire.records import (
    AddressesRecord,
    VectorRecord,
    decode_addresses,
    decode_vector,
    encode_addresses,
    encode_vector,
)
from tests.unit.protocol.people import ANN, MESH, OTHER_MESH, Made, one_sample, raw_fields, record

BIG = 2**53 - 1


def decoded(**changed: Value) -> VectorRecord:
    """An ordinary vector with some elements replaced, decoded."""
    return decode_vector(MESH.mesh_id, encode(tuple(raw_fields(ANN, **changed).values())))


def reason_of(**changed: Value) -> Reason:
    """Why a vector with these elements replaced is refused."""
    with pytest.raises(DecodeError) as refused:
        decoded(**changed)
    return refused.value.reason


def test_a_vector_has_the_bytes_of_the_document() -> None:
    block = make_block((0, 3), [(1.0, None)], (None, 220.0), dt_ms=250, quality=1.0, method=1)
    made = Made(boot=2, hlc=3, terms=5, lease_ms=60_000, cadence_ms=50, block=block)
    signed = encode_vector(MESH.mesh_id, record(ANN, 7, made))
    expected = (
        bytes.fromhex("9d ab") + b"trio.vector"
        + bytes.fromhex("c410") + MESH.mesh_id
        + bytes.fromhex("01 c420") + ANN.author
        + bytes.fromhex("00 02 07 03 00 05 cdea60 32")
        + bytes.fromhex("96 ccfa 92 00 03 01 ccff 01 c406 ff7f 0080 ff fe")
    )  # fmt: skip
    assert signed == expected


def test_a_decoded_vector_is_what_was_encoded() -> None:
    made = Made(boot=BIG, hlc=2**64 - 1, terms=0, lease_ms=1_000, cadence_ms=60_000)
    original = record(ANN, BIG, made)
    assert decode_vector(MESH.mesh_id, encode_vector(MESH.mesh_id, original)) == original
    assert original.number == (0, BIG, BIG)


def test_vectors_are_ordered_by_rotation_then_boot_then_seq() -> None:
    numbers = [(0, 1, 1), (0, 1, 2), (0, 2, 1), (1, 1, 1)]
    records = [VectorRecord(ANN.author, *number, 0, 0, 7, 1_000, 50, one_sample()) for number in numbers]
    assert [one.number for one in sorted(records, key=lambda one: one.number, reverse=True)] == numbers[::-1]


INTEGERS = {
    "rotation": (0, 3),
    "boot": (1, BIG),
    "seq": (1, BIG),
    "hlc": (0, 2**64 - 1),
    "terms": (0, 7),
    "lease_ms": (1_000, 60_000),
    "cadence_ms": (50, 60_000),
}
EDGES = (
    *(-(2**63), -1, 0, 1, 2, 3, 4, 7, 8, 49, 50, 51, 999, 1_000, 59_999, 60_000, 60_001, 65_535, 65_536),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**32, BIG - 1, BIG, BIG + 1, BIG + 2, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1),
)


@pytest.mark.parametrize("name", INTEGERS)
def test_every_integer_of_a_vector_is_taken_within_its_range_and_nowhere_else(name: str) -> None:
    low, high = INTEGERS[name]
    for number in EDGES:
        if low <= number <= high:
            assert getattr(decoded(**{name: number}), name) == number
        else:
            assert reason_of(**{name: number}) is Reason.OUT_OF_RANGE, number


@pytest.mark.parametrize("name", [*INTEGERS, "audience"])
@pytest.mark.parametrize("other", [None, True, False, b"\x01", "1", (), (1,)])
def test_nothing_but_an_integer_is_an_integer_of_a_vector(name: str, other: Value) -> None:
    assert reason_of(**{name: other}) is Reason.WRONG_TYPE


@pytest.mark.parametrize("domain", ["trio.vectors", "trio.addresses", "", "trio.inception", None, 1, b"trio.vector"])
def test_another_domain_is_refused(domain: Value) -> None:
    assert reason_of(domain=domain) is Reason.WRONG_DOMAIN


@pytest.mark.parametrize("mesh", [OTHER_MESH.mesh_id, bytes(16), b"", MESH.mesh_id[:15], None, 1, "x" * 16])
def test_another_mesh_is_refused(mesh: Value) -> None:
    assert reason_of(mesh=mesh) is Reason.WRONG_MESH


@pytest.mark.parametrize("version", [0, 2, 255, -1, 2**64 - 1, True, None, "1", (1,)])
def test_another_version_is_refused(version: Value) -> None:
    assert reason_of(version=version) is Reason.WRONG_VERSION


@pytest.mark.parametrize("author", [bytes(31), bytes(33), b""])
def test_an_author_has_32_bytes(author: bytes) -> None:
    assert reason_of(author=author) is Reason.OUT_OF_RANGE
    assert reason_of(author="x" * 32) is Reason.WRONG_TYPE


@pytest.mark.parametrize("audience", [1, 2, 255, 65_536, 2**31, 2**32 - 1])
def test_another_audience_has_a_reason_of_its_own(audience: int) -> None:
    assert reason_of(audience=audience) is Reason.UNKNOWN_AUDIENCE


@pytest.mark.parametrize("audience", [2**32, 2**53, 2**64 - 1])
def test_another_audience_is_another_audience_however_large(audience: int) -> None:
    assert reason_of(audience=audience) is Reason.UNKNOWN_AUDIENCE


@pytest.mark.parametrize("count", [*range(13), 14, 20])
def test_a_vector_has_thirteen_elements(count: int) -> None:
    elements = [*raw_fields(ANN).values(), *(0,) * 7][:count]
    with pytest.raises(DecodeError):
        decode_vector(MESH.mesh_id, encode(tuple(elements)))


@pytest.mark.parametrize("value", [None, 1, b"", "trio.vector", True, (), ("trio.vector",)])
def test_a_vector_is_an_array(value: Value) -> None:
    with pytest.raises(DecodeError) as refused:
        decode_vector(MESH.mesh_id, encode(value))
    assert refused.value.reason is Reason.WRONG_TYPE


def test_the_longest_block_fits_into_a_vector_and_a_longer_one_is_refused_unread() -> None:
    rows: list[tuple[float | None, ...]] = [(0.0,) * 7] * 128
    block = make_block(tuple(range(7)), rows, (0.1,) * 7, dt_ms=10, quality=1.0, method=0)
    made = Made(boot=BIG, hlc=2**64 - 1, lease_ms=60_000, cadence_ms=60_000, block=block)
    signed = encode_vector(MESH.mesh_id, record(ANN, BIG, made))
    assert len(signed) <= VECTOR_BYTES_MAX
    assert decode_vector(MESH.mesh_id, signed).block == block
    with pytest.raises(DecodeError) as refused:
        decode_vector(MESH.mesh_id, b"\xc1" * (VECTOR_BYTES_MAX + 1))
    assert refused.value.reason is Reason.OUT_OF_RANGE


# --- blocks -----------------------------------------------------------------------------------------------------

USUAL: tuple[Value, ...] = (250, (0,), 1, 255, 1, b"\x00\x00\x01")


def with_block(position: int, value: Value) -> tuple[Value, ...]:
    """An ordinary block with one element replaced."""
    return (*USUAL[:position], value, *USUAL[position + 1 :])


BLOCK_INTEGERS = {"dt_ms": (0, 10, 60_000), "quality": (3, 0, 255), "method": (4, 0, 65_535)}


@pytest.mark.parametrize("name", BLOCK_INTEGERS)
def test_every_integer_of_a_block_is_taken_within_its_range_and_nowhere_else(name: str) -> None:
    position, low, high = BLOCK_INTEGERS[name]
    for number in {*EDGES, low - 1, low, high, high + 1}:
        if low <= number <= high:
            assert getattr(decoded(body=with_block(position, number)).block, name) == number
        else:
            assert reason_of(body=with_block(position, number)) is Reason.OUT_OF_RANGE, number
    assert reason_of(body=with_block(position, True)) is Reason.WRONG_TYPE
    assert reason_of(body=with_block(position, None)) is Reason.WRONG_TYPE


@pytest.mark.parametrize("k", [0, 129, 256, 65_535, 2**32, 2**64 - 1, -1])
def test_a_block_has_one_to_128_rows(k: int) -> None:
    assert reason_of(body=with_block(2, k)) is Reason.OUT_OF_RANGE


@pytest.mark.parametrize("k", [1, 2, 127, 128])
@pytest.mark.parametrize("dims", [(0,), (0, 6), (0, 1, 2, 3, 4, 5, 6)])
def test_a_blob_has_exactly_its_length(k: int, dims: tuple[int, ...]) -> None:
    size = 2 * k * len(dims) + len(dims)
    body = (250, dims, k, 255, 1)
    assert decoded(body=(*body, b"\x01" * size)).block.k == k
    for wrong in (size - 1, size + 1, 0):
        assert reason_of(body=(*body, b"\x01" * wrong)) is Reason.OUT_OF_RANGE


@pytest.mark.parametrize(
    ("dims", "reason"),
    [
        ((), Reason.OUT_OF_RANGE),
        ((0, 0), Reason.OUT_OF_RANGE),
        ((1, 0), Reason.OUT_OF_RANGE),
        ((256,), Reason.OUT_OF_RANGE),
        ((-1,), Reason.OUT_OF_RANGE),
        ((2**64 - 1,), Reason.OUT_OF_RANGE),
        ((True,), Reason.WRONG_TYPE),
        ((None,), Reason.WRONG_TYPE),
        (("arousal",), Reason.WRONG_TYPE),
        ((0, 1, 2, 3, 4, 5, 6, 7, 8), Reason.OUT_OF_RANGE),
        (b"\x00", Reason.WRONG_TYPE),
        (0, Reason.WRONG_TYPE),
    ],
)
def test_dimensions_are_one_to_eight_ascending_ids(dims: Value, reason: Reason) -> None:
    count = len(dims) if isinstance(dims, tuple) else 1
    assert reason_of(body=(250, dims, 1, 255, 1, b"\x01" * (3 * count))) is reason


@pytest.mark.parametrize("dims", [(7,), (255,), (0, 7), (0, 1, 2, 3, 4, 5, 6, 200)])
def test_a_dimension_that_nobody_registered_has_a_reason_of_its_own(dims: tuple[int, ...]) -> None:
    assert reason_of(body=(250, dims, 1, 255, 1, b"\x01" * (3 * len(dims)))) is Reason.UNKNOWN_DIMENSION


def test_a_standard_deviation_of_zero_is_refused() -> None:
    assert reason_of(body=with_block(5, b"\x00\x00\x00")) is Reason.OUT_OF_RANGE
    assert reason_of(body=(250, (0, 1), 1, 255, 1, b"\x01\x01\x01\x01\x05\x00")) is Reason.OUT_OF_RANGE
    for byte in (1, 254, 255):
        assert decoded(body=with_block(5, bytes((0, 0, byte)))).block.blob[-1] == byte


@pytest.mark.parametrize("body", [None, 1, b"", "x", True, (), USUAL[:5], (*USUAL, 0)])
def test_a_block_has_six_elements(body: Value) -> None:
    assert reason_of(body=body) in {Reason.WRONG_TYPE, Reason.WRONG_ARITY}


# --- addresses --------------------------------------------------------------------------------------------------


def addresses(*listed: Value, **changed: Value) -> bytes:
    """The signed bytes of an addresses record, some elements of which are replaced."""
    usual: dict[str, Value] = {
        "domain": "trio.addresses",
        "mesh": MESH.mesh_id,
        "version": 1,
        "author": ANN.author,
        "rotation": 0,
        "boot": 1,
        "seq": 1,
        "addresses": listed,
    }
    assert changed.keys() <= usual.keys()
    return encode(tuple((usual | changed).values()))


def test_an_addresses_record_has_the_bytes_of_the_document() -> None:
    original = AddressesRecord(ANN.author, 0, 1, 2, (("10.0.0.1", 65_535), ("::1", 1)))
    signed = encode_addresses(MESH.mesh_id, original)
    assert signed == addresses(("10.0.0.1", 65_535), ("::1", 1), seq=2)
    assert decode_addresses(MESH.mesh_id, signed) == original
    assert original.number == (0, 1, 2)


def address_reason(data: bytes) -> Reason:
    """Why an addresses record is refused."""
    with pytest.raises(DecodeError) as refused:
        decode_addresses(MESH.mesh_id, data)
    return refused.value.reason


@pytest.mark.parametrize("count", range(6))
def test_a_hub_has_up_to_four_addresses(count: int) -> None:
    signed = addresses(*(("host", port) for port in range(1, count + 1)))
    if count <= 4:
        assert len(decode_addresses(MESH.mesh_id, signed).addresses) == count
    else:
        assert address_reason(signed) is Reason.OUT_OF_RANGE


@pytest.mark.parametrize("name", ["rotation", "boot", "seq"])
def test_every_integer_of_an_addresses_record_has_its_range(name: str) -> None:
    low, high = INTEGERS[name]
    for number in EDGES:
        if low <= number <= high:
            assert getattr(decode_addresses(MESH.mesh_id, addresses(**{name: number})), name) == number
        else:
            assert address_reason(addresses(**{name: number})) is Reason.OUT_OF_RANGE


@pytest.mark.parametrize("port", [-1, 0, 65_536, 2**31, 2**64 - 1])
def test_a_port_beyond_its_range_is_refused(port: int) -> None:
    assert address_reason(addresses(("h", port))) is Reason.OUT_OF_RANGE
    assert decode_addresses(MESH.mesh_id, addresses(("h", 1), ("h", 65_535))).addresses == (("h", 1), ("h", 65_535))


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (("x" * 65, 1), Reason.OUT_OF_RANGE),
        (("a\nb", 1), Reason.OUT_OF_RANGE),
        ((b"h", 1), Reason.WRONG_TYPE),
        (("h", "1"), Reason.WRONG_TYPE),
        (("h", True), Reason.WRONG_TYPE),
        (("h",), Reason.WRONG_ARITY),
        (("h", 1, 2), Reason.WRONG_ARITY),
        ("h", Reason.WRONG_TYPE),
        (None, Reason.WRONG_TYPE),
    ],
)
def test_an_address_is_a_host_and_a_port(entry: Value, reason: Reason) -> None:
    assert address_reason(addresses(entry)) is reason


def test_an_addresses_record_of_another_kind_mesh_version_or_size_is_refused() -> None:
    assert address_reason(addresses(domain="trio.vector")) is Reason.WRONG_DOMAIN
    assert address_reason(addresses(mesh=OTHER_MESH.mesh_id)) is Reason.WRONG_MESH
    assert address_reason(addresses(version=2)) is Reason.WRONG_VERSION
    assert address_reason(addresses(author=bytes(31))) is Reason.OUT_OF_RANGE
    assert address_reason(bytes(ADDRESSES_BYTES_MAX + 1)) is Reason.OUT_OF_RANGE
    assert address_reason(encode((*raw_fields(ANN).values(),))) is Reason.WRONG_DOMAIN


def test_four_addresses_of_the_longest_kind_fit() -> None:
    listed = tuple(("x" * 64, 65_535) for _ in range(4))
    signed = encode_addresses(MESH.mesh_id, AddressesRecord(ANN.author, 3, BIG, BIG, listed))
    assert len(signed) <= ADDRESSES_BYTES_MAX
    assert decode_addresses(MESH.mesh_id, signed).addresses == listed
