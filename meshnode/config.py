"""The hub's settings: one table of keys, read from TOML, the environment and the command line, in that order.

The file is ``$XDG_CONFIG_HOME/meshnode/config.toml`` (XDG Base Directory 0.8) unless another is named; each key can
be overridden by ``MESHNODE_<SECTION>_<KEY>``. Every value knows where it came from.
Invariants: an unknown key, a wrong type and a value out of range are errors that name the key, the bound and the
line; sharing is off unless it was turned on, and cannot be turned on at a workplace or in education.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from meshnode.config_keys import KEYS, SECTIONS, Key, Value, as_toml
from protocol.errors import ConfigError
from protocol.identity import Admission

Origins = Mapping[str, str]
ENVIRONMENT_PREFIX: Final = "MESHNODE_"
FILE_BYTES_MAX: Final = 1 << 20

_BY_NAME: Final = {key.name: key for key in KEYS}
_SWITCH: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_TYPES: Final = {"text": "a text", "integer": "an integer", "number": "a number", "switch": "true or false"}


@dataclass(frozen=True, slots=True)
class HubSection:
    """[hub]: the process."""

    state_dir: Path
    log_format: Literal["text", "json"]
    log_level: Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class MeshSection:
    """[mesh]: which crowd; ``name`` is Unicode NFC, empty if not given."""

    name: str
    admission: Admission
    secret_file: Path | None


@dataclass(frozen=True, slots=True)
class ListenSection:
    """[listen]: an IP literal and a TCP port, 0 for one that the system picks."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class PeersSection:
    """[peers]: written-down peers, each in the form of ``meshnode.discovery.static``, and the number of links."""

    static: tuple[str, ...]
    max_links: int


@dataclass(frozen=True, slots=True)
class DiscoverySection:
    """[discovery]: multicast DNS; ``interfaces`` are names or addresses, empty for all."""

    mdns: bool
    interfaces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShareSection:
    """[share]: the grant for the commons, what every admitted hub may read; times in milliseconds."""

    enabled: bool
    dimensions: tuple[str, ...]
    levels: int
    cadence_ms: int
    lease_ms: int
    relay: bool
    aggregate: bool
    record: bool


@dataclass(frozen=True, slots=True)
class SensingSection:
    """[sensing]: where signals come from."""

    source: Literal["none", "replay"]
    path: Path | None
    speed: float
    offset_s: float
    loop: bool


@dataclass(frozen=True, slots=True)
class ContextSection:
    """[context]: the setting the hub is used in."""

    setting: Literal["plaza", "lab", "workplace", "education"]


@dataclass(frozen=True, slots=True)
class HubConfig:
    """All settings, checked. ``origins`` maps ``section.key`` to where its value came from; ``notices`` are
    sentences that the person must see, because something was decided against the file."""

    hub: HubSection
    mesh: MeshSection
    listen: ListenSection
    peers: PeersSection
    discovery: DiscoverySection
    share: ShareSection
    sensing: SensingSection
    context: ContextSection
    origins: Origins = field(repr=False)
    notices: tuple[str, ...] = ()

    @property
    def self_only(self) -> bool:
        """Whether the setting forbids showing a person's emotions to anybody else."""
        return self.context.setting in ("workplace", "education")

    def require_mesh(self) -> None:
        """Check that a mesh is named, which only a running hub needs.

        Raises:
            ConfigError: neither ``mesh.name`` nor ``mesh.secret_file`` is set.
        """
        if not self.mesh.name and self.mesh.secret_file is None:
            raise ConfigError("mesh.name is empty: name the crowd to join (--mesh NAME, or mesh.name in the file)")

    def rows(self) -> tuple[tuple[str, str, str], ...]:
        """(key, value as TOML, origin) of every setting, in the order of the file; for ``config show``."""
        return tuple((key.name, as_toml(self.value(key)), self.origins[key.name]) for key in KEYS)

    def value(self, key: Key) -> Value:
        """The value of one key; a path that is not set is the empty text."""
        found = getattr(getattr(self, key.section), key.option)
        if found is None:
            return ""
        return str(found) if isinstance(found, Path) else found


@dataclass(frozen=True, slots=True)
class _Found:
    """A value, where it came from, and the directory that a relative path in it starts from."""

    value: Value
    origin: str
    base: Path


