"""How the product reads the examples: one reader per file, the product's counterpart of ``examples/readers.py``.

The readers live in a test module, because nothing else in this folder may import the product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from typing import Any, Final

import pytest

from protocol.bonds import ABOUT
from protocol.crypto import DhKey, SigningKey, admit_key, verify
from protocol.errors import LocalProtocolError, Reason, RemoteProtocolError
from protocol.glitch.timeline import Seen, Timeline
from protocol.identity import LocalIdentity, Mesh, decode_key_state, invite_mesh, mesh_tag, open_mesh
from protocol.ids import AuthorId, EventId
from protocol.ledger.forks import ForkBook
from protocol.link.channel import Channel
from protocol.link.handshake import Handshake
from protocol.link.noise import CipherState
from protocol.reconcile import sketch
from protocol.reconcile.frontier import Frontier
from protocol.sealing import open_word
from protocol.trust.attestations import decode_attestation
from protocol.trust.meeting import card_nonce, commitment, short_code
from protocol.wire import codec, messages, reconciling
from protocol.wire.events import SEALED, EventFields, EventRecord, decode_event, decode_fork, event_bytes
from protocol.wire.observations import decode_observation
from protocol.wire.records import decode_addresses, decode_vector
from tests.conformance.build_vectors import FILES
from tests.conformance.examples.readers import READERS
from tests.conformance.examples.shared import MESH_NAME, Example, plain
from tests.conformance.reference.crypto import seal

MESH: Final[Mesh] = open_mesh(MESH_NAME)
JOINING: Final = {
    "ForwardJoin": "FORWARD_JOIN",
    "NeighborAnswer": "NEIGHBOR_ANSWER",
    "ShuffleAnswer": "SHUFFLE_ANSWER",
}
LASTING: Final = {
    "TreeGraft": "TREE_GRAFT",
    "TreePrune": "TREE_PRUNE",
    "ReconOpen": "RECON_OPEN",
    "ReconSymbols": "RECON_SYMBOLS",
    "ReconMore": "RECON_MORE",
    "ReconTurn": "RECON_TURN",
    "ReconPage": "RECON_PAGE",
    "ReconEntries": "RECON_ENTRIES",
}
MEETING: Final = {"MeetReveal": "MEET_REVEAL", "MeetConfirm": "MEET_CONFIRM"}
NAMES: Final = {
    **LASTING,
    **MEETING,
    "WantKeys": "WANT_KEYS",
    "PingReq": "PING_REQ",
    "ProbeAck": "PROBE_ACK",
    **JOINING,
}


def _hex(text: str) -> bytes:
    return bytes.fromhex(text)


def _lists(value: Any) -> Any:
    return [_lists(item) for item in value] if isinstance(value, tuple) else value


def _hexes(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_hexes(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def _codec(example: Example) -> Any:
    return plain(_lists(codec.decode(_hex(example["hex"]))))


def _frame(example: Example) -> list[dict[str, Any]]:
    """Our fields, under the names that stand in the example, since only their order is the product's business."""
    told = []
    for index, message in enumerate(messages.decode_frame(_hex(example["hex"]))):
        name = type(message).__name__
        values = [NAMES.get(name, name.upper()), *_hexes(astuple(message))]
        decoded = example.get("decoded") or [{}] * (index + 1)
        told.append(dict(zip(decoded[index], values, strict=True)))
    return told


def _public_key(example: Example) -> str:
    return admit_key(_hex(example["hex"])).hex()


def _signature(example: Example) -> None:
    if not verify(_hex(example["key"]), _hex(example["message"]), _hex(example["hex"])):
        raise RemoteProtocolError(Reason.BAD_SIGNATURE)


def _key_state(example: Example) -> dict[str, Any]:
    state = decode_key_state(_hex(example["hex"]), MESH.mesh_id)
    told: dict[str, Any] = {"author": state.author.hex(), "rotation": state.rotation}
    return {**told, "key": state.key.hex(), "next": state.next_digest.hex()}


