"""The one gate against a second evaluator, and what leaves a hub over random histories of grants (T6, T7, I2, I3)."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from protocol.consent.policy import Purpose, decide
from protocol.effects import Effect
from protocol.errors import Reason
from protocol.inputs import CommonsGrant, Estimate, Publish, Reading, SetGrant
from protocol.wire import messages as wire
from protocol.wire.records import VectorRecord, decode_vector
from protocol.wire.registry import DIMENSIONS
from tests.unit.protocol.hub import Hub, vectors_sent
from tests.unit.protocol.people import ANN, BEN, CAT, DAN, ME, MESH, Made, keys, tag, vector

SETTINGS = settings(deadline=None, derandomize=True, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
REGISTERED = tuple(sorted(DIMENSIONS))

dims = st.lists(st.sampled_from(REGISTERED), min_size=1, max_size=4, unique=True).map(lambda d: tuple(sorted(d)))
grants = st.builds(
    CommonsGrant,
    dimensions=dims,
    levels=st.sampled_from([0, 2, 5]),
    cadence_ms=st.sampled_from([50, 250, 1_000, 3_000]),
    lease_ms=st.sampled_from([1_000, 3_000, 60_000]),
    may_relay=st.booleans(),
    may_aggregate=st.booleans(),
    may_record=st.booleans(),
)


def second_opinion(
    purpose: str, audience: int, terms: int, asked: tuple[int, ...], left: int, grant: CommonsGrant | None, own: bool
) -> bool:
    """Whether something may happen, from the words of the house rules and not from the gate's code."""
    if audience != 0 or left <= 0 or not set(asked) <= set(REGISTERED):
        return False
    bits = {"relay": 1, "aggregate": 2, "record": 4}
    if not own:
        return purpose in {"publish", "keep"} or terms & bits[purpose] != 0
    if purpose == "keep":
        return True
    if grant is None or not set(asked) <= set(grant.dimensions):
        return False
    given_bits = grant.may_relay * 1 + grant.may_aggregate * 2 + grant.may_record * 4
    if terms & given_bits != terms:
        return False
    return purpose in {"publish", "relay"} or terms & bits[purpose] != 0


@given(
    purpose=st.sampled_from(Purpose),
    audience=st.sampled_from([0, 0, 0, 1, -1, 2**32]),
    terms=st.integers(0, 15),
    asked=st.lists(st.integers(-1, 8), max_size=4).map(tuple),
    left=st.sampled_from([-(10**9), -1, 0, 1, 10**9]),
    grant=st.one_of(st.none(), grants),
    own=st.booleans(),
)
@example(purpose=Purpose.PUBLISH, audience=0, terms=8, asked=(0,), left=1, grant=None, own=True)
@settings(SETTINGS, max_examples=500)
def test_the_gate_agrees_with_a_second_evaluator(
    purpose: Purpose,
    audience: int,
    terms: int,
    asked: tuple[int, ...],
    left: int,
    grant: CommonsGrant | None,
    own: bool,
) -> None:
    answer = decide(purpose, audience=audience, terms=terms, dims=asked, lease_left_us=left, grant=grant, own=own)
    assert answer.allowed is second_opinion(purpose.value, audience, terms, asked, left, grant, own)
    assert answer.allowed is (answer.reason is None)
    assert answer.reason in {
        *(None, Reason.NOT_CONSENTED, Reason.LEASE_EXPIRED),
        *(Reason.UNKNOWN_AUDIENCE, Reason.UNKNOWN_DIMENSION),
    }


# --- histories --------------------------------------------------------------------------------------------------

steps = st.lists(
    st.one_of(
        st.tuples(st.just("grant"), grants),
        st.tuples(st.just("withdraw"), st.none()),
        st.tuples(st.just("wait"), st.sampled_from([1_000, 60_000, 400_000, 1_500_000, 4_000_000])),
        st.tuples(st.just("stall"), st.sampled_from([60_000, 1_500_000])),
        st.tuples(st.just("join"), st.sampled_from([3, 4])),
        st.tuples(st.just("graft"), st.sampled_from([1, 2])),
        st.tuples(st.just("prune"), st.sampled_from([1, 2])),
        st.tuples(st.just("hear"), st.integers(0, 7)),
    ),
    min_size=3,
    max_size=30,
)


class History:
    """A hub that lives through a history, and a judge who knows only what was granted and when."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.grant: CommonsGrant | None = None
        self.seq = 0
        self.links = 0
        self.own = 0
        self.foreign = 0
        for link, who in enumerate((ANN, BEN), start=1):
            self.hub.join(link, who)
        self.hub.say(1, keys(CAT))

    def feel(self) -> None:
        """Every dimension is measured, each at the middle of its range."""
        middle = [(d, (DIMENSIONS[d].low + DIMENSIONS[d].high) / 2, DIMENSIONS[d].width / 20) for d in REGISTERED]
        self.hub.act(Publish(Reading(self.hub.now, tuple(Estimate(*one) for one in middle), 1.0, 1)))

    def judge(self, effects: list[Effect]) -> None:
        """Everything that left was allowed at that moment."""
        for message in vectors_sent(effects):
            record: VectorRecord = decode_vector(MESH.mesh_id, message.signed)
            own = record.author == ME.author
            left = record.lease_ms - message.age_ms
            purpose = "publish" if own else "relay"
            grant = self.grant if own else None
            asked = record.block.dims
            assert second_opinion(purpose, record.audience, record.terms, asked, left, grant, own), record
            self.own += own
            self.foreign += not own

    def step(self, kind: str, value: object) -> None:
        """One thing that happens."""
        hub = self.hub
        if kind in {"grant", "withdraw"}:
            self.grant = value if isinstance(value, CommonsGrant) else None
            self.judge(hub.act(SetGrant(self.grant)))
            return
        assert isinstance(value, int)
        if kind in {"wait", "stall"}:
            self.feel()
            self.judge(hub.advance(value, drain=kind == "wait"))
        elif kind == "join":
            self.links += 1
            self.judge(hub.join(10 + self.links, (CAT, DAN)[value - 3]))
        elif kind == "hear":
            self.seq += 1
            self.judge(hub.say(1, vector(CAT, self.seq, Made(terms=value, lease_ms=1_000))))
        else:
            wish = wire.Graft((tag(ME), tag(CAT))) if kind == "graft" else wire.Prune((tag(ME), tag(CAT)))
            self.judge(hub.say(value, wish))


@given(steps)
@settings(SETTINGS, max_examples=60)
def test_nothing_leaves_that_is_not_granted_at_that_moment(history: list[tuple[str, object]]) -> None:
    life = History()
    for kind, value in history:
        life.step(kind, value)
    life.judge(life.hub.drain())
    life.step("withdraw", None)
    before = life.own
    life.step("wait", 4_000_000)
    assert life.own == before
    assert life.hub.held(ME) is None


def test_the_judge_sees_vectors_of_both_kinds_and_would_object() -> None:
    life = History()
    full = CommonsGrant(REGISTERED[:4], 0, 250, 3_000, True, True, True)
    for kind, value in (("grant", full), ("hear", 7), ("wait", 1_500_000), ("hear", 3), ("wait", 400_000)):
        life.step(kind, value)
    assert life.own > 4
    assert life.foreign >= 2
    life.grant = dataclasses.replace(full, dimensions=(0,))
    with pytest.raises(AssertionError):
        life.step("wait", 1_500_000)
