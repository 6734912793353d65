"""Durable events, their messages and proofs of forks, section 12: R80, R85 and R27."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.conformance.examples.shared import MESH, Case, Example, author, bad, good, plain, seed, written
from tests.conformance.reference.codec import Refused, Value, decode, encode
from tests.conformance.reference.crypto import blake, public_from_seed
from tests.conformance.reference.events import OPENING, Event, decode_event, read_fork
from tests.conformance.reference.messages import TYPES, read_message

WHO = author("events")
OTHER = author("somebody else")
KEY = public_from_seed(WHO.seed)
FIRST = Event(WHO.author)
FIRST_ID = blake(FIRST.signed(MESH.mesh_id))
SECOND = replace(FIRST, seq=2, prev=FIRST_ID)
SALT = seed("salt")[:16]
NAMES = {**dict(enumerate(("EVENT", "WANT_EVENTS", "HEADS", "WANT_PAYLOAD", "CHUNK", "FORK"), 29)), 41: "OFFER"}
IDS = [seed(f"event {number}") for number in range(17)]


def events() -> list[Example]:
    """Signed bytes of events of the mesh ``conformance``."""
    return written([*_good_events(), *_bad_events()], read_event)


def read_event(data: bytes) -> dict[str, Any]:
    """An event as JSON, with its id."""
    event = decode_event(data, MESH.mesh_id)
    return {
        "id": blake(data).hex(),
        "author": event.author.hex(),
        "rotation": event.rotation,
        "incarnation": event.incarnation,
        "seq": event.seq,
        "prev": None if event.prev is None else event.prev.hex(),
        "heads": [head.hex() for head in event.heads],
        "hlc": plain(event.hlc),
        "kind": event.kind,
        "audience": event.audience,
        "expires": event.expires,
        "payload_hash": None if event.payload_hash is None else event.payload_hash.hex(),
        "payload_size": event.payload_size,
    }


def _signed(event: Event) -> bytes:
    return event.signed(MESH.mesh_id)


def _changed(index: int, value: Value) -> bytes:
    items = SECOND.saying(SALT, b"once").items(MESH.mesh_id)
    items[index] = value
    return encode(items)


def _good_events() -> Iterator[Case]:
    yield good("a first event without payload", "R80", _signed(FIRST))
    yield good("a second one", "R80", _signed(SECOND))
    yield good("a payload of four bytes", "R80", _signed(SECOND.saying(SALT, b"once")), f"salt {SALT.hex()}, `once`")
    yield good("an empty payload", "R80", _signed(SECOND.saying(SALT, b"")), f"salt {SALT.hex()}")
    yield good("an opening", "R80", _signed(replace(SECOND, kind=OPENING, incarnation=2)))
    yield good("a kind that nobody knows", "R80", _signed(replace(SECOND, kind=65_535)))
    yield good("for oneself", "R80", _signed(replace(SECOND, audience=1)))
    largest = Event(
        WHO.author,
        *(3, 2**53 - 1, 2**53 - 1, IDS[0], tuple(IDS[:8]), 2**64 - 1, 65_535, 65_535, 2**53 - 1, IDS[1], 2_097_152),
    )
    yield good("everything at its largest", "R80", _signed(largest), "454 bytes")


def _bad_events() -> Iterator[Case]:
    changes: list[tuple[str, str, int, Value]] = [
        ("another domain", "R21", 0, "trio.vector"),
        ("another mesh", "R21", 1, bytes(16)),
        ("version 2", "R21", 2, 2),
        ("author of 31 bytes", "R80", 3, WHO.author[:31]),
        ("rotation 4", "R80", 4, 4),
        ("incarnation 0", "R80", 5, 0),
        ("incarnation 2^53", "R80", 5, 2**53),
        ("seq 0", "R80", 6, 0),
        ("seq 1 with prev", "R80", 6, 1),
        ("seq 2^53", "R80", 6, 2**53),
        ("seq true", "R7", 6, True),
        ("no prev", "R80", 7, None),
        ("prev of 33 bytes", "R80", 7, FIRST_ID + b"\x00"),
        ("nine heads", "R80", 8, [*IDS[:9]]),
        ("a head twice", "R80", 8, [IDS[0], IDS[0]]),
        ("heads nil", "R80", 8, None),
        ("hlc -1", "R80", 9, -1),
        ("kind 65,536", "R80", 10, 65_536),
        ("audience nil", "R80", 11, None),
        ("expires 2^53", "R80", 12, 2**53),
        ("a size without a hash", "R80", 13, None),
        ("a hash of 16 bytes", "R80", 13, bytes(16)),
        ("a payload of 2 MiB and a byte", "R80", 14, 2_097_153),
    ]
    for name, requirement, index, value in changes:
        yield bad(name, requirement, _changed(index, value))
    yield bad("sixteen elements", "R7", encode([*SECOND.items(MESH.mesh_id), 0]))
    yield bad("a byte after it", "R6", _signed(FIRST) + b"\x00")


def event_messages() -> list[Example]:
    """Single messages of the types 29 to 34 and 41."""
    return written(_messages(), read_name)


def read_name(data: bytes) -> str:
    """The name of a message of the types 29 to 34 and 41."""
    kind = TYPES[type(read_message(decode(data)))]
    if kind not in NAMES:
        raise Refused("another type")
    return NAMES[kind]


def _messages() -> Iterator[Case]:
    signed, signature = _signed(FIRST), WHO.sign(_signed(FIRST))
    record: list[Value] = [signed, signature]
    heads: list[Value] = [WHO.author, [[1, IDS[0]], [2, IDS[1]]]]
    accepted: list[tuple[str, list[Value]]] = [
        ("EVENT without payload", [29, signed, signature, None, None]),
        ("EVENT with an empty payload", [29, signed, signature, SALT, b""]),
        ("EVENT with the largest payload", [29, signed, signature, SALT, bytes(16_384)]),
        ("WANT_EVENTS of everything", [30, [[WHO.author, []]]]),
        ("WANT_EVENTS behind two heads", [30, [heads]]),
        ("HEADS of two authors", [31, [heads, [OTHER.author, []]]]),
        ("WANT_PAYLOAD", [32, IDS[0], 60, 16, False]),
        ("WANT_PAYLOAD, patient", [32, IDS[0], 511, 1, True]),
        ("WANT_PAYLOAD no more", [32, IDS[0], 0, 0, False]),
        ("CHUNK", [33, IDS[0], 0, SALT, b"once", b""]),
        ("CHUNK with its proof", [33, IDS[0], 511, SALT, bytes(4_096), bytes(288)]),
        ("CHUNK that is not here", [33, IDS[0], 63, SALT, None, b""]),
        ("FORK", [34, record, record]),
        ("OFFER", [41, signed, signature]),
    ]
    for name, value in accepted:
        yield good(name, "R27", encode(value))
    refused: list[tuple[str, list[Value]]] = [
        ("EVENT with a salt alone", [29, signed, signature, SALT, None]),
        ("EVENT with a content alone", [29, signed, signature, None, b""]),
        ("EVENT with too large a payload", [29, signed, signature, SALT, bytes(16_385)]),
        ("EVENT with a short signature", [29, signed, signature[:63], None, None]),
        ("EVENT of 513 bytes", [29, bytes(513), signature, None, None]),
        ("WANT_EVENTS of nobody", [30, []]),
        ("WANT_EVENTS of one author twice", [30, [heads, heads]]),
        ("WANT_EVENTS of seventeen", [30, [[name, []] for name in IDS]]),
        ("HEADS that descend", [31, [[WHO.author, [[2, IDS[1]], [1, IDS[0]]]]]]),
        ("HEADS of incarnation 0", [31, [[WHO.author, [[0, IDS[0]]]]]]),
        ("HEADS, nine of one author", [31, [[WHO.author, [[number, IDS[0]] for number in range(1, 10)]]]]),
        ("WANT_PAYLOAD of seventeen chunks", [32, IDS[0], 0, 17, False]),
        ("WANT_PAYLOAD from chunk 512", [32, IDS[0], 512, 1, False]),
        ("WANT_PAYLOAD with patience 1", [32, IDS[0], 0, 1, 1]),
        ("WANT_PAYLOAD without patience", [32, IDS[0], 0, 1]),
        ("CHUNK of 4,097 bytes", [33, IDS[0], 0, SALT, bytes(4_097), b""]),
        ("CHUNK with a proof of 289 bytes", [33, IDS[0], 0, SALT, b"", bytes(289)]),
        ("CHUNK with a salt of 15 bytes", [33, IDS[0], 0, SALT[:15], b"", b""]),
        ("OFFER without signature", [41, signed]),
        ("OFFER with a payload", [41, signed, signature, SALT, b""]),
        ("FORK with one record", [34, record]),
        ("FORK with a nil record", [34, record, None]),
    ]
    for name, value in refused:
        yield bad(name, "R27", encode(value))


def forks() -> list[Example]:
    """Two records of an author that has ``key``."""
    examples = written(_forks(), lambda data: read_fork(data, MESH.mesh_id, KEY))
    return [{**example, "key": KEY.hex()} for example in examples]


def _forks() -> Iterator[Case]:
    opening = replace(SECOND, kind=OPENING, incarnation=2)
    yield good("one seq", "R85", _pair(FIRST, replace(FIRST, kind=77)))
    yield good("one seq, other parents", "R85", _pair(SECOND, replace(SECOND, prev=IDS[0])))
    yield good("two openings from one event", "R85", _pair(opening, replace(opening, incarnation=3)))
    yield good(
        "two first openings",
        "R85",
        _pair(replace(FIRST, kind=OPENING, incarnation=4), replace(FIRST, kind=OPENING, incarnation=5)),
    )
    yield bad("one event twice", "R85", _pair(FIRST, FIRST))
    yield bad("an event and its parent", "R85", _pair(FIRST, SECOND))
    yield bad("an opening beside a lost tail", "R85", _pair(SECOND, opening), "an honest restore")
    yield bad("one seq, other incarnations", "R85", _pair(SECOND, replace(SECOND, incarnation=2, prev=IDS[0])))
    yield bad("openings from different events", "R85", _pair(opening, replace(opening, incarnation=3, prev=IDS[0])))
    yield bad("of another author", "R85", _pair(FIRST, replace(FIRST, author=OTHER.author)))
    signed = _signed(FIRST)
    yield bad("a wrong signature", "R85", encode([[signed, WHO.sign(signed)], [_signed(SECOND), bytes(64)]]))
    yield bad("one record", "R27", encode([[signed, WHO.sign(signed)]]))


def _pair(one: Event, other: Event) -> bytes:
    pair: list[Value] = [[_signed(event), WHO.sign(_signed(event))] for event in (one, other)]
    return encode(pair)
