"""Any set of events in any order ends in the same ledger; duplicates and garbage change nothing; what was erased stays
erased; and no sequence of what others send makes a ledger grow beyond its bounds.
"""

from __future__ import annotations

from functools import cache

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.clock import SECOND
from protocol.effects import ForkProven
from protocol.errors import RemoteProtocolError
from protocol.ids import EventId
from protocol.ledger.values import LedgerConfig, Quota, Standing
from protocol.rng import Rng
from protocol.wire.events import (
    OPENING,
    AuthorHeads,
    Chunk,
    Event,
    EventMessage,
    EventRecord,
    Fork,
    Heads,
    Payload,
    WantEvents,
    WantPayload,
)
from tests.unit.protocol.ledger_rig import ADA, BOB, CYD, SALT, Author, Hub, state
from tests.unit.protocol.people import person

SETTINGS = settings(deadline=None, derandomize=True, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
SMALL = LedgerConfig(
    waiting_max=12,
    waiting_author_max=6,
    waiting_peer_max=8,
    waiting_bytes_max=500,
    serving_max=10,
    quotas={
        standing: Quota(events=10, events_all=25, bytes=300, bytes_all=800, burst=1_000, per_minute=60_000)
        for standing in Standing
    },
)


@cache
def history(seed: int) -> tuple[tuple[EventRecord, ...], dict[EventId, Payload]]:
    """What an author may leave behind: stories, withdrawals, restores, clones, checkpoints, a rotation; never more
    than the eight branches within which order cannot matter."""
    rng = Rng(seed)
    writer = Author(ADA)
    made = [writer.story("root")]
    for number in range(rng.between(2, 14)):
        choice = rng.below(10)
        after = made[rng.below(len(made))] if choice >= 8 else writer.last
        writer = Author(ADA if rng.below(30) else person(11, 1), after, writer.payloads)
        assert after is not None
        stories = [event for event in made if event.kind == 2]
        if after.rotation > writer.who.key_state.rotation:
            writer.who = person(11, 1)
        if choice < 5:
            event = writer.story(f"{number}")
        elif choice == 5:
            event = writer.withdraw(rng.choice(stories))
        elif choice == 6:
            event = writer.checkpoint(*dict.fromkeys(rng.sample(stories, rng.below(3))))
        elif choice == 9:
            event = writer.event(OPENING, None, incarnation=after.incarnation + 1)
        else:
            event = writer.event(77, b"unknown kind")
        if event.id not in [one.id for one in made]:
            made.append(event)
    return tuple(made), dict(writer.payloads)


def taken(messages: list[Event], rounds: int) -> Hub:
    """A hub that has met these in this order, as often as it takes for everything to find its place."""
    bob = Hub(BOB, known={})
    bob.meet(ADA, person(11, 1))
    for _ in range(rounds):
        for message in messages:
            bob.hears(CYD.author, message)
    return bob


def branches(events: tuple[EventRecord, ...]) -> int:
    """Events that nothing follows."""
    return len(events) - len({event.prev for event in events if event.prev is not None})


def tell_forks(teller: Hub, hearer: Hub) -> None:
    """Who meets a fork tells it; a base may have taken one of the two events from the other before they met there."""
    for proven in [effect for effect in teller.seen if isinstance(effect, ForkProven)]:
        hearer.hears(CYD.author, proven.fork)


@SETTINGS
@given(st.integers(0, 400), st.randoms(use_true_random=False))
def test_events_in_any_order_end_in_the_same_ledger(seed: int, shuffle: object) -> None:
    events, payloads = history(seed)
    if branches(events) >= 8:
        return
    messages = [Event(event.signed, event.sig, payloads.get(event.id)) for event in events]
    straight = taken(messages, 2)
    mixed = list(messages)
    shuffle.shuffle(mixed)  # type: ignore[attr-defined]
    other = taken(mixed, 3)
    tell_forks(straight, other)
    tell_forks(other, straight)
    assert state(straight, ADA.author) == state(other, ADA.author)
    assert straight.ledger.statistics().bytes == other.ledger.statistics().bytes
    again = Hub(BOB, disk=other.disk, boot=2, known=other.known)
    assert state(again, ADA.author) == state(other, ADA.author), "and a restart changes nothing"
    before = state(other, ADA.author)
    for message in mixed:
        other.hears(CYD.author, message)
    assert state(other, ADA.author) == before


@SETTINGS
@given(st.integers(0, 400), st.randoms(use_true_random=False))
def test_a_withdrawn_payload_never_comes_back_whatever_is_sent(seed: int, shuffle: object) -> None:
    writer = Author(ADA)
    stories = [writer.story(f"{seed} {number}") for number in range(4)]
    withdrawal = writer.withdraw(stories[0], stories[2])
    messages = [writer.message(event) for event in (*stories, withdrawal)] * 2
    bob = taken(messages[:5], 1)
    mixed = [*messages, *(writer.message(event, whole=False) for event in stories)]
    shuffle.shuffle(mixed)  # type: ignore[attr-defined]
    for message in mixed:
        bob.hears(CYD.author, message)
        for index in (0, 2):
            content = writer.payloads[stories[index].id].content
            bob.hears(CYD.author, Chunk(stories[index].id, 0, SALT, content))
    assert bob.held(ADA.author) == [stories[1].id, stories[3].id, withdrawal.id]
    assert [one.payload is None for one in bob.disk.read_back().events] == [True] * 4 + [False]
    assert bob.disk.events[stories[0].id].payload is None is bob.disk.events[stories[2].id].payload


@cache
def hostile(number: int) -> Event:
    """One of many signed events that some strangers made up: good, orphaned, forked, or too large for a quota."""
    rng = Rng(number)
    writer = Author(person(60 + rng.below(12)))
    for _ in range(rng.below(3)):
        writer.event(77, b"")
    event = writer.event(rng.choice([2, 4, 5, 77]), bytes(rng.below(200)), heads=(EventId(bytes([number % 256]) * 32),))
    return writer.message(event, whole=rng.chance(0.7))


def attack(number: int) -> EventMessage:
    """Any message that somebody may send."""
    rng = Rng(number)
    event = hostile(number)
    name = EventId(bytes([rng.below(4)]) * 32)
    heads = AuthorHeads(person(60 + rng.below(12)).author, ((1, name),) if rng.chance(0.5) else ())
    other = hostile(number + 1)
    messages: list[EventMessage] = [
        event,
        event,
        event,
        Event(event.signed, bytes(64), None),
        WantEvents((heads,)),
        Heads((heads,)),
        WantPayload(name, rng.below(64), 4),
        Chunk(name, rng.below(64), SALT, bytes(rng.below(99))),
        Fork((event.signed, event.sig), (other.signed, other.sig)),
    ]
    return rng.choice(messages)


@SETTINGS
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 300), st.integers(0, 3)), max_size=120))
def test_whatever_is_sent_a_ledger_stays_within_its_bounds(script: list[tuple[int, int, int]]) -> None:
    bob = Hub(BOB, config=SMALL)
    bob.meet(*(person(60 + number) for number in range(8)))
    peers = [person(70 + number).author for number in range(4)]
    for peer in peers:
        bob.do(bob.ledger.link_up(peer, 0))
    for who, number, seconds in script:
        bob.pass_time(bob.now + seconds * SECOND)
        try:
            bob.hears(peers[who], attack(number))
        except RemoteProtocolError:
            bob.do(bob.ledger.link_down(peers[who], bob.now))
            bob.do(bob.ledger.link_up(peers[who], bob.now))
        picture = bob.ledger.statistics()
        assert picture.events <= 3 * 25
        assert picture.waiting <= 12
        assert picture.assemblies <= 4
        assert picture.bytes <= 800 + 10 * 16_384
        assert picture.queued <= 4 * 10
        assert picture.wanted <= picture.events
        assert len(bob.disk.events) == picture.events
    assert bob.events(BOB.author) == []