def load_config(
    path: Path | None = None,
    *,
    environ: Mapping[str, str],
    overrides: Mapping[str, Value] | None = None,
) -> HubConfig:
    """Read and check the settings. ``path`` None means the default file, which may be missing; ``overrides`` are
    the command line's, by ``section.key``.

    Raises:
        ConfigError: a named file is missing, or anything in file, environment or overrides is not as it should be.
    """
    chosen = default_config_path(environ) if path is None else path
    home = Path.cwd()
    found = {key.name: _Found(key.default, "default", home) for key in KEYS}
    if path is not None or chosen.exists():
        found.update(_from_file(chosen))
    found.update(_from_environment(environ, home))
    for name, value in (overrides or {}).items():
        key = _known(name, "command line")
        checked = _checked(key, _read(key, value, "command line"), "command line")
        found[name] = _Found(checked, "command line", home)
    if not found["hub.state_dir"].value:
        found["hub.state_dir"] = _Found(str(default_state_dir(environ)), "default", home)
    return _build(found)


def default_config_path(environ: Mapping[str, str]) -> Path:
    """Where the settings are if no file is named."""
    return _xdg(environ, "XDG_CONFIG_HOME", ".config") / "meshnode" / "config.toml"


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """Where keys and counters are if ``hub.state_dir`` is not set."""
    return _xdg(environ, "XDG_STATE_HOME", ".local/state") / "meshnode"


