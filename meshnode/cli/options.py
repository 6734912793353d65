"""The options that every command has, and what they mean."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from meshnode.config import HubConfig

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
CONFIG = click.option(
    "--config", "config_path", type=click.Path(path_type=Path), help="Settings file (default: the XDG place)."
)
STATE = click.option(
    "--state-dir", type=click.Path(path_type=Path), help="Where the hub keeps its keys (default: from the settings)."
)


def load(config_path: Path | None, overrides: dict[str, Any]) -> HubConfig:
    """The settings, with what the command line says above them.

    Raises:
        ConfigError: a setting is wrong; names it.
    """
    from meshnode.config import load_config

    given = {key: value for key, value in overrides.items() if value not in (None, ())}
    return load_config(config_path, environ=os.environ, overrides=given)


def state_dir_of(config_path: Path | None, state_dir: Path | None) -> Path:
    """Where the hub in question keeps its state."""
    if state_dir is not None:
        return state_dir
    return load(config_path, {}).hub.state_dir
