"""Whom a hub dials, when, and how often: nobody is ever given up, and nobody is flooded."""

from __future__ import annotations

import itertools

import pytest

from protocol.effects import Connect, Effect
from protocol.errors import CloseCode, Reason
from protocol.identity import LocalIdentity
from protocol.ids import LinkId
from protocol.inputs import Address, DialFailed, InterfaceChanged, Leave, LinkDown, LinkUp, PeerSeen, Started
from protocol.membership.views import ViewsConfig
from protocol.node import NodeConfig
from protocol.wire import messages as wire
from tests.unit.protocol.hub import Hub, closed, connects, news, sent
from tests.unit.protocol.people import ANN, BEN, CAT, DAN, EVE, ME, peer_record, person

HERE: Address = ("10.0.0.1", 7_000)
THERE: Address = ("10.0.0.2", 7_000)
SECOND = 1_000_000


def seen(hub: Hub, name: str, *addresses: Address) -> list[Connect]:
    """Discovery sees a name; who is dialled for it within the next tenth of a second."""
    return connects(hub.act(PeerSeen(name, addresses)) + hub.advance(100_000))


def dials(hub: Hub, duration: int, reason: str = "refused", *, step: int = 100_000) -> list[int]:
    """The instants at which a hub dials while every dial fails at once."""
    times: list[int] = []
    until = hub.now + duration
    while hub.now < until:
        effects = hub.advance(step)
        while found := connects(effects):
            times += [hub.now] * len(found)
            effects = [effect for one in found for effect in hub.act(DialFailed(one.dial, reason))]
    return times


def lost(hub: Hub, who: LocalIdentity = ANN, *, code: int | None = None, address: Address = HERE) -> list[Effect]:
    """A link that was, and is no more."""
    hub.act(LinkUp(LinkId(90), who.author, who.key_state.encoded, True, address, None))
    hub.hello(90)
    hub.drain()
    return hub.act(LinkDown(LinkId(90), code))


# --- discovery --------------------------------------------------------------------------------------------------


def test_a_name_that_was_seen_is_dialled_soon_and_only_once_at_a_time() -> None:
    hub = Hub()
    (dial,) = seen(hub, "a", HERE, THERE)
    assert (dial.addresses, dial.expected, dial.timeout_us) == ((HERE, THERE), None, 500_000)
    assert seen(hub, "a", HERE, THERE) == []
    assert connects(hub.advance(10 * SECOND)) == []


def test_a_contact_that_was_seen_is_expected_by_its_author() -> None:
    hub = Hub()
    effects = hub.act(PeerSeen("a", (HERE,), ANN.author)) + hub.advance(100_000)
    assert [(dial.addresses, dial.expected) for dial in connects(effects)] == [((HERE,), ANN.author)]


def test_a_name_without_addresses_or_with_more_than_four_is_taken_as_far_as_it_goes() -> None:
    hub = Hub()
    assert seen(hub, "a") == []
    (dial,) = seen(hub, "b", *((f"10.0.1.{number}", 1) for number in range(9)))
    assert len(dial.addresses) == 4


def test_a_name_that_resolves_to_a_known_address_is_not_dialled() -> None:
    hub = Hub()
    hub.act(LinkUp(LinkId(1), ANN.author, ANN.key_state.encoded, True, HERE, None))
    assert seen(hub, "another name", HERE) == []
    assert seen(hub, "yet another", THERE, HERE) == []


def test_a_thousand_names_for_one_address_are_dialled_as_one() -> None:
    hub = Hub()
    (dial,) = seen(hub, "a", HERE)
    hub.act(LinkUp(LinkId(1), ANN.author, ANN.key_state.encoded, True, HERE, dial.dial))
    hub.hello(1)
    assert [seen(hub, f"name {number}", HERE) for number in range(100)] == [[]] * 100


def test_a_hub_that_has_enough_links_dials_an_unknown_name_once_in_ten_seconds() -> None:
    hub = Hub(config=NodeConfig(views=ViewsConfig(links_target=2)))
    hub.join(1, ANN)
    hub.join(2, BEN)
    for number in range(20):
        hub.act(PeerSeen(f"name {number}", ((f"10.0.1.{number}", 1),)))
    names = [at for at, _ in timed(hub, 60 * SECOND)]
    assert 5 <= len(names) <= 7


