"""As much of DNS as it takes to ask by multicast who announces a service, and to read the answers (RFC 1035, 6762).

One question is sent from an ordinary port, so that answers come back to it alone (RFC 6762, section 6.7).
"""

from __future__ import annotations

import socket
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from tests.conformance.reference.weather import now

GROUP: Final = ("224.0.0.251", 5_353)
PTR, TXT, SRV = 12, 16, 33
NAME_LABELS_MAX: Final = 64

Name: TypeAlias = tuple[bytes, ...]
"""Labels, without the root."""


class NotDns(Exception):
    """The packet cannot be read."""


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record: its name, type and where its data lies in the packet."""

    name: Name
    kind: int
    start: int
    end: int


@dataclass(slots=True)
class Announcement:
    """What is said of one instance of a service; ``packets`` are the answers in which it was said."""

    instance: Name
    port: int = 0
    host: Name = ()
    txt: list[bytes] = field(default_factory=list)
    packets: list[bytes] = field(default_factory=list)


def question(name: Name, kind: int) -> bytes:
    """A query packet."""
    labels = b"".join(bytes([len(label)]) + label for label in name) + b"\x00"
    return b"\x00\x01" + bytes(2) + b"\x00\x01" + bytes(6) + labels + kind.to_bytes(2, "big") + b"\x00\x01"


def read_name(packet: bytes, at: int) -> tuple[Name, int]:
    """The name at ``at``, and where what follows it begins.

    Raises:
        NotDns: it leaves the packet, or is endless.
    """
    labels: list[bytes] = []
    after = 0
    for _ in range(2 * NAME_LABELS_MAX):
        length = packet[at] if at < len(packet) else 0xFF
        if length >= 0xC0:
            if at + 1 >= len(packet):
                break
            after = after or at + 2
            at = (length & 0x3F) << 8 | packet[at + 1]
        elif length == 0:
            return tuple(labels), after or at + 1
        elif length < 64 and at + 1 + length <= len(packet):
            labels.append(packet[at + 1 : at + 1 + length])
            at += 1 + length
        else:
            break
    raise NotDns("a name that does not end")


def read_records(packet: bytes) -> list[Record]:
    """Every record of an answer, in whichever section.

    Raises:
        NotDns: it is cut short.
    """
    if len(packet) < 12:
        raise NotDns("no header")
    questions, *sections = (int.from_bytes(packet[at : at + 2], "big") for at in (4, 6, 8, 10))
    at = 12
    for _ in range(questions):
        _, at = read_name(packet, at)
        at += 4
    records = []
    for _ in range(sum(sections)):
        name, at = read_name(packet, at)
        if at + 10 > len(packet):
            raise NotDns("a record cut short")
        kind, length = (int.from_bytes(packet[start : start + 2], "big") for start in (at, at + 8))
        records.append(Record(name, kind, at + 10, at + 10 + length))
        at += 10 + length
        if at > len(packet):
            raise NotDns("a record cut short")
    return records


def announcements(packets: list[bytes], service: Name) -> list[Announcement]:
    """What these answers say of the instances of a service; packets that cannot be read are left out."""
    found: dict[Name, Announcement] = {}
    for packet in packets:
        try:
            for record in read_records(packet):
                _take(found, packet, record, service)
        except NotDns:
            continue
    return list(found.values())


def _take(found: dict[Name, Announcement], packet: bytes, record: Record, service: Name) -> None:
    if record.kind == PTR and record.name == service:
        instance, _ = read_name(packet, record.start)
        found.setdefault(instance, Announcement(instance)).packets.append(packet)
    elif record.kind in (SRV, TXT) and record.name[-len(service) :] == service:
        announcement = found.setdefault(record.name, Announcement(record.name))
        announcement.packets.append(packet)
        if record.kind == SRV:
            announcement.port = int.from_bytes(packet[record.start + 4 : record.start + 6], "big")
            announcement.host, _ = read_name(packet, record.start + 6)
        else:
            announcement.txt = _strings(packet[record.start : record.end])


def _strings(data: bytes) -> list[bytes]:
    found = []
    while data:
        found.append(data[1 : 1 + data[0]])
        data = data[1 + data[0] :]
    return found


def ask(name: Name, kind: int, seconds: float, own_address: str, group: tuple[str, int] = GROUP) -> list[bytes]:
    """Every packet that answers within ``seconds``, asking twice; none if this machine cannot send there."""
    packets: list[bytes] = []
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.bind(("", 0))
        begun, asked = now(), 0
        while (left := begun + seconds - now()) > 0:
            if now() - begun >= asked * seconds / 2:
                asked += 1
                _send(sock, question(name, kind), own_address, group)
            sock.settimeout(min(left, 0.1))
            try:
                packets.append(sock.recv(9_000))
            except OSError:
                continue
    return packets


def _send(sock: socket.socket, packet: bytes, own_address: str, group: tuple[str, int]) -> None:
    """By the default route, and by the interface that leads to the hub under test."""
    for address in ("0.0.0.0", own_address):
        try:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
            sock.sendto(packet, group)
        except OSError:
            continue
