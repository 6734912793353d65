"""Durable events: the daemon's writer beside bare sqlite3 with the same schema, settings and size of group.

Ours is everything between the Node's effect and its answer: ``Store.submit`` in the hub's loop, one event a batch as
they come, the writing thread, group commit at FULL, the answer back in the loop. The limit is a plain loop over
``executemany`` and ``COMMIT`` in groups of 64. Both are real time, unlike elsewhere here, because the disk is what is
waited for; they take turns, so that a busy disk is busy for both. Meanwhile a task that wants to sleep for 1 ms says
how late it woke: what the writer costs everything else in the loop, beside the same with nothing to write.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Final

import trio

from benchmarks.measure import Figure, Outcome, Plan
from benchmarks.people import MESH, person
from meshnode.storage.database import database_path, open_database
from meshnode.storage.store import Store
from meshnode.storage.writer import GROUP_EVENTS
from protocol import Bar
from protocol.bars import percentile
from protocol.effects import StoreEvents
from protocol.errors import MeshError
from protocol.ids import EventId
from protocol.inputs import LedgerInput, Stored
from protocol.wire.events import STORY, EventFields, Payload, StoredEvent, decode_event, event_bytes

GROUP: Final = 64
EVENTS: Final = 6_400
PAYLOAD_BYTES: Final = 120
WAITING: Final = 8 * GROUP
AUTHORS: Final = 16
SHARE: Final = 0.65
STALL_MS: Final = 5.0
SLEEP_S: Final = 0.001
STILL_S: Final = 2.0


@dataclass
class Taken:
    """Events a second of each turn, and how late the loop was."""

    rates: dict[str, list[float]] = field(default_factory=dict)
    late_ms: list[float] = field(default_factory=list)
    still_ms: list[float] = field(default_factory=list)

    def ratio(self, ours: str, limit: str) -> float:
        """The median over neighbouring turns."""
        return median(one / other for one, other in zip(self.rates[ours], self.rates[limit], strict=True))


def make_events(count: int) -> list[StoredEvent]:
    """Chains of short stories by several authors, taking turns."""
    heads: dict[int, tuple[int, EventId | None]] = dict.fromkeys(range(AUTHORS), (0, None))
    events = []
    for index in range(count):
        number = index % AUTHORS
        seq, prev = heads[number]
        identity = person(number)
        payload = Payload(index.to_bytes(16, "big"), index.to_bytes(8, "big") * (PAYLOAD_BYTES // 8))
        fields = EventFields(
            author=identity.author,
            rotation=0,
            incarnation=1,
            seq=seq + 1,
            prev=prev,
            kind=STORY,
            payload_hash=payload.hash(),
            payload_size=len(payload.content),
        )
        signed = event_bytes(MESH.mesh_id, fields)
        sig = identity.sign(signed)
        event_id = decode_event(MESH.mesh_id, signed, sig).id
        heads[number] = (seq + 1, event_id)
        events.append(StoredEvent(event_id, identity.author, seq + 1, signed, sig, payload, held=True, indexed=False))
    return events


def bare(folder: Path, events: Sequence[StoredEvent], synchronous: str = "FULL") -> float:
    """Events a second of a loop that does nothing but give rows to sqlite3."""
    connection = open_database(database_path(folder, MESH.mesh_id), MESH.mesh_id)
    with contextlib.closing(connection):
        connection.execute(f"PRAGMA synchronous={synchronous}")
        begin = time.perf_counter()
        for first in range(0, len(events), GROUP):
            group = events[first : first + GROUP]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO events (id, author, seq, indexed, signed, sig) VALUES (?, ?, ?, ?, ?, ?)",
                [(event.id, event.author, event.seq, event.indexed, event.signed, event.sig) for event in group],
            )
            connection.executemany(
                "INSERT INTO payloads (event, salt, content) VALUES (?, ?, ?)",
                [(event.id, event.payload.salt, event.payload.content) for event in group if event.payload],
            )
            connection.execute("COMMIT")
        return len(events) / (time.perf_counter() - begin)


class Telling:
    """The hub's side: keeps so many events waiting, and every one must be answered well."""

    def __init__(self, events: Sequence[StoredEvent]) -> None:
        self._events = enumerate(events)
        self._left = len(events)
        self.done = trio.Event()
        self.store: Store | None = None

    def submit(self, count: int) -> None:
        """Hand over the next ones, one event a batch."""
        assert self.store is not None
        for ticket, event in islice(self._events, count):
            self.store.submit(StoreEvents(ticket, (event,)))

    def hear(self, answers: list[LedgerInput]) -> None:
        """What the Node would be told; for every answer the next event."""
        for answer in answers:
            if not isinstance(answer, Stored):
                raise MeshError(f"not stored: {answer}")
        self._left -= len(answers)
        self.submit(len(answers))
        if not self._left:
            self.done.set()


