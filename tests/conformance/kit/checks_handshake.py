"""Checks of connections that must not become links: R1 to R3 and R11 to R15, seen as the dialling side."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.conformance.kit.registry import check
from tests.conformance.kit.results import Failed, describe
from tests.conformance.kit.workbench import Kit
from tests.conformance.reference import edwards
from tests.conformance.reference.codec import Refused, encode
from tests.conformance.reference.crypto import sign
from tests.conformance.reference.keystates import (
    INITIATOR_ROLE,
    RESPONDER_ROLE,
    Identity,
    inception,
    make_proof,
    proof_message,
)
from tests.conformance.reference.meshes import Mesh, open_mesh
from tests.conformance.reference.messages import Keys
from tests.conformance.reference.noise import Initiator
from tests.conformance.reference.sessions import ProofMaker
from tests.conformance.reference.stream import Closed, Late, Stream
from tests.conformance.reference.weather import entropy, now, sleep

SILENT_CLOSE = "closed with nothing sent"


def closes_in_silence(kit: Kit, name: str, stream: Stream) -> None:
    """Raise unless the hub closes the connection in time without another byte."""
    before = stream.received_bytes
    closed = stream.ends(now() + kit.seconds)
    stream.close()
    if not closed:
        raise Failed(f"{name}: the connection stayed open")
    if stream.received_bytes != before:
        raise Failed(f"{name}: the hub sent {stream.received_bytes - before} bytes before it closed")


def first_messages(kit: Kit, cases: Iterable[tuple[str, bytes]]) -> str:
    """Each body as message 1: nothing may come back."""
    names = []
    for name, body in cases:
        stream = kit.stream()
        stream.send_frame(body)
        closes_in_silence(kit, name, stream)
        names.append(name)
    return f"{SILENT_CLOSE}: {', '.join(names)}"


def third_messages(kit: Kit, cases: Iterable[tuple[str, Identity, ProofMaker]]) -> str:
    """Each payload in message 3: nothing may come back."""
    names = []
    for name, identity, proof in cases:
        try:
            session = kit.session(identity, proof)
        except (Refused, Closed, Late) as fault:
            raise Failed(f"{name}: no message 2 came ({describe(fault)})") from None
        closes_in_silence(kit, name, session.stream)
        names.append(name)
    return f"{SILENT_CLOSE} after message 3: {', '.join(names)}"


def initiator(kit: Kit, mesh: Mesh | None = None) -> Initiator:
    """The dialling side with fresh keys."""
    return Initiator(mesh or kit.mesh, entropy(32), entropy(32))


def flipped(body: bytes, at: int) -> bytes:
    """The body with one bit changed."""
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def forged_key_state(kit: Kit, public: bytes, signer: Callable[[bytes], bytes | None]) -> bytes:
    """An inception of ``public`` that ``signer`` finds a signature for; commitments are tried until it does."""
    while True:
        signed = inception(kit.mesh.mesh_id, public, entropy(32))
        signature = signer(signed)
        if signature is not None:
            return encode([[signed, signature]])


def keys_refused(kit: Kit, cases: Iterable[tuple[str, bytes]]) -> int:
    """Each key state in KEYS on a link of its own: the link must be closed."""
    count = 0
    for name, encoded in cases:
        with kit.link() as peer:
            peer.send(Keys(encoded))
            if not peer.closes():
                raise Failed(f"{name}: KEYS left the link open")
        count += 1
    return count


@check("R1", links=2)
def small_order_keys(kit: Kit) -> str:
    """All 14 encodings of small-order points as an author's key, with signatures a lenient verifier finds good."""
    encodings = edwards.small_order_encodings()
    cases = [
        (
            f"key {public.hex()[:8]}..{public.hex()[-2:]}",
            forged_key_state(kit, public, lambda message, public=public: edwards.forge_small_order(public, message)),  # type: ignore[misc]
        )
        for public in encodings
    ]
    count = keys_refused(kit, cases)
    neutral = edwards.compress(edwards.NEUTRAL)
    forger = kit.identity()
    state = forged_key_state(kit, neutral, lambda message: edwards.forge_small_order(neutral, message))

    def proof(bound_hash: bytes, static: bytes) -> bytes:
        message = proof_message(INITIATOR_ROLE, bound_hash, static)
        return encode([state, edwards.forge_small_order(neutral, message)])

    third_messages(kit, [("a proof under the neutral point", forger, proof)])
    return f"{count} small-order keys refused in KEYS, the neutral point in a proof"


