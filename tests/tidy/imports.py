"""Who may import whom.

Low to high: ``protocol`` imports nothing of ours; ``sim`` and ``meshnode`` import ``protocol`` and never each other.
Inside ``protocol``: ground < commons < machines < node, and a machine never imports another machine: only ``node``
knows them all and carries news between them. The tables below are the law; a new module finds its place here first.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from tests.tidy.tree import Finding, Source, is_below

GROUND = frozenset({"ids", "clock", "limits", "errors", "rng", "bars"})
COMMONS = frozenset({"inputs", "effects", "timers", "crypto", "wire", "identity", "sealing"})
MACHINES = frozenset(
    {
        *("link", "membership", "gossip", "ledger", "reconcile"),
        *("glitch", "trust", "consent", "collective", "echo"),
    }
)
NODE = frozenset(
    {
        "node",
        "bonds",
        "durable",
        "flow",
        "neighborhood",
        "port",
        "reception",
        "rifts",
        "snapshot",
        "statistics",
        "transit",
        "voice",
    }
)  # node.py and its parts: they compose, and decide nothing
LAYERS = (GROUND, COMMONS, MACHINES, NODE)

# What of the standard library computes only: it reaches no clock, socket, thread, file or ambient chance.
PURE_STDLIB = frozenset(
    {
        *("__future__", "abc", "array", "base64", "binascii", "bisect", "collections", "contextlib", "copy"),
        *("dataclasses", "decimal", "enum", "fractions", "functools", "hashlib", "heapq", "hmac", "ipaddress"),
        *("itertools", "json", "math", "numbers", "operator", "re", "statistics", "string", "struct", "textwrap"),
        *("types", "typing", "unicodedata", "weakref", "zlib"),
    }
)
# Third-party packages the protocol may import, each with the modules that may: behind one door, so that one bounded
# decoder and one verifier serve the whole mesh.
PROTOCOL_THIRD_PARTY = {
    "msgpack": ("protocol.wire.codec",),
    "nacl": ("protocol.crypto",),
    "cryptography": ("protocol.crypto",),
    "numpy": (),
}
# Machines that a package or module outside may drive itself: the daemon runs one handshake and channel per link; the
# field of the simulator plays overlays, trees and detectors of 10,000 members without the rest of their hubs.
MACHINES_OPEN_TO = {
    "meshnode": frozenset({"link"}),
    "meshnode.trusting": frozenset({"trust"}),  # its values, and an explanation in words
    "sim": frozenset[str](),
    **dict.fromkeys(("sim.papers.sybil", "sim.papers.malice"), frozenset({"trust"})),
    **dict.fromkeys(
        ("sim.field", "sim.members", "sim.papers", "sim.spread"), frozenset({"membership", "gossip", "reconcile"})
    ),
}
OURS = ("protocol", "sim", "meshnode", "tests", "benchmarks")
MAY_IMPORT_OURS = {
    "protocol": {"protocol"},
    "sim": {"protocol", "sim"},
    "meshnode": {"protocol", "meshnode"},
    "tests": set(OURS),
    "benchmarks": set(OURS),
}
MOOD = re.compile(r"vector|collective|emotion|dissonance|arousal|valence|dominance", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name, as a full dotted path (``from a.b import c`` imports ``a.b.c``)."""

    line: int
    target: str
    deferred: bool  # inside a function: runs only when called
    typing_only: bool  # under ``if TYPE_CHECKING``: never runs

    @property
    def top(self) -> str:
        """The top-level package."""
        return self.target.partition(".")[0]


def imports(source: Source) -> list[Import]:
    """Every import in a file, wherever it stands."""
    return list(_imports(source, source.tree.body, deferred=False, typing_only=False))


def _imports(source: Source, body: list[ast.stmt], *, deferred: bool, typing_only: bool) -> Iterator[Import]:
    for statement in body:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield Import(statement.lineno, alias.name, deferred, typing_only)
        elif isinstance(statement, ast.ImportFrom):
            base = _resolve(source, statement)
            for alias in statement.names:
                target = base if alias.name == "*" else f"{base}.{alias.name}"
                yield Import(statement.lineno, target, deferred, typing_only)
        inner_deferred = deferred or isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
        for branch, children in _blocks(statement):
            inner_typing = typing_only or (branch == "body" and _tests_type_checking(statement))
            yield from _imports(source, children, deferred=inner_deferred, typing_only=inner_typing)


def _blocks(statement: ast.stmt) -> Iterator[tuple[str, list[ast.stmt]]]:
    """The statement lists nested in a statement, each under the name of its field."""
    for name in ("body", "orelse", "finalbody"):
        yield name, getattr(statement, name, [])
    for part in (*getattr(statement, "handlers", []), *getattr(statement, "cases", [])):
        yield "part", part.body


