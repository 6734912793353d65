"""An admitted peer that means harm: it may lose its own link and nothing else.

What one peer can say of others (values, keys, addresses, neighbors) is judged here by what an honest third party sees.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from protocol.effects import Drop
from protocol.errors import CloseCode, Reason
from protocol.identity import LocalIdentity, Mesh, open_mesh
from protocol.ids import AuthorId, LinkId
from protocol.inputs import LinkDown, LinkUp, Started, TimerFired
from protocol.node import Node
from protocol.rng import Rng
from protocol.wire.messages import Graft, Hello, Neighbors, PeerRecord, Peers, Ping, Pong, Vector, WantKeys
from protocol.wire.records import AddressesRecord, encode_addresses
from tests.daemon.hostile import Hostile, a_vector, an_identity, hostile, signed_by, vector_fields
from tests.daemon.processes import LOCAL, running
from tests.daemon.rig import Member, crew_in, mesh_name, never, resident_kb, until

pytestmark = pytest.mark.usefixtures("nothing_left")

BESIDE_S = 0.5
"""How long a peer that has done nothing wrong may wait for an answer while another is hostile."""


async def answered(peer: Hostile, token: int) -> float:
    """Seconds until the hub answers a PING of this peer."""
    begin = trio.current_time()
    await peer.say(Ping(token))
    await until(lambda: Pong(token) in peer.heard, 5, "the answer to a PING")
    return trio.current_time() - begin


def pushed(hub: Member, author: bytes) -> int:
    """The newest sequence number that the hub shows of an author."""
    line = hub.shows(author)
    return 0 if line is None else line.seq


# --- values ---------------------------------------------------------------------------------------------------------


async def test_forged_high_numbers_cost_the_relay_its_link_and_the_author_nothing(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        hub = await crew.start("hub")
        author = await crew.start("author", peers__static=(hub.at,))
        await until(lambda: pushed(hub, author.author) > 0)
        mesh = hub.hub.opened.mesh
        for number in range(3):
            async with hostile(hub.address, mesh) as relay:
                fields = vector_fields(mesh, author.hub.opened.identity.author, boot=10**12, seq=10**12 + number)
                await relay.say(signed_by(relay.identity, fields))
                await until(relay.ended.is_set, 3, "the end of the relay's link")
                assert relay.bye == CloseCode.SIGNATURE
        assert hub.dropped(Reason.BAD_SIGNATURE) == 3
        seen = pushed(hub, author.author)
        await until(lambda: pushed(hub, author.author) >= seen + 3, 3, "the author's next values")
        assert hub.linked(author)


async def test_a_forger_cannot_silence_an_author_whose_key_is_still_on_its_way(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        hub = await crew.start("hub")
        mesh = hub.hub.opened.mesh
        author = an_identity(mesh)
        async with hostile(hub.address, mesh) as forger, hostile(hub.address, mesh) as relay:
            await forger.say(signed_by(forger.identity, vector_fields(mesh, author.author, seq=10**12)))
            await until(lambda: bool(forger.held(WantKeys)))
            await relay.say(a_vector(mesh, author, seq=7))
            await until(lambda: bool(relay.held(WantKeys)))
            await relay.vouch(author)
            await until(lambda: pushed(hub, author.author) == 7)
            await until(forger.ended.is_set, 3, "the end of the forger's link")
            assert forger.bye == CloseCode.SIGNATURE
            assert hub.links_with(relay.identity.author) == [True]
            await relay.say(a_vector(mesh, author, seq=8))
            await until(lambda: pushed(hub, author.author) == 8)


async def test_nothing_unverified_is_passed_on(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        hub = await crew.start("hub")
        mesh = hub.hub.opened.mesh
        author = an_identity(mesh)
        async with hostile(hub.address, mesh) as witness:
            await until(lambda: hub.links_with(witness.identity.author) == [True])
            async with hostile(hub.address, mesh) as relay:
                await relay.vouch(author)
                forged = a_vector(mesh, author, seq=2)
                forged.signature = bytes(64)
                await relay.say(a_vector(mesh, author, seq=1), forged)
                await until(relay.ended.is_set)
            await until(lambda: any(v.signed == a_vector(mesh, author, seq=1).signed for v in vectors(witness)))
            assert forged.signed not in [vector.signed for vector in vectors(witness)]


def vectors(peer: Hostile) -> list[Vector]:
    """The VECTORs that a peer has heard."""
    return [message for message in peer.heard if isinstance(message, Vector)]


async def test_a_value_ends_with_its_lease_however_often_it_is_repeated(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        hub = await crew.start("hub")
        mesh = hub.hub.opened.mesh
        author = an_identity(mesh)
        fields = vector_fields(mesh, author.author)
        fields[10] = 1_000  # the lease in ms
        value = signed_by(author, fields)
        async with hostile(hub.address, mesh) as relay:
            await relay.vouch(author)
            await relay.say(value)
            await until(lambda: hub.shows(author.author) is not None)
            with trio.move_on_after(2.5):
                while True:
                    await relay.say(Vector(value.signed, bytes(64), 0))
                    await trio.sleep(0.1)
            assert hub.shows(author.author) is None


async def test_a_flood_of_valid_frames_does_not_starve_others(tmp_path: Path) -> None:
    name = mesh_name()
    mesh = open_mesh(name)
    async with (
        running(tmp_path, "hub", "--mesh", name, *LOCAL) as hub,
        hostile(hub.address, mesh) as foe,
        hostile(hub.address, mesh) as friend,
    ):
        await hub.until(lambda status: sum(link["state"] == "open" for link in status["links"]) == 2)
        value = a_vector(mesh, foe.identity)

        async def flood() -> None:
            while not foe.ended.is_set():
                await foe.say(*[value] * 100)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            waits = [await answered(friend, token) for token in range(20)]
            nursery.cancel_scope.cancel()
        print(f"answers beside a flood: worst {max(waits) * 1000:.0f} ms of {len(waits)}")
        assert max(waits) < BESIDE_S
        assert not friend.ended.is_set()
        status = await hub.status()
        assert status["counters"]["dropped"]["duplicate"] > 1_000


# --- a peer that does not read --------------------------------------------------------------------------------------


async def ask_for_more(foe: Hostile, authors: tuple[AuthorId, ...]) -> None:
    """Keep asking for what is large, and never read an answer; the hub's replies pile up in its socket."""
    tags = tuple(author[:8] for author in authors)
    number = 0
    while not foe.ended.is_set():
        number += 1
        await foe.say(Ping(number), WantKeys(authors), Graft(tags))
        await trio.sleep(0.05)


