"""Discovery with real zeroconf on loopback: found, not found, renamed, gone, attacked, and without a network."""

from __future__ import annotations

import os
import random  # noqa: TID251 - mutates packets from a fixed seed
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
from zeroconf import (  # type: ignore[attr-defined]  # the DNS classes are not in zeroconf's __all__
    DNSAddress,
    DNSIncoming,
    DNSOutgoing,
    DNSPointer,
    DNSRecord,
    DNSService,
    DNSText,
    RecordUpdate,
    RecordUpdateListener,
    Zeroconf,
    current_time_millis,
)

from meshnode.discovery import responder as responder_module
from meshnode.discovery.candidate import Candidate
from meshnode.discovery.mdns import Hide, MdnsHandle, MdnsSettings, run_mdns
from meshnode.discovery.records import SERVICE_TYPE, fresh_names, txt_properties
from meshnode.discovery.responder import Responder
from meshnode.discovery.watcher import Mailbox, Watcher
from meshnode.entropy import entropy
from protocol.identity import Mesh, open_mesh

GROUP, PORT = "224.0.0.251", 5353
A, PTR, TXT, SRV, IN, UNIQUE, RESPONSE = 1, 12, 16, 33, 1, 0x8001, 0x8400


def own_mesh() -> Mesh:
    """A mesh that nobody else on this machine is in, so that tests can run beside each other."""
    return open_mesh(entropy(16).hex())


@dataclass
class Hub:
    """A running discovery and what it was offered."""

    handle: MdnsHandle
    offers: list[Candidate] = field(default_factory=list)
    offered: trio.Event = field(default_factory=trio.Event)

    @property
    def name(self) -> str:
        return self.handle.names.instance


async def start(
    nursery: trio.Nursery,
    mesh: Mesh,
    port: int,
    *,
    hide: Hide | None = None,
    interfaces: tuple[str, ...] = ("127.0.0.1",),
) -> Hub:
    """Start discovery on loopback for a listener on ``port``."""
    settings = MdnsSettings(mesh=mesh, port=port, listen_host="127.0.0.1", interfaces=interfaces)
    if hide is not None:
        settings = MdnsSettings(mesh=mesh, port=port, listen_host="127.0.0.1", interfaces=interfaces, hide=hide)
    hub: Hub

    def on_candidate(candidate: Candidate) -> None:
        hub.offers.append(candidate)
        hub.offered.set()

    async def run(*, task_status: trio.TaskStatus[MdnsHandle]) -> None:
        await run_mdns(settings, on_candidate, task_status=task_status)

    hub = Hub(await nursery.start(run))
    return hub


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> float:
    """Wait for a condition that has no event; returns how long it took."""
    begin = trio.current_time()
    with trio.fail_after(seconds):
        while not condition():
            await trio.sleep(0.005)
    return trio.current_time() - begin


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def foreign_threads() -> list[str]:
    """Threads that are neither ours nor trio's cached workers, which end by themselves after ten idle seconds."""
    return [t.name for t in threading.enumerate() if t is not threading.main_thread() and "Trio thread" not in t.name]


class Air:
    """The multicast group on loopback: hears every packet, and can send any."""

    def __init__(self) -> None:
        raw = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        lo = socket.inet_aton("127.0.0.1")
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + lo)
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, lo)
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, struct.pack("B", 255))
        raw.bind((GROUP, PORT))
        raw.setblocking(False)
        self._socket = trio.socket.from_stdlib_socket(raw)
        self.heard: list[bytes] = []

    async def listen(self) -> None:
        while True:
            self.heard.append(await self._socket.recv(9_000))

    async def send(self, data: bytes) -> None:
        await self._socket.sendto(data, (GROUP, PORT))

    async def announce(self, *records: DNSRecord) -> None:
        for packet in response(*records).packets():
            await self.send(packet)

    def of(self, label: str) -> list[bytes]:
        """Packets in which the label stands."""
        return [packet for packet in self.heard if label.encode() in packet]

    def goodbyes(self, instance: str) -> int:
        """How often the instance was withdrawn."""
        return sum(ttl_of(packet, instance) == 0 for packet in self.of(instance))

    def close(self) -> None:
        self._socket.close()


