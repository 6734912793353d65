"""One VECTOR from a link: docs/protocol.md section 7.1, step by step (R20, R24, R26, R32 to R36, R38 to R40)."""

from __future__ import annotations

import pytest

from protocol.clock import hlc_pack
from protocol.effects import Disconnect, Drop, Emit, StoreBoot, ValueShown
from protocol.errors import CloseCode, Reason
from protocol.ids import LinkId
from protocol.inputs import MessagesReceived, Started, UtcObserved
from protocol.limits import COUNTER_MAX, OVERTAKE_US
from protocol.wire import messages as wire
from protocol.wire.codec import Value, encode
from protocol.wire.records import MAY_AGGREGATE, MAY_RECORD, decode_vector
from tests.unit.protocol.hub import START, Hub, closed, drops, sent, shown, vectors_sent
from tests.unit.protocol.people import ANN, BEN, CAT, EVE, ME, MESH, Made, forged, keys, raw_vector, vector

UTC_MS = 1_800_000_000_000


def linked(*, utc: bool = False) -> Hub:
    """A hub with a link to Ann (1) and one to Ben (2); Ann has brought Cat's key state."""
    hub = Hub()
    hub.join(1, ANN)
    hub.join(2, BEN)
    hub.say(1, keys(CAT))
    if utc:
        hub.act(UtcObserved(UTC_MS, 10))
    return hub


def hlc(ahead_ms: int) -> int:
    """A stamp so many milliseconds ahead of the date that ``linked(utc=True)`` was told."""
    return hlc_pack(UTC_MS + ahead_ms, 0)


def test_a_verified_vector_is_shown_and_relayed_unchanged() -> None:
    hub = linked()
    message = vector(CAT, 1)
    effects = hub.say(1, message)
    assert shown(effects) == [(CAT.author, 1)]
    assert sent(effects) == [keys(CAT), message]
    assert sent(effects, 2) == [keys(CAT), message]
    line = hub.held(CAT)
    assert line is not None
    assert (line.rotation, line.boot, line.seq, line.terms, line.cadence_ms) == (0, 1, 1, 7, 1_000)


def test_the_same_bytes_again_are_a_duplicate_whatever_their_signature() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1))
    hub.drain()
    assert drops(hub.say(1, vector(CAT, 1))) == [Reason.DUPLICATE]
    assert drops(hub.say(1, forged(CAT, 1))) == [Reason.DUPLICATE]
    assert hub.seq_of(CAT) == 1
    assert len(hub.statistics().links) == 2


@pytest.mark.parametrize(("seq", "boot"), [(4, 2), (5, 1), (COUNTER_MAX, 1), (1, 1)])
def test_a_vector_with_a_lower_number_is_superseded_and_the_link_kept(seq: int, boot: int) -> None:
    hub = linked()
    hub.say(1, vector(CAT, 5, Made(boot=2)))
    effects = hub.say(1, vector(CAT, seq, Made(boot=boot)))
    assert effects == [Drop(LinkId(1), Reason.SUPERSEDED)]
    assert hub.seq_of(CAT) == 5


def test_the_same_number_with_another_content_is_superseded() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 5))
    assert drops(hub.say(1, vector(CAT, 5, Made(terms=3)))) == [Reason.SUPERSEDED]


