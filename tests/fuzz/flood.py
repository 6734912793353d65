"""A neighbor invents authors for an hour: `python -m tests.fuzz.flood --authors 100000 --seed 1 --json`.

One real Node with real signatures, in virtual time. The flooder's link brings a new author's keys and first story each
time; on another link an honest author, who is known, tells a story and withdraws it in turn. Whoever comes later than
the flood must still be heard. Exit 0 only if memory stays flat and every honest word keeps its time.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time  # noqa: TID251 - process time, to say what it cost
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from protocol import Bar
from protocol.bars import all_met, emit
from protocol.clock import SECOND, Duration, Instant
from protocol.effects import Effect, StoreEvents
from protocol.identity import LocalIdentity, new_identity
from protocol.inputs import Stored
from protocol.rng import Rng
from protocol.wire.contents import Story, encode_story, encode_withdrawal
from protocol.wire.events import STORY, WITHDRAWAL, Event, EventFields, EventRecord, Payload, decode_event, event_bytes
from protocol.wire.messages import Keys
from tests.unit.protocol.hub import Hub
from tests.unit.protocol.people import ANN, BEN, EVE, MESH

HOUR_S: Final = 3_600
HONEST_EVERY_S: Final = 30
LATECOMERS: Final = 20
FLAT_BYTES: Final = 24 << 20
"""What the process may grow by in the last three quarters: the corner of the unknown, and the allocator."""
LINKS: Final = {EVE: 1, BEN: 2}


class Chain:
    """Signs one author's events."""

    def __init__(self, who: LocalIdentity) -> None:
        self.who = who
        self.last: EventRecord | None = None

    def event(self, kind: int, content: bytes) -> tuple[EventRecord, Event]:
        """The next one, and the message that carries it."""
        payload = Payload(bytes(16), content)
        fields = EventFields(
            author=self.who.author,
            rotation=0,
            incarnation=1,
            seq=1 if self.last is None else self.last.seq + 1,
            prev=None if self.last is None else self.last.id,
            kind=kind,
            payload_hash=payload.hash(),
            payload_size=len(content),
        )
        signed = event_bytes(MESH.mesh_id, fields)
        self.last = decode_event(MESH.mesh_id, signed, self.who.sign(signed))
        return self.last, Event(signed, self.last.sig, payload)

    def story(self, text: str) -> tuple[EventRecord, Event]:
        """A story."""
        return self.event(STORY, encode_story(Story(text, "en")))


class Flood:
    """The hub, what its disk holds (by count alone), and the two neighbors."""

    def __init__(self, seed: int) -> None:
        self.rng = Rng(seed)
        self.hub = Hub()
        for who, link in LINKS.items():
            self.hub.join(link, who)
        self.perform(self.hub.advance(SECOND))
        self.honest = Chain(ANN)
        self.erased = 0
        self.slowest: Duration = 0
        self.unheard = 0

    def perform(self, effects: list[Effect]) -> None:
        """The disk does what it is told at once."""
        orders = [effect for effect in effects if isinstance(effect, StoreEvents)]
        while orders:
            order = orders.pop(0)
            self.erased += len(order.erase)
            orders += [effect for effect in self.hub.act(Stored(order.ticket)) if isinstance(effect, StoreEvents)]
        self.hub.drain()

    def invent(self) -> None:
        """A new author's keys and first story, from the flooder."""
        who = new_identity(MESH.mesh_id, self._bytes(), self._bytes())
        _, message = Chain(who).story("look at me")
        self.perform(self.hub.say(1, Keys(who.key_state.encoded), message))

    def be_honest(self) -> None:
        """A story and its withdrawal; how long until the disk has erased it."""
        record, message = self.honest.story("something to regret")
        _, regret = self.honest.event(WITHDRAWAL, encode_withdrawal((record.id,)))
        before, at = self.erased, self.hub.now
        self.perform(self.hub.say(2, Keys(ANN.key_state.encoded), message))
        self.perform(self.hub.say(2, regret))
        while self.erased == before and self.hub.now < at + 60 * SECOND:
            self.wait(SECOND)
        self.unheard += self.erased == before
        self.slowest = max(self.slowest, self.hub.now - at)

    def come_late(self) -> int:
        """Honest authors whom nobody here has heard of before; how many of their words are held."""
        held = 0
        for _ in range(LATECOMERS):
            chain = Chain(new_identity(MESH.mesh_id, self._bytes(), self._bytes()))
            record, message = chain.story("I have just come")
            self.perform(self.hub.say(2, Keys(chain.who.key_state.encoded), message))
            self.wait(SECOND)
            held += any(one.event == record.id for one in self.hub.node.of_kind(STORY))
        return held

    def wait(self, us: Duration) -> None:
        """Time passes."""
        self.perform(self.hub.advance(us))

    def _bytes(self) -> bytes:
        return b"".join(self.rng.u64().to_bytes(8, "big") for _ in range(4))


def resident_bytes() -> int:
    """What the process holds now."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(arguments: Sequence[str] | None = None) -> int:
    """Flood; the exit status is 0 only if every bar is met."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.flood", description=__doc__.splitlines()[0])
    parser.add_argument("--authors", type=int, default=100_000, help="how many, evenly over the hour")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    given = parser.parse_args(arguments)
    began = time.process_time()
    flood = Flood(given.seed)
    quarter = 0
    start: Instant = flood.hub.now
    invented = 0
    for second in range(HOUR_S):
        flood.wait(max(0, start + second * SECOND - flood.hub.now))
        while invented * HOUR_S < given.authors * (second + 1):
            flood.invent()
            invented += 1
        if second % HONEST_EVERY_S == 0:
            flood.be_honest()
        if second == HOUR_S // 4:
            quarter = resident_bytes()
    grown = resident_bytes() - quarter
    late = flood.come_late()
    durable = flood.hub.statistics().durable
    bars = [
        Bar("grown in the last three quarters", grown / (1 << 20), FLAT_BYTES / (1 << 20), "MiB"),
        Bar("honest withdrawals not done", flood.unheard, 0, "withdrawals"),
        Bar("slowest honest withdrawal", flood.slowest / SECOND, 1.0, "s"),
        Bar("latecomers who were heard", late, LATECOMERS, "authors", at_most=False),
    ]
    found = {
        "seed": given.seed,
        "authors": invented,
        "authors_held": durable.authors,
        "events_held": durable.events,
        "refused": {name: count for name, count in flood.hub.statistics().drops.items() if count > 100},
        "cpu_s": round(time.process_time() - began, 1),
    }
    print(emit(bars, as_json=given.json, **found))
    if not given.json:
        print(found)
    return 0 if all_met(bars) else 1


if __name__ == "__main__":
    sys.exit(main())
