"""The field of machines: streams, dials, deaths, cuts, and that it is the same each time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from protocol.clock import MS, SECOND, Instant
from protocol.ids import AuthorId
from protocol.membership.overlay_values import Dial, OverlayEffect, Priority
from sim import graph
from sim.field import Field
from sim.members import FieldConfig, Half, Member
from sim.spread import SpreadConfig
from sim.weather import WeatherConfig
from tests.sim.field_run import play

ROOT = Path(__file__).resolve().parents[3]
STEADY = WeatherConfig(latency_us_min=20 * MS, latency_us_max=20 * MS, jitter_us=0)


class Scripted:
    """An overlay that wants nothing and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def link_up(self, peer: AuthorId, initiator: bool, now: Instant) -> Sequence[OverlayEffect]:
        self.told.append(("up", peer, initiator, now))
        return []

    def link_down(self, peer: AuthorId, clean: bool, now: Instant) -> Sequence[OverlayEffect]:
        self.told.append(("down", peer, clean, now))
        return []

    def dial_failed(self, peer: AuthorId, now: Instant) -> Sequence[OverlayEffect]:
        self.told.append(("failed", peer, now))
        return []

    def measured(self, peer: AuthorId, rtt_us: int, now: Instant) -> Sequence[OverlayEffect]:
        self.told.append(("measured", peer, rtt_us))
        return []

    def receive(self, peer: AuthorId, message: object, now: Instant) -> Sequence[OverlayEffect]:
        self.told.append(("received", peer, message, now))
        return []

    def met(self, peer: AuthorId, now: Instant) -> Sequence[OverlayEffect]:
        self.told.append(("met", peer))
        return []

    def without_measures(self) -> list[tuple[object, ...]]:
        """What else it was told."""
        return [told for told in self.told if told[0] != "measured"]


class Rig:
    """A field of a few whose overlays are scripted, so that the field alone is looked at."""

    def __init__(self, members: int = 2, weather: WeatherConfig = STEADY, **more: Any) -> None:
        self.field = Field(1, FieldConfig(members=members, weather=weather, **more))
        self.ears: list[Scripted] = []
        for member in self.field.members:
            self.ears.append(Scripted())
            member.overlay = self.ears[-1]  # type: ignore[assignment] # what a field needs of an overlay, and no more

    def author(self, number: int) -> AuthorId:
        return self.field.members[number].author

    def do(self, number: int, effect: OverlayEffect) -> None:
        self.field.apply(self.field.members[number], [effect])

    def dial(self, number: int, other: int, priority: Priority = Priority.NORMAL) -> None:
        self.do(number, Dial(self.author(other), priority))

    def say(self, number: int, other: int, what: object) -> None:
        half = self.field.members[number].links[self.author(other)]
        self.field.send(half, _hear, (self.ears[other], what))


def _hear(half: Half, heard: tuple[Scripted, object]) -> None:
    ears, what = heard
    if half.other.open:
        ears.told.append(("heard", what))


