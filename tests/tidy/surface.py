"""The public surface of ``protocol`` as text: what other code may lean on, and a diff when it moves.

``python -m tests.tidy.surface --write`` renews the committed snapshot, ``surface.txt`` beside this file. The text is
the same on every Python we support: annotations are shown as the source spells them, defaults only as present.
"""

from __future__ import annotations

import argparse
import enum
import importlib
import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

SNAPSHOT = Path(__file__).with_name("surface.txt")
RENEW = "python -m tests.tidy.surface --write"


def describe(module: ModuleType) -> str:
    """The surface of a module: every name of its ``__all__``, and of a class what it offers, in ``__all__``'s order."""
    names: Sequence[str] = getattr(module, "__all__", ())
    return "".join(f"{line}\n" for name in names for line in _lines(name, getattr(module, name)))


def faults(module: ModuleType) -> list[str]:
    """What is wrong with a module's ``__all__``: not there, not sorted, doubled, or naming what cannot be imported."""
    names: Sequence[str] | None = getattr(module, "__all__", None)
    if not names:
        return [f"{module.__name__} has no __all__"]
    where = f"{module.__name__}.__all__"
    found = [f"{where} names {name}, which is not there" for name in names if not hasattr(module, name)]
    if list(names) != sorted(set(names), key=_rank):
        found.append(f"{where} is not sorted (constants, classes, the rest), or names something twice")
    found.extend(f"{where} names {name}, which is private" for name in names if name.startswith("_"))
    return found


def _rank(name: str) -> tuple[int, str]:
    """The order that the linter gives to ``__all__``: constants, then classes, then the rest."""
    if len(name) > 1 and name.isupper():
        return 0, name
    return (1 if name[0].isupper() else 2), name


def _lines(name: str, value: object) -> Iterator[str]:
    if isinstance(value, type) and issubclass(value, enum.Enum):
        yield f"enum {name}: {' '.join(member.name for member in value)}"
    elif isinstance(value, type):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        yield f"class {name}({bases})" if bases else f"class {name}"
        yield from (f"    {line}" for line in _members(value))
    elif inspect.isfunction(value):
        yield f"def {name}{_signature(value)}"
    elif inspect.ismodule(value):
        yield f"module {name}"
    else:
        yield f"value {name}"


def _members(kind: type) -> Iterator[str]:
    """A class's annotated fields in their order, then its own public methods and properties by name."""
    for field, annotation in inspect.get_annotations(kind).items():
        if not field.startswith("_"):
            yield f"{field}: {annotation}"
    for name in sorted(vars(kind)):
        value: object = inspect.getattr_static(kind, name)
        if isinstance(value, staticmethod | classmethod):
            value = value.__func__
        if name == "__init__" and name in _written(kind):
            yield f"def __init__{_signature(value)}"
        elif name.startswith("_"):
            continue
        elif isinstance(value, property):
            yield f"property {name}"
        elif inspect.isfunction(value):
            yield f"def {name}{_signature(value)}"


def _written(kind: type) -> set[str]:
    """Names of methods that the class's source wrote itself (a dataclass's fields already say its ``__init__``)."""
    return set() if hasattr(kind, "__dataclass_fields__") else set(vars(kind))


def _signature(function: object) -> str:
    assert inspect.isfunction(function)
    signature = inspect.signature(function)
    shown = [p.replace(default=...) if p.default is not p.empty else p for p in signature.parameters.values()]
    return str(signature.replace(parameters=shown)).replace("'", "").replace("Ellipsis", "...")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the surface, or with ``--write`` renew the snapshot."""
    parser = argparse.ArgumentParser(prog="python -m tests.tidy.surface", description="the public surface of protocol")
    parser.add_argument("--write", action="store_true", help=f"renew {SNAPSHOT.name}")
    write: bool = parser.parse_args(arguments).write
    protocol = importlib.import_module("protocol")
    wrong = faults(protocol)
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 1
    if write:
        SNAPSHOT.write_text(describe(protocol), encoding="utf-8")
    else:
        print(describe(protocol), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
