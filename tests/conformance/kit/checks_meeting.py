"""Checks of section 15: R61."""

from __future__ import annotations

from tests.conformance.kit.registry import check
from tests.conformance.kit.results import Failed
from tests.conformance.kit.workbench import Kit
from tests.conformance.reference.meetings import Meet, MeetConfirm, MeetReveal
from tests.conformance.reference.weather import entropy, sleep

PATIENCE_S = 0.3


@check("R61")
def a_hub_does_not_meet_without_its_person(kit: Kit) -> str:
    """Everything that a peer can say in a meeting, to a hub whose person has asked for none."""
    with kit.link() as peer:
        since = peer.mark()
        for message in (Meet(entropy(32)), MeetReveal(entropy(32)), MeetConfirm(True), Meet(entropy(32))):
            peer.send(message)
        sleep(PATIENCE_S)
        if not peer.alive():
            raise Failed("the link was closed")
        for kind in (Meet, MeetReveal, MeetConfirm):
            if peer.wait(kind, lambda _: True, 0.05, since) is not None:
                raise Failed(f"{kind.__name__} although nobody there has asked for a meeting")
    return "silence, and the link is kept"
