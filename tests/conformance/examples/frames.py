"""Plaintexts of frames, section 6: R7 and R27."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from tests.conformance.examples import lasting, meetings
from tests.conformance.examples.shared import MESH, Case, Example, author, bad, good, seed, written
from tests.conformance.reference.codec import Value, encode
from tests.conformance.reference.messages import (
    Beat,
    Bye,
    Clock,
    Digest,
    ForwardJoin,
    Graft,
    Hello,
    Join,
    Keys,
    Message,
    Nack,
    Neighbor,
    NeighborAnswer,
    Neighbors,
    Peers,
    Ping,
    PingReq,
    Pong,
    ProbeAck,
    Prune,
    Refute,
    Shuffle,
    ShuffleAnswer,
    Suspect,
    VectorMessage,
    WantKeys,
    decode_frame,
    encode_frame,
)
from tests.conformance.reference.records import Addresses, Vector

NAMES: dict[type[object], str] = {
    Hello: "HELLO",
    Bye: "BYE",
    Ping: "PING",
    Pong: "PONG",
    Beat: "BEAT",
    Keys: "KEYS",
    WantKeys: "WANT_KEYS",
    VectorMessage: "VECTOR",
    Clock: "CLOCK",
    Digest: "DIGEST",
    Prune: "PRUNE",
    Graft: "GRAFT",
    Neighbors: "NEIGHBORS",
    Peers: "PEERS",
    Join: "JOIN",
    ForwardJoin: "FORWARD_JOIN",
    Neighbor: "NEIGHBOR",
    NeighborAnswer: "NEIGHBOR_ANSWER",
    Shuffle: "SHUFFLE",
    ShuffleAnswer: "SHUFFLE_ANSWER",
    PingReq: "PING_REQ",
    ProbeAck: "PROBE_ACK",
    Nack: "NACK",
    Suspect: "SUSPECT",
    Refute: "REFUTE",
    **lasting.NAMES,
    **meetings.NAMES,
}
PEOPLE = [author(f"frame {index}") for index in range(3)]


def examples() -> list[Example]:
    """Every example of this file."""
    cases = [*_accepted(), *_at_the_edge(), *_bad_frames(), *_bad_small(), *_bad_lists(), *_bad_records(), *_probes()]
    cases += [*_joining(), *_bad_joining(), *lasting.cases(), *meetings.cases()]
    return written(cases, read)


def read(data: bytes) -> list[dict[str, Any]]:
    """The messages of a frame as JSON."""
    return [described(message) for message in decode_frame(data)]


def described(message: Message) -> dict[str, Any]:
    """A message as JSON, under its name in the document."""
    told: dict[str, Any] = {"type": NAMES[type(message)]}
    for field in fields(message):
        told[field.name] = _plain(getattr(message, field.name))
    return told


def _plain(value: object) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def frame(*messages: Value) -> bytes:
    """The plaintext of these messages, whatever they are."""
    return encode(list(messages))


def _addresses(index: int) -> tuple[bytes, bytes]:
    who = PEOPLE[index]
    signed = Addresses(who.author, 0, 1, 1, (("192.0.2.7", 7_007),)).signed(MESH.mesh_id)
    return signed, who.sign(signed)


def _vector(age_ms: int) -> VectorMessage:
    who = PEOPLE[0]
    signed = Vector(who.author).signed(MESH.mesh_id)
    return VectorMessage(signed, who.sign(signed), age_ms)


def _accepted() -> Iterator[Case]:
    tags = tuple(who.tag for who in PEOPLE)
    authors = tuple(who.author for who in PEOPLE)
    peers = tuple((who.key_state, *_addresses(index)) for index, who in enumerate(PEOPLE))
    each: list[Message] = [
        *(Hello(1, None, "other/1.0"), Hello(3, _addresses(1), "meshnode"), Bye(0), Bye(4), Ping(7), Pong(7), Beat()),
        *(Keys(PEOPLE[0].key_state), WantKeys(authors), _vector(0), _vector(250)),
        *(Digest(tuple((tag, 1, 2, 3) for tag in tags)), Prune(tags), Graft(tags[:1])),
        *(Neighbors(()), Neighbors(authors), Peers(peers)),
    ]
    for index, message in enumerate(each):
        yield good(f"{NAMES[type(message)]}, message {index}", "R27", encode_frame([message]))
    yield good(
        "several messages", "R27", encode_frame([Hello(1, None, ""), Keys(PEOPLE[0].key_state), _vector(9), Beat()])
    )


def _at_the_edge() -> Iterator[Case]:
    yield good("HELLO at its edges", "R27", encode_frame([Hello(2**53 - 1, None, "é" * 32)]), "64 bytes of agent")
    yield good("BYE 255", "R27", frame([1, 255]), "codes without a name are allowed")
    yield good("PING 0 and 2^32 - 1", "R27", frame([2, 0], [2, 2**32 - 1]))
    yield good("CLOCK before a VECTOR", "R27", encode_frame([Clock(0), _vector(0)]))
    yield good("CLOCK 2^53 - 1", "R27", frame([19, 2**53 - 1]))
    yield good("VECTOR of age 120,000", "R27", encode_frame([_vector(120_000)]))
    yield good(
        "VECTOR that says nothing", "R27", frame([7, b"\x00", bytes(64), 0]), "a frame; as a vector it is refused"
    )
    yield good("VECTOR of 2,048 bytes", "R27", frame([7, bytes(2_048), bytes(64), 0]))
    yield good("KEYS of 1,024 bytes", "R27", frame([5, bytes(1_024)]))
    yield good("WANT_KEYS of 64", "R27", frame([6, [seed(str(index)) for index in range(64)]]))
    yield good("DIGEST of 256", "R27", frame([8, [[seed(str(index))[:8], 3, 2**53 - 1, 1] for index in range(256)]]))
    yield good("DIGEST with one tag twice", "R27", frame([8, [[b"t" * 8, 0, 1, 1], [b"t" * 8, 0, 1, 2]]]))
    yield good("PRUNE of 256", "R27", frame([9, [seed(str(index))[:8] for index in range(256)]]))
    yield good("NEIGHBORS, 32", "R27", frame([11, [seed(str(index)) for index in range(32)]]))
    yield good("128 messages", "R27", encode_frame([Beat()] * 128))


def _bad_frames() -> Iterator[Case]:
    yield bad("an empty plaintext", "R27", b"")
    yield bad("no messages", "R27", frame())
    yield bad("129 messages", "R27", encode_frame([Beat()] * 129))
    yield bad("a message and no frame", "R27", encode([4]))
    yield bad("an integer", "R27", encode(4))
    yield bad("nil", "R27", encode(None))
    yield bad("an empty message", "R27", frame([]))
    for number in (41, 255, -1, 2**64 - 1):
        yield bad(f"type {number}", "R27", frame([number]))
    yield bad("type true", "R7", frame([True, 0]))
    yield bad("type as string", "R27", frame(["4"]))
    yield bad("one bad message of three", "R27", frame([4], [2, 7], [2, -1]), "the frame is refused whole")
    yield bad("bytes after the frame", "R6", frame([4]) + b"\x90")
    yield bad("BEAT in a longer array", "R5", b"\x91\xdc\x00\x01\x04")
    yield bad("a map for a message", "R4", b"\x91\x81\x02\x07")


def _bad_small() -> Iterator[Case]:
    for kind, name, right in ((1, "BYE", 1), (2, "PING", 1), (3, "PONG", 1), (4, "BEAT", 0), (5, "KEYS", 1)):
        yield bad(f"{name} with one field more", "R7", frame([kind, *([1] * (right + 1))]))
        if right:
            yield bad(f"{name} without fields", "R7", frame([kind]))
    yield bad("HELLO, boot 0", "R27", frame([0, 0, None, ""]))
    yield bad("HELLO, boot 2^53", "R27", frame([0, 2**53, None, ""]))
    yield bad("HELLO, boot true", "R7", frame([0, True, None, ""]))
    yield bad("HELLO, agent of 65 bytes", "R27", frame([0, 1, None, "a" * 65]))
    yield bad("HELLO, agent of 33 two-byte characters", "R27", frame([0, 1, None, "é" * 33]), "bytes count")
    yield bad("HELLO, agent as bin", "R27", frame([0, 1, None, b"a"]))
    yield bad("HELLO, addresses false", "R27", frame([0, 1, False, ""]))
    yield bad("HELLO, addresses without signature", "R7", frame([0, 1, [b"\x01"], ""]))
    yield bad("HELLO, signature of 63", "R27", frame([0, 1, [b"\x01", bytes(63)], ""]))
    yield bad("HELLO, addresses of 513 bytes", "R27", frame([0, 1, [bytes(513), bytes(64)], ""]))
    yield bad("HELLO, three fields of four", "R7", frame([0, 1, None]))
    yield bad("BYE 256", "R27", frame([1, 256]))
    yield bad("BYE -1", "R27", frame([1, -1]))
    yield bad("PING 2^32", "R27", frame([2, 2**32]))
    yield bad("PONG nil", "R27", frame([3, None]))
    yield bad("PING as float", "R4", b"\x91\x92\x02\xcb" + bytes(8))


def _bad_lists() -> Iterator[Case]:
    one = seed("one")
    yield bad("KEYS of 1,025 bytes", "R27", frame([5, bytes(1_025)]))
    yield bad("KEYS as array", "R27", frame([5, []]))
    yield bad("WANT_KEYS of nobody", "R27", frame([6, []]))
    yield bad("WANT_KEYS of 65", "R27", frame([6, [seed(str(index)) for index in range(65)]]))
    yield bad("WANT_KEYS, one twice", "R27", frame([6, [one, one]]))
    yield bad("WANT_KEYS of 33 bytes", "R27", frame([6, [one + b"\x00"]]))
    yield bad("WANT_KEYS as str", "R27", frame([6, ["a" * 32]]))
    yield bad("DIGEST of nothing", "R27", frame([8, []]))
    yield bad("DIGEST, tag of 7", "R27", frame([8, [[one[:7], 0, 1, 1]]]))
    yield bad("DIGEST, rotation 4", "R27", frame([8, [[one[:8], 4, 1, 1]]]))
    yield bad("DIGEST, boot 0", "R27", frame([8, [[one[:8], 0, 0, 1]]]))
    yield bad("DIGEST, seq 2^53", "R27", frame([8, [[one[:8], 0, 1, 2**53]]]))
    yield bad("DIGEST, entry of three", "R7", frame([8, [[one[:8], 0, 1]]]))
    for kind, name in ((9, "PRUNE"), (10, "GRAFT")):
        yield bad(f"{name} of nothing", "R27", frame([kind, []]))
        yield bad(f"{name}, one twice", "R27", frame([kind, [one[:8], one[:8]]]))
        yield bad(f"{name}, tag of 9", "R27", frame([kind, [one[:9]]]))
        yield bad(f"{name}, a bare tag", "R27", frame([kind, one[:8]]))
    yield bad("NEIGHBORS, 33", "R27", frame([11, [seed(str(index)) for index in range(33)]]))
    yield bad("NEIGHBORS, one twice", "R27", frame([11, [one, one]]))


def _bad_records() -> Iterator[Case]:
    record: list[Value] = [b"\x01", b"\x01", bytes(64)]
    yield bad("VECTOR, empty", "R27", frame([7, b"", bytes(64), 0]))
    yield bad("VECTOR of 2,049 bytes", "R27", frame([7, bytes(2_049), bytes(64), 0]))
    yield bad("VECTOR, signature of 65", "R27", frame([7, b"\x01", bytes(65), 0]))
    yield bad("VECTOR, age -1", "R27", frame([7, b"\x01", bytes(64), -1]))
    yield bad("VECTOR, age 120,001", "R27", frame([7, b"\x01", bytes(64), 120_001]))
    yield bad("VECTOR, age false", "R7", frame([7, b"\x01", bytes(64), False]))
    yield bad("VECTOR without age", "R7", frame([7, b"\x01", bytes(64)]))
    yield bad("CLOCK -1", "R27", frame([19, -1]))
    yield bad("CLOCK 2^53", "R27", frame([19, 2**53]))
    yield bad("CLOCK without time", "R7", frame([19]))
    yield bad("VECTOR as array", "R27", frame([7, [b"\x01", bytes(64)], 0, 0]))
    yield bad("PEERS of nobody", "R27", frame([12, []]))
    yield bad("PEERS, 9", "R27", frame([12, [record] * 9]))
    yield bad("PEERS, record of two", "R7", frame([12, [record[:2]]]))
    yield bad("PEERS, key state of 1,025", "R27", frame([12, [[bytes(1_025), b"\x01", bytes(64)]]]))
    yield bad("PEERS, addresses of 513", "R27", frame([12, [[b"\x01", bytes(513), bytes(64)]]]))


def _probes() -> Iterator[Case]:
    who = PEOPLE[2].author
    good_ones: list[Message] = [
        *(PingReq(0, who, 0), PingReq(2**32 - 1, who, 1), ProbeAck(7), Nack(7, True), Nack(2**32 - 1, False)),
        *(Suspect(who, 0), Suspect(who, 2**32 - 1), Refute(who, 1)),
    ]
    for index, message in enumerate(good_ones):
        yield good(f"{NAMES[type(message)]}, probe {index}", "R27", encode_frame([message]))
    yield bad("PING_REQ, token 2^32", "R27", frame([24, 2**32, who, 0]))
    yield bad("PING_REQ, target of 31", "R27", frame([24, 7, who[:31], 0]))
    yield bad("PING_REQ, 2 hops", "R27", frame([24, 7, who, 2]))
    yield bad("PING_REQ without hops", "R7", frame([24, 7, who]))
    yield bad("PING_REQ, hops true", "R7", frame([24, 7, who, True]))
    yield bad("PROBE_ACK, token -1", "R27", frame([25, -1]))
    yield bad("PROBE_ACK with a target", "R7", frame([25, 7, who]))
    yield bad("NACK, tested 1", "R7", frame([26, 7, 1]))
    yield bad("NACK without tested", "R7", frame([26, 7]))
    for kind, name in ((27, "SUSPECT"), (28, "REFUTE")):
        yield bad(f"{name} of 33 bytes", "R27", frame([kind, who + b"\x00", 0]))
        yield bad(f"{name}, number 2^32", "R27", frame([kind, who, 2**32]))
        yield bad(f"{name}, number -1", "R27", frame([kind, who, -1]))
        yield bad(f"{name} of an author as str", "R27", frame([kind, "a" * 32, 0]))


def _joining() -> Iterator[Case]:
    first, second, third = ((who.key_state, *_addresses(index)) for index, who in enumerate(PEOPLE))
    good_ones: list[Message] = [
        *(Join(), ForwardJoin(0, first), ForwardJoin(16, second), Neighbor(True), Neighbor(False)),
        *(NeighborAnswer(True), NeighborAnswer(False), Shuffle(1, first, ()), Shuffle(16, first, (second, third))),
        *(ShuffleAnswer(PEOPLE[0].author, (second,)), ShuffleAnswer(PEOPLE[1].author, (first, second, third))),
    ]
    for index, message in enumerate(good_ones):
        yield good(f"{NAMES[type(message)]}, joining {index}", "R27", encode_frame([message]))


def _bad_joining() -> Iterator[Case]:
    record: list[Value] = [b"\x01", b"\x01", bytes(64)]
    who = PEOPLE[0].author
    yield bad("JOIN with a field", "R7", frame([13, 1]))
    yield bad("FORWARD_JOIN, ttl -1", "R27", frame([14, -1, record]))
    yield bad("FORWARD_JOIN, ttl 17", "R27", frame([14, 17, record]))
    yield bad("FORWARD_JOIN, ttl true", "R7", frame([14, True, record]))
    yield bad("FORWARD_JOIN of an author", "R27", frame([14, 1, who]), "a record, to be checked")
    yield bad("FORWARD_JOIN, record of two", "R7", frame([14, 1, record[:2]]))
    yield bad("FORWARD_JOIN, signature of 63", "R27", frame([14, 1, [b"\x01", b"\x01", bytes(63)]]))
    yield bad("NEIGHBOR, high 1", "R7", frame([15, 1]))
    yield bad("NEIGHBOR without high", "R7", frame([15]))
    yield bad("NEIGHBOR_ANSWER, accepted nil", "R7", frame([16, None]))
    yield bad("NEIGHBOR_ANSWER with a reason", "R7", frame([16, False, 6]))
    yield bad("SHUFFLE, ttl 0", "R27", frame([17, 0, record, []]))
    yield bad("SHUFFLE, ttl 17", "R27", frame([17, 17, record, []]))
    yield bad("SHUFFLE, 9 peers", "R27", frame([17, 1, record, [record] * 9]))
    yield bad("SHUFFLE, origin as id", "R27", frame([17, 1, who, []]))
    yield bad("SHUFFLE without peers", "R7", frame([17, 1, record]))
    yield bad("SHUFFLE_ANSWER of nobody", "R27", frame([18, who, []]))
    yield bad("SHUFFLE_ANSWER, 9 peers", "R27", frame([18, who, [record] * 9]))
    yield bad("SHUFFLE_ANSWER, origin of 31", "R27", frame([18, who[:31], [record]]))
    yield bad("SHUFFLE_ANSWER, key state of 1,025", "R27", frame([18, who, [[bytes(1_025), b"\x01", bytes(64)]]]))
