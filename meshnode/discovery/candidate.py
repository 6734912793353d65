"""A candidate: somewhere to dial, and nothing more.

What discovery says is a hint that anybody on the network can forge, so a candidate carries no identity and no
claim; the handshake decides (design decision 10, threat T3).
Invariants: at most ``ADDRESSES_MAX`` addresses, IPv4 before IPv6, no duplicates.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from protocol.inputs import Address
from protocol.limits import ADDRESSES_MAX


@dataclass(frozen=True, slots=True)
class Candidate:
    """Addresses under which one hub may answer; ``name`` only tells candidates apart.

    Hosts are IP literals (IPv6 link-local ones carry ``%scope``); a static peer's may be a host name.
    """

    name: str
    addresses: tuple[Address, ...]


def ordered(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """The first few distinct addresses: IPv4, then routable IPv6, then link-local IPv6, else in the given order.

    Cut to ``ADDRESSES_MAX``: without it one forged name could make a hub dial a whole subnet (threat T3).
    """
    return tuple(sorted(dict.fromkeys(addresses), key=_rank)[:ADDRESSES_MAX])


def is_link_local(host: str) -> bool:
    """Whether ``host``, a literal or a name, is an IPv6 link-local literal (fe80::/10)."""
    return ":" in host and ipaddress.IPv6Address(host.partition("%")[0]).is_link_local


def _rank(address: Address) -> int:
    host = address[0]
    if ":" not in host:
        return 0
    return 2 if is_link_local(host) else 1
