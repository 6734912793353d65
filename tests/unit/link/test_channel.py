"""The sealed channel: what one end seals only the other end opens, once, in order and unchanged."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from protocol.errors import LimitExceeded, LocalProtocolError, Reason, RemoteProtocolError
from protocol.limits import FRAME_BYTES_MAX, PLAINTEXT_BYTES_MAX
from protocol.link.channel import REKEY_FRAMES, Channel
from protocol.link.noise import NONCE_END, CipherState
from tests.unit.link.peers import hub, run, secret
from tests.unit.link.test_noise import engine, oracle

FORWARD, BACKWARD = secret(81), secret(82)


def channels(*, rekey_frames: int = REKEY_FRAMES, nonce: int = 0) -> tuple[Channel, Channel]:
    """Both ends of a link whose two directions stand at ``nonce``."""
    return (
        Channel(CipherState(FORWARD, nonce), CipherState(BACKWARD, nonce), rekey_frames=rekey_frames),
        Channel(CipherState(BACKWARD, nonce), CipherState(FORWARD, nonce), rekey_frames=rekey_frames),
    )


@pytest.mark.parametrize("size", [0, 1, 300, PLAINTEXT_BYTES_MAX])
def test_what_is_sealed_opens_at_the_other_end(size: int) -> None:
    left, right = channels()
    plaintext = bytes(index % 251 for index in range(size))
    body = left.seal(plaintext)
    assert len(body) == size + 16
    assert right.open(body) == plaintext


def test_the_two_directions_are_independent() -> None:
    left, right = channels()
    bodies = [left.seal(b"%d" % number) for number in range(5)]
    assert left.open(right.seal(b"against the stream")) == b"against the stream"
    assert [right.open(body) for body in bodies] == [b"0", b"1", b"2", b"3", b"4"]


def test_equal_plaintexts_look_different_each_time_and_each_way() -> None:
    left, right = channels()
    assert len({left.seal(b"calm"), left.seal(b"calm"), right.seal(b"calm"), right.seal(b"calm")}) == 4


def test_a_plaintext_too_long_is_our_mistake_and_changes_nothing() -> None:
    left, right = channels()
    with pytest.raises(LocalProtocolError, match=str(PLAINTEXT_BYTES_MAX)):
        left.seal(bytes(PLAINTEXT_BYTES_MAX + 1))
    assert right.open(left.seal(b"as if nothing had been")) == b"as if nothing had been"


Tamper = Callable[[list[bytes]], bytes]

TAMPERED: dict[str, Tamper] = {
    "a bit flipped at the front": lambda sent: bytes([sent[0][0] ^ 1]) + sent[0][1:],
    "a bit flipped in the tag": lambda sent: sent[0][:-1] + bytes([sent[0][-1] ^ 0x80]),
    "cut by a byte": lambda sent: sent[0][:-1],
    "cut to less than a tag": lambda sent: sent[0][:15],
    "cut to nothing": lambda sent: b"",
    "a tag alone": lambda sent: sent[0][-16:],
    "a byte too many": lambda sent: sent[0] + b"\x00",
    "two in one": lambda sent: sent[0] + sent[1],
    "the next one first": lambda sent: sent[1],
    "longer than a frame": lambda sent: bytes(FRAME_BYTES_MAX + 1),
    "all zero": lambda sent: bytes(len(sent[0])),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_a_frame_is_refused_and_ends_the_direction(case: str) -> None:
    left, right = channels()
    sent = [left.seal(b"first"), left.seal(b"second")]
    for body in (TAMPERED[case](sent), sent[0], sent[1], b""):
        with pytest.raises(RemoteProtocolError) as refused:
            right.open(body)
        assert refused.value.reason is Reason.CHANNEL_TAMPERED


def test_a_body_longer_than_a_frame_is_refused_even_if_its_tag_fits() -> None:
    _left, right = channels()
    body = CipherState(FORWARD).encrypt(bytes(PLAINTEXT_BYTES_MAX + 1))
    assert len(body) == FRAME_BYTES_MAX + 1
    with pytest.raises(RemoteProtocolError) as refused:
        right.open(body)
    assert refused.value.reason is Reason.CHANNEL_TAMPERED


def test_a_frame_opens_once() -> None:
    left, right = channels()
    body = left.seal(b"once")
    assert right.open(body) == b"once"
    with pytest.raises(RemoteProtocolError) as refused:
        right.open(body)
    assert refused.value.reason is Reason.CHANNEL_TAMPERED


def test_a_frame_does_not_open_at_its_sender() -> None:
    left, _right = channels()
    with pytest.raises(RemoteProtocolError):
        left.open(left.seal(b"reflected"))


def test_a_frame_of_another_link_does_not_open() -> None:
    first = run(hub(initiator=True).handshake, hub(initiator=False).handshake)
    left, right = channels()
    for body, end in (
        (left.seal(b"x"), first.at_responder.channel),
        (first.at_initiator.channel.seal(b"x"), right),
    ):
        with pytest.raises(RemoteProtocolError):
            end.open(body)


def test_after_a_refusal_one_can_still_say_goodbye() -> None:
    left, right = channels()
    with pytest.raises(RemoteProtocolError):
        right.open(bytes(20))
    assert left.open(right.seal(b"bye")) == b"bye"


@pytest.mark.parametrize("interval", [1, 2, 7])
def test_both_ends_rekey_after_the_same_frame(interval: int) -> None:
    left, right = channels(rekey_frames=interval)
    for number in range(4 * interval + 1):
        assert right.open(left.seal(b"%d" % number)) == b"%d" % number
    assert left.open(right.seal(b"the other direction has its own count")).startswith(b"the other")


@pytest.mark.parametrize("before", [2, 3, 4])
def test_the_key_changes_exactly_after_every_third_frame(before: int) -> None:
    rekeying, _ = channels(rekey_frames=3)
    constant, _ = channels()
    bodies = [(rekeying.seal(b"x"), constant.seal(b"x")) for _ in range(before)]
    equal = [one == other for one, other in bodies]
    assert equal == [number < 3 for number in range(before)]


def test_ends_that_disagree_about_rekeying_part_at_the_boundary() -> None:
    left, _ = channels(rekey_frames=4)
    _, right = channels()
    for number in range(4):
        assert right.open(left.seal(b"%d" % number)) == b"%d" % number
    with pytest.raises(RemoteProtocolError) as refused:
        right.open(left.seal(b"4"))
    assert refused.value.reason is Reason.CHANNEL_TAMPERED


def test_by_default_the_key_changes_after_65536_frames() -> None:
    assert REKEY_FRAMES == 65_536
    left, right = channels(nonce=REKEY_FRAMES - 1)
    sending = CipherState(FORWARD, REKEY_FRAMES - 1)
    last = left.seal(b"the last under the first key")
    assert last == sending.encrypt(b"the last under the first key")
    sending.rekey()
    first = left.seal(b"the first under the second")
    assert first == sending.encrypt(b"the first under the second")
    assert [right.open(last), right.open(first)] == [
        b"the last under the first key",
        b"the first under the second",
    ]


def test_rekeying_agrees_with_the_library_across_the_boundary() -> None:
    ours, theirs = engine(initiator=True), oracle(initiator=False)
    theirs.read(ours.write(lambda _: b""))
    ours.read(theirs.write(b""))
    theirs.read(ours.write(lambda _: b""))
    channel = Channel(*ours.split(), rekey_frames=5)
    for number in range(1, 13):
        assert theirs.open(channel.seal(b"%d" % number)) == b"%d" % number
        assert channel.open(theirs.seal(b"%d" % number)) == b"%d" % number
        if number % 5 == 0:
            theirs.rekey_receiving()
            theirs.rekey_sending()


def test_the_last_nonce_is_not_used_for_a_frame() -> None:
    left, right = channels(nonce=NONCE_END - 1)
    assert right.open(left.seal(b"the last")) == b"the last"
    for _ in range(2):
        with pytest.raises(LimitExceeded) as refused:
            left.seal(b"one more")
        assert refused.value.reason is Reason.CHANNEL_EXHAUSTED
        with pytest.raises(LimitExceeded) as refused:
            right.open(bytes(32))
        assert refused.value.reason is Reason.CHANNEL_EXHAUSTED


@pytest.mark.parametrize(
    ("sending", "receiving", "interval"),
    [(None, BACKWARD, 1), (FORWARD, None, 1), (FORWARD, BACKWARD, 0), (FORWARD, BACKWARD, -1)],
)
def test_a_channel_without_keys_or_interval_is_our_mistake(
    sending: bytes | None, receiving: bytes | None, interval: int
) -> None:
    with pytest.raises(LocalProtocolError):
        Channel(CipherState(sending), CipherState(receiving), rekey_frames=interval)
