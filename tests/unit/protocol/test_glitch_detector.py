"""What opens a glitch, what does not, and what is said of it while it lasts and when it is over."""

from __future__ import annotations

import pytest

from protocol.clock import MINUTE, SECOND, Instant
from protocol.glitch.detector import Detector
from protocol.glitch.values import Closed, Ended, GlitchConfig, GlitchEffect, Gone, How, Kind, Lagged, Opened, Split
from protocol.ids import AuthorId

CONFIG = GlitchConfig()
HUBS = [AuthorId(bytes([number]) * 32) for number in range(20)]
ME = HUBS[0]
START = 100 * SECOND


class Crowd:
    """A detector among ``count`` hubs that it is linked with, whom it looks at once a second."""

    def __init__(self, count: int = 12, *, chosen: bool = True) -> None:
        self.friends: list[AuthorId] = []
        self.detector = Detector(CONFIG, lambda peer, now: peer in self.friends)
        self.here = HUBS[:count]
        self.signs: dict[AuthorId, Instant] = {}
        self.now: Instant = START
        self.told: list[GlitchEffect] = []
        for peer in self.here[1:]:
            self.detector.link_up(peer, self.now, chosen=chosen)

    def lose(self, peers: list[AuthorId], ended: Ended = Ended.SILENT, *, spread_us: int = 100_000) -> None:
        """These fall silent now, one after the other; links are found broken 3 s later."""
        for number, peer in enumerate(peers):
            self.signs[peer] = self.now - number * spread_us
        self.run(3)
        for peer in peers:
            self.detector.link_down(peer, ended, self.now)
        self.here = [hub for hub in self.here if hub not in peers]

    def back(self, peers: list[AuthorId]) -> None:
        """These are here again, dialled by us."""
        for peer in peers:
            del self.signs[peer]
            self.detector.link_up(peer, self.now, chosen=True)
        self.here = [*self.here, *peers]

    def run(self, seconds: int) -> list[GlitchEffect]:
        """Let time pass; returns what was said in it."""
        said: list[GlitchEffect] = []
        for _ in range(seconds):
            self.now += SECOND
            out = [Gone(hub, sign) for hub, sign in self.signs.items() if hub not in self.here]
            said += self.detector.look(self.here, out, self.now)
        self.told += said
        return said

    @property
    def open(self) -> Split:
        """What lasts."""
        assert self.detector.open is not None
        return self.detector.open


def test_five_of_twelve_who_fall_silent_together_are_another_crowd() -> None:
    crowd = Crowd()
    crowd.lose(HUBS[7:12])
    (said,) = crowd.run(3)
    assert isinstance(said, Opened)
    split = said.split
    assert (split.kind, set(split.mine), set(split.theirs)) == (Kind.SPLIT, set(HUBS[:7]), set(HUBS[7:12]))
    assert split.began == START
    assert split.noticed - START <= 6 * SECOND
    assert split.confidence > 0.95


def test_one_who_is_lost_has_only_left() -> None:
    crowd = Crowd()
    crowd.lose(HUBS[11:12])
    assert crowd.run(60) == []


def test_two_who_are_lost_at_once_have_only_left() -> None:
    crowd = Crowd()
    crowd.lose(HUBS[10:12])
    assert crowd.run(60) == []


def test_five_who_go_one_after_the_other_have_only_left() -> None:
    crowd = Crowd()
    for hub in HUBS[7:12]:
        crowd.lose([hub])
        crowd.run(5)
    assert crowd.run(60) == []


@pytest.mark.parametrize("ended", [Ended.WORD, Ended.BROKEN])
def test_five_whose_machines_say_that_they_stopped_have_only_left(ended: Ended) -> None:
    crowd = Crowd()
    crowd.lose(HUBS[7:12], ended)
    assert crowd.run(60) == []


