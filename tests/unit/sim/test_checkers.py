"""The naive model must be able to say no: every invariant is broken here once on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from protocol.clock import MS, SECOND, Instant
from protocol.effects import Effect, Emit, SetTimer, ValueShown
from protocol.inputs import Input
from protocol.node import Node
from protocol.statistics import NodeStatistics
from sim.checkers import Safety, linked, reaches, sides_right
from sim.host import Host, Machine
from sim.pair import Pair
from sim.persons import Person
from sim.world import SafetyViolation, World

Twist = Callable[[list[Effect]], list[Effect]]


class Twisted:
    """An honest Node whose effects a test twists."""

    def __init__(self, node: Node, twist: Twist) -> None:
        self._node = node
        self._twist = twist

    def handle(self, input: Input, now: Instant) -> list[Effect]:
        return self._twist(self._node.handle(input, now))


def twisted(twist: Twist) -> Callable[[Node, Host], Machine]:
    return lambda node, _host: Twisted(node, twist)


def shown(effects: list[Effect]) -> list[ValueShown]:
    return [effect.event for effect in effects if isinstance(effect, Emit) and isinstance(effect.event, ValueShown)]


def running_pair() -> Pair:
    pair = Pair(seed=3, left="ada", right="ben")
    pair.publish("ada", 0.5)
    pair.advance(2 * SECOND)
    return pair


def seen_by_ben(pair: Pair) -> NodeStatistics:
    return pair.statistics("ben")


def changed_line(seen: NodeStatistics, **changes: object) -> NodeStatistics:
    """The same statistics with the line about somebody else changed."""
    lines = tuple(line if line.own else replace(line, **changes) for line in seen.authors)  # type: ignore[arg-type]
    return replace(seen, authors=lines)


def test_an_honest_picture_passes() -> None:
    pair = running_pair()
    pair.safety.check(pair.host("ben"), seen_by_ben(pair))
    assert pair.safety.sweeps == 1


@pytest.mark.parametrize(
    ("twist", "says"),
    [
        (lambda seen, _: changed_line(seen, values=(("arousal", 0.25, 0.1),)), "was made"),
        (lambda seen, _: changed_line(seen, seq=999), "nobody made"),
        (lambda seen, _: changed_line(seen, seq=1), "has not said so"),
        (lambda seen, _: changed_line(seen, age_us=99 * SECOND), "is true"),
        (lambda seen, _: replace(seen, boot=0), "is below the stored"),
        (lambda seen, _: replace(seen, links=(replace(seen.links[0], waiting=3),)), "wait on link"),
        (lambda seen, _: replace(seen, in_reach=()), "in reach and out of it"),
        (lambda seen, pair: replace(seen, out_of_reach=((pair.host("ada").author, 0),)), "in reach and out of it"),
    ],
)
def test_a_false_picture_is_found(twist: Callable[[NodeStatistics, Pair], NodeStatistics], says: str) -> None:
    pair = running_pair()
    with pytest.raises(SafetyViolation, match=says):
        pair.safety.check(pair.host("ben"), twist(seen_by_ben(pair), pair))


def test_a_value_kept_beyond_its_lease_is_found() -> None:
    pair = running_pair()
    seen = seen_by_ben(pair)
    stale = replace(seen, links=(), authors=tuple(line for line in seen.authors if not line.own))
    pair.cut()
    pair.advance(15 * SECOND + pair.safety.residue_us + SECOND)
    with pytest.raises(SafetyViolation, match="leased for"):
        pair.safety.check(pair.host("ben"), stale)


def test_a_number_that_goes_back_is_found() -> None:
    first: list[Effect] = []

    def repeat(effects: list[Effect]) -> list[Effect]:
        news = [e for e in effects if isinstance(e, Emit) and isinstance(e.event, ValueShown)]
        first.extend(news[:1])
        return [*effects, *first[:1]] if news and len(first) > 1 else effects

    world = World(1)
    Safety(world, every_us=None)
    world.add("ada", wrap=twisted(repeat))
    with pytest.raises(SafetyViolation, match=r"shows number .* after"):
        world.run(5 * SECOND)


def test_a_number_that_nobody_made_is_found() -> None:
    def invent(effects: list[Effect]) -> list[Effect]:
        return [*effects, *(Emit(replace(event, seq=event.seq + 1_000)) for event in shown(effects))]

    world = World(1)
    Safety(world, every_us=None)
    world.add("ada", wrap=twisted(invent))
    with pytest.raises(SafetyViolation, match="which nobody made") as caught:
        world.run(5 * SECOND)
    assert (caught.value.seed, caught.value.node) == (1, "ada")
    assert caught.value.now == world.now > 0


def test_an_author_whose_numbers_do_not_grow_through_a_crash_is_found() -> None:
    world = World(1)
    Safety(world, every_us=None)
    ada = world.add("ada")
    world.run(3 * SECOND)
    world.crash(ada)
    ada.storage.boot = 0  # what was stored is lost
    world.restart(ada)
    with pytest.raises(SafetyViolation, match="signed number"):
        world.run(6 * SECOND)


def test_an_author_who_says_what_the_person_did_not_feel_is_found() -> None:
    class Liar(Person):
        def read(self, now: Instant) -> object:  # type: ignore[override]
            reading = super().read(now)
            estimate = reading.estimates[0]
            assert estimate.value is not None
            other = replace(estimate, value=estimate.value / 2 + 0.4)
            return replace(reading, estimates=(other,))

    world = World(2)
    Safety(world, every_us=None)
    ada = world.add("ada")
    ada.person = Liar(world.rng.child("liar"))
    with pytest.raises(SafetyViolation, match="made arousal"):
        world.run(5 * SECOND)


def test_a_timer_set_for_the_past_is_found() -> None:
    def late(effects: list[Effect]) -> list[Effect]:
        return [replace(e, at=0) if isinstance(e, SetTimer) else e for e in effects]

    world = World(1)
    world.add("ada", wrap=twisted(late))
    with pytest.raises(SafetyViolation, match="time that has passed"):
        world.run(SECOND)


def test_sides_are_right_only_if_exactly_the_group_is_in_reach() -> None:
    pair = running_pair()
    ada, ben = pair.host("ada"), pair.host("ben")
    assert sides_right(pair.world, [[ada, ben]]) == []
    assert sides_right(pair.world, [[ada], [ben]]) == [ada, ben]
    assert reaches(pair.world, ada, {ada.author, ben.author})
    pair.cut()
    pair.advance(5 * SECOND)
    assert sides_right(pair.world, [[ada, ben]]) == [ada, ben]
    assert sides_right(pair.world, [[ada], [ben]]) == []
    pair.crash("ben")
    assert sides_right(pair.world, [[ada, ben]]) == []


def test_linked_means_one_piece_and_nobody_alone() -> None:
    world = World(4)
    hosts = [world.add() for _ in range(6)]
    world.run(2 * SECOND)
    assert linked(world, hosts)
    world.cut(hosts[:3], hosts[3:])
    world.run(world.now + 5 * SECOND)
    assert linked(world, hosts[:3])
    assert linked(world, hosts[3:])
    assert not linked(world, hosts)
    world.cut(hosts[:1], hosts[1:])
    world.run(world.now + 5 * SECOND)
    assert not linked(world, hosts)


def test_the_true_age_is_counted_from_the_signature() -> None:
    pair = running_pair()
    ada, ben = pair.host("ada"), pair.host("ben")
    ledger = pair.safety.ledger
    line = pair.shown("ben", "ada")
    assert line is not None
    true_age = ledger.age_us(ben, ada.author)
    assert true_age is not None
    assert 0 <= true_age - line.age_us <= 10 * MS
    assert ledger.targets([ada]) == {ada.author: (1, line.seq)}
    assert ledger.behind([ben], {ada.author: (1, line.seq)}) == 0
    assert ledger.behind([ben], {ada.author: (1, line.seq + 1)}) == 1
    pair.cut()
    pair.advance(16 * SECOND)
    assert ledger.age_us(ben, ada.author) is None
