"""Changes of byte strings, and a corpus of good frames to begin from; everything follows from the given chance."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from protocol.limits import COUNTER_MAX, PLAINTEXT_BYTES_MAX
from protocol.rng import Rng
from protocol.wire import joining
from protocol.wire import messages as wire
from protocol.wire.block import make_block
from protocol.wire.messages import Message, encode_frame
from protocol.wire.registry import DIMENSIONS
from tests.unit.protocol.people import ME, Made, forged, keys, peer_record, person, raw_vector, tag, vector

PEOPLE = [person(1 + number) for number in range(12)]
STRANGE = bytes.fromhex("007f809091a0c0c1c4c6c7cacbcccfd3d4d8d9dbdcdddedfe0ff")
"""Bytes that mean something to MessagePack."""


def flip(data: bytes, rng: Rng) -> bytes:
    """One bit."""
    at = rng.below(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.below(8))]) + data[at + 1 :]


def replace(data: bytes, rng: Rng) -> bytes:
    """One byte by one that means something."""
    at = rng.below(len(data))
    return data[:at] + bytes([rng.choice(STRANGE)]) + data[at + 1 :]


def insert(data: bytes, rng: Rng) -> bytes:
    """A few bytes more."""
    at = rng.below(len(data) + 1)
    return data[:at] + bytes(rng.choice(STRANGE) for _ in range(1 + rng.below(8))) + data[at:]


def delete(data: bytes, rng: Rng) -> bytes:
    """A few bytes less."""
    at = rng.below(len(data))
    return data[:at] + data[at + 1 + rng.below(8) :]


def truncate(data: bytes, rng: Rng) -> bytes:
    """Only the beginning."""
    return data[: rng.below(len(data) + 1)]


def repeat(data: bytes, rng: Rng) -> bytes:
    """A part of it twice, or many times."""
    at = rng.below(len(data))
    part = data[at : at + 1 + rng.below(64)]
    return (data[:at] + part * (1 + rng.below(200)) + data[at:])[:PLAINTEXT_BYTES_MAX]


def splice(data: bytes, rng: Rng) -> bytes:
    """The beginning of one and the end of another."""
    other = rng.choice(corpus())
    return data[: rng.below(len(data) + 1)] + other[rng.below(len(other) + 1) :]


MUTATORS: tuple[Callable[[bytes, Rng], bytes], ...] = (flip, flip, replace, insert, delete, truncate, repeat, splice)


def mutate(data: bytes, rng: Rng) -> bytes:
    """One to four changes."""
    for _ in range(1 + rng.below(4)):
        if data:
            data = rng.choice(MUTATORS)(data, rng)
    return data


def number(rng: Rng) -> int:
    """A counter, mostly small, sometimes at an end of its range."""
    return rng.choice([1, 1 + rng.below(9), 1 + rng.below(9), COUNTER_MAX - 1, COUNTER_MAX])


def made(rng: Rng) -> Made:
    """What a vector says besides its number."""
    dims = tuple(sorted(rng.sample(sorted(DIMENSIONS), 1 + rng.below(3))))
    rows: list[tuple[float | None, ...]] = [
        tuple(None if rng.chance(0.2) else DIMENSIONS[d].low + rng.fraction() * DIMENSIONS[d].width for d in dims)
        for _ in range(1 + rng.below(6))
    ]
    sds = tuple(None if rng.chance(0.2) else rng.fraction() * DIMENSIONS[d].width for d in dims)
    return Made(
        boot=number(rng),
        hlc=rng.choice([0, 0, 1, rng.u64(), (1_800_000_000_000 + rng.below(100_000)) << 16]),
        terms=rng.below(8),
        lease_ms=rng.choice([1_000, 2_000, 60_000]),
        cadence_ms=rng.choice([50, 1_000, 60_000]),
        block=make_block(dims, rows, sds, dt_ms=10 + rng.below(59_991), quality=rng.fraction(), method=rng.below(9)),
    )


def any_vector(rng: Rng) -> wire.Vector:
    """A vector by somebody: true, forged, of our own, or truly signed nonsense."""
    who = ME if rng.chance(0.1) else rng.choice(PEOPLE)
    age_ms = rng.choice([0, 0, 1, rng.below(3_000), 120_000])
    kind = rng.below(10)
    if kind == 0:
        return forged(who, number(rng), made(rng), age_ms=age_ms)
    if kind == 1:
        return raw_vector(who, **{rng.choice(["audience", "boot", "seq", "hlc", "terms", "lease_ms"]): rng.u64()})
    if kind == 2:
        return raw_vector(who, body=(250, (rng.below(300),), 1, 255, 1, b"\x00\x00\x01"))
    if kind == 3:
        who = person(1 + rng.below(12), 1 + rng.below(3))
    return vector(who, number(rng), made(rng), age_ms=age_ms)


def any_keys(rng: Rng) -> wire.Keys:
    """A key state: of somebody, of somebody later, or broken."""
    who = person(1 + rng.below(12), rng.choice([0, 0, 0, 1, 2, 3]))
    return wire.Keys(flip(who.key_state.encoded, rng)) if rng.chance(0.05) else keys(who)


def any_tags(rng: Rng) -> tuple[bytes, ...]:
    """Distinct tags of people and of nobody."""
    known = [tag(who) for who in (*PEOPLE, ME)]
    return tuple(rng.sample([*known, *(rng.u64().to_bytes(8, "big") for _ in range(4))], 1 + rng.below(9)))


def any_walk(rng: Rng) -> Message:
    """One well-formed message of those by which neighbors are chosen."""
    records = [
        peer_record(rng.choice([*PEOPLE, ME]), (f"10.0.0.{rng.below(9)}", 1 + rng.below(65_535)), boot=number(rng))
        for _ in range(1 + rng.below(4))
    ]
    whom = rng.choice([*PEOPLE, ME]).author
    walks: list[Message] = [
        *(joining.Join(), joining.Neighbor(rng.chance(0.5)), joining.NeighborAnswer(rng.chance(0.5))),
        joining.ForwardJoin(rng.below(17), records[0]),
        joining.Shuffle(1 + rng.below(16), records[0], tuple(records[1:])),
        joining.ShuffleAnswer(whom, tuple(records)),
    ]
    return rng.choice(walks)


def any_message(rng: Rng) -> Message:
    """One well-formed message of any kind but HELLO."""
    kind = rng.below(18)
    if kind < 6:
        return any_vector(rng)
    if kind < 8:
        return any_keys(rng)
    if kind == 8:
        return wire.Digest(
            tuple(wire.DigestEntry(one, rng.below(4), number(rng), number(rng)) for one in any_tags(rng))
        )
    if kind == 9:
        return wire.Prune(any_tags(rng))
    if kind == 10:
        return wire.Graft(any_tags(rng))
    if kind == 11:
        return wire.WantKeys(tuple(who.author for who in rng.sample(PEOPLE, 1 + rng.below(9))))
    if kind == 12:
        return wire.Neighbors(tuple(who.author for who in rng.sample(PEOPLE, rng.below(9))))
    if kind == 13:
        hosts = [(f"10.0.0.{rng.below(9)}", 1 + rng.below(65_535)) for _ in range(1 + rng.below(4))]
        who = rng.choice([*PEOPLE, ME])
        return wire.Peers((peer_record(who, *hosts, boot=number(rng), seq=number(rng)),))
    if kind >= 16:
        return any_walk(rng)
    small: list[Message] = [wire.Beat(), wire.Ping(rng.below(2**32)), wire.Pong(rng.below(2**32))]
    return rng.choice([*small, wire.Bye(rng.below(256))])


@cache
def corpus() -> tuple[bytes, ...]:
    """Good frames of every kind, the same on every run."""
    rng = Rng(20_240_229)
    frames = [encode_frame([any_message(rng) for _ in range(1 + rng.below(4))]) for _ in range(150)]
    frames.append(encode_frame([wire.Hello(1, None, "fuzz")]))
    return tuple(frames)
