"""What our DNS-SD records say, and how others' are judged: the pure part of mDNS discovery.

Source: RFC 6763 (DNS-SD), sections 4 and 6; docs/protocol.md, section 3. Instance and host label are 80 random
bits each; the TXT record holds a tag that only members of the mesh can compute from the label and recognise.
Deviation: none, but the TXT record is read strictly: a second ``t`` or a foreign version is malformed.
Invariants: no record holds a name, key, author id or signal of a person; nothing here trusts a record.
Residue: whoever records label and tag can show them elsewhere, which costs a member one failed handshake; and the
addresses and the port of a hub stay the same when its names change, so a listener on the link can follow it.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from protocol.identity import Mesh, mesh_tag

SERVICE_TYPE: Final = "_meshnode._tcp.local."
NAME_BYTES: Final = 10
"""80 random bits, so that names need not be probed for (RFC 6762, section 8.1): 16 characters of base32."""
TXT_BYTES_MAX: Final = 400
"""RFC 6763, section 6.2 recommends to stay below; ours has 35."""
LABEL: Final = re.compile(r"[A-Za-z0-9_-]{8,63}")

_VERSION: Final = b"1"


class Verdict(Enum):
    """What a TXT record says to us."""

    MEMBER = "member"
    FOREIGN = "foreign"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class ServiceNames:
    """The two labels under which a hub is visible during one epoch."""

    instance: str
    host: str

    @property
    def service(self) -> str:
        """The full DNS-SD service instance name."""
        return f"{self.instance}.{SERVICE_TYPE}"

    @property
    def server(self) -> str:
        """The full host name that SRV points to."""
        return f"{self.host}.local."


def fresh_names(entropy: Callable[[int], bytes]) -> ServiceNames:
    """Two independent random labels of 16 lower-case characters."""
    return ServiceNames(_label(entropy(NAME_BYTES)), _label(entropy(NAME_BYTES)))


def txt_properties(mesh: Mesh, instance: str) -> dict[str, str]:
    """The TXT record, ``txtvers`` first (RFC 6763, section 6.7)."""
    return {"txtvers": "1", "v": "1", "t": mesh_tag(mesh, instance)}


def judge(mesh: Mesh, instance: str, txt: bytes) -> Verdict:
    """Whether the TXT record ``txt`` of ``instance`` is by a member of ``mesh``."""
    entries = parse_txt(txt)
    if entries is None or entries.get("txtvers") != _VERSION or entries.get("v") != _VERSION:
        return Verdict.MALFORMED
    tag = entries.get("t", b"")
    if not re.fullmatch(rb"[0-9a-f]{16}", tag):
        return Verdict.MALFORMED
    expected = mesh_tag(mesh, instance).encode()
    return Verdict.MEMBER if hmac.compare_digest(tag, expected) else Verdict.FOREIGN


def parse_txt(txt: bytes) -> dict[str, bytes] | None:
    """Keys (lower case) and values of a TXT record; None if it is too long, cut off, not ASCII or repeats a key."""
    if len(txt) > TXT_BYTES_MAX:
        return None
    entries: dict[str, bytes] = {}
    offset = 0
    while offset < len(txt):
        end = offset + 1 + txt[offset]
        key, _, value = txt[offset + 1 : end].partition(b"=")
        if end > len(txt) or not key.isascii() or key.lower().decode("ascii") in entries:
            return None
        if key:
            entries[key.lower().decode("ascii")] = value
        offset = end
    return entries


def instance_of(service_name: str) -> str | None:
    """The instance label of a full service name of our type, or None if it is not one."""
    head, suffix = service_name[: -len(SERVICE_TYPE) - 1], service_name[-len(SERVICE_TYPE) - 1 :]
    if suffix.lower() != f".{SERVICE_TYPE}" or not LABEL.fullmatch(head):
        return None
    return head


def host_literal(packed: bytes, scope: int | None, *, loopback: bool) -> str | None:
    """The host to dial for the rdata of an A or AAAA record, or None if it must not or cannot be dialled.

    ``loopback`` says whether loopback addresses are fine (only when that is where we are ourselves): otherwise a
    stranger could make a hub talk to services of its own machine. Link-local addresses need their scope.
    """
    if len(packed) not in (4, 16):
        return None
    address = ipaddress.ip_address(packed)
    if address.is_multicast or address.is_unspecified or (address.is_loopback and not loopback):
        return None
    if address == ipaddress.IPv4Address("255.255.255.255"):
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None or (address.is_link_local and not scope):
            return None
        text = socket.inet_ntop(socket.AF_INET6, packed)
        return f"{text}%{scope}" if address.is_link_local else text
    return str(address)


def _label(raw: bytes) -> str:
    return base64.b32encode(raw).decode("ascii").lower()
