"""The trees of a field: every member's gossip machine, and what became of each message that was broadcast.

A message is counted where it arrives: ``payloads`` are copies that came to somebody alive, so that the *relative
message redundancy* of Plumtree (Leitao, Pereira, Rodrigues 2007, section 4.1) is payloads / (members reached - 1) - 1,
and the *last delivery hop* is the longest way that a first copy has come. Control bytes are those of IHAVE, GRAFT and
PRUNE as docs/protocol.md encodes them, without the frame that they share with others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, TypeAlias

from protocol.clock import Duration, Instant
from protocol.effects import SetTimer
from protocol.gossip.trees import Deliver, Push, Refused, Trees, TreesConfig, TreesEffect
from protocol.ids import AUTHOR_BYTES, AuthorId
from protocol.inputs import TimerKey
from protocol.rng import Rng
from protocol.wire.codec import encode
from protocol.wire.messages import Gossip, IHave, TreeGraft, TreeMessage, TreePrune, to_value

if TYPE_CHECKING:
    from sim.field import Field
    from sim.members import Half

ID_BYTES: Final = 16
_Shape: TypeAlias = tuple[type[TreeMessage], int, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadConfig:
    """``payload_bytes`` is the size of every message (the usual record of this mesh: 200)."""

    trees: TreesConfig = field(default_factory=TreesConfig)
    payload_bytes: int = 200


@dataclass(slots=True)
class Sent:
    """One broadcast and what became of it so far; ``delivered`` counts its author as well.

    ``reached`` is by member, where that was asked for.
    """

    sender: int
    began: Instant
    reached: dict[int, None] | None = None
    delivered: int = 1
    hops_max: int = 0
    payloads: int = 0
    last_at: Instant = 0

    @property
    def redundancy(self) -> float:
        """Copies beyond the one that each needs."""
        return self.payloads / (self.delivered - 1) - 1 if self.delivered > 1 else 0.0

    @property
    def took_us(self) -> Duration:
        """From the broadcast to the last delivery."""
        return self.last_at - self.began


@dataclass(slots=True)
class Traffic:
    """What left all members so far: copies of messages, and control messages by kind, length and named tree.

    ``lost`` was for somebody whose link had just gone.
    """

    payloads: int = 0
    lost: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    shapes: dict[_Shape, int] = field(default_factory=dict)

    def count(self, message: IHave | TreeGraft | TreePrune) -> None:
        """One more; messages of one shape have one length on the wire, which is worked out when it is asked for."""
        shape: _Shape
        if isinstance(message, IHave):
            shape = (IHave, len(message.entries), False)
        elif isinstance(message, TreeGraft):
            shape = (TreeGraft, len(message.ids), message.author is None)
        else:
            shape = (TreePrune, 0, message.author is None)
        self.shapes[shape] = self.shapes.get(shape, 0) + 1

    def kinds(self) -> dict[str, int]:
        """How many control messages of each kind."""
        found: dict[str, int] = {}
        for (kind, _, _), count in self.shapes.items():
            found[kind.__name__] = found.get(kind.__name__, 0) + count
        return found

    def control_bytes(self) -> int:
        """Their encoded length, without the frames that carry them."""
        return sum(count * _encoded(*shape) for shape, count in self.shapes.items())


def _encoded(kind: type[TreeMessage], length: int, shared: bool) -> int:
    author = None if shared else AuthorId(bytes(AUTHOR_BYTES))
    if kind is IHave:
        return len(encode(to_value(IHave(bytes(length)))))
    if kind is TreeGraft:
        return len(encode(to_value(TreeGraft(author, bytes(length)))))
    return len(encode(to_value(TreePrune(author))))


class Spread:
    """Drives the trees of all members of ``field`` over its links."""

    def __init__(self, field: Field, config: SpreadConfig, rng: Rng) -> None:
        self.traffic = Traffic()
        self.sent: dict[bytes, Sent] = {}
        self._field = field
        self._config = config
        self._trees = [Trees(config.trees, rng.child(f"trees {number}")) for number in range(field.config.members)]
        self._wakes: list[Instant | None] = [None] * field.config.members
        self._count = 0

    # --- what is asked of it ------------------------------------------------------------------------------------

    def broadcast(self, number: int, *, by_member: bool = False) -> Sent:
        """This member says something to everybody now; ``by_member`` remembers who got it."""
        member, now = self._field.members[number], self._field.kernel.now
        assert member.alive, f"member {number} is dead and says nothing"
        self._count += 1
        name = blake2b(f"{self._field.seed} message {self._count}".encode(), digest_size=ID_BYTES).digest()
        payload = (name * -(-self._config.payload_bytes // ID_BYTES))[: self._config.payload_bytes]
        sent = self.sent[name] = Sent(number, now, {number: None} if by_member else None, last_at=now)
        self._do(number, self._trees[number].broadcast(name, member.author, payload, now))
        return sent

    def neighbor_up(self, number: int, peer: AuthorId) -> None:
        """The overlay of this member has a neighbor more."""
        self._do(number, self._trees[number].neighbor_up(peer, self._field.kernel.now))

    def neighbor_parting(self, number: int, peer: AuthorId) -> None:
        """The overlay of this member has a neighbor less, whose link will end soon."""
        self._do(number, self._trees[number].neighbor_parting(peer, self._field.kernel.now))

    def neighbor_down(self, number: int, peer: AuthorId) -> None:
        """The overlay of this member has a neighbor less."""
        self._do(number, self._trees[number].neighbor_down(peer, self._field.kernel.now))

    # --- driving ------------------------------------------------------------------------------------------------

    def _do(self, number: int, effects: Sequence[TreesEffect]) -> None:
        field, traffic = self._field, self.traffic
        if field.config.traced:
            field.note(number, effects)
        links = field.members[number].links
        for effect in effects:
            if type(effect) is Push:
                message = effect.message
                half = links.get(effect.peer)
                if half is None:
                    traffic.lost += 1
                elif isinstance(message, Gossip):
                    traffic.payloads += 1
                    field.send(half, self._told, message)
                else:
                    traffic.count(message)
                    field.send(half, self._arrived, message)
            elif type(effect) is Deliver:
                sent = self.sent[effect.id]
                sent.delivered += 1
                sent.last_at = field.kernel.now
                if effect.hops > sent.hops_max:
                    sent.hops_max = effect.hops
                if sent.reached is not None:
                    sent.reached[number] = None
            elif type(effect) is SetTimer:
                self._wakes[number] = effect.at
                field.kernel.post(effect.at, self._due, (number, effect.key, effect.at))
            elif type(effect) is Refused:
                traffic.refused[effect.reason] = traffic.refused.get(effect.reason, 0) + 1

    def _told(self, half: Half, message: Gossip) -> None:
        if half.other.open:
            self.sent[message.id].payloads += 1
            number = half.peer
            self._do(number, self._trees[number].receive(half.author, message, self._field.kernel.now))

    def _arrived(self, half: Half, message: TreeMessage) -> None:
        if half.other.open:
            number = half.peer
            self._do(number, self._trees[number].receive(half.author, message, self._field.kernel.now))

    def _due(self, number: int, key: TimerKey, at: Instant) -> None:
        if self._wakes[number] == at and self._field.members[number].alive:
            self._wakes[number] = None
            self._do(number, self._trees[number].timer(key, self._field.kernel.now))
