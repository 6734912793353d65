"""The shape of the code: how long, how described, and which constructs stay out of the pure core."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator

from tests.tidy.imports import imports
from tests.tidy.tree import Finding, Source

FILE_LINES_MAX = 500  # beyond this nobody holds a file in mind
FUNCTION_LINES_MAX = 60
SENTENCE = re.compile(r"\w+(?:\W+\w+){2,}.*?[.!?:]", re.DOTALL)  # three words or more, and an end
TODO_CONDITION = re.compile(r"\b(?:when|once|until|after|if|as soon as)\b", re.IGNORECASE)
TODO = re.compile(r"\bTODO\b")
NEVER = re.compile(r"\b(?:FIXME|XXX|HACK)\b")
# Built-ins that reach the world, run text as code, or (`hash`, `id`) differ from process to process.
IMPURE_BUILTINS = frozenset({"open", "print", "input", "eval", "exec", "breakpoint", "__import__", "hash", "id"})
ANY = frozenset({"typing.Any", "typing_extensions.Any"})
NAMED_TUPLES = frozenset({"typing.NamedTuple", "collections.namedtuple"})


def file_is_short(source: Source) -> Iterator[Finding]:
    """A Python file has at most 500 lines."""
    lines = len(source.text.splitlines())
    if lines > FILE_LINES_MAX:
        yield source.finding(lines, f"{lines} lines, at most {FILE_LINES_MAX}: split the file")


def functions_are_short(source: Source) -> Iterator[Finding]:
    """A function has at most 60 lines, its docstring included."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield source.finding(node, f"{node.name} has {lines} lines, at most {FUNCTION_LINES_MAX}: split it")


def module_is_described(source: Source) -> Iterator[Finding]:
    """A module opens with a docstring of at least one sentence."""
    docstring = ast.get_docstring(source.tree)
    if docstring is None:
        yield source.finding(1, "has no docstring")
    elif not SENTENCE.search(docstring.partition("\n\n")[0]):
        yield source.finding(1, "its docstring is no sentence")


def public_names_are_described(source: Source) -> Iterator[Finding]:
    """Every public class and top-level function of shipped code has a docstring."""
    if source.module.partition(".")[0] not in {"protocol", "meshnode", "sim"}:
        return
    for node in source.tree.body:
        described = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        if isinstance(node, described) and not node.name.startswith("_") and ast.get_docstring(node) is None:
            yield source.finding(node, f"{node.name} has no docstring")


def protocol_has_no_any(source: Source) -> Iterator[Finding]:
    """``Any`` would switch type checking off where it matters most."""
    if not source.inside("protocol"):
        return
    for found in imports(source):
        if found.target in ANY:
            yield source.finding(found.line, "Any in protocol: say what it is, or `object`")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node.attr == "Any":
            yield source.finding(node, "Any in protocol: say what it is, or `object`")


def protocol_has_no_named_tuple(source: Source) -> Iterator[Finding]:
    """A named tuple equals any tuple with the same items, so two kinds of message could be taken for each other."""
    if not source.inside("protocol"):
        return
    for found in imports(source):
        if found.target in NAMED_TUPLES:
            yield source.finding(found.line, "NamedTuple in protocol: use a frozen dataclass with slots")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node.attr in {"NamedTuple", "namedtuple"}:
            yield source.finding(node, "NamedTuple in protocol: use a frozen dataclass with slots")


def dataclasses_are_frozen(source: Source) -> Iterator[Finding]:
    """A dataclass of ``protocol`` is frozen with slots; one that must change keeps slots and says why beside it."""
    if not source.inside("protocol"):
        return
    remarks = {line for line, _ in comments(source)}
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            options = _dataclass_options(decorator)
            if options is None:
                continue
            beside = range(decorator.lineno - 1, node.lineno + 2)
            if "slots" not in options:
                yield source.finding(node, f"dataclass {node.name} without slots=True")
            elif "frozen" not in options and not remarks.intersection(beside):
                yield source.finding(node, f"dataclass {node.name} can change, and no comment beside it says why")


def _dataclass_options(decorator: ast.expr) -> set[str] | None:
    """The options that a ``@dataclass`` switches on; None if the decorator is another one."""
    call = decorator if isinstance(decorator, ast.Call) else None
    name = ast.unparse(call.func if call else decorator)
    if name not in {"dataclass", "dataclasses.dataclass"}:
        return None
    keywords = call.keywords if call else []
    return {k.arg for k in keywords if k.arg and isinstance(k.value, ast.Constant) and k.value.value is True}


def protocol_calls_nothing_impure(source: Source) -> Iterator[Finding]:
    """No built-in that reaches the world or differs from process to process is called in ``protocol``."""
    if not source.inside("protocol"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_BUILTINS:
            yield source.finding(node, f"calls {node.func.id}() in protocol")


def sets_are_not_walked(source: Source) -> Iterator[Finding]:
    """No loop of ``protocol`` or ``sim`` runs over a set as written: its order differs from process to process."""
    if not (source.inside("protocol") or source.inside("sim")):
        return
    for node in ast.walk(source.tree):
        walked = [node.iter] if isinstance(node, ast.For) else []
        if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp):
            walked = [generator.iter for generator in node.generators]
        for value in walked:
            made = isinstance(value, ast.Call) and ast.unparse(value.func) in {"set", "frozenset"}
            if made or isinstance(value, ast.Set | ast.SetComp):
                yield source.finding(value, "walks a set: its order differs from process to process; use sorted()")


def todos_carry_a_condition(source: Source) -> Iterator[Finding]:
    """A ``TODO`` says when it can go; other marks of unfinished work stay out."""
    for line, text in comments(source):
        if TODO.search(text) and not TODO_CONDITION.search(text):
            yield source.finding(line, "TODO without a condition (when, once, until, after, if ...)")
        if NEVER.search(text):
            yield source.finding(line, "unfinished work: finish it, or write a TODO with its condition")


def comments(source: Source) -> Iterator[tuple[int, str]]:
    """Line and text of every comment."""
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def names_of_tests_are_sentences(source: Source) -> Iterator[Finding]:
    """The name of a test says what holds: three words at least."""
    if not source.inside("tests") or not source.path.rpartition("/")[2].startswith("test_"):
        return
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test_"):
            continue
        if len(node.name.removeprefix("test_").split("_")) < 3:
            yield source.finding(node, f"{node.name} is no sentence: say what holds")
