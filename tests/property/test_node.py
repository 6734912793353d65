"""Nothing that a peer or the weather can do makes a Node raise, and its effects are always ones a driver can perform.

The promises about effects are checked by the hub under test for each input: timers lie ahead, frames fit and can be
read, a second Send waits.
"""

from __future__ import annotations

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from protocol.effects import Disconnect, Drop, Effect
from protocol.ids import LinkId
from protocol.inputs import FrameReceived
from protocol.rng import Rng
from protocol.wire.codec import Value, encode
from tests.fuzz.chaos import Chaos
from tests.fuzz.mutate import any_message, corpus, mutate
from tests.unit.protocol.hub import Hub, closed, drops, shown
from tests.unit.protocol.people import ANN, BEN, CAT, keys, vector

SETTINGS = settings(deadline=None, derandomize=True, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
seeds = st.integers(0, 2**64 - 1)


def linked() -> Hub:
    """A hub with an honest link (1) and one whose peer says anything (2)."""
    hub = Hub()
    hub.join(1, ANN)
    hub.join(2, BEN)
    hub.say(1, keys(CAT), vector(CAT, 1))
    hub.drain()
    return hub


def only_link_2_may_suffer(hub: Hub, effects: list[Effect]) -> None:
    """Whatever link 2 said, link 1 is there and is heard."""
    assert all(effect.link == 2 for effect in effects if isinstance(effect, Disconnect))
    assert all(effect.link in (2, None) for effect in effects if isinstance(effect, Drop))
    assert shown(hub.say(1, vector(CAT, 2))) == [(CAT.author, 2)]
    hub.statistics()


@given(st.binary(max_size=300))
@example(b"")
@example(b"\x91\x91\x04" * 30_000)
@SETTINGS
def test_any_bytes_as_a_frame_disturb_nobody_else(frame: bytes) -> None:
    hub = linked()
    only_link_2_may_suffer(hub, hub.act(FrameReceived(LinkId(2), frame)))


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from([0, 1, 2**31, 2**53 - 1, 2**53, 2**63, 2**64 - 1]),
    st.binary(max_size=70),
    st.sampled_from([bytes(8), bytes(32), bytes(64), ANN.author, CAT.author, CAT.key_state.encoded]),
    st.text(max_size=10),
)
inner = st.one_of(leaves, st.lists(leaves, max_size=4).map(tuple), st.lists(st.lists(leaves, max_size=4).map(tuple)))
messages = st.lists(st.tuples(st.integers(-1, 13), inner, inner, inner), max_size=4)


@given(messages, st.integers(1, 4))
@settings(SETTINGS, max_examples=200)
def test_anything_shaped_like_messages_disturbs_nobody_else(items: list[tuple[object, ...]], arity: int) -> None:
    def frozen(value: object) -> Value:
        return tuple(map(frozen, value)) if isinstance(value, tuple | list) else value  # type: ignore[return-value]

    hub = linked()
    frame = encode(tuple(frozen(item[:arity]) for item in items))
    only_link_2_may_suffer(hub, hub.act(FrameReceived(LinkId(2), frame)))


@given(st.lists(st.tuples(st.integers(0, len(corpus()) - 1), seeds, st.booleans()), min_size=1, max_size=6))
@settings(SETTINGS, max_examples=150)
def test_good_and_damaged_frames_in_any_order_disturb_nobody_else(plan: list[tuple[int, int, bool]]) -> None:
    hub = linked()
    effects: list[Effect] = []
    for index, seed, damaged in plan:
        frame = corpus()[index]
        effects += hub.act(FrameReceived(LinkId(2), mutate(frame, Rng(seed)) if damaged else frame))
        effects += hub.drain()
    assert all(link == 2 for link, _ in closed(effects))
    assert {line.link for line in hub.statistics().links} >= {1}


@given(seeds)
@settings(SETTINGS, max_examples=150)
def test_well_formed_messages_of_any_meaning_are_taken_or_refused_by_name(seed: int) -> None:
    hub, rng = linked(), Rng(seed)
    for _ in range(20):
        effects = hub.say(2, any_message(rng), any_message(rng)) + hub.advance(rng.below(300_000))
        assert all(isinstance(reason.value, str) for reason in drops(effects))
        if closed(effects):
            break
    hub.statistics()


@given(seeds, st.integers(1, 120))
@settings(SETTINGS, max_examples=60)
def test_anything_at_all_in_any_order_raises_nothing(seed: int, count: int) -> None:
    Chaos(seed).run(count)


@given(seeds)
@settings(SETTINGS, max_examples=10)
def test_one_seed_gives_one_run(seed: int) -> None:
    first, second = Chaos(seed), Chaos(seed)
    first.run(60)
    second.run(60)
    assert first.hub.statistics() == second.hub.statistics()
    assert first.hub.now == second.hub.now
