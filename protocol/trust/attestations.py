"""The payload of an attestation, a durable event of its issuer's (docs/trust.md, "On the wire").

Issuer, time and order are the event's own; the payload names the subject and the strength. Whoever changes its mind
attests again, with strength 0 to take it back: one writer, the later word counts.
"""

from __future__ import annotations

from typing import Final

from protocol.clock import hlc_utc_ms
from protocol.errors import ConfigError, DecodeError, Reason
from protocol.ids import AUTHOR_BYTES, AuthorId
from protocol.trust.values import STRENGTH_MAX, Attestation
from protocol.wire import fields
from protocol.wire.codec import decode, encode
from protocol.wire.events import SEALED, EventRecord

ATTESTATION: Final = SEALED
"""The kind of the event that carries one, sealed to its subject and its issuer."""


def encode_attestation(subject: AuthorId, strength: int) -> bytes:
    """The payload.

    Raises:
        ConfigError: the strength or the subject is none.
    """
    if not -STRENGTH_MAX <= strength <= STRENGTH_MAX or len(subject) != AUTHOR_BYTES:
        raise ConfigError(f"strength is not in [-{STRENGTH_MAX}, {STRENGTH_MAX}], or subject has not 32 bytes")
    return encode((subject, strength))


def decode_attestation(event: EventRecord, content: bytes) -> Attestation:
    """What ``event`` says with the payload ``content``, which was checked to be its own.

    Raises:
        DecodeError: it is no attestation, or one of its issuer about itself.
    """
    if event.kind != ATTESTATION:
        raise DecodeError(Reason.BAD_CONTENT, "not an attestation")
    named, strength = fields.array(decode(content), "attestation", 2, 2)
    subject = AuthorId(fields.binary(named, "subject", AUTHOR_BYTES, AUTHOR_BYTES))
    if subject == event.author:
        raise DecodeError(Reason.BAD_CONTENT, "an attestation about its issuer")
    checked = fields.integer(strength, "strength", -STRENGTH_MAX, STRENGTH_MAX)
    return Attestation(event.author, subject, checked, hlc_utc_ms(event.hlc), (event.incarnation, event.seq))
