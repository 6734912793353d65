"""Records: what is accepted has one encoding, and what it stands for is finite and within its range."""

from __future__ import annotations

from math import isfinite

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.errors import RemoteProtocolError
from protocol.ids import AuthorId
from protocol.limits import COUNTER_MAX, VECTOR_BYTES_MAX
from protocol.wire.block import Block, make_block, parse_block
from protocol.wire.codec import Value, encode
from protocol.wire.records import (
    AddressesRecord,
    VectorRecord,
    decode_addresses,
    decode_vector,
    encode_addresses,
    encode_vector,
)
from protocol.wire.registry import DIMENSIONS
from tests.unit.protocol.people import ANN, MESH, raw_fields

SETTINGS = settings(deadline=None, derandomize=True, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
MESH_ID = MESH.mesh_id

authors = st.binary(min_size=32, max_size=32).map(AuthorId)
counters = st.one_of(st.integers(1, COUNTER_MAX), st.sampled_from([1, 2, COUNTER_MAX - 1, COUNTER_MAX]))
dims = st.lists(st.sampled_from(sorted(DIMENSIONS)), min_size=1, unique=True).map(lambda chosen: tuple(sorted(chosen)))


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """Any block that may travel."""
    chosen = draw(dims)
    k = draw(st.integers(1, 128))
    size = 2 * k * len(chosen)
    seed = draw(st.binary(min_size=1, max_size=64))
    samples = (seed * (size // len(seed) + 1))[:size]
    deviations = bytes(draw(st.lists(st.integers(1, 255), min_size=len(chosen), max_size=len(chosen))))
    numbers = (draw(st.integers(10, 60_000)), draw(st.integers(0, 255)), draw(st.integers(0, 65_535)))
    return Block(numbers[0], chosen, k, numbers[1], numbers[2], samples + deviations)


records = st.builds(
    VectorRecord,
    author=authors,
    rotation=st.integers(0, 3),
    boot=counters,
    seq=counters,
    hlc=st.integers(0, 2**64 - 1),
    audience=st.just(0),
    terms=st.integers(0, 7),
    lease_ms=st.integers(1_000, 60_000),
    cadence_ms=st.integers(50, 60_000),
    block=blocks(),
)


@given(records)
@SETTINGS
def test_a_vector_decodes_to_what_was_encoded_and_fits(record: VectorRecord) -> None:
    signed = encode_vector(MESH_ID, record)
    assert len(signed) <= VECTOR_BYTES_MAX
    assert decode_vector(MESH_ID, signed) == record


@given(records, st.data())
@settings(SETTINGS, max_examples=200)
def test_a_damaged_vector_is_refused_by_name_or_is_the_one_encoding_of_another(
    record: VectorRecord, data: st.DataObject
) -> None:
    signed = bytearray(encode_vector(MESH_ID, record))
    for _ in range(data.draw(st.integers(1, 4))):
        signed[data.draw(st.integers(0, len(signed) - 1))] = data.draw(st.integers(0, 255))
    try:
        other = decode_vector(MESH_ID, bytes(signed))
    except RemoteProtocolError:
        return
    assert encode_vector(MESH_ID, other) == bytes(signed)


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.binary(max_size=40), st.text(max_size=20)),
    lambda inner: st.lists(inner, max_size=4).map(tuple),
    max_leaves=6,
)


@given(st.sampled_from(sorted(raw_fields(ANN))), anything)
@settings(SETTINGS, max_examples=300)
def test_any_value_in_any_place_is_refused_by_name_or_is_a_vector(field: str, value: Value) -> None:
    signed = encode(tuple(raw_fields(ANN, **{field: value}).values()))
    try:
        record = decode_vector(MESH_ID, signed)
    except RemoteProtocolError:
        return
    assert encode_vector(MESH_ID, record) == signed


@given(blocks(), st.integers(0, 5), anything)
@settings(SETTINGS, max_examples=200)
def test_any_value_in_a_block_is_refused_by_name_or_is_a_block(good: Block, place: int, other: Value) -> None:
    elements = good.to_value()
    assert isinstance(elements, tuple)
    value = (*elements[:place], other, *elements[place + 1 :])
    try:
        block = parse_block(value)
    except RemoteProtocolError:
        return
    assert block.to_value() == value


@given(blocks())
@SETTINGS
def test_every_value_of_a_block_is_unknown_or_finite_and_within_its_range(block: Block) -> None:
    for dim in block.dims:
        dimension = DIMENSIONS[dim]
        for value in [*block.series(dim), block.newest(dim)]:
            assert value is None or dimension.low <= value <= dimension.high + 1e-9
        sd = block.sd(dim)
        assert sd is None or 0 < sd <= dimension.width
        assert block.series(dim)[-1] == block.newest(dim)
        assert len(block.series(dim)) == block.k


floats = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))


@given(st.sampled_from(sorted(DIMENSIONS)), st.lists(floats, min_size=1, max_size=20), floats, st.floats(0, 1))
@SETTINGS
def test_a_block_of_any_finite_numbers_may_travel_and_keeps_unknown_apart(
    dim: int, column: list[float | None], sd: float | None, quality: float
) -> None:
    width = DIMENSIONS[dim].width
    spread = None if sd is None else min(abs(sd), 1e100)
    block = make_block((dim,), [(value,) for value in column], (spread,), dt_ms=250, quality=quality, method=1)
    assert parse_block(block.to_value()) == block
    assert [value is None for value in block.series(dim)] == [value is None for value in column]
    said = block.sd(dim)
    assert (said is None) is (spread is None)
    if said is not None and spread is not None:
        assert isfinite(said)
        assert said >= min(spread, width) * (1 - 1e-9)


hosts = st.text(st.characters(categories=["L", "N", "P"]), max_size=20).filter(lambda host: host.isprintable())
addresses = st.lists(st.tuples(hosts, st.integers(1, 65_535)), max_size=4).map(tuple)


@given(st.builds(AddressesRecord, authors, st.integers(0, 3), counters, counters, addresses))
@SETTINGS
def test_addresses_decode_to_what_was_encoded(record: AddressesRecord) -> None:
    signed = encode_addresses(MESH_ID, record)
    if all(len(host.encode()) <= 64 for host, _ in record.addresses) and len(signed) <= 512:
        assert decode_addresses(MESH_ID, signed) == record


@given(st.binary(max_size=300))
@SETTINGS
def test_any_bytes_as_a_record_are_refused_by_name(data: bytes) -> None:
    for read in (decode_vector, decode_addresses):
        try:
            read(MESH_ID, data)
        except RemoteProtocolError:
            continue
        raise AssertionError("bytes without a mesh id are no record of the mesh")
