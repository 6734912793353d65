"""The sealed channel of one link: plaintext frames in, sealed frame bodies out, and back.

Source: The Noise Protocol Framework, revision 34: sections 5.1 (nonces), 4.2 and 11.3 (rekey), on top of the
ordered bytes of one TCP connection, so the nonce is counted and never sent. Deviation: none; when to rekey is
left to the application, and ours is a count of frames, because a clock would have to agree on both sides.
Invariants: each direction rekeys after exactly the same frames at both ends; a body that does not open ends
the receiving direction for good; sending goes on, so that the link can still say why it closes.
"""

from __future__ import annotations

from typing import Final

from protocol.errors import LocalProtocolError, Reason, RemoteProtocolError
from protocol.limits import FRAME_BYTES_MAX, PLAINTEXT_BYTES_MAX
from protocol.link.noise import CipherState

REKEY_FRAMES: Final = 65_536
"""Our choice: at 10 frames a second a stolen key opens less than two hours of the past, and it costs nothing."""


class Channel:
    """Both directions of one link.

    ``sending`` and ``receiving`` are the halves of a split handshake. ``rekey_frames`` must be the same at both
    ends; only tests pass anything but the default.
    """

    __slots__ = ("_broken", "_open_until", "_receiving", "_rekey_frames", "_seal_until", "_sending")

    def __init__(self, sending: CipherState, receiving: CipherState, *, rekey_frames: int = REKEY_FRAMES) -> None:
        if not (sending.has_key and receiving.has_key) or rekey_frames < 1:
            raise LocalProtocolError("a channel needs two keyed cipher states and a positive rekey_frames")
        self._sending = sending
        self._receiving = receiving
        self._rekey_frames = rekey_frames
        self._seal_until = self._next_rekey(sending.nonce)
        self._open_until = self._next_rekey(receiving.nonce)
        self._broken = False

    def seal(self, plaintext: bytes) -> bytes:
        """The body of the next frame: ``plaintext`` encrypted, 16 bytes longer.

        Raises:
            LocalProtocolError: more than ``PLAINTEXT_BYTES_MAX`` bytes; state unchanged.
            LimitExceeded: ``CHANNEL_EXHAUSTED``, 2^64 - 1 frames were sent; state unchanged.
        """
        if len(plaintext) > PLAINTEXT_BYTES_MAX:
            raise LocalProtocolError(f"plaintext of {len(plaintext)} bytes, at most {PLAINTEXT_BYTES_MAX}")
        sending = self._sending
        body = sending.encrypt(plaintext)
        if sending.nonce == self._seal_until:
            # At once and not before the next frame: the old key is gone while the link is idle.
            sending.rekey()
            self._seal_until = self._next_rekey(sending.nonce)
        return body

    def open(self, body: bytes) -> bytes:
        """The plaintext of the next frame body.

        Raises:
            RemoteProtocolError: ``CHANNEL_TAMPERED``: changed, cut, repeated, out of order, too long, or anything
                at all after the first such body.
            LimitExceeded: ``CHANNEL_EXHAUSTED``, 2^64 - 1 frames were received; state unchanged.
        """
        receiving = self._receiving
        if self._broken or len(body) > FRAME_BYTES_MAX:
            self._broken = True
            raise RemoteProtocolError(Reason.CHANNEL_TAMPERED, "the receiving direction has ended")
        plaintext = receiving.decrypt(body)
        if plaintext is None:
            self._broken = True
            raise RemoteProtocolError(Reason.CHANNEL_TAMPERED, f"frame {receiving.nonce} does not open")
        if receiving.nonce == self._open_until:
            receiving.rekey()
            self._open_until = self._next_rekey(receiving.nonce)
        return plaintext

    def _next_rekey(self, nonce: int) -> int:
        """The nonce at which the key changes next: the multiple of ``rekey_frames`` above ``nonce``."""
        return (nonce // self._rekey_frames + 1) * self._rekey_frames