def test_unknown_names_are_dialled_at_most_once_a_second_by_a_hub_that_misses_only_an_exile() -> None:
    hub = Hub(config=NodeConfig(views=ViewsConfig(links_target=2)))
    lost(hub, CAT, address=("10.0.0.9", 1))
    hub.join(1, ANN)
    hub.join(2, BEN)
    for number in range(20):
        hub.act(PeerSeen(f"name {number}", ((f"10.0.1.{number}", 1),)))
    names = [at for at, dial in timed(hub, 10 * SECOND) if dial.expected is None]
    assert 5 <= len(names) <= 11
    assert all(later - earlier >= SECOND for earlier, later in itertools.pairwise(names))


def timed(hub: Hub, duration: int) -> list[tuple[int, Connect]]:
    """Every dial with its instant; each fails at once."""
    found: list[tuple[int, Connect]] = []
    until = hub.now + duration
    while hub.now < until:
        for one in connects(hub.advance(50_000)):
            found.append((hub.now, one))
            assert connects(hub.act(DialFailed(one.dial, "refused"))) == []
    return found


# --- failure ----------------------------------------------------------------------------------------------------


def test_a_name_that_does_not_answer_is_dialled_ever_more_slowly_but_for_ever() -> None:
    hub = Hub()
    hub.act(PeerSeen("a", (HERE,)))
    times = dials(hub, 600 * SECOND)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps[0] < 2 * SECOND
    assert all(gap <= 37 * SECOND for gap in gaps)
    assert gaps[-1] > 15 * SECOND
    assert 15 < len(times) < 40


@pytest.mark.parametrize("code", [None, CloseCode.TIMEOUT, 200])
def test_an_exile_is_dialled_every_second_for_a_minute_and_then_slowly_for_ever(code: int | None) -> None:
    hub = Hub()
    lost(hub, code=code)
    assert hub.statistics().exiles == (ANN.author,)
    first = dials(hub, 60 * SECOND)
    assert 45 <= len(first) <= 75
    assert first[0] - (hub.now - 60 * SECOND) <= 300_000
    later = dials(hub, 3_600 * SECOND, step=SECOND)
    assert 3_600 // 37 <= len(later) <= 3_600 // 4 + 1
    assert hub.statistics().exiles == (ANN.author,)


ON_PURPOSE = [code for code in CloseCode if code is not CloseCode.TIMEOUT]


@pytest.mark.parametrize("code", ON_PURPOSE)
def test_whoever_left_on_purpose_is_first_dialled_after_some_seconds(code: CloseCode) -> None:
    hub = Hub()
    lost(hub, code=code)
    started = hub.now
    assert 3_900_000 <= dials(hub, 60 * SECOND)[0] - started <= 37 * SECOND


@pytest.mark.parametrize("code", [CloseCode.SHUTDOWN, CloseCode.PROTOCOL, CloseCode.SIGNATURE])
def test_whoever_left_on_purpose_is_dialled_slowly(code: CloseCode) -> None:
    hub = Hub()
    lost(hub, code=code)
    times = dials(hub, 60 * SECOND)
    assert 1 <= len(times) <= 15
    assert all(later - earlier >= 3_900_000 for earlier, later in itertools.pairwise(times))


def test_an_exile_that_comes_back_is_an_exile_no_more() -> None:
    hub = Hub()
    lost(hub)
    hub.join(2, ANN)
    assert hub.statistics().exiles == ()
    assert dials(hub, 30 * SECOND) == []


def test_many_exiles_together_are_dialled_at_a_bounded_rate() -> None:
    hub = Hub()
    for number in range(200):
        lost(hub, person(100 + number), address=(f"10.0.1.{number}", 1))
    hub.advance(90 * SECOND)
    hub.node.handle(InterfaceChanged(()), hub.now)
    hub.advance(90 * SECOND)
    assert len(dials(hub, 60 * SECOND)) <= 200 * 60 // 20


