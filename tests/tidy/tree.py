"""What is in the repository: its files, parsed once, and the findings that rules make in them."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TypeAlias

ROOT = Path(__file__).resolve().parent.parent.parent
CODE = ("protocol", "meshnode", "sim", "tests", "benchmarks")
# Made by tools, listed in .gitignore: no part of the repository.
SKIPPED_DIRS = frozenset(
    {".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "build", "dist"}
)
TEXT_SUFFIXES = frozenset(
    {".cfg", ".css", ".csv", ".html", ".ini", ".js", ".json", ".lock", ".md", ".py", ".sh", ".svg", ".toml", ".txt"}
)
TEXT_NAMES = frozenset({"LICENSE", "Makefile", "run", ".gitignore"})
TEXT_BYTES_MAX = 1_000_000  # beyond this it is data, not prose or code


@dataclass(frozen=True, slots=True)
class Finding:
    """One place that breaks a rule."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file; ``path`` is relative to the root, with forward slashes."""

    path: str
    text: str
    tree: ast.Module

    @property
    def module(self) -> str:
        """Dotted name; a package's ``__init__.py`` has the name of the package."""
        parts = PurePosixPath(self.path).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def package(self) -> str:
        """The package against which the file's relative imports resolve."""
        return self.module if self.path.endswith("/__init__.py") else self.module.rpartition(".")[0]

    def inside(self, package: str) -> bool:
        """Whether the module is ``package`` or lies below it."""
        return is_below(self.module, package)

    def finding(self, node: ast.AST | int, text: str) -> Finding:
        """A finding at ``node`` (or line number) of this file."""
        line = node if isinstance(node, int) else getattr(node, "lineno", 1)
        return Finding(self.path, line, text)


Rule: TypeAlias = Callable[[Source], Iterable[Finding]]


def is_below(module: str, package: str) -> bool:
    """Whether the dotted name ``module`` is ``package`` or lies below it."""
    return module == package or module.startswith(f"{package}.")


def parse(path: str, text: str) -> Source:
    """A source from text: real files and the tests' bad samples go through this one door."""
    return Source(path, text, ast.parse(text, filename=path))


def files(*folders: str, root: Path = ROOT) -> Iterator[Path]:
    """Every file under ``folders`` (the whole repository if none is named), in a stable order."""
    for start in [root / folder for folder in folders] or [root]:
        for place, subfolders, names in os.walk(start):
            subfolders[:] = sorted(s for s in subfolders if s not in SKIPPED_DIRS and not s.endswith(".egg-info"))
            yield from (Path(place, name) for name in sorted(names))


def relative(path: Path, root: Path = ROOT) -> str:
    """``path`` as the repository names it."""
    return path.relative_to(root).as_posix()


@cache
def sources() -> tuple[Source, ...]:
    """Every Python file of the repository."""
    found = [path for path in files(*CODE) if path.suffix == ".py"]
    return tuple(parse(relative(path), path.read_text(encoding="utf-8")) for path in found)


@cache
def texts() -> tuple[tuple[str, str], ...]:
    """Path and content of every text file of the repository, code and prose."""
    return tuple(
        (relative(path), path.read_text(encoding="utf-8"))
        for path in files()
        if (path.suffix in TEXT_SUFFIXES or path.name in TEXT_NAMES) and path.stat().st_size <= TEXT_BYTES_MAX
    )


def documents() -> list[tuple[str, str]]:
    """Path and content of every Markdown file."""
    return [(path, text) for path, text in texts() if path.endswith(".md")]


def findings(rule: Rule) -> list[Finding]:
    """What ``rule`` finds in the repository."""
    return [finding for source in sources() for finding in rule(source)]


def listing(found: Iterable[Finding]) -> str:
    """Findings as one message, a line each, as compilers print them."""
    return "\n" + "\n".join(map(str, found))
