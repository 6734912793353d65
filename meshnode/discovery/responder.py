"""One running zeroconf instance: opens it, announces us, follows address changes, says goodbye.

Every method that blocks does so for 0.01 to 1 s and is meant for a worker thread; zeroconf brings its own thread
for the network. ``cooperating_responders=True`` skips probing (RFC 6762, section 8.1), which costs 1.1 s and finds
nothing when names are 80 random bits.
Deviation: answers that wait to be sent (RFC 6762, section 6) are dropped before a goodbye, which they would undo.
Invariants: blocking methods run one at a time; after :meth:`Responder.close` every method is a no-op, also for a
caller that was abandoned and comes late, so that no socket or thread is left behind.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Final

import zeroconf
from zeroconf import DNSQuestion, ServiceInfo, Zeroconf  # type: ignore[attr-defined]  # as in the watcher

from meshnode.discovery.interfaces import Snapshot, discovery_interfaces, network_interfaces
from meshnode.discovery.records import SERVICE_TYPE, ServiceNames, txt_properties
from meshnode.discovery.watcher import Watcher
from protocol.errors import TransportError
from protocol.identity import Mesh

ANNOUNCED_MAX: Final = 8
"""Addresses in our own records; peers try four of them."""
HOST_TTL_S: Final = 120
NAME_TTL_S: Final = 900
"""A name lives for one epoch, so its PTR and TXT need not be remembered for the usual 75 minutes."""

_PTR: Final = 12
_IN: Final = 1

FAULTS: Final = (OSError, RuntimeError, zeroconf.Error, TransportError)
"""What the blocking methods raise when the network or zeroconf refuses; ``OSError`` includes time-outs."""


class Responder:
    """A zeroconf instance that can be opened once and closed once.

    ``wanted`` holds interface names or addresses (empty: all), ``listen_host`` is the literal that our TCP
    listener is bound to, ``port`` its port.
    """

    def __init__(self, mesh: Mesh, watcher: Watcher, wanted: tuple[str, ...], listen_host: str, port: int) -> None:
        self._mesh = mesh
        self._watcher = watcher
        self._wanted = wanted
        self._listen_host = listen_host
        self._port = port
        self._busy = threading.Lock()
        self._closed = False
        self._zeroconf: Zeroconf | None = None
        self._info: ServiceInfo | None = None

    def open(self) -> None:
        """Open the sockets and begin to listen.

        Raises:
            TransportError: no wanted interface is up.
            OSError, RuntimeError, zeroconf.Error: the system or zeroconf refuses.
        """
        with self._busy:
            if self._closed:
                return
            chosen = self._chosen()
            self._zeroconf = Zeroconf(interfaces=_bindable(chosen))
            # With the question, what came since the sockets are open is told from the cache: nobody would say it
            # again, because repeats within a second are not looked at and our own question lists it as known.
            self._zeroconf.add_listener(self._watcher, DNSQuestion(SERVICE_TYPE, _PTR, _IN))

    def announce(self, names: ServiceNames) -> None:
        """Become visible under ``names`` and, if we were under others, withdraw those afterwards.

        Raises:
            TransportError: there is no address to announce.
            OSError, RuntimeError, zeroconf.Error: as :meth:`open`.
        """
        with self._busy:
            if self._zeroconf is None:
                return
            info, old = self._info_for(names), self._info
            self._zeroconf.register_service(info, cooperating_responders=True)
            self._info = info
            if old is not None:
                self._in_loop(_drop_answers)
                self._zeroconf.unregister_service(old)

    def refresh(self, names: ServiceNames) -> None:
        """Follow a change of interfaces or addresses: join where we are now, and announce the new addresses.

        Raises:
            As :meth:`announce`; the caller then closes this responder and opens another.
        """
        with self._busy:
            if self._zeroconf is None:
                return
            self._zeroconf.update_interfaces(_bindable(self._chosen()))
            self._info = self._info_for(names)
            self._zeroconf.update_service(self._info)

    def ask(self) -> None:
        """Send the question who is there; does not block, callable from any thread."""
        self._in_loop(self._watcher.ask)

    def close(self) -> None:
        """Say goodbye and release every socket and thread, in about 0.3 s; further calls do nothing.

        Raises:
            OSError, RuntimeError, zeroconf.Error: zeroconf did not end cleanly.
        """
        with self._busy:
            self._closed = True
            self._in_loop(_drop_answers)
            zc, self._zeroconf = self._zeroconf, None
            if zc is not None:
                zc.close()

    def _chosen(self) -> Snapshot:
        chosen = discovery_interfaces(self._wanted, network_interfaces())
        if not chosen:
            where = f"none of {', '.join(self._wanted)} is" if self._wanted else "no network interface is"
            raise TransportError(f"{where} up with an address")
        self._watcher.loopback = any(interface.loopback for interface in chosen)
        return chosen

    def _info_for(self, names: ServiceNames) -> ServiceInfo:
        hosts = announced_hosts(self._listen_host, self._chosen())
        if not hosts:
            raise TransportError(f"no interface has an address that {self._listen_host} listens on")
        return ServiceInfo(
            SERVICE_TYPE,
            names.service,
            port=self._port,
            properties=txt_properties(self._mesh, names.instance),
            server=names.server,
            host_ttl=HOST_TTL_S,
            other_ttl=NAME_TTL_S,
            addresses=[_packed(host) for host in hosts],
        )

    def _in_loop(self, action: Callable[[Zeroconf], None]) -> None:
        zc = self._zeroconf
        loop: asyncio.AbstractEventLoop | None = None if zc is None else zc.loop
        if zc is None or loop is None:
            return
        try:
            loop.call_soon_threadsafe(action, zc)
        except RuntimeError:  # closed by another thread between the two lines
            return


def _drop_answers(zc: Zeroconf) -> None:
    """Forget the answers that wait out their delay of up to 1.1 s; what still holds was announced just before.

    zeroconf would send them after the goodbye with their full lifetime, and whoever heard would remember a name that
    is gone, and link it to the new one.
    """
    zc.out_queue.queue.clear()
    zc.out_delay_queue.queue.clear()


def announced_hosts(listen_host: str, chosen: Snapshot) -> list[str]:
    """The addresses to announce for a listener bound to ``listen_host``, IPv4 first, at most eight."""
    if listen_host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return [listen_host]
    hosts = [address for interface in chosen for address in interface.addresses]
    usable = [host for host in hosts if listen_host == "::" or ":" not in host]
    return sorted(dict.fromkeys(usable), key=lambda host: ":" in host)[:ANNOUNCED_MAX]


def _bindable(chosen: Snapshot) -> list[str]:
    """What to hand to zeroconf: each IPv4 address, and per interface one IPv6 address, link-local if it has one."""
    bindable = [address for interface in chosen for address in interface.addresses if ":" not in address]
    for interface in chosen:
        six = [address for address in interface.addresses if ":" in address]
        if six and not interface.loopback:  # multicast does not work on ::1
            bindable.append(max(six, key=lambda address: address.startswith("fe80:")))
    return list(dict.fromkeys(bindable))


def _packed(host: str) -> bytes:
    bare = host.partition("%")[0]
    return socket.inet_pton(socket.AF_INET6 if ":" in bare else socket.AF_INET, bare)
