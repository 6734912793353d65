"""Hubs link, relay, and refuse: real hubs in one process over real TCP."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from meshnode.daemon import RunOptions, open_hub
from meshnode.entropy import entropy
from meshnode.transport.memory import Memory
from protocol.errors import Reason, TransportError
from protocol.inputs import InterfaceChanged
from protocol.limits import HANDSHAKE_BYTES_MAX
from tests.daemon.hostile import connect, refused
from tests.daemon.networks import Counted, Firewalled, StartingLine, tapped
from tests.daemon.rig import CADENCE_MS, Member, crew_in, free_port, hub_config, never, only_fault, until

pytestmark = pytest.mark.usefixtures("nothing_left")


def show_each_other(one: Member, other: Member) -> bool:
    """Whether both hold a vector of the other."""
    return one.shows(other.author) is not None and other.shows(one.author) is not None


async def test_two_hubs_link_and_show_each_other_what_they_said(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one")
        other = await crew.start("other", peers__static=(one.at,))
        await until(lambda: one.linked(other) and show_each_other(one, other), 3)
        crew.nursery.start_soon(crew.feeling, one, 0.5)
        crew.nursery.start_soon(crew.feeling, other, -0.25)
        await until(lambda: other.arousal_of(one.author) is not None and one.arousal_of(other.author) is not None)
        assert other.arousal_of(one.author) == pytest.approx(0.5, abs=1e-4)
        assert one.arousal_of(other.author) == pytest.approx(-0.25, abs=1e-4)


async def test_a_vector_is_fresh_to_the_cadence(tmp_path: Path) -> None:
    cadence_ms = 400  # long enough that a busy machine's lateness is small beside it
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one", share__cadence_ms=cadence_ms)
        other = await crew.start("other", peers__static=(one.at,))
        await until(lambda: other.shows(one.author) is not None)
        ages: list[int] = []
        for _ in range(80):
            await trio.sleep(0.02)
            line = other.shows(one.author)
            assert line is not None
            ages.append(line.age_us)
        ages.sort()
        assert ages[len(ages) // 2] < cadence_ms * 1_000
        assert ages[-1] < cadence_ms * 2_500 + 500_000  # then it would count as silent


async def test_the_memory_twin_behaves_as_tcp_does(tmp_path: Path) -> None:
    options = RunOptions(transport=Memory())
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one", options)
        other = await crew.start("other", options, peers__static=(one.at,))
        await until(lambda: one.linked(other) and show_each_other(one, other), 3)
        await crew.stop(other)
        await until(lambda: not one.hub.statistics().links)


async def test_the_middle_of_a_chain_relays_to_both_ends(tmp_path: Path) -> None:
    left_net, right_net = Firewalled(), Firewalled()
    async with crew_in(tmp_path) as crew:
        middle = await crew.start("middle")
        for net in (left_net, right_net):
            net.ports.add(middle.address[1])
        left = await crew.start("left", RunOptions(transport=left_net), peers__static=(middle.at,))
        right = await crew.start("right", RunOptions(transport=right_net), peers__static=(middle.at,))
        crew.nursery.start_soon(crew.feeling, left, 0.75)
        await until(lambda: right.arousal_of(left.author) is not None and left.shows(right.author) is not None)
        line = right.shows(left.author)
        assert line is not None
        assert line.hops == 2
        assert right.arousal_of(left.author) == pytest.approx(0.75, abs=1e-4)
        assert not left.links_with(right.author)
        assert {m.hub.statistics().in_reach for m in (left, middle, right)} == {
            tuple(sorted(m.hub.opened.identity.author for m in (left, middle, right)))
        }
        await until(lambda: left_net.refused + right_net.refused > 0)  # they did try to meet, and could not


async def test_what_may_not_be_relayed_stops_in_the_middle(tmp_path: Path) -> None:
    left_net, right_net = Firewalled(), Firewalled()
    async with crew_in(tmp_path) as crew:
        middle = await crew.start("middle")
        for net in (left_net, right_net):
            net.ports.add(middle.address[1])
        left = await crew.start("left", RunOptions(transport=left_net), peers__static=(middle.at,), share__relay=False)
        right = await crew.start("right", RunOptions(transport=right_net), peers__static=(middle.at,))
        await until(lambda: middle.shows(left.author) is not None and left.shows(right.author) is not None)
        first = middle.shows(left.author)
        assert first is not None

        def five_more() -> bool:
            line = middle.shows(left.author)
            return line is not None and line.seq >= first.seq + 5

        await until(five_more)
        assert right.shows(left.author) is None


async def test_a_hub_that_shares_nothing_is_linked_and_counted_and_says_nothing(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one")
        quiet = await crew.start("quiet", peers__static=(one.at,), share__enabled=False)
        crew.nursery.start_soon(crew.feeling, quiet, 0.9)
        await until(lambda: quiet.linked(one) and quiet.shows(one.author) is not None)
        await never(lambda: one.shows(quiet.author) is not None, 3 * CADENCE_MS / 1_000)
        assert quiet.author in one.hub.statistics().in_reach


async def test_a_simultaneous_open_leaves_one_link(tmp_path: Path) -> None:
    line = StartingLine(2)
    ports = (free_port(), free_port())
    async with crew_in(tmp_path) as crew:
        options = RunOptions(transport=line)
        one = await crew.start("one", options, listen__port=ports[0], peers__static=(f"127.0.0.1:{ports[1]}",))
        other = await crew.start("other", options, listen__port=ports[1], peers__static=(f"127.0.0.1:{ports[0]}",))
        await until(lambda: one.linked(other) and show_each_other(one, other), 3)
        await until(lambda: one.dropped(Reason.LINK_DUPLICATE) + other.dropped(Reason.LINK_DUPLICATE) >= 1)
        await until(lambda: one.linked(other))
        assert line.crossed == 2
        kept = one.hub.statistics().links[0].link
        await never(lambda: one.links_with(other.author) != [True] or other.links_with(one.author) != [True], 1.5)
        assert one.hub.statistics().links[0].link == kept
        dialled = {m.hub.statistics().links[0].initiator: m for m in (one, other)}
        assert set(dialled) == {True, False}
        assert dialled[True].author == min(one.author, other.author)  # both keep the same one of the two


async def test_a_static_peer_that_starts_late_is_found(tmp_path: Path) -> None:
    port = free_port()
    async with crew_in(tmp_path) as crew:
        early = await crew.start("early", peers__static=(f"127.0.0.1:{port}",))
        await trio.sleep(0.1)
        late = await crew.start("late", listen__port=port)
        took = await until(lambda: early.linked(late), 4)
        assert took < 3


async def test_a_static_peer_may_be_named_by_author_and_only_that_author_is_let_in(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one")
        friend = await crew.start("friend", peers__static=(f"{one.at}/{one.author.hex()}",))
        await until(lambda: friend.linked(one))
        wary = await crew.start("wary", peers__static=(f"{one.at}/{friend.author.hex()}",))
        await until(lambda: wary.dropped(Reason.HANDSHAKE_WRONG_IDENTITY) >= 1)
        assert not wary.links_with(one.author)
        assert one.linked(friend)


async def test_a_static_peer_without_an_author_may_come_back_as_somebody_else(tmp_path: Path) -> None:
    port = free_port()
    async with crew_in(tmp_path) as crew:
        before = await crew.start("before", listen__port=port)
        one = await crew.start("one", peers__static=(f"127.0.0.1:{port}",))
        await until(lambda: one.linked(before))
        await crew.stop(before)
        after = await crew.start("after", listen__port=port)
        one.hub.driver.feed(InterfaceChanged(one.hub.addresses))  # what is lost is dialled at once
        await until(lambda: one.linked(after), 3)


async def test_a_hub_that_dials_itself_notices_and_does_not_try_again(tmp_path: Path) -> None:
    port = free_port()
    net = Counted()
    async with crew_in(tmp_path) as crew:
        narcissus = await crew.start(
            "narcissus",
            RunOptions(transport=net),
            listen__host="0.0.0.0",
            listen__port=port,
            peers__static=(f"127.0.0.9:{port}",),  # itself, under an address that it does not know to be its own
        )
        await until(lambda: narcissus.dropped(Reason.HANDSHAKE_SELF) == 1)
        other = await crew.start("other", peers__static=(f"127.0.0.1:{port}",))
        await until(lambda: narcissus.linked(other))
        await trio.sleep(1.5)  # longer than the first retry of a peer that could not be reached
        assert net.dials == [("127.0.0.9", port)]
        assert narcissus.dropped(Reason.HANDSHAKE_SELF) == 1


async def test_a_hub_does_not_dial_where_it_listens(tmp_path: Path) -> None:
    port = free_port()
    net = Counted()
    async with crew_in(tmp_path) as crew:
        hub = await crew.start(
            "hub", RunOptions(transport=net), listen__port=port, peers__static=(f"127.0.0.1:{port}",)
        )
        other = await crew.start("other", peers__static=(hub.at,))
        await until(lambda: hub.linked(other))
        assert net.dials == []


async def test_hubs_of_two_open_meshes_learn_nothing_of_each_other(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        here = await crew.start("here")
        async with tapped(here.address) as wire:
            there = await crew.start(
                "there", mesh__name="another crowd", peers__static=(f"127.0.0.1:{wire.address[1]}",)
            )
            await until(lambda: here.dropped(Reason.HANDSHAKE_WRONG_SECRET) >= 1 and wire.ended >= 1)
            assert not wire.from_hub, "the hub of another mesh was answered"
            assert len(wire.to_hub) == wire.connections * (2 + 1 + 32 + 16)  # openings and nothing else
            for secret in (there.author, there.hub.opened.identity.key_state.key, there.author[:8]):
                assert secret not in bytes(wire.to_hub)
            for member in (here, there):
                assert not member.hub.statistics().links
                assert {line.author for line in member.hub.statistics().authors} <= {member.author}
                assert member.hub.statistics().in_reach == (member.author,)


async def test_a_hub_with_another_invitation_gets_no_byte(tmp_path: Path) -> None:
    files = []
    for number in range(2):
        files.append(tmp_path / f"secret{number}")
        files[-1].write_text(entropy(32).hex() + "\n")
        files[-1].chmod(0o600)
    async with crew_in(tmp_path) as crew:

        async def invited(name: str, secret: int, *peers: str) -> Member:
            return await crew.start(
                name, mesh__admission="invite", mesh__secret_file=str(files[secret]), peers__static=tuple(peers)
            )

        here = await invited("here", 0)
        friend = await invited("friend", 0, here.at)
        await until(lambda: here.linked(friend))
        async with tapped(here.address) as wire:
            there = await invited("there", 1, f"127.0.0.1:{wire.address[1]}")
            await until(lambda: here.dropped(Reason.HANDSHAKE_WRONG_SECRET) >= 1 and wire.ended >= 1)
            assert not wire.from_hub
            assert not there.hub.statistics().links
        assert here.linked(friend)


async def test_a_stranger_without_the_secret_gets_no_byte_whatever_it_says(tmp_path: Path) -> None:
    sayings = {
        b"GET / HTTP/1.1\r\n\r\n": Reason.FRAME_TOO_LARGE,
        b"\x00\x00": Reason.FRAME_EMPTY,
        (HANDSHAKE_BYTES_MAX + 1).to_bytes(2, "big"): Reason.FRAME_TOO_LARGE,
        b"\x00\x31\x02" + bytes(48): Reason.HANDSHAKE_BAD_VERSION,
        b"\x00\x30\x01" + bytes(47): Reason.HANDSHAKE_BAD_MESSAGE,
        b"\x00\x31\x01" + entropy(48): Reason.HANDSHAKE_WRONG_SECRET,
    }
    async with crew_in(tmp_path) as crew:
        hub = await crew.start("hub")
        for saying, reason in sayings.items():
            before = hub.dropped(reason)
            async with await connect(hub.address) as stream:
                await stream.send_all(saying)
                with trio.fail_after(3):
                    assert await refused(stream) == b""
            assert hub.dropped(reason) == before + 1, reason


async def test_a_busy_port_is_one_clear_line(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one")
        config = hub_config(tmp_path, "late", {"mesh.name": crew.mesh, "listen.port": one.address[1]})
        with pytest.raises(BaseExceptionGroup) as raised:
            async with open_hub(config):
                raise AssertionError("two hubs on one port")
        fault = only_fault(raised.value)
        assert isinstance(fault, TransportError)
        assert str(fault) == f"cannot listen on {one.at}: Address already in use"


async def test_who_leaves_says_so_and_is_not_taken_for_lost(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one")
        other = await crew.start("other", peers__static=(one.at,))
        await until(lambda: one.linked(other))
        await crew.stop(other)
        await until(lambda: not one.hub.statistics().links, 1)
        assert one.dropped(Reason.LINK_SILENT) == 0
        (news,) = [entry for entry in one.hub.events.recent if not entry["up"]]
        assert news["reason"] == "closed"
