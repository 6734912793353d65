"""Runs the checks and sums up what they saw, requirement by requirement.

Checks run side by side in a few threads, never with more than six links up at once; those that need the hub to
themselves run alone at the end.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tests.conformance.kit import (
    checks_codec,
    checks_discovery,
    checks_events,
    checks_frontiers,
    checks_handshake,
    checks_joining,
    checks_links,
    checks_meeting,
    checks_parts,
    checks_probes,
    checks_records,
    checks_trees,
    checks_vectors,
)
from tests.conformance.kit.registry import CHECKS, Check
from tests.conformance.kit.requirements import NOT_TESTABLE, REQUIREMENTS
from tests.conformance.kit.results import Failed, Outcome, Result, Untestable, describe
from tests.conformance.kit.workbench import Kit
from tests.conformance.reference.weather import now

MODULES: Final = (
    checks_codec,
    checks_discovery,
    checks_events,
    checks_parts,
    checks_frontiers,
    checks_handshake,
    checks_joining,
    checks_links,
    checks_meeting,
    checks_probes,
    checks_records,
    checks_trees,
    checks_vectors,
)
"""Importing them has filled the registry."""
LINKS_MAX: Final = 6
THREADS: Final = 8
SECONDS: Final = 3.0
CONNECTS_PER_SECOND: Final = 14.0


@dataclass(frozen=True, slots=True)
class Part:
    """What one check of a requirement came to."""

    requirement: str
    outcome: Outcome
    seen: str
    seconds: float


class Slots:
    """Links that may be up at once; a check takes all it needs or waits."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._changed = threading.Condition()

    @contextmanager
    def take(self, count: int) -> Iterator[None]:
        """Hold ``count`` slots for the length of a block."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= count)
            self._free -= count
        try:
            yield
        finally:
            with self._changed:
                self._free += count
                self._changed.notify_all()


def run_checks(
    host: str,
    port: int,
    mesh_name: str,
    only: Collection[str] | str | None = None,
    timeout: float = SECONDS,
    pace: float = CONNECTS_PER_SECOND,
) -> list[Result]:
    """Test the hub at ``host:port`` in the open mesh ``mesh_name``; one result per requirement, in their order.

    ``only`` names the requirements to test (all if None); ``timeout`` is how many seconds an answer may take; ``pace``
    how many connections a second the hub is asked to take.
    """
    wanted = set(REQUIREMENTS) if only is None else {only} if isinstance(only, str) else set(only)
    if unknown := wanted - set(REQUIREMENTS):
        raise ValueError(f"no such requirement: {', '.join(sorted(unknown))}")
    kit = Kit(host, port, mesh_name, timeout, pace)
    checks = [check for check in CHECKS if check.requirement in wanted]
    parts = run_all(kit, checks)
    parts += [Part(requirement, "fail", what, 0.0) for requirement, what in kit.watch.faults]
    return [summed_up(requirement, parts) for requirement in REQUIREMENTS if requirement in wanted]


def run_all(kit: Kit, checks: Collection[Check]) -> list[Part]:
    """Every check once: side by side, then those that must be alone, longest waits first."""
    slots = Slots(LINKS_MAX)

    def run(check: Check) -> Part:
        with slots.take(check.links):
            return run_one(kit, check)

    with ThreadPoolExecutor(THREADS) as pool:
        parts = list(pool.map(run, [check for check in checks if not check.alone]))
    return parts + [run_one(kit, check) for check in checks if check.alone]


def run_one(kit: Kit, check: Check) -> Part:
    """One check; whatever goes wrong inside it is a failure of the hub or of the kit, and said so."""
    begun = now()
    outcome: Outcome = "pass"
    try:
        seen = check.run(kit)
    except Failed as fault:
        outcome, seen = "fail", describe(fault)
    except Untestable as fault:
        outcome, seen = "not testable", describe(fault)
    except Exception as fault:  # noqa: BLE001 - one broken check must not hide the others
        outcome, seen = "fail", f"the check itself broke: {type(fault).__name__}: {fault}"
    return Part(check.requirement, outcome, seen, now() - begun)


def summed_up(requirement: str, parts: Collection[Part]) -> Result:
    """The worst outcome of a requirement's parts decides; a part that could not be seen is only mentioned."""
    own = [part for part in parts if part.requirement == requirement]
    seconds = max((part.seconds for part in own), default=0.0)
    summary = REQUIREMENTS[requirement]
    if not own:
        reason = NOT_TESTABLE.get(requirement, "nothing could be seen")
        return Result(requirement, summary, "not testable", reason, seconds)
    for outcome in ("fail", "pass", "not testable"):
        chosen = [part for part in own if part.outcome == outcome]
        if chosen:
            beside = [part for part in own if part.outcome == "not testable" and outcome == "pass"]
            seen = list(dict.fromkeys(part.seen for part in [*chosen, *beside]))
            return Result(requirement, summary, chosen[0].outcome, "; ".join(seen), seconds)
    raise AssertionError(outcome)
