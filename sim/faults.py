"""Faults as values: what goes wrong in a world and when, so that a plan can be drawn, written down and run again.

A fault whose ``for_us`` is given ends by itself. Each counts in ``World.fired`` under its kind if it had something to
happen to: a crash of a hub that does not run is none. A value names hubs only, so that a plan without some of its
faults, or some of its hubs, is a plan as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from protocol.clock import Duration, Instant
from protocol.inputs import CommonsGrant
from protocol.limits import ROTATIONS_MAX
from sim.host import PARTS, Host
from sim.kernel import Action
from sim.paths import Quality
from sim.words import take_back, tell
from sim.world import World


@dataclass(frozen=True, slots=True)
class Cut:
    """Nothing passes between hubs (by name) that share no group; whoever is in none is with the others in none.

    Groups may overlap. A Cut without ``for_us`` replaces the one before and lasts until Heal.
    """

    groups: tuple[tuple[str, ...], ...]
    for_us: Duration | None = None


@dataclass(frozen=True, slots=True)
class CutOneWay:
    """Nothing passes from ``source`` to ``target``."""

    source: str
    target: str
    for_us: Duration | None = None


@dataclass(frozen=True, slots=True)
class Heal:
    """All cuts and clogs end."""


@dataclass(frozen=True, slots=True)
class Flap:
    """A cut comes and goes: ``times`` times on and off for ``every_us`` each."""

    groups: tuple[tuple[str, ...], ...]
    every_us: Duration
    times: int


@dataclass(frozen=True, slots=True)
class Clog:
    """What is sent from ``source`` to ``target`` waits on its way, and comes all at once."""

    source: str
    target: str
    for_us: Duration


@dataclass(frozen=True, slots=True)
class Crash:
    """The process ends between two inputs; with ``power`` its machine goes dark, too: nobody is told."""

    name: str
    power: bool = False
    for_us: Duration | None = None


@dataclass(frozen=True, slots=True)
class CrashInside:
    """The process ends between two effects of one input, the first time that it can after so many effects."""

    name: str
    effects: int
    for_us: Duration


@dataclass(frozen=True, slots=True)
class LosePower:
    """The machine goes dark, and what it wrote to ``parts`` of its storage in the last ``unsynced_us`` is lost."""

    name: str
    unsynced_us: Duration
    parts: tuple[str, ...]
    for_us: Duration


@dataclass(frozen=True, slots=True)
class RestoreBackup:
    """Somebody puts back what the hub had stored ``age_us`` ago, and starts it again."""

    name: str
    age_us: Duration
    for_us: Duration


@dataclass(frozen=True, slots=True)
class RotateKey:
    """The hub is stopped and starts again under its author's next key, if there is one more."""

    name: str
    for_us: Duration


@dataclass(frozen=True, slots=True)
class CrashMany:
    """All these hubs end at one instant and start again at another."""

    names: tuple[str, ...]
    power: bool
    for_us: Duration


@dataclass(frozen=True, slots=True)
class Restart:
    """A crashed hub starts again."""

    name: str


@dataclass(frozen=True, slots=True)
class Starve:
    """The process gets no time for a while."""

    name: str
    duration_us: Duration


@dataclass(frozen=True, slots=True)
class Move:
    """The hub gets another address; its links fall silent."""

    name: str


@dataclass(frozen=True, slots=True)
class JumpDate:
    """The hub believes for a while in a date that is wrong by so much; then it is told the right one."""

    name: str
    by_ms: int
    for_us: Duration


@dataclass(frozen=True, slots=True)
class LoseDate:
    """Nothing vouches for the hub's date for a while."""

    name: str
    for_us: Duration


@dataclass(frozen=True, slots=True)
class Regrant:
    """The person of a hub shares under other terms from now on; None: shares nothing."""

    name: str
    grant: CommonsGrant | None


@dataclass(frozen=True, slots=True)
class Reset:
    """Every link between two hubs breaks."""

    one: str
    other: str


@dataclass(frozen=True, slots=True)
class Worsen:
    """Every path has this quality from now on; with ``for_us`` the world's own comes back after it."""

    quality: Quality
    for_us: Duration | None = None


