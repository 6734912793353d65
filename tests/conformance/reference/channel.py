"""The sealed channel: nonces that count, and a new key after every 65,536 frames (docs/protocol.md, section 4.2)."""

from __future__ import annotations

from typing import Final

from tests.conformance.reference.codec import Refused
from tests.conformance.reference.crypto import seal, unseal
from tests.conformance.reference.mutations import NONE, Mutation, Mutations

REKEY_FRAMES: Final = 65_536
PLAINTEXT_BYTES_MAX: Final = 65_519
REKEY_NONCE: Final = 2**64 - 1


def rekeyed(key: bytes) -> bytes:
    """Noise ``REKEY``."""
    return seal(key, REKEY_NONCE, bytes(32))[:32]


class Direction:
    """One direction: its key and how many frames have passed."""

    def __init__(self, key: bytes, mutations: Mutations = NONE) -> None:
        self.key = key
        self.frames = 0
        self.rekeys = Mutation.NO_REKEY not in mutations

    def seal(self, plaintext: bytes) -> bytes:
        """The body of the next frame."""
        if not 1 <= len(plaintext) <= PLAINTEXT_BYTES_MAX:
            raise Refused("a plaintext outside 1..65,519 bytes")
        body = seal(self.key, self.frames, plaintext)
        self.advance()
        return body

    def unseal(self, body: bytes) -> bytes:
        """The plaintext of the next frame.

        Raises:
            Refused: it does not decrypt, or holds nothing.
        """
        plaintext = unseal(self.key, self.frames, body)
        self.advance()
        if not plaintext:
            raise Refused("an empty plaintext")
        return plaintext

    def advance(self) -> None:
        """Count a frame; the key changes after every 65,536th."""
        self.frames += 1
        if self.rekeys and self.frames % REKEY_FRAMES == 0:
            self.key = rekeyed(self.key)


class Channel:
    """Both directions of one link."""

    def __init__(self, sending_key: bytes, receiving_key: bytes, mutations: Mutations = NONE) -> None:
        self.sending = Direction(sending_key, mutations)
        self.receiving = Direction(receiving_key, mutations)
