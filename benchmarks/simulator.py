"""The field of machines at full size: 10,000 members, 100 broadcasts, and what an event costs beside bare kernels.

A process of its own grows a field (everybody joins, then ten seconds pass), gives everybody trees, lets five messages
make them, and then has 100 random members say something, 20 ms apart; five seconds later every member must have every
message. Charged to the bar is the CPU time of that last part; growing is shown beside it. Memory is the peak of the
whole process. The bare contestants run in the same process afterwards: each has as many timers as there are members,
all of which are set again whenever they are due, for a fixed number of events, with an action that only counts.
"""

from __future__ import annotations

import argparse
import heapq
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from benchmarks.hubs import BenchmarkError
from benchmarks.measure import Figure, Outcome, Plan
from protocol import Bar, Rng
from protocol.clock import MS, SECOND
from sim.field import Field
from sim.kernel import Kernel, collect_seldom
from sim.members import FieldConfig
from sim.spread import Sent, SpreadConfig

MEMBERS: Final = 10_000
MESSAGES: Final = 100
MESSAGES_WARM: Final = 5
GAP_US: Final = 20 * MS
GROWN_US: Final = 10 * SECOND
SETTLE_US: Final = 5 * SECOND
CPU_S: Final = 60.0
MEMORY_GB: Final = 1.5
BARE_EVENTS: Final = 300_000
BARE_PERIODS: Final = 40
SEED: Final = 1


def measure(plan: Plan) -> Outcome:
    """Run it in a process of its own and judge what that says."""
    command = [sys.executable, "-m", "benchmarks.simulator", "--repeats", str(plan.repeats)]
    if plan.quick:
        command += ["--members", str(MEMBERS // 10), "--messages", str(MESSAGES // 4)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"the simulator ended with {done.returncode}: {done.stderr[-400:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    what = f"{told['members']} members x {told['messages']} broadcasts"
    bars = [
        Bar(f"{what}, CPU", told["cpu_s"], CPU_S, "s"),
        Bar(f"{what}, peak memory", told["memory_gb"], MEMORY_GB, "GB"),
        Bar(f"{what}, delivered", told["delivered"], 1.0, "of all", at_most=False),
    ]
    figures: dict[str, Figure] = {
        "conditions": _conditions(told),
        "events of the broadcasts": told["events"],
        "events per CPU second, field with overlay and trees": told["field"],
        "events per CPU second, this kernel alone": told["bucket"],
        "events per CPU second, heapq with dataclasses": told["heap"],
        "events per CPU second, SimPy": told["simpy"],
        "growing the field, CPU-s": told["growing_s"],
        "growing the field, events": told["growing_events"],
    }
    return Outcome(bars, figures)


def _conditions(told: dict[str, Any]) -> str:
    payload_bytes = SpreadConfig().payload_bytes
    return (
        f"{told['members']} members join, {GROWN_US // SECOND} s pass, {MESSAGES_WARM} messages make trees, a second"
        f" apart; charged are {told['messages']} messages of {payload_bytes} B by random members, {GAP_US // MS} ms"
        f" apart, and {SETTLE_US // SECOND} s to settle; links of 10..50 ms, up to 2 ms jitter; seed {SEED}"
    )


def broadcasts(members: int, messages: int) -> dict[str, float | int]:
    """Grow, warm, and count the last part."""
    collect_seldom()
    start = time.process_time()
    crowd = Field(SEED, FieldConfig(members=members))
    crowd.populate()
    crowd.run(GROWN_US)
    growing_s, growing_events = time.process_time() - start, crowd.events
    spread = crowd.attach(SpreadConfig())
    draw = Rng(SEED).child("senders")
    for _ in range(MESSAGES_WARM):
        spread.broadcast(draw.below(members))
        crowd.run(SECOND)
    start, events = time.process_time(), crowd.events
    sent: list[Sent] = []
    for _ in range(messages):
        sent.append(spread.broadcast(draw.below(members)))
        crowd.run(GAP_US)
    crowd.run(SETTLE_US)
    cpu_s, events = time.process_time() - start, crowd.events - events
    return {
        "members": members,
        "messages": messages,
        "cpu_s": cpu_s,
        "events": events,
        "field": round(events / cpu_s),
        "growing_s": growing_s,
        "growing_events": growing_events,
        "delivered": sum(one.delivered for one in sent) / (members * messages),
        "memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }


def _period(number: int) -> int:
    """In milliseconds; links here have 10 to 50."""
    return 10 + number * 7 % BARE_PERIODS


def bucket(members: int, events: int) -> float:
    """Events per CPU second of our kernel with an action that counts."""
    kernel = Kernel()
    left = [events]

    def again(number: int, period_us: int) -> None:
        left[0] -= 1
        if left[0] > 0:
            kernel.at(kernel.now + period_us, again, number, period_us)

    for number in range(members):
        kernel.at(_period(number) * MS, again, number, _period(number) * MS)
    start = time.process_time()
    while left[0] > 0:
        kernel.run(kernel.now + SECOND)
    return kernel.events / (time.process_time() - start)


@dataclass(order=True, slots=True)
class _Event:
    at: int
    order: int
    action: Callable[[int], None] = field(compare=False)
    number: int = field(compare=False)


def heap(members: int, events: int) -> float:
    """The same with one heap of dataclasses, as such kernels are often written."""
    queue: list[_Event] = []
    made, left, now = 0, events, 0

    def again(number: int) -> None:
        nonlocal made, left
        left -= 1
        made += 1
        heapq.heappush(queue, _Event(now + _period(number) * MS, made, again, number))

    for number in range(members):
        made += 1
        heapq.heappush(queue, _Event(_period(number) * MS, made, again, number))
    start = time.process_time()
    while left > 0:
        event = heapq.heappop(queue)
        now = event.at
        event.action(event.number)
    return events / (time.process_time() - start)


def simpy(members: int, events: int) -> float:
    """The same in SimPy: one process a member, which waits again and again."""
    import simpy as library

    world = library.Environment()
    left = [events]

    def wait(number: int) -> Generator[library.Event, Any, None]:
        while left[0] > 0:
            yield world.timeout(_period(number))
            left[0] -= 1

    for number in range(members):
        world.process(wait(number))
    start = time.process_time()
    while left[0] > 0:
        world.step()
    return events / (time.process_time() - start)


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description="one field of machines, measured")
    parser.add_argument("--members", type=int, default=MEMBERS)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    told: dict[str, float | int] = dict(broadcasts(chosen.members, chosen.messages))
    bare: dict[str, list[float]] = {"bucket": [], "heap": [], "simpy": []}
    for _ in range(chosen.repeats):
        bare["bucket"].append(bucket(chosen.members, BARE_EVENTS))
        bare["heap"].append(heap(chosen.members, BARE_EVENTS))
        bare["simpy"].append(simpy(chosen.members, BARE_EVENTS))
    told.update({name: round(median(rates)) for name, rates in bare.items()})
    print(json.dumps(told))


if __name__ == "__main__":
    main()
