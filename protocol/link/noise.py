"""A Noise engine whose handshake patterns are data.

Source: The Noise Protocol Framework, revision 34 (2018): sections 5 (state objects), 7 (patterns), 9 (psk),
4.2 and 11.3 (rekey). One suite only: 25519, ChaChaPoly, SHA256. Where we deviate: a remote key equal to our
own of the same kind is refused as a reflection (Noise leaves it to the application), and there are no
pre-messages, because no pattern here has any. Invariants: key pairs are injected, so nothing here draws
randomness; a nonce advances only when its operation succeeded and is never used twice; every step is one
entry of :data:`TRANSITIONS`, a step that is not there and a step that fails both leave the state
:attr:`Stage.FAILED` for good.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from protocol.crypto import KEY_BYTES, TAG_BYTES, Aead, DhKey, hkdf, sha256
from protocol.errors import HandshakeError, LimitExceeded, LocalProtocolError, Reason, SignatureError

MESSAGE_BYTES_MAX: Final = 65_535
"""Noise section 3: no message is longer."""

NONCE_END: Final = 2**64 - 1
"""Noise section 5.1: this nonce is reserved for rekey, so a cipher state ends before it."""

PSK_BYTES: Final = 32


@unique
class Token(Enum):
    """What a message does. The two letters of a DH token name the initiator's key, then the responder's."""

    E = "e"
    S = "s"
    EE = "ee"
    ES = "es"
    SE = "se"
    PSK = "psk"


Pattern = tuple[tuple[Token, ...], ...]

PATTERNS: Final[dict[str, Pattern]] = {
    "XX": (
        (Token.E,),
        (Token.E, Token.EE, Token.S, Token.ES),
        (Token.S, Token.SE),
    ),
    "XXpsk0": (
        (Token.PSK, Token.E),
        (Token.E, Token.EE, Token.S, Token.ES),
        (Token.S, Token.SE),
    ),
    "XXpsk3": (
        (Token.E,),
        (Token.E, Token.EE, Token.S, Token.ES),
        (Token.S, Token.SE, Token.PSK),
    ),
}
"""Noise section 7.5 (XX) and 9.4 (the psk variants): one row of tokens per message, the initiator's first."""


@unique
class Stage(Enum):
    """Where one side of a handshake stands, named by what it does next."""

    INITIATOR_WRITES_1 = "initiator writes 1"
    INITIATOR_READS_2 = "initiator reads 2"
    INITIATOR_WRITES_3 = "initiator writes 3"
    RESPONDER_READS_1 = "responder reads 1"
    RESPONDER_WRITES_2 = "responder writes 2"
    RESPONDER_READS_3 = "responder reads 3"
    COMPLETE = "complete"
    SPLIT = "split"
    FAILED = "failed"


@unique
class Action(Enum):
    """What the owner may ask of a handshake state."""

    WRITE = "write"
    READ = "read"
    SPLIT = "split"


TRANSITIONS: Final[dict[tuple[Stage, Action], Stage]] = {
    (Stage.INITIATOR_WRITES_1, Action.WRITE): Stage.INITIATOR_READS_2,
    (Stage.INITIATOR_READS_2, Action.READ): Stage.INITIATOR_WRITES_3,
    (Stage.INITIATOR_WRITES_3, Action.WRITE): Stage.COMPLETE,
    (Stage.RESPONDER_READS_1, Action.READ): Stage.RESPONDER_WRITES_2,
    (Stage.RESPONDER_WRITES_2, Action.WRITE): Stage.RESPONDER_READS_3,
    (Stage.RESPONDER_READS_3, Action.READ): Stage.COMPLETE,
    (Stage.COMPLETE, Action.SPLIT): Stage.SPLIT,
}
"""Every allowed step. SPLIT is a step too: splitting twice would hand out one key with the same nonces."""

