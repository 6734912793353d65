"""Cables with weather: the same seed is the same weather, and what comes through is late and lossy as it was told."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise

import pytest
import trio

from protocol.clock import MS
from protocol.rng import Rng
from tests.lab.netns import venue, why_no_weather
from tests.lab.switch import CALM, Lane, Weather

FOUL = Weather(latency_ms=100, jitter_ms=40, loss=0.2)


def fates(seed: int, name: str, weather: Weather = FOUL, count: int = 4_000) -> list[int | None]:
    """What happens to so many frames that all enter at 0."""
    lane = Lane(weather, Rng(seed).child(name))
    return [lane.arrives(0) for _ in range(count)]


def test_the_same_seed_and_name_are_the_same_weather() -> None:
    assert fates(1, "a out") == fates(1, "a out")
    assert fates(1, "a out") != fates(2, "a out")
    assert fates(1, "a out") != fates(1, "a back")


def test_latency_jitter_and_loss_are_as_told() -> None:
    told = fates(3, "a out")
    arrived = [at for at in told if at is not None]
    assert 60 * MS <= min(arrived) < 62 * MS
    assert 138 * MS < max(arrived) <= 140 * MS
    assert 98 * MS < sum(arrived) / len(arrived) < 102 * MS
    assert 0.77 < len(arrived) / len(told) < 0.83
    assert any(later < earlier for earlier, later in pairwise(arrived))  # one may overtake another


def test_more_loss_does_not_change_the_delay_of_what_arrives() -> None:
    worse = Weather(latency_ms=100, jitter_ms=40, loss=0.6)
    both = [(one, other) for one, other in zip(fates(5, "x"), fates(5, "x", worse), strict=True) if other is not None]
    assert both
    assert all(one == other for one, other in both)


def test_a_calm_cable_loses_and_delays_nothing() -> None:
    assert fates(1, "a out", CALM, 100) == [0] * 100


ECHO = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("10.88.0.2", 7000))
print("ready", flush=True)
while True:
    data, there = sock.recvfrom(64)
    sock.sendto(data, there)
"""
ASK = """
import json, selectors, socket, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.connect(("10.88.0.2", 7000))
sent, trips = {}, []
selector = selectors.DefaultSelector()
selector.register(sock, selectors.EVENT_READ)
def hear(until):
    while (left := until - time.monotonic()) > 0:
        if selector.select(left):
            number = int(sock.recv(64))
            trips.append((time.monotonic() - sent[number]) * 1000)
while not trips:  # until the addresses are resolved: what resolves them is lost as easily as the rest
    sock.send(b"-1"); sent[-1] = time.monotonic(); hear(time.monotonic() + 0.5)
hear(time.monotonic() + 0.5)
trips.clear()
for number in range(200):
    sent[number] = time.monotonic()
    sock.send(str(number).encode())
    hear(sent[number] + 0.002)
hear(time.monotonic() + 0.5)
print(json.dumps(trips))
"""


@pytest.mark.namespaces
@pytest.mark.usefixtures("namespaces", "nothing_left")
async def test_what_crosses_a_foul_venue_is_late_and_a_third_of_the_round_trips_is_lost() -> None:
    reason = why_no_weather()
    if reason is not None:
        pytest.skip(reason)
    async with venue(seed=1) as place:
        await place.bridge("hall")
        for number, room in enumerate("ab", start=1):
            await place.room(room, "hall", f"10.88.0.{number}/24", Weather(latency_ms=50, jitter_ms=20))
        echo = await trio.lowlevel.open_process(
            [*place.inside("b"), sys.executable, "-c", ECHO], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        assert echo.stdout is not None
        try:
            await echo.stdout.receive_some(64)
            await place.lose(0.2)
            with trio.fail_after(20):
                asked = await trio.run_process([*place.inside("a"), sys.executable, "-c", ASK], capture_stdout=True)
        finally:
            with trio.CancelScope(shield=True):
                echo.kill()
                await echo.wait()
                await echo.stdout.aclose()
    trips = json.loads(asked.stdout)
    assert 0.47 < len(trips) / 200 < 0.81  # 0.8 x 0.8 = 0.64, give or take five standard errors
    assert min(trips) >= 60
    assert min(trips) < 140  # the quickest take about 70; a busy machine is late by as much as it likes
