"""The one decoder: bounded, canonical MessagePack.

Source: the MessagePack specification, narrowed: arrays, integers, byte strings, UTF-8 strings, booleans and nil;
no maps, floats or extension types; depth <= 8; at most 256 elements in an array; exactly one encoding per value
(re-encoding must give the input). Library defaults are not a protocol: they differ between versions and builds.
Invariant: for any bytes, ``decode`` returns a value or raises :class:`~protocol.errors.DecodeError`, nothing else.
"""

from __future__ import annotations

from typing import Final, NoReturn, TypeAlias

import msgpack

from protocol.errors import DecodeError, Reason
from protocol.limits import DEPTH_MAX, ITEMS_MAX, STRING_BYTES_MAX

Value: TypeAlias = "int | bytes | str | bool | None | tuple[Value, ...]"
"""What may travel."""

_LEAVES: Final = frozenset({int, bytes, str, bool, type(None)})
_pack = msgpack.Packer(use_bin_type=True).pack


def encode(value: Value) -> bytes:
    """The canonical bytes of ``value``; tuples become arrays."""
    encoded: bytes = _pack(value)
    return encoded


def decode(data: bytes) -> Value:
    """The value that ``data`` canonically encodes.

    Raises:
        DecodeError: for anything else; the reason says what was wrong.
    """
    value = decode_for_schema(data)
    inspect(value)
    return value


def decode_for_schema(data: bytes) -> Value:
    """Like :func:`decode`, but leaves leaf types and depth to a caller that checks the exact type of every element.

    Such a caller refuses whatever :func:`inspect` would; it saves the walk, a tenth of the receive path.
    """
    try:
        value = msgpack.unpackb(
            data,
            use_list=False,
            raw=False,
            max_str_len=STRING_BYTES_MAX,
            max_array_len=ITEMS_MAX,
            strict_map_key=False,  # so that the hook sees every map and refuses it as a map
            max_map_len=ITEMS_MAX,
            max_ext_len=len(data),
            object_pairs_hook=_refuse_map,
            ext_hook=_refuse_extension,
        )
    except DecodeError:
        raise
    except msgpack.ExtraData as fault:
        raise DecodeError(Reason.MALFORMED, "bytes after the value") from fault
    except msgpack.StackError as fault:
        raise DecodeError(Reason.TOO_DEEP) from fault
    except ValueError as fault:
        raise DecodeError(_reason(str(fault))) from None
    try:
        canonical = _pack(value)
    except ValueError as fault:  # deeper than the packer can go
        raise DecodeError(Reason.TOO_DEEP) from fault
    if canonical != data:
        inspect(value)
        raise DecodeError(Reason.NOT_CANONICAL)
    decoded: Value = value
    return decoded


def inspect(value: object, depth: int = DEPTH_MAX) -> None:
    """Refuse leaves that may not travel and nesting beyond ``depth``; cost is linear in the elements.

    Raises:
        DecodeError: ``FORBIDDEN_TYPE`` or ``TOO_DEEP``.
    """
    if type(value) is not tuple:
        if type(value) not in _LEAVES:
            raise DecodeError(Reason.FORBIDDEN_TYPE, type(value).__name__)
        return
    if depth == 0:
        raise DecodeError(Reason.TOO_DEEP)
    for item in value:
        kind = type(item)
        if kind is tuple:
            inspect(item, depth - 1)
        elif kind not in _LEAVES:
            raise DecodeError(Reason.FORBIDDEN_TYPE, kind.__name__)


def _refuse_map(_pairs: object) -> NoReturn:
    raise DecodeError(Reason.FORBIDDEN_TYPE, "map")


def _refuse_extension(_code: int, _data: bytes) -> NoReturn:
    raise DecodeError(Reason.FORBIDDEN_TYPE, "extension")


def _reason(text: str) -> Reason:
    if "incomplete" in text:
        return Reason.TRUNCATED
    if "exceeds" in text:
        return Reason.TOO_MANY_ITEMS
    return Reason.MALFORMED
