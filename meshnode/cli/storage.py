"""What ``meshnode backup``, ``restore`` and ``verify`` do and print."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from pathlib import Path

import click

from meshnode.keystore import read_meshes
from meshnode.storage.backup import is_backup, make_backup, restore_backup, unpacked
from meshnode.storage.database import StoreDamaged, database_path, open_for_reading
from meshnode.storage.verify import Verdict, verify_database


def backup_command(state_dir: Path, target: Path, *, with_keys: bool, as_json: bool) -> None:
    """Write a backup and say what is in it."""
    members = make_backup(state_dir, target, with_keys=with_keys)
    size = target.stat().st_size
    if as_json:
        click.echo(json.dumps({"file": str(target), "bytes": size, "members": members, "keys": with_keys}))
        return
    click.echo(f"wrote {target}: {size} bytes, {', '.join(members)}")
    if with_keys:
        click.echo("whoever has this file is you: keep it as you keep your keys")
    else:
        click.echo("it holds no secret key; keys.json must be there before it can be restored")


def restore_command(state_dir: Path, source: Path, *, as_json: bool) -> None:
    """Bring a backup back and say what that replaced."""
    replaced = restore_backup(state_dir, source)
    if as_json:
        click.echo(json.dumps({"file": str(source), "replaced": [str(path) for path in replaced]}))
        return
    click.echo(f"restored {source} into {state_dir}")
    for path in replaced:
        click.echo(f"what was there before is now {path}; delete it when you no longer need it")
    click.echo("at its next start this hub asks others how far it had come before it tells anything new")


def verify_command(state_dir: Path | None, source: Path | None, *, as_json: bool) -> int:
    """Look at everything and say what is wrong; the exit code."""
    if source is None:
        assert state_dir is not None
        paths = [database_path(state_dir, mesh.mesh_id) for mesh in read_meshes(state_dir)]
        found = [(str(path), *_verdict(path)) for path in paths if path.exists()]
    elif is_backup(source):
        with unpacked(source) as backup:
            found = [(f"{source}: {path.name}", *_verdict(path)) for path in backup.databases.values()]
    else:
        found = [(str(source), *_verdict(source))]
    sound = not any(faults for _, _, faults in found)
    if as_json:
        listed = [
            {"file": name, **({} if verdict is None else asdict(verdict)), "faults": faults}
            for name, verdict, faults in found
        ]
        click.echo(json.dumps({"sound": sound, "databases": listed}))
        return 0 if sound else 1
    if not found:
        click.echo("there is no database yet: nothing has been told here")
    for name, verdict, faults in found:
        click.echo(f"{name}: {'DAMAGED' if faults else 'sound'}")
        if verdict is not None:
            click.echo(_counts(verdict))
        for fault in faults:
            click.echo(f"    {fault}")
    return 0 if sound else 1


def _verdict(path: Path) -> tuple[Verdict | None, list[str]]:
    try:
        with contextlib.closing(open_for_reading(path)) as connection:
            verdict = verify_database(connection, path)
    except StoreDamaged as fault:
        return None, [str(fault)]
    hidden = verdict.fault_count - len(verdict.faults)
    return verdict, [*verdict.faults, *([f"and {hidden} more"] if hidden else [])]


def _counts(verdict: Verdict) -> str:
    restored = "; restored, and not yet asked around" if verdict.restored else ""
    unchecked = f", {verdict.unchecked} of authors whose key is not here" if verdict.unchecked else ""
    return (
        f"    {verdict.events} events of {verdict.authors} authors, {verdict.payloads} payloads, "
        f"{verdict.forks} proofs of forks; {verdict.signatures} signatures good{unchecked}{restored}"
    )
