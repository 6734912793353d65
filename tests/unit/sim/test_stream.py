"""The arithmetic of streams: sizes, retransmission, loss."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protocol.clock import SECOND
from protocol.ids import AuthorId
from protocol.rng import Rng
from protocol.wire.messages import Beat, Clock, Digest, DigestEntry, Message, Neighbors, Ping, Vector, encode_frame
from sim.paths import Quality
from sim.stream import RTO_MAX_US, RTO_MIN_US, bytes_on_line, frame_bytes, loss_delay, next_retransmission, rto_us

MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.just(Beat()),
    st.builds(Clock, st.integers(0, 2**53 - 1)),
    st.builds(Ping, st.integers(0, 2**32 - 1)),
    st.builds(Vector, st.binary(min_size=1, max_size=600), st.just(bytes(64)), st.integers(0, 120_000)),
    st.builds(lambda n: Digest(tuple(DigestEntry(bytes(8), 0, 1, 1 + i) for i in range(n))), st.integers(1, 40)),
    st.just(Neighbors((AuthorId(bytes(32)),))),
)


@given(st.lists(MESSAGES, min_size=1, max_size=40))
def test_the_object_lane_knows_the_length_of_every_frame(messages: list[Message]) -> None:
    assert frame_bytes(messages) == len(encode_frame(messages))


def test_retransmissions_double_from_the_first_time_out() -> None:
    rto = RTO_MIN_US
    fired = [next_retransmission(0, now, rto) for now in (0, 200_000, 200_001, 600_001, 1_400_001)]
    assert fired == [200_000, 200_000, 600_000, 1_400_000, 3_000_000]


def test_after_a_long_outage_the_wait_is_about_as_long_again_but_at_most_two_minutes() -> None:
    for outage in (SECOND, 10 * SECOND, 60 * SECOND):
        assert next_retransmission(0, outage, RTO_MIN_US) <= 2 * outage + RTO_MIN_US
    assert next_retransmission(0, 3_600 * SECOND, RTO_MIN_US) <= 3_600 * SECOND + RTO_MAX_US


def test_a_long_path_has_a_longer_time_out() -> None:
    near, far = Quality(latency_us=1_000, jitter_us=0), Quality(latency_us=300_000, jitter_us=50_000)
    assert rto_us(near, near) == RTO_MIN_US
    assert rto_us(far, far) == 1_400_000


def test_loss_costs_nothing_or_whole_time_outs() -> None:
    rng = Rng(5)
    delays = [loss_delay(rng, 0.3, 100, 200_000) for _ in range(2_000)]
    assert set(delays) >= {0, 200_000, 600_000, 1_400_000}
    share = sum(delay > 0 for delay in delays) / len(delays)
    assert 0.26 < share < 0.34
    assert loss_delay(rng, 0.0, 100, 200_000) == 0


def test_a_frame_of_many_segments_is_lost_more_often() -> None:
    rng = Rng(6)
    small = sum(loss_delay(rng, 0.05, 1_000, 200_000) > 0 for _ in range(2_000))
    large = sum(loss_delay(rng, 0.05, 14_000, 200_000) > 0 for _ in range(2_000))
    assert large > 5 * small


def test_headers_are_counted_for_each_segment() -> None:
    assert bytes_on_line(1_448) == 1_448 + 66
    assert bytes_on_line(1_449) == 1_449 + 132
