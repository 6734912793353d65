"""Every kind of bad frame, message and record from an admitted peer: counted by name, closed or kept as specified,
and nobody else notices.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

from meshnode.clock import boot_us
from protocol.crypto import SigningKey
from protocol.errors import CloseCode, Reason
from protocol.identity import Mesh
from protocol.inputs import Estimate, Publish, Reading
from protocol.wire.codec import encode
from protocol.wire.framing import frame
from protocol.wire.messages import Beat, Hello, Keys, Message, PeerRecord, Peers, Ping, encode_frame, to_value
from protocol.wire.records import AddressesRecord, encode_addresses
from tests.daemon.hostile import (
    Hostile,
    a_vector,
    an_identity,
    hostile,
    signed_by,
    vector_fields,
    weak_key_state,
)
from tests.daemon.rig import Member, ask_control, crew_in, until

pytestmark = pytest.mark.usefixtures("nothing_left")


@dataclass
class Scene:
    """A hub, an honest hub linked with it, and the mesh they share."""

    hub: Member
    honest: Member
    mesh: Mesh

    async def honest_is_undisturbed(self) -> None:
        """The honest link is the one it was, and its values go on coming."""
        (link,) = [line for line in self.hub.hub.statistics().links if line.peer == self.honest.author]
        assert link.link == 1
        line = self.hub.shows(self.honest.author)
        seq = 0 if line is None else line.seq

        def newer() -> bool:
            now = self.hub.shows(self.honest.author)
            return now is not None and now.seq > seq

        await until(newer, 2, "the honest hub's next value")

    async def opened(self, foe: Hostile) -> None:
        """Until the hub has an open link with the hostile peer."""
        await until(lambda: self.hub.links_with(foe.identity.author) == [True], what="an open link")

    async def counter(self, reason: Reason) -> int:
        """The counter as ``meshnode status --json`` prints it."""
        answer = json.loads(await ask_control(self.hub.hub, b'{"cmd": "status"}\n'))
        return int(answer["counters"]["dropped"].get(reason.value, 0))


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    """The stage is set; the honest hub holds link number 1."""
    async with crew_in(folder) as crew:
        hub = await crew.start("hub")
        honest = await crew.start("honest", peers__static=(hub.at,))
        await until(lambda: hub.linked(honest) and hub.shows(honest.author) is not None)
        yield Scene(hub, honest, hub.hub.opened.mesh)


def many(count: int) -> bytes:
    """A frame of that many BEATs."""
    return encode(tuple((4,) for _ in range(count)))


FRAMES: dict[str, tuple[bytes, Reason]] = {
    "nothing": (b"", Reason.FRAME_EMPTY),
    "an empty list": (encode(()), Reason.FRAME_EMPTY),
    "a byte that MessagePack does not know": (b"\xc1", Reason.MALFORMED),
    "a list cut short": (encode(((2, 7),))[:-1], Reason.TRUNCATED),
    "bytes after the end": (encode(((4,),)) + b"\x00", Reason.MALFORMED),
    "a number longer than need be": (b"\x91\x92\x02\xcd\x00\x07", Reason.NOT_CANONICAL),
    "a text that is no UTF-8": (b"\x91\x94\x00\x01\xc0\xa2\xff\xfe", Reason.MALFORMED),
    "a map": (b"\x91\x80", Reason.FORBIDDEN_TYPE),
    "a float": (b"\x91\x92\x02\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", Reason.FORBIDDEN_TYPE),
    "not a number": (b"\x91\x92\x02\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", Reason.FORBIDDEN_TYPE),
    "an extension": (b"\x91\xc7\x00\x01", Reason.FORBIDDEN_TYPE),
    "nine lists deep": (b"\x91" * 9 + b"\x01", Reason.TOO_DEEP),
    "a thousand lists deep": (b"\x91" * 1_000 + b"\x01", Reason.TOO_DEEP),
    "a list of two thousand millions": (b"\xdd\x7f\xff\xff\xff", Reason.TOO_MANY_ITEMS),
    "129 messages": (many(129), Reason.TOO_MANY_ITEMS),
    "no list at all": (encode(7), Reason.WRONG_TYPE),
    "a message that is no list": (encode((7,)), Reason.WRONG_TYPE),
    "a message of an unknown type": (encode(((42,),)), Reason.UNKNOWN_MESSAGE),
    "a type that is a boolean": (encode(((True,),)), Reason.UNKNOWN_MESSAGE),
    "a message with one field too many": (encode(((4, 0),)), Reason.WRONG_ARITY),
    "a text for a number": (encode(((2, "7"),)), Reason.WRONG_TYPE),
    "a number below its range": (encode(((2, -1),)), Reason.OUT_OF_RANGE),
    "a number above its range": (encode(((2, 1 << 32),)), Reason.OUT_OF_RANGE),
    "the same tag twice": (encode(((9, (b"8" * 8, b"8" * 8)),)), Reason.OUT_OF_RANGE),
    "an age of 120,001 ms": (encode(((7, b"x", bytes(64), 120_001),)), Reason.OUT_OF_RANGE),
    "a vector of 2,049 bytes": (encode(((7, bytes(2_049), bytes(64), 0),)), Reason.OUT_OF_RANGE),
    "a second HELLO": (encode_frame((Hello(1, None, ""),)), Reason.HELLO_REPEATED),
}


async def test_a_bad_frame_closes_its_link_and_is_counted_by_name(tmp_path: Path) -> None:
    async with scene(tmp_path) as stage:
        for name, (plaintext, reason) in FRAMES.items():
            before = stage.hub.dropped(reason)
            async with hostile(stage.hub.address, stage.mesh) as foe:
                await stage.opened(foe)
                await foe.say_plain(plaintext)
                await until(foe.ended.is_set, 3, f"the end of the link that said {name}")
                assert foe.bye == CloseCode.PROTOCOL, name
                assert await stage.counter(reason) == before + 1, name
                assert stage.hub.links_with(foe.identity.author) == [], name
        await stage.honest_is_undisturbed()


async def cut_short(foe: Hostile) -> None:
    await foe.say_raw(frame(foe.channel.seal(encode_frame((Beat(),)))[:-1]))


async def replayed(foe: Hostile) -> None:
    sealed = frame(foe.channel.seal(encode_frame((Beat(),))))
    await foe.say_raw(sealed + sealed)


async def swapped(foe: Hostile) -> None:
    first, second = (frame(foe.channel.seal(encode_frame((Ping(n),)))) for n in (1, 2))
    await foe.say_raw(second + first)


async def one_bit(foe: Hostile) -> None:
    sealed = bytearray(foe.channel.seal(encode_frame((Ping(1),))))
    sealed[0] ^= 1
    await foe.say_raw(frame(bytes(sealed)))


async def shorter_than_a_tag(foe: Hostile) -> None:
    await foe.say_raw(frame(b"15 bytes of this"[:15]))


async def of_length_zero(foe: Hostile) -> None:
    await foe.say_raw(b"\x00\x00")


BODIES: dict[str, tuple[Callable[[Hostile], Any], Reason]] = {
    "cut short by a byte": (cut_short, Reason.CHANNEL_TAMPERED),
    "replayed": (replayed, Reason.CHANNEL_TAMPERED),
    "out of order": (swapped, Reason.CHANNEL_TAMPERED),
    "changed in one bit": (one_bit, Reason.CHANNEL_TAMPERED),
    "shorter than a tag": (shorter_than_a_tag, Reason.CHANNEL_TAMPERED),
    "of length zero": (of_length_zero, Reason.FRAME_EMPTY),
}


async def test_a_frame_that_does_not_open_closes_its_link(tmp_path: Path) -> None:
    async with scene(tmp_path) as stage:
        for name, (act, reason) in BODIES.items():
            before = stage.hub.dropped(reason)
            async with hostile(stage.hub.address, stage.mesh) as foe:
                await stage.opened(foe)
                await act(foe)
                await until(foe.ended.is_set, 3, f"the end of a link with a frame {name}")
                assert await stage.counter(reason) == before + 1, name
        await stage.honest_is_undisturbed()


async def test_a_frame_whose_sender_goes_in_the_middle_of_it_is_just_a_lost_link(tmp_path: Path) -> None:
    async with scene(tmp_path) as stage:
        async with hostile(stage.hub.address, stage.mesh) as foe:
            await stage.opened(foe)
            await foe.say_raw(b"\xff\xff" + bytes(30_000))
        await until(lambda: stage.hub.links_with(foe.identity.author) == [])
        assert json.loads(await ask_control(stage.hub.hub, b'{"cmd": "status"}\n'))["counters"]["dropped"] == {}
        await stage.honest_is_undisturbed()


async def test_whoever_speaks_before_its_hello_is_closed(tmp_path: Path) -> None:
    async with scene(tmp_path) as stage, hostile(stage.hub.address, stage.mesh, hello=False) as foe:
        await until(foe.ended.is_set, 3, "the end of the link")  # its first BEAT was one too early
        assert await stage.counter(Reason.HELLO_EXPECTED) == 1
        await stage.honest_is_undisturbed()


async def test_whoever_never_says_hello_is_closed_as_silent(tmp_path: Path) -> None:
    async with scene(tmp_path) as stage, hostile(stage.hub.address, stage.mesh, hello=False, alive=False) as foe:
        stage_closed = trio.Event()

        async def listen() -> None:
            await foe.listen()
            stage_closed.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            took = await until(stage_closed.is_set, 6)
        assert took < 5.5
        assert await stage.counter(Reason.LINK_SILENT) == 1
        assert foe.bye == CloseCode.TIMEOUT
        await stage.honest_is_undisturbed()


VECTORS: dict[str, tuple[dict[int, Any], int, Reason, bool]] = {
    # name: (changed elements, age in ms, reason, whether the link is closed)
    "another domain": ({0: "trio.inception"}, 0, Reason.WRONG_DOMAIN, True),
    "another mesh": ({1: bytes(16)}, 0, Reason.WRONG_MESH, True),
    "version 2": ({2: 2}, 0, Reason.WRONG_VERSION, True),
    "a short author": ({3: bytes(31)}, 0, Reason.OUT_OF_RANGE, True),
    "rotation 4": ({4: 4}, 0, Reason.OUT_OF_RANGE, True),
    "boot 0": ({5: 0}, 0, Reason.OUT_OF_RANGE, True),
    "a sequence number beyond 2^53": ({6: 1 << 53}, 0, Reason.OUT_OF_RANGE, True),
    "terms nobody knows": ({9: 8}, 0, Reason.OUT_OF_RANGE, True),
    "a lease of an hour": ({10: 3_600_000}, 0, Reason.OUT_OF_RANGE, True),
    "a cadence of 49 ms": ({11: 49}, 0, Reason.OUT_OF_RANGE, True),
    "a blob that does not fit": ({12: (250, (0,), 2, 255, 0, b"\x00\x00\x01")}, 0, Reason.OUT_OF_RANGE, True),
    "a deviation of 0": ({12: (250, (0,), 1, 255, 0, b"\x00\x00\x00")}, 0, Reason.OUT_OF_RANGE, True),
    "the same dimension twice": (
        {12: (250, (0, 0), 1, 255, 0, b"\x00\x00\x00\x00\x01\x01")},
        0,
        Reason.OUT_OF_RANGE,
        True,
    ),
    "a body that is no block": ({12: b""}, 0, Reason.WRONG_TYPE, True),
    "an audience of tomorrow": ({8: 1}, 0, Reason.UNKNOWN_AUDIENCE, False),
    "a dimension of tomorrow": ({12: (250, (200,), 1, 255, 0, b"\x00\x00\x01")}, 0, Reason.UNKNOWN_DIMENSION, False),
    "an age past its lease": ({}, 15_000, Reason.LEASE_EXPIRED, False),
}


async def test_a_bad_vector_is_dropped_by_name_and_never_shown(tmp_path: Path) -> None:
    async with scene(tmp_path) as stage:
        for name, case in VECTORS.items():
            before = stage.hub.dropped(case[2])
            async with hostile(stage.hub.address, stage.mesh) as foe:
                await one_bad_vector(stage, foe, name, case)
            assert await stage.counter(case[2]) == before + 1, name
        await stage.honest_is_undisturbed()


async def one_bad_vector(stage: Scene, foe: Hostile, name: str, case: tuple[dict[int, Any], int, Reason, bool]) -> None:
    """Say it, and see the counter, the link, and that nobody is shown it."""
    changes, age_ms, reason, closes = case
    before = stage.hub.dropped(reason)
    fields = vector_fields(stage.mesh, foe.identity.author)
    for place, value in changes.items():
        fields[place] = value
    await foe.say(signed_by(foe.identity, fields, age_ms))
    await until(lambda: stage.hub.dropped(reason) == before + 1, 3, f"{reason} for {name}")
    if closes:
        await until(foe.ended.is_set, 3, f"the end of the link for {name}")
        assert foe.bye == CloseCode.PROTOCOL, name
    else:
        await foe.say(a_vector(stage.mesh, foe.identity, seq=9))
        await until(lambda: stage.hub.shows(foe.identity.author) is not None, 3, f"the link was kept for {name}")
    line = stage.hub.shows(foe.identity.author)
    assert line is None or line.seq == 9, name


async def test_a_forged_signature_closes_its_link_and_says_so(tmp_path: Path) -> None:
    async with scene(tmp_path) as stage, hostile(stage.hub.address, stage.mesh) as foe:
        forged = a_vector(stage.mesh, foe.identity)
        forged.signature = bytes([forged.signature[0] ^ 1]) + forged.signature[1:]
        await foe.say(forged)
        await until(foe.ended.is_set, 3, "the end of the link")
        assert foe.bye == CloseCode.SIGNATURE
        assert await stage.counter(Reason.BAD_SIGNATURE) == 1
        assert stage.hub.shows(foe.identity.author) is None
        await stage.honest_is_undisturbed()


async def test_repeated_and_older_vectors_are_dropped_and_cost_no_link(tmp_path: Path) -> None:
    async with scene(tmp_path) as stage, hostile(stage.hub.address, stage.mesh) as foe:
        newest = a_vector(stage.mesh, foe.identity, boot=2, seq=5, arousal=0.5)
        await foe.say(newest, newest, a_vector(stage.mesh, foe.identity, boot=1, seq=9, arousal=-0.5))
        await until(lambda: stage.hub.dropped(Reason.SUPERSEDED) == 1 and stage.hub.dropped(Reason.DUPLICATE) == 1)
        assert stage.hub.arousal_of(foe.identity.author) == pytest.approx(0.5, abs=1e-4)
        assert stage.hub.links_with(foe.identity.author) == [True]
        await stage.honest_is_undisturbed()


async def test_a_vector_whose_author_nobody_vouches_for_is_dropped_after_two_seconds(tmp_path: Path) -> None:
    async with scene(tmp_path) as stage, hostile(stage.hub.address, stage.mesh) as foe:
        ghost = an_identity(stage.mesh)
        await foe.say(a_vector(stage.mesh, ghost))
        took = await until(lambda: stage.hub.dropped(Reason.UNKNOWN_AUTHOR) == 1, 4)
        assert 1.8 < took < 3.5
        assert stage.hub.shows(ghost.author) is None
        assert stage.hub.links_with(foe.identity.author) == [True]
        await stage.honest_is_undisturbed()


def key_of_small_order(mesh: Mesh) -> Message:
    return Keys(weak_key_state(mesh, b"\x01" + bytes(31)))


def unsigned(mesh: Mesh) -> Message:
    return Keys(weak_key_state(mesh, SigningKey(bytes(32)).public))


def of_another_mesh(mesh: Mesh) -> Message:
    other = Mesh(type(mesh.mesh_id)(bytes(16)), mesh.psk, mesh.admission)
    return Keys(an_identity(other).key_state.encoded)


def not_a_key_state(_mesh: Mesh) -> Message:
    return Keys(encode(((b"signed", bytes(63)),)))


def addresses_of_somebody_else(mesh: Mesh) -> Message:
    one, other = an_identity(mesh), an_identity(mesh)
    record = encode_addresses(mesh.mesh_id, AddressesRecord(other.author, 0, 1, 1, (("127.0.0.1", 9),)))
    return Peers((PeerRecord(one.key_state.encoded, record, one.sign(record)),))


def addresses_not_signed(mesh: Mesh) -> Message:
    one = an_identity(mesh)
    record = encode_addresses(mesh.mesh_id, AddressesRecord(one.author, 0, 1, 1, (("127.0.0.1", 9),)))
    return Peers((PeerRecord(one.key_state.encoded, record, bytes(64)),))


def addresses_with_port_0(mesh: Mesh) -> Message:
    one = an_identity(mesh)
    record = encode_addresses(mesh.mesh_id, AddressesRecord(one.author, 0, 1, 1, (("127.0.0.1", 0),)))
    return Peers((PeerRecord(one.key_state.encoded, record, one.sign(record)),))


RECORDS: dict[str, tuple[Callable[[Mesh], Message], Reason]] = {
    "a key of small order": (key_of_small_order, Reason.BAD_KEY),
    "a key state that nobody signed": (unsigned, Reason.BAD_SIGNATURE),
    "a key state of another mesh": (of_another_mesh, Reason.WRONG_MESH),
    "bytes that are no key state": (not_a_key_state, Reason.OUT_OF_RANGE),
    "addresses of somebody else": (addresses_of_somebody_else, Reason.BAD_KEY_STATE),
    "addresses that nobody signed": (addresses_not_signed, Reason.BAD_SIGNATURE),
    "an address with port 0": (addresses_with_port_0, Reason.OUT_OF_RANGE),
}


async def test_a_bad_record_about_others_closes_the_link_that_brought_it(tmp_path: Path) -> None:
    async with scene(tmp_path) as stage:
        for name, (make, reason) in RECORDS.items():
            before = stage.hub.dropped(reason)
            async with hostile(stage.hub.address, stage.mesh) as foe:
                await foe.say(make(stage.mesh))
                await until(foe.ended.is_set, 3, f"the end of the link that brought {name}")
            assert await stage.counter(reason) == before + 1, name
        await stage.honest_is_undisturbed()


async def test_introductions_come_at_most_once_a_second(tmp_path: Path) -> None:
    async with scene(tmp_path) as stage, hostile(stage.hub.address, stage.mesh) as foe:
        await stage.opened(foe)
        known = stage.hub.hub.statistics().known_peers
        for _ in range(5):
            friend = an_identity(stage.mesh)
            record = encode_addresses(stage.mesh.mesh_id, AddressesRecord(friend.author, 0, 1, 1, (("127.0.0.1", 9),)))
            await foe.say(Peers((PeerRecord(friend.key_state.encoded, record, friend.sign(record)),)))
        await until(lambda: stage.hub.dropped(Reason.ADDRESS_LIMIT) == 4)
        assert stage.hub.hub.statistics().known_peers == known + 1
        assert stage.hub.links_with(foe.identity.author) == [True]
        await stage.honest_is_undisturbed()


async def test_a_reading_that_is_no_number_is_refused_and_never_leaves(tmp_path: Path) -> None:
    async with scene(tmp_path) as stage:
        driver = stage.honest.hub.driver
        for number in (math.nan, math.inf, -math.inf):
            for value, sd, quality in ((number, 0.1, 1.0), (0.1, number, 1.0), (0.1, 0.1, number)):
                driver.feed(Publish(Reading(boot_us(), (Estimate(0, value, sd),), quality, 0)))
        assert stage.honest.dropped(Reason.NOT_FINITE) == 9
        await stage.honest_is_undisturbed()
        assert stage.hub.arousal_of(stage.honest.author) is None


async def test_a_reading_out_of_range_is_clamped_to_the_dimension(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        hub = await crew.start("hub")
        loud = await crew.start("loud", peers__static=(hub.at,))
        crew.nursery.start_soon(crew.feeling, loud, 1e300)
        await until(lambda: hub.arousal_of(loud.author) is not None)
        assert hub.arousal_of(loud.author) == 1.0


def test_the_numbers_in_the_cases_are_the_messages_they_mean() -> None:
    """The cases above are spelled in numbers, so that no encoder of ours stands between them and the hub."""
    assert to_value(Beat()) == (4,)
    assert to_value(Ping(7)) == (2, 7)
    assert encode_frame((Beat(),)) == many(1)
