"""Sealed words and meetings, sections 12.4 and 15: R60, R62 and R63."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.conformance.examples.shared import MESH, Case, Example, author, bad, good, seed
from tests.conformance.reference.codec import Refused, Value, encode
from tests.conformance.reference.crypto import public_from_seed, x25519_public
from tests.conformance.reference.meetings import (
    Meet,
    MeetConfirm,
    MeetReveal,
    attestation,
    box,
    card_nonce,
    code,
    commitment,
    opened,
    padded,
    reading_key,
    sealed,
)

NAMES: dict[type[object], str] = {Meet: "MEET", MeetReveal: "MEET_REVEAL", MeetConfirm: "MEET_CONFIRM"}
ISSUER, SUBJECT = (author(f"meeting {index}") for index in range(2))
READERS = {name: seed(f"reader {name}") for name in ("issuer", "subject", "stranger")}
EPHEMERAL = seed("ephemeral")


def cases() -> Iterator[Case]:
    """Frames with these messages; written and read by ``frames``."""
    messages: list[list[Value]] = [[44, bytes(32)], [45, bytes(32)], [46, True], [46, False]]
    for index, (name, value) in enumerate(zip((*NAMES.values(), "MEET_CONFIRM"), messages, strict=True)):
        yield good(f"{name}, meeting {index}", "R27", encode([[*value]]))
    for kind, name in ((44, "MEET"), (45, "MEET_REVEAL")):
        yield bad(f"{name} of 31 bytes", "R27", encode([[kind, bytes(31)]]))
        yield bad(f"{name} of nothing", "R7", encode([[kind]]))
    yield bad("MEET_CONFIRM, same 1", "R7", encode([[46, 1]]))


def _word(strength: int) -> bytes:
    said: list[Value] = [SUBJECT.author, strength]
    return b"\x01" + encode(said)


def _payload(inside: bytes, *readers: str, made_up: int = 0) -> bytes:
    boxes = [
        box(MESH.mesh_id, ISSUER.author, inside, x25519_public(reading_key(READERS[name])), EPHEMERAL)
        for name in readers
    ]
    boxes += [seed(f"box {number}") + seed(f"more {number}") + bytes(16) for number in range(made_up)]
    return sealed(x25519_public(EPHEMERAL), boxes)


def read_sealed(example: Example) -> dict[str, Any]:
    """What it says to the reader of the example."""
    word = opened(
        MESH.mesh_id,
        bytes.fromhex(example["author"]),
        bytes.fromhex(example["hex"]),
        bytes.fromhex(example["seed"]),
    )
    if word is None:
        return {"word": None}
    subject, strength = attestation(word)
    return {"word": word.hex(), "subject": subject.hex(), "strength": strength}


def sealed_words() -> list[Example]:
    """Attestations for two readers, and payloads that are none."""
    both = _payload(padded(_word(100)), "issuer", "subject")
    examples = [_sealed(f"an attestation, to its {name}", both, name, accept=True) for name in READERS]
    for name in ("subject", "stranger"):
        data = _payload(padded(_word(50)), "issuer", "subject", made_up=32)
        examples.append(_sealed(f"among 34 boxes, to its {name}", data, name, accept=True))
    for strength in (-100, 0, 1):
        data = _payload(padded(_word(strength)), "issuer", "subject")
        examples.append(_sealed(f"strength {strength}", data, "subject", accept=True))
    examples.append(_sealed("under another author", both, "subject", accept=True, issuer=SUBJECT.author))
    one: list[Value] = [bytes(80)]
    examples.append(_sealed("an all-zero ephemeral key", encode([bytes(32), one]), "subject", accept=True))
    none: list[Value] = []
    short: list[Value] = [bytes(79)]
    twice: list[Value] = [bytes(80), bytes(80)]
    for name, key, value in (
        ("no boxes", bytes(32), none),
        ("a box of 79 bytes", bytes(32), short),
        ("a box twice", bytes(32), twice),
        ("an ephemeral key of 31 bytes", bytes(31), one),
    ):
        examples.append(_sealed(name, encode([key, value]), "subject", accept=False))
    examples.append(_sealed("boxes alone", encode([one]), "subject", accept=False))
    for name, inside in (
        ("a length of 64", bytes([64]) + bytes(63)),
        ("padding that is not zero", b"\x01ab" + bytes(61)),
        ("strength 101", padded(_word(101))),
        ("a subject of 31 bytes", padded(b"\x01" + encode([bytes(31), 1]))),
    ):
        examples.append(_sealed(name, _payload(inside, "subject"), "subject", accept=False))
    return examples


def _sealed(name: str, data: bytes, reader: str, *, accept: bool, issuer: bytes = ISSUER.author) -> Example:
    example: Example = {"name": name, "requirement": "R60", "hex": data.hex(), "author": issuer.hex()}
    example |= {"seed": READERS[reader].hex(), "key": public_from_seed(READERS[reader]).hex()}
    try:
        outcome: dict[str, Any] = {"accept": True, "decoded": read_sealed(example)}
    except Refused as verdict:
        outcome = {"accept": False, "reason": str(verdict)}
    assert outcome["accept"] is accept, name
    return {**example, **outcome}


def read_meeting(example: Example) -> dict[str, str]:
    """What both sides say and see; with ``card``, the number is that of whoever has read it."""
    if "card" in example:
        card, reader, shower = (bytes.fromhex(example[name]) for name in ("card", "author", "peer"))
        example = {**example, "hex": card_nonce(card, reader, shower).hex()}
    one, other, nonce, other_nonce = (bytes.fromhex(example[name]) for name in ("author", "peer", "hex", "peer_nonce"))
    return {
        "commitment": commitment(nonce, one, other).hex(),
        "peer_commitment": commitment(other_nonce, other, one).hex(),
        "code": code(one, nonce, other, other_nonce),
    }


def codes() -> list[Example]:
    """Meetings seen from both sides."""
    examples = []
    for index in range(10):
        told: Example = {"name": f"meeting {index}", "requirement": "R62", "hex": seed(f"nonce {index // 2}").hex()}
        told |= {
            "author": ISSUER.author.hex(),
            "peer": SUBJECT.author.hex(),
            "peer_nonce": seed(f"other {index // 2}").hex(),
        }
        if index % 2:
            told |= {
                "author": told["peer"],
                "peer": told["author"],
                "hex": told["peer_nonce"],
                "peer_nonce": told["hex"],
            }
        examples.append({**told, "accept": True, "decoded": read_meeting(told)})
    for index in range(3):
        read: Example = {"name": f"card {index}", "requirement": "R63", "card": seed(f"card {index}")[:16].hex()}
        read |= {name: examples[index][name] for name in ("author", "peer", "peer_nonce")}
        one, other, card = (bytes.fromhex(read[name]) for name in ("author", "peer", "card"))
        read["hex"] = card_nonce(card, one, other).hex()
        examples.append({**read, "accept": True, "decoded": read_meeting(read)})
    return examples