@pytest.mark.parametrize(("seq", "boot"), [(6, 2), (1, 3), (COUNTER_MAX, COUNTER_MAX)])
def test_a_vector_with_a_higher_number_takes_the_place_of_the_held_one(seq: int, boot: int) -> None:
    hub = linked()
    hub.say(1, vector(CAT, 5, Made(boot=2)))
    assert shown(hub.say(1, vector(CAT, seq, Made(boot=boot)))) == [(CAT.author, seq)]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"domain": "trio.addresses"}, Reason.WRONG_DOMAIN),
        ({"mesh": bytes(16)}, Reason.WRONG_MESH),
        ({"version": 2}, Reason.WRONG_VERSION),
        ({"author": bytes(31)}, Reason.OUT_OF_RANGE),
        ({"rotation": 4}, Reason.OUT_OF_RANGE),
        ({"boot": 0}, Reason.OUT_OF_RANGE),
        ({"seq": COUNTER_MAX + 1}, Reason.OUT_OF_RANGE),
        ({"hlc": -1}, Reason.OUT_OF_RANGE),
        ({"terms": 8}, Reason.OUT_OF_RANGE),
        ({"lease_ms": 999}, Reason.OUT_OF_RANGE),
        ({"cadence_ms": 49}, Reason.OUT_OF_RANGE),
        ({"body": ()}, Reason.WRONG_ARITY),
        ({"body": None}, Reason.WRONG_TYPE),
        ({"seq": True}, Reason.WRONG_TYPE),
    ],
)
def test_a_vector_that_breaks_its_layout_closes_the_link(changed: dict[str, Value], reason: Reason) -> None:
    hub = linked()
    effects = hub.say(1, raw_vector(CAT, **changed))
    assert drops(effects) == [reason]
    assert closed(effects) == [(1, CloseCode.PROTOCOL)]
    assert hub.seq_of(CAT) is None
    assert [line.link for line in hub.statistics().links] == [2]


@pytest.mark.parametrize(
    ("signed", "reason"),
    [
        (b"\xc1", Reason.MALFORMED),
        (b"\x9d\x01", Reason.TRUNCATED),
        (b"\xc0\xc0", Reason.MALFORMED),
        (b"\x91\x80", Reason.FORBIDDEN_TYPE),
        (b"\x91" * 9 + b"\xc0", Reason.TOO_DEEP),
        (b"\xdc\x01\x01", Reason.TOO_MANY_ITEMS),
        (b"\xcc\x01", Reason.NOT_CANONICAL),
        (b"\x90", Reason.WRONG_TYPE),
        (encode(("trio.vector", MESH.mesh_id, 1)), Reason.WRONG_ARITY),
    ],
)
def test_signed_bytes_that_are_no_record_close_the_link(signed: bytes, reason: Reason) -> None:
    hub = linked()
    effects = hub.say(1, wire.Vector(signed, bytes(64), 0))
    assert (drops(effects), closed(effects)) == ([reason], [(1, CloseCode.PROTOCOL)])


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"audience": 1}, Reason.UNKNOWN_AUDIENCE),
        ({"audience": 2**32 - 1}, Reason.UNKNOWN_AUDIENCE),
        ({"audience": 1, "body": None}, Reason.UNKNOWN_AUDIENCE),
        ({"body": (250, (7,), 1, 255, 1, b"\x00\x00\x01")}, Reason.UNKNOWN_DIMENSION),
        ({"body": (250, (0, 255), 1, 255, 1, b"\x00\x00\x00\x00\x01\x01")}, Reason.UNKNOWN_DIMENSION),
    ],
)
def test_what_a_later_version_may_say_is_dropped_and_not_relayed_but_the_link_kept(
    changed: dict[str, Value], reason: Reason
) -> None:
    hub = linked()
    assert hub.say(1, raw_vector(CAT, **changed)) == [Drop(LinkId(1), reason)]
    assert hub.drain() == []
    assert len(hub.statistics().links) == 2


@pytest.mark.parametrize("age_ms", [10_000, 10_001, 120_000])
def test_a_vector_as_old_as_its_lease_is_dropped_and_the_link_kept(age_ms: int) -> None:
    hub = linked()
    assert hub.say(1, vector(CAT, 1, age_ms=age_ms)) == [Drop(LinkId(1), Reason.LEASE_EXPIRED)]
    assert shown(hub.say(1, vector(CAT, 1, age_ms=9_999))) == [(CAT.author, 1)]


