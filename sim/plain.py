"""Frozen dataclasses as plain JSON values and back, so that a plan can be kept in a file and run again.

Tuples become arrays, dataclasses objects; where a field may hold one of several dataclasses, the object says which by
its ``kind``. Fields that have their default are left out, so that a file shows what is special and outlives new fields.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_plain(value: object) -> object:
    """What ``json.dumps`` takes."""
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        plain: dict[str, object] = {"kind": type(value).__name__}
        for field in fields(value):
            item = getattr(value, field.name)
            default = field.default_factory() if field.default_factory is not MISSING else field.default
            if default is MISSING or item != default:
                plain[field.name] = to_plain(item)
        return plain
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} has no plain form")


def from_plain(kind: type[T], plain: object) -> T:
    """The value of which ``plain`` is the plain form.

    Raises:
        ValueError: it is none of that kind; says where.
    """
    return cast(T, _read(kind, plain, kind.__name__))


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _read(kind: Any, plain: object, where: str) -> object:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _read_union(get_args(kind), plain, where)
    if origin is Literal:
        if plain in get_args(kind):
            return plain
    elif origin is tuple:
        if isinstance(plain, list):
            return _read_tuple(get_args(kind), plain, where)
    elif is_dataclass(kind):
        if isinstance(plain, dict):
            return _read_fields(cast(type, kind), plain, where)
    elif kind is float and isinstance(plain, int | float) and not isinstance(plain, bool):
        return float(plain)
    elif type(plain) is kind or (kind is type(None) and plain is None):
        return plain
    raise ValueError(f"{where}: {plain!r} is not what belongs here")


def _read_tuple(kinds: Sequence[Any], plain: list[object], where: str) -> tuple[object, ...]:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_read(kinds[0], item, f"{where}[{number}]") for number, item in enumerate(plain))
    if len(kinds) != len(plain):
        raise ValueError(f"{where}: {len(plain)} items, {len(kinds)} belong here")
    return tuple(
        _read(kind, item, f"{where}[{number}]") for number, (kind, item) in enumerate(zip(kinds, plain, strict=True))
    )


def _read_union(kinds: Sequence[Any], plain: object, where: str) -> object:
    for kind in kinds:
        named = is_dataclass(kind) and isinstance(plain, dict) and plain.get("kind") == cast(type, kind).__name__
        if named or (not is_dataclass(kind) and type(plain) is kind):
            return _read(kind, plain, where)
    raise ValueError(f"{where}: {plain!r} is none of {', '.join(str(kind.__name__) for kind in kinds)}")


def _read_fields(kind: type, plain: dict[str, object], where: str) -> object:
    hints = _hints(kind)
    unknown = sorted(set(plain) - set(hints) - {"kind"})
    if unknown or plain.get("kind", kind.__name__) != kind.__name__:
        raise ValueError(f"{where}: {kind.__name__} has no {', '.join(unknown) or plain['kind']}")
    given = {name: _read(hints[name], item, f"{where}.{name}") for name, item in plain.items() if name != "kind"}
    try:
        return kind(**given)
    except TypeError as fault:
        raise ValueError(f"{where}: {fault}") from fault
