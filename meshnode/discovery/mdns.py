"""Discovery by multicast DNS, beside trio: finds other hubs on the local network and is found by them.

Source: RFC 6762, RFC 6763; design decision 10. zeroconf's synchronous interface runs in its own thread and its
blocking calls in worker threads; the two sides meet in one :class:`Mailbox` and ``run_sync_soon``.
Deviations: our own browser (see :mod:`meshnode.discovery.watcher`), and no probing, as names are 80 random bits.
Invariants: discovery only ever adds hints; the end of a record forgets the hint and nothing else; without a
network the task goes on trying; after it has ended no thread or socket of it is left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import trio

from meshnode.discovery.candidate import Candidate, ordered
from meshnode.discovery.records import ServiceNames, fresh_names
from meshnode.discovery.responder import FAULTS, Responder
from meshnode.discovery.watcher import Mailbox, Sighting, Watcher
from meshnode.entropy import entropy
from protocol.errors import TransportError
from protocol.identity import Mesh
from protocol.inputs import Address
from protocol.limits import CANDIDATES_MAX

log = logging.getLogger(__name__)

ROTATION_S: Final = 900.0
"""Names change this often (docs/protocol.md, R9; threat T4)."""
RETRY_S_MIN: Final = 1.0
RETRY_S_MAX: Final = 60.0
ASK_S_MIN: Final = 1.0
ASK_S_MAX: Final = 3600.0
"""Questions double their distance from 1 s to 60 min (RFC 6762, section 5.2)."""
ASK_DELAY_MS: Final = (20, 120)
OPEN_S_MAX: Final = 10.0
CLOSE_S_MAX: Final = 1.0
"""A goodbye takes 0.3 s; a hub that cannot send it leaves without."""

Hide = Callable[[str, tuple[Address, ...]], bool]


def _hide_nothing(name: str, addresses: tuple[Address, ...]) -> bool:  # noqa: ARG001 - the port's shape
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class MdnsSettings:
    """How to be visible.

    ``port`` and ``listen_host`` (an IP literal) are the TCP listener's; ``interfaces`` holds names or addresses,
    empty for all; ``hide(name, addresses)`` says which candidates to keep quiet about (the rehearsal cut).
    """

    mesh: Mesh
    port: int
    listen_host: str = "::"
    interfaces: tuple[str, ...] = ()
    hide: Hide = _hide_nothing
    rotation_s: float = ROTATION_S
    entropy: Callable[[int], bytes] = field(default=entropy)


@dataclass(frozen=True, slots=True, kw_only=True)
class MdnsStatistics:
    """Counts since the task began; ``announced`` says whether we are visible now, ``fault`` why not."""

    announced: bool
    fault: str
    candidates: int
    offered: int
    hidden: int
    withdrawn: int
    evicted: int
    foreign: int
    malformed: int
    dropped: int
    questions: int
    rotations: int
    refreshes: int
    failures: int


class MdnsHandle:
    """The running discovery, as its owner sees it; all methods belong to the trio thread."""

    def __init__(self, settings: MdnsSettings, on_candidate: Callable[[Candidate], None]) -> None:
        self._settings = settings
        self._on_candidate = on_candidate
        self._token = trio.lowlevel.current_trio_token()
        self._news = trio.Event()
        self._mailbox = Mailbox(self._wake)
        self._watcher = Watcher(settings.mesh, self._mailbox)
        self._names = fresh_names(settings.entropy)
        self._watcher.own = frozenset({self._names.instance})
        self._changing = trio.Lock()
        self._responder: Responder | None = None
        self._search = trio.Event()
        self._retry = trio.Event()
        self._broken = trio.Event()
        self._known: dict[str, Candidate] = {}
        self._told: set[str] = set()
        self._announced = False
        self._fault = ""
        self._offered = self._hidden = self._withdrawn = self._evicted = 0
        self._rotations = self._refreshes = self._failures = 0

    @property
    def names(self) -> ServiceNames:
        """The labels of this epoch."""
        return self._names

    def candidates(self) -> tuple[Candidate, ...]:
        """What is remembered and not hidden, the one announced last at the end; at most 256."""
        return tuple(c for c in self._known.values() if not self._settings.hide(c.name, c.addresses))

    def offer_again(self) -> None:
        """Call ``on_candidate`` with everything of :meth:`candidates`: a cut has healed, or links are short."""
        for candidate in self.candidates():
            self._tell(candidate)

    def search(self) -> None:
        """Ask the network anew, at most once a second: all links are lost, or an interface has come up."""
        self._search.set()

    async def rotate(self) -> None:
        """Take new names: announce them, then withdraw the old. Returns when both are done (about 0.9 s)."""
        async with self._changing:
            old, self._names = self._names, fresh_names(self._settings.entropy)
            self._watcher.own = frozenset({old.instance, self._names.instance})
            self._watcher.retired = frozenset({old.instance})
            responder = self._responder
            if responder is not None:
                names = self._names
                await self._attempt(lambda: responder.announce(names))
            self._rotations += 1

    async def refresh_interfaces(self) -> None:
        """Follow a change of interfaces or addresses; opens at once if there was no network until now."""
        self._retry.set()
        async with self._changing:
            responder = self._responder
            if responder is not None and self._announced:
                names = self._names
                await self._attempt(lambda: responder.refresh(names))
            self._refreshes += 1
        self.search()

    def statistics(self) -> MdnsStatistics:
        """A snapshot of all counters."""
        return MdnsStatistics(
            announced=self._announced,
            fault=self._fault,
            candidates=len(self._known),
            offered=self._offered,
            hidden=self._hidden,
            withdrawn=self._withdrawn,
            evicted=self._evicted,
            foreign=self._watcher.foreign,
            malformed=self._watcher.malformed,
            dropped=self._mailbox.dropped,
            questions=self._watcher.questions,
            rotations=self._rotations,
            refreshes=self._refreshes,
            failures=self._failures,
        )

    async def run(self, task_status: trio.TaskStatus[MdnsHandle]) -> None:
        """Serve until cancelled; started at once, because a hub without a network is a hub all the same."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._deliver)
            nursery.start_soon(self._ask_for_ever)
            nursery.start_soon(self._rotate_for_ever)
            task_status.started(self)
            await self._stay_open()

    async def _stay_open(self) -> None:
        pause = RETRY_S_MIN
        while True:
            self._broken = trio.Event()
            self._retry = trio.Event()
            try:
                if await self._open():
                    pause = RETRY_S_MIN
                    await self._broken.wait()
            finally:
                await self._close()
            with trio.move_on_after(pause):
                await self._retry.wait()
            pause = min(2 * pause, RETRY_S_MAX)

    async def _open(self) -> bool:
        settings = self._settings
        responder = Responder(settings.mesh, self._watcher, settings.interfaces, settings.listen_host, settings.port)
        async with self._changing:
            self._responder = responder
            if not await self._attempt(responder.open):
                return False
            self.search()
            names = self._names
            self._announced = await self._attempt(lambda: responder.announce(names))
        if self._announced:
            log.info("mdns: announced as %s", names.instance)
        return self._announced

    async def _close(self) -> None:
        responder, self._responder = self._responder, None
        self._announced = False
        if responder is None:
            return
        with trio.move_on_after(CLOSE_S_MAX, shield=True) as scope:
            try:
                await trio.to_thread.run_sync(responder.close, abandon_on_cancel=True)
            except FAULTS as fault:
                self._fail(fault)
        if scope.cancelled_caught:
            self._fail(TransportError(f"closing took longer than {CLOSE_S_MAX} s"))

    async def _attempt(self, action: Callable[[], None]) -> bool:
        """Run a blocking step; on failure say so once, count it, and let :meth:`_stay_open` begin anew."""
        try:
            with trio.fail_after(OPEN_S_MAX):
                await trio.to_thread.run_sync(action, abandon_on_cancel=True)
        except (*FAULTS, trio.TooSlowError) as fault:
            self._fail(fault)
            self._broken.set()
            return False
        self._fault = ""
        return True

    def _fail(self, fault: BaseException) -> None:
        self._failures += 1
        said = f"{type(fault).__name__}: {fault}"
        level = logging.DEBUG if said == self._fault else logging.WARNING
        log.log(level, "mdns: not visible on the network, will retry: %s", said)
        self._fault = said

    async def _ask_for_ever(self) -> None:
        distance = ASK_S_MAX
        while True:
            with trio.move_on_after(distance - ASK_S_MIN):
                await self._search.wait()
            if self._search.is_set():
                self._search = trio.Event()
                low, high = ASK_DELAY_MS
                await trio.sleep((low + self._settings.entropy(1)[0] * (high - low) / 255) / 1000)
                distance = ASK_S_MIN
            else:
                distance = min(2 * distance, ASK_S_MAX)
            if self._responder is not None:
                self._responder.ask()
            await trio.sleep(ASK_S_MIN)

    async def _rotate_for_ever(self) -> None:
        while True:
            await trio.sleep(self._settings.rotation_s)
            await self.rotate()

    def _wake(self) -> None:
        try:
            self._token.run_sync_soon(self._ring, idempotent=True)
        except trio.RunFinishedError:  # zeroconf's last words after the hub has stopped
            return

    def _ring(self) -> None:
        self._news.set()

    async def _deliver(self) -> None:
        while True:
            await self._news.wait()
            self._news = trio.Event()
            for sighting in self._mailbox.take():
                self._learn(sighting)

    def _learn(self, sighting: Sighting) -> None:
        before = self._known.pop(sighting.name, None)
        told = sighting.name in self._told
        self._told.discard(sighting.name)
        if sighting.candidate is None:
            self._withdrawn += before is not None
            return
        if len(self._known) >= CANDIDATES_MAX:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._told.discard(oldest)
            self._evicted += 1
        old = before.addresses if before is not None else ()
        candidate = Candidate(sighting.name, ordered((*sighting.candidate.addresses, *old)))
        self._known[candidate.name] = candidate
        if self._settings.hide(candidate.name, candidate.addresses):
            self._hidden += 1
        elif told and candidate == before:
            self._told.add(candidate.name)
        else:
            self._tell(candidate)

    def _tell(self, candidate: Candidate) -> None:
        self._told.add(candidate.name)
        self._offered += 1
        self._on_candidate(candidate)


async def run_mdns(
    settings: MdnsSettings,
    on_candidate: Callable[[Candidate], None],
    *,
    task_status: trio.TaskStatus[MdnsHandle] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Be discovered and discover until cancelled; ``nursery.start`` gives the :class:`MdnsHandle`.

    ``on_candidate`` is called in the trio thread for each candidate of this mesh that is new or has changed. It
    must not block or raise.
    """
    await MdnsHandle(settings, on_candidate).run(task_status)
