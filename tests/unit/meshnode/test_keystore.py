"""What outlives the process: keys, boot numbers, the lock."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from meshnode.keystore import (
    StateDirectory,
    StoredMesh,
    export_next_key,
    read_private,
    read_secret,
    write_private,
)
from protocol.crypto import SigningKey
from protocol.errors import StoreError
from protocol.identity import identity_from_seed, invite_mesh, new_identity, next_key_digest, open_mesh
from protocol.ids import MeshId
from protocol.limits import COUNTER_MAX
from protocol.wire.joining import PeerRecord

SEED, NEXT = bytes(range(32)), bytes(range(32, 64))
ROOT = Path(__file__).parents[3]


def stored(name: str = "plaza") -> StoredMesh:
    mesh = open_mesh(name)
    identity = new_identity(mesh.mesh_id, SEED, NEXT)
    return StoredMesh(
        mesh_id=mesh.mesh_id,
        name=name,
        admission="open",
        secret=None,
        seed=SEED,
        next_digest=identity.key_state.next_digest,
        key_states=(identity.key_state.encoded,),
    )


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDirectory]:
    with StateDirectory(tmp_path / "state") as directory:
        yield directory


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_directory_and_every_file_in_it_are_ours_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with StateDirectory(tmp_path / "deep" / "state") as state:
            state.put_mesh(stored())
            state.put_peer_key_states(MeshId(bytes(16)), (b"x",))
            state.next_boot()
            assert mode(state.path) == 0o700
            assert {path.name: mode(path) for path in state.path.iterdir()} == dict.fromkeys(
                ("boot", "boot.backup", "keys.json", "lock", f"peers-{'00' * 16}.json"), 0o600
            )
    finally:
        os.umask(before)


def test_a_mesh_comes_back_as_it_was_stored(state: StateDirectory) -> None:
    secret = bytes(range(100, 132))
    invited = replace(stored(), mesh_id=invite_mesh(secret).mesh_id, admission="invite", secret=secret)
    state.put_mesh(stored())
    state.put_mesh(invited)
    assert state.meshes() == (stored(), invited)


def test_the_same_author_comes_back_from_what_is_stored(state: StateDirectory) -> None:
    state.put_mesh(stored())
    (mesh,) = state.meshes()
    again = identity_from_seed(mesh.mesh_id, mesh.seed, mesh.next_digest)
    assert again.key_state.encoded == mesh.key_states[-1]


def test_storing_a_mesh_again_replaces_it(state: StateDirectory) -> None:
    state.put_mesh(stored())
    rotated = replace(stored(), seed=NEXT, key_states=(*stored().key_states, b"rotated"))
    state.put_mesh(rotated)
    assert state.meshes() == (rotated,)


def test_an_empty_directory_holds_no_mesh_and_no_key_state(state: StateDirectory) -> None:
    assert state.meshes() == ()
    assert state.peer_key_states(MeshId(bytes(16))) == ()


def test_key_states_of_others_come_back(state: StateDirectory) -> None:
    states = tuple(bytes([n]) * 1_024 for n in range(1, 200))
    state.put_peer_key_states(MeshId(bytes(16)), states)
    assert state.peer_key_states(MeshId(bytes(16))) == states


def test_known_hubs_come_back_and_nothing_else_passes_for_them(state: StateDirectory) -> None:
    mesh = MeshId(bytes(16))
    assert state.peers(mesh) == ()
    known = tuple(PeerRecord(bytes([n]) * 200, bytes([n]) * 100, bytes([n]) * 64) for n in range(1, 129))
    state.put_peers(mesh, known)
    assert state.peers(mesh) == known
    with pytest.raises(StoreError, match="at most 384"):
        state.put_peers(mesh, (*known, known[0]))
    assert state.peers(mesh) == known
    path = state.path / f"met-{'00' * 16}.json"
    assert mode(path) == 0o600
    path.write_text('{"version": 1, "peers": ["00", "00"]}')
    with pytest.raises(StoreError, match="three entries"):
        state.peers(mesh)


def test_secrets_do_not_show_in_a_representation() -> None:
    shown = repr(replace(stored(), secret=NEXT))
    assert SEED.hex() not in shown
    assert repr(SEED) not in shown
    assert repr(NEXT) not in shown


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": SEED[:-1]},
        {"mesh_id": MeshId(bytes(15))},
        {"admission": "invite"},
        {"secret": SEED},
        {"key_states": ()},
        {"key_states": (b"x" * 1_025,)},
        {"name": "x" * 65},
    ],
)
def test_what_could_not_be_read_again_is_not_written(state: StateDirectory, wrong: dict[str, object]) -> None:
    state.put_mesh(stored())
    with pytest.raises(StoreError, match=r"keys\.json"):
        state.put_mesh(replace(stored("other"), **wrong))  # type: ignore[arg-type]  # wrong on purpose
    assert state.meshes() == (stored(),)


@pytest.mark.parametrize("exposed", [0o640, 0o604, 0o660, 0o777])
def test_a_file_that_others_can_read_is_refused_and_not_repaired(state: StateDirectory, exposed: int) -> None:
    state.put_mesh(stored())
    path = state.path / "keys.json"
    path.chmod(exposed)
    with pytest.raises(StoreError, match=f"open to others .mode {exposed:04o}.*chmod 600"):
        state.meshes()
    assert mode(path) == exposed


def test_a_directory_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(StoreError, match="open to others"):
        StateDirectory(tmp_path)


def test_a_file_of_another_owner_is_refused(state: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    state.put_mesh(stored())
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(StoreError, match="belongs to user"):
        state.meshes()


def test_a_link_in_place_of_a_file_is_refused(state: StateDirectory, tmp_path: Path) -> None:
    write_private(tmp_path / "elsewhere", b"{}")
    (state.path / "keys.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot read"):
        state.meshes()


def test_something_that_is_no_file_is_refused_without_waiting_for_it(state: StateDirectory) -> None:
    os.mkfifo(state.path / "keys.json", 0o600)
    with pytest.raises(StoreError, match="not a regular file"):
        state.meshes()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no version"),
        (b'{"version": true, "meshes": []}', "no version"),
        (b'{"version": 2, "meshes": []}', "knows version 1"),
        (b'{"version": 1}', "list of meshes"),
        (b'{"version": 1, "meshes": {}}', "list of meshes"),
        (b'{"version": 1, "meshes": [], "more": 1}', "list of meshes"),
        (b'{"version": 1, "meshes": [7]}', "other fields"),
        (b'{"version": 1, "meshes": [{}]}', "other fields"),
    ],
)
def test_a_damaged_key_file_is_refused_in_one_line(state: StateDirectory, content: bytes, why: str) -> None:
    write_private(state.path / "keys.json", content)
    with pytest.raises(StoreError, match=why) as caught:
        state.meshes()
    assert "\n" not in str(caught.value)


def test_every_damaged_field_is_named_and_no_secret_is_quoted(state: StateDirectory) -> None:
    state.put_mesh(stored())
    whole = json.loads((state.path / "keys.json").read_text())
    for key in ("mesh_id", "name", "admission", "secret", "seed", "next_digest", "key_states"):
        entry = {**whole["meshes"][0], key: 7}
        write_private(state.path / "keys.json", json.dumps({"version": 1, "meshes": [entry]}).encode())
        with pytest.raises(StoreError, match="damaged") as caught:
            state.meshes()
        assert SEED.hex() not in str(caught.value)


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.put_mesh(stored())
    files = sorted(path.name for path in state.path.iterdir())

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match=r"cannot write .*: No space left on device"):
            state.put_mesh(stored("other"))
    assert state.meshes() == (stored(),)
    assert sorted(path.name for path in state.path.iterdir()) == files


def test_what_a_crash_left_behind_does_not_disturb_the_next_write(state: StateDirectory) -> None:
    (state.path / ".keys.json.new").write_bytes(b"half")
    state.put_mesh(stored())
    assert state.meshes() == (stored(),)
    assert not (state.path / ".keys.json.new").exists()


def test_the_data_is_synced_before_it_is_renamed_and_the_directory_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, rename = os.fsync, Path.replace

    def noted_sync(handle: int) -> None:
        steps.append("sync directory" if stat.S_ISDIR(os.fstat(handle).st_mode) else "sync file")
        sync(handle)

    def noted_rename(self: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_rename)
    write_private(tmp_path / "file", b"data")
    assert steps == ["sync file", "rename", "sync directory"]
    assert read_private(tmp_path / "file") == b"data"


def test_a_state_directory_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot make the state directory"):
        StateDirectory(tmp_path / "file" / "state")


# --- the next key ------------------------------------------------------------------------------------------------


def test_the_next_key_is_exported_once_with_a_sentence_and_never_kept(state: StateDirectory, tmp_path: Path) -> None:
    path = tmp_path / "next-key.secret"
    state.put_mesh(stored())
    export_next_key(path, NEXT, "ab12")
    assert mode(path) == 0o600
    assert "off the hub" in path.read_text()
    assert "ab12" in path.read_text()
    assert next_key_digest(SigningKey(read_secret(path)).public) == stored().next_digest
    held = b"".join(file.read_bytes() for file in state.path.iterdir())
    assert NEXT not in held
    assert NEXT.hex().encode() not in held


def test_an_exported_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "next-key.secret"
    export_next_key(path, NEXT, "ab12")
    with pytest.raises(StoreError, match="exists"):
        export_next_key(path, SEED, "cd34")
    assert read_secret(path) == NEXT


@pytest.mark.parametrize(
    "content", [b"", b"# only\n", b"zz" * 32, b"00" * 31, b"00" * 32 + b"\n" + b"00" * 32, b"\xff"]
)
def test_a_secret_file_of_another_form_is_refused_without_quoting_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    write_private(path, content)
    with pytest.raises(StoreError) as caught:
        read_secret(path)
    assert str(caught.value) == f"{path} must hold one line of 64 hex digits"


def test_a_missing_or_exposed_secret_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    with pytest.raises(StoreError, match="does not exist"):
        read_secret(path)
    write_private(path, SEED.hex().encode())
    path.chmod(0o644)
    with pytest.raises(StoreError, match="open to others"):
        read_secret(path)


# --- the lock ----------------------------------------------------------------------------------------------------


def test_a_second_daemon_is_refused_and_told_who_has_the_directory(state: StateDirectory) -> None:
    with pytest.raises(StoreError, match=f"in use by process {os.getpid()}$"):
        StateDirectory(state.path)


def test_the_directory_is_free_again_after_close_however_often(tmp_path: Path) -> None:
    first = StateDirectory(tmp_path / "state")
    first.close()
    first.close()
    StateDirectory(tmp_path / "state").close()


# --- the boot counter --------------------------------------------------------------------------------------------


def test_boots_count_from_one_and_go_on_after_a_restart(tmp_path: Path) -> None:
    for expected in (1, 2, 3):
        with StateDirectory(tmp_path / "state") as state:
            assert state.next_boot() == expected


def test_a_boot_can_jump_above_one_that_was_shown_but_not_back(state: StateDirectory) -> None:
    assert state.next_boot(above=41) == 42
    assert state.next_boot(above=7) == 43


def test_the_number_is_on_disk_twice_before_it_is_known(state: StateDirectory) -> None:
    boot = state.next_boot()
    assert [(state.path / name).read_text().split()[0] for name in ("boot", "boot.backup")] == [str(boot)] * 2


@pytest.mark.parametrize("damage", [b"", b"7", b"7 00000000\n", b"-1 x\n", b"\xff", b"9" * 5_000])
@pytest.mark.parametrize("name", ["boot", "boot.backup"])
def test_one_damaged_or_lost_copy_does_not_bring_an_old_number_back(
    state: StateDirectory, name: str, damage: bytes
) -> None:
    for _ in range(5):
        state.next_boot()
    write_private(state.path / name, damage)
    assert state.next_boot() == 6
    (state.path / name).unlink()
    assert state.next_boot() == 7


def test_the_higher_copy_counts(state: StateDirectory) -> None:
    for _ in range(3):
        state.next_boot()
    old = (state.path / "boot").read_bytes()
    state.next_boot()
    write_private(state.path / "boot", old)
    assert state.next_boot() == 5


@pytest.mark.parametrize("lost", [False, True])
def test_two_damaged_copies_are_refused_clearly(state: StateDirectory, lost: bool) -> None:
    state.next_boot()
    write_private(state.path / "boot", b"x")
    if lost:
        (state.path / "boot.backup").unlink()
    else:
        write_private(state.path / "boot.backup", b"y")
    with pytest.raises(StoreError, match="damaged"):
        state.next_boot()


def test_a_used_up_counter_is_refused(state: StateDirectory) -> None:
    assert state.next_boot(above=COUNTER_MAX - 1) == COUNTER_MAX
    with pytest.raises(StoreError, match="used up"):
        state.next_boot()


COUNT_FOR_EVER = """
import sys, pathlib
from meshnode.keystore import StateDirectory
with StateDirectory(pathlib.Path(sys.argv[1])) as state:
    while True:
        print(state.next_boot(), flush=True)
"""


def test_no_boot_number_is_ever_given_twice_across_kill_9(tmp_path: Path) -> None:
    numbers: list[int] = []
    for round_number in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", COUNT_FOR_EVER, str(tmp_path / "state")], cwd=ROOT, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            first = [int(child.stdout.readline()) for _ in range(3 + 5 * round_number)]
            os.kill(child.pid, signal.SIGKILL)
            numbers += first + [
                int(line) for line in child.stdout.read().splitlines(keepends=True) if line[-1:] == b"\n"
            ]
    assert len(numbers) > 90
    assert numbers == sorted(set(numbers))
