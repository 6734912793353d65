"""``meshnode run``: settings, logging, then the daemon until a signal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import trio

from meshnode.cli.main import _load
from meshnode.config import HubConfig
from meshnode.daemon import Hub, RunOptions, run_until_signal
from meshnode.discovery.static import parse_port
from meshnode.observe import say, set_up_logging
from protocol.errors import ConfigError
from protocol.ids import short


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
        host, _, port = str(options["listen"]).rpartition(":")
        if not host:
            raise ConfigError(f"--listen {options['listen']}: give HOST:PORT, e.g. 0.0.0.0:0")
        out["listen.host"] = host.strip("[]")
        out["listen.port"] = 0 if port == "0" else parse_port(str(options["listen"]), port)
    if options["mesh"] is not None:
        out["mesh.name"] = options["mesh"]
    if options["secret_file"] is not None:
        out["mesh.admission"] = "invite"
        out["mesh.secret_file"] = str(options["secret_file"].absolute())
    if options["replay"] is not None:
        out["sensing.source"] = "replay"
        out["sensing.path"] = str(options["replay"].absolute())
    return out


def run_command(
    config_path: Path | None,
    state_dir: Path | None,
    *,
    lab: bool,
    with_parent: bool,
    as_json: bool,
    options: dict[str, Any],
) -> None:
    """Run until a signal; one JSON line on standard output when ready, if asked for."""
    config = _load(config_path, overrides_of(options, state_dir))
    set_up_logging(config.hub.log_format, config.hub.log_level)
    for notice in config.notices:
        say("notice", notice)

    async def on_ready(hub: Hub) -> None:
        _announce(hub, config, as_json=as_json)

    trio.run(run_until_signal, config, RunOptions(lab=lab, with_parent=with_parent), on_ready)


def _announce(hub: Hub, config: HubConfig, *, as_json: bool) -> None:
    where = ", ".join(f"{host}:{port}" for host, port in hub.addresses)
    author = hub.opened.identity.author
    say("ready", f"hub {short(author)} listens on {where}", author=author.hex(), port=hub.listen[1])
    if config.mesh.admission == "open":
        say("open", f"the mesh {config.mesh.name!r} is open: everybody who knows its name can read what is shared here")
    if as_json:
        click.echo(json.dumps({"ready": True, "author": author.hex(), "port": hub.listen[1]}))
