"""Makes a failing world small: fewer faults, fewer hubs, a shorter time, a plainer configuration.

Source: Zeller, Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (IEEE TSE 2002), whose ddmin picks the
faults and the hubs; the rest is tried one change at a time. A candidate is played, and kept if it breaks the same rule.
Invariants: what comes out fails as what went in did; the same failure always shrinks to the same world; no more than
``tries_max`` worlds are played.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final, TypeVar

from protocol.clock import MS, SECOND
from sim.faults import Fault, Plan, without
from sim.swarm import Draw, Limits
from sim.world import SafetyViolation, WorldConfig

TRIES_MAX: Final = 400

Item = TypeVar("Item")
Breaks = Callable[[Draw], SafetyViolation | None]
"""Plays a world; what it breaks, if it breaks anything."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The smallest world found, what it breaks, and how many were played on the way."""

    draw: Draw
    violation: SafetyViolation
    tries: int


def ddmin(items: Sequence[Item], still: Callable[[list[Item]], bool]) -> list[Item]:
    """A part of ``items`` that is ``still`` enough, and of which no single one can be left out."""
    left, parts = list(items), 2
    while left:
        size = -(-len(left) // parts)
        for start in range(0, len(left), size):
            rest = left[:start] + left[start + size :]
            if still(rest):
                left, parts = rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(2 * parts, len(left))
    return left


def shrink(draw: Draw, violation: SafetyViolation, breaks: Breaks, tries_max: int = TRIES_MAX) -> Shrunk:
    """The smallest world found that breaks the same rule as ``draw``, whose ``violation`` is known."""
    run = _Run(draw, violation, breaks, tries_max)
    before = None
    while before != run.best and run.tries < tries_max:
        before = run.best
        run.end_sooner()
        run.fewer_hubs()  # first, since a world costs the square of its hubs
        run.fewer_faults()
        run.plainer()
    return Shrunk(run.best, run.violation, run.tries)


class _Run:
    def __init__(self, draw: Draw, violation: SafetyViolation, breaks: Breaks, tries_max: int) -> None:
        self.best = draw
        self.violation = violation
        self.tries = 0
        self._breaks = breaks
        self._tries_max = tries_max

    def _keep(self, candidate: Draw) -> bool:
        """Whether ``candidate`` fails alike; then it is the best so far."""
        if candidate == self.best or self.tries >= self._tries_max:
            return False
        self.tries += 1
        violation = self._breaks(candidate)
        if violation is None or violation.rule != self.violation.rule:
            return False
        self.best, self.violation = candidate, violation
        return True

    def end_sooner(self) -> None:
        """Nothing after the violation matters; and perhaps all of it can come sooner."""
        while self.violation.now + MS < self.best.faults_us:
            until = self.violation.now + MS
            plan = tuple(entry for entry in self.best.plan if entry[0] <= until)
            if not self._keep(replace(self.best, faults_us=until, plan=plan)):
                break
        for share in (2, 4, 8):
            plan = tuple((at - at // share, fault) for at, fault in self.best.plan)
            if not self._keep(replace(self.best, faults_us=self.best.faults_us * (share - 1) // share, plan=plan)):
                self._keep(replace(self.best, plan=plan))

    def fewer_faults(self) -> None:
        """Leave out what is not needed."""
        ddmin(self.best.plan, lambda plan: self._keep(replace(self.best, plan=tuple(plan))))

    def fewer_hubs(self) -> None:
        """Leave out whoever is not needed, first those who are away in the end."""
        self._keep(replace(self.best, away=()))

        def still(names: list[str]) -> bool:
            return bool(names) and self._keep(_only(self.best, names))

        ddmin([hub.name for hub in self.best.hubs], still)

    def plainer(self) -> None:
        """Give every setting its plainest value that still fails."""
        for change in _PLAIN_CONFIG:
            self._keep(replace(self.best, config=change(self.best.config)))
        any(self._keep(replace(self.best, limits=limits)) for limits in _plainer_limits(self.best.limits))
        for number, hub in enumerate(self.best.hubs):
            if hub.grant is not None:
                hubs = list(self.best.hubs)
                hubs[number] = replace(hub, grant=None)
                self._keep(replace(self.best, hubs=tuple(hubs)))
        for number, (at, fault) in enumerate(self.best.plan):
            whole_s = -(-at // SECOND) * SECOND
            self._keep(replace(self.best, plan=_at(self.best.plan, number, (whole_s, fault))))
        self._keep(replace(self.best, faults_us=-(-self.best.faults_us // SECOND) * SECOND))


def _at(plan: Plan, number: int, entry: tuple[int, Fault]) -> Plan:
    changed = list(plan)
    changed[number] = entry
    return tuple(sorted(changed, key=lambda each: each[0]))


def _only(draw: Draw, names: list[str]) -> Draw:
    """The same world with these hubs only."""
    plan = list(draw.plan)
    for hub in draw.hubs:
        if hub.name not in names:
            plan = [(at, left) for at, fault in plan if (left := without(fault, hub.name)) is not None]
    return replace(
        draw,
        hubs=tuple(hub for hub in draw.hubs if hub.name in names),
        away=tuple(name for name in draw.away if name in names),
        plan=tuple(plan),
    )


def _plain(name: str) -> Callable[[WorldConfig], WorldConfig]:
    return lambda config: replace(config, **{name: getattr(_PLAINEST, name)})


def _plain_quality(name: str) -> Callable[[WorldConfig], WorldConfig]:
    value = getattr(_PLAINEST.quality, name)
    return lambda config: replace(config, quality=replace(config.quality, **{name: value}))


_PLAINEST: Final = WorldConfig(grant=None, dated=1.0, offset_us_max=0)
_PLAIN_CONFIG: Final = (
    *(_plain_quality(field.name) for field in fields(_PLAINEST.quality)),
    *(_plain(field.name) for field in fields(_PLAINEST) if field.name not in ("mesh", "quality", "grant", "crypto")),
)


def _plainer_limits(limits: Limits) -> tuple[Limits, ...]:
    return Limits(), replace(limits, links_target=8, links_max=16), replace(limits, passive=48)
