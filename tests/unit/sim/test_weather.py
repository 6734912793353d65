"""How long a message takes: bounds, symmetry, and how often something is lost."""

from __future__ import annotations

from protocol.clock import MS
from protocol.rng import Rng
from sim.stream import RTO_MIN_US
from sim.weather import TABLE, Weather, WeatherConfig


def test_a_pair_has_one_latency_in_both_directions_and_pairs_differ() -> None:
    weather = Weather(WeatherConfig(), Rng(1))
    found = [weather.latency_us(one, other) for one in range(30) for other in range(one)]
    assert found == [weather.latency_us(other, one) for one in range(30) for other in range(one)]
    assert all(10 * MS <= latency <= 50 * MS for latency in found)
    assert 28 * MS < sum(found) / len(found) < 32 * MS
    assert len(set(found)) > len(found) // 2


def test_another_seed_has_other_latencies() -> None:
    one, other = Weather(WeatherConfig(), Rng(1)), Weather(WeatherConfig(), Rng(2))
    assert [one.latency_us(0, n) for n in range(1, 9)] != [other.latency_us(0, n) for n in range(1, 9)]


def test_without_loss_only_jitter_is_added() -> None:
    weather = Weather(WeatherConfig(jitter_us=2 * MS), Rng(1))
    found = [weather.extra_us() for _ in range(TABLE)]
    assert min(found) >= 0
    assert 900 < sum(found) / TABLE < 1_100
    assert max(found) <= 2 * MS


def test_a_lost_message_waits_for_its_retransmission_as_often_as_the_loss_says() -> None:
    weather = Weather(WeatherConfig(jitter_us=0, loss=0.05), Rng(1))
    found = [weather.extra_us() for _ in range(TABLE)]
    late = [extra for extra in found if extra]
    assert min(late) >= RTO_MIN_US
    assert 0.045 < len(late) / TABLE < 0.055
    assert 0.0015 < sum(1 for extra in late if extra > 2 * RTO_MIN_US) / TABLE < 0.004
