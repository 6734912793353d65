"""Hubs that come back: after a stop, after a kill, under a new address; and links that outlive their keys."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import trio

from meshnode.clock import utc_ms
from meshnode.daemon import RunOptions
from meshnode.demo.crowd import Crowd, HubProcess
from meshnode.entropy import entropy
from meshnode.sensing.excerpts import list_people
from meshnode.transport.link import Link
from protocol.errors import Reason
from protocol.ids import AuthorId, LinkId
from protocol.inputs import FrameReceived, Input, InterfaceChanged, LinkDown
from protocol.link.channel import REKEY_FRAMES, Channel
from protocol.link.noise import CipherState
from protocol.wire.framing import FrameReader, frame
from protocol.wire.messages import Beat, Message, Ping, Pong, decode_frame, encode_frame
from tests.daemon.hostile import hostile
from tests.daemon.networks import Counted
from tests.daemon.processes import environ
from tests.daemon.rig import alive, crew_in, free_port, lab, until

pytestmark = pytest.mark.usefixtures("nothing_left")


async def test_a_hub_that_starts_again_is_the_same_and_its_new_values_win(tmp_path: Path) -> None:
    port = free_port()
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one", listen__port=port)
        other = await crew.start("other", peers__static=(one.at,))
        await until(lambda: (line := other.shows(one.author)) is not None and line.seq >= 3)
        author, before = one.author, other.shows(one.author)
        assert before is not None
        assert before.boot > utc_ms() // 1_000 - 60  # a copy of its state would not begin lower
        await crew.stop(one)
        again = await crew.start("one", listen__port=port, peers__static=(other.at,))
        assert again.author == author
        boot = again.hub.statistics().boot
        assert boot > before.boot
        await until(lambda: (line := other.shows(author)) is not None and line.boot == boot, 3)
        assert other.linked(again)


async def test_a_hub_takes_the_addresses_it_has_now(tmp_path: Path) -> None:
    dials = Counted()
    async with crew_in(tmp_path) as crew:
        mover = await crew.start("mover", lab(), listen__host="0.0.0.0")  # every address of the loopback
        other = await crew.start(
            "other",
            RunOptions(lab=True, transport=dials),
            peers__static=(f"127.0.0.1:{mover.address[1]}",),
        )
        await until(lambda: mover.linked(other))
        moved = ("127.0.0.7", mover.address[1])
        mover.hub.driver.feed(InterfaceChanged((moved,)))
        await until(lambda: other.hub.statistics().received.get("Peers", 0) >= 1)
        for here, there in ((mover, other), (other, mover)):
            assert here.hub.lab is not None
            here.hub.lab.cut([there.author], [there.address[1]])
        await until(lambda: not mover.hub.statistics().links and not other.hub.statistics().links, 4)
        seen = len(dials.dials)
        assert mover.hub.lab is not None
        assert other.hub.lab is not None
        other.hub.lab.heal()
        await until(lambda: moved in dials.dials[seen:], 4, "a dial to the new address")
        mover.hub.lab.heal()
        await until(lambda: mover.linked(other), 4)


async def test_a_change_of_the_network_is_worth_a_dial_at_once(tmp_path: Path) -> None:
    port = free_port()
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one")
        other = await crew.start("other", listen__port=port)
        one_knows = await crew.start("knows", peers__static=(other.at,))
        await until(lambda: one_knows.linked(other))
        await crew.stop(other)  # with a BYE: nobody would dial it for the next five seconds
        await until(lambda: not one_knows.links_with(other.author))
        again = await crew.start("other", listen__port=port)
        assert not one_knows.linked(again)
        one_knows.hub.driver.feed(InterfaceChanged(one_knows.hub.addresses))
        await until(lambda: one_knows.linked(again), 2)
        assert one.hub.statistics().links == ()


# --- keys of a link -------------------------------------------------------------------------------------------------


class Notes:
    """What a link tells its driver, written down."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.ended: list[LinkDown] = []
        self.faults: list[Reason] = []

    def feed(self, *inputs: Input) -> None:
        for given in inputs:
            if isinstance(given, FrameReceived):
                self.frames.append(given.frame)
            elif isinstance(given, LinkDown):
                self.ended.append(given)

    def count(self, reason: Reason) -> None:
        self.faults.append(reason)


def a_link(sock: socket.socket, keys: tuple[bytes, bytes], notes: Notes, rekey_frames: int) -> Link:
    """One end of a link over a real socket."""
    sock.setblocking(False)
    channel = Channel(CipherState(keys[0]), CipherState(keys[1]), rekey_frames=rekey_frames)
    return Link(LinkId(1), AuthorId(bytes(32)), sock, channel, FrameReader(), notes, None)


def say(link: Link, message: Message) -> bool:
    """Send as the driver does: into the outbox, and then all of it into the socket."""
    more = link.send((message,))
    return link.flush() or more


async def test_both_directions_of_a_link_go_through_many_keys(tmp_path: Path) -> None:
    there, back = entropy(32), entropy(32)
    ours, theirs = socket.socketpair()
    left, right = Notes(), Notes()
    one, other = a_link(ours, (there, back), left, 3), a_link(theirs, (back, there), right, 3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.run)
        nursery.start_soon(other.run)
        for number in range(50):
            assert say(one, Ping(number))
            if number % 2:
                assert say(other, Pong(number))
        await until(lambda: len(right.frames) == 50 and len(left.frames) == 25)
        nursery.cancel_scope.cancel()
    assert right.frames == [encode_frame((Ping(number),)) for number in range(50)]
    assert left.frames == [encode_frame((Pong(number),)) for number in range(50) if number % 2]
    assert left.faults == right.faults == []