@pytest.mark.parametrize("known", [1, 5, 15, 200])
def test_a_hub_that_stays_alone_dials_everybody_for_ever_and_never_without_a_bound(known: int) -> None:
    hub = Hub()
    for number in range(known):
        for one in connects(hub.act(PeerSeen("a", ((f"10.0.1.{number}", 1),), person(100 + number).author))):
            hub.act(DialFailed(one.dial, "refused"))
    dials(hub, 5 * 60 * SECOND, step=SECOND // 2)
    by_minute = [len(dials(hub, 60 * SECOND, step=SECOND // 2)) for _ in range(5)]
    assert min(by_minute) >= 1
    assert max(by_minute) <= min(2 * known, 16) + 8, "eight each half minute, and where minutes meet eight more"


def test_a_hub_that_knows_nobody_dials_nobody() -> None:
    hub = Hub()
    assert dials(hub, 600 * SECOND, step=SECOND) == []


@pytest.mark.parametrize(("links", "parallel", "timeout_us"), [(0, 8, 500_000), (1, 8, 500_000), (2, 3, 1_000_000)])
def test_a_lonely_hub_dials_eight_at_a_time_and_others_three(links: int, parallel: int, timeout_us: int) -> None:
    hub = Hub()
    for number in range(links):
        hub.join(1 + number, person(100 + number))
    effects = []
    for number in range(20):
        effects += hub.act(PeerSeen(f"name {number}", ((f"10.0.1.{number}", 1),)))
    found = connects(effects + hub.advance(100_000))
    assert len(found) == parallel
    assert {dial.timeout_us for dial in found} == {timeout_us}
    assert len({dial.dial for dial in found}) == parallel
    effects = hub.act(DialFailed(found[0].dial, "refused"))
    assert len(connects(effects)) == 1


def test_an_answer_to_a_dial_that_nobody_made_is_ignored() -> None:
    assert Hub().act(DialFailed(77, "refused")) == []


def test_whoever_changed_address_is_dialled_there_in_a_fifth_of_a_second() -> None:
    hub = Hub()
    (dial,) = connects(hub.act(PeerSeen("a", (HERE,), ANN.author)))
    hub.act(DialFailed(dial.dial, "refused"))
    effects = hub.act(PeerSeen("a", (THERE,), ANN.author)) + hub.advance(SECOND // 5 + 1)
    assert [one.addresses for one in connects(effects)] == [(THERE,)]


def test_a_change_of_interfaces_makes_a_lost_peer_due_in_a_fifth_of_a_second() -> None:
    hub = Hub()
    lost(hub)
    dials(hub, 120 * SECOND)
    effects = hub.act(InterfaceChanged((THERE,))) + hub.advance(SECOND // 5 + 1)
    assert [dial.expected for dial in connects(effects)] == [ANN.author]


def test_a_change_of_interfaces_is_worth_a_dial_to_somebody_who_left_on_purpose() -> None:
    hub = Hub()
    lost(hub, code=CloseCode.SHUTDOWN)
    assert connects(hub.advance(SECOND)) == []
    assert [dial.expected for dial in connects(hub.act(InterfaceChanged((THERE,))))] == [ANN.author]


def test_an_address_where_somebody_else_lives_now_is_not_dialled_for_the_old_tenant() -> None:
    hub = Hub()
    lost(hub)
    (dial,) = connects(hub.advance(SECOND))
    hub.act(DialFailed(dial.dial, Reason.HANDSHAKE_WRONG_IDENTITY))
    found = [one for _, one in timed(hub, 60 * SECOND)]
    assert {(one.addresses, one.expected) for one in found} == {((HERE,), None)}, (
        "as somebody unknown, and as nobody else"
    )


# --- ourselves --------------------------------------------------------------------------------------------------


def test_a_name_that_turned_out_to_be_us_is_not_dialled_again_under_any_name() -> None:
    hub = Hub()
    (dial,) = seen(hub, "a", HERE)
    assert connects(hub.act(DialFailed(dial.dial, Reason.HANDSHAKE_SELF))) == []
    assert seen(hub, "a", HERE) + seen(hub, "b", HERE) == []
    assert dials(hub, 60 * SECOND) == []


def test_an_address_at_which_we_listen_is_not_dialled() -> None:
    hub = Hub(started=Started(1, listen=(HERE,)))
    assert seen(hub, "a", HERE) == []


def test_a_peer_that_claims_our_own_address_is_not_dialled_over_and_over() -> None:
    hub = Hub()
    hub.join(1, EVE)
    hub.say(1, wire.Peers((peer_record(BEN, HERE),)))
    effects = hub.advance(SECOND)
    rounds = 0
    while found := connects(effects):
        rounds += 1
        assert rounds < 3, "dialled three times at one instant"
        effects = hub.act(DialFailed(found[0].dial, Reason.HANDSHAKE_SELF))


def test_an_address_listed_beside_ours_is_not_taken_for_ours() -> None:
    hub = Hub()
    (dial,) = seen(hub, "a", HERE, THERE)
    hub.act(DialFailed(dial.dial, Reason.HANDSHAKE_SELF))
    assert [one.addresses for one in seen(hub, "b", THERE)] == [(THERE,)]


def test_our_old_address_may_be_somebody_elses_after_a_change_of_interfaces() -> None:
    hub = Hub()
    (dial,) = seen(hub, "a", HERE)
    hub.act(DialFailed(dial.dial, Reason.HANDSHAKE_SELF))
    hub.act(InterfaceChanged((THERE,)))
    assert len(seen(hub, "b", HERE)) == 1


def test_our_own_author_is_not_dialled_whoever_says_where_it_is() -> None:
    hub = Hub()
    hub.join(1, EVE)
    effects = hub.act(PeerSeen("me", (HERE,), ME.author))
    effects += hub.say(1, wire.Peers((peer_record(ME, THERE),)))
    assert connects(effects + hub.advance(10 * SECOND)) == []


SMALLER = next(person(number) for number in range(100, 200) if person(number).author < ME.author)

# --- places for dials -------------------------------------------------------------------------------------------


def test_a_message_that_closes_its_link_does_not_take_places_for_dials_along() -> None:
    hub = Hub()
    broken = wire.PeerRecord(b"\xc0", b"\xc0", bytes(64))
    for number in range(12):
        hub.join(10 + number, EVE)
        hub.say(10 + number, wire.Peers((peer_record(person(100 + number), (f"10.0.1.{number}", 1)), broken)))
        hub.now += 1_000
    hub.advance(SECOND)
    assert len(seen(hub, "honest", HERE)) == 1


def test_of_two_crossing_links_the_one_we_dialled_falls_if_our_author_is_the_larger() -> None:
    hub = Hub()
    hub.join(3, SMALLER, initiator=False)
    effects = hub.act(LinkUp(LinkId(4), SMALLER.author, SMALLER.key_state.encoded, True, HERE, None))
    assert closed(effects) == [(4, CloseCode.DUPLICATE_LINK)]


def test_a_dial_that_ends_in_a_refused_link_makes_way_for_the_next() -> None:
    hub = Hub(config=NodeConfig(views=ViewsConfig(parallel=1)))
    hub.join(1, CAT)
    hub.join(2, DAN)
    hub.join(3, SMALLER, initiator=False)
    (dial,) = seen(hub, "a", HERE)
    seen(hub, "b", THERE)
    crossing = LinkUp(LinkId(4), SMALLER.author, SMALLER.key_state.encoded, True, HERE, dial.dial)
    refused = hub.act(crossing)
    assert [one.addresses for one in connects(refused + hub.advance(SECOND))] == [(THERE,)]


def test_a_dial_that_ends_in_a_refused_key_state_gives_its_place_back() -> None:
    hub = Hub()
    (dial,) = seen(hub, "a", HERE)
    hub.act(LinkUp(LinkId(1), ANN.author, b"\xc0", True, HERE, dial.dial))
    assert dials(hub, 60 * SECOND) != []


# --- leaving ----------------------------------------------------------------------------------------------------


def test_leaving_says_goodbye_on_every_link() -> None:
    hub = Hub()
    for link, who in enumerate((ANN, BEN, CAT), start=1):
        hub.join(link, who)
    effects = hub.act(Leave())
    assert closed(effects) == [(link, CloseCode.SHUTDOWN) for link in (1, 2, 3)]
    assert sorted(news(effects)) == [(1, False), (2, False), (3, False)]
    assert hub.statistics().links == ()


def test_nothing_is_sent_on_a_link_after_its_goodbye() -> None:
    hub = Hub()
    for link, who in enumerate((ANN, BEN, CAT), start=1):
        hub.join(link, who)
    assert sent(hub.act(Leave())) == []


def test_whoever_leaves_dials_nobody() -> None:
    hub = Hub(config=NodeConfig(views=ViewsConfig(links_target=1)))
    hub.join(1, ANN)
    hub.act(PeerSeen("a", (HERE,)))
    hub.advance(SECOND)
    assert connects(hub.act(Leave()) + hub.advance(5 * SECOND)) == []
