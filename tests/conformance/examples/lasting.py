"""Plaintexts of frames with the messages of trees and of reconciling, sections 10 and 13: R27, R84 and R90."""

from __future__ import annotations

from collections.abc import Iterator

from tests.conformance.examples.shared import Case, author, bad, good, seed
from tests.conformance.reference.codec import Value, encode
from tests.conformance.reference.lasting import (
    Gossip,
    IHave,
    LastingMessage,
    ReconEntries,
    ReconMore,
    ReconOpen,
    ReconPage,
    ReconSymbols,
    ReconTurn,
    TreeGraft,
    TreePrune,
)
from tests.conformance.reference.messages import encode_frame

WHO = author("lasting").author
ID = seed("message")
NAMES = {
    Gossip: "GOSSIP",
    IHave: "IHAVE",
    TreeGraft: "TREE_GRAFT",
    TreePrune: "TREE_PRUNE",
    ReconOpen: "RECON_OPEN",
    ReconSymbols: "RECON_SYMBOLS",
    ReconMore: "RECON_MORE",
    ReconTurn: "RECON_TURN",
    ReconPage: "RECON_PAGE",
    ReconEntries: "RECON_ENTRIES",
}
ENTRY = WHO + (7).to_bytes(8, "big") + seed("head")


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _accepted()
    yield from _refused(_bad_trees())
    yield from _refused(_bad_sessions())
    yield good("the entry of eight branches", "R84", encode_frame([ReconEntries(WHO + bytes(40), b"", True)]))
    yield bad("an entry of incarnation 0 with a head", "R90", _frame([40, ENTRY[:32] + bytes(8) + ID, b"", True]))
    yield bad("an entry of incarnation 2^53", "R90", _frame([40, WHO + (2**53).to_bytes(8, "big") + ID, b"", True]))


def _frame(message: list[Value]) -> bytes:
    return encode([message])


def _accepted() -> Iterator[Case]:
    each: list[LastingMessage] = [
        *(Gossip(ID[:16], WHO, 1, 0, b"?"), Gossip(ID, WHO, 255, 2, bytes(200))),
        *(IHave(ID[:4] + b"\x03"), IHave(bytes(5 * 256)), TreeGraft(None, ID[:4]), TreeGraft(None, bytes(4 * 64))),
        *(TreeGraft(WHO, b""), TreeGraft(None, b""), TreePrune(None), TreePrune(WHO), ReconOpen(ID[:16])),
        *(ReconSymbols(131_072, bytes(7)), ReconSymbols(0, bytes(7 * 24)), ReconMore()),
        *(ReconTurn(None), ReconTurn(ID[:5]), ReconPage(b"", True), ReconPage(bytes(5 * 40), False)),
        *(ReconEntries(ENTRY, ID[:5], True), ReconEntries(b"", b"", False)),
    ]
    for index, message in enumerate(each):
        yield good(f"{NAMES[type(message)]}, lasting {index}", "R27", encode_frame([message]))


def _refused(named: list[tuple[str, list[Value]]]) -> Iterator[Case]:
    for name, message in named:
        yield bad(name, "R7" if "elements" in name else "R27", _frame(message))


def _bad_trees() -> list[tuple[str, list[Value]]]:
    return [
        ("GOSSIP, id of 24", [20, ID[:24], WHO, 1, 0, b"?"]),
        ("GOSSIP, author of 31", [20, ID, WHO[:31], 1, 0, b"?"]),
        ("GOSSIP, 0 hops", [20, ID, WHO, 0, 0, b"?"]),
        ("GOSSIP, 256 hops", [20, ID, WHO, 256, 0, b"?"]),
        ("GOSSIP, tree 3", [20, ID, WHO, 1, 3, b"?"]),
        ("GOSSIP of nothing", [20, ID, WHO, 1, 0, b""]),
        ("GOSSIP of five elements", [20, ID, WHO, 1, 0]),
        ("IHAVE of nothing", [21, b""]),
        ("IHAVE of 257", [21, bytes(5 * 257)]),
        ("IHAVE of six bytes", [21, bytes(6)]),
        ("TREE_GRAFT of 65", [22, None, bytes(4 * 65)]),
        ("TREE_GRAFT of five bytes", [22, None, bytes(5)]),
        ("TREE_GRAFT of an author and a name", [22, WHO, ID[:4]]),
        ("TREE_GRAFT, names nil", [22, None, None]),
        ("TREE_PRUNE of two elements more", [23, None, None]),
        ("TREE_PRUNE of a tag", [23, WHO[:8]]),
    ]


def _bad_sessions() -> list[tuple[str, list[Value]]]:
    return [
        ("RECON_OPEN, mark of 15", [35, bytes(15)]),
        ("RECON_SYMBOLS, none", [36, 7, b""]),
        ("RECON_SYMBOLS of eight bytes", [36, 7, bytes(8)]),
        ("RECON_SYMBOLS of 131,073", [36, 131_073, bytes(7)]),
        ("RECON_MORE of two elements", [37, 1]),
        ("RECON_TURN after 4 bytes", [38, bytes(4)]),
        ("RECON_PAGE of four bytes", [39, bytes(4), True]),
        ("RECON_PAGE, last 1", [39, b"", 1]),
        ("RECON_ENTRIES of 71 bytes", [40, ENTRY[:71], b"", True]),
        ("RECON_ENTRIES that asks for 1,025", [40, b"", bytes(5 * 1_025), True]),
        ("RECON_ENTRIES of three elements", [40, ENTRY, b""]),
    ]
