"""Meshes, tags, channels and handshakes: R8, R13 to R18 and section 2."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.examples.shared import MESH, Example, author, seed
from tests.conformance.reference.channel import Direction, rekeyed
from tests.conformance.reference.codec import Refused, encode
from tests.conformance.reference.crypto import seal, x25519_public
from tests.conformance.reference.keystates import (
    INITIATOR_ROLE,
    RESPONDER_ROLE,
    Identity,
    check_proof,
    make_proof,
    proof_message,
)
from tests.conformance.reference.meshes import Mesh, mesh_of, open_mesh, open_secret, tag
from tests.conformance.reference.noise import Initiator, Responder

NAMES = (
    "plaza",
    "Plaza",
    "",
    "a b",
    "Fête de la Musique",
    "Fe\u0302te de la Musique",
    "\u212bngstr\u00f6m",
    "人群",
    "🜂" * 20,
)
Proof = Callable[[bytes, bytes], bytes]


def meshes() -> list[Example]:
    """Names and secrets, and the mesh each gives; ``hex`` is the name in UTF-8 as typed, or the secret."""
    examples: list[Example] = []
    for name in NAMES:
        note = "" if name == unicodedata.normalize("NFC", name) else "not NFC as typed"
        told = _mesh(open_secret(name))
        examples.append(
            _example(f"open mesh {name!r}", "section 2", name.encode(), told, note, admission="open", mesh=name)
        )
    for label in ("one", "two"):
        secret = seed(label)
        examples.append(_example(f"invite mesh {label}", "section 2", secret, _mesh(secret), "", admission="invite"))
    for size in (0, 31, 33):
        secret = bytes(index & 0xFF for index in range(size))
        examples.append(_example(f"invite secret of {size} bytes", "section 2", secret, None, admission="invite"))
    return examples


def _mesh(secret: bytes) -> dict[str, str]:
    mesh = mesh_of(secret)
    return {"secret": secret.hex(), "mesh_id": mesh.mesh_id.hex(), "psk": mesh.psk.hex()}


def _example(name: str, requirement: str, data: bytes, decoded: Any, note: str = "", **more: Any) -> Example:
    example: Example = {
        "name": name,
        "requirement": requirement,
        "hex": data.hex(),
        "accept": decoded is not None,
        **more,
    }
    if decoded is None:
        example["reason"] = "not 32 bytes"
    else:
        example["decoded"] = decoded
    if note:
        example["note"] = note
    return example


def mesh_tags() -> list[Example]:
    """Instance labels and their tags; ``hex`` is what the TXT record says, in ASCII."""
    examples: list[Example] = []
    for name in ("plaza", "人群"):
        for instance in ("k3v9x2m7q8w5z1ab", "K3V9X2M7Q8W5Z1AB", "a" * 63):
            right = tag(open_mesh(name), instance)
            about: dict[str, Any] = {"mesh": name, "instance": instance}
            examples.append({**_example(f"{instance[:16]} in {name}", "R8", right.encode(), right), **about})
            wrong = tag(open_mesh("elsewhere"), instance) if instance.islower() else right.upper()
            example = _example(f"{instance[:16]} in {name}, wrong tag", "R8", wrong.encode(), None)
            examples.append({**example, **about, "reason": "not the tag of this mesh"})
    return examples


def channels() -> list[Example]:
    """Bodies of one direction: its first key, how many frames went before, and the body of the next."""
    examples: list[Example] = []
    key = seed("channel")
    for frame in (0, 1, 2, 65_534, 65_535, 65_536, 65_537, 131_071, 131_072):
        plaintext = encode([[2, frame]])
        current = _key_at(key, frame)
        body = seal(current, frame, plaintext)
        examples.append(_channel("frame", "R18" if frame >= 65_535 else "R17", key, frame, body, plaintext))
        stale = seal(key, frame, plaintext)
        if frame >= 65_536:
            examples.append(_channel("under the first key, frame", "R18", key, frame, stale, None))
        if frame in (65_535, 0):
            examples.append(
                _channel("under the next key, frame", "R18", key, frame, seal(rekeyed(key), frame, plaintext), None)
            )
    body = seal(key, 5, encode([[4]]))
    for name, changed in (
        ("a changed first byte", bytes([body[0] ^ 1]) + body[1:]),
        ("a changed tag", body[:-1] + bytes([body[-1] ^ 0x80])),
        ("cut by one byte", body[:-1]),
        ("a byte more", body + b"\x00"),
        ("15 bytes", body[:15]),
        ("the frame before", seal(key, 4, encode([[4]]))),
        ("the frame after", seal(key, 6, encode([[4]]))),
        ("another key", seal(seed("another"), 5, encode([[4]]))),
        ("with associated data", seal(key, 5, encode([[4]]), b"\x00")),
    ):
        examples.append(_channel(f"{name}, frame", "R17", key, 5, changed, None))
    examples.append(_channel("one byte, frame", "R17", key, 0, seal(key, 0, b"\x90"), b"\x90"))
    examples.append(_channel("an empty plaintext, frame", "R27", key, 0, seal(key, 0, b""), None))
    return examples


def _key_at(key: bytes, frame: int) -> bytes:
    for _ in range(frame // 65_536):
        key = rekeyed(key)
    return key


def _channel(name: str, requirement: str, key: bytes, frame: int, body: bytes, plaintext: bytes | None) -> Example:
    direction = Direction(key)
    direction.key, direction.frames = _key_at(key, frame), frame
    example: Example = {"name": f"{name} {frame}", "requirement": requirement, "key": key.hex(), "frame": frame}
    example |= {"hex": body.hex(), "accept": plaintext is not None}
    try:
        opened = direction.unseal(body)
    except Refused as verdict:
        assert plaintext is None, name
        return {**example, "reason": str(verdict)}
    assert opened == plaintext, name
    return {**example, "decoded": opened.hex()}


@dataclass(slots=True)
class Side:
    """One end of an example handshake."""

    identity: Identity
    label: str
    static: bytes = b""
    ephemeral: bytes = b""
    proof: Proof | None = field(default=None)

    def __post_init__(self) -> None:
        self.static = self.static or seed(f"{self.label} static")
        self.ephemeral = self.ephemeral or seed(f"{self.label} ephemeral")

    def told(self) -> dict[str, Any]:
        """What the file says of it."""
        return {
            "seed": self.identity.seed.hex(),
            "key_state": self.identity.key_state.hex(),
            "author": self.identity.author.hex(),
            "static_secret": self.static.hex(),
            "ephemeral_secret": self.ephemeral.hex(),
        }


def handshakes() -> list[Example]:
    """Whole handshakes, and single bodies that end one: ``hex`` is the last body, ``messages`` what went before."""
    plain, turned = author("initiator"), author("responder", rotations=3)
    thrice = turned.rotated().rotated().rotated()
    examples = [
        _whole("two plain authors", Side(plain, "i"), Side(turned, "r")),
        _whole("a responder that rotated thrice", Side(plain, "i"), Side(thrice, "r")),
        _whole("an initiator that rotated thrice", Side(thrice, "i"), Side(plain, "r")),
    ]
    examples += [*_refused_firsts(), *_refused_seconds(), *_refused_thirds()]
    return examples


def _run(mesh: Mesh, initiator: Side, responder: Side) -> tuple[list[bytes], Initiator, Responder]:
    one = Initiator(mesh, initiator.static, initiator.ephemeral)
    two = Responder(mesh, responder.static, responder.ephemeral)
    first = one.first()
    two.first(first)
    second = two.second(responder.proof or _honest(responder, RESPONDER_ROLE))
    one.second(second)
    third = one.third(initiator.proof or _honest(initiator, INITIATOR_ROLE))
    return [first, second, third], one, two


def _honest(side: Side, role: bytes) -> Proof:
    return lambda bound, static: make_proof(side.identity, role, bound, static)


def _about(name: str, requirement: str, one: Side, two: Side, body: bytes) -> Example:
    return {
        "name": name,
        "requirement": requirement,
        "initiator": one.told(),
        "responder": two.told(),
        "hex": body.hex(),
    }


def _whole(name: str, one: Side, two: Side) -> Example:
    messages, initiator, responder = _run(MESH, one, two)
    payload = responder.third(messages[2])
    check_proof(MESH.mesh_id, payload, INITIATOR_ROLE, responder.bound_hash, responder.remote_static)
    forward, backward = initiator.symmetric.split()
    assert (forward, backward) == responder.symmetric.split()
    example = _about(name, "R15", one, two, messages[2])
    example |= {"messages": [message.hex() for message in messages[:2]], "accept": True}
    decoded = {"hash": initiator.symmetric.hash.hex(), "initiator_to_responder": forward.hex()}
    return {**example, "decoded": {**decoded, "responder_to_initiator": backward.hex()}}


def _sides() -> tuple[Side, Side]:
    return Side(author("initiator"), "i"), Side(author("responder", rotations=3), "r")


def _refused(
    name: str, requirement: str, one: Side, two: Side, number: int, messages: list[bytes], reason: str
) -> Example:
    example = _about(name, requirement, one, two, messages[number - 1])
    given = [message.hex() for message in messages[: number - 1]]
    return {**example, "messages": given, "accept": False, "reason": reason}


def _flipped(body: bytes, at: int) -> bytes:
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def _refused_firsts() -> Iterator[Example]:
    one, two = _sides()
    good = _run(MESH, one, two)[0][0]
    foreign = open_mesh("elsewhere")

    def first(mesh: Mesh) -> bytes:
        return Initiator(mesh, one.static, one.ephemeral).first()

    for name, requirement, body in (
        ("version 0", "R13", b"\x00" + good[1:]),
        ("version 2", "R13", b"\x02" + good[1:]),
        ("another mesh", "R14", first(foreign)),
        ("another psk", "R14", first(Mesh(MESH.mesh_id, foreign.psk))),
        ("another mesh id", "R14", first(Mesh(foreign.mesh_id, MESH.psk))),
        ("a changed ephemeral key", "R14", _flipped(good, 7)),
        ("a changed tag", "R14", _flipped(good, 40)),
        ("48 bytes", "R14", good[:48]),
        ("version byte alone", "R14", good[:1]),
        ("an ephemeral key of small order", "R3", _small_first(bytes(32))),
        ("an ephemeral key of 1", "R3", _small_first(b"\x01" + bytes(31))),
    ):
        yield _refused(
            f"message 1: {name}", requirement, one, two, 1, [body], "refused by the responder, which sends nothing"
        )


def _small_first(public: bytes) -> bytes:
    side = Initiator(MESH, seed("i static"), seed("i ephemeral"))
    side.symmetric.mix_ephemeral(public)
    return b"\x01" + public + side.symmetric.encrypt(b"")


def _proofs(side: Side, other: Identity, role: bytes, other_role: bytes) -> Iterator[tuple[str, str, Proof]]:
    """Payloads that prove nothing: name, requirement, payload."""
    me = side.identity
    turned = Identity(MESH.mesh_id, [*me.seeds, seed("spare")], 2) if len(me.seeds) == 2 else me.rotated()

    def message(bound: bytes, static: bytes) -> bytes:
        return proof_message(role, bound, static)

    yield "signed by another", "R15", lambda b, s: encode([me.key_state, other.sign(message(b, s))])
    yield "the other role", "R15", lambda b, s: make_proof(me, other_role, b, s)
    yield "another hash", "R15", lambda _, s: make_proof(me, role, seed("hash"), s)
    yield "another static key", "R15", lambda b, _: make_proof(me, role, b, x25519_public(seed("static")))
    yield "a key rotated away", "R15", lambda b, s: encode([turned.key_state, me.sign(message(b, s))])
    yield "an empty payload", "R15", lambda _b, _s: b""
    yield "no signature", "R7", lambda _b, _s: encode([me.key_state])
    yield "a third element", "R7", lambda b, s: encode([me.key_state, me.sign(message(b, s)), None])
    yield "a byte after it", "R6", lambda b, s: make_proof(me, role, b, s) + b"\x00"
    broken = _flipped(me.key_state, len(me.key_state) - 3)
    yield "a key state with a changed signature", "R22", lambda b, s: encode([broken, me.sign(message(b, s))])
    foreign = author("foreign", mesh=open_mesh("elsewhere"))
    yield "a key state of another mesh", "R21", lambda b, s: make_proof(foreign, role, b, s)


def _refused_seconds() -> Iterator[Example]:
    one, two = _sides()
    reason = "refused by the initiator, which sends no message 3"
    messages = _run(MESH, one, two)[0]
    for name, body in (
        ("a changed ephemeral key", _flipped(messages[1], 3)),
        ("a changed static key", _flipped(messages[1], 50)),
        ("a changed payload", _flipped(messages[1], 120)),
        ("cut by one byte", messages[1][:-1]),
        ("95 bytes", messages[1][:95]),
    ):
        yield _refused(f"message 2: {name}", "R14", one, two, 2, [messages[0], body], reason)
    for name, requirement, proof in _proofs(two, one.identity, RESPONDER_ROLE, INITIATOR_ROLE):
        responder = Responder(MESH, two.static, two.ephemeral)
        responder.first(messages[0])
        body = responder.second(proof)
        yield _refused(f"message 2: {name}", requirement, one, two, 2, [messages[0], body], reason)
    twin = Side(one.identity, "r")
    responder = Responder(MESH, twin.static, twin.ephemeral)
    responder.first(messages[0])
    body = responder.second(_honest(twin, RESPONDER_ROLE))
    yield _refused("message 2: the initiator's own author", "R16", one, twin, 2, [messages[0], body], reason)


def _refused_thirds() -> Iterator[Example]:
    one, two = _sides()
    reason = "refused by the responder, which sends no frame"
    messages = _run(MESH, one, two)[0]
    for name, body in (
        ("a changed static key", _flipped(messages[2], 3)),
        ("a changed payload", _flipped(messages[2], 90)),
        ("cut by one byte", messages[2][:-1]),
        ("63 bytes", messages[2][:63]),
    ):
        yield _refused(f"message 3: {name}", "R14", one, two, 3, [*messages[:2], body], reason)
    for name, requirement, proof in _proofs(one, two.identity, INITIATOR_ROLE, RESPONDER_ROLE):
        liar = Side(one.identity, "i", proof=proof)
        yield _refused(f"message 3: {name}", requirement, one, two, 3, _run(MESH, liar, two)[0], reason)
    twin = Side(two.identity, "i")
    yield _refused("message 3: the responder's own author", "R16", twin, two, 3, _run(MESH, twin, two)[0], reason)
