"""People who move: who is within reach of whom, from a recorded contact trace, and what they carry from one to another.

Source: Génois and Barrat, EPJ Data Science 7:11 (2018), two days of badges in an office (sim/data/README.md). Nobody is
told that somebody has come or gone: discovery tells of whoever comes, silence of whoever goes, and the overlay makes
the links. On every new neighbor link both sides compare what they hold and give what lacks, which stands here for the
reconciliation of events: ids, then what is wanted, then the messages, three trips.
``earliest`` is what nobody can beat: the earliest arrival over the same contacts if links cost nothing (a temporal
shortest path; Dijkstra over contacts, as in Wu et al., "Path Problems in Temporal Graphs", PVLDB 7(9), 2014).
"""

from __future__ import annotations

import csv
import gzip
import heapq
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from protocol.clock import SECOND, Duration, Instant
from protocol.ids import AuthorId
from sim.field import Field
from sim.members import Half


@dataclass(frozen=True, slots=True, order=True)
class Contact:
    """Two people within reach of each other from ``start`` until ``end``."""

    start: Instant
    end: Instant
    one: int
    other: int


def office() -> list[Contact]:
    """The trace that is shipped, in order of time; times are microseconds since midnight of the first day."""
    packed = files("sim").joinpath("data", "office.csv.gz").read_bytes()
    rows = csv.reader(io.StringIO(gzip.decompress(packed).decode()))
    next(rows)
    return [Contact(int(start) * SECOND, int(end) * SECOND, int(one), int(other)) for start, end, one, other in rows]


def squeeze(contacts: Sequence[Contact], gap: Duration) -> list[Contact]:
    """The same contacts with every stretch in which nobody meets anybody cut down to ``gap``; starting at 0."""
    moved: list[Contact] = []
    until, removed = 0, 0
    for contact in contacts:
        if not moved:
            until = removed = contact.start
        elif contact.start - until > gap:
            removed += contact.start - until - gap
        moved.append(Contact(contact.start - removed, contact.end - removed, contact.one, contact.other))
        until = max(until, contact.end)
    return moved


def earliest(contacts: Sequence[Contact], people: int, source: int, at: Instant) -> list[Instant | None]:
    """When each could have heard at the earliest of what ``source`` says at ``at``; None if never."""
    meetings: list[list[tuple[Instant, Instant, int]]] = [[] for _ in range(people)]
    for contact in contacts:
        if contact.end > at:
            meetings[contact.one].append((contact.start, contact.end, contact.other))
            meetings[contact.other].append((contact.start, contact.end, contact.one))
    known: list[Instant | None] = [None] * people
    heap = [(at, source)]
    while heap:
        now, person = heapq.heappop(heap)
        if known[person] is not None:
            continue
        known[person] = now
        for start, end, other in meetings[person]:
            if end > now and known[other] is None:
                heapq.heappush(heap, (max(now, start), other))
    return known


@dataclass(slots=True)
class Carried:
    """One message: who said it when, and who has had it since when."""

    source: int
    at: Instant
    heard: dict[int, Instant] = field(default_factory=dict)


class Carriers:
    """What everybody holds; listens to the neighbors of a field."""

    def __init__(self, field: Field) -> None:
        self.messages: list[Carried] = []
        self._field = field
        self._held: list[dict[int, None]] = [{} for _ in field.members]

    def say(self, source: int) -> Carried:
        """Somebody has something to say to everybody."""
        message = Carried(source, self._field.now)
        self.messages.append(message)
        self._take(source, (len(self.messages) - 1,))
        return message

    def speaks(self, source: int) -> None:
        """The same, for whoever wants nothing back."""
        self.say(source)

    def neighbor_up(self, number: int, peer: AuthorId) -> None:
        """Say what is held."""
        self._send(number, peer, self._offered, tuple(self._held[number]))

    def neighbor_parting(self, number: int, peer: AuthorId) -> None:
        """What is on the way still comes."""

    def neighbor_down(self, number: int, peer: AuthorId) -> None:
        """What was on the way is offered again with the next link."""

    def _send(self, number: int, peer: AuthorId, action: object, ids: tuple[int, ...]) -> None:
        half = self._field.members[number].links.get(peer)
        if half is not None and ids:
            assert callable(action)
            self._field.send(half, action, ids)

    def _offered(self, half: Half, ids: tuple[int, ...]) -> None:
        if half.other.open:
            held = self._held[half.peer]
            self._send(half.peer, half.author, self._wanted, tuple(each for each in ids if each not in held))

    def _wanted(self, half: Half, ids: tuple[int, ...]) -> None:
        if half.other.open:
            held = self._held[half.peer]
            self._send(half.peer, half.author, self._given, tuple(each for each in ids if each in held))

    def _given(self, half: Half, ids: tuple[int, ...]) -> None:
        if half.other.open:
            self._take(half.peer, ids)

    def _take(self, number: int, ids: tuple[int, ...]) -> None:
        """Keep what is new and offer it to all neighbors."""
        held = self._held[number]
        new = tuple(each for each in ids if each not in held)
        for each in new:
            held[each] = None
            self.messages[each].heard[number] = self._field.now
        for other in self._field.members[number].neighbors:
            self._send(number, self._field.members[other].author, self._offered, new)


def play(field: Field, contacts: Sequence[Contact]) -> None:
    """Have the members of a field meet and part as the trace says, from now on."""
    field.scatter()
    for contact in contacts:
        field.kernel.at(field.now + contact.start, field.meet, contact.one, contact.other)
        field.kernel.at(field.now + contact.end, field.part, contact.one, contact.other)
