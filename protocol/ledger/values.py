"""What the ledger is told and what it answers: configuration, effects, and heads (ledger.py is the door).

What is stored and read back is in ``protocol.effects.StoreEvents`` and ``protocol.inputs.StoredLedger``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Final, TypeAlias, final

from protocol.clock import MINUTE, SECOND, Duration
from protocol.effects import LedgerNews, LoadPayload, SetTimer, StoreEvents
from protocol.errors import Reason
from protocol.ids import AuthorId, EventId
from protocol.inputs import TimerKey
from protocol.limits import VERIFY_PER_SECOND
from protocol.wire.events import Event, EventMessage, EventRecord

TIMER: Final[TimerKey] = ("ledger",)
"""The one key of :class:`SetTimer`."""

NO_EVENT: Final = EventId(bytes(32))
"""Stands in a frontier for all heads of an author who has as many branches as are kept."""


class Standing(IntEnum):
    """What an author is to this hub: met in person, in this mesh, or only heard of."""

    UNKNOWN = 0
    ADMITTED = 1
    CONTACT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What one author, and all of one standing together, may take; counts, bytes of payload, events a minute.

    ``events``: of one author (1..65,536). ``events_all``: of all such authors (1..2^20): about 1 KB of memory each.
    ``bytes``, ``bytes_all``: payload on disk (0..2^40). ``burst``: events taken at once (1..65,536); a heal brings all
    that was missed. ``per_minute``: and so many afterwards (1..60,000).
    """

    events: int
    events_all: int
    bytes: int
    bytes_all: int
    burst: int
    per_minute: int


KIB, MIB = 1 << 10, 1 << 20
QUOTAS: Final[Mapping[Standing, Quota]] = MappingProxyType(
    {
        Standing.CONTACT: Quota(
            events=2_048, events_all=24_576, bytes=64 * MIB, bytes_all=2_048 * MIB, burst=2_048, per_minute=600
        ),
        Standing.ADMITTED: Quota(
            events=1_024, events_all=24_576, bytes=16 * MIB, bytes_all=512 * MIB, burst=1_024, per_minute=120
        ),
        Standing.UNKNOWN: Quota(
            events=32, events_all=2_048, bytes=256 * KIB, bytes_all=16 * MIB, burst=32, per_minute=6
        ),
    }
)
"""Guesses, to be measured by the durable campaign; the honest side: a checkpoint comes after 192 events and keeps at
most 448, so an honest author never has more than 832 (checkpoints.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerConfig:
    """Times in microseconds; every number is ours.

    ``guard_us``: so long a start waits for somebody to show our own head (1..120 s).
    ``settle_us``: so long after the first answer others may still show a later one (0..10 s).
    ``ask_us``: an author's missing events are asked for at most so often, and then from another peer (0.2..60 s).
    ``waiting_us``: an event whose parents do not come is dropped after this (1..600 s); reconciliation brings it again.
    ``waiting_max``, ``waiting_author_max``, ``waiting_peer_max``: events that wait, in all, of one author, and brought
    by one peer (1..65,536).
    ``waiting_bytes_max``: payloads that wait with them (0..64 MiB).
    ``stall_us``: a payload that does not come on is asked for from another peer (0.2..60 s).
    ``assemblies_max``: payloads gathered at once (1..64), two for each of eight links. ``gathered_bytes_max``: as long
    as these have less than so many bytes together (1..64 MiB). ``small_max``: and so many more (1..64) of at most
    4 KiB, as many as keep ``pace_max`` busy over a round trip of half a second.
    ``checkpoint_count``: so many events after the last checkpoint the author makes one (8..1,024).
    ``checkpoint_branches``: or as soon as the own chain has so many branches (2..8).
    ``writes_max``: own events that wait for the disk or for the restore guard (1..1,024).
    ``serving_max``: events that are queued for one peer on its request (1..65,536).
    ``serving_us``: time between two bundles of them (1 ms..1 s). ``serving_bytes``: size of one (1..60 KiB).
    ``pace_max``: chunks of large payloads given to one peer in a second (1..8,192), or an eighth as many small ones.
    ``checks_burst``: signatures of events that one peer may make us check at once (1..65,536): a whole answer of a peer
    after a heal. ``checks_per_second``: and so many afterwards (1..65,536): 5 % of a core; what is refused comes again.
    ``chain_forks_max``: proofs kept, one an author (1..65,536).
    """

    guard_us: Duration = 10 * SECOND
    settle_us: Duration = SECOND
    ask_us: Duration = SECOND
    waiting_us: Duration = MINUTE
    waiting_max: int = 1_024
    waiting_author_max: int = 128
    waiting_peer_max: int = 128
    waiting_bytes_max: int = MIB
    stall_us: Duration = 3 * SECOND
    assemblies_max: int = 16
    gathered_bytes_max: int = 6 * MIB
    small_max: int = 64
    checkpoint_count: int = 192
    checkpoint_branches: int = 4
    writes_max: int = 64
    serving_max: int = 4_096
    serving_us: Duration = 20_000
    serving_bytes: int = 16 * KIB
    pace_max: int = 1_024
    checks_burst: int = 4_096
    checks_per_second: int = VERIFY_PER_SECOND
    chain_forks_max: int = 1_024
    quotas: Mapping[Standing, Quota] = field(default_factory=lambda: QUOTAS)


KeyOf: TypeAlias = Callable[[AuthorId, int], bytes | None]
"""Port: an author's public key of one rotation; None if it is not known here."""

StandingOf: TypeAlias = Callable[[AuthorId], Standing]
"""Port: what an author is to this hub now."""


@dataclass(frozen=True, slots=True, order=True)
class Head:
    """One element of the frontier: the last stored event of one branch, nothing of which is missing here."""

    author: AuthorId
    incarnation: int
    event: EventId


@final
@dataclass(slots=True)  # not frozen: a hot one
class Say:
    """Send ``message`` to ``peer``."""

    peer: AuthorId
    message: EventMessage


@final
@dataclass(slots=True)  # not frozen: a hot one
class Spread:
    """This event is new here and verified: give it to everybody but ``peer`` (None: it is our own)."""

    record: EventRecord
    event: Event
    peer: AuthorId | None


@final
@dataclass(slots=True)  # not frozen: a hot one
class Frontier:
    """The frontier has changed; ``removed`` is never larger than what was added before. ``gone``: authors of whom
    nothing is held any more."""

    removed: tuple[Head, ...]
    added: tuple[Head, ...]
    gone: tuple[AuthorId, ...] = ()


@final
@dataclass(slots=True)  # not frozen: a hot one
class NeedKeys:
    """``peer`` has shown an event whose author's key is not known here; it waits for ``keys_learnt``."""

    peer: AuthorId
    author: AuthorId


@final
@dataclass(slots=True)  # not frozen: a hot one
class Refused:
    """Something that ``peer`` sent had no effect, and why."""

    peer: AuthorId | None
    reason: Reason
    detail: str = ""


LedgerEffect: TypeAlias = (
    Say | Spread | StoreEvents | LoadPayload | LedgerNews | Frontier | NeedKeys | SetTimer | Refused
)


@dataclass(frozen=True, slots=True)
class LedgerStatistics:
    """``events`` and ``waiting`` count events, ``wanted`` payloads that are not here, ``bytes`` payloads that are."""

    authors: int
    events: int
    waiting: int
    wanted: int
    bytes: int
    assemblies: int
    forks: int
    guarded: bool
    queued: int
