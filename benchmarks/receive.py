"""The receive path: a sealed frame in, a verified vector kept and shown, beside a bare signature check.

Ours is everything a hub does between the socket and the news: cut the frame out of the stream, open it, decode it,
``Node.handle``, verify, consent, keep, ``Emit``. The limit is ``nacl.bindings.crypto_sign_open`` over the same bytes.
Every frame is prepared beforehand; what was kept is checked afterwards, outside the measured time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import nacl.bindings as sodium

from benchmarks.measure import Outcome, Plan, alternate, per_item
from benchmarks.people import MESH, Style, handshakes, open_link, person, shake, vector
from protocol import Bar, Node, Rng
from protocol.clock import MS, SECOND
from protocol.effects import Drop, Effect, Emit, ValueShown
from protocol.errors import Reason
from protocol.ids import LinkId
from protocol.inputs import FrameReceived, Started
from protocol.link.channel import Channel
from protocol.wire.block import Block
from protocol.wire.framing import FrameReader, frame
from protocol.wire.messages import Keys, Message, Vector, encode_frame
from protocol.wire.records import decode_vector
from protocol.wire.registry import AROUSAL

AUTHORS: Final = 16
RELAY: Final = 100
"""Numbers of the people at the other ends of the links; they are none of the authors."""
RECEIVE_RATIO: Final = 1.5
SAMPLES: Final = 32
SAMPLES_RATIO: Final = 12.0
DUPLICATE_US: Final = 5.0
COALESCED: Final = 16


class Receiver:
    """One Node with ``links`` open links, and for each the sending end of its channel."""

    def __init__(self, links: int) -> None:
        self.now = SECOND
        self.node = Node(MESH, person(RELAY - 1), Rng(1))
        self.node.handle(Started(1), self.now)
        self._senders: list[Channel] = []
        self._channels: list[Channel] = []
        self._readers: list[FrameReader] = []
        for number in range(links):
            peer = person(RELAY + number)
            there, here = shake(*handshakes(peer, person(RELAY - 1), f"receive {number}"))
            self._senders.append(there.channel)
            self._channels.append(here.channel)
            self._readers.append(FrameReader())
            open_link(self.node, LinkId(number + 1), peer, self.now)
        keys = [Keys(person(number).key_state.encoded) for number in range(AUTHORS)]
        self.receive(self.sealed([keys]))

    def sealed(self, groups: Sequence[Sequence[Message]], link: int = 0) -> list[bytes]:
        """One frame a group, as the bytes that the link's peer would write."""
        return [frame(self._senders[link].seal(encode_frame(group))) for group in groups]

    def receive(self, frames: Sequence[bytes], link: int = 0, step_us: int = 20 * MS) -> tuple[float, list[Effect]]:
        """CPU seconds a frame, and all that the Node wanted; ``step_us`` of boot time pass between two frames."""
        reader, channel, node = self._readers[link], self._channels[link], self.node
        name = LinkId(link + 1)
        effects: list[Effect] = []

        def take(data: bytes) -> None:
            self.now += step_us
            for body in reader.feed(data):
                effects.extend(node.handle(FrameReceived(name, channel.open(body)), self.now))

        return per_item(frames, take), effects


class _New:
    """Turns in which every record is new; each sender goes round the authors."""

    def __init__(self, count: int, style: Style) -> None:
        self._receiver = Receiver(1)
        self._count = count - count % AUTHORS
        self._style = style
        self._seq = 0

    def vectors(self) -> list[Vector]:
        """The next records, one after another of all authors."""
        first = self._seq + 1
        self._seq += self._count // AUTHORS
        return [vector(person(a), seq, self._style) for seq in range(first, self._seq + 1) for a in range(AUTHORS)]

    def turn(self) -> float:
        """CPU seconds of receiving one new record."""
        frames = self._receiver.sealed([(message,) for message in self.vectors()])
        cost, effects = self._receiver.receive(frames)
        shown = sum(1 for effect in effects if type(effect) is Emit and type(effect.event) is ValueShown)
        if shown != len(frames):
            raise AssertionError(f"{shown} of {len(frames)} records were shown: {effects[:3]}")
        return cost

    def bare(self) -> float:
        """CPU seconds of one bare verification of such records."""
        pairs = [(v.signature + v.signed, person(i % AUTHORS).key_state.key) for i, v in enumerate(self.vectors())]
        verify = sodium.crypto_sign_open
        return per_item(pairs, lambda pair: verify(pair[0], pair[1]))

    def blocks(self) -> list[Block]:
        """Decoded blocks of the next records."""
        return [decode_vector(MESH.mesh_id, message.signed).block for message in self.vectors()]


def _read_out(block: Block) -> list[float | None]:
    return block.series(AROUSAL)


class _Seen:
    """Turns in which every record is held already and comes again by a second link."""

    def __init__(self, count: int) -> None:
        self._receiver = Receiver(2)
        self._held = [vector(person(number), 1, Style(lease_ms=60_000)) for number in range(AUTHORS)]
        self._count = count - count % COALESCED
        self._receiver.receive(self._receiver.sealed([(message,) for message in self._held]))

    def turn(self, together: int) -> float:
        """CPU seconds of one duplicate, ``together`` in a frame."""
        messages = [self._held[number % AUTHORS] for number in range(self._count)]
        groups = [messages[at : at + together] for at in range(0, len(messages), together)]
        cost, effects = self._receiver.receive(self._receiver.sealed(groups, 1), 1, step_us=0)
        dropped = sum(1 for effect in effects if type(effect) is Drop and effect.reason is Reason.DUPLICATE)
        if dropped != len(messages):
            raise AssertionError(f"{dropped} of {len(messages)} were duplicates: {effects[:3]}")
        return cost / together


def measure(plan: Plan) -> Outcome:
    """One new record, 32 new samples a block, and a duplicate, each beside a bare verification."""
    one = _New(plan.count(800), Style())
    many = _New(plan.count(800), Style(k=SAMPLES, dt_ms=100, cadence_ms=3_200))
    seen = _Seen(plan.count(4_000))
    turns = alternate(
        {
            "new": one.turn,
            "verify": one.bare,
            "block": lambda: many.turn() + per_item(many.blocks(), _read_out),
            "verify block": many.bare,
            "duplicate": lambda: seen.turn(1),
            "duplicate of 16": lambda: seen.turn(COALESCED),
        },
        plan.repeats,
    )
    verify_us = turns.median_us("verify")
    block_us = turns.median_us("block")
    bars = [
        Bar(
            "receive path, one new signed record, against a bare verify",
            turns.ratio("new", "verify"),
            RECEIVE_RATIO,
            "x",
        ),
        Bar(
            "new samples per second at 32 a block, against bare verifications per second",
            SAMPLES / turns.ratio("block", "verify block"),
            SAMPLES_RATIO,
            "x",
            at_most=False,
        ),
        Bar("duplicate record, CPU", turns.median_us("duplicate"), DUPLICATE_US, "us"),
    ]
    return Outcome(
        bars,
        {
            "bare verify, us": round(verify_us, 2),
            "receive path of one new record, us": round(turns.median_us("new"), 2),
            "record, bytes signed": len(one.vectors()[0].signed),
            "block of 32 samples received and read out, us": round(block_us, 2),
            "new samples per CPU second": round(SAMPLES / block_us * 1e6),
            "duplicate, 16 in a frame, us": round(turns.median_us("duplicate of 16"), 2),
            "duplicate against a bare verify": round(turns.ratio("duplicate", "verify"), 4),
        },
    )
