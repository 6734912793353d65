"""Checks of what records may say: R21 to R26 and R33."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from tests.conformance.kit.checks_handshake import flipped, keys_refused, third_messages
from tests.conformance.kit.registry import check
from tests.conformance.kit.results import Failed
from tests.conformance.kit.workbench import Kit
from tests.conformance.reference.codec import Value, decode, encode
from tests.conformance.reference.crypto import blake, public_from_seed, sign
from tests.conformance.reference.keystates import (
    INITIATOR_ROLE,
    Identity,
    commitment,
    inception,
    make_proof,
    proof_message,
    rotation,
)
from tests.conformance.reference.messages import Keys, VectorMessage, WantKeys
from tests.conformance.reference.records import Block, Vector
from tests.conformance.reference.weather import entropy

Change = Callable[[list[Value]], Value]
"""Spoils the elements of a vector; what it returns is ignored."""
REST: Final = b"\x00\x10\x20"


def _set(index: int, value: Value) -> Change:
    def change(items: list[Value]) -> Value:
        items[index] = value
        return None

    return change


def _block(index: int, value: Value) -> Change:
    def change(items: list[Value]) -> Value:
        body = items[12]
        assert isinstance(body, list)
        body[index] = value
        return None

    return change


def spoiled(kit: Kit, author: Identity, change: Change) -> VectorMessage:
    """A vector whose elements were changed before it was signed."""
    items = Vector(author.author, author.rotation).items(kit.mesh.mesh_id)
    change(items)
    signed = encode(items)
    return VectorMessage(signed, author.sign(signed), 0)


def vectors_close(kit: Kit, cases: Iterable[tuple[str, Callable[[Identity], VectorMessage]]]) -> str:
    """Each vector, properly signed, on a link of its own: it must close the link and must not be relayed."""
    names, authors = [], []
    with kit.link() as witness:
        for name, make in cases:
            with kit.link() as peer:
                peer.send(make(peer.identity))
                if not peer.closes():
                    raise Failed(f"{name}: the link stayed open")
                names.append(name)
                authors.append(peer.identity)
        if not witness.alive():
            raise Failed("a link that had sent none of them was closed")
        faults = [what for requirement, what in list(kit.watch.faults) if requirement == "R33"]
        if faults:
            raise Failed(f"relayed: {faults[0]}")
    return f"{len(names)} vectors closed their link: {', '.join(names)}"


def vector_is_dropped(kit: Kit, make: Callable[[Identity], VectorMessage], name: str) -> None:
    """The vector must not be relayed, and its link must stay."""
    with kit.links(2) as (sender, witness):
        before = witness.mark()
        sender.send(make(sender.identity))
        if not sender.alive():
            raise Failed(f"{name} closed the link")
        sender.send(kit.vector(sender.identity, seq=2))
        if not kit.comes(witness, sender.identity, 2):
            raise Failed(f"an ordinary vector after {name} was not relayed")
        came = [
            message
            for arrival in witness.arrivals[before:]
            if isinstance(message := arrival.message, VectorMessage)
            and sender.identity.author in message.signed
            and kit.number(message)[1][2] != 2
        ]
        if came:
            raise Failed(f"{name} was relayed")


@check("R21", links=2)
def foreign_records(kit: Kit) -> str:
    """Domain, mesh and version of vectors and key states."""
    mesh_id = kit.mesh.mesh_id
    seen = vectors_close(
        kit,
        [
            ("domain trio.event", lambda author: spoiled(kit, author, _set(0, "trio.event"))),
            ("domain as bytes", lambda author: spoiled(kit, author, _set(0, b"trio.vector"))),
            ("another mesh", lambda author: spoiled(kit, author, _set(1, entropy(16)))),
            ("version 2", lambda author: spoiled(kit, author, _set(2, 2))),
            ("version true", lambda author: spoiled(kit, author, _set(2, True))),
        ],
    )
    states = [
        ("a key state of another mesh", _inception(kit, 1, entropy(16))),
        ("a key state of version 2", _inception(kit, 2, 2)),
        ("a key state of another domain", _inception(kit, 0, "trio.rotation")),
    ]
    count = keys_refused(kit, states)
    stranger = Identity(blake(mesh_id, size=16), [entropy(32), entropy(32)])
    third_messages(
        kit, [("another mesh", stranger, lambda bound, static: make_proof(stranger, INITIATOR_ROLE, bound, static))]
    )
    return f"{seen}; {count} key states closed theirs"


def _inception(kit: Kit, where: int, value: Value) -> bytes:
    seed = entropy(32)
    author = Identity(kit.mesh.mesh_id, [seed, entropy(32)])
    items = decode(_signed(_records(author)[0]))
    assert isinstance(items, list)
    items[where] = value
    signed = encode(items)
    return encode([[signed, sign(seed, signed)]])


@check("R22", links=2)
def broken_key_states(kit: Kit) -> str:
    """Wrong signature, commitment, number, author, order, length; in KEYS."""
    count = keys_refused(kit, _broken_key_states(kit))
    me = kit.identity(rotations=1)
    turned = me.rotated()
    broken = flipped(turned.key_state, 120)

    def proof(bound: bytes, static: bytes) -> bytes:
        return encode([broken, turned.sign(proof_message(INITIATOR_ROLE, bound, static))])

    third_messages(kit, [("a proof with a changed inception", turned, proof)])
    with kit.link() as peer:
        peer.send(Keys(kit.identity(rotations=3).rotated().rotated().rotated().key_state))
        if not peer.alive():
            raise Failed("a valid key state with three rotations closed the link")
    return f"{count} broken key states closed their link, one in a proof; three rotations were accepted"


def _broken_key_states(kit: Kit) -> Iterable[tuple[str, bytes]]:
    mesh_id = kit.mesh.mesh_id
    me, other = kit.identity(rotations=2), kit.identity(rotations=1)
    once, twice = me.rotated(), me.rotated().rotated()
    first = _records(me)[0]
    second, third = _records(twice)[1:]
    digest = commitment(entropy(32))

    def turned(author: bytes, number: int, seed: bytes, signer: bytes) -> Value:
        signed = rotation(mesh_id, author, number, public_from_seed(seed), digest)
        return [signed, sign(signer, signed)]

    stray = entropy(32)
    yield "a wrong commitment", encode([first, turned(me.author, 1, stray, stray)])
    yield "a rotation signed by the old key", encode([first, turned(me.author, 1, me.seeds[1], me.seeds[0])])
    yield "rotation 2 after the inception", encode([first, third])
    yield "rotation 1 twice", encode([first, second, second])
    yield "number 2 in the first place", encode([first, turned(me.author, 2, me.seeds[1], me.seeds[1])])
    yield "a rotation of another author", encode([first, _records(other.rotated())[1]])
    yield "another author in the rotation", encode([first, turned(other.author, 1, me.seeds[1], me.seeds[1])])
    yield "a rotation alone", encode([second])
    yield "two inceptions", encode([first, _records(other)[0]])
    yield "nothing", encode([])
    yield "a changed signature", flipped(once.key_state, len(once.key_state) - 2)
    yield "an inception signed by another", encode([[_signed(first), other.sign(_signed(first))]])
    yield "a short commitment", _signed_inception(mesh_id, me.seeds[0], digest[:31])
    yield "a byte after it", me.key_state + b"\xc0"


def _signed_inception(mesh_id: bytes, seed: bytes, digest: bytes) -> bytes:
    signed = inception(mesh_id, public_from_seed(seed), digest)
    return encode([[signed, sign(seed, signed)]])


def _records(identity: Identity) -> list[Value]:
    records = decode(identity.key_state)
    assert isinstance(records, list)
    return records


def _signed(record: Value) -> bytes:
    assert isinstance(record, list)
    assert isinstance(record[0], bytes)
    return record[0]


@check("R23", links=3)
def newer_key_state_wins(kit: Kit) -> str:
    """Keys of rotation 1, then those of rotation 0 again: the hub goes on with the former."""
    author = kit.identity(rotations=1)
    turned = author.rotated()
    with kit.links(3) as (sender, asker, witness):
        kit.introduce(sender, author)
        if not kit.comes(witness, author, 1):
            raise Failed("a vector under rotation 0 was not relayed")
        kit.introduce(sender, turned, 2)
        if not kit.comes(witness, author, 2):
            raise Failed("a vector under rotation 1 was not relayed")
        sender.send(Keys(author.key_state))
        if not sender.alive():
            raise Failed("an older valid key state closed the link")
        since = asker.mark()
        asker.send(WantKeys((author.author,)))
        keys = asker.wait(Keys, lambda keys: keys.key_state in (author.key_state, turned.key_state), since=since)
        if keys is None:
            raise Failed("WANT_KEYS for an author with a live vector was not answered")
        if keys.key_state != turned.key_state:
            raise Failed("the older key state replaced the newer one")
        sender.send(kit.vector(turned, 3))
        if not kit.comes(witness, author, 3):
            raise Failed("a vector under rotation 1 was not relayed after the older keys had come again")
    return "rotation 1 was kept when the key state without rotations came again"


@check("R24", links=2)
def unknown_audiences(kit: Kit) -> str:
    """Audience 1 and 65,535 with an ordinary body."""
    for audience in (1, 65_535):
        vector_is_dropped(
            kit,
            lambda author, audience=audience: kit.signed(author, Vector(author.author, audience=audience)),  # type: ignore[misc]
            f"audience {audience}",
        )
    return "audiences 1 and 65,535 were dropped, the link kept"


@check("R25", links=2)
def zero_deviation(kit: Kit) -> str:
    """A standard deviation of 0, alone and as one of two; 1 and 255 are good."""
    two = Block(250, (0, 3), 1, 200, 0, b"\x00\x10\x00\x10\x20\x00")
    seen = vectors_close(
        kit,
        [
            ("sd 0", lambda author: spoiled(kit, author, _block(5, b"\x00\x10\x00"))),
            ("sd 0 of two", lambda author: kit.signed(author, Vector(author.author, block=two))),
        ],
    )
    with kit.links(2) as (sender, witness):
        for seq, byte in ((1, 1), (2, 255)):
            block = Block(250, (0,), 1, 200, 0, bytes([0, 0x10, byte]))
            sender.send(kit.signed(sender.identity, Vector(sender.identity.author, seq=seq, block=block)))
            if not kit.comes(witness, sender.identity, seq):
                raise Failed(f"a vector with a standard deviation byte of {byte} was not relayed")
    return f"{seen}; 1 and 255 were relayed"


@check("R26", links=2)
def unknown_dimensions(kit: Kit) -> str:
    """Dimension 7, and 255 beside a known one."""
    blocks = (Block(250, (7,), 1, 200, 0, REST), Block(250, (0, 255), 1, 200, 0, b"\x00\x10\x00\x10\x20\x20"))
    for block in blocks:
        vector_is_dropped(
            kit,
            lambda author, block=block: kit.signed(author, Vector(author.author, block=block)),  # type: ignore[misc]
            f"dimensions {block.dims}",
        )
    return "dimensions 7 and 255 were dropped, the link kept"


def _bad_vectors(kit: Kit) -> Iterable[tuple[str, Callable[[Identity], VectorMessage]]]:
    changes: list[tuple[str, Change]] = [
        ("author of 31 bytes", _set(3, entropy(31))),
        ("rotation 4", _set(4, 4)),
        ("boot 0", _set(5, 0)),
        ("boot 2^53", _set(5, 2**53)),
        ("seq 0", _set(6, 0)),
        ("seq 2^53", _set(6, 2**53)),
        ("hlc -1", _set(7, -1)),
        ("terms 8", _set(9, 8)),
        ("lease 999", _set(10, 999)),
        ("lease 60,001", _set(10, 60_001)),
        ("cadence 49", _set(11, 49)),
        ("cadence 60,001", _set(11, 60_001)),
        ("no body", _set(12, None)),
        ("13 fields and one", lambda items: items.append(0)),
        ("12 fields", lambda items: items.pop()),
        ("dt 9", _block(0, 9)),
        ("no dimension", _block(1, [])),
        ("dimensions 1, 0", _block(1, [1, 0])),
        ("dimension twice", _block(1, [0, 0])),
        ("k 0", _block(2, 0)),
        ("k 2 with one row", _block(2, 2)),
        ("quality 256", _block(3, 256)),
        ("method 65,536", _block(4, 65_536)),
        ("a blob too long", _block(5, REST + b"\x20")),
    ]
    for name, change in changes:
        yield name, lambda author, change=change: spoiled(kit, author, change)  # type: ignore[misc]
    yield "lease in a longer encoding", lambda author: _long_lease(kit, author)


def _long_lease(kit: Kit, author: Identity) -> VectorMessage:
    signed = Vector(author.author).signed(kit.mesh.mesh_id)
    short, long = encode(10_000), b"\xce" + (10_000).to_bytes(4, "big")
    signed = signed.replace(short, long, 1)
    return VectorMessage(signed, author.sign(signed), 0)


@check("R33", links=2)
def invalid_vectors(kit: Kit) -> str:
    """Every field of section 5.2 out of its range, each properly signed."""
    return vectors_close(kit, _bad_vectors(kit))


@check("R33", links=2)
def vectors_at_their_edges(kit: Kit) -> str:
    """The largest and smallest values that section 5.2 allows are relayed as they are."""
    many = Block(60_000, tuple(range(7)), 128, 255, 65_535, bytes(2 * 128 * 7) + b"\xfe" * 7)
    with kit.links(2) as (sender, witness):
        me = sender.identity.author
        edges = [
            Vector(me, boot=1, seq=1, lease_ms=60_000, cadence_ms=50, block=replace(many, dt_ms=10)),
            Vector(me, boot=1, seq=2, lease_ms=60_000, cadence_ms=60_000, terms=1, block=many),
            Vector(me, boot=2**53 - 1, seq=2**53 - 1, lease_ms=5_000),
        ]
        for vector in edges:
            message = kit.signed(sender.identity, vector)
            sender.send(message)
            came = kit.get(witness, sender.identity, vector.seq)
            if came is None or came.signed != message.signed:
                raise Failed(f"a vector of {len(message.signed)} bytes at the edge of its ranges was not relayed")
    return f"{len(edges)} vectors at the edges of their ranges were relayed"