_MESSAGE_INDEX: Final[dict[Stage, int]] = {
    Stage.INITIATOR_WRITES_1: 0,
    Stage.RESPONDER_READS_1: 0,
    Stage.INITIATOR_READS_2: 1,
    Stage.RESPONDER_WRITES_2: 1,
    Stage.INITIATOR_WRITES_3: 2,
    Stage.RESPONDER_READS_3: 2,
}

assert all(len(pattern) == 3 for pattern in PATTERNS.values()), "stages are those of three messages"
assert _MESSAGE_INDEX.keys() == {stage for stage, action in TRANSITIONS if action is not Action.SPLIT}


class TagError(HandshakeError):
    """A tag did not fit: wrong secret, wrong prologue, or bytes changed on the way."""


class CipherState:
    """A key and a counting nonce (Noise section 5.1). Without a key it passes bytes through unchanged."""

    __slots__ = ("_aead", "nonce")

    def __init__(self, key: bytes | None = None, nonce: int = 0) -> None:
        self._aead = None if key is None else Aead(key)
        self.nonce = nonce

    @property
    def has_key(self) -> bool:
        """Whether anything is encrypted at all."""
        return self._aead is not None

    def encrypt(self, plaintext: bytes, associated: bytes = b"") -> bytes:
        """Ciphertext with its tag under the next nonce.

        Raises:
            LimitExceeded: ``CHANNEL_EXHAUSTED`` if no nonce is left; state unchanged.
        """
        if self._aead is None:
            return plaintext
        nonce = self.nonce
        if nonce >= NONCE_END:
            raise LimitExceeded(Reason.CHANNEL_EXHAUSTED, "no nonce left to encrypt with")
        ciphertext = self._aead.encrypt(nonce, plaintext, associated)
        self.nonce = nonce + 1
        return ciphertext

    def decrypt(self, ciphertext: bytes, associated: bytes = b"") -> bytes | None:
        """Plaintext, or None if the tag does not fit, in which case the nonce has not moved.

        Raises:
            LimitExceeded: ``CHANNEL_EXHAUSTED`` if no nonce is left; state unchanged.
        """
        if self._aead is None:
            return ciphertext
        nonce = self.nonce
        if nonce >= NONCE_END:
            raise LimitExceeded(Reason.CHANNEL_EXHAUSTED, "no nonce left to decrypt with")
        plaintext = self._aead.decrypt(nonce, ciphertext, associated)
        if plaintext is not None:
            self.nonce = nonce + 1
        return plaintext

    def rekey(self) -> None:
        """Replace the key by a one-way function of itself (Noise section 4.2); the nonce runs on.

        Raises:
            LocalProtocolError: there is no key yet.
        """
        if self._aead is None:
            raise LocalProtocolError("rekey of a cipher state without a key")
        self._aead = Aead(self._aead.encrypt(NONCE_END, bytes(KEY_BYTES), b"")[:KEY_BYTES])


class SymmetricState:
    """Chaining key, transcript hash and the cipher state they feed (Noise section 5.2)."""

    __slots__ = ("_chaining_key", "_cipher", "_key", "hash")

    def __init__(self, protocol_name: bytes) -> None:
        padded = protocol_name.ljust(KEY_BYTES, b"\x00")
        self.hash = padded if len(padded) == KEY_BYTES else sha256(protocol_name)
        self._chaining_key = self.hash
        self._key: bytes | None = None
        self._cipher: CipherState | None = None  # made when it is needed: most keys are mixed again before that

    def mix_hash(self, data: bytes) -> None:
        """Bind ``data`` into the transcript."""
        self.hash = sha256(self.hash + data)

    def mix_key(self, material: bytes) -> None:
        """Bind secret ``material`` into the keys."""
        self._chaining_key, self._key = hkdf(self._chaining_key, material, 2)
        self._cipher = None

    def mix_key_and_hash(self, material: bytes) -> None:
        """Bind a pre-shared key into keys and transcript (Noise section 9.2)."""
        self._chaining_key, into_hash, self._key = hkdf(self._chaining_key, material, 3)
        self.mix_hash(into_hash)
        self._cipher = None

    def sealed_bytes(self, plain_bytes: int) -> int:
        """How long ``plain_bytes`` are on the wire at this point."""
        return plain_bytes + TAG_BYTES if self._key is not None else plain_bytes

    def _current(self) -> CipherState:
        if self._cipher is None:
            self._cipher = CipherState(self._key)
        return self._cipher

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        """Encrypt with the transcript as associated data, then bind the ciphertext."""
        ciphertext = self._current().encrypt(plaintext, self.hash)
        self.mix_hash(ciphertext)
        return ciphertext

    def decrypt_and_hash(self, ciphertext: bytes) -> bytes:
        """The inverse of :meth:`encrypt_and_hash`.

        Raises:
            TagError: the tag does not fit; state unchanged.
        """
        plaintext = self._current().decrypt(ciphertext, self.hash)
        if plaintext is None:
            raise TagError(Reason.HANDSHAKE_BAD_MESSAGE, "a tag does not fit")
        self.mix_hash(ciphertext)
        return plaintext

    def split(self) -> tuple[CipherState, CipherState]:
        """The transport ciphers: initiator to responder, responder to initiator."""
        forward, backward = hkdf(self._chaining_key, b"", 2)
        return CipherState(forward), CipherState(backward)


