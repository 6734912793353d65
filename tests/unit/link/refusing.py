"""What it means that a handshake refuses: one definition for every negative case."""

from __future__ import annotations

import pytest

from protocol.errors import HandshakeError, LocalProtocolError, Reason
from tests.unit.link.peers import Hub, hub, run

HONEST_RUN = run(hub(initiator=True).handshake, hub(initiator=False).handshake)
"""What two hubs with the usual keys say to each other; every hub of the tests has the usual keys unless told."""


def assert_refuses(victim: Hub, body: bytes, reason: Reason) -> None:
    """``body`` is refused for ``reason``, no byte goes out after it, and nothing revives the handshake.

    ``receive`` raises, so there is neither a reply nor a link; no proof was signed meanwhile; and the very bodies
    that an honest peer would send next are refused as well, for the reason of the first refusal.
    """
    signed = len(victim.signatures)
    for later in (body, HONEST_RUN.opening, HONEST_RUN.answer, HONEST_RUN.closing, b"", body):
        with pytest.raises(HandshakeError) as refused:
            victim.handshake.receive(later)
        assert refused.value.reason is reason
    with pytest.raises(LocalProtocolError):
        victim.handshake.start()
    assert len(victim.signatures) == signed