@pytest.mark.parametrize("ahead_ms", [120_001, 10**9, 2**48 - 1 - UTC_MS])
def test_a_stamp_far_in_the_future_is_not_stored_as_latest(ahead_ms: int) -> None:
    hub = linked(utc=True)
    assert hub.say(1, vector(CAT, 9, Made(hlc=hlc(ahead_ms)))) == [Drop(LinkId(1), Reason.FROM_THE_FUTURE)]
    assert shown(hub.say(1, vector(CAT, 1, Made(hlc=hlc(120_000))))) == [(CAT.author, 1)]


@pytest.mark.parametrize("behind_ms", [15_001, 10**9, UTC_MS - 1])
def test_a_stamp_whose_lease_is_long_over_is_dropped(behind_ms: int) -> None:
    hub = linked(utc=True)
    assert hub.say(1, vector(CAT, 1, Made(hlc=hlc(-behind_ms)))) == [Drop(LinkId(1), Reason.LEASE_EXPIRED)]
    assert shown(hub.say(1, vector(CAT, 2, Made(hlc=hlc(-15_000))))) == [(CAT.author, 2)]


@pytest.mark.parametrize("stamp", [1, 2**31, 2**53 + 1, 2**63 - 1, 2**64 - 1])
def test_stamps_say_nothing_to_a_hub_that_does_not_know_the_date(stamp: int) -> None:
    hub = linked()
    assert shown(hub.say(1, vector(CAT, 1, Made(hlc=stamp)))) == [(CAT.author, 1)]


def test_a_date_with_a_large_error_is_no_date_and_silences_nobody() -> None:
    hub = linked()
    hub.act(UtcObserved(UTC_MS, 1_001))
    assert not hub.statistics().date_known
    assert shown(hub.say(1, vector(CAT, 1, Made(hlc=hlc(10**9))))) == [(CAT.author, 1)]
    hub.act(UtcObserved(UTC_MS, 1_000))
    assert hub.statistics().date_known
    hub.act(UtcObserved(UTC_MS, None))
    assert not hub.statistics().date_known


def test_an_author_without_a_date_is_heard_by_a_hub_with_one() -> None:
    assert shown(linked(utc=True).say(1, vector(CAT, 1, Made(hlc=0)))) == [(CAT.author, 1)]


@pytest.mark.parametrize("jump_ms", [1_000, -1_000, 10**12, -(10**12)])
def test_a_jump_of_the_date_takes_nothing_from_what_is_held_and_raises_nothing(jump_ms: int) -> None:
    hub = linked(utc=True)
    hub.say(1, vector(CAT, 1, Made(hlc=hlc(0))))
    hub.act(UtcObserved(UTC_MS + jump_ms, 10))
    hub.advance(9_000_000)
    assert hub.seq_of(CAT) == 1
    hub.advance(1_500_000)
    assert hub.seq_of(CAT) is None


def test_a_bad_signature_closes_its_link_as_bye_4_and_changes_nothing_else() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1))
    hub.drain()
    effects = hub.say(2, keys(CAT), forged(CAT, COUNTER_MAX, Made(boot=COUNTER_MAX)))
    assert drops(effects) == [Reason.BAD_SIGNATURE]
    assert Disconnect(LinkId(2), CloseCode.SIGNATURE, Reason.BAD_SIGNATURE) in effects
    assert closed(effects) == [(2, CloseCode.SIGNATURE)]
    assert shown(effects) == []
    assert shown(hub.say(1, vector(CAT, 2))) == [(CAT.author, 2)]


@pytest.mark.parametrize("size", [0, 31, 63])
def test_a_signature_by_another_key_or_of_zeros_is_a_bad_one(size: int) -> None:
    hub = linked()
    good = vector(CAT, 1)
    bad = bytearray(good.signature)
    bad[size] ^= 0x80
    assert drops(hub.say(1, wire.Vector(good.signed, bytes(bad), 0))) == [Reason.BAD_SIGNATURE]
    assert drops(hub.say(2, keys(CAT), wire.Vector(good.signed, bytes(64), 0))) == [Reason.BAD_SIGNATURE]


