"""What the example modules have in common: fixed seeds, fixed authors, and how an example is written down."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from tests.conformance.reference.codec import Refused, Value
from tests.conformance.reference.crypto import sha256
from tests.conformance.reference.keystates import Identity
from tests.conformance.reference.meshes import Mesh, open_mesh
from tests.conformance.reference.records import Ignored

MESH_NAME: Final = "conformance"
MESH: Final[Mesh] = open_mesh(MESH_NAME)
EXACT: Final = 2**53
"""From here on JSON numbers are not exact everywhere, so integers are written as strings."""

Example: TypeAlias = dict[str, Any]
Decode: TypeAlias = Callable[[bytes], Any]
"""Bytes to what JSON says they mean; raises Refused or Ignored."""


@dataclass(frozen=True, slots=True)
class Case:
    """One example before it is written down; ``accept`` is what we say, not what the code does."""

    name: str
    requirement: str
    data: bytes
    accept: bool
    note: str = ""


def good(name: str, requirement: str, data: bytes, note: str = "") -> Case:
    """An example that must be accepted."""
    return Case(name, requirement, data, accept=True, note=note)


def bad(name: str, requirement: str, data: bytes, note: str = "") -> Case:
    """An example that must be refused."""
    return Case(name, requirement, data, accept=False, note=note)


def seed(label: str) -> bytes:
    """32 fixed bytes."""
    return sha256(b"conformance " + label.encode())


def author(label: str, rotations: int = 0, mesh: Mesh = MESH) -> Identity:
    """A fixed author with keys for ``rotations`` more turns than it has made."""
    return Identity(mesh.mesh_id, [seed(f"{label} {index}") for index in range(rotations + 2)])


def written(cases: Iterable[Case], decode: Decode) -> list[Example]:
    """The examples as they stand in a file.

    Raises:
        AssertionError: the reference implementation disagrees with a verdict.
    """
    return [_written(case, decode) for case in cases]


def _written(case: Case, decode: Decode) -> Example:
    example: Example = {"name": case.name, "requirement": case.requirement, "hex": case.data.hex()}
    try:
        outcome: dict[str, Any] = {"accept": True, "decoded": decode(case.data)}
    except Refused as verdict:
        outcome = {"accept": False, "reason": str(verdict)}
    except Ignored as verdict:
        outcome = {"accept": False, "reason": str(verdict), "link": "kept"}
    assert outcome["accept"] is case.accept, f"{case.name}: {outcome}"
    return {**example, **outcome, **({"note": case.note} if case.note else {})}


def plain(value: Value) -> Any:
    """A value as JSON: byte strings and large integers become objects."""
    if isinstance(value, bytes):
        return {"bin": value.hex()}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= EXACT:
        return {"int": str(value)}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value
