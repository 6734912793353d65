"""The table of settings: section, key, type, default, bounds and meaning of each, in the order of the file.

Invariant: everything that is said about a key (default file, documentation, error messages) is said here once.
Bounds that also hold on the wire come from ``protocol.limits``.
"""

from __future__ import annotations

import ipaddress
import json
import math
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from meshnode.discovery.static import PORT_MAX, parse_peer
from protocol.errors import ConfigError
from protocol.limits import CADENCE_MS_MAX, CADENCE_MS_MIN, DIMENSIONS_MAX, LEASE_MS_MAX, LEASE_MS_MIN
from protocol.wire.registry import BY_NAME

Value = str | int | float | bool | tuple[str, ...]
Kind = Literal["text", "integer", "number", "switch", "list"]
Check = Callable[[Value], Value]

MESH_NAME_CHARS_MAX: Final = 64
STATIC_PEERS_MAX: Final = 64
INTERFACES_MAX: Final = 16
LINKS_MIN, LINKS_MAX = 4, 16
LEVELS_MIN, LEVELS_MAX = 2, 65_535
SHARE_CADENCE_MS_MIN: Final = 100
"""Coarser than the wire allows: more than ten values a second tell more about a body than about a mood."""
SPEED_MIN, SPEED_MAX = 0.1, 1_000.0

