"""Our own chain: what we write is signed once, stored, and only then part of the chain and sent.

One batch is on its way to the disk at a time; what comes meanwhile waits and is signed after it. When the disk has
refused a batch, nobody knows whether it kept it all the same, so what is written next follows an opening, which is
stored alone and, if that fails, tried again as the same bytes. So no seq of one incarnation is ever signed twice, and
nothing is opened twice from one event.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from protocol.errors import DecodeError, Reason
from protocol.identity import LocalIdentity
from protocol.ids import EventId, MeshId
from protocol.inputs import WriteEvent
from protocol.ledger import checkpoints
from protocol.ledger.chain import Chain, Entry
from protocol.ledger.values import LedgerConfig
from protocol.limits import HEADS_MAX, PAYLOAD_BYTES_MAX, SALT_BYTES
from protocol.wire import contents
from protocol.wire.events import (
    CHECKPOINT,
    CONTROL,
    FOR_MESH,
    FOR_SELF,
    GLITCH,
    OPENING,
    PROFILE,
    STOLEN,
    STORY,
    WITHDRAWAL,
    EventFields,
    EventRecord,
    Payload,
    decode_event,
    event_bytes,
)
from protocol.wire.observations import decode_observation


class WriteError(Exception):
    """A write that cannot be done; ``reason`` is for counters, the text for people. Nothing has changed."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Written:
    """One signed event that is on its way to the disk; ``request`` None: nobody asked for it."""

    event: EventRecord
    payload: Payload | None
    request: int | None


@dataclass(slots=True)  # state: changes in place
class _Draft:
    """Where the batch has come to."""

    head: EventRecord | None
    others: tuple[EventId, ...]
    incarnation: int
    written: list[Written]


