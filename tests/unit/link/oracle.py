"""A second implementation of the handshake, on the library ``noiseprotocol``; shares nothing with protocol/link.

The library wants to draw its own ephemeral keys and warns if it is given some; it is given some here, because a
test that differs from run to run cannot be read. Its hook for the transcript hash before a payload is made by
wrapping one method.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

from noise.connection import Keypair, NoiseConnection


class Oracle:
    """One side of any pattern; all keys are 32 secret bytes."""

    def __init__(
        self,
        name: str,
        *,
        initiator: bool,
        prologue: bytes,
        static: bytes,
        ephemeral: bytes,
        psk: bytes | None = None,
    ) -> None:
        self._noise = NoiseConnection.from_name(name.encode())
        self._noise.set_prologue(prologue)
        if psk is not None:
            self._noise.set_psks(psk=psk)
        if initiator:
            self._noise.set_as_initiator()
        else:
            self._noise.set_as_responder()
        self._noise.set_keypair_from_private_bytes(Keypair.STATIC, static)
        self._noise.set_keypair_from_private_bytes(Keypair.EPHEMERAL, ephemeral)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            self._noise.start_handshake()
        self.bound_hash = b""
        """The transcript hash just before the last payload written or read."""

    def write(self, payload: bytes | Callable[[bytes], bytes]) -> bytes:
        """The next message; the payload may be made from the transcript hash before it."""
        symmetric = self._noise.noise_protocol.handshake_state.symmetric_state
        original = symmetric.encrypt_and_hash

        def hooked(plaintext: bytes) -> bytes:
            self.bound_hash = bytes(symmetric.h)
            wanted = payload(self.bound_hash) if callable(payload) else payload
            return bytes(original(wanted if plaintext == b"PAYLOAD" else bytes(plaintext)))

        symmetric.encrypt_and_hash = hooked
        try:
            return bytes(self._noise.write_message(b"PAYLOAD"))
        finally:
            symmetric.encrypt_and_hash = original

    def read(self, message: bytes) -> bytes:
        """The payload of a message."""
        symmetric = self._noise.noise_protocol.handshake_state.symmetric_state
        original = symmetric.decrypt_and_hash

        def hooked(ciphertext: bytes) -> bytes:
            self.bound_hash = bytes(symmetric.h)
            return bytes(original(bytes(ciphertext)))

        symmetric.decrypt_and_hash = hooked
        try:
            return bytes(self._noise.read_message(message))
        finally:
            symmetric.decrypt_and_hash = original

    @property
    def handshake_hash(self) -> bytes:
        """After the last message."""
        return bytes(self._noise.get_handshake_hash())

    def seal(self, plaintext: bytes) -> bytes:
        """A transport message."""
        return bytes(self._noise.encrypt(plaintext))

    def open(self, ciphertext: bytes) -> bytes:
        """Its inverse."""
        return bytes(self._noise.decrypt(ciphertext))

    def rekey_sending(self) -> None:
        """Noise REKEY of our direction."""
        self._noise.rekey_outbound_cipher()

    def rekey_receiving(self) -> None:
        """Noise REKEY of the peer's direction."""
        self._noise.rekey_inbound_cipher()
