"""Meshes: id, psk and discovery tag (docs/protocol.md, sections 2 and 3)."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from tests.conformance.reference.codec import Refused
from tests.conformance.reference.crypto import blake


@dataclass(frozen=True, slots=True)
class Mesh:
    """What a hub knows of its mesh: 16 bytes of id and 32 of pre-shared key."""

    mesh_id: bytes
    psk: bytes


def open_secret(name: str) -> bytes:
    """The secret of the open mesh ``name``."""
    return blake(unicodedata.normalize("NFC", name).encode(), person=b"trio-mesh open")


def mesh_of(secret: bytes) -> Mesh:
    """The mesh of a 32-byte secret.

    Raises:
        Refused: it has another length.
    """
    if len(secret) != 32:
        raise Refused("a mesh secret that has not 32 bytes")
    return Mesh(blake(secret, size=16, person=b"trio-mesh id"), blake(secret, person=b"trio-mesh psk"))


def open_mesh(name: str) -> Mesh:
    """The mesh of everybody who knows ``name``."""
    return mesh_of(open_secret(name))


def tag(mesh: Mesh, instance: str) -> str:
    """The 16 hex digits by which members recognise an announcement (R8)."""
    return blake(instance.encode(), size=8, person=b"trio-mesh tag", key=mesh.psk).hex()
