"""What we depend on, as its three places must agree on it: ``pyproject.toml``, the lock, ``docs/dependencies.md``."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.tidy.imports import OURS, imports
from tests.tidy.tree import Finding, Source

PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([\w.!+]+)")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")
ROW = re.compile(r"^\| `([\w.-]+)` \| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
# What is imported under another name than it is installed by.
IMPORTED_AS = {"pynacl": "nacl", "noiseprotocol": "noise", "pytest-trio": "pytest_trio"}


@dataclass(frozen=True, slots=True)
class Project:
    """The requirements of ``pyproject.toml``: of the daemon, of each extra, of the build."""

    runtime: tuple[Requirement, ...]
    extras: dict[str, tuple[Requirement, ...]]
    build: tuple[Requirement, ...]

    @property
    def locked(self) -> tuple[Requirement, ...]:
        """What the lock must hold: what the daemon and its developers need."""
        return (*self.runtime, *self.extras.get("dev", ()), *self.build)

    @property
    def all(self) -> tuple[Requirement, ...]:
        """Everything that is asked for anywhere."""
        extras = (requirement for group in self.extras.values() for requirement in group)
        return (*self.runtime, *extras, *self.build)


def read_project(text: str) -> Project:
    """The requirements of a ``pyproject.toml``."""
    table = tomllib.loads(text)
    extras = table["project"].get("optional-dependencies", {})
    return Project(
        runtime=_requirements(table["project"]["dependencies"]),
        extras={name: _requirements(lines) for name, lines in extras.items()},
        build=_requirements(table["build-system"]["requires"]),
    )


def _requirements(lines: list[str]) -> tuple[Requirement, ...]:
    return tuple(Requirement(line) for line in lines)


def read_lock(text: str) -> dict[str, list[tuple[str, int]]]:
    """Per package of a lock: each pinned version (one per Python, where they differ) and how many hashes it has."""
    pins: dict[str, list[tuple[str, int]]] = {}
    for entry in re.split(r"\n(?=\S)", text):
        pin = PIN.match(entry)
        if pin:
            pins.setdefault(canonicalize_name(pin.group(1)), []).append((pin.group(2), len(HASH.findall(entry))))
    return pins


def unbounded(project: Project) -> Iterator[str]:
    """Requirements without a lower and an upper bound."""
    for requirement in project.all:
        operators = {specifier.operator for specifier in requirement.specifier}
        if not ({">=", "<"} <= operators or "==" in operators):
            yield f"{requirement} lacks a lower or an upper bound"


def lock_faults(project: Project, text: str) -> Iterator[str]:
    """Where a lock does not fit the project, is not fully hashed, or says where to download from."""
    pins = read_lock(text)
    for requirement in project.locked:
        versions = pins.get(canonicalize_name(requirement.name), [])
        if not versions:
            yield f"{requirement.name} is not in the lock"
        yield from (
            f"{requirement.name}=={version} is locked, outside {requirement.specifier}"
            for version, _ in versions
            if not requirement.specifier.contains(version)
        )
    for name, versions in pins.items():
        yield from (f"{name}=={version} has no hash" for version, hashes in versions if not hashes)
    for line in text.splitlines():
        told = line.strip()
        if told.startswith("-") and not told.startswith("--hash="):
            yield f"an option in the lock: {told}"
        elif "://" in told and not told.startswith("#"):
            yield f"an address in the lock: {told}"


def reason_faults(project: Project, document: str) -> Iterator[str]:
    """Where the table of reasons and ``pyproject.toml`` do not say the same."""
    rows = {name: bounds for name, bounds, _, _ in ROW.findall(_rows(document))}
    asked = {requirement.name: str(requirement).removeprefix(requirement.name) for requirement in project.all}
    for name, bounds in asked.items():
        if name not in rows:
            yield f"{name} has no reason"
        elif _bounds(rows[name]) != _bounds(bounds):
            yield f"{name} is bounded {bounds} in pyproject.toml, {rows[name]} in the reasons"
    yield from (f"{name} has a reason, but nobody asks for it" for name in rows if name not in asked)


def _rows(document: str) -> str:
    return "\n".join(line.strip() for line in document.splitlines())


def _bounds(text: str) -> set[str]:
    return {part.strip() for part in text.split(",")}


def undeclared_imports(source: Source, project: Project) -> Iterator[Finding]:
    """Third-party imports of shipped code that its requirements do not cover.

    What a module imports while loading must be a requirement of the daemon; an import inside a function may be of an
    extra, except of ``dev``, which no installed hub has.
    """
    if source.module.partition(".")[0] not in {"protocol", "meshnode", "sim"}:
        return
    always = _modules(project.runtime)
    extras = [requirement for name, group in project.extras.items() if name != "dev" for requirement in group]
    optional = always | _modules(tuple(extras))
    for found in imports(source):
        if found.top in sys.stdlib_module_names or found.top in OURS or found.typing_only:
            continue
        if found.top not in (optional if found.deferred else always):
            yield source.finding(found.line, f"imports {found.top}, which an installed hub may not have")


def _modules(requirements: tuple[Requirement, ...]) -> set[str]:
    names = (canonicalize_name(requirement.name) for requirement in requirements)
    return {IMPORTED_AS.get(name, name.replace("-", "_")) for name in names}
