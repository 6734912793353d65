"""Named scenarios: what ``python -m sim run NAME`` plays."""

from __future__ import annotations

from typing import Final

from protocol.clock import MS, SECOND
from protocol.limits import SPACING_US
from sim.paths import Quality
from sim.scenarios.crowd import Crowd
from sim.scenarios.office import Office
from sim.stream import RTO_MIN_US

PLAZA: Final = Crowd(name="plaza", about="12 hubs in one room, cut 7 from 5, healed", sizes=(7, 5))
HUNDRED: Final = Crowd(
    name="hundred",
    about="100 hubs, 5 % loss, cut in two halves, healed",
    sizes=(50, 50),
    quality=Quality(latency_us=3 * MS, jitter_us=5 * MS, loss=0.05, bytes_per_s=1_250_000),
    whole_us=4 * SECOND,
    cut_us=8 * SECOND,
    linked_us_bar=5 * SECOND,
    # What is in flight at the cut arrives late by its retransmissions, and its age does not say so.
    noticed_us_bar=5 * SECOND,
    hops_bar=5,
    hop_us_bar=SPACING_US + RTO_MIN_US,  # one of twenty segments waits for a retransmission
)

OFFICE: Final = Office(name="office", about="two days of an office, messages carried by people who move")

SCENARIOS: Final[dict[str, Crowd | Office]] = {scenario.name: scenario for scenario in (PLAZA, HUNDRED, OFFICE)}
