"""Who is within reach: a link, a neighbor's word about somebody we know, or a voice that is not overdue."""

from __future__ import annotations

import pytest

from protocol.collective.presence import REMEMBER_US, Presence, Roll, silence_limit_us
from protocol.ids import LinkId
from protocol.inputs import LinkDown
from protocol.limits import AUTHORS_MAX
from protocol.wire import messages as wire
from tests.unit.protocol.hub import Hub
from tests.unit.protocol.people import ANN, BEN, CAT, DAN, EVE, ME, Made, keys, person, vector

SECOND = 1_000_000
A, B, C = ANN.author, BEN.author, CAT.author


@pytest.mark.parametrize(("cadence_ms", "limit_us"), [(50, 625_000), (1_000, 3_000_000), (60_000, 150_500_000)])
def test_silence_is_measured_in_an_authors_own_cadences(cadence_ms: int, limit_us: int) -> None:
    assert silence_limit_us(cadence_ms) == limit_us


def test_whoever_is_linked_is_in_reach_and_out_of_it_afterwards() -> None:
    roll = Roll()
    assert roll.look([A, B], [], 10) == Presence(tuple(sorted((A, B))), ())
    assert roll.look([A], [], 20) == Presence((A,), ((B, 10),))
    assert roll.look([A], [], 30) == Presence((A,), ((B, 10),))
    assert roll.look([A, B], [], 40) == Presence(tuple(sorted((A, B))), ())


def test_a_voice_keeps_its_author_in_reach_until_it_is_overdue() -> None:
    roll = Roll()
    roll.heard(A, 0, 1_000, 5)
    assert roll.look([], [], 2_999_999).inside == (A,)
    assert roll.look([], [], 3_000_000) == Presence((), ((A, 2_999_999),))
    roll.heard(A, 3_100_000, 1_000, 3_100_000)
    assert roll.look([], [], 3_100_001).inside == (A,)


def test_an_older_voice_does_not_shorten_what_a_newer_one_gave() -> None:
    roll = Roll()
    roll.heard(A, 5 * SECOND, 1_000, 5 * SECOND)
    roll.heard(A, 1 * SECOND, 1_000, 5 * SECOND)
    assert roll.look([], [], 7 * SECOND).inside == (A,)


def test_neighbors_vouch_only_for_those_whom_we_know() -> None:
    roll = Roll()
    roll.heard(A, 0, 50, 0)
    assert roll.look([], [A, B], 10 * SECOND).inside == (A,)


def test_whoever_is_out_of_reach_is_forgotten_after_an_hour() -> None:
    roll = Roll()
    gone_at = 10 * REMEMBER_US
    roll.look([A], [], gone_at)
    assert roll.look([], [], gone_at + REMEMBER_US).out == ((A, gone_at),)
    assert roll.look([], [], gone_at + REMEMBER_US + 1) == Presence((), ())


def test_the_register_is_bounded_and_forgets_the_longest_unheard_first() -> None:
    roll = Roll()
    for number in range(AUTHORS_MAX + 1):
        roll.heard(person(number).author if number == 0 else number.to_bytes(32, "big"), number, 1_000, number)  # type: ignore[arg-type]
    assert len(roll.known) == AUTHORS_MAX
    assert person(0).author not in roll.known


# --- on a hub ---------------------------------------------------------------------------------------------------


def test_a_hub_knows_how_many_are_here_and_how_many_are_out_of_reach() -> None:
    hub = Hub()
    for link, who in enumerate((ANN, BEN, CAT), start=1):
        hub.join(link, who)
        hub.say(link, vector(who, 1))
    hub.say(1, wire.Neighbors((DAN.author,)), keys(DAN), vector(DAN, 1))
    picture = hub.statistics()
    assert picture.in_reach == tuple(sorted(who.author for who in (ME, ANN, BEN, CAT, DAN)))
    hub.act(LinkDown(LinkId(1), None))
    gone_at = hub.now
    hub.advance(4 * SECOND)
    picture = hub.statistics()
    assert picture.in_reach == tuple(sorted(who.author for who in (ME, BEN, CAT)))
    assert [author for author, _ in picture.out_of_reach] == sorted(who.author for who in (ANN, DAN))
    assert all(gone_at <= at <= hub.now for _, at in picture.out_of_reach)


def test_it_is_known_since_when_somebody_is_out_of_reach_even_if_nobody_looked_before() -> None:
    hub = Hub()
    hub.join(1, ANN)
    hub.advance(20 * SECOND)
    gone_at = hub.now
    hub.act(LinkDown(LinkId(1), None))
    hub.advance(10 * SECOND)
    ((author, at),) = hub.statistics().out_of_reach
    assert author == ANN.author
    assert gone_at - 1_500_000 <= at <= gone_at


@pytest.mark.parametrize("count", [1, 32])
def test_a_neighbor_cannot_make_up_people(count: int) -> None:
    hub = Hub()
    hub.join(1, EVE)
    hub.say(1, wire.Neighbors(tuple(person(500 + number).author for number in range(count))))
    assert hub.statistics().in_reach == tuple(sorted((ME.author, EVE.author)))


@pytest.mark.parametrize(
    ("arrange", "hops"),
    [
        ((), None),
        ((wire.Neighbors((CAT.author,)),), 2),
        ((wire.Neighbors((BEN.author,)),), None),
    ],
)
def test_hops_are_counted_as_far_as_neighbors_tell(arrange: tuple[wire.Message, ...], hops: int | None) -> None:
    hub = Hub()
    hub.join(1, ANN)
    hub.say(1, *arrange, keys(CAT), vector(CAT, 1), vector(ANN, 1))
    hub.share()
    lines = {line.author: line for line in hub.statistics().authors}
    assert (lines[ME.author].hops, lines[ANN.author].hops, lines[CAT.author].hops) == (0, 1, hops)
    assert [line.own for line in lines.values()].count(True) == 1


def test_statistics_count_what_was_received_sent_and_dropped() -> None:
    hub = Hub()
    hub.join(1, ANN)
    hub.join(2, BEN)
    hub.say(1, keys(CAT), vector(CAT, 1), vector(CAT, 1))
    picture = hub.statistics()
    assert picture.received == {"Hello": 2, "Keys": 1, "Vector": 2}
    assert (picture.sent["Hello"], picture.sent["Vector"], picture.sent["Keys"]) == (2, 1, 1)
    assert picture.drops == {"duplicate": 1}
    assert picture.verified == 1
    assert (picture.boot, picture.seq, picture.admission, picture.known_peers) == (1, 0, "invite", 2)


def test_statistics_are_a_picture_and_not_a_window() -> None:
    hub = Hub()
    hub.join(1, ANN)
    before = hub.statistics()
    hub.say(1, vector(ANN, 1, Made(boot=3)))
    assert before.authors == ()
    assert "Vector" not in before.received