def _tests_type_checking(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and ast.unparse(statement.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def _resolve(source: Source, statement: ast.ImportFrom) -> str:
    """The absolute name of the module that a ``from`` import names."""
    if not statement.level:
        return statement.module or ""
    parts = source.package.split(".")
    base = parts[: len(parts) - statement.level + 1]
    return ".".join([*base, *([statement.module] if statement.module else [])])


def room(module: str) -> str | None:
    """The part of ``protocol`` a dotted name lies in (``wire`` for ``protocol.wire.codec``); None for the surface."""
    parts = module.split(".")
    return parts[1] if parts[0] == "protocol" and len(parts) > 1 else None


def layer(name: str) -> int | None:
    """The height of a part of ``protocol``; None if the tables do not know it."""
    return next((height for height, names in enumerate(LAYERS) if name in names), None)


def layers_inside_protocol(source: Source) -> Iterator[Finding]:
    """Inside ``protocol`` imports go down, never up, never between machines, never through the surface."""
    own = room(source.module)
    if own is None:
        return
    height = layer(own)
    if height is None:
        yield source.finding(1, f"protocol.{own} has no layer: give it one in tests/tidy/imports.py")
        return
    for found in imports(source):
        if found.top != "protocol":
            continue
        other = room(found.target)
        other_height = None if other is None else layer(other)
        if other is None or other_height is None:
            yield source.finding(found.line, f"imports {found.target}: import the part itself, not the surface")
        elif other_height > height:
            yield source.finding(found.line, f"{own} imports {other}, which lies above it")
        elif own in MACHINES and other in MACHINES and own != other:
            yield source.finding(found.line, f"machine {own} imports machine {other}: node carries news between them")


def protocol_is_pure(source: Source) -> Iterator[Finding]:
    """``protocol`` imports pure parts of the standard library and its few listed third-party packages only."""
    if not source.inside("protocol"):
        return
    for found in imports(source):
        if found.top in PROTOCOL_THIRD_PARTY:
            if source.module not in PROTOCOL_THIRD_PARTY[found.top]:
                allowed = ", ".join(PROTOCOL_THIRD_PARTY[found.top]) or "no module"
                yield source.finding(found.line, f"imports {found.top}, which {allowed} may")
        elif found.top in sys.stdlib_module_names:
            lazy = source.path == "protocol/__init__.py" and found.top == "importlib"  # loads its public names late
            if found.top not in PURE_STDLIB and not lazy:
                yield source.finding(found.line, f"imports {found.top}, which is not pure (see PURE_STDLIB)")
        elif found.top not in OURS:
            yield source.finding(found.line, f"imports {found.top}, which protocol does not depend on")


def packages_keep_apart(source: Source) -> Iterator[Finding]:
    """``protocol`` knows nobody, ``sim`` and ``meshnode`` know it and not each other, none of them knows the tests."""
    own = source.module.partition(".")[0]
    for found in imports(source):
        if found.top in OURS and found.top not in MAY_IMPORT_OURS[own]:
            yield source.finding(found.line, f"{own} imports {found.target}")


def only_node_knows_machines(source: Source) -> Iterator[Finding]:
    """The daemon and the simulator speak to the node, not to its machines, except where the tables say so."""
    own = source.module.partition(".")[0]
    if own not in MACHINES_OPEN_TO:
        return
    doors = [machines for name, machines in MACHINES_OPEN_TO.items() if is_below(source.module, name)]
    for found in imports(source):
        part = room(found.target)
        if part in MACHINES and not any(part in machines for machines in doors):
            yield source.finding(found.line, f"{own} imports the machine {part}: go through protocol's surface")


def trust_is_blind_to_mood(source: Source) -> Iterator[Finding]:
    """Nothing under ``protocol.trust``, nor the room that feeds it, imports or even names vectors or the collective:
    emotion never touches trust. The room needs key states, and no more of gossip."""
    if not (source.inside("protocol.trust") or source.module == "protocol.bonds"):
        return
    for found in imports(source):
        if source.module == "protocol.bonds" and is_below(found.target, "protocol.gossip.keys"):
            continue
        if MOOD.search(found.target) or any(is_below(found.target, f"protocol.{m}") for m in ("gossip", "collective")):
            yield source.finding(found.line, f"trust imports {found.target}: emotion never touches trust")
    for node in ast.walk(source.tree):
        name = getattr(node, "attr", None) or getattr(node, "id", None) or getattr(node, "arg", None)
        if isinstance(name, str) and MOOD.search(name):
            yield source.finding(node, f"trust names {name}: emotion never touches trust")


def conformance_shares_no_code(source: Source) -> Iterator[Finding]:
    """The conformance kit is a second reading of the specification: it imports nothing of the implementation.

    Its own tests (``test_*.py``) may start a hub to have something to point the kit at, and ``broken_hub.py`` is that
    hub.
    """
    name = source.path.rpartition("/")[2]
    if not source.inside("tests.conformance") or name.startswith("test_") or name in ("conftest.py", "broken_hub.py"):
        return
    for found in imports(source):
        if found.top in {"protocol", "meshnode", "sim"}:
            yield source.finding(found.line, f"the conformance kit imports {found.target}")


def cycles(all_sources: tuple[Source, ...]) -> list[list[str]]:
    """Rings of modules that import each other while loading, each as the path that closes it."""
    names = {source.module for source in all_sources}
    graph: dict[str, list[str]] = {}
    for source in all_sources:
        loading = [found.target for found in imports(source) if not found.deferred and not found.typing_only]
        targets = {_module_of(target, names) for target in loading} - {None, source.module}
        graph[source.module] = sorted(target for target in targets if target is not None)
    rings: list[list[str]] = []
    finished: set[str] = set()
    for name in sorted(graph):
        _walk(name, graph, [], finished, rings)
    return rings


def _module_of(target: str, names: set[str]) -> str | None:
    """The module that an import loads: the target itself, or the module that the last part is a name in."""
    if target in names:
        return target
    parent = target.rpartition(".")[0]
    return parent if parent in names else None


def _walk(name: str, graph: dict[str, list[str]], path: list[str], finished: set[str], rings: list[list[str]]) -> None:
    if name in path:
        rings.append([*path[path.index(name) :], name])
        return
    if name in finished:
        return
    for target in graph[name]:
        _walk(target, graph, [*path, name], finished, rings)
    finished.add(name)
