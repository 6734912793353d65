"""The vector that we publish of our own handshake is what the code does, and what the code refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from protocol.errors import HandshakeError, Reason
from tests.unit.link.make_vector import document
from tests.unit.link.peers import hub

FILE = Path(__file__).parents[2] / "conformance" / "vectors" / "noise_link.json"
REASONS = {
    "R3": Reason.HANDSHAKE_LOW_ORDER,
    "R13": Reason.HANDSHAKE_BAD_VERSION,
    "R14": Reason.HANDSHAKE_WRONG_SECRET,
    "R15": Reason.HANDSHAKE_BAD_IDENTITY,
}


def test_the_published_vector_is_what_the_code_makes() -> None:
    assert json.loads(FILE.read_text()) == document(), "see make_vector.py"


def test_every_rejected_body_of_the_vector_is_refused_for_its_requirement() -> None:
    rows = json.loads(FILE.read_text())["rejected"]
    assert {row["message"] for row in rows} == {1, 2, 3}
    for row in rows:
        victim = hub(initiator=row["message"] == 2).handshake
        if row["message"] == 2:
            victim.start()
        for earlier in row["after"]:
            victim.receive(bytes.fromhex(earlier))
        with pytest.raises(HandshakeError) as refused:
            victim.receive(bytes.fromhex(row["body"]))
        assert refused.value.reason is REASONS[row["requirement"]], row["why"]
