"""Named scenarios: what ``python -m sim run NAME`` plays."""

from __future__ import annotations

from typing import Final

from protocol.clock import MS, SECOND
from sim.paths import Quality
from sim.scenarios.crowd import Crowd

PLAZA: Final = Crowd(name="plaza", about="12 hubs in one room, cut 7 from 5, healed", sizes=(7, 5))
HUNDRED: Final = Crowd(
    name="hundred",
    about="100 hubs, 5 % loss, cut in two halves, healed",
    sizes=(50, 50),
    quality=Quality(latency_us=3 * MS, jitter_us=5 * MS, loss=0.05, bytes_per_s=1_250_000),
    whole_us=4 * SECOND,
    cut_us=8 * SECOND,
    linked_us_bar=5 * SECOND,
    hops_bar=5,
)

SCENARIOS: Final[dict[str, Crowd]] = {scenario.name: scenario for scenario in (PLAZA, HUNDRED)}
