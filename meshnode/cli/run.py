"""``meshnode run``: settings, logging, then the daemon until a signal."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Any

import click
import trio

from meshnode.cli.options import load
from meshnode.config import HubConfig
from meshnode.daemon import Hub, RunOptions, run_until_signal
from meshnode.discovery.static import PORT_MAX
from meshnode.observe import say, set_up_logging
from protocol.errors import ConfigError
from protocol.ids import short

SHOWN_CHARS_MAX = 120


def overrides_of(options: dict[str, Any], state_dir: Path | None) -> dict[str, Any]:
    """The command line's options as settings."""
    out: dict[str, Any] = {
        "hub.state_dir": None if state_dir is None else str(state_dir),
        "hub.log_format": options["log_format"],
        "hub.log_level": options["log_level"],
        "peers.static": list(options["peers"]) or None,
        "peers.max_links": options["max_links"],
        "discovery.mdns": options["mdns"],
        "discovery.interfaces": list(options["interfaces"]) or None,
        "share.enabled": options["share"],
        "share.cadence_ms": options["cadence_ms"],
        "sensing.speed": options["speed"],
        "sensing.offset_s": options["offset_s"],
    }
    if options["listen"] is not None:
        out["listen.host"], out["listen.port"] = _parse_listen(str(options["listen"]))
    if options["mesh"] is not None:
        out["mesh.name"] = options["mesh"]
    if options["secret_file"] is not None:
        out["mesh.admission"] = "invite"
        out["mesh.secret_file"] = str(options["secret_file"].absolute())
    if options["replay"] is not None:
        out["sensing.source"] = "replay"
        out["sensing.path"] = str(options["replay"].absolute())
    return out


def _parse_listen(text: str) -> tuple[str, int]:
    """The address of ``--listen``; the same rules as for ``listen.host`` and ``listen.port``, but it names the option.

    Raises:
        ConfigError: another form, no IP address, or a port out of range.
    """
    shown = f"--listen {text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 1] + '…'}"
    host, _, port = text.rpartition(":")
    if not host:
        raise ConfigError(f"{shown}: give HOST:PORT, e.g. 0.0.0.0:0")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= PORT_MAX):
        raise ConfigError(f"{shown}: the port must be a number from 0 to {PORT_MAX}; 0 lets the system pick")
    try:
        return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))), int(port)
    except ValueError as fault:
        raise ConfigError(f"{shown}: the host must be an IP address; 0.0.0.0 is every IPv4 address") from fault


def run_command(
    config_path: Path | None,
    state_dir: Path | None,
    *,
    lab: bool,
    with_parent: bool,
    as_json: bool,
    options: dict[str, Any],
) -> None:
    """Run until a signal; one JSON line on standard output when ready, if asked for.

    Everything that the person should know is said once the hub is ready: a run that fails says what is wrong, alone.
    """
    config = load(config_path, overrides_of(options, state_dir))
    set_up_logging(config.hub.log_format, config.hub.log_level)

    async def on_ready(hub: Hub) -> None:
        _announce(hub, config, as_json=as_json)

    trio.run(run_until_signal, config, RunOptions(lab=lab, with_parent=with_parent), on_ready)


def _announce(hub: Hub, config: HubConfig, *, as_json: bool) -> None:
    where = ", ".join(f"{host}:{port}" for host, port in hub.addresses)
    author = hub.opened.identity.author
    say("ready", f"hub {short(author)} listens on {where}", author=author.hex(), port=hub.listen[1])
    for notice in config.notices:
        say("notice", notice)
    next_key = hub.opened.next_key
    if next_key is not None:
        say("next-key", f"the key that can replace this hub's is in {next_key}: move it off this machine")
    if config.mesh.admission == "open":
        say("open", f"the mesh {config.mesh.name!r} is open: everybody who knows its name can read what is shared here")
    if as_json:
        click.echo(json.dumps({"ready": True, "author": author.hex(), "port": hub.listen[1]}))
