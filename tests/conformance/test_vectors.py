"""Every example gets the verdict that stands beside it, from the reference implementation and from the product."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from protocol.errors import ProtocolError
from protocol.link.channel import Channel
from protocol.link.noise import CipherState
from tests.conformance.build_vectors import FILES, FOLDER, text_of
from tests.conformance.examples.readers import READERS
from tests.conformance.examples.shared import Example
from tests.conformance.reference.channel import Direction
from tests.conformance.reference.codec import Refused
from tests.conformance.reference.keystates import INITIATOR_ROLE, RESPONDER_ROLE, check_proof
from tests.conformance.reference.meshes import mesh_of
from tests.conformance.reference.noise import Initiator, Responder
from tests.conformance.reference.records import Ignored
from tests.conformance.test_product_reading import PRODUCT

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "protocol.md"
AT_LEAST: Final = {"codec": 60, "frames": 60, "key_states": 25, "vectors": 50, "addresses": 15, "channel": 20}
TOLERANCE: Final = 1e-9


def load(name: str) -> list[Example]:
    """The examples of one file."""
    examples: list[Example] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["examples"]
    return examples


EXAMPLES: Final = [
    pytest.param(name, example, id=f"{name}: {example['name']}") for name in FILES for example in load(name)
]


def same(ours: Any, theirs: Any) -> bool:
    """Equality, with room for the last digits of a float."""
    if isinstance(ours, float) or isinstance(theirs, float):
        return ours is not None and theirs is not None and abs(ours - theirs) <= TOLERANCE
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(same(a, b) for a, b in zip(ours, theirs, strict=True))
    return bool(ours == theirs)


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_the_reference_gives_the_verdict_of_the_example(name: str, example: Example) -> None:
    if not example["accept"]:
        with pytest.raises(Ignored if example.get("link") == "kept" else Refused):
            READERS[name](example)
        return
    assert same(READERS[name](example), example.get("decoded"))


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_the_product_gives_the_verdict_of_the_example(name: str, example: Example) -> None:
    if not example["accept"]:
        with pytest.raises(ProtocolError) as caught:
            PRODUCT[name](example)
        kept = getattr(caught.value, "reason", "") in {"unknown_dimension", "unknown_audience"}
        assert kept is (example.get("link") == "kept")
        return
    assert same(PRODUCT[name](example), example.get("decoded"))


@pytest.mark.parametrize("name", FILES)
def test_building_the_examples_again_gives_the_same_file(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == text_of(name)


def test_every_example_names_a_requirement_or_section_of_the_document() -> None:
    known = set(re.findall(r"\[(R\d+)\]", DOCUMENT.read_text(encoding="utf-8"))) | {"section 2"}
    for name in FILES:
        assert {example["requirement"] for example in load(name)} <= known


def test_there_are_enough_examples_and_each_name_is_used_once() -> None:
    for name in FILES:
        names = [example["name"] for example in load(name)]
        assert len(names) == len(set(names))
        assert len(names) >= AT_LEAST.get(name, 10)


def test_the_product_changes_keys_at_the_same_frame_as_the_reference() -> None:
    key = bytes(range(32))
    theirs = Direction(key)
    ours = Channel(CipherState(key), CipherState(bytes(32)))
    for frame in range(65_536 + 2):
        assert ours.seal(b"\x91\x91\x04") == theirs.seal(b"\x91\x91\x04"), f"frame {frame}"


def test_the_reference_agrees_with_the_link_example_of_the_other_implementation() -> None:
    link = json.loads((FOLDER / "noise_link.json").read_text(encoding="utf-8"))
    mesh = mesh_of(bytes.fromhex(link["mesh"]["secret"]))
    assert (mesh.mesh_id.hex(), mesh.psk.hex()) == (link["mesh"]["mesh_id"], link["mesh"]["psk"])
    one, two = link["initiator"], link["responder"]
    initiator = Initiator(mesh, bytes.fromhex(one["static_secret"]), bytes.fromhex(one["ephemeral_secret"]))
    responder = Responder(mesh, bytes.fromhex(two["static_secret"]), bytes.fromhex(two["ephemeral_secret"]))
    first, second, third = (bytes.fromhex(body) for body in link["messages"])
    assert initiator.first() == first
    responder.first(first)
    told = initiator.second(second)
    assert responder.second(lambda _bound, _static: told) == second
    state = check_proof(mesh.mesh_id, told, RESPONDER_ROLE, initiator.bound_hash, initiator.remote_static)
    assert state.author.hex() == two["author"]
    shown = responder.third(third)
    assert initiator.third(lambda _bound, _static: shown) == third
    state = check_proof(mesh.mesh_id, shown, INITIATOR_ROLE, responder.bound_hash, responder.remote_static)
    assert state.author.hex() == one["author"]
    assert initiator.symmetric.hash.hex() == link["handshake_hash"]
    _check_transport(link["transport"], dict(zip(("initiator", "responder"), initiator.symmetric.split(), strict=True)))


def _check_transport(frames: list[dict[str, Any]], keys: dict[str, bytes]) -> None:
    """Every listed body, with the frames in between left out."""
    for sender, key in keys.items():
        listed = {frame["frame"]: frame for frame in frames if frame["from"] == sender}
        direction = Direction(key)
        for number in range(max(listed, default=-1) + 1):
            if number in listed:
                body = direction.seal(bytes.fromhex(listed[number]["plaintext"]))
                assert body.hex() == listed[number]["body"], f"{sender} {number}"
            else:
                direction.advance()