@dataclass(frozen=True, slots=True)
class Tell:
    """The person of a hub tells so many stories of ``size`` bytes, one after the other; ``private``: to itself."""

    name: str
    count: int
    every_us: Duration
    size: int
    private: bool


@dataclass(frozen=True, slots=True)
class TakeBack:
    """The person of a hub withdraws one of its stories; ``number`` picks it."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class RefuseDisk:
    """The disk of a hub takes no event for a while."""

    name: str
    for_us: Duration


FAULT_KINDS: Final = (
    "cut",
    "cut during a cut",
    "one-way cut",
    "flap",
    "clog",
    "worse weather",
    "crash",
    "power loss",
    "crash between effects",
    "writes lost: boot",
    "writes lost: key_states",
    "writes lost: peers",
    "backup restored",
    "key rotated",
    "mass restart",
    "starved",
    "other address",
    "date jumps",
    "date lost",
    "grant withdrawn",
    "grant changed",
)
WORD_KINDS: Final = ("told", "told in private", "taken back", "disk refuses", "writes lost: disk")
"""What ``World.fired`` may count: first of every world, then of those in which people tell something."""

NetworkFault: TypeAlias = Cut | CutOneWay | Heal | Flap | Clog | Reset | Worsen
HubFault: TypeAlias = (
    Crash | CrashInside | LosePower | RestoreBackup | RotateKey | CrashMany | Restart | Starve | Move | RefuseDisk
)
PersonFault: TypeAlias = JumpDate | LoseDate | Regrant | Tell | TakeBack
Fault: TypeAlias = NetworkFault | HubFault | PersonFault
Plan: TypeAlias = tuple[tuple[Instant, Fault], ...]


def schedule(world: World, plan: Iterable[tuple[Instant, Fault]]) -> None:
    """Let each fault happen at its instant of the world's time."""
    for at, fault in plan:
        world.kernel.at(at, apply, world, fault)


def apply(world: World, fault: Fault) -> None:
    """Let one fault happen now, unless there is peace."""
    if world.peace:
        return
    match fault:
        case Cut() | CutOneWay() | Heal() | Flap() | Clog() | Reset() | Worsen():
            _to_network(world, fault)
        case JumpDate() | LoseDate() | Regrant() | Tell() | TakeBack():
            _to_person(world, fault)
        case _:
            _to_hub(world, fault)


def _to_network(world: World, fault: NetworkFault) -> None:
    names = world.names
    match fault:
        case Cut(groups, for_us):
            world.count("cut" if not world.paths.cuts() else "cut during a cut")
            _cut(world, groups, for_us)
        case CutOneWay(source, target, for_us):
            world.count("one-way cut")
            name = None if for_us is None else _name(world)
            world.cut_one_way(names[source], names[target], name)
            _later(world, for_us, world.heal, name)
        case Heal():
            world.heal()
        case Flap(groups, every_us, times):
            world.count("flap")
            for number in range(times):
                world.kernel.at(world.now + 2 * number * every_us, _flap, world, groups, every_us)
        case Clog(source, target, for_us):
            world.count("clog")
            world.clog(names[source], names[target])
            _later(world, for_us, world.release, names[source], names[target])
        case Reset(one, other):
            world.reset(names[one], names[other])
        case Worsen(quality, for_us):
            world.count("worse weather")
            world.paths.set_all(quality)
            _later(world, for_us, world.paths.set_all, world.config.quality)
        case _:
            assert_never(fault)


