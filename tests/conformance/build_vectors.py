"""``python -m tests.conformance.build_vectors``: write the examples of docs/protocol.md to ``vectors/*.json``.

Everything is made from fixed seeds, so the files come out the same each time; a test compares. The ``noise_*.json``
beside them have other sources, which they name.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.conformance.examples import codec, events, frames, glitches, keys, links, meetings, records, sketches
from tests.conformance.examples.shared import MESH, MESH_NAME, Example

FOLDER: Final = Path(__file__).parent / "vectors"
IN_MESH: Final = f"Records of the open mesh {MESH_NAME!r}, whose id is {MESH.mesh_id.hex()}."

FILES: Final[dict[str, tuple[str, Callable[[], list[Example]]]]] = {
    "codec": (
        "Section 1.1. `hex` is one value; `decoded` writes byte strings as {bin} and integers from 2^53 on as {int}.",
        codec.examples,
    ),
    "frames": ("Section 6. `hex` is the plaintext of a frame, `decoded` its messages.", frames.examples),
    "public_keys": ("Sections 1 and 5.1. `hex` is a key that wants to be in a key state.", keys.public_keys),
    "signatures": ("Section 1. `hex` is an Ed25519 signature of `message` by `key`.", keys.signatures),
    "key_states": (f"Section 5.1. `hex` is a key state. {IN_MESH}", keys.key_states),
    "vectors": (
        (
            "Section 5.2. `hex` is `signed` of a vector; `values` and `deviations` are in the units of the dimensions, "
            f"null is unknown. What is refused closes the link, unless `link` says `kept`. {IN_MESH}"
        ),
        records.vectors,
    ),
    "addresses": (f"Section 5.3. `hex` is `signed` of an addresses record. {IN_MESH}", records.addresses),
    "events": (f"Section 12.1. `hex` is `signed` of an event. {IN_MESH}", events.events),
    "event_messages": ("Section 12.5. `hex` is one message, `decoded` its name.", events.event_messages),
    "forks": (
        f"Section 12.2. `hex` is an array of two records, `key` that of the author who may have forked. {IN_MESH}",
        events.forks,
    ),
    "observations": ("Section 12.7. `hex` is the content of an event of kind 8.", glitches.observations),
    "timelines": (
        "Section 12.7. `hex` is a set of observations, [[event, content], ...]; `decoded` the records that they make.",
        glitches.timelines,
    ),
    "meshes": ("Section 2. `hex` is the name in UTF-8 as typed, or the secret.", links.meshes),
    "mesh_tags": ("Section 3. `hex` is the value of `t` in the TXT record of `instance`, in ASCII.", links.mesh_tags),
    "channel": (
        "Section 4.2. `hex` is the frame body that follows `frame` others in a direction whose first key is `key`.",
        links.channels,
    ),
    "handshakes": (
        (
            "Section 4.1. `messages` went before, `hex` is the body in question, without length. Both sides' secrets "
            f"are given, `seed` being that of the current key. {IN_MESH}"
        ),
        links.handshakes,
    ),
    "sketches": (
        (
            "Section 13. `hex` is a frontier, its entries one after the other; `symbols` are the first 24 of the "
            "session, `fingerprints` are sorted as in pages."
        ),
        sketches.sketches,
    ),
    "sealed": (
        (
            "Section 12.4. `hex` is the payload of a sealed event of `author`, `seed` that of the Ed25519 key `key` "
            f"which tries to read it; `word` null: it is not for that key. {IN_MESH}"
        ),
        meetings.sealed_words,
    ),
    "meetings": (
        (
            "Section 15. `hex` is the number of `author` in a meeting with `peer`, whose number is `peer_nonce`; with "
            "`card` it comes of the card of `peer`, which `author` has read."
        ),
        meetings.codes,
    ),
}
"""File name to what it says of itself and where its examples come from."""


def text_of(name: str) -> str:
    """The content of one file."""
    about, examples = FILES[name]
    lines = ",\n".join(f"  {json.dumps(example, ensure_ascii=True)}" for example in examples())
    return f'{{\n "about": {json.dumps(about)},\n "examples": [\n{lines}\n ]\n}}\n'


def main() -> int:
    """Write every file."""
    for name in FILES:
        (FOLDER / f"{name}.json").write_text(text_of(name), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
