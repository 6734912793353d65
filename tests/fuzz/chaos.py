"""One hub to which anything may happen in any order; every effect is checked, and statistics must always answer."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan

from protocol.clock import SECOND
from protocol.effects import Connect, Effect
from protocol.errors import CloseCode, Reason
from protocol.identity import LocalIdentity
from protocol.ids import LinkId
from protocol.inputs import (
    Address,
    CommonsGrant,
    DialFailed,
    Estimate,
    FrameReceived,
    InterfaceChanged,
    Leave,
    LinkDown,
    LinkUp,
    LinkWritable,
    LoopLagged,
    MessagesReceived,
    PeerSeen,
    Publish,
    Reading,
    SetGrant,
    TimerFired,
    UtcObserved,
)
from protocol.rng import Rng
from protocol.wire import messages as wire
from protocol.wire.registry import DIMENSIONS
from tests.fuzz.mutate import PEOPLE, any_message, corpus, mutate
from tests.unit.protocol.hub import Hub
from tests.unit.protocol.people import listening, person

ODD_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 5e-324, 1e308, -1e308, nan, inf, -inf)
DEVIATIONS = (None, 0.1, 0.0, 5e-324, 1e308, nan, inf)
REASONS = ("refused", "timeout", *(reason.value for reason in Reason if reason.value.startswith("handshake")))


class Chaos:
    """A seed's worth of trouble."""

    def __init__(self, seed: int) -> None:
        self.rng = Rng(seed)
        self.hub = Hub(seed=seed)
        self.dials: list[Connect] = []
        self.links = 0
        self.silent: dict[LinkId, LocalIdentity] = {}
        self.steps: tuple[Callable[[], list[Effect]], ...] = (
            *(self._frame,) * 8,
            *(self._messages,) * 2,
            *(self._time,) * 5,
            *(self._writable,) * 3,
            *(self._link_up,) * 3,
            self._hello,
            self._link_down,
            self._dialled,
            self._seen,
            self._weather,
            self._person,
            self._stray_timer,
        )

    def run(self, count: int) -> None:
        """So many things happen."""
        for _ in range(count):
            effects = self.rng.choice(self.steps)()
            self.dials += [effect for effect in effects if isinstance(effect, Connect)]
            if self.rng.chance(0.2):
                self.look()
        self.look()

    def look(self) -> None:
        """What outsiders see, which must be there at any time and be true to itself."""
        picture = self.hub.statistics()
        assert all(line.lease_left_us > 0 and line.age_us >= 0 for line in picture.authors)
        assert len({line.peer for line in picture.links}) == len(picture.links)
        assert picture.crowd.mean is None or -1.0 <= picture.crowd.mean <= 1.0
        assert not set(picture.in_reach) & {author for author, _ in picture.out_of_reach}

    # --- what can happen ----------------------------------------------------------------------------------------

    def _any_link(self) -> LinkId:
        links = list(self.hub.open) or [LinkId(0)]
        return self.rng.choice(links) if self.rng.chance(0.95) else LinkId(self.rng.below(self.links + 2))

    def _frame(self) -> list[Effect]:
        frame = self.rng.choice(corpus())
        if self.rng.chance(0.1):
            frame = mutate(frame, self.rng)
        return self.hub.act(FrameReceived(self._any_link(), frame))

    def _messages(self) -> list[Effect]:
        messages = tuple(any_message(self.rng) for _ in range(1 + self.rng.below(5)))
        return self.hub.act(MessagesReceived(self._any_link(), messages))

    def _time(self) -> list[Effect]:
        duration = self.rng.choice([1, 1_000, 90_000, 100_000, 500_000, SECOND, 3 * SECOND])
        return self.hub.advance(duration, drain=self.rng.chance(0.7), beats=self.rng.chance(0.8))

    def _writable(self) -> list[Effect]:
        return self.hub.act(LinkWritable(self._any_link()))

    def _link_up(self) -> list[Effect]:
        self.links += 1
        link, rng = LinkId(self.links), self.rng
        who = person(1 + rng.below(12), rng.choice([0, 0, 0, 0, 1]))
        encoded = b"\xc0" if rng.chance(0.02) else who.key_state.encoded
        dial = self.dials.pop(rng.below(len(self.dials))) if self.dials and rng.chance(0.5) else None
        address = None if dial is None else rng.choice(dial.addresses)
        effects = self.hub.act(
            LinkUp(link, who.author, encoded, rng.chance(0.5), address, None if dial is None else dial.dial)
        )
        self.silent[link] = who
        return effects + (self._hello() if rng.chance(0.8) else [])

    def _hello(self) -> list[Effect]:
        if not self.silent:
            return []
        link, who = self.silent.popitem()
        hosts = ["10.0.1.1", "::1", "not.a.literal", "x" * 64]
        said = listening(who, (self.rng.choice(hosts), 1 + self.rng.below(9))) if self.rng.chance(0.5) else None
        effects = self.hub.act(MessagesReceived(link, (wire.Hello(1, said, "chaos"),)))
        if any(line.link == link for line in self.hub.statistics().links):
            self.hub.open[link] = None
        return effects

    def _link_down(self) -> list[Effect]:
        return self.hub.act(LinkDown(self._any_link(), self.rng.choice([None, None, *CloseCode, 200])))

    def _dialled(self) -> list[Effect]:
        if not self.dials or self.rng.chance(0.1):
            return self.hub.act(DialFailed(self.rng.below(10**6), "refused"))
        dial = self.dials.pop(self.rng.below(len(self.dials)))
        address = self.rng.choice([None, *dial.addresses])
        return self.hub.act(DialFailed(dial.dial, self.rng.choice(REASONS), address))

    def _addresses(self) -> tuple[Address, ...]:
        return tuple((f"10.0.0.{self.rng.below(20)}", 1 + self.rng.below(3)) for _ in range(self.rng.below(6)))

    def _seen(self) -> list[Effect]:
        expected = self.rng.choice(PEOPLE).author if self.rng.chance(0.3) else None
        return self.hub.act(PeerSeen(f"name {self.rng.below(30)}", self._addresses(), expected))

    def _weather(self) -> list[Effect]:
        kind = self.rng.below(4)
        if kind == 0:
            return self.hub.act(InterfaceChanged(self._addresses()))
        if kind == 1:
            return self.hub.act(LoopLagged(self.rng.below(5 * SECOND)))
        utc_ms = self.rng.choice([0, -(10**13), 10**14, 1_800_000_000_000 + self.rng.below(10**6)])
        return self.hub.act(UtcObserved(utc_ms, self.rng.choice([None, 0, 10, 1_000, 1_001, 10**9])))

    def _person(self) -> list[Effect]:
        rng = self.rng
        if rng.chance(0.02):
            return self.hub.act(Leave())
        if rng.chance(0.6):
            estimates = tuple(
                Estimate(rng.below(8), rng.choice([None, *ODD_FLOATS]), rng.choice(DEVIATIONS))
                for _ in range(rng.below(4))
            )
            at = self.hub.now + rng.choice([0, 0, -SECOND, -10 * SECOND, SECOND])
            return self.hub.act(Publish(Reading(at, estimates, rng.choice(ODD_FLOATS), rng.choice([0, 1, -1, 65_536]))))
        if rng.chance(0.3):
            return self.hub.act(SetGrant(None))
        dims = tuple(sorted(rng.sample(sorted(DIMENSIONS), 1 + rng.below(4))))
        cadence_ms, lease_ms = rng.choice([50, 300, 1_000, 60_000]), rng.choice([1_000, 10_000, 60_000])
        terms = (rng.chance(0.7), rng.chance(0.7), rng.chance(0.5))
        return self.hub.act(SetGrant(CommonsGrant(dims, rng.choice([0, 2, 5]), cadence_ms, lease_ms, *terms)))

    def _stray_timer(self) -> list[Effect]:
        keys = [("tick",), ("publish",), ("liveness",), ("views",), ("gossip", "pending"), ("flush", "1"), ("else",)]
        return self.hub.act(TimerFired(self.rng.choice(keys)))