def _to_hub(world: World, fault: HubFault) -> None:
    if isinstance(fault, CrashMany):
        down = [world.names[name] for name in fault.names if world.names[name].alive]
        if len(down) > 1:
            world.count("mass restart")
        for host in down:
            _down(world, host, fault.for_us, power=fault.power)
        return
    host = world.names[fault.name]
    if not host.alive and not isinstance(fault, Restart):
        return
    match fault:
        case Crash(_, power, for_us):
            world.count("power loss" if power else "crash")
            _down(world, host, for_us, power=power)
        case CrashInside(_, effects, for_us):
            host.fuse = effects
            _later(world, for_us, _up, world, host, host.life)
        case LosePower(_, unsynced_us, parts, for_us):
            _down(world, host, for_us, power=True)
            for part in world.rewind(host, unsynced_us, parts):
                world.count(f"writes lost: {part}")
        case RestoreBackup(_, age_us, for_us):
            _down(world, host, for_us, power=False)
            if world.rewind(host, age_us, PARTS):
                world.count("backup restored")
        case RotateKey(_, for_us):
            _down(world, host, for_us, power=False)
            if host.identity.key_state.rotation < ROTATIONS_MAX:
                world.count("key rotated")
                world.rotate_key(host)
        case Restart():
            world.restart(host)
        case Starve(_, duration_us):
            if host.starved_until is None:
                world.count("starved")
            world.starve(host, duration_us)
        case Move():
            world.count("other address")
            world.move(host)
        case RefuseDisk(_, for_us):
            world.count("disk refuses")
            host.storage.disk.refuses = "no space left"
            _later(world, for_us, _room_again, host)
        case _:
            assert_never(fault)


def _to_person(world: World, fault: PersonFault) -> None:
    host = world.names[fault.name]
    if isinstance(fault, Tell):
        for number in range(fault.count):
            world.kernel.at(world.now + number * fault.every_us, _tell, world, host, fault)
    elif isinstance(fault, TakeBack):
        take_back(world, host, fault.number)
    elif isinstance(fault, Regrant):
        world.count("grant withdrawn" if fault.grant is None else "grant changed")
        world.set_grant(host, fault.grant)
    elif host.alive:
        wrong = isinstance(fault, JumpDate)
        world.count("date jumps" if wrong else "date lost")
        world.tell_date(host, wrong_by_ms=fault.by_ms if isinstance(fault, JumpDate) else 0, known=wrong)
        _later(world, fault.for_us, _right_date, world, host, host.life)


def _right_date(world: World, host: Host, life: int) -> None:
    if host.life == life:
        world.tell_date(host, known=host.date_error_ms is not None)


def _tell(world: World, host: Host, fault: Tell) -> None:
    if not world.peace:
        tell(world, host, fault.size, private=fault.private)


def _room_again(host: Host) -> None:
    host.storage.disk.refuses = ""


def _cut(world: World, groups: tuple[tuple[str, ...], ...], for_us: Duration | None) -> None:
    name = "" if for_us is None else _name(world)
    world.cut(*[[world.names[member] for member in group] for group in groups], name=name)
    _later(world, for_us, world.heal, name)


def _flap(world: World, groups: tuple[tuple[str, ...], ...], every_us: Duration) -> None:
    if not world.peace:
        _cut(world, groups, every_us)


def _down(world: World, host: Host, for_us: Duration | None, *, power: bool) -> None:
    world.crash(host, power=power)
    _later(world, for_us, _up, world, host, host.life)


def _up(world: World, host: Host, life: int) -> None:
    if host.life == life:
        host.fuse = None
        world.restart(host)


def _name(world: World) -> str:
    return f"cut {sum(world.fired.values())} at {world.now}"


def _later(world: World, for_us: Duration | None, action: Action, *arguments: object) -> None:
    if for_us is not None:
        world.kernel.at(world.now + for_us, action, *arguments)


def without(fault: Fault, name: str) -> Fault | None:
    """The same fault where there is no hub of that name; None if nothing is left of it."""
    match fault:
        case Cut() | Flap():
            groups = tuple(tuple(member for member in group if member != name) for group in fault.groups)
            left = tuple(group for group in groups if group)
            if len(left) < 1:
                return None
            return Cut(left, fault.for_us) if isinstance(fault, Cut) else Flap(left, fault.every_us, fault.times)
        case CrashMany(names, power, for_us):
            stay = tuple(member for member in names if member != name)
            return CrashMany(stay, power, for_us) if stay else None
        case CutOneWay(source, target) | Clog(source, target) | Reset(source, target):
            return None if name in (source, target) else fault
        case Heal() | Worsen():
            return fault
        case _:
            return None if fault.name == name else fault
