"""Two people meet by a short code: whoever stands between them is found out."""

from __future__ import annotations

import pytest

from protocol.effects import MeetingAsked, MeetingCode, MeetingEnded
from protocol.errors import Reason, RemoteProtocolError
from protocol.ids import AuthorId
from protocol.trust.meeting import (
    PATIENCE_US,
    WISHES_MAX,
    MeetingEffect,
    Meetings,
    Tell,
    card_nonce,
    commitment,
    short_code,
)
from protocol.wire.meeting import Meet, MeetConfirm, MeetReveal
from tests.unit.protocol.trust_rig import hub

ANN, BEN, EVE = hub(1), hub(2), hub(3)
NONCE = {name: bytes([number]) * 32 for number, name in enumerate((ANN, BEN, EVE))}


class Table:
    """Hubs that hear each other at once; everything that is not said lands in ``seen``."""

    def __init__(self, *names: AuthorId) -> None:
        self.hubs = {name: Meetings(name) for name in names}
        self.seen: list[tuple[AuthorId, MeetingEffect]] = []

    def do(self, name: AuthorId, effects: list[MeetingEffect]) -> None:
        """Carry what ``name`` says."""
        for effect in effects:
            if isinstance(effect, Tell):
                self.do(effect.peer, self.hubs[effect.peer].receive(name, effect.message, 0))
            else:
                self.seen.append((name, effect))

    def begin(self, name: AuthorId, peer: AuthorId) -> None:
        self.do(name, self.hubs[name].begin(peer, NONCE[name], 0))

    def confirm(self, name: AuthorId, peer: AuthorId, *, same: bool = True) -> None:
        self.do(name, self.hubs[name].confirm(peer, same=same))

    def codes(self) -> list[str]:
        return [effect.code for _, effect in self.seen if isinstance(effect, MeetingCode)]

    def ended(self) -> list[tuple[AuthorId, bool]]:
        return [(name, effect.met) for name, effect in self.seen if isinstance(effect, MeetingEnded)]


def met() -> Table:
    """Ann and Ben see their codes."""
    table = Table(ANN, BEN)
    table.begin(ANN, BEN)
    table.begin(BEN, ANN)
    return table


def test_both_see_the_same_six_digits_and_have_met_when_both_have_said_so() -> None:
    table = met()
    assert table.seen[0] == (BEN, MeetingAsked(ANN))
    one, other = table.codes()
    assert one == other == short_code((BEN, NONCE[BEN]), (ANN, NONCE[ANN]))
    assert len(one) == 6
    assert one.isdecimal()
    table.confirm(ANN, BEN)
    assert table.ended() == []
    table.confirm(BEN, ANN)
    assert sorted(table.ended()) == [(ANN, True), (BEN, True)]


def test_if_one_says_that_the_codes_differ_neither_has_met() -> None:
    table = met()
    table.confirm(ANN, BEN)
    table.confirm(BEN, ANN, same=False)
    assert sorted(table.ended()) == [(ANN, False), (BEN, False)]
    table.confirm(ANN, BEN)
    assert len(table.ended()) == 2


def test_whoever_stands_between_shows_two_different_codes() -> None:
    left, right = Table(ANN, EVE), Table(EVE, BEN)
    left.begin(ANN, EVE)
    left.begin(EVE, ANN)
    right.begin(BEN, EVE)
    right.begin(EVE, BEN)
    assert left.codes()[0] != right.codes()[0]


def test_a_number_is_shown_only_to_whoever_has_bound_itself() -> None:
    ann = Meetings(ANN)
    assert ann.begin(BEN, NONCE[ANN], 0) == [Tell(BEN, Meet(commitment(NONCE[ANN], ANN, BEN)))]
    assert ann.receive(BEN, MeetReveal(NONCE[BEN]), 0) == []
    assert ann.receive(EVE, Meet(commitment(NONCE[EVE], EVE, ANN)), 0) == [MeetingAsked(EVE)]
    bound = Meet(commitment(NONCE[BEN], BEN, ANN))
    assert ann.receive(BEN, bound, 0) == [Tell(BEN, MeetReveal(NONCE[ANN]))]


def test_another_number_than_the_one_bound_to_closes_the_link() -> None:
    ann = Meetings(ANN)
    ann.begin(BEN, NONCE[ANN], 0)
    ann.receive(BEN, Meet(commitment(NONCE[BEN], BEN, ANN)), 0)
    with pytest.raises(RemoteProtocolError) as caught:
        ann.receive(BEN, MeetReveal(NONCE[EVE]), 0)
    assert caught.value.reason is Reason.MEETING_FORGED


def test_our_own_commitment_sent_back_to_us_cannot_be_opened() -> None:
    ann = Meetings(ANN)
    (told,) = ann.begin(BEN, NONCE[ANN], 0)
    assert isinstance(told, Tell)
    assert isinstance(told.message, Meet)
    assert ann.receive(BEN, told.message, 0) == [Tell(BEN, MeetReveal(NONCE[ANN]))]
    with pytest.raises(RemoteProtocolError):
        ann.receive(BEN, MeetReveal(NONCE[ANN]), 0)


