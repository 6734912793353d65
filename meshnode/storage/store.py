"""A hub's durable events, as the daemon sees them: opened before the loop is busy, then written by one thread.

If the database cannot be opened (damage, a newer schema, no permission) the hub goes on without durable events: every
batch is refused with the reason, nothing is signed, and the file stays as it is.
Invariant: an author's key state is committed with the first of its events that comes after it was learnt, so what is
stored can be verified for ever.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import trio

from meshnode.observe import say
from meshnode.storage.database import database_path, open_database
from meshnode.storage.rows import Batch, read_key_states, read_ledger
from meshnode.storage.writer import GROUP_EVENTS, Health, Writer
from protocol.effects import LoadPayload, StoreEvents
from protocol.errors import StoreError
from protocol.ids import AuthorId, MeshId
from protocol.inputs import LedgerInput, PayloadLoaded, Stored, StoredLedger, StoreFailed

KEY_STATES_WAITING_MAX: Final = 256
"""Key states of authors who have told nothing yet; strangers can make as many as they like."""


class Store:
    """``key_states`` are those that belong to what is stored; ``health`` is empty while all is well, else why nothing
    can be stored. ``answer`` is given the Node's inputs. Made and used in a running Trio loop;
    ``run`` must be started, and closes what was opened."""

    def __init__(
        self,
        directory: Path,
        mesh_id: MeshId,
        answer: Callable[[list[LedgerInput]], object],
        *,
        group_events: int = GROUP_EVENTS,
    ) -> None:
        self.path = database_path(directory, mesh_id)
        self.key_states: dict[AuthorId, bytes] = {}
        self._ledger = StoredLedger(restored=True)  # without what it had said, a hub signs nothing new
        self.health: Health = ""
        self._answer = answer
        self._kept_bytes: dict[AuthorId, int] = {}
        self._waiting: dict[AuthorId, bytes] = {}
        self._learnt: dict[int, dict[AuthorId, bytes]] = {}  # by ticket: on the way to the disk
        self._owed: dict[AuthorId, bytes] = {}  # what a commit that failed did not bring there
        self._writer: Writer | None = None
        self._connection: sqlite3.Connection | None = None
        try:
            self._open(mesh_id, group_events)
        except StoreError as fault:
            self.health = str(fault)
            say("store", f"this hub goes on without durable events: {fault}", level=logging.ERROR)

    def _open(self, mesh_id: MeshId, group_events: int) -> None:
        self._connection = connection = open_database(self.path, mesh_id)
        self.key_states = read_key_states(connection)
        self._ledger = replace(read_ledger(connection), key_states=tuple(self.key_states.values()))
        self._kept_bytes = {author: len(encoded) for author, encoded in self.key_states.items()}
        token = trio.lowlevel.current_trio_token()
        self._writer = Writer(
            self.path,
            connection,
            soon=token.run_sync_soon,
            answer=self._told,
            changed=self._on_change,
            group_events=group_events,
        )

    def take_ledger(self) -> StoredLedger:
        """What the last run has left; handed over once, because it is large."""
        ledger, self._ledger = self._ledger, StoredLedger()
        return ledger

    def know(self, author: AuthorId, encoded: bytes) -> None:
        """Remember a key state until events of its author are stored; a longer one has more rotations and wins."""
        if len(encoded) > max(self._kept_bytes.get(author, 0), len(self._waiting.get(author, b""))):
            self._waiting.pop(author, None)
            self._waiting[author] = encoded
            if len(self._waiting) > KEY_STATES_WAITING_MAX:
                del self._waiting[next(iter(self._waiting))]

    def submit(self, effect: StoreEvents) -> None:
        """Commit one batch; answered by ``Stored`` or ``StoreFailed``, in the order of the batches."""
        if self._writer is None:
            self._answer([StoreFailed(effect.ticket, self.health)])
            return
        learnt, self._owed = self._owed, {}
        for event in effect.events:
            encoded = self._waiting.pop(event.author, None) if self._waiting else None
            if encoded is not None:
                learnt[event.author] = encoded
                self._kept_bytes[event.author] = len(encoded)
        if learnt:
            self._learnt[effect.ticket] = learnt
        self._writer.submit(Batch(effect, tuple(learnt.items())))

    def load(self, asked: LoadPayload) -> None:
        """Read a part of a payload; answered by ``PayloadLoaded``."""
        if self._writer is None:
            self._answer([PayloadLoaded(asked.peer, asked.event, asked.first, None, ())])
            return
        self._writer.load(asked)

    async def run(self) -> None:
        """The life of the writing thread; when cancelled it first brings everything handed over to the disk."""
        writer, connection = self._writer, self._connection
        if writer is None or connection is None:
            return
        with contextlib.closing(connection):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_stop_with_me, writer)
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(writer.work, limiter=trio.CapacityLimiter(1))

    def _told(self, answers: list[LedgerInput]) -> None:
        for one in answers:
            learnt = self._learnt.pop(one.ticket, None) if isinstance(one, Stored | StoreFailed) else None
            if learnt and isinstance(one, StoreFailed):  # they go with whatever is stored next, but not over newer ones
                kept = self._kept_bytes
                self._owed |= {author: state for author, state in learnt.items() if len(state) == kept[author]}
        self._answer(answers)

    def _on_change(self, health: Health) -> None:
        self.health = health
        if health:
            say("store", f"nothing can be stored: {health}", level=logging.ERROR)
        else:
            say("store", "events are stored again")


async def _stop_with_me(writer: Writer) -> None:
    try:
        await trio.sleep_forever()
    finally:
        writer.stop()
