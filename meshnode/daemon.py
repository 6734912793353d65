"""One hub: opens its state, listens, discovers, senses, and lets the Node decide everything else."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import trio

from meshnode.clock import boot_us, utc_ms
from meshnode.config import HubConfig
from meshnode.control import serve_control
from meshnode.discovery.candidate import Candidate
from meshnode.discovery.interfaces import local_hosts, network_interfaces, reachable_addresses, watch_interfaces
from meshnode.discovery.mdns import MdnsHandle, MdnsSettings, run_mdns
from meshnode.discovery.static import parse_peer
from meshnode.driver import Driver
from meshnode.entropy import entropy, fresh_seed
from meshnode.heap import settle_heap
from meshnode.identities import Opened, open_identity
from meshnode.keystore import StateDirectory
from meshnode.moderation import Moderation
from meshnode.observe import Events, say
from meshnode.recorder import Recorder
from meshnode.rehearsals import Rehearsals
from meshnode.sensing.source import run_sensing
from meshnode.storage.store import Store
from meshnode.stories import Pen
from meshnode.transport.admission import Admission
from meshnode.transport.base import Transport
from meshnode.transport.greeting import Greeted, greet
from meshnode.transport.lab import Lab, LabTransport
from meshnode.transport.link import Link
from meshnode.transport.poller import poller
from meshnode.transport.tcp import Tcp
from meshnode.trusting import Encounters
from meshnode.utc import date
from protocol import Node, NodeConfig, ViewsConfig
from protocol.clock import SECOND
from protocol.crypto import DhKey
from protocol.effects import Connect, Event, ForkProven
from protocol.errors import Reason, RemoteProtocolError, StoreError, TransportError
from protocol.identity import decode_key_state
from protocol.ids import AuthorId, LinkId, short
from protocol.inputs import (
    Address,
    CommonsGrant,
    DialFailed,
    InterfaceChanged,
    Leave,
    LedgerInput,
    LinkUp,
    PeerSeen,
    Publish,
    Reading,
    SetGrant,
    Started,
    UtcObserved,
)
from protocol.limits import HANDSHAKE_US
from protocol.link.handshake import Handshake
from protocol.rng import Rng
from protocol.statistics import EventStatistics, NodeStatistics
from protocol.wire.joining import PeerRecord
from protocol.wire.registry import BY_NAME

UTC_EVERY_S = 60.0
LEAVE_S = 1.0
KEEP_EVERY_S = 5.0
KEY_STATES_MAX = 256
AGENT = "meshnode/0.1.0"
OVERTAKEN_MAX = 2
"""So often may a hub meet newer values of its own in one run: a copy that has outlived it and another, on two sides."""
TWIN = "twin"
TWIN_TEXT = "runs with this hub's keys: stop one of the two, or all see now the one and now the other"
FORK_TEXT = "another hub holds a copy of them; stop it, and if it is not yours, rotate your keys"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What is not a setting: ``lab`` opens the rehearsal's fault port; ``with_parent`` ends the hub when its standard
    input does, however its parent died; ``transport`` replaces TCP and ``date`` the machine's in tests; ``node``
    overrides the Node's own settings."""

    lab: bool = False
    with_parent: bool = False
    transport: Transport | None = None
    node: NodeConfig | None = None
    date: Callable[[], UtcObserved] = date


def grant_of(config: HubConfig) -> CommonsGrant | None:
    """What the settings let every admitted hub read; None is the default."""
    share = config.share
    if not share.enabled:
        return None
    dims = tuple(sorted(BY_NAME[name].id for name in share.dimensions))
    return CommonsGrant(
        dims, share.levels, share.cadence_ms, share.lease_ms, share.relay, share.aggregate, share.record
    )


@dataclass(slots=True)
class Hub:
    """The running hub, as the control socket and the tests see it."""

    config: HubConfig
    opened: Opened
    driver: Driver
    events: Events
    store: Store
    admission: Admission
    faults: Lab
    date: Callable[[], UtcObserved] = date
    lab: Lab | None = None
    listen: Address = ("", 0)
    addresses: tuple[Address, ...] = ()
    mdns: MdnsHandle | None = None
    recorder: Recorder | None = None
    ready_us: int = 0
    warnings: dict[str, str] = field(default_factory=dict)
    pen: Pen = field(init=False)
    encounters: Encounters = field(init=False)
    rehearsals: Rehearsals = field(init=False)

    def __post_init__(self) -> None:
        self.pen = Pen(self.driver.feed)
        self.encounters = Encounters(self.driver.feed, self.pen)
        self.rehearsals = Rehearsals(self)
        self.events.listeners += [self.pen.observe, self.encounters.observe, self.rehearsals.observe, self._notice]

    def warn(self, kind: str, message: str) -> None:
        """Something that only the owner can mend: said once, and in the status from now on."""
        if kind not in self.warnings:
            self.warnings[kind] = message
            say(kind, message, level=logging.WARNING)

    def _notice(self, event: Event) -> None:
        if not isinstance(event, ForkProven):
            return
        if event.author == self.opened.identity.author:
            self.warn("fork", f"two different words were signed in one place with this hub's keys: {FORK_TEXT}")
        else:
            say("fork", f"two different words of {short(event.author)} stand in one place", author=event.author.hex())

    def told(self, kind: int) -> tuple[EventStatistics, ...]:
        """The durable events of a kind that are stored here."""
        return self.driver.node.of_kind(kind)

    def statistics(self) -> NodeStatistics:
        """The Node's picture now."""
        return self.driver.node.statistics(boot_us())


