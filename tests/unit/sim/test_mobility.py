"""People who move: the trace, the best possible, and messages that are carried."""

from __future__ import annotations

import io

import pytest

from protocol.clock import MINUTE, SECOND
from sim import mobility
from sim.field import Field
from sim.members import FieldConfig
from sim.mobility import Carriers, Contact, earliest, squeeze
from sim.scenarios import SCENARIOS
from sim.scenarios import office as module
from sim.scenarios.office import Office

S = SECOND
RELAY = [
    Contact(0, 20 * S, 0, 1),
    Contact(60 * S, 100 * S, 1, 2),
    Contact(80 * S, 90 * S, 2, 3),
    Contact(0, 9 * S, 3, 4),
]


def test_the_office_has_two_days_of_people_who_meet_others() -> None:
    contacts = mobility.office()
    assert len(contacts) == 9_004
    assert contacts == sorted(contacts)
    assert len({person for contact in contacts for person in (contact.one, contact.other)}) == 189
    assert all(contact.end - contact.start >= 20 * S and contact.one < contact.other for contact in contacts)
    hours = {contact.start // (3_600 * S) for contact in contacts}
    assert min(hours) == 8
    assert max(hours) < 24 + 20


def test_the_earliest_arrival_waits_for_meetings_and_never_goes_back_in_time() -> None:
    assert earliest(RELAY, 5, 0, 5 * S) == [5 * S, 5 * S, 60 * S, 80 * S, None]
    assert earliest(RELAY, 5, 3, 0) == [None, 80 * S, 80 * S, 0, 0]
    assert earliest(RELAY, 5, 0, 20 * S) == [20 * S, None, None, None, None]


def test_a_chain_of_people_who_stand_together_costs_no_time_at_best() -> None:
    together = [Contact(0, 20 * S, one, one + 1) for one in range(4)]
    assert earliest(together, 5, 4, 3 * S) == [3 * S] * 5


def test_stretches_without_meetings_are_cut_down_and_nothing_else() -> None:
    trace = [Contact(100 * S, 120 * S, 0, 1), Contact(110 * S, 200 * S, 1, 2), Contact(900 * S, 920 * S, 0, 2)]
    assert squeeze(trace, 50 * S) == [
        Contact(0, 20 * S, 0, 1),
        Contact(10 * S, 100 * S, 1, 2),
        Contact(150 * S, 170 * S, 0, 2),
    ]
    assert squeeze(trace[:2], 50 * S) == [Contact(0, 20 * S, 0, 1), Contact(10 * S, 100 * S, 1, 2)]


@pytest.fixture
def walked() -> Carriers:
    """A message of person 0 at 5 s, carried along the relay by those who meet."""
    field = Field(2, FieldConfig(members=5, discovery_us=2 * S))
    carriers = Carriers(field)
    field.listeners.append(carriers)
    mobility.play(field, RELAY)
    field.kernel.at(5 * S, carriers.speaks, 0)
    field.run(3 * MINUTE)
    return carriers


def test_a_message_is_carried_by_those_who_meet_and_never_beats_the_best(walked: Carriers) -> None:
    [message] = walked.messages
    best = earliest(RELAY, 5, 0, message.at)
    assert sorted(message.heard) == [0, 1, 2, 3]
    for person, heard in message.heard.items():
        soonest = best[person]
        assert soonest is not None
        assert soonest <= heard <= soonest + 5 * S


def test_nobody_hears_of_what_is_said_out_of_reach() -> None:
    field = Field(2, FieldConfig(members=3, discovery_us=S))
    carriers = Carriers(field)
    field.listeners.append(carriers)
    mobility.play(field, [Contact(0, 10 * S, 0, 1)])
    field.kernel.at(15 * S, carriers.speaks, 0)
    field.run(2 * MINUTE)
    assert sorted(carriers.messages[0].heard) == [0]


def test_the_scenario_is_judged_against_the_best_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = [
        Contact(start * S, (start + 40) * S, one, (one + 1 + start // 60 % 3) % 6)
        for start in range(0, 1_200, 60)
        for one in (0, 2, 4)
        if one != (one + 1 + start // 60 % 3) % 6
    ]
    monkeypatch.setattr(mobility, "office", lambda: [Contact(c.start, c.end, *sorted((c.one, c.other))) for c in trace])
    office = Office(name="small", about="for tests", messages=10)
    out = io.StringIO()
    played = office.play(3, out)
    reached, delay = played.bars
    assert reached.ours is not None
    assert reached.ours > 0.9
    assert delay.ours is not None
    assert delay.reference is not None
    assert delay.reference < delay.ours <= delay.bar == pytest.approx(1.1 * delay.reference + 5)
    assert played.figures["messages"] == 10
    assert out.getvalue().count("\n") >= 10
    assert office.play(3).digest == played.digest
    assert office.play(4).digest != played.digest


def test_without_discovery_nobody_is_reached_and_the_bars_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mobility, "office", lambda: RELAY)
    monkeypatch.setattr(module, "FieldConfig", lambda members, **_: FieldConfig(members=members))
    played = Office(name="small", about="for tests", messages=3).play(1)
    assert [bar.met for bar in played.bars] == [False, False]


def test_the_office_is_among_the_scenarios() -> None:
    assert isinstance(SCENARIOS["office"], Office)
