"""On which address of this host a connection hangs, and which addresses it has."""

from __future__ import annotations

import socket

from meshnode.discovery.interfaces import local_hosts
from meshnode.transport.tcp import local_host


def connected(listen: str, dial: str) -> tuple[str | None, str | None]:
    """What both ends of one connection say."""
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    with socket.socket(family) as listener:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((listen, 0))
        listener.listen()
        with socket.create_connection((dial, listener.getsockname()[1])) as caller:
            called, _ = listener.accept()
            with called:
                return local_host(caller), local_host(called)


def test_both_ends_know_their_own_address() -> None:
    assert connected("127.0.0.1", "127.0.0.1") == ("127.0.0.1", "127.0.0.1")


def test_an_ipv4_peer_of_a_listener_for_both_families_hangs_on_an_ipv4_address() -> None:
    assert connected("::", "127.0.0.1") == ("127.0.0.1", "127.0.0.1")


def test_an_ipv6_address_is_told_without_its_scope() -> None:
    assert connected("::1", "::1") == ("::1", "::1")


def test_a_connection_that_is_not_of_the_internet_hangs_on_none() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert local_host(one) is None


def test_this_host_has_its_loopback_address() -> None:
    assert "127.0.0.1" in local_hosts()
