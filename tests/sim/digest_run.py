"""One run of 100 hubs with loss, a cut and a heal; prints its digest. Imports nothing that a bare Python lacks.

``python -m tests.sim.digest_run [--seed N] [--lane object|wire] [--crypto stub|real] [--hubs N]``
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Final

from protocol import NodeConfig, ViewsConfig
from protocol.clock import MS, SECOND
from protocol.inputs import CommonsGrant
from protocol.rng import Rng
from protocol.wire.registry import AROUSAL
from sim.checkers import Safety
from sim.faults import Crash, Cut, Heal, Plan, Reset, Restart, Starve, schedule
from sim.paths import Quality
from sim.trace import Trace
from sim.world import World, WorldConfig

SHARING: Final = 5
GRANT: Final = CommonsGrant((AROUSAL,), 0, 500, 15_000, True, True, False)
# Few links and few who share: 100 hubs in a few seconds of CPU, so that many runs fit into a test.
FEW_LINKS: Final = NodeConfig(views=ViewsConfig(links_target=3, links_max=6))
END_US: Final = 6 * SECOND


def play(seed: int, hubs: int, lane: str, crypto: str) -> tuple[World, Safety]:
    """Gather, lose every twentieth segment, be cut in halves for three seconds, have a few other misfortunes."""
    config = WorldConfig(
        quality=Quality(latency_us=3 * MS, jitter_us=5 * MS, loss=0.05, bytes_per_s=1_250_000),
        lane="wire" if lane == "wire" else "object",
        crypto="real" if crypto == "real" else "stub",
        grant=None,
    )
    world = World(seed, config)
    safety = Safety(world, every_us=2 * SECOND)
    every = hubs // SHARING
    for index in range(hubs):
        world.add(at=index * 4 * MS, grant=GRANT if index % every == 0 else None, node_config=FEW_LINKS)
    names = [host.name for host in world.hosts]
    plan: Plan = (
        (1_200 * MS, Cut((tuple(names[::2]), tuple(names[1::2])))),
        (1_800 * MS, Crash(names[3])),
        (2_200 * MS, Starve(names[4], 700 * MS)),
        (2_800 * MS, Restart(names[3])),
        (4_300 * MS, Heal()),
        (5 * SECOND, Reset(names[0], names[2])),
    )
    schedule(world, plan)
    world.run(END_US)
    return world, safety


def pure_chance(seed: int, draws: int) -> str:
    """The digest of a run in which nothing but the generator takes part."""
    rng, trace = Rng(seed), Trace()
    for _ in range(draws):
        trace.note(rng.below(1_000), rng.child("label").choice(("up", "down")))
    return trace.digest()


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description="the digest of one simulated run")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--lane", choices=("object", "wire"), default="object")
    parser.add_argument("--crypto", choices=("stub", "real"), default="stub")
    parser.add_argument("--hubs", type=int, default=100)
    chosen = parser.parse_args()
    world, safety = play(chosen.seed, chosen.hubs, chosen.lane, chosen.crypto)
    told = {
        "digest": world.trace.digest(),
        "chance": pure_chance(chosen.seed, 1_000),
        "steps": world.trace.steps,
        "shown": safety.ledger.deliveries,
        "frames": world.network.frames,
        "drops": {str(reason): count for reason, count in sorted(world.drops.items())},
        "python": list(sys.version_info[:2]),
        "salt": hash(b"salted"),
        "cpu_s": round(sum(os.times()[:2]), 2),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
