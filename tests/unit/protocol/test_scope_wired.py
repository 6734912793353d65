"""A hub in a large mesh: what it no longer pushes and digests, and how fast a link is (section 11)."""

from __future__ import annotations

from protocol.clock import SECOND
from protocol.effects import Effect, LoadPayload, StoreEvents
from protocol.gossip.scope import HOUR_MS, ScopeConfig, sample_hash
from protocol.gossip.vectors import VectorsConfig
from protocol.identity import LocalIdentity
from protocol.inputs import Attest, PayloadLoaded, Stored, UtcObserved
from protocol.node import NodeConfig
from protocol.wire import messages as wire
from protocol.wire.records import decode_vector
from tests.unit.protocol.hub import Hub, sent, vectors_sent
from tests.unit.protocol.people import ANN, BEN, MESH, Made, keys, person, tag, vector

EPOCH = 490_000
CROWD = [person(number) for number in range(10, 50)]
SMALL = ScopeConfig(whole_max=16, sample_min=13)
"""A large mesh begins with the 17th author, so that forty are enough."""
LASTING = Made(lease_ms=60_000)


def hub(scope: ScopeConfig = SMALL, *, date: bool = True) -> Hub:
    """A hub with links 1 (Ann) and 2 (Ben) that has heard everybody once, and has looked who is covered."""
    made = Hub(config=NodeConfig(vectors=VectorsConfig(scope=scope)))
    if date:
        made.act(UtcObserved(EPOCH * HOUR_MS, 10))
    made.join(1, ANN)
    made.join(2, BEN)
    said(made, 1)
    made.advance(2 * SECOND)
    return made


def said(here: Hub, seq: int) -> list[Effect]:
    """Everybody speaks; what leaves."""
    effects: list[Effect] = []
    for who in CROWD:
        effects += here.say(1, keys(who), vector(who, seq, LASTING))
        effects += here.drain()
    return effects


def authors_sent(effects: list[Effect], link: int) -> list[bytes]:
    """Whose vectors leave on a link."""
    return [decode_vector(MESH.mesh_id, message.signed).author for message in vectors_sent(effects, link)]


def sampled(share: float) -> list[bytes]:
    """Who of the crowd lies below a share of the hash."""
    return [who.author for who in CROWD if sample_hash(who.author, EPOCH) < share * 2**64]


def test_up_to_the_bound_everybody_is_passed_on() -> None:
    everybody = hub(ScopeConfig(whole_max=64, sample_min=32))
    assert authors_sent(said(everybody, 2), 2) == [who.author for who in CROWD]


def test_beyond_the_bound_the_sample_is_passed_on_and_everybody_is_still_shown_here() -> None:
    here = hub()
    passed = authors_sent(said(here, 2), 2)
    assert 8 <= len(passed) <= 16
    share = max(sample_hash(who.author, EPOCH) for who in CROWD if who.author in passed) / 2**64
    assert passed == [author for author in sampled(share + 1e-9) if author in passed] == sampled(share + 1e-9)
    assert [here.seq_of(who) for who in CROWD] == [2] * len(CROWD)


def test_the_vector_of_a_linked_hub_is_passed_on_whatever_the_sample() -> None:
    here = hub()
    for seq in (1, 2, 3):
        here.advance(SECOND)
        effects = here.say(1, vector(ANN, seq, LASTING)) + here.drain()
        assert authors_sent(effects, 2) == [ANN.author]


def test_who_is_not_covered_is_not_digested() -> None:
    here = hub()
    here.say(2, wire.Prune(tuple(tag(who) for who in CROWD)))
    said(here, 2)
    effects = here.advance(2 * SECOND)
    digested = [entry.tag for m in sent(effects, 2) if isinstance(m, wire.Digest) for entry in m.entries]
    assert 8 <= len(set(digested)) <= 16


def test_a_graft_does_not_bring_who_is_not_covered() -> None:
    here = hub()
    passed = authors_sent(said(here, 2), 2)
    left_out = next(who for who in CROWD if who.author not in passed)
    covered = next(who for who in CROWD if who.author in passed)
    here.advance(SECOND)
    effects = here.say(2, wire.Graft((tag(left_out), tag(covered)))) + here.drain()
    assert authors_sent(effects, 2) == [covered.author]


def test_a_hub_without_a_date_passes_everybody_on() -> None:
    assert len(authors_sent(said(hub(date=False), 2), 2)) == len(CROWD)


def test_beyond_the_bound_a_link_gets_no_more_than_its_rate_and_always_the_newest() -> None:
    slow = ScopeConfig(whole_max=16, sample_min=13, link_bytes_per_second=500, link_burst_bytes=600)
    here = hub(slow)
    wanted = authors_sent(said(hub(), 2), 2)
    left = said(here, 2)
    assert 1 <= len(vectors_sent(left, 2)) < len(wanted)
    left += said(here, 3)
    later = here.advance(20 * SECOND)
    assert {decode_vector(MESH.mesh_id, message.signed).seq for message in vectors_sent(later, 2)} == {3}
    assert set(authors_sent(later, 2)) <= set(wanted)
    assert len(vectors_sent(later, 2)) >= len(wanted) - len(vectors_sent(left, 2))


def vouch(here: Hub, who: LocalIdentity) -> None:
    """The person of this hub vouches for somebody; its disk stores that and gives it back."""
    effects = here.act(Attest(1, who.author, 100, bytes(32)))
    (order,) = [effect for effect in effects if isinstance(effect, StoreEvents)]
    effects = here.act(Stored(order.ticket))
    (load,) = [effect for effect in effects if isinstance(effect, LoadPayload)]
    payload = order.events[-1].payload
    assert payload is not None
    here.act(PayloadLoaded(load.peer, load.event, 0, payload.salt, (payload.content,)))


def test_where_there_is_too_little_whom_the_person_trusts_goes_first_and_nobody_is_left_out() -> None:
    here = hub(ScopeConfig(whole_max=16, sample_min=2, link_bytes_per_second=1_000, link_burst_bytes=1_000))
    covered = authors_sent(said(here, 2) + here.advance(20 * SECOND), 2)
    friend = next(who for who in reversed(CROWD) if who.author in covered)
    vouch(here, friend)
    here.advance(2 * SECOND)
    at_once = authors_sent(said(here, 3), 2)  # it speaks last of all
    later = authors_sent(here.advance(20 * SECOND), 2)
    assert later[0] == friend.author
    assert sorted({*at_once, *later}) == sorted(set(covered))
