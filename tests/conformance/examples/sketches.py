"""Frontiers and what is said of them, section 13: R90, R91 and R93."""

from __future__ import annotations

from typing import Any

from tests.conformance.examples.shared import Example, seed
from tests.conformance.reference.codec import Refused
from tests.conformance.reference.sketches import entries_of, fingerprints, mark, symbols

COUNTS = (0, 1, 2, 3, 10, 40)
SYMBOLS = 24


def entry(label: str, incarnation: int = 1) -> bytes:
    """A fixed entry."""
    return seed(f"author {label}") + incarnation.to_bytes(8, "big") + seed(f"head {label}")


def told(data: bytes, salt: bytes, opener: bytes, answerer: bytes) -> dict[str, Any]:
    """What follows from a frontier and a session."""
    entries = entries_of(data)
    prints = fingerprints(entries, salt, opener, answerer)
    return {
        "mark": mark(entries, salt).hex(),
        "fingerprints": [one.hex() for one in sorted(prints)],
        "symbols": b"".join(symbols(prints, SYMBOLS)).hex(),
    }


def sketches() -> list[Example]:
    """Frontiers of some sizes, and strings that are none."""
    examples = []
    for count in COUNTS:
        for session in ("one", "two"):
            data = b"".join(entry(str(number), 1 + number % 3) for number in range(count))
            examples.append(_example(f"{count} entries, session {session}", "R93", data, session, accept=True))
    fork = entry("fork") + entry("fork")[:40] + seed("another head")
    examples.append(_example("two heads of one author", "R90", fork, "one", accept=True))
    swapped = b"".join(entry(str(number), 1 + number % 3) for number in reversed(range(10)))
    examples.append(_example("ten entries the other way round", "R91", swapped, "one", accept=True))
    for name, data in (
        ("an entry less a byte", entry("0")[:-1]),
        ("an entry and a byte", entry("0") + b"\0"),
        ("incarnation 0", entry("0", 0)),
        ("incarnation 2^53", entry("0", 2**53)),
    ):
        examples.append(_example(name, "R90", data, "one", accept=False))
    return examples


def _example(name: str, requirement: str, data: bytes, session: str, *, accept: bool) -> Example:
    salt, opener, answerer = seed(f"salt {session}")[:8], seed(f"opener {session}"), seed(f"answerer {session}")
    example: Example = {"name": name, "requirement": requirement, "hex": data.hex(), "salt": salt.hex()}
    example |= {"opener": opener.hex(), "answerer": answerer.hex()}
    try:
        outcome: dict[str, Any] = {"accept": True, "decoded": told(data, salt, opener, answerer)}
    except Refused as verdict:
        outcome = {"accept": False, "reason": str(verdict)}
    assert outcome["accept"] is accept, name
    return {**example, **outcome}
