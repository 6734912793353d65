"""The errors of the mesh and the closed list of reasons for which something is dropped or a link closed.

Three kinds of wrong, three treatments: our own bug raises :class:`LocalProtocolError` and crashes; the peer's
fault raises :class:`RemoteProtocolError` inside a machine, is turned into effects at one boundary and never
escapes ``handle``; the world's weather (loss, silence, a full disk) is an input and not an exception.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum, unique


@unique
class CloseCode(IntEnum):
    """Why a link was closed; travels in ``BYE`` (docs/protocol.md, section 6)."""

    SHUTDOWN = 0
    DUPLICATE_LINK = 1
    SELF_CONNECT = 2
    PROTOCOL = 3
    SIGNATURE = 4
    TIMEOUT = 5
    TOO_MANY_LINKS = 6
    SLOW = 7
    REHEARSAL = 8


@unique
class Reason(StrEnum):
    """Why a byte, message or record was refused. Each is a counter in ``meshnode status``."""

    # framing and codec
    FRAME_TOO_LARGE = "frame_too_large"
    FRAME_EMPTY = "frame_empty"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    NOT_CANONICAL = "not_canonical"
    TOO_DEEP = "too_deep"
    TOO_MANY_ITEMS = "too_many_items"
    FORBIDDEN_TYPE = "forbidden_type"
    UNKNOWN_MESSAGE = "unknown_message"
    WRONG_ARITY = "wrong_arity"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    # records
    WRONG_DOMAIN = "wrong_domain"
    WRONG_MESH = "wrong_mesh"
    WRONG_VERSION = "wrong_version"
    BAD_SIGNATURE = "bad_signature"
    BAD_KEY = "bad_key"
    BAD_KEY_STATE = "bad_key_state"
    STALE_KEY_STATE = "stale_key_state"
    UNKNOWN_AUTHOR = "unknown_author"
    UNKNOWN_DIMENSION = "unknown_dimension"
    UNKNOWN_AUDIENCE = "unknown_audience"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"
    LEASE_EXPIRED = "lease_expired"
    FROM_THE_FUTURE = "from_the_future"
    OWN_RECORD = "own_record"
    NOT_CONSENTED = "not_consented"
    VERIFY_BUDGET = "verify_budget"
    AUTHOR_LIMIT = "author_limit"
    PENDING_LIMIT = "pending_limit"
    # durable events
    CHAIN_BROKEN = "chain_broken"
    BEFORE_BASE = "before_base"
    BRANCH_LIMIT = "branch_limit"
    QUOTA_EVENTS = "quota_events"
    QUOTA_BYTES = "quota_bytes"
    QUOTA_RATE = "quota_rate"
    NOT_A_FORK = "not_a_fork"
    PAYLOAD_MISMATCH = "payload_mismatch"
    PAYLOAD_UNWANTED = "payload_unwanted"
    LEDGER_FULL = "ledger_full"
    STORE_FAILED = "store_failed"
    BAD_CONTENT = "bad_content"
    # reconciliation
    RECONCILE_FORGED = "reconcile_forged"
    RECONCILE_UNEXPECTED = "reconcile_unexpected"
    RECONCILE_ENDLESS = "reconcile_endless"
    RECONCILE_BUSY = "reconcile_busy"
    RECONCILE_SILENT = "reconcile_silent"
    RECONCILE_STALLED = "reconcile_stalled"
    # handshake
    HANDSHAKE_BAD_VERSION = "handshake_bad_version"
    HANDSHAKE_BAD_MESSAGE = "handshake_bad_message"
    HANDSHAKE_WRONG_SECRET = "handshake_wrong_secret"  # noqa: S105 - a reason, not a password
    HANDSHAKE_BAD_IDENTITY = "handshake_bad_identity"
    HANDSHAKE_WRONG_IDENTITY = "handshake_wrong_identity"
    HANDSHAKE_SELF = "handshake_self"
    HANDSHAKE_TWIN = "handshake_twin"
    HANDSHAKE_LOW_ORDER = "handshake_low_order"
    HANDSHAKE_TIMEOUT = "handshake_timeout"
    HANDSHAKE_LIMIT = "handshake_limit"
    # channel and link
    CHANNEL_TAMPERED = "channel_tampered"
    CHANNEL_EXHAUSTED = "channel_exhausted"
    LINK_DUPLICATE = "link_duplicate"
    LINK_LIMIT = "link_limit"
    LINK_SILENT = "link_silent"
    LINK_SLOW = "link_slow"
    SLEPT = "slept"
    NOT_A_NEIGHBOR = "not_a_neighbor"
    GOSSIP_MISMATCH = "gossip_mismatch"
    UNKNOWN_LINK = "unknown_link"
    HELLO_EXPECTED = "hello_expected"
    HELLO_REPEATED = "hello_repeated"
    ADDRESS_LIMIT = "address_limit"
    # people
    MEETING_FORGED = "meeting_forged"
    # sensing
    NOT_FINITE = "not_finite"


class MeshError(Exception):
    """Base of everything this project raises on purpose."""


class ConfigError(MeshError):
    """A setting is missing, unknown or out of range; the message names the key and the bound."""


class StoreError(MeshError):
    """Persistent state could not be read or written."""


class TransportError(MeshError):
    """The operating system refused an address or a socket."""


class ProtocolError(MeshError):
    """Base of protocol faults."""


class LocalProtocolError(ProtocolError):
    """We misused our own API; never caused by a peer."""


class RemoteProtocolError(ProtocolError):
    """The peer broke a rule.

    ``reason`` is the counter it adds to; ``close_code`` is what ``BYE`` will say when the fault closes the link.
    """

    close_code: CloseCode = CloseCode.PROTOCOL

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason


class DecodeError(RemoteProtocolError):
    """Bytes that are not one canonical encoding of an allowed value."""


class HandshakeError(RemoteProtocolError):
    """The handshake was refused; no application byte has been sent."""


class SignatureError(RemoteProtocolError):
    """A signature that does not verify, or a key no honest hub can own."""

    close_code = CloseCode.SIGNATURE


class LimitExceeded(RemoteProtocolError):
    """A bound of ``protocol.limits`` was passed."""


class NotConsented(RemoteProtocolError):
    """The one gate said no."""
