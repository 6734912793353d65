"""Sixteen hubs, each publishing ten times a second, every one linked with every other: what a delivery costs.

A *delivery* is one hub showing one record of another author for the first time. Every author's every record published
within the window is due at each of the fifteen others; it is looked for until a second after the window. Publish time
and show time are read from CLOCK_BOOTTIME, which all processes of one machine share, at the instants at which the
publisher's and the receiver's Node emit the value. Charged is the CPU time, user and system, of all sixteen processes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, Final

from benchmarks.hub import Spec
from benchmarks.hubs import BenchmarkError, Mark, hubs
from benchmarks.measure import US, Figure, Outcome, Plan
from benchmarks.pair import bare_signature_and_check
from protocol import Bar
from protocol.bars import percentile

HUBS: Final = 16
CADENCE_MS: Final = 100
WINDOW_S: Final = 20.0
PARTS: Final = 5
WARM_S: Final = 4.0
TAIL_S: Final = 1.0
CPU_S: Final = 0.25
P50_MS: Final = 10.0
HOP_MS: Final = 100.0
HOPS: Final = 1
"""Everybody is linked with everybody, which is checked before and after."""
REFERENCES: Final = {"Zenoh with libsodium signatures": 0.41, "iroh": 1.4, "js-libp2p": 3.2, "py-libp2p": 13.0}

Record = tuple[str, int, int]
"""(author, boot, seq)."""


@dataclass(frozen=True, slots=True)
class Deliveries:
    """``due`` deliveries of ``published`` records, those that came, and how long each took in microseconds."""

    published: int
    due: int
    latencies_us: Sequence[int]

    @property
    def share(self) -> float:
        """Of what was due, how much came."""
        return len(self.latencies_us) / self.due if self.due else 0.0


def first_shown(dump: Mapping[str, Any]) -> dict[Record, int]:
    """When a hub first showed each record, from what its ears noted."""
    shown: dict[Record, int] = {}
    for author, boot, seq, at in dump["rows"]:
        shown.setdefault((dump["authors"][author], boot, seq), at)
    return shown


def deliveries(own: Sequence[str], dumps: Sequence[Mapping[str, Any]], since: int, until: int) -> Deliveries:
    """What became of the records published in [since, until); ``own`` are the hubs' authors, in the order of dumps."""
    seen = [first_shown(dump) for dump in dumps]
    published = [
        (hub, record, at)
        for hub, author in enumerate(own)
        for record, at in seen[hub].items()
        if record[0] == author and since <= at < until
    ]
    latencies = [
        there[record] - at
        for hub, record, at in published
        for other, there in enumerate(seen)
        if other != hub and record in there
    ]
    return Deliveries(len(published), len(published) * (len(own) - 1), latencies)


def _cost(before: Sequence[Mark], after: Sequence[Mark], foreign: int) -> float:
    """CPU seconds of all hubs per 1,000 deliveries between two marks."""
    spent = sum(there.cpu_s - here.cpu_s for here, there in zip(before, after, strict=True))
    return spent / foreign * 1_000


def _foreign(
    own: Sequence[str], dumps: Sequence[Mapping[str, Any]], since: Sequence[Mark], until: Sequence[Mark]
) -> int:
    """Values of others shown between two marks, each hub's own instants counted."""
    total = 0
    for author, dump, here, there in zip(own, dumps, since, until, strict=True):
        names = dump["authors"]
        total += sum(1 for row in dump["rows"][here.shown : there.shown] if names[row[0]] != author)
    return total


def measure(plan: Plan) -> Outcome:
    """Run the crowd and judge what came."""
    limit = [bare_signature_and_check(plan.count(1_000)) for _ in range(plan.repeats)]
    spec = Spec("", "", cadence_ms=CADENCE_MS, max_links=HUBS - 1)
    with hubs([spec] * HUBS, plan.profile) as (crowd, folder):
        crowd.meet()
        crowd.until(lambda state: state["links"] == HUBS - 1, "sixteen hubs fully linked")
        time.sleep(WARM_S)
        marks = [crowd.mark()]
        for _ in range(PARTS):
            time.sleep(plan.seconds(WINDOW_S) / PARTS)
            marks.append(crowd.mark())
        time.sleep(TAIL_S)
        states = crowd.ask("state")
        dumps = crowd.dumps(folder)
        own = [hub.author for hub in crowd]
    if any(mark.links != HUBS - 1 for row in marks for mark in row):
        raise BenchmarkError("a link was lost during the measurement: latencies are not those of one hop")
    came = deliveries(own, dumps, marks[0][0].at, marks[-1][0].at)
    costs = [_cost(here, there, _foreign(own, dumps, here, there)) for here, there in pairwise(marks)]
    return Outcome(_bars(came, costs), _figures(came, costs, marks, states, limit))


def _bars(came: Deliveries, costs: Sequence[float]) -> list[Bar]:
    return [
        Bar("16 hubs, share of records shown at all others", came.share, 1.0, "delivered", 1.0, at_most=False),
        Bar(
            "16 hubs, CPU of all per 1,000 deliveries",
            median(costs),
            CPU_S,
            "CPU-s",
            REFERENCES["Zenoh with libsodium signatures"],
        ),
        Bar("16 hubs, publish to shown, p50", _ms(came, 0.5), P50_MS, "ms", 2.3),
        Bar("16 hubs, publish to shown, p99", _ms(came, 0.99), HOP_MS * HOPS, "ms", 7.3),
    ]


def _ms(came: Deliveries, share: float) -> float | None:
    value = percentile(came.latencies_us, share)
    return None if value is None else value / 1e3


def _figures(
    came: Deliveries,
    costs: Sequence[float],
    marks: Sequence[Sequence[Mark]],
    states: Sequence[Mapping[str, Any]],
    limit: Sequence[float],
) -> dict[str, Figure]:
    seconds = (marks[-1][0].at - marks[0][0].at) / US
    spent = sum(there.cpu_s - here.cpu_s for here, there in zip(marks[0], marks[-1], strict=True))
    in_kernel = sum(there.system_s - here.system_s for here, there in zip(marks[0], marks[-1], strict=True))
    woken = sum(there.switches - here.switches for here, there in zip(marks[0], marks[-1], strict=True))
    drops: dict[str, int] = {}
    for state in states:
        for reason, count in state["drops"].items():
            drops[reason] = drops.get(reason, 0) + count
    return {
        "records published": came.published,
        "deliveries due": came.due,
        "deliveries": len(came.latencies_us),
        "slowest, ms": _ms(came, 1.0),
        "window, s": round(seconds, 2),
        "CPU-s per 1,000 deliveries, parts of the window": " ".join(f"{cost:.3f}" for cost in costs),
        "cores busy": round(spent / seconds, 3),
        "of it in the kernel": round(in_kernel / spent, 3),
        "wakes per hub and second": round(woken / seconds / len(states), 1),
        "bare sign + verify of 1,000 deliveries, CPU-s": round(median(limit) * 1e3, 4),
        "refused since the start": " ".join(f"{reason}={count}" for reason, count in sorted(drops.items()))
        or "nothing",
        **{f"CPU-s per 1,000 deliveries, {name} (reference)": figure for name, figure in REFERENCES.items()},
    }
