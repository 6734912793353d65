"""What the documents and comments point at must be there, and what belongs to one machine must not.

Markdown is read by line, as far as links need it: fenced blocks and code spans are code, everything else is prose.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from tests.tidy.tree import ROOT, Finding

FENCE = re.compile(r"^\s*(```|~~~)")
SPAN = re.compile(r"(`+)(.+?)\1")
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+[\"'][^)]*)?\)")
DEFINITION = re.compile(r"^\s{0,3}\[[^\]]+\]:\s*<?(\S+?)>?(?:\s|$)")
HTML_LINK = re.compile(r"""<(?:img|a)\b[^>]*?\b(?:src|href)=["']([^"']+)["']""")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")
ABSOLUTE = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)
MAKE = re.compile(r"(?<![\w./-])make(?:\s+-\S+|\s+[A-Z_]+=\S+)*\s+([a-z][\w-]*)")
PYTHON_M = re.compile(r"\bpython[\d.]*\s+(?:-[XW]\s+\S+\s+|-[A-Za-ln-z]\S*\s+)*?-m\s+([A-Za-z_][\w.]*)")
TARGET = re.compile(r"^([a-z][\w-]*):(?!=)", re.MULTILINE)
NAMED_DOCUMENT = re.compile(r"(?<![\w./-])((?:[\w.-]+/)*[\w.-]+\.md)\b")
# Paths and hosts of one machine, and the talk of one desk; spelled so that this file does not find itself.
PLACES = {
    "a path of one machine": re.compile(r"(?<![\w.~-])/(?:w[o]rk|r[o]ot|t[m]p)/"),
    "a package registry's address": re.compile(
        r"p[y]pi\.org/simple|files\.p[y]thonhosted|registry\.n[p]mjs|deb\.d[e]bian\.org|/opt/(?:p[y]pi|w[h]eels)"
    ),
    "an option that ties an install to one place": re.compile(
        r"--(?:extra-)?ind[e]x-url[\s=]+\S*[/:]|--find-l[i]nks[\s=]+\S*[/:]"
    ),
    "a note that only its writer can follow": re.compile(
        r"\bi[s]sues? #?\d+\b|\bsh[a]red/(?:research|data|design|style)\b|\bC[E]O\b"
    ),
}


def split(text: str) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """A Markdown text as numbered lines of prose (code spans blanked) and of code (fenced lines, and spans)."""
    prose: list[tuple[int, str]] = []
    code: list[tuple[int, str]] = []
    fenced = False
    for number, line in enumerate(text.splitlines(), start=1):
        if FENCE.match(line):
            fenced = not fenced
        elif fenced:
            code.append((number, line))
        else:
            code.extend((number, span.group(2)) for span in SPAN.finditer(line))
            prose.append((number, SPAN.sub("``", line)))
    return prose, code


def links(text: str) -> Iterator[tuple[int, str]]:
    """Line and target of every link and image of a Markdown text."""
    for number, line in split(text)[0]:
        for pattern in (LINK, DEFINITION, HTML_LINK):
            yield from ((number, match.group(1)) for match in pattern.finditer(line))


def anchors(text: str) -> set[str]:
    """The anchors that a Markdown text's headings make, as repository browsers derive them."""
    found: dict[str, int] = {}
    names: set[str] = set()
    in_fence = False
    for line in text.splitlines():
        in_fence ^= FENCE.match(line) is not None
        heading = None if in_fence else HEADING.match(line)
        if heading:
            slug = re.sub(r"[^\w\- ]", "", heading.group(1).lower()).replace(" ", "-")
            names.add(f"{slug}-{found[slug]}" if slug in found else slug)
            found[slug] = found.get(slug, 0) + 1
    return names


def broken_links(path: str, text: str, root: Path = ROOT) -> Iterator[Finding]:
    """Relative links of a document that lead to no file, or to no heading of a document."""
    for number, target in links(text):
        if ABSOLUTE.match(target):
            continue
        name, _, anchor = target.partition("#")
        place = (root / path).parent / name if name else root / path
        if not place.exists():
            yield Finding(path, number, f"links to {target}, which is not there")
        elif not place.resolve().is_relative_to(root.resolve()):
            yield Finding(path, number, f"links to {target}, which is outside the repository")
        elif anchor and place.suffix == ".md" and anchor not in anchors(place.read_text(encoding="utf-8")):
            yield Finding(path, number, f"links to {target}, which has no such heading")


def make_targets(makefile: str) -> set[str]:
    """The targets that a Makefile defines."""
    return set(TARGET.findall(makefile))


def missing_commands(path: str, text: str, targets: set[str], runs: Callable[[str], bool]) -> Iterator[Finding]:
    """``make X`` and ``python -m X`` in a document's code that do not exist; ``runs`` says which modules do."""
    for number, line in split(text)[1]:
        for target in MAKE.findall(line):
            if target not in targets:
                yield Finding(path, number, f"names `make {target}`, which the Makefile has not")
        for module in PYTHON_M.findall(line):
            if not runs(module):
                yield Finding(path, number, f"names `python -m {module}`, which cannot be run")


def can_be_run(module: str, tools: frozenset[str], root: Path = ROOT) -> bool:
    """Whether ``python -m module`` starts something: our own runnable module, the standard library or a locked tool."""
    place = root.joinpath(*module.split("."))
    if (root / module.partition(".")[0]).is_dir():
        starts = [path for path in (place / "__main__.py", place.with_suffix(".py")) if path.is_file()]
        return any(path.name == "__main__.py" or "__main__" in path.read_text(encoding="utf-8") for path in starts)
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top in tools


def unknown_documents(path: str, text: str, root: Path = ROOT) -> Iterator[Finding]:
    """Documents that code names and the repository has not."""
    for number, line in enumerate(text.splitlines(), start=1):
        for name in NAMED_DOCUMENT.findall(line):
            beside = root / PurePosixPath(path).parent / name
            if not ((root / name).is_file() or beside.is_file() or (root / "docs" / name).is_file()):
                yield Finding(path, number, f"names {name}, which is not in the repository")


def places(path: str, text: str) -> Iterator[Finding]:
    """What ties a file to one machine or one desk."""
    for number, line in enumerate(text.splitlines(), start=1):
        for what, pattern in PLACES.items():
            for match in pattern.finditer(line):
                yield Finding(path, number, f"{what}: {match.group()}")
