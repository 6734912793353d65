"""Run inside a room: what anybody who listens there learns of ``_meshnode._tcp``, as one JSON object.

Browses and resolves with zeroconf for some seconds, and takes down every multicast packet meanwhile, whoever sent it.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
from typing import Any

from zeroconf import ServiceBrowser, ServiceInfo, ServiceListener, Zeroconf

SERVICE = "_meshnode._tcp.local."
GROUP, PORT = "224.0.0.251", 5353


class Collector(ServiceListener):
    """Resolves whatever appears, even if it goes again."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Any]] = {}

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        info = ServiceInfo(type_, name)
        if info.request(zc, 1_500):
            self.found[name] = {
                "name": name,
                "server": info.server,
                "port": info.port,
                "addresses": info.parsed_addresses(),
                "txt": {str(key): str(value) for key, value in info.decoded_properties.items()},
            }

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        self.add_service(zc, type_, name)

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        pass


def listening(interface: str) -> socket.socket:
    """A member of the multicast group beside zeroconf's own."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((GROUP, PORT))
    joined = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(interface))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
    return sock


def record(sock: socket.socket, packets: list[str], done: threading.Event) -> None:
    """Take packets down until it is done."""
    sock.settimeout(0.1)
    while not done.is_set():
        try:
            packets.append(sock.recv(9_000).hex())
        except TimeoutError:
            continue


def main(interface: str, seconds: float, wanted: int) -> None:
    """Browse until ``wanted`` services are resolved, at most for ``seconds``."""
    packets: list[str] = []
    done = threading.Event()
    with listening(interface) as sock:
        recorder = threading.Thread(target=record, args=(sock, packets, done))
        recorder.start()
        zeroconf = Zeroconf(interfaces=[interface])
        collector = Collector()
        browser = ServiceBrowser(zeroconf, SERVICE, collector)
        pause = threading.Event()
        for _ in range(round(seconds / 0.05)):
            if len(collector.found) >= wanted:
                break
            pause.wait(0.05)
        browser.cancel()
        zeroconf.close()
        done.set()
        recorder.join()
    print(json.dumps({"services": sorted(collector.found.values(), key=lambda s: s["port"]), "packets": packets}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
