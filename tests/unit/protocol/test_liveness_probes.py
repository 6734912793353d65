"""Who is suspected, who is asked, and who is believed (section 9, R30, R70 to R79)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from protocol import limits
from protocol.clock import MS, SECOND, Duration, Instant
from protocol.effects import Disconnect, Drop, Effect, SetTimer
from protocol.errors import CloseCode, Reason
from protocol.ids import AuthorId, LinkId
from protocol.membership.liveness import TIMER, Liveness, LivenessConfig
from protocol.membership.pulses import State, slot
from protocol.rng import Rng
from protocol.wire.messages import Beat, Message, Ping
from protocol.wire.probing import Nack, PingReq, ProbeAck, ProbeMessage, Refute, Suspect

START: Instant = 1_000 * SECOND
ME, ANN, BEN, CAT, DAN, EVE = (AuthorId(bytes([letter]) * 32) for letter in b"mabcde")
LINKS = {author: LinkId(number) for number, author in enumerate((ANN, BEN, CAT, DAN, EVE), start=1)}
Told = tuple[AuthorId, Message]


class Watch:
    """A hub linked with some of the others; ``quiet`` are those that say nothing by themselves."""

    def __init__(self, *peers: AuthorId, knows: dict[AuthorId, Sequence[AuthorId]] | None = None) -> None:
        self.machine = Liveness(LivenessConfig(), ME, Rng(1))
        self.now = START
        self.due: Instant | None = None
        self.quiet: dict[AuthorId, None] = {}
        self.told: list[tuple[Instant, AuthorId, Message]] = []
        self.closed: dict[AuthorId, Instant] = {}
        self.peers = {LINKS[peer]: peer for peer in peers}
        for link, peer in self.peers.items():
            self._do(self.machine.link_up(link, peer, self.now))
            self.machine.opened(link)
            self.machine.neighbors(link, [ME, *(knows or {}).get(peer, ())])

    def _do(self, effects: Iterable[Effect], told: Iterable[tuple[LinkId, Message]] = ()) -> list[Told]:
        for effect in effects:
            if isinstance(effect, SetTimer):
                assert effect.key == TIMER
                assert effect.at > self.now
                self.due = effect.at
            elif isinstance(effect, Disconnect):
                assert (effect.code, effect.reason) == (CloseCode.TIMEOUT, Reason.LINK_SILENT)
                peer = self.peers.pop(effect.link)
                self.closed[peer] = self.now
                self.machine.link_down(effect.link, effect.code, self.now)
            else:
                assert isinstance(effect, Drop)
        spoken: list[Told] = []
        for link, message in told:
            if link in self.peers:
                self.machine.sent(link, self.now)
                spoken.append((self.peers[link], message))
        self.told += [(self.now, peer, message) for peer, message in spoken]
        return spoken

    def say(self, peer: AuthorId, message: ProbeMessage) -> list[Told]:
        """``peer`` says this; what is said in turn."""
        heard = self._do([], self.machine.heard(LINKS[peer], self.now))
        return heard + self._do(*self.machine.receive(LINKS[peer], message, self.now))

    def hear(self, peer: AuthorId) -> list[Told]:
        """Anything from ``peer``."""
        return self._do([], self.machine.heard(LINKS[peer], self.now))

    def wait(self, duration: Duration, *, late: Duration = 0) -> list[Told]:
        """Time passes; whoever is not quiet is heard each 100 ms. ``late``: timers fire so much later."""
        before = len(self.told)
        end = self.now + duration
        while self.now < end:
            self.now = min(end, self.now + 10 * MS)
            if self.now % (100 * MS) == 0:
                for link, peer in self.peers.items():
                    if peer not in self.quiet:
                        self.machine.heard(link, self.now)
            if self.due is not None and self.now >= self.due + late:
                self._do(*self.machine.tick(self.now))
        return [(peer, message) for _, peer, message in self.told[before:]]

    def silence(self, *peers: AuthorId) -> None:
        """They say nothing from now on; the last word came now."""
        for peer in peers:
            self.machine.heard(LINKS[peer], self.now)
            self.quiet[peer] = None

    def state(self, peer: AuthorId) -> tuple[State, str]:
        opinion = next(one for one in self.machine.opinions() if one.author == peer)
        return opinion.state, opinion.why


def of(told: Iterable[Told], kind: type[Message]) -> list[Told]:
    return [(peer, message) for peer, message in told if type(message) is kind]


CLIQUE: dict[AuthorId, Sequence[AuthorId]] = {peer: [ANN, BEN, CAT, DAN, EVE] for peer in (ANN, BEN, CAT, DAN, EVE)}


# --- heartbeats -----------------------------------------------------------------------------------------------------


def test_a_quiet_neighbor_with_nobody_to_ask_is_closed_after_two_and_a_half_seconds() -> None:
    watch = Watch(ANN)
    watch.silence(ANN)
    watch.wait(2_490 * MS)
    assert not watch.closed
    assert watch.state(ANN) == (State.SUSPECT, "silent")
    watch.wait(20 * MS)
    assert watch.closed == {ANN: START + 2_500 * MS}


def test_an_idle_hub_wakes_once_a_second_however_many_links_it_has() -> None:
    watch = Watch(ANN, BEN, CAT, DAN, EVE, knows=CLIQUE)
    watch.wait(30 * SECOND)
    wakes = {at for at, _, _ in watch.told}
    assert len(wakes) <= 31
    assert all(type(message) in (Beat, Ping) for _, _, message in watch.told)


# --- asking ---------------------------------------------------------------------------------------------------------


def test_a_suspect_is_told_and_three_of_its_neighbors_are_asked() -> None:
    watch = Watch(ANN, BEN, CAT, DAN, EVE, knows=CLIQUE)
    watch.silence(ANN)
    told = watch.wait(2_050 * MS)
    assert (ANN, Suspect(ANN, 0)) in told
    assert [peer for peer, _ in of(told, Suspect)] == [ANN, BEN, CAT, DAN, EVE]
    asked = of(told, PingReq)
    assert len(asked) == 3
    assert ANN not in dict(asked)
    assert all(message.target == ANN and message.hops == 0 for _, message in asked if isinstance(message, PingReq))


def test_only_neighbors_of_the_suspect_are_asked_and_neighbors_of_those_with_one_hop_to_go() -> None:
    watch = Watch(ANN, BEN, CAT, DAN, knows={ANN: [EVE], BEN: [ANN], CAT: [EVE], DAN: []})
    watch.silence(ANN)
    asked = dict(of(watch.wait(2_050 * MS), PingReq))
    hops = {peer: message.hops for peer, message in asked.items() if isinstance(message, PingReq)}
    assert hops == {BEN: 0, CAT: 1}


def test_neighbors_that_are_silent_themselves_are_neither_asked_nor_waited_for() -> None:
    watch = Watch(ANN, BEN, CAT, knows=CLIQUE)
    watch.silence(ANN, BEN, CAT)
    watch.wait(2_500 * MS)
    assert set(watch.closed) == {ANN, BEN, CAT}
    assert all(watch.state(peer) == (State.UNREACHABLE, "cut") for peer in (ANN, BEN))


def test_a_suspect_is_asked_for_again_each_second() -> None:
    watch = Watch(ANN, BEN, knows=CLIQUE)
    watch.silence(ANN)
    watch.wait(2_050 * MS)
    request = next(message for _, _, message in watch.told if isinstance(message, PingReq))
    watch.say(BEN, ProbeAck(request.token))
    tokens = [message.token for _, message in watch.wait(2 * SECOND) if isinstance(message, PingReq)]
    assert len(tokens) == 2
    assert request.token not in tokens


# --- answers --------------------------------------------------------------------------------------------------------


def suspected(*helpers: AuthorId) -> tuple[Watch, dict[AuthorId, PingReq]]:
    """Ann is silent and in doubt; the others have been asked."""
    watch = Watch(ANN, *helpers, knows=CLIQUE)
    watch.silence(ANN)
    told = watch.wait(2_050 * MS)
    return watch, {peer: message for peer, message in told if isinstance(message, PingReq)}


def test_nacks_of_all_who_were_asked_make_the_verdict_early() -> None:
    watch, asked = suspected(BEN, CAT, DAN)
    for peer, request in asked.items():
        watch.say(peer, Nack(request.token, True))
    watch.wait(SECOND)
    assert watch.closed == {ANN: START + 2_500 * MS}
    assert watch.state(ANN) == (State.UNREACHABLE, "silent")


def test_a_nack_of_somebody_who_could_not_look_confirms_nothing() -> None:
    watch, asked = suspected(BEN, CAT, DAN)
    first, second, _ = asked
    watch.say(first, Nack(asked[first].token, True))
    watch.say(second, Nack(asked[second].token, False))
    watch.wait(600 * MS)
    assert not watch.closed  # one of two has confirmed: 5 s - 2.5 s * log 2 / log 3 = 3.4 s of silence


def test_an_ack_ends_doubt_but_not_the_silence_of_the_link() -> None:
    watch, asked = suspected(BEN)
    watch.say(BEN, ProbeAck(asked[BEN].token))
    assert watch.state(ANN) == (State.ALIVE, "")
    while not watch.closed:
        for _, message in watch.wait(100 * MS):
            if isinstance(message, PingReq):
                watch.say(BEN, ProbeAck(message.token))
    assert watch.closed == {ANN: START + 5 * SECOND}
    assert watch.state(ANN) == (State.SUSPECT, "stuck")


def test_hearsay_neither_hurries_a_verdict_below_the_least_silence_nor_delays_it_beyond_the_most() -> None:
    hurried = Watch(ANN, BEN, CAT, DAN, EVE, knows=CLIQUE)
    hurried.silence(ANN)
    for peer in (BEN, CAT, DAN, EVE):
        hurried.say(peer, Suspect(ANN, 0))
    hurried.wait(2_490 * MS)
    assert not hurried.closed
    delayed = Watch(ANN, BEN, knows=CLIQUE)
    delayed.silence(ANN)
    for number in range(1, 600):
        delayed.wait(10 * MS)
        if not delayed.closed:
            delayed.say(BEN, Refute(ANN, number))
    assert delayed.closed == {ANN: START + 5 * SECOND}


def test_an_answer_counts_only_from_whom_it_was_asked() -> None:
    watch, asked = suspected(BEN, CAT)
    watch.say(CAT, ProbeAck(asked[BEN].token))
    watch.say(BEN, ProbeAck(asked[CAT].token))
    assert watch.state(ANN)[0] is State.SUSPECT


def test_any_frame_of_the_suspect_ends_doubt() -> None:
    watch, _ = suspected(BEN)
    watch.hear(ANN)
    assert watch.state(ANN) == (State.ALIVE, "")


# --- looking for others ---------------------------------------------------------------------------------------------


def test_a_request_pings_the_target_and_is_acknowledged_with_its_next_frame() -> None:
    watch = Watch(ANN, BEN)
    assert of(watch.say(BEN, PingReq(7, ANN, 0)), Ping) == [(ANN, Ping(LINKS[ANN]))]
    assert watch.hear(ANN) == [(BEN, ProbeAck(7))]
    assert watch.hear(ANN) == []


def test_a_target_that_stays_silent_is_answered_for_with_a_nack_after_400_ms() -> None:
    watch = Watch(ANN, BEN)
    watch.silence(ANN)
    watch.say(BEN, PingReq(7, ANN, 0))
    assert of(watch.wait(390 * MS), Nack) == []
    assert of(watch.wait(30 * MS), Nack) == [(BEN, Nack(7, True))]
    assert watch.hear(ANN) == []


def test_who_was_late_itself_has_tested_nothing() -> None:
    watch = Watch(ANN, BEN)
    watch.silence(ANN)
    watch.say(BEN, PingReq(7, ANN, 0))
    assert of(watch.wait(2 * SECOND, late=SECOND), Nack) == [(BEN, Nack(7, False))]


def test_a_request_is_passed_on_once_and_the_answer_comes_back() -> None:
    watch = Watch(BEN, CAT, knows={CAT: [ANN]})
    (relay, passed) = watch.say(BEN, PingReq(7, ANN, 1))[0]
    assert isinstance(passed, PingReq)
    assert (relay, passed.target, passed.hops) == (CAT, ANN, 0)
    assert watch.say(CAT, Nack(passed.token, True)) == [(BEN, Nack(7, True))]
    assert watch.say(CAT, ProbeAck(passed.token)) == []
    assert watch.say(BEN, PingReq(8, ANN, 0)) == [(BEN, Nack(8, False))]


def test_nobody_knows_the_target_is_said_at_once() -> None:
    assert Watch(BEN, CAT).say(BEN, PingReq(7, EVE, 1)) == [(BEN, Nack(7, False))]


def test_who_is_asked_for_itself_is_here() -> None:
    watch = Watch(BEN)
    assert watch.say(BEN, PingReq(7, ME, 0)) == [(BEN, ProbeAck(7))]
    assert watch.say(BEN, PingReq(8, BEN, 0)) == [(BEN, ProbeAck(8))]


def test_a_neighbor_that_asks_without_end_is_served_so_often_in_a_second() -> None:
    watch = Watch(ANN, BEN)
    answers = [watch.say(BEN, PingReq(token, EVE, 1)) for token in range(100)]
    assert sum(map(len, answers)) == limits.PROBES_PER_SECOND
    watch.wait(SECOND)
    assert watch.say(BEN, PingReq(100, EVE, 1)) == [(BEN, Nack(100, False))]


# --- suspicion spreads, and is refuted ------------------------------------------------------------------------------


def test_a_suspicion_of_somebody_we_hear_is_passed_to_the_suspect_and_the_refutation_back() -> None:
    watch = Watch(ANN, BEN)
    assert watch.say(BEN, Suspect(ANN, 4)) == [(ANN, Suspect(ANN, 4))]
    assert watch.say(ANN, Refute(ANN, 5)) == [(BEN, Refute(ANN, 5))]
    assert watch.say(ANN, Refute(ANN, 6)) == []  # nobody asked any more
    assert watch.state(ANN) == (State.ALIVE, "")


def test_nobody_is_suspected_because_others_say_so() -> None:
    watch = Watch(ANN, BEN, CAT, DAN, knows=CLIQUE)
    for _ in range(10):
        for peer in (BEN, CAT, DAN):
            watch.say(peer, Suspect(ANN, 0))
        watch.wait(SECOND)
    assert watch.state(ANN) == (State.ALIVE, "")
    assert not of([(p, m) for _, p, m in watch.told], PingReq)


def test_a_suspect_refutes_with_a_higher_number_and_not_without_end() -> None:
    watch = Watch(ANN, BEN)
    assert watch.say(ANN, Suspect(ME, 0)) == [(ANN, Refute(ME, 1))]
    assert watch.say(ANN, Suspect(ME, 0)) == []
    assert watch.say(BEN, Suspect(ME, 0)) == [(BEN, Refute(ME, 1))]  # Ben did not know of the first
    watch.wait(SECOND)
    assert watch.say(ANN, Suspect(ME, 1)) == [(ANN, Refute(ME, 2))]


def test_a_lie_does_not_use_up_the_refutation_numbers() -> None:
    watch = Watch(ANN)
    assert watch.say(ANN, Suspect(ME, 2**32 - 1)) == [(ANN, Refute(ME, 1))]


@pytest.mark.parametrize(("number", "state"), [(0, State.SUSPECT), (1, State.ALIVE), (65, State.SUSPECT)])
def test_a_refutation_by_hearsay_counts_if_it_is_newer_and_near(number: int, state: State) -> None:
    watch, _ = suspected(BEN)
    watch.say(BEN, Refute(ANN, number))
    assert watch.state(ANN)[0] is state


# --- own health -----------------------------------------------------------------------------------------------------


def test_a_late_wake_credits_the_others_and_lowers_our_health() -> None:
    watch = Watch(ANN)
    watch.silence(ANN)
    watch.wait(500 * MS)
    watch.now += 4 * SECOND  # no timer fired, nothing was read
    watch.wait(10 * MS)
    assert not watch.closed
    assert watch.machine.health == 1
    watch.hear(ANN)
    watch.quiet.clear()
    watch.wait(3 * SECOND)
    assert watch.machine.health == 0


def test_who_is_late_again_and_again_waits_longer_before_it_suspects() -> None:
    watch = Watch(ANN)
    for _ in range(3):
        watch.machine.lagged(600 * MS)
    watch.silence(ANN)
    watch.wait(2 * SECOND)
    assert watch.state(ANN) == (State.ALIVE, "")


def test_a_lag_told_twice_is_credited_once() -> None:
    watch = Watch(ANN)
    watch.silence(ANN)
    watch.wait(200 * MS)
    watch.now += 3 * SECOND
    watch.machine.lagged(3 * SECOND)
    watch.wait(10 * MS)
    assert watch.machine.health == 1
    assert watch.machine.silent_us(LINKS[ANN], watch.now) <= 220 * MS


def test_neighbors_that_suspect_us_lower_our_health_but_one_alone_not_far() -> None:
    watch = Watch(ANN, BEN)
    for _ in range(9):
        watch.say(ANN, Suspect(ME, 0))
        watch.wait(SECOND)
        assert watch.machine.health <= 1


def test_if_nobody_at_all_answers_the_fault_may_be_ours() -> None:
    watch = Watch(ANN, BEN, CAT, knows=CLIQUE)
    watch.silence(ANN)
    watch.now += 600 * MS
    watch.silence(BEN, CAT)
    watch.wait(1_950 * MS)
    assert watch.machine.health >= 1


# --- what is remembered ---------------------------------------------------------------------------------------------


def test_who_says_goodbye_has_left_and_who_vanishes_is_unreachable() -> None:
    watch = Watch(ANN, BEN)
    watch.machine.link_down(LINKS[ANN], CloseCode.SHUTDOWN, watch.now)
    watch.machine.link_down(LINKS[BEN], None, watch.now)
    assert watch.state(ANN) == (State.LEFT, "said so")
    assert watch.state(BEN) == (State.UNREACHABLE, "lost")


def come_back(watch: Watch, peer: AuthorId) -> Duration:
    """Link with ``peer`` again, let it fall silent at once; how long it is borne with."""
    watch.quiet.pop(peer, None)
    watch.closed.clear()
    watch.peers[LINKS[peer]] = peer
    watch._do(watch.machine.link_up(LINKS[peer], peer, watch.now))
    watch.machine.opened(LINKS[peer])
    began = watch.now
    watch.silence(peer)
    watch.wait(15 * SECOND)
    return watch.closed[peer] - began


def test_who_comes_back_again_and_again_is_slow_and_gets_more_patience() -> None:
    watch = Watch(ANN, BEN, CAT)
    spans = [come_back(watch, ANN) for _ in range(6)]
    assert [span // (100 * MS) for span in spans] == [25, 25, 50, 50, 100, 100]
    watch.wait(61 * SECOND)
    assert come_back(watch, ANN) // (100 * MS) == 25


def test_what_is_remembered_of_those_who_went_is_bounded() -> None:
    machine = Liveness(LivenessConfig(), ME, Rng(1))
    for number in range(limits.KNOWN_PEERS_MAX + 50):
        machine.link_up(LinkId(number), AuthorId(number.to_bytes(32, "big")), START)
        machine.link_down(LinkId(number), None, START)
    assert len(machine.opinions()) == limits.KNOWN_PEERS_MAX


def test_few_names_wait_for_a_busy_link_whatever_is_asked() -> None:
    asked = {slot(message) for token in range(1_000) for message in (PingReq(token, ANN, 0), Nack(token, True))}
    assert len(asked) == 32
    assert slot(Suspect(ANN, 1)) == slot(Suspect(ANN, 2)) != slot(Refute(ANN, 1))
    assert slot(Beat()) == slot(Ping(1)) == "beat"


# --- whatever is said -----------------------------------------------------------------------------------------------


def babble(rng: Rng) -> ProbeMessage:
    """Any message of section 9, about anybody but us."""
    author = rng.choice([ANN, BEN, CAT, DAN, EVE])
    token, number = rng.below(40), rng.choice([0, 1, 2, 64, 65, 2**32 - 1])
    choices: list[ProbeMessage] = [
        *(PingReq(token, author, rng.below(2)), ProbeAck(token), Nack(token, rng.chance(0.5))),
        *(Suspect(author, number), Refute(author, number)),
    ]
    return rng.choice(choices)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_neighbors_say_a_silent_link_ends_between_the_two_bounds_and_no_other_ends(seed: int) -> None:
    rng = Rng(seed)
    watch = Watch(ANN, BEN, CAT, DAN, knows=CLIQUE)
    watch.silence(ANN)
    for _ in range(120):
        for peer in (BEN, CAT, DAN):
            if rng.chance(0.7):
                watch.say(peer, babble(rng))
        watch.wait(50 * MS)
    assert set(watch.closed) == {ANN}
    assert 2_500 * MS <= watch.closed[ANN] - START <= 5_000 * MS
    assert len(watch.told) < 120 * 3 * 5
