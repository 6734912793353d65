"""Public keys, signatures and key states: R1, R2, R21 to R23."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.conformance.examples.shared import MESH, Case, Example, author, bad, good, seed, written
from tests.conformance.reference import edwards
from tests.conformance.reference.codec import Refused, Value, decode, encode
from tests.conformance.reference.crypto import admit, public_from_seed, sign, sign_with_nonce, verify
from tests.conformance.reference.keystates import commitment, decode_key_state, inception, rotation
from tests.conformance.reference.meshes import open_mesh

ME, OTHER = author("me", rotations=3), author("other", rotations=3)
DIGEST = commitment(public_from_seed(seed("digest")))


def public_keys() -> list[Example]:
    """Which 32 bytes may be an author's key (R2)."""
    return written(_public_keys(), read_public_key)


def read_public_key(data: bytes) -> str:
    """An admitted key in hex."""
    if len(data) != 32:
        raise Refused("not 32 bytes")
    return admit(data).hex()


def _public_keys() -> Iterator[Case]:
    for index in range(4):
        yield good(f"an ordinary key, {index}", "R2", public_from_seed(seed(f"key {index}")))
    yield good("the base point", "R2", edwards.compress(edwards.BASE))
    for data in edwards.small_order_encodings():
        yield bad(f"small order, {data.hex()[:4]}..{data.hex()[-2:]}", "R1", data)
    for index in (1, 2, 4):
        point = edwards.add(
            edwards.multiply(edwards.scalar_from_seed(seed("mixed")), edwards.BASE), edwards.TORSION[index]
        )
        yield bad(f"mixed order, {8 // index} L", "R2", edwards.compress(point))
    outside = next(y for y in range(2, 99) if edwards.decompress(y.to_bytes(32, "little")) is None)
    yield bad("no point", "R2", outside.to_bytes(32, "little"))
    large = next(y for y in range(edwards.P + 2, 2**255) if edwards.decompress(y.to_bytes(32, "little")) is not None)
    yield bad("y not below p", "R1", large.to_bytes(32, "little"))
    yield bad("31 bytes", "R2", public_from_seed(seed("key 0"))[:31])


def signatures() -> list[Example]:
    """Which 64 bytes are a signature of ``message`` by ``key`` (R1); ``hex`` is the signature."""
    examples: list[Example] = []
    for name, key, message, signature, accept in _signatures():
        example: Example = {"name": name, "requirement": "R1", "hex": signature.hex(), "accept": accept}
        example |= {"key": key.hex(), "message": message.hex()}
        assert verify(key, message, signature) is accept, name
        examples.append(example if accept else {**example, "reason": "does not verify"})
    return examples


def _signatures() -> Iterator[tuple[str, bytes, bytes, bytes, bool]]:
    key, secret, message = public_from_seed(seed("signer")), seed("signer"), b"as it was signed"
    honest = sign(secret, message)
    raised = int.from_bytes(honest[32:], "little") + edwards.L
    yield "honest", key, message, honest, True
    yield "another nonce", key, message, sign_with_nonce(secret, message, b"salt"), True
    yield "honest, empty message", key, b"", sign(secret, b""), True
    yield "another message", key, message + b".", honest, False
    yield "another key", public_from_seed(seed("else")), message, honest, False
    yield "R changed", key, message, bytes([honest[0] ^ 1]) + honest[1:], False
    yield "S changed", key, message, honest[:40] + bytes([honest[40] ^ 1]) + honest[41:], False
    yield "S + L", key, message, honest[:32] + raised.to_bytes(32, "little"), False
    yield "all zero", key, message, bytes(64), False
    yield "63 bytes", key, message, honest[:63], False
    yield "65 bytes", key, message, honest + b"\x00", False
    for small in edwards.small_order_encodings():
        signature, text = _forgery(small)
        yield f"forged under small order, {small.hex()[:4]}..{small.hex()[-2:]}", small, text, signature, False