@asynccontextmanager
async def on_the_air() -> AsyncIterator[tuple[trio.Nursery, Air]]:
    """A nursery with a listening :class:`Air`; at the end everything must be gone."""
    files = open_files()
    air = Air()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(air.listen)
            yield nursery, air
            nursery.cancel_scope.cancel()
    finally:
        air.close()
    await until(lambda: foreign_threads() == [])  # a closing that was cut short ends by itself
    assert open_files() <= files + 2  # trio keeps its wake-up pair


def response(*records: DNSRecord) -> DNSOutgoing:
    """One answer that nobody asked for."""
    out = DNSOutgoing(RESPONSE)
    for record in records:
        out.add_answer_at_time(record, 0)
    return out


def announcement(mesh: Mesh, name: str, port: int, literal: str = "127.0.0.1") -> list[DNSRecord]:
    """What a hub of the mesh would say."""
    full, host = f"{name}.{SERVICE_TYPE}", f"h{name[:14]}.local."
    entries = [f"{key}={value}".encode() for key, value in txt_properties(mesh, name).items()]
    rdata = b"".join(bytes([len(entry)]) + entry for entry in entries)
    return [
        DNSPointer(SERVICE_TYPE, PTR, IN, 900, full),
        DNSService(full, SRV, UNIQUE, 120, 0, 0, port, host),
        DNSText(full, TXT, UNIQUE, 900, rdata),
        DNSAddress(host, A, UNIQUE, 120, socket.inet_aton(literal)),
    ]


async def test_two_hubs_of_a_mesh_find_each_other_and_another_mesh_finds_nobody() -> None:
    async with on_the_air() as (nursery, _):
        mesh = own_mesh()
        first, stranger = await start(nursery, mesh, 7001), await start(nursery, own_mesh(), 7003)
        await until(lambda: first.handle.statistics().announced and stranger.handle.statistics().announced)
        begin = trio.current_time()
        second = await start(nursery, mesh, 7002)
        with trio.fail_after(2):
            await first.offered.wait()
            await second.offered.wait()
        assert trio.current_time() - begin < 2
        assert first.offers == [Candidate(second.name, (("127.0.0.1", 7002),))]
        assert second.offers == [Candidate(first.name, (("127.0.0.1", 7001),))]
        await until(lambda: stranger.handle.statistics().foreign >= 2 and first.handle.statistics().foreign >= 1)
        assert stranger.handle.candidates() == ()
        assert stranger.offers == []
        assert first.handle.candidates() == tuple(first.offers)


