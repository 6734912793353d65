"""The payload of an attestation: read, made, refused."""

from __future__ import annotations

import pytest

from protocol.clock import hlc_pack
from protocol.errors import ConfigError, DecodeError
from protocol.trust.attestations import ATTESTATION, decode_attestation, encode_attestation
from protocol.trust.values import Attestation
from protocol.wire.codec import Value, encode
from protocol.wire.events import STORY, EventFields, EventRecord, decode_event, event_bytes
from tests.unit.protocol.people import MESH, person
from tests.unit.protocol.trust_rig import hub

ADA, BEN = person(1), person(2)


def event(kind: int = ATTESTATION) -> EventRecord:
    """An event of Ada's."""
    fields = EventFields(
        author=ADA.author, rotation=0, incarnation=3, seq=1, prev=None, hlc=hlc_pack(77_000, 5), kind=kind
    )
    return decode_event(MESH.mesh_id, event_bytes(MESH.mesh_id, fields), bytes(64))


@pytest.mark.parametrize("strength", [-100, -1, 0, 1, 100])
def test_what_was_written_is_read(strength: int) -> None:
    content = encode_attestation(BEN.author, strength)
    assert decode_attestation(event(), content) == Attestation(ADA.author, BEN.author, strength, 77_000, (3, 1))


@pytest.mark.parametrize(
    "value",
    [
        (hub(1), 101),
        (hub(1), -101),
        (hub(1), True),
        (hub(1), 0.5),
        (hub(1), None),
        (hub(1)[:31], 5),
        ("a" * 32, 5),
        (hub(1),),
        (hub(1), 5, 5),
        (ADA.author, 5),
        5,
    ],
)
def test_what_is_no_attestation_is_refused(value: Value) -> None:
    with pytest.raises(DecodeError):
        decode_attestation(event(), encode(value))


def test_garbage_and_other_kinds_are_refused() -> None:
    with pytest.raises(DecodeError):
        decode_attestation(event(), b"\xc1")
    with pytest.raises(DecodeError):
        decode_attestation(event(STORY), encode_attestation(BEN.author, 5))


def test_what_cannot_be_said_is_not_written() -> None:
    for subject, strength in ((BEN.author, 101), (hub(1)[:5], 5)):
        with pytest.raises(ConfigError):
            encode_attestation(subject, strength)  # type: ignore[arg-type]
