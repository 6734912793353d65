"""As much of PyNaCl's compiled module as signing and verifying ask for: the two calls, on bytes instead of C memory."""

from __future__ import annotations

from collections.abc import Callable

from nacl.bindings import crypto_sign, crypto_sign_open
from nacl.exceptions import BadSignatureError


class _Ffi:
    NULL = None

    @staticmethod
    def new_allocator(*, should_clear_after_alloc: bool) -> Callable[[str, int], bytearray]:
        """Memory is always clear here."""
        assert not should_clear_after_alloc
        return lambda _kind, size: bytearray(size)

    @staticmethod
    def buffer(memory: bytearray, size: int) -> bytes:
        """The first ``size`` bytes."""
        return bytes(memory[:size])


class _Lib:
    @staticmethod
    def crypto_sign(signed: bytearray, _length: None, message: bytes, size: int, secret: bytes) -> int:
        """Write signature and message; 0 says that it went well."""
        signed[:] = crypto_sign(message[:size], secret)
        return 0

    @staticmethod
    def crypto_sign_open(_opened: None, _length: None, signed: bytes, size: int, public: bytes) -> int:
        """0 for a good signature."""
        try:
            crypto_sign_open(signed[:size], public)
        except BadSignatureError:
            return -1
        return 0


ffi = _Ffi()
lib = _Lib()
