"""Opens this hub's mesh and author from its state directory, making both on the first run."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from meshnode.config import HubConfig
from meshnode.keystore import StateDirectory, StoredMesh, export_next_key, read_secret
from protocol.crypto import SEED_BYTES, SigningKey
from protocol.errors import ConfigError, StoreError
from protocol.identity import (
    LocalIdentity,
    Mesh,
    decode_key_state,
    identity_from_seed,
    invite_mesh,
    next_key_digest,
    open_mesh,
)


@dataclass(frozen=True, slots=True)
class Opened:
    """``next_key`` is the file that the first run wrote and the person must move away; None once it is gone.
    ``fresh``: the author was made just now, so no copy of it can be anywhere."""

    mesh: Mesh
    identity: LocalIdentity
    next_key: Path | None
    fresh: bool = False


def mesh_of(config: HubConfig) -> Mesh:
    """The mesh that the settings name.

    Raises:
        ConfigError: none is named, or the secret file is not one.
    """
    config.require_mesh()
    if config.mesh.secret_file is None:
        return open_mesh(config.mesh.name)
    try:
        return invite_mesh(read_secret(config.mesh.secret_file))
    except StoreError as fault:
        raise ConfigError(f"mesh.secret_file: {fault}") from fault


def open_identity(state: StateDirectory, config: HubConfig, entropy: Callable[[int], bytes]) -> Opened:
    """This hub's author in the configured mesh; a new one if the state directory holds none.

    Raises:
        ConfigError: the mesh cannot be opened.
        StoreError: the state directory cannot be read or written, or what it holds does not fit together.
    """
    mesh = mesh_of(config)
    for stored in state.meshes():
        if stored.mesh_id == mesh.mesh_id:
            identity = _reopen(mesh, stored)
            exported = _next_key_file(state, identity)
            return Opened(mesh, identity, exported if os.path.lexists(exported) else None)
    seed, next_seed = entropy(SEED_BYTES), entropy(SEED_BYTES)
    next_digest = next_key_digest(SigningKey(next_seed).public)
    identity = identity_from_seed(mesh.mesh_id, seed, next_digest)
    exported = _next_key_file(state, identity)
    export_next_key(exported, next_seed, identity.author.hex())
    secret = None if config.mesh.secret_file is None else read_secret(config.mesh.secret_file)
    state.put_mesh(
        StoredMesh(
            mesh_id=mesh.mesh_id,
            name=config.mesh.name,
            admission=mesh.admission,
            secret=secret,
            seed=seed,
            next_digest=next_digest,
            key_states=(identity.key_state.encoded,),
        )
    )
    return Opened(mesh, identity, exported, fresh=True)


def _next_key_file(state: StateDirectory, identity: LocalIdentity) -> Path:
    """Beside the state directory, so that whoever copies that does not copy this as well."""
    return state.path.parent / f"{state.path.name}-next-key-{identity.author[:5].hex()}.secret"


def _reopen(mesh: Mesh, stored: StoredMesh) -> LocalIdentity:
    state = decode_key_state(stored.key_states[-1], mesh.mesh_id)
    key = SigningKey(stored.seed)
    if key.public != state.key:
        raise StoreError("keys.json: the stored key is not the current key of the stored identity")
    return LocalIdentity(state, key, (key.dh,))