assert SHARE_CADENCE_MS_MIN >= CADENCE_MS_MIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One setting. ``meaning`` are comment lines, ``bounds`` says what is allowed and in which unit."""

    section: str
    option: str
    kind: Kind
    default: Value
    bounds: str
    meaning: tuple[str, ...]
    check: Check
    is_path: bool = False

    @property
    def name(self) -> str:
        """``section.option``, as people write it."""
        return f"{self.section}.{self.option}"


def as_toml(value: Value) -> str:
    """``value`` as TOML would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(as_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def _any(value: Value) -> Value:
    return value


def _among(*allowed: str) -> Check:
    def check(value: Value) -> Value:
        if value not in allowed:
            raise ConfigError(f"must be one of {', '.join(allowed)}")
        return value

    return check


def _between(low: float, high: float, unit: str = "", *, also: int | None = None) -> Check:
    words = f"must be {low}..{high}{f' {unit}' if unit else ''}" + (f" or {also}" if also is not None else "")

    def check(value: Value) -> Value:
        assert isinstance(value, int | float)
        if not math.isfinite(value) or (not low <= value <= high and (also is None or value != also)):
            raise ConfigError(words)
        return value

    return check


def _mesh_name(value: Value) -> Value:
    name = unicodedata.normalize("NFC", str(value))
    if len(name) > MESH_NAME_CHARS_MAX or not name.isprintable() or name != name.strip():
        raise ConfigError(f"must have at most {MESH_NAME_CHARS_MAX} printable characters and no space at its ends")
    return name


def _host(value: Value) -> Value:
    try:
        return str(ipaddress.ip_address(str(value)))
    except ValueError as fault:
        raise ConfigError("must be an IP address; 0.0.0.0 is every IPv4 address, :: every address") from fault


def _peers(value: Value) -> Value:
    assert isinstance(value, tuple)
    if len(value) > STATIC_PEERS_MAX:
        raise ConfigError(f"must hold at most {STATIC_PEERS_MAX} peers")
    for text in value:
        parse_peer(text)
    return value


def _interfaces(value: Value) -> Value:
    assert isinstance(value, tuple)
    if len(value) > INTERFACES_MAX:
        raise ConfigError(f"must hold at most {INTERFACES_MAX} interfaces")
    return tuple(_interface(text) for text in value)


def _interface(text: str) -> str:
    """Whether such an interface exists is not checked: it may come and go while the hub runs."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as fault:
        if 0 < len(text) < 16 and text.isprintable() and not set(text) & set("/ :"):
            return text
        raise ConfigError(f"{text!r} is neither an IP address nor an interface name") from fault


def _dimensions(value: Value) -> Value:
    assert isinstance(value, tuple)
    for name in value:
        if name not in BY_NAME:
            raise ConfigError(f"{name!r} is not a dimension; known are {', '.join(BY_NAME)}")
    if len(set(value)) != len(value) or len(value) > DIMENSIONS_MAX:
        raise ConfigError(f"must hold at most {DIMENSIONS_MAX} dimensions, each once")
    return value


SECTIONS: Final = {
    "hub": "The process itself.",
    "mesh": "Which crowd this hub belongs to.",
    "listen": "Where other hubs connect to.",
    "peers": "Hubs to connect to besides those that are found.",
    "discovery": "Finding hubs on the local network. Names are random and change every 15 minutes.",
    "share": "What every admitted hub of the mesh may read (the commons). Nothing, unless you turn it on.",
    "sensing": "Where this person's signals come from.",
    "context": "Where the hub is used.",
}

KEYS: Final = (
    Key(
        section="hub",
        option="state_dir",
        kind="text",
        default="",
        bounds="A directory of mode 0700; empty is $XDG_STATE_HOME/meshnode",
        meaning=("Keys, mesh secrets and counters. Relative paths start at this file.",),
        check=_any,
        is_path=True,
    ),
    Key(
        section="hub",
        option="log_format",
        kind="text",
        default="text",
        bounds="text or json",
        meaning=("Log lines for people, or one JSON object per line for machines.",),
        check=_among("text", "json"),
    ),
    Key(
        section="hub",
        option="log_level",
        kind="text",
        default="info",
        bounds="debug, info, warning or error",
        meaning=("The least important message that is logged.",),
        check=_among("debug", "info", "warning", "error"),
    ),
    Key(
        section="mesh",
        option="name",
        kind="text",
        default="",
        bounds=f"At most {MESH_NAME_CHARS_MAX} printable characters; may be empty only for an invite mesh",
        meaning=("The name of the mesh. In an open mesh anybody who knows it can join and read.",),
        check=_mesh_name,
    ),
    Key(
        section="mesh",
        option="admission",
        kind="text",
        default="open",
        bounds="open or invite",
        meaning=("open: whoever knows the name is in. invite: whoever was given the secret is in.",),
        check=_among("open", "invite"),
    ),
    Key(
        section="mesh",
        option="secret_file",
        kind="text",
        default="",
        bounds="A file of mode 0600 with 64 hex digits; only with, and needed for, admission = invite",
        meaning=("The secret of an invite mesh. Relative paths start at this file.",),
        check=_any,
        is_path=True,
    ),
    Key(
        section="listen",
        option="host",
        kind="text",
        default="::",
        bounds="An IP address; :: is every address, 0.0.0.0 every IPv4 address",
        meaning=("The address to listen on.",),
        check=_host,
    ),
    Key(
        section="listen",
        option="port",
        kind="integer",
        default=0,
        bounds=f"0..{PORT_MAX}; 0 lets the system pick one",
        meaning=("The TCP port to listen on.",),
        check=_between(0, PORT_MAX),
    ),
    Key(
        section="peers",
        option="static",
        kind="list",
        default=(),
        bounds=f"At most {STATIC_PEERS_MAX} of HOST:PORT or HOST:PORT/AUTHOR, IPv6 hosts in brackets",
        meaning=(
            "Hubs to connect to always. With AUTHOR (64 hex digits) nobody else is accepted there.",
            'Example: ["10.0.0.7:7000", "[fd00::7]:7000"].',
        ),
        check=_peers,
    ),
    Key(
        section="peers",
        option="max_links",
        kind="integer",
        default=8,
        bounds=f"{LINKS_MIN}..{LINKS_MAX} links",
        meaning=("How many links to keep.",),
        check=_between(LINKS_MIN, LINKS_MAX, "links"),
    ),
    Key(
        section="discovery",
        option="mdns",
        kind="switch",
        default=True,
        bounds="true or false",
        meaning=("Find and be found by multicast DNS. No record holds a name, key or signal of a person.",),
        check=_any,
    ),
    Key(
        section="discovery",
        option="interfaces",
        kind="list",
        default=(),
        bounds=f"At most {INTERFACES_MAX} interface names or IP addresses; empty is all but VPNs",
        meaning=('Where to do so. Example: ["wlan0"].',),
        check=_interfaces,
    ),
    Key(
        section="share",
        option="enabled",
        kind="switch",
        default=False,
        bounds="true or false; always false if context.setting is workplace or education",
        meaning=("Share anything at all.",),
        check=_any,
    ),
    Key(
        section="share",
        option="dimensions",
        kind="list",
        default=("arousal",),
        bounds=f"At most {DIMENSIONS_MAX} of {', '.join(BY_NAME)}",
        meaning=("What to share; everything that is not listed stays here.",),
        check=_dimensions,
    ),
    Key(
        section="share",
        option="levels",
        kind="integer",
        default=5,
        bounds=f"{LEVELS_MIN}..{LEVELS_MAX} steps, or 0 for full resolution",
        meaning=("How finely: 5 means very low, low, middle, high, very high.",),
        check=_between(LEVELS_MIN, LEVELS_MAX, "steps", also=0),
    ),
    Key(
        section="share",
        option="cadence_ms",
        kind="integer",
        default=1_000,
        bounds=f"{SHARE_CADENCE_MS_MIN}..{CADENCE_MS_MAX} ms",
        meaning=("How often. The rhythm is fixed, so that it tells nothing about your mood.",),
        check=_between(SHARE_CADENCE_MS_MIN, CADENCE_MS_MAX, "ms"),
    ),
    Key(
        section="share",
        option="lease_ms",
        kind="integer",
        default=15_000,
        bounds=f"{LEASE_MS_MIN}..{LEASE_MS_MAX} ms, at least cadence_ms",
        meaning=("For how long others may show a value after it was made; turning sharing off takes no longer.",),
        check=_between(LEASE_MS_MIN, LEASE_MS_MAX, "ms"),
    ),
    Key(
        section="share",
        option="relay",
        kind="switch",
        default=True,
        bounds="true or false",
        meaning=("Whether others may pass your values on; if not, only directly linked hubs see them.",),
        check=_any,
    ),
    Key(
        section="share",
        option="aggregate",
        kind="switch",
        default=True,
        bounds="true or false",
        meaning=("Whether your values may count in the picture of the crowd.",),
        check=_any,
    ),
    Key(
        section="share",
        option="record",
        kind="switch",
        default=False,
        bounds="true or false",
        meaning=("Whether others may keep your values beyond the lease.",),
        check=_any,
    ),
    Key(
        section="sensing",
        option="source",
        kind="text",
        default="none",
        bounds="none or replay",
        meaning=("none: no sensor. replay: play a recording.",),
        check=_among("none", "replay"),
    ),
    Key(
        section="sensing",
        option="path",
        kind="text",
        default="",
        bounds="A file or folder; needed for source = replay",
        meaning=("The recording. Relative paths start at this file.",),
        check=_any,
        is_path=True,
    ),
    Key(
        section="sensing",
        option="speed",
        kind="number",
        default=1.0,
        bounds=f"{SPEED_MIN}..{SPEED_MAX} times real time",
        meaning=("How fast to play.",),
        check=_between(SPEED_MIN, SPEED_MAX, "times real time"),
    ),
    Key(
        section="sensing",
        option="offset_s",
        kind="number",
        default=0.0,
        bounds="0.0..86400.0 s",
        meaning=("Where in the recording to begin; up to five minutes before it teach the baseline.",),
        check=_between(0.0, 86_400.0, "s"),
    ),
    Key(
        section="sensing",
        option="loop",
        kind="switch",
        default=False,
        bounds="true or false",
        meaning=("Begin again at the end of the recording.",),
        check=_any,
    ),
    Key(
        section="context",
        option="setting",
        kind="text",
        default="plaza",
        bounds="plaza, lab, workplace or education",
        meaning=(
            "plaza: a public or private gathering. lab: a study with informed consent.",
            "workplace and education: the hub shows its person to that person only; sharing stays off.",
        ),
        check=_among("plaza", "lab", "workplace", "education"),
    ),
)
