"""Reads a whole database and says whether it can be believed: pages, signatures, chains, payloads.

What is checked: SQLite's own integrity check; every event decodes, is of this mesh, and has the id, author and
sequence number it is filed under; its signature holds under the author's key of its rotation; its predecessor is there
and of the same author, unless the event is a checkpoint or a "stolen" statement, or one that such an event has kept;
every payload held is the one that was signed. An author without a stored key state is counted, not condemned.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from meshnode.storage.database import MIGRATIONS, check_database, mesh_of
from protocol.crypto import verify
from protocol.errors import RemoteProtocolError
from protocol.identity import decode_key_state
from protocol.ids import AuthorId, EventId, MeshId, short
from protocol.limits import ROTATIONS_MAX
from protocol.wire.codec import decode, encode
from protocol.wire.events import BASES, EventRecord, Payload, decode_event, decode_fork

FAULTS_SHOWN_MAX: Final = 100


@dataclass(slots=True)
class Verdict:
    """Counts, and what is wrong; ``fault_count`` also counts the faults that are not listed."""

    mesh: str
    events: int = 0
    authors: int = 0
    signatures: int = 0
    unchecked: int = 0
    payloads: int = 0
    forks: int = 0
    restored: bool = False
    fault_count: int = 0
    faults: list[str] = field(default_factory=list)

    def blame(self, fault: str) -> None:
        """Add a fault."""
        self.fault_count += 1
        if len(self.faults) < FAULTS_SHOWN_MAX:
            self.faults.append(fault)


def verify_database(connection: sqlite3.Connection, path: Path) -> Verdict:
    """Look at everything in one database; nothing is changed.

    Raises:
        StoreDamaged: it is no sound database of ours, so that nothing in it can be looked at.
        StoreError: it is of a newer schema or cannot be read.
    """
    check_database(connection, path, len(MIGRATIONS), thorough=True)
    mesh = mesh_of(connection, path)
    verdict = Verdict(mesh.hex())
    keys = _Keys(connection, mesh, verdict)
    connection.execute("BEGIN")  # one moment of a database that a hub may be writing
    try:
        _verify_events(connection, mesh, keys, verdict)
        verdict.forks = _verify_forks(connection, mesh, verdict)
        verdict.restored = connection.execute("SELECT 1 FROM marks WHERE name = 'restored'").fetchone() is not None
    finally:
        connection.execute("COMMIT")
    return verdict


def _verify_events(connection: sqlite3.Connection, mesh: MeshId, keys: _Keys, verdict: Verdict) -> None:
    query = """
        SELECT e.id, e.author, e.seq, e.signed, e.sig, p.salt, p.content
        FROM events e LEFT JOIN payloads p ON p.event = e.id ORDER BY e.author, e.seq, e.id
    """
    chain: list[EventRecord] = []
    for event_id, author, seq, signed, sig, salt, content in connection.execute(query):
        verdict.events += 1
        try:
            event = decode_event(mesh, signed, sig)
        except RemoteProtocolError as fault:
            verdict.blame(f"event {event_id[:5].hex()} of {short(author)} cannot be read: {fault}")
            continue
        if (event.id, event.author, event.seq) != (event_id, author, seq):
            verdict.blame(f"event {event_id[:5].hex()} of {short(author)} is filed under another name")
        if chain and chain[0].author != event.author:
            _verify_chain(chain, verdict)
            chain = []
        chain.append(event)
        keys.check(event)
        if content is not None:
            verdict.payloads += 1
            if not Payload(salt or b"", content).belongs_to(event):
                verdict.blame(f"the payload of {_name(event)} is not what was signed")
    _verify_chain(chain, verdict)


def _verify_chain(chain: list[EventRecord], verdict: Verdict) -> None:
    """All events of one author, in ascending order of ``seq``."""
    verdict.authors += bool(chain)
    held: dict[EventId, EventRecord] = {event.id: event for event in chain}
    last_base = max((event.seq for event in chain if event.kind in BASES), default=0)
    for event in chain:
        if event.prev is None or event.kind in BASES:
            continue
        before = held.get(event.prev)
        if before is not None and before.seq != event.seq - 1:
            verdict.blame(f"{_name(event)} does not follow the event it names")
        elif before is None and event.seq > last_base:
            verdict.blame(f"what came before {_name(event)} is missing")


def _verify_forks(connection: sqlite3.Connection, mesh: MeshId, verdict: Verdict) -> int:
    count = 0
    for (proof,) in connection.execute("SELECT proof FROM forks"):
        count += 1
        try:
            fork = decode_fork(proof)
            one, other = decode_event(mesh, *fork.one), decode_event(mesh, *fork.other)
        except RemoteProtocolError as fault:
            verdict.blame(f"a proof of a fork cannot be read: {fault}")
            continue
        if one.author != other.author or one.id == other.id:
            verdict.blame(f"a proof of a fork against {short(one.author)} proves nothing")
    return count


class _Keys:
    """The keys of every author by rotation; a key state whose later rotations are cut off is an earlier key state."""

    def __init__(self, connection: sqlite3.Connection, mesh: MeshId, verdict: Verdict) -> None:
        self._connection = connection
        self._mesh = mesh
        self._verdict = verdict
        self._author: AuthorId | None = None
        self._keys: list[bytes] = []

    def check(self, event: EventRecord) -> None:
        """Check one signature; events come sorted by author."""
        if event.author != self._author:
            self._author = event.author
            self._keys = self._read(event.author)
        if event.rotation >= len(self._keys):
            self._verdict.unchecked += 1
        elif verify(self._keys[event.rotation], event.signed, event.sig):
            self._verdict.signatures += 1
        else:
            self._verdict.blame(f"the signature of {_name(event)} is not its author's")

    def _read(self, author: AuthorId) -> list[bytes]:
        row = self._connection.execute("SELECT key_state FROM authors WHERE author = ?", (author,)).fetchone()
        if row is None:
            return []
        try:
            records = decode(row[0])
            assert isinstance(records, tuple)
            prefixes = [encode(records[: count + 1]) for count in range(min(len(records), ROTATIONS_MAX + 1))]
            states = [decode_key_state(prefix, self._mesh) for prefix in prefixes]
        except (RemoteProtocolError, AssertionError) as fault:
            self._verdict.blame(f"the key state of {short(author)} cannot be read: {fault}")
            return []
        if any(state.author != author for state in states):
            self._verdict.blame(f"the key state filed under {short(author)} is another author's")
            return []
        return [state.key for state in states]


def _name(event: EventRecord) -> str:
    return f"event {event.seq} of {short(event.author)}"
