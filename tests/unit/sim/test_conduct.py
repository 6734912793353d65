"""The judge of single steps must be able to say no: every rule is broken here once on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from protocol.clock import SECOND, Instant
from protocol.effects import Connect, Disconnect, Effect, Send, StoreBoot
from protocol.errors import CloseCode
from protocol.inputs import Input, SetGrant
from protocol.node import Node
from protocol.wire.messages import Beat, Hello, Message, Vector
from sim.adversaries import forger
from sim.checkers import Safety
from sim.conduct import DIALS_MAX, Conduct
from sim.host import Host, Machine
from sim.world import DEFAULT_GRANT, SafetyViolation, World

Twist = Callable[[Input, list[Effect], list[Vector]], list[Effect]]


class Twisted:
    """An honest Node whose effects a test twists; ``own`` are its own vectors so far."""

    def __init__(self, node: Node, twist: Twist) -> None:
        self._node = node
        self._twist = twist
        self._own: list[Vector] = []

    def handle(self, input: Input, now: Instant) -> list[Effect]:
        effects = self._node.handle(input, now)
        for effect in effects:
            if isinstance(effect, Send):
                self._own += [each for each in effect.messages if isinstance(each, Vector)]
        return self._twist(input, effects, self._own)


def messages(effects: list[Effect], change: Callable[[Message], list[Message]]) -> list[Effect]:
    """The same effects with every message changed."""
    changed: list[Effect] = []
    for effect in effects:
        if isinstance(effect, Send):
            effect = Send(effect.link, tuple(new for each in effect.messages for new in change(each)) or (Beat(),))
        changed.append(effect)
    return changed


def play(twist: Twist, *, us: int = 8 * SECOND) -> World:
    """Ada, who is twisted, and two honest others; she withdraws her grant after five seconds."""
    world = World(2)
    Conduct(Safety(world))

    def wrap(node: Node, _host: Host) -> Machine:
        return Twisted(node, twist)

    ada = world.add("ada", wrap=wrap)
    for name in ("ben", "cem"):
        world.add(name, grant=replace(DEFAULT_GRANT, may_relay=False))
    world.kernel.at(5 * SECOND, world.set_grant, ada, None)
    world.run(us)
    return world


def again(_input: Input, effects: list[Effect], own: list[Vector]) -> list[Effect]:
    """Sends the oldest vector it knows in every frame, whatever has happened since."""
    return messages(effects, lambda each: [each, own[0]] if own and not isinstance(each, Hello) else [each])


def no_hello(_input: Input, effects: list[Effect], _own: list[Vector]) -> list[Effect]:
    return messages(effects, lambda each: [Beat()] if isinstance(each, Hello) else [each])


def goes_on(_input: Input, effects: list[Effect], _own: list[Vector]) -> list[Effect]:
    sends = [effect for effect in effects if isinstance(effect, Send)]
    return [*effects, Disconnect(sends[0].link, CloseCode.SHUTDOWN), sends[0]] if len(sends) == 1 else effects


def dials(_input: Input, effects: list[Effect], _own: list[Vector]) -> list[Effect]:
    return [*effects, *(Connect(1_000 + n, (("10.9.9.9", 1),), None, SECOND) for n in range(DIALS_MAX + 1))]


def nowhere(_input: Input, effects: list[Effect], _own: list[Vector]) -> list[Effect]:
    return [*effects, Connect(1_000, (), None, SECOND)]


def too_old(_input: Input, effects: list[Effect], _own: list[Vector]) -> list[Effect]:
    return messages(effects, lambda each: [replace(each, age_ms=15_000)] if isinstance(each, Vector) else [each])


@pytest.mark.parametrize(
    ("twist", "rule", "says"),
    [
        (again, "consent", "passes on what may not|of its own under None"),
        (no_hello, "link", "before HELLO"),
        (goes_on, "link", "is not up"),
        (dials, "dials", "33 dials under way"),
        (nowhere, "dials", r"1 dials under way, \(\)"),
        (too_old, "lease", "was leased for"),
    ],
)
def test_a_step_that_breaks_a_rule_is_found(twist: Twist, rule: str, says: str) -> None:
    with pytest.raises(SafetyViolation, match=says) as caught:
        play(twist)
    assert (caught.value.rule, caught.value.node) == (rule, "ada")
    assert caught.value.digest


def test_a_vector_that_nobody_signed_is_found_at_the_hub_that_sends_it() -> None:
    world = World(2)
    Conduct(Safety(world))
    world.add("ada")
    eve = world.add("eve", wrap=forger(lambda: [world.names["ada"].author]))
    with pytest.raises(SafetyViolation, match="nobody made of late") as caught:
        world.run(5 * SECOND)
    assert caught.value.node == eve.name


class Higher(Node):
    """Believes that it has started more often than it has stored, and stores that."""

    def handle(self, input: Input, now: Instant) -> list[Effect]:
        effects = super().handle(input, now)
        if isinstance(input, SetGrant):
            self._vectors.boot += 1
            effects.append(StoreBoot(self._vectors.boot))
        return effects


class Careless(Higher):
    """Does not store it."""

    def handle(self, input: Input, now: Instant) -> list[Effect]:
        return [effect for effect in super().handle(input, now) if not isinstance(effect, StoreBoot)]


def pair_of(make_node: type[Node]) -> World:
    world = World(2, make_node=make_node)
    Conduct(Safety(world, every_us=None))
    for name in ("ada", "ben"):
        world.add(name)
    world.run(4 * SECOND)
    return world


def test_a_boot_number_that_is_not_stored_before_it_is_said_is_found() -> None:
    assert [host.storage.boot for host in pair_of(Higher).hosts] == [2, 2]
    with pytest.raises(SafetyViolation, match="says boot 2 with 1 stored"):
        pair_of(Careless)


def test_honest_hubs_pass_and_their_vectors_are_counted() -> None:
    world = World(2)
    conduct = Conduct(Safety(world))
    for _ in range(3):
        world.add()
    world.run(6 * SECOND)
    assert conduct.vectors > 30
    assert world.trace.steps > 200
