"""Two working days in an office: messages that people carry, against the best that anybody could do.

People are linked only while they are within 1.5 m of each other, and every contact has to be discovered, dialled and
agreed on first; contacts last from 20 s. A *pair* is a message and a person whom it could reach by the end of the
second day. The delay of a pair is compared with that of the temporal shortest path over the same contacts, along
which links cost no time at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from statistics import median
from typing import TextIO

from protocol.bars import Bar
from protocol.clock import MINUTE, SECOND, Duration, Instant
from protocol.rng import Rng
from sim import mobility
from sim.field import Field
from sim.kernel import collect_seldom
from sim.members import FieldConfig
from sim.mobility import Carriers, Contact
from sim.scenarios.crowd import Played

REACHED_AT_LEAST = 0.98
SLOWER_AT_MOST = 1.1
LATER_AT_MOST_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """``messages`` are said by random people, each during one of its own contacts; discovery takes up to
    ``discovery_us`` (the daemon's multicast: a name is seen 1.5 s after its hub has come). Where nobody meets anybody
    for longer than ``night_us``, as in the night, only so much passes, for them and for the best possible alike."""

    name: str
    about: str
    messages: int = 100
    discovery_us: Duration = 1_500_000
    night_us: Duration = 10 * MINUTE
    until: Instant | None = None

    def play(self, seed: int, out: TextIO | None = None) -> Played:
        """Run it; ``out`` gets one line for every first hearing."""
        collect_seldom()
        shipped = [c for c in mobility.office() if self.until is None or c.end <= self.until]
        contacts = mobility.squeeze(shipped, self.night_us)
        people = 1 + max(max(contact.one, contact.other) for contact in contacts)
        field = Field(seed, FieldConfig(members=people, discovery_us=self.discovery_us))
        carriers = Carriers(field)
        field.listeners.append(carriers)
        mobility.play(field, contacts)
        for at, person in self._moments(contacts, Rng(seed).child("messages")):
            field.kernel.at(at, carriers.speaks, person)
        field.run(max(contact.end for contact in contacts))
        lines = [
            f"{number} {person} {heard}\n"
            for number, message in enumerate(carriers.messages)
            for person, heard in message.heard.items()
        ]
        if out is not None:
            out.writelines(lines)
        digest = blake2b("".join(lines).encode(), digest_size=16).hexdigest()
        return self._judge(field, carriers, contacts, digest)

    def _moments(self, contacts: list[Contact], draw: Rng) -> list[tuple[Instant, int]]:
        """When who says something: somebody who is with somebody, in the first two thirds of all contacts."""
        early = contacts[: max(1, 2 * len(contacts) // 3)]
        chosen = [draw.choice(early) for _ in range(self.messages)]
        return sorted((contact.start + draw.below(contact.end - contact.start), contact.one) for contact in chosen)

    def _judge(self, field: Field, carriers: Carriers, contacts: list[Contact], digest: str) -> Played:
        best: list[float] = []
        ours: list[float] = []
        late: list[float] = []
        possible = 0
        for message in carriers.messages:
            soonest = mobility.earliest(contacts, len(field.members), message.source, message.at)
            for person, when in enumerate(soonest):
                if when is None or person == message.source:
                    continue
                possible += 1
                heard = message.heard.get(person)
                if heard is not None:
                    best.append((when - message.at) / SECOND)
                    ours.append((heard - message.at) / SECOND)
                    late.append(ours[-1] - best[-1])
        reached = len(ours) / possible if possible else None
        optimal = median(best) if best else 0.0
        allowed = SLOWER_AT_MOST * optimal + LATER_AT_MOST_S
        bars = [
            Bar("reachable pairs that were reached", reached, REACHED_AT_LEAST, "of pairs", 1.0, at_most=False),
            Bar("median delay", median(ours) if ours else None, allowed, "s", optimal),
        ]
        figures: dict[str, object] = {
            "people": len(field.members),
            "contacts": len(contacts),
            "messages": len(carriers.messages),
            "reachable_pairs": possible,
            "median_delay_best_s": round(optimal, 1),
            "median_lateness_s": round(median(late), 2) if late else None,
            "links": field.counters.links,
            "dials": field.counters.dials,
            "dials_failed": field.counters.dials_failed,
        }
        return Played(bars, figures, digest, field.events, field.counters.told)
