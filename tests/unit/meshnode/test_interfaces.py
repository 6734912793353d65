"""The host's interfaces: which to use, what to tell others, when they change."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from meshnode.discovery.interfaces import (
    NetworkInterface,
    Snapshot,
    discovery_interfaces,
    follow,
    network_interfaces,
    reachable_addresses,
    watch_interfaces,
)

LO = NetworkInterface("lo", 1, True, True, False, ("127.0.0.1", "::1"))
WLAN = NetworkInterface("wlan0", 2, True, False, True, ("10.0.0.7", "fd00::7", "fe80::7"))
ETH = NetworkInterface("eth0", 3, True, False, True, ("10.1.0.7", "10.1.0.8"))
VPN = NetworkInterface("tun0", 4, True, False, False, ("10.9.0.7",))
UNPLUGGED = NetworkInterface("eth1", 5, False, False, True, ("10.2.0.7",))
ALL = (LO, WLAN, ETH, VPN, UNPLUGGED)


def test_this_machine_has_loopback_up_with_its_address() -> None:
    (loopback,) = [interface for interface in network_interfaces() if "127.0.0.1" in interface.addresses]
    assert loopback.loopback
    assert loopback.running
    assert loopback.index == 1


def test_discovery_uses_what_runs_and_can_multicast_and_is_no_vpn() -> None:
    assert discovery_interfaces((), ALL) == (WLAN, ETH)


def test_discovery_falls_back_to_loopback_when_there_is_nothing_else() -> None:
    assert discovery_interfaces((), (LO, VPN, UNPLUGGED)) == (LO,)
    assert discovery_interfaces((), ()) == ()


def test_wanted_interfaces_are_named_or_narrowed_to_an_address() -> None:
    narrowed = NetworkInterface("eth0", 3, True, False, True, ("10.1.0.8",))
    assert discovery_interfaces(("tun0", "10.1.0.8"), ALL) == (narrowed, VPN)
    assert discovery_interfaces(("wlan9", "10.77.0.1"), ALL) == ()


def test_others_are_told_running_routable_addresses_ipv4_first() -> None:
    assert reachable_addresses("::", 7000, ALL) == (
        ("10.0.0.7", 7000),
        ("10.1.0.7", 7000),
        ("10.1.0.8", 7000),
        ("10.9.0.7", 7000),
    )
    assert reachable_addresses("::", 7000, (LO, WLAN)) == (("10.0.0.7", 7000), ("fd00::7", 7000))


def test_an_ipv4_listener_tells_no_ipv6_address() -> None:
    assert reachable_addresses("0.0.0.0", 7000, (LO, WLAN)) == (("10.0.0.7", 7000),)


def test_a_listener_on_one_address_tells_that_one() -> None:
    assert reachable_addresses("127.0.0.1", 7000, ALL) == (("127.0.0.1", 7000),)


def test_loopback_is_told_only_when_there_is_nothing_else() -> None:
    assert reachable_addresses("::", 7000, (LO,)) == (("127.0.0.1", 7000), ("::1", 7000))


class Rig:
    """``follow`` over scripted hints and snapshots; records when it reports."""

    def __init__(self) -> None:
        self.send, self._receive = trio.open_memory_channel[None](100)
        self.seen: Snapshot = (LO,)
        self.reports: list[float] = []

    async def hint(self) -> None:
        await self._receive.receive()

    async def report(self) -> None:
        self.reports.append(round(trio.current_time(), 3))

    async def start(self, nursery: trio.Nursery) -> None:
        async def run(*, task_status: trio.TaskStatus[str]) -> None:
            await follow(self.hint, lambda: self.seen, self.report, "test", task_status)

        assert await nursery.start(run) == "test"

    async def change_every(self, seconds: float, times: int) -> float:
        """Hints at a steady pace, each with another snapshot; returns the time of the first."""
        begin = round(trio.current_time(), 3)
        for number in range(times):
            self.seen = (LO, replace(WLAN, addresses=(f"10.0.0.{number}",)))
            self.send.send_nowait(None)
            await trio.sleep(seconds)
        return begin


async def test_a_burst_of_changes_is_reported_once_when_it_has_been_quiet(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig = Rig()
    async with trio.open_nursery() as nursery:
        await rig.start(nursery)
        begin = await rig.change_every(0.05, 5)
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
    assert rig.reports == [pytest.approx(begin + 0.4, abs=0.002)]


async def test_a_burst_that_does_not_end_is_reported_every_second(autojump_clock: trio.testing.MockClock) -> None:
    rig = Rig()
    async with trio.open_nursery() as nursery:
        await rig.start(nursery)
        begin = await rig.change_every(0.1, 35)
        nursery.cancel_scope.cancel()
    assert len(rig.reports) == 3
    assert rig.reports[0] == pytest.approx(begin + 1.0, abs=0.002)


async def test_hints_without_a_difference_are_not_reported(autojump_clock: trio.testing.MockClock) -> None:
    rig = Rig()
    async with trio.open_nursery() as nursery:
        await rig.start(nursery)
        for _ in range(10):
            rig.send.send_nowait(None)
            await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert rig.reports == []


async def test_watching_ends_with_its_nursery_and_leaves_no_socket() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    async with trio.open_nursery() as nursery:
        kind = await nursery.start(_watch_quietly)
        assert kind in ("netlink", "polling")
        nursery.cancel_scope.cancel()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def _watch_quietly(*, task_status: trio.TaskStatus[str]) -> None:
    async def report() -> None:
        raise AssertionError("nothing has changed")

    await watch_interfaces(report, task_status=task_status)


IN_NAMESPACE = """
import subprocess, trio
from meshnode.discovery.interfaces import network_interfaces, watch_interfaces

async def main():
    changes, seen = trio.open_memory_channel(9)
    async def report():
        changes.send_nowait(network_interfaces())
    async with trio.open_nursery() as nursery:
        kind = await nursery.start(lambda task_status: watch_interfaces(report, task_status=task_status))
        assert kind == "netlink", kind
        assert network_interfaces() == ()
        for command in ("ip link set lo up", "ip addr add 10.77.0.1/24 dev lo", "ip addr flush dev lo"):
            begin = trio.current_time()
            subprocess.run(command.split(), check=True)
            with trio.fail_after(3):
                now = await seen.receive()
            print([a for i in now for a in i.addresses if ":" not in a], trio.current_time() - begin < 1.5)
        nursery.cancel_scope.cancel()

trio.run(main)
"""


@pytest.mark.namespaces
def test_addresses_that_come_and_go_in_a_namespace_are_reported() -> None:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("needs unshare and ip")
    if subprocess.run(["unshare", "-Urn", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this kernel lets us make no network namespace")
    run = subprocess.run(
        ["unshare", "-Urn", sys.executable, "-W", "error", "-c", IN_NAMESPACE],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert run.stderr == ""
    assert run.stdout.splitlines() == ["['127.0.0.1'] True", "['10.77.0.1', '127.0.0.1'] True", "[] True"]