@pytest.mark.parametrize("ended", [Ended.WORD, Ended.BROKEN])
def test_whoever_has_said_that_it_stops_has_left_though_what_it_last_said_is_still_fresh(ended: Ended) -> None:
    crowd = Crowd()
    for peer in HUBS[7:12]:
        crowd.signs[peer] = crowd.now
        crowd.detector.link_down(peer, ended, crowd.now)
    crowd.run(3)
    crowd.here = HUBS[:7]
    assert crowd.run(60) == []


@pytest.mark.parametrize(("ended", "seconds"), [(Ended.WORD, 30), (Ended.BROKEN, 30), (Ended.RELEASED, 0)])
def test_whoever_goes_on_without_a_link_is_severed_with_the_others(ended: Ended, seconds: int) -> None:
    crowd = Crowd()
    for peer in HUBS[7:12]:
        crowd.detector.link_down(peer, ended, crowd.now)
    crowd.run(seconds)
    crowd.lose(HUBS[7:12])
    (said,) = crowd.run(3)
    assert isinstance(said, Opened)


def test_ten_of_a_thousand_who_go_home_together_are_no_crowd() -> None:
    many = [AuthorId(number.to_bytes(32, "big")) for number in range(1, 1_001)]
    detector = Detector(CONFIG, lambda peer, now: False)
    out = [Gone(hub, START) for hub in many[:10]]
    for second in range(30):
        assert detector.look(many[10:], out, START + second * SECOND) == []


def test_a_hub_that_loses_everybody_is_alone() -> None:
    crowd = Crowd()
    crowd.lose(HUBS[1:12])
    (said,) = crowd.run(3)
    assert isinstance(said, Opened)
    assert said.split.kind is Kind.ALONE


def test_nobody_is_severed_because_we_did_not_listen() -> None:
    crowd = Crowd()
    crowd.lose(HUBS[7:12])
    said = crowd.detector.lagged(8 * SECOND, crowd.now)
    assert said == [Lagged(crowd.now - 8 * SECOND, crowd.now, tuple(HUBS[1:7]))]
    assert crowd.run(3) == []
    crowd.back(HUBS[7:12])
    assert crowd.run(60) == []


def test_who_looks_late_has_not_listened_either() -> None:
    crowd = Crowd()
    crowd.run(1)
    crowd.now += 9 * SECOND
    crowd.signs = dict.fromkeys(HUBS[7:12], crowd.now - 9 * SECOND)
    crowd.here = HUBS[:7]
    said = crowd.run(2)
    assert [type(one) for one in said] == [Lagged]


def test_it_is_over_when_half_of_them_are_back() -> None:
    crowd = Crowd()
    crowd.lose(HUBS[7:12])
    crowd.run(20)
    crowd.back(HUBS[7:9])
    assert crowd.run(1) == []
    assert crowd.open.back == 2
    first = crowd.now
    crowd.back(HUBS[9:12])
    (said,) = crowd.run(1)
    assert isinstance(said, Closed)
    assert (said.split.ended, said.split.how) == (first, How.WE_DIALLED)
    assert crowd.detector.open is None


def test_one_who_was_only_slow_is_one_of_us_again() -> None:
    crowd = Crowd()
    crowd.lose(HUBS[6:12])
    crowd.run(4)
    crowd.back(HUBS[6:7])
    crowd.run(8)
    assert set(crowd.open.mine) == set(HUBS[:7])
    assert set(crowd.open.theirs) == set(HUBS[7:12])


def test_one_who_is_missed_later_went_with_the_others() -> None:
    crowd = Crowd()
    crowd.lose(HUBS[7:11])
    crowd.run(3)
    crowd.signs[HUBS[11]] = START - SECOND
    crowd.here = HUBS[:7]
    crowd.run(1)
    assert set(crowd.open.theirs) == set(HUBS[7:12])
    assert set(crowd.open.mine) == set(HUBS[:7])


def test_what_turns_out_to_be_nobody_is_no_split() -> None:
    crowd = Crowd()
    crowd.lose(HUBS[9:12])
    crowd.run(4)
    crowd.back(HUBS[9:10])
    said = crowd.run(10)
    assert [one.split.how for one in said if isinstance(one, Closed)] == [None]