@check("R2")
def mixed_order_keys(kit: Kit) -> str:
    """A key with a part of order 8 whose signatures libsodium finds good, and one that is no point at all."""
    seed = entropy(32)
    mixed = edwards.mixed_order_key(seed)
    state = forged_key_state(kit, mixed, lambda message: edwards.sign_mixed(seed, message))
    count = keys_refused(kit, [("a mixed-order key", state), ("no point", _no_point(kit))])

    def proof(bound_hash: bytes, static: bytes) -> bytes:
        return encode([state, edwards.sign_mixed(seed, proof_message(INITIATOR_ROLE, bound_hash, static))])

    third_messages(kit, [("a proof under a mixed-order key", kit.identity(), proof)])
    return f"{count} such keys refused in KEYS, one in a proof"


def _no_point(kit: Kit) -> bytes:
    y = 2
    while edwards.decompress(y.to_bytes(32, "little")) is not None:
        y += 1
    return encode([[inception(kit.mesh.mesh_id, y.to_bytes(32, "little"), entropy(32)), bytes(64)]])


@check("R3")
def zero_shared_secrets(kit: Kit) -> str:
    """Ephemeral keys of small order in message 1, a static one in message 3."""
    top = (1 << 255) - 19
    encodings = [0, 1, top - 1, top, top + 1]
    bodies = []
    for number in encodings:
        side = initiator(kit)
        public = number.to_bytes(32, "little")
        side.symmetric.mix_ephemeral(public)
        bodies.append(
            (f"e = {number if number < 2 else f'p{number - top:+d}'}", b"\x01" + public + side.symmetric.encrypt(b""))
        )
    seen = first_messages(kit, bodies)
    side, stream = _opened(kit)
    sealed_static = side.symmetric.encrypt(bytes(32))
    side.symmetric.mix_key(bytes(32))
    proof = make_proof(kit.identity(), INITIATOR_ROLE, side.symmetric.hash, bytes(32))
    stream.send_frame(sealed_static + side.symmetric.encrypt(proof))
    closes_in_silence(kit, "s = 0", stream)
    return f"{seen}; s = 0 in message 3"


def _opened(kit: Kit) -> tuple[Initiator, Stream]:
    """A handshake after message 2."""
    side = initiator(kit)
    stream = kit.stream()
    stream.send_frame(side.first())
    try:
        side.second(stream.receive_frame(now() + kit.seconds))
    except (Refused, Closed, Late) as fault:
        stream.close()
        raise Failed(f"no good message 2: {describe(fault)}") from None
    return side, stream


@check("R11")
def long_handshake_frames(kit: Kit) -> str:
    """A length of 1,401 alone, as message 1 and as message 3; a length of 0."""
    for name, data in (("length 1,401", b"\x05\x79"), ("length 65,535", b"\xff\xff"), ("length 0", b"\x00\x00")):
        stream = kit.stream()
        stream.send(data)
        closes_in_silence(kit, name, stream)
    _, stream = _opened(kit)
    stream.send(b"\x05\x79")
    closes_in_silence(kit, "length 1,401 for message 3", stream)
    return "lengths 0, 1,401 and 65,535 closed a handshake before any body was sent"


@check("R12", links=0)
def slow_handshakes(kit: Kit) -> str:
    """Silence, a byte each quarter second, silence after message 2; none of them may outlive its 5 s."""
    limit, slack = 5.0, 2.5
    body = initiator(kit).first()
    data = len(body).to_bytes(2, "big") + body
    waiting = {
        "silence": kit.stream(),
        "a byte each quarter second": kit.stream(),
        "silence after message 2": _opened(kit)[1],
    }
    drip = waiting["a byte each quarter second"]
    begun = now()
    ended: list[str] = []
    while waiting and now() - begun < limit + slack:
        sleep(0.25)
        data = _drip(drip, data)
        for name, stream in list(waiting.items()):
            if stream.ends(now()):
                ended.append(f"{now() - begun:.1f} s of {name}")
                waiting.pop(name).close()
    for stream in waiting.values():
        stream.close()
    if waiting:
        raise Failed(f"still open after {limit + slack:.1f} s: {', '.join(waiting)}")
    return f"closed after {', '.join(ended)}"


def _drip(stream: Stream, data: bytes) -> bytes:
    try:
        stream.send(data[:1])
    except Closed:
        return b""
    return data[1:]


