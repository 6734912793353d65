"""Rehearsals on a living hub (``meshnode glitch inject``): one fault at a time, for a bounded time, undone, reported.

Sources: AWS Fault Injection Service (stop conditions; a lever that ends all), Toxiproxy (faults between two ends, no
root), Jepsen's nemesis (a heal that always runs). Deviations: the fault lives in this process and nowhere else, so that
it ends with it; who has asked must go on asking, or it ends too, whatever became of the asker; nothing of it is on the
disk.
Invariants: ``_undo`` runs however a rehearsal ends; the Node is told nothing but what that weather would tell it, so no
consent, standing or stored word is touched.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import trio

from meshnode.asked import Refused
from meshnode.clock import boot_us, pause_us
from meshnode.entropy import fresh_seed
from meshnode.faults import Clock, Delay, Loss, Plan, Rogue, Split, Starvation, in_words, planned
from meshnode.observe import say
from meshnode.rogue import run_rogue
from meshnode.transport.weather import Weather
from meshnode.witness import Witness
from protocol import Rng
from protocol import Split as Torn
from protocol.clock import SECOND, Instant
from protocol.effects import Event, LinkNews
from protocol.inputs import UtcObserved

if TYPE_CHECKING:
    from meshnode.daemon import Hub

LOOK_S: Final = 0.25
LOOKS_UNASKED_MAX: Final = 10
"""So often it looks without having been asked how it goes: 2.5 s of a hub that runs. A starved hub looks seldom."""
HEAL_S_MAX: Final = 60.0
"""Twice the longest pause between two dials to somebody lost."""
KEPT: Final = 32
NEAR_US: Final = 6 * SECOND
"""A glitch that began so long before or after a rehearsal may be of it: last signs lie that far back."""


@dataclass(slots=True)  # state: changes in place
class Act:
    """One rehearsal. ``ended_at`` is when the fault ended, ``whole_at`` when all was as before."""

    number: int
    plan: Plan
    witness: Witness
    scope: trio.CancelScope
    ends: str = "its time was up"
    unasked: int = 0
    ended_at: Instant | None = None
    whole_at: Instant | None = None
    over: bool = False
    told: dict[str, object] = field(default_factory=dict)

    def end(self, why: str) -> None:
        """End what goes on now: the fault, or the watch after it."""
        if self.ended_at is None:
            self.ends = why
        self.scope.cancel()


class Rehearsals:
    """Those of one hub, at most one at a time."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._acts: deque[Act] = deque(maxlen=KEPT)
        self._count = 0
        self._begin, self._begun = trio.open_memory_channel[Act](1)
        self._skew: Clock | None = None

    # --- what is asked ----------------------------------------------------------------------------------------------

    @property
    def now(self) -> Act | None:
        """The rehearsal that goes on."""
        return self._acts[-1] if self._acts and not self._acts[-1].over else None

    def answer(self, command: str, request: dict[str, object]) -> dict[str, object]:
        """The answer to ``glitch.plan``, ``glitch.inject``, ``glitch.rehearsal`` or ``glitch.stop``.

        Raises:
            Refused: not as asked, not now, or there is none; says why.
        """
        match command:
            case "glitch.plan":
                return self._as_planned(self._plan(request))
            case "glitch.inject":
                return self._as_planned(self._started(self._plan(request)))
            case "glitch.stop":
                act = self._named(request)
                act.end("it was stopped")
                return self._described(act)
            case _:
                act = self._named(request)
                act.unasked = 0
                return self._described(act)

    def _named(self, request: dict[str, object]) -> Act:
        wanted = request.get("number")
        if wanted is None:
            if not self._acts:
                raise Refused("nothing was injected since this hub was started")
            return self._acts[-1]
        found = [act for act in self._acts if act.number == wanted]
        if not found:
            raise Refused(f"there is no rehearsal {str(wanted)[:16]!r}")
        return found[0]

    def _plan(self, request: dict[str, object]) -> Plan:
        hub, statistics = self._hub, self._hub.statistics()
        known = tuple(author for author in statistics.in_reach if author != statistics.author)
        plan = planned(request, known, Rng(fresh_seed()))
        if isinstance(plan.fault, Clock) and not statistics.date_known:
            raise Refused("nothing vouches for this machine's date, so the hub reads none that could be wrong")
        if self.now is not None:
            what = "is going on" if self.now.ended_at is None else "is over, and its heal is still watched"
            raise Refused(f"a rehearsal ({self.now.plan.name}) {what}: end it with `meshnode glitch inject stop`")
        if hub.faults.active:
            raise Refused("the lab port has cut this hub off: a rehearsal would end that")
        if hub.store.health:
            raise Refused(f"this hub is not well enough: {hub.store.health}")
        return plan

    def _started(self, plan: Plan) -> Plan:
        self._count += 1
        witness = Witness(plan, self._hub.statistics(), self._counters())
        scope = trio.CancelScope(deadline=trio.current_time() + plan.for_us / SECOND)
        act = Act(self._count, plan, witness, scope)
        self._acts.append(act)
        self._begin.send_nowait(act)
        say("rehearsal", f"rehearsal for {plan.for_us / SECOND:g} s: this hub {in_words(plan)}", fault=plan.name)
        return plan

    def _as_planned(self, plan: Plan) -> dict[str, object]:
        statistics = self._hub.statistics()
        return {
            "number": self._count,
            "hub": statistics.author.hex(),
            "fault": plan.name,
            "text": in_words(plan),
            "peers": None if plan.peers is None else [peer.hex() for peer in plan.peers],
            "for_s": plan.for_us / SECOND,
            "links": len(statistics.links),
            "in_reach": len(statistics.in_reach),
        }

    # --- what is told -----------------------------------------------------------------------------------------------

    def status(self) -> dict[str, object] | None:
        """What ``status`` says while a rehearsal goes on."""
        act = self.now
        return None if act is None else self._described(act)

    def _described(self, act: Act) -> dict[str, object]:
        now, plan, began = boot_us(), act.plan, act.witness.began
        ended = act.ended_at
        out: dict[str, object] = {
            "number": act.number,
            "fault": plan.name,
            "text": in_words(plan),
            "peers": None if plan.peers is None else [peer.hex() for peer in plan.peers],
            "asked_s": plan.for_us / SECOND,
            "lasted_s": round(((now if ended is None else ended) - began) / 1e6, 2),
            "left_s": round(max(0, began + plan.for_us - now) / 1e6, 1) if ended is None else 0.0,
            "state": "over" if act.over else "injected" if ended is None else "healing",
            "ended": None if ended is None else act.ends,
        }
        if not act.over:
            return out
        whole = None if act.whole_at is None or ended is None else round((act.whole_at - ended) / 1e6, 2)
        return out | {"whole_after_s": whole} | act.told

    def rehearsed(self, torn: Torn) -> str | None:
        """The name of the fault if a glitch may be of a rehearsal on this hub."""
        for act in self._acts:
            last = boot_us() if act.ended_at is None else act.ended_at
            if act.witness.began - NEAR_US <= torn.began <= last + NEAR_US and torn.noticed >= act.witness.began:
                return act.plan.name
        return None

    def observe(self, event: Event) -> None:
        """Listen to the Node's news."""
        if self.now is not None and isinstance(event, LinkNews):
            self.now.witness.news(event, boot_us())

    def date(self) -> UtcObserved:
        """The date as the Node is to read it."""
        true = self._hub.date()
        if self._skew is None:
            return true
        error_ms = true.error_ms if self._skew.behind_ms else None
        return UtcObserved(true.utc_ms - self._skew.behind_ms, error_ms)

    # --- what is done -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Perform one after the other, for as long as the hub lives."""
        async for act in self._begun:
            try:
                with act.scope:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._look_on, act)
                        await self._inject(act)
                        await trio.sleep_forever()
            finally:
                self._undo(act)
            act.scope = trio.CancelScope(deadline=trio.current_time() + HEAL_S_MAX)
            with act.scope:
                await self._look_on(act)
            act.told |= act.witness.report(self._counters())
            act.over = True
            say("rehearsal", f"rehearsal over ({act.plan.name}): {act.ends}", fault=act.plan.name)

    def close(self) -> None:
        """The hub leaves."""
        if self.now is not None:
            self.now.end("the hub was stopped")

    async def _look_on(self, act: Act) -> None:
        """See how it goes, until nobody asks any more, the hub is not well, or all is as before."""
        while True:
            seen = self._hub.statistics()
            act.witness.look(seen)
            if act.ended_at is not None and act.witness.is_whole(seen):
                act.whole_at = seen.at
                return
            if self._hub.store.health:
                act.end(f"the hub was not well: {self._hub.store.health}")
            if act.unasked >= LOOKS_UNASKED_MAX:
                act.end("whoever had asked for it was gone")
            await trio.sleep(LOOK_S)
            act.unasked += 1

    async def _inject(self, act: Act) -> None:
        plan, lab = act.plan, self._hub.faults
        match plan.fault:
            case Loss(share=share):
                weather = Weather(Rng(fresh_seed()), loss=share)
                lab.brew(weather, plan.peers)
                try:
                    await trio.sleep_forever()
                finally:
                    act.told["segments_lost"] = weather.lost
            case Delay(delay_us=delay, jitter_us=jitter):
                lab.brew(Weather(Rng(fresh_seed()), delay_us=delay, jitter_us=jitter), plan.peers)
            case Split():
                lab.cut(plan.peers or (), (), self._hosts(plan), everybody=plan.peers is None)
            case Clock() as skew:
                self._skew = skew
                self._hub.driver.feed(self.date())
            case Starvation(burst_us=burst, awake_us=awake):
                stood_us = 0
                while True:
                    rest = max(0, min(burst, act.witness.began + plan.for_us - boot_us()))
                    pause_us(rest)
                    stood_us += rest
                    act.told["stood_still_s"] = round(stood_us / SECOND, 2)
                    await trio.sleep(awake / SECOND)
            case Rogue(conduct=conduct):
                await run_rogue(self._hub.opened.mesh, self._hub.listen, conduct, act.told)
                act.end("the stranger could not go on")

    def _hosts(self, plan: Plan) -> tuple[str, ...]:
        """Machines on which somebody beyond the cut lives, as far as links tell. Whoever dials from there shows who it
        is only when it takes the link for made, so none of them is answered; others there keep the links they have."""
        beyond = plan.peers or ()
        return tuple(sorted({link.remote for link in self._hub.driver.links.values() if link.peer in beyond}))

    def _undo(self, act: Act) -> None:
        """All is as it was, as far as this hub can make it so."""
        act.ended_at = boot_us()
        self._hub.faults.heal()
        if self._skew is not None:
            self._skew = None
            self._hub.driver.feed(self.date())
        if isinstance(act.plan.fault, Split) and self._hub.mdns is not None:
            self._hub.mdns.offer_again()

    def _counters(self) -> dict[str, int]:
        out = dict(self._hub.driver.counters)
        for reason, count in self._hub.statistics().drops.items():
            out[reason] = out.get(reason, 0) + count
        return out