def _forgery(public: bytes) -> tuple[bytes, bytes]:
    """A signature under a small-order key that the equation of RFC 8032 holds for, and its message."""
    attempt = 0
    while True:
        message = b"message %d" % attempt
        signature = edwards.forge_small_order(public, message)
        if signature is not None:
            return signature, message
        attempt += 1


def key_states() -> list[Example]:
    """Key states of the mesh ``conformance`` (R22)."""
    return written([*_good_states(), *_bad_inceptions(), *_bad_rotations(), *_hostile_keys()], read_key_state)


def read_key_state(data: bytes) -> dict[str, Any]:
    """What a key state says, as JSON."""
    state = decode_key_state(data, MESH.mesh_id)
    return {
        "author": state.author.hex(),
        "rotation": state.rotation,
        "key": state.key.hex(),
        "next": state.next_digest.hex(),
    }


def _records(encoded: bytes) -> list[Value]:
    records = decode(encoded)
    assert isinstance(records, list)
    return records


def _inception(signer: bytes, *items: Value) -> bytes:
    signed = encode(list(items))
    return encode([[signed, sign(signer, signed)]])


def _rotation(number: int, who: bytes, secret: bytes, signer: bytes) -> Value:
    signed = rotation(MESH.mesh_id, who, number, public_from_seed(secret), DIGEST)
    return [signed, sign(signer, signed)]


def _good_states() -> Iterator[Case]:
    state = ME
    for count in range(4):
        yield good(f"{count} rotations", "R22", state.key_state)
        state = state.rotated() if count < 3 else state
    yield good("another author", "R22", OTHER.key_state)
    signed = inception(MESH.mesh_id, public_from_seed(seed("me 0")), DIGEST)
    again = sign_with_nonce(seed("me 0"), signed, b"salt")
    yield good("signed with another nonce", "R20", encode([[signed, again]]), "the author is named by the signed bytes")


def _bad_inceptions() -> Iterator[Case]:
    secret, mesh_id = seed("me 0"), MESH.mesh_id
    key = public_from_seed(secret)
    yield bad(
        "another mesh", "R21", _inception(secret, "trio.inception", open_mesh("elsewhere").mesh_id, 1, key, DIGEST)
    )
    yield bad("mesh of 15 bytes", "R21", _inception(secret, "trio.inception", mesh_id[:15], 1, key, DIGEST))
    yield bad("record version 2", "R21", _inception(secret, "trio.inception", mesh_id, 2, key, DIGEST))
    yield bad("record version true", "R7", _inception(secret, "trio.inception", mesh_id, True, key, DIGEST))
    yield bad("another domain", "R21", _inception(secret, "trio.vector", mesh_id, 1, key, DIGEST))
    yield bad("domain as bin", "R21", _inception(secret, b"trio.inception", mesh_id, 1, key, DIGEST))
    yield bad("six elements", "R7", _inception(secret, "trio.inception", mesh_id, 1, key, DIGEST, 0))
    yield bad("key of 31 bytes", "R22", _inception(secret, "trio.inception", mesh_id, 1, key[:31], DIGEST))
    yield bad("next of 33 bytes", "R22", _inception(secret, "trio.inception", mesh_id, 1, key, DIGEST + b"\x00"))
    yield bad("signed by another", "R22", _inception(seed("else"), "trio.inception", mesh_id, 1, key, DIGEST))
    signed = inception(mesh_id, key, DIGEST)
    longer = signed.replace(b"\x01\xc4\x20", b"\xcc\x01\xc4\x20", 1)
    yield bad("not canonical inside", "R5", encode([[longer, sign(secret, longer)]]))
    yield bad("signature of 63", "R22", encode([[signed, sign(secret, signed)[:63]]]))
    yield bad("signature changed", "R22", encode([[signed, sign(secret, signed)[:63] + b"\x00"]]))
    yield bad("record without signature", "R7", encode([[signed]]))
    yield bad("no records", "R22", encode([]))
    yield bad("a byte after it", "R6", ME.key_state + b"\x00")
    yield bad("cut short", "R6", ME.key_state[:-1])
    yield bad("longer encoding outside", "R5", b"\xdc\x00\x01" + ME.key_state[1:])