@dataclass(frozen=True, slots=True)
class Received:
    """A message that authenticated: its payload, and the 32-byte transcript hash just before that payload."""

    payload: bytes
    bound_hash: bytes


PayloadMaker = Callable[[bytes], bytes]
"""Given the 32-byte transcript hash just before the payload, returns the payload, which may sign that hash."""


class HandshakeState:
    """One side of one handshake (Noise section 5.3).

    ``pattern`` is a key of :data:`PATTERNS`; ``psk`` (32 bytes) is given just if the pattern has a psk token.
    """

    __slots__ = ("_ephemeral", "_initiator", "_pattern", "_psk", "_remote", "_static", "_symmetric", "stage")

    def __init__(
        self,
        pattern: str,
        *,
        initiator: bool,
        prologue: bytes,
        static: DhKey,
        ephemeral: DhKey,
        psk: bytes | None = None,
    ) -> None:
        tokens = PATTERNS.get(pattern)
        if tokens is None:
            raise LocalProtocolError(f"no such pattern: {pattern}")
        wants_psk = any(Token.PSK in row for row in tokens)
        if wants_psk != (psk is not None) or (psk is not None and len(psk) != PSK_BYTES):
            raise LocalProtocolError(f"pattern {pattern} and a psk of {PSK_BYTES} bytes do not fit")
        self._pattern = tokens
        self._initiator = initiator
        self._static = static
        self._ephemeral = ephemeral
        self._psk = psk
        self._remote: dict[str, bytes] = {}
        self._symmetric = SymmetricState(f"Noise_{pattern}_25519_ChaChaPoly_SHA256".encode("ascii"))
        self._symmetric.mix_hash(prologue)
        self.stage = Stage.INITIATOR_WRITES_1 if initiator else Stage.RESPONDER_READS_1

    @property
    def remote_static(self) -> bytes:
        """The peer's 32-byte static key; empty until it has been read."""
        return self._remote.get("s", b"")

    @property
    def handshake_hash(self) -> bytes:
        """The transcript hash so far; after the last message a 32-byte value unique to this session."""
        return self._symmetric.hash

    def write(self, payload: PayloadMaker) -> bytes:
        """The next message of ours.

        Raises:
            LocalProtocolError: it is not our turn, or the payload is too long.
            HandshakeError: ``HANDSHAKE_LOW_ORDER``, a key the peer sent earlier is of small order.
        """
        row, following = self._step(Action.WRITE)
        out = [self._write_token(token) for token in row]
        out.append(self._symmetric.encrypt_and_hash(payload(self._symmetric.hash)))
        message = b"".join(out)
        if len(message) > MESSAGE_BYTES_MAX:
            raise LocalProtocolError(f"a message of {len(message)} bytes, at most {MESSAGE_BYTES_MAX}")
        self.stage = following
        return message

    def read(self, message: bytes) -> Received:
        """Authenticate the peer's next message.

        Raises:
            HandshakeError: ``HANDSHAKE_BAD_MESSAGE`` (out of order, cut short, too long),
                ``HANDSHAKE_LOW_ORDER`` or ``HANDSHAKE_SELF`` (one of our own keys came back).
            TagError: ``HANDSHAKE_BAD_MESSAGE``, a tag does not fit.
        """
        row, following = self._step(Action.READ)
        if len(message) > MESSAGE_BYTES_MAX:
            raise HandshakeError(Reason.HANDSHAKE_BAD_MESSAGE, f"longer than {MESSAGE_BYTES_MAX} bytes")
        rest = message
        for token in row:
            rest = self._read_token(token, rest)
        bound_hash = self._symmetric.hash
        payload = self._symmetric.decrypt_and_hash(rest)
        self.stage = following
        return Received(payload, bound_hash)

    def split(self) -> tuple[CipherState, CipherState]:
        """Our transport ciphers, (sending, receiving); once.

        Raises:
            LocalProtocolError: the handshake is not complete, or was split before.
        """
        _, following = self._step(Action.SPLIT)
        forward, backward = self._symmetric.split()
        self.stage = following
        return (forward, backward) if self._initiator else (backward, forward)

    def _step(self, action: Action) -> tuple[tuple[Token, ...], Stage]:
        """Look the step up and fail closed: whoever succeeds sets the stage it returns."""
        stage, self.stage = self.stage, Stage.FAILED
        following = TRANSITIONS.get((stage, action))
        if following is None:
            if action is Action.READ:
                raise HandshakeError(Reason.HANDSHAKE_BAD_MESSAGE, f"a message in stage '{stage.value}'")
            raise LocalProtocolError(f"{action.value} in stage '{stage.value}'")
        return (() if action is Action.SPLIT else self._pattern[_MESSAGE_INDEX[stage]]), following

    def _write_token(self, token: Token) -> bytes:
        if token is Token.E:
            self._mix_ephemeral(self._ephemeral.public)
            return self._ephemeral.public
        if token is Token.S:
            return self._symmetric.encrypt_and_hash(self._static.public)
        self._mix_secret(token)
        return b""

    def _read_token(self, token: Token, rest: bytes) -> bytes:
        """Consume what ``token`` puts on the wire and return the rest."""
        if token is not Token.E and token is not Token.S:
            self._mix_secret(token)
            return rest
        size = KEY_BYTES if token is Token.E else self._symmetric.sealed_bytes(KEY_BYTES)
        if len(rest) < size:
            raise HandshakeError(Reason.HANDSHAKE_BAD_MESSAGE, f"cut short in token {token.value}")
        if token is Token.E:
            remote, own = rest[:size], self._ephemeral.public
        else:
            remote, own = self._symmetric.decrypt_and_hash(rest[:size]), self._static.public
        if remote == own:
            raise HandshakeError(Reason.HANDSHAKE_SELF, f"our own key came back in token {token.value}")
        if token is Token.E:
            self._mix_ephemeral(remote)
        self._remote[token.value] = remote
        return rest[size:]

    def _mix_ephemeral(self, public: bytes) -> None:
        self._symmetric.mix_hash(public)
        if self._psk is not None:
            # Noise section 9.2: with a psk the key would otherwise not depend on any fresh value.
            self._symmetric.mix_key(public)

    def _mix_secret(self, token: Token) -> None:
        if token is Token.PSK:
            assert self._psk is not None, "checked when the pattern was chosen"
            self._symmetric.mix_key_and_hash(self._psk)
            return
        own, theirs = token.value if self._initiator else token.value[::-1]
        local = self._ephemeral if own == "e" else self._static
        try:
            shared = local.exchange(self._remote[theirs])
        except SignatureError as fault:
            raise HandshakeError(Reason.HANDSHAKE_LOW_ORDER, f"in token {token.value}") from fault
        self._symmetric.mix_key(shared)
