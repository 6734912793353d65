"""What people tell in a world, and a naive model of it: whom it must have reached, and who must never show it again.

``EventWritten`` is an acknowledgement; from then on the words are owed. The model is fed by what hubs are told and by
their news, and compared with their disks; it knows nothing of chains. Invariants, at every step: what was acknowledged
or accepted is still there after a restart, unless an older copy of that disk was put back (``lost``); a payload is what
was told (``corrupted``), is erased only if its author wanted that (``lost``), and not taken again where the withdrawal
is known (``withdrawn``); what is for oneself stays on one's own hub (``private``); nobody is proven to have forked
(``fork``).
Known residue: a hub that was set back, and wrote on while nobody was there to show it what it has forgotten, signs
another event in the place of one that it had signed before (docs/protocol.md, R86). Such proofs are counted; they break
the rule if a neighbor had the earlier event at that moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from protocol.clock import MS, SECOND, Duration, Instant
from protocol.effects import Effect, Event, EventAccepted, EventWritten, ForkProven, PayloadErased, PayloadKept
from protocol.ids import AuthorId, EventId
from protocol.inputs import Input, Started, WriteEvent
from protocol.limits import SALT_BYTES
from protocol.wire.codec import decode
from protocol.wire.contents import Story, decode_withdrawal, encode_story, encode_withdrawal
from protocol.wire.events import DOMAIN_EVENT, FOR_MESH, FOR_SELF, OPENING, STORY, WITHDRAWAL, decode_event
from sim.host import Host
from sim.world import World

LEARN_US: Final = 600 * SECOND
"""So long after the heal everybody in the core must have everything; the figures say how soon it was."""
LOOK_US: Final = 250 * MS
TOLD_EVERY_US: Final = SECOND
"""Pace at which each hub of a core that is whole tells its stories, if they are at most ten: together ten a second."""
SIZES: Final = (*(60,) * 12, *(300,) * 4, *(1_500,) * 2, 6_000, 40_000)
"""Lengths of those stories in bytes: mostly a sentence, now and then more than one chunk."""


def write(world: World, host: Host, kind: int, content: bytes, audience: int = FOR_MESH) -> None:
    """A person asks a hub for an event."""
    host.requests += 1
    salt = world.rng.child(f"salt {host.name} {host.requests}").u64().to_bytes(SALT_BYTES, "big")
    world.give(host, host.life, WriteEvent(host.requests, kind, salt, content, audience))


def tell(world: World, host: Host, size: int, *, private: bool = False) -> None:
    """A person tells a story of so many bytes that nobody else has told."""
    if host.alive:
        world.count("told in private" if private else "told")
        words = f"{host.name} {host.requests} ".ljust(size, "x")
        write(world, host, STORY, encode_story(Story(words, "en")), FOR_SELF if private else FOR_MESH)


def take_back(world: World, host: Host, number: int) -> None:
    """A person withdraws one of the stories of its own that it sees."""
    if host.node is None:
        return
    own = [one.event for one in host.node.of_kind(STORY) if one.author == host.author and one.state == "here"]
    if own:
        world.count("taken back")
        write(world, host, WITHDRAWAL, encode_withdrawal((own[number % len(own)],)))


@dataclass(slots=True)
class Word:
    """What somebody told ``at`` some instant. ``withdrawn``: its author has asked for that; ``reached``: since when the
    hub of that index has it with its payload."""

    host: Host
    at: Instant
    kind: int
    content: bytes
    audience: int
    withdrawn: bool = False
    reached: dict[int, Instant] = field(default_factory=dict)


_Place = tuple[AuthorId, int | EventId | None, int]
"""Where no honest hub signs two events: in an incarnation, or as openings from one event, at one seq."""


@dataclass(slots=True)
class _Shelf:
    """What one hub must have: events that it said it holds (True: with payload), and what it knows to be withdrawn, by
    which event."""

    rewinds: int = 0
    held: dict[EventId, bool] = field(default_factory=dict)
    gone: dict[EventId, EventId] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """What became of the words of one world: how many were acknowledged, how long after the heal everybody had all,
    how long each took to be everywhere while all were connected under ``loss``, and whose restored backups are
    punished by a proof that they could not avoid."""

    words: int = 0
    withdrawn: int = 0
    learnt_us: Duration = 0
    loss: float = 0.0
    delays_us: tuple[Duration, ...] = ()
    forks: int = 0


class Words:
    """Raises :class:`~sim.world.SafetyViolation` from inside the world. ``words`` are those acknowledged."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.words: dict[EventId, Word] = {}
        self.forks: dict[AuthorId, None] = {}
        self._asked: dict[tuple[int, int], Word] = {}
        self._shelves: dict[int, _Shelf] = {}
        self._signed: dict[_Place, EventId] = {}
        self._blind: dict[AuthorId, None] = {}
        self._seeing: dict[AuthorId, None] = {}
        world.stepped.append(self._on_step)
        world.observers.append(self._on_event)
        world.signed.append(self._on_signed)

    def _shelf(self, host: Host) -> _Shelf:
        return self._shelves.setdefault(host.index, _Shelf())

    # --- what is told -----------------------------------------------------------------------------------------------

    def _on_step(self, host: Host, input: Input, _: list[Effect]) -> None:
        if type(input) is Started:
            self._started(host)
        elif type(input) is WriteEvent:
            content = input.content or b""
            word = Word(host, self.world.now, input.kind, content, input.audience)
            self._asked[host.index, input.request] = word
            for name in decode_withdrawal(content) if input.kind == WITHDRAWAL else ():
                if name in self.words:
                    self.words[name].withdrawn = True

    def _started(self, host: Host) -> None:
        """Everything that it had said to be on its disk is there, unless an older disk was put back."""
        shelf, disk = self._shelf(host), host.storage.disk
        if shelf.rewinds == disk.rewinds:
            for name, whole in shelf.held.items():
                if self._is_owed(name) and (name not in disk.events or (whole and name not in disk.payloads)):
                    raise self.world.violation("lost", f"starts without {self._name(name)}, which it had", host)
            return
        shelf.rewinds = disk.rewinds
        shelf.held = {name: name in disk.payloads for name in shelf.held if name in disk.events}
        shelf.gone = {name: by for name, by in shelf.gone.items() if by in disk.events}

    def _on_event(self, host: Host, event: Event) -> None:
        match event:
            case EventWritten(request, record) if (host.index, request) in self._asked:  # else the hub wrote by itself
                word = self._asked.pop((host.index, request))
                self.words[record.id] = word
                word.reached[host.index] = self.world.now
                self._accepted(host, record.id, whole=True)
            case EventAccepted(record) if record.id in self.words:
                self._accepted(host, record.id, whole=record.kind == WITHDRAWAL)
            case PayloadKept(record) if record.id in self.words:
                self._kept(host, record.id)
            case PayloadErased(record) if record.id in self.words:
                if not self.words[record.id].withdrawn:
                    raise self.world.violation("lost", f"erases {self._name(record.id)}, as nobody asked", host)
            case ForkProven(author):
                self._forked(host, author)
            case _:
                pass

    def _accepted(self, host: Host, name: EventId, *, whole: bool) -> None:
        shelf, word = self._shelf(host), self.words[name]
        shelf.held[name] = whole or shelf.held.get(name, False)
        for target in decode_withdrawal(word.content) if word.kind == WITHDRAWAL else ():
            shelf.gone.setdefault(target, name)

    def _kept(self, host: Host, name: EventId) -> None:
        shelf, word = self._shelf(host), self.words[name]
        if name in shelf.gone:
            raise self.world.violation("withdrawn", f"takes {self._name(name)} again", host)
        shelf.held[name] = True
        word.reached.setdefault(host.index, self.world.now)
        self._compare(host, name)

    def _compare(self, host: Host, name: EventId) -> None:
        """What is on a disk is what was told, and may be there."""
        payload, word = host.storage.disk.payloads.get(name), self.words[name]
        if payload is not None and payload.content != word.content:
            raise self.world.violation("corrupted", f"holds something else as {self._name(name)}", host)
        if payload is not None and word.audience == FOR_SELF and host is not word.host:
            raise self.world.violation("private", f"holds {self._name(name)}, which is for its author", host)

    # --- forks ------------------------------------------------------------------------------------------------------

    def _on_signed(self, host: Host, message: bytes) -> None:
        items = decode(message)
        if isinstance(items, tuple) and items[0] == DOMAIN_EVENT:
            event = decode_event(host.mesh.mesh_id, message, bytes(64))
            place = host.author, event.incarnation if event.kind != OPENING else event.prev, event.seq
            earlier = self._signed.setdefault(place, event.id)
            if earlier != event.id:
                peers = [end.peer.host for end in host.ends.values() if end.peer.host.alive]
                if any(earlier in peer.storage.disk.events for peer in peers):
                    self._seeing[host.author] = None
                elif host.storage.disk.rewinds:
                    self._blind[host.author] = None

    def _forked(self, host: Host, author: AuthorId) -> None:
        """Nobody could have kept a hub from it that was set back while nobody near it knew better."""
        if author in self._seeing or author not in self._blind:
            name = self.world.authors[author].name
            raise self.world.violation("fork", f"has a proof against {name}, which is honest", host)
        self.forks[author] = None

    # --- after the heal ---------------------------------------------------------------------------------------------

    def play_out(self, core: list[Host], healed_at: Instant, calm: int) -> Told:
        """Wait until everybody in the core has everything that any of them has; then each tells ``calm`` more."""
        self._wait(core)
        learnt_us = self.world.now - healed_at
        earlier = len(self.words)
        rng = self.world.rng.child("calm")
        every_us = TOLD_EVERY_US * max(1, len(core) // 10)
        for number in range(calm):
            for host in core:
                at = self.world.now + number * every_us + rng.below(every_us // MS) * MS
                self.world.kernel.at(at, tell, self.world, host, rng.choice(SIZES))
        if calm:
            self.world.run(self.world.now + (calm + 1) * every_us)
            self._wait(core)
        delays = [max(word.reached[host.index] for host in core) - word.at for word in self._from(earlier)]
        withdrawn = sum(word.withdrawn for word in self.words.values())
        loss = self.world.config.quality.loss
        return Told(len(self.words), withdrawn, learnt_us, loss, tuple(delays), len(self.forks))

    def _from(self, number: int) -> Iterable[Word]:
        return list(self.words.values())[number:]

    def _wait(self, core: list[Host]) -> None:
        if self.world.wait(lambda: self._lacking(core) is None, LEARN_US, LOOK_US) is None:
            lacking = self._lacking(core)
            assert lacking is not None
            host, what = lacking
            raise self.world.violation("lost", f"{what}, {LEARN_US // SECOND} s after the heal", host)

    def _lacking(self, core: list[Host]) -> tuple[Host, str] | None:
        """Somebody in the core who lacks what another one has, or still has what was withdrawn."""
        owed: dict[EventId, bool] = {}
        gone: dict[EventId, None] = {}
        for host in core:
            shelf = self._shelf(host)
            gone.update(dict.fromkeys(shelf.gone))
            for name, whole in shelf.held.items():
                if self._is_owed(name):
                    owed[name] = owed.get(name, False) or whole
        for host in core:
            disk = host.storage.disk
            for name, whole in owed.items():
                word = self.words[name]
                mine = word.audience == FOR_MESH or host is word.host
                if name not in disk.events:
                    return host, f"lacks {self._name(name)}"
                if whole and mine and name not in disk.payloads:
                    return host, f"lacks the payload of {self._name(name)}"
                self._compare(host, name)
            for name in gone:
                if name in disk.payloads:
                    return host, f"still has {self._name(name)}, which was withdrawn"
        return None

    def _is_owed(self, name: EventId) -> bool:
        """A chain may let go of what was withdrawn, and of the withdrawal with it."""
        word = self.words[name]
        return word.kind == STORY and not word.withdrawn

    def _name(self, name: EventId) -> str:
        word = self.words[name]
        return f"event {name.hex()[:10]} ({len(word.content)} bytes of {word.host.name})"