async def ours(folder: Path, events: Sequence[StoredEvent], group_events: int, late_ms: list[float]) -> float:
    """Events a second from ``submit`` of the first to the answer for the last."""
    telling = Telling(events)
    async with trio.open_nursery() as nursery:
        store = telling.store = Store(folder, MESH.mesh_id, telling.hear, group_events=group_events)
        nursery.start_soon(store.run)
        nursery.start_soon(_watch, late_ms)
        begin = time.perf_counter()
        telling.submit(WAITING)
        await telling.done.wait()
        took = time.perf_counter() - begin
        nursery.cancel_scope.cancel()
    return len(events) / took


async def _watch(late_ms: list[float]) -> None:
    while True:
        begin = time.perf_counter()
        await trio.sleep(SLEEP_S)
        late_ms.append((time.perf_counter() - begin - SLEEP_S) * 1e3)


async def _still(late_ms: list[float]) -> None:
    with trio.move_on_after(STILL_S):
        await _watch(late_ms)


def measure(plan: Plan) -> Outcome:
    """All contestants in turn, each with a fresh database."""
    events = make_events(plan.count(EVENTS))
    taken = Taken()
    _round(events, Taken())  # warms up
    for _ in range(plan.repeats):
        _round(events, taken)
    p99 = percentile(taken.late_ms, 0.99)
    bars = [
        Bar("store: events a second over bare sqlite3", taken.ratio("ours", "bare"), SHARE, "x", at_most=False),
        Bar("store: loop late while writing, p99", p99, STALL_MS, "ms", percentile(taken.still_ms, 0.99)),
    ]
    figures: dict[str, Figure] = {f"{name}, events/s": round(median(rates)) for name, rates in taken.rates.items()}
    figures["larger groups over bare"] = round(taken.ratio("ours, larger groups", "bare"), 3)
    figures["NORMAL over FULL, both bare"] = round(taken.ratio("bare, NORMAL", "bare"), 3)
    figures["loop late p50 ms"] = percentile(taken.late_ms, 0.5)
    figures["loop late p50 ms with nothing to write"] = percentile(taken.still_ms, 0.5)
    return Outcome(bars, figures)


def _round(events: Sequence[StoredEvent], taken: Taken) -> None:
    trio.run(_still, taken.still_ms)
    rates = {
        "bare": _fresh(lambda folder: bare(folder, events)),
        "ours": _fresh(lambda folder: trio.run(ours, folder, events, GROUP, taken.late_ms)),
        "ours, larger groups": _fresh(lambda folder: trio.run(ours, folder, events, GROUP_EVENTS, [])),
        "bare, NORMAL": _fresh(lambda folder: bare(folder, events, "NORMAL")),
    }
    for name, rate in rates.items():
        taken.rates.setdefault(name, []).append(rate)


def _fresh(contest: Callable[[Path], float]) -> float:
    with tempfile.TemporaryDirectory(prefix="meshnode-store-") as folder:
        return contest(Path(folder))
