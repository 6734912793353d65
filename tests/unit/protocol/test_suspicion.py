"""How long doubt lasts, and how far a hub doubts itself (Lifeguard, section IV)."""

from __future__ import annotations

import math

import pytest

from protocol.clock import MS, SECOND
from protocol.ids import LinkId
from protocol.membership.suspicion import LocalHealth, Suspicion, timeout_us

LEAST, MOST = 2_500 * MS, 5 * SECOND
ANN, BEN, CAT, DAN = (LinkId(number) for number in (1, 2, 3, 4))


def doubted(stretch: int = 1) -> Suspicion:
    """A suspicion that nobody has been asked about."""
    return Suspicion(since=0, number=0, stretch=stretch)


def patience(suspicion: Suspicion) -> int:
    return suspicion.patience_us(LEAST, MOST, 3)


def test_nobody_to_ask_means_the_least_patience() -> None:
    assert patience(doubted()) == LEAST


def test_whoever_was_asked_is_waited_for_with_the_most_patience() -> None:
    suspicion = doubted()
    suspicion.ask(ANN)
    assert patience(suspicion) == MOST


@pytest.mark.parametrize("confirmed", [0, 1, 2, 3])
def test_patience_follows_the_logarithm_of_the_paper(confirmed: int) -> None:
    expected = MOST - (MOST - LEAST) * math.log(confirmed + 1) / math.log(4)
    assert abs(timeout_us(LEAST, MOST, confirmed, 3) - expected) <= 1


def test_each_confirmation_shortens_patience_and_three_are_enough() -> None:
    suspicion = doubted()
    for link in (ANN, BEN, CAT, DAN):
        suspicion.ask(link)
    spans = [patience(suspicion)]
    for link in (ANN, BEN, CAT, DAN):
        suspicion.confirm(link)
        spans.append(patience(suspicion))
    assert spans[0] == MOST > spans[1] > spans[2] > spans[3] == LEAST == spans[4]


def test_one_neighbor_is_one_voice_however_often_it_confirms() -> None:
    suspicion = doubted()
    for link in (ANN, BEN, CAT):
        suspicion.ask(link)
    suspicion.confirm(ANN)
    once = patience(suspicion)
    suspicion.confirm(ANN)
    suspicion.ask(ANN)
    assert patience(suspicion) == once
    assert list(suspicion.asked) == [BEN, CAT]


def test_those_who_cannot_tell_are_not_waited_for() -> None:
    suspicion = doubted()
    suspicion.ask(ANN)
    suspicion.ask(BEN)
    suspicion.withdraw(ANN)
    assert patience(suspicion) == MOST
    suspicion.withdraw(BEN)
    assert patience(suspicion) == LEAST


def test_a_confirmation_never_lengthens_patience_whatever_was_withdrawn_before() -> None:
    for asked in range(4):
        for confirmed in range(4):
            suspicion = doubted()
            for number in range(confirmed):
                suspicion.confirm(LinkId(100 + number))
            for number in range(asked):
                suspicion.ask(LinkId(number))
            before = patience(suspicion)
            suspicion.confirm(LinkId(0) if asked else LinkId(99))
            assert LEAST <= patience(suspicion) <= before <= MOST


def test_own_ill_health_stretches_patience() -> None:
    assert patience(doubted(stretch=9)) == 9 * LEAST


def test_local_health_stays_between_0_and_8() -> None:
    health = LocalHealth()
    health.better()
    assert health.stretch == 1
    for _ in range(20):
        health.worse()
    assert (health.score, health.stretch) == (8, 9)
    for _ in range(3):
        health.better()
    assert health.score == 5
