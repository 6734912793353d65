"""Checks of what a frame may hold: R4 to R7, R11 on a link, R27 to R29."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from tests.conformance.kit.peers import Peer
from tests.conformance.kit.registry import check
from tests.conformance.kit.results import Failed
from tests.conformance.kit.workbench import Kit
from tests.conformance.reference.codec import Value, encode
from tests.conformance.reference.crypto import seal
from tests.conformance.reference.messages import Beat, Hello, Ping, Pong
from tests.conformance.reference.weather import entropy

TOKEN: Final = 0x5EED
PING: Final[list[Value]] = [2, TOKEN]
_PING: Final = encode(PING)

Case = tuple[str, bytes]
"""What is wrong, and the plaintext of the frame."""


def refused(kit: Kit, cases: Iterable[Case]) -> str:
    """Each frame alone on a link of its own: it must close the link, and no message in it may have taken effect."""
    names = []
    for name, plaintext in cases:
        with kit.link() as peer:
            peer.send_plain(plaintext)
            if not peer.closes():
                raise Failed(f"{name}: the link stayed open")
            if peer.all(Pong):
                raise Failed(f"{name}: the frame was acted on")
            names.append(name)
    return f"{len(names)} frames closed their link: {', '.join(names)}"


def frame(*messages: Value) -> bytes:
    """The plaintext of these messages, whatever they are."""
    return encode(list(messages))


def raw_frame(*messages: bytes) -> bytes:
    """The plaintext of messages that are encoded already."""
    return bytes([0x90 | len(messages)]) + b"".join(messages)


@check("R4")
def forbidden_types(kit: Kit) -> str:
    """A float equal to a token, a map and an extension in its place."""
    token = struct.pack(">d", float(TOKEN))
    return refused(
        kit,
        [
            ("float64", raw_frame(b"\x92\x02\xcb" + token)),
            ("float32", raw_frame(b"\x92\x02\xca" + struct.pack(">f", float(TOKEN)))),
            ("map", raw_frame(_PING, b"\x81\x02\x05")),
            ("empty map", raw_frame(_PING, b"\x92\x02\x80")),
            ("extension", raw_frame(_PING, b"\x92\x02\xd4\x01\x05")),
            ("timestamp", raw_frame(_PING, b"\x92\x02\xd6\xff\x00\x00\x00\x01")),
            ("bad UTF-8", raw_frame(_PING, b"\x92\x02\xa2\xc3\x28")),
        ],
    )


@check("R5")
def longer_encodings(kit: Kit) -> str:
    """Valid MessagePack, one byte or more too long."""
    return refused(
        kit,
        [
            ("u32 token", raw_frame(b"\x92\x02\xce" + TOKEN.to_bytes(4, "big"))),
            ("u64 token", raw_frame(b"\x92\x02\xcf" + TOKEN.to_bytes(8, "big"))),
            ("signed token", raw_frame(b"\x92\x02\xd1" + TOKEN.to_bytes(2, "big"))),
            ("u8 type", raw_frame(b"\x92\xcc\x02\xcd" + TOKEN.to_bytes(2, "big"))),
            ("array16 message", raw_frame(b"\xdc\x00\x02\x02\xcd" + TOKEN.to_bytes(2, "big"))),
            ("array16 frame", b"\xdc\x00\x01" + _PING),
        ],
    )


@check("R6")
def unbounded_values(kit: Kit) -> str:
    """Too deep, too many, too much."""
    deep = b"\x91" * 8 + b"\x01"
    return refused(
        kit,
        [
            ("trailing byte", frame(PING) + b"\x00"),
            ("second value", frame(PING) + frame(PING)),
            ("nine deep", raw_frame(_PING, deep)),
            ("a thousand deep", b"\x91" * 1_000 + b"\x01"),
            ("257 elements", raw_frame(_PING, b"\xdc\x01\x01" + b"\x01" * 257)),
            ("array32 of 2^31", raw_frame(_PING, b"\xdd\x80\x00\x00\x00\x01")),
            ("cut short", frame(PING)[:-1]),
            ("bin32 of 4 GiB", raw_frame(_PING, b"\x92\x02\xc6\xff\xff\xff\xff")),
        ],
    )


@check("R7")
def inexact_lists(kit: Kit) -> str:
    """One element too many or too few, a boolean for a number."""
    return refused(
        kit,
        [
            ("PING with three elements", frame([2, TOKEN, 0])),
            ("PING with one element", frame(PING, [2])),
            ("BEAT with two elements", frame(PING, [4, 0])),
            ("true as token", frame([2, True])),
            ("nil as token", frame(PING, [2, None])),
            ("false as type", frame(PING, [False, 1, None, ""])),
        ],
    )


@check("R11")
def zero_length_on_a_link(kit: Kit) -> str:
    """Length 0 between two frames."""
    with kit.link() as peer:
        if not peer.alive():
            raise Failed("no PONG before the frame of length 0")
        peer.send_raw(b"\x00\x00")
        if not peer.closes():
            raise Failed("a frame of length 0 left the link open")
    return "a frame of length 0 closed the link"


def _broken_frames() -> Iterable[Case]:
    tag, author = b"t" * 8, b"a" * 32
    many: list[Value] = [[4] for _ in range(129)]
    yield "empty frame", frame()
    yield "not an array", encode(2)
    yield "a message that is no array", frame(PING, 4)
    yield "an empty message", frame(PING, [])
    yield "129 messages", encode(many)
    for number in (13, 127, 2**32, -1):
        yield f"type {number}", frame(PING, [number, 1])
    yield "token 2^32", frame(PING, [2, 2**32])
    yield "negative token", frame(PING, [2, -1])
    yield "token as string", frame(PING, [2, "1"])
    yield "BYE 256", frame(PING, [1, 256])
    yield "KEYS of 1,025 bytes", frame(PING, [5, bytes(1_025)])
    yield "WANT_KEYS of nobody", frame(PING, [6, []])
    yield "WANT_KEYS twice the same", frame(PING, [6, [author, author]])
    yield "WANT_KEYS of 31 bytes", frame(PING, [6, [author[:31]]])
    yield "VECTOR with age 120,001", frame(PING, [7, b"s", bytes(64), 120_001])
    yield "VECTOR with a signature of 63", frame(PING, [7, b"s", bytes(63), 0])
    yield "VECTOR of 2,049 bytes", frame(PING, [7, bytes(2_049), bytes(64), 0])
    yield "empty DIGEST", frame(PING, [8, []])
    yield "DIGEST with rotation 4", frame(PING, [8, [[tag, 4, 1, 1]]])
    yield "PRUNE twice the same", frame(PING, [9, [tag, tag]])
    yield "GRAFT of 7 bytes", frame(PING, [10, [tag[:7]]])
    yield "33 NEIGHBORS", frame(PING, [11, [bytes([index]) * 32 for index in range(33)]])
    yield "empty PEERS", frame(PING, [12, []])


@check("R27")
def broken_frames(kit: Kit) -> str:
    """Frames that are canonical and yet break section 6, each after a PING that must not be answered."""
    return refused(kit, _broken_frames())


@check("R27")
def empty_plaintext(kit: Kit) -> str:
    """A body that decrypts to nothing."""
    with kit.link() as peer:
        direction = peer.session.channel.sending
        body = seal(direction.key, direction.frames, b"")
        peer.send_raw(len(body).to_bytes(2, "big") + body)
        if not peer.closes():
            raise Failed("an empty plaintext left the link open")
    return "an empty plaintext closed the link"


@check("R27")
def largest_frames(kit: Kit) -> str:
    """What is still allowed: 128 messages, the longest WANT_KEYS, unknown BYE codes are for another link."""
    with kit.link() as peer:
        beats: list[Value] = [[4] for _ in range(127)]
        peer.send_plain(encode([*beats, PING]))
        if peer.wait(Pong, lambda pong: pong.token == TOKEN) is None:
            raise Failed("a frame of 128 messages was not acted on")
        strangers: list[Value] = [entropy(32) for _ in range(64)]
        peer.send_plain(frame([6, strangers], [11, []]))
        if not peer.alive():
            raise Failed("WANT_KEYS of 64 strangers or NEIGHBORS of nobody closed the link")
    return "128 messages in a frame and 64 wanted keys were accepted"


@check("R28")
def hello_first_and_once(kit: Kit) -> str:
    """PING instead of HELLO; HELLO twice in two frames and in one."""
    for name, first in (("PING before HELLO", Ping(TOKEN)), ("BEAT before HELLO", Beat())):
        peer = kit.greet(hello=first)
        try:
            if not peer.closes():
                raise Failed(f"{name} left the link open")
            if peer.all(Pong):
                raise Failed(f"{name} was answered")
        finally:
            peer.leave()
    again: list[Value] = [0, 1, None, "again"]
    seen = refused(kit, [("a second HELLO", frame(again)), ("a second HELLO before PING", frame(again, PING))])
    return f"a message before HELLO closed the link; {seen}"


@check("R28")
def hello_fields(kit: Kit) -> str:
    """HELLO with fields out of range closes, at the edges it does not."""
    good: list[Hello] = [Hello(2**53 - 1, None, "x" * 64), Hello(1, None, "")]
    for hello in good:
        peer = kit.greet(hello=hello)
        alive = peer.alive()
        peer.leave()
        if not alive:
            raise Failed(f"HELLO with boot {hello.boot} and an agent of {len(hello.agent)} bytes was refused")
    bad = [Hello(0, None, ""), Hello(2**53, None, ""), Hello(1, None, "x" * 65)]
    for hello in bad:
        peer = kit.greet(hello=hello)
        closed = peer.closes()
        peer.leave()
        if not closed:
            raise Failed(f"HELLO with boot {hello.boot} and an agent of {len(hello.agent)} bytes left the link open")
    return f"{len(good)} HELLOs at the edge of their ranges accepted, {len(bad)} beyond closed the link"


@check("R29")
def pings_are_answered(kit: Kit) -> str:
    """Tokens at both ends of the range, one after another; of several in one frame the last at least."""
    tokens = [0, 1, 2**31, 2**32 - 1]
    with kit.link() as peer:
        for token in tokens:
            peer.send(Ping(token))
            _await_pong(peer, token)
        since = peer.mark()
        peer.send(*(Ping(token + 7) for token in range(4)))
        _await_pong(peer, 10)
        answers = [arrival.message for arrival in peer.arrivals[since:] if isinstance(arrival.message, Pong)]
        strange = [pong.token for pong in answers if pong.token not in range(7, 11)]
        if strange or len(answers) != len({pong.token for pong in answers}):
            raise Failed(f"PINGs 7 to 10 were answered by PONGs {[pong.token for pong in answers]}")
    return f"tokens {', '.join(map(str, tokens))} came back, and {len(answers)} of four in one frame"


def _await_pong(peer: Peer, token: int) -> None:
    if peer.wait(Pong, lambda pong: pong.token == token) is None:
        raise Failed(f"no PONG with token {token}")
