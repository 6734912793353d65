"""How events lie in the tables: batches in, what a start needs and chunks of payloads out.

Invariants: applying a batch twice leaves what applying it once does; a payload row is emptied and never deleted or
changed otherwise (see :mod:`meshnode.storage.database`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from protocol.effects import LoadPayload, StoreEvents
from protocol.ids import AuthorId, EventId
from protocol.inputs import PayloadLoaded, StoredLedger
from protocol.limits import CHUNK_BYTES
from protocol.wire.events import Payload, StoredEvent

RESTORED: Final = "restored"

_ADD_EVENT: Final = (
    "INSERT INTO events (id, author, seq, indexed, signed, sig) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
)
_ADD_PAYLOAD: Final = "INSERT INTO payloads (event, salt, content) VALUES (?, ?, ?) ON CONFLICT (event) DO NOTHING"
_ERASE: Final = "UPDATE payloads SET event = NULL, salt = NULL, content = NULL WHERE event = ?"
_FORGET: Final = "DELETE FROM events WHERE id = ?"
_ADD_FORK: Final = "INSERT INTO forks (proof) VALUES (?) ON CONFLICT (proof) DO NOTHING"
_ADD_AUTHOR: Final = (
    "INSERT INTO authors (author, key_state) VALUES (?, ?) "
    "ON CONFLICT (author) DO UPDATE SET key_state = excluded.key_state"
)
_LEDGER: Final = """
    SELECT e.id, e.author, e.seq, e.signed, e.sig, e.indexed, p.event IS NOT NULL,
           CASE WHEN e.indexed THEN p.salt END, CASE WHEN e.indexed THEN p.content END
    FROM events e LEFT JOIN payloads p ON p.event = e.id ORDER BY e.author, e.seq, e.id
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is committed together: one effect of the Node, and the key states of authors it is the first to need."""

    effect: StoreEvents
    key_states: tuple[tuple[AuthorId, bytes], ...] = ()


def apply_batches(connection: sqlite3.Connection, batches: Sequence[Batch]) -> bool:
    """Write the batches in their order, inside the caller's transaction; whether a payload was erased."""
    events: list[tuple[object, ...]] = []
    payloads: list[tuple[object, ...]] = []
    erased, own = False, False
    for batch in batches:
        effect = batch.effect
        own = own or effect.own
        for event in effect.events:
            events.append((event.id, event.author, event.seq, event.indexed, event.signed, event.sig))
            if event.payload is not None:
                payloads.append((event.id, event.payload.salt, event.payload.content))
        if effect.erase or effect.forget or effect.forks or batch.key_states:
            _add(connection, events, payloads)
            connection.executemany(_ADD_AUTHOR, batch.key_states)
            connection.executemany(_ADD_FORK, [(proof,) for proof in effect.forks])
            gone = [(event_id,) for event_id in (*effect.erase, *effect.forget)]
            erased = connection.executemany(_ERASE, gone).rowcount > 0 or erased
            connection.executemany(_FORGET, [(event_id,) for event_id in effect.forget])
    _add(connection, events, payloads)
    if own:  # a restored hub signs only after it has asked others how far it had come
        connection.execute("DELETE FROM marks WHERE name = ?", (RESTORED,))
    return erased


def _add(connection: sqlite3.Connection, events: list[tuple[object, ...]], payloads: list[tuple[object, ...]]) -> None:
    connection.executemany(_ADD_EVENT, events)
    connection.executemany(_ADD_PAYLOAD, payloads)
    events.clear()
    payloads.clear()


def read_ledger(connection: sqlite3.Connection) -> StoredLedger:
    """What a Node is told when it starts."""
    events = tuple(
        StoredEvent(
            EventId(event_id),
            AuthorId(author),
            seq,
            signed,
            sig,
            Payload(salt, content) if indexed and held else None,
            bool(held),
            bool(indexed),
        )
        for event_id, author, seq, signed, sig, indexed, held, salt, content in connection.execute(_LEDGER)
    )
    forks = tuple(proof for (proof,) in connection.execute("SELECT proof FROM forks ORDER BY proof"))
    restored = connection.execute("SELECT 1 FROM marks WHERE name = ?", (RESTORED,)).fetchone() is not None
    return StoredLedger(events, forks, restored)


def read_key_states(connection: sqlite3.Connection) -> dict[AuthorId, bytes]:
    """The key states that belong to the events."""
    return {AuthorId(author): state for author, state in connection.execute("SELECT author, key_state FROM authors")}


def read_chunks(connection: sqlite3.Connection, asked: LoadPayload) -> PayloadLoaded:
    """The chunks asked for, as far as there are so many."""
    first = asked.first * CHUNK_BYTES
    row = connection.execute(
        "SELECT salt, substr(content, ?, ?), length(content) FROM payloads WHERE event = ?",
        (first + 1, asked.count * CHUNK_BYTES, asked.event),
    ).fetchone()
    if row is None:
        return PayloadLoaded(asked.peer, asked.event, asked.first, None, ())
    salt, content, size = row
    chunks = tuple(content[start : start + CHUNK_BYTES] for start in range(0, len(content), CHUNK_BYTES))
    if not size and asked.first == 0:
        chunks = (b"",)  # an empty payload is one empty chunk
    return PayloadLoaded(asked.peer, asked.event, asked.first, salt, chunks)


def read_content(connection: sqlite3.Connection, event: EventId) -> bytes | None:
    """A payload's whole content; None if it is not here."""
    row = connection.execute("SELECT content FROM payloads WHERE event = ?", (event,)).fetchone()
    content: bytes | None = None if row is None else row[0]
    return content


def mark_restored(connection: sqlite3.Connection, boot: int) -> None:
    """Say that what came after this copy is not here."""
    connection.execute(
        "INSERT INTO marks (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (RESTORED, boot),
    )


def payload_bytes(events: Iterable[StoredEvent]) -> int:
    """About what events weigh in memory while they wait to be written."""
    size = 0
    for event in events:
        size += len(event.signed) + 256 + (0 if event.payload is None else len(event.payload.content))
    return size
