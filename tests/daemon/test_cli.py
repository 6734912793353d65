"""What a person types, as real processes: answers, exit codes, and one clear line when something is wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio

from meshnode.entropy import entropy
from meshnode.sensing.excerpts import list_people
from tests.daemon.processes import LOCAL, MESHNODE, Ended, Running, end, environ, meshnode, running
from tests.daemon.rig import mesh_name
from tests.daemon.test_control import STATUS, misshapen

pytestmark = pytest.mark.usefixtures("nothing_left")

CONFIG_WRONG = 2
NOT_RUNNING = 3


def is_one_clear_line(ended: Ended, *parts: str) -> None:
    """One line that names what is wrong; nothing on standard output, no traceback."""
    assert ended.out == ""
    assert len(ended.lines) == 1, ended.err
    assert 20 < len(ended.lines[0]) < 300
    assert "Traceback" not in ended.err
    for part in parts:
        assert part in ended.err, ended.err


@asynccontextmanager
async def a_pair(folder: Path) -> AsyncIterator[tuple[Running, Running]]:
    """Two linked hubs as processes; the first replays a person."""
    mesh = mesh_name()
    person = list_people()[0]
    share = ("--share", "--cadence-ms", "200")
    async with running(folder, "one", "--mesh", mesh, *LOCAL, *share, "--replay", str(person.path)) as one:
        peer = ("--peer", f"127.0.0.1:{one.port}")
        async with running(folder, "other", "--mesh", mesh, *LOCAL, *share, *peer) as other:
            await one.until(lambda status: len(status["authors"]) == 2 and status["links"][0]["state"] == "open")
            yield one, other


async def test_the_verbs_that_ask_a_running_hub(tmp_path: Path) -> None:
    async with a_pair(tmp_path) as (one, other):
        state = ("--state-dir", str(one.state))
        status = await meshnode(tmp_path, "status", "--json", *state)
        assert (status.code, status.err) == (0, "")
        assert misshapen(status.json(), STATUS) == []
        assert status.json()["author"] == one.author
        text = await meshnode(tmp_path, "status", *state)
        assert (text.code, text.err) == (0, "")
        assert one.author[:10] in text.out
        assert "everybody who knows the name of this mesh" in text.out
        peers = await meshnode(tmp_path, "peers", "--json", *state)
        assert peers.code == 0
        assert [link["peer"] for link in peers.json()["links"]] == [other.author]
        assert set(peers.json()) == {"links", "exiles", "overlay", "opinions", "known_peers", "mdns"}
        text = await meshnode(tmp_path, "peers", *state)
        assert text.code == 0
        assert other.author[:10] in text.out
        watch = await meshnode(tmp_path, "watch", "--json", "--count", "3", "--every", "0.1", *state)
        assert watch.code == 0
        pictures = [json.loads(line) for line in watch.out.splitlines()]
        assert [picture["author"] for picture in pictures] == [one.author] * 3
        assert pictures[0]["up_s"] < pictures[1]["up_s"] < pictures[2]["up_s"]
        assert {hub["author"]: hub["where"] for hub in pictures[2]["hubs"]} == {
            one.author: "self",
            other.author: "neighbor",
        }
        text = await meshnode(tmp_path, "watch", "--once", *state)
        assert (text.code, text.err) == (0, "")
        assert f"(a) {other.author[:10]}" in text.out
        assert "\x1b" not in text.out  # nobody looks at a pipe
        identity = await meshnode(tmp_path, "identity", "--json", *state)
        assert identity.code == 0
        assert [line["author"] for line in identity.json()["identities"]] == [one.author]
        text = await meshnode(tmp_path, "identity", *state)
        assert text.code == 0
        assert text.out.startswith(one.author)


async def test_what_is_logged_for_machines_is_one_object_a_line(tmp_path: Path) -> None:
    async with running(tmp_path, "one", "--mesh", mesh_name(), *LOCAL, "--log-format", "json") as one:
        assert await one.stop() == 0
        lines = [json.loads(line) for line in one.log.read_text().splitlines()]
        assert {"ready", "open", "next-key", "stop"} <= {line["event"] for line in lines}
        for line in lines:
            assert {"utc_ms", "level", "event", "message"} <= set(line)


async def test_the_next_key_is_told_of_at_every_start_until_it_was_moved_away(tmp_path: Path) -> None:
    failed = await meshnode(tmp_path, *TO, "192.0.2.1:7000", "--state-dir", "one")  # has made the identity
    assert failed.code == CONFIG_WRONG
    (exported,) = tmp_path.glob("one-next-key-*.secret")
    for there in (True, True, False):
        if not there:
            exported.unlink()
        async with running(tmp_path, "one", "--mesh", "anything", *LOCAL) as one:
            assert await one.stop() == 0
        assert (f"{exported}: move it off this machine" in one.log.read_text()) is there
        one.log.unlink()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_hub_leaves_on_a_signal_with_status_0(tmp_path: Path, number: signal.Signals) -> None:
    async with running(tmp_path, "one", "--mesh", mesh_name(), *LOCAL) as one:
        os.kill(one.pid, number)
        with trio.fail_after(5):
            assert await one.process.wait() == 0
        assert not (one.state / "control.sock").exists()
        assert "Traceback" not in one.log.read_text()


async def test_a_hub_that_was_killed_leaves_a_socket_that_answers_nobody(tmp_path: Path) -> None:
    async with running(tmp_path, "one", "--mesh", mesh_name(), *LOCAL) as one:
        before = await one.status()
        await one.kill()
        assert (one.state / "control.sock").exists()
        ended = await meshnode(tmp_path, "status", "--state-dir", str(one.state))
        assert ended.code == NOT_RUNNING
        is_one_clear_line(ended, "no hub is running", str(one.state))
    async with running(tmp_path, "one", "--mesh", mesh_name(), *LOCAL) as again:
        assert (await again.status())["boot"] > before["boot"]


async def test_watch_ends_quietly_when_it_is_interrupted_or_nobody_reads_on(tmp_path: Path) -> None:
    async with running(tmp_path, "one", "--mesh", mesh_name(), *LOCAL) as one:
        command = [*MESHNODE, "watch", "--json", "--every", "0.1", "--state-dir", str(one.state)]
        for ending in ("interrupt", "hang up"):
            with (tmp_path / "err").open("w+b") as err:
                process = await trio.lowlevel.open_process(
                    command, stdout=subprocess.PIPE, stderr=err, env=environ(tmp_path)
                )
                assert process.stdout is not None
                try:
                    with trio.fail_after(10):
                        assert await process.stdout.receive_some(64)
                        if ending == "interrupt":
                            process.send_signal(signal.SIGINT)
                        else:
                            await process.stdout.aclose()
                        code = await process.wait()
                finally:
                    with trio.CancelScope(shield=True):
                        await end(process)
                        await process.stdout.aclose()
                err.seek(0)
                assert b"Traceback" not in err.read()
                assert code in ((0,) if ending == "interrupt" else (0, 1))


ON = ("run", "--mesh", "anything", "--no-mdns", "--listen", "127.0.0.1:0")
TO = ON[:-1]


@dataclass(frozen=True)
class Wrong:
    """A command, changes of the environment, and what the line must name."""

    command: tuple[str, ...]
    names: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)


WORKPLACE = {"MESHNODE_CONTEXT_SETTING": "workplace"}
WRONG = {
    "no mesh": Wrong(("run",), ("mesh.name", "--mesh")),
    "a mesh without a name": Wrong(("run", "--mesh", ""), ("mesh.name",)),
    "a missing config": Wrong(("run", "--config", "nowhere.toml"), ("nowhere.toml", "No such file")),
    "a broken config": Wrong(("run", "--config", "broken.toml"), ("broken.toml", "not valid TOML", "line 1")),
    "a broken config, shown": Wrong(("config", "show", "--config", "broken.toml"), ("broken.toml", "not valid TOML")),
    "a key that is none": Wrong(("run", "--config", "unknown.toml"), ("unknown.toml:2", "mesh.nam", "mesh.name?")),
    "a variable that is none": Wrong(ON, ("MESHNODE_MESH_NAMES", "MESHNODE_MESH_NAME?"), {"MESHNODE_MESH_NAMES": "x"}),
    "a value out of range": Wrong((*ON, "--cadence-ms", "1"), ("share.cadence_ms = 1", "100..60000")),
    "a peer that is none": Wrong((*ON, "--peer", "nonsense"), ("nonsense", "HOST:PORT")),
    "an address that is none": Wrong((*TO, "nonsense"), ("--listen nonsense", "HOST:PORT")),
    "a name instead of an address": Wrong((*TO, "hub.local:0"), ("--listen hub.local:0", "IP address")),
    "a port out of range": Wrong((*TO, "127.0.0.1:99999"), ("--listen 127.0.0.1:99999", "from 0 to 65535")),
    "a port of the file out of range": Wrong(("run", "--config", "port.toml"), ("port.toml:2", "listen.port = 99999")),
    "a port of the environment": Wrong(ON[:-2], ("MESHNODE_LISTEN_PORT", "listen.port"), {"MESHNODE_LISTEN_PORT": "x"}),
    "an address of somebody else": Wrong((*TO, "192.0.2.1:7000"), ("cannot listen on 192.0.2.1:7000",)),
    "a missing recording": Wrong((*ON, "--replay", "nowhere"), ("nowhere", "no such file")),
    "a folder that is no recording": Wrong((*ON, "--replay", "."), ("recording /", "is missing")),
    "a workplace and a missing recording": Wrong((*ON, "--replay", "nowhere"), ("no such file",), WORKPLACE),
    "a state directory too long for its socket": Wrong((*ON, "--state-dir", "d" * 100), ("107 bytes", "hub.state_dir")),
    "a missing secret": Wrong(("run", "--secret-file", "nowhere"), ("mesh.secret_file", "does not exist")),
    "a secret that others can read": Wrong(("run", "--secret-file", "exposed"), ("mesh.secret_file", "chmod 600")),
    "a home that cannot be written": Wrong(ON, ("/proc", "state directory"), {"HOME": "/proc"}),
    "no home at all": Wrong(ON, ("HOME",), {"HOME": ""}),
    "a state directory under a file": Wrong((*ON, "--state-dir", "broken.toml/state"), ("broken.toml/state",)),
    "a settings place that cannot be": Wrong(("config", "init"), ("/proc/x",), {"XDG_CONFIG_HOME": "/proc/x"}),
}


MISUSED = {
    "a verb that is none": ("frobnicate",),
    "an option that is none": ("run", "--frob"),
    "a number out of range": ("watch", "--every", "1000"),
    "a shell that is none": ("completion", "tcsh"),
}
HELPED = {"help": ("--help",), "help for run": ("run", "--help"), "help for demo": ("demo", "--help")}
SHELLS = {f"completion for {shell}": ("completion", shell) for shell in ("bash", "zsh", "fish")}
ALONE = {
    "status": ("status",),
    "status in JSON": ("status", "--json"),
    "peers": ("peers",),
    "watch": ("watch", "--once"),
}


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """How every command ended that needs no hub and nothing of another command: all run once, two at a time."""
    ended: dict[str, Ended] = {}
    turn = trio.CapacityLimiter(2)

    async def one(name: str, command: tuple[str, ...], env: dict[str, str]) -> None:
        folder = tmp_path_factory.mktemp("cli")
        (folder / "broken.toml").write_text("[mesh\n")
        (folder / "unknown.toml").write_text('[mesh]\nnam = "x"\n')
        (folder / "port.toml").write_text("[listen]\nport = 99999\n")
        (folder / "exposed").write_text(entropy(32).hex() + "\n")
        (folder / "exposed").chmod(0o644)
        async with turn:
            ended[name] = await meshnode(folder, *command, env=environ(folder) | env)

    async def everything() -> None:
        async with trio.open_nursery() as nursery:
            for name, case in WRONG.items():
                nursery.start_soon(one, name, case.command, case.env)
            for name, command in {**MISUSED, **HELPED, **SHELLS, **ALONE}.items():
                nursery.start_soon(one, name, command, {})
            words = {"_MESHNODE_COMPLETE": "bash_complete", "COMP_WORDS": "meshnode st", "COMP_CWORD": "1"}
            nursery.start_soon(one, "completing", (), words)

    trio.run(everything)
    return ended


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_one_clear_line_and_exit_status_2(ends: dict[str, Ended], name: str) -> None:
    assert ends[name].code == CONFIG_WRONG
    is_one_clear_line(ends[name], *WRONG[name].names)


@pytest.mark.parametrize("name", MISUSED)
def test_a_wrong_argument_says_how_it_is_used_and_exits_with_2(ends: dict[str, Ended], name: str) -> None:
    ended = ends[name]
    assert (ended.code, ended.out) == (CONFIG_WRONG, "")
    assert ended.lines[0].startswith("Usage: meshnode")
    assert ended.lines[-1].startswith("Error: ")
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("name", HELPED)
def test_there_is_help(ends: dict[str, Ended], name: str) -> None:
    assert (ends[name].code, ends[name].err) == (0, "")
    assert ends[name].out.startswith("Usage: meshnode")


@pytest.mark.parametrize("name", ALONE)
def test_without_a_hub_the_exit_status_is_3(ends: dict[str, Ended], name: str) -> None:
    assert ends[name].code == NOT_RUNNING
    is_one_clear_line(ends[name], "no hub is running in", ".local/state/meshnode")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_that_the_shell_accepts(ends: dict[str, Ended], shell: str) -> None:
    ended = ends[f"completion for {shell}"]
    assert (ended.code, ended.err) == (0, "")
    assert "_MESHNODE_COMPLETE" in ended.out
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed, so its script was not checked by it")
    checked = subprocess.run([shell, "-n"], input=ended.out, text=True, capture_output=True, check=False, timeout=10)
    assert checked.returncode == 0, checked.stderr


def test_completion_offers_the_words(ends: dict[str, Ended]) -> None:
    assert (ends["completing"].code, ends["completing"].out) == (0, "plain,status\nplain,story\n")


async def test_a_busy_port_is_one_clear_line_and_exit_status_2(tmp_path: Path) -> None:
    async with running(tmp_path, "one", "--mesh", mesh_name(), *LOCAL) as one:
        ended = await meshnode(tmp_path, *TO, f"127.0.0.1:{one.port}", "--state-dir", "late")
        assert ended.code == CONFIG_WRONG
        is_one_clear_line(ended, f"cannot listen on 127.0.0.1:{one.port}", "Address already in use")


async def test_a_state_directory_in_use_is_one_clear_line_that_names_the_process(tmp_path: Path) -> None:
    async with running(tmp_path, "one", "--mesh", mesh_name(), *LOCAL) as one:
        ended = await meshnode(tmp_path, *ON, "--state-dir", str(one.state))
        assert ended.code == CONFIG_WRONG
        is_one_clear_line(ended, str(one.state), f"in use by process {one.pid}")
        assert (await one.status())["author"] == one.author


@pytest.mark.parametrize("verb", [ON, ("identity",)], ids=["run", "identity"])
async def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, verb: tuple[str, ...]) -> None:
    async with running(tmp_path, "one", "--mesh", mesh_name(), *LOCAL) as one:
        state = one.state
    (state / "keys.json").chmod(0o644)
    ended = await meshnode(tmp_path, *verb, "--state-dir", str(state))
    assert ended.code == CONFIG_WRONG
    is_one_clear_line(ended, "keys.json is open to others (mode 0644)", "chmod 600")


async def test_the_verbs_that_need_no_hub(tmp_path: Path) -> None:
    path = await meshnode(tmp_path, "config", "path")
    assert (path.code, path.out) == (0, f"{tmp_path}/.config/meshnode/config.toml\n")
    made = await meshnode(tmp_path, "config", "init")
    assert (made.code, made.out) == (0, f"wrote {path.out}")
    again = await meshnode(tmp_path, "config", "init")
    assert again.code == 0
    assert "nothing was changed" in again.out
    assert (tmp_path / ".config/meshnode/config.toml").stat().st_mode & 0o777 == 0o600
    env = environ(tmp_path, MESHNODE_SHARE_LEVELS="7")
    shown: Any = (await meshnode(tmp_path, "config", "show", "--json", env=env)).json()
    rows = {row["key"]: row for row in shown["settings"]}
    assert rows["share.levels"] == {"key": "share.levels", "value": "7", "origin": "environment MESHNODE_SHARE_LEVELS"}
    assert rows["share.enabled"]["value"] == "false"  # nothing leaves unless somebody said so
    text = await meshnode(tmp_path, "config", "show", "--origin")
    assert text.code == 0
    assert "share.levels = 5    # default" in text.out.splitlines()
    nobody = await meshnode(tmp_path, "identity", "--json")
    assert (nobody.code, nobody.json()) == (0, {"identities": []})
    version = await meshnode(tmp_path, "--version")
    assert version.code == 0
    assert version.out.startswith("meshnode, version ")


async def test_what_is_forced_off_is_said(tmp_path: Path) -> None:
    env = environ(tmp_path, MESHNODE_CONTEXT_SETTING="workplace")
    async with running(tmp_path, "one", "--mesh", mesh_name(), *LOCAL, "--share", env=env) as one:
        status = await one.status()
        assert status["sharing"] is False
        assert "this hub shows its person to nobody" in status["notices"][0]
        assert "this hub shows its person to nobody" in one.log.read_text()


async def test_a_control_socket_of_somebody_else_is_not_believed(tmp_path: Path) -> None:
    """Whatever answers there, the verbs say one line and end."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    for answer in (b"", b"rubbish\n", b"[]\n", b'{"error": "no"}\n'):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(state / "control.sock"))
            listener.listen()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, serve_once, listener, answer)
                ended = await meshnode(tmp_path, "status", "--state-dir", str(state))
        (state / "control.sock").unlink()
        assert ended.code == (1 if answer.startswith(b"{") else NOT_RUNNING)
        assert ended.out == ""
        assert len(ended.lines) == 1
        assert "Traceback" not in ended.err


def serve_once(listener: socket.socket, answer: bytes) -> None:
    """Answer one caller and hang up."""
    client, _ = listener.accept()
    with client:
        client.recv(4_096)
        client.sendall(answer)