def test_nothing_is_confirmed_without_a_code() -> None:
    ann = Meetings(ANN)
    ann.begin(BEN, NONCE[ANN], 0)
    assert ann.confirm(BEN, same=True) == []
    assert ann.receive(BEN, MeetConfirm(True), 0) == []


def test_a_hub_that_begins_anew_in_the_middle_ends_the_meeting_and_waits() -> None:
    table = met()
    table.seen.clear()
    table.do(ANN, [Tell(BEN, Meet(bytes(32)))])
    assert table.ended() == [(BEN, False)]
    assert (BEN, MeetingAsked(ANN)) in table.seen


def test_a_meeting_ends_with_its_link_or_its_time() -> None:
    ann = Meetings(ANN)
    ann.begin(BEN, NONCE[ANN], 0)
    assert ann.link_down(EVE) == []
    assert ann.link_down(BEN) == [MeetingEnded(BEN, met=False, why="there is no link with that hub now")]
    ann.begin(BEN, NONCE[ANN], 0)
    assert ann.tick(PATIENCE_US - 1) == []
    assert ann.tick(PATIENCE_US) == [MeetingEnded(BEN, met=False, why="nobody has answered")]
    assert ann.idle


def test_a_second_meeting_ends_the_first() -> None:
    ann = Meetings(ANN)
    ann.begin(BEN, NONCE[ANN], 0)
    assert ann.begin(EVE, NONCE[ANN], 0)[0] == MeetingEnded(BEN, met=False, why="another meeting was begun")


def test_a_meeting_begun_again_with_the_same_hub_goes_on_under_the_new_number() -> None:
    table = Table(ANN, BEN)
    table.begin(ANN, BEN)
    again = bytes([9]) * 32
    table.do(ANN, table.hubs[ANN].begin(BEN, again, 0))
    assert table.ended() == []
    table.begin(BEN, ANN)
    assert table.codes() == [short_code((ANN, again), (BEN, NONCE[BEN]))] * 2


CARD = bytes(range(16))


def carded(*, reader: AuthorId = BEN, secret: bytes = CARD) -> Table:
    """Ann shows her card, and somebody has read it."""
    table = Table(ANN, BEN, EVE)
    table.do(ANN, table.hubs[ANN].show(CARD, NONCE[ANN], 0))
    table.do(reader, table.hubs[reader].begin(ANN, card_nonce(secret, reader, ANN), 0))
    return table


def test_a_card_that_was_read_makes_a_meeting_without_being_told_with_whom() -> None:
    table = carded()
    one, other = table.codes()
    assert one == other
    assert (ANN, MeetingAsked(BEN)) not in table.seen
    table.confirm(BEN, ANN)
    assert table.ended() == []
    table.confirm(ANN, BEN)
    assert sorted(table.ended()) == [(ANN, True), (BEN, True)]
    assert all(meetings.idle for meetings in table.hubs.values())


def test_whoever_has_not_read_the_card_only_waits() -> None:
    table = carded(secret=bytes(16))
    assert table.seen == [(ANN, MeetingAsked(BEN))]
    assert not table.hubs[ANN].idle


def test_the_first_who_reads_a_card_uses_it_up() -> None:
    table = carded(reader=EVE)
    table.seen.clear()
    table.do(BEN, table.hubs[BEN].begin(ANN, card_nonce(CARD, BEN, ANN), 0))
    assert table.codes() == []
    assert table.seen == [(ANN, MeetingAsked(BEN))]


def test_what_a_reader_said_is_of_no_use_to_another_reader() -> None:
    table = carded()
    ann = table.hubs[ANN]
    ann.show(CARD, NONCE[ANN], 0)
    assert ann.receive(EVE, Meet(commitment(card_nonce(CARD, BEN, ANN), BEN, ANN)), 0) == [MeetingAsked(EVE)]


def test_a_card_is_shown_for_two_minutes_and_ends_an_older_meeting() -> None:
    ann = Meetings(ANN)
    ann.begin(EVE, NONCE[ANN], 0)
    assert ann.show(CARD, NONCE[ANN], 0) == [MeetingEnded(EVE, met=False, why="another meeting was begun")]
    bound = Meet(commitment(card_nonce(CARD, BEN, ANN), BEN, ANN))
    assert ann.receive(BEN, bound, PATIENCE_US) == [MeetingAsked(BEN)]
    assert not ann.idle
    ann.link_down(BEN)
    assert ann.tick(PATIENCE_US) == []
    assert ann.idle


def test_wishes_of_peers_are_bounded_told_once_and_forgotten() -> None:
    ann = Meetings(ANN)
    asked = [ann.receive(hub(number), Meet(bytes(32)), 0) for number in range(10, 12 + WISHES_MAX)]
    assert sum(map(len, asked)) == WISHES_MAX
    assert ann.receive(hub(10), Meet(bytes(32)), 0) == []
    ann.tick(PATIENCE_US)
    assert ann.idle


def test_a_late_wish_does_not_count() -> None:
    ann = Meetings(ANN)
    ann.receive(BEN, Meet(bytes(32)), 0)
    told = ann.begin(BEN, NONCE[ANN], PATIENCE_US)
    assert told == [Tell(BEN, Meet(commitment(NONCE[ANN], ANN, BEN)))]
