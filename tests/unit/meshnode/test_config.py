"""Settings: where they come from, what is refused and how it is said."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.config import HubConfig, default_config_path, default_text, load_config, write_default_config
from meshnode.config_keys import KEYS, SECTIONS, Value, as_toml
from protocol.errors import ConfigError

ENV = {"HOME": "/home/ada"}
Load = Callable[..., HubConfig]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a file of the given text, with an environment and a command line."""

    def loader(text: str = "", env: dict[str, str] | None = None, **overrides: Value) -> HubConfig:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        named = {name.replace("__", "."): value for name, value in overrides.items()}
        return load_config(path, environ={**ENV, **(env or {})}, overrides=named)

    return loader


def test_without_a_file_everything_is_the_default_and_sharing_is_off(tmp_path: Path) -> None:
    config = load_config(environ={"HOME": str(tmp_path)})
    assert config.hub.state_dir == tmp_path / ".local/state/meshnode"
    assert not config.share.enabled
    assert config.share.dimensions == ("arousal",)
    assert not config.share.record
    assert config.mesh.name == ""
    assert config.notices == ()
    assert set(config.origins.values()) == {"default"}


def test_the_sections_of_the_table_are_those_of_the_config_and_hold_the_same_keys(load: Load) -> None:
    config = load()
    assert [section for section in SECTIONS if hasattr(config, section)] == list(SECTIONS)
    for section in SECTIONS:
        listed = [key.option for key in KEYS if key.section == section]
        assert [field.name for field in fields(getattr(config, section))] == listed


def test_every_default_is_allowed_and_the_default_file_says_so() -> None:
    table = tomllib.loads(
        "\n".join(line.removeprefix("#") if line[:2] != "# " else "" for line in default_text().split("\n"))
    )
    for key in KEYS:
        assert key.check(key.default) == key.default
        value = table[key.section][key.option]
        assert (tuple(value) if isinstance(value, list) else value) == key.default


def test_the_default_file_changes_nothing(load: Load) -> None:
    assert load(default_text()).rows() == load().rows()


def test_the_documentation_names_every_key_its_default_its_bounds_and_the_default_file() -> None:
    page = (Path(__file__).parents[3] / "docs" / "config.md").read_text(encoding="utf-8")
    for key in KEYS:
        assert f"| `{key.name}` | `{as_toml(key.default)}` | {key.bounds} | {' '.join(key.meaning)} |" in page
    assert f"```toml\n{default_text()}```" in page


FULL = """
[hub]
state_dir = "state"
log_format = "json"
log_level = "debug"
[mesh]
name = "plaza 7"
admission = "invite"
secret_file = "/keys/mesh"
[listen]
host = "0:0::"
port = 7000
[peers]
static = ["10.0.0.7:7000", "[fd00::7]:7000"]
max_links = 16
[discovery]
mdns = false
interfaces = ["wlan0", "FD00::1"]
[share]
enabled = true
dimensions = ["arousal", "heart_rate"]
levels = 0
cadence_ms = 100
lease_ms = 1000
relay = false
aggregate = false
record = true
[sensing]
source = "replay"
path = "data/ada"
speed = 10
loop = true
[context]
setting = "lab"
"""


def test_every_key_of_a_file_arrives_and_relative_paths_start_at_the_file(load: Load, tmp_path: Path) -> None:
    config = load(FULL)
    assert config.hub.state_dir == tmp_path / "state"
    assert (config.hub.log_format, config.hub.log_level) == ("json", "debug")
    assert (config.mesh.name, config.mesh.admission, config.mesh.secret_file) == (
        "plaza 7",
        "invite",
        Path("/keys/mesh"),
    )
    assert (config.listen.host, config.listen.port) == ("::", 7000)
    assert (config.peers.static, config.peers.max_links) == (("10.0.0.7:7000", "[fd00::7]:7000"), 16)
    assert (config.discovery.mdns, config.discovery.interfaces) == (False, ("wlan0", "fd00::1"))
    share = config.share
    assert (share.enabled, share.dimensions, share.levels) == (True, ("arousal", "heart_rate"), 0)
    assert (share.cadence_ms, share.lease_ms, share.relay, share.aggregate, share.record) == (
        100,
        1000,
        False,
        False,
        True,
    )
    assert config.sensing.path == tmp_path / "data/ada"
    assert (config.sensing.source, config.sensing.speed, config.sensing.loop) == ("replay", 10.0, True)
    assert config.context.setting == "lab"


