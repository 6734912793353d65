"""Peers that a person wrote down: ``HOST:PORT`` or ``HOST:PORT/AUTHOR``.

The author id, if given, is what the handshake must prove; without it any admitted hub may answer there.
IPv6 hosts stand in brackets (RFC 3986, section 3.2.2) and may carry a scope: ``[fe80::1%eth0]:7000``.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from meshnode.discovery.candidate import Candidate
from protocol.errors import ConfigError
from protocol.ids import AUTHOR_BYTES, AuthorId

PORT_MAX: Final = 65_535

_FORM: Final = re.compile(r"(?:\[(?P<six>[^\]]*)\]|(?P<host>[^:\[\]/]*)):(?P<port>[^/:]*)(?:/(?P<author>.*))?", re.S)
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_SCOPE: Final = re.compile(r"[A-Za-z0-9_.-]{1,15}")


@dataclass(frozen=True, slots=True)
class StaticPeer:
    """One written-down peer; ``author`` is the identity expected inside the handshake, or None for any."""

    candidate: Candidate
    author: AuthorId | None


def parse_peer(text: str) -> StaticPeer:
    """The peer that ``HOST:PORT[/AUTHORHEX]`` names.

    Raises:
        ConfigError: the text has another form; the message quotes it and names the part that is wrong.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise _refuse(text, "expected HOST:PORT or HOST:PORT/AUTHOR, with IPv6 hosts in brackets")
    six, host, port, author = match.group("six", "host", "port", "author")
    found = _six(text, six) if six is not None else _four_or_name(text, host)
    number = _port(text, port)
    shown = f"[{found}]:{number}" if six is not None else f"{found}:{number}"
    return StaticPeer(Candidate(f"static {shown}", ((found, number),)), _author(text, author))


def _port(text: str, port: str) -> int:
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= PORT_MAX):
        raise _refuse(text, f"the port must be a number from 1 to {PORT_MAX}")
    return int(port)


def _six(text: str, host: str) -> str:
    bare, percent, scope = host.partition("%")
    try:
        address = ipaddress.IPv6Address(bare)
    except ValueError as fault:
        raise _refuse(text, "what stands in brackets must be an IPv6 address") from fault
    if percent and not _SCOPE.fullmatch(scope):
        raise _refuse(text, "the scope after % must be an interface name or number")
    if address.is_link_local and not percent:
        raise _refuse(text, "a link-local address needs its interface, as in [fe80::1%eth0]:7000")
    return f"{address}%{scope}" if percent else str(address)


def _four_or_name(text: str, host: str) -> str:
    if not host:
        raise _refuse(text, "the host is missing")
    labels = host.rstrip(".").split(".")
    if all(label.isascii() and label.isdigit() for label in labels):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError as fault:
            raise _refuse(text, "the host is not a valid IPv4 address") from fault
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refuse(text, "the host is neither an IPv4 address nor a host name")
    return host


def _author(text: str, author: str | None) -> AuthorId | None:
    if author is None:
        return None
    if len(author) != 2 * AUTHOR_BYTES or not re.fullmatch(r"[0-9A-Fa-f]+", author):
        raise _refuse(text, f"the author id must be {2 * AUTHOR_BYTES} hex digits")
    return AuthorId(bytes.fromhex(author))


def _refuse(text: str, why: str) -> ConfigError:
    shown = text if len(text) <= 120 else text[:119] + "…"
    return ConfigError(f"peer {shown!r}: {why}")