@check("R12")
def unhurried_handshake(kit: Kit) -> str:
    """A handshake of 2 s is none that takes longer than 5 s."""
    side, stream = _opened(kit)
    sleep(2.0)
    identity = kit.identity()
    try:
        stream.send_frame(side.third(lambda bound, static: make_proof(identity, INITIATOR_ROLE, bound, static)))
        side.channel().receiving.unseal(stream.receive_frame(now() + kit.seconds))
    except (Refused, Closed, Late) as fault:
        raise Failed(f"a handshake of 2 s did not become a link: {describe(fault)}") from None
    finally:
        stream.close()
    return "a handshake of 2 s became a link"


@check("R13", links=0)
def other_versions(kit: Kit) -> str:
    """Message 1 with another first byte."""
    return first_messages(kit, [(f"version {version}", initiator(kit).first(version)) for version in (0, 2, 255)])


@check("R14", links=0)
def wrong_secrets(kit: Kit) -> str:
    """Another mesh, another psk, one bit changed, cut short."""
    foreign = open_mesh(f"not {entropy(8).hex()}")
    mixed = Mesh(kit.mesh.mesh_id, foreign.psk)
    prologue = Mesh(foreign.mesh_id, kit.mesh.psk)
    good = initiator(kit).first()
    seen = first_messages(
        kit,
        [
            ("another mesh", initiator(kit, foreign).first()),
            ("another psk", initiator(kit, mixed).first()),
            ("another mesh id", initiator(kit, prologue).first()),
            ("a changed key", flipped(good, 5)),
            ("a changed tag", flipped(good, 48)),
            ("48 bytes", good[:48]),
            ("32 random bytes and a tag", b"\x01" + entropy(48)),
        ],
    )
    identity = kit.identity()
    for name, at in (("a changed static key in message 3", 3), ("a changed payload in message 3", 100)):
        side, stream = _opened(kit)
        body = side.third(lambda bound, static: make_proof(identity, INITIATOR_ROLE, bound, static))
        stream.send_frame(flipped(body, at))
        closes_in_silence(kit, name, stream)
    return f"{seen}; so did changed bits in message 3"


@check("R15", links=0)
def wrong_proofs(kit: Kit) -> str:
    """Everything a proof can get wrong, in message 3."""
    return third_messages(kit, _wrong_proofs(kit))


def _wrong_proofs(kit: Kit) -> Iterable[tuple[str, Identity, ProofMaker]]:
    me, other = kit.identity(rotations=1), kit.identity()
    turned = me.rotated()

    def signed(message: bytes, seed: bytes | None = None, state: bytes | None = None) -> bytes:
        return encode([state or me.key_state, sign(seed or me.seed, message)])

    def right(bound: bytes, static: bytes) -> bytes:
        return proof_message(INITIATOR_ROLE, bound, static)

    yield "another's signature", me, lambda bound, static: signed(right(bound, static), other.seed)
    yield "the responder's role", me, lambda bound, static: make_proof(me, RESPONDER_ROLE, bound, static)
    yield "another hash", me, lambda _, static: signed(right(entropy(32), static))
    yield "another static key", me, lambda bound, _: signed(right(bound, entropy(32)))
    yield "no domain", me, lambda bound, static: signed(INITIATOR_ROLE + bound + static)
    yield "a key rotated away", me, lambda bound, static: signed(right(bound, static), me.seed, turned.key_state)
    yield "a key not yet in use", me, lambda bound, static: signed(right(bound, static), turned.seed)
    yield "an empty payload", me, lambda _bound, _static: b""
    yield "no signature", me, lambda _bound, _static: encode([me.key_state])
    yield "a third element", me, lambda bound, static: encode([me.key_state, me.sign(right(bound, static)), 0])
    yield "a byte too many", me, lambda bound, static: signed(right(bound, static)) + b"\x00"
    yield "a short signature", me, lambda bound, static: encode([me.key_state, me.sign(right(bound, static))[:63]])
    foreign = Identity(open_mesh("elsewhere").mesh_id, [entropy(32), entropy(32)])
    yield (
        "a key state of another mesh",
        foreign,
        lambda bound, static: make_proof(foreign, INITIATOR_ROLE, bound, static),
    )
    broken = flipped(me.key_state, len(me.key_state) - 1)
    yield "a key state with a wrong signature", me, lambda bound, static: signed(right(bound, static), None, broken)