class Pen:
    """``last`` is the newest event of ours that this hub itself wrote or vouches for; after any other one, or where
    ``opens`` says so, a new incarnation begins. ``boot`` numbers it if nothing of the old ones is left."""

    def __init__(self, mesh_id: MeshId, identity: LocalIdentity, config: LedgerConfig) -> None:
        self._mesh_id = mesh_id
        self._identity = identity
        self._config = config
        self.queue: deque[WriteEvent] = deque()
        self.flight: tuple[Written, ...] = ()
        self.last: EventId | None = None
        self.opens = False
        self.boot = 1
        self._opening: EventRecord | None = None

    # --- asking ---------------------------------------------------------------------------------------------------

    def check(self, write: WriteEvent, chain: Chain, gone: Callable[[Entry], bool]) -> None:
        """Whether this can be written.

        Raises:
            WriteError: it cannot; the message says why.
        """
        if len(self.queue) >= self._config.writes_max:
            raise WriteError(Reason.PENDING_LIMIT, f"{self._config.writes_max} events wait for the disk already")
        if self._is_superseded(chain):
            raise WriteError(Reason.STALE_KEY_STATE, "this key was rotated away: write with the next one")
        if write.audience not in (FOR_MESH, FOR_SELF):
            raise WriteError(Reason.UNKNOWN_AUDIENCE, "there are no circles yet: choose 'mesh' or 'self'")
        if len(write.salt) != SALT_BYTES:
            raise WriteError(Reason.BAD_CONTENT, f"a salt has {SALT_BYTES} bytes")
        if write.content is not None and len(write.content) > PAYLOAD_BYTES_MAX:
            raise WriteError(Reason.BAD_CONTENT, f"a payload has at most {PAYLOAD_BYTES_MAX} bytes")
        try:
            self._check_content(write, chain)
        except DecodeError as fault:
            raise WriteError(Reason.BAD_CONTENT, str(fault)) from fault
        if write.kind not in CONTROL and not checkpoints.has_room(chain, gone, len(self.queue) + len(self.flight)):
            raise WriteError(Reason.LEDGER_FULL, "too much that was neither withdrawn nor has expired: withdraw some")

    def _check_content(self, write: WriteEvent, chain: Chain) -> None:
        content = b"" if write.content is None else write.content
        if write.kind in (CHECKPOINT, OPENING):
            raise WriteError(Reason.BAD_CONTENT, "the hub writes these itself")
        if write.kind in CONTROL and (write.audience != FOR_MESH or write.expires):
            raise WriteError(Reason.BAD_CONTENT, "this is for everybody, and stays")
        if write.kind == PROFILE:
            contents.decode_profile(content)
        elif write.kind == STORY:
            contents.decode_story(content)
        elif write.kind == GLITCH:
            decode_observation(content)
        elif write.kind == STOLEN:
            self._check_stolen(write, content, chain)
        elif write.kind == WITHDRAWAL:
            for name in contents.decode_withdrawal(content):
                entry = chain.entries.get(name)
                if entry is None or entry.event.kind in CONTROL:
                    raise WriteError(Reason.BAD_CONTENT, f"{name.hex()[:10]} is nothing of ours that can be withdrawn")

    def _check_stolen(self, write: WriteEvent, note: bytes, chain: Chain) -> None:
        last = chain.entries.get(write.last_good) if write.last_good is not None else None
        if write.last_good is not None and (last is None or last.named):
            raise WriteError(Reason.BAD_CONTENT, "the last good event is not in our chain")
        head = last.event if last is not None else newest(chain)
        if head is None or self._identity.key_state.rotation <= head.rotation:
            raise WriteError(Reason.BAD_KEY, "a stolen statement needs the next key: rotate first")
        if len(note) > contents.NOTE_BYTES_MAX:
            raise WriteError(Reason.BAD_CONTENT, f"a note has at most {contents.NOTE_BYTES_MAX} bytes")
        contents.decode_base(contents.encode_base(contents.Base((), note.decode(errors="replace"))))

    def _is_superseded(self, chain: Chain) -> bool:
        rotation = self._identity.key_state.rotation
        head = newest(chain)
        return (head is not None and head.rotation > rotation) or (
            chain.base is not None and chain.base.rotation > rotation
        )

    # --- signing --------------------------------------------------------------------------------------------------

    def sign(
        self,
        chain: Chain,
        seen: tuple[EventId, ...],
        stamp: Callable[[], int],
        salt: bytes,
        gone: Callable[[Entry], bool],
    ) -> tuple[Written, ...]:
        """Sign what waits, behind an opening or a checkpoint where one is due; it is in flight until it is stored.

        ``seen`` are heads of others; ``salt`` hides nothing here but has to be there; ``gone`` as in checkpoints.
        """
        head = newest(chain)
        others = tuple(one.event for one in chain.heads() if head is None or one.event != head.id)
        draft = _Draft(head, (*others, *seen)[:HEADS_MAX], 1 if head is None else head.incarnation, [])
        accuses = self.queue[0].kind == STOLEN
        if not accuses and (self.opens or (head is not None and head.id != self.last)):
            self._open(draft, chain, stamp())
            self.flight = tuple(draft.written)
            return self.flight
        if not accuses and checkpoints.is_due(chain, self._config):
            keep = checkpoints.keeps(chain.entries.values(), gone)
            content = contents.encode_base(contents.Base(keep, ""))
            self._add(draft, CHECKPOINT, Payload(salt, content), stamp(), None)
        while self.queue and (not draft.written or self.queue[0].kind != STOLEN):
            write = self.queue.popleft()
            if write.kind == STOLEN:
                self._accuse(draft, write, chain, stamp(), gone)
                break
            payload = None if write.content is None else Payload(write.salt, write.content)
            self._add(draft, write.kind, payload, stamp(), write)
        self.flight = tuple(draft.written)
        return self.flight

    def _open(self, draft: _Draft, chain: Chain, stamp: int) -> None:
        opening, prev = self._opening, None if draft.head is None else draft.head.id
        if opening is not None and opening.prev == prev:
            draft.written.append(Written(opening, None, None))
            return
        draft.incarnation = max([self.boot, *(entry.event.incarnation for entry in chain.entries.values())]) + 1
        self._add(draft, OPENING, None, stamp, None)
        self._opening = draft.head

    def _accuse(
        self, draft: _Draft, write: WriteEvent, chain: Chain, stamp: int, gone: Callable[[Entry], bool]
    ) -> None:
        last = draft.head if write.last_good is None else chain.entries[write.last_good].event
        assert last is not None
        keep = checkpoints.keeps(checkpoints.before(chain, last.id), gone)
        note = (write.content or b"").decode(errors="replace")
        draft.head, draft.others = last, ()
        draft.incarnation = 1 + max(entry.event.incarnation for entry in chain.entries.values())
        self._add(draft, STOLEN, Payload(write.salt, contents.encode_base(contents.Base(keep, note))), stamp, write)

    def _add(self, draft: _Draft, kind: int, payload: Payload | None, stamp: int, write: WriteEvent | None) -> None:
        state = self._identity.key_state
        signed = event_bytes(
            self._mesh_id,
            EventFields(
                author=state.author,
                rotation=state.rotation,
                incarnation=draft.incarnation,
                seq=1 if draft.head is None else draft.head.seq + 1,
                prev=None if draft.head is None else draft.head.id,
                heads=draft.others,
                hlc=stamp,
                kind=kind,
                audience=FOR_MESH if write is None else write.audience,
                expires=0 if write is None else write.expires,
                payload_hash=None if payload is None else payload.hash(),
                payload_size=0 if payload is None else len(payload.content),
            ),
        )
        event = decode_event(self._mesh_id, signed, self._identity.sign(signed))
        draft.head, draft.others = event, ()
        draft.written.append(Written(event, payload, None if write is None else write.request))

    # --- the disk's answer ----------------------------------------------------------------------------------------

    def stored(self) -> tuple[Written, ...]:
        """What is in flight is on the disk."""
        written, self.flight = self.flight, ()
        self.last = written[-1].event.id
        self.opens, self._opening = False, None
        return written

    def failed(self) -> tuple[Written, ...]:
        """What is in flight is not, or may not be, on the disk; returns what is given up."""
        lost, self.flight = self.flight, ()
        self.opens = True
        return tuple(written for written in lost if written.event is not self._opening)


def newest(chain: Chain) -> EventRecord | None:
    """The head behind which we write: of several the one that is furthest."""
    events = [chain.entries[head.event].event for head in chain.heads()]
    return max(events, key=lambda event: (event.rotation, event.incarnation, event.seq, event.id), default=None)
