"""The host's network interfaces: which addresses it has now, and a task that says when they change.

Source: rtnetlink(7), groups LINK, IPV4_IFADDR and IPV6_IFADDR, read by trio without a thread. Netlink only wakes
us: what changed is found by comparing snapshots, because Wi-Fi drivers send LINK messages for every scan, and a
lost message (ENOBUFS) must not matter. Where there is no netlink the snapshot is compared every 5 s.
Invariant: an address is listed only when it can be bound (interface up, IPv6 not tentative).
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import ifaddr
import trio

from meshnode.discovery.candidate import is_link_local
from protocol.inputs import Address
from protocol.limits import ADDRESSES_MAX

QUIET_S: Final = 0.2
"""Changes come in bursts (link, carrier, address, second family): report once they have been quiet this long."""
SETTLE_S_MAX: Final = 1.0
"""A burst that does not end is reported after this time all the same."""
POLL_S: Final = 5.0

_RTMGRP: Final = 0x1 | 0x10 | 0x100
_SIOCGIFFLAGS: Final = 0x8913
_IFF_UP: Final = 0x1
_IFF_LOOPBACK: Final = 0x8
_IFF_POINTOPOINT: Final = 0x10
_IFF_RUNNING: Final = 0x40
_IFF_MULTICAST: Final = 0x1000
_IFA_UNUSABLE: Final = 0x40 | 0x08
"""IFA_F_TENTATIVE and IFA_F_DADFAILED (linux/if_addr.h): binding such an address fails."""
_IFA_HEX_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """One interface that is up; ``addresses`` are bare IP literals without scope, IPv4 first."""

    name: str
    index: int
    running: bool
    loopback: bool
    multicast: bool
    addresses: tuple[str, ...]


Snapshot = tuple[NetworkInterface, ...]


def network_interfaces() -> Snapshot:
    """The interfaces that are up and have at least one usable address, ordered by index."""
    unusable = _unusable_ipv6()
    found: list[NetworkInterface] = []
    for adapter in ifaddr.get_adapters():
        flags = _flags(adapter.name)
        index = adapter.index or 0
        bare = [ip.ip[0] if isinstance(ip.ip, tuple) else ip.ip for ip in adapter.ips]
        usable = [host for host in bare if (index, host) not in unusable]
        if not flags & _IFF_UP or not usable:
            continue
        found.append(
            NetworkInterface(
                name=adapter.name,
                index=index,
                running=bool(flags & _IFF_RUNNING),
                loopback=bool(flags & _IFF_LOOPBACK) or all(_is_loopback(host) for host in usable),
                multicast=bool(flags & _IFF_MULTICAST) and not flags & _IFF_POINTOPOINT,
                addresses=tuple(sorted(usable, key=lambda host: (":" in host, host))),
            )
        )
    return tuple(sorted(found, key=lambda interface: (interface.index, interface.name)))


def local_hosts() -> frozenset[str]:
    """Every address that this host has, whether or not it can be bound now, as bare IP literals."""
    ips = (ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips)
    return frozenset(ip[0] if isinstance(ip, tuple) else ip for ip in ips)


def discovery_interfaces(wanted: tuple[str, ...], now: Snapshot) -> Snapshot:
    """Those interfaces of ``now`` on which to discover, narrowed to the wanted addresses.

    ``wanted`` holds addresses or interface names; empty means every interface that can multicast, or loopback if
    that is all there is. Point-to-point ones (VPNs) only count when wanted: their addresses are nobody's business.
    """
    if wanted:
        return tuple(part for interface in now if (part := _narrowed(interface, wanted)) is not None)
    elsewhere = tuple(i for i in now if i.multicast and i.running and not i.loopback)
    return elsewhere or tuple(i for i in now if i.loopback)


def reachable_addresses(host: str, port: int, now: Snapshot) -> tuple[Address, ...]:
    """Where a listener bound to ``host`` can be reached from elsewhere, at most four, IPv4 first.

    ``host`` is an IP literal; ``0.0.0.0`` is any IPv4 address and ``::`` any of both families. Link-local
    addresses are left out: their scope means nothing on another machine. Loopback only if there is nothing else.
    """
    if not ipaddress.ip_address(host).is_unspecified:
        return ((host, port),)
    running = [i for i in now if i.running and not i.loopback] or [i for i in now if i.loopback]
    hosts = [address for i in running for address in i.addresses if host == "::" or ":" not in address]
    usable = sorted((address for address in hosts if not is_link_local(address)), key=lambda text: ":" in text)
    return tuple((address, port) for address in dict.fromkeys(usable))[:ADDRESSES_MAX]


async def watch_interfaces(
    on_change: Callable[[], Awaitable[None]],
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Await ``on_change`` after every change of links or addresses, once per burst, until cancelled.

    Starts with ``"netlink"`` or, where the platform refuses that, ``"polling"``. A change that happens while
    ``on_change`` runs is reported when it returns.
    """
    netlink = _open_netlink()
    if netlink is None:
        await follow(lambda: trio.sleep(POLL_S), network_interfaces, on_change, "polling", task_status)
        return
    with netlink:
        source = netlink
        await follow(lambda: _heard(source), network_interfaces, on_change, "netlink", task_status)