def test_the_command_line_wins_over_the_environment_over_the_file_over_the_default(load: Load, tmp_path: Path) -> None:
    text = "[listen]\nport = 1\nhost = '10.0.0.1'\n[peers]\nmax_links = 5\n"
    env = {"MESHNODE_LISTEN_PORT": "2", "MESHNODE_PEERS_MAX_LINKS": "6"}
    config = load(text, env, listen__port=3)
    assert (config.listen.port, config.peers.max_links, config.listen.host) == (3, 6, "10.0.0.1")
    origins = {key: config.origins[key] for key in ("listen.port", "peers.max_links", "listen.host", "mesh.name")}
    assert origins == {
        "listen.port": "command line",
        "peers.max_links": "environment MESHNODE_PEERS_MAX_LINKS",
        "listen.host": f"{tmp_path / 'config.toml'}:3",
        "mesh.name": "default",
    }


def test_rows_show_every_key_with_its_value_as_toml_and_its_origin(load: Load) -> None:
    rows = {key: (value, origin) for key, value, origin in load('[mesh]\nname = "a\\"b"\n').rows()}
    assert list(rows) == [key.name for key in KEYS]
    assert rows["mesh.name"][0] == '"a\\"b"'
    assert rows["share.dimensions"] == ('["arousal"]', "default")
    assert rows["sensing.path"] == ('""', "default")


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("MESHNODE_SHARE_ENABLED", "Yes", "share.enabled", "true"),
        ("MESHNODE_SHARE_RELAY", "0", "share.relay", "false"),
        ("MESHNODE_SHARE_DIMENSIONS", "arousal, valence,", "share.dimensions", '["arousal", "valence"]'),
        ("MESHNODE_PEERS_STATIC", "", "peers.static", "[]"),
        ("MESHNODE_SENSING_SPEED", "2.5", "sensing.speed", "2.5"),
        ("MESHNODE_MESH_NAME", "true", "mesh.name", '"true"'),
    ],
)
def test_the_environment_is_read_by_the_type_of_the_key(
    load: Load, variable: str, text: str, key: str, value: str
) -> None:
    assert (key, value, f"environment {variable}") in load("", {variable: text}).rows()


