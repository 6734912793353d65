"""Drives one Node in real time: every input of the daemon passes through ``feed``, every effect is performed here.

Deviation from one-task-and-channels (decision record 0002): ``feed`` is a plain call into the Node from whichever
task has news. It never awaits, so two calls cannot interleave; inputs that arise while effects are performed wait
in order. This costs a third of a memory channel and a task switch per message. What a Node does to keep house waits
for company: to wake up is most of what an idle hub costs (decision record 0005).
Invariants: ``Node.handle`` is never re-entered; no timer fires early, and only housekeeping late on purpose.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

import trio

from meshnode.transport.link import Link
from protocol.clock import MS, SECOND, Duration, Instant
from protocol.effects import (
    CancelTimer,
    Connect,
    Disconnect,
    Drop,
    Effect,
    Emit,
    Event,
    KeepKeyState,
    LoadPayload,
    RareEffect,
    Send,
    SetTimer,
    StoreBoot,
    StoreEvents,
    StoreKeyState,
    StorePeers,
    StoreTrust,
)
from protocol.errors import Reason
from protocol.ids import AuthorId, LinkId
from protocol.inputs import Input, TimerFired, TimerKey
from protocol.node import HOUSEKEEPING, Node
from protocol.timers import TimerTable
from protocol.wire.joining import PeerRecord

log = logging.getLogger("meshnode")
NEVER: Instant = 1 << 62
TIMERS_AT_ONCE = 16
PATIENCE_US: Duration = 100 * MS
"""So late does housekeeping come where nothing else wakes the hub; an idle one with eight links wakes every 80 ms."""


class Driver:
    """Owns the Node's timers and links. ``dial`` starts a Connect; ``store_events`` and ``load_payload`` hand over and
    are answered later, in order, through ``feed_in_turn``; the other ``store_*`` persist before they return."""

    def __init__(
        self,
        node: Node,
        clock: Callable[[], Instant],
        *,
        dial: Callable[[Connect], None],
        store_boot: Callable[[int], None],
        store_key_state: Callable[[AuthorId, bytes], None],
        store_peers: Callable[[tuple[PeerRecord, ...]], None],
        store_trust: Callable[[bytes], None],
        keep_key_state: Callable[[AuthorId, bytes], None],
        store_events: Callable[[StoreEvents], None],
        load_payload: Callable[[LoadPayload], None],
        observe: Callable[[Event], None],
    ) -> None:
        self.node = node
        self.clock = clock
        self.links: dict[LinkId, Link] = {}
        self.counters: dict[str, int] = {}
        self._dial = dial
        self._store_boot = store_boot
        self._store_key_state = store_key_state
        self._store_peers = store_peers
        self._store_trust = store_trust
        self._keep_key_state = keep_key_state
        self._store_events = store_events
        self._load_payload = load_payload
        self._observe = observe
        self._timers = TimerTable()
        self._patient = TimerTable()
        self._scope: trio.CancelScope | None = None
        self._inputs: deque[Input] = deque()
        self._busy = False
        self._touched: dict[LinkId, Link] = {}
        self._armed_at: Instant = NEVER

    def count(self, reason: Reason) -> None:
        """Count something refused below the Node (handshake, channel, link)."""
        self.counters[reason] = self.counters.get(reason, 0) + 1

    def feed(self, *inputs: Input) -> None:
        """Tell the Node, in order, and do what it asks for."""
        self._inputs.extend(inputs)
        if self._busy:
            return
        self._busy = True
        try:
            while self._inputs or self._touched:
                if self._inputs:
                    self._step(self._inputs.popleft())
                else:
                    self._flush()
        finally:
            self._busy = False

    def _step(self, input: Input) -> None:
        now = self.clock()
        for effect in self.node.handle(input, now):
            self._perform(effect)
        if type(input) is not TimerFired:  # after timers others have a turn
            key = self._patient.pop_due(now)
            if key is not None:
                self._inputs.append(TimerFired(key))
                self._rearm()

    def feed_in_turn(self, *inputs: Input) -> None:
        """Like one ``feed`` after the other, but what they send on a link leaves in one write at the end."""
        if self._busy:
            self._inputs.extend(inputs)
            return
        self._busy = True
        try:
            for given in inputs:
                self._inputs.append(given)
                while self._inputs:
                    self._step(self._inputs.popleft())
        finally:
            self._busy = False
        self.feed()

    def _flush(self) -> None:
        """Everything decided: one system call for each link that has something to say."""
        touched, self._touched = self._touched, {}
        for port in touched.values():
            if port.flush() and not self.node.took(port.link):
                self._inputs.append(port.writable)

    def _perform(self, effect: Effect) -> None:
        # The three of every frame first: matching a class pattern costs four times as much.
        if type(effect) is Send:
            link = effect.link
            port = self.links.get(link)
            if port is not None:
                self._touched[link] = port
                if port.send(effect.messages) and not self.node.took(link):
                    self._inputs.append(port.writable)
        elif type(effect) is Emit:
            self._observe(effect.event)
        elif type(effect) is SetTimer:
            self._set_timer(effect.key, effect.at)
        else:
            self._perform_rare(effect)

    def _perform_rare(self, effect: RareEffect) -> None:
        match effect:
            case Drop(_, reason, detail):
                if log.isEnabledFor(logging.DEBUG) and reason is not Reason.DUPLICATE:
                    log.debug("dropped: %s %s", reason.value, detail)
            case Connect():
                self._dial(effect)
            case Disconnect(link, code, _):
                port = self.links.get(link)
                if port is not None:
                    port.disconnect(code)
            case CancelTimer(key):
                self._timers.cancel(key)
                self._patient.cancel(key)
            case StoreBoot(boot):
                self._store_boot(boot)
            case StoreKeyState(author, encoded):
                self._store_key_state(author, encoded)
            case StorePeers(peers):
                self._store_peers(peers)
            case StoreTrust(encoded):
                self._store_trust(encoded)
            case KeepKeyState(author, encoded):
                self._keep_key_state(author, encoded)
            case StoreEvents():
                self._store_events(effect)
            case LoadPayload():
                self._load_payload(effect)

    # --- timers -------------------------------------------------------------------------------------------------

    def _set_timer(self, key: TimerKey, at: Instant) -> None:
        if key in HOUSEKEEPING:
            self._patient.set(key, at)
            at += PATIENCE_US
        else:
            self._timers.set(key, at)
        if at < self._armed_at:  # a later one is found when the sleeper wakes
            self._rearm()

    def _rearm(self) -> None:
        if self._scope is not None:
            self._scope.deadline = self._deadline()

    def _pop_due(self) -> TimerKey | None:
        now = self.clock()
        return self._timers.pop_due(now) or self._patient.pop_due(now)

    def _deadline(self) -> float:
        patient = (self._patient.next_at() or NEVER) + PATIENCE_US
        self._armed_at = at = min(self._timers.next_at() or NEVER, patient)
        return trio.current_time() + max(0, at - self.clock()) / SECOND if at < NEVER else float("inf")

    async def run_timers(self) -> None:
        """Fire what is due, for ever: one sleeping task whose deadline moves. Others have a turn after a few."""
        fired = 0
        while True:
            key = self._pop_due() if fired < TIMERS_AT_ONCE else None
            if key is not None:
                self.feed(TimerFired(key))
                fired += 1
                continue
            fired = 0
            with trio.CancelScope(deadline=self._deadline()) as self._scope:
                await trio.sleep_forever()
            self._scope = None
