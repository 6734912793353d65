"""Peers that a person wrote down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.discovery.candidate import Candidate, ordered
from meshnode.discovery.static import StaticPeer, parse_peer
from protocol.errors import ConfigError
from protocol.ids import AuthorId

AUTHOR = "ab" * 32


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("10.0.0.7:7000", "10.0.0.7", 7000),
        (" 10.0.0.7:1 ", "10.0.0.7", 1),
        ("hub-3.example.org:65535", "hub-3.example.org", 65535),
        ("localhost:7000", "localhost", 7000),
        ("[fd00::7]:7000", "fd00::7", 7000),
        ("[FD00:0:0::7]:7000", "fd00::7", 7000),
        ("[fe80::1%eth0]:7000", "fe80::1%eth0", 7000),
    ],
)
def test_a_peer_without_an_author_is_anybody_at_that_address(text: str, host: str, port: int) -> None:
    peer = parse_peer(text)
    assert peer.author is None
    assert peer.candidate.addresses == ((host, port),)


def test_a_peer_with_an_author_expects_that_author() -> None:
    assert parse_peer(f"10.0.0.7:7000/{AUTHOR.upper()}") == StaticPeer(
        Candidate("static 10.0.0.7:7000", (("10.0.0.7", 7000),)), AuthorId(bytes.fromhex(AUTHOR))
    )


def test_two_spellings_of_one_address_are_one_candidate() -> None:
    assert parse_peer("[fd00:0::7]:7000") == parse_peer("[FD00::0007]:7000")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected HOST:PORT"),
        ("10.0.0.7", "expected HOST:PORT"),
        ("fd00::7:7000", "in brackets"),
        (":7000", "host is missing"),
        ("10.0.0.256:7000", "not a valid IPv4"),
        ("10.0.0:7000", "not a valid IPv4"),
        ("-hub:7000", "neither"),
        ("hub..org:7000", "neither"),
        (f"{'a' * 254}:7000", "neither"),
        ("10.0.0.7:", "port must be"),
        ("10.0.0.7:0", "port must be"),
        ("10.0.0.7:65536", "port must be"),
        ("10.0.0.7:+1", "port must be"),
        ("10.0.0.7:٣", "port must be"),
        ("10.0.0.7:" + "9" * 5_000, "port must be"),
        ("[fd00::g]:7000", "must be an IPv6"),
        ("[10.0.0.7]:7000", "must be an IPv6"),
        ("[]:7000", "must be an IPv6"),
        ("[fe80::1]:7000", "needs its interface"),
        ("[fe80::1%]:7000", "scope"),
        ("[fe80::1%a/b]:7000", "scope"),
        ("10.0.0.7:7000/", "64 hex digits"),
        ("10.0.0.7:7000/abc", "64 hex digits"),
        ("10.0.0.7:7000/" + "z" * 64, "64 hex digits"),
        ("10.0.0.7:7000/" + " " * 64, "64 hex digits"),
    ],
)
def test_another_form_is_refused_with_the_part_that_is_wrong(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        parse_peer(text)
    message = str(caught.value)
    assert message.startswith("peer ")
    assert "\n" not in message
    assert len(message) < 300


@given(st.text() | st.from_regex(r"\[?[0-9a-f.:%]{0,20}\]?:[0-9]{0,6}(/[0-9a-f]{0,64})?", fullmatch=True))
def test_any_text_is_a_peer_or_a_config_error(text: str) -> None:
    try:
        peer = parse_peer(text)
    except ConfigError:
        return
    ((host, port),) = peer.candidate.addresses
    assert host
    assert 1 <= port <= 65_535


def test_candidate_addresses_put_ipv4_first_and_link_local_last_and_keep_four() -> None:
    addresses = [("fe80::1%2", 1), ("fd00::1", 1), ("10.0.0.2", 1), ("10.0.0.1", 1), ("10.0.0.2", 1), ("fd00::2", 1)]
    assert ordered(addresses) == (("10.0.0.2", 1), ("10.0.0.1", 1), ("fd00::1", 1), ("fd00::2", 1))