def _bad_rotations() -> Iterator[Case]:
    first = _records(ME.key_state)[0]
    once, twice, thrice = ME.rotated(), ME.rotated().rotated(), ME.rotated().rotated().rotated()
    second, third, fourth = _records(thrice.key_state)[1:]
    own, stray = seed("me 1"), seed("stray")
    yield bad("a key not committed to", "R22", encode([first, _rotation(1, ME.author, stray, stray)]))
    yield bad("signed by the key before", "R22", encode([first, _rotation(1, ME.author, own, seed("me 0"))]))
    yield bad("number 0", "R22", encode([first, _rotation(0, ME.author, own, own)]))
    yield bad("number 2 first", "R22", encode([first, _rotation(2, ME.author, own, own)]))
    yield bad("author of another", "R22", encode([first, _rotation(1, OTHER.author, own, own)]))
    yield bad("another's rotation", "R22", encode([first, _records(OTHER.rotated().key_state)[1]]))
    yield bad("rotation 1 left out", "R22", encode([first, third]))
    yield bad("rotation 1 twice", "R22", encode([first, second, second]))
    yield bad("rotations swapped", "R22", encode([first, third, second]))
    yield bad("no inception", "R22", encode([second, third]))
    yield bad("two inceptions", "R22", encode([first, first]))
    yield bad("last signature changed", "R22", twice.key_state[:-1] + bytes([twice.key_state[-1] ^ 1]))
    yield bad("first signature changed in a rotated state", "R22", _changed_first(once.key_state))
    yield bad(
        "four rotations",
        "R22",
        encode([first, second, third, fourth, _rotation(4, ME.author, seed("me 4"), seed("me 4"))]),
    )
    yield bad("more than 1,024 bytes", "R22", encode([first, second, third, fourth]) + bytes(400))


def _changed_first(encoded: bytes) -> bytes:
    records = _records(encoded)
    first = records[0]
    assert isinstance(first, list)
    signature = first[1]
    assert isinstance(signature, bytes)
    return encode([[first[0], signature[:10] + bytes([signature[10] ^ 1]) + signature[11:]], *records[1:]])


def _hostile_keys() -> Iterator[Case]:
    for public in edwards.small_order_encodings():
        for attempt in range(256):
            signed = inception(MESH.mesh_id, public, seed(f"next {attempt}"))
            signature = edwards.forge_small_order(public, signed)
            if signature is not None:
                note = "the equation of RFC 8032 holds for this signature"
                yield bad(
                    f"small order, {public.hex()[:4]}..{public.hex()[-2:]}", "R1", encode([[signed, signature]]), note
                )
                break
    mixed = edwards.mixed_order_key(seed("mixed"))
    signed = inception(MESH.mesh_id, mixed, DIGEST)
    signature = edwards.sign_mixed(seed("mixed"), signed)
    assert verify(mixed, signed, signature)
    yield bad("mixed order", "R2", encode([[signed, signature]]), "libsodium finds the signature good")
    yield bad("rotation to a mixed-order key", "R2", _mixed_rotation(mixed))


def _mixed_rotation(mixed: bytes) -> bytes:
    secret = seed("pays")
    signed = inception(MESH.mesh_id, public_from_seed(secret), commitment(mixed))
    state = decode_key_state(encode([[signed, sign(secret, signed)]]), MESH.mesh_id)
    turned = rotation(MESH.mesh_id, state.author, 1, mixed, DIGEST)
    return encode([[signed, sign(secret, signed)], [turned, edwards.sign_mixed(seed("mixed"), turned)]])