def write_default_config(path: Path) -> bool:
    """Write the commented default file if there is none; returns whether it did.

    Raises:
        ConfigError: the system refused.
    """
    try:
        if path.exists():
            return False
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("x", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(default_text())
    except OSError as fault:
        raise ConfigError(f"cannot write {path}: {fault.strerror or fault}") from fault
    return True


def default_text() -> str:
    """The commented default file: every key with its meaning, bounds and default, commented out."""
    lines = [
        "# Settings of this hub. Every key is shown with its default; remove the # to change it.",
        "# MESHNODE_<SECTION>_<KEY> in the environment overrides a key; `meshnode config show --origin` says which",
        "# value is in force and where it came from.",
    ]
    for section, meaning in SECTIONS.items():
        lines += ["", f"# {meaning}", f"[{section}]"]
        for key in KEYS:
            if key.section == section:
                lines += [f"# {sentence}" for sentence in (*key.meaning, f"{key.bounds}.")]
                lines.append(f"#{key.option} = {as_toml(key.default)}")
    return "\n".join(lines) + "\n"


def _build(found: Mapping[str, _Found]) -> HubConfig:
    sections: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for key in KEYS:
        item = found[key.name]
        sections[key.section][key.option] = _path(item) if key.is_path else item.value
    config = HubConfig(
        hub=HubSection(**sections["hub"]),
        mesh=MeshSection(**sections["mesh"]),
        listen=ListenSection(**sections["listen"]),
        peers=PeersSection(**sections["peers"]),
        discovery=DiscoverySection(**sections["discovery"]),
        share=ShareSection(**sections["share"]),
        sensing=SensingSection(**sections["sensing"]),
        context=ContextSection(**sections["context"]),
        origins={name: item.origin for name, item in found.items()},
    )
    _check_together(config)
    return _self_only(config) if config.self_only else config


def _check_together(config: HubConfig) -> None:
    """Rules between keys; each message names both."""
    mesh, share, sensing = config.mesh, config.share, config.sensing
    if mesh.admission == "invite" and mesh.secret_file is None:
        raise ConfigError('mesh.secret_file is missing: mesh.admission = "invite" needs the secret you were given')
    if mesh.admission == "open" and mesh.secret_file is not None:
        raise ConfigError('mesh.secret_file is set, but only mesh.admission = "invite" uses a secret')
    if share.lease_ms < share.cadence_ms:
        raise ConfigError(
            f"share.lease_ms = {share.lease_ms} must be at least share.cadence_ms = {share.cadence_ms}, or every "
            "value ends before the next"
        )
    if share.enabled and not share.dimensions:
        raise ConfigError("share.dimensions is empty while share.enabled = true: name what to share, or turn it off")
    if sensing.source == "replay" and sensing.path is None:
        raise ConfigError('sensing.path is missing: sensing.source = "replay" needs a recording')


def _self_only(config: HubConfig) -> HubConfig:
    setting = config.context.setting
    notice = (
        f'context.setting = "{setting}": this hub shows its person to nobody; sharing is off whatever [share] says.'
    )
    return replace(
        config,
        share=replace(config.share, enabled=False),
        origins={**config.origins, "share.enabled": f"forced by context.setting = {setting}"},
        notices=(*config.notices, notice),
    )


def _from_file(path: Path) -> dict[str, _Found]:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise ConfigError(f"{path} is larger than {FILE_BYTES_MAX} bytes")
        text = data.decode("utf-8")
        tables = tomllib.loads(text)
    except OSError as fault:
        raise ConfigError(f"cannot read {path}: {fault.strerror or fault}") from fault
    except (ValueError, RecursionError) as fault:  # also UnicodeDecodeError and integers of 5,000 digits
        raise ConfigError(f"{path} is not valid TOML: {fault}") from fault
    found: dict[str, _Found] = {}
    for section, table in tables.items():
        where = _place(path, text, section, None)
        if section not in SECTIONS:
            raise ConfigError(f"{where}: there is no section [{section}]{_meant(section, SECTIONS)}")
        if not isinstance(table, dict):
            raise ConfigError(f"{where}: {section} must be a section, written [{section}]")
        for option, value in table.items():
            where = _place(path, text, section, option)
            key = _known(f"{section}.{option}", where)
            found[key.name] = _Found(_checked(key, _typed(key, value, where), where), where, path.resolve().parent)
    return found


def _from_environment(environ: Mapping[str, str], base: Path) -> dict[str, _Found]:
    names = {f"{ENVIRONMENT_PREFIX}{key.section}_{key.option}".upper(): key for key in KEYS}
    sections = tuple(f"{ENVIRONMENT_PREFIX}{section}_".upper() for section in SECTIONS)
    found: dict[str, _Found] = {}
    for variable in sorted(environ):
        where = f"environment {variable}"
        if variable in names:
            key = names[variable]
            found[key.name] = _Found(_checked(key, _read(key, environ[variable], where), where), where, base)
        elif variable.startswith(sections):
            raise ConfigError(f"{where}: there is no such key{_meant(variable, names)}")
    return found


def _known(name: str, where: str) -> Key:
    key = _BY_NAME.get(name)
    if key is None:
        raise ConfigError(f"{where}: there is no key {name}{_meant(name, _BY_NAME)}")
    return key


def _typed(key: Key, value: object, where: str) -> Value:
    """A TOML value of the key's type."""
    if key.kind == "list":
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise ConfigError(f"{where}: {key.name} must be a list of texts")
    kinds: dict[str, tuple[type, ...]] = {"text": (str,), "integer": (int,), "number": (int, float), "switch": (bool,)}
    if isinstance(value, (str, int, float)) and type(value) in kinds[key.kind]:
        return float(value) if key.kind == "number" else value
    raise ConfigError(f"{where}: {key.name} must be {_TYPES[key.kind]}")


def _read(key: Key, value: Value, where: str) -> Value:
    """A value given as text (environment, command line), lists separated by commas."""
    if not isinstance(value, str):
        return _typed(key, list(value) if isinstance(value, tuple) else value, where)
    if key.kind == "list":
        return tuple(part.strip() for part in value.split(",") if part.strip())
    try:
        if key.kind == "integer":
            return int(value, 10)
        if key.kind == "number":
            return float(value)
        return value if key.kind == "text" else _SWITCH[value.strip().lower()]
    except (ValueError, KeyError) as fault:
        raise ConfigError(f"{where}: {key.name} must be {_TYPES[key.kind]}") from fault


def _checked(key: Key, value: Value, where: str) -> Value:
    try:
        return key.check(value)
    except ConfigError as fault:
        raise ConfigError(f"{where}: {key.name} = {as_toml(value)}: {fault}") from fault


def _path(item: _Found) -> Path | None:
    if not item.value:
        return None
    try:
        return item.base / Path(str(item.value)).expanduser()
    except RuntimeError as fault:
        raise ConfigError(f"{item.origin}: the home directory of {item.value} is not known") from fault


def _xdg(environ: Mapping[str, str], variable: str, fallback: str) -> Path:
    """An XDG base directory; a relative one is ignored, as the specification asks."""
    named = environ.get(variable, "")
    if os.path.isabs(named):
        return Path(named)
    home = environ.get("HOME", "")
    if os.path.isabs(home):
        return Path(home) / fallback
    raise ConfigError(f"neither {variable} nor HOME names a directory")


def _place(path: Path, text: str, section: str, option: str | None) -> str:
    """``path:line`` of a section or key if it stands there in the usual form, else ``path``."""
    inside = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line)
        if header is not None:
            inside = header[1]
        elif option is not None and inside == section and re.match(rf"\s*['\"]?{re.escape(option)}['\"]?\s*=", line):
            return f"{path}:{number}"
        if option is None and (inside == section or re.match(rf'\s*"?{re.escape(section)}"?\s*[.=]', line)):
            return f"{path}:{number}"
    return str(path)


def _meant(word: str, words: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(word, words, n=1)
    return f"; did you mean {close[0]}?" if close else ""