def test_nothing_is_relayed_before_its_signature_was_verified() -> None:
    hub = linked()
    effects = hub.say(1, vector(EVE, 1))
    assert vectors_sent(effects) == []
    assert sent(effects, 1) == [wire.WantKeys((EVE.author,))]
    assert sent(effects, 2) == []
    relayed = hub.say(1, keys(EVE)) + hub.drain()
    assert [message.signed for message in vectors_sent(relayed, 2)] == [vector(EVE, 1).signed]


def test_what_comes_is_not_sent_back_to_where_it_came_from_nor_to_its_author() -> None:
    hub = linked()
    hub.join(3, CAT)
    effects = hub.say(1, vector(CAT, 1)) + hub.drain()
    assert vectors_sent(effects, 1) == []
    assert vectors_sent(effects, 3) == []
    assert len(vectors_sent(effects, 2)) == 1


@pytest.mark.parametrize("terms", [0, MAY_AGGREGATE, MAY_RECORD, MAY_AGGREGATE | MAY_RECORD])
def test_a_vector_that_may_not_be_relayed_is_shown_and_stays(terms: int) -> None:
    hub = linked()
    effects = hub.say(1, vector(CAT, 1, Made(terms=terms)))
    assert shown(effects) == [(CAT.author, 1)]
    hub.join(3, EVE)
    hub.say(2, wire.Graft((CAT.author[:8],)))
    effects += hub.drain() + hub.advance(3_000_000)
    assert vectors_sent(effects) == []
    assert hub.seq_of(CAT) == 1


def test_a_vector_that_may_no_longer_be_relayed_is_not_sent_in_place_of_one_that_might() -> None:
    hub = linked()
    hub.say(2, wire.Ping(1))  # the answer keeps link 2 busy
    hub.say(1, vector(CAT, 1))
    hub.say(1, vector(CAT, 2, Made(terms=0)))
    assert vectors_sent(hub.drain()) == []


# --- our own record ---------------------------------------------------------------------------------------------


def test_our_own_record_from_a_higher_boot_lifts_us_above_it() -> None:
    hub = linked()
    effects = hub.say(1, vector(ME, 3, Made(boot=7)))
    assert effects == [Drop(LinkId(1), Reason.OWN_RECORD), StoreBoot(8)]
    assert hub.statistics().boot == 8
    published = hub.share()
    assert {decode_vector(MESH.mesh_id, one.signed).boot for one in vectors_sent(published)} == {8}


def test_the_higher_boot_is_stored_before_anything_is_sent_under_it() -> None:
    hub = linked()
    hub.share()
    hub.drain()
    hub.now += 1_000_000
    effects = hub.act(MessagesReceived(LinkId(1), (vector(ME, 3, Made(boot=7)), wire.Ping(1))))
    assert isinstance(effects[1], StoreBoot)


@pytest.mark.parametrize(("boot", "seq"), [(1, 10**6), (4, 10**6), (5, 1)])
def test_our_own_record_from_an_earlier_boot_or_one_that_we_made_is_only_dropped(boot: int, seq: int) -> None:
    hub = Hub(started=Started(5))
    hub.join(1, ANN)
    hub.share()
    effects = hub.say(1, vector(ME, seq, Made(boot=boot)))
    assert effects == [Drop(LinkId(1), Reason.OWN_RECORD)]
    assert hub.statistics().boot == 5


@pytest.mark.parametrize("shared", [False, True])
def test_our_own_record_that_we_have_not_made_in_this_boot_lifts_us_above_it(shared: bool) -> None:
    hub = Hub(started=Started(5))  # restored from a backup: another run has had this number
    hub.join(1, ANN)
    if shared:
        hub.share()
    effects = hub.say(1, vector(ME, 40, Made(boot=5)))
    assert effects == [Drop(LinkId(1), Reason.OWN_RECORD), StoreBoot(6)]
    assert hub.statistics().boot == 6


