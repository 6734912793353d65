"""Checks of what a hub announces by DNS-SD: R8 and R9, as far as one moment shows."""

from __future__ import annotations

import base64
import re
from typing import Final

from tests.conformance.kit.dns import PTR, Announcement, announcements, ask
from tests.conformance.kit.registry import check
from tests.conformance.kit.results import Failed, Untestable
from tests.conformance.kit.workbench import Kit
from tests.conformance.reference.meshes import Mesh, tag

SERVICE: Final = (b"_meshnode", b"_tcp", b"local")
ASK_SECONDS: Final = 2.4
RANDOM_BITS: Final = 80
HEX: Final = re.compile(r"[0-9a-f]*", re.IGNORECASE)


def find(kit: Kit) -> list[Announcement]:
    """What is announced with the port of the hub under test.

    Raises:
        Untestable: nothing is, and nothing has to be.
    """
    packets = kit.once("mdns", lambda: ask(SERVICE, PTR, ASK_SECONDS, kit.own_address()))
    found = [each for each in announcements(packets, SERVICE) if each.port == kit.port]
    if not found:
        raise Untestable(f"nothing announced with port {kit.port} was heard here, and a hub need not announce itself")
    return found


def judge_texts(mesh: Mesh, found: list[Announcement]) -> str:
    """R8: the TXT record of each instance."""
    for each in found:
        label = each.instance[0].decode()
        for entry in (b"txtvers=1", b"v=1"):
            if entry not in each.txt:
                raise Failed(f"TXT holds {each.txt} and no {entry.decode()}")
        told = [entry[2:].decode("ascii", "replace") for entry in each.txt if entry.startswith(b"t=")]
        if told != [tag(mesh, label)]:
            raise Failed(f"the tag of {label} is {tag(mesh, label)} and not {', '.join(told) or 'left out'}")
    return f"{len(found)} instance with the right tag"


def judge_names(found: list[Announcement], secrets: dict[str, bytes]) -> str:
    """R9: random labels, and nothing of ``secrets`` in any spelling."""
    for each in found:
        for kind, label in (("instance", each.instance[0]), ("host", each.host[0] if each.host else b"")):
            bits = bits_of(label.decode("utf-8", "replace"))
            if bits < RANDOM_BITS:
                raise Failed(f"the {kind} label {label!r} holds at most {bits} bits, not {RANDOM_BITS}")
        said = b"".join(each.packets).lower()
        for what, secret in secrets.items():
            spellings = (secret, secret.hex().encode(), base64.b32encode(secret), base64.urlsafe_b64encode(secret))
            if any(spelling[:16].lower() in said for spelling in spellings):
                raise Failed(f"the announcement holds {what}")
    return (
        "labels of 80 bits or more, neither author id nor key in any record; the change each 15 min was not waited for"
    )


def bits_of(label: str) -> int:
    """The most that a label of this alphabet and length can hold: 4 bits a hex digit, 5 any other character."""
    return len(label) * (4 if HEX.fullmatch(label) else 5)


@check("R8", links=0)
def tag_of_the_mesh(kit: Kit) -> str:
    """What is announced for this hub's port carries the tag of its mesh."""
    return judge_texts(kit.mesh, find(kit))


@check("R9")
def random_labels(kit: Kit) -> str:
    """What is announced for this hub's port says nothing of who it is."""
    found = find(kit)
    with kit.link() as peer:
        state = peer.session.peer
    return judge_names(
        found, {"its author id": state.author, "its key": state.key, "the id of its mesh": kit.mesh.mesh_id}
    )
