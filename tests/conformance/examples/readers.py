"""What the reference implementation makes of an example as it stands in a file: one reader per file.

A reader returns what the example must give as ``decoded`` (None where there is nothing to compare), or raises Refused
or Ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tests.conformance.examples import codec, events, frames, glitches, keys, meetings, records, sketches
from tests.conformance.examples.shared import MESH, Example
from tests.conformance.reference.channel import Direction, rekeyed
from tests.conformance.reference.codec import Refused
from tests.conformance.reference.crypto import verify
from tests.conformance.reference.events import read_fork
from tests.conformance.reference.glitches import read_observation, told
from tests.conformance.reference.keystates import INITIATOR_ROLE, RESPONDER_ROLE, check_proof
from tests.conformance.reference.meshes import mesh_of, open_mesh, open_secret, tag
from tests.conformance.reference.noise import Initiator, Responder


def _signature(example: Example) -> None:
    if not verify(_hex(example["key"]), _hex(example["message"]), _hex(example["hex"])):
        raise Refused("does not verify")


def _mesh(example: Example) -> dict[str, str]:
    data = _hex(example["hex"])
    secret = open_secret(data.decode()) if example["admission"] == "open" else data
    mesh = mesh_of(secret)
    return {"secret": secret.hex(), "mesh_id": mesh.mesh_id.hex(), "psk": mesh.psk.hex()}


def _tag(example: Example) -> str:
    right = tag(open_mesh(example["mesh"]), example["instance"])
    if right.encode() != _hex(example["hex"]):
        raise Refused("not the tag of this mesh")
    return right


def _channel(example: Example) -> str:
    direction = Direction(_hex(example["key"]))
    for _ in range(example["frame"] // 65_536):
        direction.key = rekeyed(direction.key)
    direction.frames = example["frame"]
    return direction.unseal(_hex(example["hex"])).hex()


def _sketch(example: Example) -> dict[str, Any]:
    session = (_hex(example[name]) for name in ("salt", "opener", "answerer"))
    return sketches.told(_hex(example["hex"]), *session)


def _handshake(example: Example) -> dict[str, str]:
    """Only the checks of the side that reads the last body; what went before must be readable."""
    one, two = example["initiator"], example["responder"]
    initiator = Initiator(MESH, _hex(one["static_secret"]), _hex(one["ephemeral_secret"]))
    responder = Responder(MESH, _hex(two["static_secret"]), _hex(two["ephemeral_secret"]))
    bodies = [_hex(body) for body in [*example["messages"], example["hex"]]]
    first = initiator.first()
    if len(bodies) == 2:
        assert bodies[0] == first
        own = one["author"]
        state = check_proof(
            MESH.mesh_id, initiator.second(bodies[1]), RESPONDER_ROLE, initiator.bound_hash, initiator.remote_static
        )
        if state.author.hex() == own:
            raise Refused("our own author")
        return {}
    responder.first(bodies[0])
    proof = initiator.second(bodies[1]) if len(bodies) == 3 else b""  # as the initiator reads it
    sent = responder.second(lambda _bound, _static: proof)
    assert len(bodies) == 3, "message 1 was accepted"
    assert sent == bodies[1]
    payload = responder.third(bodies[2])
    state = check_proof(MESH.mesh_id, payload, INITIATOR_ROLE, responder.bound_hash, responder.remote_static)
    if state.author.hex() == two["author"]:
        raise Refused("our own author")
    forward, backward = responder.symmetric.split()
    told = {"hash": responder.symmetric.hash.hex(), "initiator_to_responder": forward.hex()}
    return {**told, "responder_to_initiator": backward.hex()}


def _hex(text: str) -> bytes:
    return bytes.fromhex(text)


READERS: Final[dict[str, Callable[[Example], Any]]] = {
    "codec": lambda example: codec.read(_hex(example["hex"])),
    "frames": lambda example: frames.read(_hex(example["hex"])),
    "public_keys": lambda example: keys.read_public_key(_hex(example["hex"])),
    "signatures": _signature,
    "key_states": lambda example: keys.read_key_state(_hex(example["hex"])),
    "vectors": lambda example: records.read_vector(_hex(example["hex"])),
    "addresses": lambda example: records.read_addresses(_hex(example["hex"])),
    "events": lambda example: events.read_event(_hex(example["hex"])),
    "event_messages": lambda example: events.read_name(_hex(example["hex"])),
    "forks": lambda example: read_fork(_hex(example["hex"]), MESH.mesh_id, _hex(example["key"])),
    "observations": lambda example: told(read_observation(_hex(example["hex"]))),
    "timelines": lambda example: glitches.read_set(_hex(example["hex"])),
    "meshes": _mesh,
    "mesh_tags": _tag,
    "channel": _channel,
    "handshakes": _handshake,
    "sketches": _sketch,
    "sealed": meetings.read_sealed,
    "meetings": meetings.read_meeting,
}
"""File name to reader."""
