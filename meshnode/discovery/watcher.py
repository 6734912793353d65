"""Listens to the mDNS records that zeroconf receives, in zeroconf's thread, and passes candidates on.

Source: RFC 6762 and 6763. Deviation from zeroconf's own ``ServiceBrowser``: that keeps one scheduled refresh for
every name it has ever heard and an unbounded queue in a thread of its own, so a flood of forged names would grow
it without limit (threat T3). We keep no state per name beyond a short list of names still to be resolved.
Invariants: nothing here blocks, raises into zeroconf or touches trio; what leaves is one newest
:class:`Sighting` per name in a :class:`Mailbox` of fixed size, whose oldest entry falls out when it is full.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from zeroconf import (  # type: ignore[attr-defined]  # the DNS classes are not in zeroconf's __all__
    DNSAddress,
    DNSOutgoing,
    DNSPointer,
    DNSQuestion,
    DNSRecord,
    DNSService,
    DNSText,
    RecordUpdate,
    RecordUpdateListener,
    Zeroconf,
    current_time_millis,
)

from meshnode.discovery.candidate import Candidate, ordered
from meshnode.discovery.records import SERVICE_TYPE, Verdict, host_literal, instance_of, judge
from protocol.identity import Mesh
from protocol.inputs import Address
from protocol.limits import CANDIDATES_MAX

log = logging.getLogger(__name__)

MISSING_MAX: Final = 64
"""Names heard of whose address is still unknown; more are a flood, and the oldest is given up."""
ASKED_AT_ONCE_MAX: Final = 8
ASK_SPACING_MS: Final = 250
"""Without it each forged PTR record would make every hub of the mesh send a question."""
ALTERNATIVES_MAX: Final = 4
"""SRV records per name and addresses per host that are looked at."""

_A, _PTR, _TXT, _AAAA, _SRV = 1, 12, 16, 28, 33
_IN: Final = 1
_QUERY: Final = 0


@dataclass(frozen=True, slots=True)
class Sighting:
    """News of one instance: where it is, or None if it said goodbye or its record ran out."""

    name: str
    candidate: Candidate | None


class Mailbox:
    """The newest sighting of each name, from zeroconf's thread to trio's; at most ``CANDIDATES_MAX``."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """``wake`` is called in the thread of :meth:`put` whenever there is something to take."""
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: dict[str, Sighting] = {}
        self.dropped = 0

    def put(self, sighting: Sighting) -> None:
        """Leave a sighting; replaces an older one of the same name and pushes out the oldest if full."""
        with self._lock:
            self._waiting.pop(sighting.name, None)
            if len(self._waiting) >= CANDIDATES_MAX:
                del self._waiting[next(iter(self._waiting))]
                self.dropped += 1
            self._waiting[sighting.name] = sighting
        self._wake()

    def take(self) -> tuple[Sighting, ...]:
        """Everything that waits, oldest first; the box is empty afterwards."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        return tuple(waiting.values())


