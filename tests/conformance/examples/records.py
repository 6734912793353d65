"""Vectors, blocks and addresses, section 5.2 and 5.3: R5, R7, R21, R24 to R26, R33."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.conformance.examples.shared import MESH, Case, Example, author, bad, good, plain, written
from tests.conformance.reference.codec import Value, encode
from tests.conformance.reference.meshes import open_mesh
from tests.conformance.reference.records import Addresses, Block, Vector, decode_addresses, decode_vector

WHO = author("records")
PLAIN = Vector(WHO.author)
ONE = Block(250, (0,), 1, 200, 0, b"\x00\x10\x20")


def vectors() -> list[Example]:
    """Signed bytes of vectors of the mesh ``conformance``."""
    cases = [*_good_vectors(), *_good_blocks(), *_bad_headers(), *_bad_fields(), *_bad_blocks(), *_dropped()]
    return written(cases, read_vector)


def read_vector(data: bytes) -> dict[str, Any]:
    """A vector as JSON; ``values`` and ``deviations`` are in the unit of each dimension."""
    vector = decode_vector(data, MESH.mesh_id)
    block = vector.block
    return {
        "author": vector.author.hex(),
        **{name: getattr(vector, name) for name in ("rotation", "boot", "seq")},
        "hlc": plain(vector.hlc),
        **{name: getattr(vector, name) for name in ("audience", "terms", "lease_ms", "cadence_ms")},
        "block": {
            "dt_ms": block.dt_ms,
            "dims": list(block.dims),
            "k": block.k,
            "quality": block.quality,
            "method": block.method,
            "blob": block.blob.hex(),
            "values": block.values(),
            "deviations": block.deviations(),
        },
    }


def _signed(vector: Vector) -> bytes:
    return vector.signed(MESH.mesh_id)


def _block(block: Block) -> bytes:
    return _signed(replace(PLAIN, block=block))


def _items(change: Callable[[list[Value]], object]) -> bytes:
    """An ordinary vector with its elements changed."""
    items = PLAIN.items(MESH.mesh_id)
    change(items)
    return encode(items)


def _set(index: int, value: Value) -> bytes:
    def change(items: list[Value]) -> None:
        items[index] = value

    return _items(change)


def _set_block(index: int, value: Value) -> bytes:
    def change(items: list[Value]) -> None:
        body = items[12]
        assert isinstance(body, list)
        body[index] = value

    return _items(change)


def _good_vectors() -> Iterator[Case]:
    yield good("an ordinary vector", "R33", _signed(PLAIN))
    yield good(
        "all counters at their largest", "R33", _signed(replace(PLAIN, rotation=3, boot=2**53 - 1, seq=2**53 - 1))
    )
    yield good("largest hlc", "R33", _signed(replace(PLAIN, hlc=2**64 - 1)), "it lies in the future, which is for R35")
    yield good("an hlc of 2023", "R33", _signed(replace(PLAIN, hlc=1_700_000_000_000 << 16 | 5)))
    for terms in (0, 1, 6):
        yield good(f"terms {terms}", "R33", _signed(replace(PLAIN, terms=terms)))
    yield good("shortest lease and cadence", "R33", _signed(replace(PLAIN, lease_ms=1_000, cadence_ms=50)))
    yield good("longest lease and cadence", "R33", _signed(replace(PLAIN, lease_ms=60_000, cadence_ms=60_000)))


def _good_blocks() -> Iterator[Case]:
    yield good("all seven dimensions", "R33", _block(Block(250, tuple(range(7)), 1, 200, 1, bytes(14) + b"\x7f" * 7)))
    low, high, unknown = b"\x01\x80", b"\xff\x7f", b"\x00\x80"
    yield good("lowest, highest, unknown", "R33", _block(Block(250, (3,), 3, 200, 0, low + high + unknown + b"\xff")))
    yield good("middle of every range", "R33", _block(Block(250, tuple(range(7)), 1, 0, 0, bytes(14) + b"\x01" * 7)))
    rows = b"".join(number.to_bytes(2, "little", signed=True) for number in (-32_767, 0, 32_767, 1, -1, 2))
    yield good(
        "three rows of two", "R33", _block(Block(500, (0, 6), 3, 9, 1, rows + b"\x01\xfe")), "row by row, oldest first"
    )
    most = Block(10, tuple(range(7)), 128, 255, 65_535, bytes(1_792) + b"\xfe" * 7)
    yield good("128 rows of seven", "R33", _block(most))
    yield good("smallest and largest sd", "R25", _block(Block(250, (0, 1), 1, 1, 1, bytes(4) + b"\x01\xfe")))
    yield good("sd unknown", "R25", _block(Block(250, (5,), 1, 1, 1, bytes(2) + b"\xff")))
    yield good("longest dt", "R33", _block(replace(ONE, dt_ms=60_000)))
    yield good("largest quality and method", "R33", _block(replace(ONE, quality=255, method=65_535)))


def _bad_headers() -> Iterator[Case]:
    yield bad("another domain", "R21", _set(0, "trio.vectors"))
    yield bad("domain of addresses", "R21", _set(0, "trio.addresses"))
    yield bad("domain as bin", "R21", _set(0, b"trio.vector"))
    yield bad("another mesh", "R21", _set(1, open_mesh("elsewhere").mesh_id))
    yield bad("mesh of 17 bytes", "R21", _set(1, MESH.mesh_id + b"\x00"))
    yield bad("mesh as nil", "R21", _set(1, None))
    yield bad("version 0", "R21", _set(2, 0))
    yield bad("version 2", "R21", _set(2, 2))
    yield bad("version true", "R7", _set(2, True))
    yield bad("fourteen elements", "R7", _items(lambda items: items.append(0)))
    yield bad("twelve elements", "R7", _items(lambda items: items.pop()))
    yield bad("not an array", "R7", encode(_signed(PLAIN)))
    yield bad("a byte after it", "R6", _signed(PLAIN) + b"\x00")
    yield bad("nothing", "R6", b"")
    short, long = encode(10_000), b"\xce\x00\x00\x27\x10"
    yield bad("lease in a longer encoding", "R5", _signed(PLAIN).replace(short, long, 1))
    yield bad("lease as float", "R4", _signed(PLAIN).replace(short, b"\xca\x46\x1c\x40\x00", 1))
    yield bad("2,049 bytes or more", "R33", _block(Block(10, tuple(range(8)), 128, 1, 1, bytes(2_048) + b"\x01" * 8)))


def _bad_fields() -> Iterator[Case]:
    changes: list[tuple[str, int, Value]] = [
        ("author of 31 bytes", 3, WHO.author[:31]),
        ("author as str", 3, "a" * 32),
        ("rotation 4", 4, 4),
        ("rotation -1", 4, -1),
        ("rotation false", 4, False),
        ("boot 0", 5, 0),
        ("boot 2^53", 5, 2**53),
        ("seq 0", 6, 0),
        ("seq 2^53", 6, 2**53),
        ("seq 2^64 - 1", 6, 2**64 - 1),
        ("seq true", 6, True),
        ("hlc -1", 7, -1),
        ("hlc nil", 7, None),
        ("audience -1", 8, -1),
        ("audience nil", 8, None),
        ("terms 8", 9, 8),
        ("terms -1", 9, -1),
        ("lease 999", 10, 999),
        ("lease 60,001", 10, 60_001),
        ("cadence 49", 11, 49),
        ("cadence 60,001", 11, 60_001),
        ("body nil", 12, None),
        ("body as bin", 12, b"\x00"),
    ]
    for name, index, value in changes:
        yield bad(name, "R7" if isinstance(value, bool) else "R33", _set(index, value))


def _bad_blocks() -> Iterator[Case]:
    changes: list[tuple[str, int, Value]] = [
        ("dt 9", 0, 9),
        ("dt 60,001", 0, 60_001),
        ("no dimension", 1, []),
        ("dimension -1", 1, [-1]),
        ("dimension 256", 1, [256]),
        ("dimensions as integer", 1, 0),
        ("k 0", 2, 0),
        ("k 129", 2, 129),
        ("k 2 and one row", 2, 2),
        ("quality -1", 3, -1),
        ("quality 256", 3, 256),
        ("method 65,536", 4, 65_536),
        ("blob too short", 5, b"\x00\x10"),
        ("blob too long", 5, b"\x00\x10\x20\x20"),
        ("blob as str", 5, "abc"),
        ("five elements", -1, []),
    ]
    for name, index, value in changes:
        if index >= 0:
            yield bad(f"block: {name}", "R33", _set_block(index, value))
    yield bad("block: five elements", "R7", _set(12, [250, [0], 1, 200, 0]))
    yield bad("block: nine dimensions", "R33", _set(12, [250, list(range(9)), 1, 0, 0, bytes(18) + b"\x01" * 9]))
    yield bad("block: descending dimensions", "R33", _set(12, [250, [1, 0], 1, 0, 0, bytes(4) + b"\x01\x01"]))
    yield bad("block: a dimension twice", "R33", _set(12, [250, [0, 0], 1, 0, 0, bytes(4) + b"\x01\x01"]))
    yield bad("block: sd 0", "R25", _set_block(5, b"\x00\x10\x00"))
    yield bad("block: second sd 0", "R25", _set(12, [250, [0, 3], 1, 0, 0, bytes(4) + b"\x01\x00"]))


def _dropped() -> Iterator[Case]:
    note = "dropped and not relayed; the link is kept"
    for audience in (1, 2, 65_535):
        yield bad(f"audience {audience}", "R24", _signed(replace(PLAIN, audience=audience)), note)
    for dims in ((7,), (255,), (0, 7), (3, 200)):
        blob = bytes(2 * len(dims)) + b"\x01" * len(dims)
        yield bad(f"dimensions {dims}", "R26", _block(Block(250, dims, 1, 0, 0, blob)), note)


def addresses() -> list[Example]:
    """Signed bytes of addresses of the mesh ``conformance``."""
    return written([*_good_addresses(), *_bad_addresses()], read_addresses)


def read_addresses(data: bytes) -> dict[str, Any]:
    """An addresses record as JSON."""
    record = decode_addresses(data, MESH.mesh_id)
    told: dict[str, Any] = {"author": record.author.hex(), "rotation": record.rotation}
    return told | {"boot": record.boot, "seq": record.seq, "addresses": [list(pair) for pair in record.addresses]}


def _at(*pairs: tuple[str, int]) -> bytes:
    return Addresses(WHO.author, 0, 1, 1, pairs).signed(MESH.mesh_id)


def _changed(index: int, value: Value) -> bytes:
    items: list[Value] = ["trio.addresses", MESH.mesh_id, 1, WHO.author, 0, 1, 1, [["192.0.2.7", 7_007]]]
    items[index] = value
    return encode(items)


def _good_addresses() -> Iterator[Case]:
    yield good("none", "R31", _at(), "a hub that cannot be dialled")
    yield good("one", "R31", _at(("192.0.2.7", 7_007)))
    yield good(
        "four of three kinds",
        "R31",
        _at(("192.0.2.7", 1), ("2001:db8::1", 65_535), ("fe80::1%eth0", 2), ("a.local", 3)),
    )
    yield good("a host of 64 bytes", "R31", _at(("a" * 64, 1)))
    yield good(
        "counters at their largest", "R31", Addresses(WHO.author, 3, 2**53 - 1, 2**53 - 1, ()).signed(MESH.mesh_id)
    )


def _bad_addresses() -> Iterator[Case]:
    changes: list[tuple[str, str, int, Value]] = [
        ("another domain", "R21", 0, "trio.vector"),
        ("another mesh", "R21", 1, open_mesh("elsewhere").mesh_id),
        ("version 2", "R21", 2, 2),
        ("author of 33 bytes", "R31", 3, WHO.author + b"\x00"),
        ("rotation 4", "R31", 4, 4),
        ("boot 0", "R31", 5, 0),
        ("seq 2^53", "R31", 6, 2**53),
        ("seq true", "R7", 6, True),
        ("five addresses", "R31", 7, [["192.0.2.7", port] for port in range(1, 6)]),
        ("port 0", "R31", 7, [["192.0.2.7", 0]]),
        ("port 65,536", "R31", 7, [["192.0.2.7", 65_536]]),
        ("port as str", "R31", 7, [["192.0.2.7", "80"]]),
        ("host of 65 bytes", "R31", 7, [["a" * 65, 1]]),
        ("host as bin", "R31", 7, [[b"\xc0\x00\x02\x07", 1]]),
        ("address of one element", "R7", 7, [["192.0.2.7"]]),
        ("address of three elements", "R7", 7, [["192.0.2.7", 1, 0]]),
        ("addresses nil", "R31", 7, None),
    ]
    for name, requirement, index, value in changes:
        yield bad(name, requirement, _changed(index, value))
    yield bad("seven elements", "R7", encode(["trio.addresses", MESH.mesh_id, 1, WHO.author, 0, 1, 1]))
    yield bad("a byte after it", "R6", _at() + b"\x00")
