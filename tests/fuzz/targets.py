"""What is fuzzed: each target takes a chance, does one round, and raises only if the code is wrong."""

from __future__ import annotations

from collections.abc import Callable

from protocol.errors import DecodeError, RemoteProtocolError
from protocol.identity import decode_key_state
from protocol.limits import KEY_STATE_BYTES_MAX
from protocol.rng import Rng
from protocol.wire.codec import decode, encode
from protocol.wire.framing import FrameReader, frame
from protocol.wire.messages import decode_frame, encode_frame
from protocol.wire.records import decode_addresses, decode_vector, encode_addresses, encode_vector
from tests.fuzz.chaos import Chaos
from tests.fuzz.mutate import any_vector, corpus, mutate
from tests.fuzz.reconciling import Exchange
from tests.unit.protocol.people import MESH, listening, person

MESH_ID = MESH.mesh_id


def frames(rng: Rng) -> None:
    """A damaged frame is refused by name, or it is the one encoding of its messages."""
    data = mutate(rng.choice(corpus()), rng)
    try:
        messages = decode_frame(data)
    except DecodeError:
        return
    assert encode_frame(messages) == data


def values(rng: Rng) -> None:
    """Damaged MessagePack is refused by name, or it is the one encoding of its value."""
    data = mutate(rng.choice(corpus())[: 1 + rng.below(80)], rng)
    try:
        value = decode(data)
    except DecodeError:
        return
    assert encode(value) == data


def records(rng: Rng) -> None:
    """A damaged record is refused by name, or it is the one encoding of another."""
    data = mutate(any_vector(rng).signed, rng)
    try:
        vector = decode_vector(MESH_ID, data)
    except RemoteProtocolError:
        pass
    else:
        assert encode_vector(MESH_ID, vector) == data
    data = mutate(listening(person(1), ("10.0.0.1", 1 + rng.below(65_535)), seq=1 + rng.below(2**53 - 1))[0], rng)
    try:
        addresses = decode_addresses(MESH_ID, data)
    except RemoteProtocolError:
        pass
    else:
        assert encode_addresses(MESH_ID, addresses) == data


def key_states(rng: Rng) -> None:
    """A damaged key state is refused by name."""
    good = person(1 + rng.below(12), rng.below(4)).key_state.encoded
    data = mutate(good, rng)[: KEY_STATE_BYTES_MAX + 1]
    try:
        state = decode_key_state(data, MESH_ID)
    except RemoteProtocolError:
        return
    assert state.encoded == data
    assert any(person(1 + number, state.rotation).key_state == state for number in range(12))


def streams(rng: Rng) -> None:
    """However a stream is cut, the same frames come out of it or it ends with a named error."""
    stream = b"".join(frame(rng.choice(corpus())) for _ in range(1 + rng.below(4)))
    if rng.chance(0.5):
        stream = mutate(stream, rng)
    outcomes = []
    for size in (len(stream) or 1, 1 + rng.below(50)):
        reader = FrameReader()
        found: list[bytes] = []
        try:
            for at in range(0, len(stream), size):
                reader.push(stream[at : at + size])
                while (body := reader.pop()) is not None:
                    found.append(body)
        except DecodeError as fault:
            outcomes.append((found, str(fault.reason)))
        else:
            outcomes.append((found, f"{reader.unfinished} left"))
    assert outcomes[0] == outcomes[1]


def nodes(rng: Rng) -> None:
    """A hub to which anything happens goes on, and asks for nothing that a driver could not do."""
    Chaos(rng.u64()).run(60)


def reconciling(rng: Rng) -> None:
    """A session with a hostile neighbor ends within its bounds, whatever is forged in it."""
    Exchange(rng).run()


TARGETS: dict[str, tuple[Callable[[Rng], None], int]] = {
    "values": (values, 40),
    "frames": (frames, 40),
    "records": (records, 10),
    "key_states": (key_states, 5),
    "streams": (streams, 2),
    "nodes": (nodes, 1),
    "reconciling": (reconciling, 5),
}
"""By name: the target, and how many rounds it gets for one of ``nodes``."""


class Failed(Exception):
    """A round went wrong; its seed repeats it."""


def round_of(name: str, seed: int) -> None:
    """One round of one target.

    Raises:
        Failed: with the target and the seed, from whatever went wrong.
    """
    target, _ = TARGETS[name]
    try:
        target(Rng(seed))
    except Exception as fault:
        raise Failed(f"python -m tests.fuzz --target {name} --rounds 1 --seed {seed}") from fault
