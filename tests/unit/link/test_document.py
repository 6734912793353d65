"""docs/link.md says what the code does: its diagram and its numbers are compared with the code."""

from __future__ import annotations

import re
from pathlib import Path

from protocol import limits
from protocol.errors import Reason
from protocol.link.channel import REKEY_FRAMES
from protocol.link.handshake import LINK_VERSION, OPENING_BYTES, PROLOGUE, PROOF_DOMAIN
from protocol.link.noise import TRANSITIONS, Stage
from tests.unit.link.peers import INITIATOR
from tests.unit.link.refusing import HONEST_RUN

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "link.md").read_text()


def diagram() -> str:
    """The state diagram that the transition table draws."""

    def name(stage: Stage) -> str:
        return stage.value.replace(" ", "_")

    lines = [f"    {name(was)} --> {name(then)}: {action.value}" for (was, action), then in TRANSITIONS.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def test_the_diagram_is_the_transition_table() -> None:
    found = re.search(r"```mermaid\n.*?\n```", TEXT, re.DOTALL)
    assert found is not None
    assert found.group() == diagram()


def test_every_reason_of_the_handshake_in_the_document_exists_and_every_one_it_raises_is_there() -> None:
    named = set(re.findall(r"`(handshake_[a-z_]+)`", TEXT))
    outside = {Reason.HANDSHAKE_TIMEOUT, Reason.HANDSHAKE_LIMIT}  # the link task's own, not a message's
    raised = {reason for reason in Reason if reason.value.startswith("handshake_")} - outside
    assert named == {reason.value for reason in raised}


def test_the_byte_table_has_the_sizes_that_travel() -> None:
    key_state = len(INITIATOR.key_state.encoded)
    proof = 1 + 2 + key_state + 2 + 64
    assert f"**1**, {OPENING_BYTES} bytes" in TEXT
    assert len(HONEST_RUN.opening) == OPENING_BYTES
    assert "**2**, 96 + P" in TEXT
    assert len(HONEST_RUN.answer) == 96 + proof
    assert "**3**, 64 + P" in TEXT
    assert len(HONEST_RUN.closing) == 64 + proof
    assert f"({key_state} before the first rotation)" in TEXT


def test_the_constants_are_those_of_the_code() -> None:
    assert f'"{PROOF_DOMAIN.decode()}"' in TEXT
    assert f"| 0 | {len(PROOF_DOMAIN)} | `" in TEXT
    assert f"over the {len(PROOF_DOMAIN) + 1 + 32 + 32} bytes below" in TEXT
    assert b"trio-mesh" + bytes([LINK_VERSION]) == PROLOGUE
    assert f"at most {limits.HANDSHAKE_BYTES_MAX:,} **[R11]**" in TEXT
    assert f"1 to {limits.KEY_STATE_BYTES_MAX:,} bytes" in TEXT
    assert f"(every {REKEY_FRAMES:,}th)" in TEXT
    assert f"at most {limits.FRAME_BYTES_MAX:,} bytes with its tag" in TEXT


def test_every_requirement_it_names_is_one_of_the_protocol() -> None:
    protocol = (ROOT / "docs" / "protocol.md").read_text()
    for requirement in set(re.findall(r"\[R\d+\]", TEXT)):
        assert f"**{requirement}**" in protocol, requirement