def _vector(example: Example) -> dict[str, Any]:
    record = decode_vector(MESH.mesh_id, _hex(example["hex"]))
    block = record.block
    columns = [block.series(dim) for dim in block.dims]
    plain_block: dict[str, Any] = {"dt_ms": block.dt_ms, "dims": list(block.dims), "k": block.k}
    plain_block |= {"quality": block.quality, "method": block.method, "blob": block.blob.hex()}
    plain_block["values"] = [list(row) for row in zip(*columns, strict=True)]
    plain_block["deviations"] = [block.sd(dim) for dim in block.dims]
    told: dict[str, Any] = {"author": record.author.hex(), "rotation": record.rotation, "boot": record.boot}
    told |= {"seq": record.seq, "hlc": plain(record.hlc), "audience": record.audience, "terms": record.terms}
    return {**told, "lease_ms": record.lease_ms, "cadence_ms": record.cadence_ms, "block": plain_block}


def _addresses(example: Example) -> dict[str, Any]:
    record = decode_addresses(MESH.mesh_id, _hex(example["hex"]))
    told: dict[str, Any] = {"author": record.author.hex(), "rotation": record.rotation, "boot": record.boot}
    return {**told, "seq": record.seq, "addresses": [list(pair) for pair in record.addresses]}


def _mesh(example: Example) -> dict[str, str]:
    data = _hex(example["hex"])
    mesh = open_mesh(data.decode()) if example["admission"] == "open" else invite_mesh(data)
    return {"secret": example["decoded"]["secret"], "mesh_id": mesh.mesh_id.hex(), "psk": mesh.psk.hex()}


def _tag(example: Example) -> str:
    right = mesh_tag(open_mesh(example["mesh"]), example["instance"])
    if right.encode() != _hex(example["hex"]):
        raise RemoteProtocolError(Reason.WRONG_MESH)
    return right


