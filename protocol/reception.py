"""What peers say on links, and which machine is told of it: part of the Node, in a room of its own.

A frame that cannot be read, or a message that breaks a rule, ends its link and nothing else: checks come before every
change, so there is nothing to undo.
"""

from __future__ import annotations

from protocol import limits
from protocol.bonds import Bonds
from protocol.clock import Instant
from protocol.collective.presence import Roll
from protocol.durable import Durable
from protocol.effects import Disconnect, Drop, Effect, Emit, ValueShown
from protocol.errors import CloseCode, Reason, RemoteProtocolError
from protocol.gossip.vectors import Vectors
from protocol.ids import LinkId
from protocol.membership.addresses import AddressBook
from protocol.membership.liveness import Liveness
from protocol.neighborhood import Neighborhood
from protocol.port import Outbox, Port, closes
from protocol.rifts import Rifts
from protocol.wire import messages as wire
from protocol.wire.joining import ForwardJoin, Join, Neighbor, NeighborAnswer, Shuffle, ShuffleAnswer
from protocol.wire.meeting import Meet, MeetConfirm, MeetReveal
from protocol.wire.messages import Message, decode_frame
from protocol.wire.probing import Nack, PingReq, ProbeAck, Refute, Suspect


class Reception:
    """``received`` counts messages by kind; ``byes`` holds the code of every BYE whose link is about to close."""

    def __init__(
        self,
        outbox: Outbox,
        vectors: Vectors,
        liveness: Liveness,
        hood: Neighborhood,
        book: AddressBook,
        durable: Durable,
        bonds: Bonds,
        roll: Roll,
        rifts: Rifts,
    ) -> None:
        self.received: dict[type[Message], int] = {}
        self.byes: dict[LinkId, int] = {}
        self._outbox = outbox
        self._ports = outbox.ports
        self._vectors = vectors
        self._liveness = liveness
        self._hood = hood
        self._book = book
        self._durable = durable
        self._bonds = bonds
        self._roll = roll
        self._rifts = rifts

    def frame(self, link: LinkId, frame: bytes, now: Instant) -> list[Effect]:
        """Bytes of a link."""
        try:
            decoded = decode_frame(frame)
        except RemoteProtocolError as fault:
            if link not in self._ports:
                return [Drop(link, Reason.UNKNOWN_LINK)]
            return [Drop(link, fault.reason, str(fault)), Disconnect(link, fault.close_code, fault.reason)]
        return self.messages(link, decoded, now)

    def messages(self, link: LinkId, decoded: tuple[Message, ...], now: Instant) -> list[Effect]:
        """A frame of a link, decoded."""
        port = self._ports.get(link)
        if port is None:
            return [Drop(link, Reason.UNKNOWN_LINK)]
        told = self._liveness.heard(link, now)
        effects: list[Effect] | None = self._outbox.tell(told, now) if told else None
        received = self.received
        late_ms = 0
        for message in decoded:
            kind = type(message)
            received[kind] = received.get(kind, 0) + 1
            try:
                if type(message) is wire.Vector and port.open:
                    done = self._vector(link, message, late_ms, now)
                elif type(message) is wire.Clock and port.open:
                    late_ms = port.transit.late_ms(message.sent_ms, now)
                    continue
                else:
                    done = self._message(link, port, message, now)
            except RemoteProtocolError as fault:
                done = [Drop(link, fault.reason, str(fault)), Disconnect(link, fault.close_code, fault.reason)]
            if effects is None:
                effects = done
            else:
                effects += done
            if done and closes(done, link):
                break
        return [] if effects is None else effects

    def _vector(self, link: LinkId, message: wire.Vector, late_ms: int, now: Instant) -> list[Effect]:
        if late_ms:  # another's message is not changed
            age_ms = min(limits.AGE_MS_MAX, message.age_ms + late_ms)
            message = wire.Vector(message.signed, message.signature, age_ms)
        effects = self._vectors.receive(link, message, now)
        self._notice(effects, now)
        return effects

    def _message(self, link: LinkId, port: Port, message: Message, now: Instant) -> list[Effect]:
        if not port.open and not isinstance(message, wire.Hello | wire.Bye):
            raise RemoteProtocolError(Reason.HELLO_EXPECTED)
        vectors = self._vectors
        effects: list[Effect] = []
        match message:
            case wire.Beat():
                pass
            case wire.Vector() | wire.Clock():  # once the link is open, messages() takes these itself
                raise RemoteProtocolError(Reason.HELLO_EXPECTED)
            case wire.Digest():
                vectors.receive_digest(link, message, now)
            case wire.Ping(token):
                port.control["pong"] = wire.Pong(token)
                self._outbox.flush(link, now, effects)
            case wire.Pong(token):
                self._liveness.pong(link, token, now)
                self._hood.measured(port, self._liveness.rtt_us(link), now)
            case wire.Keys():
                effects = self._keys(link, message, now)
            case wire.WantKeys():
                vectors.receive_want(link, message, now)
            case wire.Prune():
                vectors.receive_prune(link, message)
            case wire.Graft():
                vectors.receive_graft(link, message)
            case wire.Neighbors(authors):
                port.neighbors = authors
                self._liveness.neighbors(link, authors)
                self._rifts.announced(port.peer, authors, now)
                self._hood.announced(port, now)
            case wire.Peers():
                effects = self._hood.introduced(link, port, message, now)
            case Join() | ForwardJoin() | Neighbor() | NeighborAnswer() | Shuffle() | ShuffleAnswer():
                effects = self._hood.receive(link, port, message, now)
            case PingReq() | ProbeAck() | Nack() | Suspect() | Refute():
                effects, told = self._liveness.receive(link, message, now)
                effects += self._outbox.tell(told, now)
            case Meet() | MeetReveal() | MeetConfirm():
                effects = self._bonds.receive(port.peer, message, now)
            case wire.Hello():
                effects = self._hello(link, port, message, now)
            case wire.Bye(code):
                self.byes[link] = code
                effects = [Disconnect(link, CloseCode.SHUTDOWN)]
            case _:
                effects = self._durable.receive(link, port.peer, message, now)
        return effects

    def _keys(self, link: LinkId, message: wire.Keys, now: Instant) -> list[Effect]:
        effects = self._vectors.receive_keys(link, message, now)
        self._notice(effects, now)
        for effect in effects:
            if type(effect) is Disconnect:  # perhaps of another link, whose vector had waited for these keys
                self._outbox.shut(effect.link)
        state = self._vectors.keys.same(message.key_state)
        return effects if state is None else effects + self._durable.keys_learnt(state.author, now)

    def _hello(self, link: LinkId, port: Port, hello: wire.Hello, now: Instant) -> list[Effect]:
        if port.open:
            raise RemoteProtocolError(Reason.HELLO_REPEATED)
        effects: list[Effect] = []
        forgot = False
        if hello.addresses is not None:
            state = self._vectors.keys.get(port.peer)
            assert state is not None
            record = self._book.learn(state, *hello.addresses)
            if record is not None:
                effects += self._hood.told(port.peer, record.addresses, now)
            forgot = record is None
        port.open = True
        self._outbox.changed = True
        port.agent = hello.agent
        self._liveness.opened(link)
        port.transit.late_ms(0, now)
        self._vectors.link_up(link, port.peer, hello.boot, now)
        introduction = self._book.introduce(port.peer, itself=forgot)  # what it signed shows it how far it was (R40)
        if introduction is not None:
            port.control["peers"] = introduction
        self._outbox.announce(now, effects)
        return effects

    def _notice(self, effects: list[Effect], now: Instant) -> None:
        for effect in effects:
            if type(effect) is Emit:
                event = effect.event
                if type(event) is ValueShown:
                    held = self._vectors.shelf.get(event.author)
                    if held is not None:
                        self._roll.heard(event.author, held.made_at, held.record.cadence_ms, now)