def test_the_beginning_does_not_follow_one_who_went_later() -> None:
    crowd = Crowd(20)
    crowd.lose(HUBS[8:19])
    crowd.signs[HUBS[19]] = START + 4 * SECOND
    crowd.here = HUBS[:8]
    crowd.run(10)
    assert len(crowd.open.theirs) == 12
    assert abs(crowd.open.began - START) <= SECOND


def test_links_that_strangers_made_are_no_ground_for_an_amnesty() -> None:
    chosen, strangers = Crowd(), Crowd(chosen=False)
    for crowd in (chosen, strangers):
        crowd.lose(HUBS[5:12])
        crowd.run(3)
    assert chosen.open.grounded
    assert not strangers.open.grounded


def test_young_links_of_those_whom_we_trust_are_ground_for_an_amnesty_whoever_made_them() -> None:
    crowd = Crowd(chosen=False)
    crowd.friends = HUBS[5:12]
    crowd.lose(HUBS[5:12])
    crowd.run(3)
    assert crowd.open.grounded


def test_old_links_are_ground_for_an_amnesty_whoever_made_them() -> None:
    crowd = Crowd(chosen=False)
    crowd.now += CONFIG.old_link_us
    crowd.lose(HUBS[5:12])
    crowd.run(3)
    assert crowd.open.grounded


def test_a_few_of_our_links_are_no_ground_if_most_are_whole() -> None:
    crowd = Crowd()
    crowd.lose(HUBS[9:12])
    crowd.run(3)
    assert not crowd.open.grounded


def test_two_neighbors_who_lose_sight_of_the_same_are_ground() -> None:
    crowd = Crowd()
    for peer in HUBS[1:3]:
        crowd.detector.announced(peer, HUBS[3:12], crowd.now)
    crowd.now += SECOND
    for peer in HUBS[1:3]:
        crowd.detector.announced(peer, HUBS[3:9], crowd.now)
    crowd.lose(HUBS[9:12])
    crowd.run(3)
    assert crowd.open.grounded


def test_another_address_is_ground_and_is_named_as_the_cure() -> None:
    crowd = Crowd()
    crowd.detector.moved(crowd.now)
    crowd.lose(HUBS[9:12])
    crowd.run(5)
    assert crowd.open.grounded
    crowd.detector.moved(crowd.now + SECOND)
    crowd.run(2)
    crowd.back(HUBS[9:12])
    (said,) = crowd.run(1)
    assert isinstance(said, Closed)
    assert said.split.how is How.MOVED


def test_who_was_gone_long_before_is_not_part_of_it() -> None:
    crowd = Crowd()
    crowd.lose(HUBS[11:12])
    crowd.run(60)
    began = crowd.now
    crowd.lose(HUBS[7:11])
    crowd.run(3)
    assert set(crowd.open.theirs) == set(HUBS[7:11])
    assert crowd.open.began == began


def test_a_cut_of_days_is_told_when_it_ends() -> None:
    crowd = Crowd()
    crowd.lose(HUBS[7:12])
    crowd.run(4)
    crowd.signs = {}  # presence forgets after an hour
    crowd.now += 3 * 24 * 60 * MINUTE
    crowd.detector.look(crowd.here, [], crowd.now)
    crowd.here = HUBS[:12]
    (said,) = [one for one in crowd.run(1) if isinstance(one, Closed)]
    assert said.split.theirs == tuple(sorted(HUBS[7:12], key=lambda hub: -HUBS.index(hub)))


def test_strangers_who_come_and_go_leave_nothing_behind() -> None:
    crowd = Crowd()
    for number in range(1, 500):
        stranger = AuthorId(number.to_bytes(32, "big"))
        crowd.detector.link_up(stranger, crowd.now, chosen=False)
        crowd.detector.link_down(stranger, Ended.BROKEN, crowd.now)
    crowd.run(1)
    assert not crowd.detector._parted
