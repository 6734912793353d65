"""A world of hubs in virtual time: performs every effect of every Node, and is otherwise weather.

One seed, one world: every choice is drawn from a child of ``Rng(seed)`` named after what it is for, so that a hub
more or a lost frame elsewhere does not shift the others. Each hub has a boot time of its own (``Host.clock``): a
Node that compared two hubs' clocks would be found out.
Invariants: a Node is told of ``Started`` first in each life; effects are performed in their order; a timer fires at
or after its instant and never after ``CancelTimer``; nothing reaches a life that has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, TextIO

from protocol.clock import MINUTE, MS, SECOND, Duration, Instant
from protocol.crypto import Verifier
from protocol.effects import (
    CancelTimer,
    Connect,
    Disconnect,
    Drop,
    Effect,
    Emit,
    Event,
    KeepKeyState,
    LoadPayload,
    Send,
    SetTimer,
    StoreBoot,
    StoreEvents,
    StoreKeyState,
    StorePeers,
    StoreTrust,
)
from protocol.identity import LocalIdentity, Mesh, open_mesh
from protocol.ids import AuthorId
from protocol.inputs import (
    CommonsGrant,
    Input,
    InterfaceChanged,
    LoopLagged,
    Publish,
    SetGrant,
    Started,
    TimerFired,
    UtcObserved,
)
from protocol.node import Node, NodeConfig
from protocol.rng import Rng
from protocol.statistics import NodeStatistics
from protocol.wire.registry import AROUSAL
from sim import keys, network
from sim.discovery import Discovery, Hints
from sim.host import PARTS, Host, Machine
from sim.kernel import Kernel
from sim.paths import Paths, Quality
from sim.persons import Person
from sim.stores import Stores
from sim.trace import Trace

DEFAULT_GRANT: Final = CommonsGrant((AROUSAL,), 0, 1_000, 15_000, True, True, False)
EPOCH_UTC_MS: Final = 1_780_000_000_000

Wrap = Callable[[Node, Host], Machine]
MakeNode = Callable[[Mesh, LocalIdentity, Rng, NodeConfig | None, Verifier], Node]


class SafetyViolation(AssertionError):
    """An invariant does not hold; says in which world, when and where. ``rule`` names the invariant in a word or two:
    two violations of one rule are taken for the same fault; ``digest`` is that of the run until then."""

    def __init__(self, what: str, seed: int, now: Instant, node: str, rule: str = "", digest: str = "") -> None:
        super().__init__(f"{what} (seed {seed}, {now} us, node {node})")
        self.rule = rule
        self.digest = digest
        self.what = what
        self.seed = seed
        self.now = now
        self.node = node


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldConfig:
    """``dated`` is the share of hubs that know the date; ``offset_us_max`` bounds how far their boot times lie apart;
    ``drift_ppm_max`` how much their pace differs. ``date_error_ms_max`` bounds how wrong a known date is (up to the
    1,000 ms beyond which it counts as none). ``spread_us``: each pair of hubs is up to this much farther apart than
    ``quality`` says. ``reading_every_us`` is the pace of the sensors; a store takes ``disk_us`` to commit or read."""

    mesh: str = "simulated"
    quality: Quality = field(default_factory=Quality)
    lane: network.Lane = "object"
    crypto: keys.Lane = "stub"
    hints: Hints = field(default_factory=Hints)
    grant: CommonsGrant | None = DEFAULT_GRANT
    reading_every_us: Duration = SECOND
    offset_us_max: Duration = 10 * MINUTE
    drift_ppm_max: int = 0
    dated: float = 0.5
    date_error_ms_max: int = 100
    spread_us: Duration = 0
    disk_us: Duration = 5 * MS


class World:
    """Add hubs, let time pass, cut and heal.

    ``observers`` are told of every Emit, ``signed`` of every signature, ``stepped`` of every step before its effects
    are performed, ``rewound`` of every hub whose boot number went back. ``make_node`` makes the Nodes. ``fired``
    counts what has gone wrong, by kind; ``acting`` is the hub of the last step; in ``peace`` no
    fault happens any more, though those that last may end.
    """

    def __init__(
        self,
        seed: int,
        config: WorldConfig | None = None,
        out: TextIO | None = None,
        make_node: MakeNode = Node,
    ) -> None:
        self.seed = seed
        self.config = config if config is not None else WorldConfig()
        self.kernel = Kernel()
        self.trace = Trace(out)
        self.rng = Rng(seed)
        self.paths = Paths(self.config.quality, self.config.spread_us, self.rng.child("paths"))
        self.keys = keys.Keys(self.config.crypto, self._on_signed)
        self.network = network.Network(
            self.kernel, self.paths, self.rng.child("network"), self.config.lane, self._give_shown
        )
        self.discovery = Discovery(self.kernel, self.paths, self.rng.child("discovery"), self.config.hints, self.give)
        self.mesh = open_mesh(self.config.mesh)
        self.hosts: list[Host] = []
        self.names: dict[str, Host] = {}
        self.authors: dict[AuthorId, Host] = {}
        self.drops: dict[str, int] = {}
        self.observers: list[Callable[[Host, Event], None]] = []
        self.signed: list[Callable[[Host, bytes], None]] = []
        self.stepped: list[Callable[[Host, Input, list[Effect]], None]] = []
        self.rewound: list[Callable[[Host], None]] = []
        self.fired: dict[str, int] = {}
        self.acting: Host | None = None
        self.peace = False
        self._make_node = make_node
        stores = Stores(self.kernel, self.config.disk_us, self.give)
        self._perform: Final[dict[type, Callable[..., None]]] = {
            Send: self.network.send,
            SetTimer: self._set_timer,
            Emit: self._emit,
            Drop: self._drop,
            CancelTimer: lambda host, effect: host.timers.cancel(effect.key),
            Connect: self.network.dial,
            Disconnect: lambda host, effect: self.network.disconnect(host, effect.link, effect.code),
            StoreBoot: self._store_boot,
            StoreKeyState: self._store_key_state,
            StorePeers: self._store_peers,
            StoreTrust: lambda host, effect: host.storage.put_trust(effect.encoded),
            KeepKeyState: stores.keep,
            StoreEvents: stores.store,
            LoadPayload: stores.load,
        }

    # --- hubs ---------------------------------------------------------------------------------------------------

    @property
    def now(self) -> Instant:
        """Microseconds since the world began."""
        return self.kernel.now

    def add(
        self,
        name: str | None = None,
        *,
        at: Instant | None = None,
        mesh: Mesh | None = None,
        grant: CommonsGrant | None = None,
        person: bool = True,
        mood: float | None = None,
        node_config: NodeConfig | None = None,
        wrap: Wrap | None = None,
    ) -> Host:
        """A new hub, started at ``at`` (now if None). ``grant`` None means the config's; ``wrap`` makes an adversary
        of its Node; ``mood`` in [-1, 1] is what its person's arousal wanders around."""
        index = len(self.hosts)
        label = name if name is not None else f"n{index}"
        rng = self.rng.child(f"hub {label}")
        mesh = mesh if mesh is not None else self.mesh
        host = Host(
            index,
            label,
            (f"10.{index >> 16 & 255}.{index >> 8 & 255}.{index & 255}", 7_000),
            mesh,
            self.keys.identity(mesh, rng.child("keys")),
            rng.child("offset").below(self.config.offset_us_max // MS + 1) * MS,
            Person(rng.child("person"), mood) if person else None,
            grant if grant is not None else self.config.grant,
            _drawn(rng.child("drift"), self.config.drift_ppm_max),
        )
        assert label not in self.names, f"two hubs named {label}"
        self.hosts.append(host)
        self.names[label] = host
        self.authors[host.author] = host
        self.network.hosts[host.address] = host
        self.kernel.at(self.now if at is None else at, self._start, host, rng, node_config, wrap)
        if host.person is not None:
            self.kernel.at(self.now + rng.child("reading").below(self.config.reading_every_us), self._read, host)
        return host

    def _start(self, host: Host, rng: Rng, node_config: NodeConfig | None, wrap: Wrap | None) -> None:
        if host.alive:
            return
        host.life += 1
        host.storage.put_boot(host.storage.boot + 1, self.now)  # before the process can say it
        agent = replace(node_config if node_config is not None else NodeConfig(), agent="sim/1")
        life_rng = rng.child(f"life {host.life}")
        host.node = self._make_node(host.mesh, host.identity, life_rng, agent, self.keys.verify)
        host.machine = host.node if wrap is None else wrap(host.node, host)
        host.restart = lambda: self._start(host, rng, node_config, wrap)
        stored = tuple(host.storage.key_states[author] for author in sorted(host.storage.key_states))
        storage, secret = host.storage, life_rng.child("secret").u64().to_bytes(16, "big")
        ledger = storage.disk.ledger(fresh=host.life == 1)
        met, trust = storage.peers, storage.trust
        self.give(host, host.life, Started(storage.boot, stored, (host.address,), met, ledger, secret, trust))
        known = life_rng.child("date").chance(self.config.dated)
        host.date_error_ms = _drawn(life_rng.child("date error"), self.config.date_error_ms_max) if known else None
        if known:
            self.tell_date(host)
        if host.grant is not None:
            self.give(host, host.life, SetGrant(host.grant))
        self.discovery.appeared(host, self.hosts)

    def _read(self, host: Host) -> None:
        assert host.person is not None
        if host.alive and not host.starved_until:
            self.give(host, host.life, Publish(host.person.read(host.clock(self.now))))
        self.kernel.at(self.now + self.config.reading_every_us, self._read, host)

    def crash(self, host: Host, *, power: bool = False) -> None:
        """End the process between two inputs; with ``power`` its machine goes dark as well."""
        if not host.alive:
            return
        self.trace.note(self.now, f"crash {host.name} {power}")
        self.network.crashed(host, power=power)
        host.storage.disk.crash(self.rng.child(f"disk {host.name} {host.life}"), self.now)
        if power:
            self.paths.power(host.index, on=False)
        host.node = host.machine = None
        host.timers = type(host.timers)()
        host.wake_at = host.starved_until = host.fuse = host.told = None
        host.backlog.clear()

    def restart(self, host: Host) -> None:
        """Start a crashed hub again: same identity and storage, one boot higher."""
        if host.alive or host.restart is None:
            return
        self.trace.note(self.now, f"restart {host.name}")
        self.paths.power(host.index, on=True)
        self.network.changed()
        host.restart()

    def starve(self, host: Host, duration: Duration) -> None:
        """The process gets no time for ``duration``: inputs wait, timers are late, then it learns that it lagged."""
        if not host.alive or host.starved_until is not None:
            return
        self.trace.note(self.now, f"starve {host.name} {duration}")
        host.starved_until = self.now + duration
        self.kernel.at(host.starved_until, self._awake, host, host.life, duration)

    def rewind(self, host: Host, age_us: Duration, parts: tuple[str, ...] = PARTS) -> dict[str, int]:
        """What a crashed hub has stored is as it was ``age_us`` ago; returns how many writes of what that undoes."""
        assert not host.alive, "a running process holds its storage"
        lost = host.storage.rewind(self.now - age_us, parts)
        if parts == PARTS and (undone := host.storage.disk.rewind(self.now - age_us)):
            lost["disk"] = undone
        self.trace.note(self.now, f"rewind {host.name} {age_us} {' '.join(parts)} {sum(lost.values())}")
        if "boot" in lost:
            for told in self.rewound:
                told(host)
        return lost

    def rotate_key(self, host: Host) -> None:
        """The person of a crashed hub puts the next key in the place of the one it had."""
        assert not host.alive, "a running process holds its key"
        self.trace.note(self.now, f"rotate {host.name}")
        host.identity = self.keys.rotated(host.mesh, host.identity)

    def move(self, host: Host) -> None:
        """A hub gets another address: its links fall silent, and discovery tells of it anew."""
        old, host.moves = host.address, host.moves + 1
        host.address = (f"172.{15 + host.moves}.{host.index >> 8 & 255}.{host.index & 255}", old[1])
        self.trace.note(self.now, f"move {host.name} {host.address[0]}")
        self.network.moved(host, old)
        self.give(host, host.life, InterfaceChanged((host.address,)))
        if host.alive:
            self.discovery.appeared(host, self.hosts)

    def tell_date(self, host: Host, *, wrong_by_ms: int = 0, known: bool = True) -> None:
        """A hub is told the date, which may be wrong or not vouched for."""
        utc_ms = EPOCH_UTC_MS + self.now // MS + (host.date_error_ms or 0) + wrong_by_ms
        self.give(host, host.life, UtcObserved(utc_ms, self.config.date_error_ms_max if known else None))

    def set_grant(self, host: Host, grant: CommonsGrant | None) -> None:
        """A person changes what is shared."""
        host.grant = grant
        self.give(host, host.life, SetGrant(grant))

    def _awake(self, host: Host, life: int, lag_us: Duration) -> None:
        if host.life != life or not host.alive:
            return
        host.starved_until = None
        self.handle(host, LoopLagged(lag_us))
        self._fire(host)
        waiting, host.backlog = host.backlog, []
        for late, shown in waiting:
            self._step(host, late, shown)
        self.network.awake(host)

    # --- paths --------------------------------------------------------------------------------------------------

    def cut(self, *groups: list[Host], name: str = "") -> None:
        """Nothing passes between hubs that have no group in common; nobody is told."""
        self.trace.note(self.now, "cut " + "|".join(" ".join(host.name for host in group) for group in groups))
        self.paths.cut([[host.index for host in group] for group in groups], name)

    def cut_one_way(self, source: Host, target: Host, name: str | None = None) -> None:
        """Nothing passes from ``source`` to ``target``."""
        self.trace.note(self.now, f"cut {source.name}>{target.name}")
        self.paths.cut_one_way(source.index, target.index, name)

    def clog(self, source: Host, target: Host) -> None:
        """What is sent from ``source`` to ``target`` waits on its way."""
        self.trace.note(self.now, f"clog {source.name}>{target.name}")
        self.paths.clogs[source.index, target.index] = None

    def release(self, source: Host, target: Host) -> None:
        """What waited goes on, all at once."""
        self.trace.note(self.now, f"release {source.name}>{target.name}")
        self.network.release(source.index, target.index)

    def heal(self, name: str | None = None) -> None:
        """The cut of that name ends; without a name all cuts and clogs end."""
        self.trace.note(self.now, "heal" if name is None else f"heal {name}")
        self.paths.heal(name)
        if name is None:
            for source, target in list(self.paths.clogs):
                self.network.release(source, target)
        self.network.changed()

    def reset(self, one: Host, other: Host) -> None:
        """Break the links between two hubs, if there are any."""
        self.trace.note(self.now, f"reset {one.name} {other.name}")
        self.network.reset(one, other)

    # --- time ---------------------------------------------------------------------------------------------------

    def run(self, until: Instant) -> None:
        """Let time pass up to and including ``until``."""
        self.kernel.run(until)

    def wait(self, holds: Callable[[], bool], at_most_us: Duration, every_us: Duration = 100 * MS) -> Duration | None:
        """Let time pass until ``holds``; how long that took, at steps of ``every_us``, or None if it never did."""
        began = self.now
        while not holds():
            if self.now - began >= at_most_us:
                return None
            self.run(self.now + every_us)
        return self.now - began

    def every(self, period: Duration, action: Callable[[], None]) -> None:
        """Call ``action`` after each ``period``, for as long as the world runs."""

        def again() -> None:
            action()
            self.kernel.at(self.now + period, again)

        self.kernel.at(self.now + period, again)

    # --- the driver ---------------------------------------------------------------------------------------------

    def give(self, host: Host, life: int, input: Input) -> None:
        """Tell a hub something, unless the life that it is for has ended; wait if it is starved."""
        self._give_shown(host, life, input, input)

    def _give_shown(self, host: Host, life: int, input: Input, shown: Input) -> None:
        if host.life != life or host.machine is None:
            return
        if host.starved_until is not None:
            host.backlog.append((input, shown))
        else:
            self._step(host, input, shown)

    def handle(self, host: Host, input: Input) -> list[Effect]:
        """Tell a hub something now and perform what it asks for; returns that."""
        return self._step(host, input, input)

    def _step(self, host: Host, input: Input, shown: Input) -> list[Effect]:
        if host.machine is None:
            return []
        self.acting = host
        if type(input) is SetGrant:
            host.told = input.grant
        effects = host.machine.handle(input, host.clock(self.kernel.now))
        self.trace.record(self.kernel.now, host.name, shown, effects)
        for told in self.stepped:
            told(host, input, effects)
        if host.fuse is not None:
            self._perform_some(host, effects)
            return effects
        perform = self._perform
        for effect in effects:
            perform[type(effect)](host, effect)
        return effects

    def _perform_some(self, host: Host, effects: list[Effect]) -> None:
        """As the loop above, for a hub that is to crash between two effects."""
        for number, effect in enumerate(effects):
            if host.fuse is not None and host.fuse <= 0 < number:
                self.count("crash between effects")
                self.crash(host)
            if host.machine is None:
                return
            self._perform[type(effect)](host, effect)
            if host.fuse is not None:
                host.fuse -= 1

    def _set_timer(self, host: Host, effect: SetTimer) -> None:
        at = host.world_at(effect.at)
        if effect.at <= host.clock(self.now):
            raise self.violation("timer", f"timer {effect.key} set to a time that has passed", host)
        host.timers.set(effect.key, at)
        self._wake(host, at)

    def _wake(self, host: Host, at: Instant) -> None:
        if host.wake_at is None or at < host.wake_at:
            host.wake_at = at
            self.kernel.at(at, self._due, host, host.life, at)

    def _due(self, host: Host, life: int, at: Instant) -> None:
        if host.life == life and host.wake_at == at and host.starved_until is None:
            self._fire(host)

    def _fire(self, host: Host) -> None:
        host.wake_at = None
        life = host.life
        while host.life == life and (key := host.timers.pop_due(self.now)) is not None:
            self.handle(host, TimerFired(key))
        due = host.timers.next_at()
        if due is not None and host.life == life:
            self._wake(host, due)

    # --- effects ------------------------------------------------------------------------------------------------

    def _emit(self, host: Host, effect: Emit) -> None:
        for observer in self.observers:
            observer(host, effect.event)

    def _drop(self, host: Host, effect: Drop) -> None:
        self.drops[effect.reason] = self.drops.get(effect.reason, 0) + 1
        host.drops[effect.reason] = host.drops.get(effect.reason, 0) + 1

    def _store_boot(self, host: Host, effect: StoreBoot) -> None:
        host.storage.put_boot(effect.boot, self.now)

    def _store_key_state(self, host: Host, effect: StoreKeyState) -> None:
        host.storage.put_key_state(effect.author, effect.encoded, self.now)

    def _store_peers(self, host: Host, effect: StorePeers) -> None:
        host.storage.put_peers(effect.peers, self.now)

    def _on_signed(self, author: AuthorId, message: bytes) -> None:
        host = self.authors.get(author)
        if host is not None:
            for told in self.signed:
                told(host, message)

    # --- what outsiders see -------------------------------------------------------------------------------------

    def statistics(self, host: Host) -> NodeStatistics:
        """The picture that a living hub has now."""
        assert host.node is not None, f"{host.name} is not running"
        return host.node.statistics(host.clock(self.now))

    def living(self) -> list[Host]:
        """The hubs that run, in the order in which they were added."""
        return [host for host in self.hosts if host.alive]

    def violation(self, rule: str, what: str, host: Host) -> SafetyViolation:
        """An error that says where and when."""
        return SafetyViolation(what, self.seed, self.now, host.name, rule, self.trace.digest())

    def count(self, kind: str) -> None:
        """Something has gone wrong as planned."""
        self.fired[kind] = self.fired.get(kind, 0) + 1


def _drawn(rng: Rng, most: int) -> int:
    """A number in [-most, most]; nothing is drawn if it can only be 0."""
    return rng.between(-most, most) if most else 0