def test_two_hubs_with_one_identity_do_not_outbid_each_other_at_every_vector() -> None:
    hub = linked()
    hub.say(1, vector(ME, 3, Made(boot=7)))
    hub.now += OVERTAKE_US - 1
    assert hub.say(1, vector(ME, 1, Made(boot=9))) == [Drop(LinkId(1), Reason.OWN_RECORD)]
    hub.now += 1
    assert hub.say(1, vector(ME, 2, Made(boot=9)))[-1] == StoreBoot(10)


def test_a_forged_higher_boot_of_ours_closes_its_link_and_lifts_nobody() -> None:
    hub = linked()
    effects = hub.say(1, forged(ME, 1, Made(boot=9)))
    assert drops(effects) == [Reason.BAD_SIGNATURE]
    assert closed(effects) == [(1, CloseCode.SIGNATURE)]
    assert hub.statistics().boot == 1


def test_a_poisoned_maximum_of_our_boot_is_not_passed() -> None:
    hub = linked()
    hub.say(1, vector(ME, 1, Made(boot=COUNTER_MAX)))
    assert hub.statistics().boot == 1
    hub.say(1, vector(ME, 1, Made(boot=COUNTER_MAX - 1)))
    assert hub.statistics().boot == COUNTER_MAX


def test_our_own_record_never_comes_back_onto_our_shelf() -> None:
    hub = linked()
    assert drops(hub.say(1, vector(ME, 5))) == [Reason.OWN_RECORD]
    assert hub.held(ME) is None


# --- lease ------------------------------------------------------------------------------------------------------


def test_a_value_is_shown_until_its_lease_ends_and_not_after() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1, Made(lease_ms=5_000), age_ms=1_000))
    hub.now = START + 3_999_999
    line = hub.held(CAT)
    assert line is not None
    assert (line.age_us, line.lease_left_us) == (4_999_999, 1)
    hub.now += 1
    assert hub.held(CAT) is None


def test_a_record_replayed_after_its_lease_is_refused_by_its_mark() -> None:
    hub = linked()
    old, new = vector(CAT, 1, Made(lease_ms=1_000)), vector(CAT, 2, Made(lease_ms=1_000))
    hub.say(1, old)
    hub.say(1, new)
    hub.advance(3_000_000)
    assert hub.held(CAT) is None
    for message in (new, old):
        effects = hub.say(2, keys(CAT), message)
        assert (drops(effects), shown(effects)) == ([Reason.SUPERSEDED], [])
    assert shown(hub.say(2, vector(CAT, 3))) == [(CAT.author, 3)]


def test_a_duplicate_that_claims_to_be_younger_makes_the_value_as_young_as_an_honest_relay_shows_it() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1, Made(lease_ms=5_000), age_ms=4_000))
    hub.say(2, vector(CAT, 1, Made(lease_ms=5_000), age_ms=1_000))
    line = hub.held(CAT)
    assert line is not None
    assert line.lease_left_us == 4_000_000


def test_a_link_that_repeats_a_value_makes_it_younger_by_at_most_its_lease() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1, Made(lease_ms=1_000)))
    for _ in range(30):
        hub.advance(100_000)
        hub.say(2, vector(CAT, 1, Made(lease_ms=1_000), age_ms=0))
    assert hub.held(CAT) is None


def test_an_expired_value_is_not_sent_to_a_link_that_comes_up_before_the_next_tick() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1, Made(lease_ms=1_000)))
    hub.drain()
    hub.now += 1_000_000
    assert vectors_sent(hub.join(3, EVE)) == []


def test_news_of_a_value_names_its_author_boot_and_number() -> None:
    effects = linked().say(1, vector(CAT, 4, Made(boot=3)))
    assert Emit(ValueShown(CAT.author, 3, 4)) in effects