def test_other_variables_of_ours_are_left_alone(load: Load) -> None:
    load("", {"MESHNODE_COLOUR": "1", "PATH": "/bin"})


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("[listen]\n\nport = 70000", 3, "listen.port = 70000: must be 0..65535"),
        ("[listen]\nport = -1", 2, "must be 0..65535"),
        ("[listen]\nport = true", 2, "listen.port must be an integer"),
        ("[listen]\nport = 1.0", 2, "listen.port must be an integer"),
        ("[listen]\nport = '1'", 2, "listen.port must be an integer"),
        ("[listen]\nhost = 'localhost'", 2, "must be an IP address"),
        ("[share]\nenabled = 1", 2, "share.enabled must be true or false"),
        ("[share]\nlevels = 1", 2, "share.levels = 1: must be 2..65535 steps or 0"),
        ("[share]\nlevels = 65536", 2, "must be 2..65535 steps or 0"),
        ("[share]\ncadence_ms = 99", 2, "must be 100..60000 ms"),
        ("[share]\nlease_ms = 60001", 2, "must be 1000..60000 ms"),
        ("[share]\ndimensions = ['mood']", 2, "'mood' is not a dimension; known are arousal, valence"),
        ("[share]\ndimensions = ['arousal', 'arousal']", 2, "each once"),
        ("[share]\ndimensions = 'arousal'", 2, "share.dimensions must be a list of texts"),
        ("[share]\ndimensions = [1]", 2, "must be a list of texts"),
        ("[peers]\nmax_links = 3", 2, "must be 4..16 links"),
        ("[peers]\nmax_links = 17", 2, "must be 4..16 links"),
        ("[peers]\nstatic = ['10.0.0.7']", 2, "peer '10.0.0.7': expected HOST:PORT"),
        ("[discovery]\ninterfaces = ['no such/name']", 2, "neither an IP address nor an interface name"),
        ("[sensing]\nspeed = 0", 2, "must be 0.1..1000.0 times real time"),
        ("[sensing]\nspeed = nan", 2, "must be 0.1..1000.0"),
        ("[sensing]\nspeed = inf", 2, "must be 0.1..1000.0"),
        ("[sensing]\nsource = 'ble'", 2, "must be one of none, replay"),
        ("[context]\nsetting = 'bar'", 2, "must be one of plaza, lab, workplace, education"),
        ('[mesh]\nname = "a\\u0007"', 2, "printable"),
        ("[mesh]\nname = ' a'", 2, "no space at its ends"),
        (f"[mesh]\nname = '{'é' * 65}'", 2, "at most 64"),
        ("[hub]\n'log_level' = 'all'", 2, "must be one of debug"),
        ("[mesh]\nnmae = 'x'", 2, "there is no key mesh.nmae; did you mean mesh.name?"),
        ("\n[shared]\nx = 1", 2, "there is no section [shared]; did you mean share?"),
        ("name = 'x'", 1, "there is no section [name]"),
        ("mesh = 'x'", 1, "mesh must be a section, written [mesh]"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_line_its_key_and_the_bound(
    load: Load, tmp_path: Path, text: str, line: int, why: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'config.toml'}:{line}: ")
    assert why in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("env", "why"),
    [
        ({"MESHNODE_LISTEN_PORT": "70000"}, "environment MESHNODE_LISTEN_PORT: listen.port = 70000: must be 0..65535"),
        ({"MESHNODE_LISTEN_PORT": "many"}, "environment MESHNODE_LISTEN_PORT: listen.port must be an integer"),
        ({"MESHNODE_LISTEN_PORT": "9" * 5_000}, "must be an integer"),
        ({"MESHNODE_SHARE_ENABLED": "maybe"}, "share.enabled must be true or false"),
        ({"MESHNODE_SENSING_SPEED": "fast"}, "sensing.speed must be a number"),
        ({"MESHNODE_LISTEN_PROT": "1"}, "there is no such key; did you mean MESHNODE_LISTEN_PORT?"),
    ],
)
def test_a_wrong_variable_is_refused_by_name(load: Load, env: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load("", env)
    assert why in str(caught.value)


def test_a_wrong_command_line_is_refused_by_key(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"command line: listen.port = 70000: must be 0..65535"):
        load("", None, listen__port=70_000)
    with pytest.raises(ConfigError, match=r"command line: there is no key listen.prot"):
        load("", None, listen__prot=1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[mesh]\nadmission = 'invite'", "mesh.secret_file is missing"),
        ("[mesh]\nsecret_file = 'x'", "only mesh.admission"),
        ("[share]\ncadence_ms = 30000", "share.lease_ms = 15000 must be at least share.cadence_ms = 30000"),
        ("[share]\nenabled = true\ndimensions = []", "share.dimensions is empty"),
        ("[sensing]\nsource = 'replay'", "sensing.path is missing"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused_with_both_names(load: Load, text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        load(text)


@pytest.mark.parametrize("setting", ["workplace", "education"])
def test_at_work_and_in_education_sharing_is_off_whatever_anybody_sets_and_it_says_so(load: Load, setting: str) -> None:
    env = {"MESHNODE_SHARE_ENABLED": "true"}
    config = load(f"[share]\nenabled = true\n[context]\nsetting = '{setting}'", env, share__enabled=True)
    assert config.self_only
    assert not config.share.enabled
    assert config.origins["share.enabled"] == f"forced by context.setting = {setting}"
    (notice,) = config.notices
    assert setting in notice
    assert "sharing is off" in notice


@pytest.mark.parametrize("setting", ["plaza", "lab"])
def test_elsewhere_sharing_is_what_the_person_set(load: Load, setting: str) -> None:
    config = load(f"[share]\nenabled = true\n[context]\nsetting = '{setting}'")
    assert config.share.enabled
    assert not config.self_only
    assert config.notices == ()


def test_the_name_of_a_mesh_does_not_depend_on_how_its_accents_were_typed(load: Load) -> None:
    assert load("[mesh]\nname = 'cafe\u0301'").mesh.name == load("[mesh]\nname = 'caf\u00e9'").mesh.name == "caf\u00e9"


def test_a_hub_that_runs_needs_a_mesh(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"mesh.name is empty"):
        load().require_mesh()
    load("[mesh]\nname = 'plaza'").require_mesh()
    load("[mesh]\nadmission = 'invite'\nsecret_file = 's'").require_mesh()


@pytest.mark.parametrize(
    "content", [b"[mesh", b"\xff\xfe", b"a = " + b"9" * 5_000, b"a = " + b"[" * 5_000, b"a=1\na=1"]
)
def test_a_file_that_is_not_toml_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is not valid TOML") as caught:
        load_config(path, environ=ENV)
    assert str(path) in str(caught.value)


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(ConfigError, match="larger than"):
        load_config(path, environ=ENV)


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*: No such file"):
        load_config(tmp_path / "none.toml", environ=ENV)


def test_the_default_file_is_found_by_the_xdg_rules() -> None:
    assert default_config_path({"HOME": "/home/ada"}) == Path("/home/ada/.config/meshnode/config.toml")
    assert default_config_path({"HOME": "/h", "XDG_CONFIG_HOME": "/x"}) == Path("/x/meshnode/config.toml")
    assert default_config_path({"HOME": "/h", "XDG_CONFIG_HOME": "rel"}) == Path("/h/.config/meshnode/config.toml")
    with pytest.raises(ConfigError, match="neither XDG_CONFIG_HOME nor HOME"):
        default_config_path({})


def test_the_state_directory_follows_xdg_unless_it_is_set(load: Load) -> None:
    assert load("", {"XDG_STATE_HOME": "/x"}).hub.state_dir == Path("/x/meshnode")
    assert load("[hub]\nstate_dir = ''").hub.state_dir == Path("/home/ada/.local/state/meshnode")
    assert load("[hub]\nstate_dir = '/s'").hub.state_dir == Path("/s")


def test_the_default_file_is_written_once_for_us_alone_and_then_left(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.toml"
    assert write_default_config(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text(encoding="utf-8") == default_text()
    path.write_text("[mesh]\n")
    assert not write_default_config(path)
    assert path.read_text() == "[mesh]\n"


def test_a_place_where_nothing_can_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="cannot write"):
        write_default_config(tmp_path / "file" / "config.toml")


SCALARS = st.one_of(st.integers(), st.floats(), st.booleans(), st.text(max_size=9), st.tuples(st.text(max_size=9)))


@given(st.sampled_from(KEYS), SCALARS)
def test_any_value_of_any_key_is_accepted_or_a_config_error(key: object, value: Value) -> None:
    name = getattr(key, "name", "")
    try:
        config = load_config(environ=ENV, overrides={name: value})
    except ConfigError:
        return
    assert config.origins[name] == "command line" or (name == "hub.state_dir" and value == "")
