"""Backup, restore and verify: whole, private, and never over anything that is still needed."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from meshnode.cli.main import main
from meshnode.keystore import StateDirectory, StoredMesh, read_meshes
from meshnode.storage.backup import make_backup, restore_backup
from meshnode.storage.database import database_path, open_database
from meshnode.storage.rows import Batch, read_ledger
from meshnode.storage.verify import verify_database
from meshnode.storage.writer import Writer
from protocol.effects import StoreEvents
from protocol.errors import StoreError
from protocol.ids import EventId
from protocol.inputs import StoredLedger
from tests.crash.script import CANARY_BYTES, MESH, Speaker, readable


@dataclass
class Home:
    """A state directory with one identity and what it and another have told."""

    path: Path
    me: Speaker
    other: Speaker

    @property
    def database(self) -> Path:
        return database_path(self.path, MESH)

    def write(self, *batches: Batch) -> None:
        with contextlib.closing(open_database(self.database, MESH)) as connection:
            writer = Writer(self.database, connection, soon=lambda act: act(), answer=lambda _: None)
            for batch in batches:
                writer.submit(batch)
            writer.stop()
            writer.work()

    def ledger(self) -> StoredLedger:
        with contextlib.closing(open_database(self.database, MESH)) as connection:
            return read_ledger(connection)


def identity(seed: int) -> StoredMesh:
    return StoredMesh(
        mesh_id=MESH,
        name="plaza",
        admission="invite",
        secret=b"the mesh's secret, of 32 bytes .",
        seed=b"the hub's own seed of 32 bytes .",
        next_digest=bytes(32),
        key_states=(Speaker(seed).identity.key_state.encoded,),
    )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    place = Home(tmp_path / "state", Speaker(1), Speaker(2))
    with StateDirectory(place.path) as state:
        state.put_mesh(identity(1))
        state.next_boot()
        state.next_boot()
    own = [place.me.say(size) for size in (20, 0, 9_000)]
    others = [place.other.say(size) for size in (20, 300)]
    place.write(
        Batch(StoreEvents(1, tuple(own), own=True), (place.me.key_state,)),
        Batch(StoreEvents(2, tuple(others), forks=(place.other.fork(),)), (place.other.key_state,)),
    )
    return place


def empty(home: Home, *, with_identity: bool = True) -> Home:
    """Another directory, of the same person."""
    other = Home(home.path.parent / "new", home.me, home.other)
    with StateDirectory(other.path) as state:
        if with_identity:
            state.put_mesh(identity(1))
    return other


def test_a_backup_is_private_and_holds_no_secret_unless_asked(home: Home, tmp_path: Path) -> None:
    secrets = (b"the mesh's secret".hex(), b"the hub's own seed".hex())
    make_backup(home.path, tmp_path / "plain")
    members = make_backup(home.path, tmp_path / "keys", with_keys=True)
    assert members == ["manifest.json", home.database.name, "keys.json"]
    assert stat.S_IMODE((tmp_path / "plain").stat().st_mode) == 0o600
    for name, held in (("plain", False), ("keys", True)):
        content = (tmp_path / name).read_bytes()
        assert [secret.encode() in content for secret in secrets] == [held, held]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys", "plain", "state"]


def test_what_was_backed_up_comes_back_and_the_hub_is_marked(home: Home, tmp_path: Path) -> None:
    make_backup(home.path, tmp_path / "backup")
    before = home.ledger()
    new = empty(home)
    assert restore_backup(new.path, tmp_path / "backup") == []
    after = new.ledger()
    assert (after.events, after.forks, after.restored) == (before.events, before.forks, True)
    with StateDirectory(new.path) as state:
        assert state.next_boot() > 3, "no boot of the lost hub is used again"


def test_a_backup_made_while_a_hub_writes_is_one_moment(home: Home, tmp_path: Path) -> None:
    with contextlib.closing(open_database(home.database, MESH)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO forks VALUES (?)", (b"not committed",))
        make_backup(home.path, tmp_path / "backup")
        connection.execute("COMMIT")
    new = empty(home)
    restore_backup(new.path, tmp_path / "backup")
    assert len(new.ledger().forks) == 1


def test_a_backup_made_after_an_erasure_does_not_hold_the_erased(home: Home, tmp_path: Path) -> None:
    said = [home.me.say(400) for _ in range(50)]
    home.write(Batch(StoreEvents(3, tuple(said))), Batch(StoreEvents(4, erase=tuple(event.id for event in said[::2]))))
    folder = tmp_path / "backups"
    folder.mkdir()
    make_backup(home.path, folder / "backup")
    canaries = [event.payload.content[:CANARY_BYTES] for event in said if event.payload]
    found = readable(folder)
    assert [canary in found for canary in canaries] == [number % 2 == 1 for number in range(50)]


def test_a_restore_keeps_what_it_replaces(home: Home, tmp_path: Path) -> None:
    make_backup(home.path, tmp_path / "backup")
    home.write(Batch(StoreEvents(3, (home.me.say(10),))))
    (aside,) = restore_backup(home.path, tmp_path / "backup")
    assert len(home.ledger().events) == 5
    with contextlib.closing(open_database(aside, MESH)) as connection:
        assert len(read_ledger(connection).events) == 6


def test_a_restore_is_refused_while_a_hub_runs(home: Home, tmp_path: Path) -> None:
    make_backup(home.path, tmp_path / "backup")
    with StateDirectory(home.path), pytest.raises(StoreError, match="in use by process"):
        restore_backup(home.path, tmp_path / "backup")


def test_a_restore_without_any_key_is_refused_and_with_keys_brings_them(home: Home, tmp_path: Path) -> None:
    make_backup(home.path, tmp_path / "plain")
    make_backup(home.path, tmp_path / "keys", with_keys=True)
    new = empty(home, with_identity=False)
    with pytest.raises(StoreError, match="holds no secret keys"):
        restore_backup(new.path, tmp_path / "plain")
    assert not new.database.exists()
    restore_backup(new.path, tmp_path / "keys")
    assert read_meshes(new.path) == read_meshes(home.path)


def test_a_restore_over_another_identity_is_refused(home: Home, tmp_path: Path) -> None:
    make_backup(home.path, tmp_path / "backup")
    stranger = tmp_path / "stranger"
    with StateDirectory(stranger) as state:
        state.put_mesh(identity(5))
    with pytest.raises(StoreError, match="somebody else"):
        restore_backup(stranger, tmp_path / "backup")
    assert not database_path(stranger, MESH).exists()


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_a_damaged_backup_is_refused_and_changes_nothing(home: Home, tmp_path: Path, share: float) -> None:
    path = tmp_path / "backup"
    make_backup(home.path, path)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(home.database.name)
    at = member.header_offset + 200 + int(share * (member.file_size - 300))
    content[at] ^= 1
    path.write_bytes(content)
    before = home.ledger()
    with pytest.raises(StoreError, match=r"damaged|not a whole backup"):
        restore_backup(home.path, path)
    assert home.ledger() == before


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_no_backup_is_refused(home: Home, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(StoreError, match="not a whole backup"):
        restore_backup(home.path, tmp_path / "x")


@pytest.mark.parametrize("name", ["..", ".", "/x", "../x", "a/b"])
def test_a_member_that_would_lie_elsewhere_is_refused(home: Home, tmp_path: Path, name: str) -> None:
    make_backup(home.path, tmp_path / "backup")
    with zipfile.ZipFile(tmp_path / "backup") as archive:
        manifest = json.loads(archive.read("manifest.json"))
    manifest["members"] = {name: {"bytes": 0, "blake2b": ""}}
    with zipfile.ZipFile(tmp_path / "evil", "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr(name, b"")
    with pytest.raises(StoreError, match="not a whole backup"):
        restore_backup(home.path, tmp_path / "evil")


def test_a_log_that_an_interrupted_restore_left_never_meets_the_restored_database(home: Home, tmp_path: Path) -> None:
    make_backup(home.path, tmp_path / "backup")
    told = home.ledger()
    log = home.database.with_name(f"{home.database.name}-wal")
    with contextlib.closing(open_database(home.database, MESH)) as connection:
        connection.execute("INSERT INTO forks VALUES (x'01')")
        left = log.read_bytes()
        assert left
    home.database.unlink()
    log.write_bytes(left)
    log.chmod(0o600)
    (aside,) = restore_backup(home.path, tmp_path / "backup")
    assert home.ledger().events == told.events
    assert home.ledger().forks == told.forks
    assert aside.with_name(f"{aside.name}-wal").read_bytes() == left


def test_what_a_restore_replaces_is_one_file_with_all_that_was_in_its_log(home: Home, tmp_path: Path) -> None:
    make_backup(home.path, tmp_path / "backup")
    with contextlib.closing(open_database(home.database, MESH)) as connection:
        connection.execute("INSERT INTO forks VALUES (x'01')")
        kept = {suffix: home.database.with_name(home.database.name + suffix).read_bytes() for suffix in ("", "-wal")}
    for suffix, content in kept.items():  # as a crash leaves them
        home.database.with_name(home.database.name + suffix).write_bytes(content)
    (aside,) = restore_backup(home.path, tmp_path / "backup")
    assert not aside.with_name(f"{aside.name}-wal").exists()
    with contextlib.closing(open_database(aside, MESH)) as connection:
        assert b"\x01" in read_ledger(connection).forks


def test_a_backup_never_replaces_a_file(home: Home, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(StoreError, match="exists"):
        make_backup(home.path, tmp_path / "x")
    assert (tmp_path / "x").read_text() == "mine"


# --- verify ---------------------------------------------------------------------------------------------------------


def faults_after(home: Home, statement: str, *values: object) -> list[str]:
    with contextlib.closing(sqlite3.connect(home.database)) as connection:
        connection.execute(statement, values)
        connection.commit()
        return verify_database(connection, home.database).faults


def test_a_sound_database_is_counted(home: Home) -> None:
    with contextlib.closing(sqlite3.connect(home.database)) as connection:
        verdict = verify_database(connection, home.database)
    assert verdict.faults == []
    assert (verdict.events, verdict.authors, verdict.signatures, verdict.payloads, verdict.forks) == (5, 2, 5, 4, 1)


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE events SET sig = zeroblob(64) WHERE number = 2", "signature of event 2"),
        ("UPDATE events SET seq = 9 WHERE number = 2", "filed under another name"),
        ("DELETE FROM events WHERE number = 2", "before event 3"),
        ("UPDATE events SET signed = zeroblob(20) WHERE number = 2", "cannot be read"),
        ("UPDATE payloads SET content = zeroblob(length(content)) WHERE number = 1", "payload of event 1"),
        ("UPDATE payloads SET salt = zeroblob(16) WHERE number = 1", "payload of event 1"),
        ("UPDATE authors SET key_state = zeroblob(40)", "key state"),
        ("UPDATE forks SET proof = zeroblob(40)", "proof of a fork"),
    ],
)
def test_every_change_is_found(home: Home, statement: str, fault: str) -> None:
    assert any(fault in found for found in faults_after(home, statement))


def test_an_author_without_a_key_state_is_counted_and_not_condemned(home: Home) -> None:
    assert faults_after(home, "DELETE FROM authors WHERE author = ?", home.other.author) == []


def test_erasure_leaves_a_chain_that_verifies(home: Home) -> None:
    events = [event.id for event in home.ledger().events if event.held]
    home.write(Batch(StoreEvents(3, erase=tuple(EventId(name) for name in events))))
    with contextlib.closing(sqlite3.connect(home.database)) as connection:
        verdict = verify_database(connection, home.database)
    assert (verdict.faults, verdict.events, verdict.payloads) == ([], 5, 0)


# --- the verbs ------------------------------------------------------------------------------------------------------


def test_the_verbs_back_up_verify_and_restore(home: Home, tmp_path: Path) -> None:
    place, file = ["--state-dir", str(home.path), "--json"], str(tmp_path / "backup")
    runner = CliRunner()
    made = runner.invoke(main, ["backup", file, *place])
    assert (made.exit_code, json.loads(made.output)["keys"]) == (0, False)
    for given in ([], [file], [str(home.database)]):
        seen = runner.invoke(main, ["verify", *given, *place])
        verdict = json.loads(seen.output)
        assert (seen.exit_code, verdict["sound"], verdict["databases"][0]["events"]) == (0, True, 5)
    back = runner.invoke(main, ["restore", file, *place])
    assert (back.exit_code, len(json.loads(back.output)["replaced"])) == (0, 1)
    assert home.ledger().restored


def test_verify_says_by_its_exit_code_that_something_is_wrong(home: Home) -> None:
    faults_after(home, "UPDATE events SET sig = zeroblob(64) WHERE number = 2")
    result = CliRunner().invoke(main, ["verify", "--state-dir", str(home.path)])
    assert result.exit_code == 1
    assert "DAMAGED" in result.output
    assert "signature of event 2" in result.output


def test_backing_up_nothing_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    result = CliRunner().invoke(main, ["backup", str(tmp_path / "x"), "--state-dir", str(tmp_path / "state")])
    assert (result.exit_code, (tmp_path / "x").exists()) == (2, False)