class Cached(RecordUpdateListener):
    """Says when zeroconf has put something into its cache."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def async_update_records(self, _zc: Zeroconf, _now: float, _records: list[RecordUpdate]) -> None:
        pass

    def async_update_records_complete(self) -> None:
        self.event.set()


async def test_a_peer_that_speaks_while_we_are_still_opening_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh, name = own_mesh(), "abcdefgh234567xy"

    def slow(*, interfaces: list[str]) -> Zeroconf:
        """Opens as ever, but the peer is heard before the watcher listens, and it says the same only once."""
        zc, cached = Zeroconf(interfaces=interfaces), Cached()
        zc.add_listener(cached, None)
        zc.send(response(*announcement(mesh, name, 7002)))
        assert cached.event.wait(10)
        zc.remove_listener(cached)
        return zc

    monkeypatch.setattr(responder_module, "Zeroconf", slow)
    async with on_the_air() as (nursery, _):
        hub = await start(nursery, mesh, 7001)
        with trio.fail_after(10):
            await hub.offered.wait()
        assert hub.offers == [Candidate(name, (("127.0.0.1", 7002),))]


@pytest.mark.parametrize("leaves", [True, False], ids=["leaves", "rotates"])
async def test_an_answer_that_waits_is_not_sent_after_the_goodbye(
    monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    opened: list[Zeroconf] = []

    def noted(*, interfaces: list[str]) -> Zeroconf:
        opened.append(Zeroconf(interfaces=interfaces))
        return opened[-1]

    monkeypatch.setattr(responder_module, "Zeroconf", noted)
    async with on_the_air() as (nursery, air):
        async with trio.open_nursery() as inner:
            hub = await start(inner, own_mesh(), 7001)
            await until(lambda: hub.handle.statistics().announced)
            name, zc = hub.name, opened[0]
            queue = zc.out_queue if leaves else zc.out_delay_queue  # 20 to 120 ms, and a second more
            pointer = DNSPointer(SERVICE_TYPE, PTR, IN, 900, f"{name}.{SERVICE_TYPE}")
            answer: dict[DNSRecord, set[DNSRecord]] = {pointer: set()}
            assert zc.loop is not None
            zc.loop.call_soon_threadsafe(queue.async_add, current_time_millis(), answer)
            if not leaves:
                await hub.handle.rotate()
                waiting = [record for group in queue.queue for record in group.answers]
                assert pointer not in waiting
            inner.cancel_scope.cancel()
        await until(lambda: air.goodbyes(name) == 3)
        lifetimes = [ttl for packet in air.of(name) if (ttl := ttl_of(packet, name)) is not None]
        assert lifetimes[0] == 900
        assert set(lifetimes[lifetimes.index(0) :]) == {0}
        nursery.cancel_scope.cancel()


async def test_new_names_leave_no_string_in_common_with_the_old_ones() -> None:
    async with on_the_air() as (nursery, air):
        hub = await start(nursery, own_mesh(), 7001)
        await until(lambda: hub.handle.statistics().announced)
        old = hub.handle.names
        before = air.of(old.instance)
        air.heard.clear()
        await hub.handle.rotate()
        new = hub.handle.names
        await until(lambda: air.goodbyes(old.instance) == 3)
        air.heard.clear()
        await hub.handle.refresh_interfaces()  # announces again
        after = air.of(new.instance)
        assert before
        assert after
        assert air.of(old.instance) == []
        assert {old.instance, old.host}.isdisjoint({new.instance, new.host})
        others = strangers([*before, *after], {old.instance, new.instance})
        assert (strings(before) & strings(after)) - others == {SERVICE_TYPE, "txtvers=1", "v=1"}
        public = [*PUBLIC, *(name.encode() for name in others)]
        assert not [shared for shared in runs(before) & runs(after) if not any(shared in known for known in public)]
        assert hub.handle.statistics().rotations == 1


PUBLIC = (b"_meshnode", b"txtvers=1", b"txtvers=1\x03v=1")


def ttl_of(packet: bytes, instance: str) -> int | None:
    """The time to live that a response gives to the PTR record of the instance, or None; questions list old ones."""
    message = DNSIncoming(packet)
    for record in message.answers() if message.is_response() else ():
        if isinstance(record, DNSPointer) and record.alias.startswith(instance):
            return int(record.ttl)
    return None


def strings(packets: list[bytes]) -> set[str]:
    """Every name and TXT entry of the packets."""
    found: set[str] = set()
    for packet in packets:
        for record in DNSIncoming(packet).answers():
            found.add(record.name)
            if isinstance(record, DNSPointer):
                found.add(record.alias)
            elif isinstance(record, DNSService):
                found.add(record.server)
            elif isinstance(record, DNSText):
                offset = 0
                while offset < len(record.text):
                    end = offset + 1 + record.text[offset]
                    found.add(record.text[offset + 1 : end].decode("ascii"))
                    offset = end
    return found


def strangers(packets: list[bytes], ours: set[str]) -> set[str]:
    """Other hubs on this machine, which a question lists as known: they may be there all the time."""
    records = [record for packet in packets for record in DNSIncoming(packet).answers()]
    aliases = {record.alias for record in records if isinstance(record, DNSPointer)}
    return {alias for alias in aliases if alias.partition(".")[0] not in ours}


def runs(packets: list[bytes]) -> set[bytes]:
    """Every stretch of 8 printable bytes: names and tags are printable, addresses and lifetimes are not."""
    windows = {packet[at : at + 8] for packet in packets for at in range(len(packet) - 7)}
    return {window for window in windows if all(0x20 <= byte < 0x7F for byte in window)}


async def test_a_peer_that_rotates_is_offered_under_its_new_name_and_forgotten_under_the_old() -> None:
    async with on_the_air() as (nursery, _):
        mesh = own_mesh()
        first, second = await start(nursery, mesh, 7001), await start(nursery, mesh, 7002)
        await until(lambda: bool(first.offers) and bool(second.offers) and second.handle.statistics().announced)
        old = second.name
        await second.handle.rotate()
        await until(lambda: [candidate.name for candidate in first.handle.candidates()] == [second.name])
        assert [candidate.name for candidate in first.offers] == [old, second.name]
        assert first.offers[0].addresses == first.offers[1].addresses
        assert second.offers == [Candidate(first.name, (("127.0.0.1", 7001),))]  # never offered to itself


async def test_a_hub_that_leaves_says_goodbye_and_is_forgotten_without_any_callback() -> None:
    async with on_the_air() as (nursery, air):
        mesh = own_mesh()
        first = await start(nursery, mesh, 7001)
        async with trio.open_nursery() as leaving:
            second = await start(leaving, mesh, 7002)
            await until(lambda: bool(first.offers) and second.handle.statistics().announced)
            begin = trio.current_time()
            leaving.cancel_scope.cancel()
        assert trio.current_time() - begin < 1.0
        await until(lambda: first.handle.candidates() == () and air.goodbyes(second.name) > 0)
        assert len(first.offers) == 1
        assert first.handle.statistics().withdrawn == 1


async def test_garbage_on_the_group_is_survived_and_counted() -> None:
    async with on_the_air() as (nursery, air):
        mesh = own_mesh()
        hub = await start(nursery, mesh, 7001)
        await until(lambda: hub.handle.statistics().announced)
        real = air.of(hub.name)[0]
        chance = random.Random(7)
        for _ in range(300):
            mutated = bytearray(real)
            for _ in range(chance.randrange(1, 9)):
                mutated[chance.randrange(len(mutated))] = chance.randrange(256)
            await air.send(bytes(mutated[: chance.randrange(1, len(mutated) + 1)]))
            await air.send(chance.randbytes(chance.randrange(1, 200)))
        full = f"badbadbadbadbad1.{SERVICE_TYPE}"
        await air.announce(DNSPointer(SERVICE_TYPE, PTR, IN, 900, f"a name with spaces.{SERVICE_TYPE}"))
        await air.announce(DNSPointer(SERVICE_TYPE, PTR, IN, 900, full), DNSText(full, TXT, UNIQUE, 900, b"\x07broken"))
        await until(lambda: hub.handle.statistics().malformed >= 2)
        friend = await start(nursery, mesh, 7002)
        await until(lambda: any(c.name == friend.name for c in hub.offers) and bool(friend.offers))
        assert hub.handle.statistics().announced


async def test_a_flood_of_forged_members_is_bounded_and_a_real_one_is_still_found() -> None:
    async with on_the_air() as (nursery, air):
        mesh = own_mesh()
        hub = await start(nursery, mesh, 7001)
        await until(lambda: hub.handle.statistics().announced)
        for number in range(1_500):
            await air.announce(*announcement(mesh, f"flood{number:011}", 1 + number))
            if number % 100 == 0:
                await trio.sleep(0)
        friend = await start(nursery, mesh, 7002)
        await until(lambda: any(c.name == friend.name for c in hub.offers), 5)
        statistics = hub.handle.statistics()
        assert len(hub.handle.candidates()) == statistics.candidates == 256
        assert statistics.evicted + statistics.dropped > 0


async def test_a_cut_hides_candidates_until_it_heals() -> None:
    cut = True
    async with on_the_air() as (nursery, _):
        mesh = own_mesh()

        def hide(_name: str, addresses: tuple[tuple[str, int], ...]) -> bool:
            return cut and any(port == 7002 for _, port in addresses)

        hub = await start(nursery, mesh, 7001, hide=hide)
        far, near = await start(nursery, mesh, 7002), await start(nursery, mesh, 7003)
        await until(lambda: bool(hub.offers) and hub.handle.statistics().hidden >= 1)
        assert {candidate.name for candidate in hub.offers} == {near.name}
        assert [candidate.name for candidate in hub.handle.candidates()] == [near.name]
        cut = False
        hub.handle.offer_again()
        assert {candidate.name for candidate in hub.offers} == {near.name, far.name}


async def test_without_a_network_it_says_so_tries_on_and_ends_at_once() -> None:
    files = open_files()
    async with trio.open_nursery() as nursery:
        hub = await start(nursery, own_mesh(), 7001, interfaces=("192.0.2.254", "none0"))
        await until(lambda: hub.handle.statistics().failures >= 1)
        statistics = hub.handle.statistics()
        assert not statistics.announced
        assert statistics.fault == "TransportError: none of 192.0.2.254, none0 is up with an address"
        await hub.handle.rotate()
        await hub.handle.refresh_interfaces()  # tries at once instead of after the pause
        await until(lambda: hub.handle.statistics().failures >= 2, 0.5)
        begin = trio.current_time()
        nursery.cancel_scope.cancel()
    assert trio.current_time() - begin < 0.5
    assert foreign_threads() == []
    assert open_files() <= files + 2


async def test_a_hub_that_is_cancelled_while_it_opens_leaves_nothing_behind() -> None:
    files = open_files()
    for pause in (0.0, 0.01, 0.2):
        async with trio.open_nursery() as nursery:
            await start(nursery, own_mesh(), 7001)
            await trio.sleep(pause)
            nursery.cancel_scope.cancel()
    await until(lambda: foreign_threads() == [], 3)  # an abandoned opening closes itself
    assert open_files() <= files + 2


def test_no_record_says_who_or_where_this_is() -> None:
    properties = txt_properties(own_mesh(), "abcdefgh234567xy")
    said = " ".join([*properties, *properties.values()])
    assert socket.gethostname().lower() not in said.lower()
    assert os.environ.get("USER", "no-user") not in said


async def test_the_default_interfaces_of_this_machine_can_be_opened() -> None:
    files = open_files()
    async with trio.open_nursery() as nursery:
        settings = MdnsSettings(mesh=own_mesh(), port=7001)

        async def run(*, task_status: trio.TaskStatus[MdnsHandle]) -> None:
            await run_mdns(settings, lambda _candidate: None, task_status=task_status)

        handle = await nursery.start(run)
        await until(lambda: handle.statistics().announced)
        nursery.cancel_scope.cancel()
    assert foreign_threads() == []
    assert open_files() <= files + 2


def test_a_responder_that_was_closed_before_it_opened_stays_closed() -> None:
    mesh = own_mesh()
    responder = Responder(mesh, Watcher(mesh, Mailbox(lambda: None)), ("127.0.0.1",), "127.0.0.1", 7001)
    responder.close()
    responder.open()
    responder.announce(fresh_names(entropy))
    responder.refresh(fresh_names(entropy))
    responder.ask()
    assert foreign_threads() == []