class _Daemon:
    """Holds what the tasks of one hub share."""

    def __init__(self, state: StateDirectory, config: HubConfig, options: RunOptions, nursery: trio.Nursery) -> None:
        self._state = state
        self._nursery = nursery
        self._static = DhKey(entropy(32))
        self._link_count = 0
        self._overtaken = 0
        self.poller = poller()
        opened = open_identity(state, config, entropy)
        mesh_id = opened.mesh.mesh_id
        stored = [decode_key_state(encoded, mesh_id) for encoded in state.peer_key_states(mesh_id)]
        self._key_states = {known.author: known.encoded for known in stored}
        self._key_states_changed = trio.Event()
        self._faults = faults = Lab()
        transport: Transport = options.transport if options.transport is not None else Tcp()
        self._transport = LabTransport(transport, faults)
        self._store = store = Store(state.path, mesh_id, self._stored)
        nursery.start_soon(store.run)
        target = config.peers.max_links
        node_config = options.node or NodeConfig(
            agent=AGENT, views=ViewsConfig(links_target=target, links_max=max(16, target))
        )
        node = Node(opened.mesh, opened.identity, Rng(fresh_seed()), node_config)
        events = Events()
        driver = Driver(
            node,
            boot_us,
            dial=lambda connect: nursery.start_soon(self._connect, connect),
            store_boot=self._raise_boot,
            store_key_state=self._store_key_state,
            store_peers=self._store_peers,
            store_trust=self._store_trust,
            keep_key_state=store.know,
            store_events=store.submit,
            load_payload=store.load,
            observe=events.observe,
        )
        lab = faults if options.lab else None
        self.hub = Hub(config, opened, driver, events, store, Admission(), faults, options.date, lab)

    # --- persistence --------------------------------------------------------------------------------------------

    def _raise_boot(self, boot: int) -> None:
        self._overtaken += 1
        if self._overtaken > OVERTAKEN_MAX:
            self.hub.warn(TWIN, f"newer values of this hub come again and again: it seems that another {TWIN_TEXT}")
        try:
            self._state.next_boot(above=boot - 1)
        except StoreError as fault:
            # The hub goes on above the number it was shown; after a crash a peer will have to show it again.
            say("store", f"the boot number {boot} was not written: {fault}", level=logging.ERROR)

    def _stored(self, answers: list[LedgerInput]) -> None:
        self.hub.driver.feed_in_turn(*answers)

    def _store_key_state(self, author: AuthorId, encoded: bytes) -> None:
        self._key_states.pop(author, None)
        self._key_states[author] = encoded
        if len(self._key_states) > KEY_STATES_MAX:
            del self._key_states[next(iter(self._key_states))]
        self._key_states_changed.set()
        say("rotation", f"{author[:5].hex()} has a new key", author=author.hex())

    def _store_peers(self, peers: tuple[PeerRecord, ...]) -> None:
        try:
            self._state.put_peers(self.hub.opened.mesh.mesh_id, peers)
        except StoreError as fault:
            say("store", f"known hubs were not written: {fault}", level=logging.ERROR)

    def _store_trust(self, encoded: bytes) -> None:
        try:
            self._state.put_trust(self.hub.opened.mesh.mesh_id, encoded)
        except StoreError as fault:
            say("store", f"whom this hub blocks or mutes was not written: {fault}", level=logging.ERROR)

    async def keep_key_states(self) -> None:
        """Write others' rotated key states to disk, every few seconds at most: strangers can make many."""
        while True:
            await self._key_states_changed.wait()
            self._key_states_changed = trio.Event()
            self.write_key_states()
            await trio.sleep(KEEP_EVERY_S)

    def finish(self) -> None:
        """The last thing a hub does."""
        if self._key_states_changed.is_set():
            self.write_key_states()

    def write_key_states(self) -> None:
        """Write them now: a few milliseconds, a few times an hour at most."""
        try:
            self._state.put_peer_key_states(self.hub.opened.mesh.mesh_id, tuple(self._key_states.values()))
        except StoreError as fault:
            say("store", f"keys of others were not written: {fault}", level=logging.ERROR)

    # --- links --------------------------------------------------------------------------------------------------

    def _handshake(self, *, initiator: bool, expected: AuthorId | None = None) -> Handshake:
        opened = self.hub.opened
        return Handshake(
            initiator=initiator,
            mesh=opened.mesh,
            identity=opened.identity,
            static=self._static,
            ephemeral=DhKey(entropy(32)),
            expected=expected,
        )

    async def _connect(self, connect: Connect) -> None:
        reason, refused_at = "no address", None
        for address in connect.addresses:
            try:
                with trio.fail_after(connect.timeout_us / SECOND):
                    await self._faults.passage(connect.expected)
                    sock = await self._transport.dial(address)
            except trio.TooSlowError:
                reason = "dial timed out"
                continue
            except TransportError as fault:
                reason = str(fault)
                continue
            greeted = await self._greet(sock, self._handshake(initiator=True, expected=connect.expected), True)
            if isinstance(greeted, Greeted):
                self._adopt(sock, greeted, address, connect.dial)
                return
            if greeted == Reason.HANDSHAKE_TWIN:
                self.hub.warn(TWIN, f"another hub, at {address[0]}, {TWIN_TEXT}")
            reason, refused_at = greeted, address
        self.hub.driver.feed(DialFailed(connect.dial, reason, refused_at))

    async def _greet(self, sock: socket.socket, handshake: Handshake, initiator: bool) -> Greeted | str:
        """The established link, or why there is none; the socket is then closed."""
        kept = False
        try:
            with trio.fail_after(HANDSHAKE_US / SECOND):
                await self._faults.greeting()
                greeted = await greet(sock, handshake, initiator=initiator, blocks=self._faults.blocks)
            kept = True
            return greeted
        except trio.TooSlowError:
            self.hub.driver.count(Reason.HANDSHAKE_TIMEOUT)
            return Reason.HANDSHAKE_TIMEOUT
        except RemoteProtocolError as fault:
            self.hub.driver.count(fault.reason)
            return fault.reason
        except TransportError as fault:
            return str(fault)
        finally:
            if not kept:
                self._faults.part(sock)

    def accept(self, sock: socket.socket, host: str) -> None:
        """A stranger has connected: give it a place among the pending, or close."""
        if self._faults.blocks_host(host):
            self._faults.part(sock)
            return
        scope = trio.CancelScope()
        ticket = self.hub.admission.enter(host, scope.cancel, boot_us())
        if ticket is None:
            self.hub.driver.count(Reason.HANDSHAKE_LIMIT)
            sock.close()
            return
        self._nursery.start_soon(self._answer, sock, scope, ticket)

    async def _answer(self, sock: socket.socket, scope: trio.CancelScope, ticket: int) -> None:
        greeted: Greeted | str = Reason.HANDSHAKE_LIMIT
        try:
            with scope:
                greeted = await self._greet(sock, self._handshake(initiator=False), False)
        finally:
            self.hub.admission.leave(ticket)
        if isinstance(greeted, Greeted):
            self._adopt(sock, greeted, None, None)
        elif scope.cancelled_caught:
            self.hub.driver.count(Reason.HANDSHAKE_LIMIT)

    def _adopt(self, sock: socket.socket, greeted: Greeted, address: Address | None, dial: int | None) -> None:
        self._link_count += 1
        link = LinkId(self._link_count)
        there = greeted.established
        driver = self.hub.driver
        port = Link(link, there.peer, sock, there.channel, greeted.reader, driver, self._faults, self.poller)
        driver.links[link] = port
        self._nursery.start_soon(self._run_link, port)
        driver.feed(LinkUp(link, there.peer, there.key_state.encoded, there.initiator, address, dial))

    async def _run_link(self, port: Link) -> None:
        try:
            await port.run()
        finally:
            self.hub.driver.links.pop(port.link, None)

    # --- the world ----------------------------------------------------------------------------------------------

    def sighted(self, candidate: Candidate, expected: AuthorId | None = None) -> None:
        """Discovery has found somebody."""
        self.hub.driver.feed(PeerSeen(candidate.name, candidate.addresses, expected))

    def sensed(self, reading: Reading) -> None:
        """The sensors have spoken."""
        self.hub.driver.feed(Publish(reading))

    async def watch_date(self) -> None:
        """Tell the Node the date, and whether anybody vouches for it."""
        while True:
            self.hub.driver.feed(self.hub.rehearsals.date())
            await trio.sleep(UTC_EVERY_S)

    async def relocate(self) -> None:
        """Addresses or interfaces have changed."""
        hub = self.hub
        addresses = reachable_addresses(hub.listen[0], hub.listen[1], network_interfaces())
        hosts = local_hosts()
        say("interfaces", f"this hub is now reachable at {len(addresses)} addresses")
        hub.addresses = addresses
        for link in hub.driver.links.values():
            link.strand(hosts)
        hub.driver.feed(InterfaceChanged(addresses))
        if hub.mdns is not None:
            await hub.mdns.refresh_interfaces()

    async def start(self) -> None:
        """Listen, then tell the Node that it lives, then open every other eye and ear."""
        hub, nursery, config = self.hub, self._nursery, self.hub.config
        # A copy of the state brings an old count back; the date is above it, and a hub without one adds to its count.
        boot = self._state.next_boot(above=utc_ms() // 1_000)
        hub.listen = await nursery.start(self._transport.listen, config.listen.host, config.listen.port, self.accept)
        hub.addresses = reachable_addresses(hub.listen[0], hub.listen[1], network_interfaces())
        met = self._state.peers(hub.opened.mesh.mesh_id)
        ledger = replace(self._store.take_ledger(), fresh=hub.opened.fresh)
        trust = self._state.trust(hub.opened.mesh.mesh_id)
        keys = tuple(self._key_states.values())
        hub.driver.feed(Started(boot, keys, hub.addresses, met, ledger, entropy(16), trust))
        hub.driver.feed(SetGrant(grant_of(config)))
        nursery.start_soon(hub.driver.run_timers)
        if self.poller is not None:
            nursery.start_soon(self.poller.run)
        nursery.start_soon(self.watch_date)
        nursery.start_soon(hub.rehearsals.run)
        nursery.start_soon(self.keep_key_states)
        for text in config.peers.static:
            peer = parse_peer(text)
            self.sighted(peer.candidate, peer.author)
        if config.discovery.mdns:
            settings = MdnsSettings(
                mesh=hub.opened.mesh,
                port=hub.listen[1],
                listen_host=hub.listen[0],
                interfaces=config.discovery.interfaces,
                hide=self._faults.hides,
            )
            hub.mdns = await nursery.start(run_mdns, settings, self.sighted)
        await nursery.start(watch_interfaces, self.relocate)
        await run_sensing(config.sensing, nursery, self.sensed)
        if hub.lab is not None:
            hub.recorder = Recorder(hub.driver.node, boot_us)
            nursery.start_soon(hub.recorder.run)


@asynccontextmanager
async def open_hub(config: HubConfig, options: RunOptions = RunOptions()) -> AsyncIterator[Hub]:
    """A running hub; leaving the block says BYE to everybody and ends every task.

    Raises:
        MeshError: a setting, the state directory or an address is not usable; nothing is left running.
    """
    with StateDirectory(config.hub.state_dir) as state:
        async with trio.open_nursery() as nursery:
            daemon = _Daemon(state, config, options, nursery)
            await daemon.start()
            hub = daemon.hub
            control = Path(config.hub.state_dir) / "control.sock"
            await nursery.start(serve_control, hub, control)
            hub.ready_us = boot_us()
            settle_heap()
            moderation = Moderation()
            trio.lowlevel.add_instrument(moderation)
            try:
                yield hub
            finally:
                trio.lowlevel.remove_instrument(moderation)
                with trio.CancelScope(shield=True, deadline=trio.current_time() + LEAVE_S):
                    await _leave(hub)
                daemon.finish()
                nursery.cancel_scope.cancel()


async def _leave(hub: Hub) -> None:
    hub.rehearsals.close()
    hub.faults.close()
    hub.driver.feed(Leave())
    while hub.driver.links:
        await trio.sleep(0.01)


async def run_until_signal(config: HubConfig, options: RunOptions, on_ready: Callable[[Hub], Awaitable[None]]) -> None:
    """Run a hub until SIGINT or SIGTERM, or the end of its parent if it was asked to follow it."""
    # Before the door opens: strangers may take every descriptor there is.
    parent = trio.lowlevel.FdStream(os.dup(0)) if options.with_parent else None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with open_hub(config, options) as hub, trio.open_nursery() as nursery:
            await on_ready(hub)
            if parent is not None:
                nursery.start_soon(_follow_parent, parent, nursery.cancel_scope)
            async for number in signals:
                say("stop", f"leaving on signal {number}")
                break
            nursery.cancel_scope.cancel()


async def _follow_parent(stream: trio.lowlevel.FdStream, scope: trio.CancelScope) -> None:
    async with stream:
        while await stream.receive_some(4_096):
            pass
    say("stop", "leaving: the parent process is gone")
    scope.cancel()
