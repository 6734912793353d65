"""Each person's own terms: the gate, grants, and what a withdrawal means from that moment on."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from protocol.consent.policy import Decision, Purpose, check_grant, decide, terms_of
from protocol.effects import CancelTimer, Drop
from protocol.errors import ConfigError, Reason
from protocol.ids import LinkId
from protocol.inputs import Estimate, Publish, Reading, SetGrant, TimerFired
from protocol.wire import messages as wire
from protocol.wire.records import MAY_AGGREGATE, MAY_RECORD, MAY_RELAY, decode_vector
from protocol.wire.registry import AROUSAL, HEART_RATE, VALENCE
from tests.unit.protocol.hub import GRANT, Hub, reading, sent, shown, timers, vectors_sent
from tests.unit.protocol.people import ANN, BEN, CAT, DAN, ME, MESH, keys, tag, vector

# --- the gate ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", Purpose)
def test_our_own_vector_leaves_for_no_purpose_without_a_grant(purpose: Purpose) -> None:
    answer = decide(purpose, audience=0, terms=7, dims=(AROUSAL,), lease_left_us=1, grant=None, own=True)
    assert answer.allowed is (purpose is Purpose.KEEP)


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize("own", [False, True])
def test_what_is_unknown_or_over_is_refused_for_every_purpose(purpose: Purpose, own: bool) -> None:
    def reason(audience: int = 0, dims: tuple[int, ...] = (AROUSAL,), lease_left_us: int = 1) -> Reason | None:
        answer = decide(
            purpose, audience=audience, terms=7, dims=dims, lease_left_us=lease_left_us, grant=FULL, own=own
        )
        assert answer.allowed is (answer.reason is None)
        return answer.reason

    assert reason() is None
    assert reason(audience=1) is Reason.UNKNOWN_AUDIENCE
    assert reason(dims=(AROUSAL, 7)) is Reason.UNKNOWN_DIMENSION
    assert reason(lease_left_us=0) is Reason.LEASE_EXPIRED
    assert reason(lease_left_us=-1) is Reason.LEASE_EXPIRED


FULL = dataclasses.replace(GRANT, dimensions=(AROUSAL, VALENCE), may_record=True)


@pytest.mark.parametrize("terms", range(8))
def test_a_term_that_was_not_given_is_not_taken(terms: int) -> None:
    allowed = {
        purpose: decide(purpose, audience=0, terms=terms, dims=(AROUSAL,), lease_left_us=1).allowed
        for purpose in Purpose
    }
    assert allowed == {
        Purpose.PUBLISH: True,
        Purpose.KEEP: True,
        Purpose.RELAY: bool(terms & MAY_RELAY),
        Purpose.AGGREGATE: bool(terms & MAY_AGGREGATE),
        Purpose.RECORD: bool(terms & MAY_RECORD),
    }


@pytest.mark.parametrize("terms", range(8))
@pytest.mark.parametrize("given", list(itertools.product([False, True], repeat=3)))
def test_our_own_vector_claims_no_term_beyond_the_grant(terms: int, given: tuple[bool, bool, bool]) -> None:
    grant = dataclasses.replace(GRANT, may_relay=given[0], may_aggregate=given[1], may_record=given[2])
    answer = decide(Purpose.PUBLISH, audience=0, terms=terms, dims=(0,), lease_left_us=1, grant=grant, own=True)
    assert answer.allowed is all(not terms & bit or yes for bit, yes in zip((1, 2, 4), given, strict=True))
    assert terms_of(grant) == sum(bit for bit, yes in zip((1, 2, 4), given, strict=True) if yes)


def test_our_own_vector_carries_no_dimension_beyond_the_grant() -> None:
    for dims in ((AROUSAL,), (VALENCE,), (AROUSAL, VALENCE), (AROUSAL, HEART_RATE), (HEART_RATE,)):
        answer = decide(Purpose.PUBLISH, audience=0, terms=0, dims=dims, lease_left_us=1, grant=FULL, own=True)
        assert answer == (Decision(True) if HEART_RATE not in dims else Decision(False, Reason.NOT_CONSENTED))


# --- grants -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("dimensions", [(0,), (0, 6), (0, 1, 2, 3, 4, 5, 6)], [(), (7,), (-1,), (1, 0), (0, 0), tuple(range(9))]),
        ("levels", [0, 2, 5, 65_535], [-1, 1, 65_536]),
        ("cadence_ms", [50, 60_000], [49, 60_001, 0, -1]),
        ("lease_ms", [1_000, 60_000], [999, 60_001, 0, -1]),
    ],
)
def test_a_grant_outside_its_bounds_is_refused_by_the_name_of_the_field(
    field: str, good: list[object], bad: list[object]
) -> None:
    for value in good:
        grant = dataclasses.replace(GRANT, **{field: value})  # type: ignore[arg-type]
        assert check_grant(grant) == grant
    for value in bad:
        with pytest.raises(ConfigError, match=field):
            check_grant(dataclasses.replace(GRANT, **{field: value}))  # type: ignore[arg-type]


def test_a_grant_that_cannot_be_kept_changes_nothing() -> None:
    hub = Hub()
    hub.share()
    with pytest.raises(ConfigError):
        hub.act(SetGrant(dataclasses.replace(GRANT, levels=1)))
    assert hub.statistics().sharing
    assert len(shown(hub.advance(1_000_000))) == 1


# --- sharing ----------------------------------------------------------------------------------------------------


def linked() -> Hub:
    """A hub with links 1 (Ann) and 2 (Ben)."""
    hub = Hub()
    hub.join(1, ANN)
    hub.join(2, BEN)
    return hub


def test_nothing_of_ours_leaves_or_is_shown_without_a_grant() -> None:
    hub = linked()
    for _ in range(20):
        hub.act(Publish(reading(hub.now)))
        assert vectors_sent(hub.advance(500_000)) == []
    assert hub.held(ME) is None
    assert not hub.statistics().sharing


def test_a_grant_lets_exactly_what_it_names_leave() -> None:
    hub = linked()
    both = Reading(hub.now, (Estimate(AROUSAL, 0.5, 0.1), Estimate(VALENCE, -0.5, 0.1)), 1.0, 1)
    hub.act(Publish(both))
    hub.act(SetGrant(dataclasses.replace(GRANT, dimensions=(VALENCE,), may_relay=False, lease_ms=7_000)))
    effects = hub.advance(300_000)
    records = [decode_vector(MESH.mesh_id, message.signed) for message in vectors_sent(effects)]
    assert len(records) == 2
    for record in records:
        assert (record.block.dims, record.terms, record.lease_ms) == ((VALENCE,), MAY_AGGREGATE, 7_000)


def test_an_author_sends_at_its_cadence_whether_it_feels_anything_or_not() -> None:
    hub = linked()
    hub.share(dataclasses.replace(GRANT, cadence_ms=250))
    hub.drain()
    times: list[int] = []
    for _ in range(400):
        times += [hub.now for _ in vectors_sent(hub.advance(10_000), 1)]
    gaps = {later - earlier for earlier, later in itertools.pairwise(times)}
    assert len(times) == 16
    assert gaps == {250_000}


def test_a_late_timer_delays_one_vector_and_does_not_bring_a_burst() -> None:
    hub = linked()
    hub.share(dataclasses.replace(GRANT, cadence_ms=100))
    hub.drain()
    hub.now += 5_000_000
    assert len(shown(hub.advance(1))) == 1
    assert len(shown(hub.advance(200_000))) in {2, 3}


# --- withdrawal -------------------------------------------------------------------------------------------------


def test_a_withdrawal_stops_the_cadence_and_hides_the_value() -> None:
    hub = linked()
    hub.share()
    hub.drain()
    assert hub.act(SetGrant(None)) == [CancelTimer(("publish",))]
    assert hub.held(ME) is None
    assert hub.statistics().crowd.n == 0
    assert vectors_sent(hub.advance(10_000_000)) == []


def test_after_a_withdrawal_not_one_more_vector_of_ours_leaves_not_even_what_waited() -> None:
    hub = linked()
    hub.share()  # link 1 and link 2 are both busy with the first vector
    hub.now += 1_000_000
    hub.advance(1_000_000, drain=False)  # and a newer one waits
    hub.act(SetGrant(None))
    effects = hub.drain()
    hub.say(1, wire.Graft((tag(ME),)))
    hub.say(2, wire.WantKeys((ME.author,)))
    effects += hub.drain() + hub.join(3, CAT) + hub.advance(5_000_000)
    assert vectors_sent(effects) == []
    assert [entry for m in sent(effects) if isinstance(m, wire.Digest) for entry in m.entries] == []


def test_a_withdrawal_reaches_links_that_were_lazy_or_held_back_by_the_spacing() -> None:
    hub = linked()
    hub.share(dataclasses.replace(GRANT, cadence_ms=50))
    hub.drain()
    hub.say(1, wire.Prune((tag(ME),)))
    hub.advance(60_000)  # the next vector waits for the spacing of a tenth of a second on link 2
    hub.act(SetGrant(None))
    assert vectors_sent(hub.advance(3_000_000)) == []


def test_a_late_publish_timer_after_a_withdrawal_publishes_nothing() -> None:
    hub = linked()
    hub.share()
    hub.drain()
    hub.act(SetGrant(None))
    assert hub.act(TimerFired(("publish",))) == []


def test_our_own_vector_shown_back_to_us_after_a_withdrawal_stays_withdrawn() -> None:
    hub = linked()
    (mine, *_) = vectors_sent(hub.share())
    hub.drain()
    hub.act(SetGrant(None))
    assert hub.say(1, mine)[0] == Drop(LinkId(1), Reason.OWN_RECORD)
    assert hub.held(ME) is None
    assert vectors_sent(hub.drain() + hub.join(3, CAT)) == []


def test_numbers_go_on_after_a_new_grant_so_that_the_new_values_win() -> None:
    hub, other = linked(), Hub(ANN)
    other.join(2, ME)
    (first, *_) = vectors_sent(hub.share(), 1)
    hub.drain()
    hub.act(SetGrant(None))
    effects = hub.act(SetGrant(GRANT))
    (second, *_) = vectors_sent(hub.advance(timers(effects)[("publish",)] - hub.now), 1)
    assert [number for _, number in shown(other.say(2, first)) + shown(other.say(2, second))] == [1, 2]


def test_a_narrower_grant_keeps_back_what_was_made_under_the_wider_one() -> None:
    hub = linked()
    wide = dataclasses.replace(GRANT, dimensions=(AROUSAL, VALENCE), cadence_ms=60_000)
    hub.share(wide)
    hub.drain()
    hub.act(SetGrant(dataclasses.replace(wide, dimensions=(AROUSAL,))))
    assert vectors_sent(hub.join(3, CAT)) == []
    hub.act(SetGrant(dataclasses.replace(wide, may_relay=False)))
    assert vectors_sent(hub.join(4, DAN)) == []


@pytest.mark.parametrize("change", [{"levels": 3}, {"lease_ms": 1_000}])
def test_a_coarser_or_shorter_grant_keeps_back_what_was_made_under_the_finer_one(change: dict[str, int]) -> None:
    hub = linked()
    fine = dataclasses.replace(GRANT, cadence_ms=60_000)
    hub.share(fine)
    hub.drain()
    hub.act(SetGrant(dataclasses.replace(fine, **change)))  # type: ignore[arg-type]
    assert vectors_sent(hub.join(3, CAT)) == []


def test_a_withdrawal_says_nothing_about_what_others_share() -> None:
    hub = linked()
    hub.share()
    hub.say(1, keys(CAT), vector(CAT, 1))
    hub.act(SetGrant(None))
    effects = hub.drain()
    assert [decode_vector(MESH.mesh_id, m.signed).author for m in vectors_sent(effects, 2)] == [CAT.author]
