"""Two hubs live twice through the same words and meetings: once in silence, once with any feelings, any grants and any
refusals. How each stands with the other is the same to the last bit."""

from __future__ import annotations

import struct
from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.clock import SECOND
from protocol.crypto import digest
from protocol.inputs import Attest, CommonsGrant, Regard
from sim.pair import Pair
from sim.world import DEFAULT_GRANT

SETTINGS = settings(deadline=None, derandomize=True, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
SIDES = ("left", "right")
sides = st.sampled_from(SIDES)
deeds = st.one_of(
    st.tuples(st.just("word"), sides, st.integers(-100, 100)),
    st.tuples(st.just("block"), sides, st.booleans()),
    st.tuples(st.just("mute"), sides, st.booleans()),
    st.tuples(st.just("session"), sides),
)
moods = st.one_of(
    st.tuples(st.just("feels"), sides, st.floats(-1, 1) | st.none()),
    st.tuples(st.just("grants"), sides, st.booleans()),
    st.tuples(st.just("refuses"), sides),
)


def lived(story: list[tuple[object, ...]], *, in_silence: bool) -> tuple[object, ...]:
    """Everything that trust says afterwards, values as bits."""
    pair = Pair(seed=5, grant=None if in_silence else DEFAULT_GRANT)
    for number, deed in enumerate(story, 1):
        match deed:
            case ("word", str(who), int(strength)):
                pair.give(who, Attest(number, pair.other(who).author, strength, digest(bytes([number]))))
            case ("block" | "mute" as what, str(who), bool(on)):
                marked: Literal["block", "mute"] = "block" if what == "block" else "mute"
                pair.give(who, Regard(pair.other(who).author, marked, on))
            case ("session", str(who)):
                (pair.left if who == "left" else pair.right).session_shared(pair.other(who).author, pair.now)
            case ("feels", str(who), float() | None as value) if not in_silence:
                pair.publish(who, value)
            case ("grants", str(who), bool(may)) if not in_silence:
                dims = DEFAULT_GRANT.dimensions
                pair.grant(who, CommonsGrant(dims, 0, 1_000, 10_000, may, may, may))
            case ("refuses", str(who)) if not in_silence:
                pair.grant(who, None)
            case _:
                pass
        pair.world.run(pair.now + 2 * SECOND)
    nodes = ((pair.left, "left"), (pair.right, "right"))
    return tuple(
        (
            struct.pack(">d", node.standing(pair.other(who).author, pair.now)),
            node.explain(pair.other(who).author, pair.now),
            node.statistics(pair.now).trust,
        )
        for node, who in nodes
    )


@SETTINGS
@given(st.lists(deeds | moods, max_size=8))
def test_whatever_two_people_feel_share_or_refuse_they_stand_with_each_other_as_if_they_had_not(
    story: list[tuple[object, ...]],
) -> None:
    assert lived(story, in_silence=False) == lived(story, in_silence=True)


def test_the_deeds_themselves_are_seen() -> None:
    assert lived([("word", "left", 100)], in_silence=True) != lived([], in_silence=True)