async def follow(
    hint: Callable[[], Awaitable[None]],
    look: Callable[[], Snapshot],
    on_change: Callable[[], Awaitable[None]],
    kind: str,
    task_status: trio.TaskStatus[str],
) -> None:
    """The rule of :func:`watch_interfaces` over any source of hints; ``look`` takes the snapshot."""
    known = look()
    task_status.started(kind)
    while True:
        await hint()
        with trio.move_on_after(SETTLE_S_MAX):
            while await _again_within(QUIET_S, hint):
                pass
        while True:
            try:
                seen = look()
                if seen != known:
                    await on_change()
                    known = seen
                break
            except OSError:  # out of descriptors or memory, which passes
                await trio.sleep(SETTLE_S_MAX)


async def _again_within(seconds: float, hint: Callable[[], Awaitable[None]]) -> bool:
    with trio.move_on_after(seconds) as quiet:
        await hint()
    return not quiet.cancelled_caught


async def _heard(netlink: trio.socket.SocketType) -> None:
    try:
        await netlink.recv(65_536)
    except OSError as fault:
        if fault.errno != errno.ENOBUFS:  # messages were lost, which is a hint as well
            raise


def _open_netlink() -> trio.socket.SocketType | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        raw = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    except OSError:
        return None
    try:
        raw.setblocking(False)
        raw.bind((0, _RTMGRP))
    except OSError:
        raw.close()
        return None
    return trio.socket.from_stdlib_socket(raw)


def _narrowed(interface: NetworkInterface, wanted: tuple[str, ...]) -> NetworkInterface | None:
    if interface.name in wanted:
        return interface
    chosen = tuple(address for address in interface.addresses if address in wanted)
    if not chosen:
        return None
    return NetworkInterface(
        interface.name, interface.index, interface.running, interface.loopback, interface.multicast, chosen
    )


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


def _flags(name: str) -> int:
    """SIOCGIFFLAGS of netdevice(7); where that is not Linux's, an interface with an address counts as up."""
    if not sys.platform.startswith("linux"):
        return _IFF_UP | _IFF_RUNNING | _IFF_MULTICAST
    import fcntl

    request = struct.pack("16sH14x", os.fsencode(name.partition(":")[0])[:15], 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        try:
            answer = fcntl.ioctl(handle, _SIOCGIFFLAGS, request)
        except OSError:  # it went away between the two questions
            return 0
    flags: int = struct.unpack("16sH14x", answer)[1]
    return flags


def _unusable_ipv6() -> set[tuple[int, str]]:
    """(index, address) of IPv6 addresses that duplicate address detection has not let through, from procfs."""
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as table:
            rows = [line.split() for line in table]
    except OSError:
        return set()
    return {
        (int(row[1], 16), str(ipaddress.IPv6Address(bytes.fromhex(row[0]))))
        for row in rows
        if len(row) >= 5 and len(row[0]) == _IFA_HEX_DIGITS and int(row[4], 16) & _IFA_UNUSABLE
    }