async def test_ends_that_change_keys_at_different_frames_part(tmp_path: Path) -> None:
    there, back = entropy(32), entropy(32)
    ours, theirs = socket.socketpair()
    left, right = Notes(), Notes()
    one, other = a_link(ours, (there, back), left, 3), a_link(theirs, (back, there), right, 4)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.run)
        nursery.start_soon(other.run)
        for number in range(4):
            say(one, Ping(number))
        await until(lambda: bool(right.ended))
        nursery.cancel_scope.cancel()
    assert right.frames == [encode_frame((Ping(number),)) for number in range(len(right.frames))]
    assert len(right.frames) <= 3
    assert right.faults == [Reason.CHANNEL_TAMPERED]


async def test_what_was_said_before_a_frame_that_does_not_open_counts(tmp_path: Path) -> None:
    there, back = entropy(32), entropy(32)
    ours, theirs = socket.socketpair()
    notes = Notes()
    link = a_link(theirs, (back, there), notes, 100)
    speaker = Channel(CipherState(there), CipherState(back))
    with ours:
        ours.sendall(b"".join(frame(speaker.seal(encode_frame((Ping(n),)))) for n in range(3)) + frame(bytes(40)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.run)
            await until(lambda: bool(notes.ended))
            nursery.cancel_scope.cancel()
    assert notes.faults == [Reason.CHANNEL_TAMPERED]
    assert notes.frames == [encode_frame((Ping(number),)) for number in range(3)]


async def test_a_link_outlives_the_65536_frames_of_one_key(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        hub = await crew.start("hub", share__enabled=False)
        async with hostile(hub.address, hub.hub.opened.mesh) as peer:
            await until(lambda: hub.links_with(peer.identity.author) == [True])
            beat = encode_frame((Beat(),))
            async with trio.open_nursery() as nursery:

                async def keep_up() -> None:
                    sent = 0
                    while sent < REKEY_FRAMES + 64:
                        await peer.say_many(beat, 512)
                        sent += 512

                nursery.start_soon(keep_up)
            await peer.say(Ping(77))
            await until(lambda: Pong(77) in peer.heard, 20)
            assert hub.links_with(peer.identity.author) == [True]
            assert hub.hub.statistics().received["Beat"] >= REKEY_FRAMES


def test_the_helpers_of_this_file_speak_the_wire() -> None:
    assert decode_frame(encode_frame((Ping(7),))) == (Ping(7),)
    assert frame(b"x") == b"\x00\x01x"


# --- kill -9 --------------------------------------------------------------------------------------------------------


def shown(status: dict[str, Any], author: str) -> dict[str, Any] | None:
    """The line of an author in a status."""
    return next((line for line in status["authors"] if line["author"] == author), None)


async def all_see(crowd: Crowd, hubs: list[HubProcess], condition: Any, seconds: float, what: str) -> float:
    """Until the status of each of these hubs meets the condition; returns how long that took."""
    begin = trio.current_time()
    with trio.move_on_after(seconds):
        while True:
            statuses = [await crowd.ask(hub, {"cmd": "status"}) for hub in hubs]
            if all(condition(status) for status in statuses):
                return trio.current_time() - begin
            await trio.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


async def test_a_hub_that_is_killed_is_missed_and_comes_back_as_itself(tmp_path: Path) -> None:
    folder = tmp_path / "crowd"
    folder.mkdir(mode=0o700)
    crowd = Crowd(folder, entropy(32), environ(folder))
    for person in list_people()[:4]:
        crowd.add(person.name, person.path, "--cadence-ms", "500")
    try:
        await crowd.start_all()
        everybody = list(crowd.hubs)
        await all_see(crowd, everybody, lambda s: len(s["authors"]) == 4, 15, "everybody shows everybody")
        victim, rest = crowd.hubs[1], [crowd.hubs[0], *crowd.hubs[2:]]
        author = victim.author
        boot = (await crowd.ask(victim, {"cmd": "status"}))["boot"]
        pids = {hub.index: hub.pid for hub in rest}
        await crowd.kill(victim)
        missed = await all_see(
            crowd,
            rest,
            lambda s: author not in [link["peer"] for link in s["links"]] and s["crowd"]["in_reach"] == 3,
            6,
            "the killed hub is missed",
        )
        await crowd.start(victim)
        back = await all_see(
            crowd,
            rest,
            lambda s: (line := shown(s, author)) is not None and line["boot"] > boot and line["in_reach"],
            6,
            "the values of its new life are shown",
        )
        print(f"killed: missed by all after {missed:.2f} s; new values everywhere {back:.2f} s after it was ready")
        assert victim.author == author
        assert {hub.index: hub.pid for hub in rest} == pids
        assert all(alive(hub.pid) for hub in everybody)
        for hub in everybody:
            assert "Traceback" not in hub.log.read_text()
    finally:
        await crowd.stop()
    assert not any(alive(pid) for pid in pids.values())
    assert os.listdir(folder / "h1").count("boot") == 1