async def fill(feeder: Hostile, mesh: Mesh, authors: list[LocalIdentity]) -> None:
    """Make the hub hold a value of each of these authors, anew and anew."""
    for start in range(0, len(authors), 30):
        await feeder.vouch(*authors[start : start + 30])
    seq = 0
    while not feeder.ended.is_set():
        seq += 1
        await feeder.say(*[a_vector(mesh, author, seq=seq) for author in authors])
        await trio.sleep(0.1)


async def test_a_peer_that_never_reads_is_closed_as_slow_and_costs_no_memory(tmp_path: Path) -> None:
    name = mesh_name()
    mesh = open_mesh(name)
    authors = [an_identity(mesh) for _ in range(60)]
    async with (
        running(tmp_path, "hub", "--mesh", name, *LOCAL) as hub,
        hostile(hub.address, mesh) as feeder,
        hostile(hub.address, mesh) as friend,
        hostile(hub.address, mesh, alive=False, receive_buffer=4_096) as deaf,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(fill, feeder, mesh, authors)
        await hub.until(lambda status: len(status["authors"]) == 60)
        nursery.start_soon(ask_for_more, deaf, tuple(author.author for author in authors))
        await trio.sleep(2)  # the kernel's buffers are full by now
        begin, before = trio.current_time(), resident_kb(hub.pid)
        waits: list[float] = []
        status: dict[str, Any] = {}
        with trio.fail_after(14):
            while "link_slow" not in status.get("counters", {}).get("dropped", {}):
                waits.append(await answered(friend, len(waits)))
                await trio.sleep(0.2)
                status = await hub.status()
        grown = resident_kb(hub.pid) - before
        print(f"closed {trio.current_time() - begin:.1f} s after it was full; {grown} kB more than then")
        assert grown < 2_048
        assert max(waits) < BESIDE_S
        honest = {peer.identity.author.hex() for peer in (feeder, friend)}
        assert {link["peer"] for link in status["links"]} == honest
        nursery.cancel_scope.cancel()


# --- keys -----------------------------------------------------------------------------------------------------------


async def test_a_flood_of_key_states_is_bounded_and_does_not_starve_others(tmp_path: Path) -> None:
    name = mesh_name()
    mesh = open_mesh(name)
    state = an_identity(mesh, rotations=1)
    async with (
        running(tmp_path, "hub", "--mesh", name, *LOCAL) as hub,
        hostile(hub.address, mesh) as foe,
        hostile(hub.address, mesh) as friend,
    ):
        await hub.until(lambda status: sum(link["state"] == "open" for link in status["links"]) == 2)

        async def flood() -> None:
            while not foe.ended.is_set():
                await foe.vouch(*[state] * 100)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            waits = [await answered(friend, token) for token in range(20)]
            status = await hub.until(lambda status: "verify_budget" in status["counters"]["dropped"])
            nursery.cancel_scope.cancel()
        print(f"answers beside a flood of keys: worst {max(waits) * 1000:.0f} ms of {len(waits)}")
        assert max(waits) < BESIDE_S
        assert foe.identity.author.hex() in [link["peer"] for link in status["links"]]
        assert not list(hub.state.glob("peers-*"))  # nobody has used it


async def test_a_rotation_that_was_used_outlives_a_restart(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        hub = await crew.start("hub")
        mesh = hub.hub.opened.mesh
        author = an_identity(mesh, rotations=2)
        async with hostile(hub.address, mesh) as relay:
            await relay.vouch(author)
            await relay.say(a_vector(mesh, author))
            await until(lambda: hub.shows(author.author) is not None)
            await until(lambda: stored(tmp_path, author), 8, "the key state on disk")
        await crew.stop(hub)
        assert stored(tmp_path, author)


async def test_a_rotation_that_came_by_handshake_outlives_a_restart(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        hub = await crew.start("hub")
        mesh = hub.hub.opened.mesh
        author = an_identity(mesh, rotations=2)
        async with hostile(hub.address, mesh, identity=author) as peer:
            await peer.say(a_vector(mesh, author))
            await until(lambda: hub.shows(author.author) is not None)
            await until(lambda: stored(tmp_path, author), 3, "the key state on disk")


async def test_a_rotation_heard_just_before_the_end_is_kept(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        hub = await crew.start("hub")
        mesh = hub.hub.opened.mesh
        first, second = an_identity(mesh, rotations=1), an_identity(mesh, rotations=1)
        async with hostile(hub.address, mesh) as relay:
            await relay.vouch(first, second)
            await relay.say(a_vector(mesh, first))
            await until(lambda: stored(tmp_path, first))
            await relay.say(a_vector(mesh, second))
            await until(lambda: hub.shows(second.author) is not None)
        await crew.stop(hub)
        assert stored(tmp_path, second)


def stored(folder: Path, author: LocalIdentity) -> bool:
    """Whether the hub's state directory holds the author's key state."""
    return any(author.key_state.encoded.hex() in path.read_text() for path in (folder / "hub").glob("peers-*.json"))


def test_a_hub_that_has_met_two_thousand_visitors_still_welcomes_the_next() -> None:
    mesh = open_mesh("a festival")
    node = Node(mesh, an_identity(mesh), Rng(1))
    now = 1_000_000
    node.handle(Started(1), now)
    for number in range(1, 2_060):
        visitor = an_identity(mesh)
        link = LinkId(number)
        effects = node.handle(LinkUp(link, visitor.author, visitor.key_state.encoded, False), now)
        assert not [effect for effect in effects if isinstance(effect, Drop)], f"visitor {number}"
        node.handle(LinkDown(link, int(CloseCode.SHUTDOWN)), now)
        now += 10_000_000


def test_a_crowd_of_strangers_does_not_push_out_the_peer_that_this_hub_chose() -> None:
    mesh = open_mesh("a festival")
    node = Node(mesh, an_identity(mesh), Rng(1))
    chosen = an_identity(mesh)
    now = 1_000_000
    node.handle(Started(1), now)
    node.handle(LinkUp(LinkId(1), chosen.author, chosen.key_state.encoded, True, ("192.0.2.1", 7000)), now)
    for _ in range(11):  # long enough to count as settled
        now += 1_000_000
        node.handle(TimerFired(("tick",)), now)
    for number in range(2, 200):
        stranger = an_identity(mesh)
        node.handle(LinkUp(LinkId(number), stranger.author, stranger.key_state.encoded, False), now)
        now += 300_000
        assert chosen.author in [link.peer for link in node.statistics(now).links], f"pushed out by stranger {number}"


# --- addresses and neighbors ----------------------------------------------------------------------------------------


def introduction(mesh: Mesh, host: str, port: int) -> Peers:
    """Somebody who says that it listens there."""
    who = an_identity(mesh)
    record = encode_addresses(mesh.mesh_id, AddressesRecord(who.author, 0, 1, 1, ((host, port),)))
    return Peers((PeerRecord(who.key_state.encoded, record, who.sign(record)),))


HOSTS = ["%", "1.2.3.4%eth0", "fe80::1%nope", "-", " ", "", "0.0.0.0", "255.255.255.255", "::", "ff02::1", "[::1]"]
NAMES = ["a..b", "x" * 64, "\u0663.\u0663", "\u00df" * 32]
"""Such as the rules for names in the domain name system refuse, each for a reason of its own."""


async def test_an_address_that_is_none_costs_a_dial_and_not_the_hub(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        hub = await crew.start("hub")
        for host in [*HOSTS, *NAMES]:
            async with hostile(hub.address, hub.hub.opened.mesh) as foe:
                await offered(hub, foe, host)
        assert not hub.gone.is_set()


async def offered(hub: Member, foe: Hostile, host: str) -> None:
    """Introduce somebody who is said to be at ``host``; returns when the hub has had time to dial, and answers."""
    count = hub.hub.statistics().received.get("Peers", 0)
    await until(lambda: hub.links_with(foe.identity.author) == [True])
    await foe.say(introduction(hub.hub.opened.mesh, host, 9))
    await until(lambda: hub.hub.statistics().received.get("Peers", 0) == count + 1)
    await trio.sleep(0.05)  # a dial comes at once
    await answered(foe, 1)


async def test_a_name_that_a_peer_writes_is_never_looked_up(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew, trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        calls: list[None] = []

        async def called(stream: trio.SocketStream) -> None:
            calls.append(None)
            await stream.aclose()

        nursery.start_soon(trio.serve_listeners, called, [listener])
        hub = await crew.start("hub")
        async with hostile(hub.address, hub.hub.opened.mesh) as foe:
            await until(lambda: hub.links_with(foe.identity.author) == [True])
            await foe.say(introduction(hub.hub.opened.mesh, "localhost", listener.socket.getsockname()[1]))
            await never(lambda: bool(calls), 1.0)
        nursery.cancel_scope.cancel()


async def test_an_introduced_address_is_dialled_and_its_owner_must_prove_itself(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        hub = await crew.start("hub")
        other = await crew.start("other", share__enabled=False)
        mesh = hub.hub.opened.mesh
        async with hostile(hub.address, mesh) as foe:
            await until(lambda: hub.links_with(foe.identity.author) == [True])
            await foe.say(introduction(mesh, *other.address))  # under a name that is not the other's
            await until(lambda: hub.dropped(Reason.HANDSHAKE_WRONG_IDENTITY) >= 1)
            assert not hub.links_with(other.author)


async def test_neighbors_that_nobody_has_ever_heard_of_make_no_crowd(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        hub = await crew.start("hub")
        async with hostile(hub.address, hub.hub.opened.mesh) as foe:
            await until(lambda: hub.links_with(foe.identity.author) == [True])
            invented = tuple(AuthorId(bytes([number]) * 32) for number in range(32))
            await foe.say(Neighbors(invented))
            await until(lambda: hub.hub.statistics().received.get("Neighbors", 0) == 1)
            statistics = hub.hub.statistics()
            assert len(statistics.in_reach) == 2
            assert not statistics.out_of_reach


async def test_a_hub_that_is_shown_its_own_future_goes_on_above_it(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        hub = await crew.start("hub")
        mesh, own = hub.hub.opened.mesh, hub.hub.opened.identity
        boot = hub.hub.statistics().boot
        future = boot + 10**6
        async with hostile(hub.address, mesh) as foe:
            forged = a_vector(mesh, own, boot=future, seq=1)
            forged.signature = bytes(64)
            await foe.say(forged)
            await until(foe.ended.is_set)
            assert hub.hub.statistics().boot == boot
        async with hostile(hub.address, mesh) as foe:
            await foe.say(a_vector(mesh, own, boot=future, seq=1))
            await until(lambda: hub.hub.statistics().boot == future + 1)
            assert hub.dropped(Reason.OWN_RECORD) >= 1
            said = (future + 1).to_bytes(4, "big")
            await until(lambda: pushed(hub, hub.author) > 0 and any(said in v.signed for v in vectors(foe)))
        await crew.stop(hub)
        again = await crew.start("hub")
        assert again.hub.statistics().boot == future + 2


async def test_a_hello_says_nothing_that_the_hub_believes_unsigned(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        hub = await crew.start("hub")
        mesh = hub.hub.opened.mesh
        async with hostile(hub.address, mesh, hello=False, alive=False) as foe:
            record = encode_addresses(mesh.mesh_id, AddressesRecord(foe.identity.author, 0, 1, 1, (("127.0.0.1", 9),)))
            await foe.say(Hello(1, (record, bytes(64)), "liar"))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(foe.listen)
                await until(foe.ended.is_set)
                nursery.cancel_scope.cancel()
            assert foe.bye == CloseCode.SIGNATURE
        assert hub.dropped(Reason.BAD_SIGNATURE) == 1