def _channel(example: Example) -> str:
    receiving = CipherState(_hex(example["key"]))
    for _ in range(example["frame"] // 65_536):
        receiving.rekey()
    receiving.nonce = example["frame"]
    plaintext = Channel(CipherState(bytes(32)), receiving).open(_hex(example["hex"]))
    if not plaintext:
        messages.decode_frame(plaintext)
    return plaintext.hex()


def _sketch(example: Example) -> dict[str, Any]:
    arity, parse = reconciling.PARSERS[reconciling.RECON_ENTRIES]
    message = parse((reconciling.RECON_ENTRIES, _hex(example["hex"]), b"", True))
    assert arity == 4
    assert isinstance(message, reconciling.ReconEntries)
    entries = reconciling.split(message.entries, reconciling.ENTRY_BYTES)
    frontier = Frontier()
    for entry in entries:
        frontier.add(reconciling.Entry.unpack(entry))
    salt = _hex(example["salt"])
    key = sketch.session_key(salt, AuthorId(_hex(example["opener"])), AuthorId(_hex(example["answerer"])))
    words = sketch.words(entries, key)
    prints = [sketch.fingerprint(word).hex() for word in sorted(words)]
    symbols = sketch.pack(sketch.symbols(words, 0, 24)).hex()
    return {"mark": frontier.mark(salt).hex(), "fingerprints": prints, "symbols": symbols}


def _event(example: Example) -> dict[str, Any]:
    event = decode_event(MESH.mesh_id, _hex(example["hex"]), bytes(64))
    plainly = ("id", "author", "rotation", "incarnation", "seq", "prev", "heads", "kind", "audience", "expires")
    told = {name: _hexes(getattr(event, name)) for name in (*plainly, "payload_hash", "payload_size")}
    return {**told, "hlc": plain(event.hlc)}


def _event_message(example: Example) -> str:
    (message,) = messages.decode_frame(b"\x91" + _hex(example["hex"]))
    return {"WantEvents": "WANT_EVENTS", "WantPayload": "WANT_PAYLOAD"}.get(
        type(message).__name__, type(message).__name__.upper()
    )


def _fork(example: Example) -> dict[str, str]:
    def read(signed: bytes, signature: bytes) -> EventRecord:
        if not verify(_hex(example["key"]), signed, signature):
            raise RemoteProtocolError(Reason.BAD_SIGNATURE)
        return decode_event(MESH.mesh_id, signed, signature)

    fork = decode_fork(_hex(example["hex"]))
    author, _ = ForkBook(read, 1).told(fork)
    one, other = read(*fork.one), read(*fork.other)
    return {"author": author.hex(), "one": one.id.hex(), "other": other.id.hex()}


def _side(example: Example, name: str) -> Handshake:
    told = example[name]
    state = decode_key_state(_hex(told["key_state"]), MESH.mesh_id)
    return Handshake(
        initiator=name == "initiator",
        mesh=MESH,
        identity=LocalIdentity(state, SigningKey(_hex(told["seed"]))),
        static=DhKey(_hex(told["static_secret"])),
        ephemeral=DhKey(_hex(told["ephemeral_secret"])),
    )


def _handshake(example: Example) -> dict[str, str]:
    bodies = [_hex(body) for body in [*example["messages"], example["hex"]]]
    initiator, responder = _side(example, "initiator"), _side(example, "responder")
    if len(bodies) == 2:
        initiator.start()
        initiator.receive(bodies[1])
        return {}
    responder.receive(bodies[0])
    done = responder.receive(bodies[2]).established if len(bodies) == 3 else None
    assert done is not None
    assert initiator.start() == bodies[0]
    progress = initiator.receive(bodies[1])
    assert progress.reply == bodies[2]
    assert progress.established is not None
    forward, backward = (
        _hex(example["decoded"][name]) for name in ("initiator_to_responder", "responder_to_initiator")
    )
    assert progress.established.channel.seal(b"forward") == seal(forward, 0, b"forward")
    assert done.channel.seal(b"backward") == seal(backward, 0, b"backward")
    return {**example["decoded"], "hash": done.binding.hex()}


def _observation(example: Example) -> dict[str, Any]:
    seen = decode_observation(_hex(example["hex"]))
    return {
        "began_ms": seen.began_ms,
        "lasted_ms": seen.lasted_ms,
        "doubt_ms": seen.doubt_ms,
        "sizes": [seen.mine_count, seen.theirs_count],
        "mine": [tag.hex() for tag in seen.mine],
        "theirs": [tag.hex() for tag in seen.theirs],
        "how": seen.how,
        "same": [name.hex() for name in seen.same],
    }


def _timeline(example: Example) -> list[dict[str, Any]]:
    timeline = Timeline(64)
    pairs = codec.decode(_hex(example["hex"]))
    assert isinstance(pairs, tuple)
    for pair in pairs:
        assert isinstance(pair, tuple)
        name, content = pair
        assert isinstance(name, bytes)
        assert isinstance(content, bytes)
        timeline.add(Seen(EventId(name), AuthorId(bytes(32)), decode_observation(content)), 0)
    return [
        {"id": record.id.hex(), "events": [seen.event.hex() for seen in record.seen]}
        for record in sorted(timeline.records(), key=lambda record: record.id)
    ]


def _sealed(example: Example) -> dict[str, Any]:
    author, own = AuthorId(_hex(example["author"])), SigningKey(_hex(example["seed"])).dh()
    word = open_word(MESH.mesh_id, author, _hex(example["hex"]), (own,))
    if word is None:
        return {"word": None}
    assert word.startswith(ABOUT)
    made = EventFields(author=author, rotation=0, incarnation=1, seq=1, prev=None, kind=SEALED)
    event = decode_event(MESH.mesh_id, event_bytes(MESH.mesh_id, made), bytes(64))
    said = decode_attestation(event, word[1:])
    return {"word": word.hex(), "subject": said.subject.hex(), "strength": said.strength}


def _meeting(example: Example) -> dict[str, str]:
    one, other = AuthorId(_hex(example["author"])), AuthorId(_hex(example["peer"]))
    nonce, other_nonce = _hex(example["hex"]), _hex(example["peer_nonce"])
    if "card" in example:
        nonce = card_nonce(_hex(example["card"]), one, other)
    return {
        "commitment": commitment(nonce, one, other).hex(),
        "peer_commitment": commitment(other_nonce, other, one).hex(),
        "code": short_code((one, nonce), (other, other_nonce)),
    }


PRODUCT: Final[dict[str, Callable[[Example], Any]]] = {
    "codec": _codec,
    "frames": _frame,
    "public_keys": _public_key,
    "signatures": _signature,
    "key_states": _key_state,
    "vectors": _vector,
    "addresses": _addresses,
    "events": _event,
    "event_messages": _event_message,
    "forks": _fork,
    "observations": _observation,
    "timelines": _timeline,
    "meshes": _mesh,
    "mesh_tags": _tag,
    "channel": _channel,
    "handshakes": _handshake,
    "sketches": _sketch,
    "sealed": _sealed,
    "meetings": _meeting,
}
"""File name to reader."""


def test_every_file_of_examples_has_a_reader_on_both_sides() -> None:
    assert set(PRODUCT) == set(READERS) == set(FILES)


def test_a_secret_of_another_length_is_our_own_mistake() -> None:
    with pytest.raises(LocalProtocolError, match="32"):
        invite_mesh(bytes(31))