def test_a_dial_is_up_after_two_round_trips_and_half_a_trip_later_at_the_other_side() -> None:
    rig = Rig()
    rig.dial(0, 1)
    rig.field.run(SECOND // 2)
    assert rig.ears[0].told == [("up", rig.author(1), True, 80 * MS)]
    assert rig.ears[1].told == [("up", rig.author(0), False, 100 * MS)]
    rig.field.run(SECOND)
    assert rig.ears[0].told[-1] == ("measured", rig.author(1), 40 * MS)


def test_dials_that_cross_become_one_link_and_both_are_answered() -> None:
    rig = Rig()
    rig.dial(0, 1)
    rig.field.run(30 * MS)
    rig.dial(1, 0)
    rig.field.run(2 * SECOND)
    assert [told[0] for told in rig.ears[0].without_measures()] == ["up"]
    assert [told[0] for told in rig.ears[1].without_measures()] == ["up"]
    assert rig.field.counters.links == 1
    assert all(not member.dials for member in rig.field.members)


@pytest.mark.parametrize(
    ("silent", "priority", "after_us"),
    [(False, Priority.NORMAL, 40 * MS), (True, Priority.NORMAL, SECOND), (True, Priority.URGENT, SECOND // 2)],
)
def test_a_dial_to_the_dead_fails_at_once_if_the_machine_is_there_and_else_after_its_time_out(
    silent: bool, priority: Priority, after_us: int
) -> None:
    rig = Rig()
    rig.field.die([1], silent=silent)
    rig.dial(0, 1, priority)
    rig.field.run(2 * SECOND)
    assert rig.ears[0].told == [("failed", rig.author(1), after_us)]


def test_a_dial_into_a_cut_fails_after_its_time_out_even_if_the_cut_came_later() -> None:
    rig = Rig()
    rig.dial(0, 1)
    rig.field.run(10 * MS)
    rig.field.cut([0, 1])
    rig.field.run(2 * SECOND)
    assert rig.ears[0].told == [("failed", rig.author(1), SECOND)]


def linked(**more: Any) -> Rig:
    rig = Rig(**more)
    rig.dial(0, 1)
    rig.field.run(2 * SECOND)
    for ears in rig.ears:
        ears.told.clear()
    return rig


def test_a_stream_keeps_its_order_under_jitter_and_loss() -> None:
    rig = linked(weather=WeatherConfig(jitter_us=40 * MS, loss=0.3))
    for number in range(200):
        rig.say(0, 1, number)
        rig.field.run(MS)
    rig.field.run(60 * SECOND)
    assert [told[1] for told in rig.ears[1].told if told[0] == "heard"] == list(range(200))


def test_loss_is_delay_and_never_loses() -> None:
    calm, stormy = linked(weather=STEADY), linked(weather=WeatherConfig(loss=0.5, jitter_us=0))
    for rig in (calm, stormy):
        rig.say(0, 1, "word")
        rig.field.run(20 * MS)
    assert ("heard", "word") in calm.ears[1].told
    for _ in range(50):
        stormy.say(0, 1, "word")
    stormy.field.run(300 * SECOND)
    assert stormy.ears[1].told.count(("heard", "word")) == 51


def test_a_death_that_resets_is_known_after_one_trip_and_a_silent_one_after_the_silence() -> None:
    for silent, low, high in ((False, 20 * MS, 20 * MS), (True, 1_500 * MS, 2_520 * MS)):
        rig = linked()
        began = rig.field.now
        rig.field.die([1], silent=silent)
        rig.field.run(5 * SECOND)
        [(what, peer, clean, at)] = rig.ears[0].told
        assert (what, peer, clean) == ("down", rig.author(1), False)
        assert isinstance(at, int)
        assert low <= at - began <= high
        assert rig.ears[1].told == []


def test_what_a_member_said_before_it_died_still_arrives() -> None:
    rig = linked()
    rig.say(1, 0, "last word")
    rig.field.die([1], silent=False)
    rig.field.run(SECOND)
    assert [told[0] for told in rig.ears[0].told] == ["heard", "down"]


def test_a_cut_that_ends_soon_breaks_nothing_and_delivers_late() -> None:
    rig = linked()
    rig.field.cut([0, 1])
    rig.say(0, 1, "one")
    rig.say(0, 1, "two")
    rig.field.run(SECOND)
    assert rig.ears[1].told == []
    rig.field.heal()
    rig.field.run(5 * SECOND)
    assert rig.ears[1].told == [("heard", "one"), ("heard", "two")]


def test_a_cut_that_lasts_ends_the_links_across_on_both_sides_and_no_others() -> None:
    rig = Rig(members=3)
    rig.dial(0, 1)
    rig.dial(0, 2)
    rig.field.run(2 * SECOND)
    rig.field.cut([0, 1, 0])
    rig.say(0, 1, "lost")
    rig.field.run(4 * SECOND)
    rig.field.heal()
    rig.field.run(10 * SECOND)
    assert [told[:3] for told in rig.ears[0].told if told[0] == "down"] == [("down", rig.author(1), False)]
    assert [told[:3] for told in rig.ears[1].told if told[0] == "down"] == [("down", rig.author(0), False)]
    assert not [told for told in rig.ears[2].told if told[0] == "down"]
    assert not [told for told in rig.ears[1].told if told[0] == "heard"]


def test_discovery_tells_after_a_heal_of_others_that_are_there() -> None:
    rig = Rig(members=4, discovery_us=SECOND)
    rig.field.die([3], silent=True)
    rig.field.cut([0, 0, 1, 1])
    rig.field.heal()
    rig.field.run(2 * SECOND)
    met = [told[1] for told in rig.ears[0].told if told[0] == "met"]
    assert set(met) <= {rig.author(1), rig.author(2)}
    assert met


def test_a_field_gathers_into_one_piece_with_few_neighbors() -> None:
    field = Field(3, FieldConfig(members=120))
    field.populate()
    field.run(40 * SECOND)
    found = graph.figures(field.graph(), field.members[0].overlay._rng)
    assert (found.members, found.pieces, found.largest) == (120, 1, 120)
    assert found.degree_max <= field.config.overlay.active_max
    assert found.degree_min >= 3


def test_a_broadcast_is_counted_once_for_everybody_and_a_second_costs_fewer_copies() -> None:
    field = Field(3, FieldConfig(members=60, spread=SpreadConfig()))
    field.populate()
    field.run(20 * SECOND)
    assert field.spread is not None
    sent = []
    for number in (5, 6, 7):
        sent.append(field.spread.broadcast(number, by_member=True))
        field.run(3 * SECOND)
    assert [one.delivered for one in sent] == [60] * 3
    assert all(one.reached is not None and len(one.reached) == 60 for one in sent)
    assert sent[0].redundancy > 1 > sent[2].redundancy
    assert 1 < sent[2].hops_max < 60
    floods = [graph.flood_us(field.graph(), one.sender, field.weather.latency_us) for one in sent]
    assert all(one.took_us >= flood for one, flood in zip(sent, floods, strict=True))
    traffic = field.spread.traffic
    assert traffic.payloads == sum(one.payloads for one in sent)
    assert traffic.kinds()["TreePrune"] > 0
    assert traffic.control_bytes() > 3 * sum(traffic.kinds().values())


def test_trees_can_be_given_to_a_field_that_has_grown() -> None:
    field = Field(3, FieldConfig(members=40))
    field.populate()
    field.run(20 * SECOND)
    sent = field.attach(SpreadConfig()).broadcast(0)
    field.run(3 * SECOND)
    assert sent.delivered == 40


def test_a_copy_of_a_field_goes_on_as_the_field_itself_would_and_apart_from_it() -> None:
    field = Field(5, FieldConfig(members=40, spread=SpreadConfig(), traced=True))
    field.populate()
    copy = field.fork()
    one, other, struck = copy(), copy(), copy()
    struck.die([0, 1, 2], silent=False)
    for each in (one, other, struck, field):
        each.run(5 * SECOND)
    assert one.digest == other.digest == field.digest
    assert struck.digest != field.digest
    assert len(struck.living()) == 37
    assert len(field.living()) == 40


def test_watching_again_forgets_how_many_neighbors_there_were() -> None:
    rig = Rig()
    member: Member = rig.field.members[0]
    member.neighbors_max = 9
    rig.field.watch()
    assert member.neighbors_max == 0


def test_one_seed_is_one_run_under_every_hash_salt_and_another_seed_another() -> None:
    told = []
    for salt in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": salt, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.sim.field_run", "--members", "40"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        told.append(json.loads(done.stdout))
    assert told[0]["salt"] != told[1]["salt"]
    assert told[0]["digest"] == told[1]["digest"]
    assert told[0]["silences"] > 0
    assert play(8, 40).digest.hex() != told[0]["digest"]