class Watcher(RecordUpdateListener):
    """Turns records into sightings. Its methods run in zeroconf's thread; counters may be read from any.

    The owner sets ``own`` (our labels, the old ones included while they echo), ``retired`` (the old ones) and
    ``loopback`` (whether loopback addresses can be dialled), each by one assignment.
    """

    def __init__(self, mesh: Mesh, mailbox: Mailbox) -> None:
        self._mesh = mesh
        self._mailbox = mailbox
        self._zeroconf: Zeroconf | None = None
        self._touched: dict[str, bool] = {}
        self._heard: dict[tuple[str, int], list[DNSRecord]] = {}
        self._missing: dict[str, None] = {}
        self._asked_at_ms = 0.0
        self.loopback = False
        self.own: frozenset[str] = frozenset()
        self.retired: frozenset[str] = frozenset()
        self.foreign = 0
        self.malformed = 0
        self.questions = 0

    @property
    def missing(self) -> int:
        """Names whose address is being asked for; at most ``MISSING_MAX``."""
        return len(self._missing)

    def async_update_records(self, zc: Zeroconf, now: float, records: list[RecordUpdate]) -> None:
        """Note which instances a packet concerns; the cache does not hold its records yet."""
        self._zeroconf = zc
        for update in records:
            try:
                self._note(zc, now, update.new)
            except (ValueError, TypeError, LookupError) as fault:
                self._count_malformed(fault)

    def async_update_records_complete(self) -> None:
        """Look the noted instances up, now that the cache is complete, and pass on what was found."""
        touched, self._touched = self._touched, {}
        zc = self._zeroconf
        if zc is None:
            return
        now = current_time_millis()
        for name, gone in touched.items():
            try:
                self._offer(zc, now, name, gone)
            except (ValueError, TypeError, LookupError) as fault:
                self._count_malformed(fault)
        self._heard.clear()
        if self._missing and touched and now - self._asked_at_ms >= ASK_SPACING_MS:
            self._ask_missing(zc, now)

    def ask(self, zc: Zeroconf) -> None:
        """Ask who is there, with the answers we know (RFC 6762, section 7.1); in zeroconf's thread only."""
        now = current_time_millis()
        out = DNSOutgoing(_QUERY)
        out.add_question(DNSQuestion(SERVICE_TYPE, _PTR, _IN))
        for record in zc.cache.get_all_by_details(SERVICE_TYPE, _PTR, _IN)[-CANDIDATES_MAX:]:
            if not record.is_stale(now) and not self._is_retired(record):
                out.add_answer_at_time(record, now)
        zc.async_send(out)
        self.questions += 1
        if self._missing:
            self._ask_missing(zc, now)

    def _is_retired(self, record: DNSRecord) -> bool:
        """Whether the record shows a name that we have left: beside the new one it would link the two epochs."""
        name = instance_of(record.alias) if isinstance(record, DNSPointer) else None
        return name is not None and name.lower() in self.retired

    def _note(self, zc: Zeroconf, now: float, record: DNSRecord) -> None:
        if isinstance(record, DNSPointer):
            if record.type != _PTR or record.name.lower() != SERVICE_TYPE:
                return
            name = instance_of(record.alias)
            if name is None:
                self.malformed += 1
            else:
                self._touched[name] = record.is_expired(now)
            return
        if record.is_expired(now):
            return
        if isinstance(record, DNSService | DNSText | DNSAddress):
            self._heard.setdefault((record.name.lower(), record.type), []).append(record)
        if isinstance(record, DNSService | DNSText):
            name = instance_of(record.name)
            if name is not None:
                self._touched.setdefault(name, False)
        elif isinstance(record, DNSAddress):
            for service in zc.cache.entries_with_server(record.name)[:ALTERNATIVES_MAX]:
                name = instance_of(service.name)
                if name is not None:
                    self._touched.setdefault(name, False)

    def _offer(self, zc: Zeroconf, now: float, name: str, gone: bool) -> None:
        if name.lower() in self.own:
            return
        if gone:
            self._missing.pop(name, None)
            self._mailbox.put(Sighting(name, None))
            return
        texts = [record.text for record in self._records(zc, now, _full(name), _TXT) if isinstance(record, DNSText)]
        verdicts = {judge(self._mesh, name, text) for text in texts}
        if verdicts and Verdict.MEMBER not in verdicts:
            self._missing.pop(name, None)
            self.foreign += Verdict.FOREIGN in verdicts
            self.malformed += Verdict.FOREIGN not in verdicts
            return
        addresses = self._addresses(zc, now, name) if verdicts else ()
        if addresses:
            self._missing.pop(name, None)
            self._mailbox.put(Sighting(name, Candidate(name, addresses)))
        else:
            self._miss(name)

    def _addresses(self, zc: Zeroconf, now: float, name: str) -> tuple[Address, ...]:
        found: list[Address] = []
        for service in self._records(zc, now, _full(name), _SRV):
            if not isinstance(service, DNSService) or not service.port:
                self.malformed += 1
                continue
            for kind in (_A, _AAAA):
                found.extend((host, service.port) for host in self._hosts(zc, now, service.server, kind))
        return ordered(found)

    def _hosts(self, zc: Zeroconf, now: float, server: str, kind: int) -> list[str]:
        records = [r for r in self._records(zc, now, server, kind) if isinstance(r, DNSAddress)]
        hosts = [host_literal(r.address, r.scope_id, loopback=self.loopback) for r in records]
        return [host for host in hosts if host is not None]

    def _records(self, zc: Zeroconf, now: float, name: str, kind: int) -> list[DNSRecord]:
        """The newest few records that still hold: those of this packet, then the cache's, which lists them last.

        The packet comes first because a cache that a flood has filled evicts what runs out soonest, which is what
        an honest hub has just said of its host.
        """
        cached = [record for record in zc.cache.get_all_by_details(name, kind, _IN) if not record.is_expired(now)]
        heard = self._heard.get((name.lower(), kind), [])
        return list(dict.fromkeys([*heard[::-1], *cached[::-1]]))[:ALTERNATIVES_MAX]

    def _miss(self, name: str) -> None:
        if name in self._missing:
            return
        if len(self._missing) >= MISSING_MAX:
            del self._missing[next(iter(self._missing))]
        self._missing[name] = None

    def _ask_missing(self, zc: Zeroconf, now: float) -> None:
        self._asked_at_ms = now
        out = DNSOutgoing(_QUERY)
        for name in list(self._missing)[:ASKED_AT_ONCE_MAX]:
            self._missing[name] = self._missing.pop(name)  # those not asked yet come first next time
            full = _full(name)
            services = [record for record in self._records(zc, now, full, _SRV) if isinstance(record, DNSService)]
            questions = [(full, _SRV), (full, _TXT)]
            questions += [(service.server, kind) for service in services for kind in (_A, _AAAA)]
            for asked, kind in questions:
                out.add_question(DNSQuestion(asked, kind, _IN))
        zc.async_send(out)
        self.questions += 1

    def _count_malformed(self, fault: Exception) -> None:
        self.malformed += 1
        log.debug("mdns: a record could not be read: %s", type(fault).__name__)


def _full(name: str) -> str:
    return f"{name}.{SERVICE_TYPE}"
