"""Random streams of honest, repeated, reordered and forged vectors: the newest true one wins, and nothing else does."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.clock import MS
from protocol.effects import Effect, Send
from protocol.errors import CloseCode
from protocol.limits import COUNTER_MAX, SPACING_US
from protocol.wire import messages as wire
from protocol.wire.records import decode_vector
from tests.unit.protocol.hub import Hub, closed, shown
from tests.unit.protocol.people import ANN, BEN, CAT, DAN, EVE, MESH, Made, forged, keys, tag, vector

SETTINGS = settings(deadline=None, derandomize=True, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
AUTHORS = (CAT, DAN)
Number = tuple[int, int]

numbers = st.tuples(st.integers(1, 2), st.integers(1, 8))
ages = st.sampled_from([0, 1, 500, 1_999, 2_000, 60_000])
honest = st.tuples(st.just("honest"), st.sampled_from([0, 1]), numbers, ages)
hostile = st.tuples(
    st.just("forged"), st.sampled_from([0, 1]), st.one_of(numbers, st.just((COUNTER_MAX, COUNTER_MAX))), ages
)
other = st.tuples(
    st.sampled_from(["wait", "drain", "keys", "prune", "digest"]),
    st.sampled_from([0, 1]),
    numbers,
    st.sampled_from([1, 30, 100, 700, 2_100]),
)
steps = st.lists(st.one_of(honest, honest, hostile, other), min_size=5, max_size=50)


class Stream:
    """A hub with two honest links and a hostile one that is replaced whenever it falls, and what must be true of it."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.hub.join(1, ANN)
        self.hub.join(2, BEN)
        self.hostile = 10
        self.hub.join(self.hostile, EVE)
        self.true: dict[bytes, Number] = {}
        self.left: dict[tuple[int, bytes], tuple[Number, int]] = {}
        self.known: set[int] = set()

    def act(self, kind: str, who: int, number: Number, size: int) -> None:
        """One thing that happens, and what must follow from it."""
        hub, author = self.hub, AUTHORS[who]
        boot, seq = number
        link = 1 + (boot + seq) % 2
        made = Made(boot=boot, lease_ms=2_000)
        if kind == "honest":
            effects = hub.say(link, vector(author, seq, made, age_ms=size))
            self.check(effects)
            assert closed(effects) == []
        elif kind == "forged":
            effects = hub.say(self.hostile, forged(author, seq, made, age_ms=size))
            self.check(effects)
            self.fall(effects)
        elif kind == "keys":
            effects = hub.say(link, keys(author))
            self.known.add(who)
            self.check(effects)
            self.fall(effects)
        elif kind == "wait":
            self.check(hub.advance(size * MS))
        elif kind == "drain":
            self.check(hub.drain())
        elif kind == "prune":
            self.check(hub.say(link, wire.Prune((tag(author),))))
        else:
            self.check(hub.say(self.hostile, wire.Digest((wire.DigestEntry(tag(author), 0, boot, COUNTER_MAX),))))

    def fall(self, effects: list[Effect]) -> None:
        """A forgery costs the hostile link at most, and a new one takes its place."""
        assert closed(effects) in ([], [(self.hostile, CloseCode.SIGNATURE)])
        if closed(effects):
            self.hostile += 1
            self.hub.join(self.hostile, EVE)

    def check(self, effects: list[Effect]) -> None:
        """Values go forwards only, on the shelf and on every link; nothing leaves too old, too soon or unverified."""
        for author, seq in shown(effects):
            line = next(line for line in self.hub.statistics().authors if line.author == author)
            assert (line.boot, line.seq) >= (line.boot, seq)
            assert (line.boot, line.seq) > self.true.get(author, (0, 0)) or len(shown(effects)) > 1
            self.true[author] = (line.boot, line.seq)
        for effect in effects:
            if isinstance(effect, Send):
                for message in effect.messages:
                    if isinstance(message, wire.Vector):
                        self.check_vector(effect.link, message)

    def check_vector(self, link: int, message: wire.Vector) -> None:
        """One vector that leaves."""
        record = decode_vector(MESH.mesh_id, message.signed)
        author = next(one for one in AUTHORS if one.author == record.author)
        assert message.signature == author.sign(message.signed)
        assert message.age_ms < record.lease_ms
        before = self.left.get((link, record.author))
        if before is not None:
            assert (record.boot, record.seq) > before[0]
            assert self.hub.now - before[1] >= SPACING_US or self.hub.now == before[1]
        self.left[(link, record.author)] = ((record.boot, record.seq), self.hub.now)


@given(steps)
@SETTINGS
def test_the_newest_true_vector_wins_whatever_else_arrives(history: list[tuple[str, int, Number, int]]) -> None:
    stream = Stream()
    for step in history:
        stream.act(*step)
        assert {line.link for line in stream.hub.statistics().links} == {1, 2, stream.hostile}
    stream.check(stream.hub.drain())
    for author in AUTHORS:
        final = vector(author, 2**40, Made(boot=COUNTER_MAX))
        assert shown(stream.hub.say(1, keys(author), final))[-1:] == [(author.author, 2**40)]


@given(steps)
@settings(SETTINGS, max_examples=40)
def test_statistics_show_nothing_beyond_its_lease_and_nothing_unsaid(
    history: list[tuple[str, int, Number, int]],
) -> None:
    stream = Stream()
    for step in history:
        stream.act(*step)
        for line in stream.hub.statistics().authors:
            assert 0 < line.lease_left_us <= 2_000 * MS
            assert line.age_us >= 0
            assert line.author in {author.author for author in AUTHORS}
            assert line.values == (("arousal", line.values[0][1], line.values[0][2]),)
